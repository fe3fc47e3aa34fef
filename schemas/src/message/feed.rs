//! The change feed: a shard tells those who follow its cells what changed, once per tick and follower.

use std::sync::Arc;

use crate::geometry::{CellId, CellOffset, Position, ShardId, Velocity, to_nearest};
use crate::record::ComponentBytes;
use crate::{AgentEpoch, EntityId, InSeq, SessionEpoch, ShardEpoch, Tick};

/// Which components a follower sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FeedFilter {
    /// What clients draw.
    Replicated = 0,
    /// What neighbour shards' systems read.
    Ghosted = 1,
}

/// An entity comes into a cell, or into sight.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Enter {
    /// Who.
    pub entity: EntityId,
    /// All its components under the filter, but for position and velocity.
    pub components: Vec<ComponentBytes>,
}

/// Where an entity is in its cell and where it is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Motion {
    /// Who.
    pub entity: EntityId,
    /// From the cell's corner.
    pub offset: CellOffset,
    /// Velocity east, 1/512 m/s.
    pub vx: i16,
    /// Velocity south, 1/512 m/s.
    pub vz: i16,
}

/// Steps of [`Motion::vx`] per m/s: so fine that whoever walks straight is where its velocity says for minutes.
const VELOCITY_STEPS_PER_M_S: f32 = 512.0;

impl Motion {
    /// As it is told to followers of `cell`. Saturates at 64 m/s and three cell edges beyond the cell.
    pub fn of(entity: EntityId, cell: CellId, position: Position, velocity: Velocity) -> Self {
        let steps = |v: f32| to_nearest(v * VELOCITY_STEPS_PER_M_S) as i16;
        Self { entity, offset: CellOffset::of(position, cell), vx: steps(velocity.x), vz: steps(velocity.z) }
    }

    /// What a follower of `cell` can know of where it goes, in metres per second.
    pub fn velocity(self) -> Velocity {
        let speed = |steps: i16| f32::from(steps) / VELOCITY_STEPS_PER_M_S;
        Velocity { x: speed(self.vx), z: speed(self.vz) }
    }
}

/// One component changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Changed {
    /// Whose.
    pub entity: EntityId,
    /// Its new bytes.
    pub component: ComponentBytes,
}

/// An entity leaves a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leave {
    /// Who.
    pub entity: EntityId,
    /// Into which cell, of this or a neighbour shard; `None`: it ceased to exist or fell asleep.
    pub to: Option<CellId>,
}

/// What changed in one cell in one tick. Shared by all followers of the cell.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct CellFeed {
    /// Which cell.
    pub cell: CellId,
    /// Everything in the cell; who is not in `entered` is not here.
    pub snapshot: bool,
    /// New in the cell; each also has a motion.
    pub entered: Vec<Enter>,
    /// Moved or entered.
    pub moved: Vec<Motion>,
    /// Components changed, of entities that did not enter in this tick.
    pub changed: Vec<Changed>,
    /// No longer in the cell.
    pub left: Vec<Leave>,
}

/// A followed session's agent after the tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgentFeed {
    /// Who.
    pub agent: EntityId,
    /// In which session.
    pub session: SessionEpoch,
    /// Its epoch: late news from an old owner are dropped by it.
    pub epoch: AgentEpoch,
    /// Inputs up to here need not be told again, whoever dies.
    pub in_seq: InSeq,
    /// Last input applied; ahead of `in_seq` while something of value is not durable.
    pub applied: InSeq,
    /// Exactly where it is after that.
    pub position: Position,
}

/// One tick of one shard for one follower.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedFrame {
    /// Which shard.
    pub shard: ShardId,
    /// Its epoch.
    pub epoch: ShardEpoch,
    /// After which tick.
    pub tick: Tick,
    /// Rises by one per follower; a gap means: follow again.
    pub seq: u32,
    /// The following shard on the receiving node; `None`: the gateway itself.
    pub follower: Option<ShardId>,
    /// Followed cells that changed, in cell order.
    pub cells: Vec<Arc<CellFeed>>,
    /// Agents of the gateway's sessions; empty for shards.
    pub agents: Vec<AgentFeed>,
}

/// Between a shard and a follower.
#[derive(Clone, Debug, PartialEq)]
pub enum Feed {
    /// Follow cells of a shard. `reset` forgets what this follower followed before and restarts `seq` at 1. Each cell in `add`
    /// comes as a snapshot first, also when it was followed already.
    Follow {
        /// Which shard.
        shard: ShardId,
        /// The following shard on the sending node; `None`: the gateway itself.
        follower: Option<ShardId>,
        /// Which components.
        filter: FeedFilter,
        /// Start over.
        reset: bool,
        /// Cells to follow.
        add: Vec<CellId>,
        /// Cells to leave.
        remove: Vec<CellId>,
    },
    /// News.
    Frame(FeedFrame),
    /// The shard does not run here: look it up again.
    NotHere {
        /// Which shard.
        shard: ShardId,
        /// Who asked.
        follower: Option<ShardId>,
    },
}
