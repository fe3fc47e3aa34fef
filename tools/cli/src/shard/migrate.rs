//! `pangaea shard migrate`: moving a shard to another scene while people play in it.

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

/// What a source says of a move that was aborted.
const CANCELLED: &str = "it was cancelled";

/// Which shard to move where.
#[derive(Debug, Args)]
#[command(after_help = super::EXAMPLES)]
pub(crate) struct MigrateArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    shard: String,
    /// The scene that is to own it
    #[arg(long, value_name = "SCENE")]
    to: String,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// What became of a move. The names are a promise to scripts.
#[derive(Debug, Serialize)]
struct Outcome {
    /// `moved`, `kept`, `aborted`, or with a dry run `possible`.
    result: String,
    /// Milliseconds in which nobody ticked the shard, beyond the interval of a tick.
    blackout_ms: f64,
    /// Ticks that nobody ran in time.
    missed_ticks: u32,
    /// In the shard.
    entities: u32,
    /// Of records copied.
    bytes: u64,
    /// Of copying, the last part included.
    rounds: u32,
    /// From order to end.
    seconds: f64,
    /// Why it was kept; empty otherwise.
    reason: String,
    shard: String,
    from: String,
    to: String,
}

/// Move it, and tell how it went.
pub(super) async fn run(cluster: &ClusterAddress, args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let outcome = migrate(cluster, args).await?;
    say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
    Ok(ExitCode::from(match outcome.result.as_str() {
        "kept" => exit::WRONG,
        "aborted" => exit::ABORTED,
        _ => exit::DONE,
    }))
}

async fn migrate(cluster: &ClusterAddress, args: &MigrateArgs) -> anyhow::Result<Outcome> {
    let MigrateArgs { shard, to, dry_run, json, operator } = args;
    let order: MoveOrderView = cluster.order(&format!("/api/migrate?shard={shard}&to={to}&dry_run={dry_run}"), operator).await?;
    if *dry_run {
        let shift = MoveView { entities: order.entities, step: "possible".to_owned(), ..MoveView::default() };
        return Ok(outcome(order, shift, false, Duration::ZERO));
    }
    let number = order.number.context("the world takes the order, but does not number it; it is of another build")?;
    let Ended { shift, is_aborted, took } = moves::follow(cluster, operator, number, *json).await?;
    Ok(outcome(order, shift, is_aborted, took))
}

fn outcome(order: MoveOrderView, shift: MoveView, is_aborted: bool, took: Duration) -> Outcome {
    // An abort from elsewhere is known by the reason that the source gives.
    let is_aborted = is_aborted || shift.reason == CANCELLED;
    Outcome {
        result: match shift.step.as_str() {
            "done" => "moved".to_owned(),
            "kept" if is_aborted => "aborted".to_owned(),
            _ => shift.step,
        },
        blackout_ms: shift.blackout_ms,
        missed_ticks: shift.missed_ticks,
        entities: shift.entities,
        bytes: shift.bytes,
        rounds: shift.rounds,
        seconds: took.as_secs_f64(),
        reason: shift.reason,
        shard: order.shard,
        from: order.from,
        to: order.to,
    }
}

fn in_words(outcome: &Outcome) -> String {
    let Outcome { result, blackout_ms, missed_ticks, entities, bytes, rounds, seconds, reason, shard, from, to } = outcome;
    match result.as_str() {
        "moved" => format!(
            "{shard} moved from {from} to {to}: {entities} entities, {} KiB in {rounds} rounds, {seconds:.1} s in all; nobody ticked \
             it for {blackout_ms:.1} ms, {missed_ticks} ticks were missed.",
            bytes / 1_024
        ),
        "kept" | "aborted" => format!("{shard} stays at {from}: {reason}."),
        _ => format!("{shard} with {entities} entities would move from {from} to {to}. Nothing was ordered."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_ends_in_a_sentence_with_its_figures() {
        let order = MoveOrderView {
            shard: "0/3/1,0".to_owned(),
            from: "scene-1".to_owned(),
            to: "scene-2".to_owned(),
            ..MoveOrderView::default()
        };
        let shift =
            MoveView { step: "done".to_owned(), blackout_ms: 1.25, bytes: 4_096, rounds: 3, entities: 9, ..MoveView::default() };
        let text = in_words(&outcome(order.clone(), shift, false, Duration::ZERO));
        assert!(text.contains("from scene-1 to scene-2: 9 entities, 4 KiB in 3 rounds"), "{text}");
        assert!(text.contains("1.2 ms, 0 ticks were missed"), "{text}");
        let kept = MoveView { step: "kept".to_owned(), reason: "it was cancelled".to_owned(), ..MoveView::default() };
        let kept = outcome(order, kept, true, Duration::ZERO);
        assert_eq!(kept.result, "aborted");
        let text = in_words(&kept);
        assert_eq!(text, "0/3/1,0 stays at scene-1: it was cancelled.");
    }
}
