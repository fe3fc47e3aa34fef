//! The state of a shard is the fold of its journal: rows against a naive fold in memory, over random histories.

use std::collections::BTreeMap;

use pangaea_persistence::store::Store;
use pangaea_persistence::{Data, IMAGE_PART_BYTES};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Decision, Departure, Fence, Mark, ShardOp, Xid};
use pangaea_schemas::message::{Effect, JournalReply, JournalRequest, Message};
use pangaea_schemas::record::{ComponentBytes, Record};
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, RequestId, ShardEpoch, TypeId};
use proptest::prelude::*;

use crate::fixture::*;

/// What a shard's journal says, in plain maps.
#[derive(Debug, Default)]
struct Naive {
    records: BTreeMap<EntityId, Record>,
    fences: BTreeMap<EntityId, Fence>,
    departures: BTreeMap<Xid, Departure>,
    decided: BTreeMap<(ShardId, Mark), Decision>,
    stable: BTreeMap<ShardId, Mark>,
    applied: BTreeMap<ShardId, EffectSeq>,
    outbox: BTreeMap<(ShardId, EffectSeq), Effect>,
    delivered: BTreeMap<ShardId, EffectSeq>,
}

impl Naive {
    fn live(&mut self, record: &Record) -> bool {
        self.records.insert(record.entity, record.clone());
        let fence = self.fences.entry(record.entity).or_default();
        let before = std::mem::take(fence);
        fence.born = before.born;
        before.forward.is_some()
    }

    fn apply(&mut self, op: &ShardOp) {
        match op {
            ShardOp::Owner { .. } | ShardOp::Split { .. } | ShardOp::Merge { .. } | ShardOp::InName { .. } => {}
            ShardOp::Put(records) => {
                for record in records.iter() {
                    let record = record.to_record().expect("it was written so");
                    if self.live(&record) {
                        self.departures.retain(|_, away| away.members.iter().all(|member| member.entity != record.entity));
                    }
                }
            }
            ShardOp::Remove { entity } => {
                self.records.remove(entity);
                let fence = self.fences.entry(*entity).or_default();
                if !fence.born && fence.forward.is_none() {
                    *fence = Fence::default();
                }
            }
            ShardOp::Born { entity } => self.fences.entry(*entity).or_default().born = true,
            ShardOp::Out { xid, target, members } => {
                for member in members {
                    let accepted = self.records.remove(&member.entity).map_or(AgentEpoch::ZERO, |record| record.epoch);
                    let fence = self.fences.entry(member.entity).or_default();
                    fence.accepted = fence.accepted.max(accepted);
                    fence.seen = fence.seen.max(xid.epoch);
                    fence.forward = Some(*target);
                }
                let departure = Departure { xid: *xid, target: *target, members: members.clone() };
                self.departures.insert(*xid, departure);
            }
            ShardOp::In { xid, members } => {
                for member in members {
                    self.live(member);
                }
                self.decided.insert((xid.source, xid.mark()), Decision { xid: *xid, refused: vec![] });
            }
            ShardOp::Refused { xid, members } => {
                for member in members {
                    let fence = self.fences.entry(*member).or_default();
                    (fence.seen, fence.forward) = (fence.seen.max(xid.epoch), Some(xid.source));
                }
                self.decided.insert((xid.source, xid.mark()), Decision { xid: *xid, refused: members.clone() });
            }
            ShardOp::Settled { xid } => drop(self.departures.remove(xid)),
            ShardOp::Stable { source, upto } => {
                self.stable.insert(*source, *upto);
                self.decided.retain(|(from, mark), _| from != source || mark > upto);
            }
            ShardOp::Forgotten { members } => {
                for member in members {
                    let fence = self.fences.entry(*member).or_default();
                    *fence = if fence.born { Fence { forward: None, ..*fence } } else { Fence::default() };
                }
            }
            ShardOp::Applied { source, upto } => {
                let applied = self.applied.entry(*source).or_default();
                *applied = (*applied).max(*upto);
            }
            ShardOp::Sent { to, first, effects } => {
                self.outbox.extend((first.0..).zip(effects).map(|(seq, effect)| ((*to, EffectSeq(seq)), effect.clone())));
            }
            ShardOp::Delivered { to, upto } => {
                let delivered = self.delivered.entry(*to).or_default();
                *delivered = (*delivered).max(*upto);
                self.outbox.retain(|(shard, seq), _| shard != to || seq > upto);
            }
        }
    }
}

/// What an agent does next; its epoch rises by itself.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put { cell: usize },
    Leave,
    Settle,
    TakeBack { cell: usize },
    Arrive { cell: usize },
    Refuse,
    Born,
    Remove,
    Forget,
    Stable { upto: u64 },
    Applied { source: u16, upto: u64 },
    Sent { to: u16 },
    Delivered { to: u16, upto: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let cell = 0..64usize;
    prop_oneof![
        4 => cell.clone().prop_map(|cell| Step::Put { cell }),
        2 => Just(Step::Leave),
        1 => Just(Step::Settle),
        1 => cell.clone().prop_map(|cell| Step::TakeBack { cell }),
        2 => cell.prop_map(|cell| Step::Arrive { cell }),
        1 => Just(Step::Refuse),
        1 => Just(Step::Born),
        1 => Just(Step::Remove),
        1 => Just(Step::Forget),
        1 => (0..40u64).prop_map(|upto| Step::Stable { upto }),
        1 => (1..4u16, 0..9u64).prop_map(|(source, upto)| Step::Applied { source, upto }),
        2 => (1..3u16).prop_map(|to| Step::Sent { to }),
        1 => (1..3u16, 0..9u64).prop_map(|(to, upto)| Step::Delivered { to, upto }),
    ]
}

fn effect(n: u64) -> Effect {
    Effect { to: EntityId(n), from: EntityId(1), id: TypeId(3), bytes: vec![n as u8; 4].into(), hops: 1, within: None }
}

/// A possible history: an operation for each step that makes sense for its agent now.
fn history(steps: &[(u64, Step)]) -> Vec<ShardOp> {
    let mut live: BTreeMap<u64, Record> = BTreeMap::new();
    let mut away: BTreeMap<u64, Xid> = BTreeMap::new();
    let mut epochs: BTreeMap<u64, u64> = BTreeMap::new();
    let mut sent: BTreeMap<u16, u64> = BTreeMap::new();
    let mut ops = Vec::new();
    for &(agent, step) in steps {
        let epoch = epochs.entry(agent).or_insert(1);
        match step {
            Step::Put { cell } if !away.contains_key(&agent) => {
                let record = record(WEST, agent, *epoch, cell);
                live.insert(agent, record.clone());
                ops.push(ShardOp::put(&record));
            }
            Step::Leave => {
                if let Some(record) = live.remove(&agent) {
                    *epoch += 1;
                    let xid = xid(agent, *epoch, WEST);
                    away.insert(agent, xid);
                    ops.push(ShardOp::Out { xid, target: EAST, members: vec![record] });
                }
            }
            Step::Settle => ops.extend(away.get(&agent).map(|xid| ShardOp::Settled { xid: *xid })),
            Step::TakeBack { cell } => {
                if away.remove(&agent).is_some() {
                    *epoch += 1;
                    let record = record(WEST, agent, *epoch, cell);
                    live.insert(agent, record.clone());
                    ops.push(ShardOp::put(&record));
                }
            }
            Step::Arrive { cell } if !live.contains_key(&agent) => {
                *epoch += 1;
                away.remove(&agent);
                let record = record(WEST, agent, *epoch, cell);
                live.insert(agent, record.clone());
                ops.push(ShardOp::In { xid: xid(agent, *epoch, EAST), members: vec![record] });
            }
            Step::Refuse => {
                *epoch += 1;
                ops.push(ShardOp::Refused { xid: xid(agent, *epoch, EAST), members: vec![EntityId(agent)] });
            }
            Step::Born => ops.push(ShardOp::Born { entity: EntityId(agent) }),
            Step::Remove => {
                live.remove(&agent);
                ops.push(ShardOp::Remove { entity: EntityId(agent) });
            }
            Step::Forget if !live.contains_key(&agent) => ops.push(ShardOp::Forgotten { members: vec![EntityId(agent)] }),
            Step::Stable { upto } => {
                let upto = Mark { epoch: ShardEpoch(1), number: upto };
                ops.push(ShardOp::Stable { source: EAST, upto });
            }
            Step::Applied { source, upto } => {
                ops.push(ShardOp::Applied { source: shard(source), upto: EffectSeq(upto) });
            }
            Step::Sent { to } => {
                let upto = sent.entry(to).or_default();
                let first = EffectSeq(*upto + 1);
                *upto += 2;
                ops.push(ShardOp::Sent { to: shard(to), first, effects: vec![effect(agent), effect(*upto)] });
            }
            Step::Delivered { to, upto } => {
                let upto = EffectSeq(upto.min(sent.get(&to).copied().unwrap_or_default()));
                ops.push(ShardOp::Delivered { to: shard(to), upto });
            }
            Step::Forget => {}
            Step::Put { .. } | Step::Arrive { .. } => {}
        }
    }
    ops
}

proptest! {
    #[test]
    fn the_rows_are_the_fold_of_the_journal(
        steps in prop::collection::vec((1..6u64, step()), 0..120),
        cuts in prop::collection::vec(1..9usize, 120),
        restart in 0..40usize,
    ) {
        let mut data = node();
        let mut west = Writer::owning(&mut data, WEST, 1);
        let mut naive = Naive::default();
        let mut ops = history(&steps);
        for (n, cut) in cuts.into_iter().enumerate() {
            if ops.is_empty() {
                break;
            }
            let entry: Vec<_> = ops.drain(..cut.min(ops.len())).collect();
            entry.iter().for_each(|op| naive.apply(op));
            let reply = west.append(&mut data, entry);
            prop_assert!(matches!(reply, JournalReply::Appended { .. }), "{reply:?}");
            if n == restart {
                data = pangaea_persistence::Data::new(data.into_store());
            }
        }
        naive.fences.retain(|_, fence| *fence != Fence::default());
        naive.applied.retain(|_, upto| *upto != Default::default());
        naive.delivered.retain(|_, upto| *upto != Default::default());
        let image = load(&mut data, WEST);
        prop_assert_eq!(image.records, naive.records.into_values().collect::<Vec<_>>());
        prop_assert_eq!(image.fences, naive.fences.into_iter().collect::<Vec<_>>());
        let mut departures = image.departures;
        departures.sort_by_key(|departure| departure.xid);
        prop_assert_eq!(departures, naive.departures.into_values().collect::<Vec<_>>());
        prop_assert_eq!(image.applied.into_iter().collect::<BTreeMap<_, _>>(), naive.applied);
        prop_assert_eq!(image.stable.into_iter().collect::<BTreeMap<_, _>>(), naive.stable);
        let decided = image.decided.into_iter().map(|decision| ((decision.xid.source, decision.xid.mark()), decision));
        prop_assert_eq!(decided.collect::<BTreeMap<_, _>>(), naive.decided);
        prop_assert_eq!(image.delivered.into_iter().collect::<BTreeMap<_, _>>(), naive.delivered);
        let outbox = image.outbox.into_iter().map(|owed| ((owed.to, owed.seq), owed.effect));
        prop_assert_eq!(outbox.collect::<BTreeMap<_, _>>(), naive.outbox);
        prop_assert_eq!(data.verify().expect("reads").findings, Vec::<String>::new());
    }
}

fn found<S: Store>(data: &mut Data<S>, entity: u64) -> Option<ShardId> {
    let find = JournalRequest::Find { request: RequestId(1), entity: EntityId(entity) };
    match ask_all(data, [Message::JournalRequest(find)]).pop() {
        Some(Message::JournalReply(JournalReply::Found { shard, .. })) => shard,
        other => panic!("no answer but {other:?}"),
    }
}

#[test]
fn an_agent_that_crosses_is_in_one_shard_only() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    let mut east = Writer::owning(&mut data, EAST, 1);
    west.append(&mut data, vec![ShardOp::put(&record(WEST, 5, 1, 3))]);
    let hand_over = xid(5, 2, WEST);
    let early = east.append(&mut data, vec![ShardOp::put(&record(EAST, 5, 1, 0))]);
    assert!(matches!(early, JournalReply::Unavailable { .. }), "who is live elsewhere cannot just appear: {early:?}");
    west.append(&mut data, vec![ShardOp::Out { xid: hand_over, target: EAST, members: vec![record(WEST, 5, 2, 3)] }]);
    let between = load(&mut data, WEST);
    assert!(between.records.is_empty() && between.departures.len() == 1);
    assert_eq!(found(&mut data, 5), Some(WEST), "in transit is not unborn");
    let fence = between.fences[0].1;
    assert_eq!((fence.forward, fence.seen, fence.accepted), (Some(EAST), AgentEpoch(2), AgentEpoch(1)));
    east.append(&mut data, vec![ShardOp::In { xid: hand_over, members: vec![record(EAST, 5, 2, 0)] }]);
    west.append(&mut data, vec![ShardOp::Settled { xid: hand_over }]);
    assert_eq!((found(&mut data, 5), found(&mut data, 6)), (Some(EAST), None));
    let (west_now, east_now) = (load(&mut data, WEST), load(&mut data, EAST));
    assert!(west_now.records.is_empty() && west_now.departures.is_empty());
    assert_eq!(east_now.records, [record(EAST, 5, 2, 0)]);
    assert!(east_now.fences.is_empty(), "who is here is fenced by its record");
}

#[test]
fn who_lived_and_died_here_leaves_nothing_but_the_answer_that_its_source_may_ask_for() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    let traveller = ShardOp::In { xid: xid(6, 2, EAST), members: vec![record(WEST, 6, 2, 0)] };
    west.append(&mut data, vec![ShardOp::put(&record(WEST, 5, 1, 3)), traveller]);
    west.append(&mut data, [5, 6].map(|n| ShardOp::Remove { entity: EntityId(n) }).to_vec());
    let image = load(&mut data, WEST);
    assert!(image.records.is_empty());
    assert!(image.fences.is_empty());
    let answer = Decision { xid: xid(6, 2, EAST), refused: vec![] };
    assert_eq!(image.decided, [answer], "a late commit must find it");
    west.append(&mut data, vec![ShardOp::Stable { source: EAST, upto: xid(6, 2, EAST).mark() }]);
    let image = load(&mut data, WEST);
    assert_eq!((image.decided.len(), image.stable.len()), (0, 1));
}

#[test]
fn a_record_never_goes_back_to_a_lower_epoch() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    west.append(&mut data, vec![ShardOp::put(&record(WEST, 5, 4, 3))]);
    let reply = west.append(&mut data, vec![ShardOp::put(&record(WEST, 5, 3, 3))]);
    assert!(matches!(reply, JournalReply::Unavailable { .. }), "{reply:?}");
}

#[test]
fn children_and_parent_share_the_records_of_their_cells() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    let ops = (0..64).map(|n| ShardOp::put(&record(WEST, n as u64 + 1, 1, n))).collect();
    west.append(&mut data, ops);
    let children = WEST.children().expect("it has some");
    let mut entities: Vec<_> = children.iter().flat_map(|child| load(&mut data, *child).records).map(|r| r.entity.0).collect();
    entities.sort_unstable();
    assert_eq!(entities, (1..65).collect::<Vec<_>>());
    assert_eq!(load(&mut data, WEST.parent().expect("it has one")).records.len(), 64);
}

#[test]
fn a_large_image_comes_in_bounded_parts() {
    let mut data = node();
    let mut west = Writer::owning(&mut data, WEST, 1);
    let large = |n: u64| {
        let mut record = record(WEST, n + 1, 1, n as usize);
        record.components = vec![ComponentBytes { id: TypeId(1), bytes: vec![n as u8; 10_000].into() }];
        ShardOp::put(&record)
    };
    west.append(&mut data, (0..350).map(large).collect());
    let load = Message::JournalRequest(JournalRequest::Load { request: RequestId(1), shard: WEST });
    let parts = ask_all(&mut data, [load]);
    assert_eq!(parts.len(), 350 * 10_200 / IMAGE_PART_BYTES + 1);
    let mut entities = Vec::new();
    for part in parts {
        let Message::JournalReply(JournalReply::Image { part, .. }) = part else { panic!("no image") };
        assert!(part.records.len() * 10_000 <= IMAGE_PART_BYTES + 10_000);
        entities.extend(part.records.iter().map(|record| record.entity.0));
    }
    assert_eq!(entities, (1..351).collect::<Vec<_>>());
}
