//! The stage: one gateway, a hand-wound clock, and everything it said so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pangaea_gateway::ticket::{ResumeKey, TicketKey};
use pangaea_gateway::{ConnId, Gateway, GatewayConfig, Input, Output, Transport};
use pangaea_schemas::client::{ClientMessage, Input as ClientInput, PROTOCOL_VERSION, RefusalCode, ServerMessage};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{CellId, Position, ShardId, SpaceId};
use pangaea_schemas::message::{
    Address, AgentFeed, BeaconEntry, BeaconReply, CellFeed, Directory, Envelope, Feed, FeedFrame, Location, Message, Session,
    ShardRoute,
};
use pangaea_schemas::registry::{Registry, TypeInfo};
use pangaea_schemas::ticket::{TicketClaims, footer};
use pangaea_schemas::wire::client::{FromServer, decode_server};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::wire::update::Update;
use pangaea_schemas::{
    AccountId, AgentEpoch, EntityId, InSeq, NodeId, Nonce, OutSeq, RegistryHash, RequestId, Revision, Role, SessionEpoch,
    ShardEpoch, Tick, Timestamp, TypeId,
};
use pasetors::keys::{AsymmetricKeyPair, Generate};
use pasetors::version4::{PublicToken, V4};

pub(crate) const ANA: EntityId = EntityId(1_001);
pub(crate) const BEN: EntityId = EntityId(1_002);
pub(crate) const WORLD: NodeId = NodeId::new(Role::World, 1);
pub(crate) const GATEWAY: NodeId = NodeId::new(Role::Gateway, 1);
const NOON: Timestamp = Timestamp(1_900_000_000_000_000);

/// A gateway and its surroundings.
pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) now: Timestamp,
    keys: AsymmetricKeyPair<V4>,
    sent: Vec<Envelope>,
    heard: BTreeMap<ConnId, Vec<FromServer>>,
    pub(crate) closed: Vec<ConnId>,
    pub(crate) paused: Vec<ConnId>,
    conns: u64,
    seqs: BTreeMap<ShardId, u32>,
}

pub(crate) fn scene(ordinal: u16) -> NodeId {
    NodeId::new(Role::Scene, ordinal)
}

/// A shard of the demo world: 4 × 4 of them, 8 × 8 cells each.
pub(crate) fn shard(x: u16, z: u16) -> ShardId {
    ShardId { space: SpaceId(0), level: 3, x, z }
}

pub(crate) fn cell(x: u16, z: u16) -> CellId {
    CellId { space: SpaceId(0), x, z }
}

/// The middle of a cell.
pub(crate) fn middle_of(cell: CellId) -> Position {
    let corner = cell.corner();
    Position { x: corner.x + 16.0, z: corner.z + 16.0 }
}

pub(crate) fn login(count: u32) -> SessionEpoch {
    SessionEpoch { login: count, resume: 0 }
}

/// What clients are told of: one component.
pub(crate) fn game() -> Registry {
    let colour = TypeInfo { id: TypeId(1), name: "colour".to_owned(), size: 1, fields: Vec::new() };
    Registry { components: vec![colour], ..Registry::default() }
}

impl Stage {
    /// Scene 1 runs the western half of the demo world, scene 2 the eastern.
    pub(crate) fn new() -> Self {
        let mut stage = Self::bare();
        for x in 0..4 {
            for z in 0..4 {
                stage.route(shard(x, z), 1 + x / 2, 1);
            }
        }
        stage
    }

    /// Nobody runs anything yet.
    pub(crate) fn bare() -> Self {
        let keys = AsymmetricKeyPair::<V4>::generate().expect("random bytes");
        let ticket_key = TicketKey::new(keys.public.as_bytes()).expect("32 bytes");
        let resume_key = ResumeKey::new(&[9; 32]).expect("32 bytes");
        let config = GatewayConfig::new(GATEWAY, ClusterSpec::demo(), game(), ticket_key, resume_key);
        let mut stage = Self {
            gateway: Gateway::new(config),
            now: NOON,
            keys,
            sent: Vec::new(),
            heard: BTreeMap::new(),
            closed: Vec::new(),
            paused: Vec::new(),
            conns: 0,
            seqs: BTreeMap::new(),
        };
        stage.tick();
        stage
    }

    pub(crate) fn handle(&mut self, input: Input) {
        self.gateway.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Send(envelope) => self.sent.push(envelope),
                Output::ToClient { conn, bytes } => {
                    let message = decode_server(&bytes).expect("the gateway speaks its protocol");
                    self.heard.entry(conn).or_default().push(message);
                }
                Output::Close { conn, .. } => self.closed.push(conn),
                Output::PauseReading { conn } => self.paused.push(conn),
                Output::ResumeReading { conn } => self.paused.retain(|paused| *paused != conn),
            }
        }
    }

    /// The next tick.
    pub(crate) fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(50);
        self.gateway.tick(self.now, self.tick_number());
        self.drain();
    }

    pub(crate) fn tick_number(&self) -> Tick {
        ClusterSpec::demo().tick_rate.tick_at(self.now)
    }

    pub(crate) fn ticks(&mut self, count: u32) {
        (0..count).for_each(|_| self.tick());
    }

    pub(crate) fn node_says(&mut self, from: NodeId, message: Message) {
        self.handle(Input::Node { from, message });
    }

    pub(crate) fn scene_says(&mut self, ordinal: u16, message: Session) {
        self.node_says(scene(ordinal), Message::Session(message));
    }

    /// The beacon says who owns a shard.
    pub(crate) fn route(&mut self, shard: ShardId, owner: u16, epoch: u64) {
        let route = ShardRoute { shard, owner: scene(owner), nonce: Nonce(u128::from(owner)), epoch: ShardEpoch(epoch) };
        let entry = BeaconEntry { key: ShardRoute::key(shard), revision: Revision(epoch), value: Some(route.to_stored()) };
        self.seqs.insert(shard, 0);
        self.node_says(WORLD, Message::BeaconReply(BeaconReply::WatchChange { prefix: "shard/".to_owned(), entry }));
    }

    /// What the gateway told nodes since the last time this was asked.
    pub(crate) fn sent(&mut self) -> Vec<Envelope> {
        std::mem::take(&mut self.sent)
    }

    /// What it told scenes about sessions.
    pub(crate) fn told_scenes(&mut self) -> Vec<(NodeId, Session)> {
        let told = self.sent().into_iter().filter_map(|envelope| match envelope {
            Envelope { to: Address::Node(node), message: Message::Session(message) } => Some((node, message)),
            _ => None,
        });
        told.collect()
    }

    /// Sequences of the inputs it told scenes.
    pub(crate) fn inputs_told(&mut self) -> Vec<(NodeId, u32)> {
        let mut told = Vec::new();
        for (node, message) in self.told_scenes() {
            if let Session::Inputs { inputs, .. } = message {
                told.extend(inputs.iter().map(|input| (node, input.seq.0)));
            }
        }
        told
    }

    /// The follow requests it told scenes.
    pub(crate) fn follows(&mut self) -> Vec<(NodeId, Feed)> {
        let told = self.sent().into_iter().filter_map(|envelope| match envelope {
            Envelope { to: Address::Node(node), message: Message::Feed(feed) } => Some((node, feed)),
            _ => None,
        });
        told.collect()
    }

    /// What a client heard since the last time, but for updates.
    pub(crate) fn words(&mut self, conn: ConnId) -> Vec<ServerMessage> {
        let heard = self.heard.remove(&conn).unwrap_or_default();
        let words = heard.into_iter().filter_map(|message| match message {
            FromServer::Message(message) => Some(message),
            FromServer::Update(_) => None,
        });
        words.collect()
    }

    /// The updates a client got since the last time.
    pub(crate) fn updates(&mut self, conn: ConnId) -> Vec<Update> {
        let heard = self.heard.remove(&conn).unwrap_or_default();
        let updates = heard.into_iter().filter_map(|message| match message {
            FromServer::Update(update) => Some(update),
            FromServer::Message(_) => None,
        });
        updates.collect()
    }

    pub(crate) fn refusal(&mut self, conn: ConnId) -> Option<(RefusalCode, String)> {
        self.words(conn).into_iter().find_map(|message| match message {
            ServerMessage::Refused { code, text, .. } | ServerMessage::Goodbye { code, text, .. } => Some((code, text)),
            _ => None,
        })
    }

    pub(crate) fn open(&mut self) -> ConnId {
        self.open_over(Transport::Tcp)
    }

    pub(crate) fn open_over(&mut self, transport: Transport) -> ConnId {
        self.conns += 1;
        let conn = ConnId(self.conns);
        self.handle(Input::Opened { conn, transport });
        conn
    }

    pub(crate) fn say(&mut self, conn: ConnId, message: ClientMessage) {
        self.handle(Input::Client { conn, message });
    }

    /// A connection that said Hello.
    pub(crate) fn greeted(&mut self) -> ConnId {
        let conn = self.open();
        self.say(
            conn,
            ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(0), client: "story".to_owned() },
        );
        conn
    }

    pub(crate) fn ticket(&self, agent: EntityId, login: u32) -> String {
        let expires = self.now + Duration::from_secs(60);
        let claims = TicketClaims {
            account: AccountId(agent.0 + 1),
            agent,
            name: format!("player {}", agent.0),
            login,
            cluster: "demo".to_owned(),
            expires,
        };
        let footer = footer("k1");
        PublicToken::sign(&self.keys.secret, claims.payload().as_bytes(), Some(footer.as_bytes()), None).expect("signs")
    }

    pub(crate) fn input(&mut self, conn: ConnId, seqs: std::ops::RangeInclusive<u32>) {
        let input = |seq| ClientInput { seq: InSeq(seq), id: TypeId::of("move"), bytes: Bytes::from_static(&[1, 0]) };
        self.say(conn, ClientMessage::Inputs { inputs: seqs.map(input).collect(), out_ack: OutSeq(0) });
    }

    /// The directory answers the last question.
    pub(crate) fn located(&mut self, agent: EntityId, at: ShardId, owner: u16, unborn: bool) {
        let request = self.last_locate().expect("the directory was asked");
        let location = Some(Location { shard: at, owner: scene(owner), shard_epoch: ShardEpoch(1) });
        self.node_says(WORLD, Message::Directory(Directory::Located { request, agent, location, unborn }));
    }

    fn last_locate(&mut self) -> Option<RequestId> {
        self.sent().into_iter().rev().find_map(|envelope| match envelope.message {
            Message::Directory(Directory::Locate { request, .. }) => Some(request),
            _ => None,
        })
    }

    pub(crate) fn attached(&mut self, agent: EntityId, session: SessionEpoch, at: ShardId, owner: u16, epoch: u64, in_seq: u32) {
        let (shard_epoch, epoch) = (ShardEpoch(1), AgentEpoch(epoch));
        let message =
            Session::Attached { agent, session, shard: at, shard_epoch, epoch, in_seq: InSeq(in_seq), out_seq: OutSeq(0) };
        self.scene_says(owner, message);
    }

    /// A client in the world: its agent stands in the middle of `cell`, run by scene `owner`.
    pub(crate) fn playing(&mut self, agent: EntityId, at: CellId, owner: u16) -> ConnId {
        let conn = self.greeted();
        let ticket = self.ticket(agent, 1);
        self.say(conn, ClientMessage::Join { ticket });
        let home = ShardId::holding(at, 3);
        self.located(agent, home, owner, false);
        self.attached(agent, login(1), home, owner, 1, 0);
        self.tick();
        self.start_over(home);
        self.agent_news(home, owner, agent, login(1), 1, 0, middle_of(at));
        self.tick();
        conn
    }

    /// One frame of a shard at epoch 1, in sequence.
    pub(crate) fn frame(&mut self, at: ShardId, owner: u16, cells: Vec<CellFeed>, agents: Vec<AgentFeed>) {
        let seq = self.seqs.entry(at).or_default();
        *seq += 1;
        let seq = *seq;
        self.frame_numbered(at, owner, 1, seq, cells, agents);
    }

    pub(crate) fn frame_numbered(
        &mut self,
        at: ShardId,
        owner: u16,
        epoch: u64,
        seq: u32,
        cells: Vec<CellFeed>,
        agents: Vec<AgentFeed>,
    ) {
        let cells = cells.into_iter().map(Arc::new).collect();
        let (epoch, tick) = (ShardEpoch(epoch), self.tick_number());
        let frame = FeedFrame { shard: at, epoch, tick, seq, follower: None, cells, agents };
        self.node_says(scene(owner), Message::Feed(Feed::Frame(frame)));
    }

    /// A frame that never arrives.
    pub(crate) fn lose_frame(&mut self, at: ShardId) {
        *self.seqs.entry(at).or_default() += 1;
    }

    /// Start a shard's frames over at 1, as an owner does after a reset.
    pub(crate) fn start_over(&mut self, at: ShardId) {
        self.seqs.insert(at, 0);
    }

    #[expect(clippy::too_many_arguments, reason = "one line of a feed, as data")]
    pub(crate) fn agent_news(
        &mut self,
        at: ShardId,
        owner: u16,
        agent: EntityId,
        session: SessionEpoch,
        epoch: u64,
        in_seq: u32,
        position: Position,
    ) {
        let news =
            AgentFeed { agent, session, epoch: AgentEpoch(epoch), in_seq: InSeq(in_seq), applied: InSeq(in_seq), position };
        self.frame(at, owner, Vec::new(), vec![news]);
    }
}
