//! Locking out: after some failures a name has to wait, longer each time. By name, whether it exists or not.
//!
//! An attempt counts when it begins, so that many at once are not many free guesses; success, or a failure that was not the
//! client's, takes it back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pangaea_schemas::Timestamp;

/// Attempts before the first wait.
pub const ATTEMPTS_FREE: u32 = 5;
/// The first wait, doubled with each further attempt up to [`WAIT_MAX`].
pub const WAIT_FIRST: Duration = Duration::from_secs(5);
/// The longest wait; after as long without an attempt the name is forgotten.
pub const WAIT_MAX: Duration = Duration::from_secs(15 * 60);
/// Most names remembered; beyond it the one whose last attempt is oldest is forgotten.
pub const LOCKED_NAMES_MAX: usize = 10_000;

/// Names with failed attempts.
#[derive(Debug, Default)]
pub(crate) struct Lockouts {
    names: BTreeMap<String, Attempts>,
    by_age: BTreeSet<(Timestamp, String)>,
}

#[derive(Clone, Copy, Debug)]
struct Attempts {
    count: u32,
    last: Timestamp,
}

impl Attempts {
    fn free_at(self) -> Timestamp {
        let Some(over) = self.count.checked_sub(ATTEMPTS_FREE) else { return self.last };
        self.last + WAIT_FIRST.saturating_mul(1 << over.min(16)).min(WAIT_MAX)
    }
}

impl Lockouts {
    /// Counts an attempt, or says how long to wait before the next one.
    pub(crate) fn attempt(&mut self, now: Timestamp, name: &str) -> Result<(), Duration> {
        self.forget(now);
        let wait = self.wait(now, name);
        if !wait.is_zero() {
            return Err(wait);
        }
        let count = self.names.get(name).map_or(0, |attempts| attempts.count);
        self.set(name, Attempts { count: count + 1, last: now });
        Ok(())
    }

    /// How long to wait before the next attempt; zero: it is free.
    pub(crate) fn wait(&self, now: Timestamp, name: &str) -> Duration {
        self.names.get(name).map_or(Duration::ZERO, |attempts| attempts.free_at().since(now))
    }

    /// The right password: all is forgiven.
    pub(crate) fn succeeded(&mut self, name: &str) {
        self.clear(name);
    }

    /// The attempt failed through no fault of the client.
    pub(crate) fn forgive(&mut self, name: &str) {
        let Some(attempts) = self.names.get(name).copied() else { return };
        match attempts.count - 1 {
            0 => self.clear(name),
            count => self.set(name, Attempts { count, last: attempts.last }),
        }
    }

    fn set(&mut self, name: &str, attempts: Attempts) {
        self.clear(name);
        if self.names.len() >= LOCKED_NAMES_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.names.remove(&oldest);
        }
        self.by_age.insert((attempts.last, name.to_owned()));
        self.names.insert(name.to_owned(), attempts);
    }

    fn clear(&mut self, name: &str) {
        if let Some(attempts) = self.names.remove(name) {
            self.by_age.remove(&(attempts.last, name.to_owned()));
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((last, _)) = self.by_age.first() {
            if now.since(*last) < WAIT_MAX * 2 {
                return;
            }
            if let Some((_, name)) = self.by_age.pop_first() {
                self.names.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(10_000_000_000);

    /// Attempts that are let through at one moment.
    fn allowed(lockouts: &mut Lockouts, now: Timestamp, name: &str) -> u32 {
        (0..20).filter(|_| lockouts.attempt(now, name).is_ok()).count() as u32
    }

    #[test]
    fn waits_grow_to_their_bound() {
        let mut lockouts = Lockouts::default();
        assert_eq!(allowed(&mut lockouts, START, "ana"), ATTEMPTS_FREE);
        let mut now = START;
        let mut waits = Vec::new();
        for _ in 0..10 {
            let wait = lockouts.wait(now, "ana");
            waits.push(wait.as_secs());
            now = now + wait;
            assert_eq!(allowed(&mut lockouts, now, "ana"), 1, "one guess per wait");
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]);
        assert_eq!(allowed(&mut lockouts, START, "bob"), ATTEMPTS_FREE, "others are free");
    }

    #[test]
    fn success_and_forgiveness_free_a_name() {
        let mut lockouts = Lockouts::default();
        allowed(&mut lockouts, START, "ana");
        lockouts.forgive("ana");
        assert_eq!(allowed(&mut lockouts, START, "ana"), 1);
        lockouts.succeeded("ana");
        assert_eq!(allowed(&mut lockouts, START, "ana"), ATTEMPTS_FREE);
    }

    #[test]
    fn memory_is_bounded_and_ages() {
        let mut lockouts = Lockouts::default();
        for n in 0..LOCKED_NAMES_MAX as u64 + 10 {
            lockouts.attempt(START + Duration::from_millis(n), &format!("name{n}")).expect("a first attempt");
        }
        assert_eq!((lockouts.names.len(), lockouts.by_age.len()), (LOCKED_NAMES_MAX, LOCKED_NAMES_MAX));
        assert!(!lockouts.names.contains_key("name9"), "the oldest went");
        lockouts.attempt(START + WAIT_MAX * 3, "late").expect("a first attempt");
        assert_eq!((lockouts.names.len(), lockouts.by_age.len()), (1, 1));
    }
}
