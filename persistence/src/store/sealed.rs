//! Sealed rows: each value carries a version and a checksum over its table, its key and itself, and each table a count and a
//! sum over all its rows. So a changed value, a value under a wrong key, and a lost row are all noticed.
//!
//! A sealed value is `value · version u8 · CRC-32 (LE)`.

use super::{Changes, RawRows, RawRowsMut, RowTable, StoreError};

/// Layout of a sealed value.
const SEAL_VERSION: u8 = 1;
/// Bytes after the value.
const TRAILER: usize = 5;

/// `value` with its trailer, in place of what was in `sealed`.
fn seal(table: RowTable, key: &[u8], value: &[u8], sealed: &mut Vec<u8>) {
    sealed.clear();
    sealed.reserve(value.len() + TRAILER);
    sealed.extend_from_slice(value);
    sealed.push(SEAL_VERSION);
    sealed.extend_from_slice(&checksum(table, key, sealed).to_le_bytes());
}

/// The value inside `sealed`, if it is whole and belongs to this table and key.
pub(crate) fn open<'s>(table: RowTable, key: &[u8], sealed: &'s [u8]) -> Result<&'s [u8], StoreError> {
    let damaged = |why| StoreError::damaged(table, key, why);
    let (body, crc) = sealed.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
    let (version, value) = body.split_last().ok_or_else(|| damaged("too short"))?;
    if checksum(table, key, body) != u32::from_le_bytes(*crc) {
        return Err(damaged("wrong checksum"));
    }
    if *version != SEAL_VERSION {
        return Err(damaged("unknown version"));
    }
    Ok(value)
}

fn checksum(table: RowTable, key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[table as u8, key.len() as u8, (key.len() >> 8) as u8]);
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// A sealed row's share of its table's sum.
fn digest(sealed: &[u8]) -> u64 {
    let crc = sealed.last_chunk::<4>().map_or(0, |crc| u32::from_le_bytes(*crc));
    // SplitMix64's finaliser: neighbouring checksums must not cancel out in a sum.
    let mut z = (u64::from(crc) | 1 << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What all rows of a table add up to, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableSum {
    /// How many rows.
    pub(crate) rows: u64,
    /// Wrapping sum of their digests.
    pub(crate) sum: u64,
}

impl TableSum {
    pub(crate) fn add(&mut self, sealed: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.sum = self.sum.wrapping_add(digest(sealed));
    }

    fn take(&mut self, sealed: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(digest(sealed));
    }
}

fn sum_key(table: RowTable) -> [u8; 5] {
    [b's', b'u', b'm', b'/', table as u8]
}

/// The sum of `table` as last committed.
pub(crate) fn stored_sum(rows: &dyn RawRows, table: RowTable) -> Result<TableSum, StoreError> {
    let key = sum_key(table);
    let Some(sealed) = rows.get(RowTable::Meta, &key)? else {
        return Ok(TableSum::default());
    };
    let value = open(RowTable::Meta, &key, sealed)?;
    let (rows, sum) = value.split_at_checked(8).ok_or_else(|| StoreError::damaged(RowTable::Meta, &key, "too short"))?;
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes);
    match (number(rows), number(sum)) {
        (Ok(rows), Ok(sum)) => Ok(TableSum { rows, sum }),
        _ => Err(StoreError::damaged(RowTable::Meta, &key, "not a table sum")),
    }
}

/// Writes all changes, sealed and in key order, and brings the tables' sums up to date.
pub(crate) fn apply(changes: &Changes, rows: &mut dyn RawRowsMut) -> Result<(), StoreError> {
    for table in RowTable::ALL {
        let changed = changes.of(table);
        if changed.is_empty() {
            continue;
        }
        let (mut sum, mut sealed) = (stored_sum(&*rows, table)?, Vec::new());
        rows.edit(table, &mut |rows| {
            for (key, value) in changed {
                let key = key.bytes();
                if let Some(old) = rows.get(key)? {
                    sum.take(old);
                } else if value.is_none() {
                    continue;
                }
                match value {
                    Some(value) => {
                        seal(table, key, value, &mut sealed);
                        sum.add(&sealed);
                        rows.put(key, &sealed)?;
                    }
                    None => rows.delete(key)?,
                }
            }
            Ok(())
        })?;
        // The sums live in `Meta`, which therefore has none of its own.
        if table != RowTable::Meta {
            let key = sum_key(table);
            let value = [sum.rows.to_le_bytes(), sum.sum.to_le_bytes()].concat();
            seal(RowTable::Meta, &key, &value, &mut sealed);
            rows.edit(RowTable::Meta, &mut |meta| meta.put(&key, &sealed))?;
        }
    }
    Ok(())
}
