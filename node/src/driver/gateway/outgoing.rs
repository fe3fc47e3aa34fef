//! What the driver's thread and whoever looks after a connection share: bytes to send, whether to read, whether to end.
//!
//! The driver writes to a TCP socket itself, at once: waking somebody for each client and tick would cost as much as the write.
//! Only what the socket does not take is left to the sockets' thread, see [`super::sockets`]. A WebSocket has a task that writes.
//!
//! The queue has no bound of its own: the core is told its bytes before every tick, sends no updates above
//! `SLOW_QUEUE_BYTES` and closes the connection above `HOPELESS_QUEUE_BYTES`. [`UNSENT_BYTES_MAX`] is the last resort.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use mio::net::TcpStream;
use pangaea_gateway::ConnId;
use pangaea_schemas::frame::{self, FrameLimit};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::sockets::{Errand, Sockets};

/// Bytes above which a connection is closed whatever the core says.
const UNSENT_BYTES_MAX: usize = 4 * 1_024 * 1_024;

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Taken by a task, but not yet by its socket.
    writing_bytes: usize,
    /// The end of what a socket took only the beginning of; goes before `frames`.
    leftover: BytesMut,
}

/// Who looks after the connection.
#[derive(Debug)]
enum Keeper {
    Task(Arc<Task>),
    Thread { conn: ConnId, socket: Arc<TcpStream>, thread: Sockets, is_paused: AtomicBool },
}

/// The two tasks of a WebSocket, and what they are told.
#[derive(Debug)]
pub(super) struct Task {
    queued: Notify,
    paused: watch::Sender<bool>,
    closing: CancellationToken,
    /// Ends the reader, and with it the connection, at once.
    pub(super) ended: CancellationToken,
}

/// See the module.
#[derive(Debug)]
pub(in crate::driver) struct Outgoing {
    queue: Mutex<Queue>,
    keeper: Keeper,
}

impl Outgoing {
    /// Of a connection that tasks look after.
    pub(super) fn of_task(task: Arc<Task>) -> Self {
        Self { queue: Mutex::default(), keeper: Keeper::Task(task) }
    }

    /// Of one that the sockets' thread looks after.
    pub(super) fn of_thread(conn: ConnId, socket: Arc<TcpStream>, thread: Sockets) -> Self {
        let keeper = Keeper::Thread { conn, socket, thread, is_paused: AtomicBool::new(false) };
        Self { queue: Mutex::default(), keeper }
    }

    /// Add one message. True when it is the first that waits: it is to be sent.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        let (is_first, unsent) = self.with_queue(|queue| {
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
            (queue.frames.len() == 1, queue.unsent_bytes())
        });
        if unsent > UNSENT_BYTES_MAX {
            match &self.keeper {
                Keeper::Task(task) => task.ended.cancel(),
                Keeper::Thread { conn, thread, .. } => thread.send(Errand::End(*conn)),
            }
        }
        is_first
    }

    /// Bytes that the socket has not taken.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.with_queue(|queue| queue.unsent_bytes())
    }

    /// Send what waits, as far as the socket takes it; the rest follows when it takes more. `batch` is scratch space.
    pub(super) fn send(&self, batch: &mut BytesMut) {
        match &self.keeper {
            Keeper::Task(task) => task.queued.notify_one(),
            // The reader sees the same error and ends the connection.
            Keeper::Thread { .. } => _ = self.flush(batch),
        }
    }

    /// The same to the socket itself; true when nothing waits any more.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn flush(&self, batch: &mut BytesMut) -> io::Result<bool> {
        let Keeper::Thread { socket, .. } = &self.keeper else { return Ok(true) };
        self.with_queue(|queue| queue.write(socket, batch))
    }

    /// Send what waits, then end.
    pub(super) fn close(&self) {
        match &self.keeper {
            Keeper::Task(task) => {
                task.closing.cancel();
                task.queued.notify_one();
            }
            Keeper::Thread { conn, thread, .. } => thread.send(Errand::Close(*conn)),
        }
    }

    /// Whether to read what the client says.
    pub(super) fn set_paused(&self, paused: bool) {
        match &self.keeper {
            Keeper::Task(task) => _ = task.paused.send_replace(paused),
            Keeper::Thread { conn, thread, is_paused, .. } => {
                is_paused.store(paused, Ordering::Release);
                if !paused {
                    thread.send(Errand::GoOn(*conn));
                }
            }
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        matches!(&self.keeper, Keeper::Thread { is_paused, .. } if is_paused.load(Ordering::Acquire))
    }

    /// Everything that waits for the task, once there is something; `None` when the connection is to end. What was taken before
    /// is sent.
    pub(super) async fn take(&self, task: &Task) -> Option<VecDeque<Bytes>> {
        self.with_queue(|queue| queue.writing_bytes = 0);
        loop {
            let frames = self.with_queue(|queue| {
                queue.writing_bytes = std::mem::take(&mut queue.bytes);
                std::mem::take(&mut queue.frames)
            });
            if !frames.is_empty() {
                return Some(frames);
            }
            if task.closing.is_cancelled() {
                return None;
            }
            task.queued.notified().await;
        }
    }

    fn with_queue<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> T {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Task {
    pub(super) fn new() -> Self {
        let (closing, ended) = (CancellationToken::new(), CancellationToken::new());
        Self { queued: Notify::new(), paused: watch::Sender::new(false), closing, ended }
    }

    /// Wait until [`Outgoing::close`].
    pub(super) async fn until_closing(&self) {
        self.closing.cancelled().await;
    }

    /// Wait while reading is paused.
    pub(super) async fn may_read(&self) {
        // The sender is ours: it is never closed while we wait.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }
}

impl Queue {
    fn unsent_bytes(&self) -> usize {
        self.bytes + self.writing_bytes + self.leftover.len()
    }

    /// Leftovers first, then all frames in one write. True when the socket took everything.
    fn write(&mut self, mut socket: &TcpStream, batch: &mut BytesMut) -> io::Result<bool> {
        batch.clear();
        if !self.leftover.is_empty() {
            std::mem::swap(&mut self.leftover, batch);
        }
        for frame in self.frames.drain(..) {
            put_frame(&frame, batch);
        }
        self.bytes = 0;
        while !batch.is_empty() {
            match socket.write(batch) {
                Ok(written) => batch.advance(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.leftover.extend_from_slice(batch);
        Ok(self.leftover.is_empty())
    }
}

/// A length-prefixed frame; one that is too large is left out.
fn put_frame(body: &[u8], out: &mut BytesMut) {
    if let Err(error) = frame::encode(body, FrameLimit::Server, out) {
        tracing::error!(%error, "a message to a client is too large");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_task() -> (Arc<Task>, Outgoing) {
        let task = Arc::new(Task::new());
        (task.clone(), Outgoing::of_task(task))
    }

    #[tokio::test]
    async fn what_waits_is_taken_at_once_and_counted_until_sent() {
        let (task, outgoing) = of_task();
        assert!(outgoing.push(Bytes::from_static(b"one")), "the first is to be sent");
        assert!(!outgoing.push(Bytes::from_static(b"two")), "the second goes with it");
        assert_eq!(outgoing.unsent_bytes(), 6);
        assert_eq!(outgoing.take(&task).await.expect("two frames"), ["one", "two"]);
        assert_eq!(outgoing.unsent_bytes(), 6, "taken is not sent");
        outgoing.close();
        assert_eq!(outgoing.take(&task).await, None);
        assert_eq!(outgoing.unsent_bytes(), 0);
    }

    #[tokio::test]
    async fn a_close_still_sends_what_was_said() {
        let (task, outgoing) = of_task();
        outgoing.push(Bytes::from_static(b"goodbye"));
        outgoing.close();
        assert_eq!(outgoing.take(&task).await.expect("the last words"), ["goodbye"]);
        assert_eq!(outgoing.take(&task).await, None);
    }

    #[test]
    fn a_queue_that_nobody_bounds_ends_the_connection() {
        let (task, outgoing) = of_task();
        outgoing.push(Bytes::from(vec![0; UNSENT_BYTES_MAX]));
        assert!(!task.ended.is_cancelled());
        outgoing.push(Bytes::from_static(b"x"));
        assert!(task.ended.is_cancelled());
    }
}
