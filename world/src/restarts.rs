//! A shard whose owners go one after the other takes every scene that it is given to with it. It is set apart for a while,
//! loudly, so that the others play on.

use std::time::Duration;

use pangaea_schemas::Timestamp;

/// So many lost owners …
pub const RESTARTS_MAX: usize = 5;
/// … within this time put a shard in quarantine.
pub const RESTARTS_WITHIN: Duration = Duration::from_secs(10);
/// Nobody is told to claim a shard in quarantine for this long.
pub const QUARANTINE: Duration = Duration::from_secs(30);

/// When a shard lost its last owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restarts {
    /// A ring; zero where there was none yet.
    lost: [Timestamp; RESTARTS_MAX],
    at: usize,
}

impl Restarts {
    /// The shard lost an owner. `Some`: the fifth in ten seconds; it is in quarantine until then, and counts anew.
    pub(crate) fn note(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.lost[self.at] = now;
        self.at = (self.at + 1) % RESTARTS_MAX;
        let oldest = self.lost[self.at];
        let too_many = oldest != Timestamp(0) && now.since(oldest) <= RESTARTS_WITHIN;
        too_many.then(|| {
            *self = Self::default();
            now + QUARANTINE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quarantined(at_s: &[u64]) -> Vec<u64> {
        let mut restarts = Restarts::default();
        let at = |s: u64| Timestamp((1_000 + s) * 1_000_000);
        at_s.iter().copied().filter(|s| restarts.note(at(*s)) == Some(at(*s) + QUARANTINE)).collect()
    }

    #[test]
    fn five_restarts_in_ten_seconds_are_too_many() {
        assert_eq!(quarantined(&[0, 2, 5, 8, 10]), [10]);
        assert_eq!(quarantined(&[0, 1, 2, 3]), [0u64; 0]);
        assert_eq!(quarantined(&[0, 3, 6, 9, 12, 15, 18]), [0u64; 0], "an owner lost now and then is no disease");
        assert_eq!(quarantined(&[0, 1, 2, 3, 4, 35, 36, 37, 38, 39]), [4, 39], "it counts anew");
    }
}
