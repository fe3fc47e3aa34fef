//! S17: what it costs to write a system as a script. Two shards do the same in the same ticks, one in Rust, one in Luau.

use pangaea_scene::game::Game;
use pangaea_scene::prelude::{Harness, Position};

use crate::Setup;
use crate::cores::on_server_core;
use crate::game::{self, Health};
use crate::measure::{Log, Pairs, cpu_seconds, median};
use crate::row::{Bound, Row};

/// Entities of the one shard.
const CROWD: u16 = 10_000;
/// Ticks per sample, and before anything counts.
const TICKS: usize = 40;

/// [`game::regrow`] over columns.
const COLUMNS: &str = r#"return system {
    phase = "React",
    writes = { "health" },
    run = function(batch)
        local now, max = batch:read("health.now"), batch:read("health.max")
        for row = 1, batch.count do
            now[row] = if now[row] < max[row] then now[row] + 1 else 0
        end
        batch:write("health.now", now)
    end,
}"#;

/// The same, one entity after the other.
const EACH: &str = r#"return system {
    phase = "React",
    writes = { "health" },
    each = function(entity)
        local health = entity.health
        health.now = if health.now < health.max then health.now + 1 else 0
    end,
}"#;

fn crowd(game: fn(&mut Game), scripts: &[(&str, &str)]) -> Harness {
    let mut world = Harness::new(game);
    for n in 0..CROWD {
        let place = Position::new(520.0 + f32::from(n % 100) * 2.4, 520.0 + f32::from(n / 100) * 2.4);
        world.spawn(place, Health { now: n % 100, max: 100 });
    }
    world.scripts(scripts);
    (0..TICKS).for_each(|_| _ = world.tick());
    world
}

fn ticks_ms(world: &mut Harness) -> f64 {
    let all: Vec<f64> = (0..TICKS).map(|_| cpu_seconds(|| _ = world.tick()).1 * 1e3).collect();
    median(&all)
}

pub(crate) fn against_native(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let ways = [("columns", COLUMNS, 8.0), ("one by one", EACH, 30.0)];
    let (rows, note) = on_server_core(|| -> anyhow::Result<Vec<Row>> {
        let mut native = crowd(game::regrowers, &[]);
        let mut rows = Vec::new();
        for (how, script, goal_ms) in ways {
            let mut scripted = crowd(game::scripted, &[("regrow", script)]);
            let mut pairs = Pairs::default();
            for _ in 0..setup.repetitions() {
                let (native, scripted) = (ticks_ms(&mut native), ticks_ms(&mut scripted));
                pairs.push(log, native, scripted);
            }
            anyhow::ensure!(scripted.script_faults().is_empty(), "the script failed: {:?}", scripted.script_faults());
            log.note(&format!("  {} steps per tick", scripted.world.script_steps()));
            let what = format!("tick of a shard with a system over 10,000 entities, as a script, {how}");
            rows.push(pairs.row("S17", &what, Bound::AtMost(goal_ms), "ms", "the same system in Rust"));
        }
        Ok(rows)
    });
    Ok(rows?.into_iter().map(|row| Row { note: note.clone(), ..row }).collect())
}
