//! Results of operations, kept so that asking twice does it once. The oldest go when there are more than the bound.

use pangaea_schemas::EntityId;
use pangaea_schemas::message::{Balance, Currency, Holdings, Item, ItemKind, LedgerRefusal, LedgerResult, OpId};

use super::items::{read_owner, write_owner};
use crate::batch::Batch;
use crate::codec::{Malformed, Reader, Writer};
use crate::ids::{counter, set_counter};
use crate::key;
use crate::store::{RowTable, StoreError};

/// Results kept. At 1,000 operations a second an answer can be asked for again for a quarter of an hour.
pub const OPERATIONS_KEPT: u64 = 1 << 20;
/// No result has more parts than this.
const PARTS_MAX: usize = 1 << 20;

/// The result of an operation that was done before.
pub(super) fn stored(batch: &mut Batch<'_>, op: OpId) -> Result<Option<LedgerResult>, StoreError> {
    let key = op.0.to_be_bytes();
    let Some(bytes) = batch.get(RowTable::Operations, &key)? else {
        return Ok(None);
    };
    decode(Reader::new(bytes)).map(Some).map_err(|e| StoreError::damaged(RowTable::Operations, &key, e.0))
}

/// Stores a result and forgets the one beyond the bound.
pub(super) fn store(batch: &mut Batch<'_>, op: OpId, result: &LedgerResult) -> Result<(), StoreError> {
    let next = counter(batch, b"operations", 0)?;
    set_counter(batch, b"operations", next + 1);
    batch.put(RowTable::OperationOrder, &key::number(next), op.0.to_be_bytes().to_vec());
    batch.put(RowTable::Operations, &op.0.to_be_bytes(), encode(result));
    if let Some(oldest) = next.checked_sub(OPERATIONS_KEPT) {
        let oldest = key::number(oldest);
        if let Some(op) = batch.get(RowTable::OperationOrder, &oldest)? {
            batch.delete(RowTable::Operations, &op);
            batch.delete(RowTable::OperationOrder, &oldest);
        }
    }
    Ok(())
}

fn encode(result: &LedgerResult) -> Vec<u8> {
    let mut writer = Writer::default();
    match result {
        LedgerResult::Done(holdings) => {
            writer.u8(0).u32(holdings.len() as u32);
            for one in holdings {
                writer.u64(one.agent.0).u64(one.version).u32(one.balances.len() as u32);
                for balance in &one.balances {
                    writer.u16(balance.currency.0).u64(balance.amount);
                }
                write_items(&mut writer, &one.items);
            }
        }
        LedgerResult::Ground(items) => write_items(writer.u8(1), items),
        LedgerResult::Refused(refusal) => {
            writer.u8(2).u8(*refusal as u8);
        }
        LedgerResult::Unavailable(reason) => {
            writer.u8(3).bytes(reason.as_bytes());
        }
    }
    writer.0
}

fn decode(mut reader: Reader) -> Result<LedgerResult, Malformed> {
    match reader.u8()? {
        0 => {
            let mut holdings = Vec::new();
            for _ in 0..reader.count(PARTS_MAX)? {
                let (agent, version) = (EntityId(reader.u64()?), reader.u64()?);
                let mut balances = Vec::new();
                for _ in 0..reader.count(PARTS_MAX)? {
                    balances.push(Balance { currency: Currency(reader.u16()?), amount: reader.u64()? });
                }
                holdings.push(Holdings { agent, version, balances, items: read_items(&mut reader)? });
            }
            Ok(LedgerResult::Done(holdings))
        }
        1 => Ok(LedgerResult::Ground(read_items(&mut reader)?)),
        2 => {
            let refusals =
                [LedgerRefusal::Stale, LedgerRefusal::Funds, LedgerRefusal::NotOwner, LedgerRefusal::Exists, LedgerRefusal::Form];
            let refusal = refusals.get(usize::from(reader.u8()?)).ok_or(Malformed("an unknown refusal"))?;
            Ok(LedgerResult::Refused(*refusal))
        }
        3 => Ok(LedgerResult::Unavailable(String::from_utf8_lossy(&reader.bytes()?).into_owned())),
        _ => Err(Malformed("a result of an unknown kind")),
    }
}

fn write_items(writer: &mut Writer, items: &[Item]) {
    writer.u32(items.len() as u32);
    for item in items {
        write_owner(writer.u64(item.item.0).u16(item.kind.0), &item.owner);
    }
}

fn read_items(reader: &mut Reader) -> Result<Vec<Item>, Malformed> {
    let count = reader.count(PARTS_MAX)?;
    let item = |_| Ok(Item { item: EntityId(reader.u64()?), kind: ItemKind(reader.u16()?), owner: read_owner(reader)? });
    (0..count).map(item).collect()
}
