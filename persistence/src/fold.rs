//! One entry of a journal, folded into rows: records, places, fences, departures, applied effects.
//!
//! | operation | records | fence of each entity | departures and lanes |
//! |---|---|---|---|
//! | `Put` | set | only that it was born here, if it was | if it had left: that departure ends, it was refused |
//! | `In` | set | the same | decided |
//! | `Out` | removed | accepted is its epoch, seen the hand-over's; forward = target | added |
//! | `Remove` | removed | forgotten unless it was born here or has a forward | |
//! | `Born` | | born | |
//! | `Refused` | | seen rises to the hand-over's epoch; forward = source | decided |
//! | `Settled` | | | departure removed |
//! | `Stable` | | | decisions up to it removed |
//! | `Forgotten` | | no forward; forgotten unless it was born here | |
//! | `Applied`, `Sent`, `Delivered` | | | effects applied, owed, not owed any more |
//! | `Owner` | | | |
//! | `InName` | as for the shard itself | the closed shard's | the closed shard's |
//!
//! An entity that is here is fenced by its record alone; fences are rows of those who are away. `Split` and `Merge` are not
//! folded: they change journals only, see [`crate::recut`].
//!
//! Records are keyed by entity and found by place (cell, entity): a shard is a range of places, so splits and merges rewrite
//! nothing. The state is the fold of the journal; an entry that breaks a rule is refused whole.

use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::journal::{Departure, Entry, Fence, ShardOp};
use pangaea_schemas::record::Record;
use pangaea_schemas::wire::flat::{RecordHead, RecordView, Records};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{AgentEpoch, EntityId};

use crate::batch::Batch;
use crate::codec::{Malformed, Reader, Writer, decode, undecodable};
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
    #[error("{shard} does not have the estate of {name}")]
    NotInherited { name: ShardId, shard: ShardId },
    #[error("{entity} has too many components, components too large, or too many outputs waiting")]
    TooLarge { entity: EntityId },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Applies the operations of an entry of `shard` in order. `estates`: the closed shards in whose names it may act; one that
/// nobody named before is added.
pub(crate) fn fold(batch: &mut Batch<'_>, shard: ShardId, estates: &mut Vec<ShardId>, entry: &Entry) -> Result<(), FoldError> {
    for op in &entry.ops {
        match op {
            ShardOp::InName { name, op } => {
                if !shard.inherits(*name) {
                    return Err(FoldError::NotInherited { name: *name, shard });
                }
                if !estates.contains(name) {
                    estates.push(*name);
                }
                fold_op(batch, Names { shard, estates, name: *name }, op)?;
            }
            op => fold_op(batch, Names { shard, estates, name: shard }, op)?,
        }
    }
    Ok(())
}

/// Who acts, and in whose name.
#[derive(Clone, Copy)]
struct Names<'e> {
    shard: ShardId,
    estates: &'e [ShardId],
    name: ShardId,
}

impl Names<'_> {
    fn all(&self) -> impl Iterator<Item = ShardId> {
        std::iter::once(self.shard).chain(self.estates.iter().copied())
    }
}

fn fold_op(batch: &mut Batch<'_>, names: Names<'_>, op: &ShardOp) -> Result<(), FoldError> {
    let Names { shard, name, .. } = names;
    match op {
        // Stand alone in their entries, and are no matter of rows.
        ShardOp::Owner { .. } | ShardOp::Split { .. } | ShardOp::Merge { .. } | ShardOp::InName { .. } => {}
        ShardOp::Put(records) => {
            for record in records.iter() {
                // An entity that left and is live again without an IN was refused at its target.
                for left in put(batch, names, &record)? {
                    take_back(batch, left, record.head.entity, record.head.epoch)?;
                }
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
                let accepted = remove(batch, shard, member.entity)?.unwrap_or_default();
                change_fence(batch, name, member.entity, |fence| {
                    fence.seen = fence.seen.max(xid.epoch);
                    fence.accepted = fence.accepted.max(accepted);
                    fence.forward = Some(*target);
                })?;
            }
            let departure = Departure { xid: *xid, target: *target, members: members.clone() };
            batch.put(RowTable::Departures, &key::departure(name, xid), departure.to_stored());
        }
        ShardOp::In { xid, members } => {
            for member in members {
                let records = Records::from(member);
                records.iter().try_for_each(|record| put(batch, names, &record).map(drop))?;
            }
            lanes::decided(batch, name, *xid, &[]);
        }
        ShardOp::Refused { xid, members } => {
            for member in members {
                change_fence(batch, name, *member, |fence| {
                    (fence.seen, fence.forward) = (fence.seen.max(xid.epoch), Some(xid.source));
                })?;
            }
            lanes::decided(batch, name, *xid, members);
        }
        // The hand-over itself says in whose name it was.
        ShardOp::Settled { xid } => batch.delete(RowTable::Departures, &key::departure(xid.source, xid)),
        ShardOp::Stable { source, upto } => lanes::stable(batch, name, *source, *upto)?,
        ShardOp::Forgotten { members } => {
            for (member, name) in members.iter().flat_map(|member| names.all().map(move |name| (member, name))) {
                change_fence(batch, name, *member, |fence| {
                    fence.forward = None;
                    if !fence.born {
                        *fence = Fence::default();
                    }
                })?;
            }
        }
        ShardOp::Applied { source, upto } => lanes::applied(batch, name, *source, *upto)?,
        ShardOp::Sent { to, first, effects } => lanes::sent(batch, name, *to, *first, effects),
        ShardOp::Delivered { to, upto } => lanes::delivered(batch, name, *to, *upto)?,
    }
    Ok(())
}

/// Files a record, wherever it was filed before: it needs no other fence now than that it was born. Tells the names in which
/// it had left.
fn put(batch: &mut Batch<'_>, names: Names<'_>, record: &RecordView<'_>) -> Result<Vec<ShardId>, FoldError> {
    let RecordHead { entity, epoch, cell, .. } = record.head;
    let shard = names.shard;
    if !shard.contains(cell) {
        return Err(FoldError::Outside { entity, cell, shard });
    }
    if record.is_too_large() {
        return Err(FoldError::TooLarge { entity });
    }
    let before = filed(batch, entity)?;
    if let Some(filed) = &before {
        // Only a hand-over, which raises the epoch, brings an entity from another shard.
        let stale = if shard.contains(filed.cell) { epoch < filed.epoch } else { epoch <= filed.epoch };
        if stale {
            return Err(FoldError::Epoch { entity, given: epoch, filed: filed.epoch, cell: filed.cell });
        }
    }
    if before.is_none_or(|filed| filed.cell != cell) {
        if let Some(filed) = before {
            batch.delete(RowTable::Places, &place_key(filed.cell, entity));
        }
        batch.put(RowTable::Places, &place_key(cell, entity), Bytes::new());
    }
    batch.put(RowTable::Records, &key::number(entity.0), record.to_stored());
    let mut left = Vec::new();
    for name in names.all() {
        change_fence(batch, name, entity, |fence| {
            left.extend(fence.forward.map(|_| name));
            *fence = Fence { born: fence.born, ..Fence::default() };
        })?;
    }
    Ok(left)
}

/// The epoch under which it was filed.
fn remove(batch: &mut Batch<'_>, shard: ShardId, entity: EntityId) -> Result<Option<AgentEpoch>, FoldError> {
    let Some(filed) = filed(batch, entity)? else {
        return Ok(None);
    };
    if !shard.contains(filed.cell) {
        return Err(FoldError::Outside { entity, cell: filed.cell, shard });
    }
    batch.delete(RowTable::Places, &place_key(filed.cell, entity));
    batch.delete(RowTable::Records, &key::number(entity.0));
    Ok(Some(filed.epoch))
}

/// Place of an entity: its cell in Morton order, then its id.
pub(crate) fn place_key(cell: CellId, entity: EntityId) -> [u8; 16] {
    key::pair(cell.key(), entity.0)
}

/// Where and with which epoch an entity is filed: the start of its row, so that it need not be decoded.
fn filed(batch: &mut Batch<'_>, entity: EntityId) -> Result<Option<RecordHead>, StoreError> {
    let key = key::number(entity.0);
    let Some(row) = batch.get(RowTable::Records, &key)? else {
        return Ok(None);
    };
    let record = RecordView::of_stored(&row).map_err(undecodable);
    Ok(Some(record.map_err(|e| StoreError::damaged(RowTable::Records, &key, e.0))?.head))
}

/// The cell in which an entity is filed.
pub(crate) fn cell_of(batch: &mut Batch<'_>, entity: EntityId) -> Result<Option<CellId>, StoreError> {
    Ok(filed(batch, entity)?.map(|filed| filed.cell))
}

/// An entity's record and the size of its row in bytes.
pub(crate) fn record(batch: &mut Batch<'_>, entity: EntityId) -> Result<Option<(Record, usize)>, StoreError> {
    let key = key::number(entity.0);
    let Some(row) = batch.get(RowTable::Records, &key)? else {
        return Ok(None);
    };
    let record = decode(&row).map_err(|e| StoreError::damaged(RowTable::Records, &key, e.0))?;
    Ok(Some((record, row.len())))
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
