//! Who owns what, as far as the gateway knows: a cache of the beacon's `shard/`.
//!
//! A route is taken only when its epoch is not below the highest one ever seen for the shard, whoever told it. A route that the
//! beacon no longer holds is kept as the last known one: a beacon that lost its memory or a lease that ran out stops nobody who
//! still runs. Shards that are known here never overlap: epochs rise over splits and merges, so of two that do, the one with the
//! lower epoch is no more.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::geometry::{CellId, SHARD_LEVEL_MAX, ShardId};
use pangaea_schemas::message::{BeaconEntry, BeaconReply, ShardRoute};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{NodeId, Nonce, ShardEpoch};

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

    /// Whether something with this epoch is refused; a higher one raises the fence. A shard is refused, too, where another one
    /// that it overlaps has a higher epoch: it is no more.
    pub(crate) fn is_stale(&mut self, shard: ShardId, epoch: ShardEpoch) -> bool {
        let fence = self.fences.entry(shard).or_default();
        *fence = (*fence).max(epoch);
        let fence = *fence;
        epoch < fence || overlapping(&self.fences, shard).any(|(other, fence)| *other != shard && *fence > epoch)
    }

    /// Shards in whose place the shard of a route stands. They are forgotten.
    fn put_in_place(&mut self, route: ShardRoute) -> Vec<ShardId> {
        let closed: Vec<ShardId> =
            overlapping(&self.shards, route.shard).map(|(shard, _)| *shard).filter(|shard| *shard != route.shard).collect();
        closed.iter().for_each(|shard| _ = self.shards.remove(shard));
        self.shards.insert(route.shard, Known { route, held: true });
        closed
    }

    /// Shards of the map were cut anew: the routes that are news.
    pub(crate) fn recut(&mut self, routes: &[ShardRoute]) -> Vec<ShardRoute> {
        let news = |route: &&ShardRoute| !self.is_stale(route.shard, route.epoch) && self.is_news(route);
        let news: Vec<ShardRoute> = routes.iter().filter(news).copied().collect();
        news.iter().for_each(|route| _ = self.put_in_place(*route));
        news
    }

    /// Take an owner's word for where the shard is now. `false`: that is old, or no news.
    pub(crate) fn moved(&mut self, route: ShardRoute) -> bool {
        if self.is_stale(route.shard, route.epoch) {
            return false;
        }
        let is_news = self.is_news(&route);
        self.put_in_place(route);
        is_news
    }

    /// An owner in force speaks of what it runs: so the shard is there, though the beacon may be late to say so. The shards whose
    /// owner or epoch changed.
    pub(crate) fn hear_owner(&mut self, owner: NodeId, shard: ShardId, epoch: ShardEpoch) -> Vec<ShardId> {
        let is_known = self.owner(shard).is_some_and(|known| known.epoch >= epoch);
        if is_known || self.is_stale(shard, epoch) {
            return Vec::new();
        }
        // Which start of the node it is, only the beacon tells; nobody here asks.
        let mut changed = self.put_in_place(ShardRoute { shard, owner, nonce: Nonce::default(), epoch });
        changed.push(shard);
        changed
    }

    fn is_news(&self, route: &ShardRoute) -> bool {
        self.owner(route.shard).is_none_or(|known| (known.owner, known.epoch) != (route.owner, route.epoch))
    }

    /// Take news from the beacon; the shards whose owner or epoch changed, in order.
    pub(crate) fn learn(&mut self, news: BeaconReply) -> Vec<ShardId> {
        match news {
            BeaconReply::WatchStart { prefix, entries } if prefix == SHARD_PREFIX => self.start_over(&entries),
            BeaconReply::WatchChange { prefix, entry } if prefix == SHARD_PREFIX => self.learn_shard(&entry),
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
        entries.iter().for_each(|entry| changed.extend(self.learn_shard(entry)));
        changed.sort();
        changed
    }

    /// The shards that change by it: the route's own, and those in whose place it stands.
    fn learn_shard(&mut self, entry: &BeaconEntry) -> Vec<ShardId> {
        let Some(shard) = shard_of_key(&entry.key) else { return Vec::new() };
        let Some(value) = &entry.value else {
            return self.let_go(shard).into_iter().collect();
        };
        let Ok(route) = ShardRoute::from_stored(value) else {
            tracing::warn!(key = entry.key, "the beacon holds a route that does not parse");
            return Vec::new();
        };
        if route.shard != shard || self.is_stale(shard, route.epoch) {
            return Vec::new();
        }
        let is_news = self.is_news(&route);
        let mut changed = self.put_in_place(route);
        changed.extend(is_news.then_some(shard));
        changed
    }

    /// The beacon no longer holds the route; a change only when another shard holds the cells.
    fn let_go(&mut self, shard: ShardId) -> Option<ShardId> {
        self.shards.get_mut(&shard)?.held = false;
        (self.shard_of(shard.first_cell()) != Some(shard)).then_some(shard)
    }
}

/// What is kept for shards that lie in this one, or in which it lies, itself included.
fn overlapping<T>(map: &BTreeMap<ShardId, T>, shard: ShardId) -> impl Iterator<Item = (&ShardId, &T)> {
    let above = std::iter::successors(shard.parent(), |above| above.parent()).filter_map(|above| map.get_key_value(&above));
    let last = shard.key_range().1;
    let inside =
        map.range(ShardId::holding(shard.first_cell(), 0)..).take_while(move |(known, _)| known.first_cell().key() <= last);
    above.chain(inside.filter(move |(known, _)| known.level <= shard.level))
}

fn shard_of_key(key: &str) -> Option<ShardId> {
    key.strip_prefix(SHARD_PREFIX)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::Role;
    use pangaea_schemas::geometry::SpaceId;

    const PARENT: ShardId = ShardId { space: SpaceId(0), level: 3, x: 1, z: 0 };

    fn route(shard: ShardId, epoch: u64) -> ShardRoute {
        ShardRoute { shard, owner: NodeId::new(Role::Scene, 1), nonce: Nonce(1), epoch: ShardEpoch(epoch) }
    }

    #[test]
    fn what_stands_in_a_shards_place_fences_it_off() {
        let children = PARENT.children().expect("it has some");
        let mut routes = Routes::default();
        assert!(routes.moved(route(PARENT, 4)));
        let four = children.map(|child| route(child, 5));
        assert_eq!(routes.recut(&four).len(), 4);
        assert!(routes.recut(&four).is_empty(), "told twice");
        assert_eq!(routes.shard_of(children[3].first_cell()), Some(children[3]));
        assert!(routes.is_stale(PARENT, ShardEpoch(4)), "a late frame");
        assert!(!routes.moved(route(PARENT, 4)));
        assert_eq!(routes.recut(&[route(PARENT, 6)]).len(), 1);
        assert!(routes.is_stale(children[0], ShardEpoch(5)));
        assert_eq!(routes.shard_of(children[3].first_cell()), Some(PARENT));
    }
}
