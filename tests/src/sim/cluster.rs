//! The simulated cluster and its main loop.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use pangaea_gateway::{ConnId, Input as GatewayInput};
use pangaea_node::mesh::MeshEvent;
use pangaea_persistence::store::MemoryStore;
use pangaea_scene::game::Game;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::message::{Feed, HandoverMessage, Message, Session};
use pangaea_schemas::wire::{self, client::decode_client};
use pangaea_schemas::{NodeId, Nonce, Role, Tick, Timestamp};
use pangaea_world::auth::Input as AuthInput;

use super::checks;
use super::network::{Link, Network};
use super::player::Player;
use super::process::{Effect, Process, Shared};
use super::schedule::{BEGINNING, Schedule};
use super::trace::Trace;

/// How a simulation is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Simulated time.
    pub span: Duration,
    /// Players.
    pub players: usize,
    /// Print the trace.
    pub print: bool,
    /// Kill and restart processes.
    pub faults: bool,
}

impl Options {
    /// A usual run of `seed`.
    pub fn seed(seed: u64) -> Self {
        Self { seed, span: Duration::from_secs(20), players: 6, print: false, faults: false }
    }
}

/// What came of a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Hash of the trace.
    pub hash: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// Players in the world at the end.
    pub playing: usize,
    /// Inputs applied, over all players.
    pub inputs: u64,
    /// Updates seen, over all players.
    pub updates: u64,
    /// Entities live at the end.
    pub entities: usize,
    /// Hand-overs that came to an end.
    pub handovers: u64,
    /// What was wrong, in words.
    pub faults: Vec<String>,
}

/// Time between two looks at the whole cluster.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A commit of the data node's disk takes so many microseconds.
const COMMIT_US: std::ops::Range<u64> = 1_000..8_000;

#[derive(Debug)]
enum Event {
    Start(NodeId),
    Deliver(Link, Bytes),
    LinkUp(Link),
    Wake(NodeId),
    Tick(NodeId, u64, Tick),
    Commit(NodeId, u64),
    Hashed(NodeId, u64, AuthInput),
    Connect(usize),
    ToGateway(usize, ConnId, Bytes),
    ToPlayer(usize, ConnId, Bytes),
    Turn(usize),
    Look,
}

/// See the module.
pub struct Cluster {
    options: Options,
    shared: Shared,
    rng: Rng,
    schedule: Schedule<Event>,
    network: Network,
    processes: BTreeMap<NodeId, Process>,
    wakes: BTreeMap<NodeId, Timestamp>,
    disk: Option<MemoryStore>,
    players: Vec<Player>,
    /// Each player's connection and its gateway.
    lines: Vec<Option<(NodeId, ConnId)>>,
    conns: u64,
    entities: usize,
    handovers: u64,
    faults: Vec<String>,
    trace: Trace,
}

impl Cluster {
    /// A cluster of one world, data and auth process, two scenes and two gateways.
    pub fn new(options: Options) -> Self {
        let mut rng = Rng::with_seed(options.seed);
        let game = match Game::build(pangaea_game::game) {
            Ok(game) => game,
            Err(error) => panic!("{error}"),
        };
        let shared = Shared { spec: ClusterSpec::demo(), game, scenes: 2 };
        let mut schedule = Schedule::default();
        let roles = [(Role::World, 1), (Role::Data, 1), (Role::Auth, 1), (Role::Scene, 2), (Role::Gateway, 2)];
        for (role, count) in roles {
            for ordinal in 1..=count {
                schedule.after(Duration::from_millis(rng.u64(..50)), Event::Start(NodeId::new(role, ordinal)));
            }
        }
        for player in 0..options.players {
            schedule.after(Duration::from_millis(rng.u64(500..4_000)), Event::Connect(player));
            schedule.after(Duration::from_millis(rng.u64(..50)), Event::Turn(player));
        }
        schedule.after(LOOK_EVERY, Event::Look);
        let players = (0..options.players).map(|n| Player::new(format!("Player {n}"), rng.fork())).collect();
        Self {
            network: Network::new(rng.fork()),
            trace: Trace::new(options.print),
            lines: vec![None; options.players],
            shared,
            rng,
            schedule,
            processes: BTreeMap::new(),
            wakes: BTreeMap::new(),
            disk: None,
            players,
            conns: 0,
            entities: 0,
            handovers: 0,
            faults: Vec::new(),
            options,
        }
    }

    /// Run to the end.
    pub fn run(mut self) -> Outcome {
        let end = BEGINNING + self.options.span;
        while let Some(event) = self.schedule.next(end) {
            self.happen(event);
            if !self.faults.is_empty() {
                break;
            }
        }
        self.finish()
    }

    fn finish(mut self) -> Outcome {
        for player in &self.players {
            self.faults.extend(player.anomalies.iter().map(|anomaly| format!("{}: {anomaly}", player.name)));
        }
        if let Some(data) = self.processes.get(&NodeId::new(Role::Data, 1)).and_then(Process::data) {
            match data.audit() {
                Ok(audit) => self.faults.extend(audit.faults.iter().map(|fault| format!("ledger: {fault}"))),
                Err(error) => self.faults.push(format!("the ledger cannot be read: {error}")),
            }
        }
        Outcome {
            hash: self.trace.hash(),
            lines: self.trace.lines(),
            playing: self.players.iter().filter(|player| player.is_playing()).count(),
            inputs: self.players.iter().map(|player| u64::from(player.inputs_applied())).sum(),
            updates: self.players.iter().map(|player| player.updates).sum(),
            entities: self.entities,
            handovers: self.handovers,
            faults: self.faults,
        }
    }

    fn happen(&mut self, event: Event) {
        let now = self.schedule.now();
        match event {
            Event::Start(node) => self.start(node),
            Event::Deliver(link, frame) if self.network.is_up(link) => self.deliver(link, &frame),
            Event::LinkUp(link) if self.network.is_up(link) => {
                let nonce = self.processes.get(&link.from.0).map(Process::nonce).unwrap_or_default();
                self.with(link.to.0, |process| process.hear(now, MeshEvent::Up { node: link.from.0, nonce }));
            }
            Event::Deliver(..) | Event::LinkUp(_) => {}
            Event::Wake(node) => {
                if self.wakes.get(&node).is_some_and(|at| *at <= now) {
                    self.wakes.remove(&node);
                    self.with(node, |_| {});
                }
            }
            Event::Tick(node, life, tick) if self.is_alive(node, life) => {
                self.with(node, |process| process.tick(now, tick));
                self.plan_tick(node);
            }
            Event::Commit(node, life) if self.is_alive(node, life) => self.with(node, |process| process.commit(now)),
            Event::Hashed(node, life, done) if self.is_alive(node, life) => {
                self.with(node, |process| process.hashed(now, done));
            }
            Event::Tick(..) | Event::Commit(..) | Event::Hashed(..) => {}
            Event::Connect(player) => self.connect(player),
            Event::ToGateway(player, conn, bytes) => self.to_gateway(player, conn, &bytes),
            Event::ToPlayer(player, conn, bytes) => self.to_player(player, conn, &bytes),
            Event::Turn(player) => {
                self.players[player].turn();
                self.flush_player(player);
                self.schedule.after(self.shared.spec.tick_rate.interval(), Event::Turn(player));
            }
            Event::Look => self.look(),
        }
    }

    fn is_alive(&self, node: NodeId, life: u64) -> bool {
        self.network.link(node, node).from == (node, life) && self.processes.contains_key(&node)
    }

    fn life(&self, node: NodeId) -> u64 {
        self.network.link(node, node).from.1
    }

    fn start(&mut self, node: NodeId) {
        let now = self.schedule.now();
        let nonce = Nonce(self.rng.u128(..));
        let disk = if node.role == Role::Data { self.disk.take() } else { None };
        self.trace.line(now, node, format_args!("starts as {nonce}"));
        let process = Process::start(now, node, nonce, &self.shared, disk);
        let others: Vec<NodeId> = self.processes.keys().copied().collect();
        self.processes.insert(node, process);
        for other in others {
            for (from, to) in [(node, other), (other, node)] {
                let at = self.network.arrival(now, from, to);
                self.schedule.at(at, Event::LinkUp(self.network.link(from, to)));
            }
        }
        self.with(node, |_| {});
        self.plan_tick(node);
    }

    fn plan_tick(&mut self, node: NodeId) {
        if matches!(node.role, Role::World | Role::Scene | Role::Gateway) {
            let rate = self.shared.spec.tick_rate;
            let tick = rate.tick_at(self.schedule.now()).next();
            // Real ticks begin a little late, each at its own time.
            let late = Duration::from_micros(self.rng.u64(..2_000));
            self.schedule.at(rate.start_of(tick) + late, Event::Tick(node, self.life(node), tick));
        }
    }

    fn deliver(&mut self, link: Link, frame: &Bytes) {
        let (now, from, to) = (self.schedule.now(), link.from.0, link.to.0);
        match wire::decode(frame) {
            Ok(message) => {
                let (kind, bytes) = (kind_of(&message), frame.len());
                self.trace.line(now, to, format_args!("hears {from}: {kind} ({bytes} B)"));
                if kind.starts_with("Handover Ack") {
                    self.handovers += 1;
                }
                self.with(to, |process| process.hear(now, MeshEvent::Message { from, message }));
            }
            Err(error) => self.faults.push(format!("{from} sent {to} what does not decode: {error}")),
        }
    }

    /// Do something with a process, then carry out what it wants.
    fn with(&mut self, node: NodeId, act: impl FnOnce(&mut Process)) {
        let now = self.schedule.now();
        let life = self.life(node);
        let Some(process) = self.processes.get_mut(&node) else { return };
        act(process);
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
            Effect::Send(to, message) => {
                if self.processes.contains_key(&to) {
                    let at = self.network.arrival(now, node, to);
                    self.schedule.at(at, Event::Deliver(self.network.link(node, to), wire::encode(&message)));
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
                    self.hang_up(player);
                }
            }
            Effect::Later(delay, done) => self.schedule.after(delay, Event::Hashed(node, life, done)),
            Effect::Commit => {
                let delay = Duration::from_micros(self.rng.u64(COMMIT_US));
                self.schedule.after(delay, Event::Commit(node, life));
            }
        }
    }

    fn connect(&mut self, player: usize) {
        let now = self.schedule.now();
        let gateway = NodeId::new(Role::Gateway, self.rng.u16(1..=2));
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.trace.line(now, gateway, format_args!("is called by player {player} as {}", conn.0));
        self.lines[player] = Some((gateway, conn));
        self.with(gateway, |process| process.client(now, GatewayInput::Opened { conn }));
        self.players[player].connected();
        self.flush_player(player);
    }

    fn hang_up(&mut self, player: usize) {
        self.lines[player] = None;
        self.players[player].disconnected();
        self.schedule.after(Duration::from_millis(self.rng.u64(200..800)), Event::Connect(player));
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

    fn to_gateway(&mut self, player: usize, conn: ConnId, bytes: &Bytes) {
        let now = self.schedule.now();
        let Some((gateway, _)) = self.lines[player].filter(|line| line.1 == conn) else { return };
        match decode_client(bytes) {
            Ok(message) => self.with(gateway, |process| process.client(now, GatewayInput::Client { conn, message })),
            Err(error) => self.faults.push(format!("player {player} sent what does not decode: {error}")),
        }
    }

    fn to_player(&mut self, player: usize, conn: ConnId, bytes: &Bytes) {
        if self.lines[player].is_none_or(|line| line.1 != conn) {
            return;
        }
        let now = self.schedule.now();
        self.players[player].hear(bytes);
        self.trace.line(now, format_args!("player {player}"), format_args!("sees {}", self.players[player].sees()));
        self.flush_player(player);
    }

    fn look(&mut self) {
        match checks::one_owner(&self.processes) {
            Ok(entities) => self.entities = entities,
            Err(fault) => self.faults.push(fault),
        }
        self.schedule.after(LOOK_EVERY, Event::Look);
    }
}

/// Clients share the network's order of links under names that no process has.
fn client_end(player: usize) -> NodeId {
    NodeId::new(Role::Gateway, 10_000 + player as u16)
}

/// What a message is, in a few words: the conversation, the step, and who it is about.
fn kind_of(message: &Message) -> String {
    match message {
        Message::Handover(HandoverMessage { step, lane }) => {
            format!("Handover {} {} > {}", name_of(step), lane.from, lane.to)
        }
        Message::Session(session) => match session {
            Session::Events { agent, events, resync, .. } => {
                let seqs = (events.first().map(|e| e.seq.0), events.last().map(|e| e.seq.0));
                format!("Session Events {agent} {seqs:?} resync {resync}")
            }
            Session::Attach { agent, session, out_ack, .. } => format!("Session Attach {agent} {session} ack {}", out_ack.0),
            Session::Attached { agent, session, out_seq, .. } => format!("Session Attached {agent} {session} out {}", out_seq.0),
            Session::Route { agent, shard, epoch, in_seq, .. } => {
                format!("Session Route {agent} {shard} {epoch} in {}", in_seq.0)
            }
            Session::Hint { agent, target, epoch, .. } => format!("Session Hint {agent} {target} {epoch}"),
            other => format!("Session {}", name_of(other)),
        },
        Message::Feed(Feed::Frame(frame)) => format!("Feed Frame {} #{} {} cells", frame.shard, frame.seq, frame.cells.len()),
        other => {
            let text = format!("{other:?}");
            let mut names = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.starts_with(char::is_uppercase));
            format!("{} {}", names.next().unwrap_or_default(), names.next().unwrap_or_default())
        }
    }
}

/// The variant's name in a debug form.
fn name_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}
