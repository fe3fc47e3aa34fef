//! Blobs: snapshots and backups by name. A put is whole or not at all.

use bytes::Bytes;

use crate::RequestId;

/// Largest blob in bytes.
pub const BLOB_BYTES_MAX: usize = 32 * 1_024 * 1_024;

/// To the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobRequest {
    /// Store or replace.
    Put {
        /// Echoed in the reply.
        request: RequestId,
        /// Slash-separated words.
        name: String,
        /// At most [`BLOB_BYTES_MAX`].
        bytes: Bytes,
    },
    /// Fetch.
    Get {
        /// Echoed in the reply.
        request: RequestId,
        /// Of the blob.
        name: String,
    },
    /// Names that start with `prefix`, in order.
    List {
        /// Echoed in the reply.
        request: RequestId,
        /// Start of the names.
        prefix: String,
    },
    /// Remove; removing what is not there is done.
    Delete {
        /// Echoed in the reply.
        request: RequestId,
        /// Of the blob.
        name: String,
    },
}

/// From the blob store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobReply {
    /// Put or deleted, durably.
    Done {
        /// Of the request.
        request: RequestId,
    },
    /// Answer to `Get`; `None`: no such blob.
    Value {
        /// Of the request.
        request: RequestId,
        /// The blob.
        bytes: Option<Bytes>,
    },
    /// Answer to `List`.
    Names {
        /// Of the request.
        request: RequestId,
        /// In order.
        names: Vec<String>,
    },
    /// Not done, and nothing changed.
    Failed {
        /// Of the request.
        request: RequestId,
        /// In words.
        reason: String,
    },
}
