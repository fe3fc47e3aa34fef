//! An admin stops a shard: nobody moves in it and nobody is lost, single ticks run when asked for, and it goes on by itself.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Control, Desk, Message, MigrationStep, PauseOrder};
use pangaea_schemas::{MigrationId, RequestId};

use super::cluster::{Cluster, WORLD, go, scene_id, shard};
use super::{ANNA, BERT, STORM, anna_did, settle, walk, with_anna};
use crate::shard::{PAUSE_TIME_MAX, STEPS_MAX};

const REQUEST: RequestId = RequestId(78);

/// What Anna's shard answers: whether it stands, and the ticks that are still to be run; or why not.
fn order(cluster: &mut Cluster, order: PauseOrder, ticks: u32) -> Result<(bool, u32), String> {
    let question = Desk::Pause { request: REQUEST, shard: shard(1, 1), order, ticks };
    cluster.post(WORLD, scene_id(2), Message::Desk(question));
    cluster.steps(5);
    let answers = std::mem::take(&mut cluster.told);
    match answers.as_slice() {
        [Desk::Paused { left_ms, steps, refusal, .. }] if refusal.is_empty() => Ok((*left_ms > 0, *steps)),
        [Desk::Paused { refusal, .. }] => Err(refusal.clone()),
        other => panic!("one answer, not {other:?}"),
    }
}

/// Anna's inputs, without looking at anything.
fn wants(cluster: &mut Cluster, x: f32, inputs: u32) {
    for _ in 0..inputs {
        cluster.gate.input(ANNA, go(x, 0.0));
        cluster.steps(10);
    }
}

fn paused(seed: u64) -> Cluster {
    let mut cluster = with_anna(seed);
    assert_eq!(order(&mut cluster, PauseOrder::Pause, 0), Ok((true, 0)));
    cluster
}

#[test]
fn nobody_moves_in_a_paused_shard_and_what_was_wanted_meanwhile_is_done_afterwards() {
    for seed in 0..4 {
        let mut cluster = with_anna(seed);
        walk(&mut cluster, 0.5, 6);
        settle(&mut cluster);
        let before = anna_did(&cluster);
        order(&mut cluster, PauseOrder::Pause, 0).expect("it stands");
        cluster.weather = STORM;
        wants(&mut cluster, 0.5, 40);
        assert_eq!(anna_did(&cluster), before, "seed {seed}");
        assert_eq!(cluster.owners(shard(1, 1)).len(), 1, "it is owned as before");
        cluster.weather = Default::default();
        order(&mut cluster, PauseOrder::Resume, 0).expect("it goes on");
        settle(&mut cluster);
        assert_eq!(anna_did(&cluster), before + 40, "seed {seed}");
        assert!(cluster.gate.players[&ANNA].attached && cluster.gate.players[&ANNA].unacked.is_empty());
    }
}

#[test]
fn its_owner_goes_on_writing_and_answering_for_longer_than_a_lease() {
    let mut cluster = paused(2);
    wants(&mut cluster, 0.0, 5);
    // Half a minute: far longer than a lease, and than anybody waits for a silent neighbour.
    cluster.steps(6_000);
    assert_eq!(cluster.owners(shard(1, 1)), [(scene_id(2), pangaea_schemas::ShardEpoch(1))]);
    assert_eq!(cluster.journals.live(ANNA), 1);
    assert_eq!(order(&mut cluster, PauseOrder::Look, 0), Ok((true, 0)));
}

#[test]
fn single_ticks_run_when_asked_for_and_no_more() {
    let mut cluster = paused(3);
    let ticks = |cluster: &Cluster| cluster.scenes[&scene_id(2)].shard(shard(1, 1)).expect("here").world().tick();
    for (wanted, inputs) in [(1, 3), (4, 40)] {
        let before = (ticks(&cluster), anna_did(&cluster));
        wants(&mut cluster, 0.1, inputs);
        assert_eq!((ticks(&cluster), anna_did(&cluster)), before);
        order(&mut cluster, PauseOrder::Step, wanted).expect("it steps");
        cluster.steps(100);
        assert_eq!(order(&mut cluster, PauseOrder::Look, 0), Ok((true, 0)), "it stands again");
        let done = anna_did(&cluster) - before.1;
        // A tick applies eight inputs of one agent at most.
        assert!((1..=8 * wanted).contains(&done) && ticks(&cluster) > before.0, "{done} in {wanted} ticks");
    }
    order(&mut cluster, PauseOrder::Step, STEPS_MAX).expect("so many wait");
    assert!(order(&mut cluster, PauseOrder::Step, STEPS_MAX).expect_err("too many").contains("at most"));
}

#[test]
fn whoever_would_come_stays_where_it_is_until_the_shard_goes_on() {
    for seed in 0..4 {
        let mut cluster = with_anna(seed);
        walk(&mut cluster, -1.0, 20);
        settle(&mut cluster);
        assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
        order(&mut cluster, PauseOrder::Pause, 0).expect("it stands");
        cluster.weather = STORM;
        walk(&mut cluster, 1.0, 40);
        cluster.weather = Default::default();
        cluster.steps(200);
        assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))], "she plays on there");
        assert_eq!(anna_did(&cluster), 60);
        order(&mut cluster, PauseOrder::Resume, 0).expect("it goes on");
        settle(&mut cluster);
        assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))], "seed {seed}");
    }
}

#[test]
fn whoever_was_let_go_already_is_taken_and_nobody_is_lost_whenever_the_pause_comes() {
    let mut stood_there = 0;
    for after in (0..150).step_by(5) {
        let mut cluster = with_anna(after);
        walk(&mut cluster, -1.0, 20);
        settle(&mut cluster);
        for _ in 0..30 {
            cluster.gate.input(ANNA, go(1.0, 0.0));
        }
        cluster.steps(after);
        order(&mut cluster, PauseOrder::Pause, 0).expect("it stands");
        cluster.steps(600);
        let homes = cluster.homes(ANNA);
        assert!(homes.len() <= 1 && cluster.journals.live(ANNA) == 1, "after {after} steps: {homes:?}");
        stood_there += u32::from(homes == [(scene_id(2), shard(1, 1))]);
        order(&mut cluster, PauseOrder::Resume, 0).expect("it goes on");
        settle(&mut cluster);
        assert_eq!((cluster.homes(ANNA).len(), anna_did(&cluster)), (1, 50), "after {after} steps");
    }
    assert!(stood_there > 0, "she was never on her way when the pause came");
}

#[test]
fn whoever_is_not_there_yet_waits_for_the_shard_to_go_on() {
    let mut cluster = paused(1);
    cluster.gate.join(BERT);
    cluster.steps(400);
    assert!(!cluster.gate.players[&BERT].attached);
    order(&mut cluster, PauseOrder::Resume, 0).expect("it goes on");
    cluster.steps(400);
    assert!(cluster.gate.players[&BERT].attached);
}

fn kept_because(cluster: &Cluster, id: MigrationId) -> Option<String> {
    let of = cluster.news.iter().rev().find(|news| news.id == id && news.step == MigrationStep::Kept);
    of.map(|news| news.reason.clone())
}

#[test]
fn a_paused_shard_is_neither_moved_nor_cut_and_says_why() {
    let mut cluster = paused(1);
    let target: ShardId = shard(1, 1);
    let migrate = Control::Migrate { id: MigrationId(5), shard: target, to: scene_id(1) };
    let split = Control::Recut { id: MigrationId(6), shard: target, merge: false };
    for order in [migrate, split] {
        cluster.post(WORLD, scene_id(2), Message::Control(order));
    }
    cluster.steps(400);
    for id in [5, 6] {
        let reason = kept_because(&cluster, MigrationId(id)).expect("it stays");
        assert!(reason.contains("paused") && reason.contains("pangaea shard resume"), "{reason}");
    }
    assert_eq!(cluster.owners(target).len(), 1);
}

#[test]
fn a_pause_ends_by_itself_and_with_its_owner() {
    let mut cluster = paused(4);
    let half = PAUSE_TIME_MAX / 2;
    cluster.leap(half);
    assert_eq!(order(&mut cluster, PauseOrder::Pause, 0), Ok((true, 0)), "again, and it stands for longer");
    cluster.leap(half + half / 2);
    assert_eq!(order(&mut cluster, PauseOrder::Look, 0), Ok((true, 0)));
    cluster.leap(half);
    assert_eq!(order(&mut cluster, PauseOrder::Look, 0), Ok((false, 0)), "it goes on by itself");
    assert!(order(&mut cluster, PauseOrder::Resume, 0).expect_err("it goes on").contains("not paused"));

    order(&mut cluster, PauseOrder::Pause, 0).expect("it stands");
    cluster.start_scene(2);
    for z in [0, 1] {
        cluster.assign(2, shard(1, z));
    }
    cluster.steps(400);
    assert_eq!(order(&mut cluster, PauseOrder::Look, 0), Ok((false, 0)), "a new owner knows of no pause");
}

#[test]
fn a_shard_that_was_moved_before_is_paused_like_any_other() {
    let mut cluster = with_anna(6);
    for (id, to) in [(7, 1), (8, 2)] {
        let [(owner, _)] = cluster.owners(shard(1, 1))[..] else { panic!("one owner") };
        let order = Control::Migrate { id: MigrationId(id), shard: shard(1, 1), to: scene_id(to) };
        cluster.post(WORLD, owner, Message::Control(order));
        cluster.steps(200);
    }
    assert_eq!(cluster.owners(shard(1, 1)).iter().map(|(node, _)| *node).collect::<Vec<_>>(), [scene_id(2)]);
    assert_eq!(order(&mut cluster, PauseOrder::Pause, 0), Ok((true, 0)));
}
