//! `pangaea shard shuttle`: a shard goes back and forth between two scenes while people play in it, and what that costs them.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use pangaea_node::admin::{MoveOrderView, StatusView, unknown};
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::moves::{self, Ended};
use crate::operator::OperatorArgs;
use crate::{exit, say};

/// What is promised: nobody ticks the shard for at most so long, in 99 of 100 moves.
const BLACKOUT_P99_MS_MAX: f64 = 50.0;
/// What is promised of every move.
const MISSED_TICKS_MAX: u32 = 1;
/// A shard that has just arrived is its new owner's in the world's eyes within this.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Which shard, where and how often.
#[derive(Debug, Args)]
#[command(after_help = super::EXAMPLES)]
pub(crate) struct ShuttleArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    shard: String,
    /// The two scenes; it must be at one of them
    #[arg(long, value_delimiter = ',', required = true, value_name = "SCENE,SCENE")]
    between: Vec<String>,
    /// Moves in all
    #[arg(long, default_value_t = 100, value_name = "N")]
    times: u32,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// What all moves together were like. The names are a promise to scripts.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Every promise was kept.
    ok: bool,
    shard: String,
    /// Ended at the other scene.
    moved: u32,
    /// Why the others did not, each once with how often.
    failures: Vec<String>,
    /// Stopped before all were done.
    aborted: bool,
    blackout_ms: Spread,
    /// Ticks that nobody ran in time, in all, and in the worst move.
    missed_ticks: u64,
    missed_ticks_max: u32,
    /// From order to end.
    seconds: Spread,
    /// Copied in all.
    bytes: u64,
    /// In the shard: at the first move and the most.
    entities: u32,
    entities_max: u32,
    /// Players in it, as last told.
    players: u32,
}

/// A distribution.
#[derive(Debug, Default, Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let rank = (values.len() as f64 * part).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p99: at(0.99), max: values.last().copied().unwrap_or_default() }
    }
}

/// Move it so often, and report; failure when a promise was broken.
pub(super) async fn run(cluster: &ClusterAddress, args: &ShuttleArgs) -> anyhow::Result<ExitCode> {
    let (ended, failures) = shuttle(cluster, args).await?;
    let players = shard_of(&cluster.ask("/api/status").await?, &args.shard)?.2;
    let report = report(&args.shard, &ended, &failures, players);
    say(&if args.json { serde_json::to_string_pretty(&report)? } else { in_words(&report) });
    Ok(ExitCode::from(match (report.aborted, report.ok) {
        (true, _) => exit::ABORTED,
        (false, true) => exit::DONE,
        (false, false) => exit::WRONG,
    }))
}

async fn shuttle(cluster: &ClusterAddress, args: &ShuttleArgs) -> anyhow::Result<(Vec<Ended>, Vec<String>)> {
    let ShuttleArgs { shard, between, times, json, operator } = args;
    let [one, other] = between.as_slice() else { bail!("--between wants two scenes, such as scene-1,scene-2") };
    ensure!(one != other, "--between wants two different scenes");
    let (mut ended, mut failures) = (Vec::new(), Vec::new());
    for _ in 0..*times {
        let owner = settled(cluster, shard).await?;
        let to = match &owner {
            at if at == one => other,
            at if at == other => one,
            at => bail!("{shard} is at {at}, which is neither {one} nor {other}; migrate it to one of them first"),
        };
        let path = format!("/api/migrate?shard={shard}&to={to}");
        let order: MoveOrderView = cluster.order(&path, operator).await?;
        let end = moves::follow(cluster, operator, moves::number_of(&order)?, *json).await?;
        let is_aborted = end.is_aborted;
        if end.shift.step != "done" {
            failures.push(end.shift.reason.clone());
        }
        ended.push(end);
        if is_aborted {
            break;
        }
    }
    Ok((ended, failures))
}

/// Its owner, once it runs there.
async fn settled(cluster: &ClusterAddress, shard: &str) -> anyhow::Result<String> {
    let deadline = tokio::time::Instant::now() + SETTLE_TIME_MAX;
    loop {
        let (owner, phase, _) = shard_of(&cluster.ask("/api/status").await?, shard)?;
        match owner.filter(|_| phase == "running") {
            Some(owner) => return Ok(owner),
            None if tokio::time::Instant::now() > deadline => bail!("{shard} does not run, it is {phase}"),
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

fn shard_of(status: &StatusView, shard: &str) -> anyhow::Result<(Option<String>, String, u32)> {
    let Some(known) = status.shards.iter().find(|known| known.id == shard) else {
        bail!("{}", unknown("shard", shard, status.shards.iter().map(|known| known.id.as_str())));
    };
    Ok((known.owner.clone(), known.phase.clone(), known.players))
}

fn report(shard: &str, ended: &[Ended], failures: &[String], players: u32) -> Report {
    let done = || ended.iter().map(|end| &end.shift).filter(|shift| shift.step == "done");
    let mut counted: Vec<(String, u32)> = Vec::new();
    for failure in failures {
        match counted.iter_mut().find(|(known, _)| known == failure) {
            Some((_, count)) => *count += 1,
            None => counted.push((failure.clone(), 1)),
        }
    }
    let mut report = Report {
        shard: shard.to_owned(),
        moved: done().count() as u32,
        failures: counted.into_iter().map(|(why, count)| format!("{count} × {why}")).collect(),
        aborted: ended.iter().any(|end| end.is_aborted),
        blackout_ms: Spread::of(done().map(|shift| shift.blackout_ms).collect()),
        missed_ticks: done().map(|shift| u64::from(shift.missed_ticks)).sum(),
        missed_ticks_max: done().map(|shift| shift.missed_ticks).max().unwrap_or_default(),
        seconds: Spread::of(ended.iter().map(|end| end.took.as_secs_f64()).collect()),
        bytes: done().map(|shift| shift.bytes).sum(),
        entities: done().next().map_or(0, |shift| shift.entities),
        entities_max: done().map(|shift| shift.entities).max().unwrap_or_default(),
        players,
        ..Report::default()
    };
    let is_quick = report.blackout_ms.p99 <= BLACKOUT_P99_MS_MAX && report.missed_ticks_max <= MISSED_TICKS_MAX;
    report.ok = is_quick && report.failures.is_empty() && report.moved > 0;
    report
}

fn in_words(report: &Report) -> String {
    let Report { shard, moved, blackout_ms, missed_ticks, missed_ticks_max, seconds, entities_max, players, .. } = report;
    let mib = report.bytes as f64 / 1_048_576.0;
    let verdict = if report.ok { "Every promise was kept." } else { "A PROMISE WAS BROKEN." };
    let rows = [
        format!("{shard} with up to {entities_max} entities, {players} players at the end, moved {moved} times"),
        format!("  blackout      p50 {:.1}  p99 {:.1}  max {:.1} ms", blackout_ms.p50, blackout_ms.p99, blackout_ms.max),
        format!("  missed ticks  {missed_ticks} in all, {missed_ticks_max} in the worst move"),
        format!("  each took     p50 {:.2}  p99 {:.2}  max {:.2} s", seconds.p50, seconds.p99, seconds.max),
        format!("  copied        {mib:.1} MiB"),
        format!("  failures      {}", if report.failures.is_empty() { "none".to_owned() } else { report.failures.join("; ") }),
        format!(
            "{verdict} (p99 at most {BLACKOUT_P99_MS_MAX} ms, at most {MISSED_TICKS_MAX} tick missed in any move, no failure)"
        ),
    ];
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::MoveView;

    use super::*;

    fn end(blackout_ms: f64, missed_ticks: u32, step: &str) -> Ended {
        let shift = MoveView { step: step.to_owned(), blackout_ms, missed_ticks, bytes: 1_024, ..MoveView::default() };
        Ended { shift, is_aborted: false, took: Duration::from_millis(400) }
    }

    #[test]
    fn ninety_nine_of_a_hundred_decide() {
        let mut all: Vec<_> = (0..99).map(|_| end(3.0, 0, "done")).collect();
        all.push(end(80.0, 1, "done"));
        let told = report("0/3/1,0", &all, &[], 500);
        assert!(told.ok, "{told:?}");
        assert_eq!((told.blackout_ms.p50, told.blackout_ms.p99, told.blackout_ms.max), (3.0, 3.0, 80.0));
        all.push(end(80.0, 0, "done"));
        assert!(!report("0/3/1,0", &all, &[], 500).ok);
    }

    #[test]
    fn missed_ticks_and_failures_break_the_promise() {
        assert!(!report("0/3/1,0", &[end(3.0, 2, "done")], &[], 0).ok);
        let kept = vec!["it was cancelled".to_owned(), "it was cancelled".to_owned()];
        let told = report("0/3/1,0", &[end(3.0, 0, "done"), end(0.0, 0, "kept"), end(0.0, 0, "kept")], &kept, 0);
        assert_eq!((told.ok, told.moved, told.failures.as_slice()), (false, 1, &["2 × it was cancelled".to_owned()][..]));
        assert!(!report("0/3/1,0", &[], &[], 0).ok, "nothing is no proof");
        assert!(in_words(&told).contains("A PROMISE WAS BROKEN"));
    }
}
