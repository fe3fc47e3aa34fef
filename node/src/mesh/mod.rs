//! The mesh: one TCP link to every other node of the cluster.
//!
//! Delivery is at most once and in order per link. A node knows the world's address from its configuration and all others from
//! the beacon ([`Mesh::learn`]); the node with the higher id dials. Messages to a peer wait in a queue that is bounded in bytes,
//! with a stated policy for what goes when it is full. What comes in goes to the driver's inbox as a [`MeshEvent`]; when the
//! inbox is full the link is not read, so the sender's queue fills: no node can drown another.

mod handshake;
mod inbox;
mod link;
mod peer;
mod queue;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use pangaea_schemas::frame::FrameLimit;
use pangaea_schemas::message::Message;
use pangaea_schemas::registry::Dialect;
use pangaea_schemas::{NodeId, Nonce, wire};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use handshake::HandshakeError;
pub use inbox::{INBOX_EVENTS_MAX, Inbox, InboxClosed, MeshInbox};
pub use link::{HEARTBEAT_EVERY, LinkEnd, SILENCE_MAX};
pub use peer::PEERS_MAX;
pub use queue::{Dropped, FrameClass, OFFLINE_AGE_MAX, OFFLINE_BYTES_MAX, QUEUE_BYTES_MAX};

use handshake::HANDSHAKE_MAX;
use link::{Frames, WriteHalf};
use peer::{Backoff, Peer};
use queue::SendQueue;

use crate::clock::Clock;
use crate::tls::NodeTls;

/// Pause after an accept that failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who this node is, to its peers.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster's name.
    pub cluster: String,
    /// This node.
    pub node: NodeId,
    /// This process start.
    pub nonce: Nonce,
    /// What the game's types are; empty: it does not matter here.
    pub dialect: Dialect,
    /// How it proves that; `None`: links are in the clear, and everybody who reaches a node's port may be a node.
    pub tls: Option<NodeTls>,
}

/// What the mesh tells its driver. Per peer: `Up`, then messages, then `Down`.
#[derive(Debug)]
pub enum MeshEvent {
    /// A link to this incarnation is there.
    Up {
        /// Who.
        node: NodeId,
        /// Which process start.
        nonce: Nonce,
    },
    /// A message came.
    Message {
        /// From whom.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// The link is gone: what was asked over it may never be answered.
    Down {
        /// Whose.
        node: NodeId,
    },
}

/// The links of this node. Copies share them; dropping the last copy ends them.
#[derive(Clone)]
pub struct Mesh {
    peers: Arc<Peers>,
    _ends: Arc<tokio_util::sync::DropGuard>,
}

struct Peers {
    own: NodeId,
    clock: Clock,
    known: RwLock<BTreeMap<NodeId, Arc<Peer>>>,
    /// To [`dial_all`]: peers that want a dialer, each once.
    dial: tokio::sync::mpsc::Sender<Arc<Peer>>,
}

impl Mesh {
    /// Start to serve links on `listener`; events go to `inbox`. Must be called within a tokio runtime.
    pub fn start(identity: Identity, clock: Clock, listener: TcpListener, inbox: MeshInbox) -> Self {
        let (dial, wanted) = tokio::sync::mpsc::channel(PEERS_MAX);
        let peers = Arc::new(Peers { own: identity.node, clock, known: RwLock::default(), dial });
        let stopped = CancellationToken::new();
        let links = Links { own: identity, peers: peers.clone(), inbox, clock };
        let (accepting, dialing) = (links.clone(), links);
        tokio::spawn(stopped.clone().run_until_cancelled_owned(accept_all(listener, accepting)));
        tokio::spawn(stopped.clone().run_until_cancelled_owned(dial_all(wanted, dialing)));
        Self { peers, _ends: Arc::new(stopped.drop_guard()) }
    }

    /// Where a peer listens, as the beacon says. A peer with a lower id than ours is dialed from now on.
    pub fn learn(&self, node: NodeId, address: &str) {
        let Some(peer) = self.peers.peer(node) else { return };
        if node < self.peers.own && peer.begin_dialing() && self.peers.dial.try_send(peer.clone()).is_err() {
            tracing::error!(%node, "too many peers to dial");
        }
        peer.set_address(Some(address.to_owned()));
    }

    /// The beacon no longer knows this peer: it is not dialed until [`Self::learn`] names it again. A link that is up stays,
    /// for a beacon that starts anew has forgotten everybody.
    pub fn forget(&self, node: NodeId) {
        if let Some(peer) = self.peers.peer(node) {
            peer.set_address(None);
        }
    }

    /// Send to a peer, or drop by the queue's policy. Never waits.
    pub fn send(&self, to: NodeId, message: &Message) {
        let Some(peer) = self.peers.peer(to) else { return };
        let (class, frame) = (FrameClass::of(message), wire::encode(message));
        metrics::counter!("pangaea_mesh_offered_bytes", "class" => class.name()).increment(frame.len() as u64);
        let dropped = peer.push(self.peers.clock.now(), class, frame);
        note_dropped(to, dropped);
    }

    /// Bytes that wait for all peers together.
    pub fn queued_bytes(&self) -> usize {
        let known = self.peers.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().map(|peer| peer.with_queue(|queue| queue.bytes())).sum()
    }
}

impl Peers {
    fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        if let Some(peer) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&node) {
            return Some(peer.clone());
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PEERS_MAX {
            tracing::error!(%node, "more than {PEERS_MAX} peers");
            return None;
        }
        Some(known.entry(node).or_insert_with(|| Arc::new(Peer::new(node))).clone())
    }
}

/// What the link tasks share.
#[derive(Clone)]
struct Links {
    own: Identity,
    peers: Arc<Peers>,
    inbox: MeshInbox,
    clock: Clock,
}

async fn accept_all(listener: TcpListener, links: Links) {
    let mut serving = JoinSet::new();
    loop {
        while serving.try_join_next().is_some() {}
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a link");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let links = links.clone();
        serving.spawn(async move {
            match links.accept(stream).await {
                Ok((peer, link)) => links.serve(&peer, link).await,
                Err(error) => tracing::warn!(%address, error = %Chain(&error), "no link"),
            }
        });
    }
}

async fn dial_all(mut wanted: tokio::sync::mpsc::Receiver<Arc<Peer>>, links: Links) {
    let mut dialing = JoinSet::new();
    while let Some(peer) = wanted.recv().await {
        let links = links.clone();
        dialing.spawn(async move { links.dial_for_ever(&peer).await });
    }
}

impl Links {
    async fn dial_for_ever(&self, peer: &Arc<Peer>) {
        let mut backoff = Backoff::new(self.own.nonce.0 as u64 ^ u64::from(peer.node.to_bits()));
        loop {
            let Some(address) = peer.address() else {
                peer.addressed.notified().await;
                continue;
            };
            match self.dial(peer.node, &address).await {
                Ok(link) => {
                    backoff.reset();
                    self.serve(peer, link).await;
                }
                Err(HandshakeError::Io(error)) => tracing::debug!(peer = %peer.node, %address, %error, "not reached"),
                Err(error) => tracing::warn!(peer = %peer.node, %address, error = %Chain(&error), "no link"),
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    async fn dial(&self, node: NodeId, address: &str) -> Result<Link, HandshakeError> {
        let connect = tokio::time::timeout(HANDSHAKE_MAX, TcpStream::connect(address));
        let stream = connect.await.map_err(|_| HandshakeError::TimedOut)??;
        let (mut frames, mut socket) = self.secured(stream, true).await?;
        let nonce = handshake::dial(&mut frames, &mut socket, &self.own, node).await?;
        Ok(Link { frames, socket, nonce })
    }

    async fn accept(&self, stream: TcpStream) -> Result<(Arc<Peer>, Link), HandshakeError> {
        let (mut frames, mut socket) = self.secured(stream, false).await?;
        let (node, nonce) = handshake::accept(&mut frames, &mut socket, &self.own).await?;
        let peer = self.peers.peer(node).ok_or_else(|| HandshakeError::Refusing("no room for another peer".to_owned()))?;
        Ok((peer, Link { frames, socket, nonce }))
    }

    /// Under TLS, if this cluster has it.
    async fn secured(&self, stream: TcpStream, dials: bool) -> Result<(Frames, WriteHalf), HandshakeError> {
        stream.set_nodelay(true)?;
        let bytes_max = FrameLimit::Link.bytes_max();
        let Some(tls) = &self.own.tls else { return Ok(link::split(stream, bytes_max)) };
        let shaken = async { if dials { tls.dial(stream).await } else { tls.accept(stream).await } };
        let shaken = tokio::time::timeout(HANDSHAKE_MAX, shaken).await.map_err(|_| HandshakeError::TimedOut)?;
        Ok(link::split_tls(shaken.map_err(HandshakeError::Tls)?, bytes_max))
    }

    /// Serve one link to its end. A link in service of the same peer ends first, so events of a peer keep their order.
    async fn serve(&self, peer: &Arc<Peer>, mut link: Link) {
        let replaced = peer.take_over();
        let _serving = peer.serving.lock().await;
        link.frames.decoder_mut().set_max_frame_length(FrameLimit::Node.bytes_max());
        note_dropped(peer.node, peer.with_queue(|queue| queue.link_up(self.clock.now())));
        tracing::info!(peer = %peer.node, nonce = %link.nonce, "link up");
        let end = tokio::select! {
            () = replaced.cancelled() => LinkEnd::Replaced,
            end = link::write_all(link.socket, peer) => end,
            end = self.read_all(peer, &mut link.frames, link.nonce) => end,
        };
        note_dropped(peer.node, peer.with_queue(SendQueue::link_down));
        tracing::info!(peer = %peer.node, reason = %Chain(&end), "link down");
        // A closed inbox means that this node stops: nobody is left to be told.
        let _ = self.inbox.deliver(MeshEvent::Down { node: peer.node }).await;
    }

    /// Until the link ends. When the driver has ended nothing more is read, but what waits may still be written.
    async fn read_all(&self, peer: &Peer, frames: &mut Frames, nonce: Nonce) -> LinkEnd {
        if self.inbox.deliver(MeshEvent::Up { node: peer.node, nonce }).await.is_err() {
            return std::future::pending().await;
        }
        loop {
            let message = match link::next_message(frames, peer).await {
                Ok(message) => message,
                Err(end) => return end,
            };
            if self.inbox.deliver(MeshEvent::Message { from: peer.node, message }).await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// A link after its handshake.
struct Link {
    frames: Frames,
    socket: WriteHalf,
    nonce: Nonce,
}

/// An error and what lies behind it, on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

fn note_dropped(to: NodeId, dropped: Dropped) {
    if dropped == Dropped::default() {
        return;
    }
    metrics::counter!("pangaea_mesh_dropped", "class" => "feed").increment(dropped.feeds as u64);
    metrics::counter!("pangaea_mesh_dropped", "class" => "message").increment(dropped.messages as u64);
    tracing::debug!(peer = %to, feeds = dropped.feeds, messages = dropped.messages, "the queue is full");
}
