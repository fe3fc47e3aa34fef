//! Where a bot goes: a target chosen by the scenario, a new one when it is reached or time is up.

use std::time::{Duration, Instant};

use fastrand::Rng;
use pangaea_schemas::geometry::Position;

use crate::Scenario;

/// A target counts as reached from here.
const REACHED_M: f32 = 1.5;
/// How far beyond a border a storming bot turns round.
const STORM_M: f32 = 7.0;
/// How far a rushing bot goes out first.
const RUSH_OUT_M: f32 = 120.0;

/// One bot's way.
pub(crate) struct Pilot {
    scenario: Scenario,
    rng: Rng,
    /// The middle of the map, where shards meet.
    middle: Position,
    edge_m: f32,
    target: Position,
    until: Instant,
    legs: u32,
}

impl Pilot {
    pub(crate) fn new(scenario: Scenario, rng: Rng, edge_m: f32, now: Instant) -> Self {
        let middle = Position { x: edge_m / 2.0, z: edge_m / 2.0 };
        Self { scenario, rng, middle, edge_m, target: middle, until: now, legs: 0 }
    }

    /// The direction for the next step in 1/127 of full speed; (0, 0) is a rest.
    pub(crate) fn steer(&mut self, now: Instant, at: Position) -> (i8, i8) {
        if now >= self.until || at.distance(self.target) < REACHED_M {
            self.next_leg(now, at);
        }
        let way = self.target - at;
        let length = way.speed();
        if length < REACHED_M / 2.0 {
            return (0, 0);
        }
        ((way.x / length * 127.0) as i8, (way.z / length * 127.0) as i8)
    }

    /// Whether something with this chance happens now.
    pub(crate) fn chance(&mut self, of: f32) -> bool {
        self.rng.f32() < of
    }

    fn next_leg(&mut self, now: Instant, at: Position) {
        self.legs += 1;
        let (target, patience) = match self.scenario {
            Scenario::Wander => (self.around(at, 40.0), 12.0),
            Scenario::BorderStorm => (self.across(at), 6.0),
            Scenario::CityRush if self.legs == 1 => (self.around(self.middle, RUSH_OUT_M), 15.0),
            Scenario::CityRush => (self.around(self.middle, 12.0), 30.0),
        };
        self.target = self.inside(target);
        self.until = now + Duration::from_secs_f32(patience);
    }

    fn around(&mut self, centre: Position, radius: f32) -> Position {
        let (angle, away) = (self.rng.f32() * std::f32::consts::TAU, radius * self.rng.f32().sqrt());
        Position { x: centre.x + angle.cos() * away, z: centre.z + angle.sin() * away }
    }

    /// Over the north-south border, the west-east border, or the corner where four shards meet.
    fn across(&mut self, at: Position) -> Position {
        let other_side = |v: f32, middle: f32| if v < middle { middle + STORM_M } else { middle - STORM_M };
        let along = |v: f32, drift: f32| v + drift;
        let drift = self.rng.f32() * 8.0 - 4.0;
        match self.rng.u32(0..4) {
            0 | 1 => Position { x: other_side(at.x, self.middle.x), z: along(at.z, drift) },
            2 => Position { x: along(at.x, drift), z: other_side(at.z, self.middle.z) },
            _ => Position { x: other_side(at.x, self.middle.x), z: other_side(at.z, self.middle.z) },
        }
    }

    fn inside(&self, target: Position) -> Position {
        let last = self.edge_m - 4.0;
        Position { x: target.x.clamp(4.0, last), z: target.z.clamp(4.0, last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a bot walks in 60 s at 6 m/s, twenty steps a second.
    fn way(scenario: Scenario, seed: u64) -> Vec<Position> {
        let start = Instant::now();
        let mut pilot = Pilot::new(scenario, Rng::with_seed(seed), 1_024.0, start);
        let mut at = Position { x: 505.0, z: 510.0 };
        let walk = (0..1_200).map(|step| {
            let (dx, dz) = pilot.steer(start + Duration::from_millis(50 * step), at);
            at = Position { x: at.x + f32::from(dx) / 127.0 * 0.3, z: at.z + f32::from(dz) / 127.0 * 0.3 };
            at
        });
        walk.collect()
    }

    #[test]
    fn a_storming_bot_crosses_borders_all_the_time() {
        let way = way(Scenario::BorderStorm, 3);
        let sides: Vec<_> = way.iter().map(|at| (at.x < 512.0, at.z < 512.0)).collect();
        let crossings = sides.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(crossings >= 12, "{crossings}");
        assert!(way.iter().all(|at| at.distance(Position { x: 512.0, z: 512.0 }) < 200.0));
    }

    #[test]
    fn a_rush_goes_out_and_ends_in_the_centre() {
        let way = way(Scenario::CityRush, 5);
        let last = way.last().expect("a way");
        assert!(last.distance(Position { x: 512.0, z: 512.0 }) < 15.0, "{last:?}");
    }

    #[test]
    fn the_same_seed_walks_the_same_way() {
        assert_eq!(way(Scenario::Wander, 9), way(Scenario::Wander, 9));
        assert_ne!(way(Scenario::Wander, 9), way(Scenario::Wander, 10));
    }
}
