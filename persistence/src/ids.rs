//! Durable blocks of entity ids: a block is handed out once, whatever becomes of the reply.

use pangaea_schemas::message::JournalReply;
use pangaea_schemas::{EntityId, RequestId};

use crate::batch::Batch;
use crate::codec::Reader;
use crate::store::{RowTable, StoreError};

/// Ids in one block. The first block starts at this number; smaller ids are never handed out.
pub const ID_BLOCK: u64 = 65_536;

/// The next block.
pub(crate) fn block(batch: &mut Batch<'_>, request: RequestId) -> Result<JournalReply, StoreError> {
    let first = counter(batch, b"ids", ID_BLOCK)?;
    set_counter(batch, b"ids", first + ID_BLOCK);
    Ok(JournalReply::IdBlock { request, first: EntityId(first), count: ID_BLOCK })
}

/// A durable counter; `start` before it was ever set.
pub(crate) fn counter(batch: &mut Batch<'_>, name: &[u8], start: u64) -> Result<u64, StoreError> {
    match batch.get(RowTable::Meta, name)? {
        Some(bytes) => Reader::new(bytes).u64().map_err(|e| StoreError::damaged(RowTable::Meta, name, e.0)),
        None => Ok(start),
    }
}

/// Sets a durable counter.
pub(crate) fn set_counter(batch: &mut Batch<'_>, name: &[u8], value: u64) {
    batch.put(RowTable::Meta, name, value.to_le_bytes().to_vec());
}
