//! This node's place in the cluster: its registration under a lease, who else is here, and what must be asked again when the
//! world comes back.
//!
//! | event | what happens |
//! |---|---|
//! | every [`RENEW_EVERY`] | `Register` is sent; the lease counts from that moment |
//! | `Registered` to one of ours | [`Heard::Renewed`] with the moment the request was sent |
//! | `NameTaken` for longer than [`NAME_TAKEN_MAX`] | [`Heard::NameTaken`]: another process has the name, this one must end |
//! | a watch of `node/` tells somebody | the mesh learns or forgets its address |
//! | a core asks for a watch or a subscription | kept as a *standing request* |
//! | the link to the world comes up | all standing requests are sent again: watches end with the link |
//! | … to another incarnation of the world | its beacon is *young* for one lease, see [`remembered`] |
//!
//! On the cluster's engine ([`Membership::on_engine`]) the beacon belongs to no process: watches never end, nothing is young, and
//! the world is whoever [`WORLD_LEADER_KEY`] names. A new leader is told to the core like a link that comes up.
//!
//! Request ids of this module have the highest bit set; those of cores don't, so replies find whom they are for.

mod remembered;

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::message::{Address, BeaconEntry, BeaconReply, BeaconRequest, BusRequest, Envelope, Message, NodeInfo};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{NodeId, Nonce, RequestId, Role, Timestamp};

use crate::engine::WORLD_LEADER_KEY;
use crate::mesh::MeshEvent;

use remembered::Remembered;

/// Time between two renewals of the lease.
pub const RENEW_EVERY: Duration = Duration::from_millis(100);
/// Renewals per lease on the engine, where each one is replicated.
const ENGINE_RENEWALS_PER_LEASE: u32 = 5;
/// A dead incarnation of this node holds its name no longer than its lease; whoever holds it longer is alive.
pub const NAME_TAKEN_MAX: Duration = Duration::from_secs(10);
/// Most renewals that wait for an answer; older ones are forgotten.
const RENEWALS_WAITING_MAX: usize = 64;
/// Most standing requests: watches and subscriptions of this node.
const STANDING_MAX: usize = 64;
/// Marks a request of this module.
const OWN_REQUEST: u64 = 1 << 63;
/// The world's only embedded node.
pub const WORLD: NodeId = NodeId::new(Role::World, 1);
/// The data service's only embedded node.
pub const DATA: NodeId = NodeId::new(Role::Data, 1);

/// What a mesh event was, for the driver.
#[derive(Debug)]
pub enum Heard {
    /// For the core.
    Core {
        /// From whom.
        from: NodeId,
        /// What.
        message: Message,
    },
    /// The lease runs, counted from `sent`.
    Renewed {
        /// When the renewal was sent.
        sent: Timestamp,
    },
    /// Another incarnation holds this node's name.
    NameTaken {
        /// Which.
        holder: Nonce,
    },
    /// A peer's link is up.
    Up {
        /// Whose.
        node: NodeId,
        /// Its incarnation.
        nonce: Nonce,
    },
    /// A peer's link is gone.
    Down {
        /// Whose.
        node: NodeId,
    },
    /// Nothing the driver must know.
    Nothing,
}

/// What the mesh must do next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send this.
    Send(Envelope),
    /// A peer listens there.
    Learn {
        /// Who.
        node: NodeId,
        /// Host and port.
        address: String,
    },
    /// A peer is no longer registered.
    Forget {
        /// Who.
        node: NodeId,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Membership {
    info: NodeInfo,
    lease: Duration,
    next_renewal: Timestamp,
    requests: u64,
    renewals: BTreeMap<RequestId, Timestamp>,
    name_taken: Option<Timestamp>,
    renew_every: Duration,
    /// The beacon is the engine's.
    engine: bool,
    /// World processes whose links are up.
    worlds: BTreeMap<NodeId, Nonce>,
    /// The world process that leads, as far as is known.
    leader: Option<NodeId>,
    /// The embedded world's incarnation, once there was a link.
    world: Option<Nonce>,
    remembered: Remembered,
    peers: BTreeMap<NodeId, NodeInfo>,
    standing: Vec<Envelope>,
    steps: Vec<Step>,
}

impl Membership {
    /// A node that is not registered yet. It watches `node/` from the start.
    pub fn new(info: NodeInfo, lease: Duration) -> Self {
        let watch = watch("node/");
        Self {
            remembered: Remembered::new(info.node),
            info,
            lease,
            next_renewal: Timestamp::default(),
            requests: 0,
            renewals: BTreeMap::new(),
            name_taken: None,
            renew_every: RENEW_EVERY,
            engine: false,
            worlds: BTreeMap::new(),
            leader: Some(WORLD),
            world: None,
            peers: BTreeMap::new(),
            standing: vec![watch.clone()],
            steps: vec![Step::Send(watch)],
        }
    }

    /// The same where beacon and leader are the engine's.
    pub fn on_engine(info: NodeInfo, lease: Duration) -> Self {
        let mut membership = Self::new(info, lease);
        membership.engine = true;
        membership.leader = None;
        membership.renew_every = lease / ENGINE_RENEWALS_PER_LEASE;
        membership.standing.clear();
        membership.steps.push(Step::Send(watch(WORLD_LEADER_KEY)));
        membership
    }

    /// What this node tells about itself.
    pub fn info(&self) -> &NodeInfo {
        &self.info
    }

    /// Ask for no new work; told with the next renewal.
    pub fn set_draining(&mut self) {
        self.info.draining = true;
    }

    /// Who else is registered, this node included.
    pub fn peers(&self) -> &BTreeMap<NodeId, NodeInfo> {
        &self.peers
    }

    /// The world process that leads, as far as is known.
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// The node behind an address; `None` when no such node is known.
    pub fn resolve(&self, address: Address) -> Option<NodeId> {
        match address {
            Address::Node(node) => Some(node),
            Address::Beacon | Address::Bus => Some(WORLD),
            Address::World => self.leader,
            Address::Data if self.engine => self.one_of(Role::Data),
            Address::Data => Some(DATA),
            Address::Auth => self.one_of(Role::Auth),
        }
    }

    /// One of the servers of a role: nodes spread themselves over them by their own number. The first asks the first, as each of
    /// several hosts then asks itself.
    fn one_of(&self, role: Role) -> Option<NodeId> {
        let servers: Vec<_> = self.peers.values().filter(|peer| peer.node.role == role && !peer.draining).collect();
        let turn = usize::from(self.info.node.ordinal.saturating_sub(1)) % servers.len().max(1);
        servers.get(turn).map(|peer| peer.node)
    }

    /// Look at what the core sends: watches and subscriptions become standing.
    pub fn note_sent(&mut self, envelope: &Envelope) {
        let standing = is_watch(envelope) || matches!(envelope.message, Message::BusRequest(BusRequest::Subscribe { .. }));
        if !standing || self.engine || self.standing.contains(envelope) {
            return;
        }
        if self.standing.len() >= STANDING_MAX {
            tracing::error!("more than {STANDING_MAX} watches and subscriptions");
            return;
        }
        self.standing.push(envelope.clone());
    }

    /// Sort out what came.
    pub fn hear(&mut self, now: Timestamp, event: MeshEvent) -> Heard {
        match event {
            MeshEvent::Up { node, nonce } => {
                if self.engine && node.role == Role::World {
                    self.worlds.insert(node, nonce);
                } else if node == WORLD {
                    self.world_is_up(now, nonce);
                }
                Heard::Up { node, nonce }
            }
            MeshEvent::Down { node } => {
                self.worlds.remove(&node);
                Heard::Down { node }
            }
            MeshEvent::Message { from, message } => self.hear_message(now, from, message),
        }
    }

    fn world_is_up(&mut self, now: Timestamp, nonce: Nonce) {
        if self.world.replace(nonce).is_some_and(|known| known != nonce) {
            self.remembered.beacon_is_young_until(now + self.lease);
        }
        self.steps.extend(self.standing.iter().cloned().map(Step::Send));
        self.next_renewal = Timestamp::default();
    }

    fn hear_message(&mut self, now: Timestamp, from: NodeId, mut message: Message) -> Heard {
        if self.engine {
            if let Some(heard) = self.hear_leader(&message) {
                return heard;
            }
        } else if let Message::BeaconReply(reply) = &mut message {
            self.remembered.complete(now, reply);
        }
        match &message {
            Message::BeaconReply(BeaconReply::Registered { request, .. }) if request.0 & OWN_REQUEST != 0 => {
                self.name_taken = None;
                let counts_from = |sent| if Mutant::LeaseFromReply.lives() { now } else { sent };
                return self.renewals.remove(request).map_or(Heard::Nothing, |sent| Heard::Renewed { sent: counts_from(sent) });
            }
            Message::BeaconReply(BeaconReply::NameTaken { request, holder }) if request.0 & OWN_REQUEST != 0 => {
                let since = *self.name_taken.get_or_insert(now);
                let alive = now.since(since) > NAME_TAKEN_MAX;
                return if alive { Heard::NameTaken { holder: *holder } } else { Heard::Nothing };
            }
            Message::BeaconReply(BeaconReply::WatchStart { prefix, entries }) if prefix == "node/" => self.start_over(entries),
            Message::BeaconReply(BeaconReply::WatchChange { prefix, entry }) if prefix == "node/" => self.change(entry),
            _ => {}
        }
        Heard::Core { from, message }
    }

    /// Whether it tells who leads.
    fn hear_leader(&mut self, message: &Message) -> Option<Heard> {
        let named = match message {
            Message::BeaconReply(BeaconReply::WatchStart { prefix, entries }) if prefix == WORLD_LEADER_KEY => entries.first(),
            Message::BeaconReply(BeaconReply::WatchChange { prefix, entry }) if prefix == WORLD_LEADER_KEY => Some(entry),
            _ => return None,
        };
        let leader = named.and_then(|entry| std::str::from_utf8(entry.value.as_ref()?).ok()?.parse().ok());
        if std::mem::replace(&mut self.leader, leader) == leader {
            return Some(Heard::Nothing);
        }
        tracing::info!(leader = leader.map_or_else(|| "nobody".to_owned(), |node| node.to_string()), "the world is led");
        let linked = leader.and_then(|node| Some((node, *self.worlds.get(&node)?)));
        Some(linked.map_or(Heard::Nothing, |(node, nonce)| Heard::Up { node, nonce }))
    }

    fn start_over(&mut self, entries: &[BeaconEntry]) {
        let gone: Vec<_> = self.peers.keys().copied().collect();
        self.peers.clear();
        for entry in entries {
            self.change(entry);
        }
        let gone = gone.into_iter().filter(|node| !self.peers.contains_key(node));
        self.steps.extend(gone.map(|node| Step::Forget { node }));
    }

    fn change(&mut self, entry: &BeaconEntry) {
        let Some(node) = entry.key.strip_prefix("node/").and_then(|name| name.parse::<NodeId>().ok()) else { return };
        let Some(value) = &entry.value else {
            self.peers.remove(&node);
            self.steps.push(Step::Forget { node });
            return;
        };
        match NodeInfo::from_stored(value) {
            Ok(info) => {
                self.steps.push(Step::Learn { node, address: info.address.clone() });
                self.peers.insert(node, info);
            }
            Err(error) => tracing::warn!(%node, %error, "a registration does not decode"),
        }
    }

    /// Give the registration back: the last message of an orderly end.
    pub fn leave(&self) -> Envelope {
        let request = BeaconRequest::Deregister { node: self.info.node, nonce: self.info.nonce };
        Envelope { to: Address::Beacon, message: Message::BeaconRequest(request) }
    }

    /// When [`Self::poll_step`] has a renewal to send.
    pub fn poll_timeout(&self) -> Timestamp {
        self.next_renewal
    }

    /// What to do next; drain until `None`.
    pub fn poll_step(&mut self, now: Timestamp) -> Option<Step> {
        if self.remembered.beacon_has_grown_up(now) {
            self.steps.extend(self.standing.iter().filter(|asked| is_watch(asked)).cloned().map(Step::Send));
        }
        if self.next_renewal <= now {
            self.next_renewal = now + self.renew_every;
            self.requests += 1;
            let request = RequestId(OWN_REQUEST | self.requests);
            if self.renewals.len() >= RENEWALS_WAITING_MAX {
                self.renewals.pop_first();
            }
            self.renewals.insert(request, now);
            let ttl_ms = self.lease.as_millis() as u32;
            let message = Message::BeaconRequest(BeaconRequest::Register { request, node: self.info.clone(), ttl_ms });
            self.steps.push(Step::Send(Envelope { to: Address::Beacon, message }));
        }
        (!self.steps.is_empty()).then(|| self.steps.remove(0))
    }
}

fn watch(prefix: &str) -> Envelope {
    Envelope { to: Address::Beacon, message: Message::BeaconRequest(BeaconRequest::Watch { prefix: prefix.to_owned() }) }
}

fn is_watch(envelope: &Envelope) -> bool {
    matches!(envelope.message, Message::BeaconRequest(BeaconRequest::Watch { .. }))
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::{RegistryHash, Revision};

    use super::*;

    const NOW: Timestamp = Timestamp(5_000_000);

    fn info(node: NodeId) -> NodeInfo {
        NodeInfo {
            node,
            nonce: Nonce(7),
            pid: 1,
            address: format!("127.0.0.1:{}", 7_000 + node.to_bits() % 1_000),
            client_tcp: String::new(),
            client_ws: String::new(),
            http: String::new(),
            registry: RegistryHash(1),
            draining: false,
        }
    }

    fn scene() -> Membership {
        Membership::new(info(NodeId::new(Role::Scene, 1)), Duration::from_secs(1))
    }

    fn sent(membership: &mut Membership, now: Timestamp) -> Vec<Message> {
        let mut sent = Vec::new();
        while let Some(step) = membership.poll_step(now) {
            if let Step::Send(envelope) = step {
                sent.push(envelope.message);
            }
        }
        sent
    }

    fn from_world(membership: &mut Membership, reply: BeaconReply) -> Heard {
        membership.hear(NOW, MeshEvent::Message { from: WORLD, message: Message::BeaconReply(reply) })
    }

    fn registered(nodes: &[NodeId]) -> BeaconReply {
        let entry = |node: &NodeId| BeaconEntry {
            key: NodeInfo::key(*node),
            revision: Revision(1),
            value: Some(info(*node).to_stored()),
        };
        BeaconReply::WatchStart { prefix: "node/".to_owned(), entries: nodes.iter().map(entry).collect() }
    }

    #[test]
    fn the_lease_counts_from_the_moment_of_sending() {
        let mut membership = scene();
        let request = sent(&mut membership, NOW).into_iter().find_map(|message| match message {
            Message::BeaconRequest(BeaconRequest::Register { request, .. }) => Some(request),
            _ => None,
        });
        let reply = BeaconReply::Registered { request: request.expect("a renewal"), ttl_ms: 1_000 };
        assert!(matches!(from_world(&mut membership, reply.clone()), Heard::Renewed { sent: NOW }));
        assert!(matches!(from_world(&mut membership, reply), Heard::Nothing), "an answer counts once");
        assert_eq!(membership.poll_timeout(), NOW + RENEW_EVERY);
    }

    #[test]
    fn replies_to_the_core_pass_through() {
        let mut membership = scene();
        let reply = BeaconReply::Registered { request: RequestId(3), ttl_ms: 1_000 };
        assert!(matches!(from_world(&mut membership, reply), Heard::Core { from: WORLD, .. }));
    }

    #[test]
    fn watches_are_asked_again_when_the_world_comes_back() {
        let mut membership = scene();
        let watch = Message::BeaconRequest(BeaconRequest::Watch { prefix: "shard/".to_owned() });
        let envelope = Envelope { to: Address::Beacon, message: watch.clone() };
        membership.note_sent(&envelope);
        membership.note_sent(&envelope);
        sent(&mut membership, NOW);
        membership.hear(NOW, MeshEvent::Up { node: WORLD, nonce: Nonce(1) });
        let again = sent(&mut membership, NOW);
        assert_eq!(again.iter().filter(|message| **message == watch).count(), 1);
        assert!(again.iter().any(|message| matches!(message, Message::BeaconRequest(BeaconRequest::Register { .. }))));
    }

    #[test]
    fn a_name_that_stays_taken_ends_the_process_and_a_dead_holder_does_not() {
        let mut membership = scene();
        let taken = |at: Timestamp, membership: &mut Membership| {
            let request = RequestId(OWN_REQUEST | 1);
            let reply = Message::BeaconReply(BeaconReply::NameTaken { request, holder: Nonce(9) });
            membership.hear(at, MeshEvent::Message { from: WORLD, message: reply })
        };
        assert!(matches!(taken(NOW, &mut membership), Heard::Nothing));
        assert!(matches!(taken(NOW + NAME_TAKEN_MAX, &mut membership), Heard::Nothing));
        let late = NOW + NAME_TAKEN_MAX + Duration::from_micros(1);
        assert!(matches!(taken(late, &mut membership), Heard::NameTaken { holder: Nonce(9) }));
    }

    #[test]
    fn on_the_engine_the_world_is_who_leads_and_its_change_is_told_like_a_link() {
        let (first, second) = (NodeId::new(Role::World, 1), NodeId::new(Role::World, 2));
        let mut membership = Membership::on_engine(info(NodeId::new(Role::Scene, 1)), Duration::from_secs(2));
        assert_eq!(sent(&mut membership, NOW).len(), 3, "two watches and a registration");
        assert_eq!(membership.resolve(Address::World), None);
        for (node, nonce) in [(first, Nonce(1)), (second, Nonce(2))] {
            assert!(matches!(membership.hear(NOW, MeshEvent::Up { node, nonce }), Heard::Up { .. }));
        }
        assert_eq!(sent(&mut membership, NOW), [], "watches do not end with a link");
        let mut leads = |leader: Option<NodeId>| {
            let value = leader.map(|node| node.to_string().into());
            let entry = BeaconEntry { key: WORLD_LEADER_KEY.to_owned(), revision: Revision(1), value };
            let prefix = WORLD_LEADER_KEY.to_owned();
            let heard = from_world(&mut membership, BeaconReply::WatchChange { prefix, entry });
            (membership.resolve(Address::World), matches!(heard, Heard::Up { node, .. } if Some(node) == leader))
        };
        assert_eq!(leads(Some(first)), (Some(first), true));
        assert_eq!(leads(Some(first)), (Some(first), false), "no news");
        assert_eq!(leads(None), (None, false));
        assert_eq!(leads(Some(second)), (Some(second), true));
    }

    #[test]
    fn peers_come_and_go_with_the_beacon() {
        let mut membership = scene();
        let (data, auth) = (NodeId::new(Role::Data, 1), NodeId::new(Role::Auth, 1));
        from_world(&mut membership, registered(&[data, auth]));
        assert_eq!(membership.resolve(Address::Auth), Some(auth));
        while membership.poll_step(NOW).is_some() {}
        from_world(&mut membership, registered(&[data]));
        let mut steps = Vec::new();
        while let Some(step) = membership.poll_step(NOW) {
            steps.push(step);
        }
        assert!(steps.contains(&Step::Forget { node: auth }));
        assert!(steps.contains(&Step::Learn { node: data, address: info(data).address }));
        assert_eq!(membership.resolve(Address::Auth), None);
        assert_eq!(membership.resolve(Address::Data), Some(data));
    }
}
