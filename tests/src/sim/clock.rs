//! A process's own clock: it began a little off, runs a little fast or slow, and may jump or stand still.
//!
//! Cores hear only their own process's time. The schedule runs in true time, which nobody in the cluster knows.

use std::time::Duration;

use fastrand::Rng;
use pangaea_schemas::Timestamp;

/// Clocks of machines that keep their time in step differ by so many microseconds at most.
const ERROR_US_MAX: u64 = 30_000;
/// … and drift by so many microseconds per second.
const DRIFT_PPM_MAX: i64 = 200;
/// Parts per whole.
const MILLION: i128 = 1_000_000;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// At this moment in true time …
    origin: Timestamp,
    /// … it showed this.
    shown: Timestamp,
    ppm: i64,
}

impl Clock {
    /// A clock that starts at `now`.
    pub fn start(now: Timestamp, rng: &mut Rng) -> Self {
        let shown = Timestamp(now.0 - ERROR_US_MAX + rng.u64(..2 * ERROR_US_MAX));
        Self { origin: now, shown, ppm: rng.i64(-DRIFT_PPM_MAX..=DRIFT_PPM_MAX) }
    }

    /// What it shows at a moment in true time.
    pub fn at(&self, now: Timestamp) -> Timestamp {
        let passed = now.since(self.origin).as_micros() as i128;
        self.shown + Duration::from_micros((passed * (MILLION + i128::from(self.ppm)) / MILLION) as u64)
    }

    /// The moment in true time from which on it shows `at` or later.
    pub fn when(&self, at: Timestamp) -> Timestamp {
        let shows = at.since(self.shown).as_micros() as i128;
        let rate = MILLION + i128::from(self.ppm);
        self.origin + Duration::from_micros(((shows * MILLION + rate - 1) / rate) as u64)
    }

    /// It skips some time.
    pub fn jump(&mut self, by: Duration) {
        self.shown = self.shown + by;
    }

    /// It does not count the next `span` of time.
    pub fn stand_still(&mut self, now: Timestamp, span: Duration) {
        self.shown = self.at(now);
        self.origin = now + span;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(5_000_000_000);

    #[test]
    fn a_deadline_comes_when_the_clock_shows_it_and_not_before() {
        let mut rng = Rng::with_seed(3);
        for _ in 0..1_000 {
            let clock = Clock::start(NOW, &mut rng);
            let deadline = clock.at(NOW) + Duration::from_micros(rng.u64(..60_000_000));
            let then = clock.when(deadline);
            assert!(clock.at(then) >= deadline);
            assert!(clock.at(Timestamp(then.0 - 1)) < deadline || then == NOW);
        }
    }

    #[test]
    fn a_clock_that_stood_still_is_behind_and_one_that_jumped_is_ahead() {
        let mut clock = Clock { origin: NOW, shown: NOW, ppm: 0 };
        let second = Duration::from_secs(1);
        clock.stand_still(NOW, second);
        assert_eq!((clock.at(NOW), clock.at(NOW + second), clock.at(NOW + 2 * second)), (NOW, NOW, NOW + second));
        clock.jump(3 * second);
        assert_eq!(clock.at(NOW + 2 * second), NOW + 4 * second);
    }
}
