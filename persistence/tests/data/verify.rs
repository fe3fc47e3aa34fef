//! The verifier and the audit find what was planted, and only that.

use std::fs::File;

use bytes::Bytes;
use pangaea_persistence::store::{Changes, RowTable};
use pangaea_persistence::verify::audit;
use pangaea_persistence::{Data, LmdbFile, LmdbOptions, LmdbStore, MemoryStore, Store};
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{Currency, ItemKind, JournalReply, Message, Owner, Transaction};
use pangaea_schemas::{EntityId, Timestamp};

use crate::fixture::*;

/// A node with something in most tables.
fn furnish<S: Store>(data: &mut Data<S>) {
    let mut west = Writer::owning(data, WEST, 1);
    for n in 1..6 {
        west.append(data, vec![ShardOp::put(&record(WEST, n, 1, n as usize)), ShardOp::Born { entity: EntityId(n) }]);
    }
    let ann = EntityId(1);
    ledger(data, operation(1, &[(1, 1)], Transaction::Mint { to: ann, currency: Currency::GOLD, amount: 9 }));
    let create = |item| Transaction::Create { item: EntityId(item), kind: ItemKind(1), owner: Owner::Agent(ann) };
    ledger(data, operation(2, &[], create(100)));
    ledger(data, operation(3, &[], create(101)));
}

const FURNISHED: [RowTable; 11] = [
    RowTable::Heads,
    RowTable::Entries,
    RowTable::Records,
    RowTable::Places,
    RowTable::Fences,
    RowTable::Accounts,
    RowTable::Balances,
    RowTable::Items,
    RowTable::Owned,
    RowTable::Operations,
    RowTable::OperationOrder,
];

fn furnished() -> MemoryStore {
    let mut data = node();
    furnish(&mut data);
    data.into_store()
}

#[test]
fn a_whole_store_has_no_findings() {
    let data = Data::new(furnished());
    let verification = data.verify().expect("reads");
    assert!(verification.ok(), "{verification:?}");
    assert!(verification.rows > 40);
}

#[test]
fn a_flipped_bit_is_found_in_every_table() {
    for table in FURNISHED {
        let mut store = furnished();
        assert!(store.damage(table, 0), "{table:?} has rows");
        let findings = Data::new(store).verify().expect("reads").findings;
        let named = findings.iter().any(|f| f.contains(&format!("of table {} is damaged", table.name())));
        assert!(named, "{table:?}: {findings:?}");
    }
}

#[test]
fn a_lost_row_is_found_in_every_table() {
    for table in FURNISHED {
        let mut store = furnished();
        assert!(store.lose(table, 0), "{table:?} has rows");
        let findings = Data::new(store).verify().expect("reads").findings;
        assert!(findings.iter().any(|f| f.starts_with(&format!("table {} has", table.name()))), "{table:?}: {findings:?}");
    }
}

#[test]
fn lost_money_and_lost_items_are_named_by_the_audit() {
    let mut store = furnished();
    assert!(store.lose(RowTable::Balances, 0));
    let faults = Data::new(store).audit().expect("reads").faults;
    let (total, named) = (&faults[0], &faults[1]);
    assert_eq!(total, "currency 0: 9 were issued, but 0 are held and 0 sunk");
    assert!(named.contains("has 0 of currency 0, but the last operation, 0000") && named.ends_with(", left 9"), "{named}");
    let mut store = furnished();
    assert!(store.lose(RowTable::Items, 1));
    let faults = Data::new(store).audit().expect("reads").faults;
    assert!(faults.len() == 1 && faults[0].starts_with("item e101 is listed in owned"), "{faults:?}");
    let mut store = furnished();
    assert!(store.lose(RowTable::Owned, 0));
    let faults = Data::new(store).audit().expect("reads").faults;
    assert_eq!(faults, ["item e100 belongs to Agent(EntityId(1)), who does not list it"]);
}

#[test]
fn a_damaged_row_stops_only_those_who_need_it() {
    let mut store = furnished();
    assert!(store.damage(RowTable::Records, 2), "the row of entity 3");
    let mut data = Data::new(store);
    let mut west = Writer::new(WEST, 1);
    let image = pangaea_schemas::message::JournalRequest::Load { request: Default::default(), shard: WEST };
    let JournalReply::Failed { reason, .. } = journal(&mut data, image) else { panic!("it cannot be loaded") };
    assert!(reason.contains("of table records is damaged"), "{reason}");
    (west.epoch, west.tail, west.seq) = (pangaea_schemas::ShardEpoch(1), pangaea_schemas::JournalIndex(6), 6);
    let blocked = Message::JournalRequest(west.request(vec![ShardOp::put(&record(WEST, 3, 1, 0))]));
    let free = Message::JournalRequest(west.request(vec![ShardOp::put(&record(WEST, 4, 1, 0))]));
    let replies = ask_all(&mut data, [blocked, free]);
    assert!(matches!(replies[0], Message::JournalReply(JournalReply::Unavailable { .. })), "{replies:?}");
    assert!(matches!(replies[1], Message::JournalReply(JournalReply::Appended { .. })), "{replies:?}");
}

#[test]
fn the_same_node_runs_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Data::new(LmdbStore::open(folder.path(), LmdbOptions::default()).expect("opens"));
    let mut data = open();
    furnish(&mut data);
    let before = load(&mut data, WEST);
    drop(data);
    let mut data = open();
    assert_eq!(load(&mut data, WEST), before);
    assert_eq!(before.records.len(), 5);
    assert!(data.verify().expect("reads").ok());
    let audit = data.audit().expect("reads");
    assert_eq!((audit.ok(), audit.items, audit.currencies[0].held), (true, 2, 9));
}

#[test]
fn a_doubled_item_and_lost_gold_are_named_in_a_copied_file() {
    let (home, copy) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let mut data = Data::new(LmdbStore::open(home.path(), LmdbOptions::default()).expect("opens"));
    furnish(&mut data);
    drop(data);
    let original = LmdbFile::open(home.path()).expect("opens");
    original.copy_to(&File::create(copy.path().join("data.mdb")).expect("a file")).expect("copies");

    // Well-formed rows that no operation wrote: item 100 is agent 1's, and is listed by agent 2, too; 4 of 9 gold are gone.
    let mut planted = Changes::default();
    let listed = [2u64.to_be_bytes(), 100u64.to_be_bytes()].concat();
    planted.set(RowTable::Owned, listed.as_slice(), Some(Bytes::from_static(&[1, 0])));
    let purse = [&[0], 1u64.to_be_bytes().as_slice(), Currency::GOLD.0.to_be_bytes().as_slice()].concat();
    planted.set(RowTable::Balances, purse.as_slice(), Some(Bytes::copy_from_slice(&5i128.to_le_bytes())));
    LmdbStore::open(copy.path(), LmdbOptions::default()).expect("opens").commit(&planted).expect("commits");

    let faults = audit(&LmdbFile::open(copy.path()).expect("opens")).expect("reads").faults;
    for named in ["item e100 is listed in owned", "9 were issued, but 5 are held", "but the last operation, 0000"] {
        assert!(faults.iter().any(|fault| fault.contains(named)), "{named}: {faults:?}");
    }
    assert!(audit(&original).expect("reads").ok(), "the original is as it was");
}

#[test]
fn a_data_node_may_live_on_a_thread_of_its_own() {
    fn movable<T: Send>() {}
    movable::<Data<LmdbStore>>();
}

#[test]
fn messages_for_others_are_counted_and_ignored() {
    let mut data = node();
    let stray =
        Message::Directory(pangaea_schemas::message::Directory::Locate { request: Default::default(), agent: EntityId(1) });
    data.handle(Timestamp(0), SCENE, stray);
    data.commit(Timestamp(0));
    assert_eq!((data.poll_output(), data.counts().ignored, data.has_work()), (None, 1, false));
}
