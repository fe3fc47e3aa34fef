//! A cheap crowd: thousands of clients on one thread, which parse of an update only what they must. A few of them look properly,
//! to prove that what they draw is right.

mod client;
mod sight;

use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangaea_schemas::geometry::Position;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::measure::quantile;

pub(crate) use client::INPUT_BYTES;
use client::{Client, Heard};
use sight::Witness;

/// Time between two inputs of a client, and between two ticks.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
/// So many clients look properly.
const WITNESSES: usize = 4;
/// Everybody is in by then.
const ENTER_TIME_MAX: Duration = Duration::from_secs(60);
/// Clients that are on their way in at a time.
const ENTERING_MAX: usize = 40;

/// Whom they talk to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// A gateway.
    Gateway,
    /// The bare loop: no greeting, inputs of [`INPUT_BYTES`].
    Bare,
}

/// What a while of play showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Played {
    pub(crate) clients: usize,
    /// Updates per second of the client that got fewest.
    pub(crate) fewest_updates: f64,
    /// Bytes per client and second, frame headers included.
    pub(crate) bytes: f64,
    /// From an input to the update that acknowledges it, in ticks.
    pub(crate) latency_p50: f64,
    pub(crate) latency_p99: f64,
    /// Distance between the ten nearest as drawn and as they are, in metres.
    pub(crate) near_error_p99: f64,
    /// The same of everybody else in sight.
    pub(crate) far_error_p99: f64,
    /// Whom a witness sees, on average.
    pub(crate) visible: f64,
}

/// The crowd.
pub(crate) struct Crowd {
    server: Server,
    address: SocketAddr,
    epoll: std::os::fd::OwnedFd,
    clients: Vec<Client>,
    witness: Witness,
    began: Instant,
    /// Whose turn to send an input it is.
    next: usize,
    /// Inputs that are due and not sent.
    due: f64,
    /// When that was counted, since the beginning.
    counted: Duration,
    latencies: Vec<f64>,
    scratch: Vec<u8>,
    /// Number of the first client, and from one to the next: crowds that play at the same time share no number.
    numbers: (usize, usize),
}

impl Crowd {
    pub(crate) fn new(server: Server, address: SocketAddr) -> anyhow::Result<Self> {
        Self::numbered(server, address, (0, 1))
    }

    /// One of several that play at the same time: its clients have the numbers `first`, `first + step`, and so on.
    pub(crate) fn numbered(server: Server, address: SocketAddr, numbers: (usize, usize)) -> anyhow::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("no epoll")?;
        let (clients, latencies) = (Vec::new(), Vec::new());
        let (witness, began) = (Witness::default(), Instant::now());
        let scratch = vec![0; 1 << 18];
        let (next, due, counted) = (0, 0.0, Duration::ZERO);
        Ok(Self { server, address, epoll, clients, witness, began, next, due, counted, latencies, scratch, numbers })
    }

    /// Let clients in until there are so many, each at its home.
    pub(crate) fn grow(&mut self, count: usize, home: impl Fn(usize) -> Position) -> anyhow::Result<()> {
        let deadline = Instant::now() + ENTER_TIME_MAX;
        while self.clients.len() < count || self.clients.iter().any(|client| !client.plays()) {
            let entering = self.clients.iter().filter(|client| !client.plays()).count();
            for _ in entering..ENTERING_MAX.min(entering + count - self.clients.len()) {
                let (at, (first, step)) = (self.clients.len(), self.numbers);
                let number = first + at * step;
                let socket = TcpStream::connect(self.address).with_context(|| format!("client {number} cannot connect"))?;
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                epoll::add(&self.epoll, socket.as_fd(), EventData::new_u64(at as u64), EventFlags::IN)?;
                let client = Client::new(self.server, number, socket, home(number), at < WITNESSES)?;
                self.clients.push(client);
            }
            self.turn()?;
            if Instant::now() > deadline {
                bail!("of {} clients {entering} are not in after {} s", self.clients.len(), ENTER_TIME_MAX.as_secs());
            }
        }
        Ok(())
    }

    /// Play on; what is seen meanwhile.
    pub(crate) fn play(&mut self, span: Duration) -> anyhow::Result<Played> {
        self.latencies.clear();
        self.witness.forget();
        self.clients.iter_mut().for_each(Client::begin_count);
        let began = Instant::now();
        while began.elapsed() < span {
            self.turn()?;
        }
        let seconds = began.elapsed().as_secs_f64();
        if self.server == Server::Gateway && self.clients.iter().any(Client::is_astray) {
            bail!("some of {} clients are not near their homes: the crowd is not as dense as it should be", self.clients.len());
        }
        let fewest = self.clients.iter().map(Client::updates).min().unwrap_or(0);
        let bytes: u64 = self.clients.iter().map(Client::bytes).sum();
        let (near, far, visible) = self.witness.judge(&self.clients);
        let ticks = |part| quantile(&self.latencies, part) / INTERVAL.as_secs_f64();
        Ok(Played {
            clients: self.clients.len(),
            fewest_updates: f64::from(fewest) / seconds,
            bytes: bytes as f64 / seconds / self.clients.len().max(1) as f64,
            latency_p50: ticks(0.5),
            latency_p99: ticks(0.99),
            near_error_p99: quantile(&near, 0.99),
            far_error_p99: quantile(&far, 0.99),
            visible,
        })
    }

    /// Inputs that are due, then what has come.
    fn turn(&mut self) -> anyhow::Result<()> {
        let (count, now) = (self.clients.len(), self.began.elapsed());
        let rounds = (now - self.counted).as_secs_f64() / INTERVAL.as_secs_f64();
        self.counted = now;
        // Nobody sends a bunch to catch up.
        self.due = (self.due + rounds * count as f64).min(count as f64);
        while self.due >= 1.0 {
            self.due -= 1.0;
            self.next = (self.next + 1) % count;
            self.clients[self.next].act(self.began.elapsed())?;
        }
        let mut events = Vec::with_capacity(1_024);
        let pause = Timespec { tv_sec: 0, tv_nsec: 500_000 };
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&pause))?;
        let now = self.began.elapsed();
        for event in &events {
            let client = &mut self.clients[event.data.u64() as usize];
            let mut heard = Heard { latencies: &mut self.latencies, witness: &mut self.witness };
            client.read(now, &mut self.scratch, &mut heard)?;
        }
        Ok(())
    }
}
