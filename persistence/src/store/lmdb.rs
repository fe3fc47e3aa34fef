//! The store on disk: LMDB through `lmdb-rkv`, and the only file that knows it.
//!
//! What would hurt and how it is kept away:
//! - the same folder opened twice loses LMDB's locks → a registry of open folders and a lock file of our own;
//! - reader slots run out or leak → `NO_TLS`, 1,024 readers, a check for dead readers at opening;
//! - the map fills → large and sparse from the start; else abort, grow with no transaction open (`commit` borrows the store
//!   alone), retry;
//! - slices of a snapshot die with it → readers copy, no cursor or transaction leaves this file;
//! - a full disk arrives as `EIO`, like a failing one → it is looked for before each commit; a commit that fails all the same
//!   leaves nothing to trust, and is never tried again (the kernel may have dropped what it could not write);
//! - damage in a page ends the process that reads it → [`LmdbFile`] reads in a process of its own, beside a living writer;
//! - never `NO_SYNC`, `WRITE_MAP`, `DUP_SORT`, nested transactions.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use lmdb::{
    Cursor, Database, DatabaseFlags, Environment, EnvironmentBuilder, EnvironmentFlags, RwCursor, RwTransaction, Transaction,
    WriteFlags,
};

use super::{
    Changes, Editing, FORMAT, RawRows, RawRowsMut, Reading, RowTable, Snapshots, Store, StoreError, TableRows, Visit, apply,
};

/// Address space for the map at opening, in bytes. The file only grows with what it holds.
pub const MAP_BYTES: usize = 16 << 30;
/// The map never grows beyond, in bytes.
pub const MAP_BYTES_MAX: usize = 1 << 40;
/// Snapshots that may be open at once, over all processes.
const READERS_MAX: u32 = 1_024;
/// A map with more room than this, in bytes, is not searched for free pages within the used part.
const MAP_PLENTY: usize = 1 << 30;
/// Size of a page, in bytes.
const PAGE_BYTES: usize = 4 << 10;
/// What a commit may write beside its rows, in bytes: the roots of the tables and the list of free pages.
const COMMIT_OVERHEAD_BYTES: usize = 1 << 20;
/// The row that says the format. It is read before anything else is known, so it is plain.
const FORMAT_KEY: &[u8] = b"format";
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

/// An open LMDB folder and its tables.
#[derive(Debug)]
struct Opened {
    env: Environment,
    tables: [Database; RowTable::ALL.len()],
}

impl Opened {
    fn read(&self, work: &mut Reading<'_>) -> Result<(), StoreError> {
        let txn = self.env.begin_ro_txn().map_err(fault("to begin a read"))?;
        work(&Snapshot { txn, tables: &self.tables })
    }

    fn write(&self, changes: &Changes) -> Result<(), StoreError> {
        let txn = self.env.begin_rw_txn().map_err(fault("to begin a commit"))?;
        let mut rows = Snapshot { txn, tables: &self.tables };
        apply(changes, &mut rows)?;
        rows.txn.commit().map_err(fault("to commit"))
    }
}

/// An LMDB folder that is only looked at: beside a living writer in another process, or when there is none.
#[derive(Debug)]
pub struct LmdbFile {
    opened: Opened,
}

impl LmdbFile {
    /// Opens the folder. Damage in the file may end this process with a signal, here or in any later read: whoever must go on
    /// opens it in a process of its own.
    ///
    /// # Errors
    /// There is no store, it is of another format, or it cannot be read.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.display().to_string();
        // LMDB would make a lock file beside nothing.
        fs::metadata(folder.join("data.mdb")).map_err(|source| StoreError::Folder { path: path.clone(), source })?;
        let env = environment(EnvironmentFlags::READ_ONLY, MAP_BYTES).open(folder).map_err(fault("to open its files"))?;
        let meta = env.open_db(Some(RowTable::Meta.name())).map_err(fault("to check its format"))?;
        let txn = env.begin_ro_txn().map_err(fault("to check its format"))?;
        let found = found_format(&txn, meta)?;
        drop(txn);
        if found != Some(FORMAT) {
            return Err(StoreError::Format { path, found: found.unwrap_or_default() });
        }
        let tables = tables(|table| env.open_db(Some(table.name())))?;
        Ok(Self { opened: Opened { env, tables } })
    }

    /// Writes a consistent copy of the whole file, page by page, and makes it durable. A writer waits only while the first
    /// pages are copied. Pages are not interpreted, so damage is copied, not stumbled over.
    ///
    /// # Errors
    /// The file cannot be read, or the copy not be written.
    #[allow(unsafe_code, reason = "lmdb-rkv has no safe call for it")]
    pub fn copy_to(&self, copy: &File) -> Result<(), StoreError> {
        // SAFETY: the environment is open for as long as it is borrowed, and so is the file.
        let code = unsafe { lmdb_sys::mdb_env_copyfd(self.opened.env.env(), copy.as_raw_fd()) };
        if code != lmdb_sys::MDB_SUCCESS {
            return Err(fault("to copy itself")(lmdb::Error::from_err_code(code)));
        }
        copy.sync_all().map_err(|error| StoreError::Failed { doing: "to sync its copy", reason: error.to_string() })
    }
}

impl Snapshots for LmdbFile {
    fn read(&self, work: &mut Reading<'_>) -> Result<(), StoreError> {
        self.opened.read(work)
    }
}

/// Rows in an LMDB folder, and its only writer.
#[derive(Debug)]
pub struct LmdbStore {
    opened: Opened,
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
        let env = environment(EnvironmentFlags::empty(), options.map_bytes).open(&claim.folder);
        let env = env.map_err(fault("to open its files"))?;
        // A file written with a larger map keeps it.
        let map_bytes = env.info().map_err(fault("to read its map size"))?.map_size();
        check_format(&env, &claim)?;
        let tables = tables(|table| env.create_db(Some(table.name()), DatabaseFlags::empty()))?;
        let opened = Opened { env, tables };
        let store = Self { opened, map_bytes, map_bytes_max: options.map_bytes_max, broken: None, claim };
        store.forget_dead_readers()?;
        Ok(store)
    }

    /// Present size of the map in bytes.
    pub fn map_bytes(&self) -> usize {
        self.map_bytes
    }

    /// Frees the reader slots of processes that were killed: they would keep old pages alive for ever.
    ///
    /// # Errors
    /// The table of readers cannot be read.
    #[allow(unsafe_code, reason = "lmdb-rkv has no safe call for it")]
    pub fn forget_dead_readers(&self) -> Result<(), StoreError> {
        let mut dead = 0;
        // SAFETY: the environment is open for as long as it is borrowed, and `dead` outlives the call.
        let code = unsafe { lmdb_sys::mdb_reader_check(self.opened.env.env(), &mut dead) };
        if code != lmdb_sys::MDB_SUCCESS {
            return Err(fault("to check for dead readers")(lmdb::Error::from_err_code(code)));
        }
        if dead > 0 {
            tracing::info!(dead, "cleared the reader slots of dead processes");
        }
        Ok(())
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        loop {
            match self.opened.write(changes) {
                Err(StoreError::MapFull { .. }) if self.map_bytes < self.map_bytes_max => self.grow()?,
                Err(StoreError::MapFull { .. }) => return Err(StoreError::MapFull { bytes: self.map_bytes }),
                written => return written,
            }
        }
    }

    fn grow(&mut self) -> Result<(), StoreError> {
        let bytes = (self.map_bytes * 2).min(self.map_bytes_max);
        self.opened.env.set_map_size(bytes).map_err(fault("to grow its map"))?;
        tracing::info!(from = self.map_bytes, to = bytes, "the store's map has grown");
        self.map_bytes = bytes;
        Ok(())
    }

    fn trusted(&self) -> Result<(), StoreError> {
        self.broken.as_ref().map_or(Ok(()), |reason| Err(StoreError::Broken { reason: reason.clone() }))
    }

    /// Whether the disk has room for a commit, by a generous estimate: each row may touch a page of its own.
    fn disk_suffices(&self, changes: &Changes) -> Result<(), StoreError> {
        let wanted = changes.bytes() * 2 + changes.rows() * PAGE_BYTES + COMMIT_OVERHEAD_BYTES;
        if disk_space(&self.claim.folder)?.room < wanted as u64 {
            return Err(StoreError::DiskFull { path: self.claim.folder.display().to_string() });
        }
        Ok(())
    }

    /// Bytes that the map may still hold, free pages within the used part included where they matter.
    fn map_room(&self) -> Result<usize, StoreError> {
        let fault = fault("to read its size");
        let pages = self.opened.env.info().map_err(fault)?.last_pgno() + 1;
        let behind = self.map_bytes_max.saturating_sub(pages * PAGE_BYTES);
        if behind >= MAP_PLENTY {
            return Ok(behind);
        }
        Ok(behind + self.opened.env.freelist().map_err(fault)? * PAGE_BYTES)
    }
}

impl Snapshots for LmdbStore {
    fn read(&self, work: &mut Reading<'_>) -> Result<(), StoreError> {
        self.trusted()?;
        self.opened.read(work)
    }
}

impl Store for LmdbStore {
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.trusted()?;
        self.disk_suffices(changes)?;
        match self.write(changes) {
            Err(error @ (StoreError::Failed { .. } | StoreError::Broken { .. })) => {
                let reason = error.to_string();
                self.broken = Some(reason.clone());
                Err(StoreError::Broken { reason })
            }
            outcome => outcome,
        }
    }

    fn room(&self) -> Result<u64, StoreError> {
        Ok(disk_space(&self.claim.folder)?.room.min(self.map_room()? as u64))
    }
}

/// How every environment is opened.
fn environment(flags: EnvironmentFlags, map_bytes: usize) -> EnvironmentBuilder {
    let mut builder = Environment::new();
    builder.set_flags(flags | EnvironmentFlags::NO_TLS).set_max_readers(READERS_MAX);
    builder.set_max_dbs(RowTable::ALL.len() as u32).set_map_size(map_bytes);
    builder
}

/// Every table, opened one after the other.
fn tables(open: impl Fn(RowTable) -> lmdb::Result<Database>) -> Result<[Database; RowTable::ALL.len()], StoreError> {
    let opened: Result<Vec<_>, _> =
        RowTable::ALL.into_iter().map(|table| open(table).map_err(fault("to open a table"))).collect();
    opened?.try_into().map_err(|_| StoreError::Failed { doing: "to open its tables", reason: "some are missing".to_owned() })
}

/// What an error of LMDB means while `doing` something.
fn fault(doing: &'static str) -> impl Fn(lmdb::Error) -> StoreError + Copy {
    move |error| match error {
        // Whoever knows the map says how large it is.
        lmdb::Error::MapFull => StoreError::MapFull { bytes: 0 },
        lmdb::Error::Panic => StoreError::Broken { reason: error.to_string() },
        other => StoreError::Failed { doing, reason: other.to_string() },
    }
}

/// An open transaction and the tables it sees.
struct Snapshot<'s, T> {
    txn: T,
    tables: &'s [Database; RowTable::ALL.len()],
}

impl<T: Transaction> RawRows for Snapshot<'_, T> {
    fn get(&self, table: RowTable, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        match self.txn.get(self.tables[table as usize], &key) {
            Ok(value) => Ok(Some(value)),
            Err(lmdb::Error::NotFound) => Ok(None),
            Err(error) => Err(fault("to read a row")(error)),
        }
    }

    fn scan(&self, table: RowTable, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let fault = fault("to scan a table");
        let cursor = self.txn.open_ro_cursor(self.tables[table as usize]).map_err(fault)?;
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
    fn edit(&mut self, table: RowTable, work: &mut Editing<'_>) -> Result<(), StoreError> {
        let cursor = self.txn.open_rw_cursor(self.tables[table as usize]).map_err(fault("to edit a table"))?;
        work(&mut Edited { cursor, on: Vec::new() })
    }
}

/// A table in a write transaction. Its cursor looks on the page where it stands before it goes down from the root.
struct Edited<'t> {
    cursor: RwCursor<'t>,
    /// The key of the row on which it stands: whoever looked at a row and sets it then does not search for it again.
    on: Vec<u8>,
}

impl TableRows for Edited<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        self.on.clear();
        match self.cursor.get(Some(key), None, lmdb_sys::MDB_SET) {
            Ok((_, value)) => {
                self.on.extend_from_slice(key);
                Ok(Some(value))
            }
            Err(lmdb::Error::NotFound) => Ok(None),
            Err(error) => Err(fault("to read a row")(error)),
        }
    }

    fn put(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        let flags = if self.on == key { WriteFlags::CURRENT } else { WriteFlags::empty() };
        self.on.clear();
        self.cursor.put(&key, &sealed, flags).map_err(fault("to write a row"))
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        if self.get(key)?.is_some() {
            self.on.clear();
            self.cursor.del(WriteFlags::empty()).map_err(fault("to delete a row"))?;
        }
        Ok(())
    }
}

/// The disk under a folder, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// What an ordinary user may still write.
    pub room: u64,
    /// All of it.
    pub size: u64,
}

/// How much space the disk under a folder has.
///
/// # Errors
/// The folder cannot be asked.
pub fn disk_space(folder: &Path) -> Result<DiskSpace, StoreError> {
    let unusable = |errno: rustix::io::Errno| StoreError::Folder { path: folder.display().to_string(), source: errno.into() };
    let disk = rustix::fs::statvfs(folder).map_err(unusable)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(DiskSpace { room: bytes(disk.f_bavail), size: bytes(disk.f_blocks) })
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
    let fault = fault("to check its format");
    let meta = env.create_db(Some(RowTable::Meta.name()), DatabaseFlags::empty()).map_err(fault)?;
    let mut txn = env.begin_rw_txn().map_err(fault)?;
    match found_format(&txn, meta)? {
        Some(FORMAT) => Ok(()),
        Some(found) => Err(StoreError::Format { path: claim.folder.display().to_string(), found }),
        None => {
            txn.put(meta, &FORMAT_KEY, &FORMAT.to_le_bytes(), WriteFlags::empty()).map_err(fault)?;
            txn.commit().map_err(fault)
        }
    }
}

/// What the row of the format says; `None`: there is none.
fn found_format(txn: &impl Transaction, meta: Database) -> Result<Option<u32>, StoreError> {
    match txn.get(meta, &FORMAT_KEY) {
        Ok(bytes) => Ok(Some(bytes.try_into().map_or(0, u32::from_le_bytes))),
        Err(lmdb::Error::NotFound) => Ok(None),
        Err(error) => Err(fault("to check its format")(error)),
    }
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
        assert!(refused.contains(&format!("holds data of format 7, this build reads format {FORMAT}")), "{refused}");
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
