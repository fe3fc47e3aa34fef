//! Who speaks for which agent: sessions, the order of their inputs, and reliable events until they are acknowledged.
//!
//! | link | happening | next |
//! |---|---|---|
//! | – | woken or born | Joining |
//! | – | handed over, with a gateway | Attached |
//! | – | handed over without one, recovered | Lingering 10 s |
//! | Joining | durable | Attached |
//! | Attached, Lingering, Leaving | Attach with an epoch not lower | Attached, the former gateway is told |
//! | any | Attach with a lower epoch | unchanged: refused with the epoch in force |
//! | Attached | Detach of this session, gateway lost | Lingering 10 s |
//! | Attached, Lingering | Detach because the player logged out | Leaving |
//! | Lingering, time up; Leaving, tick over | – | asleep, no longer in this table |
//!
//! An input is applied only if its sequence is `in_seq + 1`; older ones are duplicates, acknowledged by the next agent feed;
//! newer ones wait in a window of 64.

mod rest;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use pangaea_schemas::message::{ClientInput, Session};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::record::{OUTBOX_MAX, OpenOperation, ReliableEvent, SessionState};
use pangaea_schemas::{EntityId, InSeq, NodeId, OutSeq, SessionEpoch, Timestamp, TypeId};

/// How far ahead of the next one an input may be to wait for it.
pub const INPUT_WINDOW: u32 = 64;
/// Most inputs of one agent applied in one tick: a client that sends more only delays itself.
pub const INPUTS_PER_TICK_MAX: usize = 8;
/// An agent stays this long in the world after its client is lost.
pub const LINGER: Duration = Duration::from_secs(10);
/// More events than an owner makes for one client before its record is journaled again.
pub const RECOVERY_GAP: u32 = 4_096;
/// Unacknowledged events are sent again after this.
pub const EVENT_RESEND: Duration = Duration::from_secs(1);

/// How an agent is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Its coming into the world is not durable yet.
    Joining {
        /// Waits for the answer.
        gateway: NodeId,
    },
    /// A gateway speaks for it.
    Attached {
        /// Which.
        gateway: NodeId,
    },
    /// Nobody does; it stays for a while.
    Lingering {
        /// Then it falls asleep.
        until: Timestamp,
    },
    /// Its player logged out: it falls asleep after the tick.
    Leaving,
}

#[derive(Clone, Debug, Hash)]
struct Seat {
    state: SessionState,
    link: Link,
    window: BTreeMap<InSeq, ClientInput>,
    outbox: VecDeque<ReliableEvent>,
    unsent: usize,
    resync: bool,
    resend_at: Option<Timestamp>,
    /// Last event made before the session in force spoke for the agent: a fresh client needs everything after it.
    fresh_after: OutSeq,
    /// Last input that was acknowledged to the client; those after it may wait for the ledger.
    told: InSeq,
}

/// What an attach comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attaching {
    /// No such agent awake here.
    Unknown,
    /// A newer session is in force.
    Refused {
        /// Which.
        current: SessionEpoch,
    },
    /// Its coming into the world is on its way: the answer follows.
    Joining,
    /// In force.
    Attached {
        /// Who spoke for the agent before, to be told.
        former: Option<(NodeId, SessionEpoch)>,
    },
}

/// What becomes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputting {
    /// No such agent awake here.
    Unknown,
    /// From a session that is no longer in force.
    Replaced,
    /// Will be applied in order.
    Waits,
    /// Was applied before.
    Duplicate,
    /// Too far ahead: it is dropped, and all must be sent again from `next` on.
    TooNew {
        /// The input that is wanted next.
        next: InSeq,
    },
}

/// The awake players of a shard.
#[derive(Clone, Debug, Default, Hash)]
pub struct Sessions {
    seats: BTreeMap<EntityId, Seat>,
}

impl Sessions {
    /// An agent comes with its session; with `link` as its connection.
    pub fn seat(&mut self, agent: EntityId, mut state: SessionState, link: Link) {
        let outbox = VecDeque::from(std::mem::take(&mut state.outbox));
        let unsent = outbox.len();
        state.gateway = gateway_of(link);
        let fresh_after = outbox.front().map_or(state.out_seq, |event: &ReliableEvent| OutSeq(event.seq.0 - 1));
        let (window, told) = (BTreeMap::new(), state.in_seq);
        let seat = Seat { state, link, window, outbox, unsent, resync: false, resend_at: None, fresh_after, told };
        self.seats.insert(agent, seat);
    }

    /// The agent's session leaves with it: its state, and inputs that came but were not applied.
    pub fn remove(&mut self, agent: EntityId) -> Option<(SessionState, Vec<ClientInput>)> {
        let state = self.state(agent)?;
        let seat = self.seats.remove(&agent)?;
        Some((state, seat.window.into_values().collect()))
    }

    /// The agent's session as it goes into a record; `None` for those without a player.
    pub fn state(&self, agent: EntityId) -> Option<SessionState> {
        let seat = self.seats.get(&agent)?;
        Some(SessionState { outbox: seat.outbox.iter().cloned().collect(), ..seat.state.clone() })
    }

    /// What is asked of the ledger in a player's name; `None` for those without a player.
    pub fn open_operations(&mut self, agent: EntityId) -> Option<&mut Vec<OpenOperation>> {
        self.seats.get_mut(&agent).map(|seat| &mut seat.state.open)
    }

    /// An owner that recovers a session does not know which events its forerunner made after the record was journaled: it goes
    /// on beyond all numbers that may have been used, and the client is told to resynchronise.
    pub fn recovered(state: SessionState) -> SessionState {
        SessionState { out_seq: OutSeq(state.out_seq.0 + RECOVERY_GAP), ..state }
    }

    /// Whether an input waits to be applied.
    pub fn has_inputs(&self, agent: EntityId) -> bool {
        self.seats.get(&agent).is_some_and(|seat| !seat.window.is_empty())
    }

    /// The agent's inputs go on trial, or have passed it, see [`crate::trials`].
    pub fn set_trial(&mut self, agent: EntityId, on_trial: bool) {
        if let Some(seat) = self.seats.get_mut(&agent) {
            seat.state.on_trial = on_trial;
        }
    }

    /// The agent's inputs are beyond suspicion.
    pub fn clear_crashes(&mut self, agent: EntityId) {
        if let Some(seat) = self.seats.get_mut(&agent) {
            seat.state.crashes = 0;
        }
    }

    /// The event after which a fresh client of the session in force goes on; what is made while it joins is for it.
    pub fn fresh_after(&self, agent: EntityId) -> OutSeq {
        self.seats.get(&agent).map_or(OutSeq(0), |seat| seat.fresh_after)
    }

    /// The agent's client is told that inputs are applied up to `upto`.
    pub fn tell(&mut self, agent: EntityId, upto: InSeq) {
        if let Some(seat) = self.seats.get_mut(&agent) {
            seat.told = seat.told.max(upto);
        }
    }

    /// Last input that the agent's client was told is applied. Whoever asks again hears no more than that.
    pub fn told(&self, agent: EntityId) -> InSeq {
        self.seats.get(&agent).map_or(InSeq(0), |seat| seat.told)
    }

    /// How the agent is connected; `None` for those without a player.
    pub fn link(&self, agent: EntityId) -> Option<Link> {
        self.seats.get(&agent).map(|seat| seat.link)
    }

    /// A gateway wants to speak for the agent. Inputs up to `in_ack` and events up to `out_ack` are done with, even if this
    /// owner's record is older.
    pub fn attach(
        &mut self,
        agent: EntityId,
        session: SessionEpoch,
        gateway: NodeId,
        in_ack: InSeq,
        out_ack: OutSeq,
    ) -> Attaching {
        let Some(seat) = self.seats.get_mut(&agent) else { return Attaching::Unknown };
        if session < seat.state.epoch && !Mutant::OldSessionAttaches.lives() {
            return Attaching::Refused { current: seat.state.epoch };
        }
        let former = gateway_of(seat.link).filter(|former| (*former, seat.state.epoch) != (gateway, session));
        let former = former.map(|former| (former, seat.state.epoch));
        let is_new = session > seat.state.epoch;
        if is_new {
            seat.window.clear();
        }
        seat.state.epoch = session;
        seat.state.gateway = Some(gateway);
        seat.state.in_seq = if Mutant::InputTwiceAfterResume.lives() { in_ack } else { seat.state.in_seq.max(in_ack) };
        // Nobody holds more than any owner has made: a client that says so wastes its own numbers only.
        let out_ack = out_ack.min(OutSeq(seat.state.out_seq.0.saturating_add(RECOVERY_GAP)));
        seat.acknowledge(out_ack);
        seat.state.out_seq = seat.state.out_seq.max(out_ack);
        if is_new {
            seat.fresh_after = seat.state.out_seq;
        }
        // A fresh client waits for nothing that the one before it did.
        let known = if is_new && session.resume == 0 { seat.state.in_seq } else { in_ack };
        seat.told = seat.told.max(known);
        // The next event the client gets is not the one after the last it holds: those between are lost.
        let next = seat.outbox.front().map_or(seat.state.out_seq.next(), |event| event.seq);
        seat.resync |= next > out_ack.next();
        seat.unsent = seat.outbox.len();
        if let Link::Joining { .. } = seat.link {
            seat.link = Link::Joining { gateway };
            return Attaching::Joining;
        }
        seat.link = Link::Attached { gateway };
        Attaching::Attached { former }
    }

    /// The agent's coming into the world is durable. `None`: nobody waits for it any more.
    pub fn joined(&mut self, agent: EntityId) -> Option<NodeId> {
        let seat = self.seats.get_mut(&agent)?;
        let Link::Joining { gateway } = seat.link else { return None };
        seat.link = Link::Attached { gateway };
        Some(gateway)
    }

    /// The client went away, says its gateway. Whether that session was in force, and there: a client that got no answer at one
    /// gateway goes on at another one under the same epoch, and the first one gives it up much later.
    pub fn detach(&mut self, now: Timestamp, from: NodeId, agent: EntityId, session: SessionEpoch, asleep: bool) -> bool {
        let may = |seat: &&mut Seat| seat.state.epoch == session && gateway_of(seat.link).is_none_or(|gateway| gateway == from);
        let Some(seat) = self.seats.get_mut(&agent).filter(may) else { return false };
        seat.link = match (seat.link, asleep) {
            (_, true) => Link::Leaving,
            (Link::Joining { .. } | Link::Attached { .. }, false) => Link::Lingering { until: now + LINGER },
            (Link::Lingering { .. } | Link::Leaving, false) => seat.link,
        };
        seat.state.gateway = None;
        true
    }

    /// A gateway is gone: its agents linger. Who.
    pub fn gateway_lost(&mut self, now: Timestamp, gateway: NodeId) -> Vec<EntityId> {
        let mut lost = Vec::new();
        for (agent, seat) in self.seats.iter_mut().filter(|(_, seat)| gateway_of(seat.link) == Some(gateway)) {
            seat.link = Link::Lingering { until: now + LINGER };
            seat.state.gateway = None;
            lost.push(*agent);
        }
        lost
    }

    /// Who falls asleep now.
    pub fn sleepers(&self, now: Timestamp) -> Vec<EntityId> {
        let sleeps = |link| match link {
            Link::Leaving => true,
            Link::Lingering { until } => until <= now,
            Link::Joining { .. } | Link::Attached { .. } => false,
        };
        self.seats.iter().filter(|(_, seat)| sleeps(seat.link)).map(|(agent, _)| *agent).collect()
    }

    /// An input came.
    pub fn receive(&mut self, input: ClientInput) -> Inputting {
        let Some(seat) = self.seats.get_mut(&input.agent) else { return Inputting::Unknown };
        if input.session != seat.state.epoch {
            return Inputting::Replaced;
        }
        if input.seq <= seat.state.in_seq {
            return Inputting::Duplicate;
        }
        if input.seq.0 - seat.state.in_seq.0 > INPUT_WINDOW {
            return Inputting::TooNew { next: seat.state.in_seq.next() };
        }
        if Mutant::InputGapApplied.lives() {
            seat.state.in_seq = InSeq(input.seq.0 - 1);
        }
        seat.window.insert(input.seq, input);
        Inputting::Waits
    }

    /// Inputs to apply in this tick, in order per agent; without those of agents that have to wait.
    pub fn drain_inputs_but(&mut self, wait: impl Fn(EntityId) -> bool) -> Vec<ClientInput> {
        let mut inputs = Vec::new();
        for (_, seat) in self.seats.iter_mut().filter(|(agent, seat)| !seat.window.is_empty() && !wait(**agent)) {
            seat.window = seat.window.split_off(&seat.state.in_seq.next());
            for _ in 0..INPUTS_PER_TICK_MAX {
                let Some(input) = seat.window.remove(&seat.state.in_seq.next()) else { break };
                seat.state.in_seq = input.seq;
                inputs.push(input);
            }
        }
        inputs
    }

    /// A reliable event for the agent's client. Beyond [`OUTBOX_MAX`] the oldest are dropped and the client is told to
    /// resynchronise.
    pub fn push_event(&mut self, agent: EntityId, id: TypeId, bytes: Bytes) {
        let Some(seat) = self.seats.get_mut(&agent) else { return };
        seat.state.out_seq = seat.state.out_seq.next();
        seat.outbox.push_back(ReliableEvent { seq: seat.state.out_seq, id, bytes });
        seat.unsent += 1;
        if seat.outbox.len() > OUTBOX_MAX {
            seat.outbox.pop_front();
            seat.unsent = seat.unsent.min(seat.outbox.len());
            seat.resync = true;
        }
    }

    /// The client holds events up to `upto`.
    pub fn acknowledge(&mut self, agent: EntityId, session: SessionEpoch, upto: OutSeq) {
        if let Some(seat) = self.seats.get_mut(&agent).filter(|seat| seat.state.epoch == session) {
            seat.acknowledge(upto);
        }
    }

    /// Events to send now: new ones, and all unacknowledged ones again after a while.
    pub fn poll_events(&mut self, now: Timestamp) -> Vec<(NodeId, Session)> {
        let mut out = Vec::new();
        for (agent, seat) in &mut self.seats {
            let Link::Attached { gateway } = seat.link else { continue };
            if seat.resend_at.is_some_and(|at| at <= now) {
                seat.unsent = seat.outbox.len();
            }
            if seat.unsent == 0 {
                continue;
            }
            let unsent: Vec<ReliableEvent> = seat.outbox.iter().skip(seat.outbox.len() - seat.unsent).cloned().collect();
            let mut resync = std::mem::take(&mut seat.resync);
            for events in unsent.chunk_by(|a, b| a.seq.next() == b.seq) {
                let (agent, session, events) = (*agent, seat.state.epoch, events.to_vec());
                out.push((gateway, Session::Events { agent, session, events, resync }));
                resync = true;
            }
            seat.unsent = 0;
            seat.resend_at = Some(now + EVENT_RESEND);
        }
        out
    }

    /// Attached agents with gateway, session epoch and last applied input, in order of id.
    pub fn attached(&self) -> impl Iterator<Item = (EntityId, NodeId, SessionEpoch, InSeq)> {
        self.seats.iter().filter_map(|(agent, seat)| match seat.link {
            Link::Attached { gateway } => Some((*agent, gateway, seat.state.epoch, seat.state.in_seq)),
            Link::Joining { .. } | Link::Lingering { .. } | Link::Leaving => None,
        })
    }

    /// All awake players' agents, in order of id.
    pub fn agents(&self) -> impl Iterator<Item = EntityId> {
        self.seats.keys().copied()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether no player is awake here.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }
}

impl Seat {
    fn acknowledge(&mut self, upto: OutSeq) {
        while self.outbox.front().is_some_and(|event| event.seq <= upto) {
            self.outbox.pop_front();
        }
        self.unsent = self.unsent.min(self.outbox.len());
        if self.outbox.is_empty() {
            self.resend_at = None;
        }
    }
}

fn gateway_of(link: Link) -> Option<NodeId> {
    match link {
        Link::Joining { gateway } | Link::Attached { gateway } => Some(gateway),
        Link::Lingering { .. } | Link::Leaving => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::Role;

    const AGENT: EntityId = EntityId(5);
    const GATE: NodeId = NodeId::new(Role::Gateway, 1);
    const OTHER_GATE: NodeId = NodeId::new(Role::Gateway, 2);
    const AT: fn(u64) -> Timestamp = |ms| Timestamp(ms * 1_000);

    fn se(login: u32) -> SessionEpoch {
        SessionEpoch { login, resume: 0 }
    }

    fn seated() -> Sessions {
        let mut sessions = Sessions::default();
        let state = SessionState { epoch: se(1), ..SessionState::default() };
        sessions.seat(AGENT, state, Link::Attached { gateway: GATE });
        sessions
    }

    fn input(seq: u32) -> ClientInput {
        ClientInput { agent: AGENT, session: se(1), seq: InSeq(seq), id: TypeId(1), bytes: Bytes::new() }
    }

    fn applied(sessions: &mut Sessions) -> Vec<u32> {
        sessions.drain_inputs_but(|_| false).iter().map(|i| i.seq.0).collect()
    }

    fn told(sessions: &mut Sessions, at_ms: u64) -> Vec<u32> {
        let events = |message| match message {
            Session::Events { events, .. } => events.iter().map(|e| e.seq.0).collect::<Vec<_>>(),
            other => panic!("only events, not {other:?}"),
        };
        sessions.poll_events(AT(at_ms)).into_iter().flat_map(|(_, message)| events(message)).collect()
    }

    #[test]
    fn inputs_are_applied_once_and_in_order_however_they_come() {
        let mut s = seated();
        assert_eq!(s.receive(input(3)), Inputting::Waits);
        assert_eq!(s.receive(input(2)), Inputting::Waits);
        assert_eq!(applied(&mut s), [0; 0]);
        assert_eq!(s.receive(input(1)), Inputting::Waits);
        assert_eq!(s.receive(input(1)), Inputting::Waits);
        assert_eq!(applied(&mut s), [1, 2, 3]);
        assert_eq!(s.receive(input(2)), Inputting::Duplicate);
        assert_eq!(s.receive(input(68)), Inputting::TooNew { next: InSeq(4) });
        assert_eq!(s.receive(input(67)), Inputting::Waits);
    }

    #[test]
    fn a_flood_of_inputs_delays_only_its_sender() {
        let mut s = seated();
        for seq in 1..=20 {
            s.receive(input(seq));
        }
        assert_eq!(applied(&mut s).len(), INPUTS_PER_TICK_MAX);
        assert_eq!(applied(&mut s).last(), Some(&16));
    }

    #[test]
    fn session_epochs_only_rise() {
        let mut s = seated();
        let attach = |s: &mut Sessions, login, gate| s.attach(AGENT, se(login), gate, InSeq(0), OutSeq(0));
        assert_eq!(attach(&mut s, 2, OTHER_GATE), Attaching::Attached { former: Some((GATE, se(1))) });
        assert_eq!(attach(&mut s, 1, GATE), Attaching::Refused { current: se(2) });
        assert_eq!(attach(&mut s, 2, OTHER_GATE), Attaching::Attached { former: None }, "asking again is answered again");
        assert_eq!(s.receive(input(1)), Inputting::Replaced);
        assert!(!s.detach(AT(0), GATE, AGENT, se(1), true), "the old session cannot log out the new one");
    }

    #[test]
    fn events_are_kept_until_acknowledged_and_sent_again_from_there_after_a_new_attach() {
        let mut s = seated();
        for _ in 0..3 {
            s.push_event(AGENT, TypeId(1), Bytes::new());
        }
        assert_eq!(told(&mut s, 0), [1, 2, 3]);
        assert_eq!(told(&mut s, 999), [0; 0]);
        assert_eq!(told(&mut s, 1_000), [1, 2, 3]);
        s.acknowledge(AGENT, se(1), OutSeq(1));
        s.attach(AGENT, se(2), OTHER_GATE, InSeq(0), OutSeq(2));
        assert_eq!(told(&mut s, 1_001), [3]);
    }

    #[test]
    fn a_full_outbox_drops_the_oldest_and_says_so() {
        let mut s = seated();
        for _ in 0..OUTBOX_MAX + 2 {
            s.push_event(AGENT, TypeId(1), Bytes::new());
        }
        let (_, message) = s.poll_events(AT(0)).remove(0);
        let Session::Events { events, resync, .. } = message else { panic!("events") };
        assert!(resync);
        assert_eq!((events.len(), events[0].seq), (OUTBOX_MAX, OutSeq(3)));
    }

    #[test]
    fn an_owner_with_an_older_record_goes_on_after_what_was_acknowledged() {
        let mut s = seated();
        s.attach(AGENT, se(1), GATE, InSeq(40), OutSeq(7));
        assert_eq!(s.receive(input(40)), Inputting::Duplicate);
        s.receive(input(41));
        assert_eq!(applied(&mut s), [41]);
        s.push_event(AGENT, TypeId(1), Bytes::new());
        assert_eq!(told(&mut s, 0), [8]);
    }

    #[test]
    fn whoever_asks_again_hears_of_no_input_that_still_waits_for_the_ledger() {
        let mut s = seated();
        s.receive(input(1));
        assert_eq!(applied(&mut s), [1]);
        s.attach(AGENT, SessionEpoch { login: 1, resume: 1 }, OTHER_GATE, InSeq(0), OutSeq(0));
        assert_eq!(s.told(AGENT), InSeq(0), "the client that comes back keeps it until it cannot be lost");
        s.tell(AGENT, InSeq(1));
        assert_eq!(s.told(AGENT), InSeq(1));
        s.receive(ClientInput { session: SessionEpoch { login: 1, resume: 1 }, ..input(2) });
        applied(&mut s);
        s.attach(AGENT, se(2), GATE, InSeq(0), OutSeq(0));
        assert_eq!(s.told(AGENT), InSeq(2), "a fresh client goes on after it");
    }

    #[test]
    fn a_fresh_client_gets_what_is_made_while_it_joins_and_nothing_older() {
        let mut s = seated();
        s.push_event(AGENT, TypeId(1), Bytes::new());
        s.attach(AGENT, se(2), GATE, InSeq(0), OutSeq(0));
        s.push_event(AGENT, TypeId(1), Bytes::new());
        assert_eq!(s.fresh_after(AGENT), OutSeq(1));
        s.attach(AGENT, se(2), GATE, InSeq(0), OutSeq(0));
        assert_eq!(s.fresh_after(AGENT), OutSeq(1), "asking again does not skip what was made since");
    }

    #[test]
    fn an_owner_that_recovers_uses_no_number_twice_and_says_that_something_may_be_lost() {
        let mut s = Sessions::default();
        let event = |seq| ReliableEvent { seq: OutSeq(seq), id: TypeId(1), bytes: Bytes::new() };
        let state = SessionState { epoch: se(1), out_seq: OutSeq(2), outbox: vec![event(2)], ..SessionState::default() };
        s.seat(AGENT, Sessions::recovered(state), Link::Lingering { until: AT(10_000) });
        s.attach(AGENT, se(1), GATE, InSeq(0), OutSeq(1));
        s.push_event(AGENT, TypeId(1), Bytes::new());
        let runs: Vec<(u32, bool)> = s
            .poll_events(AT(0))
            .into_iter()
            .map(|(_, message)| match message {
                Session::Events { events, resync, .. } => (events[0].seq.0, resync),
                other => panic!("only events, not {other:?}"),
            })
            .collect();
        assert_eq!(runs, [(2, false), (3 + RECOVERY_GAP, true)]);
        s.attach(AGENT, se(1), GATE, InSeq(0), OutSeq(2));
        let (_, message) = s.poll_events(AT(1)).remove(0);
        assert!(matches!(message, Session::Events { resync: true, .. }), "told again when it is asked again");
    }

    #[test]
    fn a_lost_client_lingers_and_a_logout_sleeps_at_once() {
        let mut s = seated();
        s.detach(AT(0), GATE, AGENT, se(1), false);
        assert!(s.sleepers(AT(9_999)).is_empty());
        assert_eq!(s.sleepers(AT(10_000)), [AGENT]);
        s.attach(AGENT, se(1), GATE, InSeq(0), OutSeq(0));
        assert!(s.sleepers(AT(60_000)).is_empty());
        s.detach(AT(60_000), GATE, AGENT, se(1), true);
        assert_eq!(s.sleepers(AT(60_000)), [AGENT]);
    }

    #[test]
    fn a_gateway_that_gives_a_client_up_does_not_take_it_from_the_one_where_it_plays() {
        let mut s = seated();
        let attaching = s.attach(AGENT, se(1), OTHER_GATE, InSeq(0), OutSeq(0));
        assert_eq!(attaching, Attaching::Attached { former: Some((GATE, se(1))) });
        assert!(!s.detach(AT(0), GATE, AGENT, se(1), false) && s.sleepers(AT(60_000)).is_empty());
        assert!(s.detach(AT(0), OTHER_GATE, AGENT, se(1), false));
    }
}
