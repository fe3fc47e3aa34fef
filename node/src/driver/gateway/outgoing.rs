//! What the driver's thread and a connection's two tasks share: bytes to send, whether to read, whether to end.
//!
//! The queue has no bound of its own: the core is told its bytes before every tick, sends no updates above
//! `SLOW_QUEUE_BYTES` and closes the connection above `HOPELESS_QUEUE_BYTES`. [`UNSENT_BYTES_MAX`] is the last resort.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
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
    pub(super) fn new() -> Self {
        Self {
            queue: Mutex::default(),
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
        self.with_queue(|queue| queue.bytes + queue.writing_bytes)
    }

    pub(super) fn wake_writer(&self) {
        self.queued.notify_one();
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
    pub(super) async fn take(&self) -> Option<VecDeque<Bytes>> {
        self.with_queue(|queue| queue.writing_bytes = 0);
        loop {
            let frames = self.with_queue(|queue| {
                queue.writing_bytes = std::mem::take(&mut queue.bytes);
                std::mem::take(&mut queue.frames)
            });
            if !frames.is_empty() {
                return Some(frames);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_taken_at_once_and_counted_until_sent() {
        let outgoing = Outgoing::new();
        assert!(outgoing.push(Bytes::from_static(b"one")), "the first wakes the writer");
        assert!(!outgoing.push(Bytes::from_static(b"two")), "the second does not");
        assert_eq!(outgoing.unsent_bytes(), 6);
        let frames = outgoing.take().await.expect("two frames");
        assert_eq!(frames, ["one", "two"]);
        assert_eq!(outgoing.unsent_bytes(), 6, "taken is not sent");
        outgoing.close();
        assert_eq!(outgoing.take().await, None);
        assert_eq!(outgoing.unsent_bytes(), 0);
    }

    #[tokio::test]
    async fn a_close_still_sends_what_was_said() {
        let outgoing = Outgoing::new();
        outgoing.push(Bytes::from_static(b"goodbye"));
        outgoing.close();
        assert_eq!(outgoing.take().await.expect("the last words"), ["goodbye"]);
        assert_eq!(outgoing.take().await, None);
    }

    #[test]
    fn a_queue_that_nobody_bounds_ends_the_connection() {
        let outgoing = Outgoing::new();
        outgoing.push(Bytes::from(vec![0; UNSENT_BYTES_MAX]));
        assert!(!outgoing.ended.is_cancelled());
        outgoing.push(Bytes::from_static(b"x"));
        assert!(outgoing.ended.is_cancelled());
    }
}
