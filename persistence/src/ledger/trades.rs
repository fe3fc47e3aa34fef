//! Trades: what both sides give changes hands at once, when both have said yes to the same terms.
//!
//! | state | step | next |
//! |---|---|---|
//! | – | Propose | Open, version 1, confirmed by who proposes |
//! | Open | Change of the version in force | Open, next version, confirmed by who changes |
//! | Open | Confirm of the version in force | Open, confirmed by one side more |
//! | Open, both confirmed | the goods are there | Done |
//! | Open, both confirmed | they are not | Cancelled |
//! | Open | Cancel, time over | Cancelled |
//!
//! Whatever is not in the table changes nothing; every step is answered with the trade as it is then. A confirmation counts under
//! the epoch of the agent's owner that gave it: before each step, one that is no longer its agent's fence is dropped. So each
//! side's yes is that of its present owner, and none survives a hand-over.
//!
//! The last [`TRADES_KEPT`] trades are kept, so that whoever asks late still learns what became of one.

use std::time::Duration;

use pangaea_schemas::message::{
    Currency, LedgerRefusal, LedgerRequest, LedgerResult, OpId, Owner, TRADE_ITEMS_MAX, Trade, TradeSide, TradeState, TradeStep,
};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{AgentEpoch, EntityId, Timestamp};

use super::accounts::{self, Account, Standing, transfer};
use super::{LedgerError, items, ring};
use crate::batch::Batch;
use crate::codec::decode;
use crate::key;
use crate::store::{RowTable, StoreError};

/// Trades kept, whatever became of them.
pub const TRADES_KEPT: u64 = 1 << 18;
/// Longest time for which terms stand.
pub const PATIENCE_MAX: Duration = Duration::from_secs(300);

/// Takes one step of a trade. The asker vouches for `by` with an epoch, which is the agent's fence by now.
pub(super) fn step(
    batch: &mut Batch<'_>,
    now: Timestamp,
    request: &LedgerRequest,
    (id, by): (EntityId, EntityId),
    step: &TradeStep,
) -> Result<LedgerResult, LedgerError> {
    let refused = |refusal| Err(LedgerError::Refused(refusal));
    let Some((_, epoch)) = request.fences.iter().find(|(agent, _)| *agent == by) else {
        return refused(LedgerRefusal::Form);
    };
    let before = load(batch, id)?;
    let mut trade = match (&before, step) {
        (None, TradeStep::Propose { a, b, patience_ms }) => propose(now, id, (a, b), *patience_ms)?,
        (Some(_), TradeStep::Propose { .. }) => return refused(LedgerRefusal::Exists),
        (None, TradeStep::Change { .. } | TradeStep::Confirm { .. } | TradeStep::Cancel) => {
            return refused(LedgerRefusal::Unknown);
        }
        (Some(trade), TradeStep::Change { .. } | TradeStep::Confirm { .. } | TradeStep::Cancel) => trade.clone(),
    };
    if trade.a.agent != by && trade.b.agent != by {
        return refused(LedgerRefusal::Unknown);
    }
    drop_old_confirmations(batch, &mut trade)?;
    if take(&mut trade, now, (by, *epoch), step)? {
        exchange(batch, request.op, &mut trade)?;
    }
    if before.as_ref() != Some(&trade) {
        if before.is_none() {
            ring::push(batch, &ring::TRADES, &key::number(id.0))?;
        }
        batch.put(RowTable::Trades, &key::number(id.0), trade.to_stored());
    }
    let mut holdings = Vec::new();
    if trade.state == TradeState::Done {
        holdings = vec![accounts::holdings(batch, trade.a.agent)?, accounts::holdings(batch, trade.b.agent)?];
    }
    Ok(LedgerResult::Traded { trade, holdings })
}

/// A trade's row.
fn load(batch: &mut Batch<'_>, id: EntityId) -> Result<Option<Trade>, StoreError> {
    let key = key::number(id.0);
    let Some(bytes) = batch.get(RowTable::Trades, &key)? else { return Ok(None) };
    decode(&bytes).map(Some).map_err(|e| StoreError::damaged(RowTable::Trades, &key, e.0))
}

fn propose(now: Timestamp, trade: EntityId, (a, b): (&TradeSide, &TradeSide), patience_ms: u32) -> Result<Trade, LedgerError> {
    if !trade.is_some() {
        return Err(LedgerError::Refused(LedgerRefusal::Form));
    }
    let until = now + Duration::from_millis(patience_ms.into()).min(PATIENCE_MAX);
    let state = TradeState::Open { a: AgentEpoch::ZERO, b: AgentEpoch::ZERO };
    let mut trade = Trade { trade, version: 0, a: TradeSide::default(), b: TradeSide::default(), until, state };
    set_terms(&mut trade, a, b)?;
    Ok(trade)
}

/// New terms under the next version. The two agents stay those of the proposal.
fn set_terms(trade: &mut Trade, a: &TradeSide, b: &TradeSide) -> Result<(), LedgerError> {
    let same = trade.version == 0 || (trade.a.agent, trade.b.agent) == (a.agent, b.agent);
    let two = a.agent != b.agent && a.agent.is_some() && b.agent.is_some();
    if !same || !two || a.items.len().max(b.items.len()) > TRADE_ITEMS_MAX {
        return Err(LedgerError::Refused(LedgerRefusal::Form));
    }
    trade.version += 1;
    (trade.a, trade.b) = (a.clone(), b.clone());
    Ok(())
}

/// The table of the header, up to the exchange: `true` when both have confirmed.
fn take(trade: &mut Trade, now: Timestamp, (by, epoch): (EntityId, AgentEpoch), step: &TradeStep) -> Result<bool, LedgerError> {
    let confirmed = |agent: EntityId| if agent == by { epoch } else { AgentEpoch::ZERO };
    match (&mut trade.state, step) {
        (TradeState::Open { .. }, _) if now >= trade.until => {
            trade.state = TradeState::Cancelled { reason: LedgerRefusal::TimedOut };
        }
        (TradeState::Open { .. }, TradeStep::Propose { .. }) => {
            trade.state = TradeState::Open { a: confirmed(trade.a.agent), b: confirmed(trade.b.agent) };
        }
        (TradeState::Open { .. }, TradeStep::Change { version, a, b }) if *version == trade.version => {
            set_terms(trade, a, b)?;
            trade.state = TradeState::Open { a: confirmed(a.agent), b: confirmed(b.agent) };
        }
        (TradeState::Open { a, b }, TradeStep::Confirm { version })
            if *version == trade.version || Mutant::ConfirmAnyTerms.lives() =>
        {
            *(if trade.a.agent == by { &mut *a } else { &mut *b }) = epoch;
            return Ok(*a != AgentEpoch::ZERO && *b != AgentEpoch::ZERO);
        }
        (TradeState::Open { .. }, TradeStep::Cancel) => {
            trade.state = TradeState::Cancelled { reason: LedgerRefusal::CalledOff };
        }
        // Terms that are no longer in force.
        (TradeState::Open { .. }, TradeStep::Change { .. } | TradeStep::Confirm { .. })
        | (
            TradeState::Done | TradeState::Cancelled { .. },
            TradeStep::Propose { .. } | TradeStep::Change { .. } | TradeStep::Confirm { .. } | TradeStep::Cancel,
        ) => {}
    }
    Ok(false)
}

fn drop_old_confirmations(batch: &mut Batch<'_>, trade: &mut Trade) -> Result<(), StoreError> {
    if let TradeState::Open { a, b } = &mut trade.state {
        for (agent, confirmed) in [(trade.a.agent, a), (trade.b.agent, b)] {
            if *confirmed != Standing::load(batch, agent)?.fence && !Mutant::ConfirmationSurvives.lives() {
                *confirmed = AgentEpoch::ZERO;
            }
        }
    }
    Ok(())
}

/// All goods change hands, or none and the trade is over.
fn exchange(batch: &mut Batch<'_>, op: OpId, trade: &mut Trade) -> Result<(), StoreError> {
    let mark = batch.mark();
    trade.state = match swap(batch, op, &trade.a, &trade.b) {
        Ok(()) => TradeState::Done,
        Err(LedgerError::Refused(reason)) => {
            batch.back_to(mark);
            TradeState::Cancelled { reason }
        }
        Err(LedgerError::Store(error)) => return Err(error),
    };
    Ok(())
}

/// Both give at once: nobody pays with what only the trade would bring.
fn swap(batch: &mut Batch<'_>, op: OpId, a: &TradeSide, b: &TradeSide) -> Result<(), LedgerError> {
    for side in [a, b] {
        if accounts::balance(batch, Account::Agent(side.agent), Currency::GOLD)? < i128::from(side.gold) {
            return Err(LedgerError::Refused(LedgerRefusal::Funds));
        }
    }
    for (from, to) in [(a, b), (b, a)] {
        if from.gold > 0 {
            transfer(batch, op, Account::Agent(from.agent), Account::Agent(to.agent), (Currency::GOLD, from.gold))?;
        }
    }
    // An item listed by both sides, or twice, is not where the second mention says.
    for (from, to) in [(a, b), (b, a)] {
        for item in &from.items {
            items::hand(batch, op, *item, Owner::Agent(from.agent), Owner::Agent(to.agent))?;
        }
    }
    for side in [a, b] {
        Standing::touch(batch, side.agent)?;
    }
    Ok(())
}
