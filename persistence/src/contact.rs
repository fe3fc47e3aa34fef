//! The data contact: which data node serves which keys. Pure policy: the present map and who is alive in, the next map out.
//!
//! Keys are `CellId::key` values, so a shard belongs to the node of its first cell. With one data node it has everything.

use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;

/// The keys from `first` up to the next range's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// First key.
    pub first: u64,
    /// Who serves it.
    pub node: NodeId,
}

/// Who serves which keys: gapless, in key order, starting at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeMap {
    ranges: Vec<KeyRange>,
}

impl RangeMap {
    /// One node for everything.
    pub fn whole(node: NodeId) -> Self {
        Self { ranges: vec![KeyRange { first: 0, node }] }
    }

    /// Cut at `firsts` (ascending; the part below the first cut counts too), each part with the node beside it.
    pub fn cut(node: NodeId, firsts: &[(u64, NodeId)]) -> Self {
        let mut map = Self::whole(node);
        map.ranges.extend(firsts.iter().map(|&(first, node)| KeyRange { first, node }));
        map.ranges.sort_by_key(|range| range.first);
        map.ranges.dedup_by_key(|range| range.first);
        map
    }

    /// The ranges in key order.
    pub fn ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// Who serves a key; `None` in an empty map.
    pub fn node_of(&self, key: u64) -> Option<NodeId> {
        let after = self.ranges.partition_point(|range| range.first <= key);
        self.ranges.get(after.checked_sub(1)?).map(|range| range.node)
    }

    /// Who serves a shard.
    pub fn node_of_shard(&self, shard: ShardId) -> Option<NodeId> {
        self.node_of(shard.key_range().0)
    }
}

/// The next map: ranges of living nodes stay; those of lost ones go to the living node with the fewest ranges, the lowest
/// name first. Nobody alive: the map stays, and its keys wait.
pub fn plan(present: &RangeMap, alive: &[NodeId]) -> RangeMap {
    let mut alive = alive.to_vec();
    alive.sort_unstable();
    let Some(&lowest) = alive.first() else {
        return present.clone();
    };
    if present.ranges.is_empty() {
        return RangeMap::whole(lowest);
    }
    let mut next = present.clone();
    for n in 0..next.ranges.len() {
        if !alive.contains(&next.ranges[n].node) {
            let load = |node: &NodeId| next.ranges.iter().filter(|range| range.node == *node).count();
            next.ranges[n].node = alive.iter().copied().min_by_key(load).unwrap_or(lowest);
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::Role;
    use pangaea_schemas::cluster::ClusterSpec;

    fn data(n: u16) -> NodeId {
        NodeId::new(Role::Data, n)
    }

    #[test]
    fn the_first_data_node_gets_everything() {
        let map = plan(&RangeMap::default(), &[data(2), data(1)]);
        assert_eq!(map, RangeMap::whole(data(1)));
        for shard in ClusterSpec::demo().spaces[0].first_shards() {
            assert_eq!(map.node_of_shard(shard), Some(data(1)));
        }
    }

    #[test]
    fn a_lost_node_is_replaced_and_the_others_keep_what_they_have() {
        let map = RangeMap::cut(data(1), &[(100, data(2)), (200, data(3)), (300, data(2))]);
        let next = plan(&map, &[data(1), data(3), data(4)]);
        assert_eq!(next, RangeMap::cut(data(1), &[(100, data(4)), (200, data(3)), (300, data(1))]));
        assert_eq!((next.node_of(99), next.node_of(100), next.node_of(250)), (Some(data(1)), Some(data(4)), Some(data(3))));
        assert_eq!(plan(&next, &[data(1), data(3), data(4)]), next, "nothing moves without need");
    }

    #[test]
    fn nobody_alive_moves_nothing() {
        let map = RangeMap::whole(data(1));
        assert_eq!(plan(&map, &[]), map);
        assert_eq!(plan(&map, &[data(2)]), RangeMap::whole(data(2)));
        assert_eq!(RangeMap::default().node_of(5), None);
    }
}
