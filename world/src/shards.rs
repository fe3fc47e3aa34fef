//! The shard map and its manager: who owns what, and who should claim what nobody owns.
//!
//! The truth is in the journals; the world asks for it once at its start, then follows the scenes' reports. An order is repeated
//! until reported, one at a time per shard, and never given while the last owner may be alive: see [`crate::custody`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bevy_ecs::prelude::{Commands, Component, Entity, IntoScheduleConfigs, Mut, Query, Res, ResMut, Resource, World as Ecs};
use bevy_ecs::system::SystemParam;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{
    Address, Control, JournalReply, JournalRequest, Location, Message, SceneReport, ShardPhase, ShardReport,
};
use pangaea_schemas::{EntityId, JournalIndex, NodeId, Nonce, RequestId, Role, ShardEpoch, Timestamp};

use crate::balance::{self, Policy, Usage};
use crate::custody::{Custody, CustodyEvent, Holder};
use crate::inbox::Inbox;
use crate::moves::Moves;
use crate::nodes::{Node, Nodes};
use crate::restarts::Restarts;
use crate::status::{Events, Happening};
use crate::world::{Now, Outbox, Phase, Repeat, Setting, World};

/// The first shards wait this long for the expected number of scenes, from when the first scene is there.
pub const SPREAD_WAIT: Duration = Duration::from_secs(3);
/// Most new orders in one tick.
pub const ORDERS_PER_TICK_MAX: usize = 1_024;
/// Added to a lease before its end is believed: clocks and queues.
const LEASE_MARGIN: Duration = Duration::from_millis(500);
/// The journals are asked this often until they answer.
const OWNERS_AGAIN: Duration = Duration::from_millis(500);

/// A shard, as the world knows it.
#[derive(Component, Debug)]
pub struct Shard {
    /// Its name.
    pub id: ShardId,
    /// The highest epoch known.
    pub epoch: ShardEpoch,
    /// Who has it.
    pub custody: Custody,
    /// Its owner's last numbers.
    pub report: Option<ShardReport>,
    /// What it uses, smoothed over all reports, whoever its owners were.
    pub usage: Usage,
    pub(crate) restarts: Restarts,
}

/// The shards by name. Shards of the cluster's first cut; nothing splits or merges them yet.
#[derive(Resource, Debug, Default)]
pub struct ShardMap {
    by_id: BTreeMap<ShardId, Entity>,
}

impl ShardMap {
    /// The shard's entity.
    pub fn entity(&self, shard: ShardId) -> Option<Entity> {
        self.by_id.get(&shard).copied()
    }

    /// All shards, in order.
    pub fn entities(&self) -> impl Iterator<Item = Entity> {
        self.by_id.values().copied()
    }
}

/// The shards, by name and in order.
#[derive(SystemParam)]
struct Shards<'w, 's> {
    map: Res<'w, ShardMap>,
    query: Query<'w, 's, &'static mut Shard>,
}

impl Shards<'_, '_> {
    fn shard(&mut self, id: ShardId) -> Option<Mut<'_, Shard>> {
        self.query.get_mut(self.map.entity(id)?).ok()
    }

    fn in_order(&self) -> impl Iterator<Item = &Shard> {
        self.map.entities().filter_map(|entity| self.query.get(entity).ok())
    }

    fn ids(&self) -> Vec<ShardId> {
        self.map.by_id.keys().copied().collect()
    }
}

/// The question to the journals.
#[derive(Resource, Debug)]
struct Owners {
    wanted: bool,
    request: RequestId,
    ask: Repeat,
    /// The first shards may be given away.
    spread: bool,
}

impl Shard {
    /// Where its agents are found, while somebody runs it.
    pub fn location(&self) -> Option<Location> {
        match self.custody {
            Custody::Owned { holder } => Some(Location { shard: self.id, owner: holder.node, shard_epoch: self.epoch }),
            Custody::Unknown
            | Custody::Recalled { .. }
            | Custody::Vacant { .. }
            | Custody::Ordered { .. }
            | Custody::Starting { .. } => None,
        }
    }

    /// Moves to the state after `event`. True: the shard has lost its holder.
    pub(crate) fn step(&mut self, now: Timestamp, event: CustodyEvent, events: &mut Events) -> bool {
        let before = self.custody;
        self.custody = before.step(now, event);
        match self.custody {
            Custody::Owned { holder } if before != self.custody => {
                tracing::info!(shard = %self.id, owner = %holder.node, epoch = %self.epoch, "shard has an owner");
                events.push(now, Happening::ShardOwned { shard: self.id, owner: holder.node, epoch: self.epoch });
                false
            }
            Custody::Vacant { .. } => {
                let lost = before.holder();
                if let Some(Holder { node, .. }) = lost {
                    // A node's leaving is told by itself; an owner from before this world's start is no loss of today.
                    if matches!(event, CustodyEvent::Left { .. }) || matches!(before, Custody::Recalled { .. }) {
                        tracing::info!(shard = %self.id, was = %node, "shard waits for an owner");
                    } else {
                        tracing::warn!(shard = %self.id, was = %node, "shard is vacant");
                    }
                    events.push(now, Happening::ShardVacant { shard: self.id, was: node });
                    self.count_restart(now, before);
                }
                lost.is_some()
            }
            Custody::Unknown
            | Custody::Recalled { .. }
            | Custody::Ordered { .. }
            | Custody::Starting { .. }
            | Custody::Owned { .. } => false,
        }
    }
}

impl Shard {
    /// It was started, or ran, and has lost its owner: too often, and it is given to nobody for a while.
    fn count_restart(&mut self, now: Timestamp, before: Custody) {
        let started = matches!(before, Custody::Starting { .. } | Custody::Owned { .. });
        if let Some(not_before) = started.then(|| self.restarts.note(now)).flatten() {
            tracing::warn!(shard = %self.id, "quarantine: the shard has lost five owners in ten seconds");
            self.custody = Custody::Vacant { not_before, failures: 0, avoid: None };
        }
    }
}

pub(crate) fn plugin(world: &mut World) {
    world.insert_resource(ShardMap::default());
    let repeat = Repeat::every(OWNERS_AGAIN);
    world.insert_resource(Owners { wanted: true, request: RequestId(0), ask: repeat, spread: false });
    world.add_systems(Phase::Shards, (expect, remember, part, hear, elapse, ask, order).chain());
}

/// Makes an entity of each shard of the cluster's first cut.
fn expect(mut commands: Commands, mut map: ResMut<ShardMap>, setting: Res<Setting>) {
    if !map.by_id.is_empty() {
        return;
    }
    for id in setting.config.spec.spaces.iter().flat_map(|space| space.first_shards()) {
        let (custody, usage, restarts) = (Custody::Unknown, Usage::default(), Restarts::default());
        let shard = Shard { id, epoch: ShardEpoch::ZERO, custody, report: None, usage, restarts };
        map.by_id.insert(id, commands.spawn(shard).id());
    }
}

/// The journals' answer.
fn remember(
    now: Res<Now>,
    setting: Res<Setting>,
    mut inbox: ResMut<Inbox>,
    mut owners: ResMut<Owners>,
    mut events: ResMut<Events>,
    nodes: Res<Nodes>,
    mut shards: Query<&mut Shard>,
) {
    let answer =
        inbox.journal.iter().position(|r| matches!(r, JournalReply::OwnerList { request, .. } if *request == owners.request));
    let Some(JournalReply::OwnerList { owners: list, .. }) = answer.map(|at| inbox.journal.remove(at)) else { return };
    owners.wanted = false;
    let entries: BTreeMap<_, _> = list.into_iter().map(|entry| (entry.0, entry)).collect();
    // Whoever owned a shard when this world server started may have renewed its lease just before.
    let lease_over = setting.started + setting.config.spec.lease + LEASE_MARGIN;
    for mut shard in &mut shards {
        let recorded: Option<&(ShardId, NodeId, Nonce, ShardEpoch, JournalIndex)> = entries.get(&shard.id);
        let epoch = recorded.map_or(ShardEpoch::ZERO, |entry| entry.3);
        if epoch <= shard.epoch && shard.custody != Custody::Unknown {
            continue;
        }
        shard.epoch = shard.epoch.max(epoch);
        let owner = recorded.map(|(_, node, nonce, _, _)| Holder { node: *node, nonce: *nonce });
        shard.step(now.at, CustodyEvent::Recorded { owner, lease_over }, &mut events);
        if let Some(by) = owner.filter(|owner| nodes.nonce(owner.node).is_some_and(|nonce| nonce != owner.nonce)) {
            // Its successor is registered, so the owner is no more.
            shard.step(now.at, CustodyEvent::Left { by }, &mut events);
        }
    }
}

/// Scenes that left lose their shards. One that joins proves its earlier incarnations gone.
fn part(now: Res<Now>, nodes: Res<Nodes>, mut owners: ResMut<Owners>, mut events: ResMut<Events>, mut shards: Query<&mut Shard>) {
    if nodes.left.is_empty() && nodes.joined.is_empty() {
        return;
    }
    for mut shard in &mut shards {
        let Some(holder) = shard.custody.holder() else { continue };
        let left = nodes.left.contains(&(holder.node, holder.nonce));
        let replaced = nodes.joined.iter().any(|(node, nonce)| *node == holder.node && *nonce != holder.nonce);
        if left || replaced {
            // A claim that was under way may have raised the epoch before its scene went.
            owners.wanted |= matches!(shard.custody, Custody::Ordered { .. } | Custody::Starting { .. });
            shard.step(now.at, CustodyEvent::Left { by: holder }, &mut events);
        }
    }
}

/// The scenes' reports. Only registered scenes are heard: a report without a lease may come from the dead.
fn hear(
    now: Res<Now>,
    mut inbox: ResMut<Inbox>,
    nodes: Res<Nodes>,
    mut owners: ResMut<Owners>,
    mut events: ResMut<Events>,
    mut shards: Shards,
    mut scenes: Query<&mut Node>,
) {
    if inbox.scenes.is_empty() {
        return;
    }
    let mut held: BTreeMap<Holder, Vec<ShardId>> = BTreeMap::new();
    for shard in shards.in_order() {
        if let Some(holder) = shard.custody.holder() {
            held.entry(holder).or_default().push(shard.id);
        }
    }
    for (from, report) in inbox.scenes.drain(..) {
        let Some((nonce, entity)) = nodes.nonce(from).zip(nodes.entity(from)) else { continue };
        let by = Holder { node: from, nonce };
        if let Ok(mut scene) = scenes.get_mut(entity) {
            scene.tick = report.tick;
            scene.late_ticks = report.late_ticks;
            scene.rules = report.rules;
        }
        let listed: BTreeSet<ShardId> = report.shards.iter().map(|shard| shard.shard).collect();
        for id in held.get(&by).into_iter().flatten().filter(|id| !listed.contains(*id)) {
            let Some(mut shard) = shards.shard(*id) else { continue };
            owners.wanted |= shard.step(now.at, CustodyEvent::Unlisted { by }, &mut events);
        }
        hear_scene(now.at, by, report, &mut shards, &mut owners, &mut events);
    }
}

fn hear_scene(now: Timestamp, by: Holder, report: SceneReport, shards: &mut Shards, owners: &mut Owners, events: &mut Events) {
    for report in report.shards {
        let Some(mut shard) = shards.shard(report.shard) else {
            tracing::debug!(shard = %report.shard, scene = %by.node, "a report about a shard that is not on the map");
            continue;
        };
        let runs = matches!(report.phase, ShardPhase::Running | ShardPhase::Unconfirmed);
        let known_owner = matches!(shard.custody, Custody::Owned { holder } if holder != by);
        // Of two who say that they run it, the higher epoch is right.
        if runs && (report.epoch < shard.epoch || (report.epoch == shard.epoch && known_owner)) {
            continue;
        }
        if runs {
            shard.epoch = report.epoch;
        }
        owners.wanted |= shard.step(now, CustodyEvent::Reported { by, phase: report.phase }, events);
        for (agent, to) in report.recent.iter().filter(|_| runs) {
            events.push(now, Happening::Handover { agent: *agent, from: shard.id, to: *to });
        }
        if shard.custody.holder() == Some(by) && runs {
            tell_parked(now, &shard, &report, events);
        }
        if shard.custody.holder() == Some(by) {
            if runs {
                shard.usage.observe(now, &report);
            }
            shard.report = Some(report);
        }
    }
}

/// Who was parked, or released, since the last report.
fn tell_parked(now: Timestamp, shard: &Shard, report: &ShardReport, events: &mut Events) {
    let before = shard.report.as_ref().map_or(&[][..], |last| &last.parked[..]);
    for agent in report.parked.iter().copied().filter(|agent| !before.contains(agent)) {
        tracing::warn!(shard = %shard.id, %agent, "an agent is parked");
        events.push(now, Happening::Parked { agent, shard: shard.id });
    }
    for agent in before.iter().copied().filter(|agent| !report.parked.contains(agent)) {
        events.push(now, Happening::Released { agent, shard: shard.id });
    }
}

/// Tells the owner of the shard where the agent is parked to let it play again; which shard.
pub(crate) fn release(ecs: &mut Ecs, agent: EntityId) -> Option<ShardId> {
    let shards = ecs.resource::<ShardMap>().entities().filter_map(|entity| ecs.get::<Shard>(entity));
    let holds = |shard: &&Shard| shard.report.as_ref().is_some_and(|report| report.parked.contains(&agent));
    let (shard, owner) = shards.filter(holds).find_map(|shard| Some((shard.id, shard.custody.holder()?.node)))?;
    let release = Message::Control(Control::Release { agent });
    ecs.resource_mut::<Outbox>().send(Address::Node(owner), release);
    Some(shard)
}

/// Limits that time brings about. A claim that failed may have left a newer epoch in the journal, so that is read again.
fn elapse(
    now: Res<Now>,
    nodes: Res<Nodes>,
    mut owners: ResMut<Owners>,
    mut events: ResMut<Events>,
    mut shards: Query<&mut Shard>,
) {
    for mut shard in &mut shards {
        let holder = shard.custody.holder();
        let holder_registered = holder.is_some_and(|holder| nodes.nonce(holder.node) == Some(holder.nonce));
        owners.wanted |= shard.step(now.at, CustodyEvent::Elapsed { holder_registered }, &mut events);
    }
}

/// Asks the journals who owns what.
fn ask(now: Res<Now>, mut owners: ResMut<Owners>, mut outbox: ResMut<Outbox>) {
    if owners.wanted && owners.ask.due(now.at) {
        owners.request = outbox.request();
        let request = owners.request;
        outbox.send(Address::Data, Message::JournalRequest(JournalRequest::Owners { request }));
    }
}

/// Gives away what is vacant, and repeats orders.
fn order(
    now: Res<Now>,
    setting: Res<Setting>,
    nodes: Res<Nodes>,
    mut owners: ResMut<Owners>,
    mut outbox: ResMut<Outbox>,
    mut shards: Shards,
    scenes: Query<&Node>,
) {
    let open: BTreeMap<NodeId, &Node> = nodes
        .of_role(Role::Scene)
        .filter_map(|(id, entity)| scenes.get(entity).ok().map(|node| (id, node)))
        .filter(|(_, node)| node.is_open())
        .collect();
    let waited = open.values().any(|scene| now.at.since(scene.joined) >= SPREAD_WAIT);
    owners.spread |= waited || open.len() >= setting.config.scenes_expected;
    // Without the journals' answer an epoch may be unknown, and an order might take a shard from its owner.
    let ready = |shard: &Shard| matches!(shard.custody, Custody::Vacant { not_before, .. } if not_before <= now.at);
    let vacant = shards.query.iter().any(ready);
    if vacant && owners.spread && !owners.wanted {
        // Without the moves: where exactly a shard on its way counts makes little difference to those that nobody has.
        let inventory = balance::inventory(now.at, scenes.iter(), shards.in_order(), &Moves::default());
        for placement in balance::place(&Policy::default(), &inventory, ORDERS_PER_TICK_MAX) {
            let Some(nonce) = nodes.nonce(placement.scene) else { continue };
            let to = Holder { node: placement.scene, nonce };
            if let Some(mut shard) = shards.shard(placement.shard) {
                tracing::info!(shard = %placement.shard, scene = %placement.scene, above = %shard.epoch, "shard ordered");
                shard.custody = shard.custody.step(now.at, CustodyEvent::Order { to });
            }
        }
    }
    for id in shards.ids() {
        let Some(mut shard) = shards.shard(id) else { continue };
        if let Some(scene) = shard.custody.order_due(now.at) {
            let assign = Control::Assign { shard: shard.id, above: shard.epoch };
            outbox.send(Address::Node(scene), Message::Control(assign));
        }
    }
}
