//! The one place where the shell asks what time it is.
//!
//! A [`Clock`] reads the wall clock once and the monotonic clock ever after, so stamps never go back and a jump of the
//! machine's wall clock moves no deadline. Nodes' stamps differ by the error of their wall clocks at start.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pangaea_schemas::Timestamp;

/// Microseconds since the Unix epoch, as this process counts them. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    /// Align with the wall clock, now.
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { started: Instant::now(), started_at: Timestamp(unix.as_micros() as u64) }
    }

    /// The present stamp.
    pub fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }

    /// The instant of a stamp, for waiting; stamps before the start are the start.
    pub fn instant(&self, at: Timestamp) -> Instant {
        self.started + at.since(self.started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_never_go_back_and_deadlines_match_them() {
        let clock = Clock::start();
        let first = clock.now();
        let second = clock.now();
        assert!(first <= second);
        let deadline = clock.instant(second + Duration::from_secs(5));
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(left > Duration::from_secs(4) && left <= Duration::from_secs(5));
    }
}
