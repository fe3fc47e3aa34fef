//! One entry of a journal, folded into rows: records, places, fences, departures, applied effects.
//!
//! | operation | records | fence of each entity | departures and lanes |
//! |---|---|---|---|
//! | `Put` | set | seen and accepted rise to its epoch; no forward | if it had left: that departure ends, it was refused |
//! | `In` | set | seen and accepted rise to the hand-over's epoch; no forward | decided |
//! | `Out` | removed | seen rises to the hand-over's epoch; forward = target | added |
//! | `Remove` | removed | forgotten unless it was born here or has a forward | |
//! | `Born` | | born | |
//! | `Refused` | | seen rises to the hand-over's epoch; forward = source | decided |
//! | `Settled` | | | departure removed |
//! | `Stable` | | | decisions up to it removed |
//! | `Forgotten` | | no forward; forgotten unless it was born here | |
//! | `Applied`, `Sent`, `Delivered` | | | effects applied, owed, not owed any more |
//! | `Owner` | | | |
//!
//! Records are keyed by entity and found by place (cell, entity): a shard is a range of places, so splits and merges rewrite
//! nothing. The state is the fold of the journal; an entry that breaks a rule is refused whole.

use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::journal::{Departure, Entry, Fence, ShardOp};
use pangaea_schemas::record::{COMPONENT_BYTES_MAX, OUTBOX_MAX, RECORD_COMPONENTS_MAX, Record};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{AgentEpoch, EntityId};

use crate::batch::Batch;
use crate::codec::{Malformed, Reader, Writer, decode};
use crate::key;
use crate::lanes;
use crate::store::{RowTable, StoreError};

/// Why an entry cannot be folded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    #[error("{entity} is filed in cell {cell}, outside of shard {shard}")]
    Outside { entity: EntityId, cell: CellId, shard: ShardId },
    #[error("{entity} comes with epoch {given}, but is already filed in cell {cell} with {filed}")]
    Epoch { entity: EntityId, given: AgentEpoch, filed: AgentEpoch, cell: CellId },
    #[error("{entity} has too many components, components too large, or too many outputs waiting")]
    TooLarge { entity: EntityId },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Applies the operations of an entry of `shard` in order.
pub(crate) fn fold(batch: &mut Batch<'_>, shard: ShardId, entry: &Entry) -> Result<(), FoldError> {
    for op in &entry.ops {
        match op {
            ShardOp::Owner { .. } => {}
            ShardOp::Put(record) => {
                // An entity that left and is live again without an IN was refused at its target.
                if put(batch, shard, record, record.epoch)? {
                    take_back(batch, shard, record.entity, record.epoch)?;
                }
            }
            ShardOp::Remove { entity } => {
                remove(batch, shard, *entity)?;
                // Or each creature that ever lived would leave a row behind. Late commits are known by their decisions.
                change_fence(batch, shard, *entity, |fence| {
                    if !fence.born && fence.forward.is_none() {
                        *fence = Fence::default();
                    }
                })?;
            }
            ShardOp::Born { entity } => change_fence(batch, shard, *entity, |fence| fence.born = true)?,
            ShardOp::Out { xid, target, members } => {
                for member in members {
                    remove(batch, shard, member.entity)?;
                    change_fence(batch, shard, member.entity, |fence| {
                        fence.seen = fence.seen.max(xid.epoch);
                        fence.forward = Some(*target);
                    })?;
                }
                let departure = Departure { xid: *xid, target: *target, members: members.clone() };
                batch.put(RowTable::Departures, &key::departure(shard, xid), departure.to_stored());
            }
            ShardOp::In { xid, members } => {
                for member in members {
                    put(batch, shard, member, member.epoch.max(xid.epoch))?;
                }
                lanes::decided(batch, shard, *xid, &[]);
            }
            ShardOp::Refused { xid, members } => {
                for member in members {
                    change_fence(batch, shard, *member, |fence| {
                        (fence.seen, fence.forward) = (fence.seen.max(xid.epoch), Some(xid.source));
                    })?;
                }
                lanes::decided(batch, shard, *xid, members);
            }
            ShardOp::Settled { xid } => batch.delete(RowTable::Departures, &key::departure(shard, xid)),
            ShardOp::Stable { source, upto } => lanes::stable(batch, shard, *source, *upto)?,
            ShardOp::Forgotten { members } => {
                for member in members {
                    change_fence(batch, shard, *member, |fence| {
                        fence.forward = None;
                        if !fence.born {
                            *fence = Fence::default();
                        }
                    })?;
                }
            }
            ShardOp::Applied { source, upto } => lanes::applied(batch, shard, *source, *upto)?,
            ShardOp::Sent { to, first, effects } => lanes::sent(batch, shard, *to, *first, effects),
            ShardOp::Delivered { to, upto } => lanes::delivered(batch, shard, *to, *upto)?,
        }
    }
    Ok(())
}

/// Files a record, wherever it was filed before, and raises its fence to `epoch`. Tells whether it had left this shard
/// before.
fn put(batch: &mut Batch<'_>, shard: ShardId, record: &Record, epoch: AgentEpoch) -> Result<bool, FoldError> {
    let entity = record.entity;
    if !shard.contains(record.cell) {
        return Err(FoldError::Outside { entity, cell: record.cell, shard });
    }
    let large = record.components.iter().any(|c| c.bytes.len() > COMPONENT_BYTES_MAX);
    if large || record.components.len() > RECORD_COMPONENTS_MAX || record.session.outbox.len() > OUTBOX_MAX {
        return Err(FoldError::TooLarge { entity });
    }
    let filed = Filed::load(batch, entity)?;
    if let Some(filed) = &filed {
        // Only a hand-over, which raises the epoch, brings an entity from another shard.
        let stale = if shard.contains(filed.cell) { record.epoch < filed.epoch } else { record.epoch <= filed.epoch };
        if stale {
            return Err(FoldError::Epoch { entity, given: record.epoch, filed: filed.epoch, cell: filed.cell });
        }
    }
    if filed.as_ref().map(|filed| filed.cell) != Some(record.cell) {
        if let Some(filed) = filed {
            batch.delete(RowTable::Places, &place_key(filed.cell, entity));
        }
        batch.put(RowTable::Places, &place_key(record.cell, entity), Bytes::new());
    }
    let mut row = Writer(Vec::with_capacity(160));
    row.u64(record.cell.to_bits()).u64(record.epoch.0).0.extend_from_slice(&record.to_stored());
    batch.put(RowTable::Records, &key::number(entity.0), row.0);
    let mut was_away = false;
    change_fence(batch, shard, entity, |fence| {
        was_away = fence.forward.take().is_some();
        fence.seen = fence.seen.max(epoch);
        fence.accepted = fence.accepted.max(epoch);
    })?;
    Ok(was_away)
}

fn remove(batch: &mut Batch<'_>, shard: ShardId, entity: EntityId) -> Result<(), FoldError> {
    let Some(filed) = Filed::load(batch, entity)? else {
        return Ok(());
    };
    if !shard.contains(filed.cell) {
        return Err(FoldError::Outside { entity, cell: filed.cell, shard });
    }
    batch.delete(RowTable::Places, &place_key(filed.cell, entity));
    batch.delete(RowTable::Records, &key::number(entity.0));
    Ok(())
}

/// Place of an entity: its cell in Morton order, then its id.
pub(crate) fn place_key(cell: CellId, entity: EntityId) -> [u8; 16] {
    key::pair(cell.key(), entity.0)
}

/// Where and with which epoch an entity is filed: the start of its row, so that it need not be decoded.
pub(crate) struct Filed {
    pub(crate) cell: CellId,
    pub(crate) epoch: AgentEpoch,
    pub(crate) record: Bytes,
}

impl Filed {
    fn load(batch: &mut Batch<'_>, entity: EntityId) -> Result<Option<Self>, StoreError> {
        let key = key::number(entity.0);
        let Some(row) = batch.get(RowTable::Records, &key)? else {
            return Ok(None);
        };
        Self::decode(row).map(Some).map_err(|e| StoreError::damaged(RowTable::Records, &key, e.0))
    }

    pub(crate) fn decode(row: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(row);
        let cell = CellId::from_bits(reader.u64()?).ok_or(Malformed("there is no such cell"))?;
        let epoch = AgentEpoch(reader.u64()?);
        Ok(Self { cell, epoch, record: reader.rest() })
    }
}

/// The cell in which an entity is filed.
pub(crate) fn cell_of(batch: &mut Batch<'_>, entity: EntityId) -> Result<Option<CellId>, StoreError> {
    Ok(Filed::load(batch, entity)?.map(|filed| filed.cell))
}

/// An entity's record and the size of its row in bytes.
pub(crate) fn record(batch: &mut Batch<'_>, entity: EntityId) -> Result<Option<(Record, usize)>, StoreError> {
    let Some(filed) = Filed::load(batch, entity)? else {
        return Ok(None);
    };
    let size = filed.record.len();
    let record = decode(&filed.record);
    record.map(|r| Some((r, size))).map_err(|e| StoreError::damaged(RowTable::Records, &key::number(entity.0), e.0))
}

fn change_fence(
    batch: &mut Batch<'_>,
    shard: ShardId,
    entity: EntityId,
    change: impl FnOnce(&mut Fence),
) -> Result<(), StoreError> {
    let key = key::fence(shard, entity);
    let before = match batch.get(RowTable::Fences, &key)? {
        Some(bytes) => decode_fence(bytes).map_err(|e| StoreError::damaged(RowTable::Fences, &key, e.0))?,
        None => Fence::default(),
    };
    let mut fence = before;
    change(&mut fence);
    if fence == Fence::default() && fence != before {
        batch.delete(RowTable::Fences, &key);
    } else if fence != before {
        let mut row = Writer::default();
        row.u64(fence.seen.0).u64(fence.accepted.0).u8(u8::from(fence.born));
        if let Some(forward) = fence.forward {
            row.u64(forward.to_bits());
        }
        batch.put(RowTable::Fences, &key, row.0);
    }
    Ok(())
}

/// A fence from its row.
pub(crate) fn decode_fence(bytes: Bytes) -> Result<Fence, Malformed> {
    let mut reader = Reader::new(bytes);
    let (seen, accepted, born) = (AgentEpoch(reader.u64()?), AgentEpoch(reader.u64()?), reader.u8()? != 0);
    let rest = reader.rest();
    let forward = if rest.is_empty() { None } else { Some(Reader::new(rest).shard()?) };
    Ok(Fence { seen, accepted, born, forward })
}

/// The hand-over with which the entity had left is over.
fn take_back(batch: &mut Batch<'_>, shard: ShardId, entity: EntityId, epoch: AgentEpoch) -> Result<(), StoreError> {
    for (key, value) in batch.under(RowTable::Departures, &key::shard(shard))? {
        let departure = decode::<Departure>(&value).map_err(|e| StoreError::damaged(RowTable::Departures, &key, e.0))?;
        let returned = departure.members.iter().any(|member| member.entity == entity && member.epoch <= epoch);
        if returned {
            batch.delete(RowTable::Departures, &key);
        }
    }
    Ok(())
}

/// The shard that an entity is leaving, if it is past the commit point and nobody has confirmed it. Departures are few.
pub(crate) fn leaving(batch: &Batch<'_>, entity: EntityId) -> Result<Option<ShardId>, StoreError> {
    for (key, value) in batch.under(RowTable::Departures, &[])? {
        let departure = decode::<Departure>(&value).map_err(|e| StoreError::damaged(RowTable::Departures, &key, e.0))?;
        if departure.members.iter().any(|member| member.entity == entity) {
            return Ok(key::number_at(&key, 0).and_then(ShardId::from_bits));
        }
    }
    Ok(None)
}
