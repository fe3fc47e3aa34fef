//! `pangaea deploy`: a new build of the game takes over while people play.
//!
//! 1. What the build keeps and says is compared with all that runs: what is new or declared is told, anything else is refused
//!    before anything moves.
//! 2. A scene of the new build starts, the canary shard goes there and is watched.
//! 3. The other scenes of the new build start, the old ones are drained, all shards are watched.
//! 4. The old scenes stop. World, gateways, auth and data stay as they are until the cluster is started again.
//!
//! Whatever is worse than before, or dies, or Ctrl-C, takes everything back: shards return to the old scenes, the new ones stop.

mod build;
mod health;
mod rollout;
mod scripts;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use pangaea_node::admin::{ShardView, StatusView};
use pangaea_scene::game::Game;
use pangaea_scene::layouts::Comparison;
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::drain::Moved;
use crate::operator::OrderArgs;
use crate::{exit, say, say_aside};
use rollout::Rollout;
use trace::{Begun, Trace};

const EXAMPLES: &str = "Examples:
  pangaea deploy target/release/pangaea --dry-run
  pangaea deploy target/release/pangaea             the busiest shard first; ends with what it cost
  pangaea deploy ./my-game --canary 0/3/1,0 --watch 60
  pangaea deploy --mend                             after one that was cut off
The cluster is one of `pangaea up` on this machine. Ctrl-C takes everything back. Exit codes: 1 when the build was refused or was taken
back, 4 when it was taken back because of Ctrl-C.";

/// Which build, and how carefully.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DeployArgs {
    /// The new build's executable
    #[arg(value_name = "BUILD", required_unless_present = "mend")]
    build: Option<PathBuf>,
    /// Mend what a deploy that was cut off has left: killed, or its terminal closed. All shards go back; or on to its end, if all
    /// were at the new build already
    #[arg(long, conflicts_with_all = ["build", "canary", "watch", "dry_run"])]
    mend: bool,
    /// Which shard goes first; as usual the busiest
    #[arg(long, value_name = "SHARD")]
    canary: Option<String>,
    /// How long it is watched
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: u64,
    #[command(flatten)]
    order: OrderArgs,
}

const LAYOUTS_EXAMPLES: &str = "Examples:
  pangaea layouts
  pangaea layouts --json";

/// How to print it.
#[derive(Debug, Args)]
#[command(after_help = LAYOUTS_EXAMPLES)]
pub(crate) struct LayoutsArgs {
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What this build keeps and says.
pub(crate) fn show_layouts(args: &LayoutsArgs, game: fn(&mut Game)) -> anyhow::Result<ExitCode> {
    let game = Game::build(game)?;
    let layouts = game.layouts().as_ref();
    say(&if args.json { serde_json::to_string(layouts)? } else { layouts.in_words() });
    Ok(ExitCode::SUCCESS)
}

/// What became of it. The names are a promise to scripts.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    /// `deployed`, `taken back`, `aborted`, or with a dry run `possible`.
    result: String,
    /// Why it was taken back; empty otherwise.
    reason: String,
    /// From order to end.
    seconds: f64,
    /// The shard that went first, and where it was.
    canary: String,
    from: String,
    /// Its median tick before, in milliseconds.
    before_ms: f64,
    /// And under the new build, when the watch was over.
    after_ms: f64,
    /// Scenes of the old build.
    old: Vec<String>,
    /// Scenes of the new build; those that are asked for, with a dry run none.
    new: Vec<String>,
    /// What the new build has otherwise: `added`, `converted`, `retired`.
    #[serde(flatten)]
    comparison: Comparison,
    #[serde(flatten)]
    moved: Moved,
}

/// Deploy it.
///
/// # Errors
/// The build is refused, the cluster goes away, or it cannot be taken back; the text says what is where.
pub(crate) async fn run(cluster: &ClusterAddress, args: DeployArgs) -> anyhow::Result<ExitCode> {
    let status: StatusView = cluster.ask("/api/status").await?;
    let Some(wanted) = &args.build else { return mend(cluster, &args.order, &status).await };
    let (program, comparison) = build::check(cluster, wanted, &status).await?;
    if !args.order.json {
        say_aside(&if comparison.is_same() {
            "The build keeps and says the same as what runs.".to_owned()
        } else {
            build::shortened(&comparison)
        });
    }
    let canary = canary(&status, args.canary.as_deref())?;
    let outcome = Outcome {
        canary: canary.id.clone(),
        from: canary.owner.clone().context("the canary has no owner now; try again when `pangaea status` shows one")?,
        before_ms: health::tick_ms(canary),
        old: status.scenes.iter().map(|scene| scene.id.clone()).collect(),
        comparison,
        ..Outcome::default()
    };
    let outcome = if args.order.dry_run {
        Outcome { result: "possible".to_owned(), ..outcome }
    } else {
        let (trace, cut_off) = Trace::take(args.order.operator.folder())?;
        if let Some(begun) = cut_off {
            bail!("{}", begun.in_words());
        }
        let watch = Duration::from_secs(args.watch);
        Rollout::new(cluster, &args.order, program, watch, &status, outcome, trace).run().await?
    };
    say(&if args.order.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
    Ok(ExitCode::from(match outcome.result.as_str() {
        "deployed" | "possible" => exit::DONE,
        "aborted" => exit::ABORTED,
        _ => exit::WRONG,
    }))
}

/// Ends what a deploy that was cut off has left.
async fn mend(cluster: &ClusterAddress, order: &OrderArgs, status: &StatusView) -> anyhow::Result<ExitCode> {
    let (trace, cut_off) = Trace::take(order.operator.folder())?;
    let Some(begun) = cut_off else {
        trace.erase();
        bail!("no deploy was cut off in {}: there is nothing to mend", order.operator.folder().display());
    };
    let Begun { program, old, new, is_final, .. } = begun.clone();
    let outcome = Outcome {
        result: if is_final { "deployed" } else { "taken back" }.to_owned(),
        reason: format!("the deploy of {} was cut off", program.display()),
        old,
        new,
        ..Outcome::default()
    };
    let outcome = Rollout::of_cut_off(cluster, order, status, outcome, begun, trace).mend().await?;
    say(&if order.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
    Ok(ExitCode::from(exit::DONE))
}

/// The shard that goes first.
fn canary<'s>(status: &'s StatusView, wanted: Option<&str>) -> anyhow::Result<&'s ShardView> {
    match wanted {
        Some(id) => status
            .shards
            .iter()
            .find(|shard| shard.id == id)
            .with_context(|| pangaea_node::admin::unknown("shard", id, status.shards.iter().map(|shard| shard.id.as_str()))),
        None => {
            let busiest = status.shards.iter().max_by(|a, b| health::tick_ms(a).total_cmp(&health::tick_ms(b)));
            busiest.context("the cluster has no shards yet")
        }
    }
}

fn in_words(outcome: &Outcome) -> String {
    let Outcome { result, reason, seconds, canary, from, before_ms, after_ms, old, new, comparison: _, moved } = outcome;
    let (old, new) = (old.join(", "), new.join(", "));
    let Moved { moved_shards, blackout_ms_max, missed_ticks, moved_entities, .. } = moved;
    let moves = format!(
        "{moved_shards} shards with {moved_entities} entities moved there; no shard was without a tick for more than {blackout_ms_max:.1} \
         ms, {missed_ticks} ticks were missed"
    );
    match result.as_str() {
        "possible" => format!(
            "The build can be deployed: {canary} would leave {from} first, then all shards of {old}. Nothing was ordered."
        ),
        "deployed" => format!(
            "deployed in {seconds:.1} s: {new} run the new build, {old} are stopped. {moves}. {canary}'s median tick: {before_ms:.2} ms \
             before, {after_ms:.2} ms now. World, gateways, auth and data take the new build when the cluster is started again."
        ),
        _ => format!("{result} after {seconds:.1} s: {reason}. {old} have all shards again, the new scenes are stopped."),
    }
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::Quantiles;

    use super::*;

    #[test]
    fn the_busiest_shard_is_the_canary_unless_one_is_named() {
        let shard = |id: &str, p50| ShardView { id: id.to_owned(), tick_ms: Quantiles { p50, p99: 9.0 }, ..ShardView::default() };
        let shards = vec![shard("0/3/0,0", 0.5), shard("0/3/1,0", 2.0), shard("0/3/2,0", 1.0)];
        let status = StatusView { shards, ..StatusView::default() };
        assert_eq!(canary(&status, None).expect("one").id, "0/3/1,0");
        assert_eq!(canary(&status, Some("0/3/2,0")).expect("it").id, "0/3/2,0");
        let error = canary(&status, Some("0/3/9,9")).expect_err("none").to_string();
        assert!(error.contains("0/3/9,9") && error.contains("0/3/1,0"), "{error}");
        assert!(canary(&StatusView::default(), None).is_err());
    }
}
