//! The audit: proves that no money and no item came from nowhere or went nowhere, and says in words what is wrong if not.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use pangaea_schemas::EntityId;
use pangaea_schemas::message::Currency;

use super::accounts::{Account, decode_balance};
use super::items::{ItemRow, decode_move, index_row, link};
use super::postings;
use crate::batch::Batch;
use crate::key;
use crate::store::{RowTable, StoreError};

/// Faults told in words; more are only counted as one more line.
const FAULTS_MAX: usize = 1_000;

/// What an audit found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// In order of currency.
    pub currencies: Vec<CurrencyAudit>,
    /// How many items there are, those in the sink included.
    pub items: u64,
    /// In words; empty: everything adds up.
    pub faults: Vec<String>,
}

/// One currency's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CurrencyAudit {
    /// Which.
    pub currency: Currency,
    /// Ever minted.
    pub issued: u128,
    /// Ever burnt.
    pub sunk: u128,
    /// In the hands of agents.
    pub held: u128,
}

impl Audit {
    /// Whether everything adds up.
    pub fn ok(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn fault(&mut self, text: String) {
        match self.faults.len() {
            n if n < FAULTS_MAX => self.faults.push(text),
            FAULTS_MAX => self.faults.push("and more".to_owned()),
            _ => {}
        }
    }
}

/// Walks all accounts and items.
pub(crate) fn audit(batch: &mut Batch<'_>) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    accounts(batch, &mut audit)?;
    postings::audit(batch, &mut audit)?;
    items(batch, &mut audit)?;
    listed(batch, &mut audit, RowTable::Owned)?;
    listed(batch, &mut audit, RowTable::Ground)?;
    Ok(audit)
}

fn accounts(batch: &Batch<'_>, audit: &mut Audit) -> Result<(), StoreError> {
    let mut totals: BTreeMap<Currency, CurrencyAudit> = BTreeMap::new();
    batch.scan(RowTable::Balances, &[], &mut |key, value| {
        let Some((account, currency)) = Account::of_key(key) else {
            audit.fault(format!("there is money in an account of an unknown kind: {key:02x?}"));
            return Ok(ControlFlow::Continue(()));
        };
        let amount = decode_balance(key, value)?;
        let total = totals.entry(currency).or_insert(CurrencyAudit { currency, ..CurrencyAudit::default() });
        match (account, amount) {
            (Account::Mint, ..=0) => total.issued = amount.unsigned_abs(),
            (Account::Sink, 0..) => total.sunk = amount.unsigned_abs(),
            (Account::Agent(_), 0..) => total.held += amount.unsigned_abs(),
            (account, amount) => audit.fault(format!("{account:?} has {amount} of currency {}", currency.0)),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for total in totals.values() {
        let CurrencyAudit { currency, issued, sunk, held } = total;
        if *issued != sunk + held {
            audit.fault(format!("currency {}: {issued} were issued, but {held} are held and {sunk} sunk", currency.0));
        }
    }
    audit.currencies = totals.into_values().collect();
    Ok(())
}

/// Every item is listed under its owner, and its chain ends as its last moves say.
fn items(batch: &mut Batch<'_>, audit: &mut Audit) -> Result<(), StoreError> {
    for (key, bytes) in batch.under(RowTable::Items, &[])? {
        audit.items += 1;
        let damaged = |why| StoreError::damaged(RowTable::Items, &key, why);
        let item = EntityId(key::number_at(&key, 0).ok_or_else(|| damaged("too short a key"))?);
        let row = ItemRow::decode(bytes).map_err(|e| damaged(e.0))?;
        if let Some((table, listed)) = index_row(item, &row.owner)
            && batch.get(table, &listed)?.is_none()
        {
            audit.fault(format!("item {item} belongs to {:?}, who does not list it", row.owner));
        }
        chain(batch, audit, item, &row)?;
    }
    Ok(())
}

fn chain(batch: &Batch<'_>, audit: &mut Audit, item: EntityId, row: &ItemRow) -> Result<(), StoreError> {
    // A chain begins with the item's id; of longer ones the beginning is no longer kept.
    let mut before = (row.moves <= super::items::MOVES_KEPT).then_some(item.0);
    let mut last = None;
    for (key, bytes) in batch.under(RowTable::Moves, &key::number(item.0))? {
        let (op, owner, chain) = decode_move(bytes).map_err(|e| StoreError::damaged(RowTable::Moves, &key, e.0))?;
        if before.is_some_and(|before| link(before, op, &owner) != chain) {
            audit.fault(format!("item {item}: its history does not lead to operation {:032x}", op.0));
        }
        before = Some(chain);
        last = Some((op, owner, chain));
    }
    if last != Some((row.op, row.owner, row.chain)) {
        audit.fault(format!("item {item}: its owner changed behind the ledger's back after operation {:032x}", row.op.0));
    }
    Ok(())
}

/// Whatever is listed belongs to whoever lists it.
fn listed(batch: &mut Batch<'_>, audit: &mut Audit, table: RowTable) -> Result<(), StoreError> {
    for (key, _) in batch.under(table, &[])? {
        let item = EntityId(key::number_at(&key, 1).unwrap_or_default());
        let item_key = key::number(item.0);
        let row: Option<Bytes> = batch.get(RowTable::Items, &item_key)?;
        let row = row.map(ItemRow::decode).transpose().map_err(|e| StoreError::damaged(RowTable::Items, &item_key, e.0))?;
        let at_home = row.and_then(|row| index_row(item, &row.owner));
        if at_home.is_none_or(|(home, home_key)| home != table || home_key.as_slice() != key.as_slice()) {
            audit.fault(format!("item {item} is listed in {} under {key:02x?}, where it does not belong", table.name()));
        }
    }
    Ok(())
}
