//! The balancer's moves, and scenes that are drained.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{NodeId, ShardEpoch};
use pangaea_world::Order;
use pangaea_world::balance::Share;
use pangaea_world::status::{Happening, NodeState};

use crate::stage::{Stage, scene};

/// Two scenes with eight shards each; a crowd is at the first one.
fn crowded() -> Stage {
    let mut stage = Stage::running();
    stage.loads = stage.shards_of(scene(1)).into_iter().map(|shard| (shard, 40)).collect();
    stage
}

fn state(stage: &mut Stage, id: NodeId) -> NodeState {
    stage.status().nodes.iter().find(|node| node.id == id).map(|node| node.state).expect("registered")
}

#[test]
fn while_off_the_plan_is_shown_and_nothing_moves() {
    let mut stage = crowded();
    stage.pass(30_000);
    let balance = stage.status().balance;
    assert!(!balance.on);
    assert!(!balance.plan.moves.is_empty() && balance.plan.moves.iter().all(|shift| shift.to == scene(2)), "{}", balance.plan);
    let [crowded, other] = [0, 1].map(|n| stage.status().nodes[n].has);
    assert_eq!([crowded, other].map(|has| (has.shards, has.expected, has.entities)), [(8, 0, 80); 2]);
    assert_eq!(other.load, Share::percent(8));
    let crowded = crowded.load;
    assert!(crowded.apart(Share::percent(32)) < Share::percent(1), "smoothed: {crowded}");
    assert_eq!(stage.migrations, []);
}

#[test]
fn while_on_the_scenes_become_level_and_stay_where_they_are() {
    let mut stage = crowded();
    stage.world.switch_balance(true);
    stage.pass(60_000);
    let balance = stage.status().balance;
    let [least, most] = [balance.plan.before.min, balance.plan.before.max];
    assert!(most <= least.permille_of(1_100), "within a tenth of each other: {}", balance.plan);
    let moved = stage.migrations.len();
    assert_eq!(moved, 3, "{:?}", stage.migrations);
    stage.pass(120_000);
    assert_eq!(stage.migrations.len(), moved, "level is level");
    let events = stage.world.events_after(0);
    assert!(events.iter().any(|event| event.what == Happening::BalanceSwitched { on: true }));
    let told = events.iter().filter(|event| matches!(event.what, Happening::Moved { .. })).count();
    assert_eq!(told, moved);
}

#[test]
fn no_more_moves_are_under_way_than_the_policy_allows() {
    let mut stage = crowded();
    stage.pass(15_000);
    stage.world.switch_balance(true);
    stage.pass(1_000);
    assert!((1..=2).contains(&stage.migrations.len()), "two to and from one scene: {:?}", stage.migrations);
}

#[test]
fn a_world_that_has_just_started_listens_first() {
    let mut stage = crowded();
    stage.restart_world();
    stage.world.switch_balance(true);
    stage.pass(9_000);
    assert_eq!(stage.migrations, [], "what it has heard may be noise");
    stage.pass(5_000);
    assert!(!stage.migrations.is_empty());
}

#[test]
fn a_drained_scene_is_emptied_although_balancing_is_off_and_takes_nothing() {
    let mut stage = Stage::running();
    stage.world.order(Order::Drain(scene(1)));
    stage.pass(500);
    assert_eq!(state(&mut stage, scene(1)), NodeState::Draining);
    stage.pass(10_000);
    assert_eq!(stage.migrations.len(), 8);
    assert!(stage.migrations.iter().all(|(_, from, to)| (*from, *to) == (scene(1), scene(2))));
    assert_eq!((state(&mut stage, scene(1)), stage.running_shards()), (NodeState::Drained, 16));
    let orders = stage.orders.len();
    stage.kill(scene(2));
    stage.pass(4_000);
    assert_eq!(stage.orders[orders..], [], "a drained scene gets no vacant shards either");
}

#[test]
fn a_drained_scene_stays_drained_while_it_is_stopped_and_started() {
    let mut stage = Stage::running();
    stage.world.order(Order::Drain(scene(1)));
    stage.pass(10_000);
    stage.kill(scene(1));
    stage.pass(4_000);
    stage.start(scene(1));
    stage.pass(1_000);
    assert_eq!(state(&mut stage, scene(1)), NodeState::Drained);
    stage.world.order(Order::Undrain(scene(1)));
    stage.pass(1_000);
    assert_eq!(state(&mut stage, scene(1)), NodeState::Up);
}

#[test]
fn a_scene_that_is_undrained_while_it_is_away_comes_back_to_be_used() {
    let mut stage = Stage::running();
    stage.world.order(Order::Drain(scene(1)));
    stage.pass(10_000);
    stage.kill(scene(1));
    stage.pass(4_000);
    stage.world.order(Order::Undrain(scene(1)));
    stage.pass(1_000);
    stage.start(scene(1));
    stage.pass(1_000);
    assert_eq!(state(&mut stage, scene(1)), NodeState::Up);
}

#[test]
fn an_undrained_scene_keeps_what_is_left_and_is_used_again() {
    let mut stage = Stage::running();
    stage.world.order(Order::Drain(scene(1)));
    stage.pass(1_500);
    stage.world.order(Order::Undrain(scene(1)));
    stage.pass(1_000);
    let moved = stage.migrations.len();
    assert!((1..8).contains(&moved), "{moved} moved");
    stage.pass(20_000);
    assert_eq!((state(&mut stage, scene(1)), stage.migrations.len()), (NodeState::Up, moved));
}

#[test]
fn the_shards_of_a_lost_scene_go_where_there_is_room_for_what_they_cost() {
    let mut stage = crowded();
    stage.start(scene(3));
    stage.pass(10_000);
    stage.kill(scene(2));
    stage.pass(6_000);
    assert_eq!(stage.running_shards(), 16);
    assert_eq!(stage.shards_of(scene(3)).len(), 8, "the first scene has enough to do");
}

#[test]
fn a_shard_keeps_its_load_and_rests_when_it_was_moved_by_hand() {
    let mut stage = crowded();
    stage.pass(20_000);
    let shard: ShardId = *stage.shards_of(scene(1)).first().expect("a shard");
    stage.world.move_shard(shard, scene(2), false).expect("a move");
    stage.pass(2_000);
    assert_eq!(stage.journal[&shard].2, ShardEpoch(2));
    stage.world.switch_balance(true);
    stage.pass(20_000);
    let again = stage.migrations.iter().filter(|(moved, ..)| *moved == shard).count();
    assert_eq!(again, 1, "{:?}", stage.migrations);
}
