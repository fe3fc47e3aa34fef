//! What waits to be sent to one peer: frames in order, bounded in bytes, with a stated policy for what goes when it is full.
//!
//! Policy, in this order:
//! 1. With a link, up to [`QUEUE_BYTES_MAX`] wait; without one, up to [`OFFLINE_BYTES_MAX`], each for at most
//!    [`OFFLINE_AGE_MAX`], so that a peer that comes back is not flooded with the past.
//! 2. When a frame does not fit, every waiting *feed* frame goes first: the receiver sees the gap in the feed's sequence and
//!    follows again, so the frames after a lost one are of no use to it.
//! 3. If it still does not fit, the new frame is dropped: delivery is at most once, its sender asks again.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use pangaea_schemas::Timestamp;
use pangaea_schemas::message::{Feed, Message};

/// Most bytes that wait for a peer whose link is up.
pub const QUEUE_BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Most bytes that wait for a peer without a link.
pub const OFFLINE_BYTES_MAX: usize = 1_024 * 1_024;
/// Longest time that a frame waits for a link.
pub const OFFLINE_AGE_MAX: Duration = Duration::from_secs(2);

/// What a frame is worth when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameClass {
    /// One tick's news: dropped first.
    Feed,
    /// Everything else.
    Message,
}

impl FrameClass {
    /// The class of a message.
    pub fn of(message: &Message) -> Self {
        match message {
            Message::Feed(Feed::Frame(_)) => Self::Feed,
            _ => Self::Message,
        }
    }

    /// In a word, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Message => "message",
        }
    }
}

/// What a push cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Feed frames thrown away.
    pub feeds: usize,
    /// Other frames thrown away.
    pub messages: usize,
}

#[derive(Debug)]
struct Waiting {
    class: FrameClass,
    since: Timestamp,
    frame: Bytes,
}

/// Frames for one peer, oldest first.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    frames: VecDeque<Waiting>,
    bytes: usize,
    feed_frames: usize,
    linked: bool,
}

impl SendQueue {
    /// Add a frame, at the cost of what the policy says.
    pub(super) fn push(&mut self, now: Timestamp, class: FrameClass, frame: Bytes) -> Dropped {
        let mut dropped = if self.linked { Dropped::default() } else { self.drop_aged(now) };
        if self.bytes + frame.len() > self.bytes_max() {
            dropped.feeds += self.drop_feeds();
        }
        if self.bytes + frame.len() > self.bytes_max() {
            match class {
                FrameClass::Feed => dropped.feeds += 1,
                FrameClass::Message => dropped.messages += 1,
            }
            return dropped;
        }
        self.bytes += frame.len();
        self.feed_frames += usize::from(class == FrameClass::Feed);
        self.frames.push_back(Waiting { class, since: now, frame });
        dropped
    }

    /// Move the oldest frames into `batch`, each behind its length, at least one and then as many as fit `batch_bytes`.
    /// Returns how many.
    pub(super) fn take(&mut self, batch: &mut BytesMut, batch_bytes: usize) -> usize {
        let mut taken = 0;
        while let Some(next) = self.frames.front() {
            if taken > 0 && batch.len() + next.frame.len() > batch_bytes {
                break;
            }
            batch.put_u32_le(next.frame.len() as u32);
            batch.extend_from_slice(&next.frame);
            self.bytes -= next.frame.len();
            self.feed_frames -= usize::from(next.class == FrameClass::Feed);
            self.frames.pop_front();
            taken += 1;
        }
        taken
    }

    /// A link is up: what waited too long is dropped, the rest goes out.
    pub(super) fn link_up(&mut self, now: Timestamp) -> Dropped {
        self.linked = true;
        self.drop_aged(now)
    }

    /// The link is gone: only what fits the smaller bound stays, newest first.
    pub(super) fn link_down(&mut self) -> Dropped {
        self.linked = false;
        let mut dropped = Dropped { feeds: self.drop_feeds(), messages: 0 };
        while self.bytes > OFFLINE_BYTES_MAX {
            dropped.messages += self.drop_oldest();
        }
        dropped
    }

    /// Bytes waiting.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn bytes_max(&self) -> usize {
        if self.linked { QUEUE_BYTES_MAX } else { OFFLINE_BYTES_MAX }
    }

    fn drop_aged(&mut self, now: Timestamp) -> Dropped {
        let mut dropped = Dropped::default();
        while let Some(oldest) = self.frames.front() {
            if now.since(oldest.since) <= OFFLINE_AGE_MAX {
                break;
            }
            match oldest.class {
                FrameClass::Feed => dropped.feeds += 1,
                FrameClass::Message => dropped.messages += 1,
            }
            self.drop_oldest();
        }
        dropped
    }

    fn drop_oldest(&mut self) -> usize {
        let Some(oldest) = self.frames.pop_front() else { return 0 };
        self.bytes -= oldest.frame.len();
        self.feed_frames -= usize::from(oldest.class == FrameClass::Feed);
        1
    }

    fn drop_feeds(&mut self) -> usize {
        if self.feed_frames == 0 {
            return 0;
        }
        self.frames.retain(|waiting| waiting.class != FrameClass::Feed);
        self.bytes = self.frames.iter().map(|waiting| waiting.frame.len()).sum();
        std::mem::take(&mut self.feed_frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn frame(bytes: usize, fill: u8) -> Bytes {
        Bytes::from(vec![fill; bytes])
    }

    fn contents(queue: &mut SendQueue) -> Vec<u8> {
        let mut batch = BytesMut::new();
        let mut bytes = Vec::new();
        while queue.take(&mut batch, 0) > 0 {
            bytes.extend_from_slice(&batch.split()[4..]);
        }
        bytes
    }

    #[test]
    fn frames_leave_in_order_and_in_batches() {
        let mut queue = SendQueue::default();
        queue.link_up(NOW);
        for fill in 1..=3 {
            assert_eq!(queue.push(NOW, FrameClass::Message, frame(10, fill)), Dropped::default());
        }
        let mut batch = BytesMut::new();
        assert_eq!(queue.take(&mut batch, 30), 2);
        assert_eq!(batch.len(), 28, "two lengths and two frames");
        assert_eq!(contents(&mut queue), vec![3; 10]);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_frame_larger_than_a_batch_still_goes() {
        let mut queue = SendQueue::default();
        queue.link_up(NOW);
        queue.push(NOW, FrameClass::Message, frame(100, 1));
        let mut batch = BytesMut::new();
        assert_eq!(queue.take(&mut batch, 25), 1);
        assert_eq!(batch.len(), 104);
    }

    #[test]
    fn all_waiting_feed_frames_go_before_any_message_does() {
        let mut queue = SendQueue::default();
        queue.link_up(NOW);
        let half = QUEUE_BYTES_MAX / 2;
        queue.push(NOW, FrameClass::Feed, frame(half - 10, 1));
        queue.push(NOW, FrameClass::Message, frame(half, 2));
        queue.push(NOW, FrameClass::Feed, frame(5, 3));
        assert_eq!(queue.push(NOW, FrameClass::Message, frame(20, 4)), Dropped { feeds: 2, messages: 0 });
        assert_eq!(queue.bytes(), half + 20);
        assert_eq!(queue.push(NOW, FrameClass::Message, frame(half, 5)), Dropped { feeds: 0, messages: 1 });
        assert_eq!(queue.push(NOW, FrameClass::Feed, frame(half, 6)), Dropped { feeds: 1, messages: 0 });
        assert_eq!(queue.bytes(), half + 20, "what waits is bounded");
    }

    #[test]
    fn without_a_link_little_waits_and_not_for_long() {
        let mut queue = SendQueue::default();
        assert_eq!(queue.push(NOW, FrameClass::Message, frame(OFFLINE_BYTES_MAX, 1)), Dropped::default());
        assert_eq!(queue.push(NOW, FrameClass::Message, frame(1, 2)), Dropped { feeds: 0, messages: 1 });
        let later = NOW + OFFLINE_AGE_MAX + Duration::from_micros(1);
        assert_eq!(queue.push(later, FrameClass::Message, frame(1, 3)), Dropped { feeds: 0, messages: 1 });
        assert_eq!(queue.link_up(later), Dropped::default());
        assert_eq!(contents(&mut queue), vec![3]);
    }

    #[test]
    fn a_lost_link_keeps_the_newest_messages_and_no_feed() {
        let mut queue = SendQueue::default();
        queue.link_up(NOW);
        queue.push(NOW, FrameClass::Message, frame(OFFLINE_BYTES_MAX, 1));
        queue.push(NOW, FrameClass::Feed, frame(7, 2));
        queue.push(NOW, FrameClass::Message, frame(3, 3));
        assert_eq!(queue.link_down(), Dropped { feeds: 1, messages: 1 });
        assert_eq!(contents(&mut queue), vec![3; 3]);
    }
}
