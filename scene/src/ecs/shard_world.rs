//! One shard's entities: a bevy world and one single-threaded schedule behind an interface of our own ids and records.
//!
//! A tick is [`ShardWorld::simulate`], then any number of [`ShardWorld::take`] and [`ShardWorld::put_to_sleep`], then
//! [`ShardWorld::publish`]. [`ShardWorld::snapshot`] is asked after `publish` and stands in for that tick's feed of the cell.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, Position, ShardId, SpaceSpec};
use pangaea_schemas::message::{
    Birth, BusEvent, CellFeed, ClientInput, Effect, FeedFilter, FeedFrame, LedgerResult, Transaction,
};
use pangaea_schemas::record::Record;
use pangaea_schemas::{EntityId, Tick, TickRate, TypeId};

use crate::game::Game;

/// An entity is reported as crossing once it stands this far outside its shard.
pub const CROSSING_HYSTERESIS_M: f32 = 2.0;

/// Ghosted feeds are made for cells at most this many rings from the shard's edge; neighbours follow no others.
pub const GHOST_RINGS: u16 = 1;

/// A shard's entities, systems, cells, feed and ghosts.
pub struct ShardWorld {}

/// What a tick begins with. Each list is in order of arrival; the world applies all of it.
#[derive(Clone, Debug, Default)]
pub struct TickInput {
    /// Which tick runs.
    pub tick: Tick,
    /// Awake entities that come in: handed over, woken, recovered. Cells and sessions in them do not matter here.
    pub arrivals: Vec<Record>,
    /// Players' agents that enter the world for the first time.
    pub births: Vec<(EntityId, Birth)>,
    /// Whether a client is connected to a player's agent, when that changed.
    pub connected: Vec<(EntityId, bool)>,
    /// Already sequenced and checked for session.
    pub inputs: Vec<ClientInput>,
    /// From other shards, each once. Those to entities that are no longer here come out again in [`Simulated::effects`].
    pub effects: Vec<Effect>,
    /// Answers of the ledger; [`LedgerTicket::NONE`] for what the shard asked on its own account (looks).
    pub ledger: Vec<(LedgerTicket, LedgerResult)>,
    /// From the bus.
    pub news: Vec<BusEvent>,
    /// Neighbours' border cells under the ghosted filter, checked for epoch and gaps.
    pub ghosts: Vec<FeedFrame>,
    /// Neighbours that do not send any more: their ghosts stand still until a snapshot says otherwise.
    pub ghost_sources_lost: Vec<ShardId>,
}

/// What came of [`ShardWorld::simulate`].
#[derive(Clone, Debug, Default)]
pub struct Simulated {
    /// Who stands beyond the hysteresis, again in each tick until taken, in order of id.
    pub crossings: Vec<Crossing>,
    /// Effects to entities that are not here, in order, with the shard that showed them as a ghost.
    pub effects: Vec<(Effect, Option<ShardId>)>,
    /// Reliable events to players' agents, in order.
    pub events: Vec<(EntityId, TypeId, Bytes)>,
    /// Changes of value that systems ask for, in order.
    pub ledger: Vec<Transfer>,
    /// Messages for the bus: subject and bytes.
    pub publish: Vec<(String, Bytes)>,
    /// Entities that systems made, in order.
    pub spawned: Vec<EntityId>,
    /// Entities that systems ended, in order.
    pub despawned: Vec<EntityId>,
}

/// An entity that stands in another shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Who.
    pub entity: EntityId,
    /// The cell in which it stands.
    pub target: CellId,
    /// Who must go with it, in order of id; empty for most.
    pub group: Vec<EntityId>,
}

/// Names a ledger operation inside its shard, so that a system finds the answer in a later tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerTicket(pub u64);

impl LedgerTicket {
    /// No operation of a system.
    pub const NONE: Self = Self(0);
}

/// A change of value that a system asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// Comes back with the answer.
    pub ticket: LedgerTicket,
    /// Local agents whose ownership the ledger must check. Epochs inside the transaction are left at zero, to be filled in.
    pub fences: Vec<EntityId>,
    /// What.
    pub transaction: Transaction,
}

/// The tick's change feed. Cells without change are absent.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// For gateways.
    pub replicated: BTreeMap<CellId, Arc<CellFeed>>,
    /// For neighbour shards; border cells only.
    pub ghosted: BTreeMap<CellId, Arc<CellFeed>>,
    /// Entities here of which a persistent component or the position changed, each once, in no particular order.
    pub dirty: Vec<EntityId>,
}

/// How full a shard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Real entities, players included.
    pub entities: u32,
    /// Players' agents.
    pub players: u32,
    /// Copies of neighbours' entities.
    pub ghosts: u32,
}

impl ShardWorld {
    /// An empty world for `shard`. The same seed and the same inputs give the same world.
    pub fn new(_game: &Game, _shard: ShardId, _space: &SpaceSpec, _rate: TickRate, _seed: u64) -> Self {
        Self {}
    }

    /// Run the game's spawners: only for a shard that never had an owner. Needs ids, see [`Self::refill_ids`]; returns whom it made.
    pub fn populate(&mut self) -> Vec<EntityId> {
        Vec::new()
    }

    /// Ingest, then Simulate.
    pub fn simulate(&mut self, _input: TickInput) -> Simulated {
        Simulated::default()
    }

    /// The entity leaves for another shard's cell; followers hear `leave(to)`. Its full record: all registered components. The epoch
    /// and the session in it are default. `None`: it is not here.
    pub fn take(&mut self, _entity: EntityId, _to: CellId) -> Option<Record> {
        None
    }

    /// The entity falls asleep: followers hear `leave(None)`. Its persistent record, as [`Presence::Asleep`].
    ///
    /// [`Presence::Asleep`]: pangaea_schemas::record::Presence::Asleep
    pub fn put_to_sleep(&mut self, _entity: EntityId) -> Option<Record> {
        None
    }

    /// The tick's change feed: one walk over what changed, shared by all followers.
    pub fn publish(&mut self) -> Published {
        Published::default()
    }

    /// All that is in a cell of this shard now, for a new follower.
    pub fn snapshot(&self, _cell: CellId, _filter: FeedFilter) -> Arc<CellFeed> {
        Arc::default()
    }

    /// The entity's persistent components as they are now. The epoch and the session are default.
    pub fn record(&self, _entity: EntityId) -> Option<Record> {
        None
    }

    /// Where a real entity stands.
    pub fn position(&self, _entity: EntityId) -> Option<Position> {
        None
    }

    /// Give ids for entities that systems and spawners make: `count` of them from `first`.
    pub fn refill_ids(&mut self, _first: EntityId, _count: u64) {}

    /// Ids not used yet.
    pub fn ids_left(&self) -> u64 {
        0
    }

    /// How full the shard is.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// Hash of all that a migration or a replay must reproduce: registered components, positions, effects on their way, ids.
    pub fn state_hash(&self) -> u64 {
        0
    }
}
