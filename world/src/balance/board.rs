//! The inventory laid out for planning: scenes and shards by position, with what the plan has decided so far already done.

use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;

use super::borders::Borders;
use super::{Inventory, Outlook, Policy, Seat, ShardRow, Share};

/// Ghosts (in 1/1000) that each border cell is taken to have when nobody is near: empty shards keep together, too.
const QUIET_GHOSTS_PERMILLE: u64 = 100;
/// What a hand-over per minute costs, in 1/1000 of a ghost: about as many messages as a ghost takes in two seconds.
const CROSSING_GHOSTS_PERMILLE: u64 = 33;

/// A scene on the board.
#[derive(Debug)]
pub(super) struct SceneSlot {
    pub(super) node: NodeId,
    pub(super) capacity: Share,
    pub(super) open: bool,
    /// Of all shards that it has, or is to have.
    pub(super) load: Share,
    /// Positions of those shards.
    pub(super) held: Vec<usize>,
    /// Moves to and from it, those of the plan included.
    pub(super) moves: u32,
}

impl SceneSlot {
    /// Load as a part of capacity.
    pub(super) fn level(&self) -> Share {
        self.load.of(self.capacity)
    }

    /// Its level with so much more load.
    pub(super) fn level_with(&self, load: Share) -> Share {
        (self.load + load).of(self.capacity)
    }

    /// Its level with so much less load.
    pub(super) fn level_without(&self, load: Share) -> Share {
        (self.load - load).of(self.capacity)
    }
}

/// A shard on the board.
#[derive(Debug)]
pub(super) struct ShardSlot<'a> {
    pub(super) row: &'a ShardRow,
    /// At least the policy's floor.
    pub(super) load: Share,
    /// Who has it or is to have it, by position.
    pub(super) scene: Option<usize>,
    /// It runs, and the plan leaves it alone so far.
    pub(super) still: bool,
}

pub(super) struct Board<'a> {
    pub(super) policy: &'a Policy,
    pub(super) scenes: Vec<SceneSlot>,
    pub(super) shards: Vec<ShardSlot<'a>>,
    pub(super) moves: usize,
    borders: Borders,
}

impl<'a> Board<'a> {
    pub(super) fn new(policy: &'a Policy, inventory: &'a Inventory) -> Self {
        let scene = |(node, row): (&NodeId, &super::SceneRow)| SceneSlot {
            node: *node,
            capacity: row.capacity,
            open: row.open && row.capacity > Share::ZERO,
            load: Share::ZERO,
            held: Vec::new(),
            moves: 0,
        };
        let mut board = Self {
            policy,
            scenes: inventory.scenes.iter().map(scene).collect(),
            shards: Vec::with_capacity(inventory.shards.len()),
            moves: 0,
            borders: Borders::new(inventory.shards.keys().copied().collect()),
        };
        for row in inventory.shards.values() {
            board.lay(row);
        }
        board
    }

    /// Puts the next shard where it counts: one on its way counts where it goes.
    fn lay(&mut self, row: &'a ShardRow) {
        let (scene, still) = match row.seat {
            Seat::Vacant { .. } => (None, false),
            Seat::Held { scene } => (scene, false),
            Seat::Running { scene, .. } => (Some(scene), true),
            Seat::Moving { from, to } => {
                self.moves += 1;
                for scene in [from, to].map(|node| self.scene(node)).into_iter().flatten() {
                    self.scenes[scene].moves += 1;
                }
                (Some(to), false)
            }
        };
        let shard = self.shards.len();
        let load = row.load.max(self.policy.shard_load_floor);
        self.shards.push(ShardSlot { row, load, scene: None, still });
        if let Some(scene) = scene.and_then(|node| self.scene(node)) {
            self.seat(shard, scene);
        }
    }

    fn scene(&self, node: NodeId) -> Option<usize> {
        self.scenes.binary_search_by_key(&node, |scene| scene.node).ok()
    }

    pub(super) fn position(&self, node: Option<NodeId>) -> Option<usize> {
        self.scene(node?)
    }

    pub(super) fn id(&self, shard: usize) -> ShardId {
        self.borders.id(shard)
    }

    /// The scenes that take shards, by position.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &SceneSlot)> {
        self.scenes.iter().enumerate().filter(|(_, scene)| scene.open)
    }

    /// Gives a shard to a scene, from where it was.
    pub(super) fn seat(&mut self, shard: usize, scene: usize) {
        let load = self.shards[shard].load;
        if let Some(before) = self.shards[shard].scene.replace(scene) {
            let before = &mut self.scenes[before];
            before.load -= load;
            before.held.retain(|held| *held != shard);
        }
        self.scenes[scene].load += load;
        self.scenes[scene].held.push(shard);
    }

    /// A move of the plan: counted as done, and as under way.
    pub(super) fn shift(&mut self, shard: usize, to: usize) {
        self.moves += 1;
        self.scenes[to].moves += 1;
        if let Some(from) = self.shards[shard].scene {
            self.scenes[from].moves += 1;
        }
        self.shards[shard].still = false;
        self.seat(shard, to);
    }

    /// Whether a shard runs, is left alone by the plan so far, and has had its rest after its last move.
    pub(super) fn is_free(&self, shard: usize) -> bool {
        let shard = &self.shards[shard];
        let rested = match shard.row.seat {
            Seat::Running { moved, .. } => moved.is_none_or(|ago| ago >= self.policy.rest),
            Seat::Vacant { .. } | Seat::Held { .. } | Seat::Moving { .. } => false,
        };
        shard.still && rested
    }

    /// Whether one more move may begin at all.
    pub(super) fn may_move(&self) -> bool {
        self.moves < self.policy.moves_in_flight_max
    }

    /// Whether one more move may begin or end at a scene.
    pub(super) fn may_move_at(&self, scene: usize) -> bool {
        self.scenes[scene].moves < self.policy.moves_per_scene_max
    }

    /// The traffic between a shard and its neighbours by the scene these are at, and all of it. In 1/1000 of a ghost: entities
    /// that the one shows the other, and hand-overs.
    pub(super) fn traffic(&self, shard: usize) -> (Vec<(usize, u64)>, u64) {
        let mut by_scene: Vec<(usize, u64)> = Vec::new();
        let mut all = 0;
        for touching in self.borders.around(shard) {
            let there = &self.shards[touching.shard];
            let ghosts = QUIET_GHOSTS_PERMILLE + self.crowd(shard) + self.crowd(touching.shard);
            let crossings = |from: usize, to| u64::from(self.shards[from].row.crossings.get(&self.id(to)).copied().unwrap_or(0));
            let crossings = crossings(shard, touching.shard) + crossings(touching.shard, shard);
            let traffic = u64::from(touching.cells) * ghosts + CROSSING_GHOSTS_PERMILLE * crossings;
            all += traffic;
            let Some(scene) = there.scene else { continue };
            match by_scene.iter_mut().find(|(known, _)| *known == scene) {
                Some((_, sum)) => *sum += traffic,
                None => by_scene.push((scene, traffic)),
            }
        }
        (by_scene, all)
    }

    /// The shards of open scenes that touch a scene's own, in order.
    pub(super) fn touching(&self, scene: usize) -> Vec<usize> {
        let around = self.scenes[scene].held.iter().flat_map(|shard| self.borders.around(*shard)).map(|touching| touching.shard);
        let others =
            around.filter(|shard| self.shards[*shard].scene.is_some_and(|other| other != scene && self.scenes[other].open));
        others.collect()
    }

    /// Entities per cell, in 1/1000.
    fn crowd(&self, shard: usize) -> u64 {
        (u64::from(self.shards[shard].row.entities) * 1_000) >> (2 * self.id(shard).level)
    }

    /// The mean level of the scenes that take shards, of what they have now.
    pub(super) fn mean(&self) -> Share {
        let load: Share = self.open().map(|(_, scene)| scene.load).sum();
        load.of(self.open().map(|(_, scene)| scene.capacity).sum())
    }

    pub(super) fn outlook(&self) -> Outlook {
        let levels = || self.open().map(|(_, scene)| scene.level());
        Outlook { min: levels().min().unwrap_or_default(), mean: self.mean(), max: levels().max().unwrap_or_default() }
    }
}
