//! Small rows by table and name, changed only against the revision that was seen.
//!
//! Revisions count all changes of all tables, so a row deleted and made again never has an old one.

use std::ops::ControlFlow;

use bytes::Bytes;
use pangaea_schemas::Revision;
use pangaea_schemas::message::{TableOp, TableReply, TableRequest};

use crate::batch::Batch;
use crate::codec::Reader;
use crate::ids::{counter, set_counter};
use crate::store::{RowTable, StoreError};

/// Longest key of a row in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Largest value of a row in bytes.
const VALUE_BYTES_MAX: usize = 1 << 20;
/// An answer to `List` ends when its values have so many bytes.
const LIST_BYTES_MAX: usize = 1 << 20;

/// Does one request.
pub(crate) fn handle(batch: &mut Batch<'_>, asked: &TableRequest) -> Result<TableReply, StoreError> {
    let request = asked.request;
    let key = [&[asked.table as u8], asked.key.as_bytes()].concat();
    if asked.key.len() > NAME_BYTES_MAX {
        let reason = format!("the key has {} bytes, more than {NAME_BYTES_MAX}", asked.key.len());
        return Ok(TableReply::Failed { request, reason });
    }
    match &asked.op {
        TableOp::Get => Ok(match row(batch, &key)? {
            Some((revision, value)) => TableReply::Row { request, revision, value: Some(value) },
            None => TableReply::Row { request, revision: Revision::ZERO, value: None },
        }),
        TableOp::PutIf { expected, value } => {
            if value.len() > VALUE_BYTES_MAX {
                let reason = format!("the value has {} bytes, more than {VALUE_BYTES_MAX}", value.len());
                return Ok(TableReply::Failed { request, reason });
            }
            let current = row(batch, &key)?.map_or(Revision::ZERO, |(revision, _)| revision);
            if current != *expected {
                return Ok(TableReply::Conflict { request, current });
            }
            let revision = next_revision(batch)?;
            batch.put(RowTable::Tables, &key, [&revision.0.to_le_bytes(), value.as_ref()].concat());
            Ok(TableReply::Done { request, revision })
        }
        TableOp::DeleteIf { expected } => {
            let current = row(batch, &key)?.map_or(Revision::ZERO, |(revision, _)| revision);
            if current != *expected {
                return Ok(TableReply::Conflict { request, current });
            }
            batch.delete(RowTable::Tables, &key);
            Ok(TableReply::Done { request, revision: next_revision(batch)? })
        }
        TableOp::List { limit } => Ok(TableReply::Rows { request, rows: list(batch, &key, *limit as usize)? }),
    }
}

fn row(batch: &mut Batch<'_>, key: &[u8]) -> Result<Option<(Revision, Bytes)>, StoreError> {
    let Some(bytes) = batch.get(RowTable::Tables, key)? else {
        return Ok(None);
    };
    split(key, bytes).map(Some)
}

fn split(key: &[u8], bytes: Bytes) -> Result<(Revision, Bytes), StoreError> {
    let mut reader = Reader::new(bytes);
    let revision = reader.u64().map_err(|e| StoreError::damaged(RowTable::Tables, key, e.0))?;
    Ok((Revision(revision), reader.rest()))
}

fn next_revision(batch: &mut Batch<'_>) -> Result<Revision, StoreError> {
    let revision = counter(batch, b"revision", 0)? + 1;
    set_counter(batch, b"revision", revision);
    Ok(Revision(revision))
}

fn list(batch: &Batch<'_>, prefix: &[u8], limit: usize) -> Result<Vec<(String, Revision, Bytes)>, StoreError> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    batch.scan(RowTable::Tables, prefix, &mut |key, value| {
        if !key.starts_with(prefix) || rows.len() >= limit || bytes >= LIST_BYTES_MAX {
            return Ok(ControlFlow::Break(()));
        }
        bytes += value.len();
        let (revision, value) = split(key, Bytes::copy_from_slice(value))?;
        rows.push((String::from_utf8_lossy(&key[1..]).into_owned(), revision, value));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(rows)
}
