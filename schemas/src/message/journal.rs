//! The journal: compare-and-append per shard, and the reading of a shard's state.

use std::sync::Arc;

use super::Effect;
use crate::geometry::ShardId;
use crate::journal::{Decision, Departure, Entry, Fence, Mark};
use crate::record::Record;
use crate::{EffectSeq, EntityId, JournalIndex, NodeId, Nonce, RequestId, ShardEpoch, Tick};

/// Names an append so that asking twice does it once: the writer's incarnation and its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId {
    /// Of the writing process.
    pub nonce: Nonce,
    /// Rises by one per append of that process to that shard.
    pub seq: u64,
}

/// To a journal.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum JournalRequest {
    /// Append `entry` as index `expected.next()` if the tail is `expected`. Asking again with the same id answers again.
    Append {
        /// Whose journal.
        shard: ShardId,
        /// Which append.
        id: AppendId,
        /// The tail the writer believes in.
        expected: JournalIndex,
        /// What to append; whoever asks keeps it, to ask again.
        entry: Arc<Entry>,
    },
    /// Entries from `from` on, as many as fit `bytes_max`.
    Read {
        /// Echoed in the reply.
        request: RequestId,
        /// Whose journal.
        shard: ShardId,
        /// First wanted.
        from: JournalIndex,
        /// Bound of the answer in bytes; at least one entry comes.
        bytes_max: u32,
    },
    /// Forget entries below `below`; refused above the checkpoint.
    Trim {
        /// Echoed in the reply.
        request: RequestId,
        /// Whose journal.
        shard: ShardId,
        /// First to keep.
        below: JournalIndex,
    },
    /// The shard's state: the fold of its journal up to now, in parts.
    Load {
        /// Echoed in the replies.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
    },
    /// The owner entry in force and the tail of every journal.
    Owners {
        /// Echoed in the reply.
        request: RequestId,
    },
    /// In which shard's state an entity is, if in any.
    Find {
        /// Echoed in the reply.
        request: RequestId,
        /// Whom.
        entity: EntityId,
    },
    /// A block of entity ids that nobody else will ever get.
    Ids {
        /// Echoed in the reply; asking again may give another block.
        request: RequestId,
    },
}

/// An effect that is not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owed {
    /// The shard it was sent to.
    pub to: ShardId,
    /// Its place in the stream to that shard.
    pub seq: EffectSeq,
    /// What.
    pub effect: Effect,
}

/// One part of a shard's state. Parts come in order; `last` ends them.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct ShardImage {
    /// The journal's tail this is the fold of; the same in every part.
    pub index: JournalIndex,
    /// The epoch in force; zero for a journal without an owner.
    pub epoch: ShardEpoch,
    /// Of the last entry.
    pub tick: Tick,
    /// Entities here, in order of id.
    pub records: Vec<Record>,
    /// Fences of those who were ever here, in order of id.
    pub fences: Vec<(EntityId, Fence)>,
    /// Hand-overs past their commit point.
    pub departures: Vec<Departure>,
    /// Effects applied: source, the last one.
    pub applied: Vec<(ShardId, EffectSeq)>,
    /// Answers to committed hand-overs that their sources may ask about again.
    pub decided: Vec<Decision>,
    /// Up to where they will not: source, the last one.
    pub stable: Vec<(ShardId, Mark)>,
    /// Effects that another shard has not acknowledged, in order per shard.
    pub outbox: Vec<Owed>,
    /// Effects that another shard has: which, the last one.
    pub delivered: Vec<(ShardId, EffectSeq)>,
    /// In whose name all but the records is: the shard's own, or that of a shard which is no more and whose estate it has. Never
    /// both in one part.
    pub name: Option<ShardId>,
}

/// From a journal.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum JournalReply {
    /// Durable.
    Appended {
        /// Whose journal.
        shard: ShardId,
        /// Which append.
        id: AppendId,
        /// Its index.
        index: JournalIndex,
    },
    /// The tail is not the expected one: somebody else writes.
    Conflict {
        /// Whose journal.
        shard: ShardId,
        /// Which append.
        id: AppendId,
        /// The tail found.
        tail: JournalIndex,
        /// The epoch in force.
        epoch: ShardEpoch,
    },
    /// Not done now, perhaps later: disk full, an engine away.
    Unavailable {
        /// Whose journal.
        shard: ShardId,
        /// Which append.
        id: AppendId,
        /// In words.
        reason: String,
    },
    /// Answer to `Read`.
    Entries {
        /// Of the request.
        request: RequestId,
        /// Index of the first; entries are consecutive.
        from: JournalIndex,
        /// In order.
        entries: Vec<Entry>,
        /// The journal's tail.
        tail: JournalIndex,
    },
    /// Answer to `Trim`.
    Trimmed {
        /// Of the request.
        request: RequestId,
        /// First index that is still there.
        first: JournalIndex,
    },
    /// Answer to `Load`, one of several.
    Image {
        /// Of the request.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
        /// A part of its state.
        part: Box<ShardImage>,
        /// No more parts.
        last: bool,
    },
    /// Answer to `Owners`.
    OwnerList {
        /// Of the request.
        request: RequestId,
        /// In shard order: owner, incarnation, epoch, tail.
        owners: Vec<(ShardId, NodeId, Nonce, ShardEpoch, JournalIndex)>,
    },
    /// Answer to `Find`.
    Found {
        /// Of the request.
        request: RequestId,
        /// Whom.
        entity: EntityId,
        /// Where it is filed.
        shard: Option<ShardId>,
    },
    /// Answer to `Ids`.
    IdBlock {
        /// Of the request.
        request: RequestId,
        /// First of the block.
        first: EntityId,
        /// How many.
        count: u64,
    },
    /// A request other than an append that could not be done.
    Failed {
        /// Of the request.
        request: RequestId,
        /// In words.
        reason: String,
    },
}
