//! Items: one row each with exactly one owner, never deleted, and a chain of digests over all its moves. The last moves are
//! kept, so the audit can check the end of the chain and name the operation after which something was changed behind the
//! ledger's back.

use std::ops::ControlFlow;

use bytes::Bytes;
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::{CellId, Position, ShardId, SpaceId};
use pangaea_schemas::message::{Item, ItemKind, LedgerRefusal, OpId, Owner};

use super::LedgerError;
use crate::batch::Batch;
use crate::codec::{Malformed, Reader, Writer};
use crate::key;
use crate::store::{RowTable, StoreError};

/// Moves kept per item.
pub(super) const MOVES_KEPT: u64 = 16;
/// Most items in one answer to `LookGround`.
const GROUND_ITEMS_MAX: usize = 65_536;

/// An item's row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ItemRow {
    pub(super) kind: ItemKind,
    pub(super) owner: Owner,
    /// How often it changed hands, its creation included.
    pub(super) moves: u64,
    /// The operation of the last move.
    pub(super) op: OpId,
    /// Digest over all moves.
    pub(super) chain: u64,
}

impl ItemRow {
    pub(super) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let row = Self {
            kind: ItemKind(reader.u16()?),
            moves: reader.u64()?,
            op: OpId(reader.u128()?),
            chain: reader.u64()?,
            owner: read_owner(&mut reader)?,
        };
        reader.end()?;
        Ok(row)
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u16(self.kind.0).u64(self.moves).u128(self.op.0).u64(self.chain);
        write_owner(&mut writer, &self.owner);
        writer.0
    }
}

/// One kept move: operation, new owner, chain after it.
pub(super) fn decode_move(bytes: Bytes) -> Result<(OpId, Owner, u64), Malformed> {
    let mut reader = Reader::new(bytes);
    Ok((OpId(reader.u128()?), read_owner(&mut reader)?, reader.u64()?))
}

/// The chain after one more move: FNV-1a over the move, starting from the chain before.
pub(super) fn link(chain: u64, op: OpId, owner: &Owner) -> u64 {
    let mut writer = Writer::default();
    write_owner(writer.u64(chain).u128(op.0), owner);
    writer.0.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A new item. Refused when the id was ever used.
pub(super) fn create(batch: &mut Batch<'_>, op: OpId, item: EntityId, kind: ItemKind, owner: Owner) -> Result<(), LedgerError> {
    if !item.is_some() || !may_receive(&owner) || owner == Owner::Sink {
        return Err(LedgerError::Refused(LedgerRefusal::Form));
    }
    if batch.get(RowTable::Items, &key::number(item.0))?.is_some() {
        return Err(LedgerError::Refused(LedgerRefusal::Exists));
    }
    let row = ItemRow { kind, owner, moves: 0, op, chain: item.0 };
    give(batch, op, item, row, owner);
    Ok(())
}

/// Moves an item. Refused unless `from` has it; what is in the sink stays there.
pub(super) fn hand(batch: &mut Batch<'_>, op: OpId, item: EntityId, from: Owner, to: Owner) -> Result<(), LedgerError> {
    let refused = |refusal| Err(LedgerError::Refused(refusal));
    if !may_receive(&to) {
        return refused(LedgerRefusal::Form);
    }
    let key = key::number(item.0);
    let Some(bytes) = batch.get(RowTable::Items, &key)? else {
        return refused(LedgerRefusal::NotOwner);
    };
    let row = ItemRow::decode(bytes).map_err(|e| StoreError::damaged(RowTable::Items, &key, e.0))?;
    let has_it = match (from, row.owner) {
        (Owner::Agent(from), Owner::Agent(owner)) => from == owner,
        (Owner::Ground { .. }, Owner::Ground { .. }) => true,
        (Owner::Agent(_) | Owner::Ground { .. } | Owner::Sink, _) => false,
    };
    if !has_it {
        return refused(LedgerRefusal::NotOwner);
    }
    if let Some((table, key)) = index_row(item, &row.owner) {
        batch.delete(table, &key);
    }
    give(batch, op, item, row, to);
    Ok(())
}

/// Writes the item under its new owner, with its index row and its move.
fn give(batch: &mut Batch<'_>, op: OpId, item: EntityId, row: ItemRow, owner: Owner) {
    let row = ItemRow { owner, op, moves: row.moves + 1, chain: link(row.chain, op, &owner), ..row };
    batch.put(RowTable::Items, &key::number(item.0), row.encode());
    if let Some((table, key)) = index_row(item, &owner) {
        batch.put(table, &key, row.kind.0.to_le_bytes().to_vec());
    }
    let mut kept = Writer::default();
    write_owner(kept.u128(op.0), &owner);
    kept.u64(row.chain);
    batch.put(RowTable::Moves, &key::pair(item.0, row.moves), kept.0);
    if let Some(old) = row.moves.checked_sub(MOVES_KEPT).filter(|old| *old > 0) {
        batch.delete(RowTable::Moves, &key::pair(item.0, old));
    }
}

/// Where an owner's items are listed; the sink lists none.
pub(super) fn index_row(item: EntityId, owner: &Owner) -> Option<(RowTable, [u8; 16])> {
    match owner {
        Owner::Agent(agent) => Some((RowTable::Owned, key::pair(agent.0, item.0))),
        Owner::Ground { space, position } => Some((RowTable::Ground, key::pair(CellId::at(*space, *position).key(), item.0))),
        Owner::Sink => None,
    }
}

fn may_receive(owner: &Owner) -> bool {
    match owner {
        Owner::Agent(agent) => agent.is_some(),
        Owner::Ground { position, .. } => position.is_finite(),
        Owner::Sink => true,
    }
}

/// What an agent has, in order of id.
pub(super) fn owned_by(batch: &Batch<'_>, agent: EntityId) -> Result<Vec<Item>, StoreError> {
    let rows = batch.under(RowTable::Owned, &key::number(agent.0))?;
    let item = |(key, value): (Vec<u8>, Bytes)| {
        let damaged = || StoreError::damaged(RowTable::Owned, &key, "not an item");
        let item = EntityId(key::number_at(&key, 1).ok_or_else(damaged)?);
        let kind = ItemKind(Reader::new(value).u16().map_err(|_| damaged())?);
        Ok(Item { item, kind, owner: Owner::Agent(agent) })
    };
    rows.into_iter().map(item).collect()
}

/// What lies in a shard's cells, in order of id.
pub(super) fn on_ground(batch: &mut Batch<'_>, shard: ShardId) -> Result<Vec<Item>, StoreError> {
    let (first, last) = shard.key_range();
    let mut ids = Vec::new();
    batch.scan(RowTable::Ground, &key::number(first), &mut |key, _| {
        let (Some(cell), Some(item)) = (key::number_at(key, 0), key::number_at(key, 1)) else {
            return Err(StoreError::damaged(RowTable::Ground, key, "too short a key"));
        };
        if cell > last || ids.len() == GROUND_ITEMS_MAX {
            return Ok(ControlFlow::Break(()));
        }
        ids.push(EntityId(item));
        Ok(ControlFlow::Continue(()))
    })?;
    ids.sort_unstable();
    let mut items = Vec::with_capacity(ids.len());
    for item in ids {
        let key = key::number(item.0);
        let damaged = |why| StoreError::damaged(RowTable::Items, &key, why);
        let bytes = batch.get(RowTable::Items, &key)?.ok_or_else(|| damaged("it is missing"))?;
        let row = ItemRow::decode(bytes).map_err(|e| damaged(e.0))?;
        items.push(Item { item, kind: row.kind, owner: row.owner });
    }
    Ok(items)
}

/// An owner as stored: a tag, then the agent, or space and position.
pub(super) fn write_owner(writer: &mut Writer, owner: &Owner) {
    match owner {
        Owner::Agent(agent) => writer.u8(0).u64(agent.0),
        Owner::Ground { space, position } => writer.u8(1).u16(space.0).u32(position.x.to_bits()).u32(position.z.to_bits()),
        Owner::Sink => writer.u8(2),
    };
}

/// The inverse of [`write_owner`].
pub(super) fn read_owner(reader: &mut Reader) -> Result<Owner, Malformed> {
    match reader.u8()? {
        0 => Ok(Owner::Agent(EntityId(reader.u64()?))),
        1 => {
            let space = SpaceId(reader.u16()?);
            let position = Position { x: f32::from_bits(reader.u32()?), z: f32::from_bits(reader.u32()?) };
            Ok(Owner::Ground { space, position })
        }
        2 => Ok(Owner::Sink),
        _ => Err(Malformed("an owner of an unknown kind")),
    }
}
