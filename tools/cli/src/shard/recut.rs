//! `pangaea shard split` and `merge`: cutting the map anew while people play.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use pangaea_node::admin::{MoveOrderView, MoveView};
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::moves::{self, Ended};
use crate::operator::OperatorArgs;
use crate::{exit, say};

/// What a scene says of an order that was aborted.
const CANCELLED: &str = "it was cancelled";

/// Which shard to cut, or to put together.
#[derive(Debug, Args)]
#[command(after_help = super::EXAMPLES)]
pub(crate) struct RecutArgs {
    /// Which one, such as 0/3/1,0; to merge, the one to become or one of its four parts
    #[arg(value_name = "SHARD")]
    shard: String,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Split,
    Merge,
}

/// What became of it. The names are a promise to scripts.
#[derive(Debug, Serialize)]
struct Outcome {
    /// `split`, `merged`, `kept`, `aborted`, or with a dry run `possible`.
    result: String,
    /// Milliseconds in which nobody ticked it, beyond the interval of a tick.
    blackout_ms: f64,
    /// Ticks that nobody ran in time.
    missed_ticks: u32,
    /// In the shard, or the four.
    entities: u32,
    /// Of their records, as they were dealt out.
    bytes: u64,
    /// From order to end.
    seconds: f64,
    /// Why the map stays as it is; empty otherwise.
    reason: String,
    /// The one.
    shard: String,
    scene: String,
}

/// Cut it, and tell how it went.
pub(super) async fn run(cluster: &ClusterAddress, way: Way, args: &RecutArgs) -> anyhow::Result<ExitCode> {
    let outcome = recut(cluster, way, args).await?;
    say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { in_words(way, &outcome) });
    Ok(ExitCode::from(match outcome.result.as_str() {
        "kept" => exit::WRONG,
        "aborted" => exit::ABORTED,
        _ => exit::DONE,
    }))
}

async fn recut(cluster: &ClusterAddress, way: Way, args: &RecutArgs) -> anyhow::Result<Outcome> {
    let RecutArgs { shard, dry_run, json, operator } = args;
    let route = match way {
        Way::Split => "split",
        Way::Merge => "merge",
    };
    let path = format!("/api/shards/{route}?shard={shard}&dry_run={dry_run}");
    let order: MoveOrderView = cluster.order(&path, operator).await?;
    if *dry_run {
        let shift = MoveView { entities: order.entities, step: "possible".to_owned(), ..MoveView::default() };
        return Ok(outcome(way, order, shift, false, Duration::ZERO));
    }
    let number = order.number.context("the world takes the order, but does not number it; it is of another build")?;
    let Ended { shift, is_aborted, took } = moves::follow(cluster, operator, number, *json).await?;
    Ok(outcome(way, order, shift, is_aborted, took))
}

fn outcome(way: Way, order: MoveOrderView, shift: MoveView, is_aborted: bool, took: Duration) -> Outcome {
    // An abort from elsewhere is known by the reason that the scene gives.
    let is_aborted = is_aborted || shift.reason == CANCELLED;
    Outcome {
        result: match (shift.step.as_str(), way) {
            ("done", Way::Split) => "split".to_owned(),
            ("done", Way::Merge) => "merged".to_owned(),
            ("kept", _) if is_aborted => "aborted".to_owned(),
            _ => shift.step,
        },
        blackout_ms: shift.blackout_ms,
        missed_ticks: shift.missed_ticks,
        entities: shift.entities,
        bytes: shift.bytes,
        seconds: took.as_secs_f64(),
        reason: shift.reason,
        shard: order.shard,
        scene: order.from,
    }
}

fn in_words(way: Way, outcome: &Outcome) -> String {
    let Outcome { result, blackout_ms, missed_ticks, entities, bytes, seconds, reason, shard, scene } = outcome;
    let figures = || {
        format!(
            "{entities} entities, {} KiB, {seconds:.1} s in all; nobody ticked them for {blackout_ms:.1} ms, {missed_ticks} ticks were \
             missed.",
            bytes / 1_024
        )
    };
    match (result.as_str(), way) {
        ("split", _) => format!("{shard} is four shards at {scene} now: {}", figures()),
        ("merged", _) => format!("{shard} is one shard at {scene} now: {}", figures()),
        ("kept" | "aborted", _) => format!("The map at {shard} stays as it is: {reason}."),
        (_, Way::Split) => format!("{shard} with {entities} entities would become four shards at {scene}. Nothing was ordered."),
        (_, Way::Merge) => format!("{shard} with {entities} entities would become one shard at {scene}. Nothing was ordered."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(way: Way, shift: MoveView) -> (String, String) {
        let order = MoveOrderView { shard: "0/3/1,0".to_owned(), from: "scene-1".to_owned(), ..MoveOrderView::default() };
        let outcome = outcome(way, order, shift, false, Duration::ZERO);
        (outcome.result.clone(), in_words(way, &outcome))
    }

    #[test]
    fn a_new_cut_ends_in_a_sentence_with_its_figures() {
        let done = MoveView { step: "done".to_owned(), blackout_ms: 1.25, bytes: 4_096, entities: 9, ..MoveView::default() };
        let (result, text) = told(Way::Split, done.clone());
        assert_eq!(result, "split");
        assert!(text.starts_with("0/3/1,0 is four shards at scene-1 now: 9 entities, 4 KiB"), "{text}");
        assert!(text.contains("for 1.2 ms, 0 ticks were missed"), "{text}");
        assert_eq!(told(Way::Merge, done).0, "merged");
        let kept = MoveView { step: "kept".to_owned(), reason: CANCELLED.to_owned(), ..MoveView::default() };
        assert_eq!(
            told(Way::Split, kept),
            ("aborted".to_owned(), "The map at 0/3/1,0 stays as it is: it was cancelled.".to_owned())
        );
    }
}
