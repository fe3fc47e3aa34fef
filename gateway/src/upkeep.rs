//! What time asks for: once per tick, deadlines, follow requests, updates and reports.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::client::RefusalCode;
use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::message::{Address, BeaconRequest, ClientInput, Control, Message, Session as SessionMessage};
use pangaea_schemas::{EntityId, NodeId, OutSeq, SessionEpoch, Tick, Timestamp};

use crate::gateway::{Gateway, Output};
use crate::limits::{ENTER_TIME_MAX, Flow, INPUTS, LOBBY_TIME_MAX, MESSAGES, PLAYER_BYTES, SPECTATOR_BYTES};
use crate::nodes::{ATTACH_TRIES_MAX, LOST_FROM_SIGHT_AFTER, SILENCE_MAX};
use crate::routes::SHARD_PREFIX;
use crate::session::{Event, State};
use crate::slab::Key;

/// Time between two reports to the world.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// The beacon is asked to tell everything again after this long, should a link have broken unnoticed.
const WATCH_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Most inputs in one message to an owner.
const OWNER_BATCH_MAX: usize = 1_024;

/// What one shard is told in one message.
#[derive(Default)]
struct Talk {
    inputs: Vec<ClientInput>,
    out_acks: Vec<(EntityId, SessionEpoch, OutSeq)>,
}

impl Gateway {
    /// Once per tick: act on deadlines, follow what is looked at, compose every client's update.
    pub fn tick(&mut self, now: Timestamp, tick: Tick) {
        self.now = self.now.max(now);
        self.tick = self.tick.max(tick);
        self.keep_watching(now);
        self.send_on(now);
        for key in self.sessions.keys() {
            self.keep(now, key);
            self.recentre(key);
        }
        self.follow(now);
        self.cells.still_the_silent(self.tick);
        for key in self.sessions.keys() {
            self.update(now, key);
        }
        self.cells.end_round();
        if now.since(self.reported) >= REPORT_EVERY {
            self.reported = now;
            self.send(Address::World, Message::Control(Control::Gateway(self.report())));
        }
    }

    /// Look at these cells from now on.
    pub(crate) fn look_at(&mut self, key: Key, centre: CellId, cells: impl Iterator<Item = CellId>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let round = self.cells.round();
        let dropped = session.view.look_at(round, centre, cells, &mut |cell| self.cells.follow(cell));
        for cell in dropped {
            self.cells.unfollow(cell);
        }
    }

    /// Tell the driver whether to read from the client.
    pub(crate) fn set_paused(&mut self, now: Timestamp, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(conn) = session.conn else { return };
        session.message_allowance.refill(MESSAGES, now);
        session.input_allowance.refill(INPUTS, now);
        let overspent = session.message_allowance.is_spent() || session.input_allowance.is_spent();
        let paused = overspent || session.inputs.is_at_bound(now);
        if paused != session.paused {
            session.paused = paused;
            self.output(if paused { Output::PauseReading { conn } } else { Output::ResumeReading { conn } });
        }
    }

    /// Tell the owners what their clients said.
    pub(crate) fn tell_owners(&mut self) {
        let mut talks: BTreeMap<(NodeId, ShardId), Talk> = BTreeMap::new();
        for key in std::mem::take(&mut self.talking) {
            let Some(session) = self.sessions.get_mut(key).filter(|session| session.state == State::Playing) else { continue };
            let (Some(owner), Some(claims)) = (session.owner, &session.claims) else { continue };
            let talk = talks.entry((owner.node, owner.shard)).or_default();
            let (agent, epoch) = (claims.agent, session.epoch);
            let inputs = session.inputs.unsent(self.now);
            talk.inputs.extend(inputs.map(|i| ClientInput {
                agent,
                session: epoch,
                seq: i.seq,
                id: i.id,
                bytes: i.bytes.clone(),
            }));
            talk.out_acks.extend(session.events.untold().map(|held| (agent, epoch, held)));
        }
        for ((node, shard), mut talk) in talks {
            while !talk.inputs.is_empty() || !talk.out_acks.is_empty() {
                let later = talk.inputs.split_off(talk.inputs.len().min(OWNER_BATCH_MAX));
                let (inputs, out_acks) = (std::mem::replace(&mut talk.inputs, later), std::mem::take(&mut talk.out_acks));
                self.send_session(node, SessionMessage::Inputs { shard, inputs, out_acks });
            }
        }
    }

    fn keep_watching(&mut self, now: Timestamp) {
        if self.watched.is_none_or(|at| now.since(at) >= WATCH_AGAIN_AFTER) {
            self.watched = Some(now);
            self.send(Address::Beacon, Message::BeaconRequest(BeaconRequest::Watch { prefix: SHARD_PREFIX.to_owned() }));
        }
    }

    /// What a session's state does by itself.
    fn keep(&mut self, now: Timestamp, key: Key) {
        self.set_paused(now, key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.state == State::Playing {
            session.inputs.rewind_if_overdue(now);
            if session.inputs.has_unsent() {
                self.talking.push(key);
            }
            return match now.since(session.agent.heard) {
                silent if silent >= LOST_FROM_SIGHT_AFTER => self.locate(now, key),
                silent if silent >= SILENCE_MAX => self.attach_again(now, key),
                _ => {}
            };
        }
        if session.entering.is_some_and(|since| now.since(since) >= ENTER_TIME_MAX) {
            return self.give_up(now, key, RefusalCode::Unavailable, "the world does not answer; please try again");
        }
        if now < session.deadline {
            return;
        }
        match session.state {
            State::Greeting => self.send_away(now, key, RefusalCode::NotAllowed, "nobody said Hello"),
            State::Welcomed => self.send_away(now, key, RefusalCode::NotAllowed, "nobody joined"),
            State::LoggingIn { request } => {
                self.requests.remove(&request);
                self.step(key, Event::LoginAnswered, now + LOBBY_TIME_MAX);
                self.refuse(key, RefusalCode::Unavailable, "logins are not answered now; please try again", 2_000);
            }
            State::Locating { .. } | State::BetweenOwners { .. } => self.locate(now, key),
            State::Attaching { tries: ATTACH_TRIES_MAX.., .. } => self.locate(now, key),
            State::Attaching { place, .. } => self.attach_at(now, key, place.shard, place.node, place.unborn),
            State::Lost => {
                self.step(key, Event::Expired, now);
                self.forget(key);
            }
            State::Playing | State::Watching | State::Closed => {}
        }
    }

    /// Let a player's view follow its agent.
    fn recentre(&mut self, key: Key) {
        let Some(session) = self.sessions.get(key).filter(|session| session.is_shown()) else { return };
        let Some(space) = session.owner.and_then(|owner| self.config.spec.space(owner.shard.space)) else { return };
        let position = space.clamp(session.agent.position);
        let cell = CellId::at(space.space, position);
        if let Some(centre) = session.view.next_centre(cell, position) {
            let cells = centre.within(u16::from(self.config.view_radius_cells), space.edge_cells());
            self.look_at(key, centre, cells);
        }
    }

    fn follow(&mut self, now: Timestamp) {
        for cell in std::mem::take(&mut self.cells.unwanted) {
            if !self.cells.contains(cell) {
                self.feeds.unwant(cell);
            }
        }
        for cell in std::mem::take(&mut self.cells.wanted) {
            if self.cells.contains(cell) {
                self.feeds.want(&self.routes, cell);
            }
        }
        for envelope in self.feeds.flush(now) {
            self.output(Output::Send(envelope));
        }
    }

    fn update(&mut self, now: Timestamp, key: Key) {
        let Some(session) = self.sessions.get_mut(key).filter(|session| session.conn.is_some()) else { return };
        match session.queue.flow(now) {
            Flow::Keeps if !session.is_shown() => {}
            Flow::Keeps => {
                let rate = if session.state == State::Watching { SPECTATOR_BYTES } else { PLAYER_BYTES };
                let bytes = self.composer.compose(&self.cells, session, rate, now, self.tick);
                self.tell_bytes(key, bytes);
            }
            Flow::Slow => {}
            Flow::Hopeless => self.send_away(now, key, RefusalCode::TooSlow, "this connection does not take what it is sent"),
        }
    }
}
