//! One session's reliable events, from the shard's outbox to the client.
//!
//! The shard keeps an event until the client's acknowledgement has reached it, so the gateway keeps none: it forwards each once
//! per connection, in order; when one is missing it attaches again, and the shard tells again what is not acknowledged.

use pangaea_schemas::OutSeq;
use pangaea_schemas::record::ReliableEvent;

/// What to do with events that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Tell the client.
    Forward(Vec<ReliableEvent>),
    /// The client has them all.
    Nothing,
    /// Some before these never came: attach again.
    Missing,
}

/// How far a client is in its agent's events.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    forwarded: OutSeq,
    acknowledged: OutSeq,
    told: OutSeq,
}

impl EventStream {
    /// A connection starts that holds everything up to `held`.
    pub(crate) fn starting_after(held: OutSeq) -> Self {
        Self { forwarded: held, acknowledged: held, told: held }
    }

    /// A fresh client needs nothing that was made before it joined: what the old ones left is acknowledged unseen.
    pub(crate) fn skip_to(&mut self, made: OutSeq) {
        self.forwarded = self.forwarded.max(made);
        self.acknowledged = self.forwarded;
    }

    /// Last event that the client surely holds.
    pub(crate) fn acknowledged(&self) -> OutSeq {
        self.acknowledged
    }

    /// Events from the shard, consecutive; after a `resync` the first may be any.
    pub(crate) fn accept(&mut self, mut events: Vec<ReliableEvent>, resync: bool) -> Incoming {
        let Some(first) = events.first().map(|event| event.seq) else { return Incoming::Nothing };
        if first > self.forwarded.next() && !resync {
            return Incoming::Missing;
        }
        events.retain(|event| event.seq > self.forwarded);
        let Some(last) = events.last() else { return Incoming::Nothing };
        self.forwarded = last.seq;
        Incoming::Forward(events)
    }

    /// The client holds everything up to here; nobody holds what was never sent.
    pub(crate) fn acknowledge(&mut self, held: OutSeq) {
        self.acknowledged = self.acknowledged.max(held.min(self.forwarded));
    }

    /// The acknowledgement the shard has not been told yet; it counts as told from now on.
    pub(crate) fn untold(&mut self) -> Option<OutSeq> {
        (self.acknowledged > self.told).then(|| {
            self.told = self.acknowledged;
            self.told
        })
    }

    /// Tell the acknowledgement again: there is a new owner, or the way to the old one broke.
    pub(crate) fn rewind(&mut self) {
        self.told = OutSeq(0);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pangaea_schemas::TypeId;

    use super::*;

    fn events(seqs: std::ops::RangeInclusive<u32>) -> Vec<ReliableEvent> {
        seqs.map(|seq| ReliableEvent { seq: OutSeq(seq), id: TypeId(1), bytes: Bytes::new() }).collect()
    }

    #[test]
    fn each_event_is_forwarded_once_and_in_order() {
        let mut stream = EventStream::starting_after(OutSeq(4));
        assert_eq!(stream.accept(events(3..=6), false), Incoming::Forward(events(5..=6)));
        assert_eq!(stream.accept(events(5..=6), false), Incoming::Nothing);
        assert_eq!(stream.accept(events(8..=9), false), Incoming::Missing);
        assert_eq!(stream.accept(events(7..=9), false), Incoming::Forward(events(7..=9)));
    }

    #[test]
    fn a_resync_may_start_anywhere() {
        let mut stream = EventStream::default();
        assert_eq!(stream.accept(events(300..=301), true), Incoming::Forward(events(300..=301)));
    }

    #[test]
    fn acknowledgements_rise_and_are_told_once() {
        let mut stream = EventStream::default();
        assert_eq!(stream.accept(events(1..=3), false), Incoming::Forward(events(1..=3)));
        stream.acknowledge(OutSeq(2));
        assert_eq!((stream.untold(), stream.untold()), (Some(OutSeq(2)), None));
        stream.acknowledge(OutSeq(99));
        assert_eq!(stream.untold(), Some(OutSeq(3)), "nobody holds what was never sent");
        stream.rewind();
        assert_eq!(stream.untold(), Some(OutSeq(3)));
    }
}
