//! A fleet against a pretended gateway on a real socket: a faultless one is reported faultless, a faulty one by name.

use std::time::Duration;

use pangaea_bots::{BotOptions, Endpoint, Report, Scenario, run};
use pangaea_schemas::client::{ClientMessage, ServerMessage};
use pangaea_schemas::frame::{FrameDecoder, FrameLimit, encode};
use pangaea_schemas::geometry::{CELL_EDGE_M, Position};
use pangaea_schemas::registry::{Field, FieldType, Registry, TypeInfo};
use pangaea_schemas::wire::client::{decode_client, encode_server};
use pangaea_schemas::wire::update::{Course, Slot, UpdateHead, UpdateWriter};
use pangaea_schemas::{EntityId, InSeq, OutSeq, RegistryHash, Tick, TypeId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::interval;

const STEP_M: f32 = 6.0 / 20.0;
const AGENT: EntityId = EntityId(77);

/// How the pretended gateway misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    TickBack,
    Jump,
    Vanish,
    HangUp,
}

fn description() -> Registry {
    let field = |name: &str, offset| Field { name: name.to_owned(), ty: FieldType::I8, offset, length: 1 };
    let fields = vec![field("dx", 0), field("dz", 1)];
    Registry {
        inputs: vec![TypeInfo { id: TypeId::of("move"), name: "move".to_owned(), size: 2, fields }],
        ..Registry::default()
    }
}

/// One client of the pretended gateway: it walks as it is told, and sees nobody but itself.
struct Client {
    socket: TcpStream,
    decoder: FrameDecoder,
    writer: UpdateWriter,
    tick: u64,
    in_seq: InSeq,
    place: Position,
    is_drawn: bool,
}

impl Client {
    async fn tell(&mut self, body: &[u8]) -> std::io::Result<()> {
        let mut frame = bytes::BytesMut::new();
        encode(body, FrameLimit::Server, &mut frame).expect("short");
        self.socket.write_all(&frame).await
    }

    fn answer(&mut self, message: ClientMessage) -> Option<ServerMessage> {
        match message {
            ClientMessage::Hello { .. } => Some(ServerMessage::Welcome {
                registry: RegistryHash(1),
                cluster: "demo".to_owned(),
                gateway: "gateway-1".to_owned(),
                tick_hz: 20,
                cell_edge_m: 32,
                description: Some(description()),
            }),
            ClientMessage::Login(_) => {
                Some(ServerMessage::Ticket { ticket: "let me in".to_owned(), agent: AGENT, name: "bot".to_owned() })
            }
            ClientMessage::Join { .. } | ClientMessage::Resume { .. } => {
                self.tick = 1;
                Some(ServerMessage::Joined {
                    agent: AGENT,
                    token: "back again".to_owned(),
                    resumed: false,
                    space: 0,
                    space_edge_cells: 32,
                    view_radius_cells: 3,
                    tick: Tick(1),
                    in_seq: self.in_seq,
                    out_seq: OutSeq(0),
                })
            }
            ClientMessage::Inputs { inputs, .. } => {
                for input in inputs {
                    assert_eq!(input.seq, self.in_seq.next(), "inputs come in order");
                    self.in_seq = input.seq;
                    let step = |at: usize| f32::from(input.bytes[at] as i8) / 127.0 * STEP_M;
                    self.place = Position { x: self.place.x + step(0), z: self.place.z + step(1) };
                }
                None
            }
            _ => None,
        }
    }

    fn update(&mut self, fault: Fault) -> bytes::Bytes {
        self.tick += 1;
        let late = self.tick > 20;
        let mut head = UpdateHead {
            tick: Tick(self.tick),
            in_seq: self.in_seq,
            applied: self.in_seq,
            position: self.place,
            ..UpdateHead::default()
        };
        if fault == Fault::TickBack && self.tick == 20 {
            head.tick = Tick(3);
        }
        if fault == Fault::Jump && late {
            head.position.x += 50.0;
        }
        if fault == Fault::Vanish && late {
            if std::mem::take(&mut self.is_drawn) {
                self.writer.left(Slot(5));
            }
        } else if !std::mem::replace(&mut self.is_drawn, true) {
            self.writer.entered(Slot(5), AGENT, Course::default(), [].iter());
        }
        self.writer.finish(&head)
    }
}

async fn serve(socket: TcpStream, fault: Fault) {
    let middle = 16.0 * CELL_EDGE_M;
    let mut client = Client {
        socket,
        decoder: FrameDecoder::new(FrameLimit::Playing),
        writer: UpdateWriter::default(),
        tick: 0,
        in_seq: InSeq(0),
        place: Position { x: middle, z: middle },
        is_drawn: false,
    };
    let mut beat = interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            read = client.socket.read_buf(client.decoder.buffer_mut()) => {
                if read.unwrap_or(0) == 0 {
                    return;
                }
                while let Some(frame) = client.decoder.next_frame().expect("bots keep the limits") {
                    let message = decode_client(&frame).expect("bots speak the protocol");
                    if let Some(answer) = client.answer(message) {
                        client.tell(&encode_server(&answer)).await.expect("the bot listens");
                    }
                }
            }
            _ = beat.tick() => {
                if client.tick > 0 {
                    if fault == Fault::HangUp && client.tick > 20 {
                        return;
                    }
                    let update = client.update(fault);
                    if client.tell(&update).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

async fn play(fault: Fault, play: Duration) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let server = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, fault));
        }
    });
    let endpoints = vec![Endpoint::Tcp(address)];
    let options = BotOptions { endpoints, count: 3, play, scenario: Scenario::BorderStorm, seed: 1, progress: false };
    let report = run(options).await;
    server.abort();
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faultless_gateway_is_reported_faultless() {
    let report = play(Fault::None, Duration::from_secs(2)).await;
    assert_eq!((report.connected, report.anomalies_total), (3, 0), "{:?}", report.examples);
    assert!(report.updates_per_client_s > 10.0 && report.inputs_per_s > 30.0, "{report:?}");
    assert!(report.bytes_per_client_s > 300.0 && report.gap_ms.p50 > 10.0 && report.input_to_seen_ms.max > 0.0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_named() {
    let faults =
        [(Fault::TickBack, "tick_back"), (Fault::Jump, "jump"), (Fault::Vanish, "vanished"), (Fault::HangUp, "disconnected")];
    let plays = faults.map(|(fault, name)| (tokio::spawn(play(fault, Duration::from_millis(3_500))), name));
    for (report, name) in plays {
        let report = report.await.expect("the fleet ends well");
        assert!(report.anomalies.contains_key(name), "{name} in {:?}", report.anomalies);
    }
}
