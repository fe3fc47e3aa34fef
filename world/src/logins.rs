//! The auth manager: spreads the gateways over the authentication servers, so that no server hashes for all of them.
//!
//! Whoever asks the world gets the same answer as long as the same servers are here; a gateway moves only when its server
//! goes, or when it has become its turn with a new one.

use std::collections::BTreeMap;

use bevy_ecs::prelude::{IntoScheduleConfigs, Res, ResMut, Resource};
use pangaea_schemas::{NodeId, Role};

use crate::nodes::Nodes;
use crate::world::{Phase, World};

/// Which authentication server each gateway uses.
#[derive(Resource, Debug, Default)]
pub struct Spread {
    servers: BTreeMap<NodeId, NodeId>,
}

impl Spread {
    /// The server of a gateway; `None` for an unknown gateway or without servers.
    pub fn server_of(&self, gateway: NodeId) -> Option<NodeId> {
        self.servers.get(&gateway).copied()
    }
}

pub(crate) fn plugin(world: &mut World) {
    world.insert_resource(Spread::default());
    world.add_systems(Phase::Edge, spread.run_if(membership_changed));
}

fn membership_changed(nodes: Res<Nodes>) -> bool {
    !nodes.joined.is_empty() || !nodes.left.is_empty()
}

fn spread(nodes: Res<Nodes>, mut spread: ResMut<Spread>) {
    let gateways: Vec<NodeId> = nodes.of_role(Role::Gateway).map(|(node, _)| node).collect();
    let servers: Vec<NodeId> = nodes.of_role(Role::Auth).map(|(node, _)| node).collect();
    spread.servers = rendezvous(&gateways, &servers);
}

/// Each gateway goes to the server that ranks highest for it, so a change of one server moves only its share.
fn rendezvous(gateways: &[NodeId], servers: &[NodeId]) -> BTreeMap<NodeId, NodeId> {
    let rank = |gateway: NodeId, server: NodeId| {
        let pair = u64::from(gateway.to_bits()) << 32 | u64::from(server.to_bits());
        fastrand::Rng::with_seed(pair).u64(..)
    };
    let best = |gateway: NodeId| servers.iter().copied().max_by_key(|server| (rank(gateway, *server), *server));
    gateways.iter().filter_map(|gateway| best(*gateway).map(|server| (*gateway, server))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(role: Role, ordinals: std::ops::RangeInclusive<u16>) -> Vec<NodeId> {
        ordinals.map(|n| NodeId::new(role, n)).collect()
    }

    #[test]
    fn a_lost_server_moves_only_its_own_gateways() {
        let gateways = nodes(Role::Gateway, 1..=200);
        let before = rendezvous(&gateways, &nodes(Role::Auth, 1..=4));
        let after = rendezvous(&gateways, &nodes(Role::Auth, 1..=3));
        for (gateway, server) in &before {
            if server.ordinal != 4 {
                assert_eq!(after.get(gateway), Some(server));
            }
        }
        for server in nodes(Role::Auth, 1..=4) {
            let share = before.values().filter(|s| **s == server).count();
            assert!((20..=80).contains(&share), "{server} has {share} of 200");
        }
    }

    #[test]
    fn without_servers_nobody_has_one() {
        assert!(rendezvous(&nodes(Role::Gateway, 1..=3), &[]).is_empty());
    }
}
