//! Balancing: which scene runs which shard, and where the map is cut. A pure planner: policy and inventory in, plan out, nothing
//! else; the same input gives the same plan.
//!
//! ```text
//! reports → usage (smoothed) → inventory ─┐
//!                                policy ──┴→ plan: placements, moves, splits, merges → orders
//! ```
//!
//! One call looks at the whole cluster but changes little, from what is there now: it never makes the best assignment from
//! nothing, because each move costs the players of a shard a moment. In this order, each step seeing what the ones before
//! decided:
//!
//! 1. `place`: shards without an owner, those of a lost scene among them, get one;
//! 2. `drain`: scenes that take no more give theirs away;
//! 3. `level`: scenes that do more, or less, than the others give, or take;
//! 4. `cut`: shards that are too hot, or too coarse to level, are split; four cold siblings merge, at one scene.
//!
//! What keeps it calm: load is smoothed before the planner sees it (`usage`); nothing is done within a dead zone around the
//! mean, and what is done aims at its middle; a shard that was moved rests; moves in flight are bounded, and count as done; a
//! move must leave the two scenes closer than before, by a margin.
//!
//! Sources. The greedy search by gain per churn, within a budget, is the "weighted move" of Adya et al., *Slicer: Auto-Sharding
//! for Datacenter Applications*, OSDI 2016. To give to the neighbours on the map first is Chen et al., *Locality Aware Dynamic
//! Load Management for Massively Multiplayer Games*, PPoPP 2005. Levels in proportion to capacity are Bezerra and Geyer, *A load
//! balancing scheme for massively multiplayer online games*, 2009. The gain of a cut is that of Fiduccia and Mattheyses, *A
//! linear-time heuristic for improving network partitions*, DAC 1982. Thresholds around a mean with a floor, and the rule that
//! two scenes must come closer, were learnt from CockroachDB's store rebalancer (its pull request 72296 tells of the thrashing
//! without).

mod balancer;
mod board;
mod borders;
mod cut;
mod drain;
mod level;
mod place;
mod plan;
mod policy;
mod rows;
mod share;
mod usage;

pub use balancer::BalanceStatus;
pub(crate) use balancer::{inventory, plugin, status, switch};
pub use plan::{Merge, Move, Outlook, Placement, Plan, Reason, Split, SplitReason};
pub use policy::Policy;
pub use rows::{Inventory, SceneRow, Seat, ShardRow};
pub use share::Share;
pub use usage::Usage;

use board::Board;

/// What should be done next.
pub fn plan(policy: &Policy, inventory: &Inventory) -> Plan {
    let mut board = Board::new(policy, inventory);
    let mut plan = Plan { before: board.outlook(), ..Plan::default() };
    place::place(&mut board, &mut plan, usize::MAX);
    drain::drain(&mut board, &mut plan);
    let coarse = level::level(&mut board, &mut plan);
    cut::split(&board, &coarse, &mut plan);
    cut::merge(&mut board, &mut plan);
    plan.after = board.outlook();
    plan
}

/// Only who gets the shards that have no owner, at most `most` of them.
pub fn place(policy: &Policy, inventory: &Inventory, most: usize) -> Vec<Placement> {
    let mut plan = Plan::default();
    place::place(&mut Board::new(policy, inventory), &mut plan, most);
    plan.placements
}
