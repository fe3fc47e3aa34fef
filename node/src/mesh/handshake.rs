//! The first words on a link: who is there, of which cluster, with which game. A refusal is words, and both sides log them.
//!
//! One link per pair: **the node with the higher id dials** (roles count as in [`pangaea_schemas::Role`]: world, data, auth,
//! scene, gateway), so everybody finds everybody from the world's address alone.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use futures_util::StreamExt;
use pangaea_schemas::wire::WireError;
use pangaea_schemas::wire::link::{self, LINK_PROTOCOL, LinkMessage, LinkPolicy};
use pangaea_schemas::{NodeId, Nonce};

use super::Identity;
use super::link::{self as socket, Frames, WriteHalf};

/// The whole handshake must be done by then.
pub(super) const HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// Why a link did not come to be.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer turned us down.
    #[error("the peer refused the link: {0}")]
    Refused(String),
    /// We turned the peer down.
    #[error("refused the peer: {0}")]
    Refusing(String),
    /// Another node answers at this address.
    #[error("{found} answered where {wanted} was expected")]
    OtherNode {
        /// Whom we dialed.
        wanted: NodeId,
        /// Who is there.
        found: NodeId,
    },
    /// No certificate of the cluster, or TLS at one end only.
    #[error("no TLS with the peer: it has none, or its certificate is not one of this cluster")]
    Tls(#[source] std::io::Error),
    /// Bytes that are no greeting.
    #[error("the peer's greeting does not decode")]
    Form(#[from] WireError),
    /// Nothing came in time.
    #[error("no greeting within {} s", HANDSHAKE_MAX.as_secs())]
    TimedOut,
    /// The socket failed or was closed.
    #[error("the link broke during the greeting")]
    Io(#[from] std::io::Error),
}

/// Greet as the dialing side. Returns the incarnation that answered.
pub(super) async fn dial(
    frames: &mut Frames,
    socket: &mut WriteHalf,
    own: &Identity,
    wanted: NodeId,
) -> Result<Nonce, HandshakeError> {
    let hello = LinkMessage::Hello {
        protocol: LINK_PROTOCOL,
        cluster: own.cluster.clone(),
        node: own.node,
        nonce: own.nonce,
        dialect: own.dialect.clone(),
    };
    send(socket, &hello).await?;
    match next(frames).await? {
        LinkMessage::Welcome { node, nonce } if node == wanted => Ok(nonce),
        LinkMessage::Welcome { node: found, .. } => Err(HandshakeError::OtherNode { wanted, found }),
        LinkMessage::Refused { text } => Err(HandshakeError::Refused(text)),
        LinkMessage::Hello { node, .. } => Err(HandshakeError::OtherNode { wanted, found: node }),
    }
}

/// Answer as the accepting side. Returns who dialed, and its incarnation.
pub(super) async fn accept(
    frames: &mut Frames,
    socket: &mut WriteHalf,
    own: &Identity,
) -> Result<(NodeId, Nonce), HandshakeError> {
    match judge(own, &next(frames).await?) {
        Ok(peer) => {
            send(socket, &LinkMessage::Welcome { node: own.node, nonce: own.nonce }).await?;
            Ok(peer)
        }
        Err(text) => {
            send(socket, &LinkMessage::Refused { text: text.clone() }).await?;
            Err(HandshakeError::Refusing(text))
        }
    }
}

/// Who connects; or why not, in words for the admin of the other node.
fn judge(own: &Identity, first: &LinkMessage) -> Result<(NodeId, Nonce), String> {
    let policy = LinkPolicy { cluster: own.cluster.clone(), node: own.node, dialect: own.dialect.clone() };
    let (peer, nonce) = policy.admit(first).map_err(|refusal| refusal.to_string())?;
    if peer == own.node {
        return Err(format!("{peer} runs already, as incarnation {}: give the new process another id", own.nonce));
    }
    if peer < own.node {
        return Err(format!("{} dials {peer}, not the other way round", own.node));
    }
    Ok((peer, nonce))
}

async fn next(frames: &mut Frames) -> Result<LinkMessage, HandshakeError> {
    match tokio::time::timeout(HANDSHAKE_MAX, frames.next()).await {
        Err(_) => Err(HandshakeError::TimedOut),
        Ok(None) => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        Ok(Some(frame)) => Ok(link::decode(&frame?.freeze())?),
    }
}

async fn send(socket: &mut WriteHalf, message: &LinkMessage) -> Result<(), HandshakeError> {
    let payload = link::encode(message);
    let mut frame = BytesMut::with_capacity(payload.len() + 4);
    frame.put_u32_le(payload.len() as u32);
    frame.extend_from_slice(&payload);
    Ok(socket::write_out(socket, &frame).await?)
}
