//! S1, S2, S3, S10, S11, S13: a cluster of real processes on one core, a crowd on the other, the bare loop in its place in the
//! same run. The crowd grows step by step at one density until the server no longer keeps up.

use std::time::{Duration, Instant};

use pangaea_schemas::geometry::Position;

use super::cluster::{Cluster, ONE, with_game};
use crate::load::{Crowd, Played, Server};
use crate::measure::{Log, median, samples};
use crate::reference::bare::Bare;
use crate::row::{Bound, Reference, Row, show};
use crate::{Setup, cores};

/// Sizes of the crowd that are tried, until one is too large.
const STEPS: &[usize] = &[250, 500, 750, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000, 6_000];
/// The same in a hurry.
const STEPS_QUICK: &[usize] = &[250, 500, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000];
/// Space for each client: each has about 30 others in its own cell and those around it.
const AREA_M2: f32 = 96.0 * 96.0 / 31.0;
/// Edge of the clusters' space, in metres.
const SPACE_M: f32 = 1_024.0;
/// A client that gets fewer is not kept up with.
const UPDATES_MIN: f64 = 19.0;
/// A tick that takes longer is late.
pub(super) const TICK_MS_MAX: f64 = 50.0;
/// Clients of S10, and how far they stand from each other at most, in metres.
const CROWD: (usize, f32) = (1_000, 20.0);

/// One step of a growing crowd.
struct Step {
    played: Played,
    /// Of the whole tick.
    tick_ms_p99: f64,
    /// Processor time of the servers per second.
    cpu: f64,
    /// Resident bytes of gateway and scene.
    memory: u64,
}

impl Step {
    fn keeps_up(&self) -> bool {
        keeps_up(&self.played, self.tick_ms_p99)
    }
}

/// Whether every client got its updates and the worst scene its ticks.
pub(super) fn keeps_up(played: &Played, tick_ms_p99: f64) -> bool {
    played.fewest_updates >= UPDATES_MIN && tick_ms_p99 <= TICK_MS_MAX
}

/// Lets the crowd play; what it saw, and what it cost.
fn measure(cluster: &Cluster, crowd: &mut Crowd, span: Duration) -> anyhow::Result<Step> {
    let (before, ticks) = (cluster.cpu_seconds(), cluster.ticks()?);
    let began = Instant::now();
    let played = crowd.play(span)?;
    let cpu = (cluster.cpu_seconds() - before) / began.elapsed().as_secs_f64();
    Ok(Step { played, tick_ms_p99: cluster.tick_ms_p99(&ticks)?, cpu, memory: cluster.memory() })
}

/// The clients' side of a run: its thread is on the other core.
pub(super) fn on_client_core<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, String)> {
    let before = rustix::thread::sched_getaffinity(None)?;
    let note = cores::pin(None, cores::CLIENTS).err().unwrap_or_default();
    let done = work();
    rustix::thread::sched_setaffinity(None, &before)?;
    Ok((done?, note))
}

/// Home of the `n`-th client: a square that grows with the crowd, so that density stays.
pub(super) fn home(n: usize) -> Position {
    let mut rng = fastrand::Rng::with_seed(n as u64 + 1);
    let edge = ((n + 1) as f32 * AREA_M2).sqrt().min(SPACE_M - 2.0);
    let (along, across) = ((rng.f32() - 0.5) * edge, if rng.bool() { edge / 2.0 } else { -edge / 2.0 });
    let whole = edge >= SPACE_M - 2.0;
    let across = if whole { (rng.f32() - 0.5) * edge } else { across };
    let (x, z) = if rng.bool() { (along, across) } else { (across, along) };
    Position { x: SPACE_M / 2.0 + x, z: SPACE_M / 2.0 + z }
}

fn steps(setup: &Setup) -> &'static [usize] {
    if setup.quick { STEPS_QUICK } else { STEPS }
}

/// Grows a crowd until it is too large; each step that was kept up with, and the first that was not.
fn grow(
    setup: &Setup,
    log: &mut Log,
    crowd: &mut Crowd,
    mut measure: impl FnMut(&mut Crowd, Duration) -> anyhow::Result<Step>,
) -> anyhow::Result<Vec<Step>> {
    let mut taken: Vec<Step> = Vec::new();
    for &count in steps(setup) {
        if let Err(error) = crowd.grow(count, home) {
            log.note(&format!("  {count} clients do not get in: {error:#}"));
            break;
        }
        crowd.play(setup.span(Duration::from_secs(6)))?;
        let step = match measure(crowd, setup.span(Duration::from_secs(12))) {
            Ok(step) => step,
            Err(error) => {
                log.note(&format!("  {count} clients cannot be played with: {error:#}"));
                break;
            }
        };
        let Step { played, tick_ms_p99, cpu, memory } = &step;
        log.note(&format!("  tick p99 {tick_ms_p99:.1} ms, cpu {cpu:.3}, memory {memory}, {played:?}"));
        let keeps_up = step.keeps_up();
        taken.push(step);
        if !keeps_up {
            break;
        }
    }
    Ok(taken)
}

/// The largest crowd that was kept up with; none: zero.
fn capacity(steps: &[Step]) -> usize {
    steps.iter().filter(|step| step.keeps_up()).map(|step| step.played.clients).max().unwrap_or(0)
}

fn grow_bare(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Step>> {
    let largest = steps(setup).last().copied().unwrap_or(0);
    let bare = Bare::start(largest)?;
    let mut crowd = Crowd::new(Server::Bare, bare.address)?;
    grow(setup, log, &mut crowd, |crowd, span| {
        let (before, began) = (bare.cpu_seconds(), Instant::now());
        let played = crowd.play(span)?;
        let cpu = (bare.cpu_seconds() - before) / began.elapsed().as_secs_f64();
        Ok(Step { played, tick_ms_p99: 0.0, cpu, memory: 0 })
    })
}

/// S1, S2, S3, S11, S13.
pub(crate) fn capacity_rows(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    with_game("arena", || {
        let arena = Cluster::start(setup, folder.path(), ONE)?;
        let (taken, note) = on_client_core(|| {
            let mut crowd = Crowd::new(Server::Gateway, arena.address(0))?;
            grow(setup, log, &mut crowd, |crowd, span| measure(&arena, crowd, span))
        })?;
        arena.stop()?;
        let (bare, _) = on_client_core(|| grow_bare(setup, log))?;
        Ok(rows(&taken, &bare).into_iter().map(|row| Row { note: join(&row.note, &note), ..row }).collect())
    })
}

/// Of those that were kept up with, the step nearest to so many clients.
fn near(taken: &[Step], clients: usize) -> Option<&Step> {
    taken.iter().filter(|step| step.keeps_up()).min_by_key(|step| step.played.clients.abs_diff(clients))
}

/// By how much a client takes more processor time in a large crowd than in a small one, in percent; and both crowds.
fn growth(taken: &[Step]) -> Option<(f64, usize, usize)> {
    let (few, many) = (near(taken, 500)?, near(taken, 4_000)?);
    let each = |step: &Step| step.cpu / step.played.clients as f64;
    Some(((each(many) / each(few) - 1.0) * 100.0, few.played.clients, many.played.clients))
}

fn rows(taken: &[Step], bare_taken: &[Step]) -> Vec<Row> {
    let (clients, bare) = (capacity(taken), capacity(bare_taken));
    let kept: Vec<&Step> = taken.iter().filter(|step| step.keeps_up()).collect();
    let mut rows = Vec::new();
    let ratio = clients as f64 / bare.max(1) as f64;
    let mut row =
        samples(&[clients as f64], "S1", "clients on one core, 20 Hz, about 30 in sight", Bound::AtLeast(0.9), "clients");
    (row.met, row.goal) = (ratio >= 0.9, "≥ 0.9 × the bare loop".to_owned());
    row.reference = Some(Reference { what: "bare epoll loop", figure: bare as f64, ratio });
    rows.push(row);
    if let Some(Step { played, .. }) = near(taken, 500) {
        let what = format!("bytes per client and second, {} clients, {:.0} in sight", played.clients, played.visible);
        let mut row = samples(&[played.bytes], "S2", &what, Bound::AtMost(1_800.0), "B/s");
        row.met &= played.near_error_p99 <= 0.01;
        let (near, far) = (show(played.near_error_p99 * 100.0), show(played.far_error_p99 * 100.0));
        row.note = format!("error p99: the nearest ten {near} cm, all others {far} cm");
        rows.push(row);
    }
    if let Some(Step { played, .. }) = near(taken, clients / 2) {
        let what = |part: &str| format!("input to seen, {part}, {} clients", played.clients);
        rows.push(samples(&[played.latency_p50], "S3", &what("p50"), Bound::AtMost(1.2), "ticks"));
        rows.push(samples(&[played.latency_p99], "S3", &what("p99"), Bound::AtMost(2.0), "ticks"));
    }
    if let Some((growth, few, many)) = growth(taken) {
        let what = format!("processor time per client, {many} against {few} clients");
        let mut row = samples(&[growth], "S11", &what, Bound::AtMost(15.0), "%");
        row.met &= growth >= -15.0 && many >= 4_000;
        row.goal = "within 15 % from 500 to 4,000".to_owned();
        let bare = self::growth(bare_taken);
        row.note = bare.map_or_else(String::new, |(growth, ..)| format!("{} % at the bare epoll loop", show(growth)));
        rows.push(row);
    }
    if let (Some(few), Some(many)) = (kept.first(), kept.last())
        && few.played.clients < many.played.clients
    {
        let clients = many.played.clients - few.played.clients;
        let each = many.memory.saturating_sub(few.memory) as f64 / 1_024.0 / clients as f64;
        let what = format!("resident memory per client, gateway and scene, {clients} more clients");
        rows.push(samples(&[each], "S13", &what, Bound::AtMost(24.0), "KiB"));
    }
    rows
}

/// S10: everybody in one place.
pub(crate) fn crowd_rows(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    let (clients, edge) = CROWD;
    with_game("arena", || {
        let arena = Cluster::start(setup, folder.path(), ONE)?;
        let (steps, note) = on_client_core(|| {
            let mut crowd = Crowd::new(Server::Gateway, arena.address(0))?;
            let place = |n: usize| {
                let mut rng = fastrand::Rng::with_seed(n as u64);
                let mut near = || SPACE_M / 2.0 + (rng.f32() - 0.5) * edge;
                Position { x: near(), z: near() }
            };
            crowd.grow(clients, place)?;
            crowd.play(setup.span(Duration::from_secs(9)))?;
            (0..3).map(|_| measure(&arena, &mut crowd, setup.span(Duration::from_secs(9)))).collect::<Result<Vec<_>, _>>()
        })?;
        arena.stop()?;
        for Step { played, tick_ms_p99, cpu, .. } in &steps {
            log.note(&format!("  tick p99 {tick_ms_p99:.1} ms, cpu {cpu:.3}, {played:?}"));
        }
        let all = |figure: fn(&Step) -> f64| steps.iter().map(figure).collect::<Vec<_>>();
        let tick = samples(&all(|s| s.tick_ms_p99), "S10", "tick p99, 1,000 clients within 20 m", Bound::AtMost(50.0), "ms");
        let what = "bytes per client and second in the same crowd";
        let bytes = samples(&all(|s| s.played.bytes), "S10", what, Bound::AtMost(64.0 * 1_024.0), "B/s");
        let fewest = median(&all(|s| s.played.fewest_updates));
        let near = show(median(&all(|s| s.played.near_error_p99)) * 100.0);
        let words = format!("{fewest:.1} updates/s at the worst client, nearest ten to {near} cm");
        Ok([tick, bytes].map(|row| Row { met: row.met && fewest >= UPDATES_MIN, note: join(&words, &note), ..row }).into())
    })
}

pub(super) fn join(a: &str, b: &str) -> String {
    [a, b].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("; ")
}
