//! Whether shards do worse under a new build than they did under the old one. Pure: figures in, a verdict in words out.

use pangaea_node::admin::{ShardView, StatusView};

/// A shard's median tick may take so many times what it took before …
const TICK_FACTOR_MAX: f64 = 1.5;
/// … and this much more, in milliseconds: below that a machine's mood decides.
const TICK_EXTRA_MS: f64 = 1.0;

/// How shards did before, to be compared with.
#[derive(Debug)]
pub(super) struct Baseline {
    /// Of the slowest shard.
    worst_ms: f64,
    /// Of all shards together.
    sum_ms: f64,
}

/// Median tick of a shard in milliseconds.
pub(super) fn tick_ms(shard: &ShardView) -> f64 {
    shard.tick_ms.p50
}

/// The most that a median tick may take that took `before`.
pub(super) fn limit_ms(before: f64) -> f64 {
    before * TICK_FACTOR_MAX + TICK_EXTRA_MS
}

impl Baseline {
    /// Of all shards now.
    pub(super) fn of(status: &StatusView) -> Self {
        let times = || status.shards.iter().map(tick_ms);
        Self { worst_ms: times().fold(0.0, f64::max), sum_ms: times().sum() }
    }

    /// What is worse than it was. `None`: nothing.
    pub(super) fn regress(&self, status: &StatusView) -> Option<String> {
        let now = Self::of(status);
        let shards = status.shards.len() as f64;
        if now.worst_ms > limit_ms(self.worst_ms) {
            return Some(format!(
                "the slowest shard's median tick went from {:.2} to {:.2} ms; {:.2} are allowed",
                self.worst_ms,
                now.worst_ms,
                limit_ms(self.worst_ms)
            ));
        }
        let limit = self.sum_ms * TICK_FACTOR_MAX + TICK_EXTRA_MS * shards.sqrt();
        (now.sum_ms > limit).then(|| {
            let (before, now) = (self.sum_ms, now.sum_ms);
            format!("all shards' median ticks together went from {before:.2} to {now:.2} ms; {limit:.2} are allowed")
        })
    }
}

/// What is wrong with the canary, a shard that took `before_ms` per tick, at its scene of the new build. `None`: nothing.
pub(super) fn canary_fault(status: &StatusView, canary: &str, scene: &str, before_ms: f64) -> Option<String> {
    let Some(shard) = status.shards.iter().find(|shard| shard.id == canary) else {
        return Some(format!("{canary} is no shard any more"));
    };
    if shard.owner.as_deref() != Some(scene) || shard.phase != "running" {
        let owner = shard.owner.as_deref().unwrap_or("nobody");
        return Some(format!("{canary} is {} at {owner} instead of running at {scene}", shard.phase));
    }
    let (now, limit) = (tick_ms(shard), limit_ms(before_ms));
    (now > limit).then(|| format!("{canary}'s median tick went from {before_ms:.2} to {now:.2} ms; {limit:.2} are allowed"))
}

/// Processes of scenes that are not what they were when they were started, by name and process.
pub(super) fn died(status: &StatusView, scenes: &[(String, u32)]) -> Option<String> {
    let gone = scenes.iter().find(|(name, pid)| !status.nodes.iter().any(|node| node.id == *name && node.pid == *pid));
    gone.map(|(name, _)| format!("{name}, a process of the new build, died; see its log"))
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::{NodeView, Quantiles};

    use super::*;

    fn shards(times: &[f64]) -> StatusView {
        let shard = |(n, p50): (usize, &f64)| ShardView {
            id: format!("0/3/{n},0"),
            owner: Some("scene-3".to_owned()),
            phase: "running".to_owned(),
            tick_ms: Quantiles { p50: *p50, p99: 10.0 * p50 },
            ..ShardView::default()
        };
        StatusView { shards: times.iter().enumerate().map(shard).collect(), ..StatusView::default() }
    }

    #[test]
    fn the_same_work_is_no_regress_and_a_slow_shard_is_one() {
        let before = Baseline::of(&shards(&[2.0, 0.5, 0.5, 0.5]));
        assert_eq!(before.regress(&shards(&[2.9, 0.4, 0.6, 0.5])), None);
        let text = before.regress(&shards(&[0.5, 0.5, 4.5, 0.5])).expect("worse");
        assert!(text.contains("from 2.00 to 4.50 ms; 4.00 are allowed"), "{text}");
        let text = before.regress(&shards(&[2.0, 2.0, 2.0, 2.0])).expect("worse");
        assert!(text.starts_with("all shards'"), "{text}");
    }

    #[test]
    fn a_canary_is_to_run_where_it_was_put_and_as_fast_as_before() {
        let status = shards(&[2.0]);
        assert_eq!(canary_fault(&status, "0/3/0,0", "scene-3", 1.5), None);
        let slow = canary_fault(&status, "0/3/0,0", "scene-3", 0.5).expect("slow");
        assert_eq!(slow, "0/3/0,0's median tick went from 0.50 to 2.00 ms; 1.75 are allowed");
        let elsewhere = canary_fault(&status, "0/3/0,0", "scene-4", 2.0).expect("elsewhere");
        assert_eq!(elsewhere, "0/3/0,0 is running at scene-3 instead of running at scene-4");
        assert!(canary_fault(&status, "0/3/7,7", "scene-3", 2.0).is_some());
    }

    #[test]
    fn a_process_that_was_started_again_has_died() {
        let node = NodeView { id: "scene-3".to_owned(), pid: 8, ..NodeView::default() };
        let status = StatusView { nodes: vec![node], ..StatusView::default() };
        assert_eq!(died(&status, &[("scene-3".to_owned(), 8)]), None);
        for started in [("scene-3".to_owned(), 7), ("scene-4".to_owned(), 9)] {
            assert!(died(&status, &[started]).is_some());
        }
    }
}
