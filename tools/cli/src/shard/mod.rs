//! `pangaea shard`: which shards there are, and moving one, or cutting the map anew, while people play in it.

mod migrate;
mod pause;
mod profile;
mod recut;
mod shuttle;

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use pangaea_node::admin::{MoveView, ProfileView, ShardView, StatusView, unknown};
use serde::Serialize;

use crate::abort::{self, AbortArgs};
use crate::args::JsonArgs;
use crate::cluster::ClusterAddress;
use crate::say;

use migrate::MigrateArgs;
use pause::{PauseArgs, StepArgs};
use recut::{RecutArgs, Way};
use shuttle::ShuttleArgs;

const EXAMPLES: &str = "Examples:
  pangaea shard list
  pangaea shard show 0/3/1,0
  pangaea shard migrate 0/3/1,0 --to scene-2 --dry-run
  pangaea shard migrate 0/3/1,0 --to scene-2      ends with the measured blackout
  pangaea shard shuttle 0/3/1,0 --between scene-1,scene-2 --times 100      exit code 1 when a promise is broken
  pangaea shard split 0/3/1,0      into its four quarters, at the scene where it is
  pangaea shard merge 0/3/1,0      of its four quarters, which are brought to one scene first
  pangaea shard pause 0/3/1,0      nobody moves in it, in a development cluster; `resume` lets it go on
  pangaea shard step 0/3/1,0 --ticks 5      of a shard that is paused
Ctrl-C while a shard moves asks for it to stay, and so does `pangaea abort` from elsewhere. Exit codes: 1 when it stayed, 4 when it
was aborted.";

/// What to do with shards.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum ShardCommand {
    /// Show all shards: owner, epoch, entities, load
    #[command(after_help = EXAMPLES)]
    List(JsonArgs),
    /// Show one shard: its moves that are remembered, and what its systems cost
    #[command(after_help = EXAMPLES)]
    Show(ShardShowArgs),
    /// Move a shard to another scene while people play in it
    #[command(after_help = EXAMPLES)]
    Migrate(MigrateArgs),
    /// Let a shard that is on its way stay where it was
    Abort(AbortArgs),
    /// Move a shard back and forth while people play in it, and report what that costs them
    #[command(after_help = EXAMPLES)]
    Shuttle(ShuttleArgs),
    /// Cut a shard into its four quarters while people play in it
    #[command(after_help = EXAMPLES)]
    Split(RecutArgs),
    /// Make one shard of its four quarters while people play in them
    #[command(after_help = EXAMPLES)]
    Merge(RecutArgs),
    /// Stop simulating a shard of a development cluster, to look at it; it goes on by itself after ten minutes
    Pause(PauseArgs),
    /// Let a paused shard go on
    Resume(PauseArgs),
    /// Run single ticks of a paused shard
    Step(StepArgs),
}

/// Which shard to show.
#[derive(Debug, Args)]
pub(crate) struct ShardShowArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    pub(crate) shard: String,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// One shard, its moves, and what its ticks cost.
#[derive(Debug, Serialize)]
struct ShardAndMoves {
    #[serde(flatten)]
    shard: ShardView,
    moves: Vec<MoveView>,
    /// `null` while nobody runs it.
    profile: Option<ProfileView>,
}

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: ShardCommand) -> anyhow::Result<ExitCode> {
    match command {
        ShardCommand::List(args) => {
            let shards = cluster.ask::<StatusView>("/api/status").await?.shards;
            say(&if args.json { serde_json::to_string_pretty(&shards)? } else { table(&shards) });
            Ok(ExitCode::SUCCESS)
        }
        ShardCommand::Show(args) => {
            let status = cluster.ask::<StatusView>("/api/status").await?;
            let names: Vec<_> = status.shards.iter().map(|shard| shard.id.clone()).collect();
            let shard = status.shards.into_iter().find(|shard| shard.id == args.shard);
            let Some(shard) = shard else {
                bail!("{}", unknown("shard", &args.shard, names.iter().map(String::as_str)));
            };
            let moves = status.moves.into_iter().filter(|shift| shift.shard == args.shard).collect();
            let view = ShardAndMoves { shard, moves, profile: profile::ask(cluster, &args.shard).await };
            say(&if args.json { serde_json::to_string_pretty(&view)? } else { describe(&view) });
            Ok(ExitCode::SUCCESS)
        }
        ShardCommand::Migrate(args) => migrate::run(cluster, &args).await,
        ShardCommand::Abort(args) => abort::run(cluster, &args).await,
        ShardCommand::Shuttle(args) => shuttle::run(cluster, &args).await,
        ShardCommand::Split(args) => recut::run(cluster, Way::Split, &args).await,
        ShardCommand::Merge(args) => recut::run(cluster, Way::Merge, &args).await,
        ShardCommand::Pause(args) => pause::pause(cluster, &args).await,
        ShardCommand::Resume(args) => pause::resume(cluster, &args).await,
        ShardCommand::Step(args) => pause::step(cluster, &args).await,
    }
}

fn table(shards: &[ShardView]) -> String {
    let mut text = format!(
        "{:<12} {:<10} {:>6} {:<12} {:>8} {:>8} {:>6} {:>9} {:>9}",
        "shard", "owner", "epoch", "phase", "entities", "players", "load", "tick p50", "tick p99"
    );
    for shard in shards {
        let owner = shard.owner.as_deref().unwrap_or("-");
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n{:<12} {:<10} {:>6} {:<12} {:>8} {:>8} {:>5.1}% {:>6.2} ms {:>6.2} ms",
            shard.id,
            owner,
            shard.epoch,
            if shard.paused.is_some() { "paused" } else { &shard.phase },
            shard.entities,
            shard.players,
            shard.load * 100.0,
            shard.tick_ms.p50,
            shard.tick_ms.p99
        );
    }
    text
}

fn describe(view: &ShardAndMoves) -> String {
    let mut text = table(std::slice::from_ref(&view.shard));
    for shift in &view.moves {
        let MoveView { id, from, to, step, blackout_ms, missed_ticks, reason, .. } = shift;
        let _ = write!(text, "\nmove {id}: {from} to {to}, {step}, {blackout_ms:.1} ms, {missed_ticks} missed {reason}");
    }
    if let Some(profile) = &view.profile {
        let _ = write!(text, "\n{}", profile::table(profile));
    }
    text
}
