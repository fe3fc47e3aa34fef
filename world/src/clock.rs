//! The world's clock and weather. Both follow from the tick and the seed alone, so a new world server goes on where the old one
//! was, and two of them would say the same.

use bevy_ecs::prelude::{Res, ResMut, Resource};
use pangaea_schemas::message::{SUBJECT_WORLD_CLOCK, Weather, WorldTime};
use pangaea_schemas::{Tick, TickRate};

use crate::world::{Now, Outbox, Phase, Setting, World};

/// Length of a day in game seconds; a game second is a second.
pub const DAY_SECONDS: u32 = 2_400;
/// The time is published whenever this many game seconds have passed.
pub const PUBLISH_SECONDS: u64 = 10;
/// The weather holds this long, in game seconds.
pub const WEATHER_SECONDS: u64 = 240;
/// How often each weather comes, in the order of [`Weather::ALL`], of a hundred.
const WEATHER_SHARES: [u32; 5] = [50, 22, 15, 5, 8];

/// The present time of the world.
#[derive(Resource, Clone, Copy, Debug)]
pub struct WorldClock {
    /// Now.
    pub time: WorldTime,
    /// Number of the last published stretch of [`PUBLISH_SECONDS`].
    published: Option<u64>,
}

pub(crate) fn plugin(world: &mut World) {
    let time = WorldTime { tick: Tick(0), day: 0, second: 0, day_seconds: DAY_SECONDS, weather: Weather::Clear };
    world.insert_resource(WorldClock { time, published: None });
    world.add_systems(Phase::Simulate, run);
}

/// Moves the clock; publishes at the first tick of each stretch.
pub fn run(now: Res<Now>, setting: Res<Setting>, mut clock: ResMut<WorldClock>, mut outbox: ResMut<Outbox>) {
    clock.time = time_at(setting.config.spec.tick_rate, setting.config.seed, now.tick);
    let stretch = now.tick.0 / u64::from(setting.config.spec.tick_rate.hz()) / PUBLISH_SECONDS;
    if clock.published != Some(stretch) {
        clock.published = Some(stretch);
        outbox.publish(SUBJECT_WORLD_CLOCK, clock.time.to_bytes());
    }
}

fn time_at(rate: TickRate, seed: u64, tick: Tick) -> WorldTime {
    let seconds = tick.0 / u64::from(rate.hz());
    WorldTime {
        tick,
        day: (seconds / u64::from(DAY_SECONDS)) as u32,
        second: (seconds % u64::from(DAY_SECONDS)) as u32,
        day_seconds: DAY_SECONDS,
        weather: weather_of(seed, seconds / WEATHER_SECONDS),
    }
}

fn weather_of(seed: u64, stretch: u64) -> Weather {
    let mut draw = fastrand::Rng::with_seed(seed ^ stretch.rotate_left(32)).u32(0..100);
    for (weather, share) in Weather::ALL.into_iter().zip(WEATHER_SHARES) {
        if draw < share {
            return weather;
        }
        draw -= share;
    }
    Weather::Clear
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_follow_from_the_tick() {
        let time = time_at(TickRate::DEFAULT, 1, Tick(20 * (2 * 2_400 + 61) + 19));
        assert_eq!((time.day, time.second), (2, 61));
    }

    #[test]
    fn weather_is_the_same_for_all_and_not_always_the_same() {
        let year: Vec<Weather> = (0..1_000).map(|stretch| weather_of(7, stretch)).collect();
        assert_eq!(year, (0..1_000).map(|stretch| weather_of(7, stretch)).collect::<Vec<_>>());
        for (weather, share) in Weather::ALL.into_iter().zip(WEATHER_SHARES) {
            let days = year.iter().filter(|w| **w == weather).count() as u32;
            assert!(days.abs_diff(share * 10) < 50, "{weather:?} {days} times of 1000");
        }
    }
}
