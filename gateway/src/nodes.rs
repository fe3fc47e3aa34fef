//! What nodes say: routes, frames, and the conversation with the shard that runs a client's agent.

use std::time::Duration;

use pangaea_schemas::client::{RefusalCode, ServerMessage};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{
    Address, AttachRefusal, AuthReply, Birth, Control, Directory, Feed, FeedFrame, Location, LoginRefusal, Message, Migration,
    Session as SessionMessage, ShardRoute,
};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::{AgentEpoch, EntityId, InSeq, NodeId, OutSeq, Role, SessionEpoch, ShardEpoch, Timestamp};

use crate::events::Incoming;
use crate::feeds::Verdict;
use crate::gateway::Gateway;
use crate::limits::{LOBBY_TIME_MAX, RESUME_TOKEN_TIME};
use crate::session::{Agent, Event, Owner, Place, State};
use crate::slab::Key;

/// The directory and shards are asked again after this long.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Pause before asking again somebody who does not know now.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// An agent that does not arrive by then is looked for.
pub(crate) const CROSSING_TIME_MAX: Duration = Duration::from_secs(1);
/// An owner that does not speak of its agent for so long is told again whose session it is.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(1);
/// An owner that does not speak of its agent for so long is looked up again.
pub(crate) const LOST_FROM_SIGHT_AFTER: Duration = Duration::from_secs(3);
/// A shard that does not answer is asked so often before the directory is asked again.
pub(crate) const ATTACH_TRIES_MAX: u8 = 3;

/// Said to the client of an agent that a shard takes no more.
const PARKED: &str =
    "your character is parked: what it did last ended its part of the world three times; an operator can release it";

/// An owner's proof that it runs an agent, from a shard that is in force.
#[derive(Clone, Copy, Debug)]
struct Proof {
    owner: Owner,
    in_seq: InSeq,
}

impl Gateway {
    /// Take one node's message.
    pub(crate) fn hear(&mut self, now: Timestamp, from: NodeId, message: Message) {
        match message {
            Message::BeaconReply(reply) => {
                let changed = self.routes.learn(reply);
                self.rerouted(now, &changed);
            }
            Message::AuthReply(reply) => self.hear_auth(now, reply),
            Message::Directory(Directory::Located { request, agent, location, unborn }) => {
                if let Some(key) = self.requests.get(&request).copied().filter(|key| self.speaks_for(*key, agent)) {
                    self.found(now, key, location, unborn);
                }
            }
            Message::Feed(Feed::Frame(frame)) => self.take_frame(now, from, &frame),
            Message::Feed(Feed::NotHere { shard, follower: None }) => self.feeds.not_here(now, from, shard),
            Message::Session(message) => self.hear_shard(now, from, message),
            Message::Migration(Migration::Moved { route }) => self.shard_moved(now, route),
            Message::Migration(Migration::Recut { closed, routes }) => self.shards_recut(now, &closed, &routes),
            Message::Control(Control::DrainGateway { to }) => self.drain(to),
            Message::Control(Control::UndrainGateway) => self.undrain(),
            Message::Desk(message) => self.admin_asks(from, message),
            other => tracing::debug!(%from, ?other, "a message that is not for a gateway"),
        }
    }

    /// The link to a node is up again: what was under way is asked for again.
    pub(crate) fn relink(&mut self, now: Timestamp, node: NodeId) {
        self.feeds.relink(node);
        if node.role == Role::World {
            self.watched = None;
        }
        let here = |key: &Key| {
            self.sessions.get(*key).is_some_and(|s| s.state == State::Playing && s.owner.is_some_and(|o| o.node == node))
        };
        let playing: Vec<_> = self.sessions.keys().into_iter().filter(here).collect();
        for key in playing {
            self.attach_again(now, key);
        }
    }

    /// These shards have another owner or epoch: it has the agents from the journal and waits to be told whose they are.
    fn rerouted(&mut self, now: Timestamp, changed: &[ShardId]) {
        if changed.is_empty() {
            return;
        }
        self.feeds.reroute(&self.routes, changed);
        for key in self.sessions.keys() {
            let owner =
                self.sessions.get(key).filter(|session| session.state == State::Playing).and_then(|session| session.owner);
            let Some(shard) = owner.map(|owner| owner.shard).filter(|shard| changed.contains(shard)) else { continue };
            // Where others stand in its place, the frame that shows the agent says which.
            if let Some(node) = self.routes.owner(shard).map(|route| route.owner) {
                self.attach_at(now, key, shard, node, false);
            }
        }
    }

    /// A shard is at another scene, with all that was agreed with it: sessions, cells, sequences. Nobody has to be attached anew,
    /// but what was said to the former owner last may be lost.
    fn shard_moved(&mut self, now: Timestamp, route: ShardRoute) {
        if !self.routes.moved(route) {
            return;
        }
        self.feeds.moved(now, &route);
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key).filter(|session| session.state == State::Playing) else { continue };
            let Some(owner) = session.owner.filter(|owner| owner.shard == route.shard) else { continue };
            session.agent.heard = now;
            session.inputs.rewind();
            self.set_owner(key, Some(Owner { node: route.owner, ..owner }));
            self.talking.push(key);
            self.tell_route(key);
        }
    }

    /// Shards stand in the place of others, with all that was agreed with those. Which of them has an agent says the next frame;
    /// until then the scene knows whom inputs for the closed one are for.
    fn shards_recut(&mut self, now: Timestamp, closed: &[ShardId], routes: &[ShardRoute]) {
        let news = self.routes.recut(routes);
        if news.is_empty() {
            return;
        }
        self.feeds.recut(now, closed, &news);
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key).filter(|session| session.state == State::Playing) else { continue };
            if session.owner.is_some_and(|owner| closed.contains(&owner.shard)) {
                session.agent.heard = now;
                session.inputs.rewind();
                self.talking.push(key);
            }
        }
    }

    fn hear_auth(&mut self, now: Timestamp, reply: AuthReply) {
        let (AuthReply::Ticket { request, .. } | AuthReply::Refused { request, .. }) = &reply;
        let Some(key) = self.requests.remove(request) else { return };
        if !self.step(key, Event::LoginAnswered, now + LOBBY_TIME_MAX) {
            return;
        }
        match reply {
            AuthReply::Ticket { ticket, agent, name, .. } => self.tell(key, &ServerMessage::Ticket { ticket, agent, name }),
            AuthReply::Refused { reason, retry_after_ms, .. } => {
                let (code, text) = login_refusal(reason);
                self.refuse(key, code, text, retry_after_ms);
            }
        }
    }

    fn hear_shard(&mut self, now: Timestamp, from: NodeId, message: SessionMessage) {
        match message {
            SessionMessage::Attached { agent, session, shard, shard_epoch, epoch, in_seq, out_seq } => {
                if let Some(key) = self.told_session(now, (from, shard, shard_epoch), agent, session) {
                    let proof = Proof { owner: Owner { shard, node: from, epoch }, in_seq };
                    self.attached(now, key, proof, out_seq);
                }
            }
            SessionMessage::Route { agent, session, shard, shard_epoch, epoch, in_seq } => {
                if let Some(key) = self.told_session(now, (from, shard, shard_epoch), agent, session) {
                    let proof = Proof { owner: Owner { shard, node: from, epoch }, in_seq };
                    self.take_owner(now, key, proof, false);
                }
            }
            SessionMessage::AttachRefused { agent, session, reason } => {
                if let Some(key) = self.session(agent, session) {
                    self.attach_refused(now, key, reason);
                }
            }
            SessionMessage::Hint { agent, session, epoch, .. } => {
                if let Some(key) = self.session(agent, session).filter(|key| self.owner_epoch(*key) < epoch) {
                    self.step(key, Event::Departed { epoch }, now + CROSSING_TIME_MAX);
                }
            }
            SessionMessage::Misrouted { agent, session, forward } => {
                if let Some(key) = self.session(agent, session) {
                    self.misrouted(now, from, key, forward);
                }
            }
            SessionMessage::Events { agent, session, events, resync } => {
                if let Some(key) = self.session(agent, session) {
                    let Some(session) = self.sessions.get_mut(key) else { return };
                    match session.events.accept(events, resync) {
                        Incoming::Forward(events) => self.tell(key, &ServerMessage::Events { events, resync }),
                        Incoming::Missing => self.attach_again(now, key),
                        Incoming::Nothing => {}
                    }
                }
            }
            SessionMessage::Expected { agent, session, .. } => {
                if let Some(session) = self.session(agent, session).and_then(|key| self.sessions.get_mut(key)) {
                    session.inputs.rewind();
                }
            }
            SessionMessage::Replaced { agent, session } => {
                if let Some(key) = self.session(agent, session) {
                    self.replaced(now, key);
                }
            }
            SessionMessage::Attach { .. } | SessionMessage::Detach { .. } | SessionMessage::Inputs { .. } => {
                tracing::debug!(%from, "a session message that is not for a gateway");
            }
        }
    }

    /// The session in force here for an agent, if it is that one.
    fn session(&self, agent: EntityId, epoch: SessionEpoch) -> Option<Key> {
        let key = *self.agents.get(&agent)?;
        self.sessions.get(key).filter(|session| session.epoch == epoch && session.state.is_in_world()).map(|_| key)
    }

    /// The same, if the owner that speaks of it is in force; it is followed then, should the beacon not have told of it yet.
    fn told_session(
        &mut self,
        now: Timestamp,
        (from, shard, epoch): (NodeId, ShardId, ShardEpoch),
        agent: EntityId,
        session: SessionEpoch,
    ) -> Option<Key> {
        let key = self.session(agent, session).filter(|_| !self.routes.is_stale(shard, epoch))?;
        let changed = self.routes.hear_owner(from, shard, epoch);
        self.rerouted(now, &changed);
        Some(key)
    }

    fn speaks_for(&self, key: Key, agent: EntityId) -> bool {
        self.sessions.get(key).and_then(|session| session.claims.as_ref()).is_some_and(|claims| claims.agent == agent)
    }

    fn owner_epoch(&self, key: Key) -> AgentEpoch {
        self.sessions.get(key).and_then(|session| session.owner).map_or_else(AgentEpoch::default, |owner| owner.epoch)
    }

    /// Ask the directory where the agent is.
    pub(crate) fn locate(&mut self, now: Timestamp, key: Key) {
        let Some(agent) = self.sessions.get(key).and_then(|session| session.claims.as_ref()).map(|claims| claims.agent) else {
            return;
        };
        let request = self.next_request(key);
        if self.step(key, Event::Search { request }, now + ASK_AGAIN_AFTER) {
            self.send(Address::World, Message::Directory(Directory::Locate { request, agent }));
        }
    }

    fn found(&mut self, now: Timestamp, key: Key, location: Option<Location>, unborn: bool) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        match (location, session.state) {
            (Some(location), State::Locating { .. }) => self.attach_at(now, key, location.shard, location.owner, unborn),
            _ => session.deadline = now + TRY_AGAIN_AFTER,
        }
    }

    /// Ask a shard to take the session's word for its agent.
    pub(crate) fn attach_at(&mut self, now: Timestamp, key: Key, shard: ShardId, node: NodeId, unborn: bool) {
        let place = Place { shard, node, unborn };
        let tries = match self.sessions.get(key).map(|session| session.state) {
            Some(State::Attaching { place: before, tries }) if before == place => tries + 1,
            _ => 0,
        };
        if self.step(key, Event::Found { place, tries }, now + ASK_AGAIN_AFTER) {
            self.send_attach(key, place);
        }
    }

    /// Say again whose session it is, without leaving the state: the answer tells what the shard has.
    pub(crate) fn attach_again(&mut self, now: Timestamp, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(owner) = session.owner else { return };
        // Answers that are under way must not make one question more each.
        if session.state != State::Playing || now < session.deadline {
            return;
        }
        session.deadline = now + ASK_AGAIN_AFTER;
        self.send_attach(key, Place { shard: owner.shard, node: owner.node, unborn: false });
    }

    fn send_attach(&mut self, key: Key, place: Place) {
        let Some(session) = self.sessions.get(key) else { return };
        let Some(claims) = &session.claims else { return };
        let attach = SessionMessage::Attach {
            shard: place.shard,
            agent: claims.agent,
            session: session.epoch,
            out_ack: session.events.acknowledged(),
            in_ack: session.inputs.acknowledged(),
            birth: place.unborn.then(|| Birth { account: claims.account, name: claims.name.clone() }),
        };
        self.send_session(place.node, attach);
    }

    fn attached(&mut self, now: Timestamp, key: Key, proof: Proof, out_seq: OutSeq) {
        if !self.take_owner(now, key, proof, true) {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.entering.take().is_none() {
            return;
        }
        if !session.resumed {
            session.events.skip_to(out_seq);
        }
        let Some(claims) = session.claims.clone() else { return };
        let (epoch, resumed, in_seq) = (session.epoch, session.resumed, session.inputs.acknowledged());
        let space = proof.owner.shard.space;
        let claims_until = pangaea_schemas::ticket::TicketClaims { expires: now + RESUME_TOKEN_TIME, ..claims };
        let joined = ServerMessage::Joined {
            agent: claims_until.agent,
            token: self.config.resume_key.seal(&claims_until, epoch),
            resumed,
            space: space.0,
            space_edge_cells: self.config.spec.space(space).map_or(0, |spec| spec.edge_cells()),
            view_radius_cells: self.config.view_radius_cells,
            tick: self.tick,
            in_seq,
            out_seq,
        };
        self.tell(key, &joined);
        self.tell_route(key);
    }

    /// An owner proves that it runs the agent; false when it is not newer than what is known (or, `reattached`, as new).
    fn take_owner(&mut self, now: Timestamp, key: Key, proof: Proof, reattached: bool) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let known = session.owner.map(|owner| owner.epoch);
        // An owner that was lost from sight and speaks again is as good as one that answers.
        let again = reattached || matches!(session.state, State::Locating { .. } | State::Attaching { .. });
        // One that stands in the place of the shard that had it goes on under the same epoch.
        let instead = |owner: Owner| owner.shard != proof.owner.shard && owner.shard.overlaps(proof.owner.shard);
        let again = again || session.owner.is_some_and(instead);
        let newer = known.is_none_or(|known| proof.owner.epoch > known || again && proof.owner.epoch == known)
            || Mutant::RouteEpochIgnored.lives();
        // A client that enters is told by the answer to its attach, which alone says all it must know.
        let early = session.entering.is_some() && !reattached;
        if early || !newer || !session.step(Event::Owned) {
            return false;
        }
        session.deadline = now;
        session.agent.heard = now;
        session.inputs.acknowledge(proof.in_seq);
        session.inputs.rewind();
        session.events.rewind();
        let before = session.owner.map(|owner| (owner.shard, owner.node));
        let joined = session.entering.is_none();
        self.set_owner(key, Some(proof.owner));
        self.talking.push(key);
        if joined && before != Some((proof.owner.shard, proof.owner.node)) {
            self.tell_route(key);
        }
        true
    }

    fn tell_route(&mut self, key: Key) {
        let Some(owner) = self.sessions.get(key).and_then(|session| session.owner) else { return };
        let (shard, scene, epoch) = (owner.shard.to_string(), owner.node.to_string(), owner.epoch);
        self.tell(key, &ServerMessage::Routed { shard, scene, epoch });
    }

    fn attach_refused(&mut self, now: Timestamp, key: Key, reason: AttachRefusal) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let State::Attaching { place, .. } = session.state else { return };
        match reason {
            AttachRefusal::NotHere { forward } => {
                match forward.filter(|shard| *shard != place.shard).and_then(|s| self.routes.owner(s)) {
                    Some(route) => {
                        let (shard, node) = (route.shard, route.owner);
                        self.attach_at(now, key, shard, node, false);
                    }
                    None => self.locate_soon(now, key),
                }
            }
            AttachRefusal::Parked => {
                self.set_owner(key, None);
                self.send_away(now, key, RefusalCode::NotAllowed, PARKED);
                self.forget(key);
            }
            AttachRefusal::NotNow => session.deadline = now + TRY_AGAIN_AFTER,
            AttachRefusal::Full if session.entering.is_some() => {
                self.give_up(now, key, RefusalCode::Full, "the place where you are is full")
            }
            AttachRefusal::Full => session.deadline = now + TRY_AGAIN_AFTER,
            // The same login spoke last from elsewhere: whoever comes last goes on.
            AttachRefusal::Replaced { current } if current.login == session.epoch.login && session.entering.is_some() => {
                session.epoch = session.epoch.max(current.resumed());
                self.attach_at(now, key, place.shard, place.node, place.unborn);
            }
            AttachRefusal::Replaced { .. } => self.replaced(now, key),
        }
    }

    /// The directory is asked again after a moment, when it may know better.
    fn locate_soon(&mut self, now: Timestamp, key: Key) {
        let request = self.next_request(key);
        self.step(key, Event::Search { request }, now + TRY_AGAIN_AFTER);
    }

    fn misrouted(&mut self, now: Timestamp, from: NodeId, key: Key, forward: Option<ShardId>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(owner) = session.owner else { return };
        // A former owner answers inputs that were on their way when the agent left: the present one hears them anyway.
        if session.state != State::Playing || owner.node != from || forward == Some(owner.shard) {
            return;
        }
        match forward.and_then(|shard| self.routes.owner(shard)).map(|route| (route.shard, route.owner)) {
            Some((shard, node)) => self.attach_at(now, key, shard, node, false),
            None => self.locate(now, key),
        }
    }

    fn replaced(&mut self, now: Timestamp, key: Key) {
        self.set_owner(key, None);
        self.send_away(now, key, RefusalCode::Replaced, "this player came in from elsewhere");
        self.forget(key);
    }

    /// The world does not take the client now; it may try again.
    pub(crate) fn give_up(&mut self, now: Timestamp, key: Key, code: RefusalCode, text: &str) {
        self.detach(key, false);
        self.set_owner(key, None);
        let Some(request) = self.sessions.get(key).map(|session| session.state.request()) else { return };
        if let Some(request) = request {
            self.requests.remove(&request);
        }
        if !self.step(key, Event::GivenUp, now + LOBBY_TIME_MAX) {
            return;
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.entering = None;
            if let Some(claims) = session.claims.take() {
                self.agents.remove(&claims.agent);
            }
        }
        self.refuse(key, code, text, 2_000);
    }

    fn take_frame(&mut self, now: Timestamp, from: NodeId, frame: &FeedFrame) {
        if frame.follower.is_some() || self.routes.is_stale(frame.shard, frame.epoch) {
            return tracing::debug!(%from, shard = %frame.shard, epoch = %frame.epoch, "a frame of an owner that is not in force");
        }
        if self.feeds.judge(now, from, frame) != Verdict::Apply {
            return;
        }
        for cell in &frame.cells {
            self.cells.apply(cell, frame.tick);
        }
        for cell in self.feeds.followed(frame.shard) {
            self.cells.settle(*cell, frame.tick);
        }
        for news in &frame.agents {
            let Some(key) = self.session(news.agent, news.session) else {
                self.send_stray(from, frame.shard, news.agent, news.session);
                continue;
            };
            let owner = Owner { shard: frame.shard, node: from, epoch: news.epoch };
            self.take_owner(now, key, Proof { owner, in_seq: news.in_seq }, false);
            let Some(session) = self.sessions.get_mut(key).filter(|s| s.owner.is_some_and(|o| o.epoch == news.epoch)) else {
                continue;
            };
            session.inputs.acknowledge(news.in_seq);
            session.inputs.note_applied(news.applied);
            let (position, applied) = (news.position, news.applied);
            session.agent = Agent { position, applied, tick: frame.tick, seen: true, heard: now };
            // An owner that recovered from an older record waits for inputs that nobody will tell it again.
            if news.in_seq < session.inputs.acknowledged() {
                self.attach_again(now, key);
            }
        }
    }

    /// A shard holds a session that is not here any more: it did not hear that the client went away.
    fn send_stray(&mut self, from: NodeId, shard: ShardId, agent: EntityId, session: SessionEpoch) {
        self.send_session(from, SessionMessage::Detach { shard, agent, session, asleep: false });
    }
}

fn login_refusal(reason: LoginRefusal) -> (RefusalCode, &'static str) {
    match reason {
        LoginRefusal::Credentials => (RefusalCode::Credentials, "unknown name or wrong password"),
        LoginRefusal::NameTaken => (RefusalCode::Credentials, "that name is taken"),
        LoginRefusal::Form => (RefusalCode::Credentials, "names have 3 to 24 characters, passwords 8 to 128"),
        LoginRefusal::LockedOut => (RefusalCode::RateLimit, "too many attempts; please wait"),
        LoginRefusal::NoGuests => (RefusalCode::NotAllowed, "guests are not let in here"),
        LoginRefusal::Unavailable => (RefusalCode::Unavailable, "logins are not possible now; please try again"),
    }
}
