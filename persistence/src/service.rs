//! The data service's copy in memory: rows read or written lately, so that the hot path does not touch the disk's pages.
//!
//! Two generations: what is used moves to the young one; when that has half the budget, the old one is dropped. Only
//! committed rows are here, so a failed commit leaves nothing to take back.

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::store::{Changes, RowKey, RowTable};

/// Memory for rows, in bytes of keys and values.
const HOT_BYTES_MAX: usize = 64 << 20;
/// Larger rows are not kept, in bytes.
const HOT_ROW_BYTES_MAX: usize = 4 << 10;
/// What a row costs beside its key and value, in bytes; rough.
const ROW_OVERHEAD: usize = 80;

/// Committed rows by table and key; `None` for rows known to be absent.
#[derive(Debug, Default)]
pub(crate) struct Hot {
    young: Generation,
    old: Generation,
}

#[derive(Debug, Default)]
struct Generation {
    /// Looked up for each row of each request; never iterated.
    tables: [FxHashMap<RowKey, Option<Bytes>>; RowTable::ALL.len()],
    bytes: usize,
}

impl Hot {
    /// What is known of a row: nothing, its absence, or its value.
    pub(crate) fn get(&mut self, table: RowTable, key: &RowKey) -> Option<Option<Bytes>> {
        if let Some(known) = self.young.tables[table as usize].get(key) {
            return Some(known.clone());
        }
        let (key, known) = self.old.tables[table as usize].remove_entry(key)?;
        self.insert(table, key, known.clone());
        Some(known)
    }

    /// Remembers a committed row.
    pub(crate) fn learn(&mut self, table: RowTable, key: impl Into<RowKey>, value: Option<Bytes>) {
        if Self::is_kept(table, value.as_ref()) {
            self.insert(table, key.into(), value);
        }
    }

    /// Follows a successful commit.
    pub(crate) fn follow(&mut self, changes: &Changes) {
        for table in RowTable::ALL {
            for (key, value) in changes.of(table) {
                // A row is in one generation only, mostly in the young one.
                if !self.young.tables[table as usize].contains_key(key) {
                    self.old.tables[table as usize].remove(key);
                }
                if Self::is_kept(table, value.as_ref()) {
                    self.insert(table, key.clone(), value.clone());
                } else {
                    self.young.tables[table as usize].remove(key);
                }
            }
        }
    }

    /// Journal entries, blobs and what only audits look at are written once and hardly ever read.
    fn is_kept(table: RowTable, value: Option<&Bytes>) -> bool {
        use RowTable::{BlobParts, Entries, Moves, OperationOrder, Postings};
        let written_once = matches!(table, Entries | BlobParts | Moves | OperationOrder | Postings);
        !written_once && value.is_none_or(|value| value.len() <= HOT_ROW_BYTES_MAX)
    }

    fn insert(&mut self, table: RowTable, key: RowKey, value: Option<Bytes>) {
        let (key_bytes, value_bytes) = (key.bytes().len(), value.as_ref().map_or(0, Bytes::len));
        self.young.bytes += match self.young.tables[table as usize].insert(key, value) {
            // Rows of a table hardly differ in size; what is replaced does not count again.
            Some(before) => value_bytes.saturating_sub(before.as_ref().map_or(0, Bytes::len)),
            None => key_bytes + value_bytes + ROW_OVERHEAD,
        };
        if self.young.bytes > HOT_BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(byte: u8, length: usize) -> Option<Bytes> {
        Some(Bytes::from(vec![byte; length]))
    }

    #[test]
    fn a_commit_replaces_what_was_known() {
        let mut hot = Hot::default();
        hot.learn(RowTable::Heads, b"a", value(1, 4));
        let mut changes = Changes::default();
        changes.set(RowTable::Heads, b"a", value(2, 4));
        changes.set(RowTable::Heads, b"b", None);
        hot.follow(&changes);
        assert_eq!(hot.get(RowTable::Heads, &b"a".into()), Some(value(2, 4)));
        assert_eq!(hot.get(RowTable::Heads, &b"b".into()), Some(None));
        assert_eq!(hot.get(RowTable::Heads, &b"c".into()), None);
    }

    #[test]
    fn a_row_too_large_to_keep_is_forgotten_not_stale() {
        let mut hot = Hot::default();
        hot.learn(RowTable::Records, b"a", value(1, 4));
        let mut changes = Changes::default();
        changes.set(RowTable::Records, b"a", value(2, HOT_ROW_BYTES_MAX + 1));
        hot.follow(&changes);
        assert_eq!(hot.get(RowTable::Records, &b"a".into()), None);
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let mut hot = Hot::default();
        hot.learn(RowTable::Heads, b"used", value(1, 8));
        for n in 0..40_000u32 {
            hot.learn(RowTable::Records, &n.to_be_bytes(), value(0, HOT_ROW_BYTES_MAX));
            assert_eq!(hot.get(RowTable::Heads, &b"used".into()), Some(value(1, 8)));
            assert!(hot.young.bytes + hot.old.bytes <= HOT_BYTES_MAX + 2 * HOT_ROW_BYTES_MAX);
        }
        assert_eq!(hot.get(RowTable::Records, &(&0u32.to_be_bytes()).into()), None, "the oldest row has gone");
    }
}
