//! Those who follow a shard's cells: gateways and neighbour shards, one frame per tick and follower.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::message::{AgentFeed, CellFeed, FeedFilter, FeedFrame, RestFollower};
use pangaea_schemas::{NodeId, ShardEpoch, Tick};
use rustc_hash::FxHashSet;

use crate::ecs::Published;

/// Most cells of one follower.
pub(super) const FOLLOWED_CELLS_MAX: usize = 65_536;
/// Most followers of one shard.
pub(super) const FOLLOWERS_MAX: usize = 1_024;

/// A follower's name: its node, and the shard there when it is one.
pub(super) type FollowerId = (NodeId, Option<ShardId>);

#[derive(Clone, Debug)]
struct Follower {
    filter: FeedFilter,
    /// Asked for each cell that changed, so hashed; never iterated unsorted.
    cells: FxHashSet<CellId>,
    /// Followed cells that come as a snapshot in the next frame.
    fresh: BTreeSet<CellId>,
    seq: u32,
    last_frame: Tick,
}

/// All followers of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Followers {
    by_id: BTreeMap<FollowerId, Follower>,
}

/// Which cells, and how.
#[derive(Clone, Debug)]
pub(super) struct FollowRequest {
    /// Which components.
    pub(super) filter: FeedFilter,
    /// Start over.
    pub(super) reset: bool,
    /// Cells to follow; those of other shards are ignored.
    pub(super) add: Vec<CellId>,
    /// Cells to leave.
    pub(super) remove: Vec<CellId>,
}

impl Followers {
    /// Changes what a follower follows. One that was not known starts over.
    pub(super) fn follow(&mut self, shard: ShardId, id: FollowerId, request: FollowRequest) {
        if self.by_id.len() >= FOLLOWERS_MAX && !self.by_id.contains_key(&id) {
            return;
        }
        let new = || Follower {
            filter: request.filter,
            cells: FxHashSet::default(),
            fresh: BTreeSet::new(),
            seq: 0,
            last_frame: Tick(0),
        };
        let follower = self.by_id.entry(id).or_insert_with(new);
        if request.reset || follower.filter != request.filter {
            *follower = new();
        }
        for cell in request.remove {
            follower.cells.remove(&cell);
            follower.fresh.remove(&cell);
        }
        for cell in request.add.into_iter().filter(|cell| shard.contains(*cell)) {
            if follower.cells.len() < FOLLOWED_CELLS_MAX {
                follower.cells.insert(cell);
                follower.fresh.insert(cell);
            }
        }
    }

    /// All of them, for a new owner of the shard.
    pub(super) fn rest(&self) -> Vec<RestFollower> {
        let follower = |((node, shard), f): (&FollowerId, &Follower)| RestFollower {
            node: *node,
            shard: *shard,
            filter: f.filter,
            cells: f.cells.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
            fresh: f.fresh.iter().copied().collect(),
            seq: f.seq,
        };
        self.by_id.iter().map(follower).collect()
    }

    /// Goes on where the former owner stopped: no follower misses a frame.
    pub(super) fn take_over(&mut self, tick: Tick, followers: Vec<RestFollower>) {
        for RestFollower { node, shard, filter, cells, fresh, seq } in followers {
            let (cells, fresh) = (cells.into_iter().collect(), fresh.into_iter().collect());
            self.by_id.insert((node, shard), Follower { filter, cells, fresh, seq, last_frame: tick });
        }
    }

    /// These shards are no more: what stands in their place follows for itself.
    pub(super) fn forget(&mut self, closed: &[ShardId]) {
        self.by_id.retain(|(_, shard), _| shard.is_none_or(|shard| !closed.contains(&shard)));
    }

    /// The nodes that follow, each once.
    pub(super) fn nodes(&self) -> BTreeSet<NodeId> {
        self.by_id.keys().map(|(node, _)| *node).collect()
    }

    /// A node is gone.
    pub(super) fn node_lost(&mut self, node: NodeId) {
        self.by_id.retain(|(of, _), _| *of != node);
    }

    /// The tick's frames. A follower without news gets an empty one every `beat` ticks, so that it can tell silence from loss.
    pub(super) fn frames(
        &mut self,
        (shard, epoch, tick): (ShardId, ShardEpoch, Tick),
        published: &Published,
        snapshot: impl Fn(CellId, FeedFilter) -> Arc<CellFeed>,
        agents: &mut BTreeMap<NodeId, Vec<AgentFeed>>,
        beat: u64,
    ) -> Vec<(NodeId, FeedFrame)> {
        let mut frames = Vec::new();
        for ((node, of), follower) in &mut self.by_id {
            let changed = match follower.filter {
                FeedFilter::Replicated => &published.replicated,
                FeedFilter::Ghosted => &published.ghosted,
            };
            let cells = follower.news(changed, &snapshot);
            let agents = if of.is_none() { agents.remove(node).unwrap_or_default() } else { Vec::new() };
            if cells.is_empty() && agents.is_empty() && tick.since(follower.last_frame) < beat {
                continue;
            }
            follower.seq += 1;
            follower.last_frame = tick;
            frames.push((*node, FeedFrame { shard, epoch, tick, seq: follower.seq, follower: *of, cells, agents }));
        }
        frames
    }
}

impl Follower {
    fn news(
        &mut self,
        changed: &BTreeMap<CellId, Arc<CellFeed>>,
        snapshot: impl Fn(CellId, FeedFilter) -> Arc<CellFeed>,
    ) -> Vec<Arc<CellFeed>> {
        let fresh = std::mem::take(&mut self.fresh);
        let is_news = |cell: &CellId| self.cells.contains(cell) && !fresh.contains(cell);
        let mut news: Vec<_> = changed.values().filter(|feed| is_news(&feed.cell)).cloned().collect();
        if !fresh.is_empty() {
            news.extend(fresh.into_iter().map(|cell| snapshot(cell, self.filter)));
            news.sort_unstable_by_key(|feed| feed.cell);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::Role;
    use pangaea_schemas::geometry::SpaceId;

    const GATE: NodeId = NodeId::new(Role::Gateway, 1);

    fn cell(x: u16) -> CellId {
        CellId { space: SpaceId(0), x, z: 0 }
    }

    fn shard() -> ShardId {
        ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 }
    }

    fn follow(add: &[u16], reset: bool) -> FollowRequest {
        FollowRequest { filter: FeedFilter::Replicated, reset, add: add.iter().map(|x| cell(*x)).collect(), remove: vec![] }
    }

    /// Frames of a tick in which `changed` cells changed, as (seq, cells with `!` for snapshots).
    fn frames(followers: &mut Followers, tick: u64, changed: &[u16]) -> Vec<(u32, Vec<String>)> {
        let feed = |cell, snapshot| Arc::new(CellFeed { cell, snapshot, ..CellFeed::default() });
        let replicated = changed.iter().map(|x| (cell(*x), feed(cell(*x), false))).collect();
        let published = Published { replicated, ..Published::default() };
        let key = (shard(), ShardEpoch(1), Tick(tick));
        let frames = followers.frames(key, &published, |cell, _| feed(cell, true), &mut BTreeMap::new(), 20);
        let name = |c: &Arc<CellFeed>| format!("{}{}", c.cell.x, if c.snapshot { "!" } else { "" });
        frames.iter().map(|(_, frame)| (frame.seq, frame.cells.iter().map(name).collect())).collect()
    }

    #[test]
    fn a_new_cell_comes_as_a_snapshot_and_then_only_when_it_changes() {
        let mut followers = Followers::default();
        followers.follow(shard(), (GATE, None), follow(&[1, 2, 9], true));
        assert_eq!(frames(&mut followers, 100, &[2, 3]), [(1, vec!["1!".to_owned(), "2!".to_owned()])], "9 is another shard's");
        assert_eq!(frames(&mut followers, 101, &[2, 3]), [(2, vec!["2".to_owned()])]);
        assert_eq!(frames(&mut followers, 102, &[]), []);
        followers.follow(shard(), (GATE, None), follow(&[2], false));
        assert_eq!(frames(&mut followers, 103, &[]), [(3, vec!["2!".to_owned()])]);
    }

    #[test]
    fn silence_is_broken_by_a_beat_and_a_reset_starts_over() {
        let mut followers = Followers::default();
        followers.follow(shard(), (GATE, None), follow(&[1], true));
        frames(&mut followers, 100, &[]);
        assert_eq!(frames(&mut followers, 119, &[]), []);
        assert_eq!(frames(&mut followers, 120, &[]), [(2, vec![])]);
        followers.follow(shard(), (GATE, None), follow(&[1], true));
        assert_eq!(frames(&mut followers, 121, &[]), [(1, vec!["1!".to_owned()])]);
    }
}
