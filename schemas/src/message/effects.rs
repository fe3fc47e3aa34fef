//! Effects: what one entity does to another that may live in another shard. In order and never twice per pair of shards.

use bytes::Bytes;

use super::Lane;
use crate::geometry::ShardId;
use crate::{EffectSeq, EntityId, TypeId};

/// Most effects in one message.
pub const EFFECT_BATCH_MAX: usize = 1_024;

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Effect {
    /// Who is affected.
    pub to: EntityId,
    /// Who caused it.
    pub from: EntityId,
    /// Registered effect type.
    pub id: TypeId,
    /// The effect's plain bytes.
    pub bytes: Bytes,
    /// How many shards have sent it on because the entity had left them.
    pub hops: u8,
    /// It was meant for a shard that is no more: if the entity is nowhere known, the blocks of that shard are asked in turn.
    pub within: Option<ShardId>,
}

/// Between two shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectMessage {
    /// Consecutive effects, resent until acknowledged.
    Batch {
        /// Between whom.
        lane: Lane,
        /// Sequence of the first.
        first: EffectSeq,
        /// At most [`EFFECT_BATCH_MAX`].
        effects: Vec<Effect>,
    },
    /// All up to here are applied or refused for good.
    Ack {
        /// Between whom: from the receiver back to the sender.
        lane: Lane,
        /// The last one.
        upto: EffectSeq,
    },
}
