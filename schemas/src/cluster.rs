//! What every node of a cluster agrees on from its start.

use std::time::Duration;

use crate::TickRate;
use crate::geometry::{CellId, Position, SpaceId, SpaceSpec};

/// The world's shape and rates. Two nodes with different specs do not talk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSpec {
    /// The cluster's name; tickets are for one cluster.
    pub name: String,
    /// Ticks per second, everywhere.
    pub tick_rate: TickRate,
    /// The maps, in order of id; at least one.
    pub spaces: Vec<SpaceSpec>,
    /// How long a silent node keeps its registration.
    pub lease: Duration,
}

impl ClusterSpec {
    /// One space of 1 km (32 × 32 cells) in 16 shards: what `pangaea up` runs.
    pub fn demo() -> Self {
        let space = SpaceSpec { space: SpaceId(0), name: "pangaea".to_owned(), level: 5, shard_level: 3 };
        Self { name: "demo".to_owned(), tick_rate: TickRate::DEFAULT, spaces: vec![space], lease: Duration::from_millis(2_000) }
    }

    /// The space of that id.
    pub fn space(&self, space: SpaceId) -> Option<&SpaceSpec> {
        self.spaces.iter().find(|s| s.space == space)
    }

    /// Where new agents are born: the middle of the first space, where shards meet.
    pub fn spawn_point(&self) -> (SpaceId, Position) {
        let Some(space) = self.spaces.first() else { return (SpaceId(0), Position::default()) };
        let middle = space.edge_m() / 2.0;
        (space.space, Position { x: middle, z: middle })
    }

    /// The cell of [`Self::spawn_point`].
    pub fn spawn_cell(&self) -> CellId {
        let (space, position) = self.spawn_point();
        CellId::at(space, position)
    }
}
