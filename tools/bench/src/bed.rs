//! A test bed: one scene without processes around it, a journal, and a gateway that follows everything and draws nothing.
//!
//! The journal is either a real data node on LMDB, or one that says yes at once, for rows in which durability is not the matter.

use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use pangaea_persistence::{Data, LmdbOptions, LmdbStore};
use pangaea_scene::game::Game;
use pangaea_scene::scene::{Scene, SceneConfig};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{CellId, Position, ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::journal::{Entry, ShardOp};
use pangaea_schemas::message::{
    Address, AppendId, Control, Envelope, Feed, FeedFilter, JournalReply, JournalRequest, Message, ShardImage,
};
use pangaea_schemas::record::{ComponentBytes, Presence, Record, SessionState};
use pangaea_schemas::{AgentEpoch, EntityId, JournalIndex, NodeId, Nonce, Role, ShardEpoch, Tick, TickRate, Timestamp, TypeId};

use crate::game::{Health, Look, Walks};
use crate::measure::{cpu_seconds, seconds};

const SCENE: NodeId = NodeId::new(Role::Scene, 1);
const DATA: NodeId = NodeId::new(Role::Data, 1);
const WORLD: NodeId = NodeId::new(Role::World, 1);
const GATE: NodeId = NodeId::new(Role::Gateway, 1);
/// Ids that the bed gives away, far above those of its entities.
const IDS_FROM: u64 = 1 << 40;
/// A scene that does not run its shards by then never will.
const START_TICKS_MAX: u32 = 200;
/// Records in one message of a journal that says yes.
const IMAGE_RECORDS: usize = 4_096;

/// A square space of 2^`level` cells' edge, cut into shards of 2^`shard_level`.
pub(crate) fn space(level: u8, shard_level: u8) -> SpaceSpec {
    SpaceSpec { space: SpaceId(0), name: "bench".to_owned(), level, shard_level }
}

/// Records of `count` entities at random places of a shard; walkers also know where they go.
pub(crate) fn records(shard: ShardId, first: u64, count: u64, walk: bool) -> impl Iterator<Item = Record> {
    let mut rng = fastrand::Rng::with_seed(first + 1);
    let (corner, edge) = (shard.first_cell().corner(), f32::from(shard.edge_cells()) * 32.0);
    (first..first + count).map(move |id| {
        let position = Position { x: corner.x + rng.f32() * edge, z: corner.z + rng.f32() * edge };
        let bytes = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        let look = Look { kind: 0, hue: id as u8 };
        let health = Health { now: 100, max: 100 };
        let mut components = vec![
            ComponentBytes { id: TypeId::of("look"), bytes: bytes(bytemuck::bytes_of(&look)) },
            ComponentBytes { id: TypeId::of("health"), bytes: bytes(bytemuck::bytes_of(&health)) },
        ];
        if walk {
            let walks = Walks { x: rng.f32() * 8.0 - 4.0, z: rng.f32() * 8.0 - 4.0 };
            components.push(ComponentBytes { id: TypeId::of("walks"), bytes: bytes(bytemuck::bytes_of(&walks)) });
        }
        let cell = CellId::at(shard.space, position);
        let (epoch, session) = (AgentEpoch(1), SessionState::default());
        Record {
            entity: EntityId(id),
            epoch,
            presence: Presence::Awake,
            cell,
            position,
            session,
            components,
            fleeting: Vec::new(),
        }
    })
}

/// Who answers a scene's journal requests.
pub(crate) enum Journal {
    /// Nothing lasts; the shards begin with these.
    Yes { image: Vec<(ShardId, Vec<Record>)> },
    /// A data node.
    Real(Box<Data<LmdbStore>>),
}

/// A data node on LMDB in that folder.
pub(crate) fn data_node(folder: &Path) -> anyhow::Result<Data<LmdbStore>> {
    std::fs::create_dir_all(folder)?;
    Ok(Data::new(LmdbStore::open(folder, LmdbOptions::default()).context("the bench's store")?))
}

/// See the module.
pub(crate) struct Bed {
    scene: Scene,
    journal: Journal,
    shards: Vec<ShardId>,
    /// The epoch that the journal may know, to be claimed above.
    above: ShardEpoch,
    now: Timestamp,
    tick: Tick,
    /// The journal hears nothing: nothing is ever durable.
    pub(crate) is_deaf: bool,
    /// Bytes told to the gateway in the last tick, as they would go over the link.
    pub(crate) fed_bytes: usize,
    /// Seconds that the data node worked since this was last looked at.
    pub(crate) journal_s: f64,
    waiting: Vec<Message>,
}

impl Bed {
    /// A scene that was just started and owns nothing.
    pub(crate) fn new(plugin: fn(&mut Game), space: SpaceSpec, journal: Journal, above: ShardEpoch) -> anyhow::Result<Self> {
        let game = Game::build(plugin)?;
        let shards = space.first_shards();
        let spec = ClusterSpec { spaces: vec![space], ..ClusterSpec::demo() };
        let scene = Scene::new(SceneConfig { node: SCENE, nonce: Nonce(1), spec, game, seed: 1 });
        let now = Timestamp(1_900_000_000_000_000);
        let tick = TickRate::DEFAULT.tick_at(now);
        let (fed_bytes, journal_s, waiting) = (0, 0.0, Vec::new());
        Ok(Self { scene, journal, shards, above, now, tick, is_deaf: false, fed_bytes, journal_s, waiting })
    }

    /// Claim all shards, run until each of them ticks, and let a gateway follow every cell. Seconds until the first tick.
    pub(crate) fn start(&mut self) -> anyhow::Result<f64> {
        let (ran, took) = seconds(|| {
            self.lease();
            self.scene.handle(self.now, WORLD, Message::Control(Control::Rules(Default::default())));
            for shard in self.shards.clone() {
                let order = Message::Control(Control::Assign { shard, above: self.above });
                self.scene.handle(self.now, WORLD, order);
            }
            for _ in 0..START_TICKS_MAX {
                self.carry();
                if self.scene.shards().count() == self.shards.len() && self.scene.shards().all(|s| s.incarnation().ticks()) {
                    self.tick();
                    return true;
                }
                self.tick();
            }
            false
        });
        if !ran {
            bail!("the scene of the bench does not run its shards: {:?}", self.scene.shards().next().map(|s| s.incarnation()));
        }
        Ok(took)
    }

    /// Let the gateway follow every cell.
    pub(crate) fn follow(&mut self) {
        for shard in self.shards.clone() {
            let (follower, filter, add) = (None, FeedFilter::Replicated, shard.cells().collect());
            let ask = Feed::Follow { shard, follower, filter, reset: true, add, remove: Vec::new() };
            self.scene.handle(self.now, GATE, Message::Feed(ask));
        }
        self.tick();
    }

    /// One tick of all shards with what they say encoded for the links, in milliseconds of processor time; what the journal does
    /// is not in it.
    pub(crate) fn tick(&mut self) -> f64 {
        self.now = self.now + TickRate::DEFAULT.interval();
        self.tick = TickRate::DEFAULT.tick_at(self.now);
        self.lease();
        self.fed_bytes = 0;
        let ((), took) = cpu_seconds(|| {
            self.scene.tick(self.now, self.tick);
            self.tell();
        });
        self.answer();
        self.carry();
        took * 1e3
    }

    /// Entities in all shards.
    pub(crate) fn entities(&self) -> usize {
        self.scene.shards().map(|shard| shard.world().counts().entities as usize).sum()
    }

    /// Journal entries that are not durable yet.
    pub(crate) fn undurable(&self) -> usize {
        self.scene.shards().map(|shard| shard.journal_queued()).sum()
    }

    /// Let go of everything but the journal.
    pub(crate) fn into_journal(self) -> Journal {
        self.journal
    }

    fn lease(&mut self) {
        self.scene.lease_renewed(self.now);
    }

    /// Takes what the scene says: frames are encoded, as a driver does, requests wait for [`Self::answer`].
    fn tell(&mut self) {
        while let Some(Envelope { to, message }) = self.scene.poll_output() {
            match to {
                Address::Data => self.waiting.push(message),
                Address::Node(_) => self.fed_bytes += pangaea_schemas::wire::encode(&message).len(),
                Address::Beacon | Address::Bus | Address::World | Address::Auth => {}
            }
        }
    }

    /// Until the scene asks nothing more.
    fn carry(&mut self) {
        loop {
            self.tell();
            if self.waiting.is_empty() {
                return;
            }
            self.answer();
        }
    }

    fn answer(&mut self) {
        let asked = std::mem::take(&mut self.waiting);
        if self.is_deaf {
            return;
        }
        let mut replies = Vec::new();
        match &mut self.journal {
            Journal::Yes { image } => {
                let owner = self.above.next();
                asked.into_iter().for_each(|message| say_yes(image, owner, message, &mut replies));
            }
            Journal::Real(data) => {
                let ((), took) = seconds(|| {
                    asked.into_iter().for_each(|message| data.handle(self.now, SCENE, message));
                    data.commit(self.now);
                    replies.extend(std::iter::from_fn(|| data.poll_output()).map(|(_, reply)| reply));
                });
                self.journal_s += took;
            }
        }
        replies.into_iter().for_each(|reply| self.scene.handle(self.now, DATA, reply));
    }
}

/// Whatever is asked is done; shards are as their owner's claim left them.
fn say_yes(image: &mut [(ShardId, Vec<Record>)], owner: ShardEpoch, message: Message, replies: &mut Vec<Message>) {
    let Message::JournalRequest(request) = message else { return };
    match request {
        JournalRequest::Append { shard, id, expected, .. } => {
            replies.push(Message::JournalReply(JournalReply::Appended { shard, id, index: expected.next() }));
        }
        JournalRequest::Ids { request } => {
            replies.push(Message::JournalReply(JournalReply::IdBlock { request, first: EntityId(IDS_FROM), count: 1 << 20 }));
        }
        JournalRequest::Load { request, shard } => {
            let of_shard = image.iter_mut().find(|(of, _)| *of == shard).map(|(_, records)| std::mem::take(records));
            let mut records = of_shard.unwrap_or_default().into_iter().peekable();
            loop {
                let part: Vec<_> = records.by_ref().take(IMAGE_RECORDS).collect();
                let last = records.peek().is_none();
                let part = ShardImage { index: JournalIndex(1), epoch: owner, records: part, ..ShardImage::default() };
                replies.push(Message::JournalReply(JournalReply::Image { request, shard, part: Box::new(part), last }));
                if last {
                    return;
                }
            }
        }
        _ => {}
    }
}

/// Write records into a data node as the owner of their shard would have.
pub(crate) fn fill(data: &mut Data<LmdbStore>, shard: ShardId, records: impl Iterator<Item = Record>) -> anyhow::Result<()> {
    let nonce = Nonce(99);
    let owner = vec![ShardOp::Owner { node: SCENE, nonce }];
    let mut records = records.map(|record| ShardOp::put(&record)).peekable();
    let mut entries = vec![owner];
    while records.peek().is_some() {
        entries.push(records.by_ref().take(IMAGE_RECORDS).collect());
    }
    for (seq, ops) in (1u64..).zip(entries) {
        let id = AppendId { nonce, seq };
        let entry = Entry { epoch: ShardEpoch(1), tick: Tick(seq), ops };
        let append = JournalRequest::Append { shard, id, expected: JournalIndex(seq - 1), entry: entry.into() };
        data.handle(Timestamp(seq), SCENE, Message::JournalRequest(append));
        data.commit(Timestamp(seq));
        match data.poll_output() {
            Some((_, Message::JournalReply(JournalReply::Appended { .. }))) => {}
            other => bail!("the bench's store does not take its rows: {other:?}"),
        }
    }
    Ok(())
}
