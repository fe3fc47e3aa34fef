//! The cluster seen from above: what must hold at every moment, whoever believes what.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{AgentEpoch, EntityId, NodeId};

use super::process::Process;

/// Invariant I1: no agent is live in two shards that may both run, and no shard runs in two scenes.
///
/// # Errors
/// Names the entity or the shard and both places.
pub fn one_owner(processes: &BTreeMap<NodeId, Process>) -> Result<usize, String> {
    let mut shards: BTreeMap<ShardId, NodeId> = BTreeMap::new();
    let mut live: BTreeMap<EntityId, (ShardId, NodeId, AgentEpoch)> = BTreeMap::new();
    for (node, process) in processes {
        let Some(scene) = process.scene() else { continue };
        for shard in scene.shards().filter(|shard| shard.incarnation().ticks()) {
            if let Some(other) = shards.insert(shard.id(), *node) {
                return Err(format!("shard {} runs at {other} and at {node}", shard.id()));
            }
            for (entity, epoch) in shard.residents() {
                if let Some((at, there, other)) = live.insert(entity, (shard.id(), *node, epoch)) {
                    return Err(format!(
                        "{entity} is live in {at} of {there} ({other}) and in {} of {node} ({epoch})",
                        shard.id()
                    ));
                }
            }
        }
    }
    Ok(live.len())
}
