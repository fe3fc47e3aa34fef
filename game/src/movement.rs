//! Walking: a player's step is checked here, a creature's velocity is carried out here. Nobody leaves the map.
//!
//! Each `move` input is one step of one tick's length, so a client can predict it exactly. Steps are paid from a credit that
//! grows by one per tick: a client that sends more inputs does not walk faster, one whose inputs were delayed catches up.

use pangaea_scene::prelude::*;

/// Steps that may be saved up, for inputs that come late in a bunch.
const CREDIT_MAX: u16 = 12;
/// Ticks without an input after which an agent is seen standing.
const STILL_AFTER: u16 = 3;

/// Walk one step; the direction in 1/127 of full speed. (0, 0) stops.
#[input]
pub struct Move {
    /// East.
    pub dx: i8,
    /// South.
    pub dz: i8,
}

/// How fast it can walk.
#[component]
pub struct Pace {
    /// Full speed in m/s.
    pub metres_per_s: f32,
}

/// What keeps a client honest.
#[component]
pub struct Stride {
    /// Steps it may still take.
    pub credit: u16,
    /// Ticks since the last input.
    pub still: u16,
}

/// Full speed of a new agent in m/s.
pub const WALK_M_PER_S: f32 = 6.0;

/// Inputs first, then everybody's motion.
pub fn plugin(game: &mut Game) {
    game.input::<Move>();
    game.component::<Pace>().replicated().persistent();
    game.component::<Stride>();
    game.birth(stand_up);
    game.system(Phase::Input, (earn_steps, walk).chain());
    game.system(Phase::Move, roam);
}

fn stand_up(agent: &mut Birthing) {
    let centre = agent.position();
    let (angle, away) = (agent.rng().f32() * std::f32::consts::TAU, 4.0 + agent.rng().f32() * 20.0);
    agent.stand_at(Position::new(centre.x + angle.cos() * away, centre.z + angle.sin() * away));
    agent.insert((Pace { metres_per_s: WALK_M_PER_S }, Stride { credit: CREDIT_MAX, still: 0 }));
}

/// A player that was at rest has no stride yet: it is not worth keeping.
type Strider = (Entity, Option<&'static mut Stride>, &'static mut Velocity);

fn earn_steps(mut agents: Query<Strider, With<Player>>, mut commands: Commands) {
    for (entity, stride, mut velocity) in &mut agents {
        let Some(mut stride) = stride else {
            commands.entity(entity).insert(Stride { credit: CREDIT_MAX, still: STILL_AFTER });
            continue;
        };
        stride.credit = (stride.credit + 1).min(CREDIT_MAX);
        stride.still = stride.still.saturating_add(1);
        if stride.still == STILL_AFTER {
            *velocity = Velocity::default();
        }
    }
}

fn walk(inputs: Inputs<Move>, clock: Clock, mut agents: Query<(&Pace, &mut Stride, &mut Position, &mut Velocity)>) {
    for step in inputs.iter() {
        let Ok((pace, mut stride, mut position, mut velocity)) = agents.get_mut(step.entity) else { continue };
        stride.still = 0;
        let wish = Velocity::new(f32::from(step.value.dx) / 127.0, f32::from(step.value.dz) / 127.0);
        let way = wish.at_most(1.0) * pace.metres_per_s;
        if *velocity != way {
            *velocity = way;
        }
        if stride.credit > 0 && way.speed() > 0.0 {
            stride.credit -= 1;
            *position = clock.inside(*position + way * clock.dt());
        }
    }
}

pub(crate) fn roam(clock: Clock, mut creatures: Query<(&mut Position, &mut Velocity), Without<Player>>) {
    for (mut position, mut velocity) in &mut creatures {
        if velocity.speed() == 0.0 {
            continue;
        }
        let wish = *position + *velocity * clock.dt();
        let there = clock.inside(wish);
        if there != wish {
            *velocity = *velocity * -1.0;
        }
        *position = there;
    }
}
