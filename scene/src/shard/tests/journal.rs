//! A small journal and ledger: the rules of both, in memory, and nothing else.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Decision, Departure, Entry, Fence, Mark, ShardOp, Xid};
use pangaea_schemas::message::{
    AppendId, Effect, JournalReply, JournalRequest, LedgerReply, LedgerRequest, LedgerResult, OpId, Owed, ShardImage, Transaction,
};
use pangaea_schemas::record::Record;
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, JournalIndex, NodeId, Nonce, RequestId, ShardEpoch};

#[derive(Default)]
struct Log {
    entries: Vec<Entry>,
    epoch: ShardEpoch,
    owner: Option<(NodeId, Nonce)>,
    last: BTreeMap<Nonce, (AppendId, JournalIndex)>,
    fold: Fold,
    estates: Vec<ShardId>,
}

impl Log {
    fn tail(&self) -> JournalIndex {
        JournalIndex(self.entries.len() as u64)
    }

    fn write(&mut self, id: AppendId, entry: Entry) {
        self.epoch = self.epoch.max(entry.epoch);
        self.entries.push(entry);
        let tail = self.tail();
        self.last.insert(id.nonce, (id, tail));
    }
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
    pub(super) fn answer(&mut self, request: JournalRequest) -> Vec<JournalReply> {
        if self.is_away {
            return vec![];
        }
        match request {
            JournalRequest::Append { shard, id, expected, entry } => vec![self.append(shard, id, expected, Entry::clone(&entry))],
            JournalRequest::Load { request, shard } => self.load(request, shard),
            JournalRequest::Ids { request } => {
                self.ids_given += 1;
                vec![JournalReply::IdBlock { request, first: EntityId(self.ids_given << 32), count: 65_536 }]
            }
            JournalRequest::Owners { request } => vec![JournalReply::OwnerList { request, owners: self.owners() }],
            JournalRequest::Read { request, shard, from, .. } => {
                let tail = self.logs.get(&shard).map(Log::tail).unwrap_or_default();
                vec![JournalReply::Entries { request, from, entries: vec![], tail }]
            }
            other => panic!("scenes do not ask {other:?}"),
        }
    }

    /// The open journals.
    pub(super) fn owners(&self) -> Vec<(ShardId, NodeId, Nonce, ShardEpoch, JournalIndex)> {
        let owner = |(shard, log): (&ShardId, &Log)| {
            let (node, nonce) = log.owner?;
            Some((*shard, node, nonce, log.epoch, log.tail()))
        };
        self.logs.iter().filter_map(owner).collect()
    }

    fn append(&mut self, shard: ShardId, id: AppendId, expected: JournalIndex, entry: Entry) -> JournalReply {
        let log = self.logs.entry(shard).or_default();
        let (epoch, tail) = (log.epoch, log.tail());
        if let Some((last, index)) = log.last.get(&id.nonce).filter(|(last, _)| *last == id) {
            return JournalReply::Appended { shard, id: *last, index: *index };
        }
        let is_open = log.owner.is_some() || epoch == ShardEpoch::ZERO;
        let is_own = log.owner.is_some_and(|(_, nonce)| nonce == id.nonce);
        let fits = match &entry.ops[..] {
            [ShardOp::Owner { .. }] => is_open && entry.epoch == epoch.next(),
            [ShardOp::Merge { tails }] => !is_own && self.merges(shard, id.nonce, entry.epoch, tails),
            [ShardOp::Split { tails }] => is_own && entry.epoch == epoch && self.splits(shard, tails),
            _ => is_own && entry.epoch == epoch,
        };
        if tail != expected || !fits {
            return JournalReply::Conflict { shard, id, tail, epoch };
        }
        match &entry.ops[..] {
            [ShardOp::Owner { node, nonce }] => self.log(shard).owner = Some((*node, *nonce)),
            [ShardOp::Split { .. }] => self.split(shard, id, &entry),
            [ShardOp::Merge { .. }] => self.merge(shard, entry.epoch),
            ops => ops.iter().for_each(|op| self.apply(shard, op)),
        }
        self.log(shard).write(id, entry);
        JournalReply::Appended { shard, id, index: tail.next() }
    }

    fn log(&mut self, shard: ShardId) -> &mut Log {
        self.logs.entry(shard).or_default()
    }

    fn tails(&self, shards: [ShardId; 4]) -> Vec<JournalIndex> {
        shards.iter().map(|shard| self.logs.get(shard).map(Log::tail).unwrap_or_default()).collect()
    }

    fn splits(&self, parent: ShardId, tails: &[JournalIndex]) -> bool {
        let children = parent.children().expect("it has some");
        children.iter().all(|child| self.logs.get(child).is_none_or(|log| log.owner.is_none())) && self.tails(children) == tails
    }

    fn merges(&self, parent: ShardId, nonce: Nonce, epoch: ShardEpoch, tails: &[JournalIndex]) -> bool {
        let children = parent.children().expect("it has some");
        let is_own = |log: &Log| log.owner.is_some_and(|(_, of)| of == nonce) && log.epoch < epoch;
        children.iter().all(|child| self.logs.get(child).is_some_and(is_own)) && self.tails(children) == tails
    }

    fn split(&mut self, parent: ShardId, id: AppendId, entry: &Entry) {
        let log = self.log(parent);
        let (owner, mut estates) = (log.owner.take(), std::mem::take(&mut log.estates));
        let (records, epoch) = (std::mem::take(&mut log.fold.records), entry.epoch.next());
        log.epoch = epoch;
        estates.push(parent);
        let Some((node, nonce)) = owner else { return };
        for child in parent.children().expect("it has some") {
            let log = self.log(child);
            log.owner = owner;
            log.estates = estates.iter().copied().filter(|name| child.inherits(*name)).collect();
            log.fold.records = records.iter().filter(|(_, r)| child.contains(r.cell)).map(|(e, r)| (*e, r.clone())).collect();
            log.write(id, Entry { epoch, tick: entry.tick, ops: vec![ShardOp::Owner { node, nonce }] });
        }
    }

    fn merge(&mut self, parent: ShardId, epoch: ShardEpoch) {
        for child in parent.children().expect("it has some") {
            let log = self.log(child);
            log.epoch = epoch;
            let (owner, estates) = (log.owner.take(), std::mem::take(&mut log.estates));
            let records = std::mem::take(&mut log.fold.records);
            let log = self.log(parent);
            log.owner = owner;
            log.estates.extend(estates.into_iter().chain([child]).filter(|name| *name != parent));
            log.fold.records.extend(records);
        }
    }

    /// An operation of `shard`, perhaps in the name of another.
    fn apply(&mut self, shard: ShardId, op: &ShardOp) {
        let (name, op) = match op {
            ShardOp::InName { name, op } => (*name, op.as_ref()),
            ShardOp::Settled { xid } => (xid.source, op),
            op => (shard, op),
        };
        assert!(name == shard || shard.inherits(name), "{shard} does not have the estate of {name}");
        let mut estates = self.log(shard).estates.clone();
        if name != shard && !estates.contains(&name) {
            estates.push(name);
            self.log(shard).estates.push(name);
        }
        // Who is live is so at the shard itself; the rest is the name's.
        let records = std::mem::take(&mut self.log(shard).fold.records);
        let fold = &mut self.log(name).fold;
        let others = std::mem::replace(&mut fold.records, records);
        fold.apply(op);
        let records = std::mem::replace(&mut fold.records, others);
        self.log(shard).fold.records = records;
        if let ShardOp::Forgotten { members } = op {
            estates.iter().for_each(|estate| members.iter().for_each(|member| self.log(*estate).fold.forget(*member)));
        }
    }

    pub(super) fn epoch(&self, shard: ShardId) -> ShardEpoch {
        self.logs.get(&shard).map_or(ShardEpoch::ZERO, |log| log.epoch)
    }

    fn load(&self, request: RequestId, shard: ShardId) -> Vec<JournalReply> {
        let estates = self.logs.get(&shard).map(|log| log.estates.clone()).unwrap_or_default();
        let (index, epoch) = self.logs.get(&shard).map(|log| (log.tail(), log.epoch)).unwrap_or_default();
        let estate = |name| ShardImage { records: vec![], name: Some(name), index, epoch, ..self.image(name) };
        let images: Vec<ShardImage> = std::iter::once(self.image(shard)).chain(estates.into_iter().map(estate)).collect();
        let count = images.len();
        let part = |(n, image)| JournalReply::Image { request, shard, part: Box::new(image), last: n + 1 == count };
        images.into_iter().enumerate().map(part).collect()
    }

    /// The fold of a journal.
    pub(super) fn image(&self, shard: ShardId) -> ShardImage {
        let Some(log) = self.logs.get(&shard) else { return ShardImage::default() };
        let fold = &log.fold;
        ShardImage {
            index: log.tail(),
            epoch: log.epoch,
            records: fold.records.values().cloned().collect(),
            fences: fold.fences.iter().map(|(entity, fence)| (*entity, *fence)).collect(),
            departures: fold.departures.clone(),
            applied: fold.applied.iter().map(|(source, upto)| (*source, *upto)).collect(),
            decided: fold.decided.values().cloned().collect(),
            stable: fold.stable.iter().map(|(source, upto)| (*source, *upto)).collect(),
            outbox: fold.outbox.iter().map(|((to, seq), effect)| Owed { to: *to, seq: *seq, effect: effect.clone() }).collect(),
            delivered: fold.delivered.iter().map(|(to, upto)| (*to, *upto)).collect(),
            ..ShardImage::default()
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
            ShardOp::Owner { .. } | ShardOp::Split { .. } | ShardOp::Merge { .. } => {}
            ShardOp::InName { .. } => panic!("a name within a name"),
            ShardOp::Put(records) => {
                records.iter().for_each(|record| self.put(&record.to_record().expect("it was written so")));
            }
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
                    self.forget(*member);
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

    fn forget(&mut self, member: EntityId) {
        self.fences.retain(|entity, fence| *entity != member || fence.born);
        self.fences.entry(member).and_modify(|fence| fence.forward = None);
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
