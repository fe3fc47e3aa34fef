//! Tables: small durable key-value rows beside the world, such as accounts.

use bytes::Bytes;

use crate::{RequestId, Revision};

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Accounts by lower-case name.
    Accounts = 0,
    /// The admins' audit log by time.
    Audit = 1,
    /// Cluster-wide settings by name.
    Settings = 2,
}

/// What to do with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableOp {
    /// Read it.
    Get,
    /// Set it if its revision is `expected`; zero: must not exist.
    PutIf {
        /// Its present revision.
        expected: Revision,
        /// The new value.
        value: Bytes,
    },
    /// Delete it if its revision is `expected`.
    DeleteIf {
        /// Its present revision.
        expected: Revision,
    },
    /// Rows whose keys start with the request's key, in order, at most `limit`.
    List {
        /// Most rows.
        limit: u32,
    },
}

/// To the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRequest {
    /// Echoed in the reply.
    pub request: RequestId,
    /// Which table.
    pub table: Table,
    /// Which row.
    pub key: String,
    /// What to do.
    pub op: TableOp,
}

/// From the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableReply {
    /// Answer to `Get`; revision zero and `None`: no such row.
    Row {
        /// Of the request.
        request: RequestId,
        /// Its last change.
        revision: Revision,
        /// Its value.
        value: Option<Bytes>,
    },
    /// Answer to `List`.
    Rows {
        /// Of the request.
        request: RequestId,
        /// Key, revision, value.
        rows: Vec<(String, Revision, Bytes)>,
    },
    /// Changed, durably.
    Done {
        /// Of the request.
        request: RequestId,
        /// The change's number.
        revision: Revision,
    },
    /// Another revision was found.
    Conflict {
        /// Of the request.
        request: RequestId,
        /// The one found; zero: no such row.
        current: Revision,
    },
    /// Not done, and nothing changed.
    Failed {
        /// Of the request.
        request: RequestId,
        /// In words.
        reason: String,
    },
}
