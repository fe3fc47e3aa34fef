//! Emptying scenes that take no shards any more.

use super::board::Board;
use super::place::{fair_level, home};
use super::{Move, Plan, Reason};

/// Moves the shards of closed scenes to the best homes there are, as many as may be on their way. In the map's order, so that
/// neighbours tend to stay together.
pub(super) fn drain(board: &mut Board, plan: &mut Plan) {
    let closed: Vec<_> = (0..board.scenes.len()).filter(|scene| !board.scenes[*scene].open).collect();
    if closed.is_empty() {
        return;
    }
    let fair = fair_level(board);
    for from in closed {
        let mut shards = board.scenes[from].held.clone();
        shards.retain(|shard| board.shards[*shard].still);
        shards.sort_unstable();
        for shard in shards {
            if !board.may_move() || !board.may_move_at(from) {
                break;
            }
            let Some(to) = home(board, shard, fair, |scene| board.may_move_at(scene)) else { break };
            let (from, to_node) = (board.scenes[from].node, board.scenes[to].node);
            plan.moves.push(Move { shard: board.id(shard), from, to: to_node, reason: Reason::Drained });
            board.shift(shard, to);
        }
    }
}
