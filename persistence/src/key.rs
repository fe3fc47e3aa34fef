//! Keys of rows: big-endian, so that byte order is number order and ranges mean something.

use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::Xid;

/// A number.
pub(crate) fn number(n: u64) -> [u8; 8] {
    n.to_be_bytes()
}

/// Two numbers, the first one leading.
pub(crate) fn pair(a: u64, b: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&a.to_be_bytes());
    key[8..].copy_from_slice(&b.to_be_bytes());
    key
}

/// Numbers one after another.
pub(crate) fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// The `at`-th number of a key; `None` when the key is too short.
pub(crate) fn number_at(key: &[u8], at: usize) -> Option<u64> {
    key.get(at * 8..at * 8 + 8)?.try_into().ok().map(u64::from_be_bytes)
}

/// A shard's own row, or the start of its rows.
pub(crate) fn shard(shard: ShardId) -> [u8; 8] {
    number(shard.to_bits())
}

/// An entity under a shard.
pub(crate) fn fence(shard: ShardId, entity: EntityId) -> [u8; 16] {
    pair(shard.to_bits(), entity.0)
}

/// A hand-over under a shard.
pub(crate) fn departure(shard: ShardId, xid: &Xid) -> Vec<u8> {
    numbers(&[shard.to_bits(), xid.entity.0, xid.epoch.0, xid.source.to_bits(), xid.source_epoch.0])
}
