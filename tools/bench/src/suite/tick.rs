//! S4, S5, S14: what a tick costs. Every shard is whole: ownership, followers, feed, journaling; frames are encoded for the link.

use pangaea_schemas::ShardEpoch;

use crate::Setup;
use crate::bed::{Bed, Journal, records, space};
use crate::cores::on_server_core;
use crate::game;
use crate::machine::resident_bytes;
use crate::measure::{Log, Pairs, median, quantile, samples};
use crate::reference::ecs::Walkers;
use crate::row::{Bound, Row};

/// Ticks before anything counts: caches, allocations, followers' snapshots.
const WARM_UP_TICKS: usize = 30;
/// Entities of S4.
pub(crate) const CROWD: u64 = 10_000;
/// Of a smaller shard, for those who count instructions.
pub(crate) const ROUND_WALKERS: u64 = CROWD / 4;
/// Entities of S14.
const MOVERS: u64 = 50_000;
/// Entities of S5.
const IDLERS: u64 = 1_000_000;
/// In S5 one of so many walks.
const ONE_WALKS_OF: u64 = 1_000;

/// A scene with so many entities per shard, of which those below `walking` walk, followed by a gateway.
fn bed(level: u8, shard_level: u8, per_shard: u64, walking: u64) -> anyhow::Result<Bed> {
    let space = space(level, shard_level);
    let shards = space.first_shards();
    let image = shards.iter().enumerate().map(|(n, shard)| {
        let first = 1 + n as u64 * per_shard;
        let walkers = records(*shard, first, walking, true);
        (*shard, walkers.chain(records(*shard, first + walking, per_shard - walking, false)).collect())
    });
    let image = image.collect();
    let mut bed = Bed::new(game::walkers, space, Journal::Yes { image }, ShardEpoch(1))?;
    bed.start()?;
    bed.follow();
    (0..WARM_UP_TICKS).for_each(|_| _ = bed.tick());
    Ok(bed)
}

/// Milliseconds of so many ticks, a raw walk before each of them.
fn ticks(bed: &mut Bed, raw: &mut Walkers, count: usize) -> (Vec<f64>, Vec<f64>) {
    (0..count).map(|_| (raw.tick_ms(), bed.tick())).unzip()
}

/// For those who count instructions: see [`crate::inner`].
pub(crate) fn round() -> anyhow::Result<crate::inner::Round> {
    let mut bed = bed(5, 5, ROUND_WALKERS, ROUND_WALKERS)?;
    Ok(Box::new(move || _ = bed.tick()))
}

/// The same of the shard of S4.
pub(crate) fn crowd_round() -> anyhow::Result<crate::inner::Round> {
    let mut bed = bed(5, 5, CROWD, CROWD)?;
    Ok(Box::new(move || _ = bed.tick()))
}

pub(crate) fn crowd(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let (pairs, note) = on_server_core(|| -> anyhow::Result<_> {
        let mut bed = bed(5, 5, CROWD, CROWD)?;
        let mut raw = Walkers::new(CROWD as u32, 1_024.0);
        let mut pairs = Pairs::default();
        for _ in 0..setup.repetitions() {
            let (raw, whole) = ticks(&mut bed, &mut raw, 40);
            pairs.push(log, median(&raw), median(&whole));
        }
        log.note(&format!("  {} entities, {} bytes for the gateway per tick", bed.entities(), bed.fed_bytes));
        Ok(pairs)
    });
    let (pairs, raw) = (pairs?, "raw bevy_ecs iteration");
    let what = "tick of a shard, 10,000 agents, all moving, interest and feed included";
    let rows = [
        pairs.row("S4", what, Bound::AtMost(5.0), "ms", raw),
        pairs.row_of_ratio("S4", &format!("{what}, against the raw iteration"), Bound::AtMost(12.0), "ms", raw),
    ];
    Ok(rows.map(|row| Row { note: note.clone(), ..row }).into())
}

pub(crate) fn scene(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let (pairs, note) = on_server_core(|| -> anyhow::Result<_> {
        let mut bed = bed(6, 4, MOVERS / 16, MOVERS / 16)?;
        let mut raw = Walkers::new(MOVERS as u32, 2_048.0);
        let mut pairs = Pairs::default();
        for _ in 0..setup.repetitions() {
            let (raw, whole) = ticks(&mut bed, &mut raw, 40);
            pairs.push(log, quantile(&raw, 0.99), quantile(&whole, 0.99));
        }
        log.note(&format!("  {} entities, {} bytes for the gateway per tick", bed.entities(), bed.fed_bytes));
        Ok(pairs)
    });
    let what = "tick p99 of a scene of 16 shards, 50,000 agents, all moving, one gateway stream";
    let row = pairs?.row("S14", what, Bound::AtMost(50.0), "ms", "raw bevy_ecs iteration");
    Ok(vec![Row { note, ..row }])
}

pub(crate) fn idle(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let (result, note) = on_server_core(|| -> anyhow::Result<_> {
        let before = resident_bytes();
        let per_shard = IDLERS / 64;
        let mut bed = bed(8, 5, per_shard, per_shard / ONE_WALKS_OF)?;
        // What arrived is journaled once in the first second; only then is the scene at rest.
        let each = resident_bytes().saturating_sub(before) as f64 / bed.entities() as f64;
        let mut raw = Walkers::new(IDLERS as u32, 8_192.0);
        let mut pairs = Pairs::default();
        for _ in 0..setup.repetitions() {
            let (raw, whole) = ticks(&mut bed, &mut raw, 20);
            pairs.push(log, median(&raw), median(&whole));
        }
        log.note(&format!("  {} entities, {each} bytes each", bed.entities()));
        Ok((pairs, each))
    });
    let (pairs, each) = result?;
    let what = "tick of a scene of 64 shards, 1,000,000 entities of which one in a thousand walks";
    let tick = pairs.row("S5", what, Bound::AtMost(10.0), "ms", "raw bevy_ecs iteration of all");
    let memory = samples(&[each], "S5", "resident memory per entity of the same scene", Bound::AtMost(1_024.0), "B");
    Ok([tick, memory].map(|row| Row { note: note.clone(), ..row }).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bed_runs_all_its_entities_and_feeds_a_gateway_with_those_who_walk() {
        let mut bed = bed(3, 2, 40, 10).expect("it runs");
        assert_eq!(bed.entities(), 160);
        bed.tick();
        let walkers = 4 * 10;
        assert!(bed.fed_bytes > walkers, "{} bytes of {walkers} walkers", bed.fed_bytes);
    }
}
