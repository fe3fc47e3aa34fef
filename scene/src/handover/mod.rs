//! Hand-over of entities between two shards: steps 1 to 9 of the protocol, as two state machines.
//!
//! [`source`] lets go, [`target`] takes. Each keeps its protocol state in a small value with one `step` (or `answer`) that a
//! model checker can drive, apart from the payload. A group leaves in one OUT, and all its members get one epoch, above all that
//! any of them ever had.
//!
//! Commit point is the durable OUT. Before it the source just goes on; after it only a durable refusal gives the agents back.

pub mod source;
pub mod target;

use std::time::Duration;

/// A reservation at the target holds this long.
pub const RESERVATION: Duration = Duration::from_secs(2);
/// An entity stays at least this long in a shard before it is offered to another.
pub const DWELL_MIN: Duration = Duration::from_millis(500);
/// An offer without an answer is forgotten after this, and may be made again.
pub const OFFER_TIMEOUT: Duration = Duration::from_millis(300);
/// A commit without an answer is sent again after this, then after twice as long, and so on.
pub const COMMIT_RESEND: Duration = Duration::from_millis(100);
/// Longest wait between two sendings of a commit.
pub const COMMIT_RESEND_MAX: Duration = Duration::from_secs(2);
/// Most entities of one group.
pub const GROUP_MAX: usize = 16;
/// Most hand-overs of one shard past their commit point.
pub const DEPARTURES_MAX: usize = 4_096;
/// Most reservations of one shard.
pub const RESERVATIONS_MAX: usize = 4_096;
/// Most effects held for one departure until it is clear who owns its members.
pub const HELD_EFFECTS_MAX: usize = 256;
/// Told with a refused offer.
pub const RETRY_AFTER_MS: u32 = 1_000;
