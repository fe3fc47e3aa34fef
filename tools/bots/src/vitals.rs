//! How a bot is at this moment, for whoever watches a fleet while it plays.

use std::time::Instant;

use pangaea_schemas::EntityId;

/// Where a bot stands with its gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// On its way into the world.
    #[default]
    Entering,
    /// In the world, over a live connection.
    Playing,
    /// Without a connection; its session waits for it.
    Returning,
    /// It has given up.
    Out,
}

/// One bot's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Where it stands.
    pub stage: Stage,
    /// Whom it plays, once it is in the world.
    pub agent: EntityId,
    /// When the newest input that the world has answered had been sent.
    pub answered: Option<Instant>,
    /// Inputs sent that the world has not answered.
    pub unanswered: usize,
    /// When it was last told what it owns.
    pub told: Option<Instant>,
    /// What it was told last.
    pub belongings: Option<Belongings>,
}

/// What an agent owns, as its client was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Version of the account, where the game tells it.
    pub version: Option<u64>,
    /// Gold.
    pub gold: u64,
    /// How many items.
    pub count: u64,
    /// The first of them.
    pub items: Vec<EntityId>,
}

impl Belongings {
    /// Whether this takes back what `before` told: an older account, or another content of the same one. Only games that tell
    /// versions can be judged.
    pub(crate) fn takes_back(&self, before: &Self) -> bool {
        let versions = self.version.zip(before.version);
        versions.is_some_and(|(now, then)| now < then || (now == then && self != before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: u64, gold: u64) -> Belongings {
        Belongings { version: Some(version), gold, ..Belongings::default() }
    }

    #[test]
    fn what_was_acknowledged_is_not_taken_back() {
        assert!(!at(8, 90).takes_back(&at(7, 100)), "it paid");
        assert!(!at(7, 100).takes_back(&at(7, 100)), "told twice");
        assert!(at(6, 100).takes_back(&at(7, 90)), "the payment is undone");
        assert!(at(7, 100).takes_back(&at(7, 90)), "another history");
        let unversioned = Belongings { version: None, ..at(0, 100) };
        assert!(!unversioned.takes_back(&at(7, 90)));
    }
}
