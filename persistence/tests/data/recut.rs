//! One shard becomes four and four become one, in one commit or not at all; what was agreed with others stays under its name.

use pangaea_persistence::store::Store;
use pangaea_persistence::{Data, MemoryStore};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Entry, Mark, ShardOp};
use pangaea_schemas::message::{AppendId, JournalReply, JournalRequest, Message, ShardImage};
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, JournalIndex, Nonce, RequestId, ShardEpoch, Tick};

use crate::fixture::*;

fn children() -> [ShardId; 4] {
    WEST.children().expect("it has some")
}

fn split(writer: &mut Writer, tails: [u64; 4]) -> JournalRequest {
    writer.request(vec![ShardOp::Split { tails: tails.map(JournalIndex).to_vec() }])
}

/// The request of whoever has the nonce, with the parent's tail.
fn merge(nonce: u128, epoch: u64, expected: u64, tails: [u64; 4]) -> JournalRequest {
    let ops = vec![ShardOp::Merge { tails: tails.map(JournalIndex).to_vec() }];
    let entry = Entry { epoch: ShardEpoch(epoch), tick: Tick(50), ops };
    let id = AppendId { nonce: Nonce(nonce), seq: 1_000 };
    JournalRequest::Append { shard: WEST, id, expected: JournalIndex(expected), entry: entry.into() }
}

/// The open journals: shard, whose, epoch, tail.
fn owners<S: Store>(data: &mut Data<S>) -> Vec<(ShardId, u128, u64, u64)> {
    match journal(data, JournalRequest::Owners { request: RequestId(1) }) {
        JournalReply::OwnerList { owners, .. } => {
            owners.into_iter().map(|(shard, _, nonce, epoch, tail)| (shard, nonce.0, epoch.0, tail.0)).collect()
        }
        other => panic!("no owners: {other:?}"),
    }
}

fn writer_of(shard: ShardId, nonce: u128, epoch: u64, tail: u64) -> Writer {
    let (epoch, tail) = (ShardEpoch(epoch), JournalIndex(tail));
    Writer { epoch, tail, seq: 100, ..Writer::new(shard, nonce) }
}

fn is_conflict(reply: &JournalReply) -> bool {
    matches!(reply, JournalReply::Conflict { .. })
}

/// The parts of an image: its own one, and those of its estates.
fn parts(data: &mut Data<MemoryStore>, shard: ShardId) -> Vec<ShardImage> {
    let load = Message::JournalRequest(JournalRequest::Load { request: RequestId(1), shard });
    let part = |reply| match reply {
        Message::JournalReply(JournalReply::Image { part, .. }) => *part,
        other => panic!("no image: {other:?}"),
    };
    ask_all(data, [load]).into_iter().map(part).collect()
}

/// West with an agent in each child, one that is away, and something agreed with the east.
fn busy_west() -> (Data<MemoryStore>, Writer) {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    let puts = (0..4).map(|n| ShardOp::put(&record(WEST, n + 1, 1, 16 * n as usize)));
    west.append(&mut data, puts.chain([ShardOp::Born { entity: EntityId(1) }]).collect());
    let out = ShardOp::Out { xid: xid(9, 2, WEST), target: EAST, members: vec![record(WEST, 9, 2, 0)] };
    let applied = ShardOp::Applied { source: EAST, upto: EffectSeq(7) };
    let refused = ShardOp::Refused { xid: xid(8, 3, EAST), members: vec![EntityId(8)] };
    west.append(&mut data, vec![out, applied, refused]);
    (data, west)
}

#[test]
fn a_split_ends_one_journal_and_begins_four_under_a_higher_epoch() {
    let (mut data, mut west) = busy_west();
    let request = split(&mut west, [0; 4]);
    assert!(matches!(west.send(&mut data, request.clone()), JournalReply::Appended { index: JournalIndex(4), .. }));
    assert!(matches!(journal(&mut data, request), JournalReply::Appended { index: JournalIndex(4), .. }), "asked again");
    assert_eq!(owners(&mut data), children().map(|child| (child, 1, 2, 1)));
    for (n, child) in children().into_iter().enumerate() {
        assert_eq!(load(&mut data, child).records, [record(WEST, n as u64 + 1, 1, 16 * n)]);
    }
    let mut child = writer_of(children()[2], 1, 2, 1);
    assert!(matches!(child.append(&mut data, vec![ShardOp::put(&record(WEST, 3, 1, 33))]), JournalReply::Appended { .. }));
    assert_eq!(data.verify().expect("reads").findings, Vec::<String>::new());
}

#[test]
fn a_closed_shard_takes_no_entry_and_no_claim() {
    let (mut data, mut west) = busy_west();
    let request = split(&mut west, [0; 4]);
    west.send(&mut data, request);
    assert!(is_conflict(&west.append(&mut data, vec![ShardOp::put(&record(WEST, 1, 1, 0))])));
    let mut claimant = writer_of(WEST, 2, 3, 4);
    let claim = claimant.append(&mut data, vec![ShardOp::Owner { node: SCENE, nonce: Nonce(2) }]);
    let JournalReply::Conflict { epoch, .. } = claim else { panic!("taken: {claim:?}") };
    assert_eq!(epoch, ShardEpoch(2), "the epoch of its heirs: above all that the world knew of it");
}

#[test]
fn a_split_that_does_not_know_the_children_changes_nothing() {
    let (mut data, mut west) = busy_west();
    let before = owners(&mut data);
    for tails in [[0, 0, 1, 0], [9; 4]] {
        let request = split(&mut west, tails);
        assert!(is_conflict(&west.send(&mut data, request)));
    }
    let short = west.request(vec![ShardOp::Split { tails: vec![JournalIndex(0); 3] }]);
    assert!(is_conflict(&west.send(&mut data, short)));
    let request = writer_of(WEST, 2, 1, 3).request(vec![ShardOp::Split { tails: vec![JournalIndex(0); 4] }]);
    assert!(is_conflict(&journal(&mut data, request)), "only the owner splits");
    assert_eq!(owners(&mut data), before);
}

#[test]
fn an_estate_is_read_and_written_by_whoever_holds_its_first_cell() {
    let (mut data, mut west) = busy_west();
    let request = split(&mut west, [0; 4]);
    west.send(&mut data, request);
    let estate = |data: &mut _, child| parts(data, child).into_iter().find(|part| part.name == Some(WEST));
    let [first, second, ..] = children();
    let image = estate(&mut data, first).expect("the first child has it");
    assert_eq!((image.departures.len(), image.applied.as_slice()), (1, [(EAST, EffectSeq(7))].as_slice()));
    assert_eq!(image.decided.len(), 1);
    assert_eq!(estate(&mut data, second), None);
    let born = parts(&mut data, second).remove(0).fences;
    assert!(born.iter().any(|(entity, fence)| *entity == EntityId(1) && fence.born), "nobody is born twice: {born:?}");

    let in_name = |op| ShardOp::InName { name: WEST, op: Box::new(op) };
    let mut heir = writer_of(first, 1, 2, 1);
    let stable = ShardOp::Stable { source: EAST, upto: Mark { epoch: ShardEpoch(1), number: 5 } };
    let applied = ShardOp::Applied { source: EAST, upto: EffectSeq(8) };
    let arrival = ShardOp::In { xid: xid(6, 4, EAST), members: vec![record(WEST, 6, 4, 1)] };
    let ops = vec![ShardOp::Settled { xid: xid(9, 2, WEST) }, in_name(stable), in_name(applied), in_name(arrival)];
    let reply = heir.append(&mut data, ops);
    assert!(matches!(reply, JournalReply::Appended { .. }), "{reply:?}");
    let image = estate(&mut data, first).expect("still there");
    assert_eq!((image.departures.len(), image.applied.as_slice()), (0, [(EAST, EffectSeq(8))].as_slice()));
    assert_eq!(
        image.decided.iter().map(|d| d.xid).collect::<Vec<_>>(),
        [xid(6, 4, EAST)].map(|mut x| {
            x.number = 4;
            x
        })
    );
    let mut stranger = writer_of(second, 1, 2, 1);
    let reply = stranger.append(&mut data, vec![in_name(ShardOp::Applied { source: EAST, upto: EffectSeq(9) })]);
    assert!(matches!(reply, JournalReply::Unavailable { .. }), "{reply:?}");
}

#[test]
fn a_merge_gives_the_parent_back_with_all_that_was_agreed_in_any_name() {
    let (mut data, mut west) = busy_west();
    let request = split(&mut west, [0; 4]);
    west.send(&mut data, request);
    let mut third = writer_of(children()[2], 1, 2, 1);
    third.append(&mut data, vec![ShardOp::Applied { source: EAST, upto: EffectSeq(3) }]);
    for refused in [merge(1, 3, 4, [1; 4]), merge(2, 3, 4, [1, 1, 2, 1]), merge(1, 2, 4, [1, 1, 2, 1])] {
        assert!(is_conflict(&journal(&mut data, refused)), "a tail, an owner or an epoch is wrong");
    }
    assert_eq!(owners(&mut data).len(), 4);
    let reply = journal(&mut data, merge(1, 3, 4, [1, 1, 2, 1]));
    assert!(matches!(reply, JournalReply::Appended { index: JournalIndex(5), .. }), "{reply:?}");
    assert_eq!(owners(&mut data), [(WEST, 1, 3, 5)]);
    let parts = parts(&mut data, WEST);
    assert_eq!(parts[0].records.len(), 4);
    let applied = |name| parts.iter().find(|part| part.name == name).map(|part| part.applied.clone()).unwrap_or_default();
    assert_eq!(applied(None), [(EAST, EffectSeq(7))]);
    assert_eq!(applied(Some(children()[2])), [(EAST, EffectSeq(3))]);
    assert!(is_conflict(&third.append(&mut data, vec![ShardOp::put(&record(WEST, 3, 1, 33))])), "closed");
    let mut west = writer_of(WEST, 1, 3, 5);
    let again = split(&mut west, [1, 1, 2, 1]);
    assert!(matches!(west.send(&mut data, again), JournalReply::Appended { .. }), "and back once more");
    assert_eq!(
        owners(&mut data).iter().map(|(_, _, epoch, tail)| (*epoch, *tail)).collect::<Vec<_>>(),
        [(4, 2), (4, 2), (4, 3), (4, 2)]
    );
    assert_eq!(data.verify().expect("reads").findings, Vec::<String>::new());
}

#[test]
fn a_successor_of_one_child_stands_in_the_way_of_a_merge() {
    let (mut data, mut west) = busy_west();
    let request = split(&mut west, [0; 4]);
    west.send(&mut data, request);
    let other = Writer::owning(&mut data, children()[3], 7);
    assert_eq!((other.epoch, other.tail), (ShardEpoch(3), JournalIndex(2)));
    assert!(is_conflict(&journal(&mut data, merge(1, 4, 4, [1, 1, 1, 2]))));
    assert_eq!(owners(&mut data).len(), 4);
}

#[test]
fn who_is_back_in_any_name_is_away_in_none() {
    let (mut data, mut west) = busy_west();
    let request = split(&mut west, [0; 4]);
    west.send(&mut data, request);
    let mut heir = writer_of(children()[0], 1, 2, 1);
    heir.append(&mut data, vec![ShardOp::Settled { xid: xid(9, 2, WEST) }, ShardOp::put(&record(WEST, 9, 3, 0))]);
    let fences: Vec<_> = parts(&mut data, children()[0]).into_iter().flat_map(|part| part.fences).collect();
    assert!(fences.iter().all(|(entity, fence)| *entity != EntityId(9) && fence.accepted < AgentEpoch(9)), "{fences:?}");
}
