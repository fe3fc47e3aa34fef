//! The simulated cluster and its main loop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use pangaea_gateway::{ConnId, Input as GatewayInput, Transport};
use pangaea_node::mesh::MeshEvent;
use pangaea_persistence::store::MemoryStore;
use pangaea_scene::game::Game;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::message::{Handover, HandoverMessage, Message};
use pangaea_schemas::wire::{self, client::decode_client};
use pangaea_schemas::{EntityId, NodeId, Nonce, Role, Timestamp};
use pangaea_world::auth::Input as AuthInput;

use super::checks::Owners;
use super::clock::Clock;
use super::curse;
use super::faults::{self, Fault, Planned};
use super::journals::Journals;
use super::names::Names;
use super::network::{Link, Network};
use super::outcome::{Options, Outcome, Trouble};
use super::player::Player;
use super::process::{Effect, Process, Shared};
use super::promises::Promises;
use super::recorder::{ADMIN, Recorder};
use super::schedule::{BEGINNING, Schedule};
use super::sequences::Sequences;
use super::trace::Trace;

/// Time between two looks at the whole cluster.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// In the last part of a simulation players stand still and want nothing, so that views must become what is true.
pub(super) const REST: Duration = Duration::from_secs(4);
/// One cluster in so many has the whole demo's world, the others a quarter of it.
const WHOLE_WORLD_ONE_IN: u32 = 8;
/// One cluster in so many has three scenes, the others two.
const THIRD_SCENE_ONE_IN: u32 = 4;
/// A data process that does not trust its disk starts again after this.
const DISTRUST: Duration = Duration::from_millis(300);
/// A process that a curse ended starts again after this.
const RESTART: Duration = Duration::from_millis(300);
/// A commit of the data node's disk takes so many microseconds.
const COMMIT_US: std::ops::Range<u64> = 1_000..8_000;
/// How many times longer on a slow disk.
const SLOW_COMMIT: std::ops::Range<u32> = 20..250;
/// A player that sees nothing for this long calls again, perhaps elsewhere.
const PATIENCE: Duration = Duration::from_secs(3);
/// One cluster in so many encodes and decodes all that its processes say; the others pass it on as it is, which is quicker.
const WIRE_ONE_IN: u64 = 4;
/// The world process.
pub(super) const WORLD: NodeId = NodeId::new(Role::World, 1);
/// The data process.
pub(super) const DATA: NodeId = NodeId::new(Role::Data, 1);

/// A message between two processes on its way.
#[derive(Clone, Debug)]
pub(super) enum Parcel {
    Bytes(Bytes),
    Told(Box<Message>),
}

#[derive(Debug)]
pub(super) enum Event {
    Start(NodeId),
    Deliver(Link, Parcel),
    LinkUp(Link),
    /// The first node notices that its link to the second is gone.
    LinkDown(NodeId, NodeId),
    Wake(NodeId),
    Tick(NodeId, u64),
    Commit(NodeId, u64),
    Hashed(NodeId, u64, AuthInput),
    Connect(usize),
    /// A client's connection begins or ends at its gateway.
    Line(NodeId, u64, GatewayInput),
    ToGateway(usize, ConnId, Bytes),
    ToPlayer(usize, ConnId, Bytes),
    /// The gateway has closed the player's connection.
    HungUp(usize, ConnId),
    Turn(usize),
    /// All players come to rest.
    Rest,
    Look,
    Fault(Fault),
    /// Both ends of a cut link notice.
    Torn(NodeId, NodeId, Timestamp),
    /// A cut link is whole again.
    Healed(NodeId, NodeId),
    Awake(NodeId),
    Undrain(NodeId),
    DiskWell,
}

impl Event {
    /// The process that it happens to; while that stands still, it waits.
    fn node(&self) -> Option<NodeId> {
        match self {
            Self::Deliver(link, _) | Self::LinkUp(link) => Some(link.to.0),
            Self::LinkDown(node, _)
            | Self::Wake(node)
            | Self::Tick(node, _)
            | Self::Commit(node, _)
            | Self::Hashed(node, ..)
            | Self::Line(node, ..) => Some(*node),
            Self::Start(_)
            | Self::Connect(_)
            | Self::ToGateway(..)
            | Self::ToPlayer(..)
            | Self::HungUp(..)
            | Self::Turn(_)
            | Self::Rest
            | Self::Look
            | Self::Fault(_)
            | Self::Torn(..)
            | Self::Healed(..)
            | Self::Awake(_)
            | Self::Undrain(_)
            | Self::DiskWell => None,
        }
    }
}

/// See the module.
pub struct Cluster {
    pub(super) options: Options,
    pub(super) shared: Shared,
    pub(super) rng: Rng,
    pub(super) schedule: Schedule<Event>,
    pub(super) network: Network,
    pub(super) processes: BTreeMap<NodeId, Process>,
    pub(super) wakes: BTreeMap<NodeId, Timestamp>,
    /// Processes that stand still, and what waits for them.
    pub(super) asleep: BTreeMap<NodeId, Vec<Event>>,
    pub(super) disk: Option<MemoryStore>,
    pub(super) disk_is_slow: bool,
    pub(super) players: Vec<Player>,
    /// Each player's connection and its gateway.
    pub(super) lines: Vec<Option<(NodeId, ConnId)>>,
    conns: u64,
    /// The journals' owners, as last seen.
    pub(super) owners: Owners,
    /// No process loses its sense of time in this simulation, so leases are over when they are over.
    pub(super) clocks_are_true: bool,
    /// Owners that the journal had replaced at the last look, and that did not doubt it.
    pub(super) undoubting: BTreeSet<(NodeId, ShardId)>,
    /// What the data node has promised.
    pub(super) promises: Promises,
    sequences: Sequences,
    /// What scenes have heard from it.
    pub(super) journals: Journals,
    names: Names,
    /// Who was in the world before anything went wrong.
    pub(super) born: BTreeSet<EntityId>,
    /// Who has been near each player during the last looks.
    pub(super) near: Vec<Option<BTreeSet<EntityId>>>,
    /// What is to go wrong.
    pub(super) planned: Vec<Planned>,
    /// After this nothing goes wrong any more.
    pub(super) calm_after: Duration,
    pub(super) looks: u64,
    pub(super) longest_pause: Duration,
    pub(super) entities: usize,
    pub(super) handovers: u64,
    pub(super) crashes: u64,
    pub(super) faults: Vec<String>,
    pub(super) trace: Trace,
    /// An admin who records a shard.
    pub(super) recorder: Option<Recorder>,
}

impl Cluster {
    /// A cluster of one world, data and auth process, two or three scenes and two gateways.
    pub fn new(options: Options) -> Self {
        let mut rng = Rng::with_seed(options.seed);
        let game = match Game::build(if options.cursed { curse::game } else { pangaea_game::game }) {
            Ok(game) => game,
            Err(error) => panic!("{error}"),
        };
        let scenes = if rng.u32(..THIRD_SCENE_ONE_IN) == 0 { 3 } else { 2 };
        let shared = Shared { spec: spec(rng.u32(..WHOLE_WORLD_ONE_IN) == 0), game, scenes: usize::from(scenes) };
        let mut schedule = Schedule::default();
        for node in nodes(scenes) {
            schedule.after(Duration::from_millis(rng.u64(..50)), Event::Start(node));
        }
        for player in 0..options.players {
            schedule.after(Duration::from_millis(rng.u64(500..4_000)), Event::Connect(player));
            schedule.after(Duration::from_millis(rng.u64(..50)), Event::Turn(player));
        }
        schedule.after(LOOK_EVERY, Event::Look);
        schedule.after(options.span.saturating_sub(REST), Event::Rest);
        let planned = plan(&mut rng.fork(), &options, &nodes(scenes));
        let calm_after = planned.iter().map(|(at, fault)| *at + fault.span()).max().unwrap_or(faults::CALM_BEFORE);
        for (at, fault) in &planned {
            schedule.after(*at, Event::Fault(*fault));
        }
        let (_, middle) = shared.spec.spawn_point();
        let mut players: Vec<Player> =
            (0..options.players).map(|n| Player::new(format!("Player {n}"), rng.fork(), middle)).collect();
        players.iter_mut().take(usize::from(options.cursed)).for_each(Player::find_the_curse);
        Self {
            network: Network::new(rng.fork()),
            trace: Trace::new(options.print),
            lines: vec![None; options.players],
            near: vec![None; options.players],
            shared,
            rng,
            schedule,
            processes: BTreeMap::new(),
            wakes: BTreeMap::new(),
            asleep: BTreeMap::new(),
            disk: None,
            disk_is_slow: false,
            players,
            conns: 0,
            owners: Owners::new(),
            clocks_are_true: !planned.iter().any(|(_, fault)| fault.confuses_a_clock()),
            undoubting: BTreeSet::new(),
            promises: Promises::default(),
            sequences: Sequences::default(),
            journals: Journals::default(),
            names: Names::default(),
            born: BTreeSet::new(),
            planned,
            calm_after,
            looks: 0,
            longest_pause: Duration::ZERO,
            entities: 0,
            handovers: 0,
            crashes: 0,
            faults: Vec::new(),
            recorder: options.record.then(Recorder::default),
            options,
        }
    }

    /// What is to go wrong, in order of number.
    pub fn planned(&self) -> &[Planned] {
        &self.planned
    }

    /// Run to the end.
    pub fn run(mut self) -> Outcome {
        let end = BEGINNING + self.options.span;
        while let Some(event) = self.schedule.next(end) {
            if self.schedule.stands_still() {
                let who = event.node().map_or_else(|| "somebody".to_owned(), |node| node.to_string());
                self.faults.push(format!("{who} wakes over and over in one moment: what it waits for was due before"));
            }
            self.happen(event);
            if !self.faults.is_empty() {
                break;
            }
        }
        self.finish()
    }

    pub(super) fn happen(&mut self, event: Event) {
        let waiting = event.node().and_then(|node| self.asleep.get_mut(&node));
        match waiting {
            Some(waiting) => waiting.push(event),
            None => self.act(event),
        }
    }

    pub(super) fn act(&mut self, event: Event) {
        let now = self.schedule.now();
        match event {
            Event::Start(node) => self.start(node),
            Event::Deliver(link, parcel) if self.network.is_up(link) => self.deliver(link, parcel),
            Event::LinkUp(link) if self.network.is_up(link) => {
                let nonce = self.processes.get(&link.from.0).map(Process::nonce).unwrap_or_default();
                self.with(link.to.0, |process| process.hear(now, MeshEvent::Up { node: link.from.0, nonce }));
            }
            Event::Deliver(..) | Event::LinkUp(_) => {}
            Event::LinkDown(node, peer) => self.with(node, |process| process.hear(now, MeshEvent::Down { node: peer })),
            Event::Wake(node) => {
                if self.wakes.get(&node).is_some_and(|at| *at <= now) {
                    self.wakes.remove(&node);
                    self.with(node, |_| {});
                }
            }
            Event::Tick(node, life) if self.is_alive(node, life) => {
                self.with(node, |process| process.tick(now));
                self.plan_tick(node);
            }
            Event::Commit(node, life) if self.is_alive(node, life) => self.commit(node),
            Event::Hashed(node, life, done) if self.is_alive(node, life) => {
                self.with(node, |process| process.hashed(now, done));
            }
            Event::Line(node, life, input) if self.is_alive(node, life) => self.with(node, |process| process.client(now, input)),
            Event::Tick(..) | Event::Commit(..) | Event::Hashed(..) | Event::Line(..) => {}
            Event::Connect(player) => self.connect(player),
            Event::ToGateway(player, conn, bytes) => self.reach_gateway(player, conn, &bytes),
            Event::ToPlayer(player, conn, bytes) => self.reach_player(player, conn, &bytes),
            Event::HungUp(player, conn) => {
                if self.lines[player].is_some_and(|line| line.1 == conn) {
                    self.hang_up(player);
                }
            }
            Event::Turn(player) => self.turn(player),
            Event::Rest => self.players.iter_mut().for_each(Player::rest),
            Event::Look => {
                self.look();
                self.go_on_recording();
            }
            Event::Fault(fault) => self.go_wrong(fault),
            Event::Torn(a, b, heals) => self.tear(a, b, heals),
            Event::Healed(a, b) => self.heal(a, b),
            Event::Awake(node) => self.awake(node),
            Event::Undrain(node) => self.undrain(node),
            Event::DiskWell => self.disk_is_well(),
        }
    }

    pub(super) fn is_alive(&self, node: NodeId, life: u64) -> bool {
        self.network.link(node, node).from == (node, life) && self.processes.contains_key(&node)
    }

    pub(super) fn life(&self, node: NodeId) -> u64 {
        self.network.link(node, node).from.1
    }

    fn start(&mut self, node: NodeId) {
        if self.processes.contains_key(&node) {
            return;
        }
        let now = self.schedule.now();
        let nonce = Nonce(self.rng.u128(..));
        let disk = if node.role == Role::Data { self.disk.take() } else { None };
        self.trace.line(now, node, format_args!("starts as {nonce}"));
        let clock = Clock::start(now, &mut self.rng);
        let process = Process::start(now, node, nonce, clock, &self.shared, disk);
        let others: Vec<NodeId> = self.processes.keys().copied().collect();
        self.processes.insert(node, process);
        for other in others {
            self.link_up(node, other);
        }
        self.with(node, |_| {});
        self.plan_tick(node);
    }

    /// Two processes connect, unless the network between them is cut.
    pub(super) fn link_up(&mut self, a: NodeId, b: NodeId) {
        let now = self.schedule.now();
        if self.network.is_blocked(now, a, b) || self.network.is_blocked(now, b, a) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let at = self.network.arrival(now, from, to);
            self.schedule.at(at, Event::LinkUp(self.network.link(from, to)));
        }
    }

    pub(super) fn plan_tick(&mut self, node: NodeId) {
        if let Some(at) = self.processes.get(&node).and_then(Process::next_tick) {
            // Real ticks begin a little late, each at its own time.
            let late = Duration::from_micros(self.rng.u64(..2_000));
            self.schedule.at(at + late, Event::Tick(node, self.life(node)));
        }
    }

    fn commit(&mut self, node: NodeId) {
        let now = self.schedule.now();
        self.with(node, |process| process.commit(now));
        let broken = self.processes.get(&node).and_then(Process::data).and_then(|data| data.broken()).map(str::to_owned);
        if let Some(reason) = broken {
            self.trace.line(now, node, format_args!("ends: {reason}"));
            self.kill(node, DISTRUST);
        }
    }

    fn deliver(&mut self, link: Link, parcel: Parcel) {
        let (now, from, to) = (self.schedule.now(), link.from.0, link.to.0);
        let (message, bytes) = match parcel {
            Parcel::Told(message) => (Ok(*message), Bytes::new()),
            Parcel::Bytes(frame) => (wire::decode(&frame), frame),
        };
        match message {
            Ok(message) => {
                self.trace.message(now, (from, to), &bytes, &message);
                self.promises.overhear(&message);
                self.faults.extend(self.sequences.overhear(&message));
                self.journals.overhear(now, to, &message);
                self.faults.extend(self.names.overhear(&message));
                let acknowledged = matches!(&message, Message::Handover(HandoverMessage { step: Handover::Ack { .. }, .. }));
                self.handovers += u64::from(acknowledged);
                self.with(to, |process| process.hear(now, MeshEvent::Message { from, message }));
            }
            Err(error) => self.faults.push(format!("{from} sent {to} what does not decode: {error}")),
        }
    }

    /// Do something with a process, then carry out what it wants.
    pub(super) fn with(&mut self, node: NodeId, act: impl FnOnce(&mut Process)) {
        let now = self.schedule.now();
        let life = self.life(node);
        let Some(process) = self.processes.get_mut(&node) else { return };
        act(process);
        if self.options.cursed && curse::has_struck() {
            self.trace.line(now, node, format_args!("ends in the midst of its work"));
            self.crashes += 1;
            self.calm_after = self.calm_after.max(now.since(BEGINNING) + RESTART);
            return self.kill(node, RESTART);
        }
        let effects = process.settle(now);
        let deadline = process.deadline();
        if self.wakes.get(&node).is_none_or(|at| deadline < *at) {
            self.wakes.insert(node, deadline);
            self.schedule.at(deadline, Event::Wake(node));
        }
        for effect in effects {
            self.carry_out(node, life, effect);
        }
    }

    fn carry_out(&mut self, node: NodeId, life: u64, effect: Effect) {
        let now = self.schedule.now();
        match effect {
            Effect::Send(ADMIN, message) => self.admin_hears(message),
            Effect::Send(to, message) => {
                if self.processes.contains_key(&to) && !self.network.is_blocked(now, node, to) {
                    self.post(node, to, message);
                }
            }
            Effect::ToClient(conn, bytes) => {
                let player = self.lines.iter().position(|line| *line == Some((node, conn)));
                if let Some(player) = player {
                    let way = Duration::from_micros(self.rng.u64(100..500));
                    // One connection keeps its order: the way is the same within a microsecond's events.
                    let at = self.network.arrival(now + way, node, client_end(player));
                    self.schedule.at(at, Event::ToPlayer(player, conn, bytes));
                }
            }
            Effect::Close(conn) => {
                let player = self.lines.iter().position(|line| *line == Some((node, conn)));
                if let Some(player) = player {
                    // Last words are heard.
                    let at = self.network.arrival(now, node, client_end(player));
                    self.schedule.at(at, Event::HungUp(player, conn));
                }
            }
            Effect::Later(delay, done) => self.schedule.after(delay, Event::Hashed(node, life, done)),
            Effect::Commit => {
                let slow = if self.disk_is_slow { self.rng.u32(SLOW_COMMIT) } else { 1 };
                let delay = Duration::from_micros(self.rng.u64(COMMIT_US)) * slow;
                self.schedule.after(delay, Event::Commit(node, life));
            }
        }
    }

    fn post(&mut self, from: NodeId, to: NodeId, message: Message) {
        let now = self.schedule.now();
        let link = self.network.link(from, to);
        let (at, again) = match faults::may_come_in_any_order(&message) {
            true => self.network.arrivals(now, from, to),
            false => (self.network.arrival(now, from, to), None),
        };
        let is_wired = self.options.seed.is_multiple_of(WIRE_ONE_IN);
        let parcel = if is_wired { Parcel::Bytes(wire::encode(&message)) } else { Parcel::Told(Box::new(message)) };
        if let Some(again) = again {
            self.schedule.at(again, Event::Deliver(link, parcel.clone()));
        }
        self.schedule.at(at, Event::Deliver(link, parcel));
    }

    fn connect(&mut self, player: usize) {
        let now = self.schedule.now();
        let gateway = NodeId::new(Role::Gateway, self.rng.u16(1..=2));
        if !self.processes.contains_key(&gateway) {
            return self.schedule.after(Duration::from_millis(200), Event::Connect(player));
        }
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.trace.line(now, gateway, format_args!("is called by player {player} as {}", conn.0));
        self.lines[player] = Some((gateway, conn));
        self.at_gateway(player, gateway, GatewayInput::Opened { conn, transport: Transport::Tcp });
        self.players[player].connected(now);
        self.flush_player(player);
    }

    fn at_gateway(&mut self, player: usize, gateway: NodeId, input: GatewayInput) {
        let at = self.network.arrival(self.schedule.now(), client_end(player), gateway);
        self.schedule.at(at, Event::Line(gateway, self.life(gateway), input));
    }

    /// The line is dead: the player calls again after a while.
    pub(super) fn hang_up(&mut self, player: usize) {
        self.lines[player] = None;
        self.players[player].disconnected();
        self.schedule.after(Duration::from_millis(self.rng.u64(200..800)), Event::Connect(player));
    }

    fn turn(&mut self, player: usize) {
        let now = self.schedule.now();
        if let Some((gateway, conn)) = self.lines[player].filter(|_| self.players[player].has_had_enough(now, PATIENCE)) {
            self.trace.line(now, format_args!("player {player}"), format_args!("hangs up"));
            self.at_gateway(player, gateway, GatewayInput::Closed { conn });
            self.hang_up(player);
        }
        let agents: Vec<EntityId> = self.players.iter().map(|player| player.agent).filter(|agent| agent.is_some()).collect();
        self.players[player].turn(&agents);
        self.flush_player(player);
        self.schedule.after(self.shared.spec.tick_rate.interval(), Event::Turn(player));
    }

    fn flush_player(&mut self, player: usize) {
        let now = self.schedule.now();
        for bytes in self.players[player].take_outbox() {
            if let Some((gateway, conn)) = self.lines[player] {
                let at = self.network.arrival(now, client_end(player), gateway);
                self.schedule.at(at, Event::ToGateway(player, conn, bytes));
            }
        }
    }

    fn reach_gateway(&mut self, player: usize, conn: ConnId, bytes: &Bytes) {
        let Some((gateway, _)) = self.lines[player].filter(|line| line.1 == conn) else { return };
        match decode_client(bytes) {
            Ok(message) => self.happen(Event::Line(gateway, self.life(gateway), GatewayInput::Client { conn, message })),
            Err(error) => self.faults.push(format!("player {player} sent what does not decode: {error}")),
        }
    }

    fn reach_player(&mut self, player: usize, conn: ConnId, bytes: &Bytes) {
        if self.lines[player].is_none_or(|line| line.1 != conn) {
            return;
        }
        let now = self.schedule.now();
        self.players[player].hear(now, bytes);
        self.trace.sight(now, player, bytes.len(), self.players[player].sight.len());
        self.flush_player(player);
    }
}

/// The map: the whole demo's in 16 shards, or its quarter in 4. Either way four shards meet where the players do.
fn spec(whole: bool) -> ClusterSpec {
    let demo = ClusterSpec::demo();
    let quarter = SpaceSpec { space: SpaceId(0), name: "quarter".to_owned(), level: 4, shard_level: 3 };
    if whole { demo } else { ClusterSpec { spaces: vec![quarter], ..demo } }
}

/// One world, data and auth process, some scenes and two gateways.
fn nodes(scenes: u16) -> Vec<NodeId> {
    let roles = [(Role::World, 1), (Role::Data, 1), (Role::Auth, 1), (Role::Scene, scenes), (Role::Gateway, 2)];
    roles.into_iter().flat_map(|(role, count)| (1..=count).map(move |ordinal| NodeId::new(role, ordinal))).collect()
}

/// What goes wrong, of all that is drawn.
fn plan(rng: &mut Rng, options: &Options, nodes: &[NodeId]) -> Vec<Planned> {
    let drawn = faults::draw(rng, options.span, nodes);
    match &options.trouble {
        Trouble::None => Vec::new(),
        Trouble::Drawn => drawn,
        Trouble::These(planned) => planned.clone(),
    }
}

/// Clients share the network's order of links under names that no process has.
fn client_end(player: usize) -> NodeId {
    NodeId::new(Role::Gateway, 10_000 + player as u16)
}
