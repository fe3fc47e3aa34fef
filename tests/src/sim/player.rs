//! A simulated player: logs in as a guest, walks, fights, picks up, comes back after a lost connection, and checks what it sees.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use pangaea_schemas::client::{ClientMessage, Input, PROTOCOL_VERSION, ServerMessage};
use pangaea_schemas::geometry::Position;
use pangaea_schemas::message::Credentials;
use pangaea_schemas::wire::client::{FromServer, decode_server, encode_client};
use pangaea_schemas::wire::update::{Alias, Update};
use pangaea_schemas::{EntityId, InSeq, OutSeq, RegistryHash, Tick, TickRate, Timestamp, TypeId};

/// Most inputs that wait for their acknowledgement; the player stands still meanwhile.
const UNACKED_MAX: usize = 60;
/// The middle of the demo's space, in metres, where players are born.
const MIDDLE_M: f32 = 512.0;
/// How far from it players go, in metres.
const ROAM_M: f32 = 40.0;
/// How far from it they go when they want to meet, in metres.
const MEET_M: f32 = 2.0;
/// No agent is faster, in metres per second.
const SPEED_MAX: f32 = 9.0;
/// A new owner knows positions of this age, in seconds.
const RECORD_AGE: f32 = 1.2;

/// Where a player is in its login.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Offline,
    Greeting,
    WaitingForTicket,
    Joining,
    Playing,
}

/// One player.
#[derive(Debug)]
pub struct Player {
    /// What it calls itself.
    pub name: String,
    stage: Stage,
    rng: Rng,
    token: Option<String>,
    /// When it last heard anything.
    heard: Timestamp,
    /// The own agent, once known.
    pub agent: EntityId,
    next_seq: InSeq,
    applied: InSeq,
    /// Last input told as applied on this connection.
    connected_at: InSeq,
    unacked: Vec<Input>,
    held: OutSeq,
    last_tick: Tick,
    heading: (i8, i8),
    /// Who is seen in which cell, by short name.
    seen: BTreeMap<Alias, (u16, u16, EntityId)>,
    outbox: Vec<Bytes>,
    /// What is wrong with what it saw.
    pub anomalies: Vec<String>,
    /// Updates received.
    pub updates: u64,
    /// Events received.
    pub events: u64,
    /// The scene that runs its agent, as told.
    scene: String,
    /// Trades that were told to be done: with whom, and which scene ran the own agent.
    pub trades: Vec<(EntityId, String)>,
    /// Other players, known by their words.
    heard_of: Vec<EntityId>,
    /// Whose offer is on the table.
    offered: Option<EntityId>,
    /// Inputs applied.
    inputs: u64,
    /// When one was applied last; nothing is waited for before the player is in the world.
    applied_at: Option<Timestamp>,
    /// Where the own agent was last seen, and in which tick.
    seen_at: Option<(Tick, Position)>,
}

impl Player {
    /// A player that has not connected.
    pub fn new(name: String, rng: Rng) -> Self {
        Self {
            name,
            stage: Stage::Offline,
            rng,
            token: None,
            heard: Timestamp(0),
            agent: EntityId::NONE,
            next_seq: InSeq(1),
            applied: InSeq(0),
            connected_at: InSeq(0),
            unacked: Vec::new(),
            held: OutSeq(0),
            last_tick: Tick(0),
            heading: (0, 0),
            seen: BTreeMap::new(),
            outbox: Vec::new(),
            anomalies: Vec::new(),
            updates: 0,
            events: 0,
            scene: String::new(),
            trades: Vec::new(),
            heard_of: Vec::new(),
            offered: None,
            inputs: 0,
            applied_at: None,
            seen_at: None,
        }
    }

    /// Whether it is in the world.
    pub fn is_playing(&self) -> bool {
        self.stage == Stage::Playing
    }

    /// Inputs the world has applied.
    pub fn inputs_applied(&self) -> u64 {
        self.inputs
    }

    /// For how long no input has been applied, of a player that has ever been in the world.
    pub fn idle(&self, now: Timestamp) -> Duration {
        self.applied_at.map_or(Duration::ZERO, |at| now.since(at))
    }

    /// Entities it sees now.
    pub fn sees(&self) -> usize {
        self.seen.len()
    }

    /// The connection is there.
    pub fn connected(&mut self, now: Timestamp) {
        self.stage = Stage::Greeting;
        self.heard = now;
        self.seen.clear();
        let hello = ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(0), client: "sim".to_owned() };
        self.say(&hello);
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.stage = Stage::Offline;
        self.outbox.clear();
    }

    /// Whether it hangs up: it was refused, or hears nothing.
    pub fn has_had_enough(&self, now: Timestamp, patience: Duration) -> bool {
        self.stage == Stage::Offline || now.since(self.heard) >= patience
    }

    /// What it has to say.
    pub fn take_outbox(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.outbox)
    }

    /// Its turn: one input, if it plays.
    pub fn turn(&mut self) {
        if self.stage != Stage::Playing || self.unacked.len() >= UNACKED_MAX {
            return;
        }
        if self.rng.u32(..40) == 0 {
            self.heading = self.heading_for_the_middle();
        }
        let input = match self.rng.u32(..30) {
            0 => self.on_someone("attack"),
            1 => self.on_someone("pick_up"),
            2 => Some(chat(self.rng.u8(..2))),
            3 => self.gold_to_someone("pay", &[1]),
            4 | 5 => self.gold_to_someone("trade_offer", &[2, 0, 1, 0]),
            _ => self.offered.take().map(|from| (TypeId::of("trade_accept"), words(&[from.0]))),
        };
        let (id, bytes) = input.unwrap_or_else(|| {
            let step = [self.heading.0.to_le_bytes()[0], self.heading.1.to_le_bytes()[0]];
            (TypeId::of("move"), Bytes::copy_from_slice(&step))
        });
        let input = Input { seq: self.next_seq, id, bytes };
        self.next_seq = self.next_seq.next();
        self.unacked.push(input.clone());
        self.say(&ClientMessage::Inputs { inputs: vec![input], out_ack: self.held });
    }

    /// Where four shards meet, so that borders are crossed all the time.
    fn heading_for_the_middle(&mut self) -> (i8, i8) {
        let Some((_, position)) = self.seen_at else { return (0, 0) };
        // Now and then they meet at the very corner, so close that they can trade.
        let roam = if self.rng.bool() { MEET_M } else { ROAM_M };
        let mut near = || MIDDLE_M + (self.rng.f32() - 0.5) * 2.0 * roam;
        let (x, z) = (near() - position.x, near() - position.z);
        let length = x.hypot(z).max(1.0);
        ((x / length * 127.0) as i8, (z / length * 127.0) as i8)
    }

    fn on_someone(&mut self, what: &str) -> Option<(TypeId, Bytes)> {
        let seen: Vec<EntityId> = self.seen.values().map(|(_, _, entity)| *entity).filter(|e| *e != self.agent).collect();
        let whom = seen.get(self.rng.usize(..seen.len().max(1)))?;
        Some((TypeId::of(what), Bytes::copy_from_slice(&whom.0.to_le_bytes())))
    }

    /// An input whose first word is another player.
    fn gold_to_someone(&mut self, what: &str, words_after: &[u64]) -> Option<(TypeId, Bytes)> {
        let whom = self.heard_of.get(self.rng.usize(..self.heard_of.len().max(1)))?;
        Some((TypeId::of(what), words(&[&[whom.0], words_after].concat())))
    }

    fn hear_event(&mut self, id: TypeId, bytes: &[u8]) {
        let word = |at: usize| bytes.get(at * 8..at * 8 + 8).and_then(|word| word.try_into().ok()).map(u64::from_le_bytes);
        let from = EntityId(word(0).unwrap_or_default());
        if id == TypeId::of("said") && from != self.agent && !self.heard_of.contains(&from) {
            self.heard_of.push(from);
        } else if id == TypeId::of("trade_offered") {
            self.offered = Some(from);
        } else if id == TypeId::of("trade_ended") && word(1) == Some(0) {
            self.trades.push((from, self.scene.clone()));
        }
    }

    fn say(&mut self, message: &ClientMessage) {
        self.outbox.push(encode_client(message));
    }

    /// The gateway says something.
    pub fn hear(&mut self, now: Timestamp, bytes: &Bytes) {
        self.heard = now;
        match decode_server(bytes) {
            Ok(FromServer::Message(message)) => self.hear_message(message),
            Ok(FromServer::Update(update)) => self.hear_update(&update),
            Err(error) => self.anomalies.push(format!("undecodable: {error}")),
        }
    }

    fn hear_message(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Welcome { .. } => match self.token.clone() {
                Some(token) => {
                    self.stage = Stage::Joining;
                    self.say(&ClientMessage::Resume { token, out_ack: self.held });
                }
                None => {
                    self.stage = Stage::WaitingForTicket;
                    let name = self.name.clone();
                    self.say(&ClientMessage::Login(Credentials::Guest { name }));
                }
            },
            ServerMessage::Ticket { ticket, agent, .. } => {
                self.agent = agent;
                self.stage = Stage::Joining;
                self.say(&ClientMessage::Join { ticket });
            }
            ServerMessage::Joined { agent, token, resumed, in_seq, out_seq, .. } => {
                if !resumed {
                    (self.held, self.next_seq, self.applied) = (out_seq, in_seq.next(), in_seq);
                    self.unacked.clear();
                }
                self.joined(agent, token, in_seq);
            }
            ServerMessage::Events { events, resync } => {
                for event in events {
                    if event.seq != self.held.next() && !resync {
                        self.anomalies.push(format!("event {} after {}", event.seq.0, self.held.0));
                    }
                    self.held = event.seq;
                    self.events += 1;
                    self.hear_event(event.id, &event.bytes);
                }
            }
            ServerMessage::Refused { retry_after_ms: 0, code, text } => self.anomalies.push(format!("refused: {code:?} {text}")),
            // A login that must wait is tried again over a new connection.
            ServerMessage::Refused { .. } | ServerMessage::Goodbye { .. } => self.stage = Stage::Offline,
            ServerMessage::Routed { scene, .. } => self.scene = scene,
            ServerMessage::Watching { .. } | ServerMessage::Pong { .. } => {}
        }
    }

    fn joined(&mut self, agent: EntityId, token: String, in_seq: InSeq) {
        if agent != self.agent {
            self.anomalies.push(format!("joined as {agent} instead of {}", self.agent));
        }
        if in_seq >= self.next_seq {
            self.anomalies.push(format!("joined at input {} after {} of {}", in_seq.0, self.applied.0, self.next_seq.0));
        }
        // A gateway and an owner that die together know the client's inputs only as far as they were journaled.
        self.connected_at = in_seq;
        self.stage = Stage::Playing;
        self.token = Some(token);
        self.acknowledge(in_seq);
        if !self.unacked.is_empty() {
            let inputs = self.unacked.clone();
            self.say(&ClientMessage::Inputs { inputs, out_ack: self.held });
        }
    }

    fn acknowledge(&mut self, upto: InSeq) {
        self.inputs += u64::from(upto.0.saturating_sub(self.applied.0));
        self.applied = self.applied.max(upto);
        self.unacked.retain(|input| input.seq > upto);
    }

    /// The own agent never jumps; after the loss of its owner it may stand where it stood a second ago.
    fn see_oneself(&mut self, tick: Tick, position: Position) {
        if let Some((before, from)) = self.seen_at.replace((tick, position)) {
            let way = (position.x - from.x).hypot(position.z - from.z);
            let seconds = tick.since(before) as f32 * TickRate::DEFAULT.seconds_per_tick();
            if way > SPEED_MAX * (seconds + RECORD_AGE) {
                self.anomalies.push(format!("jumps {way:.1} m within {seconds:.2} s at {tick}"));
            }
        }
    }

    fn hear_update(&mut self, update: &Update) {
        self.updates += 1;
        let head = &update.head;
        if head.tick < self.last_tick {
            self.anomalies.push(format!("tick {} after {}", head.tick, self.last_tick));
        }
        self.last_tick = head.tick;
        if head.in_seq >= self.next_seq || head.in_seq < self.connected_at {
            self.anomalies.push(format!("input {} applied after {} of {}", head.in_seq.0, self.applied.0, self.next_seq.0));
        }
        self.see_oneself(head.tick, head.position);
        if head.in_seq > self.applied {
            self.applied_at = Some(self.heard);
        }
        self.connected_at = head.in_seq;
        self.acknowledge(head.in_seq);
        for &(x, z) in &update.gone {
            self.seen.retain(|_, at| (at.0, at.1) != (x, z));
        }
        for cell in &update.cells {
            if cell.snapshot {
                let kept: Vec<Alias> = cell.entered.iter().map(|(_, alias)| *alias).collect();
                self.seen.retain(|alias, at| (at.0, at.1) != (cell.x, cell.z) || kept.contains(alias));
            }
            for alias in &cell.left {
                let here = self.seen.get(alias).is_some_and(|at| (at.0, at.1) == (cell.x, cell.z));
                if here {
                    self.seen.remove(alias);
                }
            }
            for (entity, alias) in &cell.entered {
                let twin = self.seen.iter().find(|(other, at)| *other != alias && at.2 == *entity);
                if let Some((other, _)) = twin {
                    self.anomalies.push(format!("{entity} twice: as {} and {}", other.0, alias.0));
                }
                self.seen.insert(*alias, (cell.x, cell.z, *entity));
            }
            for moved in &cell.moved {
                if !self.seen.contains_key(&moved.alias) {
                    self.anomalies.push(format!("alias {} moves but is not here", moved.alias.0));
                }
            }
        }
    }
}

fn words(words: &[u64]) -> Bytes {
    words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>().into()
}

fn chat(channel: u8) -> (TypeId, Bytes) {
    let mut bytes = vec![0; 161];
    bytes[0] = channel;
    bytes[1..6].copy_from_slice(b"hello");
    (TypeId::of("chat"), bytes.into())
}
