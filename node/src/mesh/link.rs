//! One link in service: frames in, frames out, and the heartbeat that tells a dead peer from a quiet one.
//!
//! A writer sends what waits in one write per wake-up. An empty frame is a heartbeat: one goes out when nothing else did for
//! [`HEARTBEAT_EVERY`], and a link on which nothing came for [`SILENCE_MAX`] is given up.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use futures_util::StreamExt;
use pangaea_schemas::message::Message;
use pangaea_schemas::wire;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::peer::Peer;

/// Something goes out at least this often.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// A peer that says nothing for so long is gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Most bytes of one write.
const WRITE_BATCH_BYTES: usize = 512 * 1_024;

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkEnd {
    /// The peer closed it.
    #[error("the peer closed the link")]
    Closed,
    /// Nothing came for [`SILENCE_MAX`].
    #[error("the peer was silent for {} s", SILENCE_MAX.as_secs())]
    Silent,
    /// A newer link of the same peer is served instead.
    #[error("the peer has a newer link")]
    Replaced,
    /// The socket failed.
    #[error("the link failed")]
    Io(#[from] std::io::Error),
}

/// What is read from, in the clear or not.
type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// What is written to.
pub(super) type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;
/// A stream cut into frames by a `u32` length, little-endian.
pub(super) type Frames = FramedRead<ReadHalf, LengthDelimitedCodec>;

/// Cut `stream` into frames of at most `frame_bytes_max`.
pub(super) fn split(stream: TcpStream, frame_bytes_max: usize) -> (Frames, WriteHalf) {
    let (read, write) = stream.into_split();
    (frames(Box::new(read), frame_bytes_max), Box::new(write))
}

/// The same of what TLS carries.
pub(super) fn split_tls(stream: TlsStream<TcpStream>, frame_bytes_max: usize) -> (Frames, WriteHalf) {
    let (read, write) = tokio::io::split(stream);
    (frames(Box::new(read), frame_bytes_max), Box::new(write))
}

fn frames(read: ReadHalf, frame_bytes_max: usize) -> Frames {
    let codec = LengthDelimitedCodec::builder().little_endian().max_frame_length(frame_bytes_max).new_codec();
    FramedRead::new(read, codec)
}

/// Write all of it, to the wire: what TLS has sealed it may hold back otherwise.
pub(super) async fn write_out(socket: &mut WriteHalf, bytes: &[u8]) -> std::io::Result<()> {
    socket.write_all(bytes).await?;
    socket.flush().await
}

/// The next message of a link. A frame that does not decode is told to the log and skipped: it aborts nothing.
pub(super) async fn next_message(frames: &mut Frames, peer: &Peer) -> Result<Message, LinkEnd> {
    loop {
        let frame = match tokio::time::timeout(SILENCE_MAX, frames.next()).await {
            Err(_) => return Err(LinkEnd::Silent),
            Ok(None) => return Err(LinkEnd::Closed),
            // Under TLS a process that ends says no farewell. Nothing is missed by that: frames tell their length.
            Ok(Some(Err(error))) if error.kind() == ErrorKind::UnexpectedEof => return Err(LinkEnd::Closed),
            Ok(Some(frame)) => frame?,
        };
        if frame.is_empty() {
            continue;
        }
        metrics::counter!("pangaea_mesh_bytes_in").increment(frame.len() as u64);
        match wire::decode(&frame.freeze()) {
            Ok(message) => return Ok(message),
            Err(error) => {
                metrics::counter!("pangaea_mesh_bad_messages").increment(1);
                tracing::warn!(peer = %peer.node, %error, "a message does not decode");
            }
        }
    }
}

/// Send what waits for `peer`, for ever.
pub(super) async fn write_all(mut socket: WriteHalf, peer: &Peer) -> LinkEnd {
    let mut batch = BytesMut::new();
    loop {
        if peer.with_queue(|queue| queue.take(&mut batch, WRITE_BATCH_BYTES)) == 0 {
            if tokio::time::timeout(HEARTBEAT_EVERY, peer.queued.notified()).await.is_ok() {
                continue;
            }
            batch.put_u32_le(0);
        }
        metrics::counter!("pangaea_mesh_bytes_out").increment(batch.len() as u64);
        if let Err(error) = write_out(&mut socket, &batch).await {
            return LinkEnd::Io(error);
        }
        batch.clear();
    }
}
