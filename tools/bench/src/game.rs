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

/// Everybody's health grows, and begins anew.
pub(crate) fn regrowers(game: &mut Game) {
    game.component::<Health>();
    game.system(Phase::React, regrow);
}

/// The same is left to a script.
pub(crate) fn scripted(game: &mut Game) {
    game.component::<Health>();
    game.plugin(pangaea_script::plugin);
}

/// A system of a line, for which what is around it counts.
pub(crate) fn regrow(mut all: Query<&mut Health>) {
    for mut health in &mut all {
        health.now = if health.now < health.max { health.now + 1 } else { 0 };
    }
}

/// Walk one step; the direction in 1/127 of full speed.
#[input]
pub(crate) struct Move {
    pub(crate) dx: i8,
    pub(crate) dz: i8,
}

/// What an agent is called: as long as in a game.
#[component]
pub(crate) struct Name {
    text: Text<24>,
}

/// Full speed in m/s.
const PACE_M_PER_S: f32 = 6.0;

/// The game of the suite's clusters: people walk where they like, and are born where their name says: `b7 512 498`.
pub fn arena(game: &mut Game) {
    idlers(game);
    game.component::<Name>().replicated().persistent().ghosted();
    game.input::<Move>();
    game.birth(|agent| {
        let mut words = agent.name().split(' ').skip(1).map_while(|word| word.parse().ok());
        if let (Some(x), Some(z)) = (words.next(), words.next()) {
            agent.stand_at(Position::new(x, z));
        }
        let name = Name { text: Text::new(agent.name()) };
        agent.insert((name, Look { kind: 0, hue: 0 }, Health { now: 100, max: 100 }));
    });
    game.system(Phase::Input, stride);
}

fn stride(inputs: Inputs<Move>, clock: Clock, mut agents: Query<(&mut Position, &mut Velocity)>) {
    for step in inputs.iter() {
        let Ok((mut position, mut velocity)) = agents.get_mut(step.entity) else { continue };
        let wish = Velocity::new(f32::from(step.value.dx) / 127.0, f32::from(step.value.dz) / 127.0);
        let way = wish.at_most(1.0) * PACE_M_PER_S;
        if *velocity != way {
            *velocity = way;
        }
        *position = clock.inside(*position + way * clock.dt());
    }
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
