//! Leases that lapse, and journals that owe an answer.

use pangaea_schemas::ShardEpoch;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Control, Message};

use super::cluster::{Cluster, Spend, WORLD, scene_id, shard};
use super::{ANNA, BERT, settle, walk, with_anna};
use crate::incarnation::Incarnation;

/// A shard of scene 2 in which nothing happens that would have to be written down.
const QUIET: (u16, u16) = (1, 0);

fn quiet(cluster: &Cluster) -> Option<Incarnation> {
    let (x, z) = QUIET;
    cluster.scenes[&scene_id(2)].shard(shard(x, z)).map(|shard| shard.incarnation())
}

/// Steps after which half of a lease is over, but not the whole.
const HALF_A_LEASE: u64 = 250;

/// Scene 2 hears and says nothing for so long that its lease is over.
fn with_a_lapsed_lease(seed: u64) -> (Cluster, ShardId) {
    let mut cluster = Cluster::running(seed);
    cluster.steps(300);
    cluster.cut_off.push(scene_id(2));
    cluster.steps(800);
    assert!(quiet(&cluster).is_some_and(|owner| owner.ticks() && !owner.is_confirmed()), "{:?}", quiet(&cluster));
    (cluster, shard(QUIET.0, QUIET.1))
}

#[test]
fn a_new_lease_makes_nobody_sure_whom_the_journal_has_replaced() {
    let (mut cluster, shard) = with_a_lapsed_lease(1);
    cluster.assign(1, shard);
    cluster.steps(100);
    cluster.cut_off.clear();
    for step in 0..400 {
        cluster.steps(1);
        assert!(!quiet(&cluster).is_some_and(|owner| owner.is_confirmed()), "sure of itself {step} steps later");
    }
    assert_eq!(cluster.owners(shard), [(scene_id(1), ShardEpoch(2))]);
}

#[test]
fn a_claim_is_not_made_again_when_its_order_is_old() {
    let (mut cluster, shard) = with_a_lapsed_lease(9);
    cluster.journals.is_away = true;
    cluster.assign(1, shard);
    cluster.steps(150);
    cluster.cut_off.clear();
    cluster.journals.is_away = false;
    // The claim guesses the journal's end, and is told. Made again, it would replace an owner that is back.
    cluster.steps(200);
    assert!(quiet(&cluster).is_some_and(|owner| owner.is_confirmed()), "{:?}", quiet(&cluster));
    assert_eq!(cluster.owners(shard), [(scene_id(2), ShardEpoch(1))]);
    // The next order finds the end at once.
    cluster.assign(1, shard);
    cluster.steps(100);
    assert_eq!(cluster.owners(shard), [(scene_id(1), ShardEpoch(2))]);
}

#[test]
fn who_was_not_replaced_goes_on_once_the_journal_has_said_so() {
    let (mut cluster, shard) = with_a_lapsed_lease(2);
    cluster.cut_off.clear();
    cluster.steps(100);
    assert!(quiet(&cluster).is_some_and(|owner| owner.is_confirmed()), "{:?}", quiet(&cluster));
    assert_eq!(cluster.owners(shard), [(scene_id(2), ShardEpoch(1))]);
}

/// Cut off for so many steps, scene 2 finds an order waiting.
fn with_an_old_order(seed: u64, steps: u64) {
    let mut cluster = Cluster::running(seed);
    cluster.steps(300);
    cluster.cut_off.push(scene_id(2));
    cluster.steps(steps);
    let other = self::shard(0, 0);
    let now = cluster.now();
    let above = cluster.journals.epoch(other);
    let scene = cluster.scenes.get_mut(&scene_id(2)).expect("it runs");
    scene.handle(now, WORLD, Message::Control(Control::Assign { shard: other, above }));
    assert!(scene.shard(other).is_none(), "it is given anew if it is still to be had");
    cluster.cut_off.clear();
    cluster.steps(200);
    assert_eq!(cluster.owners(other), [(scene_id(1), ShardEpoch(1))]);
    assert_eq!(cluster.owners(shard(QUIET.0, QUIET.1)), [(scene_id(2), ShardEpoch(1))]);
}

#[test]
fn an_order_that_comes_when_the_lease_is_over_is_not_obeyed() {
    with_an_old_order(4, 800);
}

#[test]
fn an_order_that_comes_when_half_the_lease_is_over_is_not_obeyed() {
    with_an_old_order(8, HALF_A_LEASE);
}

#[test]
fn an_owner_that_hears_of_its_successors_route_stops() {
    let mut cluster = Cluster::running(5);
    cluster.steps(300);
    let shard = shard(QUIET.0, QUIET.1);
    cluster.assign(1, shard);
    let mut alone = 0;
    while !(cluster.owners(shard).len() == 1 && cluster.owners(shard)[0].0 == scene_id(1)) {
        cluster.steps(1);
        alone += 1;
        assert!(alone < 40, "the former owner goes on: {:?}", cluster.owners(shard));
    }
}

#[test]
fn nobody_is_let_go_while_the_journal_owes_an_answer() {
    let mut cluster = with_anna(3);
    cluster.gate.join(BERT);
    cluster.steps(400);
    cluster.journals.is_away = true;
    cluster.gate.input(BERT, Spend { gold: 1 });
    cluster.steps(120);
    walk(&mut cluster, -1.0, 8);
    let home = shard(1, 1);
    let owner = cluster.scenes[&scene_id(2)].shard(home).map(|shard| shard.incarnation());
    assert!(owner.is_some_and(|owner| owner.is_confirmed()), "it is not in doubt yet: {owner:?}");
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), home)], "she would be nowhere until the journal answers");
    cluster.journals.is_away = false;
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
}
