//! Where the map is cut: splits of shards that are too hot or too coarse, merges of cold siblings.

use std::cmp::Reverse;

use super::board::Board;
use super::{Merge, Plan, Share, Split, SplitReason};
use crate::moves::meeting_place;

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

/// Plans merges of four siblings that rest, and that cost next to nothing together. Those that lie apart are brought together
/// first, which counts as moves.
pub(super) fn merge(board: &mut Board, plan: &mut Plan) {
    for first in 0..board.shards.len().saturating_sub(3) {
        let Some((merge, home)) = merged(board, first) else { continue };
        for shard in first..first + 4 {
            if board.shards[shard].scene != Some(home) {
                board.shift(shard, home);
            }
        }
        // Three of the four are no more.
        board.scenes[home].held.retain(|shard| !(first + 1..first + 4).contains(shard));
        plan.merges.push(merge);
    }
}

/// The merge of four shards from `first` on, and where: siblings follow each other in the order of the map.
fn merged(board: &Board, first: usize) -> Option<(Merge, usize)> {
    let policy = board.policy;
    let parent = board.id(first).parent().filter(|parent| parent.level <= policy.merge_level_max)?;
    if parent.children()? != [0, 1, 2, 3].map(|n| board.id(first + n)) {
        return None;
    }
    let four = &board.shards[first..first + 4];
    let load: Share = four.iter().map(|shard| shard.load).sum();
    if load > policy.merge_load || !(first..first + 4).all(|shard| board.is_free(shard)) {
        return None;
    }
    let scenes: Vec<usize> = four.iter().filter_map(|shard| shard.scene).collect();
    if scenes.iter().any(|scene| !board.scenes[*scene].open) {
        return None;
    }
    let parts: Vec<_> = four.iter().zip(&scenes).map(|(shard, scene)| (board.scenes[*scene].node, shard.row.entities)).collect();
    let place = meeting_place(&parts, |_| true)?;
    let home = *scenes.iter().find(|scene| board.scenes[**scene].node == place)?;
    let away: Vec<usize> = scenes.into_iter().filter(|scene| *scene != home).collect();
    let merge = Merge { parent, scene: place, load, away: away.len() };
    (may_meet(board, home, &away) && keeps_enough(board, home, &away)).then_some((merge, home))
}

/// Whether so many moves may begin. They are made one after the other.
fn may_meet(board: &Board, home: usize, away: &[usize]) -> bool {
    let begin = board.may_move() && board.may_move_at(home) && away.iter().all(|scene| board.may_move_at(*scene));
    away.is_empty() || begin
}

/// Whether each scene is left with something to give when a crowd comes.
fn keeps_enough(board: &Board, home: usize, away: &[usize]) -> bool {
    let min = board.policy.shards_per_scene_min;
    let lost = |scene: usize| away.iter().filter(|from| **from == scene).count();
    let is_enough = |scene: usize| board.scenes[scene].held.len() >= min + lost(scene);
    board.scenes[home].held.len() + away.len() >= min + 3 && away.iter().all(|scene| is_enough(*scene))
}
