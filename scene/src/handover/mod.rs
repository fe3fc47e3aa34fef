//! Hand-over of entities between two shards: steps 1 to 9 of the protocol, as two state machines.
//!
//! [`source`] lets go, [`target`] takes, [`forwarders`] remembers where they went until nobody asks any more. Each keeps its
//! protocol state in a small value with one `step` (or `answer`) that a model checker can drive, apart from the payload. A group
//! leaves in one OUT, and all its members get one epoch, above all that any of them ever had.
//!
//! Commit point is the durable OUT. Before it the source just goes on; after it only a durable refusal gives the agents back.

pub mod forwarders;
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
/// Most bytes of one group's records; a larger group stays where it is.
pub const GROUP_BYTES_MAX: usize = 1 << 20;
/// Most hand-overs of one shard past their commit point.
pub const DEPARTURES_MAX: usize = 4_096;
/// Most reservations of one shard.
pub const RESERVATIONS_MAX: usize = 4_096;
/// Forwarders stay at least this long after their hand-over is settled, because most who ask come within it; longer until the
/// target has answered.
pub const FORWARD_MIN: Duration = Duration::from_secs(10);
/// SETTLED without an answer is said again after this.
pub const SETTLED_RESEND: Duration = Duration::from_secs(1);
/// Most hand-overs to one shard that it has not called stable; beyond it nobody is offered to it.
pub const UNSTABLE_MAX: usize = 65_536;
/// Told with a refused offer.
pub const RETRY_AFTER_MS: u32 = 1_000;
