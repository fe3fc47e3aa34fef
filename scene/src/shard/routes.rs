//! Who is believed to own which shard: a hint that decides where to send, never what is true.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::{CellId, SHARD_LEVEL_MAX, ShardId};
use pangaea_schemas::message::ShardRoute;
use pangaea_schemas::{NodeId, ShardEpoch};

/// The last known owner of each shard.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_shard: BTreeMap<ShardId, ShardRoute>,
}

impl Routes {
    /// Learns a route. `false`: a newer one is known.
    pub fn learn(&mut self, route: ShardRoute) -> bool {
        let newer = self.by_shard.get(&route.shard).is_none_or(|known| route.epoch >= known.epoch);
        if newer {
            self.by_shard.insert(route.shard, route);
        }
        newer
    }

    /// The shard has no known owner any more.
    pub fn forget(&mut self, shard: ShardId) {
        self.by_shard.remove(&shard);
    }

    /// The known owner of a shard.
    pub fn of(&self, shard: ShardId) -> Option<&ShardRoute> {
        self.by_shard.get(&shard)
    }

    /// The node that owns a shard.
    pub fn node(&self, shard: ShardId) -> Option<NodeId> {
        self.of(shard).map(|route| route.owner)
    }

    /// The epoch of a shard's known owner; zero when there is none.
    pub fn epoch(&self, shard: ShardId) -> ShardEpoch {
        self.of(shard).map_or(ShardEpoch::ZERO, |route| route.epoch)
    }

    /// The owned shard that holds a cell.
    pub fn holding(&self, cell: CellId) -> Option<ShardId> {
        (0..=SHARD_LEVEL_MAX).map(|level| ShardId::holding(cell, level)).find(|shard| self.by_shard.contains_key(shard))
    }

    /// All routes, in shard order.
    pub fn iter(&self) -> impl Iterator<Item = &ShardRoute> {
        self.by_shard.values()
    }
}
