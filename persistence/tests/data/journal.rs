//! The journal's rules: who may append, what asking twice does, what stays readable.

use pangaea_persistence::{ENTRIES_KEPT, ID_BLOCK};
use pangaea_schemas::journal::{Entry, ShardOp};
use pangaea_schemas::message::{AppendId, JournalReply, JournalRequest, Message};
use pangaea_schemas::{EntityId, JournalIndex, Nonce, RequestId, ShardEpoch, Tick};

use crate::fixture::*;

const ASK: RequestId = RequestId(9);

fn put(entity: u64) -> Vec<ShardOp> {
    vec![ShardOp::put(&record(WEST, entity, 1, entity as usize))]
}

fn conflict(reply: &JournalReply) -> Option<(u64, u64)> {
    match reply {
        JournalReply::Conflict { tail, epoch, .. } => Some((tail.0, epoch.0)),
        _ => None,
    }
}

fn read(data: &mut pangaea_persistence::Data<pangaea_persistence::MemoryStore>, from: u64, bytes_max: u32) -> JournalReply {
    journal(data, JournalRequest::Read { request: ASK, shard: WEST, from: JournalIndex(from), bytes_max })
}

#[test]
fn entries_get_consecutive_indices() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    assert_eq!(west.tail, JournalIndex(1));
    for index in 2..6 {
        west.append(&mut data, put(index));
        assert_eq!(west.tail, JournalIndex(index));
    }
    assert_eq!(Writer::owning(&mut data, EAST, 1).tail, JournalIndex(1), "each shard counts for itself");
}

#[test]
fn an_append_on_another_tail_conflicts_and_changes_nothing() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    for wrong in [0, 2, u64::MAX] {
        west.tail = JournalIndex(wrong);
        assert_eq!(conflict(&west.append(&mut data, put(5))), Some((1, 1)), "expected {wrong}");
    }
    assert!(load(&mut data, WEST).records.is_empty());
}

#[test]
fn asking_again_answers_again_also_for_earlier_ones_of_a_pipeline() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    let requests: Vec<_> = (2..6)
        .map(|index| {
            let request = west.request(put(index));
            west.tail = JournalIndex(index);
            request
        })
        .collect();
    let first: Vec<_> = ask_all(&mut data, requests.iter().cloned().map(Message::JournalRequest));
    let again: Vec<_> = ask_all(&mut data, requests.iter().rev().cloned().map(Message::JournalRequest));
    assert_eq!(first, again.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(load(&mut data, WEST).index, JournalIndex(5), "nothing was appended twice");
}

#[test]
fn a_sequence_used_again_for_another_append_is_not_taken_for_the_old_one() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    west.append(&mut data, put(5));
    west.seq = 1;
    west.append(&mut data, put(6));
    assert_eq!(west.tail, JournalIndex(3));
    assert_eq!(load(&mut data, WEST).records.len(), 2);
}

#[test]
fn an_owner_entry_raises_the_epoch_by_exactly_one() {
    let mut data = node();
    for epoch in [0, 2, 7] {
        let mut writer = Writer::new(WEST, 1);
        writer.epoch = ShardEpoch(epoch);
        let reply = writer.append(&mut data, vec![ShardOp::Owner { node: SCENE, nonce: Nonce(1) }]);
        assert_eq!(conflict(&reply), Some((0, 0)), "epoch {epoch}");
    }
    assert_eq!(Writer::owning(&mut data, WEST, 1).epoch, ShardEpoch(1));
    assert_eq!(Writer::owning(&mut data, WEST, 2).epoch, ShardEpoch(2));
}

#[test]
fn of_two_claims_one_wins() {
    let mut data = node();
    let claim = |nonce| {
        let mut writer = Writer::new(WEST, nonce);
        writer.epoch = ShardEpoch(1);
        Message::JournalRequest(writer.request(vec![ShardOp::Owner { node: SCENE, nonce: Nonce(nonce) }]))
    };
    let replies = ask_all(&mut data, [claim(1), claim(2)]);
    assert!(matches!(replies[0], Message::JournalReply(JournalReply::Appended { .. })), "{replies:?}");
    assert!(matches!(replies[1], Message::JournalReply(JournalReply::Conflict { .. })), "{replies:?}");
}

#[test]
fn the_last_owner_can_write_no_more() {
    let mut data = node();
    let mut old = Writer::owning(&mut data, WEST, 1);
    let new = Writer::owning(&mut data, WEST, 2);
    assert_eq!(conflict(&old.append(&mut data, put(5))), Some((2, 2)));
    old.tail = new.tail;
    assert_eq!(conflict(&old.append(&mut data, put(5))), Some((2, 2)), "its epoch is too low");
    old.epoch = new.epoch;
    assert_eq!(conflict(&old.append(&mut data, put(5))), Some((2, 2)), "an epoch that was only read gives no right");
}

#[test]
fn a_giver_still_learns_that_its_owner_entry_was_taken() {
    let mut data = node();
    let mut giver = Writer::owning(&mut data, WEST, 1);
    giver.epoch = giver.epoch.next();
    let gift = giver.request(vec![ShardOp::Owner { node: SCENE, nonce: Nonce(2) }]);
    giver.send(&mut data, gift.clone());
    let mut taker = Writer::new(WEST, 2);
    (taker.epoch, taker.tail) = (ShardEpoch(2), JournalIndex(2));
    assert!(matches!(taker.append(&mut data, put(5)), JournalReply::Appended { index: JournalIndex(3), .. }));
    assert!(matches!(giver.send(&mut data, gift), JournalReply::Appended { index: JournalIndex(2), .. }));
}

#[test]
fn a_malformed_entry_is_refused_in_words_and_the_rest_of_the_batch_is_done() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    let mut east = Writer::owning(&mut data, EAST, 1);
    let outside = vec![ShardOp::put(&record(WEST, 4, 1, 0)), ShardOp::put(&record(EAST, 5, 1, 0))];
    let bad = Message::JournalRequest(west.request(outside));
    let good = Message::JournalRequest(east.request(vec![ShardOp::put(&record(EAST, 6, 1, 0))]));
    let replies = ask_all(&mut data, [bad, good]);
    let Message::JournalReply(JournalReply::Unavailable { reason, .. }) = &replies[0] else { panic!("{replies:?}") };
    assert!(reason.contains("outside of shard 0/3/0,0"), "{reason}");
    assert!(matches!(replies[1], Message::JournalReply(JournalReply::Appended { .. })));
    assert!(load(&mut data, WEST).records.is_empty(), "also the good half of the bad entry is not there");
    assert_eq!(load(&mut data, EAST).records.len(), 1);
    let mut ops = put(7);
    ops.push(ShardOp::Owner { node: SCENE, nonce: Nonce(1) });
    west.epoch = west.epoch.next();
    assert!(matches!(west.append(&mut data, ops), JournalReply::Unavailable { .. }), "OWNER stands alone");
}

#[test]
fn entries_can_be_read_in_pieces() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    for entity in 1..10 {
        west.append(&mut data, put(entity));
    }
    let JournalReply::Entries { entries: all, tail, .. } = read(&mut data, 1, u32::MAX) else { panic!("no entries") };
    assert_eq!((all.len(), tail), (10, JournalIndex(10)));
    assert_eq!(all[4], Entry { epoch: ShardEpoch(1), tick: Tick(5), ops: put(4) });
    let mut pieces = Vec::new();
    while pieces.len() < 10 {
        let from = pieces.len() as u64 + 1;
        let JournalReply::Entries { entries, from: first, .. } = read(&mut data, from, 1) else { panic!("no entries") };
        assert_eq!((first.0, entries.len()), (from, 1), "at least one comes, and no more than fits");
        pieces.extend(entries);
    }
    assert_eq!(pieces, all);
    assert!(matches!(read(&mut data, 11, 99), JournalReply::Entries { entries, .. } if entries.is_empty()));
}

#[test]
fn old_entries_are_forgotten_but_never_the_state() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    for n in 0..ENTRIES_KEPT + 10 {
        west.append(&mut data, put(n % 50 + 1));
    }
    let first = west.tail.0 - ENTRIES_KEPT + 1;
    assert!(matches!(read(&mut data, first, 1), JournalReply::Entries { .. }));
    let JournalReply::Failed { reason, .. } = read(&mut data, first - 1, 1) else { panic!("it is trimmed") };
    assert_eq!(reason, format!("entry j11 of 0/3/0,0 is trimmed, the first there is j{first}"));
    let trim = |below| JournalRequest::Trim { request: ASK, shard: WEST, below: JournalIndex(below) };
    assert!(matches!(journal(&mut data, trim(west.tail.0 + 2)), JournalReply::Failed { .. }), "above the checkpoint");
    let trimmed = journal(&mut data, trim(first + 100));
    assert_eq!(trimmed, JournalReply::Trimmed { request: ASK, first: JournalIndex(first + 100) });
    assert_eq!(load(&mut data, WEST).records.len(), 50);
    assert!(data.verify().expect("reads").ok());
}

#[test]
fn owners_and_places_are_known() {
    let mut data = node();
    let mut east = Writer::owning(&mut data, EAST, 3);
    Writer::owning(&mut data, WEST, 4);
    east.append(&mut data, vec![ShardOp::put(&record(EAST, 70, 1, 5))]);
    let JournalReply::OwnerList { owners, .. } = journal(&mut data, JournalRequest::Owners { request: ASK }) else {
        panic!("no owners")
    };
    let expected =
        [(WEST, SCENE, Nonce(4), ShardEpoch(1), JournalIndex(1)), (EAST, SCENE, Nonce(3), ShardEpoch(1), JournalIndex(2))];
    assert_eq!(owners, expected);
    for (entity, shard) in [(70, Some(EAST)), (71, None)] {
        let entity = EntityId(entity);
        let found = journal(&mut data, JournalRequest::Find { request: ASK, entity });
        assert_eq!(found, JournalReply::Found { request: ASK, entity, shard });
    }
}

#[test]
fn id_blocks_never_overlap_not_even_over_a_restart() {
    let mut data = node();
    let mut firsts = Vec::new();
    for _ in 0..3 {
        let ids = [JournalRequest::Ids { request: ASK }, JournalRequest::Ids { request: ASK }];
        for reply in ask_all(&mut data, ids.map(Message::JournalRequest)) {
            let Message::JournalReply(JournalReply::IdBlock { first, count, .. }) = reply else { panic!("{reply:?}") };
            assert_eq!(count, ID_BLOCK);
            firsts.push(first.0);
        }
        data = pangaea_persistence::Data::new(data.into_store());
    }
    assert_eq!(firsts, (1..7).map(|n| n * ID_BLOCK).collect::<Vec<_>>());
}

#[test]
fn an_append_id_of_another_writer_is_not_mine() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    west.append(&mut data, put(5));
    let id = AppendId { nonce: Nonce(77), seq: 2 };
    let entry = Entry { epoch: ShardEpoch(1), tick: Tick(2), ops: put(5) };
    let reply = journal(&mut data, JournalRequest::Append { shard: WEST, id, expected: JournalIndex(1), entry: entry.into() });
    assert_eq!(conflict(&reply), Some((2, 1)));
}
