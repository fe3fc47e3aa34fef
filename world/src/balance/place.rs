//! Shards without an owner: the first ones, and those of lost scenes.

use std::cmp::Reverse;

use super::board::Board;
use super::{Placement, Plan, Seat, Share};

/// Gives each vacant shard, at most `most`, to the best home there is.
pub(super) fn place(board: &mut Board, plan: &mut Plan, most: usize) {
    let vacant: Vec<_> = (0..board.shards.len()).filter(|shard| is_vacant(board, *shard)).take(most).collect();
    let fair = fair_level(board);
    for shard in vacant {
        let Seat::Vacant { avoid } = board.shards[shard].row.seat else { continue };
        let avoid = board.position(avoid);
        let Some(scene) = home(board, shard, fair, |scene| Some(scene) != avoid).or_else(|| home(board, shard, fair, |_| true))
        else {
            return;
        };
        board.seat(shard, scene);
        plan.placements.push(Placement { shard: board.id(shard), scene: board.scenes[scene].node });
    }
}

fn is_vacant(board: &Board, shard: usize) -> bool {
    matches!(board.shards[shard].row.seat, Seat::Vacant { .. })
}

/// The level of every open scene if all load there is were spread evenly over them.
pub(super) fn fair_level(board: &Board) -> Share {
    let load: Share = board.shards.iter().map(|shard| shard.load).sum();
    load.of(board.open().map(|(_, scene)| scene.capacity).sum())
}

/// Where a shard should be if it cannot stay: among the open scenes that it lifts to no more than `fair`, the one that it has
/// most traffic with, so that few borders lie between processes; then the least used one; then the first.
pub(super) fn home(board: &Board, shard: usize, fair: Share, may: impl Fn(usize) -> bool) -> Option<usize> {
    let load = board.shards[shard].load;
    let open = || board.open().filter(|(scene, _)| may(*scene));
    let (least, slot) = open().min_by_key(|(scene, slot)| (slot.level_with(load), *scene))?;
    let room = fair.max(slot.level_with(load));
    let (traffic, _) = board.traffic(shard);
    let near = traffic.into_iter().filter(|(scene, _)| board.scenes[*scene].open && may(*scene));
    let fitting = near.filter(|(scene, _)| board.scenes[*scene].level_with(load) <= room);
    let nearest = fitting.min_by_key(|(scene, traffic)| (Reverse(*traffic), board.scenes[*scene].level(), *scene));
    Some(nearest.map_or(least, |(scene, _)| scene))
}
