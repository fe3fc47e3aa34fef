//! Those who are tied together: Bert follows Anna over every border, whoever crashes, or both stay.

use pangaea_schemas::EntityId;

use super::cluster::{Cluster, Follow, go, scene_id, shard};
use super::{ANNA, BERT, STORM, settle, with_anna};

/// Anna, and Bert who is tied to her.
fn with_both(seed: u64) -> Cluster {
    let mut cluster = with_anna(seed);
    cluster.gate.join(BERT);
    cluster.steps(200);
    cluster.gate.input(BERT, Follow { whom: ANNA });
    cluster.steps(300);
    cluster
}

/// Lets time pass, and checks at every step that the journals have both in one place: live in one shard, or in one hand-over.
fn steps_together(cluster: &mut Cluster, count: u64) {
    for _ in 0..count {
        cluster.steps(1);
        let (anna, bert) = (cluster.journals.places(ANNA), cluster.journals.places(BERT));
        assert!(!anna.is_empty(), "Anna is lost");
        assert_eq!(anna, bert, "one of the two went alone");
        assert!(cluster.homes(BERT).len() <= 1 && cluster.homes(ANNA).len() <= 1, "live twice");
    }
}

fn anna_goes_west(cluster: &mut Cluster, metres: u32) {
    for _ in 0..metres {
        cluster.gate.input(ANNA, go(-1.0, 0.0));
    }
}

#[test]
fn who_is_tied_crosses_with_its_leader_and_back_through_storms() {
    for seed in 0..6 {
        let mut cluster = with_both(seed);
        cluster.weather = STORM;
        anna_goes_west(&mut cluster, 20);
        steps_together(&mut cluster, 1_000);
        settle(&mut cluster);
        assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))], "seed {seed}");
        assert_eq!(cluster.homes(BERT), cluster.homes(ANNA), "seed {seed}");
        assert_eq!(cluster.epoch_of(BERT), cluster.epoch_of(ANNA), "one epoch for all of a group");
        cluster.gate.input(BERT, go(0.0, 0.5));
        cluster.steps(300);
        assert!(cluster.gate.players[&BERT].unacked.is_empty(), "his inputs follow him: seed {seed}");
    }
}

#[test]
fn whoever_dies_at_whatever_step_all_of_a_group_or_none_have_crossed() {
    let mut crossed = 0;
    for ordinal in [1, 2] {
        for after in (0..120).step_by(8) {
            let mut cluster = with_both(after);
            anna_goes_west(&mut cluster, 10);
            steps_together(&mut cluster, after);
            cluster.start_scene(ordinal);
            for z in [0, 1] {
                cluster.assign(ordinal, shard(if ordinal == 1 { 0 } else { 1 }, z));
            }
            cluster.steps(2_500);
            let homes = cluster.homes(ANNA);
            assert_eq!(homes.len(), 1, "scene {ordinal} died after {after} steps");
            assert_eq!(cluster.homes(BERT), homes, "scene {ordinal} died after {after} steps");
            crossed += u32::from(homes[0].1 == shard(0, 1));
        }
    }
    assert!(crossed > 10, "they crossed {crossed} times only");
}

#[test]
fn a_refusal_gives_all_of_a_group_back() {
    let mut cluster = with_both(3);
    cluster.refuses = true;
    anna_goes_west(&mut cluster, 20);
    steps_together(&mut cluster, 300);
    cluster.refuses = false;
    let refused = cluster.refused;
    while cluster.homes(ANNA).is_empty() {
        steps_together(&mut cluster, 1);
    }
    assert_eq!(cluster.homes(BERT), cluster.homes(ANNA));
    assert!(cluster.epoch_of(BERT) > Some(refused) && cluster.epoch_of(ANNA) > Some(refused));
    settle(&mut cluster);
    assert_eq!(cluster.homes(BERT), [(scene_id(1), shard(0, 1))]);
}

#[test]
fn a_member_with_an_unanswered_change_of_value_holds_its_group_back() {
    let mut cluster = with_anna(4);
    cluster.steps(300);
    cluster.ledger_is_away = true;
    cluster.gate.join(BERT);
    cluster.steps(300);
    cluster.gate.input(BERT, Follow { whom: ANNA });
    cluster.steps(100);
    anna_goes_west(&mut cluster, 20);
    steps_together(&mut cluster, 600);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))], "Bert's look at the ledger has no answer yet");
    cluster.ledger_is_away = false;
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
    assert_eq!(cluster.homes(BERT), cluster.homes(ANNA));
}

#[test]
fn who_is_free_again_stays() {
    let mut cluster = with_both(5);
    cluster.gate.input(BERT, Follow { whom: EntityId::NONE });
    cluster.steps(50);
    anna_goes_west(&mut cluster, 20);
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
    assert_eq!(cluster.homes(BERT), [(scene_id(2), shard(1, 1))]);
}
