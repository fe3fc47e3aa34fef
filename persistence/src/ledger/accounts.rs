//! Double entry: agents, the mint and the sink have accounts, every transfer takes from one what it gives to the other, and
//! all accounts of a currency add up to zero. The mint is below zero by all that was ever issued. Each change is also kept as a
//! posting.

use pangaea_schemas::message::{Balance, Currency, Holdings, LedgerRefusal, OpId};
use pangaea_schemas::{AgentEpoch, EntityId};

use super::postings::{self, Posting};
use super::{LedgerError, items};
use crate::batch::Batch;
use crate::codec::{Reader, Writer};
use crate::key;
use crate::store::{RowTable, StoreError};

/// Length of an account's key: sort, agent, currency.
pub(super) const ACCOUNT_KEY_BYTES: usize = 11;
/// An account in one currency.
pub(super) type AccountKey = [u8; ACCOUNT_KEY_BYTES];

/// Who may have money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Account {
    Agent(EntityId),
    /// Where all money comes from.
    Mint,
    /// Where burnt money goes.
    Sink,
}

impl Account {
    fn prefix(self) -> [u8; 9] {
        let (tag, id) = match self {
            Self::Agent(agent) => (0, agent.0),
            Self::Mint => (1, 0),
            Self::Sink => (2, 0),
        };
        let mut prefix = [tag; 9];
        prefix[1..].copy_from_slice(&id.to_be_bytes());
        prefix
    }

    fn key(self, currency: Currency) -> AccountKey {
        let mut key = [0; ACCOUNT_KEY_BYTES];
        key[..9].copy_from_slice(&self.prefix());
        key[9..].copy_from_slice(&currency.0.to_be_bytes());
        key
    }

    /// Account and currency of a key.
    pub(super) fn of_key(key: &[u8]) -> Option<(Self, Currency)> {
        let (tag, rest) = key.split_first()?;
        let (id, currency) = rest.split_first_chunk::<8>()?;
        let currency = Currency(u16::from_be_bytes(currency.try_into().ok()?));
        let account = match (*tag, u64::from_be_bytes(*id)) {
            (0, agent) => Self::Agent(EntityId(agent)),
            (1, 0) => Self::Mint,
            (2, 0) => Self::Sink,
            _ => return None,
        };
        Some((account, currency))
    }
}

/// An account's balance; only the mint's is below zero.
pub(super) fn balance(batch: &mut Batch<'_>, account: Account, currency: Currency) -> Result<i128, StoreError> {
    let key = account.key(currency);
    match batch.get(RowTable::Balances, &key)? {
        Some(bytes) => decode_balance(&key, &bytes),
        None => Ok(0),
    }
}

/// A balance from its row.
pub(super) fn decode_balance(key: &[u8], bytes: &[u8]) -> Result<i128, StoreError> {
    bytes.try_into().map(i128::from_le_bytes).map_err(|_| StoreError::damaged(RowTable::Balances, key, "not an amount"))
}

/// Moves money. Agents never fall below zero nor rise above what a `u64` holds.
pub(super) fn transfer(
    batch: &mut Batch<'_>,
    op: OpId,
    from: Account,
    to: Account,
    (currency, amount): (Currency, u64),
) -> Result<(), LedgerError> {
    let refused = |refusal| Err(LedgerError::Refused(refusal));
    if amount == 0 || from == to {
        return refused(LedgerRefusal::Form);
    }
    let (had, found) = (balance(batch, from, currency)?, balance(batch, to, currency)?);
    let (left, grown) = (had - i128::from(amount), found + i128::from(amount));
    if left < 0 && from != Account::Mint {
        return refused(LedgerRefusal::Funds);
    }
    if grown > i128::from(u64::MAX) {
        return refused(LedgerRefusal::Form);
    }
    for (account, before, after) in [(from, had, left), (to, found, grown)] {
        let key = account.key(currency);
        match after {
            0 => batch.delete(RowTable::Balances, &key),
            after => batch.put(RowTable::Balances, &key, after.to_le_bytes().to_vec()),
        }
        postings::keep(batch, &Posting { op, key, before, after })?;
    }
    Ok(())
}

/// An agent's version and fence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Rises with each change of what it has.
    pub(super) version: u64,
    /// Lower epochs are refused.
    pub(super) fence: AgentEpoch,
}

impl Standing {
    pub(super) fn load(batch: &mut Batch<'_>, agent: EntityId) -> Result<Self, StoreError> {
        let key = key::number(agent.0);
        let Some(bytes) = batch.get(RowTable::Accounts, &key)? else {
            return Ok(Self::default());
        };
        let mut reader = Reader::new(bytes);
        let damaged = |e: crate::codec::Malformed| StoreError::damaged(RowTable::Accounts, &key, e.0);
        Ok(Self { version: reader.u64().map_err(damaged)?, fence: AgentEpoch(reader.u64().map_err(damaged)?) })
    }

    /// What the agent has is changing.
    pub(super) fn touch(batch: &mut Batch<'_>, agent: EntityId) -> Result<(), StoreError> {
        let mut standing = Self::load(batch, agent)?;
        standing.version += 1;
        standing.save(batch, agent);
        Ok(())
    }

    pub(super) fn save(self, batch: &mut Batch<'_>, agent: EntityId) {
        let mut row = Writer::default();
        row.u64(self.version).u64(self.fence.0);
        batch.put(RowTable::Accounts, &key::number(agent.0), row.0);
    }
}

/// Everything an agent has.
pub(super) fn holdings(batch: &mut Batch<'_>, agent: EntityId) -> Result<Holdings, StoreError> {
    let mut balances = Vec::new();
    for (key, value) in batch.under(RowTable::Balances, &Account::Agent(agent).prefix())? {
        let (_, currency) =
            Account::of_key(&key).ok_or_else(|| StoreError::damaged(RowTable::Balances, &key, "not an account"))?;
        let amount = u64::try_from(decode_balance(&key, &value)?);
        let amount = amount.map_err(|_| StoreError::damaged(RowTable::Balances, &key, "no agent has so much"))?;
        balances.push(Balance { currency, amount });
    }
    let version = Standing::load(batch, agent)?.version;
    Ok(Holdings { agent, version, balances, items: items::owned_by(batch, agent)? })
}
