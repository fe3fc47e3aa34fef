//! Who owns what, as far as the gateway knows: a cache of the beacon's `shard/`.
//!
//! A route is taken only when its epoch is not below the highest one ever seen for the shard, whoever told it. A route that the
//! beacon no longer holds is kept as the last known one: a beacon that lost its memory or a lease that ran out stops nobody who
//! still runs. Where shards overlap after a split or a merge, those that the beacon holds go first, the finest of them.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::ShardEpoch;
use pangaea_schemas::geometry::{CellId, SHARD_LEVEL_MAX, ShardId};
use pangaea_schemas::message::{BeaconEntry, BeaconReply, ShardRoute};
use pangaea_schemas::wire::stored::Stored;

/// Prefix of the owners' keys.
pub(crate) const SHARD_PREFIX: &str = "shard/";

/// A route, and whether the beacon holds it now.
#[derive(Clone, Copy, Debug)]
struct Known {
    route: ShardRoute,
    held: bool,
}

/// The last known owners.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    shards: BTreeMap<ShardId, Known>,
    /// Highest epoch seen; outlives the route.
    fences: BTreeMap<ShardId, ShardEpoch>,
}

impl Routes {
    /// The shard's last known owner.
    pub(crate) fn owner(&self, shard: ShardId) -> Option<&ShardRoute> {
        self.shards.get(&shard).map(|known| &known.route)
    }

    /// The shard that holds the cell.
    pub(crate) fn shard_of(&self, cell: CellId) -> Option<ShardId> {
        let known = || (0..=SHARD_LEVEL_MAX).filter_map(|level| self.shards.get(&ShardId::holding(cell, level)));
        known().find(|known| known.held).or_else(|| known().next()).map(|known| known.route.shard)
    }

    /// Whether something with this epoch is refused; a higher one raises the fence.
    pub(crate) fn is_stale(&mut self, shard: ShardId, epoch: ShardEpoch) -> bool {
        let fence = self.fences.entry(shard).or_default();
        *fence = (*fence).max(epoch);
        epoch < *fence
    }

    /// Take an owner's word for where the shard is now. `false`: that is old, or no news.
    pub(crate) fn moved(&mut self, route: ShardRoute) -> bool {
        if self.is_stale(route.shard, route.epoch) {
            return false;
        }
        let before = self.shards.insert(route.shard, Known { route, held: true });
        before.is_none_or(|before| before.route != route)
    }

    /// Take news from the beacon; the shards whose owner or epoch changed, in order.
    pub(crate) fn learn(&mut self, news: BeaconReply) -> Vec<ShardId> {
        match news {
            BeaconReply::WatchStart { prefix, entries } if prefix == SHARD_PREFIX => self.start_over(&entries),
            BeaconReply::WatchChange { prefix, entry } if prefix == SHARD_PREFIX => {
                self.learn_shard(&entry).into_iter().collect()
            }
            BeaconReply::WatchStart { .. }
            | BeaconReply::WatchChange { .. }
            | BeaconReply::Registered { .. }
            | BeaconReply::NameTaken { .. }
            | BeaconReply::Value { .. }
            | BeaconReply::Entries { .. }
            | BeaconReply::Done { .. }
            | BeaconReply::Refused { .. }
            | BeaconReply::Conflict { .. } => Vec::new(),
        }
    }

    fn start_over(&mut self, entries: &[BeaconEntry]) -> Vec<ShardId> {
        let listed: BTreeSet<_> = entries.iter().filter_map(|entry| shard_of_key(&entry.key)).collect();
        let missing: Vec<_> = self.shards.keys().copied().filter(|shard| !listed.contains(shard)).collect();
        let mut changed: Vec<_> = missing.into_iter().filter_map(|shard| self.let_go(shard)).collect();
        changed.extend(entries.iter().filter_map(|entry| self.learn_shard(entry)));
        changed.sort();
        changed
    }

    fn learn_shard(&mut self, entry: &BeaconEntry) -> Option<ShardId> {
        let shard = shard_of_key(&entry.key)?;
        let Some(value) = &entry.value else {
            return self.let_go(shard);
        };
        let Ok(route) = ShardRoute::from_stored(value) else {
            tracing::warn!(key = entry.key, "the beacon holds a route that does not parse");
            return None;
        };
        if route.shard != shard || self.is_stale(shard, route.epoch) {
            return None;
        }
        let before = self.shards.insert(shard, Known { route, held: true });
        before.is_none_or(|before| before.route != route).then_some(shard)
    }

    /// The beacon no longer holds the route; a change only when another shard holds the cells.
    fn let_go(&mut self, shard: ShardId) -> Option<ShardId> {
        self.shards.get_mut(&shard)?.held = false;
        (self.shard_of(shard.first_cell()) != Some(shard)).then_some(shard)
    }
}

fn shard_of_key(key: &str) -> Option<ShardId> {
    key.strip_prefix(SHARD_PREFIX)?.parse().ok()
}
