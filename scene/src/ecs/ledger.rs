//! Value: systems ask the ledger and read its answers some ticks later.
//!
//! An answer brings its question along, so nobody has to remember what was asked, and a crash forgets nothing: what is asked in a
//! player's name is in the agent's record before the ledger hears of it, and until the answer was acted on. Whoever owns the
//! agent then gets the answer. It may come twice, when an owner ended between acting on it and journaling what it did.

use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Deferred, Res, SystemParam};
use pangaea_schemas::EntityId;
use pangaea_schemas::message::{Holdings, Item, LedgerResult, OpId, RestAnswer, Transaction};

use super::mail::Draft;

/// A change of value that a system asks for.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Transfer {
    /// In whose name: an agent of this shard. None: the shard's own.
    pub by: Option<EntityId>,
    /// What.
    pub transaction: Transaction,
}

/// What became of a change of value.
#[derive(Clone, Debug, PartialEq)]
pub struct Settlement {
    /// Names the operation; the same when the answer comes twice.
    pub op: OpId,
    /// In whose name it was asked.
    pub by: Option<EntityId>,
    /// What was asked.
    pub asked: Transaction,
    /// The ledger's answer, durable; never [`LedgerResult::Unavailable`].
    pub result: LedgerResult,
}

/// As it travels and is recorded.
impl From<&Settlement> for RestAnswer {
    fn from(settlement: &Settlement) -> Self {
        let Settlement { op, by, asked, result } = settlement.clone();
        Self { op, by: by.unwrap_or_default(), asked, result }
    }
}

impl From<RestAnswer> for Settlement {
    fn from(answer: RestAnswer) -> Self {
        let RestAnswer { op, by, asked, result } = answer;
        Self { op, by: by.is_some().then_some(by), asked, result }
    }
}

/// Asks the ledger for changes of value. Nothing has happened until [`Settled`] says so.
#[derive(SystemParam)]
pub struct Ledger<'s> {
    draft: Deferred<'s, Draft<Transfer>>,
}

impl Ledger<'_> {
    /// Ask in the name of an agent of this shard: the ledger refuses if it has another owner by then.
    pub fn ask(&mut self, by: EntityId, transaction: Transaction) {
        self.draft.0.push(Transfer { by: Some(by), transaction });
    }

    /// Ask in nobody's name: what nature does. If the shard's process ends meanwhile, nobody hears the answer.
    pub fn ask_for_nobody(&mut self, transaction: Transaction) {
        self.draft.0.push(Transfer { by: None, transaction });
    }
}

/// The ledger's answers that arrived for this tick.
#[derive(Resource, Default)]
pub struct Answers(pub(crate) Vec<Settlement>);

/// Reads the ledger's answers.
#[derive(SystemParam)]
pub struct Settled<'w> {
    answers: Res<'w, Answers>,
}

impl Settled<'_> {
    /// All that arrived for this tick, in order, looks of the shard itself included.
    pub fn iter(&self) -> impl Iterator<Item = &Settlement> {
        self.answers.0.iter()
    }

    /// What agents have now, from every answer that says so.
    pub fn holdings(&self) -> impl Iterator<Item = &Holdings> {
        self.iter().flat_map(|settlement| match &settlement.result {
            LedgerResult::Done(holdings) | LedgerResult::Traded { holdings, .. } => holdings.as_slice(),
            LedgerResult::Ground(_) | LedgerResult::Refused(_) | LedgerResult::Unavailable(_) => &[],
        })
    }

    /// What lies on the ground of this shard, when the ledger was asked.
    pub fn ground(&self) -> impl Iterator<Item = &Item> {
        self.iter().flat_map(|settlement| match &settlement.result {
            LedgerResult::Ground(items) => items.as_slice(),
            LedgerResult::Done(_) | LedgerResult::Traded { .. } | LedgerResult::Refused(_) | LedgerResult::Unavailable(_) => &[],
        })
    }
}
