//! Changes of value: written down before they are asked, asked until answered, done once, and told to the player.

use super::cluster::{SPENT, Spend};
use super::*;

/// How often Anna was told that her gold is spent.
fn told(cluster: &Cluster) -> usize {
    cluster.gate.players[&ANNA].noted.iter().filter(|noted| **noted == SPENT).count()
}

#[test]
fn the_ledger_is_not_asked_and_the_player_not_acknowledged_before_it_is_written() {
    let mut cluster = with_anna(1);
    cluster.journals.is_away = true;
    cluster.gate.input(ANNA, Spend { gold: 1 });
    cluster.steps(200);
    assert_eq!(cluster.fences.done, []);
    assert_eq!(cluster.gate.players[&ANNA].unacked.len(), 1, "it could still be lost");
    let shown = |cluster: &Cluster| cluster.gate.players[&ANNA].shown.expect("followed");
    let (before, stood) = shown(&cluster);
    walk(&mut cluster, 1.0, 5);
    let (after, stands) = shown(&cluster);
    assert!(after > before && stands.x > stood.x, "meanwhile she sees herself walk");
    cluster.journals.is_away = false;
    settle(&mut cluster);
    assert_eq!((cluster.fences.done.len(), told(&cluster)), (1, 1));
    assert!(cluster.gate.players[&ANNA].unacked.is_empty());
}

#[test]
fn a_ledger_that_is_away_is_asked_until_it_answers_and_the_agent_stays() {
    let mut cluster = with_anna(2);
    cluster.fences.is_away = true;
    cluster.gate.input(ANNA, Spend { gold: 1 });
    walk(&mut cluster, -1.0, 20);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))], "she waits for the answer");
    cluster.fences.is_away = false;
    settle(&mut cluster);
    assert_eq!((cluster.fences.done.len(), told(&cluster)), (1, 1));
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
}

#[test]
fn whenever_its_process_dies_an_operation_is_done_once_and_its_player_hears_of_it() {
    for after in 0..40 {
        let mut cluster = with_anna(after);
        cluster.gate.input(ANNA, Spend { gold: 1 });
        cluster.steps(after);
        cluster.start_scene(2);
        for z in [0, 1] {
            cluster.assign(2, shard(1, z));
        }
        cluster.steps(1_500);
        assert_eq!(cluster.fences.done.len(), 1, "died after {after} steps");
        assert!(told(&cluster) >= 1, "died after {after} steps");
        assert!(cluster.gate.players[&ANNA].unacked.is_empty(), "died after {after} steps");
    }
}

#[test]
fn value_is_spent_once_through_storms_and_borders() {
    for seed in 0..6 {
        let mut cluster = with_anna(seed);
        cluster.weather = STORM;
        for x in [-1.0, 1.0, -1.0, 1.0] {
            for _ in 0..10 {
                cluster.gate.input(ANNA, Spend { gold: 1 });
                walk(&mut cluster, x, 4);
            }
        }
        settle(&mut cluster);
        assert_eq!(cluster.fences.done.len(), 40, "seed {seed}");
        assert_eq!(told(&cluster), 40, "seed {seed}");
    }
}
