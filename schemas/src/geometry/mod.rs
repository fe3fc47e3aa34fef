//! Where things are: positions in metres, cells of 32 m, shards of square blocks of cells.
//!
//! A space's corner is (0, 0); x grows east, z grows south. All three units nest: a position lies in exactly one cell, a cell
//! in exactly one shard of each level, and Morton order keeps a shard's cells together, so a shard is a key range.

mod cell;
mod morton;
mod position;
mod shard;
mod space;

pub use cell::{CELL_EDGE_M, CellId, CellsWithin};
pub use morton::{morton, unmorton};
pub(crate) use position::to_nearest;
pub use position::{CellOffset, OFFSET_UNITS_PER_CELL, Position, Velocity};
pub use shard::{ParseShardIdError, SHARD_LEVEL_MAX, ShardId};
pub use space::{SPACE_LEVEL_MAX, SpaceId, SpaceSpec};
