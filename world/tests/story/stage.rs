//! The stage: one world process (beacon, bus, world) and everybody who talks to it, on one clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{
    Address, BeaconRequest, BusEvent, BusRequest, Control, Directory, Envelope, GatewayReport, JournalReply, JournalRequest,
    Message, MigrationNews, MigrationStep, NodeInfo, SceneReport, ShardPhase, ShardReport, TableOp, TableReply, TableRequest,
};
use pangaea_schemas::rules::{Rules, TuneKind, TuneSpec, TuneValue};
use pangaea_schemas::{
    EntityId, JournalIndex, MigrationId, NodeId, Nonce, RegistryHash, RequestId, Revision, Role, ShardEpoch, Tick, TickRate,
    Timestamp,
};
use pangaea_world::{Beacon, Bus, Status, World, WorldConfig};

const START: Timestamp = Timestamp(1_800_000_000_000_000);
const RATE: TickRate = TickRate::DEFAULT;
pub(crate) const WORLD: NodeId = NodeId::new(Role::World, 1);
pub(crate) const DATA: NodeId = NodeId::new(Role::Data, 1);

pub(crate) fn scene(ordinal: u16) -> NodeId {
    NodeId::new(Role::Scene, ordinal)
}

pub(crate) fn gateway(ordinal: u16) -> NodeId {
    NodeId::new(Role::Gateway, ordinal)
}

/// A process beside the world.
pub(crate) struct Player {
    pub(crate) nonce: Nonce,
    /// Renews its lease, and reports.
    pub(crate) alive: bool,
    pub(crate) runs: BTreeMap<ShardId, ShardEpoch>,
    /// Leaves orders unread.
    pub(crate) deaf: bool,
    pub(crate) sessions: u32,
    pub(crate) connections: u32,
    pub(crate) draining: bool,
    pub(crate) inbox: Vec<Message>,
    /// The latest rules that it was told.
    pub(crate) rules: Option<Arc<Rules>>,
}

pub(crate) struct Stage {
    pub(crate) now: Timestamp,
    beacon: Beacon,
    bus: Bus,
    pub(crate) world: World,
    pub(crate) players: BTreeMap<NodeId, Player>,
    /// The journals: who owns each shard, and where entities are filed.
    pub(crate) journal: BTreeMap<ShardId, (NodeId, Nonce, ShardEpoch)>,
    pub(crate) filed: BTreeMap<EntityId, ShardId>,
    pub(crate) data_away: bool,
    /// The row in which the rules are kept.
    pub(crate) row: Option<(Revision, Bytes)>,
    /// What shards cost, in 1/1000 of a tick; 10 when not named.
    pub(crate) loads: BTreeMap<ShardId, u32>,
    /// Whose inputs ended which shards.
    pub(crate) parked: BTreeMap<ShardId, Vec<EntityId>>,
    /// Shards that an admin has stopped.
    pub(crate) paused: BTreeSet<ShardId>,
    /// Every order to move a shard: which, where from, where to.
    pub(crate) migrations: Vec<(ShardId, NodeId, NodeId)>,
    /// Splits and merges ordered: the parent, and whether it is to be one.
    pub(crate) recuts: Vec<(ShardId, bool)>,
    /// Scenes copy for ever, and move no shard.
    pub(crate) hold_moves: bool,
    /// Scenes carry out what they are told, and say nothing of it.
    pub(crate) silent: bool,
    /// Every order sent to a scene: who and which shard.
    pub(crate) orders: Vec<(NodeId, ShardId)>,
    pub(crate) heard: Vec<BusEvent>,
    nonces: u128,
    requests: u64,
}

impl Stage {
    /// A world that expects two scenes of the demo cluster, and nobody else.
    pub(crate) fn new() -> Self {
        Self {
            now: START,
            beacon: Beacon::new(START),
            bus: Bus::new(),
            world: new_world(START),
            players: BTreeMap::new(),
            journal: BTreeMap::new(),
            filed: BTreeMap::new(),
            data_away: false,
            row: None,
            loads: BTreeMap::new(),
            parked: BTreeMap::new(),
            paused: BTreeSet::new(),
            migrations: Vec::new(),
            recuts: Vec::new(),
            hold_moves: false,
            silent: false,
            orders: Vec::new(),
            heard: Vec::new(),
            nonces: 0,
            requests: 0,
        }
    }

    /// A running cluster: two scenes with eight shards each.
    pub(crate) fn running() -> Self {
        let mut stage = Self::new();
        stage.start(scene(1));
        stage.start(scene(2));
        stage.pass(2_000);
        assert_eq!(stage.running_shards(), 16, "the map is up");
        stage
    }

    /// Starts a process, or the next incarnation of one.
    pub(crate) fn start(&mut self, node: NodeId) {
        self.nonces += 1;
        let player = Player {
            nonce: Nonce(self.nonces),
            alive: true,
            runs: BTreeMap::new(),
            deaf: false,
            sessions: 0,
            connections: 0,
            draining: false,
            inbox: Vec::new(),
            rules: None,
        };
        self.players.insert(node, player);
    }

    pub(crate) fn player(&mut self, node: NodeId) -> &mut Player {
        self.players.get_mut(&node).expect("a started node")
    }

    /// kill -9 of a process: nobody tells anybody.
    pub(crate) fn kill(&mut self, node: NodeId) {
        self.player(node).alive = false;
    }

    /// kill -9 of the world process and a new one; links and with them watches are gone, other processes play on.
    pub(crate) fn restart_world(&mut self) {
        self.beacon = Beacon::new(self.now);
        self.bus = Bus::new();
        self.world = new_world(self.now);
    }

    pub(crate) fn send(&mut self, from: NodeId, message: Message) {
        self.world.handle(self.now, from, message);
    }

    pub(crate) fn reap(&mut self, node: NodeId) {
        let nonce = self.player(node).nonce;
        self.kill(node);
        self.beacon.reaped(node, nonce);
        self.send(WORLD, Message::Control(Control::Reaped { node, nonce }));
    }

    pub(crate) fn locate(&mut self, agent: EntityId) -> Option<Message> {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.send(gateway(1), Message::Directory(Directory::Locate { request, agent }));
        self.pass(200);
        self.player(gateway(1)).inbox.pop()
    }

    pub(crate) fn publish(&mut self, subject: &str, bytes: bytes::Bytes) {
        self.bus.handle(scene(1), BusRequest::Publish { subject: subject.to_owned(), bytes });
    }

    /// Time goes by: leases are renewed and ticks run every 50 ms, reports come every 500 ms.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while self.now < end {
            self.now = self.now + Duration::from_millis(50);
            self.renew_and_report();
            let tick = RATE.tick_at(self.now);
            self.world.tick(self.now, tick);
            self.deliver();
        }
    }

    pub(crate) fn status(&mut self) -> Status {
        self.world.status()
    }

    pub(crate) fn running_shards(&mut self) -> usize {
        self.status().shards.iter().filter(|shard| shard.state == "running").count()
    }

    /// The shards of a scene, as the world sees it.
    pub(crate) fn shards_of(&mut self, node: NodeId) -> BTreeSet<ShardId> {
        self.status().shards.iter().filter(|shard| shard.owner == Some(node)).map(|shard| shard.id).collect()
    }

    fn renew_and_report(&mut self) {
        self.beacon.handle_timeout(self.now);
        let reports = self.now.0.is_multiple_of(500_000);
        for (node, player) in self.players.iter().filter(|(_, player)| player.alive) {
            let request = BeaconRequest::Register { request: RequestId(0), node: info(*node, player.nonce), ttl_ms: 2_000 };
            self.beacon.handle(self.now, *node, request);
            let report = match node.role {
                Role::Scene => Control::Scene(report(player, RATE.tick_at(self.now), &self.loads, (&self.parked, &self.paused))),
                Role::Gateway => {
                    let Player { sessions, connections, draining, .. } = *player;
                    Control::Gateway(GatewayReport { sessions, connections, draining, ..Default::default() })
                }
                Role::World | Role::Data | Role::Auth => continue,
            };
            if reports {
                self.world.handle(self.now, *node, Message::Control(report));
            }
        }
    }

    /// Everything that was sent arrives, until nothing is sent any more.
    fn deliver(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(envelope) = self.world.poll_output() {
                quiet = false;
                self.route(envelope);
            }
            while let Some((to, reply)) = self.beacon.poll_output() {
                quiet = false;
                if to == WORLD {
                    self.world.handle(self.now, WORLD, Message::BeaconReply(reply));
                }
            }
            while let Some((to, event)) = self.bus.poll_output() {
                quiet = false;
                assert_eq!(to, WORLD);
                self.world.handle(self.now, WORLD, Message::BusEvent(event));
            }
            if quiet {
                return;
            }
        }
    }

    fn route(&mut self, envelope: Envelope) {
        match (envelope.to, envelope.message) {
            (Address::Beacon, Message::BeaconRequest(request)) => self.beacon.handle(self.now, WORLD, request),
            (Address::Bus, Message::BusRequest(request)) => {
                if let BusRequest::Publish { subject, bytes } = &request {
                    self.heard.push(BusEvent { subject: subject.clone(), bytes: bytes.clone() });
                }
                self.bus.handle(WORLD, request);
            }
            (Address::Data, Message::JournalRequest(request)) if !self.data_away => self.answer_data(request),
            (Address::Data, Message::TableRequest(request)) if !self.data_away => self.answer_table(request),
            (Address::Data, Message::JournalRequest(_) | Message::TableRequest(_)) => {}
            (Address::Node(to), Message::Control(Control::Rules(rules))) => {
                if let Some(player) = self.players.get_mut(&to).filter(|player| player.alive && !player.deaf) {
                    player.rules = Some(rules);
                }
            }
            (Address::Node(to), Message::Control(Control::Assign { shard, above })) => self.assign(to, shard, above),
            (Address::Node(from), Message::Control(Control::Migrate { id, shard, to })) => self.migrate(from, id, shard, to),
            (Address::Node(at), Message::Control(Control::Recut { id, shard, merge })) => self.recut(at, id, shard, merge),
            (Address::Node(to), message) => {
                if let Some(player) = self.players.get_mut(&to).filter(|player| player.alive) {
                    player.inbox.push(message);
                }
            }
            (to, message) => panic!("the world never sends {message:?} to {to:?}"),
        }
    }

    /// What a scene would report now.
    pub(crate) fn report_of(&mut self, node: NodeId) -> SceneReport {
        let tick = RATE.tick_at(self.now);
        report(&self.players[&node], tick, &self.loads, (&self.parked, &self.paused))
    }

    /// A shard's source says that the move which was ordered last is over.
    pub(crate) fn keep(&mut self, shard: ShardId, reason: &str) {
        let moves = self.status().moves;
        let Some(shift) = moves.iter().rfind(|shift| shift.news.shard == shard) else { panic!("{shard} is not on its way") };
        let news = MigrationNews { step: MigrationStep::Kept, reason: reason.to_owned(), ..shift.news.clone() };
        self.world.handle(self.now, shift.from, Message::Control(Control::Migrating(news)));
    }

    /// What two scenes do with an order: the move is over before the next tick.
    fn migrate(&mut self, from: NodeId, id: MigrationId, shard: ShardId, to: NodeId) {
        let is_new = !self.migrations.contains(&(shard, from, to));
        self.migrations.push((shard, from, to));
        if self.hold_moves && !is_new {
            return;
        }
        if self.hold_moves {
            let news = MigrationNews { to: Some(to), step: MigrationStep::Copying, ..done(id, shard) };
            return self.world.handle(self.now, from, Message::Control(Control::Migrating(news)));
        }
        let Some(epoch) = self.player(from).runs.remove(&shard).map(ShardEpoch::next) else { return };
        self.player(to).runs.insert(shard, epoch);
        let nonce = self.player(to).nonce;
        self.journal.insert(shard, (to, nonce, epoch));
        let news = MigrationNews { epoch, to: Some(to), ..done(id, shard) };
        self.world.handle(self.now, from, Message::Control(Control::Migrating(news)));
    }

    /// What a scene does with an order: the map is cut anew before the next tick.
    fn recut(&mut self, at: NodeId, id: MigrationId, parent: ShardId, merge: bool) {
        let four = parent.children().expect("it has some").to_vec();
        let (closed, opened) = if merge { (four, vec![parent]) } else { (vec![parent], four) };
        let player = self.player(at);
        let epochs: Vec<_> = closed.iter().filter_map(|shard| player.runs.remove(shard)).collect();
        if epochs.is_empty() {
            assert!(self.silent, "the world orders what is there");
            return;
        }
        let epoch = epochs.into_iter().max().unwrap_or_default().next();
        player.runs.extend(opened.iter().map(|shard| (*shard, epoch)));
        let nonce = player.nonce;
        self.recuts.push((parent, merge));
        closed.iter().for_each(|shard| _ = self.journal.remove(shard));
        self.journal.extend(opened.into_iter().map(|shard| (shard, (at, nonce, epoch))));
        let news = MigrationNews { epoch, to: None, ..done(id, parent) };
        if !self.silent {
            self.world.handle(self.now, at, Message::Control(Control::Migrating(news)));
        }
    }

    fn answer_data(&mut self, request: JournalRequest) {
        let reply = match request {
            JournalRequest::Owners { request } => {
                let owners =
                    self.journal.iter().map(|(shard, (node, nonce, epoch))| (*shard, *node, *nonce, *epoch, JournalIndex(1)));
                JournalReply::OwnerList { request, owners: owners.collect() }
            }
            JournalRequest::Find { request, entity } => {
                JournalReply::Found { request, entity, shard: self.filed.get(&entity).copied() }
            }
            other => panic!("the world never asks {other:?}"),
        };
        self.world.handle(self.now, DATA, Message::JournalReply(reply));
    }

    fn answer_table(&mut self, TableRequest { request, op, .. }: TableRequest) {
        let current = self.row.as_ref().map_or(Revision::ZERO, |(revision, _)| *revision);
        let reply = match op {
            TableOp::Get => TableReply::Row { request, revision: current, value: self.row.clone().map(|(_, value)| value) },
            TableOp::PutIf { expected, value } if expected == current => {
                let revision = Revision(current.0 + 1);
                self.row = Some((revision, value));
                TableReply::Done { request, revision }
            }
            TableOp::PutIf { .. } => TableReply::Conflict { request, current },
            other => panic!("the world never asks {other:?}"),
        };
        self.world.handle(self.now, DATA, Message::TableReply(reply));
    }

    /// What a scene does with an order: claim the shard unless the journal has moved on.
    fn assign(&mut self, to: NodeId, shard: ShardId, above: ShardEpoch) {
        self.orders.push((to, shard));
        let epoch = self.journal.get(&shard).map_or(ShardEpoch::ZERO, |(_, _, epoch)| *epoch);
        let Some(player) = self.players.get_mut(&to).filter(|player| player.alive && !player.deaf) else { return };
        if epoch <= above && !player.runs.contains_key(&shard) {
            player.runs.insert(shard, epoch.next());
            self.journal.insert(shard, (to, player.nonce, epoch.next()));
        }
    }
}

fn done(id: MigrationId, shard: ShardId) -> MigrationNews {
    MigrationNews {
        id,
        shard,
        epoch: ShardEpoch::ZERO,
        to: None,
        step: MigrationStep::Done,
        rounds: 1,
        entities: 10,
        bytes: 1_000,
        blackout_us: 0,
        missed_ticks: 0,
        reason: String::new(),
    }
}

fn new_world(now: Timestamp) -> World {
    World::new(now, WorldConfig { spec: ClusterSpec::demo(), seed: 7, scenes_expected: 2, tunables: tunables() })
}

/// What designers may set in these stories.
fn tunables() -> Vec<TuneSpec> {
    let spec = |name: &str, initial, min, max| TuneSpec {
        name: name.to_owned(),
        about: String::new(),
        initial: TuneValue::Float(initial),
        kind: TuneKind::Float { min, max },
    };
    vec![spec("wolves.speed", 2.4, 0.0, 20.0), spec("sheep.fear", 8.0, 0.0, 50.0)]
}

fn info(node: NodeId, nonce: Nonce) -> NodeInfo {
    NodeInfo {
        node,
        nonce,
        pid: 100 + u32::from(node.ordinal),
        address: format!("127.0.0.1:{}", 7_000 + node.ordinal),
        client_tcp: format!("127.0.0.1:{}", 8_000 + node.ordinal),
        client_ws: format!("127.0.0.1:{}", 9_000 + node.ordinal),
        http: String::new(),
        registry: RegistryHash(1),
        draining: false,
    }
}

fn report(
    player: &Player,
    tick: Tick,
    loads: &BTreeMap<ShardId, u32>,
    (parked, paused): (&BTreeMap<ShardId, Vec<EntityId>>, &BTreeSet<ShardId>),
) -> SceneReport {
    let rules = player.rules.as_ref().map_or(0, |rules| rules.version);
    let shard = |(shard, epoch): (&ShardId, &ShardEpoch)| ShardReport {
        shard: *shard,
        epoch: *epoch,
        phase: ShardPhase::Running,
        entities: 10,
        players: 3,
        ghosts: 1,
        tick_p50_us: 500,
        tick_p99_us: 1_500,
        load_permille: loads.get(shard).copied().unwrap_or(10),
        handovers_out: 2,
        handovers_in: 1,
        recent: Vec::new(),
        parked: parked.get(shard).cloned().unwrap_or_default(),
        paused_ms: if paused.contains(shard) { 60_000 } else { 0 },
        paused_steps: 0,
        passages: Vec::new(),
    };
    SceneReport { tick, late_ticks: 0, shards: player.runs.iter().map(shard).collect(), rules, faults: Vec::new() }
}
