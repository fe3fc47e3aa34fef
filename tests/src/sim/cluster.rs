//! The simulated cluster and its main loop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use pangaea_gateway::{ConnId, Input as GatewayInput, Transport};
use pangaea_node::mesh::MeshEvent;
use pangaea_persistence::store::{MemoryFaults, MemoryStore};
use pangaea_scene::game::Game;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::wire::{self, client::decode_client};
use pangaea_schemas::{EntityId, NodeId, Nonce, Role, Timestamp};
use pangaea_world::auth::Input as AuthInput;

use super::checks::{self, Owners};
use super::faults::{self, Fault, HICCUP};
use super::network::{Link, Network};
use super::outcome::{Options, Outcome};
use super::player::Player;
use super::process::{Effect, Process, Shared};
use super::schedule::{BEGINNING, Schedule};
use super::trace::{Trace, kind_of};

/// Time between two looks at the whole cluster.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A commit of the data node's disk takes so many microseconds.
const COMMIT_US: std::ops::Range<u64> = 1_000..8_000;
/// How many times longer on a slow disk.
const SLOW_COMMIT: u32 = 60;
/// Of 1,000 commits on a failing disk, so many fail.
const FAILING_PERMILLE: u32 = 400;
/// A player that sees nothing for this long calls again, perhaps elsewhere.
const PATIENCE: Duration = Duration::from_secs(3);
/// So long after the last fault everybody must play again.
const RECOVERY_MAX: Duration = Duration::from_secs(5);
/// Then nobody waits longer than this for an input to be applied.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// The data process.
const DATA: NodeId = NodeId::new(Role::Data, 1);

#[derive(Debug)]
enum Event {
    Start(NodeId),
    Deliver(Link, Bytes),
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
    Turn(usize),
    Look,
    Fault(Fault),
    /// Both ends of a cut link notice.
    Torn(NodeId, NodeId, Timestamp),
    /// A cut link is whole again.
    Healed(NodeId, NodeId),
    Awake(NodeId),
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
            | Self::Turn(_)
            | Self::Look
            | Self::Fault(_)
            | Self::Torn(..)
            | Self::Healed(..)
            | Self::Awake(_)
            | Self::DiskWell => None,
        }
    }
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
    /// Processes that stand still, and what waits for them.
    asleep: BTreeMap<NodeId, Vec<Event>>,
    disk: Option<MemoryStore>,
    disk_is_slow: bool,
    players: Vec<Player>,
    /// Each player's connection and its gateway.
    lines: Vec<Option<(NodeId, ConnId)>>,
    conns: u64,
    /// The journals' owners, as last seen.
    owners: Owners,
    /// Who was in the world before anything went wrong.
    born: BTreeSet<EntityId>,
    /// After this nothing goes wrong any more.
    calm_after: Duration,
    longest_pause: Duration,
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
        for node in nodes() {
            schedule.after(Duration::from_millis(rng.u64(..50)), Event::Start(node));
        }
        for player in 0..options.players {
            schedule.after(Duration::from_millis(rng.u64(500..4_000)), Event::Connect(player));
            schedule.after(Duration::from_millis(rng.u64(..50)), Event::Turn(player));
        }
        schedule.after(LOOK_EVERY, Event::Look);
        let wrong = if options.faults { faults::draw(&mut rng.fork(), options.span, &nodes()) } else { Vec::new() };
        let calm_after = wrong.iter().map(|(at, fault)| *at + fault.span()).max().unwrap_or(faults::CALM_BEFORE);
        for (at, fault) in wrong {
            schedule.after(at, Event::Fault(fault));
        }
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
            asleep: BTreeMap::new(),
            disk: None,
            disk_is_slow: false,
            players,
            conns: 0,
            owners: Owners::new(),
            born: BTreeSet::new(),
            calm_after,
            longest_pause: Duration::ZERO,
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
        if self.faults.is_empty() && self.options.span > self.calm_after + RECOVERY_MAX {
            self.faults.extend(checks::all_run(&self.processes, &self.owners, &self.shared.spec));
            self.faults.extend(checks::lost(&self.processes, &self.born));
            let away = self.players.iter().filter(|player| !player.is_playing());
            self.faults.extend(away.map(|player| format!("{} does not play at the end", player.name)));
        }
        if let Some(data) = self.processes.get(&DATA).and_then(Process::data) {
            match data.audit() {
                Ok(audit) => self.faults.extend(audit.faults.iter().map(|fault| format!("ledger: {fault}"))),
                Err(error) => self.faults.push(format!("the ledger cannot be read: {error}")),
            }
        }
        Outcome {
            hash: self.trace.hash(),
            lines: self.trace.lines(),
            playing: self.players.iter().filter(|player| player.is_playing()).count(),
            inputs: self.players.iter().map(Player::inputs_applied).sum(),
            updates: self.players.iter().map(|player| player.updates).sum(),
            entities: self.entities,
            handovers: self.handovers,
            trades: self.players.iter().map(|player| player.trades.len() as u64).sum(),
            border_trades: checks::border_trades(&self.players),
            longest_pause: self.longest_pause,
            faults: self.faults,
        }
    }

    fn happen(&mut self, event: Event) {
        let waiting = event.node().and_then(|node| self.asleep.get_mut(&node));
        match waiting {
            Some(waiting) => waiting.push(event),
            None => self.act(event),
        }
    }

    fn act(&mut self, event: Event) {
        let now = self.schedule.now();
        match event {
            Event::Start(node) => self.start(node),
            Event::Deliver(link, frame) if self.network.is_up(link) => self.deliver(link, &frame),
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
                let tick = self.shared.spec.tick_rate.tick_at(now);
                self.with(node, |process| process.tick(now, tick));
                self.plan_tick(node);
            }
            Event::Commit(node, life) if self.is_alive(node, life) => self.with(node, |process| process.commit(now)),
            Event::Hashed(node, life, done) if self.is_alive(node, life) => {
                self.with(node, |process| process.hashed(now, done));
            }
            Event::Line(node, life, input) if self.is_alive(node, life) => self.with(node, |process| process.client(now, input)),
            Event::Tick(..) | Event::Commit(..) | Event::Hashed(..) | Event::Line(..) => {}
            Event::Connect(player) => self.connect(player),
            Event::ToGateway(player, conn, bytes) => self.reach_gateway(player, conn, &bytes),
            Event::ToPlayer(player, conn, bytes) => self.reach_player(player, conn, &bytes),
            Event::Turn(player) => self.turn(player),
            Event::Look => self.look(),
            Event::Fault(fault) => self.go_wrong(fault),
            Event::Torn(a, b, heals) => self.tear(a, b, heals),
            Event::Healed(a, b) => self.heal(a, b),
            Event::Awake(node) => self.awake(node),
            Event::DiskWell => self.set_disk(false, MemoryFaults::default()),
        }
    }

    fn is_alive(&self, node: NodeId, life: u64) -> bool {
        self.network.link(node, node).from == (node, life) && self.processes.contains_key(&node)
    }

    fn life(&self, node: NodeId) -> u64 {
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
        let process = Process::start(now, node, nonce, &self.shared, disk);
        let others: Vec<NodeId> = self.processes.keys().copied().collect();
        self.processes.insert(node, process);
        for other in others {
            self.link_up(node, other);
        }
        self.with(node, |_| {});
        self.plan_tick(node);
    }

    /// Two processes connect, unless the network between them is cut.
    fn link_up(&mut self, a: NodeId, b: NodeId) {
        let now = self.schedule.now();
        if self.network.is_blocked(now, a, b) || self.network.is_blocked(now, b, a) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let at = self.network.arrival(now, from, to);
            self.schedule.at(at, Event::LinkUp(self.network.link(from, to)));
        }
    }

    fn plan_tick(&mut self, node: NodeId) {
        if matches!(node.role, Role::World | Role::Scene | Role::Gateway) {
            let rate = self.shared.spec.tick_rate;
            let tick = rate.tick_at(self.schedule.now()).next();
            // Real ticks begin a little late, each at its own time.
            let late = Duration::from_micros(self.rng.u64(..2_000));
            self.schedule.at(rate.start_of(tick) + late, Event::Tick(node, self.life(node)));
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
                if self.processes.contains_key(&to) && !self.network.is_blocked(now, node, to) {
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
                let slow = if self.disk_is_slow { SLOW_COMMIT } else { 1 };
                let delay = Duration::from_micros(self.rng.u64(COMMIT_US)) * slow;
                self.schedule.after(delay, Event::Commit(node, life));
            }
        }
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
    fn hang_up(&mut self, player: usize) {
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
        self.players[player].turn();
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
        self.trace.line(now, format_args!("player {player}"), format_args!("sees {}", self.players[player].sees()));
        self.flush_player(player);
    }

    // What goes wrong.

    fn go_wrong(&mut self, fault: Fault) {
        let now = self.schedule.now();
        self.trace.line(now, "fault", format_args!("{fault}"));
        match fault {
            Fault::Kill { node, span } => self.kill(node, span),
            Fault::Pause { node, span } => {
                if self.processes.contains_key(&node) && !self.asleep.contains_key(&node) {
                    self.asleep.insert(node, Vec::new());
                    self.schedule.after(span, Event::Awake(node));
                }
            }
            Fault::Cut { from, to, both, span, notice } => self.cut((from, to, both), span, notice),
            Fault::SlowDisk { span } => {
                self.set_disk(true, MemoryFaults::default());
                self.schedule.after(span, Event::DiskWell);
            }
            Fault::FailingDisk { span } => {
                self.set_disk(false, MemoryFaults { fail_permille: FAILING_PERMILLE, ..MemoryFaults::default() });
                self.schedule.after(span, Event::DiskWell);
            }
        }
    }

    fn kill(&mut self, node: NodeId, span: Duration) {
        let now = self.schedule.now();
        let Some(process) = self.processes.remove(&node) else { return };
        if let Some(mut disk) = process.into_disk() {
            disk.crash();
            disk.set_faults(MemoryFaults::default());
            self.disk = Some(disk);
        }
        self.network.end_life(node);
        self.wakes.remove(&node);
        self.asleep.remove(&node);
        for other in self.processes.keys().copied().collect::<Vec<_>>() {
            let at = self.network.arrival(now, node, other);
            self.schedule.at(at, Event::LinkDown(other, node));
        }
        for player in 0..self.lines.len() {
            if self.lines[player].is_some_and(|(gateway, _)| gateway == node) {
                self.hang_up(player);
            }
        }
        self.schedule.after(span, Event::Start(node));
    }

    fn cut(&mut self, (from, to, both): (NodeId, NodeId, bool), span: Duration, notice: Duration) {
        let now = self.schedule.now();
        let heals = now + span;
        let ways = if both { vec![(from, to), (to, from)] } else { vec![(from, to)] };
        if span <= HICCUP {
            return ways.into_iter().for_each(|(from, to)| self.network.stall(from, to, heals));
        }
        ways.into_iter().for_each(|(from, to)| self.network.block(from, to, heals));
        self.schedule.after(notice.min(span), Event::Torn(from, to, heals));
        self.schedule.at(heals, Event::Healed(from, to));
    }

    fn tear(&mut self, a: NodeId, b: NodeId, heals: Timestamp) {
        self.network.tear(a, b);
        for (node, peer) in [(a, b), (b, a)] {
            self.network.block(node, peer, heals);
            self.happen(Event::LinkDown(node, peer));
        }
    }

    fn heal(&mut self, a: NodeId, b: NodeId) {
        if self.processes.contains_key(&a) && self.processes.contains_key(&b) {
            self.network.tear(a, b);
            self.link_up(a, b);
        }
    }

    fn awake(&mut self, node: NodeId) {
        self.trace.line(self.schedule.now(), node, format_args!("wakes"));
        for event in self.asleep.remove(&node).into_iter().flatten() {
            self.act(event);
        }
    }

    fn set_disk(&mut self, slow: bool, faults: MemoryFaults) {
        self.disk_is_slow = slow;
        if let Some(data) = self.processes.get_mut(&DATA).and_then(Process::data_mut) {
            data.store_mut().set_faults(faults);
        }
    }

    fn look(&mut self) {
        if let Some(owners) = self.processes.get(&DATA).and_then(Process::data).and_then(|data| data.owners().ok()) {
            self.owners = owners.into_iter().map(|(shard, _, nonce, epoch, _)| (shard, (nonce, epoch))).collect();
        }
        match checks::one_owner(&self.processes, &self.owners) {
            Ok(entities) => self.entities = entities,
            Err(fault) => self.faults.push(fault),
        }
        let now = self.schedule.now();
        if now.since(BEGINNING) < faults::CALM_BEFORE {
            self.born = checks::present(&self.processes);
        }
        let calm = BEGINNING + self.calm_after + RECOVERY_MAX < now;
        for player in &self.players {
            let idle = player.idle(now);
            self.longest_pause = self.longest_pause.max(idle);
            if calm && idle > IDLE_MAX {
                self.faults.push(format!("{} plays no more: no input is applied for {} ms", player.name, idle.as_millis()));
            }
        }
        self.schedule.after(LOOK_EVERY, Event::Look);
    }
}

/// One world, data and auth process, two scenes and two gateways.
fn nodes() -> Vec<NodeId> {
    let roles = [(Role::World, 1), (Role::Data, 1), (Role::Auth, 1), (Role::Scene, 2), (Role::Gateway, 2)];
    roles.into_iter().flat_map(|(role, count)| (1..=count).map(move |ordinal| NodeId::new(role, ordinal))).collect()
}

/// Clients share the network's order of links under names that no process has.
fn client_end(player: usize) -> NodeId {
    NodeId::new(Role::Gateway, 10_000 + player as u16)
}
