//! How long a shard's ticks take, as told by the driver, and what it has handed over. What in a tick costs how much is next door.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::Xid;
use pangaea_schemas::message::{PASSAGES_TOLD_MAX, Passage};
use pangaea_schemas::{EntityId, Timestamp};

use super::costs::Costs;

/// How many ticks the percentiles look back on.
const TICKS_KEPT: usize = 128;
/// Most hand-overs told one by one in a report.
pub(super) const RECENT_MAX: usize = 256;

/// Tick times and hand-over counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    times_us: Vec<u32>,
    at: usize,
    smoothed_us: f32,
    /// What in its ticks costs how much.
    pub(super) costs: Costs,
    /// Hand-overs begun.
    pub(super) out: u64,
    /// Hand-overs taken.
    pub(super) taken: u64,
    /// Effects that were dropped: sent on too often, or too many on their way.
    pub(super) effects_lost: u64,
    /// Since the last report: who, where to.
    pub(super) recent: Vec<(EntityId, ShardId)>,
    /// Since the last report: whose hand-over was confirmed.
    pub(super) passages: Vec<Passage>,
    /// When those left whose hand-over is not over; as many as there may be hand-overs.
    departed: BTreeMap<Xid, Timestamp>,
}

impl Meter {
    /// A tick took this many microseconds.
    pub(super) fn note(&mut self, us: u32) {
        if self.times_us.len() < TICKS_KEPT {
            self.times_us.push(us);
        } else {
            self.times_us[self.at] = us;
            self.at = (self.at + 1) % TICKS_KEPT;
        }
        self.smoothed_us += (us as f32 - self.smoothed_us) / 20.0;
    }

    /// Median and 99th percentile in microseconds; zero before the first tick.
    pub(super) fn percentiles(&self) -> (u32, u32) {
        let mut sorted = self.times_us.clone();
        sorted.sort_unstable();
        let at = |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).copied();
        (at(50).unwrap_or(0), at(99).unwrap_or(0))
    }

    /// Smoothed share of a tick interval in 1/1000.
    pub(super) fn load_permille(&self, interval_us: u64) -> u32 {
        (self.smoothed_us * 1_000.0 / interval_us.max(1) as f32) as u32
    }

    /// Whoever owns the shard next goes on with its hand-overs.
    pub(super) fn stopped(&mut self) {
        self.departed.clear();
    }

    /// The members of a hand-over leave the live set.
    pub(super) fn departs(&mut self, now: Timestamp, xid: Xid) {
        self.departed.insert(xid, now);
    }

    /// A hand-over is over; `members`: those whom its target has now, nobody if they were taken back.
    pub(super) fn arrives(&mut self, now: Timestamp, xid: Xid, to: ShardId, members: &[EntityId]) {
        // One that a former owner began: nobody here knows when.
        let Some(left) = self.departed.remove(&xid) else { return };
        let took_us = u32::try_from(now.0.saturating_sub(left.0)).unwrap_or(u32::MAX);
        let room = PASSAGES_TOLD_MAX.saturating_sub(self.passages.len());
        self.passages.extend(members.iter().take(room).map(|member| (*member, to, left, took_us)));
    }

    /// A member of a hand-over left.
    pub(super) fn left(&mut self, entity: EntityId, to: ShardId) {
        self.out += 1;
        if self.recent.len() < RECENT_MAX {
            self.recent.push((entity, to));
        }
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::{AgentEpoch, ShardEpoch};

    use super::*;

    #[test]
    fn a_passage_is_told_once_it_is_confirmed_and_with_how_long_it_took() {
        let (mut meter, to) = (Meter::default(), "0/3/1,0".parse().expect("a shard"));
        let xid = |number| Xid { entity: EntityId(5), epoch: AgentEpoch(2), source: to, source_epoch: ShardEpoch(1), number };
        meter.departs(Timestamp(1_000), xid(1));
        meter.departs(Timestamp(2_000), xid(2));
        meter.arrives(Timestamp(51_000), xid(1), to, &[EntityId(5), EntityId(6)]);
        meter.arrives(Timestamp(60_000), xid(2), to, &[]);
        meter.arrives(Timestamp(70_000), xid(3), to, &[EntityId(7)]);
        assert_eq!(meter.passages, [5, 6].map(|id| (EntityId(id), to, Timestamp(1_000), 50_000)));
        assert!(meter.departed.is_empty());
    }

    #[test]
    fn percentiles_are_of_the_last_ticks() {
        let mut meter = Meter::default();
        assert_eq!(meter.percentiles(), (0, 0));
        for us in 1..=1_000 {
            meter.note(us);
        }
        let (p50, p99) = meter.percentiles();
        assert!((930..=940).contains(&p50) && (997..=1_000).contains(&p99), "{p50} {p99}");
    }
}
