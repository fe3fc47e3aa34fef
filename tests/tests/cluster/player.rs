//! A client small enough to read: one TCP connection, blocking, typed messages.
//!
//! It has no clock of its own: it sends one step per update it gets, so it walks at the world's pace.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use pangaea_schemas::client::{ClientMessage, Input, PROTOCOL_VERSION, RefusalCode, ServerMessage};
use pangaea_schemas::frame::{FrameDecoder, FrameLimit, encode};
use pangaea_schemas::geometry::Position;
use pangaea_schemas::message::Credentials;
use pangaea_schemas::record::ReliableEvent;
use pangaea_schemas::wire::client::{FromServer, decode_server, encode_client};
use pangaea_schemas::{EntityId, InSeq, OutSeq, RegistryHash, TypeId};

/// Nothing that a gateway is asked for takes longer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);

/// A connection that has not entered the world.
pub(crate) struct Line {
    socket: TcpStream,
    decoder: FrameDecoder,
}

/// Somebody in the world.
pub(crate) struct Player {
    line: Line,
    pub(crate) agent: EntityId,
    pub(crate) token: String,
    pub(crate) resumed: bool,
    /// Where it stood at the last update.
    pub(crate) position: Position,
    /// The last input that the world has applied.
    pub(crate) applied: InSeq,
    sent: InSeq,
    last_event: OutSeq,
    gold: Option<u64>,
}

impl Line {
    pub(crate) fn open(gateway: &str) -> std::io::Result<Self> {
        let socket = TcpStream::connect(gateway)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Self { socket, decoder: FrameDecoder::new(FrameLimit::Server) })
    }

    /// Open, and be welcomed.
    pub(crate) fn greeted(gateway: &str) -> std::io::Result<Self> {
        let mut line = Self::open(gateway)?;
        line.say(&hello(PROTOCOL_VERSION, RegistryHash(0)))?;
        match line.answer()? {
            ServerMessage::Welcome { .. } => Ok(line),
            other => Err(std::io::Error::other(format!("no welcome but {other:?}"))),
        }
    }

    pub(crate) fn say(&mut self, message: &ClientMessage) -> std::io::Result<()> {
        self.send_frame(&encode_client(message))
    }

    pub(crate) fn send_frame(&mut self, body: &[u8]) -> std::io::Result<()> {
        let mut frame = BytesMut::new();
        encode(body, FrameLimit::Playing, &mut frame).expect("within the limit");
        self.send_bytes(&frame)
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// The next message of any sort.
    fn next(&mut self) -> std::io::Result<FromServer> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(std::io::Error::other)? {
                return decode_server(&frame).map_err(std::io::Error::other);
            }
            let mut piece = [0; 16 * 1_024];
            match self.socket.read(&mut piece)? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => self.decoder.feed(&piece[..read]),
            }
        }
    }

    /// The next message that is neither an update nor an event.
    fn answer(&mut self) -> std::io::Result<ServerMessage> {
        loop {
            match self.next()? {
                FromServer::Update(_) | FromServer::Message(ServerMessage::Events { .. }) => {}
                FromServer::Message(message) => return Ok(message),
            }
        }
    }

    /// How the gateway ends this connection.
    pub(crate) fn farewell(self) -> (RefusalCode, String) {
        let (code, text, _) = self.redirection();
        (code, text)
    }

    /// How the gateway ends this connection, and where it says to go on.
    pub(crate) fn redirection(mut self) -> (RefusalCode, String, String) {
        let last = self.answer().expect("a last message");
        let ServerMessage::Goodbye { code, text, reconnect_to, .. } = last else { panic!("no goodbye but {last:?}") };
        self.await_end();
        (code, text, reconnect_to)
    }

    fn await_end(&mut self) {
        let end = loop {
            if let Err(end) = self.next() {
                break end.kind();
            }
        };
        assert!(matches!(end, std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset), "{end}");
    }
}

pub(crate) fn hello(protocol: u32, registry: RegistryHash) -> ClientMessage {
    ClientMessage::Hello { protocol, registry, client: "the tests".to_owned() }
}

/// An account's name and password.
pub(crate) fn account(name: &str, register: bool) -> Credentials {
    Credentials::Password { name: name.to_owned(), password: format!("{name} has a long password"), register }
}

pub(crate) fn guest(name: &str) -> Credentials {
    Credentials::Guest { name: name.to_owned() }
}

impl Player {
    /// Log in, join, and wait for the first sight of the world.
    pub(crate) fn enter(gateway: &str, credentials: Credentials) -> Self {
        let mut line = Line::greeted(gateway).expect("a gateway");
        line.say(&ClientMessage::Login(credentials)).expect("sent");
        let ticket = match line.answer().expect("an answer") {
            ServerMessage::Ticket { ticket, .. } => ticket,
            other => panic!("no ticket but {other:?}"),
        };
        Self::join(line, &ClientMessage::Join { ticket }, InSeq(0), OutSeq(0)).expect("joined")
    }

    /// Come back over a new connection, to this or another gateway.
    pub(crate) fn resume(&self, gateway: &str) -> std::io::Result<Self> {
        let resume = ClientMessage::Resume { token: self.token.clone(), out_ack: self.last_event, shard: None };
        Self::join(Line::greeted(gateway)?, &resume, self.sent, self.last_event)
    }

    fn join(mut line: Line, how: &ClientMessage, sent: InSeq, held: OutSeq) -> std::io::Result<Self> {
        line.say(how)?;
        match line.answer()? {
            ServerMessage::Joined { agent, token, resumed, in_seq, out_seq, .. } => {
                let last_event = if resumed { held } else { out_seq };
                let (position, sent) = (Position::default(), sent.max(in_seq));
                let mut player = Self { line, agent, token, resumed, position, applied: in_seq, sent, last_event, gold: None };
                player.see()?;
                Ok(player)
            }
            other => Err(std::io::Error::other(format!("not joined but {other:?}"))),
        }
    }

    /// Take messages until the next update.
    pub(crate) fn see(&mut self) -> std::io::Result<()> {
        loop {
            match self.line.next()? {
                FromServer::Update(update) => {
                    (self.position, self.applied) = (update.head.position, update.head.in_seq);
                    return Ok(());
                }
                FromServer::Message(ServerMessage::Events { events, .. }) => events.iter().for_each(|event| self.hear(event)),
                FromServer::Message(ServerMessage::Goodbye { code, text, .. }) => {
                    return Err(std::io::Error::other(format!("goodbye ({code:?}): {text}")));
                }
                FromServer::Message(_) => {}
            }
        }
    }

    fn hear(&mut self, event: &ReliableEvent) {
        self.last_event = event.seq;
        if event.id == TypeId::of("holdings") {
            let gold = event.bytes.get(8..).and_then(<[u8]>::first_chunk).expect("the gold is behind the version");
            self.gold = Some(u64::from_le_bytes(*gold));
        }
    }

    /// One step; the direction in 1/127 of full speed.
    pub(crate) fn step(&mut self, dx: i8, dz: i8) -> std::io::Result<()> {
        self.sent = self.sent.next();
        let bytes = Bytes::from(vec![dx.cast_unsigned(), dz.cast_unsigned()]);
        let input = Input { seq: self.sent, id: TypeId::of("move"), bytes };
        self.line.say(&ClientMessage::Inputs { inputs: vec![input], out_ack: self.last_event })
    }

    /// So many steps, one per update, until the world has applied them all.
    pub(crate) fn walk(&mut self, dx: i8, dz: i8, steps: u32) -> std::io::Result<()> {
        for _ in 0..steps {
            self.step(dx, dz)?;
            self.see()?;
        }
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        while self.applied < self.sent {
            assert!(Instant::now() < deadline, "{:?} of {:?} inputs are applied", self.applied, self.sent);
            self.see()?;
        }
        Ok(())
    }

    /// How much gold the world says it has.
    pub(crate) fn gold(&mut self, at_least: u64) -> u64 {
        let deadline = Instant::now() + ANSWER_TIME_MAX;
        while self.gold.is_none_or(|gold| gold < at_least) {
            assert!(Instant::now() < deadline, "the purse holds {:?}", self.gold);
            self.see().expect("updates go on");
        }
        self.gold.unwrap_or_default()
    }

    /// The last words of the gateway, whatever it says before them.
    pub(crate) fn dismissed(mut self) -> (RefusalCode, String) {
        loop {
            if let ServerMessage::Goodbye { code, text, .. } = self.line.answer().expect("last words") {
                self.line.await_end();
                return (code, text);
            }
        }
    }

    /// Log out, and wait until the gateway has let go.
    pub(crate) fn leave(mut self) {
        self.line.say(&ClientMessage::Leave).expect("sent");
        self.line.await_end();
    }
}
