//! The writing side of a client connection: everything that waits goes out in one write.

use bytes::BytesMut;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use pangaea_schemas::frame::{self, FrameLimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::outgoing::Outgoing;

/// Write length-prefixed frames until the connection is to end or fails.
pub(super) async fn write_tcp(outgoing: &Outgoing, mut socket: OwnedWriteHalf) {
    let mut batch = BytesMut::new();
    while let Some(frames) = outgoing.take().await {
        for body in frames {
            if let Err(error) = frame::encode(&body, FrameLimit::Server, &mut batch) {
                tracing::error!(%error, "a message to a client is too large");
            }
        }
        if socket.write_all(&batch).await.is_err() {
            return;
        }
        batch.clear();
    }
    // The client may be gone already.
    let _ = socket.shutdown().await;
}

/// Write binary WebSocket messages until the connection is to end or fails.
pub(super) async fn write_ws(outgoing: &Outgoing, mut socket: SplitSink<WebSocketStream<TcpStream>, WsMessage>) {
    while let Some(frames) = outgoing.take().await {
        for body in frames {
            if socket.feed(WsMessage::Binary(body)).await.is_err() {
                return;
            }
        }
        if socket.flush().await.is_err() {
            return;
        }
    }
    // The client may be gone already.
    let _ = socket.close().await;
}
