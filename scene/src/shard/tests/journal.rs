//! A small journal and ledger: the rules of both, in memory, and nothing else.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Decision, Departure, Entry, Fence, Mark, ShardOp, Xid};
use pangaea_schemas::message::{
    AppendId, Effect, JournalReply, JournalRequest, LedgerReply, LedgerRequest, LedgerResult, OpId, Owed, ShardImage, Transaction,
};
use pangaea_schemas::record::Record;
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, JournalIndex, NodeId, Nonce, ShardEpoch};

#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    owner: Option<(NodeId, Nonce)>,
    last: BTreeMap<Nonce, (AppendId, JournalIndex)>,
}

/// All journals of a cluster.
#[derive(Default)]
pub(super) struct Journals {
    logs: BTreeMap<ShardId, Log>,
    ids_given: u64,
    /// Answers nothing meanwhile.
    pub(super) is_away: bool,
}

impl Journals {
    pub(super) fn answer(&mut self, request: JournalRequest) -> Option<JournalReply> {
        if self.is_away {
            return None;
        }
        match request {
            JournalRequest::Append { shard, id, expected, entry } => Some(self.append(shard, id, expected, entry)),
            JournalRequest::Load { request, shard } => {
                Some(JournalReply::Image { request, shard, part: Box::new(self.image(shard)), last: true })
            }
            JournalRequest::Ids { request } => {
                self.ids_given += 1;
                Some(JournalReply::IdBlock { request, first: EntityId(self.ids_given << 32), count: 65_536 })
            }
            JournalRequest::Owners { request } => Some(JournalReply::OwnerList { request, owners: self.owners() }),
            other => panic!("scenes do not ask {other:?}"),
        }
    }

    fn owners(&self) -> Vec<(ShardId, NodeId, Nonce, ShardEpoch, JournalIndex)> {
        let owner = |(shard, log): (&ShardId, &Log)| {
            let (node, nonce) = log.owner?;
            Some((*shard, node, nonce, self.epoch(*shard), JournalIndex(log.entries.len() as u64)))
        };
        self.logs.iter().filter_map(owner).collect()
    }

    fn append(&mut self, shard: ShardId, id: AppendId, expected: JournalIndex, entry: Entry) -> JournalReply {
        let epoch = self.epoch(shard);
        let log = self.logs.entry(shard).or_default();
        if let Some((last, index)) = log.last.get(&id.nonce).filter(|(last, _)| *last == id) {
            return JournalReply::Appended { shard, id: *last, index: *index };
        }
        let tail = JournalIndex(log.entries.len() as u64);
        let owner = entry.ops.iter().any(|op| matches!(op, ShardOp::Owner { .. }));
        let due = if owner { epoch.next() } else { epoch };
        let writes = owner || log.owner.is_some_and(|(_, nonce)| nonce == id.nonce);
        if tail != expected || entry.epoch != due || !writes {
            return JournalReply::Conflict { shard, id, tail, epoch };
        }
        if let [ShardOp::Owner { node, nonce }] = entry.ops[..] {
            log.owner = Some((node, nonce));
        }
        log.entries.push(entry);
        log.last.insert(id.nonce, (id, tail.next()));
        JournalReply::Appended { shard, id, index: tail.next() }
    }

    pub(super) fn epoch(&self, shard: ShardId) -> ShardEpoch {
        self.logs.get(&shard).and_then(|log| log.entries.last()).map_or(ShardEpoch::ZERO, |entry| entry.epoch)
    }

    /// The fold of a journal.
    pub(super) fn image(&self, shard: ShardId) -> ShardImage {
        let Some(log) = self.logs.get(&shard) else { return ShardImage::default() };
        let mut fold = Fold::default();
        log.entries.iter().flat_map(|entry| &entry.ops).for_each(|op| fold.apply(op));
        ShardImage {
            index: JournalIndex(log.entries.len() as u64),
            epoch: self.epoch(shard),
            tick: Default::default(),
            records: fold.records.into_values().collect(),
            fences: fold.fences.into_iter().collect(),
            departures: fold.departures,
            applied: fold.applied.into_iter().collect(),
            decided: fold.decided.into_values().collect(),
            stable: fold.stable.into_iter().collect(),
            outbox: fold.outbox.into_iter().map(|((to, seq), effect)| Owed { to, seq, effect }).collect(),
            delivered: fold.delivered.into_iter().collect(),
        }
    }

    /// In how many shards' states an entity is live or on its way out, and the highest epoch among them.
    pub(super) fn recoverable(&self, entity: EntityId) -> usize {
        let shards: Vec<ShardId> = self.logs.keys().copied().collect();
        let has = |records: &[Record]| records.iter().filter(|record| record.entity == entity).count();
        let count = |image: ShardImage| has(&image.records) + image.departures.iter().map(|d| has(&d.members)).sum::<usize>();
        shards.into_iter().map(|shard| count(self.image(shard))).sum()
    }

    /// Where an entity is, live or on its way out: the shard, and the hand-over.
    pub(super) fn places(&self, entity: EntityId) -> Vec<(ShardId, Option<Xid>)> {
        let has = |records: &[Record]| records.iter().any(|record| record.entity == entity);
        let mut places = vec![];
        for shard in self.logs.keys() {
            let image = self.image(*shard);
            places.extend(has(&image.records).then_some((*shard, None)));
            places.extend(image.departures.iter().filter(|d| has(&d.members)).map(|d| (*shard, Some(d.xid))));
        }
        places
    }

    /// In how many shards' states an entity is live.
    pub(super) fn live(&self, entity: EntityId) -> usize {
        let here = |shard: &ShardId| self.image(*shard).records.iter().any(|record| record.entity == entity);
        self.logs.keys().filter(|shard| here(shard)).count()
    }
}

#[derive(Default)]
struct Fold {
    records: BTreeMap<EntityId, Record>,
    fences: BTreeMap<EntityId, Fence>,
    departures: Vec<Departure>,
    applied: BTreeMap<ShardId, EffectSeq>,
    decided: BTreeMap<(ShardId, Mark), Decision>,
    stable: BTreeMap<ShardId, Mark>,
    outbox: BTreeMap<(ShardId, EffectSeq), Effect>,
    delivered: BTreeMap<ShardId, EffectSeq>,
}

impl Fold {
    fn apply(&mut self, op: &ShardOp) {
        match op {
            ShardOp::Owner { .. } => {}
            ShardOp::Put(record) => self.put(record),
            ShardOp::Remove { entity } => drop(self.records.remove(entity)),
            ShardOp::Born { entity } => self.fences.entry(*entity).or_default().born = true,
            ShardOp::Out { xid, target, members } => {
                for member in members {
                    assert!(self.records.remove(&member.entity).is_some(), "{} leaves where it is not", member.entity);
                    let fence = self.fences.entry(member.entity).or_default();
                    (fence.seen, fence.forward) = (xid.epoch, Some(*target));
                }
                self.departures.push(Departure { xid: *xid, target: *target, members: members.clone() });
            }
            ShardOp::In { xid, members } => {
                members.iter().for_each(|record| self.put(record));
                self.decided.insert((xid.source, xid.mark()), Decision { xid: *xid, refused: vec![] });
            }
            ShardOp::Refused { xid, members } => {
                for member in members {
                    let fence = self.fences.entry(*member).or_default();
                    (fence.seen, fence.forward) = (xid.epoch, Some(xid.source));
                }
                self.decided.insert((xid.source, xid.mark()), Decision { xid: *xid, refused: members.clone() });
            }
            ShardOp::Settled { xid } => self.departures.retain(|departure| departure.xid != *xid),
            ShardOp::Applied { source, upto } => {
                self.applied.insert(*source, *upto);
            }
            ShardOp::Stable { source, upto } => {
                self.stable.insert(*source, *upto);
                self.decided.retain(|(from, mark), _| from != source || mark > upto);
            }
            ShardOp::Forgotten { members } => {
                for member in members {
                    assert!(!self.records.contains_key(member), "{member} is forgotten although it is here");
                    self.fences.retain(|entity, fence| entity != member || fence.born);
                    self.fences.entry(*member).and_modify(|fence| fence.forward = None);
                }
            }
            ShardOp::Sent { to, first, effects } => {
                for (at, effect) in effects.iter().enumerate() {
                    let seq = EffectSeq(first.0 + at as u64);
                    assert!(self.outbox.insert((*to, seq), effect.clone()).is_none(), "two effects with one number");
                }
            }
            ShardOp::Delivered { to, upto } => {
                self.delivered.insert(*to, *upto);
                self.outbox.retain(|(shard, seq), _| shard != to || seq > upto);
            }
        }
    }

    fn put(&mut self, record: &Record) {
        let fence = self.fences.entry(record.entity).or_default();
        assert!(record.epoch >= fence.accepted, "{} falls back to an older epoch", record.entity);
        (fence.seen, fence.accepted, fence.forward) = (record.epoch, record.epoch, None);
        self.records.insert(record.entity, record.clone());
    }
}

/// Fences of a ledger that only counts what it has done.
#[derive(Default)]
pub(super) struct Fences {
    known: BTreeMap<EntityId, AgentEpoch>,
    /// Changes of value, each once.
    pub(super) done: Vec<OpId>,
    /// Answers nothing meanwhile.
    pub(super) is_away: bool,
}

impl Fences {
    pub(super) fn answer(&mut self, request: LedgerRequest) -> Option<LedgerReply> {
        if self.is_away {
            return None;
        }
        let LedgerRequest { op, shard, fences, transaction } = request;
        let mut stale = false;
        for (agent, epoch) in fences {
            let known = self.known.entry(agent).or_default();
            stale |= epoch < *known;
            *known = epoch.max(*known);
        }
        let result = match transaction {
            _ if self.done.contains(&op) => LedgerResult::Done(vec![]),
            _ if stale => LedgerResult::Refused(pangaea_schemas::message::LedgerRefusal::Stale),
            Transaction::LookGround { .. } => LedgerResult::Ground(vec![]),
            Transaction::Look { .. } => LedgerResult::Done(vec![]),
            _ => {
                self.done.push(op);
                LedgerResult::Done(vec![])
            }
        };
        Some(LedgerReply { op, shard, result })
    }

    pub(super) fn fence(&self, agent: EntityId) -> Option<AgentEpoch> {
        self.known.get(&agent).copied()
    }
}
