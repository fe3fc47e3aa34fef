//! The scene cuts its part of the map anew: the orders of [`crate::recut::state`] carried out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Entry, ShardOp};
use pangaea_schemas::message::{
    Address, AppendId, Control, JournalReply, JournalRequest, Message, Migration, MigrationNews, MigrationStep, NEWS_CANCELLED,
    ShardRoute,
};
use pangaea_schemas::{EntityId, JournalIndex, MigrationId, NodeId, RequestId, ShardEpoch, Tick, Timestamp};

use super::Scene;
use crate::journal_writer::record_bytes;
use crate::recut::parts::{self, Part};
use crate::recut::state::{Cutting, Heard, Order};
use crate::recut::{ASK_AGAIN, ASKING_TIMEOUT, FLUSH_TIMEOUT, RECUTS_MAX};
use crate::shard::Shard;

/// Sequences of a recut's append: no writer of a shard counts so far.
const RECUT_SEQ: u64 = 1 << 63;
/// Ends that are remembered for a world that asks again.
const ENDS_KEPT_MAX: usize = 64;

/// A part of the map that is cut anew.
struct Recut {
    parent: ShardId,
    merges: bool,
    state: Cutting,
    /// Tails of the journals that are to begin, and the questions for them.
    tails: BTreeMap<ShardId, JournalIndex>,
    asked: BTreeMap<RequestId, ShardId>,
    append: Option<JournalRequest>,
    /// What is to stand in the place of the closing ones, with where its journal begins.
    built: Vec<(Box<Shard>, JournalIndex)>,
    epoch: ShardEpoch,
    due: Timestamp,
    ask_again: Timestamp,
    /// The last tick of the closing shards, and when it began.
    last: (Tick, Timestamp),
    news: MigrationNews,
}

impl Recut {
    fn children(&self) -> [ShardId; 4] {
        self.parent.children().unwrap_or([self.parent; 4])
    }

    fn closing(&self) -> Vec<ShardId> {
        if self.merges { self.children().to_vec() } else { vec![self.parent] }
    }

    fn opening(&self) -> Vec<ShardId> {
        if self.merges { vec![self.parent] } else { self.children().to_vec() }
    }
}

/// All of a scene.
#[derive(Default)]
pub(super) struct Recuts {
    by_id: BTreeMap<MigrationId, Recut>,
    /// Carried out; their first tick has not begun.
    replaced: Vec<Recut>,
    ends: VecDeque<MigrationNews>,
    /// Closed shards whose keys the beacon still holds.
    pub(super) closed: BTreeSet<ShardId>,
    tick_began: Timestamp,
}

impl Scene {
    /// The world wants the map cut anew.
    pub(super) fn recut_ordered(&mut self, now: Timestamp, id: MigrationId, parent: ShardId, merges: bool) {
        let known = self.recuts.by_id.get(&id).or_else(|| self.recuts.replaced.iter().find(|recut| recut.news.id == id));
        let known = known.map(|recut| recut.news.clone()).or_else(|| self.recuts.ends.iter().find(|news| news.id == id).cloned());
        if let Some(news) = known {
            return self.tell_recut(news);
        }
        let recut = begin(now, self.tick, (id, parent, merges));
        if let Some(reason) = self.cannot_recut(&recut) {
            let news = MigrationNews { step: MigrationStep::Kept, reason, ..recut.news };
            self.recut_is_over(news);
            return;
        }
        tracing::info!(shard = %parent, merges, "the map is cut anew");
        self.tell_recut(recut.news.clone());
        self.recuts.by_id.insert(id, recut);
        self.ask_for_recut(now, id);
    }

    fn cannot_recut(&self, recut: &Recut) -> Option<String> {
        if recut.parent.children().is_none() {
            return Some("a single cell cannot be cut".to_owned());
        }
        if self.recuts.by_id.len() >= RECUTS_MAX {
            return Some("this scene is cutting too much of the map at once".to_owned());
        }
        recut.closing().into_iter().find_map(|id| match self.shards.get(&id) {
            Some(shard) => shard.cannot_be_recut().map(|reason| format!("shard {id}: {reason}")),
            None => Some(format!("shard {id} is not at this scene")),
        })
    }

    /// An admin, or the world, would rather leave the map as it is. Whether that was about a recut here.
    pub(super) fn recut_cancelled(&mut self, now: Timestamp, id: MigrationId) -> bool {
        let is_here = self.recuts.by_id.contains_key(&id);
        self.recut_hears(now, id, Heard::Cancelled, NEWS_CANCELLED);
        is_here
    }

    /// The process is to end: whatever can still be left as it is, is.
    pub(super) fn cancel_recuts(&mut self, now: Timestamp) {
        for id in self.recuts.by_id.keys().copied().collect::<Vec<_>>() {
            self.recut_hears(now, id, Heard::Cancelled, "the scene goes away");
        }
    }

    /// A journal's answer. Whether a recut waited for it.
    pub(super) fn recut_answered(&mut self, now: Timestamp, reply: &JournalReply) -> bool {
        let mine = |append: &Option<JournalRequest>, name: &AppendId| matches!(append, Some(JournalRequest::Append { id, .. }) if id == name);
        let (name, heard) = match reply {
            JournalReply::Entries { request, tail, .. } => return self.tail_is_known(*request, *tail),
            JournalReply::Appended { id, .. } => (id, Heard::Appended),
            JournalReply::Conflict { id, .. } => (id, Heard::Refused),
            _ => return false,
        };
        let recut = self.recuts.by_id.iter().find(|(_, recut)| mine(&recut.append, name)).map(|(id, _)| *id);
        let Some(recut) = recut else { return false };
        self.recut_hears(now, recut, heard, "the journals are not as they were: a shard of it has another owner");
        true
    }

    fn tail_is_known(&mut self, request: RequestId, tail: JournalIndex) -> bool {
        let known = self.recuts.by_id.values_mut().find_map(|recut| {
            let shard = recut.asked.remove(&request)?;
            recut.tails.insert(shard, tail);
            Some(())
        });
        known.is_some()
    }

    /// Before a tick: what was built runs its first one.
    pub(super) fn begin_recuts(&mut self, now: Timestamp, tick: Tick) {
        self.recuts.tick_began = now;
        for recut in std::mem::take(&mut self.recuts.replaced) {
            let (last, began) = recut.last;
            let due = began + self.shard_config.rate.interval();
            let (missed_ticks, blackout_us) = (tick.since(last.next()) as u32, now.0.saturating_sub(due.0));
            let news = MigrationNews { step: MigrationStep::Done, missed_ticks, blackout_us, ..recut.news };
            tracing::info!(shard = %recut.parent, merges = recut.merges, blackout_us, missed_ticks, "the map is cut anew, and runs");
            self.recut_is_over(news);
        }
    }

    /// After a tick: who waited for its end stands still now.
    pub(super) fn end_recuts(&mut self, now: Timestamp) {
        for id in self.recuts.by_id.keys().copied().collect::<Vec<_>>() {
            let Some(recut) = self.recuts.by_id.get(&id) else { continue };
            if recut.state == Cutting::Asking && recut.tails.len() == recut.opening().len() {
                self.recut_hears(now, id, Heard::TailsKnown, "");
            }
        }
        self.keep_cutting(now);
    }

    /// After whatever happened: who is at rest goes on, who was lost or waits too long is given up.
    pub(super) fn keep_cutting(&mut self, now: Timestamp) {
        for id in self.recuts.by_id.keys().copied().collect::<Vec<_>>() {
            let Some(recut) = self.recuts.by_id.get(&id) else { continue };
            let mut closing = recut.closing().into_iter().map(|shard| self.shards.get(&shard));
            let in_force = closing.clone().all(|shard| shard.is_some_and(|shard| shard.is_in_force()));
            let at_rest = closing.all(|shard| shard.is_some_and(|shard| shard.is_at_rest()));
            if !in_force {
                self.recut_hears(now, id, Heard::Lost, "a shard of it has lost its owner, its lease or its journal");
            } else if at_rest && recut.state == Cutting::Freezing {
                self.recut_hears(now, id, Heard::Flushed, "");
            } else if recut.due <= now {
                let why = format!("a journal did not answer in time ({})", recut.state.name());
                self.recut_hears(now, id, Heard::TimedOut, &why);
            }
            self.ask_for_recut(now, id);
        }
    }

    fn recut_hears(&mut self, now: Timestamp, id: MigrationId, heard: Heard, why: &str) {
        let Some(recut) = self.recuts.by_id.get_mut(&id) else { return };
        let before = recut.state;
        let (next, order) = before.step(heard);
        match next {
            Some(state) if state != before => {
                recut.state = state;
                recut.news.step = if state == Cutting::Freezing { MigrationStep::Freezing } else { MigrationStep::Committing };
                let news = recut.news.clone();
                self.tell_recut(news);
            }
            Some(_) | None => {}
        }
        match order {
            Some(Order::Freeze) => self.freeze_for_recut(now, id),
            Some(Order::Append) => self.append_recut(now, id),
            Some(Order::GoOn) => self.keep_the_map(now, id, why),
            Some(Order::Replace) => self.replace(now, id),
            None => {}
        }
    }

    fn freeze_for_recut(&mut self, now: Timestamp, id: MigrationId) {
        let (tick, began) = (self.tick, self.recuts.tick_began);
        let Some(recut) = self.recuts.by_id.get_mut(&id) else { return };
        (recut.last, recut.due) = ((tick, began), now + FLUSH_TIMEOUT);
        for shard in recut.closing() {
            if let Some(shard) = self.shards.get_mut(&shard) {
                shard.stand_still(now);
            }
        }
    }

    /// Builds what opens, and asks the journal for it. The commit point.
    fn append_recut(&mut self, now: Timestamp, id: MigrationId) {
        let Some(mut recut) = self.recuts.by_id.remove(&id) else { return };
        self.opened += 1;
        let built = self.build(now, &mut recut);
        recut.due = Timestamp(u64::MAX);
        let (name, parent, tick) = (AppendId { nonce: self.nonce, seq: RECUT_SEQ | id.0 }, recut.parent, self.tick);
        let ends: Vec<_> = recut.closing().iter().filter_map(|id| Some(self.shards.get(id)?.journal_end())).collect();
        let begins: Vec<_> = recut.opening().iter().filter_map(|shard| recut.tails.get(shard).copied()).collect();
        let last = ends.iter().map(|(_, epoch)| *epoch).max().unwrap_or_default();
        let tails = if recut.merges { ends.iter().map(|(tail, _)| *tail).collect() } else { begins.clone() };
        let (op, expected, epoch) = if recut.merges {
            (ShardOp::Merge { tails }, begins.first().copied().unwrap_or_default(), last.next())
        } else {
            (ShardOp::Split { tails }, ends.first().map(|(tail, _)| *tail).unwrap_or_default(), last)
        };
        recut.epoch = last.next();
        recut.news.epoch = recut.epoch;
        let entry = Entry { epoch, tick, ops: vec![op] }.into();
        recut.append = Some(JournalRequest::Append { shard: parent, id: name, expected, entry });
        recut.ask_again = now;
        let is_whole = built.is_some();
        recut.built = built.into_iter().flatten().zip(begins.iter().map(|tail| tail.next())).collect();
        self.recuts.by_id.insert(id, recut);
        if is_whole {
            self.ask_for_recut(now, id);
        } else {
            tracing::error!(shard = %parent, "what was built for a new cut differs from its original; the map stays as it is");
            self.recut_hears(now, id, Heard::BadCopy, "what was built differs from its original");
        }
    }

    fn build(&self, now: Timestamp, recut: &mut Recut) -> Option<Vec<Box<Shard>>> {
        let space = self.spec.space(recut.parent.space)?;
        let wholes: Vec<Part> = recut.closing().iter().filter_map(|id| Some(self.shards.get(id)?.whole())).collect();
        recut.news.entities = wholes.iter().map(|whole| whole.rest.residents.len() as u32).sum();
        recut.news.bytes = wholes.iter().flat_map(|whole| &whole.records).map(|record| record_bytes(record) as u64).sum();
        let (parent, children) = (recut.parent, recut.children());
        let parts: Vec<(ShardId, Part)> = if recut.merges {
            vec![(parent, parts::merge(parent, children, wholes.try_into().ok()?))]
        } else {
            children.into_iter().zip(parts::split(parent, children, wholes.into_iter().next()?)).collect()
        };
        let common = (&self.shard_config, &self.routes, self.opened);
        parts.into_iter().map(|(id, part)| Shard::built((id, space), common, now, part)).collect()
    }

    /// Asks journals what they have not answered.
    fn ask_for_recut(&mut self, now: Timestamp, id: MigrationId) {
        let Some(mut recut) = self.recuts.by_id.remove(&id) else { return };
        if recut.ask_again <= now {
            recut.ask_again = now + ASK_AGAIN;
            match recut.state {
                Cutting::Asking => {
                    let unknown =
                        recut.opening().into_iter().filter(|shard| !recut.tails.contains_key(shard)).collect::<Vec<_>>();
                    recut.asked.clear();
                    for shard in unknown {
                        let request = self.request_id();
                        recut.asked.insert(request, shard);
                        // Behind all entries there may be: the answer is the tail alone.
                        let read = JournalRequest::Read { request, shard, from: JournalIndex(u64::MAX), bytes_max: 1 };
                        self.send(Address::Data, Message::JournalRequest(read));
                    }
                }
                Cutting::Committing => {
                    if let Some(append) = recut.append.clone() {
                        self.send(Address::Data, Message::JournalRequest(append));
                    }
                }
                Cutting::Freezing => {}
            }
        }
        self.recuts.by_id.insert(id, recut);
    }

    fn keep_the_map(&mut self, now: Timestamp, id: MigrationId, why: &str) {
        let Some(recut) = self.recuts.by_id.remove(&id) else { return };
        for shard in recut.closing() {
            if let Some(shard) = self.shards.get_mut(&shard) {
                shard.go_on_ticking(now);
            }
        }
        tracing::info!(shard = %recut.parent, why, "the map stays as it is");
        self.recut_is_over(MigrationNews { step: MigrationStep::Kept, reason: why.to_owned(), ..recut.news });
    }

    /// The journals say so: what was built stands in the place of what it was built from, which is no more.
    fn replace(&mut self, now: Timestamp, id: MigrationId) {
        let Some(mut recut) = self.recuts.by_id.remove(&id) else { return };
        let (closed, epoch) = (recut.closing(), recut.epoch);
        let mut waiting = Vec::new();
        let mut listeners: BTreeSet<NodeId> =
            self.routes.iter().filter(|r| r.shard.touches(recut.parent)).map(|route| route.owner).collect();
        for shard in &closed {
            let Some(mut shard) = self.shards.remove(shard) else { continue };
            listeners.extend(shard.listeners());
            waiting.extend(shard.take_waiting());
        }
        let kin: BTreeMap<EntityId, ShardId> =
            recut.built.iter().flat_map(|(shard, _)| shard.residents().map(|(entity, _)| (entity, shard.id()))).collect();
        let mut routes = Vec::new();
        for (mut shard, tail) in std::mem::take(&mut recut.built) {
            let id = shard.id();
            let apart = kin.iter().filter(|(_, at)| **at != id).map(|(entity, at)| (*entity, *at)).collect();
            shard.lease(self.lease_until);
            if let Some(rules) = self.rules.now() {
                shard.rules_are(Arc::clone(rules));
            }
            shard.opened(now, (epoch, tail), apart);
            if self.closing {
                shard.close(now);
            }
            routes.push(ShardRoute { shard: id, owner: self.node, nonce: self.nonce, epoch });
            self.shards.insert(id, shard);
        }
        self.recuts.closed.extend(&closed);
        listeners.remove(&self.node);
        for node in listeners {
            let news = Migration::Recut { closed: closed.clone(), routes: routes.clone() };
            self.send(Address::Node(node), Message::Migration(news));
        }
        self.neighbours_recut(&closed, &routes);
        for (from, message) in waiting {
            if let Some(shard) = super::shard_of(&message) {
                self.deliver(now, from, shard, message);
            }
        }
        recut.news.step = MigrationStep::Given;
        self.tell_recut(recut.news.clone());
        self.recuts.replaced.push(recut);
    }

    /// Neighbours, or our own shards, were cut anew.
    pub(super) fn neighbours_recut(&mut self, closed: &[ShardId], routes: &[ShardRoute]) {
        for route in routes {
            self.recuts.closed.remove(&route.shard);
            self.routes_are_new |= Arc::make_mut(&mut self.routes).learn(*route);
        }
        self.shards.values_mut().for_each(|shard| shard.neighbours_recut(closed, routes));
    }

    fn recut_is_over(&mut self, news: MigrationNews) {
        self.recuts.ends.push_back(news.clone());
        if self.recuts.ends.len() > ENDS_KEPT_MAX {
            self.recuts.ends.pop_front();
        }
        self.tell_recut(news);
    }

    fn tell_recut(&mut self, news: MigrationNews) {
        self.send(Address::World, Message::Control(Control::Migrating(news)));
    }

    /// Where a recut of this scene is.
    pub fn recutting(&self, parent: ShardId) -> Option<Cutting> {
        self.recuts.by_id.values().find(|recut| recut.parent == parent).map(|recut| recut.state)
    }
}

fn begin(now: Timestamp, tick: Tick, (id, parent, merges): (MigrationId, ShardId, bool)) -> Recut {
    let news = MigrationNews {
        id,
        shard: parent,
        epoch: ShardEpoch::ZERO,
        to: None,
        step: MigrationStep::Preparing,
        rounds: 0,
        entities: 0,
        bytes: 0,
        blackout_us: 0,
        missed_ticks: 0,
        reason: String::new(),
    };
    Recut {
        parent,
        merges,
        state: Cutting::Asking,
        tails: BTreeMap::new(),
        asked: BTreeMap::new(),
        append: None,
        built: Vec::new(),
        epoch: ShardEpoch::ZERO,
        due: now + ASKING_TIMEOUT,
        ask_again: now,
        last: (tick, now),
        news,
    }
}
