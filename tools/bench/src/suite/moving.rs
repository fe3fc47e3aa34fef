//! S7: a shard in which 10,000 walk and people play goes from scene to scene and back, on real processes. Beside it stands how
//! late the ticks of the same shard are while nobody moves it.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use pangaea_node::admin::MoveView;
use pangaea_scene::ecs::{Copied, ShardWorld, WorldDelta};
use pangaea_scene::game::Game;
use pangaea_schemas::geometry::{Position, ShardId};
use pangaea_schemas::message::{Message, Migration};
use pangaea_schemas::record::Record;
use pangaea_schemas::wire::{decode, encode};
use pangaea_schemas::{MigrationId, TickRate};

use super::arena::{join, on_client_core};
use super::cluster::{Cluster, Shape, with_game};
use crate::bed::{records, space};
use crate::game::{self, DROVE, DROVE_SHARD};
use crate::inner::Round;
use crate::load::{Crowd, Server};
use crate::measure::{Log, Pairs, quantile, samples};
use crate::row::{Bound, Row};
use crate::scrape::Histogram;
use crate::{Setup, cores};

/// People who play in the shard.
const PLAYERS: usize = 100;
/// Moves in a row, in full and in a hurry, between two looks at how late ticks are without them.
const MOVES: (usize, usize) = (20, 8);
/// Such rows.
const GROUPS: (usize, usize) = (10, 3);
/// Between two moves: players settle, and the shard is journaled by its new owner.
const PAUSE: Duration = Duration::from_millis(250);
/// How long players play between two looks whether they may stop.
const BREATH: Duration = Duration::from_secs(1);

/// Who walks where instructions are counted.
pub(crate) const ROUND_WALKERS: u64 = 2_500;

/// One round of a copy in which everybody has moved, from the source's world to the target's, without a wire between them; for
/// those who count instructions, see [`crate::inner`].
pub(crate) fn round() -> anyhow::Result<Round> {
    let (game, space) = (Game::build(game::walkers)?, space(5, 5));
    let shard = space.root();
    let world = |step: u64| {
        let mut world = ShardWorld::new(&game, shard, &space, TickRate::DEFAULT, 1);
        let moved = |record: Record| {
            let home = record.position;
            Record { position: Position { x: home.x * 0.99 + step as f32 * 0.3, z: home.z }, ..record }
        };
        let records = records(shard, 1, ROUND_WALKERS, true).map(moved).collect();
        world.overwrite(&WorldDelta { records, gone: Vec::new() });
        world
    };
    let (sources, mut target, mut turn) = ([world(0), world(1)], world(0), 0);
    let mut copied = Copied::default();
    sources[0].delta(&mut copied);
    Ok(Box::new(move || {
        turn = 1 - turn;
        let WorldDelta { records, gone } = sources[turn].delta(&mut copied);
        let (id, round, last) = (MigrationId(1), 1, true);
        let frame = encode(&Message::Migration(Migration::Copied { id, shard, round, records, gone, last }));
        let heard = decode(black_box(&frame));
        if let Ok(Message::Migration(Migration::Copied { records, gone, .. })) = heard {
            target.overwrite(&WorldDelta { records, gone });
        }
    }))
}

/// What a run showed.
#[derive(Default)]
struct Run {
    /// Lateness without moves, and blackout, p99 each, in milliseconds.
    pairs: Pairs,
    moves: Vec<MoveView>,
    /// Updates per second of the client that got fewest, second by second.
    updates: Vec<f64>,
    note: String,
}

pub(crate) fn rows(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    let run = with_game("drove", || {
        let shape = Shape { scenes: 2, gateways: 1, abundance: 0, cores: &[cores::SERVER] };
        let cluster = Cluster::start(setup, folder.path(), shape)?;
        let run = run(setup, log, &cluster)?;
        cluster.stop()?;
        Ok(run)
    })?;
    Ok(table(&run))
}

/// Players play on the other core while the shard goes back and forth.
fn run(setup: &Setup, log: &mut Log, cluster: &Cluster) -> anyhow::Result<Run> {
    cluster.until(&format!("{DROVE} walk in {DROVE_SHARD}"), |status| {
        status.shards.iter().find(|shard| shard.id == DROVE_SHARD && shard.entities as usize >= DROVE).map(drop)
    })?;
    let (address, is_over) = (cluster.address(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let players = scope.spawn(|| on_client_core(|| play(address, &is_over)));
        let moved = shuttle(setup, log, cluster);
        is_over.store(true, Ordering::Relaxed);
        let (updates, pinned) = players.join().map_err(|_| anyhow::anyhow!("the players' thread panicked"))??;
        Ok(Run { updates, note: join(&cluster.note, &pinned), ..moved? })
    })
}

fn play(address: std::net::SocketAddr, is_over: &AtomicBool) -> anyhow::Result<Vec<f64>> {
    let shard: ShardId = DROVE_SHARD.parse().context("the bench's own shard")?;
    let (corner, edge) = (shard.first_cell().corner(), f32::from(shard.edge_cells()) * 32.0);
    let home = |n: usize| {
        let mut rng = fastrand::Rng::with_seed(n as u64 + 1);
        let mut within = |from: f32| from + edge * (0.2 + 0.6 * rng.f32());
        Position { x: within(corner.x), z: within(corner.z) }
    };
    let mut crowd = Crowd::new(Server::Gateway, address)?;
    crowd.grow(PLAYERS, home)?;
    let mut updates = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        updates.push(crowd.play(BREATH)?.fewest_updates);
    }
    Ok(updates)
}

fn shuttle(setup: &Setup, log: &mut Log, cluster: &Cluster) -> anyhow::Result<Run> {
    let of = |(full, quick): (usize, usize)| if setup.quick { quick } else { full };
    let mut run = Run::default();
    std::thread::sleep(setup.span(Duration::from_secs(6)));
    for _ in 0..of(GROUPS) {
        let before = lateness(cluster)?;
        std::thread::sleep(setup.span(Duration::from_secs(6)));
        let late =
            lateness(cluster)?.iter().zip(&before).map(|(now, before)| now.since(before).quantile(0.99)).fold(0.0, f64::max);
        let mut blackouts = Vec::new();
        for _ in 0..of(MOVES) {
            let shift = cluster.shuttle(DROVE_SHARD)?;
            let MoveView { id, to, step, rounds, entities, bytes, blackout_ms, missed_ticks, reason, .. } = &shift;
            log.note(&format!(
                "  move {id} to {to}: {step} {reason}, {entities} entities, {bytes} bytes, {rounds} rounds, {blackout_ms:.1} ms, {missed_ticks} missed"
            ));
            if step == "done" {
                blackouts.push(*blackout_ms);
            }
            run.moves.push(shift);
            std::thread::sleep(PAUSE);
        }
        run.pairs.push(log, late * 1e3, quantile(&blackouts, 0.99));
    }
    Ok(run)
}

/// How late ticks began, of each scene since its start, in seconds.
fn lateness(cluster: &Cluster) -> anyhow::Result<Vec<Histogram>> {
    cluster.told_by_scenes()?.iter().map(|text| Histogram::of(text, "pangaea_tick_late_seconds", ("", ""))).collect()
}

fn table(run: &Run) -> Vec<Row> {
    let done = || run.moves.iter().filter(|shift| shift.step == "done");
    let blackouts: Vec<f64> = done().map(|shift| shift.blackout_ms).collect();
    let (ordered, moved) = (run.moves.len(), done().count());
    let (entities, bytes) =
        (done().map(|shift| shift.entities).min().unwrap_or(0), done().map(|shift| shift.bytes).max().unwrap_or(0));
    let fewest = run.updates.iter().copied().fold(f64::INFINITY, f64::min);
    let words = format!(
        "{moved} of {ordered} moves done, at least {entities} entities, up to {:.1} MB copied, {PLAYERS} players with at least {fewest:.1} updates \
         in any second, p50 {:.1} ms",
        bytes as f64 / 1e6,
        quantile(&blackouts, 0.5)
    );
    let note = join(&words, &run.note);
    let what = "blackout of a shard with 10,000 walking entities that goes to another scene, p99";
    let mut row = run.pairs.row("S7", what, Bound::AtMost(16.0), "ms", "lateness of the same shard's ticks without moves, p99");
    // Of all moves together: a part of them has no p99.
    row.figure = quantile(&blackouts, 0.99);
    row.met = moved == ordered && moved > 0 && row.figure <= 16.0;
    let missed: Vec<f64> = done().map(|shift| f64::from(shift.missed_ticks)).collect();
    let what = format!("ticks that nobody ran in time in all {moved} moves together");
    let mut ticks = samples(&[missed.iter().sum()], "S7", &what, Bound::AtMost(0.0), "ticks");
    ticks.met &= moved == ordered && moved > 0;
    vec![Row { note, ..row }, ticks]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(step: &str, blackout_ms: f64, missed_ticks: u32) -> MoveView {
        MoveView { step: step.to_owned(), blackout_ms, missed_ticks, entities: 10_050, ..MoveView::default() }
    }

    fn judged(moves: Vec<MoveView>) -> [(f64, bool); 2] {
        let rows = table(&Run { moves, updates: vec![19.5], ..Run::default() });
        [(rows[0].figure, rows[0].met), (rows[1].figure, rows[1].met)]
    }

    #[test]
    fn all_moves_count_and_each_must_come_to_its_end() {
        let quick = || (0..20).map(|_| moved("done", 3.0, 0)).collect::<Vec<_>>();
        assert_eq!(judged(quick()), [(3.0, true), (0.0, true)]);
        assert_eq!(judged([quick(), vec![moved("done", 80.0, 2)]].concat()), [(80.0, false), (2.0, false)]);
        assert_eq!(judged([quick(), vec![moved("kept", 0.0, 0)]].concat()), [(3.0, false), (0.0, false)]);
        assert_eq!(judged(Vec::new())[1], (0.0, false), "nothing is no proof");
    }
}
