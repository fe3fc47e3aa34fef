//! Shards on their way from scene to scene, or cut anew where they are, by somebody's order: checked, passed on until the source
//! reports, remembered for admins.
//!
//! The world only asks. The source and the target do it between themselves (see `scene::migration`), so a world server that dies
//! meanwhile changes nothing, and its successor hears of the new owner from the scenes' reports as always. Only a merge of parts
//! that lie apart is more than one order: see [`gather`].

mod gather;

use std::collections::BTreeMap;
use std::time::Duration;

use bevy_ecs::prelude::{Commands, IntoScheduleConfigs, Query, Res, ResMut, Resource, World as Ecs};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, Control, Message, MigrationNews, MigrationStep, ShardPhase};
use pangaea_schemas::{MigrationId, NodeId, Role, ShardEpoch, Timestamp};

use crate::custody::{Custody, CustodyEvent, Holder};
use crate::inbox::Inbox;
use crate::nodes::Nodes;
use crate::shards::{self, Shard, ShardMap};
use crate::status::{Events, Happening};
use crate::world::{Now, Outbox, Phase, Repeat, World};

pub use gather::{Gathering, meeting_place};

/// An order is repeated this often until the source reports.
const ORDER_AGAIN: Duration = Duration::from_millis(500);
/// A source that does not report in this time does not move the shard any more.
const REPORT_LIMIT: Duration = Duration::from_secs(30);
/// Moves that are remembered, the latest.
pub const MOVES_KEPT_MAX: usize = 256;

/// What is done with a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveKind {
    /// It goes to another scene.
    Move,
    /// It becomes its four children.
    Split,
    /// Its four children become it.
    Merge,
}

impl MoveKind {
    /// As admins see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Split => "split",
            Self::Merge => "merge",
        }
    }
}

/// One shard's way from scene to scene, or into another cut of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// What is done.
    pub kind: MoveKind,
    /// Where from.
    pub from: NodeId,
    /// As last reported.
    pub news: MigrationNews,
    /// When it was ordered.
    pub ordered: Timestamp,
    /// When its source last spoke of it.
    pub heard: Timestamp,
    /// To merge: its parts are still being brought to `from`, which has not been asked yet.
    pub gathering: Option<Gathering>,
}

impl Move {
    /// Whether it is about a shard.
    pub fn concerns(&self, shard: ShardId) -> bool {
        match self.kind {
            MoveKind::Move => self.news.shard == shard,
            MoveKind::Split | MoveKind::Merge => self.news.shard == shard || shard.parent() == Some(self.news.shard),
        }
    }

    /// Whether it has come to its end, good or bad.
    pub fn is_over(&self) -> bool {
        matches!(self.news.step, MigrationStep::Done | MigrationStep::Kept)
    }
}

/// All moves, by number.
#[derive(Resource, Debug, Default)]
pub struct Moves {
    last: u64,
    by_id: BTreeMap<MigrationId, (Move, Repeat)>,
}

impl Moves {
    /// All that are remembered, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Move> {
        self.by_id.values().map(|(shift, _)| shift)
    }

    /// Shards that their sources have given away, but whose targets those have not heard from.
    pub(crate) fn given(&self) -> impl Iterator<Item = ShardId> {
        let given = self.iter().filter(|shift| shift.kind == MoveKind::Move && shift.news.step == MigrationStep::Given);
        given.map(|shift| shift.news.shard)
    }

    /// The one that is under way.
    pub(crate) fn of(&self, shard: ShardId) -> Option<&Move> {
        self.iter().find(|shift| shift.concerns(shard) && !shift.is_over())
    }
}

/// Why a shard cannot be moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// It is not on the map.
    #[error("there is no shard {0}; see `pangaea shard list`")]
    NoShard(ShardId),
    /// Nobody runs it now.
    #[error("shard {0} has no running owner now; wait until `pangaea status` shows it running")]
    NotRunning(ShardId),
    /// The target is not a scene that is here.
    #[error("there is no scene {0}; see `pangaea scene list`")]
    NoScene(NodeId),
    /// The target takes nothing.
    #[error("{0} is draining; undrain it, or choose another scene")]
    Draining(NodeId),
    /// It is where it should go.
    #[error("shard {0} is at {1} already")]
    AlreadyThere(ShardId, NodeId),
    /// One move of it is not over.
    #[error("shard {0} is on its way to {1} already; wait, or abort that")]
    Busy(ShardId, NodeId),
    /// An admin has stopped it.
    #[error("shard {0} is paused; let it go on first, with `pangaea shard resume`")]
    Paused(ShardId),
    /// The map is being cut there.
    #[error("the map is being cut at shard {0}; wait, or abort that")]
    BeingCut(ShardId),
    /// It is one cell.
    #[error("shard {0} is a single cell and cannot be split")]
    SingleCell(ShardId),
    /// It is in one piece.
    #[error("shard {0} is in one piece already")]
    InOnePiece(ShardId),
    /// Not all its children are shards.
    #[error("shard {0} cannot be merged: its part {1} is no shard; merge or wait for that first")]
    NoPart(ShardId, ShardId),
    /// Its children are at several scenes, and none of them takes another.
    #[error("shard {0} cannot be merged: its parts are at several scenes, and all of those are draining; undrain one of them")]
    NoPlace(ShardId),
}

pub(crate) fn plugin(world: &mut World, started: Timestamp) {
    // Numbers of an earlier world server are lower.
    world.insert_resource(Moves { last: started.0, by_id: BTreeMap::new() });
    world.add_systems(Phase::Moved, hear);
    world.add_systems(Phase::Moves, (gather::gather, repeat).chain());
}

/// Orders a move; its number.
pub(crate) fn order(ecs: &mut Ecs, shard: ShardId, to: NodeId, is_trial: bool) -> Result<MigrationId, MoveError> {
    let entity = ecs.resource::<ShardMap>().entity(shard).ok_or(MoveError::NoShard(shard))?;
    let known = ecs.get::<Shard>(entity).ok_or(MoveError::NoShard(shard))?;
    let Custody::Owned { holder } = known.custody else { return Err(MoveError::NotRunning(shard)) };
    let (epoch, entities) = (known.epoch, known.entities());
    if to.role != Role::Scene || ecs.resource::<Nodes>().entity(to).is_none() {
        return Err(MoveError::NoScene(to));
    }
    let busy = ecs.resource::<Moves>().of(shard).map(|shift| shift.news.to);
    match busy {
        Some(Some(other)) => return Err(MoveError::Busy(shard, other)),
        Some(None) => return Err(MoveError::BeingCut(shard)),
        None if ecs.get::<Shard>(entity).is_some_and(Shard::is_paused) => return Err(MoveError::Paused(shard)),
        None if !gather::takes_shards(ecs, to) => return Err(MoveError::Draining(to)),
        None if holder.node == to => return Err(MoveError::AlreadyThere(shard, to)),
        None => {}
    }
    Ok(if is_trial { next_id(ecs) } else { begin(ecs, (shard, epoch, entities), holder.node, to) })
}

/// Orders a move that may be.
fn begin(ecs: &mut Ecs, (shard, epoch, entities): (ShardId, ShardEpoch, u32), from: NodeId, to: NodeId) -> MigrationId {
    let (id, now) = (next_id(ecs), ecs.resource::<Now>().at);
    let news = news(id, shard, epoch, Some(to), entities);
    remember(ecs, Move { kind: MoveKind::Move, from, news, ordered: now, heard: now, gathering: None });
    tracing::info!(%shard, %from, %to, id = id.0, "shard move ordered");
    ecs.resource_mut::<Events>().push(now, Happening::MoveOrdered { shard, from, to });
    id
}

fn next_id(ecs: &Ecs) -> MigrationId {
    MigrationId(ecs.resource::<Moves>().last + 1)
}

fn remember(ecs: &mut Ecs, shift: Move) {
    let mut moves = ecs.resource_mut::<Moves>();
    let id = shift.news.id;
    moves.last = id.0;
    moves.by_id.insert(id, (shift, Repeat::every(ORDER_AGAIN)));
    let over = moves.by_id.iter().find(|(_, (shift, _))| shift.is_over()).map(|(id, _)| *id);
    if let Some(over) = over.filter(|_| moves.by_id.len() > MOVES_KEPT_MAX) {
        moves.by_id.remove(&over);
    }
}

/// Orders that a shard becomes its children, or that they become it; the order's number. Children that lie apart are brought
/// together first.
pub(crate) fn order_recut(ecs: &mut Ecs, shard: ShardId, merges: bool, is_trial: bool) -> Result<MigrationId, MoveError> {
    let children = shard.children().ok_or(MoveError::SingleCell(shard))?;
    let closing = if merges { children.to_vec() } else { vec![shard] };
    let mut parts = Vec::with_capacity(closing.len());
    for part in closing {
        parts.push(part_of(ecs, shard, part, merges)?);
    }
    let from = gather::meeting_place(&parts, |scene| gather::takes_shards(ecs, scene)).ok_or(MoveError::NoPlace(shard))?;
    let (id, now) = (next_id(ecs), ecs.resource::<Now>().at);
    if !is_trial {
        let kind = if merges { MoveKind::Merge } else { MoveKind::Split };
        let news = news(id, shard, ShardEpoch::ZERO, None, parts.iter().map(|(_, entities)| entities).sum());
        let gathering = parts.iter().any(|(scene, _)| *scene != from).then(Gathering::default);
        remember(ecs, Move { kind, from, news, ordered: now, heard: now, gathering });
        tracing::info!(%shard, scene = %from, ?kind, id = id.0, "a new cut of the map ordered");
    }
    Ok(id)
}

/// Who has a shard that is to be closed, and its entities.
fn part_of(ecs: &Ecs, shard: ShardId, part: ShardId, merges: bool) -> Result<(NodeId, u32), MoveError> {
    let missing = match merges {
        true if ecs.resource::<ShardMap>().entity(shard).is_some() => MoveError::InOnePiece(shard),
        true => MoveError::NoPart(shard, part),
        false => MoveError::NoShard(shard),
    };
    let known = ecs.resource::<ShardMap>().entity(part).and_then(|entity| ecs.get::<Shard>(entity)).ok_or(missing)?;
    let Custody::Owned { holder } = known.custody else { return Err(MoveError::NotRunning(part)) };
    match ecs.resource::<Moves>().of(part).map(|shift| shift.news.to) {
        Some(Some(to)) => Err(MoveError::Busy(part, to)),
        Some(None) => Err(MoveError::BeingCut(part)),
        None if known.is_paused() => Err(MoveError::Paused(part)),
        None => Ok((holder.node, known.entities())),
    }
}

/// Asks the source to keep the shard after all. `false`: no such move is under way.
pub(crate) fn cancel(ecs: &mut Ecs, id: MigrationId) -> bool {
    let moves = ecs.resource::<Moves>();
    let Some((shift, _)) = moves.by_id.get(&id).filter(|(shift, _)| !shift.is_over()) else { return false };
    if let Some(gathering) = shift.gathering {
        gather::cancel(ecs, id, gathering);
        return true;
    }
    let (from, shard) = (shift.from, shift.news.shard);
    let cancel = Message::Control(Control::CancelMigration { id, shard });
    ecs.resource_mut::<Outbox>().send(Address::Node(from), cancel);
    true
}

fn news(id: MigrationId, shard: ShardId, epoch: ShardEpoch, to: Option<NodeId>, entities: u32) -> MigrationNews {
    MigrationNews {
        id,
        shard,
        epoch,
        to,
        step: MigrationStep::Preparing,
        rounds: 0,
        entities,
        bytes: 0,
        blackout_us: 0,
        missed_ticks: 0,
        reason: String::new(),
    }
}

/// What the sources say. A target that owns the shard is its owner at once, before it reports itself, and so is a scene of the
/// shards that it has cut.
#[expect(clippy::too_many_arguments, reason = "systems name all that they touch")]
fn hear(
    mut commands: Commands,
    now: Res<Now>,
    mut inbox: ResMut<Inbox>,
    mut moves: ResMut<Moves>,
    mut events: ResMut<Events>,
    nodes: Res<Nodes>,
    mut map: ResMut<ShardMap>,
    mut shards: Query<&mut Shard>,
) {
    for (from, news) in inbox.migrations.drain(..) {
        if let Some(mut shard) = map.entity(news.shard).and_then(|entity| shards.get_mut(entity).ok())
            && matches!(news.step, MigrationStep::Given | MigrationStep::Done)
            && news.epoch >= shard.epoch
            && let Some((node, nonce)) = news.to.and_then(|to| Some((to, nodes.nonce(to)?)))
        {
            shard.told = now.tick;
            if news.epoch > shard.epoch {
                shard.epoch = news.epoch;
                let by = Holder { node, nonce };
                shard.step(now.at, CustodyEvent::Reported { by, phase: ShardPhase::Running }, &mut events);
            }
        }
        let known = moves.by_id.get_mut(&news.id).filter(|(shift, _)| shift.from == from && !shift.is_over());
        let Some((shift, _)) = known else { continue };
        let is_cut = matches!(news.step, MigrationStep::Given | MigrationStep::Done) && shift.kind != MoveKind::Move;
        if let Some(nonce) = nodes.nonce(from).filter(|_| is_cut) {
            let opened = match shift.kind {
                MoveKind::Split => news.shard.children().map(Vec::from).unwrap_or_default(),
                MoveKind::Move | MoveKind::Merge => vec![news.shard],
            };
            for id in opened {
                let event = CustodyEvent::Reported { by: Holder { node: from, nonce }, phase: ShardPhase::Running };
                let epoch_of = |entity| shards.get(entity).map_or(ShardEpoch::ZERO, |shard| shard.epoch);
                // A report from before the cut says nothing of it.
                let shard = Shard { told: now.tick, ..Shard::new(id, news.epoch) };
                shards::open((&mut commands, &mut map), epoch_of, shard, (now.at, event, &mut events));
            }
        }
        (shift.news, shift.heard) = (news, now.at);
        tell_end(now.at, shift, &mut events);
    }
}

fn tell_end(now: Timestamp, shift: &Move, events: &mut Events) {
    let (shard, to) = (shift.news.shard, shift.news.to.unwrap_or(shift.from));
    match shift.news.step {
        MigrationStep::Done if shift.kind != MoveKind::Move => {
            let (merged, blackout_us) = (shift.kind == MoveKind::Merge, shift.news.blackout_us);
            events.push(now, Happening::Recut { shard, merged, at: shift.from, blackout_us });
        }
        MigrationStep::Kept if shift.kind != MoveKind::Move => {
            events.push(now, Happening::RecutFailed { shard, reason: shift.news.reason.clone() });
        }
        MigrationStep::Done => {
            let blackout_us = shift.news.blackout_us;
            events.push(now, Happening::Moved { shard, from: shift.from, to, blackout_us });
        }
        MigrationStep::Kept => {
            events.push(now, Happening::MoveFailed { shard, to, reason: shift.news.reason.clone() });
        }
        MigrationStep::Preparing
        | MigrationStep::Copying
        | MigrationStep::Freezing
        | MigrationStep::Frozen
        | MigrationStep::Committing
        | MigrationStep::Returning
        | MigrationStep::Given => {}
    }
}

/// Repeats orders: they are idempotent, and answered with how it goes. A source that is gone moves nothing any more.
fn repeat(now: Res<Now>, mut moves: ResMut<Moves>, nodes: Res<Nodes>, mut events: ResMut<Events>, mut outbox: ResMut<Outbox>) {
    for (id, (shift, repeat)) in &mut moves.by_id {
        if shift.is_over() {
            continue;
        }
        let gone = nodes.nonce(shift.from).is_none();
        if gone || now.at.since(shift.heard) >= REPORT_LIMIT {
            let given = shift.news.step == MigrationStep::Given;
            shift.news.step = if given { MigrationStep::Done } else { MigrationStep::Kept };
            shift.news.reason = format!("{} {}", shift.from, if gone { "is gone" } else { "does not report" });
            shift.gathering = None;
            tell_end(now.at, shift, &mut events);
        } else if shift.gathering.is_none() && repeat.due(now.at) {
            let (id, shard) = (*id, shift.news.shard);
            let order = match (shift.kind, shift.news.to) {
                (MoveKind::Move, Some(to)) => Control::Migrate { id, shard, to },
                (MoveKind::Move, None) => continue,
                (MoveKind::Split | MoveKind::Merge, _) => Control::Recut { id, shard, merge: shift.kind == MoveKind::Merge },
            };
            outbox.send(Address::Node(shift.from), Message::Control(order));
        }
    }
}
