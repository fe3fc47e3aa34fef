//! The changes of one commit: requests read through them and add to them, and a request that fails takes its own back.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::service::Hot;
use crate::store::{Changes, RawRows, RowKey, RowTable, StoreError, Visit, open};

/// A snapshot of the store with the changes made so far laid over it.
pub(crate) struct Batch<'r> {
    rows: &'r dyn RawRows,
    hot: &'r mut Hot,
    changes: Changes,
    /// What each change since the last [`Self::keep`] replaced, oldest first.
    undo: Vec<(RowTable, RowKey, Option<Option<Bytes>>)>,
}

/// A point to which a batch can go back.
#[derive(Clone, Copy)]
pub(crate) struct Mark(usize);

impl<'r> Batch<'r> {
    pub(crate) fn new(rows: &'r dyn RawRows, hot: &'r mut Hot) -> Self {
        Self { rows, hot, changes: Changes::default(), undo: Vec::new() }
    }

    /// One row, its checksum verified when it comes from the store.
    pub(crate) fn get(&mut self, table: RowTable, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let row = RowKey::from(key);
        if let Some(change) = self.changes.of(table).get(&row) {
            return Ok(change.clone());
        }
        if let Some(known) = self.hot.get(table, &row) {
            return Ok(known);
        }
        let value = match self.rows.get(table, key)? {
            Some(sealed) => Some(Bytes::copy_from_slice(open(table, key, sealed)?)),
            None => None,
        };
        self.hot.learn(table, row, value.clone());
        Ok(value)
    }

    /// Sets a row.
    pub(crate) fn put(&mut self, table: RowTable, key: &[u8], value: impl Into<Bytes>) {
        self.change(table, key, Some(value.into()));
    }

    /// Removes a row.
    pub(crate) fn delete(&mut self, table: RowTable, key: &[u8]) {
        self.change(table, key, None);
    }

    fn change(&mut self, table: RowTable, key: &[u8], value: Option<Bytes>) {
        let row = RowKey::from(key);
        let before = self.changes.set(table, row.clone(), value);
        self.undo.push((table, row, before));
    }

    /// Visits rows from `from` on, in key order, until the visitor breaks.
    pub(crate) fn scan(&self, table: RowTable, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut changed = self.changes.of(table).range(RowKey::from(from)..).map(|(key, value)| (key.bytes(), value)).peekable();
        let mut stopped = false;
        self.rows.scan(table, from, &mut |key, sealed| {
            // Changes before this row, then the row unless it was changed itself.
            while let Some((changed_key, value)) = changed.next_if(|(changed_key, _)| *changed_key < key) {
                if let Some(value) = value
                    && visit(changed_key, value)?.is_break()
                {
                    stopped = true;
                    return Ok(ControlFlow::Break(()));
                }
            }
            let flow = match changed.next_if(|(changed_key, _)| *changed_key == key) {
                Some((_, Some(value))) => visit(key, value)?,
                Some((_, None)) => ControlFlow::Continue(()),
                None => visit(key, open(table, key, sealed)?)?,
            };
            stopped = flow.is_break();
            Ok(flow)
        })?;
        if stopped {
            return Ok(());
        }
        for (key, value) in changed {
            if let Some(value) = value
                && visit(key, value)?.is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// Keys and values of all rows whose keys start with `prefix`.
    pub(crate) fn under(&self, table: RowTable, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Bytes)>, StoreError> {
        let mut found = Vec::new();
        self.scan(table, prefix, &mut |key, value| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            found.push((key.to_vec(), Bytes::copy_from_slice(value)));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Where the batch is now.
    pub(crate) fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// Takes back all changes since `mark`.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            if let Some((table, key, before)) = self.undo.pop() {
                self.changes.restore(table, key, before);
            }
        }
    }

    /// Makes the changes so far final within the batch; marks taken before are void.
    pub(crate) fn keep(&mut self) {
        self.undo.clear();
    }

    /// Size of the changes so far in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.changes.bytes()
    }

    /// What is to be committed.
    pub(crate) fn into_changes(self) -> Changes {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Snapshots, Store};

    fn letters(batch: &Batch<'_>) -> String {
        let mut text = String::new();
        batch
            .scan(RowTable::Tables, b"a", &mut |key, value| {
                text.push_str(&format!("{}{} ", String::from_utf8_lossy(key), value[0]));
                Ok(ControlFlow::Continue(()))
            })
            .expect("scans");
        text
    }

    #[test]
    fn changes_lie_over_the_store_and_can_be_taken_back() {
        let mut store = MemoryStore::default();
        let mut first = Changes::default();
        for key in ["b", "d", "f"] {
            first.set(RowTable::Tables, key.as_bytes(), Some(Bytes::from_static(&[1])));
        }
        store.commit(&first).expect("commits");
        store
            .read(&mut |rows| {
                let mut hot = Hot::default();
                let mut batch = Batch::new(rows, &mut hot);
                batch.put(RowTable::Tables, b"a", vec![2]);
                batch.delete(RowTable::Tables, b"d");
                batch.keep();
                assert_eq!(letters(&batch), "a2 b1 f1 ");
                let mark = batch.mark();
                batch.put(RowTable::Tables, b"d", vec![3]);
                batch.put(RowTable::Tables, b"f", vec![3]);
                batch.put(RowTable::Tables, b"g", vec![3]);
                assert_eq!(letters(&batch), "a2 b1 d3 f3 g3 ");
                batch.back_to(mark);
                assert_eq!(letters(&batch), "a2 b1 f1 ");
                assert_eq!(batch.get(RowTable::Tables, b"d")?, None);
                Ok(())
            })
            .expect("reads");
    }
}
