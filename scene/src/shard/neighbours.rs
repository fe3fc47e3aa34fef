//! Ghost subscriptions: a shard follows its neighbours' border cells, one ring deep.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Feed, FeedFilter, FeedFrame, ShardRoute};
use pangaea_schemas::{ShardEpoch, Timestamp};

use super::Routes;
use crate::ecs::GHOST_RINGS;

/// A neighbour that says nothing for this long is followed anew; it beats every second.
pub(super) const NEIGHBOUR_SILENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
struct Followed {
    epoch: ShardEpoch,
    /// Of the last frame; 0 before the first.
    seq: u32,
    heard: Timestamp,
}

/// The neighbours that a shard follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Neighbours {
    by_shard: BTreeMap<ShardId, Followed>,
}

impl Neighbours {
    /// Follows neighbours that are new, have a new owner or fell silent. Returns what to send, and whose ghosts stand still.
    pub(super) fn refresh(&mut self, now: Timestamp, own: ShardId, routes: &Routes) -> (Vec<(ShardId, Feed)>, Vec<ShardId>) {
        let lost: Vec<ShardId> = self.by_shard.keys().copied().filter(|shard| routes.of(*shard).is_none()).collect();
        self.by_shard.retain(|shard, _| routes.of(*shard).is_some());
        let mut asks = Vec::new();
        for route in routes.iter().filter(|route| route.shard.touches(own) && route.shard.space == own.space) {
            let known = self.by_shard.get(&route.shard);
            let silent = |f: &Followed| now.since(f.heard) >= NEIGHBOUR_SILENCE;
            if known.is_some_and(|f| f.epoch == route.epoch && !silent(f)) {
                continue;
            }
            self.by_shard.insert(route.shard, Followed { epoch: route.epoch, seq: 0, heard: now });
            let add = route.shard.border_cells(own, GHOST_RINGS);
            let follow = Feed::Follow {
                shard: route.shard,
                follower: Some(own),
                filter: FeedFilter::Ghosted,
                reset: true,
                add,
                remove: Vec::new(),
            };
            asks.push((route.shard, follow));
        }
        (asks, lost)
    }

    /// A neighbour is owned by another scene now, which goes on with the same frames.
    pub(super) fn moved(&mut self, shard: ShardId, epoch: ShardEpoch) {
        if let Some(followed) = self.by_shard.get_mut(&shard) {
            followed.epoch = followed.epoch.max(epoch);
        }
    }

    /// Neighbours were cut anew. What stands in their place goes on with their frames, behind the last of any of them.
    pub(super) fn recut(&mut self, own: ShardId, closed: &[ShardId], routes: &[ShardRoute]) {
        let gone: Vec<Followed> = closed.iter().filter_map(|shard| self.by_shard.remove(shard)).collect();
        let Some(last) = gone.iter().max_by_key(|followed| followed.seq).filter(|last| last.seq > 0) else { return };
        // One that was followed only in part, or whose frames were not all heard, is followed anew.
        for route in routes.iter().filter(|route| route.shard.touches(own)) {
            self.by_shard.insert(route.shard, Followed { epoch: route.epoch, ..*last });
        }
    }

    /// Whether a frame is the next one of a neighbour in force. After a gap the neighbour is followed anew.
    pub(super) fn accept(&mut self, now: Timestamp, frame: &FeedFrame) -> bool {
        let Some(followed) = self.by_shard.get_mut(&frame.shard) else { return false };
        if frame.epoch != followed.epoch || frame.seq <= followed.seq {
            return false;
        }
        if frame.seq != followed.seq + 1 {
            self.by_shard.remove(&frame.shard);
            return false;
        }
        (followed.seq, followed.heard) = (frame.seq, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::geometry::SpaceId;
    use pangaea_schemas::{NodeId, Nonce, Role, Tick};

    const AT: fn(u64) -> Timestamp = |ms| Timestamp(ms * 1_000);

    fn shard(x: u16) -> ShardId {
        ShardId { space: SpaceId(0), level: 3, x, z: 0 }
    }

    fn routes(epoch: u64) -> Routes {
        let mut routes = Routes::default();
        for x in [1, 3] {
            let owner = NodeId::new(Role::Scene, 2);
            routes.learn(ShardRoute { shard: shard(x), owner, nonce: Nonce(1), epoch: ShardEpoch(epoch) });
        }
        routes
    }

    fn frame(seq: u32, epoch: u64) -> FeedFrame {
        let (epoch, follower) = (ShardEpoch(epoch), Some(shard(0)));
        FeedFrame { shard: shard(1), epoch, tick: Tick(1), seq, follower, cells: vec![], agents: vec![] }
    }

    #[test]
    fn only_touching_shards_are_followed_and_once_per_owner() {
        let mut n = Neighbours::default();
        let (asks, _) = n.refresh(AT(0), shard(0), &routes(1));
        assert_eq!(asks.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [shard(1)]);
        assert!(n.refresh(AT(50), shard(0), &routes(1)).0.is_empty());
        assert_eq!(n.refresh(AT(100), shard(0), &routes(2)).0.len(), 1, "a new owner is followed anew");
        assert_eq!(n.refresh(AT(150), shard(0), &Routes::default()).1, [shard(1)]);
    }

    #[test]
    fn gaps_and_silence_are_followed_anew_and_old_owners_not_heard() {
        let mut n = Neighbours::default();
        n.refresh(AT(0), shard(0), &routes(2));
        assert!(!n.accept(AT(10), &frame(1, 1)));
        assert!(n.accept(AT(10), &frame(1, 2)));
        assert!(!n.accept(AT(20), &frame(1, 2)), "doubled");
        assert!(!n.accept(AT(30), &frame(3, 2)), "a gap");
        assert_eq!(n.refresh(AT(40), shard(0), &routes(2)).0.len(), 1);
        assert_eq!(n.refresh(AT(3_040), shard(0), &routes(2)).0.len(), 1, "silent since");
    }
}
