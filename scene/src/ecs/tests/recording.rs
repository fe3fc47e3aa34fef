//! A recorded world runs again to the same hash, and what hides from the recording is found and named.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use fastrand::Rng;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{BusEvent, LedgerResult, Transaction};
use pangaea_schemas::recording::{FrameScanner, Recording, RecordingError};

use super::{Health, Hit, Mood, Walk, health, village};
use crate::ecs::Transfer;
use crate::harness::replay;
use crate::prelude::*;
use crate::recording::{LOOKED_PER_TICK, Replay, ReplayError};

/// The village, whose people also hit each other when they are near, bear children, die, and spend gold.
fn busy(game: &mut Game) {
    game.plugin(village);
    game.system(Phase::Decide, quarrel);
    game.system(Phase::Act, bear_and_die);
}

fn quarrel(mut chance: Chance, nearby: Nearby, people: Query<(&Identity, &Position)>, mut effects: Effects, mut ledger: Ledger) {
    for (id, position) in &people {
        let mut others = nearby.within(*position, 20.0).filter(|near| near.id != id.id());
        if let Some(victim) = others.next().filter(|_| chance.rng().u8(..) < 30) {
            effects.send(id.id(), victim.id, &Hit { damage: 1.0 });
            ledger.ask(id.id(), Transaction::Look { agent: id.id() });
        }
    }
}

fn bear_and_die(chance: Chance, people: Query<(&Identity, &Position, &Health)>, mut spawn: Spawn) {
    for (id, position, strength) in &people {
        if strength.now < 40.0 {
            spawn.despawn(id.id());
        } else if chance.of(id.id()).u8(..) < 2 {
            spawn.at(*position, (health(90.0), Mood { anger: 1 }));
        }
    }
}

/// A crowd, recorded after it has lived for a while.
fn crowd(seed: u64, plugin: fn(&mut Game), people: u32) -> (Harness, Vec<EntityId>, Rng) {
    let mut rng = Rng::with_seed(seed);
    let mut world = Harness::new(plugin);
    for _ in 0..people {
        let place = Position::new(520.0 + rng.f32() * 200.0, 520.0 + rng.f32() * 200.0);
        world.spawn(place, (health(50.0 + rng.f32() * 50.0), Mood { anger: rng.u32(..9) }, Velocity::new(rng.f32(), 0.0)));
    }
    let players = (0..6).map(|n| world.player(&format!("Player {n}"))).collect();
    world.ticks(15);
    (world, players, rng)
}

/// Everything comes that may come from outside.
fn live(world: &mut Harness, players: &mut Vec<EntityId>, rng: &mut Rng, ticks: u32) {
    for _ in 0..ticks {
        for player in players.iter() {
            if rng.u8(..) < 100 {
                world.input(*player, Walk { to: Velocity::new(rng.f32() * 6.0 - 3.0, rng.f32() * 6.0 - 3.0) });
            }
        }
        let one = players[rng.usize(..players.len())];
        match rng.u8(..20) {
            0 => players.push(world.player("Newcomer")),
            1 => drop(world.ghost(Position::new(770.0, 520.0 + rng.f32() * 200.0), health(7.0))),
            2 => world.effect(EntityId(3), one, Hit { damage: 2.0 }),
            3 => world.next_input().placements.push((one, Position::new(530.0, 540.0).into())),
            4 => world.next_input().connected.push((one, rng.bool())),
            5 => world.next_input().news.push(BusEvent { subject: "chat.all".to_owned(), bytes: Bytes::from_static(b"hi") }),
            6 => world.world.refill_ids(EntityId(rng.u64(..) >> 8), 10),
            _ => {}
        }
        let asked: Vec<Transfer> = world.last.ledger.iter().take(2).cloned().collect();
        asked.iter().for_each(|asked| world.settle(asked, LedgerResult::Done(Vec::new())));
        let leaving = (players.len() > 3 && rng.u8(..) < 12).then(|| players.swap_remove(rng.usize(..players.len())));
        let (to, sleeps) = (CellId { x: 24, z: 17, ..CellId::default() }, rng.bool());
        let mut gone = None;
        world.tick_with(|world| {
            gone = leaving.and_then(|leaving| if sleeps { world.put_to_sleep(leaving) } else { world.take(leaving, to) });
        });
        // Who left sometimes comes back, a little changed.
        if let Some(record) = gone.filter(|_| rng.bool()) {
            players.push(record.entity);
            world.next_input().arrivals.push(record);
        }
    }
}

#[test]
fn a_recorded_crowd_runs_again_to_the_same_hash() {
    for seed in 0..6 {
        let (mut world, mut players, mut rng) = crowd(seed, busy, 60);
        live(&mut world, &mut players, &mut rng, 30);
        world.record();
        live(&mut world, &mut players, &mut rng, 120);
        let bytes = world.recorded();
        let recording = Recording::read(&bytes).expect("whole");
        assert_eq!(recording.end().hash, world.world.state_hash(), "seed {seed}");
        let ticks = replay(&Game::build(busy).expect("a game"), &bytes).unwrap_or_else(|words| panic!("seed {seed}: {words}"));
        assert!(ticks > 120, "newcomers and the end are ticks of their own: {ticks}");
        let all: Vec<_> = (0..recording.ticks()).map(|n| recording.tick(n).expect("readable").expect("there")).collect();
        let heard = |some: fn(&pangaea_schemas::recording::RecordedTick) -> usize| all.iter().map(some).sum::<usize>();
        let counts = [heard(|t| t.inputs.len()), heard(|t| t.answers.len()), heard(|t| t.ghosts.len() + t.effects.len())];
        assert!(counts.iter().all(|count| *count > 0), "seed {seed}: nothing happened: {counts:?}");
    }
}

#[test]
fn being_recorded_changes_nothing_that_is_seen() {
    let (mut plain, mut there, mut chance) = crowd(5, busy, 40);
    let (mut taped, mut here, mut luck) = crowd(5, busy, 40);
    taped.record();
    // Ghosts are shown anew, and the order of entities is that of a migrated world: what does not depend on it stays.
    assert_eq!(plain.world.state_hash(), taped.world.state_hash());
    assert_eq!(plain.world.counts().entities, taped.world.counts().entities);
    live(&mut plain, &mut there, &mut chance, 1);
    live(&mut taped, &mut here, &mut luck, 1);
    assert!(taped.feed.replicated.values().all(|cell| cell.entered.len() < 10), "nobody enters who was there");
}

static HIDDEN: AtomicU32 = AtomicU32::new(0);

/// Keeps outside the world how often it ran: what rule 22 of the style forbids.
fn forgetful(game: &mut Game) {
    game.plugin(village);
    game.system(Phase::React, |mut moods: Query<(&Identity, &mut Mood)>| {
        let times = HIDDEN.fetch_add(1, Ordering::Relaxed);
        for (id, mut mood) in &mut moods {
            if times % 50 == 49 && id.id().0 % 2 == 0 {
                mood.anger += times;
            }
        }
    });
}

#[test]
fn what_a_system_keeps_elsewhere_is_found_and_named() {
    let (mut world, mut players, mut rng) = crowd(3, forgetful, 20);
    world.record();
    live(&mut world, &mut players, &mut rng, 100);
    let words = world.replay().expect_err("it counts on");
    assert!(words.contains("differs") && words.contains("in mood") && words.contains(": e"), "{words}");
    assert!(!words.contains("position") && !words.contains("health"), "{words}");
}

#[test]
fn who_is_changed_behind_the_recordings_back_is_named() {
    let (mut world, mut players, mut rng) = crowd(4, village, 5);
    world.record();
    live(&mut world, &mut players, &mut rng, 10);
    let victim = players[0];
    world.set(victim, health(1.0));
    live(&mut world, &mut players, &mut rng, 5);
    let words = world.replay().expect_err("the recording did not hear of it");
    assert!(words.contains(&victim.to_string()) && words.contains("in health"), "{words}");
}

#[test]
fn a_large_crowd_is_looked_at_in_turns_and_wholly_in_the_end() {
    let (mut world, mut players, mut rng) = crowd(6, village, 5 * LOOKED_PER_TICK as u32);
    world.record();
    live(&mut world, &mut players, &mut rng, 20);
    let bytes = world.recorded();
    let recording = Recording::read(&bytes).expect("whole");
    let looked: std::collections::BTreeSet<EntityId> = (0..recording.ticks())
        .flat_map(|n| recording.tick(n).expect("readable").expect("there").check.looked)
        .map(|look| look.entity)
        .collect();
    assert!(looked.len() > 5 * LOOKED_PER_TICK, "everybody in six ticks: {}", looked.len());
    assert_eq!(replay(&Game::build(village).expect("a game"), &bytes), Ok(recording.ticks() as u64));
}

#[test]
fn a_recording_of_another_game_and_a_damaged_one_are_refused_in_words() {
    let (mut world, mut players, mut rng) = crowd(7, village, 5);
    world.record();
    live(&mut world, &mut players, &mut rng, 20);
    let bytes = world.recorded();
    let recording = Recording::read(&bytes).expect("whole");
    let other = Game::build(|game| _ = game.component::<Health>()).expect("a game");
    let refused = Replay::new(&other, recording).err().expect("it is another game");
    assert!(matches!(refused, ReplayError::OtherGame { .. }) && refused.to_string().contains("the build that recorded it"));
    for at in (20..bytes.len()).step_by(997) {
        let mut bad = bytes.to_vec();
        bad[at] ^= 1;
        let words = Recording::read(&bad.into()).expect_err("damaged");
        assert!(matches!(words, RecordingError::Damaged { .. } | RecordingError::BrokenOff { .. }), "byte {at}: {words}");
    }
}

#[test]
fn a_recording_is_fetched_in_parts_and_forgotten_when_nobody_does() {
    let (mut world, mut players, mut rng) = crowd(8, village, 10);
    world.record();
    let (mut scanner, mut bytes) = (FrameScanner::default(), Vec::new());
    for _ in 0..5 {
        live(&mut world, &mut players, &mut rng, 3);
        let part = world.world.tape_mut().and_then(|tape| tape.fetch(scanner.bytes())).expect("it is kept");
        assert_eq!(world.world.tape_mut().and_then(|tape| tape.fetch(scanner.bytes())), Some(part.clone()), "asked again");
        scanner.take(&part).expect("sound");
        bytes.extend_from_slice(&part);
        assert_eq!(scanner.whole_bytes(), scanner.bytes(), "parts of a small shard are whole ticks");
    }
    let from = scanner.bytes();
    world.world.tape_mut().expect("there").fetch(from).expect("kept");
    assert_eq!(world.world.tape_mut().expect("there").fetch(from - 1), None, "what was fetched is not kept");
    bytes.extend_from_slice(&scanner.last_frame("it was lost"));
    let village_game = Game::build(village).expect("a game");
    assert_eq!(replay(&village_game, &bytes.into()), Ok(scanner.ticks()), "the same as far as it goes");
    world.ticks(crate::recording::SILENCE_TICKS_MAX + 1);
    assert!(world.world.tape_mut().is_none(), "nobody fetched");
    world.record();
    world.recorded();
    assert!(world.world.tape_mut().is_some_and(|tape| tape.is_over() && tape.is_forgotten()), "all of it was fetched");
    world.tick();
    assert!(world.world.tape_mut().is_none(), "and so it is not kept");
}
