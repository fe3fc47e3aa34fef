//! The reading side of a client connection: frames to typed messages, with the bound of the connection's state.
//!
//! | after | limit |
//! |---|---|
//! | connecting | [`FrameLimit::Hello`] |
//! | a message that decodes | [`FrameLimit::Join`] |
//! | Join or Resume | [`FrameLimit::Playing`] |
//!
//! The core knows better what state a session is in and refuses what does not belong there; the limit only bounds memory.

use bytes::Bytes;
use futures_util::StreamExt;
use pangaea_gateway::{ConnId, Input};
use pangaea_schemas::client::ClientMessage;
use pangaea_schemas::frame::FrameLimit;
use pangaea_schemas::wire::client::decode_client;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::outgoing::Task;
use super::{Event, FromClient};
use crate::mesh::Inbox;

/// What one connection says, frame by frame.
#[derive(Debug)]
pub(super) struct Words {
    conn: ConnId,
    /// For the next frame.
    pub(super) limit: FrameLimit,
}

/// Why something cannot be understood.
#[derive(Debug)]
pub(super) struct Gibberish(pub(super) String);

impl Words {
    /// Of a connection that has said nothing yet.
    pub(super) fn of(conn: ConnId) -> Self {
        Self { conn, limit: FrameLimit::Hello }
    }

    /// What a frame says.
    pub(super) fn understand(&mut self, frame: &Bytes) -> Result<Input, Gibberish> {
        let message = decode_client(frame).map_err(|error| Gibberish(error.to_string()))?;
        self.limit = match &message {
            ClientMessage::Join { .. } | ClientMessage::Resume { .. } => FrameLimit::Playing,
            _ => self.limit.max(FrameLimit::Join),
        };
        Ok(Input::Client { conn: self.conn, message })
    }

    /// What the core is told of it: it says goodbye and closes, and nothing more is to be read.
    pub(super) fn report(&self, Gibberish(reason): Gibberish) -> Input {
        metrics::counter!("pangaea_client_malformed").increment(1);
        Input::Malformed { conn: self.conn, reason }
    }
}

/// A WebSocket connection's reader.
pub(super) struct Reader<'a> {
    pub(super) task: &'a Task,
    pub(super) inbox: &'a Inbox<Event>,
    pub(super) words: Words,
}

/// A connection ends.
struct End;

impl Reader<'_> {
    /// Read binary WebSocket messages until the connection ends.
    pub(super) async fn read_ws(mut self, mut socket: futures_util::stream::SplitStream<WebSocketStream<TcpStream>>) {
        loop {
            self.task.may_read().await;
            let taken = match socket.next().await {
                Some(Ok(WsMessage::Binary(frame))) => match self.words.limit.check(frame.len()) {
                    Ok(()) => self.words.understand(&frame),
                    Err(error) => Err(Gibberish(error.to_string())),
                },
                Some(Ok(WsMessage::Text(_))) => Err(Gibberish("text; the protocol is binary".to_owned())),
                // Pings are answered by the library.
                Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_))) => continue,
                Some(Ok(WsMessage::Close(_)) | Err(_)) | None => return,
            };
            let told = match taken {
                Ok(input) => self.deliver(input).await,
                Err(gibberish) => {
                    let told = self.deliver(self.words.report(gibberish)).await;
                    // Hold the connection open for the goodbye: the writer ends it.
                    self.task.ended.cancelled().await;
                    told.and(Err(End))
                }
            };
            if told.is_err() {
                return;
            }
        }
    }

    async fn deliver(&self, input: Input) -> Result<(), End> {
        self.inbox.deliver(Event::Own(FromClient::Said(vec![input]))).await.map_err(|_| End)
    }
}
