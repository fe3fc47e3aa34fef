//! Whose changes the journal does not have yet: each within a second, spread over the ticks by runs of ids.
//!
//! Records lie on disk in order of id, and a commit writes whole pages: who lie on one page take the same turn.
//!
//! In a crowd everybody is named in every tick and taken once in a second, so naming is what must be cheap: who takes the same
//! turn is in one hashed set, and put in order only when taken. One set for all would be ten times as large, and each taking a
//! removal.

use pangaea_schemas::{EntityId, Tick};
use rustc_hash::FxHashSet;

/// Ids in a row that take the same turn: their records fill a few pages of 4 KiB.
const RUN_IDS: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Unsaved {
    /// Who waits, by the tick of the period in which it is taken. Never left unsorted.
    turns: Vec<FxHashSet<EntityId>>,
}

impl Default for Unsaved {
    fn default() -> Self {
        Self::within(1)
    }
}

impl Unsaved {
    /// Everybody is taken within so many ticks.
    pub(super) fn within(ticks: u64) -> Self {
        Self { turns: vec![FxHashSet::default(); ticks.max(1) as usize] }
    }

    pub(super) fn insert(&mut self, entity: EntityId) {
        self.turn(entity.0 / RUN_IDS).insert(entity);
    }

    pub(super) fn remove(&mut self, entity: EntityId) {
        self.turn(entity.0 / RUN_IDS).remove(&entity);
    }

    /// Those whose turn it is, in order.
    pub(super) fn take_due(&mut self, tick: Tick) -> Vec<EntityId> {
        sorted(self.turn(tick.0).drain())
    }

    /// Everybody, in order.
    pub(super) fn take_all(&mut self) -> Vec<EntityId> {
        sorted(self.turns.iter_mut().flat_map(FxHashSet::drain))
    }

    /// Everybody, in order; they go on waiting.
    pub(super) fn all(&self) -> Vec<EntityId> {
        sorted(self.turns.iter().flatten().copied())
    }

    fn turn(&mut self, number: u64) -> &mut FxHashSet<EntityId> {
        let turns = self.turns.len() as u64;
        &mut self.turns[(number % turns) as usize]
    }
}

fn sorted(entities: impl Iterator<Item = EntityId>) -> Vec<EntityId> {
    let mut entities: Vec<EntityId> = entities.collect();
    entities.sort_unstable();
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `n`-th id of each of these runs.
    fn ids(n: u64, runs: &[u64]) -> Vec<EntityId> {
        runs.iter().map(|run| EntityId(run * RUN_IDS + n)).collect()
    }

    #[test]
    fn everybody_is_taken_once_in_a_period_and_in_order() {
        let mut unsaved = Unsaved::within(4);
        ids(0, &[9, 5, 1, 2, 5, 9]).into_iter().for_each(|id| unsaved.insert(id));
        assert_eq!(unsaved.take_due(Tick(1)), ids(0, &[1, 5, 9]));
        assert_eq!(unsaved.take_due(Tick(5)), []);
        assert_eq!((unsaved.all(), unsaved.take_all(), unsaved.all()), (ids(0, &[2]), ids(0, &[2]), Vec::new()));
        assert_eq!(unsaved.take_due(Tick(2)), []);
    }

    #[test]
    fn who_lie_side_by_side_on_disk_are_taken_together() {
        let mut unsaved = Unsaved::within(4);
        (0..RUN_IDS * 3).for_each(|id| unsaved.insert(EntityId(id)));
        let runs = [0, 1, 2, 3].map(|tick| unsaved.take_due(Tick(tick)).iter().map(|id| id.0 / RUN_IDS).collect::<Vec<_>>());
        assert_eq!(runs, [0, 1, 2, 3].map(|run| vec![run; if run < 3 { RUN_IDS as usize } else { 0 }]));
    }

    #[test]
    fn whoever_goes_and_comes_back_is_taken_once() {
        let mut unsaved = Unsaved::within(4);
        unsaved.insert(EntityId(8));
        unsaved.remove(EntityId(8));
        assert_eq!(unsaved.all(), []);
        unsaved.insert(EntityId(8));
        unsaved.insert(EntityId(8));
        assert_eq!((unsaved.take_due(Tick(0)), unsaved.take_due(Tick(4))), (ids(8, &[0]), Vec::new()));
    }
}
