//! S15: what a gateway's core does for each client and each entity that the client sees: frames in, updates out, no sockets.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use pangaea_gateway::ticket::{ResumeKey, TicketKey};
use pangaea_gateway::{ConnId, Gateway, GatewayConfig, Input, Output, Transport};
use pangaea_schemas::client::{ClientMessage, PROTOCOL_VERSION};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{CellId, Position, ShardId, SpaceSpec, Velocity};
use pangaea_schemas::message::{
    Address, AgentFeed, BeaconEntry, BeaconReply, CellFeed, Directory, Enter, Envelope, Feed, FeedFrame, Leave, Location,
    Message, Motion, Session, ShardRoute,
};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::registry::{Registry, TypeInfo};
use pangaea_schemas::ticket::{TicketClaims, footer};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{
    AccountId, AgentEpoch, EntityId, InSeq, NodeId, Nonce, OutSeq, RegistryHash, Revision, Role, SessionEpoch, ShardEpoch, Tick,
    Timestamp, TypeId,
};
use pasetors::keys::{AsymmetricKeyPair, Generate};
use pasetors::version4::{PublicToken, V4};

use crate::Setup;
use crate::bed::space;
use crate::cores::on_server_core;
use crate::measure::{Log, Pairs, cpu_seconds, median};
use crate::reference::pairs::Crowd;
use crate::row::{Bound, Row};

const SCENE: NodeId = NodeId::new(Role::Scene, 1);
const WORLD: NodeId = NodeId::new(Role::World, 1);
/// Clients, each with an agent in the world, and the level of a space in which each of them sees about 30 in 7 × 7 cells.
const CLIENTS: (u64, u8) = (2_500, 6);
/// The same for counting instructions.
const FEW_CLIENTS: (u64, u8) = (ROUND_CLIENTS, 5);
/// So many.
pub(crate) const ROUND_CLIENTS: u64 = 625;
/// Chance per tick that somebody turns: once in a second.
const TURNS: f32 = 0.05;
const LOGIN: SessionEpoch = SessionEpoch { login: 1, resume: 0 };

/// Somebody who walks straight until it turns.
struct Walker {
    id: EntityId,
    position: Position,
    velocity: Velocity,
    cell: CellId,
}

/// A gateway full of clients, and the world that it hears of.
struct Stage {
    gateway: Gateway,
    space: SpaceSpec,
    walkers: Vec<Walker>,
    rng: fastrand::Rng,
    now: Timestamp,
    seq: u32,
    /// Cells that are told whole in the next frame.
    fresh: Vec<CellId>,
    bytes: usize,
    updates: usize,
}

/// For those who count instructions: see [`crate::inner`].
pub(crate) fn round() -> anyhow::Result<crate::inner::Round> {
    let mut stage = Stage::full(FEW_CLIENTS)?;
    Ok(Box::new(move || _ = stage.tick()))
}

pub(crate) fn pairs(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let (result, note) = on_server_core(|| -> anyhow::Result<_> {
        let mut stage = Stage::full(CLIENTS)?;
        let mut bare = Crowd::new(CLIENTS.0 as usize, 30.0, 64.0);
        bare.step();
        let mut pairs = Pairs::default();
        let mut visible = 0.0;
        for _ in 0..setup.repetitions() {
            visible = stage.visible_pairs();
            let reference: Vec<f64> = (0..10).map(|_| bare.pair_ns()).collect();
            (stage.bytes, stage.updates) = (0, 0);
            let figure: Vec<f64> = (0..40).map(|_| stage.tick() * 1e9 / visible).collect();
            pairs.push(log, median(&reference), median(&figure));
        }
        let each = stage.bytes as f64 / stage.updates.max(1) as f64 * 20.0;
        log.note(&format!("  {:.1} visible per client, {each:.0} B/s per client", visible / CLIENTS.0 as f64));
        Ok(pairs)
    });
    let what = "gateway's work per client, visible entity and tick, frames in, updates out";
    let row = result?.row("S15", what, Bound::AtMost(30.0), "ns", "bare grid interest with encoding");
    Ok(vec![Row { note, ..row }])
}

impl Stage {
    /// Everybody is in the world and has been shown everything.
    fn full((clients, level): (u64, u8)) -> anyhow::Result<Self> {
        let space = space(level, 3);
        let keys = AsymmetricKeyPair::<V4>::generate().context("no random bytes")?;
        let spec = ClusterSpec { spaces: vec![space.clone()], ..ClusterSpec::demo() };
        let ticket_key = TicketKey::new(keys.public.as_bytes())?;
        let node = NodeId::new(Role::Gateway, 1);
        let config = GatewayConfig::new(node, spec, looks(), ticket_key, ResumeKey::new(&[9; 32])?);
        let mut rng = fastrand::Rng::with_seed(3);
        let edge = space.edge_m();
        let walkers = (1..=clients).map(|id| {
            let position = Position { x: rng.f32() * edge, z: rng.f32() * edge };
            let cell = CellId::at(space.space, position);
            Walker { id: EntityId(id), position, velocity: heading(&mut rng), cell }
        });
        let walkers = walkers.collect();
        let now = Timestamp(1_900_000_000_000_000);
        let gateway = Gateway::new(config);
        let mut stage = Self { gateway, space, walkers, rng, now, seq: 0, fresh: Vec::new(), bytes: 0, updates: 0 };
        stage.route();
        for n in 0..stage.walkers.len() {
            stage.join(n, &keys)?;
        }
        (0..60).for_each(|_| _ = stage.tick());
        ensure!(stage.updates > 0, "no client is shown anything");
        Ok(stage)
    }

    fn route(&mut self) {
        for shard in self.space.first_shards() {
            let route = ShardRoute { shard, owner: SCENE, nonce: Nonce(1), epoch: ShardEpoch(1) };
            let entry = BeaconEntry { key: ShardRoute::key(shard), revision: Revision(1), value: Some(route.to_stored()) };
            self.hear(WORLD, Message::BeaconReply(BeaconReply::WatchChange { prefix: "shard/".to_owned(), entry }));
        }
    }

    fn hear(&mut self, from: NodeId, message: Message) {
        self.gateway.handle(self.now, Input::Node { from, message });
    }

    /// Client `n` enters the world: Hello, ticket, located, attached.
    fn join(&mut self, n: usize, keys: &AsymmetricKeyPair<V4>) -> anyhow::Result<()> {
        let (agent, shard) = (self.walkers[n].id, ShardId::holding(self.walkers[n].cell, 3));
        let conn = ConnId(n as u64 + 1);
        self.gateway.handle(self.now, Input::Opened { conn, transport: Transport::Tcp });
        let hello = ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(0), client: "bench".to_owned() };
        self.gateway.handle(self.now, Input::Client { conn, message: hello });
        let claims = TicketClaims {
            account: AccountId(agent.0),
            agent,
            name: format!("walker {agent}"),
            login: 1,
            cluster: ClusterSpec::demo().name,
            expires: Timestamp(self.now.0 + 60_000_000),
        };
        let footer = footer("k1");
        let ticket = PublicToken::sign(&keys.secret, claims.payload().as_bytes(), Some(footer.as_bytes()), None)?;
        self.gateway.handle(self.now, Input::Client { conn, message: ClientMessage::Join { ticket } });
        while let Some(output) = self.gateway.poll_output() {
            let Output::Send(Envelope { to: Address::World, message }) = output else { continue };
            let Message::Directory(Directory::Locate { request, .. }) = message else { continue };
            let location = Some(Location { shard, owner: SCENE, shard_epoch: ShardEpoch(1) });
            self.hear(WORLD, Message::Directory(Directory::Located { request, agent, location, unborn: false }));
        }
        let (session, shard_epoch, epoch) = (LOGIN, ShardEpoch(1), AgentEpoch(1));
        let attached = Session::Attached { agent, session, shard, shard_epoch, epoch, in_seq: InSeq(0), out_seq: OutSeq(0) };
        self.hear(SCENE, Message::Session(attached));
        self.drain();
        Ok(())
    }

    /// One tick; seconds that the gateway took for it.
    fn tick(&mut self) -> f64 {
        self.now = Timestamp(self.now.0 + 50_000);
        let tick = ClusterSpec::demo().tick_rate.tick_at(self.now);
        let frames = self.frames(tick);
        let ((), took) = cpu_seconds(|| {
            for frame in frames {
                self.gateway.handle(self.now, Input::Node { from: SCENE, message: Message::Feed(Feed::Frame(frame)) });
            }
            self.gateway.tick(self.now, tick);
            self.drain();
        });
        took
    }

    fn drain(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::ToClient { bytes, .. } => {
                    self.bytes += bytes.len() + 4;
                    self.updates += 1;
                }
                Output::Send(Envelope { message: Message::Feed(Feed::Follow { add, reset, .. }), .. }) => {
                    if reset {
                        self.seq = 0;
                    }
                    self.fresh.extend(add);
                }
                _ => {}
            }
        }
    }

    /// Everybody goes on for a tick; one frame for each shard, all with one sequence.
    fn frames(&mut self, tick: Tick) -> Vec<FeedFrame> {
        let mut cells: BTreeMap<CellId, CellFeed> = BTreeMap::new();
        for walker in &mut self.walkers {
            walker.go(&mut self.rng, &self.space, &mut cells);
        }
        for cell in std::mem::take(&mut self.fresh) {
            let mut whole = CellFeed { cell, snapshot: true, ..CellFeed::default() };
            for walker in self.walkers.iter().filter(|walker| walker.cell == cell) {
                whole.entered.push(walker.enter());
                whole.moved.push(walker.motion());
            }
            cells.insert(cell, whole);
        }
        let mut agents: BTreeMap<ShardId, Vec<AgentFeed>> = BTreeMap::new();
        for walker in &self.walkers {
            let news = AgentFeed {
                agent: walker.id,
                session: LOGIN,
                epoch: AgentEpoch(1),
                in_seq: InSeq(1),
                applied: InSeq(1),
                position: walker.position,
            };
            agents.entry(ShardId::holding(walker.cell, 3)).or_default().push(news);
        }
        self.seq += 1;
        let frame = |shard: ShardId| FeedFrame {
            shard,
            epoch: ShardEpoch(1),
            tick,
            seq: self.seq,
            follower: None,
            cells: cells.iter().filter(|(id, _)| shard.contains(**id)).map(|(_, feed)| Arc::new(feed.clone())).collect(),
            agents: agents.remove(&shard).unwrap_or_default(),
        };
        self.space.first_shards().into_iter().map(frame).collect()
    }

    /// Pairs of a client and an entity in its 7 × 7 cells, itself not counted.
    fn visible_pairs(&self) -> f64 {
        let mut counts: BTreeMap<CellId, usize> = BTreeMap::new();
        self.walkers.iter().for_each(|walker| *counts.entry(walker.cell).or_default() += 1);
        let edge = self.space.edge_cells();
        let seen = |walker: &Walker| -> usize {
            walker.cell.within(3, edge).filter_map(|cell| counts.get(&cell)).sum::<usize>().saturating_sub(1)
        };
        self.walkers.iter().map(seen).sum::<usize>() as f64
    }
}

impl Walker {
    fn go(&mut self, rng: &mut fastrand::Rng, space: &SpaceSpec, cells: &mut BTreeMap<CellId, CellFeed>) {
        if rng.f32() < TURNS {
            self.velocity = heading(rng);
        }
        let wish = self.position + self.velocity * 0.05;
        self.position = space.clamp(wish);
        if self.position != wish {
            self.velocity = self.velocity * -1.0;
        }
        let cell = CellId::at(space.space, self.position);
        if cell != self.cell {
            feed(cells, self.cell).left.push(Leave { entity: self.id, to: Some(cell) });
            self.cell = cell;
            feed(cells, cell).entered.push(self.enter());
        }
        feed(cells, cell).moved.push(self.motion());
    }

    fn motion(&self) -> Motion {
        Motion::of(self.id, self.cell, self.position, self.velocity)
    }

    /// What a demo game's agent shows of itself: its name, its look, its health.
    fn enter(&self) -> Enter {
        let component = |name, bytes: &'static [u8]| ComponentBytes { id: TypeId::of(name), bytes: bytes.into() };
        let components = vec![component("name", &[65; 24]), component("look", &[0, 9]), component("health", &[100, 0, 100, 0])];
        Enter { entity: self.id, components }
    }
}

/// What clients are told of.
fn looks() -> Registry {
    let info = |(name, size): (&str, u16)| TypeInfo { id: TypeId::of(name), name: name.to_owned(), size, fields: Vec::new() };
    Registry { components: [("name", 24), ("look", 2), ("health", 4)].map(info).to_vec(), ..Registry::default() }
}

fn heading(rng: &mut fastrand::Rng) -> Velocity {
    let angle = rng.f32() * std::f32::consts::TAU;
    Velocity { x: angle.cos() * 6.0, z: angle.sin() * 6.0 }
}

fn feed(cells: &mut BTreeMap<CellId, CellFeed>, at: CellId) -> &mut CellFeed {
    cells.entry(at).or_insert_with(|| CellFeed { cell: at, ..CellFeed::default() })
}
