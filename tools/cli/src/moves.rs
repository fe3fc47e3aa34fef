//! What is done with a shard: ordered, followed to its end, with Ctrl-C as the wish that it stay as it was, and told.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangaea_node::admin::{MoveOrderView, MoveView, StatusView};
use pangaea_schemas::message::NEWS_CANCELLED;
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::exit;
use crate::operator::{OperatorArgs, OrderArgs};
use crate::progress::Progress;

/// Pause between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A move that has not ended by then is left to itself.
const MOVE_TIME_MAX: Duration = Duration::from_secs(120);
/// An order that the world does not show by then was lost with it.
const SHOWN_TIME_MAX: Duration = Duration::from_secs(10);

/// How a move ended.
pub(crate) struct Ended {
    pub(crate) shift: MoveView,
    /// Ctrl-C was pressed here, whatever came of it.
    pub(crate) is_aborted: bool,
    /// How long it was looked at.
    pub(crate) took: Duration,
}

/// What became of an order. The names are a promise to scripts.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// What it is called when it is done, such as `moved`; `kept`, `aborted`, or with a dry run `possible`.
    pub(crate) result: String,
    /// Milliseconds in which nobody ticked the shard, beyond the interval of a tick.
    pub(crate) blackout_ms: f64,
    /// Ticks that nobody ran in time.
    pub(crate) missed_ticks: u32,
    /// In the shard, or in all that it is cut into or made of.
    pub(crate) entities: u32,
    /// Of records, copied or dealt out.
    pub(crate) bytes: u64,
    /// Of copying, the last part included.
    pub(crate) rounds: u32,
    /// From order to end.
    pub(crate) seconds: f64,
    /// Why it was kept; empty otherwise.
    pub(crate) reason: String,
    pub(crate) shard: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Outcome {
    /// `done`: what it is called when it is done.
    pub(crate) fn new(order: &MoveOrderView, ended: Ended, done: &str) -> Self {
        let Ended { shift, is_aborted, took } = ended;
        // An abort from elsewhere is known by the reason that is given.
        let is_aborted = is_aborted || shift.reason == NEWS_CANCELLED;
        Self {
            result: match shift.step.as_str() {
                "done" => done.to_owned(),
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
            shard: order.shard.clone(),
            from: order.from.clone(),
            to: order.to.clone(),
        }
    }

    /// What the command says to scripts.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.result.as_str() {
            "kept" => exit::WRONG,
            "aborted" => exit::ABORTED,
            _ => exit::DONE,
        })
    }
}

/// Orders what the path says, and follows it to its end; with a dry run, what it would mean. `done`: what it is called then.
///
/// # Errors
/// The cluster refuses, goes away, or it takes too long; the text says what to do.
pub(crate) async fn order(
    cluster: &ClusterAddress,
    path: &str,
    how: &OrderArgs,
    done: &str,
) -> anyhow::Result<(MoveOrderView, Outcome)> {
    let order: MoveOrderView = cluster.order(&format!("{path}&dry_run={}", how.dry_run), &how.operator).await?;
    let ended = if how.dry_run {
        let shift = MoveView { entities: order.entities, step: "possible".to_owned(), ..MoveView::default() };
        Ended { shift, is_aborted: false, took: Duration::ZERO }
    } else {
        follow(cluster, &how.operator, number_of(&order)?, how.json).await?
    };
    let outcome = Outcome::new(&order, ended, done);
    Ok((order, outcome))
}

/// The number of the move that an order began.
///
/// # Errors
/// There is none.
pub(crate) fn number_of(order: &MoveOrderView) -> anyhow::Result<u64> {
    order.number.context("the world takes the order, but does not number it; it is of another build")
}

/// Looks until the move is over.
///
/// # Errors
/// The cluster goes away, or it takes too long; the text says what to do.
pub(crate) async fn follow(
    cluster: &ClusterAddress,
    operator: &OperatorArgs,
    number: u64,
    is_for_scripts: bool,
) -> anyhow::Result<Ended> {
    let (began, mut is_aborted, mut progress) = (Instant::now(), false, None);
    while began.elapsed() < MOVE_TIME_MAX {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = tokio::signal::ctrl_c(), if !is_aborted => {
                is_aborted = true;
                // It may be over by now, which the next look shows.
                let _ = abort(cluster, operator, number).await;
            }
        }
        let status: StatusView = cluster.ask("/api/status").await?;
        let Some(shift) = status.moves.iter().find(|shift| shift.id == number) else {
            if began.elapsed() > SHOWN_TIME_MAX {
                bail!("the world knows of no move {number}: it started again meanwhile; see `pangaea shard list`");
            }
            continue;
        };
        if shift.over {
            return Ok(Ended { shift: shift.clone(), is_aborted, took: began.elapsed() });
        }
        let progress = progress.get_or_insert_with(|| Progress::begin(&shift.shard, "bytes", is_for_scripts));
        let words = if is_aborted { format!("{} (aborting)", shift.step) } else { shift.step.clone() };
        progress.show(shift.bytes, about(&status, shift), format!("{words}, round {}, Ctrl-C aborts", shift.rounds));
    }
    bail!("move {number} is not over after {} s; see `pangaea shard list`, or `pangaea abort {number}`", MOVE_TIME_MAX.as_secs())
}

/// Asks the cluster to let a move end where it began.
///
/// # Errors
/// It is over, or the cluster does not take the order.
pub(crate) async fn abort(cluster: &ClusterAddress, operator: &OperatorArgs, number: u64) -> anyhow::Result<()> {
    cluster.order(&format!("/api/migrations/{number}/abort"), operator).await
}

/// The bytes that a move will copy: what an entity cost in the moves that are remembered, those of the same shard last.
fn about(status: &StatusView, shift: &MoveView) -> u64 {
    let done = || status.moves.iter().filter(|other| other.step == "done" && other.entities > 0);
    let before = done().rfind(|other| other.shard == shift.shard).or_else(|| done().next_back());
    before.map_or(0, |other| other.bytes * u64::from(shift.entities) / u64::from(other.entities))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moves_bytes_are_guessed_from_those_before() {
        let shift = |shard: &str, entities, bytes, step: &str| MoveView {
            shard: shard.to_owned(),
            step: step.to_owned(),
            entities,
            bytes,
            ..MoveView::default()
        };
        let status = |moves| StatusView { moves, ..StatusView::default() };
        let now = shift("0/3/1,0", 50, 0, "copying");
        assert_eq!(about(&status(vec![now.clone()]), &now), 0);
        let other = shift("0/3/0,0", 10, 1_000, "done");
        assert_eq!(about(&status(vec![other.clone(), now.clone()]), &now), 5_000);
        let same = shift("0/3/1,0", 100, 20_000, "done");
        assert_eq!(about(&status(vec![same, other, now.clone()]), &now), 10_000);
    }
}
