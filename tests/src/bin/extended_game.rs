//! [`other-game`](other_game.rs) as it went on: its component has another layout, there is a new one, and a new effect.

use std::process::ExitCode;

use pangaea_scene::prelude::*;

/// How far somebody has walked, and in how many ticks.
#[component(version = 2, added(steps = 0))]
struct Mileage {
    since: u64,
    metres: f64,
    steps: u64,
}

/// Who is cheered at, lasts longer.
#[component]
struct Stamina {
    since: u64,
    cheers: u64,
}

/// Sent to whoever is near, whichever build its shard has.
#[effect]
struct Cheer {
    volume: u32,
}

const EARSHOT_M: f32 = 20.0;

fn main() -> ExitCode {
    pangaea_cli::main(|game| {
        game.plugin(pangaea_game::game).component::<Mileage>().replicated().persistent().ghosted();
        game.component::<Stamina>().replicated().persistent();
        game.effect::<Cheer>();
        game.system(Phase::Act, cheer);
        game.system(Phase::React, (begin, count, hear).chain());
    })
}

fn begin(
    clock: Clock,
    walkers: Query<Entity, (With<Player>, Without<Mileage>)>,
    idlers: Query<Entity, (With<Player>, Without<Stamina>)>,
    mut commands: Commands,
) {
    for walker in &walkers {
        commands.entity(walker).insert(Mileage { since: clock.tick().0, metres: 0.0, steps: 0 });
    }
    for idler in &idlers {
        commands.entity(idler).insert(Stamina { since: clock.tick().0, cheers: 0 });
    }
}

fn count(clock: Clock, mut walkers: Query<(&Velocity, &mut Mileage)>) {
    for (velocity, mut mileage) in &mut walkers {
        mileage.metres += f64::from(velocity.speed() * clock.dt());
        mileage.steps += 1;
    }
}

/// Once a second everybody does.
fn cheer(clock: Clock, fans: Query<(&Identity, &Position), With<Player>>, nearby: Nearby, mut effects: Effects) {
    for (me, position) in &fans {
        if !(clock.tick().0 + me.id().0).is_multiple_of(clock.ticks(1.0)) {
            continue;
        }
        for near in nearby.within(*position, EARSHOT_M).filter(|near| near.id != me.id()) {
            effects.send(me.id(), near.id, &Cheer { volume: 1 });
        }
    }
}

fn hear(cheers: Received<Cheer>, mut fans: Query<&mut Stamina>) {
    for cheer in cheers.iter() {
        if let Ok(mut stamina) = fans.get_mut(cheer.entity) {
            stamina.cheers += u64::from(cheer.value.volume);
        }
    }
}
