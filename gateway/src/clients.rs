//! What clients say, and what they are answered.

use pangaea_schemas::client::{ClientMessage, Input as ClientInput, PROTOCOL_VERSION, RefusalCode, ServerMessage};
use pangaea_schemas::geometry::{CellId, ShardId, SpaceId};
use pangaea_schemas::message::{Address, AuthRequest, Credentials, Message};
use pangaea_schemas::ticket::TicketClaims;
use pangaea_schemas::{OutSeq, RegistryHash, SessionEpoch, Timestamp};

use crate::config::Spectators;
use crate::events::EventStream;
use crate::gateway::{ConnId, Gateway};
use crate::inputs::InputQueue;
use crate::limits::{Allowance, INPUTS, LOBBY_TIME_MAX, LOGIN_TIME_MAX, MESSAGES, SPECTATOR_BYTES, SPECTATOR_CELLS_MAX};
use crate::session::{Event, State};
use crate::slab::Key;

/// What a client that comes back knows of its session.
#[derive(Clone, Copy, Debug)]
struct Return {
    /// Last event it holds.
    held: OutSeq,
    /// Where its agent was last.
    shard: Option<ShardId>,
}

impl Gateway {
    /// Take one client's message; nothing happens when its connection is gone already.
    pub(crate) fn answer(&mut self, now: Timestamp, conn: ConnId, message: ClientMessage) {
        let Some(&key) = self.conns.get(&conn) else { return };
        if !self.spend_message(now, key) {
            return;
        }
        let greeting = self.sessions.get(key).is_some_and(|session| session.state == State::Greeting);
        match message {
            ClientMessage::Hello { protocol, registry, client } => self.greet(now, key, protocol, registry, &client),
            _ if greeting => self.send_away(now, key, RefusalCode::NotAllowed, "say Hello first"),
            ClientMessage::Login(credentials) => self.log_in(now, key, credentials),
            ClientMessage::Join { ticket } => self.join(now, key, &ticket),
            ClientMessage::Resume { token, out_ack, shard } => self.resume(now, key, &token, out_ack, shard),
            ClientMessage::Spectate { token, space, cells } => self.spectate(now, key, &token, SpaceId(space), cells),
            ClientMessage::Inputs { inputs, out_ack } => self.take_inputs(now, key, inputs, out_ack),
            ClientMessage::Ping { client_time_us } => {
                self.tell(key, &ServerMessage::Pong { client_time_us, server_time_us: now.0 });
            }
            ClientMessage::Leave => {
                self.detach(key, true);
                self.hang_up(key, None);
                self.forget(key);
            }
        }
    }

    /// Count a message; false when the client had to be sent away.
    fn spend_message(&mut self, now: Timestamp, key: Key) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        session.message_allowance.refill(MESSAGES, now);
        session.message_allowance.take(1);
        if session.message_allowance.is_hopeless(MESSAGES) {
            self.send_away(now, key, RefusalCode::RateLimit, "too many messages");
            return false;
        }
        self.set_paused(now, key);
        true
    }

    fn greet(&mut self, now: Timestamp, key: Key, protocol: u32, registry: RegistryHash, client: &str) {
        if protocol != PROTOCOL_VERSION {
            let text = format!("this cluster speaks protocol {PROTOCOL_VERSION}, {client} speaks {protocol}");
            return self.send_away(now, key, RefusalCode::Protocol, &text);
        }
        if registry != RegistryHash(0) && registry != self.registry_hash {
            let text = format!("this cluster's game has registry {}, {client} was built for {registry}", self.registry_hash);
            return self.send_away(now, key, RefusalCode::Registry, &text);
        }
        if !self.step(key, Event::Greeted, now + LOBBY_TIME_MAX) {
            return self.send_away(now, key, RefusalCode::NotAllowed, "Hello is said once");
        }
        let welcome = ServerMessage::Welcome {
            registry: self.registry_hash,
            cluster: self.config.spec.name.clone(),
            gateway: self.config.node.to_string(),
            tick_hz: self.config.spec.tick_rate.hz(),
            cell_edge_m: pangaea_schemas::geometry::CELL_EDGE_M as u16,
            description: (registry == RegistryHash(0)).then(|| self.config.registry.clone()),
        };
        self.tell(key, &welcome);
    }

    fn log_in(&mut self, now: Timestamp, key: Key, credentials: Credentials) {
        if !self.is_in(key, State::Welcomed) {
            return self.refuse(key, RefusalCode::NotAllowed, "log in before joining, once at a time", 0);
        }
        let request = self.next_request(key);
        self.step(key, Event::LoginSent { request }, now + LOGIN_TIME_MAX);
        self.send(Address::Auth, Message::AuthRequest(AuthRequest::Login { request, credentials }));
    }

    fn join(&mut self, now: Timestamp, key: Key, ticket: &str) {
        match self.config.ticket_key.verify(now, &self.config.spec.name, ticket) {
            Ok(claims) => {
                let epoch = SessionEpoch { login: claims.login, resume: 0 };
                self.enter(now, key, claims, epoch, None);
            }
            Err(error) => {
                let (code, text) = error.for_ticket();
                self.refuse(key, code, &text, 0);
            }
        }
    }

    fn resume(&mut self, now: Timestamp, key: Key, token: &str, out_ack: OutSeq, shard: Option<ShardId>) {
        match self.config.resume_key.open(now, &self.config.spec.name, token) {
            Ok((claims, epoch)) => self.enter(now, key, claims, epoch.resumed(), Some(Return { held: out_ack, shard })),
            Err(error) => {
                let (code, text) = error.for_token();
                self.refuse(key, code, &text, 0);
            }
        }
    }

    /// Into the world. Where a client that comes back says that its agent was last is asked before the directory, which may be
    /// away.
    fn enter(&mut self, now: Timestamp, key: Key, claims: TicketClaims, epoch: SessionEpoch, back: Option<Return>) {
        if !self.is_in(key, State::Welcomed) {
            return self.refuse(key, RefusalCode::NotAllowed, "this connection is in the world already", 0);
        }
        let before = self.agents.get(&claims.agent).copied().filter(|before| *before != key);
        let before_epoch = before.and_then(|before| self.sessions.get(before)).map(|session| session.epoch);
        if before_epoch.is_some_and(|before| before.login > epoch.login) {
            return self.refuse(key, RefusalCode::Replaced, "a newer login of this player is in the world", 0);
        }
        let agent = claims.agent;
        let epoch = before_epoch.filter(|before| *before >= epoch).map_or(epoch, SessionEpoch::resumed);
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.claims = Some(claims);
        session.epoch = epoch;
        session.resumed = back.is_some();
        session.entering = Some(now);
        session.events = EventStream::starting_after(back.map(|back| back.held).unwrap_or_default());
        if session.resumed {
            session.inputs = InputQueue::of_returning_client();
        }
        if let Some(before) = before {
            self.succeed(now, key, before);
        }
        self.agents.insert(agent, key);
        let known = self.sessions.get(key).and_then(|session| session.owner).map(|owner| (owner.shard, owner.node));
        let hinted = || back.and_then(|back| self.routes.owner(back.shard?)).map(|route| (route.shard, route.owner));
        match known.or_else(hinted) {
            Some((shard, node)) => self.attach_at(now, key, shard, node, false),
            None => self.locate(now, key),
        }
    }

    /// A newer session takes over what an older one of the same agent holds here.
    fn succeed(&mut self, now: Timestamp, key: Key, before: Key) {
        let Some(old) = self.sessions.get_mut(before) else { return };
        let owner = old.owner;
        let inputs = std::mem::take(&mut old.inputs);
        old.claims = None;
        if old.conn.is_some() {
            self.send_away(now, before, RefusalCode::Replaced, "this player came in from elsewhere");
        }
        self.forget(before);
        self.set_owner(key, owner);
        let Some(session) = self.sessions.get_mut(key) else { return };
        // Where the agent was seen last is not taken over: it may have been elsewhere for long, at another gateway.
        // A fresh program counts on from what the owner has applied; only a returning one tells the same inputs again.
        if session.resumed {
            session.inputs = inputs.of_client_that_was_elsewhere();
        }
    }

    fn take_inputs(&mut self, now: Timestamp, key: Key, inputs: Vec<ClientInput>, out_ack: OutSeq) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.state.is_in_world() || session.entering.is_some() {
            return self.refuse(key, RefusalCode::NotAllowed, "join before sending inputs", 0);
        }
        session.events.acknowledge(out_ack);
        session.input_allowance.refill(INPUTS, now);
        session.input_allowance.take(inputs.len());
        if session.input_allowance.is_hopeless(INPUTS) {
            return self.send_away(now, key, RefusalCode::RateLimit, "too many inputs");
        }
        self.inputs_in += inputs.len() as u64;
        let gap = inputs.into_iter().find_map(|input| session.inputs.accept(now, input).err());
        self.talking.push(key);
        self.set_paused(now, key);
        if let Some(gap) = gap {
            self.send_away(now, key, RefusalCode::BadMessage, &gap.to_string());
        }
    }

    fn spectate(&mut self, now: Timestamp, key: Key, token: &str, space: SpaceId, cells: [u16; 4]) {
        let allowed = match &self.config.spectators {
            Spectators::Everybody => true,
            Spectators::WithToken(wanted) => constant_time_eq(wanted.as_bytes(), token.as_bytes()),
        };
        let Some(spec) = self.config.spec.space(space).filter(|_| allowed) else {
            let text = if allowed { "there is no such space" } else { "watching needs an admin's token" };
            return self.refuse(key, RefusalCode::NotAllowed, text, 0);
        };
        let edge = spec.edge_cells();
        let [west, north, east, south] = cells.map(|cell| cell.min(edge - 1));
        let count = (usize::from(east.saturating_sub(west)) + 1) * (usize::from(south.saturating_sub(north)) + 1);
        if west > east || north > south || count > SPECTATOR_CELLS_MAX {
            let text = format!("watch a rectangle of 1 to {SPECTATOR_CELLS_MAX} cells");
            return self.refuse(key, RefusalCode::NotAllowed, &text, 0);
        }
        let fresh = self.is_in(key, State::Welcomed);
        if !self.step(key, Event::Watch, now) {
            return self.refuse(key, RefusalCode::NotAllowed, "a connection plays or watches, not both", 0);
        }
        if fresh {
            if let Some(session) = self.sessions.get_mut(key) {
                session.byte_allowance = Allowance::full(SPECTATOR_BYTES, now);
            }
            self.tell(key, &ServerMessage::Watching { space: space.0, space_edge_cells: edge });
        }
        let centre = CellId { space, x: west.midpoint(east), z: north.midpoint(south) };
        let rectangle = (north..=south).flat_map(|z| (west..=east).map(move |x| CellId { space, x, z }));
        self.look_at(key, centre, rectangle);
    }

    /// Move a session's state on; false when that is not allowed.
    pub(crate) fn step(&mut self, key: Key, event: Event, deadline: Timestamp) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let moved = session.step(event);
        if moved {
            session.deadline = deadline;
        }
        moved
    }

    fn is_in(&self, key: Key, state: State) -> bool {
        self.sessions.get(key).is_some_and(|session| session.state == state)
    }
}

/// Comparison whose time does not tell how much of a secret was guessed.
fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
