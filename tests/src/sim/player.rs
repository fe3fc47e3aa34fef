//! A simulated player: logs in as a guest, walks, rides, fights, trades, pays, picks up and lays down, comes back after a lost
//! connection, and checks what it is told.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use pangaea_schemas::client::{ClientMessage, Input, PROTOCOL_VERSION, RefusalCode, ServerMessage};
use pangaea_schemas::geometry::{Position, ShardId};
use pangaea_schemas::message::Credentials;
use pangaea_schemas::record::ReliableEvent;
use pangaea_schemas::wire::client::{FromServer, decode_server, encode_client};
use pangaea_schemas::wire::update::Update;
use pangaea_schemas::{AgentEpoch, EntityId, InSeq, OutSeq, RegistryHash, Timestamp, TypeId};

use super::sight::{Kind, Sight};

/// Most inputs that wait for their acknowledgement; the player stands still meanwhile.
const UNACKED_MAX: usize = 60;
/// How far from the middle of the map players go, in metres.
const ROAM_M: f32 = 40.0;
/// Near enough to the middle to be in reach of each other there, in metres.
const MARKET_M: f32 = 2.0;
/// Inputs after which a player that knows the curse says it.
const CURSE_AFTER: u64 = 100;
/// How near somebody must be to be given or traded something, in metres.
const ARM_M: f32 = 4.0;

/// Where a player is in its login.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Offline,
    Greeting,
    WaitingForTicket,
    Joining,
    Playing,
}

/// What a player was last told that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Gold.
    pub gold: u64,
    /// How many items; not all are told by name.
    pub count: u64,
    /// Those told by name.
    pub items: BTreeSet<EntityId>,
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
    heading: (i8, i8),
    /// Where everybody meets.
    middle: Position,
    /// What it sees.
    pub sight: Sight,
    /// What it has, once it has been told.
    pub belongings: Option<Belongings>,
    /// Who offered a trade that it has not answered.
    offered: Option<EntityId>,
    /// Its owner's epoch, as last told over this connection.
    routed: AgentEpoch,
    /// It says the word that ends a process, once.
    curses: bool,
    /// It was told that its agent is parked.
    parked: bool,
    /// It stands still and wants nothing any more.
    resting: bool,
    outbox: Vec<Bytes>,
    /// What is wrong with what it saw.
    pub anomalies: Vec<String>,
    /// Updates received.
    pub updates: u64,
    /// The scene that runs its agent, as told.
    scene: String,
    /// Where its agent is, as last told.
    shard: Option<ShardId>,
    /// Trades that were told to be done: with whom, and which scene ran the own agent.
    pub trades: Vec<(EntityId, String)>,
    /// Inputs applied.
    inputs: u64,
    /// When one was applied last; nothing is waited for before the player is in the world.
    applied_at: Option<Timestamp>,
}

impl Player {
    /// A player that has not connected; `middle` is where players meet.
    pub fn new(name: String, rng: Rng, middle: Position) -> Self {
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
            heading: (0, 0),
            middle,
            sight: Sight::default(),
            belongings: None,
            offered: None,
            routed: AgentEpoch::ZERO,
            curses: false,
            parked: false,
            resting: false,
            outbox: Vec::new(),
            anomalies: Vec::new(),
            updates: 0,
            scene: String::new(),
            shard: None,
            trades: Vec::new(),
            inputs: 0,
            applied_at: None,
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

    /// From now on it stands still and wants nothing, so that the world comes to rest.
    pub fn rest(&mut self) {
        self.resting = true;
    }

    /// It will say the word that ends a process.
    pub fn find_the_curse(&mut self) {
        self.curses = true;
    }

    /// Whether it was told that its agent is parked, and has not come in since.
    pub fn is_parked(&self) -> bool {
        self.parked
    }

    /// The connection is there.
    pub fn connected(&mut self, now: Timestamp) {
        self.stage = Stage::Greeting;
        self.heard = now;
        self.routed = AgentEpoch::ZERO;
        self.sight.start_over();
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

    /// Its turn: one input, if it plays. `agents` are all players'.
    pub fn turn(&mut self, agents: &[EntityId]) {
        if self.stage != Stage::Playing || self.unacked.len() >= UNACKED_MAX {
            return;
        }
        let curse = (self.curses && self.inputs >= CURSE_AFTER).then(|| about("curse", EntityId::NONE));
        self.curses &= curse.is_none();
        let wish = curse.or_else(|| if self.resting { None } else { self.wish(agents) });
        let (id, bytes) = wish.unwrap_or_else(|| {
            let (dx, dz) = if self.resting { (0, 0) } else { self.heading };
            (TypeId::of("move"), vec![dx as u8, dz as u8])
        });
        let input = Input { seq: self.next_seq, id, bytes: bytes.into() };
        self.next_seq = self.next_seq.next();
        self.unacked.push(input.clone());
        self.say(&ClientMessage::Inputs { inputs: vec![input], out_ack: self.held });
    }

    /// Something else than to walk on.
    fn wish(&mut self, agents: &[EntityId]) -> Option<(TypeId, Vec<u8>)> {
        if self.rng.u32(..40) == 0 {
            self.heading = self.next_heading();
        }
        if let Some(from) = self.offered.take() {
            return Some((TypeId::of("trade_accept"), words(&[from.0])));
        }
        match self.rng.u32(..40) {
            0 => self.one_of(|sight| sight.of(Kind::Somebody).map(|d| d.entity).collect()).map(|e| about("attack", e)),
            1 | 2 => self.one_of(|sight| sight.of(Kind::Item).map(|d| d.entity).collect()).map(|e| about("pick_up", e)),
            3 => Some(chat(self.rng.u8(..2))),
            4 => {
                let item = self.belongings.as_ref()?.items.first().copied()?;
                (self.rng.u32(..3) == 0).then(|| about("drop", item))
            }
            5 => {
                let to = self.partner(agents)?;
                Some((TypeId::of("pay"), words(&[to.0, self.rng.u64(1..5)])))
            }
            6 | 7 => {
                let to = self.partner(agents)?;
                let item = self.belongings.as_ref()?.items.first().map_or(0, |item| item.0);
                let (give, want) = (self.rng.u64(0..4), self.rng.u64(0..4));
                Some((TypeId::of("trade_offer"), words(&[to.0, give, item, want, 0])))
            }
            8 => self.horse().map(|horse| about("ride", horse)),
            9 => (self.rng.u32(..4) == 0).then(|| about("ride", EntityId::NONE)),
            _ => None,
        }
    }

    /// A horse within reach.
    fn horse(&self) -> Option<EntityId> {
        let own = self.sight.position()?;
        let near = |at: Position| (at.x - own.x).hypot(at.z - own.z) < ARM_M;
        self.sight.of(Kind::Horse).find(|horse| near(horse.position)).map(|horse| horse.entity)
    }

    /// Another player within reach.
    fn partner(&mut self, agents: &[EntityId]) -> Option<EntityId> {
        let own = self.sight.position()?;
        let near = |at: Position| (at.x - own.x).hypot(at.z - own.z) < ARM_M;
        self.one_of(|sight| {
            let people = sight.drawn().filter(|d| near(d.position) && agents.contains(&d.entity));
            people.map(|d| d.entity).collect()
        })
    }

    fn one_of(&mut self, choose: impl Fn(&Sight) -> Vec<EntityId>) -> Option<EntityId> {
        let others: Vec<EntityId> = choose(&self.sight).into_iter().filter(|entity| *entity != self.agent).collect();
        others.get(self.rng.usize(..others.len().max(1))).copied()
    }

    /// To where four shards meet, so that borders are crossed all the time, and now and then to the very middle, to do business;
    /// or to something that lies about or can be ridden.
    fn next_heading(&mut self) -> (i8, i8) {
        let Some(from) = self.sight.position() else { return (0, 0) };
        let radius = if self.rng.u32(..3) == 0 { MARKET_M } else { ROAM_M };
        let things = self.sight.drawn().filter(|drawn| drawn.kind != Kind::Somebody);
        let things: Vec<Position> = things.map(|drawn| drawn.position).collect();
        let thing = things.get(self.rng.usize(..things.len().max(1))).copied().filter(|_| self.rng.u32(..4) == 0);
        let near = |rng: &mut Rng, middle: f32| middle + (rng.f32() - 0.5) * 2.0 * radius;
        let anywhere = Position { x: near(&mut self.rng, self.middle.x), z: near(&mut self.rng, self.middle.z) };
        let to = thing.unwrap_or(anywhere);
        let (x, z) = (to.x - from.x, to.z - from.z);
        let length = x.hypot(z).max(1.0);
        ((x / length * 127.0) as i8, (z / length * 127.0) as i8)
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
                    self.say(&ClientMessage::Resume { token, out_ack: self.held, shard: self.shard });
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
                    if event.seq != self.held.next() && !resync || event.seq <= self.held {
                        self.anomalies.push(format!("event {} after {}", event.seq.0, self.held.0));
                    }
                    self.held = event.seq;
                    self.hear_event(&event);
                }
            }
            ServerMessage::Refused { retry_after_ms: 0, code, text } => self.anomalies.push(format!("refused: {code:?} {text}")),
            ServerMessage::Goodbye { code: RefusalCode::NotAllowed, text, .. } if text.contains("parked") => {
                // What is not acknowledged is given up: it may be what did it.
                (self.stage, self.parked, self.next_seq) = (Stage::Offline, true, self.applied.next());
                self.unacked.clear();
            }
            // A login that must wait is tried again over a new connection.
            ServerMessage::Refused { .. } | ServerMessage::Goodbye { .. } => self.stage = Stage::Offline,
            ServerMessage::Routed { shard, scene, epoch } => {
                if epoch < self.routed {
                    self.anomalies.push(format!("is led back from its owner under {} to one under {epoch}", self.routed));
                }
                (self.shard, self.scene, self.routed) = (shard.parse().ok(), scene, epoch);
            }
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
        self.parked = false;
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

    fn hear_event(&mut self, event: &ReliableEvent) {
        let (numbers, _) = event.bytes.as_chunks::<8>();
        let number = |at: usize| numbers.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        if event.id == TypeId::of("holdings") {
            let (gold, count) = (number(1), number(2));
            let items = (3..3 + count.min(16) as usize).map(|at| EntityId(number(at))).collect();
            self.belongings = Some(Belongings { gold, count, items });
        } else if event.id == TypeId::of("trade_offered") {
            self.offered = Some(EntityId(number(0)));
        } else if event.id == TypeId::of("trade_ended") && number(1) == 0 {
            self.trades.push((EntityId(number(0)), self.scene.clone()));
        }
    }

    fn hear_update(&mut self, update: &Update) {
        self.updates += 1;
        let in_seq = update.head.in_seq;
        if update.head.applied >= self.next_seq {
            self.anomalies.push(format!("input {} is shown before it was made", update.head.applied.0));
        }
        if in_seq >= self.next_seq || in_seq < self.connected_at {
            self.anomalies.push(format!("input {} applied after {} of {}", in_seq.0, self.applied.0, self.next_seq.0));
        }
        if in_seq > self.applied {
            self.applied_at = Some(self.heard);
        }
        self.connected_at = in_seq;
        self.acknowledge(in_seq);
        self.sight.see(update, &mut self.anomalies);
    }
}

fn about(what: &str, whom: EntityId) -> (TypeId, Vec<u8>) {
    (TypeId::of(what), words(&[whom.0]))
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn chat(channel: u8) -> (TypeId, Vec<u8>) {
    let mut bytes = vec![0; 161];
    bytes[0] = channel;
    bytes[1..6].copy_from_slice(b"hello");
    (TypeId::of("chat"), bytes)
}
