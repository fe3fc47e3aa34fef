//! The planner on a cluster that nobody here has: 1,000 scenes, 100,000 shards, 10 million agents.
//!
//! ```text
//! cargo run --release -p pangaea-world --example paper_scale [-- SEED]
//! ```
//!
//! Prints how long plans take and how good they are: after most of the agents went to a few hundred cities, after one percent of
//! them met in one place, after a scene was lost and after ten were drained. Moves are carried out at once, one round a second.

#[path = "../tests/plans/crowds.rs"]
#[expect(dead_code, reason = "the scripts use the rest")]
mod crowds;

use std::time::Duration;

use crowds::{Size, Town};
use pangaea_schemas::{NodeId, Role};
use pangaea_world::balance::{Outlook, Seat, Share};

const SIZE: Size = Size { scenes: 1_000, shards: 100_000, agents: 10_000_000 };
/// Rounds after which a cluster that is not level will not be.
const ROUNDS_MAX: u32 = 1_000;

#[expect(clippy::print_stdout, reason = "it is what it is for")]
fn main() {
    let seed = std::env::args().nth(1).and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut town = Town::new(SIZE, seed);
    town.policy.moves_in_flight_max = 512;
    println!("{} scenes, {} shards, {} agents, seed {seed}", SIZE.scenes, SIZE.shards, SIZE.agents);
    println!("what happened     before: min mean max    after: min mean max     rounds  moves splits merges  plan ms: mean  max");
    let story = |what: &str, town: &mut Town| println!("{what:<18}{}", settled(town));
    story("crowds came", &mut town);
    rush(&mut town);
    story("one percent meet", &mut town);
    let lost = NodeId::new(Role::Scene, 500);
    town.inventory.scenes.remove(&lost);
    for row in town.inventory.shards.values_mut() {
        if matches!(row.seat, Seat::Running { scene, .. } if scene == lost) {
            row.seat = Seat::Vacant { avoid: None };
        }
    }
    story("a scene was lost", &mut town);
    for row in town.inventory.scenes.values_mut().take(10) {
        row.open = false;
    }
    story("ten are drained", &mut town);
}

/// One percent of all agents and of all load go to one shard.
fn rush(town: &mut Town) {
    let mut gone = (Share::ZERO, 0);
    for row in town.inventory.shards.values_mut() {
        let leaving = (row.load.permille_of(10), row.entities / 100);
        row.load -= leaving.0;
        row.entities -= leaving.1;
        gone = (gone.0 + leaving.0, gone.1 + leaving.1);
    }
    let shard = town.inventory.shards.len() / 2;
    if let Some(row) = town.inventory.shards.values_mut().nth(shard) {
        row.load += gone.0;
        row.entities += gone.1;
    }
}

/// Rounds until there is nothing to do any more, as a line of the table.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "this measures; the planner reads no clock")]
fn settled(town: &mut Town) -> String {
    let before = town.outlook();
    let (mut times, mut moves, mut splits, mut merges, mut idle) = (Vec::new(), 0, 0, 0, 0);
    while times.len() < ROUNDS_MAX as usize && idle < 3 {
        let began = std::time::Instant::now();
        let plan = town.plan();
        times.push(began.elapsed());
        moves += plan.moves.len() + plan.placements.len();
        splits += plan.splits.len();
        merges += plan.merges.len();
        idle = if plan.is_empty() { idle + 1 } else { 0 };
        town.carry_out(&plan);
        town.pass(Duration::from_secs(1));
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    let longest = times.iter().copied().max().map_or(0.0, milliseconds);
    let mean = times.iter().copied().map(milliseconds).sum::<f64>() / times.len() as f64;
    let levels = |outlook: Outlook| {
        format!("{:>6} {:>6} {:>8}", outlook.min.to_string(), outlook.mean.to_string(), outlook.max.to_string())
    };
    let (before, after, rounds) = (levels(before), levels(town.outlook()), times.len());
    format!("{before}  {after}  {rounds:>6} {moves:>6} {splits:>6} {merges:>6}  {mean:>13.0} {longest:>4.0}")
}
