//! The cluster seen from above: what must hold at every moment, and once it is calm again, whoever believes what.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_scene::migration::source::Giving;
use pangaea_scene::shard::Shard;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{CellId, Position, ShardId};
use pangaea_schemas::{AgentEpoch, EntityId, NodeId, Nonce, ShardEpoch};

use super::player::Player;
use super::process::Process;

/// Each journal's owner in force; of a shard that was cut or merged away the epoch after its last one's, and no nonce.
pub type Owners = BTreeMap<ShardId, (Nonce, ShardEpoch)>;

/// Invariant I1: no shard is run by two owners in force, and no entity is live in two shards of owners in force. An owner that
/// the journal has replaced may go on until it hears of it; nobody listens to it. A view, such as of an item that was picked up
/// here and laid down there at once, may be shown in both places until the one hears of it: so not when all is at rest.
///
/// # Errors
/// Names the entity or the shard and both places.
pub fn one_owner(processes: &BTreeMap<NodeId, Process>, owners: &Owners, at_rest: bool) -> Result<usize, String> {
    let mut live: BTreeMap<EntityId, (ShardId, NodeId, AgentEpoch)> = BTreeMap::new();
    for (node, process, shard) in ticking(processes) {
        let epoch = shard.incarnation().epoch().unwrap_or_default();
        let (nonce, in_force) = owners.get(&shard.id()).copied().unwrap_or_default();
        if epoch > in_force || (epoch == in_force && nonce != process.nonce()) {
            return Err(format!("{node} runs {} under {epoch}, but the journal says {in_force} of {nonce}", shard.id()));
        }
        if epoch < in_force {
            continue;
        }
        for (entity, epoch) in shard.residents() {
            if let Some((at, there, other)) = live.insert(entity, (shard.id(), node, epoch))
                && (at_rest || shard.world().record(entity).is_some())
            {
                let here = shard.id();
                return Err(format!("{entity} is live in {at} of {there} ({other}) and in {here} of {node} ({epoch})"));
            }
        }
    }
    Ok(live.len())
}

/// Where everything is that is live in a shard of an owner in force.
pub fn positions(processes: &BTreeMap<NodeId, Process>, owners: &Owners) -> BTreeMap<EntityId, Position> {
    let in_force =
        ticking(processes).filter(|(_, _, shard)| owners.get(&shard.id()).map(|owner| owner.1) == shard.incarnation().epoch());
    in_force
        .flat_map(|(_, _, shard)| {
            shard.residents().filter_map(|(entity, _)| Some((entity, shard.world().position(entity)?))).collect::<Vec<_>>()
        })
        .collect()
}

/// Whatever is anywhere: live, asleep, between two shards, or lying about.
pub fn everywhere(processes: &BTreeMap<NodeId, Process>) -> BTreeSet<EntityId> {
    let live = ticking(processes).flat_map(|(_, _, shard)| shard.residents().map(|(entity, _)| entity).collect::<Vec<_>>());
    live.chain(present(processes)).collect()
}

/// Everybody who is in the world and must stay: live, asleep, or between two shards. Things on the ground are the ledger's.
pub fn present(processes: &BTreeMap<NodeId, Process>) -> BTreeSet<EntityId> {
    ticking(processes).flat_map(|(_, _, shard)| shard.kept().collect::<Vec<_>>()).collect()
}

/// The system is live again: the shards that have an owner cover the map once, however it was cut, and each is run by its owner
/// in force. What is wrong, in words.
pub fn all_run(processes: &BTreeMap<NodeId, Process>, owners: &Owners, spec: &ClusterSpec) -> Vec<String> {
    let runs: BTreeSet<ShardId> = ticking(processes)
        .filter(|(_, _, shard)| shard.incarnation().is_confirmed())
        .filter(|(_, _, shard)| owners.get(&shard.id()).map(|owner| owner.1) == shard.incarnation().epoch())
        .map(|(_, _, shard)| shard.id())
        .collect();
    let shards: Vec<ShardId> = owners.iter().filter(|(_, owner)| owner.0 != Nonce::default()).map(|(shard, _)| *shard).collect();
    let owned = |cell: &CellId| shards.iter().filter(|shard| shard.contains(*cell)).count();
    let land = spec.spaces.iter().flat_map(|space| space.first_shards());
    let miscut = land.filter_map(|land| land.cells().find(|cell| owned(cell) != 1));
    let miscut = miscut.map(|cell| format!("{cell} is in {} shards at the end", owned(&cell)));
    let idle = shards.iter().filter(|shard| !runs.contains(shard)).map(|shard| format!("nobody runs {shard} at the end"));
    miscut.chain(idle).collect()
}

/// Owners that the journal has replaced and that go on all the same, although they have heard of it long ago. In words.
pub fn outlived(processes: &BTreeMap<NodeId, Process>, owners: &Owners) -> Vec<String> {
    let old = replaced(processes, owners).map(|(node, shard)| format!("{node} still runs {} at the end, replaced", shard.id()));
    old.collect()
}

/// Owners that the journal has replaced and that do not doubt it: whoever was given the shard had to wait for the end of their
/// lease first. A source that gives its shard away stands still until it hears that it did.
pub fn undoubting<'p>(
    processes: &'p BTreeMap<NodeId, Process>,
    owners: &'p Owners,
) -> impl Iterator<Item = (NodeId, ShardId)> + use<'p> {
    let stands_still = |giving| matches!(giving, Giving::Freezing | Giving::Frozen | Giving::Committing | Giving::Returning);
    let believes = move |shard: &Shard| shard.incarnation().is_confirmed() && !shard.giving().is_some_and(stands_still);
    let is_retired = |shard: &Shard| owners.get(&shard.id()).is_some_and(|owner| owner.0 == Nonce::default());
    replaced(processes, owners)
        .filter(move |(_, shard)| believes(shard) && !is_retired(shard))
        .map(|(node, shard)| (node, shard.id()))
}

fn replaced<'p>(
    processes: &'p BTreeMap<NodeId, Process>,
    owners: &'p Owners,
) -> impl Iterator<Item = (NodeId, &'p Shard)> + use<'p> {
    let in_force = |shard: &Shard| owners.get(&shard.id()).map_or_else(ShardEpoch::default, |owner| owner.1);
    ticking(processes)
        .filter(move |(_, _, shard)| shard.incarnation().epoch().unwrap_or_default() < in_force(shard))
        .map(|(node, _, shard)| (node, shard))
}

/// Who was there and is no more. What is wrong, in words.
pub fn lost(processes: &BTreeMap<NodeId, Process>, born: &BTreeSet<EntityId>) -> Vec<String> {
    let here = present(processes);
    born.difference(&here).map(|entity| format!("{entity} is lost")).collect()
}

/// How many trades were told to two players while different scenes ran their agents. Between two players the n-th news of the one
/// and the n-th of the other are of the same trade.
pub fn border_trades(players: &[Player]) -> u64 {
    let told = |player: &Player, with: EntityId| {
        let trades = player.trades.iter().filter(|(partner, _)| *partner == with);
        trades.map(|(_, scene)| scene.clone()).collect::<Vec<_>>()
    };
    let pairs = players.iter().flat_map(|a| players.iter().map(move |b| (a, b))).filter(|(a, b)| a.agent < b.agent);
    pairs.map(|(a, b)| told(a, b.agent).iter().zip(told(b, a.agent)).filter(|(here, there)| *here != there).count() as u64).sum()
}

fn ticking(processes: &BTreeMap<NodeId, Process>) -> impl Iterator<Item = (NodeId, &Process, &Shard)> {
    let scenes = processes.iter().filter_map(|(node, process)| Some((*node, process, process.scene()?)));
    scenes
        .flat_map(|(node, process, scene)| scene.shards().map(move |shard| (node, process, shard)))
        .filter(|(_, _, shard)| shard.incarnation().ticks())
}
