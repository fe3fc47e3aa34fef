//! Where shards should run: a pure planner. Inventory in, plan out, nothing else; the same inventory gives the same plan.

use std::collections::BTreeMap;

use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;

/// What a shard is taken to cost, in 1/1000 of a tick, when it reports less or nothing: an even spread of idle shards.
pub const SHARD_LOAD_FLOOR_PERMILLE: u32 = 20;

/// Everything the planner looks at.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Scenes that may be given shards.
    pub scenes: Vec<NodeId>,
    /// Who holds, or is to hold, which shard, and its load in 1/1000 of a tick; holders may be scenes that take no more.
    pub held: BTreeMap<ShardId, (NodeId, u32)>,
    /// Shards to be given away, in order, each with the scene where the last claim failed.
    pub vacant: Vec<(ShardId, Option<NodeId>)>,
}

/// A shard and the scene that should claim it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which shard.
    pub shard: ShardId,
    /// Who.
    pub scene: NodeId,
}

/// Gives each vacant shard to a scene: among those below a fair share of the load, the one with the most touching shards, so
/// that few borders lie between processes; then the least loaded; then the first. Where the last claim failed comes only when
/// there is no other scene. Empty without scenes.
///
/// Only neighbours of the same size count; with mixed sizes the plan is still even, but may cut more borders.
pub fn place(inventory: &Inventory) -> Vec<Placement> {
    let mut loads: BTreeMap<NodeId, u64> = inventory.scenes.iter().map(|scene| (*scene, 0)).collect();
    let mut holders: BTreeMap<ShardId, NodeId> = BTreeMap::new();
    for (shard, (scene, load)) in &inventory.held {
        holders.insert(*shard, *scene);
        if let Some(sum) = loads.get_mut(scene) {
            *sum += u64::from((*load).max(SHARD_LOAD_FLOOR_PERMILLE));
        }
    }
    let unit = u64::from(SHARD_LOAD_FLOOR_PERMILLE);
    let total = loads.values().sum::<u64>() + unit * inventory.vacant.len() as u64;
    let fair = total.div_ceil(loads.len().max(1) as u64);
    let mut plan = Vec::with_capacity(inventory.vacant.len());
    for (shard, avoid) in &inventory.vacant {
        let Some(scene) = best_scene(*shard, *avoid, &loads, &holders, fair.saturating_sub(unit)) else { break };
        holders.insert(*shard, scene);
        if let Some(load) = loads.get_mut(&scene) {
            *load += unit;
        }
        plan.push(Placement { shard: *shard, scene });
    }
    plan
}

fn best_scene(
    shard: ShardId,
    avoid: Option<NodeId>,
    loads: &BTreeMap<NodeId, u64>,
    holders: &BTreeMap<ShardId, NodeId>,
    room_below: u64,
) -> Option<NodeId> {
    let touching: Vec<NodeId> = neighbours(shard).filter_map(|neighbour| holders.get(&neighbour).copied()).collect();
    let touched = |scene: NodeId| touching.iter().filter(|holder| **holder == scene).count();
    let candidates = || loads.iter().filter(|(scene, _)| loads.len() == 1 || Some(**scene) != avoid);
    let lowest = candidates().map(|(_, load)| *load).min()?;
    let open = candidates().filter(|(_, load)| **load <= room_below.max(lowest));
    open.min_by_key(|(scene, load)| (std::cmp::Reverse(touched(**scene)), **load, **scene)).map(|(scene, _)| *scene)
}

/// The up to eight shards of the same size around it.
fn neighbours(shard: ShardId) -> impl Iterator<Item = ShardId> {
    let around = |at: u16| [at.checked_sub(1), Some(at), at.checked_add(1)].into_iter().flatten();
    around(shard.x).flat_map(move |x| around(shard.z).map(move |z| ShardId { x, z, ..shard })).filter(move |s| *s != shard)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::Role;
    use pangaea_schemas::geometry::{SpaceId, SpaceSpec};

    fn scenes(count: u16) -> Vec<NodeId> {
        (1..=count).map(|ordinal| NodeId::new(Role::Scene, ordinal)).collect()
    }

    fn demo_shards() -> Vec<ShardId> {
        SpaceSpec { space: SpaceId(0), name: String::new(), level: 5, shard_level: 3 }.first_shards()
    }

    fn vacant(shards: &[ShardId]) -> Vec<(ShardId, Option<NodeId>)> {
        shards.iter().map(|shard| (*shard, None)).collect()
    }

    /// The map as text: one digit per shard, its scene.
    fn drawn(plan: &[Placement]) -> String {
        let scene = |x, z| plan.iter().find(|p| (p.shard.x, p.shard.z) == (x, z)).map_or(0, |p| p.scene.ordinal);
        (0..4).map(|z| (0..4).map(|x| scene(x, z).to_string()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn a_fresh_map_is_cut_in_the_middle() {
        let plan = place(&Inventory { scenes: scenes(2), held: BTreeMap::new(), vacant: vacant(&demo_shards()) });
        assert_eq!(drawn(&plan), "1111\n1111\n2222\n2222\n");
    }

    #[test]
    fn four_scenes_get_a_quarter_each() {
        let plan = place(&Inventory { scenes: scenes(4), held: BTreeMap::new(), vacant: vacant(&demo_shards()) });
        assert_eq!(drawn(&plan), "1122\n1122\n3344\n3344\n");
    }

    #[test]
    fn three_scenes_differ_by_one_shard_at_most() {
        let plan = place(&Inventory { scenes: scenes(3), held: BTreeMap::new(), vacant: vacant(&demo_shards()) });
        let count = |scene| plan.iter().filter(|p| p.scene.ordinal == scene).count();
        let counts = [count(1), count(2), count(3)];
        assert_eq!(counts.iter().sum::<usize>(), 16);
        assert!(counts.iter().all(|n| (5..=6).contains(n)), "{counts:?}");
    }

    #[test]
    fn a_lost_scene_s_shards_go_to_the_least_loaded() {
        let shards = demo_shards();
        let [one, two] = [scenes(2)[0], scenes(2)[1]];
        let held = shards[..8].iter().enumerate().map(|(n, s)| (*s, if n == 0 { (two, 10) } else { (one, 500) })).collect();
        let plan = place(&Inventory { scenes: scenes(2), held, vacant: vacant(&shards[8..]) });
        assert!(plan.iter().all(|p| p.scene == two), "{plan:?}");
    }

    #[test]
    fn where_a_claim_failed_is_asked_last() {
        let failed = |count| {
            let vacant = demo_shards().into_iter().map(|shard| (shard, Some(scenes(1)[0]))).collect();
            place(&Inventory { scenes: scenes(count), held: BTreeMap::new(), vacant })
        };
        assert_eq!(drawn(&failed(2)), "2222\n2222\n2222\n2222\n");
        assert_eq!(drawn(&failed(1)), "1111\n1111\n1111\n1111\n");
    }

    #[test]
    fn without_scenes_there_is_no_plan() {
        assert_eq!(place(&Inventory { scenes: Vec::new(), held: BTreeMap::new(), vacant: vacant(&demo_shards()) }), []);
    }
}
