//! The demo game with one component more: how far everybody has walked.

use std::process::ExitCode;

use pangaea_scene::prelude::*;

/// How far somebody has walked, since some tick.
#[component]
struct Mileage {
    since: u64,
    metres: f64,
}

fn main() -> ExitCode {
    pangaea_cli::main(|game| {
        game.plugin(pangaea_game::game).component::<Mileage>().replicated().persistent().ghosted();
        game.system(Phase::React, (begin, count).chain());
    })
}

fn begin(clock: Clock, walkers: Query<Entity, (With<Player>, Without<Mileage>)>, mut commands: Commands) {
    for walker in &walkers {
        commands.entity(walker).insert(Mileage { since: clock.tick().0, metres: 0.0 });
    }
}

fn count(clock: Clock, mut walkers: Query<(&Velocity, &mut Mileage)>) {
    for (velocity, mut mileage) in &mut walkers {
        mileage.metres += f64::from(velocity.speed() * clock.dt());
    }
}
