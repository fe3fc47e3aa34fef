//! What clients and gateways say to each other, as types. The wire form is `fbs/client.fbs`; updates are composed straight
//! into FlatBuffers by the gateway and have no typed form here.

use bytes::Bytes;

use crate::geometry::ShardId;
use crate::record::ReliableEvent;
use crate::registry::Registry;
use crate::{AgentEpoch, EntityId, InSeq, OutSeq, RegistryHash, Tick, TypeId};

/// Version of the client protocol. A client with another one is told so in words.
pub const PROTOCOL_VERSION: u32 = 2;

/// Longest name of an account or client in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest ticket or token in bytes.
pub const TOKEN_BYTES_MAX: usize = 1_024;
/// Most inputs in one message.
pub const INPUTS_MAX: usize = 64;

/// From a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientMessage {
    /// First of all.
    Hello {
        /// [`PROTOCOL_VERSION`].
        protocol: u32,
        /// Zero asks for the description.
        registry: RegistryHash,
        /// What program this is.
        client: String,
    },
    /// Ask for a ticket.
    Login(crate::message::Credentials),
    /// Enter with a ticket.
    Join {
        /// PASETO v4.public.
        ticket: String,
    },
    /// Come back after a lost connection.
    Resume {
        /// PASETO v4.local of a gateway.
        token: String,
        /// Last event held.
        out_ack: OutSeq,
        /// Where its agent was last, as the client was told: asked first. A wrong one costs a question.
        shard: Option<ShardId>,
    },
    /// Watch without an agent; corners in cells, both included.
    Spectate {
        /// An admin's token; may be empty on development clusters.
        token: String,
        /// Space.
        space: u16,
        /// West, north, east, south.
        cells: [u16; 4],
    },
    /// Play.
    Inputs {
        /// Consecutive.
        inputs: Vec<Input>,
        /// Last event held.
        out_ack: OutSeq,
    },
    /// How long is the way?
    Ping {
        /// Echoed.
        client_time_us: u64,
    },
    /// Log out.
    Leave,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Rises by one, from 1.
    pub seq: InSeq,
    /// Registered input type.
    pub id: TypeId,
    /// Plain bytes.
    pub bytes: Bytes,
}

/// Why a client is refused or sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RefusalCode {
    /// Another protocol version.
    Protocol = 0,
    /// Another game.
    Registry = 1,
    /// Wrong name or password.
    Credentials = 2,
    /// A ticket that is forged, expired or for another cluster.
    Ticket = 3,
    /// A resume token that is forged, expired or for another cluster.
    Token = 4,
    /// Another session of the same agent took over.
    Replaced = 5,
    /// No room.
    Full = 6,
    /// This gateway is going away.
    Draining = 7,
    /// The world cannot take the client now.
    Unavailable = 8,
    /// Too much, too fast.
    RateLimit = 9,
    /// Bytes that are not the protocol.
    BadMessage = 10,
    /// Not in this state, or not with these rights.
    NotAllowed = 11,
    /// It does not take what it is sent.
    TooSlow = 12,
}

impl RefusalCode {
    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Registry => "registry",
            Self::Credentials => "credentials",
            Self::Ticket => "ticket",
            Self::Token => "token",
            Self::Replaced => "replaced",
            Self::Full => "full",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::RateLimit => "rate_limit",
            Self::BadMessage => "bad_message",
            Self::NotAllowed => "not_allowed",
            Self::TooSlow => "too_slow",
        }
    }
}

/// From a gateway, but for updates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// Answer to Hello.
    Welcome {
        /// The game's hash.
        registry: RegistryHash,
        /// The cluster's name.
        cluster: String,
        /// The gateway's name.
        gateway: String,
        /// Ticks per second.
        tick_hz: u16,
        /// Cell edge in metres.
        cell_edge_m: u16,
        /// When the client asked for it.
        description: Option<Registry>,
    },
    /// Answer to a login.
    Ticket {
        /// To join with.
        ticket: String,
        /// The agent it is for.
        agent: EntityId,
        /// The player's name.
        name: String,
    },
    /// In the world.
    Joined {
        /// The own agent.
        agent: EntityId,
        /// To resume with.
        token: String,
        /// The session went on.
        resumed: bool,
        /// Space.
        space: u16,
        /// Its edge in cells.
        space_edge_cells: u16,
        /// How far the client sees, in cells.
        view_radius_cells: u8,
        /// The present tick.
        tick: Tick,
        /// Last input applied.
        in_seq: InSeq,
        /// Last event made.
        out_seq: OutSeq,
    },
    /// Watching without an agent.
    Watching {
        /// Space.
        space: u16,
        /// Its edge in cells.
        space_edge_cells: u16,
    },
    /// Not that; the connection stays.
    Refused {
        /// Why.
        code: RefusalCode,
        /// In words.
        text: String,
        /// Try again after; 0: do not.
        retry_after_ms: u32,
    },
    /// The last message of a connection.
    Goodbye {
        /// Why.
        code: RefusalCode,
        /// In words.
        text: String,
        /// Resume there at once: `host:port` for a client over TCP, a URL for one over WebSocket; empty: here, later.
        reconnect_to: String,
        /// Try again here after; 0: do not.
        retry_after_ms: u32,
    },
    /// Reliable events, consecutive.
    Events {
        /// Oldest first.
        events: Vec<ReliableEvent>,
        /// Some before the first are lost.
        resync: bool,
    },
    /// Which shard and scene run the own agent now.
    Routed {
        /// The shard's name.
        shard: String,
        /// The scene's name.
        scene: String,
        /// The agent's epoch.
        epoch: AgentEpoch,
    },
    /// Answer to Ping.
    Pong {
        /// As sent.
        client_time_us: u64,
        /// The gateway's.
        server_time_us: u64,
    },
}
