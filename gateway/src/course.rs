//! Where clients are told that an entity goes, and when they must be told otherwise.
//!
//! A client lets everybody go on as last told. So an entity that walks straight, or stands, costs nothing: it is told of again
//! when it is not where it was said to be, to [`TOLERANCE_M`]. The check is made once per entity and tick, not per client.
//!
//! There is one course per entity for all clients, and it is absolute. Who hears of it late, because it is far from it or missed
//! an update, hears where the entity is on that course by then.

use pangaea_schemas::Tick;
use pangaea_schemas::geometry::{CellId, Position, Velocity};
use pangaea_schemas::message::Motion;

/// How far an entity may be from where clients expect it, east and south. Two roundings to 3.9 mm lie within it, so that whoever
/// does walk straight is not told of again; with the rounding of what is told it makes less than a centimetre.
const TOLERANCE_M: f32 = 0.005;
/// An entity between two owners is thought to go on for so many ticks.
const HANGS_ON_TICKS: i64 = 10;

/// A place at a tick, and a velocity from then on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Course {
    position: Position,
    velocity: Velocity,
    tick: Tick,
}

/// Where an entity is, by its shard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Whereabouts {
    position: Position,
    velocity: Velocity,
    /// Of its last motion; 0: there was none.
    tick: Tick,
}

impl Course {
    /// Where it is at `tick` on this course.
    pub(crate) fn at(self, tick: Tick, seconds_per_tick: f32) -> Position {
        let seconds = ticks_between(self.tick, tick) as f32 * seconds_per_tick;
        self.position + self.velocity * seconds
    }

    pub(crate) fn velocity(self) -> Velocity {
        self.velocity
    }

    pub(crate) fn moves(self) -> bool {
        self.velocity != Velocity::default()
    }

    /// It stands from `tick` on.
    pub(crate) fn ended(self, tick: Tick, seconds_per_tick: f32) -> Self {
        Self { position: self.at(tick, seconds_per_tick), velocity: Velocity::default(), tick }
    }
}

impl Whereabouts {
    pub(crate) fn told(cell: CellId, motion: &Motion, tick: Tick) -> Self {
        Self { position: motion.offset.position(cell), velocity: motion.velocity(), tick }
    }

    pub(crate) fn is_unknown(self) -> bool {
        self.tick == Tick(0)
    }

    /// The course that begins here.
    pub(crate) fn course(self) -> Course {
        let Self { position, velocity, tick } = self;
        Course { position, velocity, tick }
    }

    /// The course to be told once all news of `tick` are known; `None` when the present one is good enough. Whoever is not in
    /// the news stands where it was, unless it `hangs` between two owners.
    pub(crate) fn correction(self, told: Course, tick: Tick, seconds_per_tick: f32, hangs: bool) -> Option<Course> {
        let age = ticks_between(self.tick, tick);
        if hangs && age < HANGS_ON_TICKS {
            return None;
        }
        let expected = told.at(tick, seconds_per_tick);
        let (x, z) = (expected.x - self.position.x, expected.z - self.position.z);
        if x.abs() <= TOLERANCE_M && z.abs() <= TOLERANCE_M {
            return None;
        }
        let velocity = if age == 0 { self.velocity } else { Velocity::default() };
        Some(Course { position: self.position, velocity, tick })
    }
}

fn ticks_between(from: Tick, to: Tick) -> i64 {
    to.0 as i64 - from.0 as i64
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::EntityId;
    use pangaea_schemas::geometry::SpaceId;

    use super::*;

    const DT: f32 = 0.05;

    fn told(x: f32, vx: f32, tick: u64) -> Whereabouts {
        let cell = CellId { space: SpaceId(0), x: 10, z: 10 };
        let position = Position { x: 320.0 + x, z: 330.0 };
        Whereabouts::told(cell, &Motion::of(EntityId(1), cell, position, Velocity { x: vx, z: 0.0 }), Tick(tick))
    }

    #[test]
    fn whoever_walks_straight_is_told_of_once() {
        let course = told(0.0, 5.87, 100).course();
        let corrections = (101..140).filter(|tick| {
            let x = (tick - 100) as f32 * DT * 5.87;
            told(x, 5.87, *tick).correction(course, Tick(*tick), DT, false).is_some()
        });
        assert_eq!(corrections.count(), 0);
    }

    #[test]
    fn who_turns_or_stops_is_told_of_at_once() {
        let course = told(0.0, 6.0, 100).course();
        assert!(told(0.2, 4.0, 101).correction(course, Tick(101), DT, false).is_some());
        let stopped = told(0.0, 6.0, 100).correction(course, Tick(101), DT, false).expect("it was not heard of");
        assert!(!stopped.moves() && stopped.at(Tick(130), DT).x == 320.0);
        assert!(told(0.0, 6.0, 100).correction(course, Tick(101), DT, true).is_none(), "between two owners it goes on");
    }
}
