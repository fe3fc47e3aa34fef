//! The bare loop: epoll, a grid, one write per client and tick. No game, no gateway hop, nothing durable, no session: what a
//! server on this machine can be at most. It speaks just enough of the update's head that the same clients can measure it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Context;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::pairs::Crowd;
use crate::cores;
use crate::load::{INPUT_BYTES, INTERVAL};
use crate::measure::thread_time;

/// Metres within which clients see each other.
const RADIUS_M: f32 = 50.0;
/// The listener's event.
const DOOR: u64 = u64::MAX;

/// A running loop; ends when it is dropped.
pub(crate) struct Bare {
    pub(crate) address: SocketAddr,
    ends: Arc<AtomicBool>,
    /// Processor time of its thread, in nanoseconds.
    spent: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Bare {
    /// On the servers' core, for so many clients of whom each sees about 30.
    pub(crate) fn start(clients: usize) -> anyhow::Result<Self> {
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the bare loop cannot listen")?;
        door.set_nonblocking(true)?;
        let (address, ends) = (door.local_addr()?, Arc::new(AtomicBool::new(false)));
        let spent = Arc::new(AtomicU64::new(0));
        let (ended, spends) = (Arc::clone(&ends), Arc::clone(&spent));
        let thread = std::thread::Builder::new().name("bare-loop".to_owned()).spawn(move || {
            // Where that is not permitted, the clusters beside it are not pinned either.
            let _ = cores::pin(None, cores::SERVER);
            if let Err(error) = Loop::new(door, clients).and_then(|mut bare| bare.run(&ended, &spends)) {
                tracing::error!("the bare loop ended: {error:#}");
            }
        })?;
        Ok(Self { address, ends, spent, thread: Some(thread) })
    }

    /// Processor time that it has taken, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.spent.load(Ordering::Relaxed) as f64 / 1e9
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong.
            let _ = thread.join();
        }
    }
}

struct Client {
    socket: TcpStream,
    in_seq: u32,
    rest: Vec<u8>,
}

struct Loop {
    door: TcpListener,
    epoll: std::os::fd::OwnedFd,
    clients: Vec<Client>,
    crowd: Crowd,
    out: Vec<u8>,
}

impl Loop {
    fn new(door: TcpListener, clients: usize) -> anyhow::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, door.as_fd(), EventData::new_u64(DOOR), EventFlags::IN)?;
        let crowd = Crowd::new(clients, 30.0, RADIUS_M);
        Ok(Self { door, epoll, clients: Vec::new(), crowd, out: Vec::new() })
    }

    fn run(&mut self, ends: &AtomicBool, spent: &AtomicU64) -> anyhow::Result<()> {
        let (began, mut tick) = (Instant::now(), 0u32);
        let mut events = Vec::with_capacity(1_024);
        while !ends.load(Ordering::Relaxed) {
            let pause = (INTERVAL * (tick + 1)).saturating_sub(began.elapsed());
            let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(pause.subsec_nanos()) };
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&pause))?;
            for event in &events {
                match event.data.u64() {
                    DOOR => self.let_in()?,
                    at => self.clients[at as usize].read(),
                }
            }
            if began.elapsed() >= INTERVAL * (tick + 1) {
                tick += 1;
                self.tick(tick);
                spent.store(thread_time().as_nanos() as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn let_in(&mut self) -> anyhow::Result<()> {
        loop {
            match self.door.accept() {
                Ok((socket, _)) => {
                    socket.set_nodelay(true)?;
                    socket.set_nonblocking(true)?;
                    let at = self.clients.len() as u64;
                    epoll::add(&self.epoll, socket.as_fd(), EventData::new_u64(at), EventFlags::IN)?;
                    self.clients.push(Client { socket, in_seq: 0, rest: Vec::new() });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn tick(&mut self, tick: u32) {
        self.crowd.step();
        for (at, client) in self.clients.iter_mut().enumerate() {
            let out = &mut self.out;
            out.clear();
            out.extend_from_slice(&[0; 4]);
            out.push(1);
            out.extend_from_slice(&u64::from(tick).to_le_bytes()[..5]);
            out.push(0);
            let mut in_seq = client.in_seq;
            while in_seq >= 0x80 {
                out.push(in_seq as u8 | 0x80);
                in_seq >>= 7;
            }
            out.push(in_seq as u8);
            out.push(0);
            let (x, z) = self.crowd.points[at % self.crowd.points.len()];
            out.extend_from_slice(&x.to_le_bytes());
            out.extend_from_slice(&z.to_le_bytes());
            self.crowd.see(at % self.crowd.points.len(), out);
            let length = out.len() as u32 - 4;
            out[..4].copy_from_slice(&length.to_le_bytes());
            // A client that does not take it misses it.
            let _ = client.socket.write(out);
        }
    }
}

impl Client {
    fn read(&mut self) {
        let mut bytes = [0; 1_024];
        let Ok(count) = self.socket.read(&mut bytes) else { return };
        self.rest.extend_from_slice(&bytes[..count]);
        let whole = self.rest.len() - self.rest.len() % (INPUT_BYTES + 4);
        if let Some(last) = whole.checked_sub(INPUT_BYTES).and_then(|at| self.rest.get(at..at + 4)) {
            self.in_seq = last.try_into().map_or(self.in_seq, u32::from_le_bytes);
        }
        self.rest.drain(..whole);
    }
}
