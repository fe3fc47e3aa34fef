//! The core: inputs from the driver, outputs to it, and the clients between.
//!
//! [`crate::clients`] answers clients, [`crate::nodes`] answers nodes, [`crate::upkeep`] does what time asks for. Everything here
//! is bookkeeping they share.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use pangaea_schemas::client::{ClientMessage, RefusalCode, ServerMessage};
use pangaea_schemas::message::{Address, Envelope, GatewayReport, Message, Session as SessionMessage};
use pangaea_schemas::wire::client::encode_server;
use pangaea_schemas::{EntityId, NodeId, RegistryHash, RequestId, Tick, Timestamp};
use rustc_hash::FxHashMap;

use crate::cells::CellStore;
use crate::compose::Composer;
use crate::config::GatewayConfig;
use crate::drain::Drain;
use crate::feeds::Feeds;
use crate::limits::{GREETING_TIME_MAX, LOST_TIME_MAX};
use crate::routes::Routes;
use crate::session::{Event, Owner, Session, State};
use crate::slab::{Key, Slab};

/// How far into a tick its updates are composed: scenes tick at its start, and what they tell should not wait for the next one.
const COMPOSE_AFTER_PERCENT: u32 = 40;

/// When a client that was sent away may try again, in milliseconds.
const RETRY_AFTER_MS: u32 = 2_000;

/// Whether the reason may have gone by itself after [`RETRY_AFTER_MS`].
fn may_try_again(code: RefusalCode) -> bool {
    use RefusalCode::{Draining, Full, RateLimit, TooSlow, Unavailable};
    matches!(code, Full | Draining | Unavailable | RateLimit | TooSlow)
}

/// One client connection, named by the driver; a name is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What a client's connection runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Length-prefixed frames.
    Tcp,
    /// One binary message each.
    WebSocket,
}

/// What happens to a gateway.
#[derive(Clone, Debug)]
pub enum Input {
    /// A node says something.
    Node {
        /// Who.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// The link to a node is up, for the first time or again: what was under way on the old one is lost.
    LinkUp {
        /// Whose.
        node: NodeId,
    },
    /// A client connected.
    Opened {
        /// Its connection.
        conn: ConnId,
        /// What it runs on.
        transport: Transport,
    },
    /// A client says something.
    Client {
        /// Its connection.
        conn: ConnId,
        /// What.
        message: ClientMessage,
    },
    /// A client sent bytes that are not the protocol.
    Malformed {
        /// Its connection.
        conn: ConnId,
        /// What is wrong with them, in words.
        reason: String,
    },
    /// The connection is gone.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// How many bytes the connection's socket has not taken yet; to be told once per tick, when it is or was not zero.
    Queued {
        /// Which.
        conn: ConnId,
        /// Unsent bytes.
        bytes: usize,
    },
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Tell a node.
    Send(Envelope),
    /// Tell a client: one FlatBuffer, unframed.
    ToClient {
        /// Its connection.
        conn: ConnId,
        /// The message.
        bytes: Bytes,
    },
    /// Close the connection once what was said before is sent, at most a second later. No `Closed` is expected.
    Close {
        /// Which.
        conn: ConnId,
        /// Why the client is sent away; `None`: it logged out.
        why: Option<RefusalCode>,
    },
    /// Read no more from the connection for now.
    PauseReading {
        /// Which.
        conn: ConnId,
    },
    /// Read on.
    ResumeReading {
        /// Which.
        conn: ConnId,
    },
}

/// The client edge.
pub struct Gateway {
    pub(crate) config: GatewayConfig,
    pub(crate) registry_hash: RegistryHash,
    pub(crate) sessions: Slab<Session>,
    /// Looked up for each message; never iterated.
    pub(crate) conns: FxHashMap<ConnId, Key>,
    /// Looked up for each input and each tick's news; never iterated but in order.
    pub(crate) agents: FxHashMap<EntityId, Key>,
    pub(crate) requests: BTreeMap<RequestId, Key>,
    pub(crate) routes: Routes,
    pub(crate) feeds: Feeds,
    pub(crate) cells: CellStore,
    /// Sessions with something for their owner.
    pub(crate) talking: Vec<Key>,
    /// Its clients are sent elsewhere.
    pub(crate) draining: Option<Drain>,
    /// The latest `now` that was told.
    pub(crate) now: Timestamp,
    pub(crate) tick: Tick,
    pub(crate) reported: Timestamp,
    pub(crate) watched: Option<Timestamp>,
    pub(crate) composer: Composer,
    last_request: RequestId,
    outputs: VecDeque<Output>,
    bytes_out: u64,
    pub(crate) inputs_in: u64,
}

impl Gateway {
    /// A gateway without clients.
    pub fn new(config: GatewayConfig) -> Self {
        Self {
            registry_hash: config.registry_hash(),
            cells: CellStore::new(config.spec.tick_rate, config.registry.components.iter().map(|info| info.id)),
            config,
            sessions: Slab::default(),
            conns: FxHashMap::default(),
            agents: FxHashMap::default(),
            requests: BTreeMap::new(),
            routes: Routes::default(),
            feeds: Feeds::default(),
            talking: Vec::new(),
            draining: None,
            now: Timestamp::default(),
            tick: Tick(0),
            reported: Timestamp::default(),
            watched: None,
            composer: Composer::default(),
            last_request: RequestId(0),
            outputs: VecDeque::new(),
            bytes_out: 0,
            inputs_in: 0,
        }
    }

    /// Take one input.
    pub fn handle(&mut self, now: Timestamp, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Node { from, message } => self.hear(now, from, message),
            Input::LinkUp { node } => self.relink(now, node),
            Input::Opened { conn, transport } => self.open(now, conn, transport),
            Input::Client { conn, message } => self.answer(now, conn, message),
            Input::Malformed { conn, reason } => {
                if let Some(&key) = self.conns.get(&conn) {
                    self.send_away(now, key, RefusalCode::BadMessage, &reason);
                }
            }
            Input::Closed { conn } => {
                if let Some(&key) = self.conns.get(&conn) {
                    self.disconnect(now, key);
                }
            }
            Input::Queued { conn, bytes } => {
                let key = self.conns.get(&conn).copied();
                if let Some(session) = key.and_then(|key| self.sessions.get_mut(key)) {
                    session.queue.told(bytes);
                }
            }
        }
    }

    /// The next output; drain until `None`. Handling several inputs between two drains makes fewer, larger messages to owners.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.tell_owners();
        }
        self.outputs.pop_front()
    }

    /// When `tick` is to be called next, and why.
    pub fn poll_timeout(&self) -> Option<(Timestamp, &'static str)> {
        let rate = self.config.spec.tick_rate;
        let composes = rate.start_of(self.tick.next()) + rate.interval() * COMPOSE_AFTER_PERCENT / 100;
        Some((composes, "compose the tick's updates"))
    }

    /// The gateway's numbers.
    pub fn report(&self) -> GatewayReport {
        GatewayReport {
            connections: self.conns.len() as u32,
            sessions: self.sessions.len() as u32,
            bytes_out: self.bytes_out,
            inputs: self.inputs_in,
            draining: self.draining.is_some(),
        }
    }

    fn open(&mut self, now: Timestamp, conn: ConnId, transport: Transport) {
        let session = Session::opened(now, conn, transport, now + GREETING_TIME_MAX);
        let key = self.sessions.insert(session);
        self.conns.insert(conn, key);
        if self.draining.is_some() {
            self.send_away(now, key, RefusalCode::Draining, "this gateway is going away");
        } else if self.conns.len() > self.config.connections_max {
            self.send_away(now, key, RefusalCode::Full, "this gateway has no room for another client");
        }
    }

    /// A request of the session's, in place of the one it waits for.
    pub(crate) fn next_request(&mut self, key: Key) -> RequestId {
        if let Some(old) = self.sessions.get(key).and_then(|session| session.state.request()) {
            self.requests.remove(&old);
        }
        self.last_request = RequestId(self.last_request.0 + 1);
        self.requests.insert(self.last_request, key);
        self.last_request
    }

    pub(crate) fn send(&mut self, to: Address, message: Message) {
        self.outputs.push_back(Output::Send(Envelope { to, message }));
    }

    pub(crate) fn send_session(&mut self, to: NodeId, message: SessionMessage) {
        self.send(Address::Node(to), Message::Session(message));
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Tell a client; nothing happens when it is not connected.
    pub(crate) fn tell(&mut self, key: Key, message: &ServerMessage) {
        self.tell_bytes(key, encode_server(message));
    }

    pub(crate) fn tell_bytes(&mut self, key: Key, bytes: Bytes) {
        let Some(conn) = self.sessions.get(key).and_then(|session| session.conn) else { return };
        self.bytes_out += bytes.len() as u64;
        self.outputs.push_back(Output::ToClient { conn, bytes });
    }

    /// Not that; the connection stays.
    pub(crate) fn refuse(&mut self, key: Key, code: RefusalCode, text: &str, retry_after_ms: u32) {
        self.tell(key, &ServerMessage::Refused { code, text: text.to_owned(), retry_after_ms });
    }

    /// The last words to a client, then the end of its connection; a session in the world may be resumed.
    pub(crate) fn send_away(&mut self, now: Timestamp, key: Key, code: RefusalCode, text: &str) {
        let Some(session) = self.sessions.get(key) else { return };
        match &session.claims {
            Some(claims) if code != RefusalCode::Draining => {
                tracing::info!(agent = %claims.agent, code = code.name(), text, "a player is sent away");
            }
            _ => tracing::debug!(conn = ?session.conn, code = code.name(), text, "a client is sent away"),
        }
        let reconnect_to = self.place_elsewhere(session.transport, code);
        let retry_after_ms = if may_try_again(code) && reconnect_to.is_empty() { RETRY_AFTER_MS } else { 0 };
        self.tell(key, &ServerMessage::Goodbye { code, text: text.to_owned(), reconnect_to, retry_after_ms });
        self.hang_up(key, Some(code));
        self.disconnect(now, key);
    }

    /// Close the connection from this side.
    pub(crate) fn hang_up(&mut self, key: Key, why: Option<RefusalCode>) {
        if let Some(conn) = self.sessions.get(key).and_then(|session| session.conn) {
            self.output(Output::Close { conn, why });
        }
    }

    /// The connection is gone: keep the session if it is in the world, else forget it.
    pub(crate) fn disconnect(&mut self, now: Timestamp, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(conn) = session.conn.take() {
            self.conns.remove(&conn);
        }
        session.step(Event::Disconnected);
        session.deadline = now + LOST_TIME_MAX;
        session.paused = false;
        if session.state == State::Lost {
            self.look_away(key);
            self.detach(key, false);
        } else {
            self.forget(key);
        }
    }

    /// The session is over: nothing of it stays.
    pub(crate) fn forget(&mut self, key: Key) {
        self.look_away(key);
        self.set_owner(key, None);
        let Some(mut session) = self.sessions.remove(key) else { return };
        if let Some(request) = session.state.request() {
            self.requests.remove(&request);
        }
        session.step(Event::Ended);
        if let Some(conn) = session.conn {
            self.conns.remove(&conn);
        }
        if let Some(agent) = session.claims.map(|claims| claims.agent).filter(|agent| self.agents.get(agent) == Some(&key)) {
            self.agents.remove(&agent);
        }
    }

    /// Tell the owner that the client went away.
    pub(crate) fn detach(&mut self, key: Key, asleep: bool) {
        let Some(session) = self.sessions.get(key) else { return };
        let Some(claims) = &session.claims else { return };
        let (agent, epoch) = (claims.agent, session.epoch);
        let place = session.owner.map(|owner| (owner.node, owner.shard));
        if let Some((node, shard)) = place {
            self.send_session(node, SessionMessage::Detach { shard, agent, session: epoch, asleep });
        }
    }

    /// The client no longer looks at anything.
    pub(crate) fn look_away(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        for cell in session.view.close() {
            self.cells.unfollow(cell);
        }
    }

    /// Another owner runs the agent, or none that is known.
    pub(crate) fn set_owner(&mut self, key: Key, owner: Option<Owner>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let before = std::mem::replace(&mut session.owner, owner);
        let (old, new) = (before.map(|owner| owner.shard), owner.map(|owner| owner.shard));
        if old == new {
            return;
        }
        if let Some(shard) = new {
            self.feeds.host(&self.routes, shard);
        }
        if let Some(shard) = old {
            self.feeds.unhost(shard);
        }
    }
}
