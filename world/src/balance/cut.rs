//! Where the map is cut: splits of shards that are too hot or too coarse, merges of cold siblings.

use std::cmp::Reverse;

use super::board::Board;
use super::{Merge, Plan, Share, Split, SplitReason};

/// Plans splits, the heaviest shards first. `coarse`: shards that keep their scenes from being level.
pub(super) fn split(board: &Board, coarse: &[usize], plan: &mut Plan) {
    let policy = board.policy;
    let why = |shard: usize| {
        let load = board.shards[shard].load;
        let coarse = load >= policy.split_for_level && coarse.contains(&shard);
        if load >= policy.split_load { Some(SplitReason::Hot) } else { coarse.then_some(SplitReason::Coarse) }
    };
    let large = |shard: &usize| board.shards[*shard].still && board.id(*shard).level > policy.split_level_min;
    let mut splits: Vec<_> = (0..board.shards.len()).filter(large).filter_map(|shard| Some((shard, why(shard)?))).collect();
    splits.sort_by_key(|(shard, _)| (Reverse(board.shards[*shard].load), *shard));
    splits.truncate(policy.splits_per_plan_max);
    let split = |(shard, reason)| Split { shard: board.id(shard), load: board.shards[shard].load, reason };
    plan.splits.extend(splits.into_iter().map(split));
}

/// Plans merges of four siblings that one scene has, that rest, and that cost next to nothing together.
pub(super) fn merge(board: &mut Board, plan: &mut Plan) {
    for first in 0..board.shards.len().saturating_sub(3) {
        let Some(merge) = merged(board, first) else { continue };
        let Some(scene) = board.shards[first].scene else { continue };
        let kept = board.scenes[scene].held.len() - 3;
        if kept < board.policy.shards_per_scene_min {
            continue;
        }
        // Three of the four are no more.
        board.scenes[scene].held.retain(|shard| !(first + 1..first + 4).contains(shard));
        plan.merges.push(merge);
    }
}

/// The merge of four shards from `first` on: siblings follow each other in the order of the map.
fn merged(board: &Board, first: usize) -> Option<Merge> {
    let policy = board.policy;
    let parent = board.id(first).parent().filter(|parent| parent.level <= policy.merge_level_max)?;
    if parent.children()? != [0, 1, 2, 3].map(|n| board.id(first + n)) {
        return None;
    }
    let four = &board.shards[first..first + 4];
    let scene = four[0].scene?;
    let together = (first..first + 4).all(|shard| board.is_free(shard) && board.shards[shard].scene == Some(scene));
    let load: Share = four.iter().map(|shard| shard.load).sum();
    (together && board.scenes[scene].open && load <= policy.merge_load).then_some(Merge {
        parent,
        scene: board.scenes[scene].node,
        load,
    })
}
