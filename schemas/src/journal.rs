//! A shard's journal: what its owners did, in order. The state of a shard is the fold of its journal.

use crate::geometry::ShardId;
use crate::message::Effect;
use crate::record::Record;
use crate::wire::flat::Records;
use crate::{AgentEpoch, EffectSeq, EntityId, JournalIndex, NodeId, Nonce, ShardEpoch, Tick};

/// Most operations in one entry.
pub const ENTRY_OPS_MAX: usize = 8_192;
/// Largest encoded entry in bytes.
pub const ENTRY_BYTES_MAX: usize = 8 * 1_024 * 1_024;

/// A point in the stream of hand-overs from one shard to another. Those of earlier owners of the source lie before those of
/// later ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The source's epoch.
    pub epoch: ShardEpoch,
    /// As in [`Xid::number`].
    pub number: u64,
}

/// Names one hand-over for ever: the leading entity, its epoch at the target, and the source that let it go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Xid {
    /// The agent, or the leader of a group.
    pub entity: EntityId,
    /// Its epoch once the target runs it.
    pub epoch: AgentEpoch,
    /// Where it comes from.
    pub source: ShardId,
    /// The source's epoch when it was let go.
    pub source_epoch: ShardEpoch,
    /// Rises by one per hand-over from this owner of the source to this target, from 1. Offers that came to nothing leave gaps.
    pub number: u64,
}

impl Xid {
    /// Its place among all hand-overs from its source to its target.
    pub fn mark(self) -> Mark {
        Mark { epoch: self.source_epoch, number: self.number }
    }
}

/// One thing that happened to a shard.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum ShardOp {
    /// A new owner; the only operation of its entry, whose epoch is the new one.
    Owner {
        /// Who.
        node: NodeId,
        /// Which incarnation.
        nonce: Nonce,
    },
    /// These entities are live here with this state.
    Put(Records),
    /// The entity ceased to exist.
    Remove {
        /// Who.
        entity: EntityId,
    },
    /// An agent was created here; never again, even after it left.
    Born {
        /// Who.
        entity: EntityId,
    },
    /// Commit point of a hand-over: the members are no longer live here.
    Out {
        /// Which hand-over.
        xid: Xid,
        /// Where to.
        target: ShardId,
        /// Full states, the leader first.
        members: Vec<Record>,
    },
    /// The members of a hand-over are live here.
    In {
        /// Which hand-over.
        xid: Xid,
        /// Their states, the leader first.
        members: Vec<Record>,
    },
    /// A committed hand-over was turned down for ever; the source takes the members back.
    Refused {
        /// Which hand-over.
        xid: Xid,
        /// Who was refused: each one's highest epoch seen rises.
        members: Vec<EntityId>,
    },
    /// The target's IN is durable: Out becomes a forwarder.
    Settled {
        /// Which hand-over.
        xid: Xid,
    },
    /// Effects from another shard were applied, or sent on, up to here.
    Applied {
        /// Who sent them.
        source: ShardId,
        /// The last one.
        upto: EffectSeq,
    },
    /// The source will never ask again about its hand-overs up to here: the answers to them are forgotten.
    Stable {
        /// Whose hand-overs.
        source: ShardId,
        /// The last one.
        upto: Mark,
    },
    /// Nobody asks here any more where these went: they are forgotten.
    Forgotten {
        /// Who.
        members: Vec<EntityId>,
    },
    /// Effects on entities of another shard: owed until [`Self::Delivered`].
    Sent {
        /// Whose entities.
        to: ShardId,
        /// Sequence of the first; they go on rising over all owners of the sending shard.
        first: EffectSeq,
        /// Consecutive.
        effects: Vec<Effect>,
    },
    /// The other shard has the effects up to here durably.
    Delivered {
        /// Whom they were sent to.
        to: ShardId,
        /// The last one.
        upto: EffectSeq,
    },
    /// The shard is four now, and this the last entry of its journal for the time being; the only operation of its entry. The
    /// four begin with an OWNER entry of the same incarnation, one epoch higher, in the same commit.
    Split {
        /// The tails of the four's journals, in Morton order.
        tails: Vec<JournalIndex>,
    },
    /// The shard is one again, and its four children are no more, all of them the writer's; the only operation of its entry. It
    /// stands for an OWNER entry, under an epoch above that of all four.
    Merge {
        /// The tails of the four's journals, in Morton order.
        tails: Vec<JournalIndex>,
    },
    /// Something that was agreed with another shard in the name of a shard that is no more, and whose estate this one has.
    InName {
        /// In whose name.
        name: ShardId,
        /// What.
        op: Box<ShardOp>,
    },
}

/// What one owner did in one tick (or between two).
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Entry {
    /// The writer's epoch.
    pub epoch: ShardEpoch,
    /// The tick after which it was written.
    pub tick: Tick,
    /// In order; at most [`ENTRY_OPS_MAX`], each record of a [`ShardOp::Put`] counted.
    pub ops: Vec<ShardOp>,
}

impl ShardOp {
    /// This entity is live here with this state.
    pub fn put(record: &Record) -> Self {
        Self::Put(record.into())
    }

    /// For how many it counts in an entry.
    pub fn count(&self) -> usize {
        match self {
            Self::Put(records) => records.len(),
            _ => 1,
        }
    }
}

/// What a shard knows of an entity for ever: fences that outlive the entity's stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fence {
    /// Highest epoch seen in any commit, refused ones included.
    pub seen: AgentEpoch,
    /// Highest epoch accepted.
    pub accepted: AgentEpoch,
    /// Created here once.
    pub born: bool,
    /// Where it went when it is no longer here.
    pub forward: Option<ShardId>,
}

/// A hand-over past its commit point whose target has not yet confirmed.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Departure {
    /// Which hand-over.
    pub xid: Xid,
    /// Where to.
    pub target: ShardId,
    /// Full states, the leader first.
    pub members: Vec<Record>,
}

/// How a committed hand-over was answered, until its source has settled it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Which hand-over.
    pub xid: Xid,
    /// Its members if it was refused; nobody if it was taken.
    pub refused: Vec<EntityId>,
}
