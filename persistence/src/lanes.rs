//! What a shard's journal says about other shards: answers to their hand-overs until they will not ask again, effects of theirs
//! that were applied, effects to them until they have them.
//!
//! | rows under | key after the shard | value |
//! |---|---|---|
//! | `Decided` | source | up to where it will not ask again |
//! | `Decided` | source, its epoch, number | a decision |
//! | `Applied` | source | the last effect applied |
//! | `Outbox` | target | the last effect it has |
//! | `Outbox` | target, sequence | an effect it may not have |

use std::ops::ControlFlow;

use bytes::Bytes;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Decision, Mark, Xid};
use pangaea_schemas::message::{Effect, Owed, ShardImage};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{EffectSeq, EntityId, ShardEpoch};

use crate::batch::Batch;
use crate::codec::{Malformed, Reader, Writer, decode};
use crate::key;
use crate::store::{RowTable, StoreError};

/// A committed hand-over was answered.
pub(crate) fn decided(batch: &mut Batch<'_>, shard: ShardId, xid: Xid, refused: &[EntityId]) {
    let Mark { epoch, number } = xid.mark();
    let key = key::numbers(&[shard.to_bits(), xid.source.to_bits(), epoch.0, number]);
    batch.put(RowTable::Decided, &key, Decision { xid, refused: refused.to_vec() }.to_stored());
}

/// A source will not ask again up to here.
pub(crate) fn stable(batch: &mut Batch<'_>, shard: ShardId, source: ShardId, upto: Mark) -> Result<(), StoreError> {
    let pair = key::pair(shard.to_bits(), source.to_bits());
    for (key, _) in batch.under(RowTable::Decided, &pair)? {
        if mark_of(&key).is_some_and(|mark| mark <= upto) {
            batch.delete(RowTable::Decided, &key);
        }
    }
    let mut row = Writer::default();
    row.u64(upto.epoch.0).u64(upto.number);
    batch.put(RowTable::Decided, &pair, row.0);
    Ok(())
}

/// Effects of a source were applied up to here.
pub(crate) fn applied(batch: &mut Batch<'_>, shard: ShardId, source: ShardId, upto: EffectSeq) -> Result<(), StoreError> {
    raise(batch, RowTable::Applied, &key::pair(shard.to_bits(), source.to_bits()), upto)
}

/// Effects to another shard were written down.
pub(crate) fn sent(batch: &mut Batch<'_>, shard: ShardId, to: ShardId, first: EffectSeq, effects: &[Effect]) {
    for (seq, effect) in (first.0..).zip(effects) {
        batch.put(RowTable::Outbox, &key::numbers(&[shard.to_bits(), to.to_bits(), seq]), effect.to_stored());
    }
}

/// Another shard has the effects to it up to here.
pub(crate) fn delivered(batch: &mut Batch<'_>, shard: ShardId, to: ShardId, upto: EffectSeq) -> Result<(), StoreError> {
    let pair = key::pair(shard.to_bits(), to.to_bits());
    let mut over = Vec::new();
    batch.scan(RowTable::Outbox, &pair, &mut |key, _| {
        let is_over = key.starts_with(&pair) && key::number_at(key, 2).is_none_or(|seq| seq <= upto.0);
        over.extend(is_over.then(|| key.to_vec()));
        Ok(if is_over { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    for key in over.iter().filter(|key| key.len() > pair.len()) {
        batch.delete(RowTable::Outbox, key);
    }
    raise(batch, RowTable::Outbox, &pair, upto)
}

fn raise(batch: &mut Batch<'_>, table: RowTable, key: &[u8], upto: EffectSeq) -> Result<(), StoreError> {
    let before = match batch.get(table, key)? {
        Some(bytes) => decode_seq(bytes).map_err(|e| StoreError::damaged(table, key, e.0))?,
        None => EffectSeq::ZERO,
    };
    if upto > before {
        let mut row = Writer::default();
        row.u64(upto.0);
        batch.put(table, key, row.0);
    }
    Ok(())
}

/// The tables whose rows [`read`] knows.
pub(crate) const TABLES: [RowTable; 3] = [RowTable::Decided, RowTable::Applied, RowTable::Outbox];

/// Adds one row of a shard to its image.
pub(crate) fn read(table: RowTable, key: &[u8], value: Bytes, image: &mut ShardImage) -> Result<(), StoreError> {
    let damaged = |e: Malformed| StoreError::damaged(table, key, e.0);
    let peer = key::number_at(key, 1).and_then(ShardId::from_bits);
    let peer = peer.ok_or_else(|| StoreError::damaged(table, key, "there is no such shard"))?;
    match (table, key::number_at(key, 2)) {
        (RowTable::Decided, None) => image.stable.push((peer, decode_mark(value).map_err(damaged)?)),
        (RowTable::Decided, Some(_)) => image.decided.push(decode(&value).map_err(damaged)?),
        (RowTable::Outbox, None) => image.delivered.push((peer, decode_seq(value).map_err(damaged)?)),
        (RowTable::Outbox, Some(seq)) => {
            let effect = decode(&value).map_err(damaged)?;
            image.outbox.push(Owed { to: peer, seq: EffectSeq(seq), effect });
        }
        (_, _) => image.applied.push((peer, decode_seq(value).map_err(damaged)?)),
    }
    Ok(())
}

fn mark_of(key: &[u8]) -> Option<Mark> {
    Some(Mark { epoch: ShardEpoch(key::number_at(key, 2)?), number: key::number_at(key, 3)? })
}

fn decode_mark(bytes: Bytes) -> Result<Mark, Malformed> {
    let mut reader = Reader::new(bytes);
    Ok(Mark { epoch: ShardEpoch(reader.u64()?), number: reader.u64()? })
}

fn decode_seq(bytes: Bytes) -> Result<EffectSeq, Malformed> {
    Ok(EffectSeq(Reader::new(bytes).u64()?))
}
