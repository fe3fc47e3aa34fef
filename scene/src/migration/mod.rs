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

/// A question to the other side is asked again after this.
pub const ASK_AGAIN: Duration = Duration::from_millis(200);
/// A target that does not answer PREPARE in this time is not asked further.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(2);
/// Rounds of copying; a shard that still changes too much then stays where it is.
pub const ROUNDS_MAX: u32 = 8;
/// A round that the target does not take in this time ends the migration.
pub const ROUND_TIMEOUT: Duration = Duration::from_secs(10);
/// Journal entries of the last tick that are not durable in this time end the migration.
pub const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// A round of at most so many bytes is followed by the last part: it takes about 8 ms to encode, send and build anew.
pub const LAST_PART_BYTES_MAX: usize = 1_024 * 1_024;
/// A shard that changes as fast as it is copied is not made smaller by more rounds: then so many bytes may be the last part, too.
pub const LAST_PART_BYTES_STEADY_MAX: usize = 4 * 1_024 * 1_024;
/// A frozen source whose target does not say READY in this time takes the shard back.
pub const READY_TIMEOUT: Duration = Duration::from_millis(500);
/// Most bytes copied per tick before the freeze, so that the source's other work does not suffer.
pub const COPY_BYTES_PER_TICK: usize = 256 * 1_024;
/// Most messages kept for a frozen shard until it is clear who owns it; more are dropped, their senders ask again.
pub const FROZEN_MESSAGES_MAX: usize = 16_384;
/// A target that does not say that it runs in this time is told no longer that it owns the shard; it asks the journal itself.
pub const GIVEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A target that hears nothing of its source for so long drops its copy, or asks the journal.
pub const SOURCE_SILENCE: Duration = Duration::from_secs(3);

/// Whether the shard stands still after a round of so many bytes and sends what is left: little changes in the time of a round,
/// or more rounds would not make it less. `former` is the round before, 0 before the first.
pub fn may_end(round: usize, former: usize) -> bool {
    let is_steady = former > 0 && round >= former / 4 * 3;
    round <= if is_steady { LAST_PART_BYTES_STEADY_MAX } else { LAST_PART_BYTES_MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1_024 * 1_024;

    #[test]
    fn a_round_is_the_last_when_it_is_small_or_will_not_get_smaller() {
        assert!(may_end(MIB, 0) && may_end(MIB, 9 * MIB), "it is small");
        assert!(!may_end(2 * MIB, 0), "how much changes is known after the second");
        assert!(!may_end(2 * MIB, 3 * MIB), "the next one will be smaller");
        assert!(may_end(2 * MIB, 2 * MIB), "it will not");
        assert!(!may_end(5 * MIB, 5 * MIB), "nobody stands still for so long");
    }
}
