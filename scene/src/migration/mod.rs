//! Migration of a whole shard between two scenes while it runs, as two state machines: [`source`] gives, [`target`] takes.
//!
//! The source copies the shard in rounds while it ticks, stops after some tick T, sends what is left, and appends an OWNER
//! entry that names the *target's* incarnation. That entry is the commit point: one compare-and-append on the shard's journal, on
//! the same index as any other claim. The target runs tick T+1.
//!
//! Before the source has sent the last part it may change its mind for free: it never stopped owning. After that it goes on only
//! by appending an OWNER entry of its own; once it has asked for the target's entry it waits for the journal's answer, whatever
//! happens. See `PROTOCOL` section 7.

pub mod source;
pub mod target;

use std::time::Duration;

/// A target that does not answer PREPARE in this time is not asked further.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(2);
/// Rounds of copying; a shard that still changes too much then stays where it is.
pub const ROUNDS_MAX: u32 = 8;
/// A round that the target does not take in this time ends the migration.
pub const ROUND_TIMEOUT: Duration = Duration::from_secs(5);
/// The last part must be estimated to be copied in this time, or another round is made.
pub const LAST_PART_BUDGET: Duration = Duration::from_millis(8);
/// A frozen source whose target does not say READY in this time takes the shard back.
pub const READY_TIMEOUT: Duration = Duration::from_millis(500);
/// Most bytes copied per tick before the freeze, so that the source's other work does not suffer.
pub const COPY_BYTES_PER_TICK: usize = 256 * 1024;
/// Most messages kept for a frozen shard until it is clear who owns it.
pub const FROZEN_MESSAGES_MAX: usize = 16_384;
/// The frozen image is kept at most this long after the commit, for a target that dies before its first durable tick.
pub const KEEP_IMAGE: Duration = Duration::from_secs(10);
