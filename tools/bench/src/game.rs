//! The games that in-process rows run: as little as possible, so that the engine's cost shows and not a game's.

use pangaea_scene::prelude::*;

/// Walks for ever: which way, in m/s.
#[component]
#[derive(Default)]
pub(crate) struct Walks {
    pub(crate) x: f32,
    pub(crate) z: f32,
}

/// What clients would draw of it.
#[component]
#[derive(Default)]
pub(crate) struct Look {
    pub(crate) kind: u8,
    pub(crate) hue: u8,
}

/// How much it can take.
#[component]
#[derive(Default)]
pub(crate) struct Health {
    pub(crate) now: u16,
    pub(crate) max: u16,
}

/// Everybody walks, and turns at the space's edge.
pub(crate) fn walkers(game: &mut Game) {
    idlers(game);
    game.component::<Walks>().persistent();
    game.system(Phase::Move, walk);
}

/// Nobody does anything.
pub(crate) fn idlers(game: &mut Game) {
    game.component::<Look>().replicated().persistent();
    game.component::<Health>().replicated().persistent();
}

fn walk(clock: Clock, mut walkers: Query<(&mut Position, &mut Velocity, &mut Walks)>) {
    let dt = clock.dt();
    for (mut position, mut velocity, mut walks) in &mut walkers {
        let (x, z) = (position.x + walks.x * dt, position.z + walks.z * dt);
        let there = clock.inside(Position::new(x, z));
        if (there.x, there.z) != (x, z) {
            (walks.x, walks.z) = (-walks.x, -walks.z);
        }
        if (velocity.x, velocity.z) != (walks.x, walks.z) {
            *velocity = Velocity::new(walks.x, walks.z);
        }
        *position = there;
    }
}
