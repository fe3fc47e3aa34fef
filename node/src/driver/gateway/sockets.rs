//! The TCP sockets of all clients, on one thread: what came is read from all that have something, and handed to the driver in
//! one go; what the driver could not write at once is written when a socket takes more.
//!
//! A task for each connection would be woken for each of its inputs, which costs more than to read it. So a turn takes all
//! sockets that are readable by then, and between two turns the thread lets more come together, for [`TURN_TIME`].
//!
//! Sockets tell of themselves once, when they become readable or writable: who has more is remembered for the next turn, and who
//! may not speak now, until [`Errand::GoOn`].

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::BytesMut;
use crossbeam::channel::{Receiver, Sender, TryRecvError};
use mio::event::Event as Readiness;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use pangaea_gateway::{ConnId, Input, Transport};
use pangaea_schemas::frame::FrameDecoder;
use rustc_hash::FxHashMap;
use tokio::sync::OwnedSemaphorePermit;

use super::outgoing::Outgoing;
use super::read::{Gibberish, Words};
use super::{Event, FromClient};
use crate::mesh::Inbox;

/// So long the thread lets more come together before it looks again.
const TURN_TIME: Duration = Duration::from_millis(5);
/// Sockets of which the kernel tells at a time.
const READY_MAX: usize = 1_024;
/// Most bytes that are read of a client in a turn.
const READ_BYTES_MAX: usize = 16 * 1_024;
/// Inputs that are handed to the driver at a time.
const INPUTS_MAX: usize = 1_024;
/// Errands that may wait for each connection; whoever has one more waits, too.
const ERRANDS_PER_CONNECTION: usize = 4;
/// A connection that is to close is given this long to take its last bytes.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);
/// Of the thread's own bell; connections are numbered from 1.
const BELL: Token = Token(0);

/// What others want of the thread.
#[derive(Debug)]
pub(super) enum Errand {
    /// Look after this connection from now on, and tell the driver of it.
    Take(Box<Client>),
    /// Read on: the client may speak again.
    GoOn(ConnId),
    /// End the connection when everything is sent.
    Close(ConnId),
    /// End it now.
    End(ConnId),
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Sockets {
    errands: Sender<Errand>,
    bell: Arc<Waker>,
    registry: Arc<Registry>,
}

/// A connection that the thread looks after.
#[derive(Debug)]
pub(super) struct Client {
    conn: ConnId,
    socket: Arc<TcpStream>,
    outgoing: Arc<Outgoing>,
    words: Words,
    decoder: FrameDecoder,
    /// There was something to read while reading was paused.
    waits: bool,
    /// The client sends nothing more: what is left is read to its end.
    is_ending: bool,
    /// Nothing more is read: what was, made no sense.
    is_deaf: bool,
    /// It is to close, and does by then.
    closes_at: Option<Instant>,
    /// Given back with the connection.
    _place: OwnedSemaphorePermit,
}

impl Client {
    pub(super) fn new(conn: ConnId, socket: Arc<TcpStream>, outgoing: Arc<Outgoing>, place: OwnedSemaphorePermit) -> Box<Self> {
        let words = Words::of(conn);
        let decoder = FrameDecoder::new(words.limit);
        let (waits, is_ending, is_deaf, closes_at) = (false, false, false, None);
        Box::new(Self { conn, socket, outgoing, words, decoder, waits, is_ending, is_deaf, closes_at, _place: place })
    }
}

impl Sockets {
    /// Start the thread. It ends with the driver, whose inbox this is.
    ///
    /// # Errors
    /// The kernel gives no epoll or no thread.
    pub(super) fn start(connections_max: usize, inbox: Inbox<Event>) -> anyhow::Result<Self> {
        let poll = Poll::new().context("the kernel gives no epoll for clients' sockets")?;
        let registry = Arc::new(poll.registry().try_clone().context("no file descriptor for clients' sockets")?);
        let bell = Arc::new(Waker::new(&registry, BELL).context("no file descriptor for clients' sockets")?);
        let (sender, errands) = crossbeam::channel::bounded(connections_max.saturating_mul(ERRANDS_PER_CONNECTION));
        let span = tracing::Span::current();
        let run = move || {
            let _news = Deaf(inbox.clone());
            span.in_scope(|| Keeper::new(poll, errands, inbox).run());
        };
        std::thread::Builder::new().name("client-sockets".to_owned()).spawn(run).context("cannot start a thread")?;
        Ok(Self { errands: sender, bell, registry })
    }

    /// From now on the socket tells the thread of itself, which listens once it has [taken](Errand::Take) the connection, and
    /// tells the driver of it then: so whatever the driver wants of it comes after.
    ///
    /// # Errors
    /// The socket is lost already, or the kernel has no room for it.
    pub(super) fn watch(&self, conn: ConnId, socket: tokio::net::TcpStream) -> io::Result<Arc<TcpStream>> {
        let mut socket = TcpStream::from_std(socket.into_std()?);
        self.registry.register(&mut socket, Token(conn.0 as usize), Interest::READABLE | Interest::WRITABLE)?;
        Ok(Arc::new(socket))
    }

    /// Have something done.
    pub(super) fn send(&self, errand: Errand) {
        // Without the thread the process is about to end; without its bell it looks when a socket tells of itself.
        if self.errands.send(errand).is_ok() {
            let _ = self.bell.wake();
        }
    }
}

/// The thread is to end.
struct Over;

/// Tells the driver, if it still is there, that the thread has ended, be it by a panic: nobody would be heard any more.
struct Deaf(Inbox<Event>);

impl Drop for Deaf {
    fn drop(&mut self) {
        let _ = self.0.deliver_blocking(Event::Own(FromClient::Deaf));
    }
}

/// What the thread has.
struct Keeper {
    poll: Poll,
    errands: Receiver<Errand>,
    inbox: Inbox<Event>,
    clients: FxHashMap<ConnId, Box<Client>>,
    /// Those that have more to be read, in the next turn.
    again: Vec<ConnId>,
    /// Those that are to close.
    closing: Vec<ConnId>,
    /// For the driver.
    heard: Vec<Input>,
    scratch: Box<[u8]>,
    batch: BytesMut,
}

impl Keeper {
    fn new(poll: Poll, errands: Receiver<Errand>, inbox: Inbox<Event>) -> Self {
        let (again, closing, heard) = (Vec::new(), Vec::new(), Vec::new());
        let (clients, scratch, batch) = (FxHashMap::default(), vec![0; READ_BYTES_MAX].into(), BytesMut::new());
        Self { poll, errands, inbox, clients, again, closing, heard, scratch, batch }
    }

    fn run(mut self) {
        let mut ready = Events::with_capacity(READY_MAX);
        loop {
            match self.poll.poll(&mut ready, self.patience()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return tracing::error!(%error, "clients' sockets cannot be waited for: nobody is heard any more"),
            }
            if self.turn(&ready).is_err() {
                return;
            }
            std::thread::sleep(TURN_TIME);
        }
    }

    /// How long it may wait for sockets; `None`: for ever.
    fn patience(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        (!self.closing.is_empty()).then_some(CLOSE_TIME_MAX / 10)
    }

    fn turn(&mut self, ready: &Events) -> Result<(), Over> {
        self.run_errands()?;
        for conn in std::mem::take(&mut self.again) {
            self.read(conn)?;
        }
        for readiness in ready.iter().filter(|readiness| readiness.token() != BELL) {
            self.look_at(readiness)?;
        }
        for conn in std::mem::take(&mut self.closing) {
            self.close_if_done(conn)?;
        }
        self.tell()
    }

    fn run_errands(&mut self) -> Result<(), Over> {
        for _ in 0..=self.errands.len() {
            match self.errands.try_recv() {
                Ok(Errand::Take(client)) => {
                    let (conn, outgoing) = (client.conn, client.outgoing.clone());
                    self.clients.insert(conn, client);
                    let opened = FromClient::Opened { conn, transport: Transport::Tcp, outgoing };
                    self.inbox.deliver_blocking(Event::Own(opened)).map_err(|_| Over)?;
                    // What it told of itself before is not known here.
                    self.again.push(conn);
                }
                Ok(Errand::GoOn(conn)) => {
                    if self.clients.get_mut(&conn).is_some_and(|client| std::mem::take(&mut client.waits)) {
                        self.again.push(conn);
                    }
                }
                Ok(Errand::Close(conn)) => {
                    if let Some(client) = self.clients.get_mut(&conn) {
                        client.closes_at = Some(Instant::now() + CLOSE_TIME_MAX);
                        self.closing.push(conn);
                    }
                }
                Ok(Errand::End(conn)) => self.end(conn)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Over),
            }
        }
        Ok(())
    }

    fn look_at(&mut self, readiness: &Readiness) -> Result<(), Over> {
        let conn = ConnId(readiness.token().0 as u64);
        let Some(client) = self.clients.get_mut(&conn) else { return Ok(()) };
        if readiness.is_writable() && client.outgoing.flush(&mut self.batch).is_err() {
            return self.end(conn);
        }
        client.is_ending |= readiness.is_read_closed() || readiness.is_error();
        if readiness.is_readable() || client.is_ending { self.read(conn) } else { Ok(()) }
    }

    /// What a client says, at most [`READ_BYTES_MAX`] of it.
    fn read(&mut self, conn: ConnId) -> Result<(), Over> {
        let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.is_deaf || client.is_ending) else {
            return Ok(());
        };
        if client.outgoing.is_paused() {
            client.waits = true;
            return Ok(());
        }
        let count = match (&*client.socket).read(&mut self.scratch) {
            Ok(0) => return self.end(conn),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(_) => return self.end(conn),
        };
        if !client.is_deaf {
            client.decoder.feed(&self.scratch[..count]);
            client.is_deaf = !client.hear(&mut self.heard);
        }
        if count == 0 || count == self.scratch.len() || client.is_ending {
            self.again.push(conn);
        }
        if self.heard.len() >= INPUTS_MAX { self.tell() } else { Ok(()) }
    }

    /// One that is to close does when everything is sent, or when its time is over.
    fn close_if_done(&mut self, conn: ConnId) -> Result<(), Over> {
        let Some(client) = self.clients.get(&conn) else { return Ok(()) };
        let is_late = client.closes_at.is_some_and(|at| at <= Instant::now());
        if is_late || client.outgoing.flush(&mut self.batch).unwrap_or(true) {
            return self.end(conn);
        }
        self.closing.push(conn);
        Ok(())
    }

    fn end(&mut self, conn: ConnId) -> Result<(), Over> {
        let Some(client) = self.clients.remove(&conn) else { return Ok(()) };
        // The driver may still hold the socket for a moment: the client must not wait for that.
        let _ = client.socket.shutdown(std::net::Shutdown::Both);
        self.heard.push(Input::Closed { conn });
        if self.heard.len() >= INPUTS_MAX { self.tell() } else { Ok(()) }
    }

    /// Hand over what was heard; waits while the driver has too much to do, so that clients do, too.
    fn tell(&mut self) -> Result<(), Over> {
        if self.heard.is_empty() {
            return Ok(());
        }
        let heard = std::mem::take(&mut self.heard);
        self.inbox.deliver_blocking(Event::Own(FromClient::Said(heard))).map_err(|_| Over)
    }
}

impl Client {
    /// All whole frames that have come; false when something makes no sense.
    fn hear(&mut self, heard: &mut Vec<Input>) -> bool {
        loop {
            self.decoder.set_limit(self.words.limit);
            let understood = match self.decoder.next_frame() {
                Ok(None) => return true,
                Ok(Some(frame)) => self.words.understand(&frame),
                Err(error) => Err(Gibberish(error.to_string())),
            };
            match understood {
                Ok(input) => heard.push(input),
                Err(gibberish) => {
                    heard.push(self.words.report(gibberish));
                    return false;
                }
            }
        }
    }
}
