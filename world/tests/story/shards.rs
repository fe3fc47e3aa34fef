//! Who runs what: the first spread, lost scenes, restarts of scenes and of the world itself.

use std::collections::BTreeSet;

use pangaea_schemas::ShardEpoch;
use pangaea_schemas::message::{Control, Message};

use pangaea_world::status::Happening;

use crate::stage::{Stage, WORLD, scene};

#[test]
fn a_fresh_map_is_spread_evenly_over_the_expected_scenes() {
    let mut stage = Stage::new();
    stage.start(scene(1));
    stage.pass(1_000);
    assert_eq!(stage.orders, [], "the second scene is waited for");
    stage.start(scene(2));
    stage.pass(1_500);
    assert_eq!((stage.shards_of(scene(1)).len(), stage.shards_of(scene(2)).len()), (8, 8));
    assert_eq!(stage.running_shards(), 16);
    assert_eq!(stage.orders.len(), 16, "one order per shard");
}

#[test]
fn a_scene_that_never_comes_is_not_waited_for_for_ever() {
    let mut stage = Stage::new();
    stage.start(scene(1));
    stage.pass(5_000);
    assert_eq!(stage.shards_of(scene(1)).len(), 16);
}

#[test]
fn a_silent_scene_keeps_its_shards_until_its_lease_is_over_and_then_each_goes_once() {
    let mut stage = Stage::running();
    let lost = stage.shards_of(scene(1));
    stage.orders.clear();
    stage.kill(scene(1));
    stage.pass(1_900);
    assert_eq!(stage.orders, [], "it may be alive");
    stage.pass(1_500);
    let reassigned: BTreeSet<_> = stage.orders.iter().map(|(_, shard)| *shard).collect();
    assert_eq!(reassigned, lost);
    assert_eq!(stage.orders.len(), lost.len(), "exactly once");
    assert!(stage.orders.iter().all(|(to, _)| *to == scene(2)));
    assert_eq!(stage.running_shards(), 16);
    assert!(lost.iter().all(|shard| stage.journal[shard].2 == ShardEpoch(2)));
}

#[test]
fn a_reaped_scene_is_replaced_at_once_and_everybody_is_told() {
    let mut stage = Stage::running();
    stage.orders.clear();
    stage.reap(scene(1));
    stage.pass(100);
    assert_eq!(stage.orders.len(), 8);
    let told = |message: &Message| matches!(message, Message::Control(Control::Reaped { node, .. }) if *node == scene(1));
    assert_eq!(stage.player(scene(2)).inbox.iter().filter(|m| told(m)).count(), 1);
}

#[test]
fn a_late_reaping_of_an_old_incarnation_harms_nobody() {
    let mut stage = Stage::running();
    let old = stage.player(scene(1)).nonce;
    stage.reap(scene(1));
    stage.start(scene(1));
    stage.pass(3_000);
    stage.orders.clear();
    stage.send(WORLD, Message::Control(Control::Reaped { node: scene(1), nonce: old }));
    stage.pass(3_000);
    assert_eq!(stage.orders, []);
    assert_eq!(stage.status().nodes.len(), 2);
}

#[test]
fn a_scene_that_wakes_up_late_changes_nothing() {
    let mut stage = Stage::running();
    stage.kill(scene(1));
    stage.pass(5_000);
    assert_eq!(stage.shards_of(scene(2)).len(), 16);
    stage.orders.clear();
    let before = stage.status().last_event;
    stage.player(scene(1)).alive = true;
    stage.pass(5_000);
    let news: Vec<_> = stage.world.events_after(before).into_iter().map(|event| event.what).collect();
    assert_eq!(news, [Happening::NodeJoined { node: scene(1) }]);
    assert_eq!(stage.shards_of(scene(2)).len(), 16, "its epochs are of the past");
    assert_eq!(stage.orders, []);
    assert_eq!(stage.status().nodes.len(), 2, "but it is here again");
}

#[test]
fn an_order_is_repeated_until_it_is_reported() {
    let mut stage = Stage::new();
    stage.start(scene(1));
    stage.start(scene(2));
    stage.player(scene(1)).deaf = true;
    stage.pass(1_000);
    let repeated = stage.orders.iter().filter(|(to, _)| *to == scene(1)).count();
    assert!(repeated > 8, "orders are repeated: {repeated}");
    assert!(repeated <= 8 * 4, "and not at every tick: {repeated}");
    stage.player(scene(1)).deaf = false;
    stage.pass(2_000);
    assert_eq!(stage.running_shards(), 16);
    stage.orders.clear();
    stage.pass(5_000);
    assert_eq!(stage.orders, [], "what is reported is not ordered again");
}

#[test]
fn orders_that_nobody_follows_are_given_to_others() {
    let mut stage = Stage::new();
    stage.start(scene(1));
    stage.start(scene(2));
    stage.player(scene(1)).deaf = true;
    stage.pass(60_000);
    assert_eq!(stage.running_shards(), 16, "{:?}", stage.status().shards);
    assert_eq!(stage.shards_of(scene(2)).len(), 16);
}

#[test]
fn a_restarted_world_leaves_running_shards_where_they_are() {
    let mut stage = Stage::running();
    let before = (stage.shards_of(scene(1)), stage.shards_of(scene(2)));
    stage.orders.clear();
    stage.restart_world();
    stage.pass(10_000);
    assert_eq!(stage.orders, []);
    assert_eq!((stage.shards_of(scene(1)), stage.shards_of(scene(2))), before);
    assert_eq!(stage.running_shards(), 16);
}

#[test]
fn a_restarted_world_waits_for_the_journals_and_for_the_leases_it_did_not_see() {
    let mut stage = Stage::running();
    let lost = stage.shards_of(scene(1));
    stage.orders.clear();
    stage.kill(scene(1));
    stage.restart_world();
    stage.data_away = true;
    stage.pass(10_000);
    assert_eq!(stage.orders, [], "without the journals nothing is given away");
    stage.restart_world();
    stage.data_away = false;
    stage.pass(2_000);
    assert_eq!(stage.orders, [], "the lost scene may have renewed its lease just before");
    stage.pass(2_000);
    assert_eq!(stage.orders.iter().map(|(_, shard)| *shard).collect::<BTreeSet<_>>(), lost);
    assert_eq!(stage.running_shards(), 16);
}

#[test]
fn a_restarted_cluster_runs_its_shards_under_higher_epochs() {
    let mut stage = Stage::running();
    stage.kill(scene(1));
    stage.kill(scene(2));
    stage.restart_world();
    stage.start(scene(1));
    stage.start(scene(2));
    stage.pass(1_500);
    assert_eq!(stage.running_shards(), 16, "new incarnations prove the old ones gone: no lease is waited for");
    assert!(stage.status().shards.iter().all(|shard| shard.epoch == ShardEpoch(2)));
}

#[test]
fn a_claim_that_nobody_saw_succeed_is_found_in_the_journal() {
    let mut stage = Stage::running();
    let shard = *stage.shards_of(scene(1)).first().expect("a shard");
    // Someone claimed the shard under epoch 2 and died before any report.
    let (node, nonce, _) = stage.journal[&shard];
    stage.journal.insert(shard, (node, nonce, ShardEpoch(2)));
    stage.kill(scene(1));
    stage.pass(20_000);
    assert_eq!(stage.running_shards(), 16);
    assert_eq!(stage.journal[&shard].2, ShardEpoch(3));
}

#[test]
fn a_scene_that_dies_between_claim_and_report_costs_one_more_order_per_shard() {
    let mut stage = Stage::new();
    stage.start(scene(1));
    stage.start(scene(2));
    while stage.orders.is_empty() {
        stage.pass(50);
    }
    stage.kill(scene(1));
    let claimed = stage.player(scene(1)).runs.clone();
    assert_eq!(claimed.len(), 8);
    stage.pass(500);
    stage.orders.clear();
    stage.pass(5_000);
    let again: Vec<_> = stage.orders.iter().filter(|(to, _)| *to == scene(2)).collect();
    assert_eq!(again.len(), 8, "the journals are read before the shards are given away");
    assert!(claimed.keys().all(|shard| stage.journal[shard].2 == ShardEpoch(2)));
    assert_eq!(stage.running_shards(), 16);
}

#[test]
fn a_shard_that_its_scene_no_longer_lists_is_given_away() {
    let mut stage = Stage::running();
    let shard = *stage.shards_of(scene(1)).first().expect("a shard");
    stage.orders.clear();
    stage.player(scene(1)).runs.remove(&shard);
    stage.pass(3_000);
    assert_eq!(stage.orders.iter().filter(|(_, ordered)| *ordered == shard).count(), stage.orders.len());
    assert_eq!(stage.running_shards(), 16);
}

#[test]
fn the_story_is_the_same_twice() {
    let told = || {
        let mut stage = Stage::running();
        stage.kill(scene(2));
        stage.pass(4_000);
        stage.start(scene(2));
        stage.pass(2_000);
        (stage.orders.clone(), stage.world.events_after(0))
    };
    assert_eq!(told(), told());
}

#[test]
fn a_shard_that_loses_five_owners_in_ten_seconds_is_given_to_nobody_for_a_while() {
    let mut stage = Stage::running();
    for _ in 0..5 {
        assert_eq!(stage.running_shards(), 16);
        for ordinal in [1, 2] {
            stage.reap(scene(ordinal));
            stage.start(scene(ordinal));
        }
        stage.pass(1_500);
    }
    assert_eq!(stage.running_shards(), 0, "quarantine");
    stage.pass(27_000);
    assert_eq!(stage.running_shards(), 0);
    stage.pass(5_000);
    assert_eq!(stage.running_shards(), 16, "it is tried again");
}
