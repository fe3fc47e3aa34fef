//! A shard's conversation with the ledger: names operations, fills in fences, asks until answered, and hands the answers back.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{LedgerRequest, LedgerResult, OpId, RestOperation, Transaction};
use pangaea_schemas::{AgentEpoch, EntityId, ShardEpoch, Timestamp};

use crate::ecs::LedgerTicket;

/// An operation without an answer is asked again after this, under the same id.
pub(super) const OP_RESEND: Duration = Duration::from_millis(500);
/// Most unanswered operations of one shard; more wait.
pub(super) const OPS_PENDING_MAX: usize = 16_384;

#[derive(Clone, Debug)]
struct Pending {
    request: LedgerRequest,
    ticket: LedgerTicket,
    look: Option<EntityId>,
    resend_at: Timestamp,
}

/// An answered operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answered {
    /// Whose question it was; none for the shard's own looks.
    pub(super) ticket: LedgerTicket,
    /// It was the look that raises this agent's fence.
    pub(super) look: Option<EntityId>,
    /// The answer.
    pub(super) result: LedgerResult,
}

/// Operations on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct LedgerDesk {
    count: u32,
    pending: BTreeMap<OpId, Pending>,
    busy: BTreeMap<EntityId, u32>,
}

impl LedgerDesk {
    /// Whether another operation may be asked.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < OPS_PENDING_MAX
    }

    /// Whether an operation of this agent is unanswered: it may not leave the shard meanwhile.
    pub(super) fn is_busy(&self, agent: EntityId) -> bool {
        self.busy.contains_key(&agent)
    }

    /// Asks. `fences` are the agents concerned with their present epochs.
    pub(super) fn ask(
        &mut self,
        (shard, epoch): (ShardId, ShardEpoch),
        ticket: LedgerTicket,
        fences: Vec<(EntityId, AgentEpoch)>,
        transaction: Transaction,
    ) {
        self.count += 1;
        let op = OpId(u128::from(shard.to_bits()) << 64 | u128::from(epoch.0 as u32) << 32 | u128::from(self.count));
        self.insert(LedgerRequest { op, shard, fences, transaction }, ticket);
    }

    fn insert(&mut self, request: LedgerRequest, ticket: LedgerTicket) {
        for (agent, _) in &request.fences {
            *self.busy.entry(*agent).or_default() += 1;
        }
        let look = match request.transaction {
            Transaction::Look { agent } => Some(agent),
            Transaction::LookGround { .. }
            | Transaction::Mint { .. }
            | Transaction::Burn { .. }
            | Transaction::Pay { .. }
            | Transaction::Create { .. }
            | Transaction::Move { .. }
            | Transaction::Trade { .. } => None,
        };
        let look = look.filter(|_| ticket == LedgerTicket::NONE);
        self.pending.insert(request.op, Pending { request, ticket, look, resend_at: Timestamp(0) });
    }

    /// Unanswered operations, for a new owner of the shard.
    pub(super) fn rest(&self) -> Vec<RestOperation> {
        let pending = self.pending.values();
        pending.map(|p| RestOperation { request: p.request.clone(), ticket: p.ticket.0 }).collect()
    }

    /// Asks again what the former owner asked, under its names: whatever was done already is only answered.
    pub(super) fn take_over(&mut self, operations: Vec<RestOperation>) {
        for RestOperation { request, ticket } in operations {
            self.insert(request, LedgerTicket(ticket));
        }
    }

    /// Requests that are new or due again.
    pub(super) fn poll(&mut self, now: Timestamp) -> Vec<LedgerRequest> {
        let due = self.pending.values_mut().filter(|pending| pending.resend_at <= now);
        due.map(|pending| {
            pending.resend_at = now + OP_RESEND;
            pending.request.clone()
        })
        .collect()
    }

    /// An answer came. `None`: to nothing that is asked, or "not now".
    pub(super) fn answered(&mut self, now: Timestamp, op: OpId, result: LedgerResult) -> Option<Answered> {
        let pending = self.pending.get_mut(&op)?;
        if let LedgerResult::Unavailable(_) = result {
            pending.resend_at = now + OP_RESEND;
            return None;
        }
        let Pending { request, ticket, look, .. } = self.pending.remove(&op)?;
        for (agent, _) in &request.fences {
            if let Some(count) = self.busy.get_mut(agent) {
                *count -= 1;
                if *count == 0 {
                    self.busy.remove(agent);
                }
            }
        }
        Some(Answered { ticket, look, result })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::geometry::SpaceId;

    const AT: fn(u64) -> Timestamp = |ms| Timestamp(ms * 1_000);
    const AGENT: EntityId = EntityId(3);

    #[test]
    fn an_operation_is_asked_under_one_id_until_answered_and_holds_its_agent() {
        let mut desk = LedgerDesk::default();
        let shard = ShardId { space: SpaceId(0), level: 3, x: 1, z: 0 };
        desk.ask((shard, ShardEpoch(2)), LedgerTicket::NONE, vec![(AGENT, AgentEpoch(4))], Transaction::Look { agent: AGENT });
        let first = desk.poll(AT(0)).remove(0);
        assert!(desk.poll(AT(100)).is_empty());
        let again = desk.poll(AT(500)).remove(0);
        assert_eq!(first, again);
        assert!(desk.is_busy(AGENT));
        assert_eq!(desk.answered(AT(510), first.op, LedgerResult::Unavailable("disk full".into())), None);
        assert!(desk.is_busy(AGENT));
        let answer = desk.answered(AT(520), first.op, LedgerResult::Done(vec![])).expect("answered");
        assert_eq!(answer.look, Some(AGENT));
        assert!(!desk.is_busy(AGENT));
        assert_eq!(desk.answered(AT(530), first.op, LedgerResult::Done(vec![])), None, "doubled");
    }
}
