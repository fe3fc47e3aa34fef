//! One deterministic cluster in one thread: the real cores, a pretended network, clock and disk.
//!
//! Everything is drawn from one seed. Time jumps from event to event ([`schedule`]); messages go through the wire format and take
//! their time ([`network`]) and go wrong ([`faults`]); each process has the same cores as the real one ([`process`]); players
//! are clients that check what they see ([`player`]); after each tick the whole cluster is looked at from above ([`checks`]),
//! and what its members tell each other is overheard ([`promises`], [`sequences`]).
//! The trace has one line per event ([`trace`]): the same seed prints the same trace, byte for byte.

pub mod campaign;
pub mod checks;
pub mod clock;
pub mod cluster;
pub mod curse;
pub mod faults;
pub mod hunt;
pub mod journals;
pub mod keys;
pub mod names;
pub mod network;
pub mod orders;
pub mod outcome;
pub mod pinned;
pub mod player;
pub mod process;
pub mod promises;
pub mod recorder;
pub mod schedule;
pub mod sequences;
pub mod sight;
pub mod trace;
mod verdict;
mod wrong;

pub use cluster::Cluster;
pub use outcome::{Options, Outcome, Trouble};
