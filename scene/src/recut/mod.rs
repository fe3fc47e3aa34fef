//! The map is cut anew while people play: a shard becomes its four children, or four children become one. Both happen at one
//! scene, between two ticks, and are decided by one entry in the parent's journal.
//!
//! [`state`] is the machine, [`parts`] deals out what a shard is to those that stand in its place, and the scene
//! (`scene::recuts`) carries it out. Records and lanes stay as they are in the journal's rows: records are found by their cells,
//! and what was agreed with other shards stays under the name under which it was agreed (`shard::dealings`).
//!
//! | killed | then |
//! |---|---|
//! | the scene, before the entry is durable | the closing shards are claimed by others, as after any crash |
//! | the scene, after it | the opened shards are: the journals say that they have owners, and the closed ones none |
//! | the data process, before the answer | the scene stands still and asks again under the same name, until it knows |
//! | the world | nothing changes; its successor reads from the journals which shards there are |
//!
//! Neighbours and gateways hear `Recut` once per node and go on with the next frame. Who does not hear it finds the new shards in
//! the beacon, where routes of higher epochs put those of overlapping shards out.

pub mod parts;
pub mod state;

use std::time::Duration;

/// A question to a journal, or an append, without an answer is sent again after this.
pub const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Journals that do not say their tails in this time leave the map as it is.
pub const ASKING_TIMEOUT: Duration = Duration::from_secs(2);
/// Shards whose last entries are not durable in this time go on as they were.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// A shard that begins is young for so long: ghosts may not show yet who is around. Effects on whom it was one with a moment ago
/// find their way without, those on nobody else wait.
pub const YOUNG_FOR: Duration = Duration::from_secs(5);
/// Most recuts at one scene at a time.
pub const RECUTS_MAX: usize = 16;
