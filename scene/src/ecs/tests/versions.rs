//! Builds that lay components out otherwise, or know others, take entities from each other: nothing is lost, however often they
//! go to and fro.

use fastrand::Rng;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{CellFeed, FeedFilter, FeedFrame};
use pangaea_schemas::record::Record;
use pangaea_schemas::{ShardEpoch, Tick, TypeId};

use super::Notes;
use crate::ecs::population::Ghosted;
use crate::ecs::{Copied, Former, Plain, TickInput};
use crate::prelude::*;

/// The first layout.
#[component]
struct Fuel {
    litres: f32,
}

/// It has a grade as well.
mod second {
    use crate::prelude::*;

    #[component(version = 2, added(octane = 95.0))]
    pub(super) struct Fuel {
        pub(super) litres: f32,
        pub(super) octane: f32,
    }
}

/// Everything in other units, and one field more.
mod third {
    use crate::prelude::*;

    #[component(name = "fuel", version = 2, added(octane = 95.0))]
    pub(super) struct FuelBefore {
        pub(super) litres: f32,
        pub(super) octane: f32,
    }

    #[component(version = 3, was = FuelBefore)]
    pub(super) struct Fuel {
        pub(super) millilitres: u32,
        pub(super) octane: f32,
        pub(super) colour: u64,
    }

    impl From<FuelBefore> for Fuel {
        fn from(before: FuelBefore) -> Self {
            Self { millilitres: (before.litres * 1_000.0) as u32, octane: before.octane, colour: 7 }
        }
    }

    impl From<Fuel> for FuelBefore {
        fn from(now: Fuel) -> Self {
            // Whole litres: builds of the second layout never saw others.
            Self { litres: (now.millilitres / 1_000) as f32, octane: now.octane }
        }
    }
}

/// What only the latest build has: one that lasts, one that does not.
#[component]
struct Mileage {
    metres: u64,
}

#[component]
struct Tired {
    since: u64,
}

fn first(game: &mut Game) {
    game.component::<Fuel>().replicated().persistent().ghosted();
}

fn second(game: &mut Game) {
    game.component::<second::Fuel>().replicated().persistent().ghosted();
}

fn third(game: &mut Game) {
    game.component::<third::Fuel>().replicated().persistent().ghosted();
}

fn latest(game: &mut Game) {
    game.plugin(third).component::<Mileage>().replicated().persistent();
    game.component::<Tired>();
    game.codec_component::<Notes>("Notes").persistent();
}

const PLACE: Position = Position::new(600.0, 600.0);
const CAR: EntityId = EntityId(9);

fn world(game: fn(&mut Game)) -> Harness {
    Harness::new(game)
}

/// With a car in it.
fn car(game: fn(&mut Game), components: impl bevy_ecs::bundle::Bundle) -> Harness {
    let mut world = world(game);
    world.world.spawn(CAR, PLACE, components);
    world
}

fn arrive(world: &mut Harness, record: Record) {
    let tick = Tick(world.world.tick().0 + 1);
    world.world.simulate(TickInput { tick, arrivals: vec![record], ..TickInput::default() });
    world.world.publish();
}

/// As a hand-over has it.
fn hand_over(from: &mut Harness, to: &mut Harness) {
    let record = from.world.take(CAR, CellId::default()).expect("here");
    arrive(to, record);
}

/// As the journal has it.
fn restart(from: &mut Harness, to: &mut Harness) {
    let record = from.world.record(CAR).expect("it lasts");
    assert_eq!(record.fleeting, [], "nothing that does not last is at rest");
    arrive(to, record);
}

/// As a migration has it.
fn migrate(from: &mut Harness, to: &mut Harness) {
    let mut copied = Copied::default();
    to.world.overwrite(&from.world.delta(&mut copied));
    assert!(to.world.complete(from.world.rest(&copied)), "the copy is the same to the last bit, or translated");
}

#[test]
fn a_former_layout_is_read() {
    let mut old = car(first, Fuel { litres: 3.5 });
    let mut new = world(second);
    restart(&mut old, &mut new);
    assert_eq!(new.get::<second::Fuel>(CAR), Some(second::Fuel { litres: 3.5, octane: 95.0 }));
    let mut newest = world(latest);
    restart(&mut old, &mut newest);
    assert_eq!(newest.get::<third::Fuel>(CAR), Some(third::Fuel { millilitres: 3_500, octane: 95.0, colour: 7 }));
    let layouts: Vec<TypeId> = third::Fuel::formers().iter().map(|Former { id, .. }| *id).collect();
    assert_eq!(layouts, [TypeId::of_version("fuel", 2), TypeId::of("fuel")]);
}

#[test]
fn what_an_older_build_does_not_know_comes_back_as_it_was() {
    let full = third::Fuel { millilitres: 2_345, octane: 98.0, colour: 1 };
    let notes = Notes { lines: vec!["wash me".to_owned()] };
    let mut new = car(latest, (full, Mileage { metres: 5 }, Tired { since: 4 }, notes.clone()));
    let mut old = world(first);
    hand_over(&mut new, &mut old);
    assert_eq!(old.get::<Fuel>(CAR), Some(Fuel { litres: 2.0 }), "in the layout that it knows");
    let mut older = world(first);
    migrate(&mut old, &mut older);
    hand_over(&mut older, &mut new);
    assert_eq!(new.get::<third::Fuel>(CAR), Some(full), "to the millilitre");
    assert_eq!(new.get::<Mileage>(CAR), Some(Mileage { metres: 5 }));
    assert_eq!(new.get::<Tired>(CAR), Some(Tired { since: 4 }));
    assert_eq!(new.get::<Notes>(CAR).map(|notes| notes.lines), Some(notes.lines));
}

#[test]
fn an_older_builds_journal_holds_what_lasts_and_nothing_else() {
    let mut new =
        car(latest, (third::Fuel { millilitres: 1, octane: 1.0, colour: 1 }, Mileage { metres: 5 }, Tired { since: 4 }));
    let mut old = world(first);
    hand_over(&mut new, &mut old);
    let mut again = world(first);
    restart(&mut old, &mut again);
    restart(&mut again, &mut new);
    assert_eq!(new.get::<Mileage>(CAR), Some(Mileage { metres: 5 }));
    assert_eq!(new.get::<Tired>(CAR), None);
    let asleep = again.world.put_to_sleep(CAR).expect("here");
    let mut other = world(latest);
    arrive(&mut other, Record { presence: pangaea_schemas::record::Presence::Awake, ..asleep });
    assert_eq!(other.get::<Mileage>(CAR), Some(Mileage { metres: 5 }), "it lasts over sleep");
}

#[test]
fn a_view_stays_a_view_in_a_build_that_does_not_know_what_it_shows() {
    let mut new = car(latest, Tired { since: 4 });
    let mut old = world(first);
    hand_over(&mut new, &mut old);
    assert_eq!(old.world.record(CAR), None, "nothing of it lasts, so it has no record");
    let mut only_new = car(latest, Mileage { metres: 3 });
    let mut old = world(first);
    hand_over(&mut only_new, &mut old);
    assert!(old.world.record(CAR).is_some(), "what lasts is journaled by whoever has it");
}

#[test]
fn what_an_older_build_changed_is_changed_and_the_rest_stays() {
    let mut new = car(third, third::Fuel { millilitres: 2_345, octane: 98.0, colour: 1 });
    let (mut old, mut middle) = (world(first), world(second));
    hand_over(&mut new, &mut middle);
    middle.world.write(CAR, second::Fuel { litres: 2.0, octane: 91.0 });
    hand_over(&mut middle, &mut old);
    hand_over(&mut old, &mut new);
    let expected = third::Fuel { millilitres: 2_345, octane: 91.0, colour: 1 };
    assert_eq!(new.get::<third::Fuel>(CAR), Some(expected), "the millilitres were not touched");
    hand_over(&mut new, &mut old);
    old.world.write(CAR, Fuel { litres: 1.0 });
    migrate(&mut old, &mut new);
    let expected = third::Fuel { millilitres: 1_000, ..expected };
    assert_eq!(new.get::<third::Fuel>(CAR), Some(expected), "of a copied shard as well");
}

#[test]
fn who_loses_a_component_in_an_older_build_has_lost_it() {
    let mut new = car(third, (third::Fuel { millilitres: 2_345, octane: 98.0, colour: 1 }, Velocity::new(1.0, 0.0)));
    let mut old = world(first);
    hand_over(&mut new, &mut old);
    old.world.strip::<Fuel>(CAR);
    hand_over(&mut old, &mut new);
    assert_eq!(new.get::<third::Fuel>(CAR), None, "and no later layout brings it back");
}

#[test]
fn an_earlier_layout_that_nobody_declares_is_kept_until_there_is_a_later_one() {
    mod forgetful {
        use crate::prelude::*;

        #[component(version = 2)]
        pub(super) struct Fuel {
            pub(super) litres: f64,
        }
    }
    let game: fn(&mut Game) = |game| {
        game.component::<forgetful::Fuel>().persistent();
    };
    let mut old = car(first, Fuel { litres: 3.5 });
    let mut new = world(game);
    hand_over(&mut old, &mut new);
    assert_eq!(new.get::<forgetful::Fuel>(CAR), None);
    hand_over(&mut new, &mut old);
    assert_eq!(old.get::<Fuel>(CAR), Some(Fuel { litres: 3.5 }));
    hand_over(&mut old, &mut new);
    new.world.write(CAR, forgetful::Fuel { litres: 1.0 });
    hand_over(&mut new, &mut old);
    assert_eq!(old.get::<Fuel>(CAR), None, "what it was long ago is no news");
}

#[test]
fn a_copy_that_differs_is_told_even_if_it_was_translated() {
    let mut old = car(first, Fuel { litres: 3.5 });
    old.world.spawn(EntityId(10), PLACE, Fuel { litres: 1.0 });
    let mut copied = Copied::default();
    let mut delta = old.world.delta(&mut copied);
    let spoiled = delta.records[1].components.iter_mut().find(|part| part.id == TypeId::of("fuel")).expect("fuel");
    spoiled.bytes = spoiled.bytes.slice(..3);
    let mut new = world(second);
    new.world.overwrite(&delta);
    assert!(!new.world.complete(old.world.rest(&copied)));
}

/// What a follower of all cells hears.
fn frame(cells: impl Iterator<Item = std::sync::Arc<CellFeed>>) -> FeedFrame {
    let neighbour = pangaea_schemas::geometry::ShardId { space: SpaceId(0), level: 3, x: 3, z: 2 };
    let (epoch, tick) = (ShardEpoch(1), Tick(0));
    FeedFrame { shard: neighbour, epoch, tick, seq: 1, follower: None, cells: cells.collect(), agents: Vec::new() }
}

fn see(world: &mut Harness, frame: FeedFrame) {
    let tick = Tick(world.world.tick().0 + 1);
    world.world.simulate(TickInput { tick, ghosts: vec![frame], ..TickInput::default() });
    world.world.publish();
}

fn ghost<T: Plain + bevy_ecs::component::Component>(world: &mut Harness) -> Option<T> {
    let world = world.world.bevy();
    world.query::<&Ghosted<T>>().iter(world).next().map(|ghost| **ghost)
}

#[test]
fn ghosts_are_seen_by_either_build() {
    let mut new = car(third, third::Fuel { millilitres: 2_345, octane: 98.0, colour: 1 });
    new.world.publish();
    let cell = CellId::at(SpaceId(0), PLACE.into());
    let snapshot = |world: &Harness| frame(std::iter::once(world.world.snapshot(cell, FeedFilter::Ghosted)));
    let (mut old, mut middle, mut newer) = (world(first), world(second), world(third));
    for world in [&mut old, &mut middle, &mut newer] {
        see(world, snapshot(&new));
    }
    assert_eq!(ghost(&mut old), Some(Fuel { litres: 2.0 }));
    assert_eq!(ghost(&mut middle), Some(second::Fuel { litres: 2.0, octane: 98.0 }));
    assert_eq!(ghost(&mut newer), Some(third::Fuel { millilitres: 2_345, octane: 98.0, colour: 1 }));
    let mut old_owner = car(first, Fuel { litres: 4.0 });
    old_owner.world.publish();
    see(&mut newer, snapshot(&old_owner));
    assert_eq!(
        ghost(&mut newer),
        Some(third::Fuel { millilitres: 4_000, octane: 95.0, colour: 7 }),
        "shown anew by an old build"
    );
    new.world.write(CAR, third::Fuel { millilitres: 1_500, octane: 98.0, colour: 3 });
    let published = new.world.publish();
    assert_eq!(published.replicated[&cell].changed.len(), 3, "once in each layout");
    see(&mut old, frame(std::iter::once(std::sync::Arc::clone(&published.replicated[&cell]))));
    assert_eq!(ghost(&mut old), Some(Fuel { litres: 1.0 }));
}

/// What the car is to be, whoever has it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Truth {
    litres: u32,
    octane: u32,
    colour: u64,
    metres: u64,
}

/// A build changes what it knows.
fn drive(world: &mut Harness, build: usize, rng: &mut Rng, truth: &mut Truth) {
    let change = |rng: &mut Rng| rng.bool();
    if change(rng) {
        truth.litres = rng.u32(..50);
    }
    if build > 0 && change(rng) {
        truth.octane = rng.u32(80..100);
    }
    if build > 1 && change(rng) {
        truth.colour = rng.u64(..);
    }
    if build > 2 && change(rng) {
        truth.metres += rng.u64(..100);
    }
    let Truth { litres, octane, colour, metres } = *truth;
    let is_written = match build {
        0 => world.world.write(CAR, Fuel { litres: litres as f32 }),
        1 => world.world.write(CAR, second::Fuel { litres: litres as f32, octane: octane as f32 }),
        _ => world.world.write(CAR, third::Fuel { millilitres: litres * 1_000, octane: octane as f32, colour }),
    };
    assert!(is_written && (build < 3 || world.world.write(CAR, Mileage { metres })));
}

fn seen(world: &Harness, build: usize, truth: Truth) -> Truth {
    match build {
        0 => Truth { litres: world.get::<Fuel>(CAR).expect("fuel").litres as u32, ..truth },
        1 => {
            let fuel = world.get::<second::Fuel>(CAR).expect("fuel");
            Truth { litres: fuel.litres as u32, octane: fuel.octane as u32, ..truth }
        }
        _ => {
            let fuel = world.get::<third::Fuel>(CAR).expect("fuel");
            let metres = world.get::<Mileage>(CAR).map_or(truth.metres, |mileage| mileage.metres);
            Truth { litres: fuel.millilitres / 1_000, octane: fuel.octane as u32, colour: fuel.colour, metres }
        }
    }
}

#[test]
fn whatever_way_it_takes_through_the_builds_a_car_is_what_was_made_of_it() {
    const BUILDS: [fn(&mut Game); 4] = [first, second, third, latest];
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let mut truth = Truth { litres: 3, octane: 95, colour: 7, metres: 0 };
        let mut build = 3;
        let mut here = car(latest, (third::Fuel { millilitres: 3_000, octane: 95.0, colour: 7 }, Mileage { metres: 0 }));
        for step in 0..12 {
            if rng.bool() {
                drive(&mut here, build, &mut rng, &mut truth);
                here.tick();
            }
            build = rng.usize(..BUILDS.len());
            let mut there = world(BUILDS[build]);
            [hand_over, restart, migrate][rng.usize(..3)](&mut here, &mut there);
            here = there;
            assert_eq!(seen(&here, build, truth), truth, "seed {seed}, step {step}, build {build}");
        }
        let mut last = world(latest);
        restart(&mut here, &mut last);
        assert_eq!(seen(&last, 3, truth), truth, "seed {seed}");
        assert_eq!(last.get::<Mileage>(CAR), Some(Mileage { metres: truth.metres }), "seed {seed}");
    }
}
