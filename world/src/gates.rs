//! The gate manager: which gateway the next client should use, and sending a gateway's clients elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use bevy_ecs::prelude::{IntoScheduleConfigs, Query, Res, ResMut, Resource, World as Ecs};
use pangaea_schemas::message::{Address, Control, Message, NodeInfo};
use pangaea_schemas::{NodeId, Role};

use crate::inbox::Inbox;
use crate::nodes::{Node, Nodes};
use crate::world::{Now, Order, Outbox, Phase, Repeat, World};

/// An order to drain is repeated this often until the gateway reports that it drains.
const DRAIN_AGAIN: Duration = Duration::from_secs(1);

/// Orders to drain that are not yet reported as followed.
#[derive(Resource, Debug, Default)]
struct Draining(BTreeMap<NodeId, Repeat>);

pub(crate) fn plugin(world: &mut World) {
    world.insert_resource(Draining::default());
    world.add_systems(Phase::Edge, (hear, obey, drain).chain());
}

/// The gateway with the fewest sessions, then the first; draining ones never.
pub(crate) fn for_client(ecs: &mut Ecs) -> Option<NodeInfo> {
    let mut gateways = ecs.query::<&Node>();
    least_used(gateways.iter(ecs), None).cloned()
}

fn least_used<'a>(nodes: impl Iterator<Item = &'a Node>, except: Option<NodeId>) -> Option<&'a NodeInfo> {
    let open = nodes.filter(|n| n.info.node.role == Role::Gateway && Some(n.info.node) != except);
    let open = open.filter(|n| !n.drained && !n.info.draining && !n.gateway.draining);
    open.min_by_key(|n| (n.gateway.sessions, n.info.node)).map(|n| &n.info)
}

fn hear(mut inbox: ResMut<Inbox>, nodes: Res<Nodes>, mut gateways: Query<&mut Node>) {
    for (from, report) in inbox.gateways.drain(..) {
        if let Some(mut node) = nodes.entity(from).and_then(|entity| gateways.get_mut(entity).ok()) {
            node.gateway = report;
        }
    }
}

fn obey(mut inbox: ResMut<Inbox>, nodes: Res<Nodes>, mut draining: ResMut<Draining>, mut gateways: Query<&mut Node>) {
    for order in inbox.orders.drain(..) {
        let (Order::DrainGateway(gateway) | Order::UndrainGateway(gateway)) = order;
        let Some(mut node) = nodes.entity(gateway).and_then(|entity| gateways.get_mut(entity).ok()) else { continue };
        if gateway.role != Role::Gateway {
            continue;
        }
        node.drained = matches!(order, Order::DrainGateway(_));
        tracing::info!(%gateway, drained = node.drained, "gateway drain ordered");
        if node.drained {
            draining.0.insert(gateway, Repeat::every(DRAIN_AGAIN));
        } else {
            draining.0.remove(&gateway);
        }
    }
}

fn drain(now: Res<Now>, nodes: Res<Nodes>, mut draining: ResMut<Draining>, gateways: Query<&Node>, mut outbox: ResMut<Outbox>) {
    draining.0.retain(|gateway, repeat| {
        let node = nodes.entity(*gateway).and_then(|entity| gateways.get(entity).ok());
        let Some(node) = node.filter(|node| !node.gateway.draining) else { return false };
        if repeat.due(now.at) {
            let to = least_used(gateways.iter(), Some(node.info.node)).map_or_else(String::new, |info| info.client_tcp.clone());
            outbox.send(Address::Node(*gateway), Message::Control(Control::DrainGateway { to }));
        }
        true
    });
}
