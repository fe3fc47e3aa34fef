//! Moving a whole shard between two scenes while it runs. See `scene::migration` for the state machines.

use crate::geometry::{CellId, ShardId};
use crate::message::{ClientInput, Effect, FeedFilter, LedgerResult, OpId, ShardImage, ShardRoute, Transaction};
use crate::record::{Record, SessionState};
use crate::{AgentEpoch, EntityId, JournalIndex, MigrationId, NodeId, Nonce, OutSeq, ShardEpoch, Tick};

/// Most bytes of records in one [`Copied`] part.
pub const PART_BYTES_MAX: usize = 256 * 1_024;

/// Between the two scenes of a migration; but for `Moved`, which goes to whoever speaks with the shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Migration {
    /// Source to target: stand by. Repeated until answered.
    Prepare {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// The source's epoch.
        epoch: ShardEpoch,
        /// How many entities are to be expected.
        entities: u32,
    },
    /// Target to source: it stands by.
    Standby {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// The incarnation that the OWNER entry must name.
        nonce: Nonce,
    },
    /// Target to source: it cannot, or its copy differs.
    Declined {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// In words.
        reason: String,
    },
    /// Source to target: a part of a round.
    Copied {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// From 1.
        round: u32,
        /// New or changed entities, whole.
        records: Vec<Record>,
        /// No longer there.
        gone: Vec<EntityId>,
        /// No more parts in this round.
        last: bool,
    },
    /// Target to source: a round arrived whole.
    Taken {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// Which round.
        round: u32,
    },
    /// Source to target: it ticks no more, this is what is left.
    Final {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// Everything that is not in the rounds.
        rest: Box<ShardRest>,
    },
    /// Target to source: everything is here, the copy has the same hash.
    Ready {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
    },
    /// Source to target: it goes on itself.
    Cancelled {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
    },
    /// Source to target: the OWNER entry that names the target is durable. Repeated until `Running`.
    Owned {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// The target's epoch.
        epoch: ShardEpoch,
        /// Where the entry is.
        index: JournalIndex,
        /// The incarnation that it names: nobody else may run by it, however late this comes.
        nonce: Nonce,
    },
    /// Target to source: a tick of its own is durable.
    Running {
        /// Which migration.
        id: MigrationId,
        /// Which shard.
        shard: ShardId,
        /// Its first tick.
        first: Tick,
        /// When that tick began, in microseconds since the Unix epoch by the target's clock.
        started_us: u64,
    },
    /// To a gateway or a neighbour's scene: the shard, with everything that was agreed with it, is there now.
    Moved {
        /// The new owner.
        route: ShardRoute,
    },
    /// To a gateway or a neighbour's scene: the shards of these routes stand where the closed ones stood, with everything that
    /// was agreed with those. Frames go on with the highest sequence that a closed one had for the follower.
    Recut {
        /// Which are no more.
        closed: Vec<ShardId>,
        /// Which are there now.
        routes: Vec<ShardRoute>,
    },
}

/// What of a shard is not entities: enumerated once, so that nothing is forgotten.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardRest {
    /// The last tick that ran at the source.
    pub tick: Tick,
    /// Of all chance in the shard.
    pub seed: u64,
    /// Effects between entities of the shard for the next tick, in order; part of the hash.
    pub pending: Vec<Effect>,
    /// Effects that came for the next tick from elsewhere, in order.
    pub arrived: Vec<Effect>,
    /// Blocks of ids for entities to come: first, and the one behind the last.
    pub ids: Vec<(u64, u64)>,
    /// The hash of the copied world.
    pub hash: u64,
    /// Asleep agents as `records`; fences, departures and effects as the journal has them.
    pub durable: ShardImage,
    /// Who is live, with epochs.
    pub residents: Vec<RestResident>,
    /// Players.
    pub seats: Vec<RestSeat>,
    /// Inputs that wait for departures.
    pub held: Vec<RestHeld>,
    /// Unanswered operations of the ledger but for those in the state of a seat.
    pub operations: Vec<RestOperation>,
    /// Answers of the ledger for the next tick, in order.
    pub answers: Vec<RestAnswer>,
    /// Highest epochs heard of other shards.
    pub peers: Vec<(ShardId, ShardEpoch)>,
    /// Who follows which cells.
    pub followers: Vec<RestFollower>,
    /// Changed and not journaled yet.
    pub dirty: Vec<EntityId>,
    /// What was agreed with other shards in the names of shards that are no more.
    pub estates: Vec<ShardImage>,
}

/// A live entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestResident {
    /// Who.
    pub entity: EntityId,
    /// Fence of its owner.
    pub epoch: AgentEpoch,
    /// It may be offered to a neighbour after so many microseconds.
    pub dwell_us: u64,
    /// Whether its value may be touched.
    pub open: bool,
}

/// A player's seat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestSeat {
    /// Whose.
    pub agent: EntityId,
    /// Its sequences and unacknowledged events; without a gateway it lingers.
    pub state: SessionState,
    /// A seat without a gateway is given up after so many microseconds.
    pub linger_us: u64,
    /// Inputs that wait for earlier ones, or for the tick.
    pub window: Vec<ClientInput>,
    /// A fresh client needs every event after this one.
    pub fresh_after: OutSeq,
    /// The client must be told to start over.
    pub resync: bool,
}

/// What waits for a hand-over past its commit point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestHeld {
    /// The leading entity of the departure.
    pub leader: EntityId,
    /// Inputs that were not applied.
    pub inputs: Vec<ClientInput>,
}

/// An unanswered operation.
#[derive(Clone, Debug, PartialEq)]
pub struct RestOperation {
    /// Its name, under which it is asked again.
    pub op: OpId,
    /// In whose name it is asked; none: nobody's.
    pub by: EntityId,
    /// The look that opens an agent's value.
    pub gate: bool,
    /// What.
    pub transaction: Transaction,
}

/// An answer that no system has seen.
#[derive(Clone, Debug, PartialEq)]
pub struct RestAnswer {
    /// Of which operation.
    pub op: OpId,
    /// In whose name it was asked; none: nobody's.
    pub by: EntityId,
    /// What was asked.
    pub asked: Transaction,
    /// What became of it.
    pub result: LedgerResult,
}

/// A follower of cells.
#[derive(Clone, Debug, PartialEq)]
pub struct RestFollower {
    /// Its node.
    pub node: NodeId,
    /// The following shard there; `None`: the gateway itself.
    pub shard: Option<ShardId>,
    /// Which components it sees.
    pub filter: FeedFilter,
    /// Followed cells.
    pub cells: Vec<CellId>,
    /// Of them, those that come as a snapshot first.
    pub fresh: Vec<CellId>,
    /// Sequence of the last frame.
    pub seq: u32,
}
