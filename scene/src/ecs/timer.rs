//! Timers: moments of the world's clock that components keep. A timer is a tick, so it means the same wherever the entity goes,
//! after a crash as well, and a tick that is run again sees it end again.

use bytemuck::{Pod, Zeroable};
use pangaea_schemas::registry::FieldType;

use super::plain::{FieldKind, Part};
use super::senses::Clock;

/// When something is over: a field of a component, set with [`Clock::timer`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(transparent)]
pub struct Timer(u64);

impl Timer {
    /// Over since ever.
    pub const OVER: Self = Self(0);
    /// Never over.
    pub const NEVER: Self = Self(u64::MAX);
}

impl FieldKind for Timer {
    const PARTS: &'static [Part] = &[Part { suffix: "", ty: FieldType::U64, offset: 0, length: 1 }];
}

impl Clock<'_> {
    /// Over in so many seconds, rounded up to a tick.
    pub fn timer(&self, seconds: f32) -> Timer {
        Timer(self.tick().0.saturating_add(self.ticks(seconds)))
    }

    /// Whether a timer is over.
    pub fn is_over(&self, timer: Timer) -> bool {
        timer.0 <= self.tick().0
    }

    /// Seconds until a timer is over; 0 when it is.
    pub fn seconds_left(&self, timer: Timer) -> f32 {
        timer.0.saturating_sub(self.tick().0) as f32 * self.dt()
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[component]
    struct Egg {
        hatches: Timer,
        left: f32,
        hatched: u32,
    }

    fn hatching(game: &mut Game) {
        game.component::<Egg>().persistent();
        game.system(Phase::React, |clock: Clock, mut eggs: Query<&mut Egg>| {
            for mut egg in &mut eggs {
                if egg.hatches == Timer::NEVER {
                    egg.hatches = clock.timer(0.2);
                }
                egg.left = clock.seconds_left(egg.hatches);
                egg.hatched = clock.is_over(egg.hatches).into();
            }
        });
    }

    #[test]
    fn a_timer_ends_at_its_tick_also_in_another_scene() {
        let mut world = Harness::new(hatching);
        let egg = world.spawn(Position::new(600.0, 600.0), Egg { hatches: Timer::NEVER, left: 0.0, hatched: 0 });
        world.ticks(3);
        let before = world.get::<Egg>(egg).expect("here");
        assert!(before.hatched == 0 && (before.left - 0.1).abs() < 0.001, "{before:?}");
        let mut world = world.moved();
        world.tick();
        assert_eq!(world.get::<Egg>(egg).expect("here").hatched, 0);
        world.tick();
        assert_eq!(world.get::<Egg>(egg).expect("here").hatched, 1);
    }
}
