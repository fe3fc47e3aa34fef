//! What nodes say to each other: one closed enum, one file per conversation.
//!
//! Delivery is at most once and in order per link; links break. Whatever must arrive is asked again by its sender, and every
//! handler is idempotent.

mod auth;
mod beacon;
mod blobs;
mod bus;
mod control;
mod desk;
mod directory;
mod effects;
mod feed;
mod handover;
mod journal;
mod ledger;
mod migration;
mod session;
mod tables;

pub use auth::{AuthReply, AuthRequest, Credentials, LoginRefusal};
pub use beacon::{BeaconEntry, BeaconReply, BeaconRequest, KEY_BYTES_MAX, NodeInfo, ShardRoute, VALUE_BYTES_MAX};
pub use blobs::{BLOB_BYTES_MAX, BlobReply, BlobRequest};
pub use bus::{
    BUS_BYTES_MAX, BusEvent, BusRequest, ChatLine, SUBJECT_CHAT_SAY, SUBJECT_CHAT_WORLD, SUBJECT_WORLD_CLOCK, Weather, WorldTime,
};
pub use control::{
    ClientAddresses, Control, DRAIN_TARGETS_MAX, FAULT_TEXT_BYTES_MAX, FAULTS_MAX, GatewayReport, MigrationNews, MigrationStep,
    NEWS_CANCELLED, PARKED_TOLD_MAX, PASSAGES_TOLD_MAX, Passage, SceneReport, ScriptFault, ShardPhase, ShardReport,
};
pub use desk::{
    COST_NAME_BYTES_MAX, Cost, DESK_ROWS_MAX, Desk, KICK_BYTES_MAX, PROFILE_ROWS_MAX, PauseOrder, RECORDED_BYTES_MAX, SessionRow,
    Sight, SightState,
};
pub use directory::{Directory, Location};
pub use effects::{EFFECT_BATCH_MAX, Effect, EffectMessage};
pub use feed::{AgentFeed, CellFeed, Changed, Enter, Feed, FeedFilter, FeedFrame, Leave, Motion};
pub use handover::{Handover, HandoverMessage, Lane, Refusal};
pub use journal::{AppendId, JournalReply, JournalRequest, Owed, ShardImage};
pub use ledger::{
    Balance, Currency, Holdings, Item, ItemKind, LedgerRefusal, LedgerReply, LedgerRequest, LedgerResult, OpId, Owner,
    TRADE_ITEMS_MAX, Trade, TradeSide, TradeState, TradeStep, Transaction,
};
pub use migration::{
    Migration, PART_BYTES_MAX, RestAnswer, RestFollower, RestHeld, RestOperation, RestResident, RestSeat, ShardRest,
};
pub use session::{AttachRefusal, Birth, ClientInput, Session};
pub use tables::{Table, TableOp, TableReply, TableRequest};

use crate::NodeId;

/// Where a message goes. Services are found by the shell: an embedded backend on a node, or the cluster engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// One process.
    Node(NodeId),
    /// Discovery, leases, watches.
    Beacon,
    /// World-wide messages.
    Bus,
    /// Journals, records, ledger, tables, blobs.
    Data,
    /// The elected world server.
    World,
    /// Any authentication server.
    Auth,
}

/// A message and where it goes: what cores return.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Where to.
    pub to: Address,
    /// What.
    pub message: Message,
}

/// Everything one node may say to another.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// To the beacon.
    BeaconRequest(BeaconRequest),
    /// From the beacon.
    BeaconReply(BeaconReply),
    /// To the bus.
    BusRequest(BusRequest),
    /// From the bus.
    BusEvent(BusEvent),
    /// To a journal.
    JournalRequest(JournalRequest),
    /// From a journal.
    JournalReply(JournalReply),
    /// To the blob store.
    BlobRequest(BlobRequest),
    /// From the blob store.
    BlobReply(BlobReply),
    /// To the ledger.
    LedgerRequest(LedgerRequest),
    /// From the ledger.
    LedgerReply(LedgerReply),
    /// To the tables.
    TableRequest(TableRequest),
    /// From the tables.
    TableReply(TableReply),
    /// To an authentication server.
    AuthRequest(AuthRequest),
    /// From an authentication server.
    AuthReply(AuthReply),
    /// Between the world and scenes or gateways.
    Control(Control),
    /// Between the directory and its users.
    Directory(Directory),
    /// Between a shard and those who follow its cells.
    Feed(Feed),
    /// Between gateways and shards, about one client.
    Session(Session),
    /// Between two shards, about agents that cross.
    Handover(HandoverMessage),
    /// Between two shards, about effects that cross.
    Effect(EffectMessage),
    /// Between two scenes, about a shard that moves; and to those who speak with it.
    Migration(Migration),
    /// Between the world and who has an agent or a session, for an admin.
    Desk(Desk),
}
