//! Claiming a shard, recovering it, doubting it, losing it: the orders of [`crate::incarnation`] carried out.

use std::time::Duration;

use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{Address, Handover, JournalReply, JournalRequest, Lane, Message, ShardImage};
use pangaea_schemas::record::{Presence, Record, SessionState};
use pangaea_schemas::{JournalIndex, RequestId, ShardEpoch, Timestamp};

use super::dealings::Dealings;
use super::residents::ValueGate;
use super::{CLAIM_WITHIN, DOUBT_MAX, JOURNAL_SILENCE, LEASE_MARGIN, Life, Proof, Resident, Shard, Then, new_world, unsaved};
use crate::incarnation::{Happening, Incarnation, Order};
use crate::journal_writer::{APPEND_RESEND, ConflictVerdict};
use crate::lanes::Hearing;
use crate::recut::YOUNG_FOR;
use crate::sessions::{LINGER, Link, Sessions};

/// The world's last order to claim the shard.
#[derive(Debug, Default)]
pub(super) struct ClaimOrder {
    /// When it came.
    pub(super) given: Timestamp,
    /// Where the journal ended when it refused an append.
    pub(super) tail: JournalIndex,
}

/// A shard's state on its way from the journal.
#[derive(Debug)]
pub(super) struct Recovery {
    request: RequestId,
    /// The shard's own, then those of its estates.
    images: Vec<ShardImage>,
    ask_again: Timestamp,
}

impl Shard {
    pub(super) fn happens(&mut self, happening: Happening) {
        let order = self.incarnation.step(happening);
        // Outlives the stop: what an earlier owner said is old from now on, also to this node.
        self.lanes.learn(self.id, self.epoch());
        let Some(order) = order else { return };
        match order {
            Order::Claim { epoch, expected } => {
                self.writer.restart(epoch, expected);
                self.writer.push(ShardOp::Owner { node: self.config.node, nonce: self.config.nonce });
                self.when_durable(Then::Owned);
            }
            Order::Load => self.load(),
            Order::RaiseFences => self.raise_fences(),
            Order::Run => self.run(),
            Order::Stop => self.stop(),
            Order::Retire => self.retire(),
        }
    }

    /// Lets `then` happen once everything pushed to the journal so far is durable; at once if it is.
    pub(super) fn when_durable(&mut self, then: Then) {
        if let Some(then) = self.writer.after(then) {
            self.is_durable(then);
        }
    }

    pub(super) fn journal_replied(&mut self, reply: JournalReply) {
        match reply {
            JournalReply::Appended { id, index, .. } => {
                for then in self.writer.appended(id, index) {
                    self.is_durable(then);
                }
            }
            JournalReply::Conflict { id, tail, epoch, .. } => match self.writer.conflict(id, tail, epoch, self.now) {
                ConflictVerdict::Old | ConflictVerdict::Gap => {}
                ConflictVerdict::Durable(thens) => thens.into_iter().for_each(|then| self.is_durable(then)),
                ConflictVerdict::Lost { tail, epoch } => self.conflict(tail, epoch),
            },
            JournalReply::Unavailable { id, reason, .. } => {
                tracing::debug!(shard = %self.id, reason, "the journal cannot append now");
                self.writer.unavailable(id, self.now);
            }
            JournalReply::Image { request, part, last, .. } => self.image_part(request, *part, last),
            JournalReply::Entries { .. }
            | JournalReply::Trimmed { .. }
            | JournalReply::OwnerList { .. }
            | JournalReply::Found { .. }
            | JournalReply::IdBlock { .. }
            | JournalReply::Failed { .. } => {}
        }
    }

    /// The journal is not where it was thought to be. A claim is made again only as long as its order is young: the owner that
    /// it was to replace may have come back meanwhile. The world gives the order anew, and it is known by then where the journal
    /// ends.
    fn conflict(&mut self, tail: JournalIndex, epoch: ShardEpoch) {
        self.order.tail = tail;
        match self.incarnation {
            Incarnation::Claiming { .. } if self.now.since(self.order.given) >= CLAIM_WITHIN => {
                tracing::info!(shard = %self.id, "claims no more: the order is too old");
                self.happens(Happening::OrderIsOld);
            }
            _ => self.happens(Happening::Conflict { tail, epoch }),
        }
    }

    fn is_durable(&mut self, then: Then) {
        match then {
            Then::Owned => {
                let index = self.writer.tail();
                self.happens(Happening::OwnerAppended { index });
            }
            Then::FencesRaised => self.happens(Happening::FencesRaised),
            Then::LetGo(xid) => self.let_go_is_durable(xid),
            Then::Taken(name, xid) => {
                self.dealings(name).arrivals.settled(xid);
                self.say(name, xid.source, Handover::Ack { xid });
            }
            Then::TurnedDown(name, xid, reason) => {
                self.dealings(name).arrivals.settled(xid);
                self.say(name, xid.source, Handover::Refuse { xid, reason });
            }
            Then::Joined(agent) => self.joined(agent),
            Then::Look(agent, epoch) => self.look(agent, epoch),
            Then::Written(op) => {
                self.life.desk.written(op);
                self.ask_ledger();
            }
            Then::Settled(name, target, mark) => {
                let now = self.now;
                self.dealings(name).forwarders.is_durable(now, target, mark);
            }
            Then::Stable(name, source, upto) => self.say(name, source, Handover::Stable { upto }),
            Then::Applied(name, source, upto) => self.effects_are_durable(name, source, upto),
            Then::Sent(to, upto) => self.effects_may_go(to, upto),
            Then::GiftWritten => self.gift_is_written(),
            Then::Arrived => self.arrival_is_durable(),
            Then::OnTrial(agent) => self.life.trials.written(agent),
            Then::Proven if self.life.proof == Proof::Asked => self.life.proof = Proof::Given,
            // The lease has lapsed once more.
            Then::Proven => {}
        }
    }

    fn load(&mut self) {
        let request = self.request_id();
        self.recovery = Some(Recovery { request, images: Vec::new(), ask_again: self.now + APPEND_RESEND });
        self.send(Address::Data, Message::JournalRequest(JournalRequest::Load { request, shard: self.id }));
    }

    fn image_part(&mut self, request: RequestId, part: ShardImage, last: bool) {
        let Some(recovery) = self.recovery.as_mut().filter(|recovery| recovery.request == request) else { return };
        recovery.ask_again = self.now + APPEND_RESEND;
        if recovery.images.last().is_none_or(|image| image.name != part.name) {
            recovery.images.push(ShardImage { name: part.name, ..ShardImage::default() });
        }
        let Some(image) = recovery.images.last_mut() else { return };
        (image.index, image.epoch, image.tick) = (part.index, part.epoch, part.tick);
        image.records.extend(part.records);
        image.fences.extend(part.fences);
        image.departures.extend(part.departures);
        image.applied.extend(part.applied);
        image.decided.extend(part.decided);
        image.stable.extend(part.stable);
        image.outbox.extend(part.outbox);
        image.delivered.extend(part.delivered);
        if last {
            let (index, epoch) = (image.index, image.epoch);
            self.happens(Happening::Replayed { index, epoch });
        }
    }

    /// Builds the life of the shard from its state, and raises the epochs of awake players' agents: an earlier owner that does
    /// not know its end yet can change nothing of value afterwards.
    fn raise_fences(&mut self) {
        let Some(Recovery { mut images, .. }) = self.recovery.take() else { return };
        // Each entry of a journal that nothing happened in raised the epoch by one.
        let only_claimed = images.iter().all(|image| image.index.0 == image.epoch.0);
        let is_empty = |i: &ShardImage| i.records.is_empty() && i.fences.is_empty() && i.departures.is_empty();
        self.life.is_empty_world = only_claimed && images.iter().all(is_empty);
        let mut records = images.first_mut().map(|image| std::mem::take(&mut image.records)).unwrap_or_default();
        self.judge(&mut records);
        for image in images {
            self.recover_dealings(image);
        }
        self.remember_forwarders(self.epoch());
        for record in records {
            self.life.leaves.came_home(record.entity);
            match record.presence {
                Presence::Asleep | Presence::Parked => {
                    self.accept_epoch(&record);
                    self.life.asleep.insert(record.entity, record);
                }
                Presence::Awake => self.recover_awake(record),
            }
        }
        self.when_durable(Then::FencesRaised);
    }

    /// Whoever ran it before does so no more: players' and creatures' epochs rise alike.
    fn recover_awake(&mut self, mut record: Record) {
        let agent = record.entity;
        record.epoch = record.epoch.max(self.life.fence(agent).seen).next();
        self.accept_epoch(&record);
        let is_player = Self::is_player(&record.session);
        let gate = if is_player { ValueGate::Closed } else { ValueGate::Open };
        self.life.residents.insert(agent, Resident::new(record.epoch, self.now, gate));
        if is_player {
            record.session = Sessions::recovered(record.session);
            record.session.gateway = None;
            self.life.sessions.seat(agent, record.session.clone(), Link::Lingering { until: self.now + LINGER });
            self.life.trials.expect(agent, record.session.crashes);
            self.life.inbox.connected.push((agent, false));
            self.adopt_operations(&record);
        }
        self.writer.push(ShardOp::put(&record));
        if is_player {
            self.when_durable(Then::Look(agent, record.epoch));
        }
        self.life.inbox.arrivals.push(record);
    }

    /// The fence of a record that is live here now.
    pub(super) fn accept_epoch(&mut self, record: &Record) {
        self.life.is_here(record.entity, record.epoch);
    }

    /// What was agreed under one name, with the departures that nobody has confirmed.
    pub(super) fn recover_dealings(&mut self, image: ShardImage) {
        let name = image.name.unwrap_or(self.id);
        let (mut dealings, departures) = Dealings::recovered(image);
        for departure in departures {
            for member in &departure.members {
                let fence = dealings.arrivals.fence_mut(member.entity);
                fence.seen = fence.seen.max(departure.xid.epoch);
            }
            self.life.leaves.recover(self.now, departure);
        }
        *self.dealings(name) = dealings;
    }

    /// Forwarders that are still needed, once all departures are known.
    pub(super) fn remember_forwarders(&mut self, epoch: ShardEpoch) {
        let (now, leaves) = (self.now, std::mem::take(&mut self.life.leaves));
        for name in self.names() {
            self.dealings(name).remember_forwarders(now, epoch, &leaves);
        }
        self.life.leaves = leaves;
    }

    fn run(&mut self) {
        tracing::info!(shard = %self.id, epoch = %self.epoch(), entities = self.life.residents.len(), "the shard runs");
        self.begins();
        self.look_around();
    }

    /// It is this owner's from now on: the world hears who plays here, and ghosts are still to come.
    pub(super) fn begins(&mut self) {
        self.tell_all_players();
        self.life.young_until = self.now + YOUNG_FOR;
    }

    fn stop(&mut self) {
        tracing::warn!(shard = %self.id, state = ?self.incarnation, "the shard stops: another owner, or no journal for too long");
        self.drop_gift();
        self.retire();
    }

    /// Everything volatile goes.
    fn retire(&mut self) {
        self.writer.restart(Default::default(), Default::default());
        self.recovery = None;
        self.arrived = None;
        self.still = None;
        self.meter.stopped();
        self.life = Life { dirty: unsaved(self.config.rate), ..Life::default() };
        self.world = new_world(self.id, &self.space, &self.config);
    }

    /// Looks at lease, journal and what was asked without an answer.
    pub(super) fn keep_confirmed(&mut self) {
        let now = self.now;
        if self.recovery.as_ref().is_some_and(|recovery| recovery.ask_again <= now) {
            self.load();
        }
        if self.life.proof == Proof::Wanted && self.incarnation.ticks() && !self.is_frozen() {
            self.life.proof = Proof::Asked;
            self.writer.prove();
            self.when_durable(Then::Proven);
        }
        if self.is_silent(JOURNAL_SILENCE) || now + LEASE_MARGIN >= self.lease_until || self.life.proof != Proof::Given {
            let since = *self.life.doubted_since.get_or_insert(now);
            self.happens(Happening::Doubted);
            if now.since(since) >= DOUBT_MAX {
                self.happens(Happening::DoubtedTooLong);
            }
        } else {
            self.life.doubted_since = None;
            self.happens(Happening::Confirmed);
        }
    }

    /// Whether the journal has owed an answer for so long.
    pub(super) fn is_silent(&self, span: Duration) -> bool {
        self.writer.unanswered_since().is_some_and(|since| self.now.since(since) >= span)
    }

    /// Compares the epochs of a message between shards with what is known. A higher epoch of this shard ends this owner.
    pub(super) fn hear(&mut self, lane: Lane) -> Hearing {
        let hearing = self.lanes.hear(self.epoch(), lane);
        if hearing == Hearing::Superseded {
            self.happens(Happening::Superseded { epoch: lane.to_epoch });
        }
        hearing
    }

    /// A record without a player has no session.
    pub(super) fn is_player(session: &SessionState) -> bool {
        session.epoch != Default::default()
    }
}
