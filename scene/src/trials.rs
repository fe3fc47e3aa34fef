//! Whose inputs a shard may die of: after the loss of an owner each player's first inputs are on trial.
//!
//! | trial | happening | next |
//! |---|---|---|
//! | – | recovered by a new owner; came here with crashes | Waiting |
//! | Waiting | an input waits, and it is its turn | Writing: its record says that it is on trial |
//! | Writing | durable | Running: its inputs are applied |
//! | Running | [`TRIAL_TICKS`] ticks are over | –, its record says that it passed |
//!
//! An owner that finds a record on trial was preceded by one that was lost during it: [`judge`] counts that. Inputs that nobody
//! suspects are tried all at once, a tick later than they would be otherwise. Suspects are tried in small groups, and the last of
//! three crashes counts only for an agent that was tried alone. Nothing but records keeps this, so it goes wherever they go:
//! to the journal, to other shards, to other scenes.

use std::collections::BTreeMap;

use pangaea_schemas::EntityId;
use pangaea_schemas::record::SessionState;

/// After so many crashes in a row, the last one alone, an agent is parked.
pub const CRASHES_MAX: u8 = 3;
/// A trial is over when its inputs were applied for so many ticks.
pub const TRIAL_TICKS: u8 = 4;
/// Suspects are tried in about so many groups.
const GROUPS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    Waiting,
    Writing,
    Running { ticks: u8 },
}

/// Who is not beyond suspicion, with the crashes that were counted.
#[derive(Clone, Debug, Default)]
pub struct Trials {
    by_agent: BTreeMap<EntityId, (u8, Trial)>,
}

/// A new owner finds a record; `tried` is how many of its shard were on trial. Whether the agent is to be parked.
pub fn judge(session: &mut SessionState, tried: usize) -> bool {
    if !std::mem::take(&mut session.on_trial) {
        return false;
    }
    session.crashes = session.crashes.saturating_add(1);
    session.crashes >= CRASHES_MAX && tried == 1
}

impl Trials {
    /// The agent's first inputs are to be tried.
    pub fn expect(&mut self, agent: EntityId, crashes: u8) {
        self.by_agent.insert(agent, (crashes, Trial::Waiting));
    }

    /// The agent came from a former owner in the midst of its trial.
    pub fn resume(&mut self, agent: EntityId, crashes: u8) {
        self.by_agent.insert(agent, (crashes, Trial::Running { ticks: TRIAL_TICKS }));
    }

    /// The agent is no longer awake here.
    pub fn forget(&mut self, agent: EntityId) {
        self.by_agent.remove(&agent);
    }

    /// Whether the agent's inputs have to wait.
    pub fn holds(&self, agent: EntityId) -> bool {
        matches!(self.by_agent.get(&agent), Some((_, Trial::Waiting | Trial::Writing)))
    }

    /// Whose trials begin now, of those who `are_ready`: their records must say so before anything else happens.
    pub fn begin(&mut self, are_ready: impl Fn(EntityId) -> bool) -> Vec<EntityId> {
        let waits = |(agent, (crashes, trial)): (&EntityId, &(u8, Trial))| {
            (*trial == Trial::Waiting && are_ready(*agent)).then_some((*agent, *crashes > 0))
        };
        let waiting: Vec<(EntityId, bool)> = self.by_agent.iter().filter_map(waits).collect();
        let suspects: Vec<EntityId> = waiting.iter().filter(|(_, suspect)| *suspect).map(|(agent, _)| *agent).collect();
        let mut under_way = self.by_agent.values().filter(|(_, trial)| *trial != Trial::Waiting);
        let begun = if suspects.is_empty() {
            // Nobody is tried beside suspects: a crash would count for all.
            if under_way.any(|(crashes, _)| *crashes > 0) {
                Vec::new()
            } else {
                waiting.into_iter().map(|(agent, _)| agent).collect()
            }
        } else {
            let group = (suspects.len() / GROUPS).max(1);
            if under_way.next().is_some() { Vec::new() } else { suspects.into_iter().take(group).collect() }
        };
        for agent in &begun {
            self.set(*agent, Trial::Writing);
        }
        begun
    }

    /// The agent's record could not be written yet: it waits on.
    pub fn put_off(&mut self, agent: EntityId) {
        self.set(agent, Trial::Waiting);
    }

    /// The agent's record says that it is on trial.
    pub fn written(&mut self, agent: EntityId) {
        if matches!(self.by_agent.get(&agent), Some((_, Trial::Writing))) {
            self.set(agent, Trial::Running { ticks: TRIAL_TICKS });
        }
    }

    /// A tick is over and nothing happened. Who has passed.
    pub fn survived(&mut self) -> Vec<EntityId> {
        let mut passed = Vec::new();
        self.by_agent.retain(|agent, (_, trial)| {
            let Trial::Running { ticks } = trial else { return true };
            *ticks -= 1;
            if *ticks == 0 {
                passed.push(*agent);
            }
            *ticks > 0
        });
        passed
    }

    fn set(&mut self, agent: EntityId, to: Trial) {
        if let Some((_, trial)) = self.by_agent.get_mut(&agent) {
            *trial = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(ids: std::ops::Range<u64>) -> Vec<EntityId> {
        ids.map(EntityId).collect()
    }

    fn expecting(crashes: &[u8]) -> Trials {
        let mut trials = Trials::default();
        crashes.iter().zip(1..).for_each(|(crashes, id)| trials.expect(EntityId(id), *crashes));
        trials
    }

    #[test]
    fn those_beyond_suspicion_are_tried_together_and_pass_after_some_ticks() {
        let mut trials = expecting(&[0, 0, 0]);
        assert_eq!(trials.begin(|agent| agent != EntityId(2)), [EntityId(1), EntityId(3)]);
        assert!(agents(1..4).iter().all(|agent| trials.holds(*agent)));
        assert!(!trials.holds(EntityId(9)), "nobody expects it");
        trials.written(EntityId(1));
        assert!(!trials.holds(EntityId(1)) && trials.holds(EntityId(3)));
        assert!((1..TRIAL_TICKS).all(|_| trials.survived().is_empty()));
        assert_eq!(trials.survived(), [EntityId(1)]);
    }

    #[test]
    fn suspects_are_tried_alone_and_before_all_others() {
        let mut trials = expecting(&[0, 1, 1]);
        assert_eq!(trials.begin(|_| true), [EntityId(2)]);
        assert_eq!(trials.begin(|_| true), []);
        trials.put_off(EntityId(2));
        assert_eq!(trials.begin(|_| true), [EntityId(2)]);
        trials.written(EntityId(2));
        assert_eq!(trials.begin(|agent| agent == EntityId(1)), [], "a crash would count for both");
        (0..TRIAL_TICKS).for_each(|_| _ = trials.survived());
        assert_eq!(trials.begin(|_| true), [EntityId(3)]);
        trials.forget(EntityId(3));
        assert_eq!(trials.begin(|_| true), [EntityId(1)]);
    }

    #[test]
    fn many_suspects_are_tried_in_groups() {
        assert_eq!(expecting(&[1; 100]).begin(|_| true).len(), 100 / GROUPS);
    }

    #[test]
    fn only_who_was_alone_at_the_third_crash_is_parked() {
        let parked = |crashes, on_trial, tried| {
            let mut session = SessionState { crashes, on_trial, ..SessionState::default() };
            (judge(&mut session, tried), session.crashes, session.on_trial)
        };
        assert_eq!(parked(2, false, 1), (false, 2, false), "somebody else's trial");
        assert_eq!(parked(0, true, 1), (false, 1, false));
        assert_eq!(parked(2, true, 2), (false, 3, false));
        assert_eq!(parked(2, true, 1), (true, 3, false));
        assert_eq!(parked(3, true, 1), (true, 4, false));
    }
}
