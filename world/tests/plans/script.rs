//! A tiny language for planner tests. Lines build an inventory; `plan` prints what the planner says; what is expected stands
//! below such a line, each line of it behind a `|`.
//!
//! ```text
//! # anything                             a comment
//! policy rest=10s in_flight=4 ...        overrides, see `policy`
//! scene scene-1 [capacity=200%] [closed] adds or changes a scene; `scene scene-1 gone` removes it, its shards are vacant then
//! grid 0/3 1122 1.22 [load=12%] [entities=40]     rows of shards of a space and level; a digit is a scene, `.` is vacant
//! shard 0/3/1,0 scene-1 [load=12%] [entities=40] [moved=5s]     adds a shard
//! shard 0/3/1,0 vacant [avoid=scene-1] | held | scene-1>scene-2     `>`: on its way
//! load 12% 0/3/1,0 0/3/2,0 ...           gives shards another load
//! cross 30 0/3/0,0 0/3/1,0               hand-overs per minute from one to the other
//! pass 30s                               time goes by
//! forget                                 all scenes, shards and overrides
//! plan                                   prints the plan
//! do                                     prints the plan and carries it out
//! map 0/3                                prints who has which shard of a space and level
//! run 100 noise=10% seed=1               rounds of a second: noise, smoothing, plan, carry out; prints what came of it
//! ```

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{NodeId, Role};
use pangaea_world::balance::{Inventory, Policy, SceneRow, Seat, ShardRow, Share};

use crate::crowds::Town;

/// Runs a script; the script as it should be, with what came in the place of what is expected.
///
/// # Errors
/// Names the line that is not understood.
pub(crate) fn run(script: &str) -> Result<String, String> {
    let mut town = Town::empty();
    let mut out = String::new();
    for line in script.lines().filter(|line| !line.starts_with('|')) {
        let _ = writeln!(out, "{line}");
        let words: Vec<&str> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let Some((command, words)) = words.split_first() else { continue };
        let said = obey(&mut town, command, words).ok_or_else(|| format!("`{line}` is not understood"))?;
        for said in said.lines() {
            let _ = writeln!(out, "| {said}");
        }
    }
    Ok(out)
}

fn obey(town: &mut Town, command: &str, words: &[&str]) -> Option<String> {
    match command {
        "policy" => words.iter().try_for_each(|word| policy(&mut town.policy, word))?,
        "scene" => scene(&mut town.inventory, words)?,
        "grid" => grid(&mut town.inventory, words)?,
        "shard" => shard(&mut town.inventory, words)?,
        "load" => load(&mut town.inventory, words)?,
        "cross" => {
            let [rate, from, to] = words else { return None };
            let row = town.inventory.shards.get_mut(&parse(from)?)?;
            row.crossings.insert(parse(to)?, parse(rate)?);
        }
        "forget" => *town = Town::empty(),
        "pass" => town.pass(seconds(words.first()?)?),
        "plan" => return Some(town.plan().to_string()),
        "do" => {
            let plan = town.plan();
            town.carry_out(&plan);
            return Some(plan.to_string());
        }
        "map" => return map(&town.inventory, words.first()?),
        "run" => {
            let noise: Share = option(words, "noise")?;
            return Some(town.run(parse(words.first()?)?, noise, option(words, "seed")?));
        }
        _ => return None,
    }
    Some(String::new())
}

fn policy(policy: &mut Policy, word: &str) -> Option<()> {
    let (name, value) = word.split_once('=')?;
    match name {
        "dead_zone" => policy.dead_zone_permille = parse(value)?,
        "floor" => policy.dead_zone_floor = parse(value)?,
        "rest" => policy.rest = seconds(value)?,
        "in_flight" => policy.moves_in_flight_max = parse(value)?,
        "per_scene" => policy.moves_per_scene_max = parse(value)?,
        "locality" => policy.locality_permille = parse(value)?,
        "split_load" => policy.split_load = parse(value)?,
        "splits" => policy.splits_per_plan_max = parse(value)?,
        "keep" => policy.shards_per_scene_min = parse(value)?,
        _ => return None,
    }
    Some(())
}

fn scene(inventory: &mut Inventory, words: &[&str]) -> Option<()> {
    let node = parse(words.first()?)?;
    if words.contains(&"gone") {
        inventory.scenes.remove(&node)?;
        for row in inventory.shards.values_mut() {
            if matches!(row.seat, Seat::Running { scene, .. } if scene == node) {
                row.seat = Seat::Vacant { avoid: None };
            }
        }
        return Some(());
    }
    let capacity = option(words, "capacity").unwrap_or(Share::WHOLE);
    inventory.scenes.insert(node, SceneRow { capacity, open: !words.contains(&"closed") });
    Some(())
}

fn grid(inventory: &mut Inventory, words: &[&str]) -> Option<()> {
    let (place, rows) = words.split_first()?;
    for (z, row) in rows.iter().take_while(|row| !row.contains('=')).enumerate() {
        for (x, scene) in row.chars().enumerate() {
            let seat = match scene.to_digit(36) {
                Some(ordinal) => Seat::Running { scene: NodeId::new(Role::Scene, ordinal as u16), moved: None },
                None => Seat::Vacant { avoid: None },
            };
            inventory.shards.insert(parse(&format!("{place}/{x},{z}"))?, row_of(seat, rows));
        }
    }
    Some(())
}

fn shard(inventory: &mut Inventory, words: &[&str]) -> Option<()> {
    let [shard, seat, ..] = words else { return None };
    let moved = words.iter().find_map(|word| word.strip_prefix("moved=")).and_then(seconds);
    let seat = match (*seat, seat.split_once('>')) {
        (_, Some((from, to))) => Seat::Moving { from: parse(from)?, to: parse(to)? },
        ("vacant", None) => Seat::Vacant { avoid: option(words, "avoid") },
        ("held", None) => Seat::Held { scene: None },
        (scene, None) => Seat::Running { scene: parse(scene)?, moved },
    };
    inventory.shards.insert(parse(shard)?, row_of(seat, words));
    Some(())
}

fn row_of(seat: Seat, words: &[&str]) -> ShardRow {
    let load = option(words, "load").unwrap_or_default();
    ShardRow { seat, load, entities: option(words, "entities").unwrap_or(0), crossings: Default::default() }
}

fn load(inventory: &mut Inventory, words: &[&str]) -> Option<()> {
    let (load, shards) = words.split_first()?;
    for shard in shards {
        inventory.shards.get_mut(&parse(shard)?)?.load = parse(load)?;
    }
    Some(())
}

/// A digit for the scene of each shard, from the west and north; `.` has none, `>` is on its way, a space is cut otherwise.
fn map(inventory: &Inventory, place: &str) -> Option<String> {
    let inside = |shard: &&ShardId| shard.to_string().starts_with(&format!("{place}/"));
    let last = inventory.shards.keys().filter(inside).map(|shard| shard.x.max(shard.z)).max()?;
    let mut drawn = String::new();
    for z in 0..=last {
        for x in 0..=last {
            let row = inventory.shards.get(&parse(&format!("{place}/{x},{z}"))?);
            drawn.push(row.map_or(' ', |row| match row.seat {
                Seat::Running { scene, .. } => char::from_digit(u32::from(scene.ordinal), 36).unwrap_or('?'),
                Seat::Moving { .. } => '>',
                Seat::Vacant { .. } | Seat::Held { .. } => '.',
            }));
        }
        drawn.push('\n');
    }
    Some(drawn)
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn seconds(text: &str) -> Option<Duration> {
    Some(Duration::from_secs(parse(text.strip_suffix('s')?)?))
}

fn option<T: FromStr>(words: &[&str], name: &str) -> Option<T> {
    words.iter().find_map(|word| parse(word.strip_prefix(name)?.strip_prefix('=')?))
}
