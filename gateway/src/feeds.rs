//! Following cells at their shards' owners.
//!
//! One subscription per shard. A new owner, a new epoch or a gap in the sequence means: follow again, from the start
//! (`reset`), with everything. Frames of a lower epoch, of another node or of before a reset are refused.
//!
//! | expected | frame's seq | verdict |
//! |---|---|---|
//! | 1 (after a reset) | other | ignore: from before the reset |
//! | n | n | apply |
//! | n | other | gap: reset |
//!
//! A sequence that begins anew without being asked to is a gap, too: whoever thought this gateway gone has forgotten its cells,
//! and takes its next wish for all of them.
//!
//! Follow requests may be lost: a cell whose snapshot does not come is asked for again, a silent shard is followed afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::message::{Address, Envelope, Feed, FeedFilter, FeedFrame, Message, ShardRoute};
use pangaea_schemas::{NodeId, Timestamp};

use crate::routes::Routes;

/// A cell whose snapshot has not come by then is asked for again.
const SNAPSHOT_TIME_MAX: Duration = Duration::from_secs(1);
/// A shard whose first frame after a reset has not come by then is followed afresh.
const FIRST_FRAME_TIME_MAX: Duration = Duration::from_secs(1);
/// A shard that is silent for so long is followed afresh.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// A node that says "not here" is not asked again before.
const NOT_HERE_PAUSE: Duration = Duration::from_millis(500);

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Take it.
    Apply,
    /// From an owner that is not in force.
    Stale,
    /// Not for the present subscription.
    Ignore,
    /// Some frames are lost; the shard will be followed afresh.
    Gap,
}

/// One shard's subscription.
#[derive(Debug)]
struct Subscription {
    owner: NodeId,
    /// Sequence of the next frame.
    expected: u32,
    reset: bool,
    cells: BTreeSet<CellId>,
    /// Cells to tell the owner about.
    adding: BTreeSet<CellId>,
    removing: BTreeSet<CellId>,
    /// Cells whose snapshot has not come, and when it was asked for.
    awaited: BTreeMap<CellId, Timestamp>,
    heard: Timestamp,
    not_before: Timestamp,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    shards: BTreeMap<ShardId, Subscription>,
    /// Cells whose shard has no owner now.
    unrouted: BTreeSet<CellId>,
    /// Shards that run agents of sessions here: followed even when no cell of theirs is.
    hosting: BTreeMap<ShardId, u32>,
}

impl Feeds {
    pub(crate) fn want(&mut self, routes: &Routes, cell: CellId) {
        match routes.shard_of(cell).and_then(|shard| self.subscribe(routes, shard)) {
            Some(subscription) => {
                subscription.cells.insert(cell);
                subscription.adding.insert(cell);
                subscription.removing.remove(&cell);
            }
            None => _ = self.unrouted.insert(cell),
        }
    }

    pub(crate) fn unwant(&mut self, cell: CellId) {
        self.unrouted.remove(&cell);
        for subscription in self.shards.values_mut().filter(|s| s.cells.contains(&cell)) {
            subscription.cells.remove(&cell);
            subscription.adding.remove(&cell);
            subscription.awaited.remove(&cell);
            subscription.removing.insert(cell);
        }
    }

    /// The shard runs one more session's agent: it tells of agents only to nodes that follow it.
    pub(crate) fn host(&mut self, routes: &Routes, shard: ShardId) {
        *self.hosting.entry(shard).or_default() += 1;
        self.subscribe(routes, shard);
    }

    pub(crate) fn unhost(&mut self, shard: ShardId) {
        if let Some(count) = self.hosting.get_mut(&shard) {
            *count -= 1;
            if *count == 0 {
                self.hosting.remove(&shard);
            }
        }
    }

    /// These shards have another owner, epoch, or none.
    pub(crate) fn reroute(&mut self, routes: &Routes, changed: &[ShardId]) {
        let mut homeless = std::mem::take(&mut self.unrouted);
        for shard in changed {
            if let Some(mut subscription) = self.shards.remove(shard) {
                homeless.append(&mut subscription.cells);
            }
        }
        // A split or a merge takes cells from shards that did not change themselves.
        for subscription in self.shards.values_mut() {
            let moved: Vec<_> =
                subscription.cells.iter().copied().filter(|cell| changed.iter().any(|s| s.contains(*cell))).collect();
            for cell in moved {
                subscription.cells.remove(&cell);
                homeless.insert(cell);
            }
        }
        homeless.into_iter().for_each(|cell| self.want(routes, cell));
        let hosting: Vec<_> = self.hosting.keys().copied().collect();
        hosting.into_iter().for_each(|shard| _ = self.subscribe(routes, shard));
    }

    /// A new owner goes on with the same frames. Cells whose snapshot has not come are asked for again: the question may have
    /// been lost between the two.
    pub(crate) fn moved(&mut self, now: Timestamp, route: &ShardRoute) {
        if let Some(subscription) = self.shards.get_mut(&route.shard) {
            (subscription.owner, subscription.heard) = (route.owner, now);
            subscription.adding.extend(subscription.awaited.keys());
        }
    }

    /// The map was cut anew: what was followed of the closed shards is followed of those that stand in their place, whose frames
    /// go on behind the last of any closed one. As with [`Self::moved`], missing snapshots are asked for again.
    pub(crate) fn recut(&mut self, now: Timestamp, closed: &[ShardId], routes: &[ShardRoute]) {
        let gone: Vec<Subscription> = closed.iter().filter_map(|shard| self.shards.remove(shard)).collect();
        if gone.is_empty() {
            return;
        }
        let (expected, reset) =
            (gone.iter().map(|s| s.expected).max().unwrap_or(1), gone.iter().any(|s| s.reset || s.expected == 1));
        for route in routes {
            let mut part = Subscription { expected, reset, heard: now, ..Subscription::new(route.owner) };
            for subscription in &gone {
                let here = |cell: &&CellId| route.shard.contains(**cell);
                part.cells.extend(subscription.cells.iter().filter(here));
                part.adding.extend(subscription.adding.iter().filter(here));
                part.removing.extend(subscription.removing.iter().filter(here));
                part.awaited.extend(subscription.awaited.iter().filter(|(cell, _)| route.shard.contains(**cell)));
            }
            part.adding.extend(part.awaited.keys());
            self.shards.insert(route.shard, part);
        }
    }

    /// The way to a node broke and is back: what it sent meanwhile is lost.
    pub(crate) fn relink(&mut self, node: NodeId) {
        self.shards.values_mut().filter(|s| s.owner == node).for_each(|s| s.reset = true);
    }

    /// Whether a frame counts. The caller has checked its epoch against the fence.
    pub(crate) fn judge(&mut self, now: Timestamp, from: NodeId, frame: &FeedFrame) -> Verdict {
        let Some(subscription) = self.shards.get_mut(&frame.shard).filter(|s| s.owner == from) else { return Verdict::Stale };
        if frame.seq != 1 && subscription.expected == 1 {
            return Verdict::Ignore;
        }
        if frame.seq != subscription.expected {
            subscription.reset = true;
            return Verdict::Gap;
        }
        subscription.heard = now;
        subscription.expected = frame.seq.wrapping_add(1).max(1);
        for cell in &frame.cells {
            if cell.snapshot {
                subscription.awaited.remove(&cell.cell);
            }
            if !subscription.cells.contains(&cell.cell) {
                subscription.removing.insert(cell.cell);
            }
        }
        Verdict::Apply
    }

    /// The cells of a shard that are followed.
    pub(crate) fn followed(&self, shard: ShardId) -> impl Iterator<Item = &CellId> {
        self.shards.get(&shard).into_iter().flat_map(|subscription| &subscription.cells)
    }

    /// The node does not run the shard.
    pub(crate) fn not_here(&mut self, now: Timestamp, from: NodeId, shard: ShardId) {
        if let Some(subscription) = self.shards.get_mut(&shard).filter(|s| s.owner == from) {
            subscription.not_before = now + NOT_HERE_PAUSE;
            subscription.reset = true;
        }
    }

    /// What to tell the owners now.
    pub(crate) fn flush(&mut self, now: Timestamp) -> Vec<Envelope> {
        let hosting = &self.hosting;
        let mut out = Vec::new();
        for (shard, subscription) in &mut self.shards {
            if let Some(follow) = subscription.follow(now, *shard, hosting.contains_key(shard)) {
                out.push(Envelope { to: Address::Node(subscription.owner), message: Message::Feed(follow) });
            }
        }
        out
    }

    fn subscribe(&mut self, routes: &Routes, shard: ShardId) -> Option<&mut Subscription> {
        let owner = routes.owner(shard)?.owner;
        Some(self.shards.entry(shard).or_insert_with(|| Subscription::new(owner)))
    }
}

impl Subscription {
    fn new(owner: NodeId) -> Self {
        Self {
            owner,
            expected: 1,
            reset: true,
            cells: BTreeSet::new(),
            adding: BTreeSet::new(),
            removing: BTreeSet::new(),
            awaited: BTreeMap::new(),
            heard: Timestamp::default(),
            not_before: Timestamp::default(),
        }
    }

    fn follow(&mut self, now: Timestamp, shard: ShardId, hosting: bool) -> Option<Feed> {
        if now < self.not_before {
            return None;
        }
        let needed = hosting || !self.cells.is_empty();
        let patience = if self.expected == 1 { FIRST_FRAME_TIME_MAX } else { SILENCE_MAX };
        if needed && now.since(self.heard) >= patience {
            self.reset = true;
        }
        if self.reset && needed {
            self.adding.clone_from(&self.cells);
            self.removing.clear();
            self.expected = 1;
            self.heard = now;
        } else {
            let late = self.awaited.iter().filter(|(_, asked)| now.since(**asked) >= SNAPSHOT_TIME_MAX).map(|(cell, _)| *cell);
            self.adding.extend(late);
        }
        let reset = std::mem::take(&mut self.reset) && needed;
        if !reset && self.adding.is_empty() && self.removing.is_empty() {
            return None;
        }
        let add: Vec<_> = std::mem::take(&mut self.adding).into_iter().collect();
        let remove = std::mem::take(&mut self.removing).into_iter().collect();
        self.awaited.extend(add.iter().map(|cell| (*cell, now)));
        Some(Feed::Follow { shard, follower: None, filter: FeedFilter::Replicated, reset, add, remove })
    }
}
