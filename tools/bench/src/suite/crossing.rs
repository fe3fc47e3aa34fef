//! S6: entities that go over a border between two scenes, on real processes with the real journal. The crowd of ferries grows
//! until hand-overs no longer keep up; raw LMDB commits of the same rows stand beside.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use pangaea_schemas::geometry::ShardId;

use super::arena::{TICK_MS_MAX, join};
use super::cluster::{Cluster, Shape, with_game};
use crate::game::{FERRIES_PER_SHARD, FERRY_EVERY};
use crate::measure::{Log, Pairs, median, samples};
use crate::reference::lmdb::Rows;
use crate::row::{Bound, Row};
use crate::scrape::by_label;
use crate::{Setup, cores};

/// Hand-overs per second that are tried, until they are too many.
const OFFERED: &[u32] = &[2_000, 5_200, 6_000, 7_000, 8_000, 10_000, 12_000];
/// What S6 asks for.
const WANTED: f64 = 5_000.0;
/// A rate that falls short of what is offered by more is not kept up with.
const SHORT_MAX: f64 = 0.03;
/// Shards at the line between the two halves, on both banks.
const SHARDS: u32 = 8;
/// What goes into the journal twice, as OUT and as IN: an operation with a record of this game, about, in bytes.
const ROW_BYTES: usize = 200;
/// Looks at each rate.
const LOOKS: usize = 3;

/// What hand-overs were like for a while.
struct Look {
    per_s: f64,
    /// Ticks from the last one at the source to the first at the target; 1: none was missed.
    pause_p50: f64,
    pause_p99: f64,
    tick_ms_p99: f64,
    /// Processor time of all processes per second.
    cpu: f64,
}

impl Look {
    fn keeps_up(&self, offered: u32) -> bool {
        self.per_s >= f64::from(offered) * (1.0 - SHORT_MAX) && self.pause_p99 <= 1.0 && self.tick_ms_p99 <= TICK_MS_MAX
    }
}

/// A rate, and what was seen of it.
struct Step {
    offered: u32,
    looks: Vec<Look>,
    raw: Vec<f64>,
}

impl Step {
    fn median_of(&self, figure: fn(&Look) -> f64) -> f64 {
        median(&self.looks.iter().map(figure).collect::<Vec<_>>())
    }

    /// In most of its looks.
    fn keeps_up(&self) -> bool {
        self.looks.iter().filter(|look| look.keeps_up(self.offered)).count() * 2 > self.looks.len()
    }
}

pub(crate) fn rows(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    let (mut steps, mut note): (Vec<Step>, _) = (Vec::new(), String::new());
    let offered = OFFERED.iter().copied().filter(|offered| !setup.quick || f64::from(*offered) >= WANTED);
    for offered in offered {
        let mut raw = Rows::open(&folder.path().join(format!("raw-{offered}")), ROW_BYTES)?;
        let mut step = Step { offered, looks: Vec::new(), raw: Vec::new() };
        for _ in 0..LOOKS {
            step.raw.push(raw_per_s(&mut raw, offered)?);
        }
        let place = folder.path().join(format!("at-{offered}"));
        (step.looks, note) = with_game("ferries", || looks(setup, &place, offered))?;
        for Look { per_s, pause_p50, pause_p99, tick_ms_p99, cpu } in &step.looks {
            log.note(&format!(
                "  offered {offered}/s: {per_s:.0}/s, pause p50 {pause_p50} p99 {pause_p99} ticks, tick p99 {tick_ms_p99:.1} ms, cpu {cpu:.3}"
            ));
        }
        let keeps_up = step.keeps_up();
        steps.push(step);
        if !keeps_up {
            break;
        }
    }
    Ok(table(&steps, &note))
}

/// Hand-overs per second that raw LMDB could make durable: in each commit the two rows of a tick's.
fn raw_per_s(raw: &mut Rows, offered: u32) -> anyhow::Result<f64> {
    let per_commit = u64::from(offered) / 20;
    let mut took = 0.0;
    for commit in 0..20 {
        took += raw.put(commit * per_commit * 2, per_commit * 2)?;
    }
    Ok(per_commit as f64 * 20.0 / took)
}

/// A cluster of two scenes, the western half of the world at the first, the eastern at the second.
fn looks(setup: &Setup, folder: &Path, offered: u32) -> anyhow::Result<(Vec<Look>, String)> {
    let ferries = offered * FERRY_EVERY / 20;
    let abundance = (ferries / SHARDS / FERRIES_PER_SHARD) as u16;
    let shape = Shape { scenes: 2, gateways: 1, abundance, cores: &[cores::SERVER] };
    let cluster = Cluster::start(setup, folder, shape)?;
    // Shards of the demo's map have the level 3: four by four.
    let is_east = |shard: &str| shard.parse::<ShardId>().is_ok_and(|shard| shard.x >= 2);
    cluster.arrange(|shard| cluster.scenes[usize::from(is_east(shard))])?;
    std::thread::sleep(setup.span(Duration::from_secs(6)));
    let looks = (0..LOOKS).map(|_| look(&cluster, setup.span(Duration::from_secs(6)))).collect::<anyhow::Result<_>>()?;
    let note = cluster.note.clone();
    cluster.stop()?;
    Ok((looks, note))
}

fn look(cluster: &Cluster, span: Duration) -> anyhow::Result<Look> {
    let (before, ticks, cpu) = (pauses(cluster)?, cluster.ticks()?, cluster.cpu_seconds());
    let began = Instant::now();
    std::thread::sleep(span);
    let (after, seconds) = (pauses(cluster)?, began.elapsed().as_secs_f64());
    let fresh = after.iter().map(|(ticks, count)| (*ticks, count - before.get(ticks).copied().unwrap_or(0.0)));
    let fresh: Vec<(u32, f64)> = fresh.collect();
    Ok(Look {
        per_s: fresh.iter().map(|(_, count)| count).sum::<f64>() / seconds,
        pause_p50: pause(&fresh, 0.5),
        pause_p99: pause(&fresh, 0.99),
        tick_ms_p99: cluster.tick_ms_p99(&ticks)?,
        cpu: (cluster.cpu_seconds() - cpu) / seconds,
    })
}

/// Hand-overs so far by the ticks of their pause, as the arriving side counted them.
fn pauses(cluster: &Cluster) -> anyhow::Result<BTreeMap<u32, f64>> {
    let mut all = BTreeMap::new();
    for text in cluster.told_by_scenes()? {
        for (ticks, count) in by_label(&text, "bench_crossings", "ticks") {
            *all.entry(ticks.parse()?).or_default() += count;
        }
    }
    Ok(all)
}

/// The pause that this part of all do not exceed.
fn pause(counts: &[(u32, f64)], part: f64) -> f64 {
    let wanted = counts.iter().map(|(_, count)| count).sum::<f64>() * part;
    let mut upto = 0.0;
    let found = counts.iter().find(|(_, count)| {
        upto += count;
        upto >= wanted && upto > 0.0
    });
    found.map_or(f64::INFINITY, |(ticks, _)| f64::from(*ticks))
}

fn table(steps: &[Step], pinned: &str) -> Vec<Row> {
    let best = steps.iter().rev().find(|step| step.keeps_up()).or(steps.first());
    // The pause counts at the rate that is asked for, or above it if that was not tried.
    let at_goal = steps.iter().find(|step| f64::from(step.offered) >= WANTED);
    let words = |step: &Step| {
        let (offered, ticks, cpu) = (step.offered, step.median_of(|l| l.tick_ms_p99), step.median_of(|l| l.cpu));
        let kept = if step.keeps_up() { "kept up with" } else { "not kept up with" };
        let words = format!(
            "{offered}/s offered and {kept}, tick p99 {ticks:.1} ms, all processes on one core, {:.0} % of it",
            cpu * 100.0
        );
        join(&words, pinned)
    };
    let mut rows = Vec::new();
    if let Some(step) = best {
        let mut pairs = Pairs::default();
        step.looks.iter().zip(&step.raw).for_each(|(look, raw)| pairs.add(*raw, look.per_s));
        let what = "hand-overs between two scenes, durable, no tick missed by 99 of 100";
        let row = pairs.row("S6", what, Bound::AtLeast(WANTED), "1/s", "raw LMDB, two rows for each");
        rows.push(Row { met: row.met && step.keeps_up(), note: words(step), ..row });
    }
    if let Some(step) = at_goal {
        let what = "pause of a hand-over, p99, from its last tick at the source to its first at the target";
        let pauses: Vec<f64> = step.looks.iter().map(|look| look.pause_p99).collect();
        let row = samples(&pauses, "S6", what, Bound::AtMost(1.0), "ticks");
        let typical = step.median_of(|look| look.pause_p50);
        rows.push(Row { note: join(&words(step), &format!("p50 {typical}")), ..row });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(offered: u32, per_s: f64, pause_p99: f64) -> Step {
        let look = || Look { per_s, pause_p50: 1.0, pause_p99, tick_ms_p99: 20.0, cpu: 0.5 };
        Step { offered, looks: (0..3).map(|_| look()).collect(), raw: vec![50_000.0; 3] }
    }

    #[test]
    fn a_pause_is_read_from_counts() {
        assert_eq!([0.5, 0.97, 0.99].map(|part| pause(&[(1, 98.0), (2, 1.0), (7, 1.0)], part)), [1.0, 1.0, 2.0]);
        assert_eq!(pause(&[], 0.99), f64::INFINITY, "nobody crossed: no pause can be told");
    }

    #[test]
    fn the_highest_rate_that_was_kept_up_with_counts() {
        let rows = table(&[step(2_000, 2_000.0, 1.0), step(5_200, 5_190.0, 1.0), step(6_000, 5_200.0, 3.0)], "");
        assert_eq!((rows[0].figure, rows[0].met, rows[1].figure, rows[1].met), (5_190.0, true, 1.0, true));
        let rows = table(&[step(2_000, 2_000.0, 1.0), step(5_200, 4_000.0, 4.0)], "");
        assert_eq!((rows[0].figure, rows[0].met, rows[1].figure, rows[1].met), (2_000.0, false, 4.0, false));
    }
}
