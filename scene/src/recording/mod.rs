//! Recording a shard while it runs, and running it again from the recording.
//!
//! The seam is [`ShardWorld`](crate::ecs::ShardWorld): a world is changed by nothing but its systems and what is handed to it
//! there (a tick's input, ids, rules, who is let go), and systems know no clock, no address and no chance but the shard's seed.
//! Sessions, journals, hand-overs and links stand before the seam: what they made of their messages is on the tape, in order.
//!
//! A recording begins with the world built anew from its own image, as a migration would build it elsewhere: what hangs on
//! history (the order of entities in memory, what counts as changed) is then the same in the shard that goes on and in any
//! replay. It costs the shard what the last step of a migration costs, and its systems see no ghosts for a tick or two.
//!
//! [`tape`] keeps what is heard, in memory, until somebody fetches it; whoever records writes the file. [`check`] is what is
//! compared after each tick, [`replay`] runs it again.

pub mod check;
pub mod replay;
pub mod tape;

pub use check::Difference;
pub use replay::{Replay, ReplayError, Replayed};
pub use tape::{Order, Tape};

/// Most bytes of a recording that wait to be fetched; a recording that is not fetched as fast as it grows ends then.
pub const WAITING_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// A recording that nobody fetches for so many ticks is forgotten.
pub const SILENCE_TICKS_MAX: u64 = 200;
/// Most bytes of records in one part of a recording's image.
pub const PART_BYTES_MAX: usize = 256 * 1_024;
/// Most entities that are looked at after one tick, so that looking costs little however many there are; others after others.
pub const LOOKED_PER_TICK: usize = 128;
