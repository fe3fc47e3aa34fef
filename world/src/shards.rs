//! The shard map and its manager: who owns what, and who should claim what nobody owns.
//!
//! The truth is in the journals; the world asks for it once at its start, then follows the scenes' reports. An order is repeated
//! until reported, one at a time per shard, and never given while the last owner may be alive: see [`crate::custody`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bevy_ecs::prelude::{Commands, Component, Entity, IntoScheduleConfigs, Mut, Query, Res, ResMut, Resource};
use bevy_ecs::system::SystemParam;
use pangaea_schemas::geometry::{CellId, SHARD_LEVEL_MAX, ShardId};
use pangaea_schemas::message::{
    Address, Control, JournalReply, JournalRequest, Location, Message, SceneReport, ShardPhase, ShardReport,
};
use pangaea_schemas::{JournalIndex, NodeId, Nonce, RequestId, Role, ShardEpoch, Tick, Timestamp};

use crate::balance::{self, Policy, Usage};
use crate::custody::{Custody, CustodyEvent, Holder};
use crate::inbox::Inbox;
use crate::moves::Moves;
use crate::nodes::{Node, Nodes};
use crate::parked::{self, Parked};
use crate::passages::{Passage, Passages};
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
    /// When somebody else last told who has it: reports of its holder that are not younger may not know of it yet.
    pub(crate) told: Tick,
}

/// The shards by name: the leaves of the spaces' quadtrees. They are those of the first cut, until the journals or a scene tell
/// that the map was cut anew. No two of them overlap: of two that do, the one with the lower epoch is no more.
#[derive(Resource, Debug, Default)]
pub struct ShardMap {
    by_id: BTreeMap<ShardId, Entity>,
}

impl ShardMap {
    /// The shard's entity.
    pub fn entity(&self, shard: ShardId) -> Option<Entity> {
        self.by_id.get(&shard).copied()
    }

    /// The shard that holds a cell.
    pub fn holding(&self, cell: CellId) -> Option<ShardId> {
        (0..=SHARD_LEVEL_MAX).map(|level| ShardId::holding(cell, level)).find(|shard| self.by_id.contains_key(shard))
    }

    /// Shards that lie in this one, or in which it lies, itself left out.
    fn overlapping(&self, shard: ShardId) -> Vec<(ShardId, Entity)> {
        let above = std::iter::successors(shard.parent(), |above| above.parent());
        let above = above.filter_map(|above| Some((above, self.entity(above)?)));
        let last = shard.key_range().1;
        let inside = self.by_id.range(ShardId::holding(shard.first_cell(), 0)..);
        let inside = inside.take_while(|(known, _)| known.first_cell().key() <= last).map(|(known, entity)| (*known, *entity));
        above.chain(inside.filter(|(known, _)| known.level < shard.level)).collect()
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

/// Puts a shard on the map, if it is not there, in the place of all that it overlaps. `None`: what it overlaps is not older.
pub(crate) fn open(
    (commands, map): (&mut Commands, &mut ShardMap),
    epoch_of: impl Fn(Entity) -> ShardEpoch,
    mut shard: Shard,
    (now, event, events): (Timestamp, CustodyEvent, &mut Events),
) -> Option<()> {
    if map.by_id.contains_key(&shard.id) {
        return None;
    }
    let closed = map.overlapping(shard.id);
    if closed.iter().any(|(_, entity)| epoch_of(*entity) >= shard.epoch) {
        return None;
    }
    for (id, entity) in closed {
        tracing::info!(shard = %id, by = %shard.id, "the map is cut anew");
        map.by_id.remove(&id);
        commands.entity(entity).despawn();
    }
    shard.step(now, event, events);
    map.by_id.insert(shard.id, commands.spawn(shard).id());
    Some(())
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
    /// One that nobody has told anything of.
    pub(crate) fn new(id: ShardId, epoch: ShardEpoch) -> Self {
        let (custody, usage, restarts) = (Custody::Unknown, Usage::default(), Restarts::default());
        Self { id, epoch, custody, report: None, usage, restarts, told: Tick(0) }
    }

    /// Whether an admin has stopped it, as last reported.
    pub(crate) fn is_paused(&self) -> bool {
        self.report.as_ref().is_some_and(|report| report.paused_ms > 0)
    }

    /// Entities in it, as last reported.
    pub(crate) fn entities(&self) -> u32 {
        self.report.as_ref().map_or(0, |report| report.entities)
    }

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
    world.insert_resource(Parked::default());
    world.insert_resource(Passages::default());
    let repeat = Repeat::every(OWNERS_AGAIN);
    world.insert_resource(Owners { wanted: true, request: RequestId(0), ask: repeat, spread: false });
    world.add_systems(Phase::Shards, (expect, remember, part, hear, parked::tell, elapse, ask, order).chain());
}

/// Makes an entity of each shard of the cluster's first cut.
fn expect(mut commands: Commands, mut map: ResMut<ShardMap>, setting: Res<Setting>) {
    if !map.by_id.is_empty() {
        return;
    }
    for id in setting.config.spec.spaces.iter().flat_map(|space| space.first_shards()) {
        map.by_id.insert(id, commands.spawn(Shard::new(id, ShardEpoch::ZERO)).id());
    }
}

/// The journals' answer.
#[expect(clippy::too_many_arguments, reason = "systems name all that they touch")]
fn remember(
    mut commands: Commands,
    mut map: ResMut<ShardMap>,
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
    for (id, node, nonce, epoch, _) in entries.values() {
        let owner = Some(Holder { node: *node, nonce: *nonce });
        let event = CustodyEvent::Recorded { owner, lease_over };
        let epoch_of = |entity| shards.get(entity).map_or(ShardEpoch::ZERO, |shard| shard.epoch);
        open((&mut commands, &mut map), epoch_of, Shard::new(*id, *epoch), (now.at, event, &mut events));
    }
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
fn part(
    now: Res<Now>,
    nodes: Res<Nodes>,
    moves: Res<Moves>,
    mut owners: ResMut<Owners>,
    mut events: ResMut<Events>,
    mut shards: Query<&mut Shard>,
) {
    if nodes.left.is_empty() && nodes.joined.is_empty() {
        return;
    }
    for mut shard in &mut shards {
        let Some(holder) = shard.custody.holder() else { continue };
        let left = nodes.left.contains(&(holder.node, holder.nonce));
        let replaced = nodes.joined.iter().any(|(node, nonce)| *node == holder.node && *nonce != holder.nonce);
        if left || replaced {
            // A claim or a move that was under way may have raised the epoch before its scene went.
            let claims = matches!(shard.custody, Custody::Ordered { .. } | Custody::Starting { .. });
            owners.wanted |= claims || moves.of(shard.id).is_some();
            shard.step(now.at, CustodyEvent::Left { by: holder }, &mut events);
        }
    }
}

/// The scenes' reports. Only registered scenes are heard: a report without a lease may come from the dead.
#[expect(clippy::too_many_arguments, reason = "systems name all that they touch")]
fn hear(
    now: Res<Now>,
    mut inbox: ResMut<Inbox>,
    nodes: Res<Nodes>,
    mut owners: ResMut<Owners>,
    mut events: ResMut<Events>,
    moves: Res<Moves>,
    mut parked: ResMut<Parked>,
    mut passages: ResMut<Passages>,
    mut shards: Shards,
    mut scenes: Query<&mut Node>,
) {
    if inbox.scenes.is_empty() {
        return;
    }
    // The scenes that these were given to may not have heard of it.
    for id in moves.given() {
        if let Some(mut shard) = shards.shard(id) {
            shard.told = now.tick;
        }
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
            scene.faults.clone_from(&report.faults);
        }
        let listed: BTreeSet<ShardId> = report.shards.iter().map(|shard| shard.shard).collect();
        for id in held.get(&by).into_iter().flatten().filter(|id| !listed.contains(*id)) {
            let Some(mut shard) = shards.shard(*id).filter(|shard| shard.told < report.tick) else { continue };
            owners.wanted |= shard.step(now.at, CustodyEvent::Unlisted { by }, &mut events);
        }
        note_passages(by, &report, &mut shards, &mut passages);
        hear_scene((now.at, by, report), &mut shards, &mut owners, &mut parked, &mut events);
    }
}

fn note_passages(by: Holder, report: &SceneReport, shards: &mut Shards, passages: &mut Passages) {
    for report in &report.shards {
        for (entity, to, left, took_us) in report.passages.iter().copied() {
            let to_scene = shards.shard(to).and_then(|shard| shard.custody.holder()).map(|holder| holder.node);
            let took = Duration::from_micros(took_us.into());
            passages.note(Passage { entity, from: report.shard, from_scene: by.node, to, to_scene, left, took });
        }
    }
}

fn hear_scene(
    (now, by, report): (Timestamp, Holder, SceneReport),
    shards: &mut Shards,
    owners: &mut Owners,
    parked: &mut Parked,
    events: &mut Events,
) {
    let tick = report.tick;
    for report in report.shards {
        let Some(mut shard) = shards.shard(report.shard) else {
            // The journals know which shards there are.
            let runs = matches!(report.phase, ShardPhase::Running | ShardPhase::Unconfirmed);
            owners.wanted |= runs;
            tracing::debug!(shard = %report.shard, scene = %by.node, runs, "a report about a shard that is not on the map");
            continue;
        };
        let runs = matches!(report.phase, ShardPhase::Running | ShardPhase::Unconfirmed);
        let known_owner = matches!(shard.custody, Custody::Owned { holder } if holder != by);
        // Of two who say that they run it, the higher epoch is right.
        if runs && (report.epoch < shard.epoch || (report.epoch == shard.epoch && known_owner)) {
            continue;
        }
        // Nor does an earlier stay there say anything about this one.
        if !runs && shard.told >= tick && shard.custody.holder() == Some(by) {
            continue;
        }
        if runs {
            shard.epoch = report.epoch;
        }
        owners.wanted |= shard.step(now, CustodyEvent::Reported { by, phase: report.phase }, events);
        for (agent, to) in report.recent.iter().filter(|_| runs) {
            events.push(now, Happening::Handover { agent: *agent, from: shard.id, to: *to });
        }
        if shard.custody.holder() == Some(by) {
            let (was, is) = (shard.is_paused(), report.paused_ms > 0);
            if was != is {
                events.push(now, if is { Happening::Paused { shard: shard.id } } else { Happening::Resumed { shard: shard.id } });
            }
            // What it uses while nobody moves says nothing.
            if runs && !is {
                shard.usage.observe(now, &report);
            }
            if runs {
                parked.hear(now, &report, events);
            }
            shard.report = Some(report);
        }
    }
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
