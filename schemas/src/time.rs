//! Time as the cores see it: an argument, never a clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// Microseconds on the node's monotonic clock, aligned at start to the Unix epoch. Two nodes' stamps differ by clock error,
/// so a stamp never decides ownership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Time since `earlier`, zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0 + span.as_micros() as u64)
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_micros() as u64))
    }
}

/// A tick's number: the same moment on every node. Counts from the Unix epoch at the cluster's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// The tick after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Ticks since `earlier`, zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// The cluster's tick rate in Hz, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickRate(u16);

impl TickRate {
    /// The usual 20 Hz.
    pub const DEFAULT: Self = Self(20);

    /// A rate in Hz; `None` outside 1 to 100.
    pub fn new(hz: u16) -> Option<Self> {
        (1..=100).contains(&hz).then_some(Self(hz))
    }

    /// Ticks per second.
    pub fn hz(self) -> u16 {
        self.0
    }

    /// Time between two ticks.
    pub fn interval(self) -> Duration {
        Duration::from_micros(1_000_000 / u64::from(self.0))
    }

    /// Seconds per tick, for game arithmetic.
    pub fn seconds_per_tick(self) -> f32 {
        1.0 / f32::from(self.0)
    }

    /// The tick that is running at `now`.
    pub fn tick_at(self, now: Timestamp) -> Tick {
        Tick((u128::from(now.0) * u128::from(self.0) / 1_000_000) as u64)
    }

    /// When `tick` starts: the earliest stamp at which it is the running one.
    pub fn start_of(self, tick: Tick) -> Timestamp {
        Timestamp((u128::from(tick.0) * 1_000_000).div_ceil(u128::from(self.0)) as u64)
    }

    /// How many whole ticks fit in `span`.
    pub fn ticks_in(self, span: Duration) -> u64 {
        (span.as_micros() * u128::from(self.0) / 1_000_000) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_starts_when_it_is_the_running_one() {
        for hz in [1, 7, 20, 30, 100] {
            let rate = TickRate::new(hz).expect("in range");
            for n in [0, 1, 2, 3, 999_999_937] {
                let start = rate.start_of(Tick(n));
                assert_eq!(rate.tick_at(start), Tick(n));
                if start.0 > 0 {
                    assert_eq!(rate.tick_at(Timestamp(start.0 - 1)), Tick(n - 1));
                }
            }
        }
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        assert_eq!(TickRate::new(0), None);
        assert_eq!(TickRate::new(101), None);
    }
}
