//! Everything the planner looks at, as plain values in order.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;

use super::Share;

/// The scenes and shards of a cluster at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Scenes that are here.
    pub scenes: BTreeMap<NodeId, SceneRow>,
    /// All shards of the map.
    pub shards: BTreeMap<ShardId, ShardRow>,
}

/// A scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SceneRow {
    /// What it can do in a tick: one [`Share::WHOLE`] per thread.
    pub capacity: Share,
    /// It takes shards. One that does not is emptied.
    pub open: bool,
}

/// A shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardRow {
    /// Who has it.
    pub seat: Seat,
    /// Smoothed part of a tick that it costs.
    pub load: Share,
    /// Entities in it.
    pub entities: u32,
    /// Hand-overs per minute to neighbours.
    pub crossings: BTreeMap<ShardId, u32>,
}

/// Who has a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Nobody: to be placed now.
    Vacant {
        /// Where the last claim failed: better ask somebody else.
        avoid: Option<NodeId>,
    },
    /// Nothing can be done about it now: it is claimed, or its last owner may be alive.
    Held {
        /// Who will probably have it.
        scene: Option<NodeId>,
    },
    /// It runs.
    Running {
        /// Where.
        scene: NodeId,
        /// How long ago a move of it ended, one that failed too; `None`: long ago.
        moved: Option<Duration>,
    },
    /// It is on its way.
    Moving {
        /// Where from.
        from: NodeId,
        /// Where to.
        to: NodeId,
    },
}
