//! The map is cut anew, by order or by the balancer, and the world knows which shards there are: also its successor.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Control, Message};
use pangaea_world::moves::{MoveError, MoveKind};
use pangaea_world::status::Happening;

use crate::stage::{Stage, scene};

/// A shard of the first scene, and its children.
fn home(stage: &mut Stage) -> (ShardId, [ShardId; 4]) {
    let shard = *stage.shards_of(scene(1)).first().expect("it has some");
    (shard, shard.children().expect("it has some"))
}

fn on_the_map(stage: &mut Stage) -> Vec<ShardId> {
    stage.status().shards.iter().map(|shard| shard.id).collect()
}

#[test]
fn a_split_shard_gives_its_place_on_the_map_to_its_children_and_a_merge_takes_it_back() {
    let mut stage = Stage::running();
    let (shard, children) = home(&mut stage);
    let before = on_the_map(&mut stage);
    stage.world.recut(shard, false, true).expect("possible");
    stage.pass(1_000);
    assert_eq!(on_the_map(&mut stage), before, "a trial orders nothing");
    stage.world.recut(shard, false, false).expect("possible");
    stage.pass(100);
    let cut = on_the_map(&mut stage);
    assert_eq!(cut.len(), before.len() + 3);
    assert!(children.iter().all(|child| cut.contains(child)) && !cut.contains(&shard));
    assert!(stage.status().shards.iter().all(|shard| shard.state == "running"), "nobody had to claim anything");
    stage.pass(20_000);
    assert!(stage.orders.iter().all(|(_, ordered)| !children.contains(ordered)), "a running shard is given to nobody");
    let assigned = stage.orders.iter().filter(|(_, ordered)| *ordered == shard).count();
    assert_eq!(assigned, 1, "nor a closed one, but for its first owner");
    stage.world.recut(shard, true, false).expect("possible");
    stage.pass(100);
    assert_eq!(on_the_map(&mut stage), before);
    let told: Vec<_> = stage.world.events_after(0).into_iter().map(|event| event.what).collect();
    let recut = |merged| Happening::Recut { shard, merged, at: scene(1), blackout_us: 0 };
    assert!(told.contains(&recut(false)) && told.contains(&recut(true)));
}

#[test]
fn a_report_from_before_a_cut_takes_no_opened_shard_from_its_owner() {
    let mut stage = Stage::running();
    let (shard, _) = home(&mut stage);
    for merge in [false, true] {
        let before = stage.report_of(scene(1));
        stage.orders.clear();
        stage.world.recut(shard, merge, false).expect("possible");
        stage.pass(100);
        stage.send(scene(1), Message::Control(Control::Scene(before)));
        // Shorter than until the next report, longer than a failed claim's pause.
        stage.pass(350);
        assert!(stage.orders.is_empty(), "its owner runs it: {:?}", stage.orders);
        assert!(stage.status().shards.iter().all(|shard| shard.state == "running"));
    }
}

#[test]
fn what_the_world_is_not_told_it_reads_from_the_journals() {
    for restarts in [false, true] {
        let mut stage = Stage::running();
        let (shard, children) = home(&mut stage);
        stage.silent = true;
        stage.world.recut(shard, false, false).expect("possible");
        stage.pass(50);
        assert!(on_the_map(&mut stage).contains(&shard), "nobody has said anything yet");
        if restarts {
            stage.restart_world();
        }
        stage.pass(10_000);
        let cut = on_the_map(&mut stage);
        assert!(children.iter().all(|child| cut.contains(child)) && !cut.contains(&shard), "{cut:?}");
        assert!(stage.status().shards.iter().all(|shard| shard.state == "running"));
    }
}

#[test]
fn the_children_of_a_lost_scene_are_given_to_others_and_their_parent_to_nobody() {
    let mut stage = Stage::running();
    let (shard, children) = home(&mut stage);
    stage.world.recut(shard, false, false).expect("possible");
    stage.pass(1_000);
    stage.orders.clear();
    stage.kill(scene(1));
    stage.reap(scene(1));
    stage.pass(10_000);
    let at_two = stage.shards_of(scene(2));
    assert!(children.iter().all(|child| at_two.contains(child)));
    assert!(stage.orders.iter().all(|(_, ordered)| *ordered != shard));
}

#[test]
fn orders_that_make_no_sense_are_refused_in_words() {
    let mut stage = Stage::running();
    let (shard, children) = home(&mut stage);
    assert_eq!(stage.world.recut(shard, true, true), Err(MoveError::InOnePiece(shard)));
    assert_eq!(stage.world.recut(children[0], false, true), Err(MoveError::NoShard(children[0])));
    assert!(matches!(stage.world.recut(children[0], true, true), Err(MoveError::NoPart(..))));
    stage.silent = true;
    stage.world.recut(shard, false, false).expect("possible");
    assert_eq!(stage.world.recut(shard, false, true), Err(MoveError::BeingCut(shard)));
    assert_eq!(stage.world.move_shard(shard, scene(2), true), Err(MoveError::BeingCut(shard)));
}

/// The children of a shard, two of them moved to the second scene.
fn apart(stage: &mut Stage) -> (ShardId, [ShardId; 4]) {
    let (shard, children) = home(stage);
    stage.world.recut(shard, false, false).expect("possible");
    stage.pass(1_000);
    for child in &children[1..3] {
        stage.world.move_shard(*child, scene(2), false).expect("possible");
    }
    stage.pass(1_000);
    stage.migrations.clear();
    stage.recuts.clear();
    (shard, children)
}

#[test]
fn a_merge_brings_its_parts_to_one_scene_first() {
    let mut stage = Stage::running();
    let (shard, children) = apart(&mut stage);
    stage.world.recut(shard, true, true).expect("possible");
    stage.pass(1_000);
    assert_eq!(stage.migrations, [], "a trial moves nothing");
    stage.hold_moves = true;
    let id = stage.world.recut(shard, true, false).expect("possible");
    stage.pass(5_000);
    assert!(stage.migrations.iter().all(|order| *order == (children[1], scene(2), scene(1))), "one after the other");
    assert_eq!(stage.world.recut(shard, true, false), Err(MoveError::BeingCut(children[0])));
    assert_eq!(stage.world.move_shard(children[0], scene(2), true), Err(MoveError::BeingCut(children[0])));
    assert!(stage.status().moves.iter().any(|shift| shift.news.id == id && shift.gathering.is_some()));
    stage.hold_moves = false;
    stage.pass(2_000);
    assert_eq!(stage.migrations.last(), Some(&(children[2], scene(2), scene(1))));
    assert_eq!(stage.recuts, [(shard, true)]);
    assert!(stage.shards_of(scene(1)).contains(&shard) && on_the_map(&mut stage).len() == 16);
}

#[test]
fn a_merge_is_ended_while_its_parts_are_brought_and_they_run_where_they_are() {
    let mut stage = Stage::running();
    let (shard, children) = apart(&mut stage);
    stage.hold_moves = true;
    let id = stage.world.recut(shard, true, false).expect("possible");
    stage.pass(1_000);
    assert!(stage.world.cancel_move(id));
    stage.hold_moves = false;
    stage.pass(5_000);
    assert_eq!(stage.recuts, []);
    let at_two = stage.shards_of(scene(2));
    assert!(at_two.contains(&children[2]), "it was not even asked for");
    let told: Vec<_> = stage.world.events_after(0).into_iter().map(|event| event.what).collect();
    assert!(told.contains(&Happening::RecutFailed { shard, reason: "it was cancelled".to_owned() }), "{told:?}");
    assert!(!stage.world.cancel_move(id), "it is over");
    stage.world.recut(shard, true, false).expect("another try");
    stage.pass(2_000);
    assert_eq!(stage.recuts, [(shard, true)]);
}

#[test]
fn a_part_that_cannot_be_brought_ends_the_merge() {
    let mut stage = Stage::running();
    let (shard, children) = apart(&mut stage);
    stage.hold_moves = true;
    stage.world.recut(shard, true, false).expect("possible");
    stage.pass(1_000);
    stage.keep(children[1], "it is too hot");
    stage.pass(1_000);
    let told: Vec<_> = stage.world.events_after(0).into_iter().map(|event| event.what).collect();
    let reason = format!("its part {} stays at scene-2: it is too hot", children[1]);
    assert!(told.contains(&Happening::RecutFailed { shard, reason }), "{told:?}");
    stage.world.recut(shard, true, false).expect("another try");
    stage.pass(1_000);
    stage.reap(scene(1));
    stage.pass(5_000);
    let merges: Vec<_> = stage.status().moves.into_iter().filter(|shift| shift.kind == MoveKind::Merge).collect();
    assert!(merges.iter().all(|merge| merge.is_over() && merge.gathering.is_none()), "their place is gone: {merges:?}");
}

#[test]
fn the_balancer_cuts_what_is_hot_and_puts_together_what_has_grown_cold_again() {
    let mut stage = Stage::running();
    let (shard, children) = home(&mut stage);
    stage.loads.insert(shard, 600);
    stage.loads.extend(children.map(|child| (child, 150)));
    stage.pass(20_000);
    assert_eq!(stage.recuts, [], "it is off");
    stage.world.switch_balance(true);
    stage.pass(5_000);
    assert_eq!(stage.recuts, [(shard, false)]);
    stage.loads = stage.loads.keys().map(|shard| (*shard, 1)).collect();
    stage.pass(240_000);
    let merged: Vec<_> = stage.recuts.iter().filter(|(parent, merges)| *parent == shard && *merges).collect();
    assert!(merged.len() <= 1, "once: {:?}", stage.recuts);
    let count = stage.recuts.len();
    stage.pass(120_000);
    assert_eq!(stage.recuts.len(), count, "what is done is done");
}
