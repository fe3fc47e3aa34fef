//! What a shard uses, smoothed: ticks are noisy, and a plan should follow crowds, not noise.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::Timestamp;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::ShardReport;

use super::Share;

/// A change of load has come through by half after so long.
const LOAD_HALF_LIFE: Duration = Duration::from_secs(8);
/// A change of how many cross a border has come through by half after so long.
const CROSSINGS_HALF_LIFE: Duration = Duration::from_secs(30);
/// The time that a first report is taken to speak for.
const FIRST_SPAN: Duration = Duration::from_millis(500);
/// A border that fewer cross per minute is forgotten.
const CROSSINGS_MIN: f64 = 0.1;

/// One shard's smoothed numbers: exponentially weighted moving averages over irregular reports. In the beginning they are the
/// plain average of what came so far, so that a first odd report is soon outvoted.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    last: Option<Timestamp>,
    load: f64,
    /// How much of the average is made of reports, 0 to 1.
    weight: f64,
    crossings: BTreeMap<ShardId, f64>,
}

impl Usage {
    /// A report came.
    pub fn observe(&mut self, now: Timestamp, report: &ShardReport) {
        let passed = self.last.replace(now).map_or(FIRST_SPAN, |last| now.since(last));
        if passed.is_zero() {
            return;
        }
        let load = Share::permille(u64::from(report.load_permille)).0 as f64;
        self.load = smooth(self.load, load, passed, LOAD_HALF_LIFE);
        self.weight = smooth(self.weight, 1.0, passed, LOAD_HALF_LIFE);
        let mut crossed: BTreeMap<ShardId, f64> = BTreeMap::new();
        for (_, to) in &report.recent {
            *crossed.entry(*to).or_default() += 60.0 / passed.as_secs_f64();
            self.crossings.entry(*to).or_default();
        }
        for (to, rate) in &mut self.crossings {
            *rate = smooth(*rate, crossed.get(to).copied().unwrap_or(0.0), passed, CROSSINGS_HALF_LIFE);
        }
        self.crossings.retain(|_, rate| *rate >= CROSSINGS_MIN);
    }

    /// Part of a tick; nothing before the first report.
    pub fn load(&self) -> Share {
        Share((self.load / self.weight.max(f64::MIN_POSITIVE)).round() as u64)
    }

    /// Hand-overs per minute, by where they go.
    pub fn crossings(&self) -> BTreeMap<ShardId, u32> {
        self.crossings.iter().map(|(to, rate)| (*to, rate.round() as u32)).collect()
    }
}

fn smooth(old: f64, sample: f64, passed: Duration, half_life: Duration) -> f64 {
    let kept = (-passed.as_secs_f64() / half_life.as_secs_f64()).exp2();
    sample + (old - sample) * kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::message::ShardPhase;
    use pangaea_schemas::{EntityId, ShardEpoch};

    const START: Timestamp = Timestamp(1_000_000_000);

    fn report(load_permille: u32, crossed: &[ShardId]) -> ShardReport {
        ShardReport {
            shard: shard("0/3/0,0"),
            epoch: ShardEpoch(1),
            phase: ShardPhase::Running,
            entities: 10,
            players: 0,
            ghosts: 0,
            tick_p50_us: 0,
            tick_p99_us: 0,
            load_permille,
            handovers_out: 0,
            handovers_in: 0,
            recent: crossed.iter().map(|to| (EntityId(1), *to)).collect(),
            parked: Vec::new(),
            paused_ms: 0,
            paused_steps: 0,
            passages: Vec::new(),
        }
    }

    fn shard(name: &str) -> ShardId {
        name.parse().expect("a shard")
    }

    /// A report each half second.
    fn observe(usage: &mut Usage, half_seconds: std::ops::Range<u32>, load_permille: u32) {
        for n in half_seconds {
            usage.observe(START + Duration::from_millis(500) * n, &report(load_permille, &[]));
        }
    }

    #[test]
    fn a_jump_of_load_has_come_through_by_half_after_its_half_life() {
        let mut usage = Usage::default();
        observe(&mut usage, 0..1, 100);
        assert_eq!(usage.load(), Share::permille(100), "there is nothing but the first report");
        observe(&mut usage, 1..1_000, 100);
        observe(&mut usage, 1_000..1_016, 300);
        assert_eq!(usage.load(), Share::permille(200));
    }

    #[test]
    fn a_first_odd_report_is_soon_outvoted() {
        let mut usage = Usage::default();
        observe(&mut usage, 0..1, 500);
        observe(&mut usage, 1..8, 100);
        assert!(usage.load() < Share::permille(150), "{}", usage.load());
    }

    #[test]
    fn one_missed_report_makes_no_difference() {
        let [mut often, mut seldom] = [Usage::default(), Usage::default()];
        for usage in [&mut often, &mut seldom] {
            observe(usage, 0..10, 0);
        }
        observe(&mut often, 10..12, 500);
        observe(&mut seldom, 11..12, 500);
        assert_eq!(often.load(), seldom.load());
    }

    #[test]
    fn crossings_rise_to_their_rate_and_are_forgotten() {
        let mut usage = Usage::default();
        let to = shard("0/3/1,0");
        for second in 0..=300 {
            usage.observe(START + Duration::from_secs(second), &report(10, &[to]));
        }
        assert_eq!(usage.crossings(), BTreeMap::from([(to, 60)]));
        for second in 301..=900 {
            usage.observe(START + Duration::from_secs(second), &report(10, &[]));
        }
        assert_eq!(usage.crossings(), BTreeMap::new());
    }
}
