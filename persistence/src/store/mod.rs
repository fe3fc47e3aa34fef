//! What a store promises: sorted rows in a fixed set of tables, consistent reads, and commits that are whole and durable or
//! not at all.
//!
//! Two stores keep the promise, and one contract suite checks both: [`LmdbStore`] on disk, [`MemoryStore`] for simulations.
//! They move sealed bytes only ([`sealed`]); everyone else reads and writes through `batch`.

mod sealed;

mod lmdb;

mod memory;

mod row_key;

#[cfg(test)]
mod contract;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;

pub use lmdb::{DiskSpace, LmdbFile, LmdbOptions, LmdbStore, MAP_BYTES, MAP_BYTES_MAX, disk_space};
pub use memory::{MemoryFaults, MemoryStore};
pub use row_key::RowKey;
pub(crate) use sealed::{TableSum, apply, open, stored_sum};

/// The layout of all rows together. A folder of another number is refused.
pub const FORMAT: u32 = 4;
/// Longest key in bytes, LMDB's limit.
pub const KEY_BYTES_MAX: usize = 511;

/// A sort of row. The number is part of each row's checksum, so a row never counts in another table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RowTable {
    /// Counters, table sums, the format.
    Meta = 0,
    /// Shard → owner, epoch, tail of its journal.
    Heads = 1,
    /// Shard, index → an entry of its journal.
    Entries = 2,
    /// Entity → its record.
    Records = 3,
    /// Cell, entity → nothing: a shard is a range of it.
    Places = 4,
    /// Shard, entity → what the shard knows of it for ever.
    Fences = 5,
    /// Shard, hand-over → agents past the commit point.
    Departures = 6,
    /// Shard, source → effects applied.
    Applied = 7,
    /// Agent → version and fence of its account.
    Accounts = 8,
    /// Account, currency → amount.
    Balances = 9,
    /// Item → kind, owner, chain.
    Items = 10,
    /// Agent, item → kind.
    Owned = 11,
    /// Cell, item → nothing: what lies on the ground.
    Ground = 12,
    /// Item, count → one of its last moves.
    Moves = 13,
    /// Operation → its result.
    Operations = 14,
    /// Count → operation, oldest first.
    OperationOrder = 15,
    /// Table, key → revision and value.
    Tables = 16,
    /// Name → a blob's number and length.
    Blobs = 17,
    /// Blob number, part → bytes.
    BlobParts = 18,
    /// Count → what an operation did to an account, oldest first.
    Postings = 19,
    /// Trade → its terms and its state.
    Trades = 20,
    /// Count → trade, oldest first.
    TradeOrder = 21,
    /// Shard, source, hand-over → how it was answered; shard, source → up to where nobody asks.
    Decided = 22,
    /// Shard, target, sequence → an effect; shard, target → up to where it has them.
    Outbox = 23,
}

impl RowTable {
    /// Every table, in order of number.
    pub const ALL: [Self; 24] = [
        Self::Meta,
        Self::Heads,
        Self::Entries,
        Self::Records,
        Self::Places,
        Self::Fences,
        Self::Departures,
        Self::Applied,
        Self::Accounts,
        Self::Balances,
        Self::Items,
        Self::Owned,
        Self::Ground,
        Self::Moves,
        Self::Operations,
        Self::OperationOrder,
        Self::Tables,
        Self::Blobs,
        Self::BlobParts,
        Self::Postings,
        Self::Trades,
        Self::TradeOrder,
        Self::Decided,
        Self::Outbox,
    ];

    /// Its name on disk and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Heads => "heads",
            Self::Entries => "entries",
            Self::Records => "records",
            Self::Places => "places",
            Self::Fences => "fences",
            Self::Departures => "departures",
            Self::Applied => "applied",
            Self::Accounts => "accounts",
            Self::Balances => "balances",
            Self::Items => "items",
            Self::Owned => "owned",
            Self::Ground => "ground",
            Self::Moves => "moves",
            Self::Operations => "operations",
            Self::OperationOrder => "operation-order",
            Self::Tables => "tables",
            Self::Blobs => "blobs",
            Self::BlobParts => "blob-parts",
            Self::Postings => "postings",
            Self::Trades => "trades",
            Self::TradeOrder => "trade-order",
            Self::Decided => "decided",
            Self::Outbox => "outbox",
        }
    }
}

/// Why a store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was written.
    #[error("the disk under {path} is full; nothing was written, free some space and it goes on")]
    DiskFull {
        /// The data folder.
        path: String,
    },
    /// Nothing was written, so that what must be written still can be.
    #[error(
        "only {room} bytes are left on the disk or in the store's map, less than the reserve of {reserve}: durable actions wait until \
         there is space again"
    )]
    Reserved {
        /// What is left, in bytes.
        room: u64,
        /// What is kept for journals, in bytes.
        reserve: u64,
    },
    /// Nothing was written.
    #[error("the store's map of {bytes} bytes is full and may not grow")]
    MapFull {
        /// Its present size.
        bytes: usize,
    },
    /// A row's checksum or shape is wrong.
    #[error("row {key} of table {table} is damaged: {why}")]
    Damaged {
        /// Name of the table.
        table: &'static str,
        /// The key in hexadecimal.
        key: String,
        /// In words.
        why: &'static str,
    },
    /// Another process has the folder.
    #[error("{path} is in use by another process; stop it first, or choose another data folder")]
    Locked {
        /// The data folder.
        path: String,
    },
    /// This process has the folder.
    #[error("{path} is already open in this process")]
    AlreadyOpen {
        /// The data folder.
        path: String,
    },
    /// Written by another version.
    #[error(
        "{path} holds data of format {found}, this build reads format {FORMAT}; use the build that wrote it, or another folder"
    )]
    Format {
        /// The data folder.
        path: String,
        /// The format found.
        found: u32,
    },
    /// The folder cannot be used.
    #[error("cannot use the data folder {path}")]
    Folder {
        /// The data folder.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// One step failed; nothing was written.
    #[error("the store failed {doing}: {reason}")]
    Failed {
        /// What it was at.
        doing: &'static str,
        /// In words.
        reason: String,
    },
    /// It is unknown what is on disk: this process must end, and a new one look.
    #[error("the store no longer trusts its disk ({reason}); restart the data node, on another disk if it happens again")]
    Broken {
        /// The first failure.
        reason: String,
    },
}

impl StoreError {
    /// A row that cannot be right.
    pub(crate) fn damaged(table: RowTable, key: &[u8], why: &'static str) -> Self {
        Self::Damaged { table: table.name(), key: key.iter().map(|b| format!("{b:02x}")).collect(), why }
    }
}

/// Called with each key and value of a scan; says whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'v;

/// A consistent sight of sealed rows. Slices live as long as the borrow: whoever keeps them copies them.
pub trait RawRows {
    /// One row.
    fn get(&self, table: RowTable, key: &[u8]) -> Result<Option<&[u8]>, StoreError>;

    /// Rows in key order from the first that is not below `from`, until the visitor breaks.
    fn scan(&self, table: RowTable, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// Sealed rows of one table inside a write transaction. Whoever goes through it in key order finds most rows beside the last one.
pub trait TableRows {
    /// One row, until the next call.
    fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, StoreError>;

    /// Sets a row.
    fn put(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), StoreError>;

    /// Removes a row; removing what is not there is done.
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError>;
}

/// The work on one table.
pub type Editing<'w> = dyn FnMut(&mut dyn TableRows) -> Result<(), StoreError> + 'w;

/// Sealed rows inside a write transaction.
pub trait RawRowsMut: RawRows {
    /// Runs `work` on one table.
    fn edit(&mut self, table: RowTable, work: &mut Editing<'_>) -> Result<(), StoreError>;
}

/// The work of a read: gets one snapshot for all it asks.
pub type Reading<'w> = dyn FnMut(&dyn RawRows) -> Result<(), StoreError> + 'w;

/// Rows that can be looked at.
pub trait Snapshots {
    /// Runs `work` on one consistent snapshot.
    fn read(&self, work: &mut Reading<'_>) -> Result<(), StoreError>;
}

/// Durable sorted rows. Reading borrows the store and committing borrows it alone, so no snapshot is ever open while the map
/// grows.
pub trait Store: Snapshots {
    /// Writes all of `changes` in one transaction. `Ok`: all durable. `Err` other than `Broken`: nothing is written.
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError>;

    /// Bytes that can still be written, roughly; [`u64::MAX`] when nothing limits them.
    fn room(&self) -> Result<u64, StoreError>;
}

/// Rows to set (`Some`) or to remove (`None`), sorted as B-trees like them.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    tables: [BTreeMap<RowKey, Option<Bytes>>; RowTable::ALL.len()],
    bytes: usize,
}

impl Changes {
    /// Keys and present values of one table, in key order.
    pub fn of(&self, table: RowTable) -> &BTreeMap<RowKey, Option<Bytes>> {
        &self.tables[table as usize]
    }

    /// Size of all keys and values set so far, in bytes; replaced ones count too.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(BTreeMap::is_empty)
    }

    /// How many rows change.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(BTreeMap::len).sum()
    }

    /// Sets (`Some`) or removes (`None`) a row and returns the change it replaces.
    pub fn set(&mut self, table: RowTable, key: impl Into<RowKey>, value: Option<Bytes>) -> Option<Option<Bytes>> {
        let key = key.into();
        self.bytes += key.bytes().len() + value.as_ref().map_or(0, Bytes::len);
        self.tables[table as usize].insert(key, value)
    }

    /// Puts back what [`Self::set`] returned.
    pub(crate) fn restore(&mut self, table: RowTable, key: RowKey, before: Option<Option<Bytes>>) {
        match before {
            Some(change) => self.tables[table as usize].insert(key, change),
            None => self.tables[table as usize].remove(&key),
        };
    }
}
