//! A space: one map, a square of cells.

use super::{CELL_EDGE_M, CellId, Position, ShardId};

/// The largest space: 2^10 cells, 32 km; beyond it an `f32` position would be coarser than 2 mm.
pub const SPACE_LEVEL_MAX: u8 = 10;

/// One map of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpaceId(pub u16);

/// A space's size and how it is first cut into shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceSpec {
    /// Which space.
    pub space: SpaceId,
    /// What admins call it.
    pub name: String,
    /// Its edge is 2^level cells; at most [`SPACE_LEVEL_MAX`].
    pub level: u8,
    /// Level of the shards it starts with; at most `level`.
    pub shard_level: u8,
}

impl SpaceSpec {
    /// Edge in cells.
    pub fn edge_cells(&self) -> u16 {
        1 << self.level
    }

    /// Edge in metres.
    pub fn edge_m(&self) -> f32 {
        f32::from(self.edge_cells()) * CELL_EDGE_M
    }

    /// The shard that covers the whole space.
    pub fn root(&self) -> ShardId {
        ShardId { space: self.space, level: self.level, x: 0, z: 0 }
    }

    /// The shards the space starts with, in Morton order.
    pub fn first_shards(&self) -> Vec<ShardId> {
        self.root().descendants(self.shard_level)
    }

    /// Whether the cell lies in this space.
    pub fn contains(&self, cell: CellId) -> bool {
        self.root().contains(cell)
    }

    /// The nearest position inside the space.
    pub fn clamp(&self, position: Position) -> Position {
        let last = self.edge_m() - 0.001;
        Position { x: position.x.clamp(0.0, last), z: position.z.clamp(0.0, last) }
    }
}
