//! What is over is forgotten on both sides, and only then: marks per pair of shards instead of a row per agent for ever.

use pangaea_schemas::geometry::ShardId;

use super::cluster::{Cluster, scene_id, shard};
use super::{ANNA, STORM, settle, walk, with_anna};

/// Steps after which forwarders may go: ten seconds and a little.
const FORWARD_STEPS: u64 = 2_500;

/// Answers and forwarders that a shard's journal still holds.
fn kept(cluster: &Cluster, shard: ShardId) -> (usize, usize) {
    let image = cluster.journals.image(shard);
    (image.decided.len(), image.fences.iter().filter(|(_, fence)| fence.forward.is_some()).count())
}

fn there_and_back(cluster: &mut Cluster) {
    walk(cluster, -1.0, 30);
    settle(cluster);
    walk(cluster, 1.0, 40);
    settle(cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))]);
}

#[test]
fn answers_and_forwarders_go_when_both_sides_are_done_with_them() {
    let mut cluster = with_anna(1);
    walk(&mut cluster, -1.0, 20);
    cluster.steps(300);
    assert_eq!(kept(&cluster, shard(1, 1)), (0, 1));
    assert_eq!(kept(&cluster, shard(0, 1)), (1, 0));
    cluster.steps(FORWARD_STEPS);
    assert_eq!(kept(&cluster, shard(1, 1)), (0, 0));
    assert_eq!(kept(&cluster, shard(0, 1)), (0, 0));
    let born = cluster.journals.image(shard(1, 1)).fences;
    assert!(born.iter().any(|(entity, fence)| *entity == ANNA && fence.born), "she can never be born again");
}

#[test]
fn storms_delay_forgetting_and_nothing_else() {
    for seed in 0..4 {
        let mut cluster = with_anna(seed);
        there_and_back(&mut cluster);
        cluster.weather = STORM;
        cluster.steps(FORWARD_STEPS);
        settle(&mut cluster);
        assert_eq!(kept(&cluster, shard(1, 1)), (0, 0), "seed {seed}");
        assert_eq!(kept(&cluster, shard(0, 1)), (0, 0), "seed {seed}");
        there_and_back(&mut cluster);
    }
}

#[test]
fn new_owners_of_both_sides_go_on_with_what_the_former_had_not_forgotten() {
    let mut cluster = with_anna(2);
    there_and_back(&mut cluster);
    assert_ne!(kept(&cluster, shard(0, 1)), (0, 0));
    for ordinal in [1, 2] {
        cluster.start_scene(ordinal);
        for z in [0, 1] {
            cluster.assign(ordinal, shard(ordinal - 1, z));
        }
    }
    cluster.steps(400);
    assert_ne!(kept(&cluster, shard(0, 1)), (0, 0), "not sooner than by the former owners");
    cluster.steps(FORWARD_STEPS);
    assert_eq!(kept(&cluster, shard(1, 1)), (0, 0));
    assert_eq!(kept(&cluster, shard(0, 1)), (0, 0));
    there_and_back(&mut cluster);
}

#[test]
fn a_target_that_is_away_keeps_its_source_from_forgetting() {
    let mut cluster = with_anna(3);
    walk(&mut cluster, -1.0, 20);
    cluster.steps(300);
    cluster.cut_off.push(scene_id(1));
    cluster.steps(FORWARD_STEPS);
    assert_eq!(kept(&cluster, shard(1, 1)), (0, 1));
    cluster.cut_off.clear();
    settle(&mut cluster);
    assert_eq!(kept(&cluster, shard(1, 1)), (0, 0));
}
