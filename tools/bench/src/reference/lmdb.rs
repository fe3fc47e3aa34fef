//! Raw LMDB: sorted rows of given sizes in one durable transaction with the default flags, in a file of its own.

use std::path::Path;

use anyhow::Context;
use lmdb::{Cursor, Database, DatabaseFlags, Environment, Transaction, WriteFlags};

use crate::measure::seconds;

/// Address space; the file only grows with what it holds.
const MAP_BYTES: usize = 4 << 30;

/// An environment with one table.
pub(crate) struct Rows {
    env: Environment,
    table: Database,
    value: Vec<u8>,
}

impl Rows {
    /// Rows with values of so many bytes.
    pub(crate) fn open(folder: &Path, value_bytes: usize) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let env = Environment::new().set_map_size(MAP_BYTES).set_max_dbs(1).open(folder).context("raw LMDB")?;
        let table = env.create_db(Some("rows"), DatabaseFlags::empty())?;
        Ok(Self { env, table, value: vec![7; value_bytes] })
    }

    /// Seconds to put rows `from` to `from + count` in one durable transaction.
    pub(crate) fn put(&mut self, from: u64, count: u64) -> anyhow::Result<f64> {
        self.put_all(from..from + count)
    }

    /// The same of any rows.
    pub(crate) fn put_all(&mut self, rows: impl IntoIterator<Item = u64>) -> anyhow::Result<f64> {
        let Self { env, table, value } = self;
        let (done, took) = seconds(|| -> Result<(), lmdb::Error> {
            let mut txn = env.begin_rw_txn()?;
            for n in rows {
                txn.put(*table, &n.to_be_bytes(), value, WriteFlags::empty())?;
            }
            txn.commit()
        });
        value[0] = value[0].wrapping_add(1);
        done.context("raw LMDB does not take a batch").map(|()| took)
    }

    /// Seconds to read all rows once, and their bytes.
    pub(crate) fn scan(&self) -> anyhow::Result<(f64, usize)> {
        let (bytes, took) = seconds(|| -> Result<usize, lmdb::Error> {
            let txn = self.env.begin_ro_txn()?;
            let mut cursor = txn.open_ro_cursor(self.table)?;
            Ok(cursor.iter().filter_map(Result::ok).map(|(key, value)| key.len() + value.len()).sum())
        });
        Ok((took, bytes.context("raw LMDB cannot be read")?))
    }
}
