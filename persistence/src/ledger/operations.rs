//! Results of operations, kept so that asking twice does it once. The oldest go when there are more than the bound.

use pangaea_schemas::message::{LedgerResult, OpId};
use pangaea_schemas::wire::stored::Stored;

use super::ring;
use crate::batch::Batch;
use crate::codec::decode;
use crate::store::{RowTable, StoreError};

/// Results kept. At 1,000 operations a second an answer can be asked for again for a quarter of an hour.
pub const OPERATIONS_KEPT: u64 = 1 << 20;

/// The result of an operation that was done before.
pub(super) fn stored(batch: &mut Batch<'_>, op: OpId) -> Result<Option<LedgerResult>, StoreError> {
    let key = op.0.to_be_bytes();
    let Some(bytes) = batch.get(RowTable::Operations, &key)? else {
        return Ok(None);
    };
    decode(&bytes).map(Some).map_err(|e| StoreError::damaged(RowTable::Operations, &key, e.0))
}

/// Stores a result.
pub(super) fn store(batch: &mut Batch<'_>, op: OpId, result: &LedgerResult) -> Result<(), StoreError> {
    ring::push(batch, &ring::OPERATIONS, &op.0.to_be_bytes())?;
    batch.put(RowTable::Operations, &op.0.to_be_bytes(), result.to_stored());
    Ok(())
}
