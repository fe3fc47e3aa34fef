//! Who is believed to own which shard: a hint that decides where to send, never what is true.
//!
//! The shards that are known here never overlap: epochs rise over splits and merges, so of two that do, the one with the lower
//! epoch is no more.

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
        let beaten =
            |known: &ShardRoute| if known.shard == route.shard { known.epoch > route.epoch } else { known.epoch >= route.epoch };
        if self.overlapping(route.shard).any(beaten) {
            return false;
        }
        let closed: Vec<ShardId> = self.overlapping(route.shard).map(|known| known.shard).collect();
        closed.iter().for_each(|shard| _ = self.by_shard.remove(shard));
        self.by_shard.insert(route.shard, route);
        true
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

    /// Who serves a name: the shard's owner, or for a closed shard the owner of the shard that has its estate.
    pub fn serving(&self, name: ShardId) -> Option<&ShardRoute> {
        self.of(name).or_else(|| self.of(self.holding(name.first_cell())?))
    }

    /// Known shards that lie in this one, or in which it lies, itself included.
    pub fn overlapping(&self, shard: ShardId) -> impl Iterator<Item = &ShardRoute> {
        let above = std::iter::successors(shard.parent(), |above| above.parent()).filter_map(|above| self.by_shard.get(&above));
        let last = shard.key_range().1;
        let inside = move |(known, _): &(&ShardId, &ShardRoute)| known.first_cell().key() <= last;
        // Those that begin with the same cell and are larger lie above.
        let from = ShardId::holding(shard.first_cell(), 0);
        let within = self.by_shard.range(from..).take_while(inside).map(|(_, route)| route);
        above.chain(within.filter(move |route| route.shard.level <= shard.level))
    }

    /// All routes, in shard order.
    pub fn iter(&self) -> impl Iterator<Item = &ShardRoute> {
        self.by_shard.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::geometry::SpaceId;
    use pangaea_schemas::{Nonce, Role};

    const PARENT: ShardId = ShardId { space: SpaceId(0), level: 3, x: 1, z: 0 };

    fn route(shard: ShardId, epoch: u64) -> ShardRoute {
        ShardRoute { shard, owner: NodeId::new(Role::Scene, 1), nonce: Nonce(1), epoch: ShardEpoch(epoch) }
    }

    fn known(routes: &Routes) -> Vec<ShardId> {
        routes.iter().map(|route| route.shard).collect()
    }

    #[test]
    fn of_shards_that_overlap_the_higher_epoch_is_there() {
        let children = PARENT.children().expect("it has some");
        let mut routes = Routes::default();
        assert!(routes.learn(route(PARENT, 4)));
        assert!(!routes.learn(route(children[1], 4)), "from before the merge");
        for child in children {
            assert!(routes.learn(route(child, 5)));
        }
        assert_eq!(known(&routes), children);
        assert!(!routes.learn(route(PARENT, 4)), "late news of a closed shard");
        assert!(routes.learn(route(children[2], 9)));
        assert!(!routes.learn(route(PARENT, 9)));
        assert!(routes.learn(route(PARENT, 10)));
        assert_eq!(known(&routes), [PARENT]);
    }

    #[test]
    fn a_closed_name_is_served_by_whoever_holds_its_first_cell() {
        let children = PARENT.children().expect("it has some");
        let mut routes = Routes::default();
        children.iter().skip(1).for_each(|child| _ = routes.learn(route(*child, 5)));
        assert_eq!(routes.serving(PARENT), None, "its owner is not known now");
        routes.learn(route(children[0], 5));
        assert_eq!(routes.serving(PARENT).map(|route| route.shard), Some(children[0]));
        routes.learn(route(PARENT, 6));
        for child in children {
            assert_eq!(routes.serving(child).map(|route| route.shard), Some(PARENT));
        }
    }
}
