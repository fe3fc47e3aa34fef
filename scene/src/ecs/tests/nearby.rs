//! What is near: the grid against a plain search, with overhanging entities and ghosts.

use bevy_ecs::system::RunSystemOnce;
use fastrand::Rng;

use super::{health, village};
use crate::prelude::*;

fn find(world: &mut Harness, center: Position, radius: f32) -> Vec<EntityId> {
    let look = move |nearby: Nearby| nearby.within(center, radius).map(|near| near.id).collect::<Vec<_>>();
    world.world.bevy().run_system_once(look).expect("reads only")
}

#[test]
fn the_grid_finds_whom_a_plain_search_finds() {
    let mut rng = Rng::with_seed(1);
    let mut world = Harness::new(village);
    let mut all = Vec::new();
    for n in 0..400 {
        let position = Position::new(470.0 + rng.f32() * 340.0, 470.0 + rng.f32() * 340.0);
        let ghost = n % 4 == 0;
        let id = if ghost { world.ghost(position, health(1.0)) } else { world.spawn(position, health(1.0)) };
        all.push((id, position));
    }
    world.tick();
    for _ in 0..300 {
        let center = Position::new(400.0 + rng.f32() * 480.0, 400.0 + rng.f32() * 480.0);
        let radius = rng.f32() * if rng.bool() { 20.0 } else { 300.0 };
        let found = find(&mut world, center, radius);
        // Ghosts stand where their quantised motion says: 3 mm decide nothing.
        for (id, position) in &all {
            let distance = position.distance(center);
            assert!(found.contains(id) || distance > radius - 0.01, "{id} at {distance} of {radius} m is not found");
            assert!(!found.contains(id) || distance < radius + 0.01, "{id} at {distance} of {radius} m is found");
        }
    }
}

#[test]
fn sight_reads_real_entities_and_ghosts_alike() {
    let mut world = Harness::new(village);
    let real = world.spawn(Position::new(760.0, 600.0), health(3.0));
    let ghost = world.ghost(Position::new(771.0, 600.0), health(4.0));
    world.tick();
    let look = move |sight: Sight<super::Health>, at: Sight<Position>| {
        let read = |id| (sight.get(id).map(|health| health.now), at.get(id).map(|position| position.x));
        [read(real), read(ghost), read(EntityId(5))]
    };
    let seen = world.world.bevy().run_system_once(look).expect("reads only");
    assert_eq!(seen, [(Some(3.0), Some(760.0)), (Some(4.0), Some(771.0)), (None, None)]);
}
