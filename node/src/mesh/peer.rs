//! One peer: its queue, its link if there is one, and the task that dials it.
//!
//! | state | event | next |
//! |---|---|---|
//! | unknown | somebody sends, or the beacon names it | no link: little waits in the queue |
//! | no link | we dial it (its id is lower) or it dials us | linked: the queue empties |
//! | linked | another link of the same node is accepted | the old one ends, then the new one is served |
//! | linked | error, end of stream, silence | no link |
//!
//! A peer is never forgotten: there are at most [`PEERS_MAX`], and a node that comes back has the same name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pangaea_schemas::{NodeId, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::queue::{Dropped, FrameClass, SendQueue};

/// Most peers of one node.
pub const PEERS_MAX: usize = 4_096;
/// First pause between two attempts to dial.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Longest pause between two attempts to dial, before jitter: well below a lease, which must not run out because a link that
/// was cut for half of it is dialed late.
const BACKOFF_MAX: Duration = Duration::from_millis(400);

/// Pauses between attempts: doubling, with up to half of it added at random so that peers don't dial in step.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { next: BACKOFF_FIRST, random: fastrand::Rng::with_seed(seed) }
    }

    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(BACKOFF_MAX);
        pause + pause.mul_f64(self.random.f64() / 2.0)
    }

    pub(super) fn reset(&mut self) {
        self.next = BACKOFF_FIRST;
    }
}

/// What this node keeps about another.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) node: NodeId,
    queue: Mutex<SendQueue>,
    /// Wakes the writer.
    pub(super) queued: Notify,
    /// Ends the link in service.
    current: Mutex<CancellationToken>,
    /// Held while a link is in service: links of one peer never overlap, so its events keep their order.
    pub(super) serving: tokio::sync::Mutex<()>,
    dialed: AtomicBool,
    address: Mutex<Option<String>>,
    /// Wakes the dialer.
    pub(super) addressed: Notify,
}

impl Peer {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            queue: Mutex::default(),
            queued: Notify::new(),
            current: Mutex::default(),
            serving: tokio::sync::Mutex::default(),
            dialed: AtomicBool::new(false),
            address: Mutex::default(),
            addressed: Notify::new(),
        }
    }

    pub(super) fn push(&self, now: Timestamp, class: FrameClass, frame: bytes::Bytes) -> Dropped {
        let dropped = self.with_queue(|queue| queue.push(now, class, frame));
        self.queued.notify_one();
        dropped
    }

    pub(super) fn with_queue<T>(&self, act: impl FnOnce(&mut SendQueue) -> T) -> T {
        act(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A new link takes over: the one in service is told to end. Returns what will end the new one.
    pub(super) fn take_over(&self) -> CancellationToken {
        let token = CancellationToken::new();
        let old = std::mem::replace(&mut *self.current.lock().unwrap_or_else(PoisonError::into_inner), token.clone());
        old.cancel();
        token
    }

    /// True for the first caller: the one that starts the dialer.
    pub(super) fn begin_dialing(&self) -> bool {
        !self.dialed.swap(true, Ordering::Relaxed)
    }

    /// Where to dial it; `None` once it is gone.
    pub(super) fn set_address(&self, address: Option<String>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        self.addressed.notify_one();
    }

    pub(super) fn address(&self) -> Option<String> {
        self.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ_by_seed() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..12).map(|_| backoff.pause()).collect::<Vec<_>>()
        };
        let (one, two) = (pauses(1), pauses(2));
        assert!(one[0] >= BACKOFF_FIRST && one[0] < BACKOFF_FIRST * 2);
        assert!(one.iter().all(|pause| *pause <= BACKOFF_MAX.mul_f64(1.5)));
        assert!(*one.last().expect("twelve") >= BACKOFF_MAX);
        assert_ne!(one, two);
    }

    #[test]
    fn a_new_link_ends_the_old_one() {
        let peer = Peer::new(NodeId::new(pangaea_schemas::Role::Scene, 1));
        let first = peer.take_over();
        let second = peer.take_over();
        assert!(first.is_cancelled() && !second.is_cancelled());
    }
}
