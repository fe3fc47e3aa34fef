//! The ledger: every change of value, by one writer, in one transaction each.
//!
//! A request is done in this order: answered before → the same answer; a fence above one given → `Stale`; fences rise (also
//! when the transaction is then refused: an owner that asks is an owner); the transaction happens whole or not at all; the
//! result is stored.
//!
//! Looks change no value, so they are not stored: asked again, they look again.

mod accounts;

mod postings;

mod items;

mod trades;

mod operations;

mod ring;

mod audit;

use std::collections::BTreeMap;

use pangaea_schemas::message::{LedgerRefusal, LedgerReply, LedgerRequest, LedgerResult, Owner, Transaction};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::{AgentEpoch, EntityId, Timestamp};

use crate::batch::Batch;
use crate::store::StoreError;

use accounts::{Account, Standing, transfer};

pub(crate) use audit::audit;
pub use audit::{Audit, CurrencyAudit};
pub use operations::OPERATIONS_KEPT;
pub use postings::POSTINGS_KEPT;
pub use trades::{PATIENCE_MAX, TRADES_KEPT};

/// Why a transaction did not happen.
#[derive(Debug, thiserror::Error)]
enum LedgerError {
    #[error("refused: {0:?}")]
    Refused(LedgerRefusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does one request, or answers it again. The time matters to trades only, whose terms stand for a while.
pub(crate) fn handle(batch: &mut Batch<'_>, now: Timestamp, request: &LedgerRequest) -> Result<LedgerReply, StoreError> {
    let reply = |result| LedgerReply { op: request.op, shard: request.shard, result };
    if let Some(result) = operations::stored(batch, request.op)?.filter(|_| !Mutant::OperationTwice.lives()) {
        return Ok(reply(result));
    }
    if let Err(refusal) = raise_fences(batch, request)? {
        return Ok(reply(LedgerResult::Refused(refusal)));
    }
    let mark = batch.mark();
    let result = match perform(batch, now, request) {
        Ok(result) => result,
        Err(LedgerError::Refused(refusal)) => {
            batch.back_to(mark);
            LedgerResult::Refused(refusal)
        }
        Err(LedgerError::Store(error)) => return Err(error),
    };
    if !matches!(request.transaction, Transaction::Look { .. } | Transaction::LookGround { .. }) {
        operations::store(batch, request.op, &result)?;
    }
    Ok(reply(result))
}

/// Raises the fence of each agent to the highest epoch given; refuses when any given one is lower than its agent's.
fn raise_fences(batch: &mut Batch<'_>, request: &LedgerRequest) -> Result<Result<(), LedgerRefusal>, StoreError> {
    let given = &request.fences;
    let mut highest: BTreeMap<EntityId, AgentEpoch> = BTreeMap::new();
    for (agent, epoch) in given {
        let fence = highest.entry(*agent).or_insert(Standing::load(batch, *agent)?.fence);
        *fence = (*fence).max(*epoch);
    }
    let is_stale = |(agent, epoch): &(EntityId, AgentEpoch)| highest.get(agent).is_some_and(|fence| epoch < fence);
    if given.iter().any(is_stale) && !Mutant::LedgerFenceIgnored.lives() {
        return Ok(Err(LedgerRefusal::Stale));
    }
    for (agent, fence) in highest {
        let mut standing = Standing::load(batch, agent)?;
        if standing.fence != fence {
            standing.fence = fence;
            standing.save(batch, agent);
        }
    }
    Ok(Ok(()))
}

fn perform(batch: &mut Batch<'_>, now: Timestamp, request: &LedgerRequest) -> Result<LedgerResult, LedgerError> {
    let op = request.op;
    let concerned = match &request.transaction {
        Transaction::Look { agent } => return Ok(LedgerResult::Done(vec![accounts::holdings(batch, *agent)?])),
        Transaction::LookGround { shard } => return Ok(LedgerResult::Ground(items::on_ground(batch, *shard)?)),
        Transaction::Endow { to, currency, amount } => {
            if Standing::load(batch, *to)?.version != 0 {
                return Err(LedgerError::Refused(LedgerRefusal::Exists));
            }
            transfer(batch, op, Account::Mint, Account::Agent(*to), (*currency, *amount))?;
            vec![*to]
        }
        Transaction::Mint { to, currency, amount } => {
            transfer(batch, op, Account::Mint, Account::Agent(*to), (*currency, *amount))?;
            vec![*to]
        }
        Transaction::Burn { from, currency, amount } => {
            transfer(batch, op, Account::Agent(*from), Account::Sink, (*currency, *amount))?;
            vec![*from]
        }
        Transaction::Pay { from, to, currency, amount } => {
            transfer(batch, op, Account::Agent(*from), Account::Agent(*to), (*currency, *amount))?;
            vec![*from, *to]
        }
        Transaction::Create { item, kind, owner } => {
            items::create(batch, op, *item, *kind, *owner)?;
            agents_of(&[*owner])
        }
        Transaction::Move { item, from, to } => {
            items::hand(batch, op, *item, *from, *to)?;
            agents_of(&[*from, *to])
        }
        Transaction::Trade { trade, by, step } => return trades::step(batch, now, request, (*trade, *by), step),
    };
    let mut holdings = Vec::with_capacity(concerned.len());
    for agent in concerned {
        Standing::touch(batch, agent)?;
        holdings.push(accounts::holdings(batch, agent)?);
    }
    Ok(LedgerResult::Done(holdings))
}

/// The agents among some owners, each once.
fn agents_of(owners: &[Owner]) -> Vec<EntityId> {
    let mut agents = Vec::new();
    for owner in owners {
        if let Owner::Agent(agent) = owner
            && !agents.contains(agent)
        {
            agents.push(*agent);
        }
    }
    agents
}
