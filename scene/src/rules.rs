//! The rules that a scene has: those in force, and those that will be from a tick on.
//!
//! | what comes | then |
//! |---|---|
//! | the first rules | in force at once: there is nothing before them |
//! | later ones, in time | in force from their tick on, as on every other scene |
//! | later ones, too late | in force from the next tick on, with a warning: other scenes had them before |
//! | known or older ones | nothing: the world repeats them until it hears of them |

use std::sync::Arc;

use pangaea_schemas::Tick;
use pangaea_schemas::rules::Rules;

/// Rules that wait for their tick; the world spaces changes so that there is hardly ever more than one.
pub const RULES_WAITING_MAX: usize = 16;

/// What holds now, and what will.
#[derive(Clone, Debug, Default)]
pub struct Rulebook {
    now: Option<Arc<Rules>>,
    /// By rising version.
    waiting: Vec<Arc<Rules>>,
}

impl Rulebook {
    /// In force; `None`: the world has not told them yet, and no shard may run.
    pub fn now(&self) -> Option<&Arc<Rules>> {
        self.now.as_ref()
    }

    /// Version of the latest that were told, in force or not.
    pub fn version(&self) -> u64 {
        self.waiting.last().or(self.now.as_ref()).map_or(0, |rules| rules.version)
    }

    /// The world tells these; `tick` was the last one that ran. Whether what is in force changed.
    pub fn told(&mut self, tick: Tick, rules: Arc<Rules>) -> bool {
        if self.now.is_none() {
            self.now = Some(rules);
            return true;
        }
        if rules.version <= self.version() {
            return false;
        }
        if rules.from <= tick {
            let late = tick.0 - rules.from.0 + 1;
            tracing::warn!(version = rules.version, late, "rules came too late for their tick: others had them before");
        }
        if self.waiting.len() == RULES_WAITING_MAX {
            // The newest says everything.
            self.waiting.remove(0);
        }
        self.waiting.push(rules);
        false
    }

    /// A tick begins. Whether what is in force changed.
    pub fn begin_tick(&mut self, tick: Tick) -> bool {
        let due = self.waiting.iter().take_while(|rules| rules.from <= tick).count();
        if let Some(rules) = self.waiting.drain(..due).next_back() {
            tracing::info!(version = rules.version, from = rules.from.0, "new rules");
            self.now = Some(rules);
        }
        due > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(version: u64, from: u64) -> Arc<Rules> {
        Arc::new(Rules { version, from: Tick(from), ..Rules::default() })
    }

    fn in_force(book: &Rulebook) -> Option<u64> {
        book.now().map(|rules| rules.version)
    }

    #[test]
    fn the_first_hold_at_once_and_later_ones_from_their_tick_on() {
        let mut book = Rulebook::default();
        assert_eq!(in_force(&book), None);
        assert!(book.told(Tick(10), rules(3, 50)));
        assert_eq!(in_force(&book), Some(3));
        assert!(!book.told(Tick(10), rules(4, 13)));
        assert_eq!((book.begin_tick(Tick(12)), in_force(&book), book.version()), (false, Some(3), 4));
        assert_eq!((book.begin_tick(Tick(13)), in_force(&book)), (true, Some(4)));
        assert!(!book.begin_tick(Tick(14)));
    }

    #[test]
    fn repeated_and_older_ones_change_nothing() {
        let mut book = Rulebook::default();
        book.told(Tick(1), rules(5, 1));
        for version in [5, 4, 0] {
            book.told(Tick(2), rules(version, 2));
        }
        assert_eq!((book.begin_tick(Tick(9)), in_force(&book), book.version()), (false, Some(5), 5));
    }

    #[test]
    fn late_ones_hold_from_the_next_tick_on_and_the_newest_counts() {
        let mut book = Rulebook::default();
        book.told(Tick(1), rules(0, 0));
        for version in 1..=40 {
            book.told(Tick(90), rules(version, version));
        }
        assert_eq!((book.begin_tick(Tick(91)), in_force(&book)), (true, Some(40)));
    }
}
