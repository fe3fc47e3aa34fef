//! The writing side of a client connection: everything that waits goes out in one write.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Buf;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::outgoing::{Outgoing, Waiting, put_frame};

/// Write what the driver could not write at once until the connection is to end or fails.
pub(super) async fn write_tcp(outgoing: &Outgoing, socket: Arc<OwnedWriteHalf>) {
    while let Some(Waiting { leftover: mut batch, frames }) = outgoing.take().await {
        frames.iter().for_each(|body| put_frame(body, &mut batch));
        while !batch.is_empty() {
            if socket.writable().await.is_err() {
                return;
            }
            match socket.try_write(&batch) {
                Ok(written) => batch.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}

/// Write binary WebSocket messages until the connection is to end or fails.
pub(super) async fn write_ws(outgoing: &Outgoing, mut socket: SplitSink<WebSocketStream<TcpStream>, WsMessage>) {
    while let Some(waiting) = outgoing.take().await {
        for body in waiting.frames {
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
