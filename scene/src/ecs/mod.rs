//! The ECS side of a shard: components, the designers' system parameters, the grid, ghosts and the change feed.
//!
//! Designers read [`plain`], [`motion`], [`senses`], [`mail`], [`ledger`], [`tunables`]; the tick is [`shard_world`], its parts
//! are [`ingest`], [`settle`], [`publish`], [`ghosts`], [`records`], [`versions`] and [`image`].

pub(crate) mod encoded;
pub(crate) mod feed;
pub(crate) mod ghosts;
pub(crate) mod grid;
pub(crate) mod image;
pub(crate) mod ingest;
pub(crate) mod kinds;
pub(crate) mod ledger;
pub(crate) mod mail;
pub(crate) mod motion;
pub(crate) mod plain;
pub(crate) mod population;
pub(crate) mod publish;
pub(crate) mod records;
pub(crate) mod senses;
pub(crate) mod settle;
pub(crate) mod shard_world;
pub(crate) mod timer;
pub(crate) mod tunables;
pub(crate) mod versions;

#[cfg(test)]
mod tests;

pub use grid::Near;
pub use image::{Copied, WorldDelta, WorldRest};
pub use ingest::{Birthing, Player, Seeding, Tied};
pub use ledger::{Ledger, Settled, Settlement, Transfer};
pub use mail::{Bus, Effects, Events, Inputs, Letter, News, Received};
pub use motion::{Position, Velocity};
pub use plain::{DecodeError, FieldKind, Part, Plain, PlainField, Scalar, Text};
pub use population::{Ghosted, Identity};
pub use senses::{Chance, Clock, Locate, Nearby, Sight, Spawn};
pub use shard_world::{CROSSING_HYSTERESIS_M, Counts, Crossing, GHOST_RINGS, Published, ShardWorld, Simulated, TickInput};
pub use timer::Timer;
pub use tunables::{Tunable, Tunables, TuneField};
pub use versions::{Former, Succeeds};

pub(crate) use encoded::{Encoded, Extent};
pub(crate) use motion::quantise as ghost_motion;
pub(crate) use senses::mix;
pub(crate) use shard_world::install;

// Named by the attributes.
#[doc(hidden)]
pub use pangaea_schemas::rules::{TuneSpec, TuneValue};
#[doc(hidden)]
pub use versions::is_same;
#[doc(hidden)]
pub use {bevy_ecs, bytemuck};

/// FNV-1a, 64 bits (Fowler, Noll, Vo): small, the same on every build, not for untrusted keys.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
