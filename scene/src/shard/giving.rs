//! This shard on its way to another scene: the orders of [`crate::migration::source`] carried out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{
    Address, Control, Message, Migration, MigrationNews, MigrationStep, NEWS_CANCELLED, PART_BYTES_MAX, ShardRoute,
};
use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::{AgentEpoch, EntityId, MigrationId, NodeId, Nonce, Tick, Timestamp};

use super::pause::PAUSED;
use super::{Shard, Then};
use crate::ecs::Copied;
use crate::incarnation::Happening;
use crate::journal_writer::record_bytes;
use crate::migration::source::{Giving, Heard, SourceOrder};
use crate::migration::{
    ASK_AGAIN, COPY_BYTES_PER_TICK, FLUSH_TIMEOUT, FROZEN_MESSAGES_MAX, GIVEN_TIMEOUT, PREPARE_TIMEOUT, READY_TIMEOUT,
    ROUND_TIMEOUT, may_end,
};

/// A migration at its source.
pub(super) struct Gift {
    id: MigrationId,
    to: NodeId,
    /// The target's incarnation, once it stands by.
    nonce: Option<Nonce>,
    state: Giving,
    copied: Copied,
    /// Asleep agents as they were sent.
    asleep: BTreeMap<EntityId, (AgentEpoch, Presence)>,
    /// Parts of the round that are not sent yet.
    parts: VecDeque<Part>,
    round_bytes: usize,
    /// Of the round before; 0 in the first one.
    former_bytes: usize,
    /// The target has this round: what changed since goes with the next one, after a tick.
    taken: bool,
    due: Timestamp,
    ask_again: Timestamp,
    /// The last tick that ran here, and when it began.
    last: (Tick, Timestamp),
    /// What came while nobody ran the shard.
    waiting: VecDeque<(NodeId, Message)>,
    news: MigrationNews,
    owned: Option<Migration>,
    /// When it got into its state, and what the states cost that nobody ticks in.
    since: Timestamp,
    spent: Spent,
}

/// Where the time of a freeze went, in microseconds: for whoever wants it shorter.
#[derive(Default)]
struct Spent {
    /// Until the last tick's entries were durable.
    flush: u64,
    /// Until the target had all of it.
    copy: u64,
    /// Until the target was its owner in the journal.
    commit: u64,
    /// Until the target said that it runs.
    start: u64,
}

impl Gift {
    /// A state is over.
    fn note_time(&mut self, before: Giving, now: Timestamp) {
        let took = now.0.saturating_sub(std::mem::replace(&mut self.since, now).0);
        match before {
            Giving::Freezing => self.spent.flush = took,
            Giving::Frozen => self.spent.copy = took,
            Giving::Committing => self.spent.commit = took,
            Giving::Given => self.spent.start = took,
            Giving::Preparing | Giving::Copying { .. } | Giving::Returning => {}
        }
    }
}

#[derive(Default)]
struct Part {
    records: Vec<Record>,
    gone: Vec<EntityId>,
    bytes: usize,
}

impl Shard {
    /// The world wants another scene to own this shard.
    pub(super) fn migrate(&mut self, id: MigrationId, to: NodeId) {
        if let Some(gift) = self.gift.as_ref().filter(|gift| gift.id == id) {
            let news = gift.news.clone();
            return self.tell_world(news);
        }
        let news = MigrationNews {
            id,
            shard: self.id,
            epoch: self.epoch(),
            to: Some(to),
            step: MigrationStep::Preparing,
            rounds: 0,
            entities: self.life.residents.len() as u32,
            bytes: 0,
            blackout_us: 0,
            missed_ticks: 0,
            reason: String::new(),
        };
        if let Some(reason) = self.cannot_be_given(to) {
            return self.tell_world(MigrationNews { step: MigrationStep::Kept, reason: reason.to_owned(), ..news });
        }
        tracing::info!(shard = %self.id, %to, "migration begins");
        self.gift = Some(Box::new(Gift {
            id,
            to,
            nonce: None,
            state: Giving::Preparing,
            copied: Copied::default(),
            asleep: BTreeMap::new(),
            parts: VecDeque::new(),
            round_bytes: 0,
            former_bytes: 0,
            taken: false,
            due: self.now + PREPARE_TIMEOUT,
            ask_again: self.now,
            last: (self.tick, self.now),
            waiting: VecDeque::new(),
            news: news.clone(),
            owned: None,
            since: self.now,
            spent: Spent::default(),
        }));
        self.tell_world(news);
        self.keep_giving();
    }

    fn cannot_be_given(&self, to: NodeId) -> Option<&'static str> {
        if to == self.config.node {
            Some("it is there already")
        } else if self.gift.as_ref().is_some_and(|gift| gift.state != Giving::Given) {
            Some("another migration of it is under way")
        } else if self.still.is_some() {
            Some("the map is being cut there")
        } else if self.is_paused() {
            Some(PAUSED)
        } else if !self.incarnation.is_confirmed() || self.life.is_empty_world || self.closing {
            Some("it does not run, or its lease or journal is away")
        } else {
            None
        }
    }

    /// An admin, or the world, would rather have it stay.
    pub(super) fn cancel_migration(&mut self, id: MigrationId) {
        if self.gift.as_ref().is_some_and(|gift| gift.id == id) {
            self.gift_hears(Heard::Cancelled, NEWS_CANCELLED);
        }
    }

    /// The target speaks.
    pub(super) fn target_says(&mut self, from: NodeId, message: Migration) {
        let Some(gift) = self.gift.as_mut().filter(|gift| gift.to == from) else { return };
        match message {
            Migration::Standby { id, nonce, .. } if id == gift.id => {
                // A later start of the target has not what this one will be given.
                gift.nonce.get_or_insert(nonce);
                self.gift_hears(Heard::Standby, "");
            }
            Migration::Declined { id, reason, .. } if id == gift.id => self.gift_hears(Heard::Declined, &reason),
            Migration::Taken { id, round, .. } if id == gift.id && round == gift.news.rounds => gift.taken = true,
            Migration::Ready { id, .. } if id == gift.id => self.gift_hears(Heard::Ready, ""),
            Migration::Running { id, first, started_us, .. } if id == gift.id => {
                let (last, began) = gift.last;
                let due = began + self.config.rate.interval();
                gift.news.missed_ticks = first.since(last.next()) as u32;
                gift.news.blackout_us = started_us.saturating_sub(due.0);
                self.gift_hears(Heard::TargetRuns, "");
            }
            // About another migration, or for a target.
            Migration::Standby { .. }
            | Migration::Declined { .. }
            | Migration::Taken { .. }
            | Migration::Ready { .. }
            | Migration::Running { .. }
            | Migration::Prepare { .. }
            | Migration::Copied { .. }
            | Migration::Final { .. }
            | Migration::Cancelled { .. }
            | Migration::Owned { .. }
            | Migration::Moved { .. }
            | Migration::Recut { .. } => {}
        }
    }

    /// The target's process is gone.
    pub(super) fn target_lost(&mut self, node: NodeId) {
        if self.gift.as_ref().is_some_and(|gift| gift.to == node) {
            self.gift_hears(Heard::TargetLost, "the target is gone");
        }
    }

    /// An OWNER entry that the migration asked for is durable.
    pub(super) fn gift_is_written(&mut self) {
        self.gift_hears(Heard::OwnerAppended, "");
    }

    /// Where a migration to another scene is.
    pub fn giving(&self) -> Option<Giving> {
        self.gift.as_ref().map(|gift| gift.state)
    }

    /// Nothing ticks here, and whatever comes waits.
    pub(super) fn is_frozen(&self) -> bool {
        self.still.is_some()
            || self.gift.as_ref().is_some_and(|gift| match gift.state {
                Giving::Preparing | Giving::Copying { .. } | Giving::Given => false,
                Giving::Freezing | Giving::Frozen | Giving::Committing | Giving::Returning => true,
            })
    }

    /// Keeps a message until it is clear who owns the shard. If it goes, its sender asks the new owner.
    pub(super) fn keep_while_frozen(&mut self, from: NodeId, message: Message) {
        if let Some(still) = self.still.as_mut() {
            still.keep(from, message);
        } else if let Some(gift) = self.gift.as_mut().filter(|gift| gift.waiting.len() < FROZEN_MESSAGES_MAX) {
            gift.waiting.push_back((from, message));
        }
    }

    /// After each tick: the next round, the next parts, time-outs.
    pub(super) fn keep_giving(&mut self) {
        let now = self.now;
        let Some(gift) = self.gift.as_mut() else { return };
        if gift.due <= now {
            let why = format!("the target did not answer in time ({})", gift.state.name());
            return self.gift_hears(Heard::TimedOut, &why);
        }
        if std::mem::take(&mut gift.taken) {
            let is_small = may_end(gift.round_bytes, gift.former_bytes);
            self.gift_hears(Heard::RoundTaken { is_small }, "it changes faster than it can be copied");
        }
        self.send_parts(COPY_BYTES_PER_TICK);
        self.ask_target_again();
    }

    fn ask_target_again(&mut self) {
        let (now, shard, epoch) = (self.now, self.id, self.epoch());
        let entities = self.life.residents.len() as u32;
        let Some(gift) = self.gift.as_mut().filter(|gift| gift.ask_again <= now) else { return };
        gift.ask_again = now + ASK_AGAIN;
        let (to, id) = (Address::Node(gift.to), gift.id);
        let message = match gift.state {
            Giving::Preparing => Migration::Prepare { id, shard, epoch, entities },
            Giving::Given => match gift.owned.clone() {
                Some(owned) => owned,
                None => return,
            },
            Giving::Copying { .. } | Giving::Freezing | Giving::Frozen | Giving::Committing | Giving::Returning => return,
        };
        self.send(to, Message::Migration(message));
    }

    /// When everything written so far is durable, a shard that freezes is frozen.
    pub(super) fn go_on_freezing(&mut self) {
        let freezing = self.gift.as_ref().is_some_and(|gift| gift.state == Giving::Freezing);
        if freezing && self.writer.is_idle() {
            self.gift_hears(Heard::Flushed, "");
        }
    }

    fn gift_hears(&mut self, heard: Heard, why: &str) {
        let Some(gift) = self.gift.as_mut() else { return };
        let before = gift.state;
        let (next, order) = before.step(heard);
        if next != Some(before) {
            gift.note_time(before, self.now);
        }
        if let Some(state) = next {
            gift.state = state;
        }
        match order {
            Some(SourceOrder::Copy { round }) => self.copy_round(round),
            Some(SourceOrder::Freeze) => self.freeze(),
            Some(SourceOrder::SendFinal) => self.send_final(),
            Some(SourceOrder::AppendTarget) => self.append_owner(true),
            Some(SourceOrder::AppendSelf) => {
                self.note_reason(why);
                self.append_owner(false);
            }
            Some(SourceOrder::Hand) => self.hand(),
            Some(SourceOrder::GoOn) => {
                self.note_reason(why);
                return self.go_on(before);
            }
            Some(SourceOrder::Forget) => return self.end_gift(MigrationStep::Done),
            None => {}
        }
        if next.is_some_and(|next| next != before) {
            self.tell_progress();
        }
    }

    fn copy_round(&mut self, round: u32) {
        let now = self.now;
        self.collect_round();
        if let Some(gift) = self.gift.as_mut() {
            gift.news.rounds = round;
            gift.due = now + ROUND_TIMEOUT;
        }
    }

    /// What changed since the last round, cut into parts.
    fn collect_round(&mut self) {
        let Some(gift) = self.gift.as_mut() else { return };
        let delta = self.world.delta(&mut gift.copied);
        let asleep = &self.life.asleep;
        let state = |record: &Record| (record.epoch, record.presence);
        let woken: Vec<EntityId> = gift.asleep.keys().filter(|agent| !asleep.contains_key(agent)).copied().collect();
        woken.iter().for_each(|agent| _ = gift.asleep.remove(agent));
        let sleepers: Vec<Record> =
            asleep.values().filter(|r| gift.asleep.insert(r.entity, state(r)) != Some(state(r))).cloned().collect();
        let mut part = Part { gone: delta.gone, ..Part::default() };
        part.gone.extend(woken);
        gift.former_bytes = std::mem::replace(&mut gift.round_bytes, 8 * part.gone.len());
        for record in delta.records.into_iter().chain(sleepers) {
            let bytes = record_bytes(&record);
            if part.bytes + bytes > PART_BYTES_MAX && !part.records.is_empty() {
                gift.parts.push_back(std::mem::take(&mut part));
            }
            part.bytes += bytes;
            gift.round_bytes += bytes;
            part.records.push(record);
        }
        gift.parts.push_back(part);
        gift.news.bytes += gift.round_bytes as u64;
        gift.news.entities = self.life.residents.len() as u32;
    }

    fn send_parts(&mut self, budget: usize) {
        let shard = self.id;
        let mut sent = 0;
        while sent < budget {
            let Some(gift) = self.gift.as_mut() else { return };
            let Some(Part { records, gone, bytes }) = gift.parts.pop_front() else { return };
            let (id, to, round, last) = (gift.id, gift.to, gift.news.rounds, gift.parts.is_empty());
            sent += bytes.max(1);
            let copied = Migration::Copied { id, shard, round, records, gone, last };
            self.send(Address::Node(to), Message::Migration(copied));
        }
    }

    /// The tick is over: no further one runs here. Nobody is on the way out who is not past the commit point.
    fn freeze(&mut self) {
        self.call_back();
        self.journal_urgent();
        let (now, tick) = (self.now, self.tick);
        if let Some(gift) = self.gift.as_mut() {
            (gift.last, gift.due) = ((tick, now), now + FLUSH_TIMEOUT);
        }
    }

    fn send_final(&mut self) {
        self.collect_round();
        let now = self.now;
        let Some(gift) = self.gift.as_mut() else { return };
        gift.news.rounds += 1;
        gift.due = now + READY_TIMEOUT;
        let (id, to) = (gift.id, gift.to);
        self.send_parts(usize::MAX);
        let Some(gift) = self.gift.as_ref() else { return };
        let rest = Box::new(self.rest(&gift.copied));
        self.send(Address::Node(to), Message::Migration(Migration::Final { id, shard: self.id, rest }));
    }

    /// The commit point, or what competes with it on the same index.
    fn append_owner(&mut self, to_target: bool) {
        let Some(gift) = self.gift.as_mut() else { return };
        gift.due = Timestamp(u64::MAX);
        let (own, target) = ((self.config.node, self.config.nonce), gift.nonce.map(|nonce| (gift.to, nonce)));
        let Some((node, nonce)) = (if to_target { target } else { Some(own) }) else { return };
        if !to_target {
            let cancelled = Migration::Cancelled { id: gift.id, shard: self.id };
            let to = Address::Node(gift.to);
            self.send(to, Message::Migration(cancelled));
        }
        self.writer.restart(self.epoch().next(), self.writer.tail());
        self.writer.push(ShardOp::Owner { node, nonce });
        self.when_durable(Then::GiftWritten);
    }

    /// The target owns the shard: everybody who spoke with it here hears where it is.
    fn hand(&mut self) {
        let (epoch, index, now) = (self.epoch().next(), self.writer.tail(), self.now);
        let Some(gift) = self.gift.as_mut() else { return };
        let (id, owner, shard) = (gift.id, gift.to, self.id);
        let Some(nonce) = gift.nonce else { return };
        gift.owned = Some(Migration::Owned { id, shard, epoch, index, nonce });
        (gift.due, gift.ask_again) = (now + GIVEN_TIMEOUT, now);
        gift.news.epoch = epoch;
        gift.waiting.clear();
        self.ask_target_again();
        self.tell_moved(ShardRoute { shard, owner, nonce, epoch });
        self.happens(Happening::GivenAway);
    }

    /// Tells all followers and all gateways of players here.
    pub(super) fn tell_moved(&mut self, route: ShardRoute) {
        let mut nodes: BTreeSet<NodeId> = self.life.followers.nodes();
        nodes.extend(self.life.sessions.attached().map(|(_, gateway, _, _)| gateway));
        for node in nodes {
            self.send(Address::Node(node), Message::Migration(Migration::Moved { route }));
        }
    }

    fn go_on(&mut self, before: Giving) {
        if before == Giving::Returning {
            let epoch = self.epoch().next();
            self.happens(Happening::Renewed { epoch });
            let (shard, owner, nonce) = (self.id, self.config.node, self.config.nonce);
            self.tell_moved(ShardRoute { shard, owner, nonce, epoch });
        } else if let Some(gift) = self.gift.as_ref() {
            let (to, id, shard) = (Address::Node(gift.to), gift.id, self.id);
            self.send(to, Message::Migration(Migration::Cancelled { id, shard }));
        }
        let waiting = self.gift.as_mut().map(|gift| std::mem::take(&mut gift.waiting)).unwrap_or_default();
        self.end_gift(MigrationStep::Kept);
        for (from, message) in waiting {
            self.dispatch(from, message);
        }
    }

    /// The shard stops: another owner's doing ends the migration too.
    pub(super) fn drop_gift(&mut self) {
        self.note_reason("another owner claimed the shard");
        self.end_gift(MigrationStep::Kept);
    }

    fn end_gift(&mut self, step: MigrationStep) {
        let Some(gift) = self.gift.take() else { return };
        let (news, spent) = (MigrationNews { step, ..gift.news }, gift.spent);
        tracing::info!(
            shard = %self.id, to = %gift.to, ?step, rounds = news.rounds, bytes = news.bytes, blackout_us = news.blackout_us,
            missed_ticks = news.missed_ticks, reason = news.reason, flush_us = spent.flush, copy_us = spent.copy,
            commit_us = spent.commit, start_us = spent.start, "migration ends"
        );
        self.tell_world(news);
    }

    fn note_reason(&mut self, why: &str) {
        if let Some(gift) = self.gift.as_mut().filter(|gift| gift.news.reason.is_empty()) {
            gift.news.reason = why.to_owned();
        }
    }

    fn tell_progress(&mut self) {
        let Some(gift) = self.gift.as_mut() else { return };
        gift.news.step = match gift.state {
            Giving::Preparing => MigrationStep::Preparing,
            Giving::Copying { .. } => MigrationStep::Copying,
            Giving::Freezing => MigrationStep::Freezing,
            Giving::Frozen => MigrationStep::Frozen,
            Giving::Committing => MigrationStep::Committing,
            Giving::Returning => MigrationStep::Returning,
            Giving::Given => MigrationStep::Given,
        };
        let news = gift.news.clone();
        self.tell_world(news);
    }

    fn tell_world(&mut self, news: MigrationNews) {
        self.send(Address::World, Message::Control(Control::Migrating(news)));
    }
}

/// Whether a frozen shard hears a message at once: what the migration itself waits for.
pub(super) fn is_heard_frozen(message: &Message) -> bool {
    matches!(message, Message::JournalReply(_) | Message::Migration(_) | Message::Control(_))
}

/// The shard that a migration message is about; `None` for news to followers.
pub(crate) fn shard_of(message: &Migration) -> Option<ShardId> {
    match message {
        Migration::Prepare { shard, .. }
        | Migration::Standby { shard, .. }
        | Migration::Declined { shard, .. }
        | Migration::Copied { shard, .. }
        | Migration::Taken { shard, .. }
        | Migration::Final { shard, .. }
        | Migration::Ready { shard, .. }
        | Migration::Cancelled { shard, .. }
        | Migration::Owned { shard, .. }
        | Migration::Running { shard, .. } => Some(*shard),
        Migration::Moved { route } => Some(route.shard),
        Migration::Recut { .. } => None,
    }
}
