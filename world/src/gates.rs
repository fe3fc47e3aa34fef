//! The gate manager: which gateway the next client should use, and sending a gateway's clients elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use bevy_ecs::prelude::{IntoScheduleConfigs, Query, Res, ResMut, Resource, World as Ecs};
use pangaea_schemas::message::{Address, ClientAddresses, Control, DRAIN_TARGETS_MAX, Message, NodeInfo};
use pangaea_schemas::{NodeId, Role};

use crate::inbox::Inbox;
use crate::nodes::{Node, Nodes};
use crate::world::{Now, Order, Outbox, Phase, Repeat, World};

/// An order is repeated this often until the gateway reports that it follows it.
const ORDER_AGAIN: Duration = Duration::from_secs(1);

/// Gateways that do not yet report what [`Node::drained`] wants of them.
#[derive(Resource, Debug, Default)]
struct Ordered(BTreeMap<NodeId, Repeat>);

pub(crate) fn plugin(world: &mut World) {
    world.insert_resource(Ordered::default());
    world.add_systems(Phase::Edge, (hear, obey, order).chain());
}

/// The gateway with the fewest sessions, then the first; draining ones never.
pub(crate) fn for_client(ecs: &mut Ecs) -> Option<NodeInfo> {
    let mut gateways = ecs.query::<&Node>();
    by_use(gateways.iter(ecs)).first().map(|info| (*info).clone())
}

/// Gateways that take clients, the least used one first.
fn by_use<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<&'a NodeInfo> {
    let gateways = nodes.filter(|n| n.info.node.role == Role::Gateway);
    let mut open: Vec<_> = gateways.filter(|n| n.is_open() && !n.gateway.draining).collect();
    open.sort_by_key(|n| (n.gateway.sessions, n.info.node));
    open.into_iter().map(|n| &n.info).collect()
}

fn hear(mut inbox: ResMut<Inbox>, nodes: Res<Nodes>, mut gateways: Query<&mut Node>) {
    for (from, report) in inbox.gateways.drain(..) {
        if let Some(mut node) = nodes.entity(from).and_then(|entity| gateways.get_mut(entity).ok()) {
            node.gateway = report;
        }
    }
}

fn obey(mut inbox: ResMut<Inbox>, mut nodes: ResMut<Nodes>, mut ordered: ResMut<Ordered>, mut drainable: Query<&mut Node>) {
    for order in inbox.orders.drain(..) {
        let (Order::Drain(id) | Order::Undrain(id)) = order;
        let drained = matches!(order, Order::Drain(_));
        tracing::info!(node = %id, drained, "drain ordered");
        match id.role {
            // The balancer empties it. One that left meanwhile comes back as ordered.
            Role::Scene if drained => _ = nodes.drained.insert(id),
            Role::Scene => _ = nodes.drained.remove(&id),
            Role::Gateway => {}
            Role::World | Role::Data | Role::Auth => continue,
        }
        let Some(mut node) = nodes.entity(id).and_then(|entity| drainable.get_mut(entity).ok()) else { continue };
        // One that ends drains by itself, and nothing calls it back.
        if node.info.draining {
            continue;
        }
        node.drained = drained;
        if id.role == Role::Gateway {
            ordered.0.insert(id, Repeat::every(ORDER_AGAIN));
        }
    }
}

fn order(now: Res<Now>, nodes: Res<Nodes>, mut ordered: ResMut<Ordered>, gateways: Query<&Node>, mut outbox: ResMut<Outbox>) {
    ordered.0.retain(|gateway, repeat| {
        let node = nodes.entity(*gateway).and_then(|entity| gateways.get(entity).ok());
        let Some(node) = node.filter(|node| node.gateway.draining != node.drained) else { return false };
        if repeat.due(now.at) {
            let control = if node.drained { drain_to(&by_use(gateways.iter())) } else { Control::UndrainGateway };
            outbox.send(Address::Node(*gateway), Message::Control(control));
        }
        true
    });
}

fn drain_to(open: &[&NodeInfo]) -> Control {
    let to = open.iter().take(DRAIN_TARGETS_MAX);
    let to = to.map(|info| ClientAddresses { tcp: info.client_tcp.clone(), ws: info.client_ws.clone() });
    Control::DrainGateway { to: to.collect() }
}
