//! What the planner is told to want. Every number has a reason beside it.

use std::time::Duration;

use super::Share;

/// How to balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A scene is left alone while its level is no further from the mean than this, in 1/1000 of the mean. With 40, the levels of
    /// any two scenes are within 8 % of the mean of each other.
    pub dead_zone_permille: u64,
    /// Nor while it is no further than this, whatever the mean is: a mostly idle cluster is not stirred. A
    /// crowd that makes a twentieth of a tick is no idleness.
    pub dead_zone_floor: Share,
    /// Once something is done about a scene, it is brought as close to the mean as this, in 1/1000 of the dead zone: what is done
    /// once is not done again for the next bit of noise.
    pub settle_permille: u64,
    /// A shard that was moved, or could not be moved, is left alone for so long, unless its scene is drained.
    pub rest: Duration,
    /// Moves under way at a time, in the whole cluster.
    pub moves_in_flight_max: usize,
    /// Moves under way at a time, to and from one scene: pre-copies share its network and its ticks.
    pub moves_per_scene_max: u32,
    /// A shard with less load than this is not worth a move for the level's sake.
    pub move_load_min: Share,
    /// How much the traffic over cuts counts against level, in 1/1000, below 1,000. With 800, a move that takes all of a shard's
    /// traffic inside is chosen over one that puts all of it on a cut even if it levels nine times less.
    pub locality_permille: i64,
    /// A shard with more load than this is split: one shard is ticked by one thread, and it moves as a whole.
    pub split_load: Share,
    /// A shard with more load than this is split when its scene cannot be levelled otherwise.
    pub split_for_level: Share,
    /// Shards of this level are not split: smaller ones would consist of borders.
    pub split_level_min: u8,
    /// Splits in one plan.
    pub splits_per_plan_max: usize,
    /// Splits and merges under way at a time, in the whole cluster: each is a moment for the players of a shard.
    pub recuts_in_flight_max: usize,
    /// Four siblings with no more load than this together merge; far below [`Self::split_for_level`], so that no split is undone
    /// soon.
    pub merge_load: Share,
    /// Merged shards are no coarser than this: the level of the first cut.
    pub merge_level_max: u8,
    /// A scene keeps at least so many shards: it must have something to give when a crowd comes.
    pub shards_per_scene_min: usize,
    /// Every shard is taken to cost at least this: feeds and journals want to be served, and a new one has not reported.
    pub shard_load_floor: Share,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            dead_zone_permille: 40,
            dead_zone_floor: Share::permille(5),
            settle_permille: 400,
            rest: Duration::from_secs(30),
            moves_in_flight_max: 16,
            moves_per_scene_max: 2,
            move_load_min: Share::permille(2),
            locality_permille: 800,
            split_load: Share::percent(30),
            split_for_level: Share::percent(5),
            split_level_min: 1,
            splits_per_plan_max: 4,
            recuts_in_flight_max: 2,
            merge_load: Share::percent(1),
            merge_level_max: 3,
            shards_per_scene_min: 4,
            shard_load_floor: Share::permille(1),
        }
    }
}
