//! The reading side of a client connection: bytes to frames to typed messages, with the bound of the connection's state.
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
use pangaea_schemas::frame::{FrameDecoder, FrameLimit};
use pangaea_schemas::wire::client::decode_client;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::outgoing::Outgoing;
use super::{Event, FromClient};
use crate::mesh::Inbox;

/// A connection's reader.
pub(super) struct Reader<'a> {
    pub(super) conn: ConnId,
    pub(super) outgoing: &'a Outgoing,
    pub(super) inbox: &'a Inbox<Event>,
    pub(super) limit: FrameLimit,
}

/// A connection ends.
struct End;

impl Reader<'_> {
    /// Read length-prefixed frames until the connection ends.
    pub(super) async fn read_tcp(mut self, mut socket: OwnedReadHalf) {
        let mut decoder = FrameDecoder::new(self.limit);
        loop {
            loop {
                match decoder.next_frame() {
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        if self.take(&frame).await.is_err() {
                            return;
                        }
                        decoder.set_limit(self.limit);
                    }
                    Err(error) => return drop(self.malformed(error.to_string()).await),
                }
            }
            self.outgoing.may_read().await;
            if !socket.read_buf(decoder.buffer_mut()).await.is_ok_and(|read| read > 0) {
                return;
            }
        }
    }

    /// Read binary WebSocket messages until the connection ends.
    pub(super) async fn read_ws(mut self, mut socket: futures_util::stream::SplitStream<WebSocketStream<TcpStream>>) {
        loop {
            self.outgoing.may_read().await;
            let taken = match socket.next().await {
                Some(Ok(WsMessage::Binary(frame))) => match self.limit.check(frame.len()) {
                    Ok(()) => self.take(&frame).await,
                    Err(error) => self.malformed(error.to_string()).await,
                },
                Some(Ok(WsMessage::Text(_))) => self.malformed("text; the protocol is binary".to_owned()).await,
                // Pings are answered by the library.
                Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_))) => Ok(()),
                Some(Ok(WsMessage::Close(_)) | Err(_)) | None => Err(End),
            };
            if taken.is_err() {
                return;
            }
        }
    }

    async fn take(&mut self, frame: &Bytes) -> Result<(), End> {
        match decode_client(frame) {
            Ok(message) => {
                self.limit = match &message {
                    ClientMessage::Join { .. } | ClientMessage::Resume { .. } => FrameLimit::Playing,
                    _ => self.limit.max(FrameLimit::Join),
                };
                self.deliver(Input::Client { conn: self.conn, message }).await
            }
            Err(error) => self.malformed(error.to_string()).await,
        }
    }

    /// The core says goodbye and closes; nothing more is read.
    async fn malformed(&self, reason: String) -> Result<(), End> {
        metrics::counter!("pangaea_client_malformed").increment(1);
        self.deliver(Input::Malformed { conn: self.conn, reason }).await?;
        // Hold the connection open for the goodbye: the writer ends it.
        self.outgoing.ended.cancelled().await;
        Err(End)
    }

    async fn deliver(&self, input: Input) -> Result<(), End> {
        self.inbox.deliver(Event::Own(FromClient::Said(input))).await.map_err(|_| End)
    }
}
