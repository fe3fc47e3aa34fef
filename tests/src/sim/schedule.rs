//! Virtual time: events in order of their moment, then of their making.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::Timestamp;

/// Where every simulation begins: far enough from 0 that nothing underflows.
pub const BEGINNING: Timestamp = Timestamp(1_000_000_000_000);

/// Most events in one moment, a microsecond. With more, somebody asks to be woken now, over and over.
const AT_ONCE_MAX: u32 = 10_000;

/// Events to come.
#[derive(Debug)]
pub struct Schedule<E> {
    now: Timestamp,
    /// Events taken in this moment.
    at_once: u32,
    made: u64,
    events: BTreeMap<(Timestamp, u64), E>,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self { now: BEGINNING, at_once: 0, made: 0, events: BTreeMap::new() }
    }
}

impl<E> Schedule<E> {
    /// The moment of the last event taken.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Let `event` happen at `at`, now at the earliest.
    pub fn at(&mut self, at: Timestamp, event: E) {
        self.made += 1;
        self.events.insert((at.max(self.now), self.made), event);
    }

    /// Let `event` happen after `delay`.
    pub fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now + delay, event);
    }

    /// The next event up to `end`; time jumps to it.
    pub fn next(&mut self, end: Timestamp) -> Option<E> {
        let entry = self.events.first_entry().filter(|entry| entry.key().0 <= end)?;
        let at = entry.key().0;
        self.at_once = if at == self.now { self.at_once + 1 } else { 1 };
        self.now = at;
        Some(entry.remove())
    }

    /// Whether time does not go on for so many events that it never will.
    pub fn stands_still(&self) -> bool {
        self.at_once > AT_ONCE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_stands_still_is_told_from_much_at_once() {
        let mut schedule = Schedule::default();
        let end = BEGINNING + Duration::from_secs(60);
        for _ in 0..AT_ONCE_MAX {
            schedule.after(Duration::from_millis(1), ());
            schedule.next(end).expect("one");
        }
        assert!(!schedule.stands_still(), "it went on");
        for _ in 0..AT_ONCE_MAX {
            assert!(!schedule.stands_still());
            schedule.at(BEGINNING, ());
            schedule.next(end).expect("one");
        }
        assert!(schedule.stands_still());
    }
}
