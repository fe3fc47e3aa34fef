//! What the driver's thread and a connection's two tasks share: bytes to send, whether to read, whether to end.
//!
//! The driver writes to a TCP socket itself, at once: waking a task for each client and tick would cost as much as the write.
//! Only what the socket does not take is left to the writing task; while that is at work, the driver leaves the socket alone.
//!
//! The queue has no bound of its own: the core is told its bytes before every tick, sends no updates above
//! `SLOW_QUEUE_BYTES` and closes the connection above `HOPELESS_QUEUE_BYTES`. [`UNSENT_BYTES_MAX`] is the last resort.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use pangaea_schemas::frame::{self, FrameLimit};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Bytes above which a connection is closed whatever the core says.
const UNSENT_BYTES_MAX: usize = 4 * 1_024 * 1_024;

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Taken by the writer, but not yet by the socket.
    writing_bytes: usize,
    /// The end of a frame whose beginning the driver has written; goes before `frames`.
    leftover: BytesMut,
    /// Where the driver writes; `None`: only the writer knows how, or the connection has ended.
    socket: Option<Arc<OwnedWriteHalf>>,
}

/// What waits for a writer.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Bytes on a TCP socket, headers included, that come first.
    pub(super) leftover: BytesMut,
    /// Messages after it.
    pub(super) frames: VecDeque<Bytes>,
}

/// See the module.
#[derive(Debug)]
pub(in crate::driver) struct Outgoing {
    queue: Mutex<Queue>,
    queued: Notify,
    paused: watch::Sender<bool>,
    closing: CancellationToken,
    /// Ends the reader, and with it the connection, at once.
    pub(super) ended: CancellationToken,
}

impl Outgoing {
    pub(super) fn new(socket: Option<Arc<OwnedWriteHalf>>) -> Self {
        Self {
            queue: Mutex::new(Queue { socket, ..Queue::default() }),
            queued: Notify::new(),
            paused: watch::Sender::new(false),
            closing: CancellationToken::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Add one message. True when it is the first that waits: the writer is to be woken.
    pub(super) fn push(&self, frame: Bytes) -> bool {
        self.with_queue(|queue| {
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
            if queue.bytes + queue.writing_bytes > UNSENT_BYTES_MAX {
                self.ended.cancel();
            }
            queue.frames.len() == 1
        })
    }

    /// Bytes that the socket has not taken.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.with_queue(|queue| queue.bytes + queue.writing_bytes + queue.leftover.len())
    }

    /// Send what waits: at once if the socket takes it, else by the writer. `batch` is scratch space.
    pub(super) fn send(&self, batch: &mut BytesMut) {
        if !self.with_queue(|queue| queue.write(batch)) {
            self.queued.notify_one();
        }
    }

    /// The connection has ended: the socket is closed as soon as nobody else holds it.
    pub(super) fn let_go(&self) {
        self.with_queue(|queue| queue.socket = None);
    }

    /// Send what waits, then end.
    pub(super) fn close(&self) {
        self.closing.cancel();
        self.queued.notify_one();
    }

    /// Wait until [`Self::close`].
    pub(super) async fn until_closing(&self) {
        self.closing.cancelled().await;
    }

    fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// Wait while reading is paused.
    pub(super) async fn may_read(&self) {
        // The sender is ours: it is never closed while we wait.
        let _ = self.paused.subscribe().wait_for(|paused| !paused).await;
    }

    /// Everything that waits, once there is something; `None` when the connection is to end. What was taken before is sent.
    pub(super) async fn take(&self) -> Option<Waiting> {
        self.with_queue(|queue| queue.writing_bytes = 0);
        loop {
            let waiting = self.with_queue(|queue| {
                queue.writing_bytes = std::mem::take(&mut queue.bytes) + queue.leftover.len();
                Waiting { leftover: std::mem::take(&mut queue.leftover), frames: std::mem::take(&mut queue.frames) }
            });
            if !waiting.frames.is_empty() || !waiting.leftover.is_empty() {
                return Some(waiting);
            }
            if self.is_closing() {
                return None;
            }
            self.queued.notified().await;
        }
    }

    fn with_queue<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> T {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Queue {
    /// False when the writer must go on: it is at work already, the socket is full, or it is not for the driver.
    fn write(&mut self, batch: &mut BytesMut) -> bool {
        let Some(socket) = self.socket.clone() else { return false };
        if self.writing_bytes > 0 || !self.leftover.is_empty() {
            return false;
        }
        batch.clear();
        for frame in self.frames.drain(..) {
            put_frame(&frame, batch);
        }
        self.bytes = 0;
        match socket.try_write(batch) {
            Ok(written) => batch.advance(written),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            // The reader sees the same and ends the connection.
            Err(_) => return true,
        }
        self.leftover.extend_from_slice(batch);
        self.leftover.is_empty()
    }
}

/// A length-prefixed frame; one that is too large is left out.
pub(super) fn put_frame(body: &[u8], out: &mut BytesMut) {
    if let Err(error) = frame::encode(body, FrameLimit::Server, out) {
        tracing::error!(%error, "a message to a client is too large");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_taken_at_once_and_counted_until_sent() {
        let outgoing = Outgoing::new(None);
        assert!(outgoing.push(Bytes::from_static(b"one")), "the first wakes the writer");
        assert!(!outgoing.push(Bytes::from_static(b"two")), "the second does not");
        assert_eq!(outgoing.unsent_bytes(), 6);
        let waiting = outgoing.take().await.expect("two frames");
        assert_eq!(waiting.frames, ["one", "two"]);
        assert_eq!(outgoing.unsent_bytes(), 6, "taken is not sent");
        outgoing.close();
        assert_eq!(outgoing.take().await.map(|waiting| waiting.frames), None);
        assert_eq!(outgoing.unsent_bytes(), 0);
    }

    #[tokio::test]
    async fn a_close_still_sends_what_was_said() {
        let outgoing = Outgoing::new(None);
        outgoing.push(Bytes::from_static(b"goodbye"));
        outgoing.close();
        assert_eq!(outgoing.take().await.expect("the last words").frames, ["goodbye"]);
        assert_eq!(outgoing.take().await.map(|waiting| waiting.frames), None);
    }

    #[tokio::test]
    async fn what_a_socket_does_not_take_is_left_to_the_writer_in_order() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let ours = tokio::net::TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (mut theirs, _) = listener.accept().await.expect("a client");
        let (_read, write) = ours.into_split();
        let (outgoing, mut batch) = (Outgoing::new(Some(Arc::new(write))), BytesMut::new());
        outgoing.push(Bytes::from_static(b"one"));
        outgoing.send(&mut batch);
        assert_eq!(outgoing.unsent_bytes(), 0, "written at once");
        let large = Bytes::from(vec![7; 1 << 20]);
        let mut sent = 0;
        while outgoing.unsent_bytes() == 0 {
            outgoing.push(large.clone());
            outgoing.send(&mut batch);
            sent += 1;
        }
        outgoing.push(Bytes::from_static(b"last"));
        outgoing.send(&mut batch);
        let waiting = outgoing.take().await.expect("what the socket did not take");
        assert_eq!(waiting.frames, ["last"], "the driver leaves the socket alone while something is left");
        let mut heard = vec![0; 7 + sent * (large.len() + 4) - waiting.leftover.len()];
        tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut heard).await.expect("all that was written");
        assert_eq!(&heard[..7], b"\x03\0\0\0one");
    }

    #[test]
    fn a_queue_that_nobody_bounds_ends_the_connection() {
        let outgoing = Outgoing::new(None);
        outgoing.push(Bytes::from(vec![0; UNSENT_BYTES_MAX]));
        assert!(!outgoing.ended.is_cancelled());
        outgoing.push(Bytes::from_static(b"x"));
        assert!(outgoing.ended.is_cancelled());
    }
}
