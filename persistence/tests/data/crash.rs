//! Faults of the disk: what was acknowledged stays, what was not may be asked for again.

use pangaea_persistence::data::QUEUE_MAX;
use pangaea_persistence::{Data, MemoryFaults, MemoryStore};
use pangaea_schemas::EntityId;
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{Currency, JournalReply, JournalRequest, LedgerResult, Message, Transaction};
use proptest::prelude::*;

use crate::fixture::*;

fn put(entity: u64) -> Vec<ShardOp> {
    vec![ShardOp::put(&record(WEST, entity, 1, entity as usize))]
}

const GOLD: Transaction = Transaction::Mint { to: EntityId(1), currency: Currency::GOLD, amount: 1 };

fn mint(op: u128) -> Message {
    Message::LedgerRequest(operation(op, &[], GOLD))
}

fn entities(data: &mut Data<MemoryStore>) -> Vec<u64> {
    load(data, WEST).records.iter().map(|record| record.entity.0).collect()
}

#[test]
fn nothing_is_acknowledged_before_the_commit() {
    let mut data = node();
    data.handle(NOW, SCENE, mint(1));
    assert_eq!(data.poll_output(), None);
    data.commit(NOW);
    assert!(data.poll_output().is_some());
}

#[test]
fn what_was_queued_or_unsynced_is_lost_in_a_crash_and_nothing_acknowledged_is() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    west.append(&mut data, put(1));
    let queued = west.request(put(2));
    data.handle(NOW, SCENE, Message::JournalRequest(queued));
    let mut store = data.into_store();
    store.crash();
    assert_eq!(entities(&mut Data::new(store)), [1]);
}

#[test]
fn a_disk_that_lies_about_syncing_loses_what_was_acknowledged() {
    let lying = MemoryFaults { skip_sync: true, ..MemoryFaults::default() };
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    data.store_mut().set_faults(lying);
    west.append(&mut data, put(1));
    let mut store = data.into_store();
    store.crash();
    let mut data = Data::new(store);
    assert_eq!(entities(&mut data), Vec::<u64>::new(), "or the test above could not fail");
}

#[test]
fn a_failed_commit_is_told_to_everyone_and_changes_nothing() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    data.store_mut().set_faults(MemoryFaults { fail_permille: 1_000, ..MemoryFaults::default() });
    let append = west.request(put(1));
    let replies = ask_all(&mut data, [Message::JournalRequest(append.clone()), mint(1)]);
    let Message::JournalReply(JournalReply::Unavailable { reason, .. }) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(reason, "the store failed to commit: an injected fault");
    let Message::LedgerReply(reply) = &replies[1] else { panic!("{replies:?}") };
    assert_eq!(reply.result, LedgerResult::Unavailable(reason.clone()));
    data.store_mut().set_faults(MemoryFaults::default());
    assert_eq!(entities(&mut data), Vec::<u64>::new());
    assert!(matches!(west.send(&mut data, append), JournalReply::Appended { .. }), "it can be asked for again");
}

#[test]
fn a_full_disk_is_told_in_words_and_reading_goes_on() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    west.append(&mut data, put(1));
    let capacity_bytes = data.store_mut().bytes() + 64;
    data.store_mut().set_faults(MemoryFaults { capacity_bytes, ..MemoryFaults::default() });
    let append = west.request(put(2));
    let JournalReply::Unavailable { reason, .. } = west.send(&mut data, append.clone()) else { panic!("it is full") };
    assert!(reason.contains("is full; nothing was written"), "{reason}");
    assert_eq!(entities(&mut data), [1]);
    data.store_mut().set_faults(MemoryFaults::default());
    west.send(&mut data, append);
    assert_eq!(entities(&mut data), [1, 2]);
}

#[test]
fn under_the_reserve_value_waits_while_journals_go_on() {
    let mut data = node().with_reserve(4_096);
    let mut west = Writer::owning(&mut data, WEST, 1);
    assert!(matches!(ledger(&mut data, operation(1, &[], GOLD)), LedgerResult::Done(_)));
    let capacity_bytes = data.store_mut().bytes() + 4_000;
    data.store_mut().set_faults(MemoryFaults { capacity_bytes, ..MemoryFaults::default() });
    let LedgerResult::Unavailable(reason) = ledger(&mut data, operation(2, &[], GOLD)) else { panic!("it must wait") };
    assert!(reason.contains("only 4000 bytes are left") && reason.contains("durable actions wait"), "{reason}");
    assert_eq!(data.counts().reserved, 1);
    assert!(matches!(west.append(&mut data, put(1)), JournalReply::Appended { .. }), "people walk on");
    let look = operation(3, &[], Transaction::Look { agent: EntityId(1) });
    assert!(matches!(ledger(&mut data, look), LedgerResult::Done(_)), "looking costs nothing");
    data.store_mut().set_faults(MemoryFaults::default());
    assert!(matches!(ledger(&mut data, operation(2, &[], GOLD)), LedgerResult::Done(_)), "space is back, and so is it");
}

#[test]
fn an_append_whose_answer_was_lost_is_not_done_twice() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    data.store_mut().set_faults(MemoryFaults { unsure_permille: 1_000, ..MemoryFaults::default() });
    let append = west.request(put(1));
    assert!(matches!(west.send(&mut data, append.clone()), JournalReply::Unavailable { .. }));
    assert!(data.broken().is_some(), "the process is told to end");
    let mut store = data.into_store();
    store.set_faults(MemoryFaults::default());
    let mut data = Data::new(store);
    assert!(matches!(west.send(&mut data, append), JournalReply::Appended { .. }));
    assert_eq!(west.tail.0, 2);
    assert_eq!(load(&mut data, WEST).index.0, 2);
}

#[test]
fn a_full_queue_answers_at_once() {
    let mut data = node();
    for op in 0..QUEUE_MAX as u128 + 1 {
        data.handle(NOW, SCENE, mint(op));
    }
    let Some((to, Message::LedgerReply(reply))) = data.poll_output() else { panic!("no answer") };
    assert_eq!((to, reply.op.0), (SCENE, QUEUE_MAX as u128));
    assert!(matches!(reply.result, LedgerResult::Unavailable(_)));
    assert_eq!((data.poll_output(), data.counts().turned_away), (None, 1));
}

#[test]
fn one_commit_is_one_transaction() {
    let mut data = node();
    let replies = ask_all(&mut data, (0..500).map(mint));
    assert_eq!((replies.len(), data.counts().commits), (500, 1));
}

proptest! {
    #[test]
    fn acknowledged_work_outlives_every_fault(seed in any::<u64>(), rounds in prop::collection::vec(0..4u8, 1..60)) {
        let faults = MemoryFaults { fail_permille: 250, unsure_permille: 250, ..MemoryFaults::default() };
        let mut data = Data::new(MemoryStore::new(seed, MemoryFaults::default()));
        let mut west = Writer::owning(&mut data, WEST, 1);
        data.store_mut().set_faults(faults);
        let (mut appended, mut minted, mut open) = (Vec::new(), 0u128, None::<(u64, JournalRequest)>);
        for (n, round) in rounds.into_iter().enumerate() {
            let entity = n as u64 + 1;
            let (entity, request) = open.take().unwrap_or_else(|| (entity, west.request(put(entity))));
            match west.send(&mut data, request.clone()) {
                JournalReply::Appended { .. } => appended.push(entity),
                JournalReply::Unavailable { .. } => open = Some((entity, request)),
                other => prop_assert!(false, "the only writer was told {other:?}"),
            }
            let done = ask(&mut data, mint(minted));
            if let Message::LedgerReply(reply) = done && matches!(reply.result, LedgerResult::Done(_)) {
                minted += 1;
            }
            // A store that is unsure about itself must be opened anew.
            let mut store = data.into_store();
            if round == 0 {
                store.crash();
            }
            data = Data::new(store);
        }
        data.store_mut().set_faults(MemoryFaults::default());
        if let Some((entity, request)) = open {
            prop_assert!(matches!(west.send(&mut data, request), JournalReply::Appended { .. }), "asked again it succeeds");
            appended.push(entity);
        }
        prop_assert_eq!(entities(&mut data), appended);
        let audit = data.audit().expect("reads");
        prop_assert!(audit.ok());
        let issued = audit.currencies.first().map_or(0, |total| total.issued);
        prop_assert!(issued == minted || issued == minted + 1, "{issued} issued, {minted} acknowledged");
        prop_assert!(data.verify().expect("reads").ok());
    }
}
