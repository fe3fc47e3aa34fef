//! Keeping the scenes level.
//!
//! As long as a scene is outside the dead zone, the one furthest outside gives a shard, or takes one. Of all shards it could give
//! and all scenes that could take them – the neighbours' and the least used one – the pair with the highest worth is chosen:
//!
//! ```text
//! worth = gain × (1 + locality × (traffic with the taker − traffic with the giver) / all its traffic)
//! gain  = how much the sum of all scenes' squared distances from the mean, by capacity, falls
//! ```

use std::cmp::Reverse;

use super::board::{Board, SceneSlot};
use super::place::fair_level;
use super::{Move, Plan, Reason, Share};

/// A shard that a scene could take.
#[derive(Clone, Copy, Debug)]
struct Offer {
    shard: usize,
    to: usize,
    worth: i128,
}

/// How far a move may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// Neither scene ends on the wrong side of the mean.
    Settled,
    /// The two scenes end closer to each other than before: at most half as far apart the other way round.
    Closer,
}

/// Plans moves until all scenes are level, or nothing helps, or enough is under way. Answers the shards that are too coarse: the
/// heaviest ones of scenes for which nothing helps.
pub(super) fn level(board: &mut Board, plan: &mut Plan) -> Vec<usize> {
    // All load there is, also where it cannot stay: it will come to the open scenes.
    let mean = fair_level(board);
    let awaited = board.scenes.iter().any(|scene| !scene.open && !scene.held.is_empty());
    let zone = mean.permille_of(board.policy.dead_zone_permille).max(board.policy.dead_zone_floor);
    let settled = zone.permille_of(board.policy.settle_permille);
    // What is still worth doing at a scene: all beyond the dead zone; once something is done, all beyond the inner one.
    // A scene with little to do takes from closed scenes first.
    let counts = |scene: &SceneSlot| scene.open && !(awaited && scene.level() < mean);
    let mut bounds: Vec<Option<Share>> = board.scenes.iter().map(|scene| counts(scene).then_some(zone)).collect();
    let mut coarse = Vec::new();
    while board.may_move() {
        let Some(scene) = furthest(board, &bounds, mean) else { break };
        let busy = board.scenes[scene].level() > mean;
        let shards = if busy { board.scenes[scene].held.clone() } else { givers(board, scene, mean) };
        let taker = if busy { least_used(board) } else { Some(scene) };
        let offers: Vec<Offer> = shards.into_iter().flat_map(|shard| offers_of(board, shard, taker, busy)).collect();
        let best = [Aim::Settled, Aim::Closer].into_iter().find_map(|aim| {
            let fits = offers.iter().filter(|offer| aims(board, offer, aim, (mean, settled)));
            fits.max_by_key(|offer| rank(board, offer)).copied()
        });
        let Some(Offer { shard, to, .. }) = best else {
            bounds[scene] = None;
            coarse.extend(heaviest(board, scene, mean + settled));
            continue;
        };
        let Some(from) = board.shards[shard].scene else { break };
        let level = board.scenes[scene].level();
        let reason = if busy { Reason::Busy { level, mean } } else { Reason::Idle { level, mean } };
        let (from_node, to_node) = (board.scenes[from].node, board.scenes[to].node);
        plan.moves.push(Move { shard: board.id(shard), from: from_node, to: to_node, reason });
        board.shift(shard, to);
        bounds[scene] = Some(settled);
    }
    coarse
}

/// The scene furthest from the mean, of those beyond their bound. Ties: the first.
fn furthest(board: &Board, bounds: &[Option<Share>], mean: Share) -> Option<usize> {
    let away = |scene: usize| board.scenes[scene].level().apart(mean);
    let outside = (0..board.scenes.len()).filter(|scene| bounds[*scene].is_some_and(|bound| away(*scene) > bound));
    outside.max_by_key(|scene| (away(*scene), Reverse(*scene)))
}

/// Shards that a scene with little to do could take: those that touch its own, and those of the scene with most to do.
fn givers(board: &Board, scene: usize, mean: Share) -> Vec<usize> {
    let mut shards = board.touching(scene);
    let busiest =
        board.open().filter(|(other, _)| board.may_move_at(*other)).max_by_key(|(other, s)| (s.level(), Reverse(*other)));
    let busiest = busiest.filter(|(other, slot)| *other != scene && slot.level() > mean);
    shards.extend(busiest.into_iter().flat_map(|(_, slot)| slot.held.iter().copied()));
    shards.sort_unstable();
    shards.dedup();
    shards
}

fn least_used(board: &Board) -> Option<usize> {
    let free = board.open().filter(|(scene, _)| board.may_move_at(*scene));
    free.min_by_key(|(scene, slot)| (slot.level(), *scene)).map(|(scene, _)| scene)
}

/// What moving a shard would be worth where it is worth anything: to one scene, and to those of its neighbours if `near`.
fn offers_of(board: &Board, shard: usize, taker: Option<usize>, near: bool) -> Vec<Offer> {
    let Some(from) = board.shards[shard].scene.filter(|from| may_go(board, shard, *from)) else { return Vec::new() };
    let (traffic, all) = board.traffic(shard);
    let neighbours = traffic.iter().filter(|_| near).map(|(scene, _)| *scene);
    let mut takers: Vec<usize> = neighbours.chain(taker).collect();
    takers.sort_unstable();
    takers.dedup();
    takers.retain(|to| *to != from && board.scenes[*to].open && board.may_move_at(*to));
    let with = |scene: usize| traffic.iter().find(|(known, _)| *known == scene).map_or(0, |(_, sum)| i128::from(*sum));
    let worth = |to: usize| {
        let locality = i128::from(board.policy.locality_permille) * (with(to) - with(from)) / i128::from(all).max(1);
        gain(board, shard, from, to) * (1_000 + locality) / 1_000
    };
    takers.into_iter().map(|to| Offer { shard, to, worth: worth(to) }).filter(|offer| offer.worth > 0).collect()
}

/// Whether a shard may leave its scene for the level's sake.
fn may_go(board: &Board, shard: usize, from: usize) -> bool {
    let worth_it = board.shards[shard].load >= board.policy.move_load_min;
    worth_it && board.scenes[from].open && board.may_move_at(from) && board.is_free(shard)
}

/// How much the squared distances from the mean fall: `load × (2 × (level there − level here) − load / capacity here and there)`.
fn gain(board: &Board, shard: usize, from: usize, to: usize) -> i128 {
    let (from, to, load) = (&board.scenes[from], &board.scenes[to], board.shards[shard].load);
    let apart = i128::from(from.level().0) - i128::from(to.level().0);
    let both = i128::from(load.of(from.capacity).0) + i128::from(load.of(to.capacity).0);
    i128::from(load.0) * (2 * apart - both)
}

fn aims(board: &Board, offer: &Offer, aim: Aim, (mean, settled): (Share, Share)) -> bool {
    let Some(from) = board.shards[offer.shard].scene else { return false };
    let (from, to, load) = (&board.scenes[from], &board.scenes[offer.to], board.shards[offer.shard].load);
    let (left, filled) = (from.level_without(load), to.level_with(load));
    match aim {
        Aim::Settled => filled <= mean + settled && left + settled >= mean,
        Aim::Closer => filled - left <= (from.level() - to.level()).permille_of(500),
    }
}

/// By worth; then the lighter shard, which is sooner copied; then the first.
fn rank(board: &Board, offer: &Offer) -> (i128, Reverse<Share>, Reverse<(usize, usize)>) {
    (offer.worth, Reverse(board.shards[offer.shard].load), Reverse((offer.shard, offer.to)))
}

/// The heaviest shard of a scene with too much to do, or of the one with most to do, when the scene has too little. None where
/// moves under way, or shards that rest, may be what it takes.
fn heaviest(board: &Board, scene: usize, too_much: Share) -> Option<usize> {
    let busiest = board.open().max_by_key(|(other, slot)| (slot.level(), Reverse(*other))).map(|(other, _)| other)?;
    let from = if board.scenes[scene].level() > too_much { scene } else { busiest };
    let held = || board.scenes[from].held.iter().copied();
    let at_rest = [scene, from].into_iter().all(|scene| board.scenes[scene].moves == 0);
    if !at_rest || board.scenes[from].level() <= too_much || !held().all(|shard| board.is_free(shard)) {
        return None;
    }
    held().max_by_key(|shard| (board.shards[*shard].load, Reverse(*shard)))
}
