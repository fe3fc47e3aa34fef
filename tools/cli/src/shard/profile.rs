//! What a shard's ticks cost, as a table: the phases, then systems and scripts with the costliest first.

use std::fmt::Write as _;

use pangaea_node::admin::{CostView, ProfileView};

use crate::cluster::ClusterAddress;

/// As its owner measured it; `None`: it has no owner just now, or none that measures.
pub(super) async fn ask(cluster: &ClusterAddress, shard: &str) -> Option<ProfileView> {
    cluster.ask(&format!("/api/shards/profile?shard={shard}")).await.ok()
}

pub(super) fn table(profile: &ProfileView) -> String {
    if profile.ticks == 0 {
        return "no tick was measured yet".to_owned();
    }
    let simulate = profile.phases.iter().find(|phase| phase.name == "simulate").map_or(0.0, |phase| phase.mean_us);
    let mut text = format!("{:<40} {:>10} {:>10}", format!("phase, of {} measured ticks", profile.ticks), "mean", "longest");
    for CostView { name, mean_us, max_us } in &profile.phases {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{name:<40} {mean_us:>7.1} µs {max_us:>7.1} µs");
    }
    let _ = write!(text, "\n{:<40} {:>10} {:>10} {:>8}", "system", "mean", "longest", "share");
    for CostView { name, mean_us, max_us } in &profile.systems {
        let share = if simulate > 0.0 { mean_us * 100.0 / simulate } else { 0.0 };
        let _ = write!(text, "\n{name:<40} {mean_us:>7.1} µs {max_us:>7.1} µs {share:>6.1} %");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_told_with_their_share_of_simulate() {
        let cost = |name: &str, mean_us| CostView { name: name.to_owned(), mean_us, max_us: 2.0 * mean_us };
        let profile = ProfileView {
            ticks: 32,
            phases: vec![cost("ingest", 5.0), cost("simulate", 80.0)],
            systems: vec![cost("script glow", 60.0), cost("wander::wander", 10.0)],
            ..ProfileView::default()
        };
        let text = table(&profile);
        let words = |line: usize| text.lines().nth(line).unwrap_or_default().split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(0)[..3], ["phase,", "of", "32"]);
        assert_eq!(words(4), ["script", "glow", "60.0", "µs", "120.0", "µs", "75.0", "%"]);
        assert_eq!(words(5), ["wander::wander", "10.0", "µs", "20.0", "µs", "12.5", "%"]);
        assert_eq!(table(&ProfileView::default()), "no tick was measured yet");
    }
}
