//! The balancer: looks at the cluster once a second, plans, and orders the moves, splits and merges that it may.
//!
//! Until an admin switches it on, its plan is only shown, except for what an admin ordered: a drained scene is emptied. Placing
//! shards without an owner is the shard manager's, by the same planner. What was split or merged rests like what was moved.

use std::collections::BTreeMap;
use std::time::Duration;

use bevy_ecs::prelude::{Resource, World as Ecs};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{Role, Timestamp};

use super::{Inventory, Plan, Policy, Reason, SceneRow, Seat, ShardRow, Share};
use crate::custody::Custody;
use crate::moves::{self, MoveKind, Moves};
use crate::nodes::{Node, Nodes};
use crate::shards::{Shard, ShardMap};
use crate::status::{Events, Happening};
use crate::world::{Now, Phase, Repeat, Setting, World};

/// Time between two plans.
const PLAN_EVERY: Duration = Duration::from_secs(1);
/// A world server listens for so long before it levels anything: what it has heard until then may be noise.
const LISTEN_FIRST: Duration = Duration::from_secs(10);

/// What the balancer thinks and does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BalanceStatus {
    /// It carries out its plans.
    pub on: bool,
    /// The last plan.
    pub plan: Plan,
}

#[derive(Resource, Debug)]
struct Balancer {
    policy: Policy,
    again: Repeat,
    status: BalanceStatus,
}

pub(crate) fn plugin(world: &mut World, first_cut: u8) {
    let policy = Policy { merge_level_max: first_cut, ..Policy::default() };
    world.insert_resource(Balancer { policy, again: Repeat::every(PLAN_EVERY), status: BalanceStatus::default() });
    world.add_systems(Phase::Balance, balance);
}

/// Lets the balancer carry out its plans, or not any more.
pub(crate) fn switch(ecs: &mut Ecs, on: bool) {
    let now = ecs.resource::<Now>().at;
    let status = &mut ecs.resource_mut::<Balancer>().status;
    if std::mem::replace(&mut status.on, on) != on {
        tracing::info!(on, "balancing switched");
        ecs.resource_mut::<Events>().push(now, Happening::BalanceSwitched { on });
    }
}

/// What admins see of it.
pub(crate) fn status(ecs: &Ecs) -> BalanceStatus {
    ecs.resource::<Balancer>().status.clone()
}

/// Exclusive, as an order looks at everything.
fn balance(ecs: &mut Ecs) {
    let now = ecs.resource::<Now>().at;
    if !ecs.resource_mut::<Balancer>().again.due(now) {
        return;
    }
    let nodes = ecs.resource::<Nodes>().entities().filter_map(|entity| ecs.get::<Node>(entity));
    let shards = ecs.resource::<ShardMap>().entities().filter_map(|entity| ecs.get::<Shard>(entity));
    let inventory = inventory(now, nodes, shards, ecs.resource::<Moves>());
    let listened = now.since(ecs.resource::<Setting>().started) >= LISTEN_FIRST;
    let mut balancer = ecs.resource_mut::<Balancer>();
    let plan = super::plan(&balancer.policy, &inventory);
    let levels = balancer.status.on && listened;
    let wanted = plan.moves.iter().filter(|shift| levels || shift.reason == Reason::Drained).copied();
    let wanted: Vec<_> = wanted.collect();
    let splits = plan.splits.iter().map(|split| (split.shard, false));
    let cuts: Vec<_> = splits.chain(plan.merges.iter().map(|merge| (merge.parent, true))).filter(|_| levels).collect();
    let at_once = balancer.policy.recuts_in_flight_max;
    balancer.status = BalanceStatus { on: balancer.status.on, plan };
    for shift in wanted {
        match moves::order(ecs, shift.shard, shift.to, false) {
            Ok(_) => tracing::info!(%shift, "balancing"),
            Err(error) => tracing::debug!(%shift, %error, "a planned move that cannot be ordered"),
        }
    }
    let under_way = ecs.resource::<Moves>().iter().filter(|shift| shift.kind != MoveKind::Move && !shift.is_over()).count();
    for (shard, merges) in cuts.into_iter().take(at_once.saturating_sub(under_way)) {
        match moves::order_recut(ecs, shard, merges, false) {
            Ok(_) => tracing::info!(%shard, merges, "balancing"),
            Err(error) => tracing::debug!(%shard, merges, %error, "a planned cut that cannot be ordered"),
        }
    }
}

/// The cluster as the planner sees it.
pub(crate) fn inventory<'a>(
    now: Timestamp,
    nodes: impl Iterator<Item = &'a Node>,
    shards: impl Iterator<Item = &'a Shard>,
    moves: &Moves,
) -> Inventory {
    let mut ways: BTreeMap<ShardId, &moves::Move> = BTreeMap::new();
    for shift in moves.iter() {
        // What was cut anew rests as if it had been moved.
        let children = shift.news.shard.children().filter(|_| shift.kind != MoveKind::Move);
        for shard in children.into_iter().flatten().chain([shift.news.shard]) {
            // The move of a part that is brought for a merge is the merge's affair.
            if ways.get(&shard).is_none_or(|known| known.is_over()) {
                ways.insert(shard, shift);
            }
        }
    }
    let scene = |node: &Node| SceneRow { capacity: Share::WHOLE, open: node.is_open() };
    let row = |shard: &Shard| ShardRow {
        seat: match seat(now, shard.custody, ways.get(&shard.id).copied()) {
            // It can neither be moved nor cut before it goes on.
            Seat::Running { scene, .. } if shard.is_paused() => Seat::Held { scene: Some(scene) },
            seat => seat,
        },
        load: shard.usage.load(),
        entities: shard.entities(),
        crossings: shard.usage.crossings(),
    };
    let scenes = nodes.filter(|node| node.info.node.role == Role::Scene);
    Inventory {
        scenes: scenes.map(|node| (node.info.node, scene(node))).collect(),
        shards: shards.map(|shard| (shard.id, row(shard))).collect(),
    }
}

/// `last`: the last move of it that is remembered.
fn seat(now: Timestamp, custody: Custody, last: Option<&moves::Move>) -> Seat {
    match custody {
        Custody::Vacant { not_before, avoid, .. } if not_before <= now => Seat::Vacant { avoid },
        Custody::Unknown | Custody::Vacant { .. } => Seat::Held { scene: None },
        Custody::Recalled { holder, .. } | Custody::Ordered { holder, .. } | Custody::Starting { holder, .. } => {
            Seat::Held { scene: Some(holder.node) }
        }
        Custody::Owned { holder } => match last.map(|last| (last, last.news.to)) {
            // It can neither be moved nor cut now.
            Some((last, None)) if !last.is_over() => Seat::Held { scene: Some(holder.node) },
            Some((last, Some(to))) if !last.is_over() => Seat::Moving { from: holder.node, to },
            Some((last, _)) => Seat::Running { scene: holder.node, moved: Some(now.since(last.heard)) },
            None => Seat::Running { scene: holder.node, moved: None },
        },
    }
}
