//! Who is here: nodes join and leave as their beacon keys come and go. A node is an entity with a [`Node`] component.
//!
//! A restarted process is another incarnation: it leaves and joins in the same tick.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bevy_ecs::prelude::{Component, Entity, Resource, World as Ecs};
use pangaea_schemas::message::{
    Address, BeaconEntry, BeaconReply, BeaconRequest, Control, GatewayReport, Message, NodeInfo, ScriptFault,
};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{NodeId, Nonce, Role, Tick, Timestamp};

use crate::inbox::Inbox;
use crate::status::{Events, Happening};
use crate::world::{Now, Outbox, Phase, Repeat, World};

/// The watch is asked for this often until it starts.
const WATCH_AGAIN: Duration = Duration::from_secs(1);
/// What the world watches.
const PREFIX: &str = "node/";

/// A registered process.
#[derive(Component, Debug)]
pub struct Node {
    /// As registered.
    pub info: NodeInfo,
    /// When the world first heard of this incarnation.
    pub joined: Timestamp,
    /// Its last tick, of scenes.
    pub tick: Tick,
    /// Ticks that started late, of scenes.
    pub late_ticks: u64,
    /// Version of the rules that it knows, of scenes; 0: none.
    pub rules: u64,
    /// Scripts that are off in its shards because they failed, of scenes.
    pub faults: Vec<ScriptFault>,
    /// Its last numbers, of gateways.
    pub gateway: GatewayReport,
    /// An admin wants it empty.
    pub drained: bool,
}

impl Node {
    /// Whether it takes new work, as far as its registration and admins say.
    pub fn is_open(&self) -> bool {
        !self.drained && !self.info.draining
    }
}

/// The nodes by name.
#[derive(Resource, Debug, Default)]
pub struct Nodes {
    by_id: BTreeMap<NodeId, (Nonce, Entity)>,
    /// Scenes that an admin wants empty, those that are away too: whoever drains one may stop and start it meanwhile.
    pub(crate) drained: BTreeSet<NodeId>,
    /// Joined in this tick.
    pub(crate) joined: Vec<(NodeId, Nonce)>,
    /// Left in this tick.
    pub(crate) left: Vec<(NodeId, Nonce)>,
}

impl Nodes {
    /// The node's entity.
    pub fn entity(&self, node: NodeId) -> Option<Entity> {
        self.by_id.get(&node).map(|(_, entity)| *entity)
    }

    /// The incarnation that is registered.
    pub fn nonce(&self, node: NodeId) -> Option<Nonce> {
        self.by_id.get(&node).map(|(nonce, _)| *nonce)
    }

    /// The nodes of a role, in order.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = (NodeId, Entity)> {
        let range = NodeId { role, ordinal: 0 }..=NodeId { role, ordinal: u16::MAX };
        self.by_id.range(range).map(|(node, (_, entity))| (*node, *entity))
    }

    /// All nodes, in order.
    pub fn entities(&self) -> impl Iterator<Item = Entity> {
        self.by_id.values().map(|(_, entity)| *entity)
    }
}

#[derive(Resource, Debug)]
struct Watch {
    started: bool,
    ask: Repeat,
}

pub(crate) fn plugin(world: &mut World) {
    world.insert_resource(Nodes::default());
    world.insert_resource(Watch { started: false, ask: Repeat::every(WATCH_AGAIN) });
    world.add_systems(Phase::Nodes, follow);
}

/// Exclusive, so that a node that joins is there for the very next system.
fn follow(ecs: &mut Ecs) {
    let mut nodes = ecs.resource_mut::<Nodes>();
    nodes.joined.clear();
    nodes.left.clear();
    for reply in std::mem::take(&mut ecs.resource_mut::<Inbox>().beacon) {
        match reply {
            BeaconReply::WatchStart { prefix, entries } if prefix == PREFIX => restart(ecs, &entries),
            BeaconReply::WatchChange { prefix, entry } if prefix == PREFIX => change(ecs, &entry),
            other => tracing::debug!(?other, "a beacon reply that nobody waits for"),
        }
    }
    for (node, nonce) in std::mem::take(&mut ecs.resource_mut::<Inbox>().reaped) {
        reap(ecs, node, nonce);
    }
    watch(ecs);
}

/// What a watch starts with is everything there is: who is not in it has left.
fn restart(ecs: &mut Ecs, entries: &[BeaconEntry]) {
    ecs.resource_mut::<Watch>().started = true;
    let here: BTreeSet<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    let known = ecs.resource::<Nodes>().by_id.keys().copied();
    let gone: Vec<NodeId> = known.filter(|node| !here.contains(NodeInfo::key(*node).as_str())).collect();
    for node in gone {
        leave(ecs, node);
    }
    for entry in entries {
        change(ecs, entry);
    }
}

fn change(ecs: &mut Ecs, entry: &BeaconEntry) {
    let Some(value) = &entry.value else {
        if let Some(node) = entry.key.strip_prefix(PREFIX).and_then(|name| name.parse().ok()) {
            leave(ecs, node);
        }
        return;
    };
    match NodeInfo::from_stored(value) {
        Ok(info) => join(ecs, info),
        Err(error) => tracing::warn!(key = entry.key, %error, "a registration that cannot be read"),
    }
}

fn join(ecs: &mut Ecs, info: NodeInfo) {
    let (node, nonce, at) = (info.node, info.nonce, ecs.resource::<Now>().at);
    if let Some((known, entity)) = ecs.resource::<Nodes>().by_id.get(&node).copied() {
        if known == nonce {
            if let Some(mut node) = ecs.get_mut::<Node>(entity) {
                node.info = info;
            }
            return;
        }
        leave(ecs, node);
    }
    tracing::info!(%node, %nonce, address = info.address, "node joined");
    let drained = ecs.resource::<Nodes>().drained.contains(&node);
    let fresh = Node {
        info,
        joined: at,
        tick: Tick(0),
        late_ticks: 0,
        rules: 0,
        faults: Vec::new(),
        gateway: GatewayReport::default(),
        drained,
    };
    let entity = ecs.spawn(fresh).id();
    let mut nodes = ecs.resource_mut::<Nodes>();
    nodes.by_id.insert(node, (nonce, entity));
    nodes.joined.push((node, nonce));
    ecs.resource_mut::<Events>().push(at, Happening::NodeJoined { node });
}

fn leave(ecs: &mut Ecs, node: NodeId) {
    let at = ecs.resource::<Now>().at;
    let mut nodes = ecs.resource_mut::<Nodes>();
    let Some((nonce, entity)) = nodes.by_id.remove(&node) else { return };
    nodes.left.push((node, nonce));
    ecs.despawn(entity);
    // Whoever knows that it did not go by itself warns: the beacon of a lease that expired, the shell of a process that died.
    tracing::info!(%node, %nonce, "node left");
    ecs.resource_mut::<Events>().push(at, Happening::NodeLeft { node });
}

/// A process known to be dead: it leaves now, and everybody may stop waiting for it.
fn reap(ecs: &mut Ecs, node: NodeId, nonce: Nonce) {
    if ecs.resource::<Nodes>().nonce(node) == Some(nonce) {
        leave(ecs, node);
    }
    let nodes = ecs.resource::<Nodes>();
    let told: Vec<NodeId> = [Role::Scene, Role::Gateway].into_iter().flat_map(|r| nodes.of_role(r)).map(|(n, _)| n).collect();
    let mut outbox = ecs.resource_mut::<Outbox>();
    for other in told {
        outbox.send(Address::Node(other), Message::Control(Control::Reaped { node, nonce }));
    }
}

fn watch(ecs: &mut Ecs) {
    let now = ecs.resource::<Now>().at;
    let mut watch = ecs.resource_mut::<Watch>();
    if !watch.started && watch.ask.due(now) {
        let request = BeaconRequest::Watch { prefix: PREFIX.to_owned() };
        ecs.resource_mut::<Outbox>().send(Address::Beacon, Message::BeaconRequest(request));
    }
}
