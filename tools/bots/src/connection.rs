//! One connection to a gateway, over TCP or WebSocket: typed messages in and out.

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use pangaea_schemas::client::ClientMessage;
use pangaea_schemas::frame::{FrameDecoder, FrameLimit, PREFIX_BYTES, encode};
use pangaea_schemas::wire::client::{FromServer, decode_server, encode_client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::Endpoint;

/// An open connection.
pub(crate) enum Connection {
    Tcp { socket: TcpStream, decoder: FrameDecoder },
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
}

impl Connection {
    pub(crate) async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let socket = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
                socket.set_nodelay(true)?;
                Ok(Self::Tcp { socket, decoder: FrameDecoder::new(FrameLimit::Server) })
            }
            Endpoint::WebSocket(url) => {
                let (socket, _) = connect_async(url).await.with_context(|| format!("connecting to {url}"))?;
                Ok(Self::WebSocket(Box::new(socket)))
            }
        }
    }

    pub(crate) async fn send(&mut self, message: &ClientMessage) -> anyhow::Result<()> {
        let body = encode_client(message);
        match self {
            Self::Tcp { socket, .. } => {
                let mut frame = BytesMut::with_capacity(body.len() + PREFIX_BYTES);
                encode(&body, FrameLimit::Playing, &mut frame)?;
                socket.write_all(&frame).await?;
            }
            Self::WebSocket(socket) => socket.send(WsMessage::Binary(body)).await?,
        }
        Ok(())
    }

    /// The next message and its size in bytes. Nothing is lost when the call is dropped before it ends.
    pub(crate) async fn next(&mut self) -> anyhow::Result<(FromServer, usize)> {
        let frame = self.next_frame().await?;
        Ok((decode_server(&frame)?, frame.len() + PREFIX_BYTES))
    }

    async fn next_frame(&mut self) -> anyhow::Result<Bytes> {
        match self {
            Self::Tcp { socket, decoder } => loop {
                if let Some(frame) = decoder.next_frame()? {
                    return Ok(frame);
                }
                if socket.read_buf(decoder.buffer_mut()).await? == 0 {
                    bail!("the gateway closed the connection");
                }
            },
            Self::WebSocket(socket) => loop {
                match socket.next().await {
                    Some(Ok(WsMessage::Binary(frame))) => return Ok(frame),
                    Some(Ok(WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Text(_) | WsMessage::Frame(_))) => {}
                    Some(Ok(WsMessage::Close(_))) | None => bail!("the gateway closed the connection"),
                    Some(Err(error)) => return Err(error.into()),
                }
            },
        }
    }
}
