//! The mesh over real loopback sockets, on ports that the operating system chooses.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use crossbeam::channel::Receiver;
use pangaea_schemas::message::{BusEvent, BusRequest};
use pangaea_schemas::{Role, TypeId};

use super::*;

const WAIT: Duration = Duration::from_secs(20);
pub(super) const WORLD: NodeId = NodeId::new(Role::World, 1);
const SCENE: NodeId = NodeId::new(Role::Scene, 1);

pub(super) struct Node {
    pub(super) mesh: Mesh,
    pub(super) events: Receiver<MeshEvent>,
    pub(super) address: SocketAddr,
}

pub(super) fn identity(node: NodeId) -> Identity {
    let nonce = Nonce(u128::from(node.to_bits()));
    Identity { cluster: "demo".to_owned(), node, nonce, dialect: dialect("x: F32 at 0"), tls: None }
}

/// Of a game with one component, made of this.
fn dialect(layout: &str) -> Dialect {
    Dialect::of([("component", TypeId::of("thing"), &[layout.to_owned()][..])].into_iter())
}

pub(super) async fn node_at(identity: Identity, address: &str) -> Node {
    let listener = TcpListener::bind(address).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (inbox, events) = Inbox::new();
    Node { mesh: Mesh::start(identity, Clock::start(), listener, inbox.into()), events, address }
}

pub(super) async fn node(id: NodeId) -> Node {
    node_at(identity(id), "127.0.0.1:0").await
}

pub(super) fn chat(text: &str) -> Message {
    Message::BusEvent(BusEvent { subject: "chat.world".to_owned(), bytes: Bytes::copy_from_slice(text.as_bytes()) })
}

impl Node {
    /// The next event, waited for away from the runtime's threads.
    async fn event(&self) -> MeshEvent {
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || events.recv_timeout(WAIT)).await.expect("joined").expect("an event")
    }

    pub(super) async fn expect_up(&self, peer: NodeId) {
        let event = self.event().await;
        assert!(matches!(event, MeshEvent::Up { node, .. } if node == peer), "{event:?}");
    }

    async fn expect_down(&self, peer: NodeId) {
        let event = self.event().await;
        assert!(matches!(event, MeshEvent::Down { node } if node == peer), "{event:?}");
    }

    pub(super) async fn expect_message(&self, peer: NodeId, wanted: &Message) {
        match self.event().await {
            MeshEvent::Message { from, message } => assert_eq!((from, &message), (peer, wanted)),
            other => panic!("{other:?} instead of a message"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_higher_id_dials_and_messages_go_both_ways_in_order() {
    let (world, scene) = (node(WORLD).await, node(SCENE).await);
    scene.mesh.learn(WORLD, &world.address.to_string());
    world.expect_up(SCENE).await;
    scene.expect_up(WORLD).await;
    for n in 0..100 {
        scene.mesh.send(WORLD, &chat(&format!("up {n}")));
        world.mesh.send(SCENE, &chat(&format!("down {n}")));
    }
    for n in 0..100 {
        world.expect_message(SCENE, &chat(&format!("up {n}"))).await;
        scene.expect_message(WORLD, &chat(&format!("down {n}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_shortly_before_the_link_arrives_with_it() {
    let (world, scene) = (node(WORLD).await, node(SCENE).await);
    let hello = Message::BusRequest(BusRequest::Subscribe { prefix: "chat.".to_owned() });
    scene.mesh.send(WORLD, &hello);
    scene.mesh.learn(WORLD, &world.address.to_string());
    world.expect_up(SCENE).await;
    world.expect_message(SCENE, &hello).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_comes_back_is_dialed_again() {
    let (world, scene) = (node(WORLD).await, node(SCENE).await);
    let address = world.address.to_string();
    scene.mesh.learn(WORLD, &address);
    scene.expect_up(WORLD).await;
    drop(world);
    scene.expect_down(WORLD).await;
    let world = loop {
        // The old listener's task may need a moment to end.
        match TcpListener::bind(&address).await {
            Ok(free) => {
                drop(free);
                break node_at(Identity { nonce: Nonce(99), ..identity(WORLD) }, &address).await;
            }
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let event = scene.event().await;
    assert!(matches!(event, MeshEvent::Up { node: WORLD, nonce: Nonce(99) }), "{event:?}");
    world.expect_up(SCENE).await;
    scene.mesh.send(WORLD, &chat("again"));
    world.expect_message(SCENE, &chat("again")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_incarnation_takes_over_the_link() {
    let (world, old) = (node(WORLD).await, node(SCENE).await);
    old.mesh.learn(WORLD, &world.address.to_string());
    world.expect_up(SCENE).await;
    let young = node_at(Identity { nonce: Nonce(1_000), ..identity(SCENE) }, "127.0.0.1:0").await;
    young.mesh.learn(WORLD, &world.address.to_string());
    world.expect_down(SCENE).await;
    let event = world.event().await;
    assert!(matches!(event, MeshEvent::Up { node: SCENE, nonce: Nonce(1_000) }), "{event:?}");
}

/// What a node says to a peer that greets it as `dialer`.
async fn refusal(dialer: Identity) -> String {
    let answerer = node(NodeId::new(Role::Scene, 2)).await;
    let stream = TcpStream::connect(answerer.address).await.expect("connected");
    let (mut frames, mut socket) = link::split(stream, FrameLimit::Link.bytes_max());
    match handshake::dial(&mut frames, &mut socket, &dialer, NodeId::new(Role::Scene, 2)).await {
        Err(HandshakeError::Refused(text)) => text,
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_is_wrong_and_what_to_do() {
    let gateway = identity(NodeId::new(Role::Gateway, 1));
    let text = refusal(Identity { cluster: "other".to_owned(), ..gateway.clone() }).await;
    assert!(text.contains("gateway-1 belongs to cluster `other`"), "{text}");
    let text = refusal(Identity { dialect: dialect("x: F64 at 0"), ..gateway }).await;
    assert!(text.contains("run the same build on both"), "{text}");
    let text = refusal(identity(NodeId::new(Role::Scene, 2))).await;
    assert!(text.contains("scene-2 runs already"), "{text}");
    let text = refusal(identity(SCENE)).await;
    assert!(text.contains("scene-2 dials scene-1"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_greeting_end_the_link_and_harm_nobody() {
    let world = node(WORLD).await;
    let mut stream = TcpStream::connect(world.address).await.expect("connected");
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.expect("written");
    let mut end = Vec::new();
    // A reset is an end too.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut end).await;
    let scene = node(SCENE).await;
    scene.mesh.learn(WORLD, &world.address.to_string());
    world.expect_up(SCENE).await;
}
