//! Scenes of two builds in one cluster, as while a build is deployed or taken back: what only one of them knows is not lost at
//! the other, through storms, borders, migrations and deaths.

use pangaea_schemas::geometry::ShardId;

use super::cluster::{Cluster, Go, scene_id, shard, walking};
use super::{ANNA, BERT, STORM, Weather, anna_did, settle, walk, with_anna};
use crate::prelude::*;

/// How often somebody went in shards of the new build.
#[component]
struct Trail {
    goes: u64,
}

/// What only the new build says.
#[effect]
struct Cheer {
    volume: u32,
}

fn trailing(game: &mut Game) {
    game.plugin(walking).component::<Trail>().replicated().persistent().ghosted();
    game.effect::<Cheer>();
    game.system(Phase::React, (leave_trail, hear).chain());
}

fn leave_trail(goes: Inputs<Go>, mut trails: Query<&mut Trail>, mut commands: Commands, mut effects: Effects) {
    for go in goes.iter() {
        match trails.get_mut(go.entity) {
            Ok(mut trail) => trail.goes += 1,
            Err(_) => _ = commands.entity(go.entity).insert(Trail { goes: 1 }),
        }
        effects.send(go.to, BERT, &Cheer { volume: 1 });
    }
}

fn hear(cheers: Received<Cheer>, mut trails: Query<&mut Trail>) {
    for cheer in cheers.iter() {
        if let Ok(mut trail) = trails.get_mut(cheer.entity) {
            trail.goes += u64::from(cheer.value.volume);
        }
    }
}

/// Scene 1 has the new build, scene 2 the old one.
fn mixed(seed: u64) -> Cluster {
    let mut cluster = with_anna(seed);
    cluster.builds.insert(scene_id(1), trailing);
    cluster.start_scene(1);
    for z in [0, 1] {
        cluster.assign(1, shard(0, z));
    }
    cluster.steps(300);
    cluster
}

/// Anna's trail, if a scene of the new build runs her.
fn trail(cluster: &Cluster) -> Option<u64> {
    let at = |shard: ShardId| cluster.scenes[&scene_id(1)].shard(shard)?.world().read::<Trail>(ANNA);
    [shard(0, 0), shard(0, 1), shard(1, 0), shard(1, 1)].into_iter().find_map(at).map(|trail| trail.goes)
}

/// Walks on, and sees the trail grow whenever it is seen.
fn walk_on(cluster: &mut Cluster, x: f32, ticks: u32, seen: &mut u64) {
    for _ in 0..ticks {
        walk(cluster, x, 1);
        if let Some(goes) = trail(cluster) {
            assert!(goes >= *seen, "{goes} after {seen}: it began anew");
            *seen = goes;
        }
    }
}

#[test]
fn what_only_the_new_build_knows_survives_every_crossing() {
    for seed in 0..6 {
        let mut cluster = mixed(seed);
        cluster.weather = STORM;
        let mut seen = 0;
        for x in [-1.0, 1.0, -1.0, 1.0, -1.0] {
            walk_on(&mut cluster, x, 40, &mut seen);
        }
        settle(&mut cluster);
        walk_on(&mut cluster, -1.0, 20, &mut seen);
        settle(&mut cluster);
        assert_eq!(anna_did(&cluster), 220, "seed {seed}");
        assert!(trail(&cluster) > Some(60), "seed {seed}: {:?}", trail(&cluster));
    }
}

#[test]
fn the_old_builds_journal_keeps_it_through_its_death() {
    let mut cluster = mixed(3);
    let mut seen = 0;
    walk_on(&mut cluster, -1.0, 25, &mut seen);
    settle(&mut cluster);
    let known = trail(&cluster).expect("she is in the new build");
    assert!(known > 5, "{known}");
    walk_on(&mut cluster, 1.0, 40, &mut seen);
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))]);
    cluster.start_scene(2);
    for z in [0, 1] {
        cluster.assign(2, shard(1, z));
    }
    settle(&mut cluster);
    walk_on(&mut cluster, -1.0, 40, &mut seen);
    settle(&mut cluster);
    assert!(trail(&cluster) > Some(known), "{:?} after {known}", trail(&cluster));
}

#[test]
fn a_shard_is_deployed_taken_back_and_deployed_again() {
    let home = shard(1, 1);
    let mut cluster = mixed(1);
    let mut seen = 0;
    for (id, to) in [(1, 1), (2, 2), (3, 1)] {
        cluster.migrate(id, to);
        walk_on(&mut cluster, 0.1, 30, &mut seen);
        settle(&mut cluster);
        assert_eq!(cluster.homes(ANNA), [(scene_id(to), home)], "step {id}");
    }
    assert_eq!(anna_did(&cluster), 90);
    assert!(trail(&cluster) > Some(30), "from both stays in the new build: {:?}", trail(&cluster));
}

#[test]
fn an_effect_that_the_old_build_does_not_know_blocks_nothing() {
    let mut cluster = mixed(2);
    cluster.gate.join(BERT);
    cluster.steps(100);
    assert_eq!(cluster.homes(BERT), [(scene_id(2), shard(1, 1))]);
    let mut seen = 0;
    walk_on(&mut cluster, -1.0, 40, &mut seen);
    cluster.weather = Weather::default();
    for _ in 0..10 {
        cluster.gate.input(ANNA, Go { x: 0.0, z: 0.0, poke: BERT });
        cluster.steps(10);
    }
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
    assert_eq!(cluster.steps_of(BERT).expect("live").pokes, 10, "those behind the strange ones came, each once");
}
