//! Effects between shards: one stream per pair and direction, written down before it is sent, resent until acknowledged,
//! applied once.
//!
//! The sender's journal holds each effect from before it is sent until it is acknowledged; sequences go on rising over all owners
//! of a shard. The receiver's journal holds up to where it applied them, in the entry that holds what they changed or that
//! sends them on, and only then it acknowledges. So a crash on either side loses none and doubles none.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{EFFECT_BATCH_MAX, Effect, Owed};
use pangaea_schemas::{EffectSeq, Timestamp};

/// An unacknowledged batch is sent again after this.
pub const EFFECT_RESEND: Duration = Duration::from_millis(200);
/// Most unacknowledged effects to one shard; beyond it new ones are dropped.
pub const LANE_EFFECTS_MAX: usize = 16_384;
/// An effect that was sent on so often without finding its entity is dropped. Where small shards meet in a crowd, effects that
/// wait for a slow journal follow an entity to and fro; with 8, some were dropped there.
pub const EFFECT_HOPS_MAX: u8 = 64;

/// One direction of a pair, at the sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outgoing {
    /// Sequence of the last acknowledged effect.
    acked: EffectSeq,
    /// Not acknowledged, in order: the first has sequence `acked + 1`.
    unacked: VecDeque<Effect>,
    /// How many of `unacked` the journal has: no others are sent.
    durable: usize,
    /// How many of `unacked` were sent.
    sent: usize,
    resend_at: Option<Timestamp>,
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectBatch {
    /// To which shard.
    pub to: ShardId,
    /// Sequence of the first.
    pub first: EffectSeq,
    /// Consecutive.
    pub effects: Vec<Effect>,
}

/// All streams of one shard.
#[derive(Clone, Debug, Default)]
pub struct EffectLanes {
    outgoing: BTreeMap<ShardId, Outgoing>,
    applied: BTreeMap<ShardId, EffectSeq>,
}

impl EffectLanes {
    /// Starts from what the journal says: what was applied of others' effects, what others have of this shard's, and what they
    /// have not, in order per shard.
    pub fn recovered(
        applied: impl IntoIterator<Item = (ShardId, EffectSeq)>,
        delivered: impl IntoIterator<Item = (ShardId, EffectSeq)>,
        outbox: impl IntoIterator<Item = Owed>,
    ) -> Self {
        let mut lanes = Self { applied: applied.into_iter().collect(), ..Self::default() };
        for (to, upto) in delivered {
            lanes.outgoing.entry(to).or_default().acked = upto;
        }
        for Owed { to, seq, effect } in outbox {
            let lane = lanes.outgoing.entry(to).or_default();
            // What a lost note of delivery left behind is no gap.
            if lane.unacked.is_empty() {
                lane.acked = EffectSeq(seq.0 - 1);
            }
            lane.unacked.push_back(effect);
            lane.durable += 1;
        }
        lanes
    }

    /// Queues an effect for another shard: its sequence, under which it must be written down. `None`: the stream is full, the
    /// effect is dropped.
    pub fn send(&mut self, to: ShardId, effect: Effect) -> Option<EffectSeq> {
        let lane = self.outgoing.entry(to).or_default();
        let room = lane.unacked.len() < LANE_EFFECTS_MAX;
        if room {
            lane.unacked.push_back(effect);
        }
        room.then_some(EffectSeq(lane.acked.0 + lane.unacked.len() as u64))
    }

    /// The journal has the effects to `to` up to here: they may be sent.
    pub fn is_durable(&mut self, to: ShardId, upto: EffectSeq) {
        if let Some(lane) = self.outgoing.get_mut(&to) {
            let durable = upto.0.saturating_sub(lane.acked.0).min(lane.unacked.len() as u64) as usize;
            lane.durable = lane.durable.max(durable);
        }
    }

    /// Batches that are new or due again. An effect that may not go yet holds back those behind it.
    pub fn poll(&mut self, now: Timestamp, may_go: impl Fn(ShardId, &Effect) -> bool) -> Vec<EffectBatch> {
        let mut batches = Vec::new();
        for (to, lane) in &mut self.outgoing {
            if lane.resend_at.is_some_and(|at| at <= now) {
                lane.sent = 0;
            }
            let unsent = lane.unacked.range(lane.sent..lane.durable);
            let effects: Vec<Effect> = unsent.take(EFFECT_BATCH_MAX).take_while(|effect| may_go(*to, effect)).cloned().collect();
            if effects.is_empty() {
                continue;
            }
            let first = EffectSeq(lane.acked.0 + 1 + lane.sent as u64);
            lane.sent += effects.len();
            lane.resend_at = Some(now + EFFECT_RESEND);
            batches.push(EffectBatch { to: *to, first, effects });
        }
        batches
    }

    /// The receiver has durably applied up to `upto`. Whether that is news.
    pub fn acknowledged(&mut self, by: ShardId, upto: EffectSeq) -> bool {
        let Some(lane) = self.outgoing.get_mut(&by) else { return false };
        let count = upto.0.saturating_sub(lane.acked.0).min(lane.durable as u64) as usize;
        lane.unacked.drain(..count);
        lane.acked.0 += count as u64;
        lane.durable -= count;
        lane.sent = lane.sent.saturating_sub(count);
        if lane.sent == 0 {
            lane.resend_at = None;
        }
        count > 0
    }

    /// Sends everything unacknowledged to `to`, or to what it stands in the place of, again at once: it has a new owner.
    pub fn hurry(&mut self, now: Timestamp, to: ShardId) {
        let waits = |(name, lane): &(&ShardId, &mut Outgoing)| name.overlaps(to) && !lane.unacked.is_empty();
        for (_, lane) in self.outgoing.iter_mut().filter(waits) {
            lane.resend_at = Some(now);
        }
    }

    /// A batch came: those of its effects that are new, to be applied once, in order. A gap gives none.
    pub fn receive(&mut self, source: ShardId, first: EffectSeq, effects: Vec<Effect>) -> Vec<Effect> {
        let upto = self.taken(source);
        if first == EffectSeq::ZERO || first > upto.next() {
            return Vec::new();
        }
        let news: Vec<Effect> = effects.into_iter().skip((upto.next().0 - first.0) as usize).collect();
        self.applied.insert(source, EffectSeq(upto.0 + news.len() as u64));
        news
    }

    /// Up to where a shard's effects were taken, whether durable yet or not.
    pub fn taken(&self, source: ShardId) -> EffectSeq {
        self.applied.get(&source).copied().unwrap_or_default()
    }

    /// What is not acknowledged, in order per shard.
    pub fn outbox(&self) -> impl Iterator<Item = Owed> {
        let owed = |(to, lane): (&ShardId, &Outgoing)| {
            let (to, acked) = (*to, lane.acked.0);
            let numbered = lane.unacked.clone().into_iter().zip(acked + 1..);
            numbered.map(move |(effect, seq)| Owed { to, seq: EffectSeq(seq), effect })
        };
        self.outgoing.iter().flat_map(owed)
    }

    /// Up to where each shard has acknowledged.
    pub fn delivered(&self) -> impl Iterator<Item = (ShardId, EffectSeq)> {
        self.outgoing.iter().map(|(to, lane)| (*to, lane.acked))
    }

    /// When a batch is due again.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.outgoing.values().filter_map(|lane| lane.resend_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use pangaea_schemas::geometry::SpaceId;
    use pangaea_schemas::{EntityId, TypeId};

    const AT: fn(u64) -> Timestamp = |ms| Timestamp(ms * 1_000);
    const WEST: ShardId = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
    const EAST: ShardId = ShardId { x: 1, ..WEST };

    fn hit(n: u64) -> Effect {
        Effect { to: EntityId(n), from: EntityId(1), id: TypeId(9), bytes: Bytes::new(), hops: 0, within: None }
    }

    fn ids(effects: &[Effect]) -> Vec<u64> {
        effects.iter().map(|e| e.to.0).collect()
    }

    /// A sender in whose journal effects 1 to `count` are.
    fn west_owing(count: u64) -> EffectLanes {
        let mut west = EffectLanes::default();
        for n in 1..=count {
            assert_eq!(west.send(EAST, hit(n)), Some(EffectSeq(n)));
        }
        west.is_durable(EAST, EffectSeq(count));
        west
    }

    fn sent(lanes: &mut EffectLanes, ms: u64) -> Vec<(u64, Vec<u64>)> {
        lanes.poll(AT(ms), |_, _| true).into_iter().map(|batch| (batch.first.0, ids(&batch.effects))).collect()
    }

    #[test]
    fn nothing_is_sent_before_the_journal_has_it() {
        let mut west = west_owing(1);
        west.send(EAST, hit(2));
        assert_eq!(sent(&mut west, 0), [(1, vec![1])]);
        west.is_durable(EAST, EffectSeq(2));
        assert_eq!(sent(&mut west, 1), [(2, vec![2])]);
    }

    #[test]
    fn effects_are_sent_until_acknowledged_and_applied_once() {
        let (mut west, mut east) = (west_owing(3), EffectLanes::default());
        assert_eq!(sent(&mut west, 0).len(), 1, "and lost");
        assert_eq!(sent(&mut west, 199), []);
        let again = west.poll(AT(200), |_, _| true).remove(0);
        assert_eq!(ids(&east.receive(WEST, again.first, again.effects.clone())), [1, 2, 3]);
        assert_eq!(east.receive(WEST, again.first, again.effects), [], "doubled");
        assert!(west.acknowledged(EAST, EffectSeq(3)));
        assert!(!west.acknowledged(EAST, EffectSeq(3)), "doubled");
        assert_eq!(sent(&mut west, 9_000), []);
        assert_eq!(west.poll_timeout(), None);
    }

    #[test]
    fn a_gap_waits_and_an_overlap_is_cut() {
        let mut east = EffectLanes::default();
        assert_eq!(east.receive(WEST, EffectSeq(2), vec![hit(2)]), []);
        assert_eq!(ids(&east.receive(WEST, EffectSeq(1), vec![hit(1)])), [1]);
        assert_eq!(ids(&east.receive(WEST, EffectSeq(1), vec![hit(1), hit(2)])), [2]);
    }

    #[test]
    fn a_new_owner_of_the_sender_goes_on_where_its_journal_ends() {
        let owed = |n: u64| Owed { to: EAST, seq: EffectSeq(n), effect: hit(n) };
        let mut west = EffectLanes::recovered([], [(EAST, EffectSeq(4))], [owed(5), owed(6)]);
        assert_eq!(west.send(EAST, hit(7)), Some(EffectSeq(7)));
        assert_eq!(sent(&mut west, 0), [(5, vec![5, 6])]);
        let mut idle = EffectLanes::recovered([], [(EAST, EffectSeq(4))], []);
        assert_eq!(idle.send(EAST, hit(5)), Some(EffectSeq(5)), "numbers are not used twice");
    }

    #[test]
    fn a_new_owner_of_the_receiver_gets_what_the_former_had_not_made_durable() {
        let mut west = west_owing(4);
        sent(&mut west, 0);
        west.acknowledged(EAST, EffectSeq(2));
        west.hurry(AT(10), EAST);
        assert_eq!(sent(&mut west, 10), [(3, vec![3, 4])]);
    }

    #[test]
    fn an_effect_on_somebody_in_transit_waits_and_so_do_those_behind_it() {
        let mut west = west_owing(3);
        let batches = west.poll(AT(0), |_, effect| effect.to != EntityId(2));
        assert_eq!(ids(&batches[0].effects), [1]);
        assert_eq!(sent(&mut west, 1), [(2, vec![2, 3])], "it is clear now where they are");
    }

    #[test]
    fn a_stream_is_bounded() {
        let mut west = west_owing(LANE_EFFECTS_MAX as u64);
        assert_eq!(west.send(EAST, hit(0)), None);
        west.acknowledged(EAST, EffectSeq(1));
        assert!(west.send(EAST, hit(0)).is_some());
    }
}
