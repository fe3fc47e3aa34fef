//! Hand-over of agents between two shards. The states and rules are in `scene::handover`.

use crate::ShardEpoch;
use crate::geometry::ShardId;
use crate::journal::{Mark, Xid};
use crate::record::Record;

use super::ClientInput;

/// From one shard incarnation to another. Receivers refuse a lower `from_epoch` than the highest seen, and a `to_epoch` that
/// is not theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Sender.
    pub from: ShardId,
    /// Sender's epoch.
    pub from_epoch: ShardEpoch,
    /// Receiver.
    pub to: ShardId,
    /// Receiver's epoch as the sender knows it.
    pub to_epoch: ShardEpoch,
}

impl Lane {
    /// The way back, as the receiver `to` at `epoch` answers.
    pub fn back(self, epoch: ShardEpoch) -> Self {
        Self { from: self.to, from_epoch: epoch, to: self.from, to_epoch: self.from_epoch }
    }
}

/// Why a hand-over is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// No room.
    Full = 0,
    /// The reservation ran out and there is no room now.
    Expired = 2,
    /// Not in a state to take anyone: starting, leaving, unconfirmed.
    NotRunning = 3,
}

/// One step of a hand-over.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Handover {
    /// Source: may these come? Nothing is bound by it.
    Offer {
        /// Which hand-over.
        xid: Xid,
        /// How many entities.
        members: u32,
        /// Estimated size in bytes.
        bytes: u32,
    },
    /// Target: yes, for two seconds.
    Reserved {
        /// Which hand-over.
        xid: Xid,
    },
    /// Target: no.
    No {
        /// Which hand-over.
        xid: Xid,
        /// Why.
        reason: Refusal,
        /// Do not ask again before.
        retry_after_ms: u32,
    },
    /// Source, past the commit point: these are yours. Resent until answered.
    Commit {
        /// Which hand-over.
        xid: Xid,
        /// Full states, the leader first.
        members: Vec<Record>,
        /// Inputs that came but were not applied.
        inputs: Vec<ClientInput>,
    },
    /// Target: they are durably mine.
    Ack {
        /// Which hand-over.
        xid: Xid,
    },
    /// Target: durably refused; they are yours again.
    Refuse {
        /// Which hand-over.
        xid: Xid,
        /// Why.
        reason: Refusal,
    },
    /// Any: your epoch or your idea of mine is old.
    Stale {
        /// The hand-over that was meant.
        xid: Xid,
        /// The receiver's present epoch.
        current: ShardEpoch,
    },
    /// Source: of my hand-overs to you, those up to here are settled; I shall never ask about them again. Said again until
    /// answered.
    Settled {
        /// The last one.
        upto: Mark,
    },
    /// Target: your forwarders up to here are needed no more.
    Stable {
        /// The last one.
        upto: Mark,
    },
}

/// A step and between whom.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct HandoverMessage {
    /// Between whom.
    pub lane: Lane,
    /// Which step.
    pub step: Handover,
}
