//! One owner of a shard: what `scene::shard::{crossing, settling, ownership}` do with the orders of their machines.

use std::collections::VecDeque;

use pangaea_scene::handover::forwarders::Forwarders;
use pangaea_scene::handover::source::{Heard, Leave, Leaves, Letting, SourceOrder};
use pangaea_scene::handover::target::{Arrivals, CommitAnswer};
use pangaea_scene::handover::{FORWARD_MIN, SETTLED_RESEND};
use pangaea_scene::incarnation::{Happening, Incarnation, Order};
use pangaea_scene::journal_writer::{ConflictVerdict, JournalWriter};
use pangaea_scene::lanes::{Hearing, Lanes};
use pangaea_schemas::geometry::{Position, ShardId};
use pangaea_schemas::journal::{Mark, ShardOp, Xid};
use pangaea_schemas::message::{Handover, HandoverMessage, JournalReply, JournalRequest, Lane, Refusal, ShardImage};
use pangaea_schemas::record::{Presence, Record, SessionState};
use pangaea_schemas::{AgentEpoch, EntityId, InSeq, JournalIndex, NodeId, Nonce, Role, ShardEpoch, Tick, Timestamp};

use super::{AGENT, State, Walk, Who, shard_id};
use crate::net::Net;

/// Most of what happens, happens at once: what waits for time is an action of its own.
const NOW: Timestamp = Timestamp(0);
/// By then everything that can be overdue is, once.
const LATE: Timestamp = Timestamp(2_000_000);
/// A shard says so often what is settled.
const SETTLED_TOLD_MAX: u8 = 3;

/// The agent where it is live.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct Resident {
    pub(super) epoch: AgentEpoch,
    pub(super) inputs: u32,
}

/// One owner.
#[derive(Clone, Debug, Hash)]
pub(super) struct Owner {
    pub(super) at: u16,
    nonce: Nonce,
    life: Incarnation,
    lanes: Lanes,
    pub(super) leaves: Leaves,
    arrivals: Arrivals,
    pub(super) forwarders: Forwarders,
    pub(super) resident: Option<Resident>,
    writer: JournalWriter<Then>,
    /// What the writer sent and has no answer to, in order.
    appends: VecDeque<JournalRequest>,
    settled_told: u8,
}

/// What waits for the journal.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Then {
    Owned,
    FencesRaised,
    LetGo(Xid),
    Taken(Xid),
    TurnedDown(Xid),
    Settled(ShardId, Mark),
    Stable(ShardId, Mark),
    Told(u32),
}

impl Owner {
    fn new(at: u16, start: u8, lanes: Lanes) -> Self {
        let nonce = Nonce(u128::from(at) << 8 | u128::from(start));
        Self {
            at,
            nonce,
            life: Incarnation::Off,
            lanes,
            leaves: Leaves::default(),
            arrivals: Arrivals::default(),
            forwarders: Forwarders::default(),
            resident: None,
            writer: JournalWriter::new(shard_id(at), nonce, 0),
            appends: VecDeque::new(),
            settled_told: 0,
        }
    }

    pub(super) fn epoch(&self) -> ShardEpoch {
        self.life.epoch().unwrap_or_default()
    }

    fn is_fenced(&self) -> bool {
        matches!(self.life, Incarnation::Fenced { .. })
    }

    pub(super) fn has_appends(&self) -> bool {
        !self.appends.is_empty()
    }

    pub(super) fn appends(&self) -> usize {
        self.appends.len()
    }

    /// Hand-overs whose time is up: each once, and again where a commit would say something new.
    pub(super) fn overdue(&self, net: &Net<HandoverMessage>) -> Vec<Xid> {
        let mut overdue = self.leaves.due(LATE);
        let news = |xid: &Xid, target: ShardId| {
            let lane = self.lane_to(target);
            !net.heard().any(|said| said.lane == lane && matches!(said.step, Handover::Commit { xid: of, .. } if of == *xid))
        };
        let unsaid = self.leaves.out().filter(|(xid, leave)| news(xid, leave.target)).map(|(xid, _)| xid);
        overdue.extend(unsaid);
        overdue.sort_unstable();
        overdue.dedup();
        overdue
    }

    fn lane_to(&self, to: ShardId) -> Lane {
        Lane { from: shard_id(self.at), from_epoch: self.epoch(), to, to_epoch: self.lanes.heard(to) }
    }

    /// Whether there is something that it would say.
    pub(super) fn may_tell_settled(&self) -> bool {
        !self.is_told_out()
            && !self
                .forwarders
                .clone()
                .poll(self.settled_time(), |target| self.leaves.first(shard_id(self.at), target))
                .is_empty()
    }

    fn settled_time(&self) -> Timestamp {
        NOW + FORWARD_MIN + SETTLED_RESEND * u32::from(self.settled_told)
    }

    pub(super) fn is_told_out(&self) -> bool {
        self.settled_told == SETTLED_TOLD_MAX
    }

    /// It let the agent go and remembers nothing of it.
    pub(super) fn has_forgotten(&self) -> bool {
        self.settled_told > 0 && self.forwarders.is_empty() && self.arrivals.forward(AGENT).is_none()
    }

    fn record(&self, Resident { epoch, inputs }: Resident) -> Record {
        Record {
            entity: AGENT,
            epoch,
            presence: Presence::Awake,
            cell: shard_id(self.at).first_cell(),
            position: Position::default(),
            session: SessionState { in_seq: InSeq(inputs), ..SessionState::default() },
            components: Vec::new(),
            fleeting: Vec::new(),
        }
    }

    /// The fence of an agent that is live here now.
    fn accept_epoch(&mut self, epoch: AgentEpoch) {
        let fence = self.arrivals.fence_mut(AGENT);
        (fence.seen, fence.accepted, fence.forward) = (epoch, epoch, None);
    }

    fn settle_in(&mut self, record: &Record) {
        self.accept_epoch(record.epoch);
        self.leaves.came_home(AGENT);
        self.resident = Some(Resident { epoch: record.epoch, inputs: record.session.in_seq.0 });
    }

    fn flush(&mut self) {
        let appends = &mut self.appends;
        self.writer.flush(NOW, Tick(0), &mut |request| appends.push_back(request));
    }

    /// Builds what an owner knows from the state of its shard.
    fn recover(&mut self, image: ShardImage) {
        self.arrivals = Arrivals::recovered(image.fences, image.decided, image.stable);
        for departure in image.departures {
            for member in &departure.members {
                let fence = self.arrivals.fence_mut(member.entity);
                fence.seen = fence.seen.max(departure.xid.epoch);
            }
            self.leaves.recover(NOW, departure);
        }
        let leaves = &self.leaves;
        let settled = self.arrivals.forwarders().filter(|(member, ..)| leaves.of(*member).is_none());
        self.forwarders = Forwarders::recovered(NOW, self.epoch(), settled);
        for mut record in image.records {
            self.leaves.came_home(record.entity);
            record.epoch = record.epoch.max(self.arrivals.fence(record.entity).seen).next();
            self.accept_epoch(record.epoch);
            self.resident = Some(Resident { epoch: record.epoch, inputs: record.session.in_seq.0 });
            self.writer.push(ShardOp::put(&record));
        }
    }
}

/// A state in which something happens.
pub(super) struct Stage<'m> {
    pub(super) model: &'m Walk,
    pub(super) state: State,
}

impl Stage<'_> {
    fn owner(&mut self, (at, number): Who) -> &mut Owner {
        &mut self.state.owners[usize::from(at)][number]
    }

    /// A new owner claims the shard, reads its state and raises the fences; nobody disturbs it.
    pub(super) fn start_owner(&mut self, at: u16) {
        let shard = usize::from(at);
        self.state.starts[shard] += 1;
        let epochs = &self.model.facts(self.state.disk).epochs;
        // The beacon tells of all that own a shard now.
        let mut lanes = Lanes::default();
        for (other, epoch) in (0..).zip(epochs).filter(|(other, _)| *other != at) {
            lanes.learn(shard_id(other), *epoch);
        }
        self.state.owners[shard].push(Owner::new(at, self.state.starts[shard], lanes));
        let who = (at, self.state.owners[shard].len() - 1);
        let above = epochs[shard];
        self.happens(who, Happening::Assigned { above, tail: JournalIndex::ZERO });
        self.flush(who);
        while self.owner(who).has_appends() {
            self.land(who);
        }
        assert!(self.owner(who).life.is_confirmed(), "an undisturbed owner runs");
    }

    /// The beacon tells all first owners of each other.
    pub(super) fn hear_of_each_other(&mut self) {
        let facts = self.model.facts(self.state.disk);
        for owner in self.state.owners.iter_mut().flatten() {
            for (other, epoch) in (0..).zip(&facts.epochs) {
                owner.lanes.learn(shard_id(other), *epoch);
            }
        }
    }

    pub(super) fn be_born(&mut self, at: u16) {
        let who = (at, 0);
        let owner = self.owner(who);
        let record = owner.record(Resident { epoch: AgentEpoch(1), inputs: 0 });
        owner.settle_in(&record);
        owner.writer.push(ShardOp::Born { entity: AGENT });
        owner.writer.push(ShardOp::put(&record));
        self.flush(who);
        self.land(who);
    }

    fn flush(&mut self, who: Who) {
        self.owner(who).flush();
    }

    fn happens(&mut self, who: Who, happening: Happening) {
        let owner = self.owner(who);
        let Some(order) = owner.life.step(happening) else { return };
        match order {
            Order::Claim { epoch, expected } => {
                let (node, nonce) = (NodeId::new(Role::Scene, who.0 + 1), owner.nonce);
                owner.appends.clear();
                owner.writer.restart(epoch, expected);
                owner.writer.push(ShardOp::Owner { node, nonce });
                self.when_durable(who, Then::Owned);
            }
            Order::Load => {
                let image = self.model.archive.image(self.state.disk, shard_id(who.0));
                let (index, epoch) = (image.index, image.epoch);
                self.happens(who, Happening::Replayed { index, epoch });
            }
            Order::RaiseFences => {
                let image = self.model.archive.image(self.state.disk, shard_id(who.0));
                self.owner(who).recover(image);
                self.when_durable(who, Then::FencesRaised);
            }
            Order::Run => {}
            Order::Stop | Order::Retire => *owner = Owner { life: owner.life, ..Owner::new(who.0, 0, Lanes::default()) },
        }
    }

    fn is_alive(&mut self, who: Who) -> bool {
        !self.owner(who).is_fenced()
    }

    /// Owners that stopped are of no more interest.
    pub(super) fn bury(&mut self) {
        self.state.owners.iter_mut().for_each(|owners| owners.retain(|owner| !owner.is_fenced()));
    }

    fn when_durable(&mut self, who: Who, then: Then) {
        if let Some(then) = self.owner(who).writer.after(then) {
            self.is_durable(who, then);
        }
    }

    fn is_durable(&mut self, who: Who, then: Then) {
        match then {
            Then::Owned => {
                let index = self.owner(who).writer.tail();
                self.happens(who, Happening::OwnerAppended { index });
            }
            Then::FencesRaised => self.happens(who, Happening::FencesRaised),
            Then::LetGo(xid) => self.step_leave(who, xid, Heard::OutDurable),
            Then::Taken(xid) => {
                self.owner(who).arrivals.settled(xid);
                self.say(who, xid.source, Handover::Ack { xid });
            }
            Then::TurnedDown(xid) => {
                self.owner(who).arrivals.settled(xid);
                self.say(who, xid.source, Handover::Refuse { xid, reason: Refusal::Full });
            }
            Then::Settled(target, mark) => self.owner(who).forwarders.is_durable(NOW, target, mark),
            Then::Stable(source, upto) => self.say(who, source, Handover::Stable { upto }),
            Then::Told(inputs) => self.state.told = self.state.told.max(inputs),
        }
    }

    /// The oldest append is done, or not, and answered.
    pub(super) fn land(&mut self, who: Who) {
        let Some(request) = self.owner(who).appends.pop_front() else { return };
        let (disk, replies) = self.model.archive.journal(self.state.disk, &request);
        self.state.disk = disk;
        for reply in replies {
            match reply {
                JournalReply::Appended { id, index, .. } => {
                    let thens = self.owner(who).writer.appended(id, index);
                    thens.into_iter().for_each(|then| self.is_durable(who, then));
                }
                JournalReply::Conflict { id, tail, epoch, .. } => {
                    if let ConflictVerdict::Lost { tail, epoch } = self.owner(who).writer.conflict(id, tail, epoch, NOW) {
                        self.happens(who, Happening::Conflict { tail, epoch });
                    }
                }
                other => panic!("an append is answered with {other:?}"),
            }
        }
        if self.is_alive(who) {
            self.flush(who);
        }
    }

    /// The agent does something, which is acknowledged once it is durable.
    pub(super) fn act(&mut self, who: Who) {
        let owner = self.owner(who);
        let Some(resident) = owner.resident.as_mut() else { return };
        resident.inputs += 1;
        let resident = *resident;
        let record = owner.record(resident);
        owner.writer.push(ShardOp::put(&record));
        self.when_durable(who, Then::Told(resident.inputs));
        self.flush(who);
    }

    pub(super) fn offer(&mut self, who: Who, to: u16) {
        self.state.offers += 1;
        let target = shard_id(to);
        let owner = self.owner(who);
        let Some(resident) = owner.resident else { return };
        let epoch = resident.epoch.max(owner.arrivals.fence(AGENT).seen).next();
        let Some(number) = owner.forwarders.next_number(target) else { return };
        let xid = Xid { entity: AGENT, epoch, source: shard_id(who.0), source_epoch: owner.epoch(), number };
        owner.leaves.offer(NOW, xid, target, vec![AGENT]);
        self.say(who, target, Handover::Offer { xid, members: 1, bytes: 0 });
    }

    /// Who has a reservation leaves at the end of the tick.
    pub(super) fn end_tick(&mut self, who: Who) {
        for xid in self.owner(who).leaves.in_state(Letting::Reserved) {
            self.step_leave(who, xid, Heard::TickEnded);
        }
    }

    pub(super) fn step_leave(&mut self, who: Who, xid: Xid, heard: Heard) {
        let now = if heard == Heard::TimedOut { LATE } else { NOW };
        match self.owner(who).leaves.step(now, xid, heard) {
            Some(SourceOrder::Forget) => {
                self.owner(who).leaves.remove(xid);
            }
            Some(SourceOrder::LetGo) => self.let_go(who, xid),
            Some(SourceOrder::Commit) => self.commit(who, xid),
            Some(SourceOrder::Settle) => {
                if let Some(leave) = self.owner(who).leaves.remove(xid) {
                    self.remember_settled(who, leave.target, xid, &leave.members);
                }
            }
            Some(SourceOrder::TakeBack) => self.take_back(who, xid),
            None => {}
        }
        if self.is_alive(who) {
            self.flush(who);
        }
    }

    fn let_go(&mut self, who: Who, xid: Xid) {
        let owner = self.owner(who);
        let (Some(target), Some(resident)) = (owner.leaves.leave(xid).map(|leave| leave.target), owner.resident.take()) else {
            return;
        };
        let record = Record { cell: target.first_cell(), ..owner.record(Resident { epoch: xid.epoch, inputs: resident.inputs }) };
        let fence = owner.arrivals.fence_mut(AGENT);
        (fence.seen, fence.forward) = (xid.epoch, Some(target));
        let members = vec![record];
        owner.writer.push(ShardOp::Out { xid, target, members: members.clone() });
        let mut is_out = false;
        if let Some(leave) = owner.leaves.leave_mut(xid) {
            leave.records = members;
            is_out = leave.letting == Letting::Out;
        }
        self.when_durable(who, Then::LetGo(xid));
        if is_out {
            // It does not wait for the journal: no order says so but a planted bug's.
            self.commit(who, xid);
        }
    }

    fn commit(&mut self, who: Who, xid: Xid) {
        let Some(Leave { target, records, inputs, .. }) = self.owner(who).leaves.leave(xid).cloned() else { return };
        self.say(who, target, Handover::Commit { xid, members: records, inputs });
    }

    fn remember_settled(&mut self, who: Who, target: ShardId, xid: Xid, members: &[EntityId]) {
        let owner = self.owner(who);
        owner.writer.push(ShardOp::Settled { xid });
        owner.forwarders.settled(target, xid, members.iter().copied());
        self.when_durable(who, Then::Settled(target, xid.mark()));
    }

    fn take_back(&mut self, who: Who, xid: Xid) {
        let Some(Leave { target, records, .. }) = self.owner(who).leaves.remove(xid) else { return };
        self.check_refusal(target, xid);
        self.remember_settled(who, target, xid, &[]);
        for mut record in records {
            record.epoch = xid.epoch.next().next();
            record.cell = shard_id(who.0).first_cell();
            let owner = self.owner(who);
            owner.writer.push(ShardOp::put(&record));
            owner.settle_in(&record);
        }
    }

    fn check_refusal(&mut self, target: ShardId, xid: Xid) {
        let image = self.model.archive.image(self.state.disk, target);
        if image.decided.iter().any(|decision| decision.xid == xid && !decision.refused.is_empty()) {
            self.state.refused_once = true;
        } else {
            self.state.broken = Some("I6 only a durable refusal of it undoes a hand-over");
        }
    }

    /// As `Shard::hear`.
    fn judge(&mut self, who: Who, lane: Lane) -> Option<Hearing> {
        let owner = self.owner(who);
        let former = owner.lanes.heard(lane.from);
        let hearing = owner.lanes.hear(owner.epoch(), lane);
        match hearing {
            Hearing::Superseded => self.happens(who, Happening::Superseded { epoch: lane.to_epoch }),
            Hearing::Fresh if lane.from_epoch < former => self.state.broken = Some("I5 no owner is heard after its successor"),
            Hearing::Fresh | Hearing::Stale => {}
        }
        self.is_alive(who).then_some(hearing)
    }

    pub(super) fn hear(&mut self, who: Who, HandoverMessage { lane, step }: &HandoverMessage, room: u32) {
        match step {
            Handover::Stale { current, .. } => {
                let owner = self.owner(who);
                if owner.lanes.learn(lane.from, *current) {
                    owner.leaves.hurry(NOW, lane.from);
                }
                self.judge(who, *lane);
            }
            Handover::Settled { upto } => self.source_has_settled(who, *lane, *upto),
            Handover::Stable { upto } => self.target_is_stable(who, *lane, *upto),
            Handover::Offer { xid, .. }
            | Handover::Reserved { xid }
            | Handover::No { xid, .. }
            | Handover::Commit { xid, .. }
            | Handover::Ack { xid }
            | Handover::Refuse { xid, .. } => match self.judge(who, *lane) {
                Some(Hearing::Fresh) => self.hear_fresh(who, lane.from, *xid, step, room),
                Some(Hearing::Stale) => {
                    let current = self.owner(who).epoch();
                    self.say(who, lane.from, Handover::Stale { xid: *xid, current });
                }
                Some(Hearing::Superseded) | None => {}
            },
        }
        if self.is_alive(who) {
            self.flush(who);
        }
    }

    fn hear_fresh(&mut self, who: Who, from: ShardId, xid: Xid, step: &Handover, room: u32) {
        match step {
            Handover::Offer { members, .. } => {
                let answer = match self.owner(who).arrivals.reserve(NOW, xid, *members, room) {
                    Some(true) => Handover::Reserved { xid },
                    Some(false) => Handover::No { xid, reason: Refusal::Full, retry_after_ms: 0 },
                    None => return,
                };
                self.say(who, from, answer);
            }
            Handover::Commit { members, .. } => self.committed(who, from, xid, members, room),
            Handover::Reserved { .. } => self.answered(who, from, xid, Heard::Reserved),
            Handover::No { .. } => self.answered(who, from, xid, Heard::NotWanted),
            Handover::Ack { .. } => self.answered(who, from, xid, Heard::Accepted),
            Handover::Refuse { .. } => self.answered(who, from, xid, Heard::Refused),
            Handover::Stale { .. } | Handover::Settled { .. } | Handover::Stable { .. } => {}
        }
    }

    fn answered(&mut self, who: Who, from: ShardId, xid: Xid, heard: Heard) {
        if let Some(xid) = self.owner(who).leaves.answered(from, xid) {
            self.step_leave(who, xid, heard);
        }
    }

    fn committed(&mut self, who: Who, from: ShardId, xid: Xid, members: &[Record], room: u32) {
        let owner = self.owner(who);
        match owner.arrivals.commit(xid, members.len() as u32, room) {
            CommitAnswer::Take(epoch) => {
                let members: Vec<_> = members.iter().map(|record| Record { epoch, ..record.clone() }).collect();
                owner.writer.push(ShardOp::In { xid, members: members.clone() });
                owner.arrivals.take(xid, [AGENT]);
                members.iter().for_each(|record| owner.settle_in(record));
                self.when_durable(who, Then::Taken(xid));
            }
            CommitAnswer::Refuse => {
                owner.arrivals.refuse(xid, [AGENT]);
                owner.writer.push(ShardOp::Refused { xid, members: vec![AGENT] });
                self.when_durable(who, Then::TurnedDown(xid));
            }
            CommitAnswer::Confirm => self.say(who, from, Handover::Ack { xid }),
            CommitAnswer::Deny => self.say(who, from, Handover::Refuse { xid, reason: Refusal::Full }),
            CommitAnswer::Wait => {}
        }
    }

    pub(super) fn tell_settled(&mut self, who: Who) {
        let owner = self.owner(who);
        let now = owner.settled_time();
        owner.settled_told += 1;
        let (leaves, own) = (&owner.leaves, shard_id(owner.at));
        for (target, upto) in owner.forwarders.poll(now, |target| leaves.first(own, target)) {
            self.say(who, target, Handover::Settled { upto });
        }
    }

    fn is_heard(&mut self, who: Who, lane: Lane) -> bool {
        let old_sender = lane.from_epoch < self.owner(who).lanes.heard(lane.from);
        matches!(self.judge(who, lane), Some(Hearing::Fresh | Hearing::Stale)) && !old_sender
    }

    fn source_has_settled(&mut self, who: Who, lane: Lane, upto: Mark) {
        if !self.is_heard(who, lane) {
            return;
        }
        let owner = self.owner(who);
        if let Some(refused) = owner.arrivals.stable(lane.from, upto) {
            owner.writer.push(ShardOp::Stable { source: lane.from, upto });
            self.forget(who, refused);
        }
        self.when_durable(who, Then::Stable(lane.from, upto));
    }

    fn target_is_stable(&mut self, who: Who, lane: Lane, upto: Mark) {
        if self.is_heard(who, lane) {
            let over = self.owner(who).forwarders.stable(lane.from, upto);
            self.forget(who, over);
        }
    }

    fn forget(&mut self, who: Who, members: Vec<(EntityId, AgentEpoch)>) {
        let owner = self.owner(who);
        let is_over = |(member, epoch): &(EntityId, AgentEpoch)| {
            let fence = owner.arrivals.fence(*member);
            fence.forward.is_some() && fence.seen == *epoch && owner.leaves.of(*member).is_none()
        };
        let members: Vec<EntityId> = members.into_iter().filter(is_over).map(|(member, _)| member).collect();
        members.iter().for_each(|member| owner.arrivals.forget(*member));
        if !members.is_empty() {
            owner.writer.push(ShardOp::Forgotten { members });
        }
    }

    /// Says it to whoever owns that shard, under the epoch that is known of it.
    fn say(&mut self, who: Who, to: ShardId, step: Handover) {
        let lane = self.owner(who).lane_to(to);
        self.state.net.say(HandoverMessage { lane, step });
    }

    pub(super) fn hear_of_epoch(&mut self, who: Who) {
        let epoch = self.model.facts(self.state.disk).epochs[usize::from(who.0)];
        self.happens(who, Happening::Superseded { epoch });
    }

    /// The owner in force dies; its first appends land all the same.
    pub(super) fn crash(&mut self, at: u16, landing: usize) {
        self.state.crashes += 1;
        let Some(owner) = self.state.owners[usize::from(at)].pop() else { return };
        for request in owner.appends.iter().take(landing) {
            self.state.disk = self.model.archive.journal(self.state.disk, request).0;
        }
    }
}
