//! Virtual time: events in order of their moment, then of their making.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::Timestamp;

/// Where every simulation begins: far enough from 0 that nothing underflows.
pub const BEGINNING: Timestamp = Timestamp(1_000_000_000_000);

/// Events to come.
#[derive(Debug)]
pub struct Schedule<E> {
    now: Timestamp,
    made: u64,
    events: BTreeMap<(Timestamp, u64), E>,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self { now: BEGINNING, made: 0, events: BTreeMap::new() }
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
        self.now = entry.key().0;
        Some(entry.remove())
    }
}
