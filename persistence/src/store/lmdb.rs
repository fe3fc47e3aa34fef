//! The store on disk: LMDB through `lmdb-rkv`, and the only file that knows it.
//!
//! What would hurt and how it is kept away:
//! - the same folder opened twice loses LMDB's locks → a registry of open folders and a lock file of our own;
//! - reader slots run out or leak → `NO_TLS`, 1,024 readers, a check for dead readers at opening;
//! - the map fills → large and sparse from the start; else abort, grow with no transaction open (`commit` borrows the store
//!   alone), retry;
//! - slices of a snapshot die with it → readers copy, no cursor or transaction leaves this file;
//! - a full disk arrives as `EIO` → told apart from a failing one by trying to write; after a failing one nothing is trusted
//!   any more;
//! - never `NO_SYNC`, `WRITE_MAP`, `DUP_SORT`, nested transactions.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lmdb::{Cursor, Database, DatabaseFlags, Environment, EnvironmentFlags, RwTransaction, Transaction, WriteFlags};

use super::{Changes, FORMAT, RawRows, RawRowsMut, Reading, RowTable, Store, StoreError, Visit, apply};

/// Address space for the map at opening, in bytes. The file only grows with what it holds.
pub const MAP_BYTES: usize = 16 << 30;
/// The map never grows beyond, in bytes.
pub const MAP_BYTES_MAX: usize = 1 << 40;
/// Snapshots that may be open at once, over all processes.
const READERS_MAX: u32 = 1_024;
/// Folders open in this process.
static OPEN: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How to open a folder.
#[derive(Clone, Copy, Debug)]
pub struct LmdbOptions {
    /// Size of the map at opening, in bytes; a multiple of the page size.
    pub map_bytes: usize,
    /// It doubles when full, but never beyond this.
    pub map_bytes_max: usize,
}

impl Default for LmdbOptions {
    fn default() -> Self {
        Self { map_bytes: MAP_BYTES, map_bytes_max: MAP_BYTES_MAX }
    }
}

/// Rows in an LMDB folder.
#[derive(Debug)]
pub struct LmdbStore {
    env: Environment,
    tables: [Database; RowTable::ALL.len()],
    map_bytes: usize,
    map_bytes_max: usize,
    /// Why nothing may be trusted any more.
    broken: Option<String>,
    /// Last, so that it is given back after the environment is closed.
    claim: FolderClaim,
}

impl LmdbStore {
    /// Opens or creates the folder.
    ///
    /// # Errors
    /// The folder is in use here or elsewhere, of another format, or cannot be read or written.
    pub fn open(folder: &Path, options: LmdbOptions) -> Result<Self, StoreError> {
        let claim = FolderClaim::new(folder)?;
        let fault = |doing| move |error: lmdb::Error| StoreError::Failed { doing, reason: error.to_string() };
        let env = Environment::new()
            .set_flags(EnvironmentFlags::NO_TLS)
            .set_max_readers(READERS_MAX)
            .set_max_dbs(RowTable::ALL.len() as u32)
            .set_map_size(options.map_bytes)
            .open(&claim.folder)
            .map_err(fault("to open its files"))?;
        forget_dead_readers(&env).map_err(fault("to check for dead readers"))?;
        // A file written with a larger map keeps it.
        let map_bytes = env.info().map_err(fault("to read its map size"))?.map_size();
        check_format(&env, &claim)?;
        let mut tables = Vec::with_capacity(RowTable::ALL.len());
        for table in RowTable::ALL {
            tables.push(env.create_db(Some(table.name()), DatabaseFlags::empty()).map_err(fault("to open a table"))?);
        }
        let tables = <[Database; RowTable::ALL.len()]>::try_from(tables)
            .map_err(|_| StoreError::Failed { doing: "to open its tables", reason: "some are missing".to_owned() })?;
        Ok(Self { env, tables, map_bytes, map_bytes_max: options.map_bytes_max, broken: None, claim })
    }

    /// Present size of the map in bytes.
    pub fn map_bytes(&self) -> usize {
        self.map_bytes
    }

    fn try_commit(&self, changes: &Changes) -> Result<(), StoreError> {
        let txn = self.env.begin_rw_txn().map_err(|e| self.fault("to begin a commit", e))?;
        let mut rows = Snapshot { txn, store: self };
        apply(changes, &mut rows)?;
        rows.txn.commit().map_err(|e| self.fault("to commit", e))
    }

    fn grow(&mut self) -> Result<(), StoreError> {
        let bytes = (self.map_bytes * 2).min(self.map_bytes_max);
        self.env.set_map_size(bytes).map_err(|e| self.fault("to grow its map", e))?;
        tracing::info!(from = self.map_bytes, to = bytes, "the store's map has grown");
        self.map_bytes = bytes;
        Ok(())
    }

    fn fault(&self, doing: &'static str, error: lmdb::Error) -> StoreError {
        match error {
            lmdb::Error::MapFull => StoreError::MapFull { bytes: self.map_bytes },
            lmdb::Error::Panic => StoreError::Broken { reason: error.to_string() },
            other => StoreError::Failed { doing, reason: other.to_string() },
        }
    }

    fn trusted(&self) -> Result<(), StoreError> {
        self.broken.as_ref().map_or(Ok(()), |reason| Err(StoreError::Broken { reason: reason.clone() }))
    }

    /// Tells a full disk, after which work goes on, from a failing one, after which it must not.
    fn judge(&mut self, error: StoreError, bytes: usize) -> StoreError {
        match error {
            StoreError::Failed { doing, reason } if disk_is_full(&self.claim.folder, bytes) => {
                tracing::warn!(doing, reason, "the disk is full");
                StoreError::DiskFull { path: self.claim.folder.display().to_string() }
            }
            StoreError::Failed { .. } | StoreError::Broken { .. } => {
                let reason = error.to_string();
                self.broken = Some(reason.clone());
                StoreError::Broken { reason }
            }
            other => other,
        }
    }
}

impl Store for LmdbStore {
    fn read(&self, work: &mut Reading<'_>) -> Result<(), StoreError> {
        self.trusted()?;
        let txn = self.env.begin_ro_txn().map_err(|e| self.fault("to begin a read", e))?;
        work(&Snapshot { txn, store: self })
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.trusted()?;
        loop {
            match self.try_commit(changes) {
                Ok(()) => return Ok(()),
                Err(StoreError::MapFull { .. }) if self.map_bytes < self.map_bytes_max => self.grow()?,
                Err(error) => return Err(self.judge(error, changes.bytes())),
            }
        }
    }
}

/// An open transaction and the tables it sees.
struct Snapshot<'s, T> {
    txn: T,
    store: &'s LmdbStore,
}

impl<T: Transaction> RawRows for Snapshot<'_, T> {
    fn get(&self, table: RowTable, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        match self.txn.get(self.store.tables[table as usize], &key) {
            Ok(value) => Ok(Some(value)),
            Err(lmdb::Error::NotFound) => Ok(None),
            Err(error) => Err(self.store.fault("to read a row", error)),
        }
    }

    fn scan(&self, table: RowTable, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let fault = |error| self.store.fault("to scan a table", error);
        let cursor = self.txn.open_ro_cursor(self.store.tables[table as usize]).map_err(fault)?;
        // LMDB refuses the empty key; it would also leave out the key when it is exactly the one asked for.
        let mut step = match from {
            [] => cursor.get(None, None, lmdb_sys::MDB_FIRST),
            from => cursor.get(Some(from), None, lmdb_sys::MDB_SET_RANGE),
        };
        loop {
            match step {
                Ok((key, value)) => {
                    if let ControlFlow::Break(()) = visit(key.unwrap_or(from), value)? {
                        return Ok(());
                    }
                }
                Err(lmdb::Error::NotFound) => return Ok(()),
                Err(error) => return Err(fault(error)),
            }
            step = cursor.get(None, None, lmdb_sys::MDB_NEXT);
        }
    }
}

impl RawRowsMut for Snapshot<'_, RwTransaction<'_>> {
    fn put(&mut self, table: RowTable, key: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        let done = self.txn.put(self.store.tables[table as usize], &key, &sealed, WriteFlags::empty());
        done.map_err(|e| self.store.fault("to write a row", e))
    }

    fn delete(&mut self, table: RowTable, key: &[u8]) -> Result<(), StoreError> {
        match self.txn.del(self.store.tables[table as usize], &key, None) {
            Ok(()) | Err(lmdb::Error::NotFound) => Ok(()),
            Err(error) => Err(self.store.fault("to delete a row", error)),
        }
    }
}

/// A folder that belongs to this store alone, until it is dropped.
#[derive(Debug)]
struct FolderClaim {
    /// Canonical.
    folder: PathBuf,
    /// Held by an advisory lock; the operating system lets go of it when the process dies.
    lock: File,
}

impl FolderClaim {
    fn new(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.display().to_string();
        let unusable = |source| StoreError::Folder { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(unusable)?;
        let folder = folder.canonicalize().map_err(unusable)?;
        let lock = File::options().create(true).append(true).open(folder.join("pangaea.lock")).map_err(unusable)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains(&folder) {
            return Err(StoreError::AlreadyOpen { path });
        }
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path }),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        open.insert(folder.clone());
        Ok(Self { folder, lock })
    }
}

impl Drop for FolderClaim {
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(%error, "the folder's lock goes with the process");
        }
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.folder);
    }
}

/// Refuses a folder of another format, and marks a new one as ours, before any table is touched.
fn check_format(env: &Environment, claim: &FolderClaim) -> Result<(), StoreError> {
    const KEY: &[u8] = b"format";
    let fault = |error: lmdb::Error| StoreError::Failed { doing: "to check its format", reason: error.to_string() };
    let meta = env.create_db(Some(RowTable::Meta.name()), DatabaseFlags::empty()).map_err(fault)?;
    let mut txn = env.begin_rw_txn().map_err(fault)?;
    let found = match txn.get(meta, &KEY) {
        Ok(bytes) => Some(bytes.try_into().map_or(0, u32::from_le_bytes)),
        Err(lmdb::Error::NotFound) => None,
        Err(error) => return Err(fault(error)),
    };
    match found {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(StoreError::Format { path: claim.folder.display().to_string(), found }),
        None => {
            txn.put(meta, &KEY, &FORMAT.to_le_bytes(), WriteFlags::empty()).map_err(fault)?;
            txn.commit().map_err(fault)
        }
    }
}

/// Frees the reader slots of processes that were killed: they would keep old pages alive for ever.
#[allow(unsafe_code, reason = "lmdb-rkv has no safe call for it")]
fn forget_dead_readers(env: &Environment) -> Result<(), lmdb::Error> {
    let mut dead = 0;
    // SAFETY: the environment is open for as long as it is borrowed, and `dead` outlives the call.
    let code = unsafe { lmdb_sys::mdb_reader_check(env.env(), &mut dead) };
    if code != lmdb_sys::MDB_SUCCESS {
        return Err(lmdb::Error::from_err_code(code));
    }
    if dead > 0 {
        tracing::info!(dead, "cleared the reader slots of dead processes");
    }
    Ok(())
}

/// Whether the disk has no room for `bytes` more and a little: LMDB reports that as an input/output error.
fn disk_is_full(folder: &Path, bytes: usize) -> bool {
    let probe = folder.join("probe");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&probe)?;
        let block = vec![0; 1 << 20];
        for _ in 0..=bytes / block.len() {
            file.write_all(&block)?;
        }
        file.sync_all()
    };
    let outcome = write();
    if let Err(error) = fs::remove_file(&probe) {
        tracing::debug!(%error, "no probe to remove");
    }
    outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open;

    /// Writes one row behind the store's back.
    fn tamper(folder: &Path, table: RowTable, key: &[u8], bytes: &[u8]) {
        let env = Environment::new().set_max_dbs(32).set_map_size(1 << 24).open(folder).expect("opens");
        let database = env.open_db(Some(table.name())).expect("there is such a table");
        let mut txn = env.begin_rw_txn().expect("begins");
        txn.put(database, &key, &bytes, WriteFlags::empty()).expect("writes");
        txn.commit().expect("commits");
    }

    fn open_small(folder: &Path) -> Result<LmdbStore, StoreError> {
        LmdbStore::open(folder, LmdbOptions { map_bytes: 1 << 24, map_bytes_max: 1 << 26 })
    }

    #[test]
    fn a_folder_of_another_version_is_refused_in_words() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(open_small(folder.path()).expect("opens"));
        tamper(folder.path(), RowTable::Meta, b"format", &7u32.to_le_bytes());
        let refused = open_small(folder.path()).expect_err("another version").to_string();
        assert!(refused.contains("holds data of format 7, this build reads format 1"), "{refused}");
    }

    #[test]
    fn a_row_changed_behind_the_stores_back_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open_small(folder.path()).expect("opens");
        let mut changes = Changes::default();
        changes.set(RowTable::Tables, b"a", Some("right".into()));
        store.commit(&changes).expect("commits");
        let mut sealed = Vec::new();
        store
            .read(&mut |rows| {
                sealed.extend(rows.get(RowTable::Tables, b"a")?.unwrap_or_default());
                Ok(())
            })
            .expect("reads");
        drop(store);
        // The right bytes under another key are as wrong as other bytes.
        tamper(folder.path(), RowTable::Tables, b"b", &sealed);
        let store = open_small(folder.path()).expect("opens");
        let read = |key: &'static [u8]| {
            store.read(&mut |rows| open(RowTable::Tables, key, rows.get(RowTable::Tables, key)?.unwrap_or_default()).map(drop))
        };
        read(b"a").expect("untouched");
        let damaged = read(b"b").expect_err("damaged").to_string();
        assert_eq!(damaged, "row 62 of table tables is damaged: wrong checksum");
    }
}
