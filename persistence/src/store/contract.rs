//! What every store must keep, run on both.

use std::ops::ControlFlow;

use super::{
    Changes, LmdbFile, LmdbOptions, LmdbStore, MemoryStore, RowTable, Snapshots, Store, StoreError, TableSum, open, stored_sum,
};
use crate::verify::verify;

fn changes(rows: &[(RowTable, &str, Option<&str>)]) -> Changes {
    let mut changes = Changes::default();
    for (table, key, value) in rows {
        changes.set(*table, key.as_bytes(), value.map(|value| value.to_owned().into()));
    }
    changes
}

/// `key=value` of all rows from `from` on, at most `limit`.
fn listed(store: &impl Snapshots, table: RowTable, from: &str, limit: usize) -> String {
    let mut found = Vec::new();
    store
        .read(&mut |rows| {
            rows.scan(table, from.as_bytes(), &mut |key, sealed| {
                let value = open(table, key, sealed)?;
                found.push(format!("{}={}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
                Ok(if found.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })
        })
        .expect("reads");
    found.join(" ")
}

/// How many rows the table's sum says there are.
fn counted(store: &impl Store, table: RowTable) -> u64 {
    let mut rows = 0;
    store
        .read(&mut |snapshot| {
            rows = stored_sum(snapshot, table)?.rows;
            Ok(())
        })
        .expect("reads");
    rows
}

fn commits_are_visible_whole_and_sorted(mut store: impl Store) {
    let all = [(RowTable::Tables, "c", Some("3")), (RowTable::Tables, "a", Some("1")), (RowTable::Blobs, "b", Some(""))];
    store.commit(&changes(&all)).expect("commits");
    store.commit(&changes(&[(RowTable::Tables, "b", Some("2")), (RowTable::Tables, "c", Some("4"))])).expect("commits");
    assert_eq!(listed(&store, RowTable::Tables, "", 9), "a=1 b=2 c=4");
    assert_eq!(listed(&store, RowTable::Tables, "", 2), "a=1 b=2");
    assert_eq!(listed(&store, RowTable::Tables, "b", 9), "b=2 c=4");
    assert_eq!(listed(&store, RowTable::Tables, "bb", 9), "c=4");
    assert_eq!(listed(&store, RowTable::Tables, "d", 9), "");
    assert_eq!(listed(&store, RowTable::Blobs, "", 9), "b=");
    store.commit(&changes(&[(RowTable::Tables, "a", None), (RowTable::Tables, "never", None)])).expect("commits");
    assert_eq!(listed(&store, RowTable::Tables, "", 9), "b=2 c=4");
    assert_eq!(listed(&store, RowTable::Tables, "a", 1), "b=2", "the deleted row is gone");
}

fn rows_take_any_size_in_place_of_any_other(mut store: impl Store) {
    let mut dice = fastrand::Rng::with_seed(7);
    let mut expected = std::collections::BTreeMap::new();
    for round in 0..60 {
        let mut all = Changes::default();
        for _ in 0..dice.usize(1..40) {
            let key = format!("k{:02}", dice.u8(0..60));
            // Of a small row, a page's worth of them, pages of its own.
            let size = [20, 21, 500, 1_900, 2_100, 9_000][dice.usize(0..6)];
            let value = (dice.u8(0..5) > 0).then(|| round.to_string().repeat(size));
            expected.insert(key.clone(), value.clone());
            all.set(RowTable::Records, key.as_bytes(), value.map(Into::into));
        }
        store.commit(&all).expect("commits");
        let there = expected.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?)));
        assert_eq!(listed(&store, RowTable::Records, "", usize::MAX), there.collect::<Vec<_>>().join(" "), "round {round}");
    }
}

fn table_sums_follow_every_change(mut store: impl Store) {
    for round in 0..50u32 {
        let key = format!("k{}", round % 7);
        let value = format!("v{round}");
        let value = (round % 5 != 4).then_some(value.as_str());
        store.commit(&changes(&[(RowTable::Records, &key, value), (RowTable::Records, "x", Some(&key))])).expect("commits");
        store
            .read(&mut |rows| {
                let mut sum = TableSum::default();
                rows.scan(RowTable::Records, &[], &mut |_, sealed| {
                    sum.add(sealed);
                    Ok(ControlFlow::Continue(()))
                })?;
                assert_eq!(stored_sum(rows, RowTable::Records)?, sum, "after round {round}");
                Ok(())
            })
            .expect("reads");
    }
}

fn an_error_inside_a_read_comes_out(store: impl Store) {
    let error = store.read(&mut |_| Err(StoreError::damaged(RowTable::Items, &[1, 171], "by a test")));
    assert_eq!(error.expect_err("fails").to_string(), "row 01ab of table items is damaged: by a test");
}

fn large_values_come_back(mut store: impl Store) {
    let large = "x".repeat(300_000);
    store.commit(&changes(&[(RowTable::BlobParts, "k", Some(&large))])).expect("commits");
    assert_eq!(listed(&store, RowTable::BlobParts, "", 1).len(), "k=".len() + large.len());
}

macro_rules! contract {
    ($($test:ident)*) => {
        mod memory {
            $(#[test] fn $test() { super::$test(super::MemoryStore::default()); })*
        }
        mod lmdb {
            $(#[test] fn $test() {
                let folder = tempfile::tempdir().expect("a folder");
                super::$test(super::LmdbStore::open(folder.path(), super::LmdbOptions::default()).expect("opens"));
            })*
        }
    };
}
contract! {
    commits_are_visible_whole_and_sorted
    rows_take_any_size_in_place_of_any_other
    table_sums_follow_every_change
    an_error_inside_a_read_comes_out
    large_values_come_back
}

mod on_disk {
    use super::*;

    const SMALL: LmdbOptions = LmdbOptions { map_bytes: 1 << 20, map_bytes_max: 64 << 20 };

    #[test]
    fn a_folder_keeps_its_rows_when_it_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = LmdbStore::open(folder.path(), LmdbOptions::default()).expect("opens");
        store.commit(&changes(&[(RowTable::Tables, "a", Some("1"))])).expect("commits");
        drop(store);
        let store = LmdbStore::open(folder.path(), LmdbOptions::default()).expect("opens again");
        assert_eq!(listed(&store, RowTable::Tables, "", 9), "a=1");
    }

    #[test]
    fn a_folder_is_opened_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = LmdbStore::open(folder.path(), LmdbOptions::default()).expect("opens");
        let again = LmdbStore::open(&folder.path().join("."), LmdbOptions::default());
        assert!(matches!(again, Err(StoreError::AlreadyOpen { .. })), "{again:?}");
        drop(store);
        LmdbStore::open(folder.path(), LmdbOptions::default()).expect("opens when the first one is gone");
    }

    #[test]
    fn a_folder_in_use_elsewhere_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = std::fs::File::create(folder.path().join("pangaea.lock")).expect("a file");
        lock.lock().expect("locks");
        let refused = LmdbStore::open(folder.path(), LmdbOptions::default()).expect_err("in use");
        assert!(refused.to_string().contains("in use by another process"), "{refused}");
    }

    #[test]
    fn a_small_map_grows_under_one_large_commit_and_keeps_growing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = LmdbStore::open(folder.path(), SMALL).expect("opens");
        let value = "v".repeat(1_000);
        for round in 0..4 {
            let mut many = Changes::default();
            for n in 0..3_000u32 {
                many.set(RowTable::Records, [[round; 4], n.to_be_bytes()].concat().as_slice(), Some(value.clone().into()));
            }
            store.commit(&many).expect("grows and commits");
        }
        assert!(store.map_bytes() >= 12 << 20 && store.map_bytes() <= SMALL.map_bytes_max, "{}", store.map_bytes());
        assert_eq!(counted(&store, RowTable::Records), 12_000);
        drop(store);
        let store = LmdbStore::open(folder.path(), SMALL).expect("a file larger than the map asked for opens");
        assert_eq!(counted(&store, RowTable::Records), 12_000);
    }

    #[test]
    fn room_shrinks_as_the_map_fills_and_grows_when_rows_are_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = LmdbOptions { map_bytes: 8 << 20, map_bytes_max: 8 << 20 };
        let mut store = LmdbStore::open(folder.path(), options).expect("opens");
        let empty = store.room().expect("known");
        assert!(empty < 8 << 20, "the map is what limits it: {empty}");
        let large = "x".repeat(4 << 20);
        store.commit(&changes(&[(RowTable::BlobParts, "k", Some(&large))])).expect("commits");
        let full = store.room().expect("known");
        assert!(full + (4 << 20) < empty, "{full} of {empty}");
        store.commit(&changes(&[(RowTable::BlobParts, "k", None)])).expect("commits");
        assert!(store.room().expect("known") > full + (3 << 20), "free pages within the file count");
    }

    #[test]
    fn a_file_can_be_looked_at_and_copied() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = LmdbStore::open(folder.path(), SMALL).expect("opens");
        store.commit(&changes(&[(RowTable::Tables, "a", Some("1"))])).expect("commits");
        drop(store);
        let copied = tempfile::tempdir().expect("a folder");
        let file = LmdbFile::open(folder.path()).expect("opens");
        assert_eq!(listed(&file, RowTable::Tables, "", 9), "a=1");
        file.copy_to(&std::fs::File::create(copied.path().join("data.mdb")).expect("a file")).expect("copies");
        assert_eq!(listed(&LmdbFile::open(copied.path()).expect("opens"), RowTable::Tables, "", 9), "a=1");
        assert!(verify(&file).expect("reads").ok());
    }

    #[test]
    fn where_there_is_no_store_there_is_nothing_to_look_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = LmdbFile::open(folder.path()).expect_err("nothing there");
        assert!(matches!(missing, StoreError::Folder { .. }), "{missing}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0, "and nothing is made");
    }

    #[test]
    fn at_the_maps_limit_a_commit_changes_nothing_and_smaller_ones_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = LmdbOptions { map_bytes: 1 << 20, map_bytes_max: 2 << 20 };
        let mut store = LmdbStore::open(folder.path(), options).expect("opens");
        let large = "x".repeat(4 << 20);
        let full = store.commit(&changes(&[(RowTable::Tables, "a", Some("1")), (RowTable::BlobParts, "k", Some(&large))]));
        assert!(matches!(full, Err(StoreError::MapFull { bytes: 0x20_0000 })), "{full:?}");
        assert_eq!(listed(&store, RowTable::Tables, "", 9), "");
        store.commit(&changes(&[(RowTable::Tables, "b", Some("2"))])).expect("commits");
        assert_eq!(listed(&store, RowTable::Tables, "", 9), "b=2");
    }
}
