//! A shard's open operations: when the ledger may be asked, and asking until it answers.
//!
//! | stage | happening | next |
//! |---|---|---|
//! | – | asked in a player's name | Unwritten |
//! | – | asked in nobody's name, a look, found in an agent's record | Ready |
//! | Unwritten | the agent's record with it is durable | Ready |
//! | Ready | the shard is confirmed and the agent's value may be touched | Asked |
//! | Asked | no answer for [`OP_RESEND`], "not now" | Asked again under the same name |
//! | Asked | an answer | gone |
//! | any | the agent leaves or falls asleep | gone: it goes with its record |

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{LedgerRequest, LedgerResult, OpId, RestOperation, Transaction};
use pangaea_schemas::{AgentEpoch, EntityId, ShardEpoch, Timestamp};

use crate::ecs::Settlement;

/// An operation without an answer is asked again after this, under the same id.
pub(super) const OP_RESEND: Duration = Duration::from_millis(500);
/// Most open operations of one shard.
pub(super) const OPS_OPEN_MAX: usize = 16_384;

/// In whose name an operation is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// An agent's; it is in the agent's record if the agent is a player's.
    Agent(EntityId),
    /// The shard's, to raise the fence of an agent whose value may not be touched before.
    Gate(EntityId),
    /// Nobody's.
    Nobody,
}

impl Asker {
    /// The agent that it concerns.
    pub(super) fn agent(self) -> Option<EntityId> {
        match self {
            Self::Agent(agent) | Self::Gate(agent) => Some(agent),
            Self::Nobody => None,
        }
    }
}

/// See the table of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Unwritten,
    Ready,
    Asked { again_at: Timestamp },
}

#[derive(Clone, Debug)]
struct Open {
    asker: Asker,
    transaction: Transaction,
    stage: Stage,
}

/// Open operations, in order of name.
#[derive(Clone, Debug, Default)]
pub(super) struct LedgerDesk {
    count: u32,
    open: BTreeMap<OpId, Open>,
    /// How many of each agent.
    busy: BTreeMap<EntityId, u32>,
}

impl LedgerDesk {
    /// Whether another operation may be opened.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < OPS_OPEN_MAX
    }

    /// Whether an operation of this agent is open: it may not leave the shard meanwhile, so that answers come to where they were
    /// asked for.
    pub(super) fn is_busy(&self, agent: EntityId) -> bool {
        self.busy.contains_key(&agent)
    }

    /// Agents with an operation that is not in their durable record yet: what they did must not be acknowledged.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = (OpId, EntityId)> {
        let unwritten = self.open.iter().filter(|(_, open)| open.stage == Stage::Unwritten);
        unwritten.filter_map(|(op, open)| Some((*op, open.asker.agent()?)))
    }

    /// A name that no operation ever had: epochs are used once.
    pub(super) fn name(&mut self, (shard, epoch): (ShardId, ShardEpoch)) -> OpId {
        self.count += 1;
        OpId(u128::from(shard.to_bits()) << 64 | u128::from(epoch.0 as u32) << 32 | u128::from(self.count))
    }

    /// An operation begins. One that is open already goes on.
    pub(super) fn open(&mut self, op: OpId, asker: Asker, transaction: Transaction, stage: Stage) {
        if self.open.contains_key(&op) {
            return;
        }
        if let Some(agent) = asker.agent() {
            *self.busy.entry(agent).or_default() += 1;
        }
        self.open.insert(op, Open { asker, transaction, stage });
    }

    /// The records with this operation are durable.
    pub(super) fn written(&mut self, op: OpId) {
        if let Some(open) = self.open.get_mut(&op).filter(|open| open.stage == Stage::Unwritten) {
            open.stage = Stage::Ready;
        }
    }

    /// Requests that are new or due again. `fence` gives the epoch under which an agent is vouched for; none: not now.
    pub(super) fn poll(
        &mut self,
        now: Timestamp,
        shard: ShardId,
        fence: impl Fn(Asker) -> Option<Vec<(EntityId, AgentEpoch)>>,
    ) -> Vec<LedgerRequest> {
        let due = |open: &Open| match open.stage {
            Stage::Unwritten => false,
            Stage::Ready => true,
            Stage::Asked { again_at } => again_at <= now,
        };
        let mut requests = Vec::new();
        for (op, open) in self.open.iter_mut().filter(|(_, open)| due(open)) {
            let Some(fences) = fence(open.asker) else { continue };
            open.stage = Stage::Asked { again_at: now + OP_RESEND };
            requests.push(LedgerRequest { op: *op, shard, fences, transaction: open.transaction.clone() });
        }
        requests
    }

    /// An answer came. `None`: to nothing that is open, or "not now".
    pub(super) fn answered(&mut self, now: Timestamp, op: OpId, result: LedgerResult) -> Option<(Asker, Settlement)> {
        let open = self.open.get_mut(&op)?;
        if let LedgerResult::Unavailable(_) = result {
            open.stage = Stage::Asked { again_at: now + OP_RESEND };
            return None;
        }
        let Open { asker, transaction, .. } = self.open.remove(&op)?;
        self.no_longer_busy(asker);
        Some((asker, Settlement { op, by: asker.agent(), asked: transaction, result }))
    }

    /// Open operations, for a new owner of the shard. The journal holds all that must be written before they are asked.
    pub(super) fn rest(&self) -> Vec<RestOperation> {
        let rest = |(op, open): (&OpId, &Open)| {
            let (by, gate) = (open.asker.agent().unwrap_or_default(), matches!(open.asker, Asker::Gate(_)));
            RestOperation { op: *op, by, gate, transaction: open.transaction.clone() }
        };
        self.open.iter().map(rest).collect()
    }

    /// Asks again what the former owner asked, under its names: whatever was done already is only answered.
    pub(super) fn take_over(&mut self, operations: Vec<RestOperation>) {
        for RestOperation { op, by, gate, transaction } in operations {
            let asker = match (by.is_some(), gate) {
                (true, true) => Asker::Gate(by),
                (true, false) => Asker::Agent(by),
                (false, _) => Asker::Nobody,
            };
            self.open(op, asker, transaction, Stage::Ready);
        }
    }

    /// An agent goes, and its operations with it.
    pub(super) fn forget(&mut self, agent: EntityId) {
        if self.busy.remove(&agent).is_some() {
            self.open.retain(|_, open| open.asker.agent() != Some(agent));
        }
    }

    fn no_longer_busy(&mut self, asker: Asker) {
        let Some(agent) = asker.agent() else { return };
        if let Some(count) = self.busy.get_mut(&agent) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::geometry::SpaceId;

    const AT: fn(u64) -> Timestamp = |ms| Timestamp(ms * 1_000);
    const AGENT: EntityId = EntityId(3);
    const SHARD: ShardId = ShardId { space: SpaceId(0), level: 3, x: 1, z: 0 };

    fn vouched(asker: Asker) -> Option<Vec<(EntityId, AgentEpoch)>> {
        Some(asker.agent().map(|agent| (agent, AgentEpoch(4))).into_iter().collect())
    }

    fn look(desk: &mut LedgerDesk, stage: Stage) -> OpId {
        let op = desk.name((SHARD, ShardEpoch(2)));
        desk.open(op, Asker::Agent(AGENT), Transaction::Look { agent: AGENT }, stage);
        op
    }

    #[test]
    fn an_operation_is_asked_under_one_name_until_answered_and_holds_its_agent() {
        let mut desk = LedgerDesk::default();
        let op = look(&mut desk, Stage::Ready);
        let first = desk.poll(AT(0), SHARD, vouched);
        assert_eq!((first.len(), first[0].op, &first[0].fences), (1, op, &vec![(AGENT, AgentEpoch(4))]));
        assert!(desk.poll(AT(100), SHARD, vouched).is_empty());
        assert_eq!(desk.poll(AT(500), SHARD, vouched), first);
        assert_eq!(desk.answered(AT(510), op, LedgerResult::Unavailable("disk full".into())), None);
        assert!(desk.is_busy(AGENT));
        let (_, settlement) = desk.answered(AT(520), op, LedgerResult::Done(vec![])).expect("answered");
        assert_eq!((settlement.op, settlement.by, settlement.asked), (op, Some(AGENT), Transaction::Look { agent: AGENT }));
        assert!(!desk.is_busy(AGENT));
        assert_eq!(desk.answered(AT(530), op, LedgerResult::Done(vec![])), None, "doubled");
    }

    #[test]
    fn the_ledger_hears_nothing_of_what_is_not_written_or_not_vouched_for() {
        let mut desk = LedgerDesk::default();
        let op = look(&mut desk, Stage::Unwritten);
        assert!(desk.poll(AT(0), SHARD, vouched).is_empty());
        assert_eq!(desk.unwritten().collect::<Vec<_>>(), [(op, AGENT)]);
        desk.written(op);
        assert!(desk.poll(AT(0), SHARD, |_| None).is_empty());
        assert_eq!(desk.poll(AT(0), SHARD, vouched).len(), 1);
        assert_eq!(desk.unwritten().count(), 0);
    }

    #[test]
    fn operations_go_with_their_agent() {
        let mut desk = LedgerDesk::default();
        let op = look(&mut desk, Stage::Ready);
        look(&mut desk, Stage::Unwritten);
        desk.poll(AT(0), SHARD, vouched);
        desk.forget(AGENT);
        assert!(!desk.is_busy(AGENT));
        assert_eq!(desk.answered(AT(1), op, LedgerResult::Done(vec![])), None, "its new owner asks for itself");
    }
}
