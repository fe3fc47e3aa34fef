//! The directory: where each agent is. A cache at the world server, filled by the shards.

use crate::geometry::ShardId;
use crate::{AgentEpoch, EntityId, NodeId, RequestId, ShardEpoch};

/// Where an agent is, as last told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Its shard.
    pub shard: ShardId,
    /// The shard's owner.
    pub owner: NodeId,
    /// The owner's epoch.
    pub shard_epoch: ShardEpoch,
}

/// Between the directory and its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directory {
    /// A shard tells who is here: all of them after it starts to run (`full`), then changes.
    Report {
        /// Which shard.
        shard: ShardId,
        /// Its epoch.
        epoch: ShardEpoch,
        /// `present` is everybody.
        full: bool,
        /// Agents here, asleep or awake, with their epochs.
        present: Vec<(EntityId, AgentEpoch)>,
        /// Agents no longer here.
        gone: Vec<(EntityId, AgentEpoch)>,
    },
    /// Where is this agent?
    Locate {
        /// Echoed in the reply.
        request: RequestId,
        /// Whom.
        agent: EntityId,
    },
    /// The directory, to every scene: who has this agent says so in a report.
    Seek {
        /// Whom.
        agent: EntityId,
    },
    /// Answer to `Locate`.
    Located {
        /// Of the request.
        request: RequestId,
        /// Whom.
        agent: EntityId,
        /// Where it is, or where it is to be born; `None`: ask again soon (the shard has no owner now).
        location: Option<Location>,
        /// It has never been in the world: attach with a birth.
        unborn: bool,
    },
}
