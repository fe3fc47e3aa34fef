//! Rows kept in the order in which they came, up to a bound: the oldest goes when one more comes.

use crate::batch::Batch;
use crate::ids::{counter, set_counter};
use crate::key;
use crate::store::{RowTable, StoreError};

/// A bounded table.
pub(super) struct Ring {
    /// Counts what ever came.
    counter: &'static [u8],
    /// Count → key.
    order: RowTable,
    /// Key → row.
    rows: RowTable,
    kept: u64,
}

/// Results of operations.
pub(super) const OPERATIONS: Ring = Ring {
    counter: b"operations",
    order: RowTable::OperationOrder,
    rows: RowTable::Operations,
    kept: super::operations::OPERATIONS_KEPT,
};

/// Trades.
pub(super) const TRADES: Ring =
    Ring { counter: b"trades", order: RowTable::TradeOrder, rows: RowTable::Trades, kept: super::trades::TRADES_KEPT };

/// A new row will stand under `key`; the one beyond the bound is forgotten.
pub(super) fn push(batch: &mut Batch<'_>, ring: &Ring, key: &[u8]) -> Result<(), StoreError> {
    let next = counter(batch, ring.counter, 0)?;
    set_counter(batch, ring.counter, next + 1);
    batch.put(ring.order, &key::number(next), key.to_vec());
    if let Some(oldest) = next.checked_sub(ring.kept) {
        let oldest = key::number(oldest);
        if let Some(key) = batch.get(ring.order, &oldest)? {
            batch.delete(ring.rows, &key);
            batch.delete(ring.order, &oldest);
        }
    }
    Ok(())
}
