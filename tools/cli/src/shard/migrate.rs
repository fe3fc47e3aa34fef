//! `pangaea shard migrate`: moving a shard to another scene while people play in it.

use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use pangaea_node::admin::{MoveOrderView, MoveView, StatusView};
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::operator::OperatorArgs;
use crate::say;

/// Pause between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A move that has not ended by then is left to itself.
const MOVE_TIME_MAX: Duration = Duration::from_secs(60);
/// An order that the world does not show by then was not taken.
const TAKEN_TIME_MAX: Duration = Duration::from_secs(5);

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
    /// `moved`, `kept`, or with a dry run `possible`.
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

/// Move it, and tell how it went; failure when it stayed.
pub(super) async fn run(cluster: &ClusterAddress, args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let outcome = migrate(cluster, args).await?;
    say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
    Ok(if outcome.result == "kept" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn migrate(cluster: &ClusterAddress, args: &MigrateArgs) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let MigrateArgs { shard, to, dry_run, .. } = args;
    let query = format!("/api/migrate?shard={shard}&to={to}&dry_run={dry_run}");
    let order: MoveOrderView = cluster.order(&query, &args.operator).await?;
    if *dry_run {
        let shift = MoveView { entities: order.entities, step: "possible".to_owned(), ..MoveView::default() };
        return Ok(outcome(order, &shift, began));
    }
    let progress = !args.json && std::io::stderr().is_terminal();
    let mut number = None;
    while began.elapsed() < MOVE_TIME_MAX {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = tokio::signal::ctrl_c() => if let Some(number) = number {
                cluster.order::<()>(&format!("/api/migrations/{number}/abort"), &args.operator).await?;
            },
        }
        let status: StatusView = cluster.ask("/api/status").await?;
        let ours = |shift: &&MoveView| shift.shard == *shard && shift.to == *to && shift.id > order.after;
        let Some(shift) = status.moves.iter().find(ours) else {
            if began.elapsed() > TAKEN_TIME_MAX {
                bail!("the world did not take the order; see its log and `pangaea shard show {shard}`");
            }
            continue;
        };
        number = Some(shift.id);
        if progress {
            let MoveView { step, rounds, bytes, .. } = shift;
            // Nobody may look.
            let _ = write!(std::io::stderr(), "\r{shard}: {step}, round {rounds}, {} KiB copied  ", bytes / 1_024);
        }
        if shift.over {
            if progress {
                let _ = writeln!(std::io::stderr());
            }
            return Ok(outcome(order, shift, began));
        }
    }
    bail!("the move of {shard} to {to} is not over after {} s; see `pangaea shard show {shard}`", MOVE_TIME_MAX.as_secs())
}

fn outcome(order: MoveOrderView, shift: &MoveView, began: Instant) -> Outcome {
    Outcome {
        result: if shift.step == "done" { "moved".to_owned() } else { shift.step.clone() },
        blackout_ms: shift.blackout_ms,
        missed_ticks: shift.missed_ticks,
        entities: shift.entities,
        bytes: shift.bytes,
        rounds: shift.rounds,
        seconds: began.elapsed().as_secs_f64(),
        reason: shift.reason.clone(),
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
        "kept" => format!("{shard} stays at {from}: {reason}."),
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
        let text = in_words(&outcome(order.clone(), &shift, Instant::now()));
        assert!(text.contains("from scene-1 to scene-2: 9 entities, 4 KiB in 3 rounds"), "{text}");
        assert!(text.contains("1.2 ms, 0 ticks were missed"), "{text}");
        let kept = MoveView { step: "kept".to_owned(), reason: "it was cancelled".to_owned(), ..MoveView::default() };
        let text = in_words(&outcome(order, &kept, Instant::now()));
        assert_eq!(text, "0/3/1,0 stays at scene-1: it was cancelled.");
    }
}
