//! Agents that leave for a neighbour shard, and those who come: [`crate::handover`] carried out.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::journal::{ShardOp, Xid};
use pangaea_schemas::message::{ClientInput, Handover, HandoverMessage, Lane, Message, Refusal, Session};
use pangaea_schemas::record::{Record, SessionState};
use pangaea_schemas::{AgentEpoch, EntityId};

use super::residents::ValueGate;
use super::{ENTITIES_MAX, LET_GO_SILENCE, Resident, Shard, Then};
use crate::ecs::Crossing;
use crate::handover::source::{Heard, Leave, Letting, SourceOrder};
use crate::handover::target::CommitAnswer;
use crate::handover::{DEPARTURES_MAX, GROUP_BYTES_MAX, GROUP_MAX, RETRY_AFTER_MS};
use crate::journal_writer::record_bytes;
use crate::lanes::Hearing;
use crate::sessions::Link;

impl Shard {
    /// The phase Hand over: who came back stays, who has a reservation goes, who else stands beyond is offered.
    pub(super) fn hand_over(&mut self, crossings: &[Crossing]) {
        let now = self.now;
        self.life.own.arrivals.expire(now);
        self.life.estates.values_mut().for_each(|estate| estate.arrivals.expire(now));
        let beyond: BTreeMap<EntityId, &Crossing> = crossings.iter().map(|crossing| (crossing.entity, crossing)).collect();
        for xid in self.life.leaves.revocable() {
            if !self.still_leaves(xid, beyond.get(&xid.entity).copied()) {
                self.step_leave(xid, Heard::CameBack);
            }
        }
        if !self.is_silent(LET_GO_SILENCE) {
            for xid in self.life.leaves.in_state(Letting::Reserved) {
                self.step_leave(xid, Heard::TickEnded);
            }
        }
        for xid in self.life.leaves.due(self.now) {
            self.step_leave(xid, Heard::TimedOut);
        }
        if self.incarnation.is_confirmed() {
            for crossing in crossings {
                self.offer(crossing);
            }
        }
    }

    /// From now on nobody is on the way out who is not past the commit point.
    pub(super) fn call_back(&mut self) {
        for xid in self.life.leaves.revocable() {
            self.step_leave(xid, Heard::CameBack);
        }
    }

    fn still_leaves(&self, xid: Xid, crossing: Option<&Crossing>) -> bool {
        let Some((leave, crossing)) = self.life.leaves.leave(xid).zip(crossing) else { return false };
        let members: Vec<EntityId> = members_of(crossing).collect();
        self.incarnation.is_confirmed()
            && self.routes.holding(crossing.target) == Some(leave.target)
            && members == leave.members
            && members.iter().all(|member| self.may_leave(*member))
    }

    /// A member with an unanswered change of value, or one whose coming is not durable yet, holds its group back.
    fn may_leave(&self, entity: EntityId) -> bool {
        let settled = match self.life.sessions.link(entity) {
            Some(Link::Joining { .. } | Link::Leaving) => false,
            Some(Link::Attached { .. } | Link::Lingering { .. }) | None => true,
        };
        let resident = self.life.residents.get(&entity);
        settled && resident.is_some_and(|r| r.offer_after <= self.now) && !self.life.desk.is_busy(entity)
    }

    fn offer(&mut self, crossing: &Crossing) {
        let Some(target) = self.routes.holding(crossing.target).filter(|target| *target != self.id) else { return };
        let members: Vec<EntityId> = members_of(crossing).collect();
        let free = |member: &EntityId| self.life.leaves.of(*member).is_none() && self.may_leave(*member);
        if members.len() > GROUP_MAX || self.life.leaves.len() >= DEPARTURES_MAX || !members.iter().all(free) {
            return;
        }
        let highest = |member: &EntityId| {
            let resident = self.life.residents.get(member).map_or(AgentEpoch::ZERO, |resident| resident.epoch);
            resident.max(self.life.fence(*member).seen)
        };
        let epoch = members.iter().map(highest).max().unwrap_or_default().next();
        let bytes = members.iter().filter_map(|member| self.world.record(*member)).map(|r| record_bytes(&r)).sum::<usize>();
        if bytes > GROUP_BYTES_MAX {
            return;
        }
        let Some(number) = self.life.own.forwarders.next_number(target) else { return };
        let xid = Xid { entity: crossing.entity, epoch, source: self.id, source_epoch: self.epoch(), number };
        let step = Handover::Offer { xid, members: members.len() as u32, bytes: bytes as u32 };
        self.life.leaves.offer(self.now, xid, target, members);
        self.say(self.id, target, step);
    }

    /// Takes one step of a hand-over at its source, and does what is ordered.
    pub(super) fn step_leave(&mut self, xid: Xid, heard: Heard) {
        match self.life.leaves.step(self.now, xid, heard) {
            Some(SourceOrder::Forget) => {
                self.life.leaves.remove(xid);
            }
            Some(SourceOrder::LetGo) => self.let_go(xid),
            Some(SourceOrder::Commit) => self.commit(xid),
            Some(SourceOrder::Settle) => self.settle(xid),
            Some(SourceOrder::TakeBack) => self.take_back(xid),
            None => {}
        }
    }

    /// The commit point: the members leave the live set, and OUT goes to the journal in the same tick.
    fn let_go(&mut self, xid: Xid) {
        let Some(leave) = self.life.leaves.leave(xid) else { return };
        let (target, members) = (leave.target, leave.members.clone());
        self.meter.departs(self.now, xid);
        let (mut records, mut inputs) = (Vec::new(), Vec::new());
        for member in members {
            let Some(position) = self.world.position(member) else { continue };
            let cell = target.nearest_cell(CellId::at(self.id.space, position));
            let Some(mut record) = self.world.take(member, cell) else { continue };
            (record.epoch, record.cell) = (xid.epoch, cell);
            if let Some((session, unapplied)) = self.life.sessions.remove(member) {
                record.session = SessionState { on_trial: false, ..session };
                inputs.extend(unapplied);
                self.life.directory.went(member, xid.epoch);
            }
            let fence = self.life.own.arrivals.fence_mut(member);
            (fence.seen, fence.forward) = (xid.epoch, Some(target));
            self.life.residents.remove(&member);
            self.life.trials.forget(member);
            self.life.desk.forget(member);
            self.clean(member);
            self.meter.left(member, target);
            records.push(record);
        }
        self.writer.push(ShardOp::Out { xid, target, members: records.clone() });
        if let Some(leave) = self.life.leaves.leave_mut(xid) {
            (leave.records, leave.inputs) = (records, inputs);
        }
        self.when_durable(Then::LetGo(xid));
    }

    pub(super) fn let_go_is_durable(&mut self, xid: Xid) {
        tracing::info!(shard = %self.id, agent = %xid.entity, epoch = %xid.epoch, "let go");
        self.step_leave(xid, Heard::OutDurable);
        let Some(leave) = self.life.leaves.leave(xid) else { return };
        let target = leave.target;
        let hints: Vec<_> =
            leave.records.iter().filter_map(|r| r.session.gateway.map(|gateway| (gateway, r.entity, r.session.epoch))).collect();
        for (gateway, agent, session) in hints {
            self.tell(gateway, Session::Hint { agent, session, target, epoch: xid.epoch });
        }
    }

    fn commit(&mut self, xid: Xid) {
        let Some(leave) = self.life.leaves.leave(xid) else { return };
        let step = Handover::Commit { xid, members: leave.records.clone(), inputs: leave.inputs.clone() };
        self.say(xid.source, leave.target, step);
    }

    /// The target has them: from now on this shard only forwards.
    fn settle(&mut self, xid: Xid) {
        if let Some(leave) = self.life.leaves.remove(xid) {
            self.meter.arrives(self.now, xid, leave.target, &leave.members);
            self.remember_settled(leave.target, xid, &leave.members);
        }
    }

    /// The target refused durably: the members are live here again, under an epoch that no owner of the target gave them.
    fn take_back(&mut self, xid: Xid) {
        let Some(leave) = self.life.leaves.remove(xid) else { return };
        tracing::info!(shard = %self.id, agent = %xid.entity, "taken back");
        let Leave { target, records, inputs, .. } = leave;
        self.meter.arrives(self.now, xid, target, &[]);
        self.remember_settled(target, xid, &[]);
        for mut record in records {
            record.epoch = xid.epoch.next().next();
            record.cell = self.id.nearest_cell(CellId::at(self.id.space, record.position));
            self.writer.push(ShardOp::put(&record));
            self.settle_in(record);
        }
        for input in inputs {
            self.life.sessions.receive(input);
        }
    }

    /// Somebody is live here from now on: handed over, or taken back. Runs at the next tick; its gateway is told at once.
    fn settle_in(&mut self, record: Record) {
        let (agent, epoch) = (record.entity, record.epoch);
        self.accept_epoch(&record);
        self.life.leaves.came_home(agent);
        let is_player = Self::is_player(&record.session);
        let gate = if is_player { ValueGate::Closed } else { ValueGate::Open };
        self.life.residents.insert(agent, Resident::new(epoch, self.now, gate));
        if is_player {
            self.seat_arrival(&record);
            self.mistrust(&record);
            self.adopt_operations(&record);
            self.when_durable(Then::Look(agent, epoch));
        }
        self.life.inbox.arrivals.push(record);
    }

    fn seat_arrival(&mut self, record: &Record) {
        let (agent, epoch, session) = (record.entity, record.epoch, record.session.clone());
        self.life.directory.came(agent, epoch);
        let link = match session.gateway {
            Some(gateway) => Link::Attached { gateway },
            None => Link::Lingering { until: self.now + crate::sessions::LINGER },
        };
        if let Some(gateway) = session.gateway {
            let (shard, shard_epoch) = (self.id, self.epoch());
            let (session, in_seq) = (session.epoch, session.in_seq);
            self.tell(gateway, Session::Route { agent, session, shard, shard_epoch, epoch, in_seq });
        }
        self.life.sessions.seat(agent, session, link);
    }

    pub(super) fn handover(&mut self, message: HandoverMessage) {
        let HandoverMessage { lane, step } = message;
        if !self.answers_to(lane.to) {
            return;
        }
        match step {
            Handover::Stale { current, .. } => {
                self.told_stale(lane.from, current);
                self.hear(lane);
            }
            Handover::Settled { upto } => self.source_has_settled(lane, upto),
            Handover::Stable { upto } => self.target_is_stable(lane, upto),
            Handover::Offer { xid, .. }
            | Handover::Reserved { xid }
            | Handover::No { xid, .. }
            | Handover::Commit { xid, .. }
            | Handover::Ack { xid }
            | Handover::Refuse { xid, .. } => self.handover_of(lane, xid, step),
        }
    }

    fn handover_of(&mut self, lane: Lane, xid: Xid, step: Handover) {
        if !self.incarnation.ticks() {
            return self.not_running(lane, &step);
        }
        match self.hear(lane) {
            Hearing::Superseded => return,
            Hearing::Stale => return self.tell_stale(lane, xid),
            Hearing::Fresh => {}
        }
        match step {
            Handover::Offer { members, .. } => self.offered(lane, xid, members),
            Handover::Commit { members, inputs, .. } => self.committed(lane, xid, members, inputs),
            Handover::Reserved { .. } => self.answered(lane.from, xid, Heard::Reserved),
            Handover::No { retry_after_ms, .. } => {
                self.wait_with_offers(xid, retry_after_ms);
                self.answered(lane.from, xid, Heard::NotWanted);
            }
            Handover::Ack { .. } => self.answered(lane.from, xid, Heard::Accepted),
            Handover::Refuse { .. } => self.answered(lane.from, xid, Heard::Refused),
            Handover::Stale { .. } | Handover::Settled { .. } | Handover::Stable { .. } => {}
        }
    }

    fn offered(&mut self, lane: Lane, xid: Xid, members: u32) {
        let no = |reason| Handover::No { xid, reason, retry_after_ms: RETRY_AFTER_MS };
        let (now, room) = (self.now, self.room());
        let step = if !self.incarnation.is_confirmed() || self.is_paused() {
            no(Refusal::NotRunning)
        } else {
            match self.dealings(lane.to).arrivals.reserve(now, xid, members, room) {
                Some(true) => Handover::Reserved { xid },
                Some(false) => no(Refusal::Full),
                None => return,
            }
        };
        self.say(lane.to, lane.from, step);
    }

    fn room(&self) -> u32 {
        ENTITIES_MAX.saturating_sub(self.life.residents.len()) as u32
    }

    /// A commit: bound at its source, so it is answered from the record or decided durably. Only a confirmed owner decides.
    fn committed(&mut self, lane: Lane, xid: Xid, members: Vec<Record>, inputs: Vec<ClientInput>) {
        if !self.incarnation.is_confirmed() {
            return;
        }
        let (room, name) = (self.room(), lane.to);
        match self.dealings(name).arrivals.commit(xid, members.len() as u32, room) {
            CommitAnswer::Take(epoch) => self.take_in(name, xid, epoch, (members, inputs)),
            CommitAnswer::Refuse => {
                let members: Vec<EntityId> = members.iter().map(|record| record.entity).collect();
                self.dealings(name).arrivals.refuse(xid, members.iter().copied());
                self.push_as(name, ShardOp::Refused { xid, members });
                self.when_durable(Then::TurnedDown(name, xid, Refusal::Full));
            }
            CommitAnswer::Confirm => self.say(name, lane.from, Handover::Ack { xid }),
            CommitAnswer::Deny => self.say(name, lane.from, Handover::Refuse { xid, reason: Refusal::Full }),
            CommitAnswer::Wait => {}
        }
    }

    fn take_in(&mut self, name: ShardId, xid: Xid, epoch: AgentEpoch, (mut members, inputs): (Vec<Record>, Vec<ClientInput>)) {
        tracing::info!(shard = %self.id, agent = %xid.entity, %epoch, source = %xid.source, "taken in");
        for record in &mut members {
            record.epoch = epoch;
            record.cell = self.id.nearest_cell(CellId::at(self.id.space, record.position));
        }
        self.meter.taken += members.len() as u64;
        self.push_as(name, ShardOp::In { xid, members: members.clone() });
        self.dealings(name).arrivals.take(xid, members.iter().map(|record| record.entity));
        for record in members {
            self.settle_in(record);
        }
        for input in inputs {
            self.life.sessions.receive(input);
        }
        self.when_durable(Then::Taken(name, xid));
    }

    fn answered(&mut self, from: ShardId, xid: Xid, heard: Heard) {
        if let Some(xid) = self.life.leaves.answered(from, xid) {
            self.step_leave(xid, heard);
        }
    }

    fn wait_with_offers(&mut self, xid: Xid, retry_after_ms: u32) {
        let until = self.now + std::time::Duration::from_millis(u64::from(retry_after_ms));
        let members = self.life.leaves.leave(xid).map(|leave| leave.members.clone()).unwrap_or_default();
        for member in members {
            if let Some(resident) = self.life.residents.get_mut(&member) {
                resident.offer_after = until;
            }
        }
    }

    fn not_running(&mut self, lane: Lane, step: &Handover) {
        if let Handover::Offer { xid, .. } = step {
            let no = Handover::No { xid: *xid, reason: Refusal::NotRunning, retry_after_ms: RETRY_AFTER_MS };
            self.say(lane.to, lane.from, no);
        }
    }

    fn told_stale(&mut self, by: ShardId, current: pangaea_schemas::ShardEpoch) {
        if self.lanes.learn(by, current) {
            self.life.leaves.hurry(self.now, by);
        }
    }

    fn tell_stale(&mut self, lane: Lane, xid: Xid) {
        let current = self.epoch();
        self.say(lane.to, lane.from, Handover::Stale { xid, current });
    }

    /// In the name under which it was agreed.
    pub(super) fn say(&mut self, name: ShardId, to: ShardId, step: Handover) {
        let lane = self.lane_as(name, to);
        self.send_to_shard(to, Message::Handover(HandoverMessage { lane, step }));
    }
}

fn members_of(crossing: &Crossing) -> impl Iterator<Item = EntityId> {
    let rest = crossing.group.iter().copied().filter(|member| *member != crossing.entity);
    std::iter::once(crossing.entity).chain(rest)
}
