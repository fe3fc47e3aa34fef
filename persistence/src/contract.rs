//! What every journal and every blob store must do, whichever backend it runs on. A backend's test drives it through a small
//! trait and calls the suite; a broken rule panics and names itself.

use bytes::Bytes;
use pangaea_schemas::geometry::{ShardId, SpaceId};
use pangaea_schemas::journal::{Entry, ShardOp};
use pangaea_schemas::message::{AppendId, BLOB_BYTES_MAX, BlobReply, BlobRequest, JournalReply, JournalRequest};
use pangaea_schemas::{EntityId, JournalIndex, NodeId, Nonce, RequestId, Role, ShardEpoch, Tick};

/// A journal under test. Only appends, reads and trims are asked of it.
pub trait JournalBackend {
    /// Sends all requests before it waits; their replies in order.
    fn ask(&mut self, requests: Vec<JournalRequest>) -> Vec<JournalReply>;
    /// The backend dies this moment and is started again.
    fn crash(&mut self);
}

/// A blob store under test.
pub trait BlobsBackend {
    /// Sends all requests before it waits; their replies in order.
    fn ask(&mut self, requests: Vec<BlobRequest>) -> Vec<BlobReply>;
    /// The backend dies this moment and is started again.
    fn crash(&mut self);
}

/// Runs every rule of a journal, each on a fresh one.
pub fn journal_suite<J: JournalBackend>(mut fresh: impl FnMut() -> J) {
    entries_come_back_as_they_were_written(&mut fresh());
    an_append_asked_again_is_answered_again_and_done_once(&mut fresh());
    only_the_expected_tail_is_appended_to(&mut fresh());
    only_the_owner_in_force_writes(&mut fresh());
    an_owner_raises_the_epoch_by_one_and_stands_alone(&mut fresh());
    of_two_claims_one_wins(&mut fresh());
    reads_are_bounded_but_never_empty(&mut fresh());
    trimmed_entries_are_gone_and_the_last_ones_stay(&mut fresh());
    journals_do_not_know_each_other(&mut fresh());
    a_split_ends_one_journal_and_begins_four(&mut fresh());
    a_merge_ends_four_journals_and_begins_one(&mut fresh());
    a_recut_that_knows_something_else_changes_nothing(&mut fresh());
    what_was_acknowledged_outlives_a_crash(&mut fresh());
}

/// Runs every rule of a blob store, each on a fresh one.
pub fn blobs_suite<B: BlobsBackend>(mut fresh: impl FnMut() -> B) {
    blobs_come_back_whole(&mut fresh());
    a_put_replaces(&mut fresh());
    names_are_listed_by_prefix_in_order(&mut fresh());
    a_deleted_blob_is_gone_and_deleting_again_is_done(&mut fresh());
    blobs_out_of_bounds_are_refused_in_words(&mut fresh());
    acknowledged_blobs_outlive_a_crash(&mut fresh());
}

const WEST: ShardId = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
const EAST: ShardId = ShardId { space: SpaceId(0), level: 3, x: 1, z: 0 };
/// A reader with so much room is never cut short by the suite's small entries.
const ROOMY: u32 = 1 << 20;
const REQUEST: RequestId = RequestId(7);

/// One incarnation that writes, or believes that it may write, to one journal.
#[derive(Clone)]
struct Writer {
    shard: ShardId,
    nonce: Nonce,
    seq: u64,
    epoch: ShardEpoch,
    tail: JournalIndex,
}

impl Writer {
    fn new(shard: ShardId, nonce: u128) -> Self {
        Self { shard, nonce: Nonce(nonce), seq: 0, epoch: ShardEpoch(0), tail: JournalIndex(0) }
    }

    /// A writer whose claim of a fresh journal was taken.
    fn owning(journal: &mut impl JournalBackend, shard: ShardId, nonce: u128) -> Self {
        let mut writer = Self::new(shard, nonce);
        let claim = writer.claim();
        assert!(writer.hears(&one(journal, claim)), "a fresh journal takes its first OWNER");
        writer
    }

    /// The next append, not yet sent.
    fn append(&mut self, ops: Vec<ShardOp>) -> JournalRequest {
        self.seq += 1;
        let id = AppendId { nonce: self.nonce, seq: self.seq };
        let entry = Entry { epoch: self.epoch, tick: Tick(self.seq), ops };
        JournalRequest::Append { shard: self.shard, id, expected: self.tail, entry: entry.into() }
    }

    fn born(&mut self, entity: u64) -> JournalRequest {
        self.append(vec![ShardOp::Born { entity: EntityId(entity) }])
    }

    /// An OWNER entry with the next epoch, under which it goes on.
    fn claim(&mut self) -> JournalRequest {
        self.epoch = self.epoch.next();
        self.append(vec![ShardOp::Owner { node: NodeId::new(Role::Scene, 1), nonce: self.nonce }])
    }

    /// Whether its last append was taken; then it moves on.
    fn hears(&mut self, reply: &JournalReply) -> bool {
        let id = AppendId { nonce: self.nonce, seq: self.seq };
        let index = self.tail.next();
        let taken = *reply == JournalReply::Appended { shard: self.shard, id, index };
        if taken {
            self.tail = index;
        }
        taken
    }

    fn writes(&mut self, journal: &mut impl JournalBackend, entity: u64) {
        let request = self.born(entity);
        assert!(self.hears(&one(journal, request)), "the owner in force writes at the tail");
    }
}

fn one(journal: &mut impl JournalBackend, request: JournalRequest) -> JournalReply {
    let mut replies = journal.ask(vec![request]);
    assert_eq!(replies.len(), 1, "one reply to one request, not {replies:?}");
    replies.remove(0)
}

fn read(journal: &mut impl JournalBackend, shard: ShardId, from: u64, bytes_max: u32) -> JournalReply {
    one(journal, JournalRequest::Read { request: REQUEST, shard, from: JournalIndex(from), bytes_max })
}

/// Which entities a journal's entries from `from` on gave birth to.
fn births(journal: &mut impl JournalBackend, shard: ShardId, from: u64) -> Vec<u64> {
    let JournalReply::Entries { entries, .. } = read(journal, shard, from, ROOMY) else { panic!("entry {from} is there") };
    let born = |op: &ShardOp| match op {
        ShardOp::Born { entity } => Some(entity.0),
        _ => None,
    };
    entries.iter().flat_map(|entry| entry.ops.iter().filter_map(born)).collect()
}

fn entries_come_back_as_they_were_written(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    let request = west.append((1..4).map(|n| ShardOp::Born { entity: EntityId(n) }).collect());
    let JournalRequest::Append { entry: written, .. } = &request else { unreachable!("an append") };
    let written = Entry::clone(written);
    assert!(west.hears(&one(journal, request)));
    let reply = read(journal, WEST, 2, ROOMY);
    let expected =
        JournalReply::Entries { request: REQUEST, from: JournalIndex(2), entries: vec![written], tail: JournalIndex(2) };
    assert_eq!(reply, expected, "what is read is what was written");
    let reply = read(journal, WEST, 3, ROOMY);
    let nothing = JournalReply::Entries { request: REQUEST, from: JournalIndex(3), entries: vec![], tail: JournalIndex(2) };
    assert_eq!(reply, nothing, "behind the tail there is nothing yet");
}

fn an_append_asked_again_is_answered_again_and_done_once(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    let request = west.born(1);
    let first = one(journal, request.clone());
    let again = journal.ask(vec![request.clone(), request.clone()]);
    assert_eq!(again, [first.clone(), first.clone()], "the same question has the same answer");
    assert!(west.hears(&first));
    west.writes(journal, 2);
    assert_eq!(one(journal, request), first, "also when others came behind it");
    assert_eq!(births(journal, WEST, 1), [1, 2], "and it is done once");
}

fn only_the_expected_tail_is_appended_to(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    for wrong in [0, 2, 99] {
        let mut lost = Writer { tail: JournalIndex(wrong), seq: 40 + wrong, ..west.clone() };
        let conflict = JournalReply::Conflict {
            shard: WEST,
            id: AppendId { nonce: west.nonce, seq: lost.seq + 1 },
            tail: west.tail,
            epoch: west.epoch,
        };
        let request = lost.born(9);
        assert_eq!(one(journal, request), conflict, "expecting {wrong} where the tail is 1");
    }
    west.writes(journal, 1);
    assert_eq!(births(journal, WEST, 1), [1], "a conflict changes nothing");
}

fn only_the_owner_in_force_writes(journal: &mut impl JournalBackend) {
    let mut zombie = Writer::owning(journal, WEST, 1);
    let mut heir = Writer { nonce: Nonce(2), ..zombie.clone() };
    let claim = heir.claim();
    assert!(heir.hears(&one(journal, claim)), "anybody may claim at the tail");
    // It learned the tail, but not that it is fenced.
    zombie.tail = heir.tail;
    let mut impostor = Writer { nonce: Nonce(3), seq: 0, ..heir.clone() };
    for (who, request) in [("a fenced owner", zombie.born(9)), ("somebody else under the epoch in force", impostor.born(9))] {
        let reply = one(journal, request);
        assert!(matches!(reply, JournalReply::Conflict { epoch: ShardEpoch(2), .. }), "{who} writes nothing: {reply:?}");
    }
    heir.writes(journal, 1);
    assert_eq!(births(journal, WEST, 1), [1]);
}

fn an_owner_raises_the_epoch_by_one_and_stands_alone(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    for epoch in [0, 1, 3] {
        let mut hasty = Writer { nonce: Nonce(9), epoch: ShardEpoch(epoch), ..west.clone() };
        let request = hasty.append(vec![ShardOp::Owner { node: NodeId::new(Role::Scene, 2), nonce: hasty.nonce }]);
        let reply = one(journal, request);
        assert!(matches!(reply, JournalReply::Conflict { .. }), "epoch {epoch} does not come after 1: {reply:?}");
    }
    let mut greedy = Writer { nonce: Nonce(9), epoch: west.epoch.next(), ..west.clone() };
    let owner = ShardOp::Owner { node: NodeId::new(Role::Scene, 2), nonce: greedy.nonce };
    let crowded = greedy.append(vec![owner, ShardOp::Born { entity: EntityId(9) }]);
    let replies = journal.ask(vec![crowded, west.born(1)]);
    assert!(matches!(replies[0], JournalReply::Unavailable { .. }), "OWNER stands alone: {replies:?}");
    assert!(west.hears(&replies[1]), "and a bad request does not harm the next: {replies:?}");
}

fn of_two_claims_one_wins(journal: &mut impl JournalBackend) {
    let (mut x, mut y) = (Writer::new(WEST, 1), Writer::new(WEST, 2));
    let replies = journal.ask(vec![x.claim(), y.claim()]);
    assert!(x.hears(&replies[0]), "the first claim is taken: {replies:?}");
    let lost = JournalReply::Conflict {
        shard: WEST,
        id: AppendId { nonce: y.nonce, seq: 1 },
        tail: JournalIndex(1),
        epoch: ShardEpoch(1),
    };
    assert_eq!(replies[1], lost, "the second one learns of the first");
}

fn reads_are_bounded_but_never_empty(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    for entity in 1..9 {
        west.writes(journal, entity);
    }
    let (mut from, mut reads) = (2, 0);
    while from <= 9 {
        let JournalReply::Entries { entries, tail, .. } = read(journal, WEST, from, 1) else { panic!("entry {from} is there") };
        assert_eq!((entries.len(), tail), (1, JournalIndex(9)), "at least one entry, and no more than fit");
        from += entries.len() as u64;
        reads += 1;
    }
    assert_eq!(reads, 8);
}

fn trimmed_entries_are_gone_and_the_last_ones_stay(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    for entity in 1..65 {
        west.writes(journal, entity);
    }
    let trim = |below| JournalRequest::Trim { request: REQUEST, shard: WEST, below: JournalIndex(below) };
    assert_eq!(one(journal, trim(30)), JournalReply::Trimmed { request: REQUEST, first: JournalIndex(30) });
    assert_eq!(births(journal, WEST, 30).first(), Some(&29), "what was not trimmed is there");
    assert!(matches!(read(journal, WEST, 29, ROOMY), JournalReply::Failed { .. }), "what was trimmed is not");
    let JournalReply::Trimmed { first, .. } = one(journal, trim(66)) else { panic!("up to the tail is possible") };
    assert!(first <= JournalIndex(65), "who missed the answer to the last append still finds it: {first}");
    assert!(matches!(one(journal, trim(67)), JournalReply::Failed { .. }), "what is not written yet is not trimmed");
    west.writes(journal, 65);
}

fn journals_do_not_know_each_other(journal: &mut impl JournalBackend) {
    let (mut west, mut east) = (Writer::owning(journal, WEST, 1), Writer::owning(journal, EAST, 1));
    let replies = journal.ask(vec![west.born(1), east.born(2)]);
    assert!(west.hears(&replies[0]) && east.hears(&replies[1]), "each has its own tail: {replies:?}");
    assert_eq!((births(journal, WEST, 1), births(journal, EAST, 1)), (vec![1], vec![2]));
}

fn parts() -> [ShardId; 4] {
    WEST.children().expect("it has parts")
}

fn is_conflict(reply: &JournalReply) -> bool {
    matches!(reply, JournalReply::Conflict { .. })
}

impl Writer {
    fn split(&mut self, tails: [u64; 4]) -> JournalRequest {
        self.append(vec![ShardOp::Split { tails: tails.map(JournalIndex).to_vec() }])
    }

    fn merge(&mut self, epoch: u64, tails: [u64; 4]) -> JournalRequest {
        self.epoch = ShardEpoch(epoch);
        self.append(vec![ShardOp::Merge { tails: tails.map(JournalIndex).to_vec() }])
    }

    /// The same incarnation at a part whose journal has begun, so that it has its OWNER entry.
    fn at(&self, part: ShardId, tail: u64) -> Self {
        let (epoch, tail) = (self.epoch.next(), JournalIndex(tail));
        // Names are those of the incarnation: none is given twice to one journal.
        Self { shard: part, epoch, tail, ..self.clone() }
    }
}

fn a_split_ends_one_journal_and_begins_four(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    west.writes(journal, 1);
    let split = west.split([0; 4]);
    assert!(west.hears(&one(journal, split.clone())), "the owner splits");
    assert!(matches!(one(journal, split), JournalReply::Appended { index: JournalIndex(3), .. }), "asked again");
    let late = west.clone().born(2);
    let JournalReply::Conflict { epoch, .. } = one(journal, late) else { panic!("a journal that has ended takes nothing") };
    assert_eq!(epoch, ShardEpoch(2), "it has the epoch of its heirs");
    let claim = Writer { epoch, ..west.clone() }.claim();
    assert!(is_conflict(&one(journal, claim)), "nor is it claimed");
    for (n, part) in parts().into_iter().enumerate() {
        let JournalReply::Entries { entries, .. } = read(journal, part, 1, ROOMY) else { panic!("{part} has begun") };
        let [Entry { epoch, ops, .. }] = entries.as_slice() else { panic!("one entry, not {entries:?}") };
        let owner = ShardOp::Owner { node: NodeId::new(Role::Scene, 1), nonce: west.nonce };
        assert_eq!((*epoch, ops.as_slice()), (ShardEpoch(2), [owner].as_slice()));
        west.at(part, 1).writes(journal, 10 + n as u64);
    }
    journal.crash();
    let mut other = Writer::new(parts()[3], 2);
    (other.epoch, other.tail) = (ShardEpoch(2), JournalIndex(2));
    let claim = other.claim();
    assert!(other.hears(&one(journal, claim)), "a part is a journal like any other");
    assert_eq!(births(journal, parts()[3], 1), [13]);
}

fn a_merge_ends_four_journals_and_begins_one(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    let split = west.split([0; 4]);
    assert!(west.hears(&one(journal, split)));
    let mut first = west.at(parts()[0], 1);
    first.writes(journal, 1);
    let merge = west.merge(3, [2, 1, 1, 1]);
    assert!(west.hears(&one(journal, merge.clone())), "whoever owns all parts merges them");
    assert!(matches!(one(journal, merge), JournalReply::Appended { index: JournalIndex(3), .. }), "asked again");
    let late = first.clone().born(2);
    let JournalReply::Conflict { epoch, tail, .. } = one(journal, late) else { panic!("a part that has ended takes nothing") };
    assert_eq!((epoch, tail), (ShardEpoch(3), JournalIndex(2)), "it has the epoch of its heir, and its tail");
    let claim = Writer { epoch, ..first }.claim();
    assert!(is_conflict(&one(journal, claim)), "nor is it claimed");
    west.writes(journal, 3);
    journal.crash();
    west.writes(journal, 4);
    let split = west.split([2, 1, 1, 1]);
    assert!(west.hears(&one(journal, split)), "and again, behind the tails of before");
    west.at(parts()[0], 3).writes(journal, 5);
    assert_eq!((births(journal, WEST, 1), births(journal, parts()[0], 1)), (vec![3, 4], vec![1, 5]));
}

fn a_recut_that_knows_something_else_changes_nothing(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    let refused = |journal: &mut _, request| assert!(is_conflict(&one(journal, request)));
    refused(journal, west.clone().split([0, 0, 1, 0]));
    refused(journal, Writer { nonce: Nonce(2), ..west.clone() }.split([0; 4]));
    refused(journal, west.clone().merge(2, [0; 4]));
    west.writes(journal, 1);
    let split = west.split([0; 4]);
    assert!(west.hears(&one(journal, split)));
    let mut lost = Writer { nonce: Nonce(2), ..west.at(parts()[2], 1) };
    let claim = lost.claim();
    assert!(lost.hears(&one(journal, claim)), "another incarnation has one part now");
    refused(journal, west.clone().merge(4, [1, 1, 2, 1]));
    refused(journal, Writer { nonce: Nonce(2), ..west.clone() }.merge(4, [1, 1, 2, 1]));
    lost.writes(journal, 2);
    west.at(parts()[1], 1).writes(journal, 3);
}

fn what_was_acknowledged_outlives_a_crash(journal: &mut impl JournalBackend) {
    let mut west = Writer::owning(journal, WEST, 1);
    let request = west.born(1);
    let reply = one(journal, request.clone());
    journal.crash();
    assert_eq!(births(journal, WEST, 1), [1]);
    assert_eq!(one(journal, request), reply, "who missed the answer gets it from the successor");
    assert!(west.hears(&reply));
    west.writes(journal, 2);
    let mut late = Writer::new(WEST, 2);
    let claim = late.claim();
    journal.crash();
    assert!(matches!(one(journal, claim), JournalReply::Conflict { .. }), "the fence outlives it, too");
}

fn blob(store: &mut impl BlobsBackend, request: BlobRequest) -> BlobReply {
    let mut replies = store.ask(vec![request]);
    assert_eq!(replies.len(), 1, "one reply to one request, not {replies:?}");
    replies.remove(0)
}

fn put(name: &str, bytes: impl Into<Bytes>) -> BlobRequest {
    BlobRequest::Put { request: REQUEST, name: name.to_owned(), bytes: bytes.into() }
}

fn get(store: &mut impl BlobsBackend, name: &str) -> Option<Bytes> {
    match blob(store, BlobRequest::Get { request: REQUEST, name: name.to_owned() }) {
        BlobReply::Value { request: REQUEST, bytes } => bytes,
        other => panic!("no value: {other:?}"),
    }
}

fn names(store: &mut impl BlobsBackend, prefix: &str) -> Vec<String> {
    match blob(store, BlobRequest::List { request: REQUEST, prefix: prefix.to_owned() }) {
        BlobReply::Names { request: REQUEST, names } => names,
        other => panic!("no names: {other:?}"),
    }
}

fn delete(name: &str) -> BlobRequest {
    BlobRequest::Delete { request: REQUEST, name: name.to_owned() }
}

const DONE: BlobReply = BlobReply::Done { request: REQUEST };

/// Bytes that differ from place to place, so that a part in the wrong place shows.
fn pattern(length: usize, salt: u8) -> Bytes {
    (0..length).map(|n| (n.wrapping_mul(31) >> 3) as u8 ^ salt).collect()
}

fn blobs_come_back_whole(store: &mut impl BlobsBackend) {
    for (name, length) in [("empty", 0), ("small", 10), ("odd", 300_001), ("largest", BLOB_BYTES_MAX)] {
        let bytes = pattern(length, 0);
        assert_eq!(blob(store, put(name, bytes.clone())), DONE);
        assert!(get(store, name) == Some(bytes), "a blob of {length} bytes comes back as it was put");
    }
    assert_eq!(get(store, "never"), None, "what was never put is not there");
}

fn a_put_replaces(store: &mut impl BlobsBackend) {
    let puts = [(200_000, 1), (100, 2), (150_000, 3)].map(|(length, salt)| put("a", pattern(length, salt)));
    assert_eq!(store.ask(puts.into()), [DONE, DONE, DONE]);
    assert!(get(store, "a") == Some(pattern(150_000, 3)), "the last put is what is there, with nothing of those before");
    assert_eq!(names(store, ""), ["a"]);
}

fn names_are_listed_by_prefix_in_order(store: &mut impl BlobsBackend) {
    for name in ["b", "a/2", "a/10", "a", "ab"] {
        assert_eq!(blob(store, put(name, "x")), DONE);
    }
    assert_eq!(names(store, "a/"), ["a/10", "a/2"]);
    assert_eq!(names(store, ""), ["a", "a/10", "a/2", "ab", "b"]);
    assert_eq!(names(store, "c"), Vec::<String>::new());
}

fn a_deleted_blob_is_gone_and_deleting_again_is_done(store: &mut impl BlobsBackend) {
    assert_eq!(blob(store, put("a", pattern(200_000, 0))), DONE);
    assert_eq!(store.ask(vec![delete("a"), delete("a")]), [DONE, DONE]);
    assert_eq!((get(store, "a"), names(store, "")), (None, vec![]));
}

fn blobs_out_of_bounds_are_refused_in_words(store: &mut impl BlobsBackend) {
    let large = vec![0; BLOB_BYTES_MAX + 1];
    let replies = store.ask(vec![put("", "x"), put("a", large), put("b", "x")]);
    for refused in &replies[..2] {
        let BlobReply::Failed { reason, .. } = refused else { panic!("it is refused: {refused:?}") };
        assert!(!reason.is_empty());
    }
    assert_eq!(replies[2], DONE, "one bad request does not harm the next");
    assert_eq!(names(store, ""), ["b"], "what is refused changes nothing");
}

fn acknowledged_blobs_outlive_a_crash(store: &mut impl BlobsBackend) {
    let replies = store.ask(vec![put("a", pattern(200_000, 1)), put("b", "x"), delete("b")]);
    assert_eq!(replies, [DONE, DONE, DONE]);
    store.crash();
    assert!(get(store, "a") == Some(pattern(200_000, 1)));
    assert_eq!(names(store, ""), ["a"], "a deleted blob stays deleted");
}
