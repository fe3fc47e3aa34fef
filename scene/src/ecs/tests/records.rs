//! Records carry an entity whole, and the same inputs give the same world.

use pangaea_schemas::geometry::{CellId, SpaceId, SpaceSpec};
use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::{Tick, TickRate};

use super::{Health, Label, Mood, Notes, health, village};
use crate::ecs::{ShardWorld, TickInput};
use crate::prelude::*;

fn filled() -> (Harness, Vec<EntityId>) {
    let mut world = Harness::new(village);
    let notes = Notes { lines: vec!["one".to_owned(), "two".to_owned()] };
    let ids = vec![
        world.spawn(Position::new(600.0, 600.0), (health(7.0), Mood { anger: 3 }, notes)),
        world.spawn(Position::new(700.5, 520.25), (Label { text: "Bert".into() }, Velocity::new(1.0, 2.0))),
        world.player("Anna"),
    ];
    world.tick();
    (world, ids)
}

#[test]
fn shards_may_be_ticked_by_any_thread() {
    fn may_move<T: Send + Sync>() {}
    may_move::<Game>();
    may_move::<ShardWorld>();
}

#[test]
fn a_handed_over_entity_arrives_whole() {
    let (mut world, ids) = filled();
    let hash = world.world.state_hash();
    let records: Vec<Record> = ids.iter().filter_map(|id| world.world.take(*id, CellId::default())).collect();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.components.is_sorted_by_key(|part| part.id)));
    assert_eq!(world.world.counts(), Default::default());
    assert_ne!(world.world.state_hash(), hash);
    // In another order: the hash does not depend on it. The walker is where it was one step before.
    let still = records.into_iter().rev().map(|mut record| {
        record.components.sort_by_key(|part| std::cmp::Reverse(part.id));
        record
    });
    world.next_input().arrivals = still.collect();
    let input = std::mem::take(world.next_input());
    world.world.ingest(input);
    assert_eq!(world.world.state_hash(), hash);
    assert_eq!(world.get::<Notes>(ids[0]).map(|notes| notes.lines.len()), Some(2));
    assert_eq!(world.get::<Mood>(ids[0]), Some(Mood { anger: 3 }));
}

#[test]
fn a_sleeper_keeps_what_is_persistent() {
    let (mut world, ids) = filled();
    let asleep = world.world.put_to_sleep(ids[0]).expect("here");
    assert_eq!(asleep.presence, Presence::Asleep);
    assert_eq!(world.world.put_to_sleep(ids[0]), None, "not twice");
    world.next_input().arrivals.push(Record { presence: Presence::Awake, ..asleep });
    world.tick();
    assert_eq!(world.get::<Health>(ids[0]), Some(health(7.0)));
    assert_eq!(world.get::<Mood>(ids[0]), None, "moods do not last");
    assert_eq!(world.get::<Position>(ids[0]), Some(Position::new(600.0, 600.0)));
}

#[test]
fn who_arrives_twice_is_here_once() {
    let (mut world, ids) = filled();
    let record = world.world.record(ids[0]).expect("here");
    world.next_input().arrivals.push(record);
    world.tick();
    assert_eq!(world.world.counts().entities, 3);
    assert_eq!(world.get::<Mood>(ids[0]), Some(Mood { anger: 3 }), "the one that was here stays");
}

#[test]
fn a_bad_component_of_a_record_does_not_lose_the_others() {
    let (mut world, ids) = filled();
    let mut record = world.world.take(ids[0], CellId::default()).expect("here");
    for part in &mut record.components {
        if part.id == pangaea_schemas::TypeId::of("Notes") || part.id == pangaea_schemas::TypeId::of("mood") {
            part.bytes = part.bytes.slice(..1);
        }
    }
    world.next_input().arrivals.push(record);
    world.tick();
    assert_eq!(world.get::<Health>(ids[0]), Some(health(7.0)));
    assert_eq!((world.get::<Mood>(ids[0]), world.get::<Notes>(ids[0])), (None, None));
}

/// Creatures that turn by chance, from spawners.
fn herd(game: &mut Game) {
    game.plugin(village);
    game.spawner(|shard| {
        for _ in 0..50 {
            let position = shard.anywhere();
            let _ = shard.at(position, health(1.0));
        }
    });
    game.system(Phase::Decide, |chance: Chance, mut herd: Query<(&Identity, &mut Velocity)>| {
        for (me, mut velocity) in &mut herd {
            let mut rng = chance.of(me.id());
            *velocity = Velocity::new(rng.f32() * 8.0 - 4.0, rng.f32() * 8.0 - 4.0);
        }
    });
    game.system(Phase::React, |mut chance: Chance, mut spawn: Spawn| {
        if chance.rng().u8(..10) == 0 {
            let _ = spawn.at(Position::new(600.0, 600.0), health(2.0));
        }
    });
}

fn run(seed: u64, ticks: u64) -> (ShardWorld, Vec<u64>) {
    let game = Game::build(herd).expect("fits");
    let space = SpaceSpec { space: SpaceId(0), name: "x".to_owned(), level: 5, shard_level: 5 };
    let mut world = ShardWorld::new(&game, space.root(), &space, TickRate::DEFAULT, seed);
    world.refill_ids(EntityId(100), 1_000);
    assert_eq!(world.populate().len(), 50);
    let hashes = (1..=ticks).map(|tick| {
        world.simulate(TickInput { tick: Tick(tick), ..TickInput::default() });
        world.publish();
        world.state_hash()
    });
    let hashes = hashes.collect();
    (world, hashes)
}

#[test]
fn the_same_seed_and_inputs_give_the_same_world() {
    assert_eq!(run(1, 100).1, run(1, 100).1);
    assert_ne!(run(1, 100).1, run(2, 100).1);
    assert!(run(1, 100).0.counts().entities > 50, "chance made some");
}

#[test]
fn a_moved_shard_goes_on_as_it_would_have() {
    let (mut source, _) = run(1, 20);
    let (_, hashes) = run(1, 60);
    let game = Game::build(herd).expect("fits");
    let space = SpaceSpec { space: SpaceId(0), name: "x".to_owned(), level: 5, shard_level: 5 };
    let mut target = ShardWorld::new(&game, space.root(), &space, TickRate::DEFAULT, 1);
    target.refill_ids(EntityId(1_100 - source.ids_left()), source.ids_left());
    let everybody = 100..1_100 - source.ids_left();
    let mut arrivals: Vec<Record> = everybody.filter_map(|id| source.take(EntityId(id), CellId::default())).collect();
    for tick in 21..=60 {
        target.simulate(TickInput { tick: Tick(tick), arrivals: std::mem::take(&mut arrivals), ..TickInput::default() });
        target.publish();
        assert_eq!(target.state_hash(), hashes[tick as usize - 1]);
    }
}

#[test]
fn what_has_nothing_that_lasts_has_no_record_at_rest() {
    let mut world = Harness::new(village);
    let view = world.spawn(Position::new(600.0, 600.0), ());
    world.tick();
    assert_eq!(world.world.record(view), None);
    assert!(world.world.take(view, CellId::default()).is_some(), "but it may be handed over");
}
