//! The cluster's engine: beacon, journals, bus and blobs on NATS JetStream, for clusters of more than one machine.
//!
//! No role core knows it. A driver's [`crate::port::Port`] hands an envelope to the [`Engine`] when the engine serves what it
//! asks for; the answer comes to the driver's inbox like any message of a peer.
//!
//! | asked for | embedded | here |
//! |---|---|---|
//! | `Beacon` | the world process | [`beacon`]: a key-value bucket; leases are messages with a time to live |
//! | `Bus` | the world process | [`bus`]: core NATS |
//! | `Data`, an append | the data process | [`journal`]: into the [`log`], fenced by the sequence of the shard's last entry |
//! | `Data`, a blob | the data process | [`blobs`]: an object store |
//! | `Data`, the rest | the data process | a data process, which proposes it to the [`log`] and answers when it was its turn |
//! | `World` | the world process | the world process that holds the lease of [`WORLD_LEADER_KEY`] |
//!
//! Read in this order: [`names`], [`connect`] (versions, settings, what durability they are), [`fenced`] (a write whose
//! acknowledgement got lost), [`follow`] (a stream's messages, for ever), [`log`], [`entries`], [`journal`], [`replica`],
//! [`beacon`], [`bus`], [`blobs`], [`checkpoint`] (so that the log need not be kept for ever), [`migrate`] (an embedded world
//! comes here), [`check`] (what `pangaea engine check` tries), [`server`] (servers for tests and for one machine).

mod beacon;
mod blobs;
mod bus;
pub mod check;
pub mod checkpoint;
pub mod connect;
mod entries;
mod fenced;
mod follow;
mod journal;
pub mod log;
pub mod migrate;
mod names;
mod registrar;
mod replica;
pub mod server;

use std::time::Duration;

use pangaea_schemas::message::{Address, BeaconRequest, BlobRequest, BusRequest, Envelope, JournalRequest, Message};
use pangaea_schemas::{NodeId, Nonce};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::mesh::{MeshEvent, MeshInbox};

pub use connect::{Connection, Durability, EngineError, EngineOptions};

/// Which world process leads: its value is the leader's id, leased to it.
pub const WORLD_LEADER_KEY: &str = "leader/world";
/// Most requests to one service of the engine that wait; those beyond are dropped, and asked again.
const REQUESTS_MAX: usize = 4_096;
/// A write whose acknowledgement does not come for so long is looked for, and then tried again.
const ACK_TIME: Duration = Duration::from_millis(1_000);
/// Pause before the engine is asked again after it did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// One node's way to the engine. Dropping it ends its tasks.
pub struct Engine {
    beacon: beacon::BeaconDesk,
    bus: mpsc::Sender<BusRequest>,
    journals: journal::Journals,
    blobs: mpsc::Sender<BlobRequest>,
    _ends: DropGuard,
}

impl Engine {
    /// Serve `node`; answers go to `inbox`. Must be called within a tokio runtime.
    pub fn start(connection: &Connection, node: NodeId, inbox: MeshInbox) -> Self {
        let stopped = CancellationToken::new();
        let outlet = Outlet { node, inbox };
        Self {
            beacon: beacon::start(connection, outlet.clone(), &stopped),
            bus: bus::start(connection, outlet.clone(), &stopped),
            journals: journal::start(connection, outlet.clone(), &stopped),
            blobs: blobs::start(connection, outlet, &stopped),
            _ends: stopped.drop_guard(),
        }
    }

    /// Take what the engine serves; whatever it does not serve comes back. Never waits: what finds no room is dropped.
    pub fn send(&mut self, envelope: Envelope) -> Option<Envelope> {
        match (envelope.to, envelope.message) {
            (Address::Beacon, Message::BeaconRequest(request)) => self.beacon.send(request),
            (Address::Bus, Message::BusRequest(request)) => _ = offer(&self.bus, request, "bus"),
            (Address::Data, Message::JournalRequest(JournalRequest::Append { shard, id, expected, entry })) => {
                self.journals.send(shard, journal::Append { id, expected, entry });
            }
            (Address::Data, Message::BlobRequest(request)) => _ = offer(&self.blobs, request, "blobs"),
            (to, message) => return Some(Envelope { to, message }),
        }
        None
    }

    /// An incarnation is known to be dead: its lease ends now.
    pub fn reaped(&self, node: NodeId, nonce: Nonce) {
        self.beacon.send(BeaconRequest::Deregister { node, nonce });
    }
}

/// Whether there was room.
fn offer<T>(queue: &mpsc::Sender<T>, request: T, service: &'static str) -> bool {
    let taken = queue.try_send(request).is_ok();
    if !taken {
        metrics::counter!("pangaea_engine_dropped", "service" => service).increment(1);
        tracing::debug!(service, "more than {REQUESTS_MAX} requests wait for the engine");
    }
    taken
}

/// Where answers go.
#[derive(Clone)]
struct Outlet {
    node: NodeId,
    inbox: MeshInbox,
}

impl Outlet {
    /// As if `from` had said it.
    async fn say(&self, from: NodeId, message: Message) {
        // A closed inbox means that this node stops: nobody is left to be told.
        let _ = self.inbox.deliver(MeshEvent::Message { from, message }).await;
    }
}
