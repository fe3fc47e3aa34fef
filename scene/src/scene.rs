//! A scene: the shards of one process, and what they have in common.
//!
//! It finds owners through the beacon, publishes its own routes, deals out entity ids, carries messages between its own shards
//! through the same code as between processes, and reports to the world. A driver feeds [`Scene::handle`], then either
//! [`Scene::tick`] or, to tick shards in parallel, [`Scene::begin_tick`], each shard of [`Scene::lend_shards`] wherever it likes,
//! [`Scene::return_shards`], [`Scene::end_tick`].

mod addressee;
mod recuts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{
    Address, AttachRefusal, BeaconEntry, BeaconReply, BeaconRequest, BusRequest, Control, Desk, Directory, EffectMessage,
    Envelope, FAULTS_MAX, Feed, JournalReply, JournalRequest, Message, Migration, NodeInfo, SceneReport, Session, ShardRoute,
};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{EntityId, NodeId, Nonce, RequestId, Revision, ShardEpoch, Tick, Timestamp};

use crate::game::BuiltGame;
use crate::peers::Peers;
use crate::rules::Rulebook;
use crate::scripts::Turns;
use crate::shard::{NOT_RECORDED, Outgoing, Routes, SHARD_IDS, Shard, ShardConfig, shard_of_migration};

/// The world hears of the scene this often.
pub const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Watches and subscriptions are asked for again this often: links break silently.
pub const WATCH_EVERY: Duration = Duration::from_secs(5);
/// A route that is not in the beacon yet, or ids that did not come, are asked for again after this.
pub const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Most messages between own shards carried in one go; the rest follow with the next call.
pub const LOCAL_MESSAGES_MAX: usize = 65_536;
/// Subjects that designers' systems hear.
pub const SUBJECTS: [&str; 2] = ["chat.", "world."];

const SHARD_PREFIX: &str = "shard/";
const NODE_PREFIX: &str = "node/";

/// What a scene is told at its start.
pub struct SceneConfig {
    /// Its name.
    pub node: NodeId,
    /// Its incarnation.
    pub nonce: Nonce,
    /// What all nodes agree on.
    pub spec: ClusterSpec,
    /// The game.
    pub game: BuiltGame,
    /// Of all chance in its shards.
    pub seed: u64,
}

/// A beacon key as last seen.
#[derive(Clone, Copy, Debug, Default)]
struct Published {
    revision: Revision,
    /// The epoch of the route that the beacon holds.
    epoch: ShardEpoch,
    ask_again: Timestamp,
    request: RequestId,
}

/// Entity ids not dealt out yet.
#[derive(Clone, Copy, Debug, Default)]
struct IdBlock {
    next: u64,
    left: u64,
    ask_again: Timestamp,
}

/// The shards of one process.
pub struct Scene {
    node: NodeId,
    nonce: Nonce,
    spec: ClusterSpec,
    shard_config: Arc<ShardConfig>,
    shards: BTreeMap<ShardId, Box<Shard>>,
    routes: Arc<Routes>,
    routes_are_new: bool,
    /// How many shards were opened so far.
    opened: u64,
    keys: BTreeMap<ShardId, Published>,
    peers: Peers,
    rules: Rulebook,
    ids: IdBlock,
    local: VecDeque<(ShardId, Message)>,
    out: VecDeque<Envelope>,
    requests: u64,
    report_at: Timestamp,
    watch_at: Timestamp,
    lease_until: Timestamp,
    late_ticks: u64,
    tick: Tick,
    recuts: recuts::Recuts,
    /// The process is to end.
    closing: bool,
}

impl Scene {
    /// A scene without shards; the world assigns them.
    pub fn new(config: SceneConfig) -> Self {
        let SceneConfig { node, nonce, spec, game, seed } = config;
        let (rate, spawn_cell) = (spec.tick_rate, spec.spawn_cell());
        let shard_config = ShardConfig { node, nonce, game, rate, spawn_cell, seed, script_turns: Turns::default() };
        Self {
            node,
            nonce,
            spec,
            shard_config: Arc::new(shard_config),
            shards: BTreeMap::new(),
            routes: Arc::default(),
            routes_are_new: false,
            opened: 0,
            keys: BTreeMap::new(),
            peers: Peers::default(),
            rules: Rulebook::default(),
            ids: IdBlock::default(),
            local: VecDeque::new(),
            out: VecDeque::new(),
            requests: 0,
            report_at: Timestamp(0),
            watch_at: Timestamp(0),
            lease_until: Timestamp(0),
            late_ticks: 0,
            tick: Tick(0),
            recuts: recuts::Recuts::default(),
            closing: false,
        }
    }

    /// The driver renewed the node's lease with a request sent at `sent`.
    pub fn lease_renewed(&mut self, sent: Timestamp) {
        let until = sent + self.spec.lease;
        if self.lease_until < sent {
            self.shards.values_mut().for_each(|shard| shard.lease_lapsed());
        }
        self.shards.values_mut().for_each(|shard| shard.lease(until));
        self.lease_until = self.lease_until.max(until);
    }

    /// Whether it claims what it is told to. After standing still, an order that waited may be about a shard whose former owner
    /// is back; the world gives it anew. Who has just started has no lease yet, and what it hears is new.
    fn obeys(&self, now: Timestamp) -> bool {
        self.lease_until == Timestamp(0) || now + self.spec.lease / 2 < self.lease_until
    }

    /// A tick started late by more than half an interval.
    pub fn note_late_tick(&mut self) {
        self.late_ticks += 1;
    }

    /// A shard's core, for those who look at it.
    pub fn shard(&self, shard: ShardId) -> Option<&Shard> {
        self.shards.get(&shard).map(Box::as_ref)
    }

    /// All shards that this scene has to do with, in order.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.values().map(Box::as_ref)
    }

    /// Takes a message from a node or service.
    pub fn handle(&mut self, now: Timestamp, from: NodeId, message: Message) {
        self.peers.hear(now, from);
        match message {
            Message::BeaconReply(reply) => self.beacon_replied(now, reply),
            Message::BusEvent(event) => self.shards.values_mut().for_each(|shard| shard.news(event.clone())),
            Message::JournalReply(JournalReply::IdBlock { first, count, .. }) => {
                self.ids = IdBlock { next: first.0, left: count, ask_again: now };
            }
            Message::JournalReply(JournalReply::OwnerList { owners, .. }) => {
                for (id, node, nonce, epoch, tail) in owners {
                    if let Some(shard) = self.shards.get_mut(&id) {
                        shard.owner_is((node, nonce), epoch, tail);
                    }
                }
            }
            Message::Control(Control::Reaped { node, .. }) => {
                self.peers.reaped(node);
                self.node_lost(now, node);
            }
            Message::Control(Control::Rules(rules)) => {
                if self.rules.told(self.tick, rules) {
                    self.spread_rules();
                }
            }
            Message::Control(Control::Recut { id, shard, merge }) => self.recut_ordered(now, id, shard, merge),
            Message::Control(Control::CancelMigration { id, .. }) if self.recut_cancelled(now, id) => {}
            Message::Migration(Migration::Recut { closed, routes }) => self.neighbours_recut(&closed, &routes),
            Message::JournalReply(ref reply) if self.recut_answered(now, reply) => {}
            Message::Control(Control::Release { agent }) => self.shards.values_mut().for_each(|shard| shard.release(agent)),
            Message::Desk(Desk::Inspect { request, entity }) => self.inspected(from, request, entity),
            Message::Directory(Directory::Seek { agent }) => self.shards.values_mut().for_each(|shard| shard.seek(agent)),
            message => match shard_of(&message) {
                Some(shard) => self.deliver(now, from, shard, message),
                None => tracing::debug!(%from, ?message, "nobody here asked for this"),
            },
        }
        self.keep_cutting(now);
        self.collect(now);
    }

    /// The link to a node is up.
    pub fn link_up(&mut self, now: Timestamp, node: NodeId, nonce: Nonce) {
        if self.peers.linked(node, nonce) {
            self.node_lost(now, node);
        }
        self.peers.hear(now, node);
    }

    /// The link to a node is down. Whoever is at its other end may be there all the same.
    pub fn link_down(&mut self, node: NodeId) {
        self.peers.unlinked(node);
    }

    /// A whole tick of all shards, one after the other.
    pub fn tick(&mut self, now: Timestamp, tick: Tick) {
        self.begin_tick(now, tick);
        let mut shards = self.lend_shards();
        shards.iter_mut().for_each(|shard| shard.tick(now, tick));
        self.return_shards(shards);
        self.end_tick(now);
    }

    /// Before the shards tick: rules, ids, routes, watches.
    pub fn begin_tick(&mut self, now: Timestamp, tick: Tick) {
        self.tick = tick;
        self.shard_config.script_turns.begin_tick();
        if self.rules.begin_tick(tick) {
            self.spread_rules();
        }
        self.begin_recuts(now, tick);
        for node in self.peers.gone(now) {
            self.node_lost(now, node);
        }
        self.watch(now);
        self.deal_ids(now);
        self.spread_routes(now);
    }

    /// All shards by value, to be ticked on any thread, in about this order: those whose scripts took their turn longest ago come
    /// first, so that none is passed over. The scene has none until [`Self::return_shards`].
    pub fn lend_shards(&mut self) -> Vec<Box<Shard>> {
        let mut shards: Vec<_> = std::mem::take(&mut self.shards).into_values().collect();
        shards.sort_by_key(|shard| shard.script_turn());
        shards
    }

    /// The shards are back, in any order.
    pub fn return_shards(&mut self, shards: impl IntoIterator<Item = Box<Shard>>) {
        self.shards.extend(shards.into_iter().map(|shard| (shard.id(), shard)));
    }

    /// After the shards have ticked: what they said, routes, reports.
    pub fn end_tick(&mut self, now: Timestamp) {
        // Before shards hear each other: who comes in after a shard's last tick would be in its journal, but not in its world.
        self.end_recuts(now);
        self.collect(now);
        self.publish_routes(now);
        self.withdraw_routes(now);
        if self.report_at <= now {
            self.report_at = now + REPORT_EVERY;
            let shards = self.shards.values_mut().filter_map(|shard| shard.report()).collect();
            let running = self.shards.values().filter(|shard| shard.incarnation().ticks());
            let faults = running.flat_map(|shard| shard.world().script_faults().cloned()).take(FAULTS_MAX).collect();
            let report =
                SceneReport { tick: self.tick, late_ticks: self.late_ticks, shards, rules: self.rules.version(), faults };
            self.send(Address::World, Message::Control(Control::Scene(report)));
        }
    }

    /// The process is to end: nobody moves any more, and all that changed goes to the journals at once.
    pub fn close(&mut self, now: Timestamp) {
        self.closing = true;
        self.cancel_recuts(now);
        self.shards.values_mut().for_each(|shard| shard.close(now));
        self.collect(now);
    }

    /// Whether everything is durable after [`Self::close`].
    pub fn is_closed(&self) -> bool {
        self.shards().all(Shard::is_closed)
    }

    /// What to send next.
    pub fn poll_output(&mut self) -> Option<Envelope> {
        self.out.pop_front()
    }

    fn send(&mut self, to: Address, message: Message) {
        self.out.push_back(Envelope { to, message });
    }

    fn request_id(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn deliver(&mut self, now: Timestamp, from: NodeId, id: ShardId, message: Message) {
        match message {
            Message::Control(Control::Assign { .. }) if !self.obeys(now) => {
                return tracing::debug!(shard = %id, "nothing is claimed on a lease that is half over");
            }
            Message::Control(Control::Assign { .. }) | Message::Migration(Migration::Prepare { .. }) => self.open_shard(id),
            Message::Migration(Migration::Moved { route }) => return self.moved(&route),
            _ => {}
        }
        for (id, message) in self.addressees(id, message) {
            match self.shards.get_mut(&id) {
                Some(shard) => shard.handle(now, from, message),
                None => self.not_here(from, id, message),
            }
        }
    }

    /// A shard that ours speak with is at another scene now.
    fn moved(&mut self, route: &ShardRoute) {
        self.routes_are_new |= Arc::make_mut(&mut self.routes).learn(*route);
        self.shards.values_mut().for_each(|shard| shard.neighbour_moved(route));
    }

    fn open_shard(&mut self, id: ShardId) {
        let Some(space) = self.spec.space(id.space) else {
            tracing::error!(shard = %id, "assigned a shard of a space that is not in the cluster's spec");
            return;
        };
        // Whoever asked asks again, and the world tells the rules first.
        let Some(rules) = self.rules.now() else {
            tracing::debug!(shard = %id, "no shard is opened before the rules are known");
            return;
        };
        let (common, opened) = ((&self.shard_config, &self.routes), &mut self.opened);
        let shard = self.shards.entry(id).or_insert_with(|| {
            *opened += 1;
            Box::new(Shard::new(id, space.clone(), (Arc::clone(common.0), Arc::clone(common.1)), *opened))
        });
        shard.lease(self.lease_until);
        shard.rules_are(Arc::clone(rules));
    }

    fn spread_rules(&mut self) {
        let Some(rules) = self.rules.now() else { return };
        self.shards.values_mut().for_each(|shard| shard.rules_are(Arc::clone(rules)));
    }

    /// Answers for a shard that this scene has nothing to do with.
    fn not_here(&mut self, from: NodeId, shard: ShardId, message: Message) {
        let answer = match message {
            Message::Feed(Feed::Follow { follower, .. }) => Message::Feed(Feed::NotHere { shard, follower }),
            Message::Session(Session::Attach { agent, session, .. }) => {
                let reason = AttachRefusal::NotHere { forward: None };
                Message::Session(Session::AttachRefused { agent, session, reason })
            }
            Message::Session(Session::Inputs { inputs, .. }) => {
                let Some(input) = inputs.first() else { return };
                let (agent, session) = (input.agent, input.session);
                Message::Session(Session::Misrouted { agent, session, forward: None })
            }
            Message::Desk(
                Desk::Record { request, .. } | Desk::TakeRecorded { request, .. } | Desk::EndRecording { request, .. },
            ) => {
                let refusal = NOT_RECORDED.to_owned();
                Message::Desk(Desk::Recorded { request, bytes: Default::default(), refusal })
            }
            // Whoever sent anything else finds out from the beacon, and sends again.
            _ => return,
        };
        self.send(Address::Node(from), answer);
    }

    /// Carries what shards said: to nodes, and to own shards until nothing is left to carry.
    fn collect(&mut self, now: Timestamp) {
        for _ in 0..LOCAL_MESSAGES_MAX {
            for shard in self.shards.values_mut() {
                while let Some(outgoing) = shard.poll_output() {
                    match outgoing {
                        Outgoing::To(Envelope { to: Address::Node(to), message }) if to == self.node => {
                            self.local.extend(shard_of(&message).map(|shard| (shard, message)));
                        }
                        Outgoing::To(envelope) => self.out.push_back(envelope),
                        Outgoing::ToShard(to, message) => match self.routes.serving(to).map(|route| route.owner) {
                            Some(node) if node == self.node => self.local.push_back((to, message)),
                            Some(node) => self.out.push_back(Envelope { to: Address::Node(node), message }),
                            // No owner is known: it is sent again when there is one.
                            None => {}
                        },
                    }
                }
            }
            let Some((shard, message)) = self.local.pop_front() else { break };
            self.deliver(now, self.node, shard, message);
        }
    }

    // Routes and nodes, by the beacon.

    fn watch(&mut self, now: Timestamp) {
        if self.watch_at > now {
            return;
        }
        self.watch_at = now + WATCH_EVERY;
        for prefix in [SHARD_PREFIX, NODE_PREFIX] {
            self.send(Address::Beacon, Message::BeaconRequest(BeaconRequest::Watch { prefix: prefix.to_owned() }));
        }
        for prefix in SUBJECTS {
            self.send(Address::Bus, Message::BusRequest(BusRequest::Subscribe { prefix: prefix.to_owned() }));
        }
    }

    fn beacon_replied(&mut self, now: Timestamp, reply: BeaconReply) {
        match reply {
            BeaconReply::WatchStart { prefix, entries } => {
                if prefix == NODE_PREFIX {
                    let here: Vec<NodeId> =
                        entries.iter().filter_map(|e| e.key.strip_prefix(NODE_PREFIX)?.parse().ok()).collect();
                    self.peers.registered_are(&here);
                } else if prefix == SHARD_PREFIX {
                    self.routes_are(&entries);
                }
                entries.into_iter().for_each(|entry| self.beacon_entry(now, entry));
            }
            BeaconReply::WatchChange { entry, .. } => self.beacon_entry(now, entry),
            BeaconReply::Done { request, revision } => self.route_is_published(request, revision),
            BeaconReply::Conflict { request, current } => {
                if let Some(key) = self.keys.values_mut().find(|key| key.request == request) {
                    (key.revision, key.ask_again) = (current, now);
                }
            }
            BeaconReply::Registered { .. }
            | BeaconReply::NameTaken { .. }
            | BeaconReply::Value { .. }
            | BeaconReply::Entries { .. } => {}
            // Refusals in words, for the log.
            other => tracing::debug!(?other, "the beacon refused"),
        }
    }

    fn beacon_entry(&mut self, now: Timestamp, entry: BeaconEntry) {
        if let Some(name) = entry.key.strip_prefix(NODE_PREFIX) {
            let Ok(node) = name.parse::<NodeId>() else { return };
            match entry.value.map(|value| NodeInfo::from_stored(&value)) {
                Some(Ok(info)) => {
                    if self.peers.registered(node, info.nonce) {
                        self.node_lost(now, node);
                    }
                }
                Some(Err(error)) => tracing::warn!(%node, %error, "the beacon holds a node that cannot be read"),
                None => self.peers.unregistered(node),
            }
        } else if let Some(shard) = entry.key.strip_prefix(SHARD_PREFIX).and_then(|name| name.parse::<ShardId>().ok()) {
            self.route_entry(shard, entry);
        }
    }

    /// The beacon holds these routes and no others. One that started again holds none: own ones are put again.
    fn routes_are(&mut self, listed: &[BeaconEntry]) {
        let listed: BTreeSet<&str> = listed.iter().map(|entry| entry.key.as_str()).collect();
        let missing: Vec<_> = self.keys.keys().map(|shard| (*shard, ShardRoute::key(*shard))).collect();
        for (shard, key) in missing.into_iter().filter(|(_, key)| !listed.contains(key.as_str())) {
            self.route_entry(shard, BeaconEntry { key, revision: Revision::ZERO, value: None });
        }
    }

    fn route_entry(&mut self, shard: ShardId, entry: BeaconEntry) {
        let key = self.keys.entry(shard).or_default();
        key.revision = if entry.value.is_some() { entry.revision } else { Revision::ZERO };
        match entry.value.map(|value| ShardRoute::from_stored(&value)) {
            Some(Ok(route)) => {
                key.epoch = route.epoch;
                self.routes_are_new |= Arc::make_mut(&mut self.routes).learn(route);
            }
            Some(Err(error)) => tracing::warn!(%shard, %error, "the beacon holds a route that cannot be read"),
            None => {
                key.epoch = ShardEpoch::ZERO;
                if self.routes.node(shard) != Some(self.node) {
                    Arc::make_mut(&mut self.routes).forget(shard);
                    self.routes_are_new = true;
                }
            }
        }
    }

    fn node_lost(&mut self, now: Timestamp, node: NodeId) {
        self.shards.values_mut().for_each(|shard| shard.node_lost(now, node));
    }

    fn spread_routes(&mut self, now: Timestamp) {
        if std::mem::take(&mut self.routes_are_new) {
            for shard in self.shards.values_mut() {
                shard.routes_changed(now, Arc::clone(&self.routes));
            }
        }
    }

    /// Own shards that run are in the route map at once, and in the beacon as soon as it agrees.
    fn publish_routes(&mut self, now: Timestamp) {
        let running = self.shards.values().filter(|shard| shard.incarnation().ticks());
        let own: Vec<(ShardId, ShardEpoch)> = running.filter_map(|s| Some((s.id(), s.incarnation().epoch()?))).collect();
        for (shard, epoch) in own {
            let route = ShardRoute { shard, owner: self.node, nonce: self.nonce, epoch };
            if self.routes.of(shard) != Some(&route) {
                self.routes_are_new |= Arc::make_mut(&mut self.routes).learn(route);
            }
            let request = self.request_id();
            let key = self.keys.entry(shard).or_default();
            if key.epoch >= epoch || key.ask_again > now {
                continue;
            }
            (key.request, key.ask_again) = (request, now + ASK_AGAIN);
            let put = BeaconRequest::PutIf {
                request,
                key: ShardRoute::key(shard),
                expected: key.revision,
                value: route.to_stored(),
                leased_to: Some(self.node),
            };
            self.send(Address::Beacon, Message::BeaconRequest(put));
        }
    }

    /// Shards that are no more have no owner in the beacon either.
    fn withdraw_routes(&mut self, now: Timestamp) {
        for shard in self.recuts.closed.clone() {
            let request = self.request_id();
            let key = self.keys.entry(shard).or_default();
            if key.revision == Revision::ZERO {
                self.recuts.closed.remove(&shard);
            } else if key.ask_again <= now {
                (key.request, key.ask_again) = (request, now + ASK_AGAIN);
                let delete = BeaconRequest::DeleteIf { request, key: ShardRoute::key(shard), expected: key.revision };
                self.send(Address::Beacon, Message::BeaconRequest(delete));
            }
        }
    }

    fn route_is_published(&mut self, request: RequestId, revision: Revision) {
        let Some((shard, key)) = self.keys.iter_mut().find(|(_, key)| key.request == request) else { return };
        key.revision = if self.recuts.closed.contains(shard) { Revision::ZERO } else { revision };
        key.epoch = self.routes.epoch(*shard);
    }

    // Entity ids.

    fn deal_ids(&mut self, now: Timestamp) {
        let ids = &mut self.ids;
        for shard in self.shards.values_mut().filter(|shard| shard.wants_ids()) {
            if ids.left < SHARD_IDS {
                break;
            }
            shard.refill_ids(EntityId(ids.next), SHARD_IDS);
            (ids.next, ids.left) = (ids.next + SHARD_IDS, ids.left - SHARD_IDS);
        }
        if ids.left < SHARD_IDS && ids.ask_again <= now && !self.shards.is_empty() {
            ids.ask_again = now + ASK_AGAIN;
            let request = self.request_id();
            self.send(Address::Data, Message::JournalRequest(JournalRequest::Ids { request }));
        }
    }
}

/// The shard that a message is for.
fn shard_of(message: &Message) -> Option<ShardId> {
    match message {
        Message::JournalReply(
            JournalReply::Appended { shard, .. }
            | JournalReply::Conflict { shard, .. }
            | JournalReply::Unavailable { shard, .. }
            | JournalReply::Image { shard, .. },
        ) => Some(*shard),
        Message::Control(
            Control::Assign { shard, .. } | Control::Migrate { shard, .. } | Control::CancelMigration { shard, .. },
        ) => Some(*shard),
        Message::Migration(message) => shard_of_migration(message),
        Message::Handover(message) => Some(message.lane.to),
        Message::Effect(EffectMessage::Batch { lane, .. } | EffectMessage::Ack { lane, .. }) => Some(lane.to),
        Message::LedgerReply(reply) => Some(reply.shard),
        Message::Feed(Feed::Follow { shard, .. }) => Some(*shard),
        Message::Feed(Feed::Frame(frame)) => frame.follower,
        Message::Feed(Feed::NotHere { follower, .. }) => *follower,
        Message::Session(Session::Attach { shard, .. } | Session::Detach { shard, .. } | Session::Inputs { shard, .. }) => {
            Some(*shard)
        }
        Message::Desk(
            Desk::Look { shard, .. }
            | Desk::Place { shard, .. }
            | Desk::Record { shard, .. }
            | Desk::TakeRecorded { shard, .. }
            | Desk::EndRecording { shard, .. }
            | Desk::Profile { shard, .. }
            | Desk::Pause { shard, .. },
        ) => Some(*shard),
        _ => None,
    }
}
