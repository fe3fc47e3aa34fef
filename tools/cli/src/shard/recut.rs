//! `pangaea shard split` and `merge`: cutting the map anew while people play.

use std::process::ExitCode;

use clap::Args;
use pangaea_node::admin::{GatherView, MoveOrderView};
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::moves::{self, Outcome};
use crate::operator::OrderArgs;
use crate::say;

/// Which shard to cut, or to put together.
#[derive(Debug, Args)]
#[command(after_help = super::EXAMPLES)]
pub(crate) struct RecutArgs {
    /// Which one, such as 0/3/1,0; to merge, the one to become or one of its four parts
    #[arg(value_name = "SHARD")]
    shard: String,
    #[command(flatten)]
    how: OrderArgs,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Split,
    Merge,
}

/// What became of it. The names are a promise to scripts.
#[derive(Debug, Serialize)]
struct Recut {
    #[serde(flatten)]
    outcome: Outcome,
    /// Where it is, or is to be.
    scene: String,
    /// Parts that were elsewhere, and were to be moved there first.
    gathers: Vec<GatherView>,
}

impl Recut {
    fn new(order: MoveOrderView, outcome: Outcome) -> Self {
        Self { outcome, scene: order.to, gathers: order.gathers }
    }
}

/// Cut it, and tell how it went.
pub(super) async fn run(cluster: &ClusterAddress, way: Way, args: &RecutArgs) -> anyhow::Result<ExitCode> {
    let RecutArgs { shard, how } = args;
    let (route, done) = match way {
        Way::Split => ("split", "split"),
        Way::Merge => ("merge", "merged"),
    };
    let (order, outcome) = moves::order(cluster, &format!("/api/shards/{route}?shard={shard}"), how, done).await?;
    let recut = Recut::new(order, outcome);
    say(&if how.json { serde_json::to_string_pretty(&recut)? } else { in_words(way, &recut) });
    Ok(recut.outcome.exit_code())
}

fn in_words(way: Way, recut: &Recut) -> String {
    let Recut { outcome, scene, gathers } = recut;
    let Outcome { result, blackout_ms, missed_ticks, entities, bytes, seconds, reason, shard, .. } = outcome;
    let figures = || {
        format!(
            "{entities} entities, {} KiB, {seconds:.1} s in all; nobody ticked them for {blackout_ms:.1} ms, {missed_ticks} ticks were \
             missed.",
            bytes / 1_024
        )
    };
    let whence = gathers.iter().map(|part| format!("{} from {}", part.shard, part.from)).collect::<Vec<_>>().join(", ");
    match (result.as_str(), way) {
        ("split", _) => format!("{shard} is four shards at {scene} now: {}", figures()),
        ("merged", _) if gathers.is_empty() => format!("{shard} is one shard at {scene} now: {}", figures()),
        ("merged", _) => format!("{shard} is one shard at {scene} now, where {whence} came first: {}", figures()),
        ("kept" | "aborted", _) => format!("The map at {shard} stays as it is: {reason}."),
        (_, Way::Split) => format!("{shard} with {entities} entities would become four shards at {scene}. Nothing was ordered."),
        (_, Way::Merge) if gathers.is_empty() => {
            format!("{shard} with {entities} entities would become one shard at {scene}. Nothing was ordered.")
        }
        (_, Way::Merge) => format!(
            "{shard} with {entities} entities would become one shard at {scene}; {whence} would be moved there first. Nothing was \
             ordered."
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pangaea_node::admin::MoveView;

    use super::*;
    use crate::moves::Ended;

    fn told(way: Way, gathers: Vec<GatherView>, shift: MoveView) -> (String, String) {
        let order = MoveOrderView { shard: "0/3/1,0".to_owned(), to: "scene-1".to_owned(), gathers, ..MoveOrderView::default() };
        let outcome = Outcome::new(&order, Ended { shift, is_aborted: false, took: Duration::ZERO }, "done");
        let recut = Recut::new(order, outcome);
        (recut.outcome.result.clone(), in_words(way, &recut))
    }

    fn ended(step: &str, reason: &str) -> MoveView {
        let (step, reason) = (step.to_owned(), reason.to_owned());
        MoveView { step, reason, blackout_ms: 1.25, bytes: 4_096, entities: 9, ..MoveView::default() }
    }

    #[test]
    fn a_new_cut_ends_in_a_sentence_with_its_figures() {
        let order = MoveOrderView { shard: "0/3/1,0".to_owned(), to: "scene-1".to_owned(), ..MoveOrderView::default() };
        let ended_well = Ended { shift: ended("done", ""), is_aborted: false, took: Duration::ZERO };
        let text = in_words(Way::Split, &Recut::new(order.clone(), Outcome::new(&order, ended_well, "split")));
        assert!(text.starts_with("0/3/1,0 is four shards at scene-1 now: 9 entities, 4 KiB"), "{text}");
        assert!(text.contains("for 1.2 ms, 0 ticks were missed"), "{text}");
        assert_eq!(
            told(Way::Split, Vec::new(), ended("kept", "it was cancelled")),
            ("aborted".to_owned(), "The map at 0/3/1,0 stays as it is: it was cancelled.".to_owned())
        );
    }

    #[test]
    fn what_is_brought_first_is_named() {
        let part = |shard: &str| GatherView { shard: shard.to_owned(), from: "scene-2".to_owned(), entities: 3 };
        let (result, text) = told(Way::Merge, vec![part("0/2/2,1"), part("0/2/3,1")], ended("possible", ""));
        assert_eq!(result, "possible");
        let wanted = "one shard at scene-1; 0/2/2,1 from scene-2, 0/2/3,1 from scene-2 would be moved there first.";
        assert!(text.contains(wanted), "{text}");
    }
}
