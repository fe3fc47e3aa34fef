//! What can be asked of a store as a whole. The verifier reads every row and says in words what is wrong; it changes nothing
//! and stops at nothing.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use bytes::Bytes;
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::record::Record;

use crate::batch::Batch;
use crate::codec::{Malformed, decode};
use crate::fold;
use crate::journal::{self, Head, OwnerInForce};
use crate::key;
use crate::ledger::{self, Audit};
use crate::service::Hot;
use crate::store::{RawRows, RowTable, Snapshots, StoreError, TableSum, open, stored_sum};

/// Findings told in words; more only add one last line.
const FINDINGS_MAX: usize = 1_000;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Rows read.
    pub rows: u64,
    /// In words; empty: the store is whole.
    pub findings: Vec<String>,
}

impl Verification {
    /// Whether the store is whole.
    pub fn ok(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(&mut self, text: String) {
        match self.findings.len() {
            n if n < FINDINGS_MAX => self.findings.push(text),
            FINDINGS_MAX => self.findings.push("and more".to_owned()),
            _ => {}
        }
    }

    /// A step that could not be finished is a finding itself.
    fn step(&mut self, outcome: Result<(), StoreError>) {
        if let Err(error) = outcome {
            self.found(error.to_string());
        }
    }
}

/// Checksums and sums of all tables, shapes of rows, records against places, journals against heads, and the ledger.
///
/// # Errors
/// The store cannot be read at all.
pub fn verify(store: &impl Snapshots) -> Result<Verification, StoreError> {
    let mut verification = Verification::default();
    store.read(&mut |rows| {
        let mut sound = true;
        for table in RowTable::ALL {
            let before = verification.findings.len();
            let outcome = sums(rows, table, &mut verification);
            verification.step(outcome);
            sound &= verification.findings.len() == before;
        }
        let mut hot = Hot::default();
        let mut batch = Batch::new(rows, &mut hot);
        let outcome = records(&mut batch, &mut verification);
        verification.step(outcome);
        let outcome = journals(&mut batch, &mut verification);
        verification.step(outcome);
        match ledger::audit(&mut batch) {
            Ok(audit) => audit.faults.into_iter().for_each(|fault| verification.found(format!("ledger: {fault}"))),
            // With damaged rows, which are told already, no audit can be finished.
            Err(error) if sound => verification.found(error.to_string()),
            Err(_) => {}
        }
        Ok(())
    })?;
    Ok(verification)
}

/// Proves the ledger's totals and each item's one owner.
///
/// # Errors
/// The store cannot be read, or a row of the ledger is damaged.
pub fn audit(store: &impl Snapshots) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    store.read(&mut |rows| {
        audit = ledger::audit(&mut Batch::new(rows, &mut Hot::default()))?;
        Ok(())
    })?;
    Ok(audit)
}

/// The owner in force and the tail of every journal, in shard order.
///
/// # Errors
/// The store cannot be read, or a journal's head is damaged.
pub fn owners(store: &impl Snapshots) -> Result<Vec<OwnerInForce>, StoreError> {
    let mut owners = Vec::new();
    store.read(&mut |rows| {
        owners = journal::owner_list(&Batch::new(rows, &mut Hot::default()))?;
        Ok(())
    })?;
    Ok(owners)
}

/// Every row's checksum, and the table's count and sum: a lost row has no checksum to be wrong.
fn sums(rows: &dyn RawRows, table: RowTable, verification: &mut Verification) -> Result<(), StoreError> {
    let mut sum = TableSum::default();
    rows.scan(table, &[], &mut |key, sealed| {
        verification.rows += 1;
        sum.add(sealed);
        // The format row is read before anything else is known, so it is plain.
        if (table, key) != (RowTable::Meta, b"format".as_slice())
            && let Err(error) = open(table, key, sealed)
        {
            verification.found(error.to_string());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let stored = stored_sum(rows, table)?;
    if table != RowTable::Meta && sum != stored {
        let (name, expected, found) = (table.name(), stored.rows, sum.rows);
        verification.found(format!("table {name} has {found} rows of {expected}, or others than were written"));
    }
    Ok(())
}

/// Each record is filed at its place, and each place has its record.
fn records(batch: &mut Batch<'_>, verification: &mut Verification) -> Result<(), StoreError> {
    let mut places = BTreeSet::new();
    batch.scan(RowTable::Places, &[], &mut |key, _| {
        places.insert(key.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    batch.scan(RowTable::Records, &[], &mut |key, row| {
        let entity = EntityId(key::number_at(key, 0).unwrap_or_default());
        match decode::<Record>(&Bytes::copy_from_slice(row)) {
            Ok(Record { entity: whose, cell, .. }) => {
                if entity != whose {
                    verification.found(format!("the row of {entity} has the record of {whose}"));
                }
                if !places.remove(fold::place_key(cell, entity).as_slice()) {
                    verification.found(format!("{entity} is in cell {cell}, but the cell does not list it"));
                }
            }
            Err(Malformed(why)) => verification.found(format!("the record of {entity} cannot be read: {why}")),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for place in places {
        verification.found(format!("a cell lists an entity that has no record there: {place:02x?}"));
    }
    Ok(())
}

/// Each journal has every entry from its first to its tail, none without a head, and its epoch is the last entry's.
fn journals(batch: &mut Batch<'_>, verification: &mut Verification) -> Result<(), StoreError> {
    let mut entries: BTreeSet<(u64, u64)> = BTreeSet::new();
    batch.scan(RowTable::Entries, &[], &mut |key, row| {
        let (shard, index) = (key::number_at(key, 0).unwrap_or_default(), key::number_at(key, 1).unwrap_or_default());
        entries.insert((shard, index));
        if let Err(Malformed(why)) = journal::decode_row(Bytes::copy_from_slice(row)) {
            verification.found(format!("entry {index} of the journal {shard:016x} cannot be read: {why}"));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for (key, value) in batch.under(RowTable::Heads, &[])? {
        let bits = key::number_at(&key, 0).unwrap_or_default();
        let (Some(shard), Ok(head)) = (ShardId::from_bits(bits), Head::decode(value)) else {
            verification.found(format!("the head of the journal {bits:016x} cannot be read"));
            continue;
        };
        for index in head.first.0..=head.tail.0 {
            if !entries.remove(&(bits, index)) {
                verification.found(format!("entry {index} of {shard} is missing"));
            }
        }
    }
    for (shard, index) in entries {
        verification.found(format!("there is an entry {index} of the journal {shard:016x} that its head does not know"));
    }
    Ok(())
}
