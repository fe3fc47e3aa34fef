//! Client connections over real loopback sockets, without a core behind them.

use std::net::SocketAddr;
use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use crossbeam::channel::Receiver;
use futures_util::{SinkExt, StreamExt};
use pangaea_schemas::client::{ClientMessage, PROTOCOL_VERSION};
use pangaea_schemas::frame::{self, FrameDecoder, FrameLimit};
use pangaea_schemas::wire::client::encode_client;
use pangaea_schemas::{NodeId, RegistryHash, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::*;
use crate::mesh::Inbox;
use crate::role::ClientListeners;

const WAIT: Duration = Duration::from_secs(20);

/// Listeners on free ports, and what they tell.
struct Door {
    tcp: SocketAddr,
    ws: SocketAddr,
    events: Receiver<Event>,
    /// What was said and not looked at yet.
    said: Mutex<VecDeque<Input>>,
}

impl Door {
    async fn open(connections_max: usize) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let clients = ClientListeners { tcp: free, ws: free, connections_max, view_radius_cells: 3 };
        let listeners = Listeners::bind(clients, NodeId::new(Role::Gateway, 1)).expect("bound");
        let [tcp, ws] = [&listeners.tcp, &listeners.ws].map(|listener| listener.local_addr().expect("bound"));
        let (inbox, events) = Inbox::new();
        listeners.accept(connections_max, inbox).expect("there is epoll");
        Self { tcp, ws, events, said: Mutex::default() }
    }

    async fn event(&self) -> Event {
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || events.recv_timeout(WAIT)).await.expect("joined").expect("an event")
    }

    async fn opened(&self) -> (ConnId, Arc<Outgoing>) {
        match self.event().await {
            Event::Own(FromClient::Opened { conn, outgoing, .. }) => (conn, outgoing),
            _ => panic!("not an opening"),
        }
    }

    async fn input(&self) -> Input {
        loop {
            let said = self.said.lock().expect("no panic").pop_front();
            if let Some(input) = said {
                return input;
            }
            match self.event().await {
                Event::Own(FromClient::Said(inputs)) => self.said.lock().expect("no panic").extend(inputs),
                _ => panic!("not a client's words"),
            }
        }
    }
}

fn hello() -> ClientMessage {
    ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(0), client: "test".to_owned() }
}

async fn send(socket: &mut TcpStream, body: &[u8]) {
    let mut framed = BytesMut::new();
    frame::encode(body, FrameLimit::Server, &mut framed).expect("fits");
    socket.write_all(&framed).await.expect("written");
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_client_is_heard_answered_and_closed_after_the_last_word() {
    let door = Door::open(10).await;
    let mut client = connect(door.tcp).await;
    let (conn, outgoing) = door.opened().await;
    send(&mut client, &encode_client(&hello())).await;
    assert!(matches!(door.input().await, Input::Client { conn: c, message } if c == conn && message == hello()));

    outgoing.push(Bytes::from_static(b"one"));
    outgoing.push(Bytes::from_static(b"two"));
    outgoing.close();
    let mut decoder = FrameDecoder::new(FrameLimit::Server);
    while client.read_buf(decoder.buffer_mut()).await.expect("read") > 0 {}
    assert_eq!(decoder.next_frame().expect("a frame").as_deref(), Some(b"one".as_slice()));
    assert_eq!(decoder.next_frame().expect("a frame").as_deref(), Some(b"two".as_slice()));
    assert!(matches!(door.input().await, Input::Closed { conn: c } if c == conn));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_socket_client_is_heard_and_answered() {
    let door = Door::open(10).await;
    let stream = connect(door.ws).await;
    let url = format!("ws://{}/", door.ws);
    let (mut client, _) = tokio_tungstenite::client_async(url, stream).await.expect("upgraded");
    let (conn, outgoing) = door.opened().await;
    client.send(WsMessage::Binary(encode_client(&hello()))).await.expect("sent");
    assert!(matches!(door.input().await, Input::Client { conn: c, message } if c == conn && message == hello()));
    outgoing.push(Bytes::from_static(b"one"));
    outgoing.send(&mut bytes::BytesMut::new());
    let answer = client.next().await.expect("open").expect("a message");
    assert_eq!(answer, WsMessage::Binary(Bytes::from_static(b"one")));
    drop(client);
    assert!(matches!(door.input().await, Input::Closed { conn: c } if c == conn));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_over_the_states_limit_and_bytes_that_are_no_message_are_malformed() {
    let door = Door::open(10).await;
    let mut client = connect(door.tcp).await;
    let (conn, _outgoing) = door.opened().await;
    client.write_all(&2_000_u32.to_le_bytes()).await.expect("written");
    match door.input().await {
        Input::Malformed { conn: c, reason } => {
            assert_eq!(c, conn);
            assert!(reason.contains("at most 1024 bytes are allowed before Hello"), "{reason}");
        }
        other => panic!("{other:?}"),
    }

    let mut client = connect(door.tcp).await;
    let (conn, _outgoing) = door.opened().await;
    send(&mut client, b"rubbish").await;
    assert!(matches!(door.input().await, Input::Malformed { conn: c, .. } if c == conn));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_beyond_the_last_place_is_turned_away_and_a_free_place_is_taken() {
    let door = Door::open(1).await;
    let first = connect(door.tcp).await;
    let (conn, _outgoing) = door.opened().await;
    let mut second = connect(door.tcp).await;
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0, "closed without a word");
    drop(first);
    assert!(matches!(door.input().await, Input::Closed { conn: c } if c == conn));
    loop {
        // The place is given back right after the news of the close.
        let mut third = connect(door.tcp).await;
        let opened = tokio::time::timeout(Duration::from_millis(50), third.read(&mut [0; 1])).await.is_err();
        if opened {
            break;
        }
    }
    door.opened().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_client_is_not_read_until_it_may_go_on() {
    let door = Door::open(10).await;
    let mut client = connect(door.tcp).await;
    let (_, outgoing) = door.opened().await;
    outgoing.set_paused(true);
    for _ in 0..3 {
        send(&mut client, &encode_client(&hello())).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(door.events.is_empty(), "{} events", door.events.len());
    outgoing.set_paused(false);
    for _ in 0..3 {
        assert!(matches!(door.input().await, Input::Client { .. }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_socket_does_not_take_at_once_follows_in_order_and_nothing_is_missing() {
    let door = Door::open(10).await;
    let mut client = connect(door.tcp).await;
    let (_, outgoing) = door.opened().await;
    let (mut batch, large) = (BytesMut::new(), Bytes::from(vec![7; 200_000]));
    let mut sent = 0;
    while outgoing.unsent_bytes() == 0 {
        outgoing.push(large.clone());
        outgoing.send(&mut batch);
        sent += 1;
    }
    outgoing.push(Bytes::from_static(b"last"));
    outgoing.send(&mut batch);
    assert!(outgoing.unsent_bytes() > 0, "nobody has read yet");
    let mut decoder = FrameDecoder::new(FrameLimit::Server);
    let mut heard = Vec::new();
    while heard.len() <= sent {
        client.read_buf(decoder.buffer_mut()).await.expect("read");
        while let Some(frame) = decoder.next_frame().expect("a frame") {
            heard.push(frame);
        }
    }
    assert!(heard[..sent].iter().all(|frame| *frame == large) && heard[sent] == "last");
    assert_eq!(outgoing.unsent_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_much_and_goes_is_heard_to_its_end() {
    let door = Door::open(10).await;
    let mut client = connect(door.tcp).await;
    door.opened().await;
    // More than is read in a turn, and its end comes with it.
    let count = 2_000;
    for _ in 0..count {
        send(&mut client, &encode_client(&hello())).await;
    }
    drop(client);
    for _ in 0..count {
        assert!(matches!(door.input().await, Input::Client { .. }));
    }
    assert!(matches!(door.input().await, Input::Closed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_given_up_soon_after_the_close() {
    let door = Door::open(10).await;
    let _client = connect(door.tcp).await;
    let (conn, outgoing) = door.opened().await;
    let mut batch = BytesMut::new();
    while outgoing.unsent_bytes() == 0 {
        outgoing.push(Bytes::from(vec![7; 200_000]));
        outgoing.send(&mut batch);
    }
    outgoing.close();
    assert!(matches!(door.input().await, Input::Closed { conn: c } if c == conn));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_sent_away_as_it_comes_goes() {
    let door = Door::open(100).await;
    for _ in 0..50 {
        let _client = connect(door.tcp).await;
        let (conn, outgoing) = door.opened().await;
        outgoing.close();
        assert!(matches!(door.input().await, Input::Closed { conn: c } if c == conn));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_bounds_ends_the_connection_though_its_socket_took_the_beginning() {
    let door = Door::open(10).await;
    let _client = connect(door.tcp).await;
    let (conn, outgoing) = door.opened().await;
    let (mut batch, large) = (BytesMut::new(), Bytes::from(vec![7; 500_000]));
    // The kernel takes some; 4 MiB wait here.
    for _ in 0..40 {
        outgoing.push(large.clone());
        outgoing.send(&mut batch);
    }
    assert!(matches!(door.input().await, Input::Closed { conn: c } if c == conn));
}
