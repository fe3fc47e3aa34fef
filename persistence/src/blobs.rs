//! Blobs: a row with number and length under the name, and the bytes in parts under the number.
//!
//! A put is whole or not at all: parts and name change in one transaction, and every put takes a fresh number.

use bytes::{Bytes, BytesMut};
use pangaea_schemas::RequestId;
use pangaea_schemas::message::{BLOB_BYTES_MAX, BlobReply, BlobRequest};

use crate::batch::Batch;
use crate::codec::{Reader, Writer};
use crate::ids::{counter, set_counter};
use crate::key;
use crate::store::{RowTable, StoreError};

/// Bytes of one part.
const PART_BYTES: usize = 64 << 10;
/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Does one request.
pub(crate) fn handle(batch: &mut Batch<'_>, asked: &BlobRequest) -> Result<BlobReply, StoreError> {
    match asked {
        BlobRequest::Put { request, name, bytes } => put(batch, *request, name, bytes),
        BlobRequest::Get { request, name } => Ok(BlobReply::Value { request: *request, bytes: get(batch, name)? }),
        BlobRequest::List { request, prefix } => {
            let rows = batch.under(RowTable::Blobs, prefix.as_bytes())?;
            let names = rows.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
            Ok(BlobReply::Names { request: *request, names })
        }
        BlobRequest::Delete { request, name } => {
            remove(batch, name)?;
            Ok(BlobReply::Done { request: *request })
        }
    }
}

fn put(batch: &mut Batch<'_>, request: RequestId, name: &str, bytes: &Bytes) -> Result<BlobReply, StoreError> {
    let failed = |reason| Ok(BlobReply::Failed { request, reason });
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return failed(format!("a blob's name has 1 to {NAME_BYTES_MAX} bytes, this one {}", name.len()));
    }
    if bytes.len() > BLOB_BYTES_MAX {
        return failed(format!("the blob has {} bytes, more than {BLOB_BYTES_MAX}", bytes.len()));
    }
    remove(batch, name)?;
    let number = counter(batch, b"blobs", 1)?;
    set_counter(batch, b"blobs", number + 1);
    let mut row = Writer::default();
    row.u64(number).u64(bytes.len() as u64);
    batch.put(RowTable::Blobs, name.as_bytes(), row.0);
    for (n, start) in (0..bytes.len()).step_by(PART_BYTES).enumerate() {
        let part = bytes.slice(start..bytes.len().min(start + PART_BYTES));
        batch.put(RowTable::BlobParts, &key::pair(number, n as u64), part);
    }
    Ok(BlobReply::Done { request })
}

/// Number and length of a blob.
fn stored(batch: &mut Batch<'_>, name: &str) -> Result<Option<(u64, usize)>, StoreError> {
    // LMDB has no empty key, and there is no blob without a name.
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Ok(None);
    }
    let Some(bytes) = batch.get(RowTable::Blobs, name.as_bytes())? else {
        return Ok(None);
    };
    let mut reader = Reader::new(bytes);
    let damaged = |e: crate::codec::Malformed| StoreError::damaged(RowTable::Blobs, name.as_bytes(), e.0);
    Ok(Some((reader.u64().map_err(damaged)?, reader.u64().map_err(damaged)? as usize)))
}

fn get(batch: &mut Batch<'_>, name: &str) -> Result<Option<Bytes>, StoreError> {
    let Some((number, length)) = stored(batch, name)? else {
        return Ok(None);
    };
    let mut bytes = BytesMut::with_capacity(length.min(BLOB_BYTES_MAX));
    for n in 0..length.div_ceil(PART_BYTES) {
        let key = key::pair(number, n as u64);
        let part = batch.get(RowTable::BlobParts, &key)?;
        bytes.extend_from_slice(&part.ok_or_else(|| StoreError::damaged(RowTable::BlobParts, &key, "it is missing"))?);
    }
    Ok(Some(bytes.freeze()))
}

fn remove(batch: &mut Batch<'_>, name: &str) -> Result<(), StoreError> {
    if let Some((number, length)) = stored(batch, name)? {
        for n in 0..length.div_ceil(PART_BYTES) {
            batch.delete(RowTable::BlobParts, &key::pair(number, n as u64));
        }
        batch.delete(RowTable::Blobs, name.as_bytes());
    }
    Ok(())
}
