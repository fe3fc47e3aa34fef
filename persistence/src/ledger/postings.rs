//! The last changes of balances, each with its operation: from them the audit names the operation that money came or went with.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use pangaea_schemas::message::{Currency, OpId};

use super::accounts::{Account, AccountKey, balance};
use super::audit::Audit;
use crate::batch::Batch;
use crate::codec::{Malformed, Reader, Writer};
use crate::ids::{counter, set_counter};
use crate::key;
use crate::store::{RowTable, StoreError};

/// Postings kept; older changes of balances are known by their sum only.
pub const POSTINGS_KEPT: u64 = 1 << 20;

/// What an operation did to one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Posting {
    pub(super) op: OpId,
    pub(super) key: AccountKey,
    pub(super) before: i128,
    pub(super) after: i128,
}

impl Posting {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u128(self.op.0).u128(self.before as u128).u128(self.after as u128);
        writer.0.extend_from_slice(&self.key);
        writer.0
    }

    fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (op, before, after) = (OpId(reader.u128()?), reader.u128()? as i128, reader.u128()? as i128);
        let key = reader.rest().as_ref().try_into().map_err(|_| Malformed("not an account"))?;
        Ok(Self { op, key, before, after })
    }
}

/// Keeps a posting and forgets the one beyond the bound.
pub(super) fn keep(batch: &mut Batch<'_>, posting: &Posting) -> Result<(), StoreError> {
    let next = counter(batch, b"postings", 0)?;
    set_counter(batch, b"postings", next + 1);
    batch.put(RowTable::Postings, &key::number(next), posting.encode());
    if let Some(oldest) = next.checked_sub(POSTINGS_KEPT) {
        batch.delete(RowTable::Postings, &key::number(oldest));
    }
    Ok(())
}

/// Follows the kept postings from change to change: each operation adds up to zero, finds in an account what the one before left
/// there, and the last one left what is there now.
pub(super) fn audit(batch: &mut Batch<'_>, audit: &mut Audit) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(OpId, Currency), i128> = BTreeMap::new();
    let mut left: BTreeMap<AccountKey, (OpId, i128)> = BTreeMap::new();
    let mut torn = None;
    batch.scan(RowTable::Postings, &[], &mut |row, bytes| {
        let posting =
            Posting::decode(Bytes::copy_from_slice(bytes)).map_err(|e| StoreError::damaged(RowTable::Postings, row, e.0))?;
        let Posting { op, key, before, after } = posting;
        let Some((account, currency)) = Account::of_key(&key) else {
            return Err(StoreError::damaged(RowTable::Postings, row, "not an account"));
        };
        // Of the oldest operation some postings may be forgotten already.
        if *torn.get_or_insert((op, key::number_at(row, 0) != Some(0))) != (op, true) {
            *sums.entry((op, currency)).or_default() += after - before;
        }
        if let Some((earlier, amount)) = left.insert(key, (op, after))
            && amount != before
        {
            audit.fault(format!(
                "{account:?} had {amount} of currency {} after operation {:032x}, but operation {:032x} found {before}",
                currency.0, earlier.0, op.0
            ));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for ((op, currency), sum) in sums.iter().filter(|(_, sum)| **sum != 0) {
        audit.fault(format!("operation {:032x} made {sum} of currency {} out of nothing", op.0, currency.0));
    }
    for (key, (op, amount)) in left {
        let Some((account, currency)) = Account::of_key(&key) else { continue };
        let now = balance(batch, account, currency)?;
        if now != amount {
            audit.fault(format!(
                "{account:?} has {now} of currency {}, but the last operation, {:032x}, left {amount}",
                currency.0, op.0
            ));
        }
    }
    Ok(())
}
