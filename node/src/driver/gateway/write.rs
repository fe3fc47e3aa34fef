//! The writing side of a WebSocket: everything that waits goes out in one write.

use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::outgoing::{Outgoing, Task};

/// Write binary messages until the connection is to end or fails.
pub(super) async fn write_ws(outgoing: &Outgoing, task: &Task, mut socket: SplitSink<WebSocketStream<TcpStream>, WsMessage>) {
    while let Some(frames) = outgoing.take(task).await {
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
