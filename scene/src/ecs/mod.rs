//! The ECS side of a shard: components, the designers' system parameters, the grid, ghosts and the change feed.

mod shard_world;

pub use shard_world::{
    CROSSING_HYSTERESIS_M, Counts, Crossing, GHOST_RINGS, LedgerTicket, Published, ShardWorld, Simulated, TickInput, Transfer,
};
