//! Effects between shards: one lane per pair and direction, resent until acknowledged, applied once.
//!
//! The sender numbers from 1 under its own epoch and keeps what is not acknowledged. The receiver keeps (sender's epoch, upto) in
//! its journal and acknowledges only what is durable there, so a crash on either side neither doubles an effect nor loses an
//! acknowledged one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{EFFECT_BATCH_MAX, Effect, RestLane};
use pangaea_schemas::{EffectSeq, ShardEpoch, Timestamp};

/// An unacknowledged batch is sent again after this.
pub const EFFECT_RESEND: Duration = Duration::from_millis(200);
/// Most unacknowledged effects to one shard; beyond it new ones are dropped.
pub const LANE_EFFECTS_MAX: usize = 16_384;

/// One direction of a pair, at the sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outgoing {
    /// Sequence of the last acknowledged effect.
    acked: EffectSeq,
    /// Not acknowledged, in order: the first has sequence `acked + 1`.
    unacked: VecDeque<Effect>,
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

/// All lanes of one shard.
#[derive(Clone, Debug, Default)]
pub struct EffectLanes {
    /// The epoch under which this shard began to count what it sends.
    numbering: ShardEpoch,
    outgoing: BTreeMap<ShardId, Outgoing>,
    applied: BTreeMap<ShardId, (ShardEpoch, EffectSeq)>,
}

impl EffectLanes {
    /// Starts from what the journal says was applied, and counts its own anew under `numbering`.
    pub fn recovered(numbering: ShardEpoch, applied: impl IntoIterator<Item = (ShardId, ShardEpoch, EffectSeq)>) -> Self {
        let applied = applied.into_iter().map(|(source, epoch, upto)| (source, (epoch, upto))).collect();
        Self { numbering, outgoing: BTreeMap::new(), applied }
    }

    /// What is on its way, for a new owner of the shard.
    pub(crate) fn rest(&self) -> Vec<RestLane> {
        let lanes = self.outgoing.iter().filter(|(_, lane)| lane.acked > EffectSeq::ZERO || !lane.unacked.is_empty());
        lanes.map(|(to, lane)| RestLane { to: *to, acked: lane.acked, unacked: lane.unacked.iter().cloned().collect() }).collect()
    }

    /// Goes on with the lanes of the former owner, under its numbers. What is not acknowledged is sent again.
    pub(crate) fn take_over(&mut self, lanes: Vec<RestLane>) {
        for RestLane { to, acked, unacked } in lanes {
            self.outgoing.insert(to, Outgoing { acked, unacked: unacked.into(), ..Outgoing::default() });
        }
    }

    /// The epoch under which this shard began to count what it sends.
    pub fn numbering(&self) -> ShardEpoch {
        self.numbering
    }

    /// Queues an effect for another shard. `false`: the lane is full, the effect is dropped.
    pub fn send(&mut self, to: ShardId, effect: Effect) -> bool {
        let lane = self.outgoing.entry(to).or_default();
        let room = lane.unacked.len() < LANE_EFFECTS_MAX;
        if room {
            lane.unacked.push_back(effect);
        }
        room
    }

    /// Batches that are new or due again.
    pub fn poll(&mut self, now: Timestamp) -> Vec<EffectBatch> {
        let mut batches = Vec::new();
        for (to, lane) in &mut self.outgoing {
            if lane.resend_at.is_some_and(|at| at <= now) {
                lane.sent = 0;
            }
            if lane.sent == lane.unacked.len() {
                continue;
            }
            let first = EffectSeq(lane.acked.0 + 1 + lane.sent as u64);
            let effects: Vec<Effect> = lane.unacked.iter().skip(lane.sent).take(EFFECT_BATCH_MAX).cloned().collect();
            lane.sent += effects.len();
            lane.resend_at = Some(now + EFFECT_RESEND);
            batches.push(EffectBatch { to: *to, first, effects });
        }
        batches
    }

    /// The receiver has durably applied up to `upto`.
    pub fn acknowledged(&mut self, by: ShardId, upto: EffectSeq) {
        let Some(lane) = self.outgoing.get_mut(&by) else { return };
        let count = upto.0.saturating_sub(lane.acked.0).min(lane.unacked.len() as u64) as usize;
        lane.unacked.drain(..count);
        lane.acked.0 += count as u64;
        lane.sent = lane.sent.saturating_sub(count);
        if lane.unacked.is_empty() {
            lane.resend_at = None;
        }
    }

    /// Sends everything unacknowledged to `to` again at once: it has a new owner.
    pub fn hurry(&mut self, now: Timestamp, to: ShardId) {
        if let Some(lane) = self.outgoing.get_mut(&to).filter(|lane| !lane.unacked.is_empty()) {
            lane.resend_at = Some(now);
        }
    }

    /// A batch came: those of its effects that are new, to be applied once, in order. A gap or an older sender gives none.
    pub fn receive(&mut self, source: ShardId, epoch: ShardEpoch, first: EffectSeq, effects: Vec<Effect>) -> Vec<Effect> {
        let (known, upto) = self.applied.get(&source).copied().unwrap_or_default();
        let upto = if epoch > known { EffectSeq::ZERO } else { upto };
        if epoch < known || first == EffectSeq::ZERO || first > upto.next() {
            return Vec::new();
        }
        let news: Vec<Effect> = effects.into_iter().skip((upto.next().0 - first.0) as usize).collect();
        if !news.is_empty() {
            self.applied.insert(source, (epoch, EffectSeq(upto.0 + news.len() as u64)));
        }
        news
    }

    /// Up to where a sender's effects were taken, whether durable yet or not.
    pub fn taken(&self, source: ShardId, epoch: ShardEpoch) -> EffectSeq {
        self.applied.get(&source).filter(|(known, _)| *known == epoch).map_or(EffectSeq::ZERO, |(_, upto)| *upto)
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

    fn shard(x: u16) -> ShardId {
        ShardId { space: SpaceId(0), level: 3, x, z: 0 }
    }

    fn hit(n: u64) -> Effect {
        Effect { to: EntityId(n), from: EntityId(1), id: TypeId(9), bytes: Bytes::new() }
    }

    fn ids(effects: &[Effect]) -> Vec<u64> {
        effects.iter().map(|e| e.to.0).collect()
    }

    #[test]
    fn effects_are_sent_until_acknowledged_and_applied_once() {
        let (mut west, mut east) = (EffectLanes::default(), EffectLanes::default());
        for n in 1..=3 {
            west.send(shard(1), hit(n));
        }
        let lost = west.poll(AT(0));
        assert_eq!(lost.len(), 1);
        assert!(west.poll(AT(199)).is_empty());
        let again = west.poll(AT(200)).remove(0);
        assert_eq!(ids(&east.receive(shard(0), ShardEpoch(1), again.first, again.effects.clone())), [1, 2, 3]);
        assert!(east.receive(shard(0), ShardEpoch(1), again.first, again.effects).is_empty(), "doubled");
        west.acknowledged(shard(1), EffectSeq(3));
        assert!(west.poll(AT(9_000)).is_empty());
        assert_eq!(west.poll_timeout(), None);
    }

    #[test]
    fn a_gap_waits_and_an_overlap_is_cut() {
        let mut east = EffectLanes::default();
        let from = (shard(0), ShardEpoch(1));
        assert!(east.receive(from.0, from.1, EffectSeq(2), vec![hit(2)]).is_empty());
        assert_eq!(ids(&east.receive(from.0, from.1, EffectSeq(1), vec![hit(1)])), [1]);
        assert_eq!(ids(&east.receive(from.0, from.1, EffectSeq(1), vec![hit(1), hit(2)])), [2]);
    }

    #[test]
    fn a_new_owner_of_the_sender_starts_at_one_and_the_old_one_is_not_heard() {
        let mut east = EffectLanes::recovered(ShardEpoch(1), [(shard(0), ShardEpoch(1), EffectSeq(5))]);
        assert_eq!(ids(&east.receive(shard(0), ShardEpoch(2), EffectSeq(1), vec![hit(7)])), [7]);
        assert!(east.receive(shard(0), ShardEpoch(1), EffectSeq(6), vec![hit(8)]).is_empty());
    }

    #[test]
    fn a_receiver_that_recovered_an_older_state_gets_what_it_had_not_made_durable() {
        let mut west = EffectLanes::default();
        for n in 1..=4 {
            west.send(shard(1), hit(n));
        }
        west.poll(AT(0));
        west.acknowledged(shard(1), EffectSeq(2));
        west.hurry(AT(10), shard(1));
        let batch = west.poll(AT(10)).remove(0);
        assert_eq!((batch.first, ids(&batch.effects)), (EffectSeq(3), vec![3, 4]));
    }
}
