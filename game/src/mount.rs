//! Riding: whoever gets on a horse is nearly twice as fast, and the two cross every border together.
//!
//! A ridden horse is [`Tied`] to its rider: that alone makes them one group. The horse says who rides it, the rider says on
//! which horse; where the two do not agree (its rider fell asleep, or a crash kept only one of the two) nobody rides.

use pangaea_scene::prelude::*;

use crate::looks::{Look, Name};
use crate::movement::{Pace, WALK_M_PER_S};
use crate::wander::Wanders;

/// How close to the horse, in metres.
const REACH_M: f32 = 4.0;
/// Full speed of a rider in m/s.
pub const RIDE_M_PER_S: f32 = 11.0;
/// Horses per new shard.
const HORSES: usize = 2;

/// Get on a horse; with no horse, get off.
#[input]
pub struct Ride {
    /// Which.
    pub horse: EntityId,
}

/// It rides.
#[component]
pub struct Rides {
    /// Which horse.
    pub horse: EntityId,
}

/// It can be ridden.
#[component]
pub struct Saddle {
    /// Its colour.
    pub hue: u32,
}

/// Who gets on and off, then where horses are.
pub fn plugin(game: &mut Game) {
    game.input::<Ride>();
    game.component::<Rides>().replicated().persistent();
    game.component::<Saddle>().replicated().persistent();
    game.spawner(graze);
    game.system(Phase::Act, mount.after(crate::combat::strike));
    game.system(Phase::Move, (carry, part).chain().after(crate::movement::roam));
}

fn graze(shard: &mut Seeding) {
    for _ in 0..HORSES {
        let (place, hue) = (shard.anywhere(), shard.rng().u8(..));
        let looks = (Name { text: Text::new("Horse") }, Look { kind: Look::HORSE, hue });
        shard.at(place, (looks, Saddle { hue: u32::from(hue) }, Wanders::now()));
    }
}

fn mount(
    inputs: Inputs<Ride>,
    locate: Locate,
    horses: Query<(&Position, Has<Tied>), With<Saddle>>,
    riders: Query<(&Position, Option<&Rides>)>,
    mut commands: Commands,
) {
    for ride in inputs.iter() {
        let Ok((position, rides)) = riders.get(ride.entity) else { continue };
        if ride.value.horse == EntityId::NONE {
            commands.entity(ride.entity).remove::<Rides>();
            continue;
        }
        let horse = locate.entity(ride.value.horse);
        let Some((horse, (stands, is_ridden))) = horse.and_then(|horse| Some((horse, horses.get(horse).ok()?))) else { continue };
        if rides.is_none() && !is_ridden && stands.distance(*position) <= REACH_M {
            commands.entity(horse).insert(Tied { to: ride.from });
            commands.entity(ride.entity).insert(Rides { horse: ride.value.horse });
        }
    }
}

/// A ridden horse is where its rider is.
fn carry(
    locate: Locate,
    riders: Query<(&Rides, &Position, &Velocity), Without<Saddle>>,
    mut horses: Query<(Entity, &Identity, &Tied, &mut Position, &mut Velocity), With<Saddle>>,
    mut commands: Commands,
) {
    for (horse, identity, tied, mut position, mut velocity) in &mut horses {
        let rider = locate.entity(tied.to).and_then(|rider| riders.get(rider).ok());
        match rider.filter(|(rides, ..)| rides.horse == identity.id()) {
            Some((_, there, speed)) => {
                position.set_if_neq(*there);
                velocity.set_if_neq(*speed);
            }
            None => {
                commands.entity(horse).remove::<Tied>();
            }
        }
    }
}

/// Riders have a horse's pace, and whoever has lost its horse walks.
fn part(
    locate: Locate,
    horses: Query<&Tied, With<Saddle>>,
    mut agents: Query<(Entity, &Identity, Option<&Rides>, &mut Pace)>,
    mut commands: Commands,
) {
    for (agent, identity, rides, mut pace) in &mut agents {
        let horse = rides.and_then(|rides| horses.get(locate.entity(rides.horse)?).ok());
        let mounted = horse.is_some_and(|tied| tied.to == identity.id());
        let full = if mounted { RIDE_M_PER_S } else { WALK_M_PER_S };
        if pace.metres_per_s != full {
            pace.metres_per_s = full;
        }
        if rides.is_some() && !mounted {
            commands.entity(agent).remove::<Rides>();
        }
    }
}
