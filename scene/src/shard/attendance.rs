//! Clients of this shard's agents: attach, wake and birth, inputs, detach and sleep. The rules are in [`crate::sessions`].

use std::collections::BTreeSet;

use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{Address, AttachRefusal, Birth, ClientInput, Message, Session};
use pangaea_schemas::record::{Presence, Record, SessionState};
use pangaea_schemas::{AgentEpoch, EntityId, InSeq, NodeId, OutSeq, SessionEpoch};

use super::residents::ValueGate;
use super::{ENTITIES_MAX, Resident, Shard, Then};
use crate::handover::source::{Heard, Letting};
use crate::sessions::{Attaching, INPUT_WINDOW, Inputting, Link};

/// What a gateway wants with an agent.
struct Attach {
    gateway: NodeId,
    agent: EntityId,
    session: SessionEpoch,
    in_ack: InSeq,
    out_ack: OutSeq,
}

impl Shard {
    pub(super) fn session(&mut self, from: NodeId, message: Session) {
        match message {
            Session::Attach { agent, session, out_ack, in_ack, birth, .. } => {
                let attach = Attach { gateway: from, agent, session, in_ack, out_ack };
                if let Err(reason) = self.attach(&attach, birth) {
                    self.tell(from, Session::AttachRefused { agent, session, reason });
                }
            }
            Session::Detach { agent, session, asleep, .. } => self.detach(from, agent, session, asleep),
            Session::Inputs { inputs, out_acks, .. } => {
                for (agent, session, upto) in out_acks {
                    self.life.sessions.acknowledge(agent, session, upto);
                }
                self.inputs(from, inputs);
            }
            // These only shards say.
            Session::Attached { .. }
            | Session::AttachRefused { .. }
            | Session::Events { .. }
            | Session::Route { .. }
            | Session::Hint { .. }
            | Session::Misrouted { .. }
            | Session::Expected { .. }
            | Session::Replaced { .. } => {}
        }
    }

    pub(super) fn tell(&mut self, gateway: NodeId, message: Session) {
        self.send(Address::Node(gateway), Message::Session(message));
    }

    fn attach(&mut self, attach: &Attach, birth: Option<Birth>) -> Result<(), AttachRefusal> {
        let agent = attach.agent;
        if !self.incarnation.ticks() {
            return Err(AttachRefusal::NotNow);
        }
        match self.speak_for(attach) {
            Attaching::Refused { current } => return Err(AttachRefusal::Replaced { current }),
            Attaching::Joining => return Ok(()),
            Attaching::Attached { former } => {
                if let Some((gateway, session)) = former {
                    self.tell(gateway, Session::Replaced { agent, session });
                }
                self.life.inbox.connected.push((agent, true));
                self.life.urgent.insert(agent);
                self.tell_attached(attach.gateway, agent);
                return Ok(());
            }
            Attaching::Unknown => {}
        }
        // Who is not here yet could not come before the shard goes on.
        if self.life.leaves.is_away(agent) || self.is_paused() {
            return Err(AttachRefusal::NotNow);
        }
        if let Some(record) = self.life.asleep.get(&agent) {
            let current = record.session.epoch;
            if attach.session < current {
                return Err(AttachRefusal::Replaced { current });
            }
            if record.presence == Presence::Parked {
                return Err(AttachRefusal::Parked);
            }
            return self.wake(attach);
        }
        let fence = self.life.fence(agent);
        let unborn = !fence.born && fence.seen == AgentEpoch::ZERO;
        match birth.filter(|_| unborn && self.id.contains(self.config.spawn_cell)) {
            Some(birth) => self.give_birth(attach, birth),
            None => Err(AttachRefusal::NotHere { forward: fence.forward }),
        }
    }

    fn speak_for(&mut self, a: &Attach) -> Attaching {
        self.life.sessions.attach(a.agent, a.session, a.gateway, a.in_ack, a.out_ack)
    }

    fn wake(&mut self, attach: &Attach) -> Result<(), AttachRefusal> {
        self.check_room()?;
        let Some(mut record) = self.life.asleep.remove(&attach.agent) else { return Err(AttachRefusal::NotNow) };
        record.epoch = record.epoch.max(self.life.fence(attach.agent).seen).next();
        record.presence = Presence::Awake;
        self.accept_epoch(&record);
        self.mistrust(&record);
        let state = std::mem::take(&mut record.session);
        self.take_seat(attach, state, record.epoch);
        record.session = self.life.sessions.state(attach.agent).unwrap_or_default();
        self.adopt_operations(&record);
        self.life.inbox.connected.push((attach.agent, true));
        self.life.inbox.arrivals.push(record.clone());
        self.join(record);
        Ok(())
    }

    fn give_birth(&mut self, attach: &Attach, birth: Birth) -> Result<(), AttachRefusal> {
        self.check_room()?;
        let epoch = AgentEpoch(1);
        let fence = self.life.own.arrivals.fence_mut(attach.agent);
        (fence.born, fence.seen, fence.accepted) = (true, epoch, epoch);
        self.take_seat(attach, SessionState::default(), epoch);
        self.life.inbox.births.push((attach.agent, birth));
        Ok(())
    }

    fn check_room(&self) -> Result<(), AttachRefusal> {
        (self.life.residents.len() < ENTITIES_MAX).then_some(()).ok_or(AttachRefusal::Full)
    }

    fn take_seat(&mut self, attach: &Attach, state: SessionState, epoch: AgentEpoch) {
        self.life.sessions.seat(attach.agent, state, Link::Joining { gateway: attach.gateway });
        self.speak_for(attach);
        self.life.residents.insert(attach.agent, Resident::new(epoch, self.now, ValueGate::Closed));
        self.life.directory.came(attach.agent, epoch);
    }

    /// Journals a woken agent; its gateway is answered when that is durable.
    fn join(&mut self, record: Record) {
        let (agent, epoch) = (record.entity, record.epoch);
        self.writer.push(ShardOp::put(&record));
        self.when_durable(Then::Joined(agent));
        self.when_durable(Then::Look(agent, epoch));
    }

    /// Journals those whom the tick brought into the world for the first time.
    pub(super) fn births_are_done(&mut self, newborn: Vec<EntityId>) {
        for agent in newborn {
            match self.record(agent) {
                Some(record) => {
                    self.writer.push(ShardOp::Born { entity: agent });
                    self.join(record);
                }
                None => tracing::error!(shard = %self.id, %agent, "the game gave birth to nobody"),
            }
        }
    }

    pub(super) fn joined(&mut self, agent: EntityId) {
        if let Some(gateway) = self.life.sessions.joined(agent) {
            self.tell_attached(gateway, agent);
        }
    }

    fn tell_attached(&mut self, gateway: NodeId, agent: EntityId) {
        let (Some(resident), Some(state)) = (self.life.residents.get(&agent), self.life.sessions.state(agent)) else { return };
        let attached = Session::Attached {
            agent,
            session: state.epoch,
            shard: self.id,
            shard_epoch: self.epoch(),
            epoch: resident.epoch,
            in_seq: self.life.sessions.told(agent),
            out_seq: self.life.sessions.fresh_after(agent),
        };
        self.tell(gateway, attached);
    }

    fn detach(&mut self, from: NodeId, agent: EntityId, session: SessionEpoch, asleep: bool) {
        if self.life.sessions.detach(self.now, from, agent, session, asleep) {
            self.life.inbox.connected.push((agent, false));
        } else if self.life.sessions.link(agent).is_none() && !self.life.asleep.contains_key(&agent) {
            self.misrouted(from, agent, session);
        }
    }

    fn inputs(&mut self, from: NodeId, inputs: Vec<ClientInput>) {
        let mut told = BTreeSet::new();
        for input in inputs {
            let (agent, session) = (input.agent, input.session);
            match self.life.sessions.receive(input.clone()) {
                Inputting::Waits | Inputting::Duplicate => {}
                Inputting::TooNew { next } => {
                    if told.insert(agent) {
                        self.tell(from, Session::Expected { agent, session, next });
                    }
                }
                Inputting::Replaced => {
                    if told.insert(agent) {
                        self.tell(from, Session::Replaced { agent, session });
                    }
                }
                Inputting::Unknown => {
                    if !self.keep_for_target(input) && told.insert(agent) {
                        self.misrouted(from, agent, session);
                    }
                }
            }
        }
    }

    /// Inputs that come between the end of a tick and the commit travel with it.
    fn keep_for_target(&mut self, input: ClientInput) -> bool {
        let Some((xid, leave)) = self.life.leaves.of(input.agent) else { return false };
        let kept = leave.letting == Letting::Leaving && leave.inputs.len() < INPUT_WINDOW as usize * leave.members.len();
        if kept && let Some(leave) = self.life.leaves.leave_mut(xid) {
            leave.inputs.push(input);
        }
        kept
    }

    fn misrouted(&mut self, gateway: NodeId, agent: EntityId, session: SessionEpoch) {
        let away = self.life.leaves.of(agent).filter(|(_, leave)| !leave.letting.is_live());
        let message = match away {
            Some((xid, leave)) => Session::Hint { agent, session, target: leave.target, epoch: xid.epoch },
            None => Session::Misrouted { agent, session, forward: self.life.fence(agent).forward },
        };
        self.tell(gateway, message);
    }

    /// Puts agents to sleep whose players are gone. Their records stay in the shard.
    pub(super) fn fall_asleep(&mut self) {
        for agent in self.life.sessions.sleepers(self.now) {
            if let Some((xid, _)) = self.life.leaves.of(agent) {
                self.step_leave(xid, Heard::CameBack);
            }
            let Some(mut record) = self.world.put_to_sleep(agent) else { continue };
            let Some(resident) = self.life.residents.remove(&agent) else { continue };
            let session = self.life.sessions.remove(agent).map(|(state, _)| state);
            record.epoch = resident.epoch;
            record.session = session.unwrap_or_default();
            record.presence = Presence::Asleep;
            record.session.on_trial = false;
            self.life.trials.forget(agent);
            self.life.desk.forget(agent);
            self.clean(agent);
            self.writer.push(ShardOp::put(&record));
            self.life.asleep.insert(agent, record);
        }
    }

    /// Players' agents here, awake or asleep, with their epochs.
    pub(super) fn players(&self) -> impl Iterator<Item = (EntityId, AgentEpoch)> {
        let awake = self.life.sessions.agents().filter_map(|a| self.life.residents.get(&a).map(|r| (a, r.epoch)));
        awake.chain(self.life.asleep.values().map(|record| (record.entity, record.epoch)))
    }
}
