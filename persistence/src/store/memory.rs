//! The store's twin in memory: deterministic, with faults drawn from a seed. The simulator's disk.
//!
//! What is visible and what would survive a crash are kept apart, so a forgotten sync shows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::{Changes, Editing, RawRows, RawRowsMut, Reading, RowTable, Snapshots, Store, StoreError, TableRows, Visit, apply};

/// Which faults a [`MemoryStore`] has, in parts of 1,000 commits.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFaults {
    /// Commits that fail and write nothing.
    pub fail_permille: u32,
    /// Commits that are durable although they report a failure: the answer got lost.
    pub unsure_permille: u32,
    /// Keys and values may take so many bytes; 0: no limit.
    pub capacity_bytes: usize,
    /// Commits say they are durable and are not until [`MemoryStore::sync`]: a lying disk.
    pub skip_sync: bool,
}

/// Rows in memory.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    visible: Tables,
    /// What a crash leaves, when that is less than what is visible.
    synced: Option<Tables>,
    faults: MemoryFaults,
    random: fastrand::Rng,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(0, MemoryFaults::default())
    }
}

impl MemoryStore {
    /// An empty store whose faults follow from `seed`.
    pub fn new(seed: u64, faults: MemoryFaults) -> Self {
        Self { visible: Tables::default(), synced: None, faults, random: fastrand::Rng::with_seed(seed) }
    }

    /// From now on, these faults.
    pub fn set_faults(&mut self, faults: MemoryFaults) {
        self.faults = faults;
    }

    /// Makes everything visible durable.
    pub fn sync(&mut self) {
        self.synced = None;
    }

    /// Loses what was not durable, as a power failure does.
    pub fn crash(&mut self) {
        if let Some(synced) = self.synced.take() {
            self.visible = synced;
        }
    }

    /// Size of all keys and sealed values in bytes.
    pub fn bytes(&self) -> usize {
        self.visible.bytes()
    }

    /// Flips one bit of a stored value chosen by `pick` (modulo the table's rows); false when the table is empty.
    pub fn damage(&mut self, table: RowTable, pick: usize) -> bool {
        let rows = &mut self.visible.0[table as usize];
        let count = rows.len().max(1);
        match rows.values_mut().nth(pick % count).and_then(|value| value.first_mut()) {
            Some(byte) => *byte ^= 1,
            None => return false,
        }
        true
    }

    /// Loses a row, as an overwritten sector does; false when the table is empty.
    pub fn lose(&mut self, table: RowTable, pick: usize) -> bool {
        let rows = &mut self.visible.0[table as usize];
        let key = rows.keys().nth(pick % rows.len().max(1)).cloned();
        key.is_some_and(|key| rows.remove(&key).is_some())
    }

    fn draw(&mut self, permille: u32) -> bool {
        permille > 0 && self.random.u32(0..1_000) < permille
    }
}

impl Snapshots for MemoryStore {
    fn read(&self, work: &mut Reading<'_>) -> Result<(), StoreError> {
        work(&self.visible)
    }
}

impl Store for MemoryStore {
    fn room(&self) -> Result<u64, StoreError> {
        Ok(match self.faults.capacity_bytes {
            0 => u64::MAX,
            capacity => capacity.saturating_sub(self.bytes()) as u64,
        })
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let failed = |reason: &str| Err(StoreError::Failed { doing: "to commit", reason: reason.to_owned() });
        if self.draw(self.faults.fail_permille) {
            return failed("an injected fault");
        }
        let capacity = self.faults.capacity_bytes;
        if capacity > 0 && self.bytes() + changes.bytes() > capacity {
            return Err(StoreError::DiskFull { path: "memory".to_owned() });
        }
        if self.faults.skip_sync && self.synced.is_none() {
            self.synced = Some(self.visible.clone());
        }
        apply(changes, &mut self.visible)?;
        if self.draw(self.faults.unsure_permille) {
            return Err(StoreError::Broken { reason: "an injected fault after the commit".to_owned() });
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
struct Tables([BTreeMap<Vec<u8>, Vec<u8>>; RowTable::ALL.len()]);

impl Tables {
    fn bytes(&self) -> usize {
        self.0.iter().flatten().map(|(key, value)| key.len() + value.len()).sum()
    }
}

impl RawRows for Tables {
    fn get(&self, table: RowTable, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        Ok(self.0[table as usize].get(key).map(Vec::as_slice))
    }

    fn scan(&self, table: RowTable, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        for (key, value) in self.0[table as usize].range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded))
        {
            if let ControlFlow::Break(()) = visit(key, value)? {
                break;
            }
        }
        Ok(())
    }
}

impl RawRowsMut for Tables {
    fn edit(&mut self, table: RowTable, work: &mut Editing<'_>) -> Result<(), StoreError> {
        work(&mut self.0[table as usize])
    }
}

impl TableRows for BTreeMap<Vec<u8>, Vec<u8>> {
    fn get(&mut self, key: &[u8]) -> Result<Option<&[u8]>, StoreError> {
        Ok(BTreeMap::get(self, key).map(Vec::as_slice))
    }

    fn put(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        self.insert(key.to_vec(), sealed.to_vec());
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.remove(key);
        Ok(())
    }
}
