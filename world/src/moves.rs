//! Shards on their way from scene to scene by somebody's order: checked, passed on until the source reports, remembered for
//! admins.
//!
//! The world only asks. The source and the target do it between themselves (see `scene::migration`), so a world server that dies
//! meanwhile changes nothing, and its successor hears of the new owner from the scenes' reports as always.

use std::collections::BTreeMap;
use std::time::Duration;

use bevy_ecs::prelude::{IntoScheduleConfigs, Query, Res, ResMut, Resource, World as Ecs};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, Control, Message, MigrationNews, MigrationStep, ShardPhase};
use pangaea_schemas::{MigrationId, NodeId, Role, ShardEpoch, Timestamp};

use crate::custody::{Custody, CustodyEvent, Holder};
use crate::inbox::Inbox;
use crate::nodes::{Node, Nodes};
use crate::shards::{Shard, ShardMap};
use crate::status::{Events, Happening};
use crate::world::{Now, Outbox, Phase, Repeat, World};

/// An order is repeated this often until the source reports.
const ORDER_AGAIN: Duration = Duration::from_millis(500);
/// A source that does not report in this time does not move the shard any more.
const REPORT_LIMIT: Duration = Duration::from_secs(30);
/// Moves that are remembered, the latest.
pub const MOVES_KEPT_MAX: usize = 256;

/// One shard's way from scene to scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Where from.
    pub from: NodeId,
    /// As last reported.
    pub news: MigrationNews,
    /// When it was ordered.
    pub ordered: Timestamp,
    /// When its source last spoke of it.
    pub heard: Timestamp,
}

impl Move {
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

    fn of(&self, shard: ShardId) -> Option<&Move> {
        self.iter().find(|shift| shift.news.shard == shard && !shift.is_over())
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
}

pub(crate) fn plugin(world: &mut World, started: Timestamp) {
    // Numbers of an earlier world server are lower.
    world.insert_resource(Moves { last: started.0, by_id: BTreeMap::new() });
    world.add_systems(Phase::Moves, (hear, repeat).chain());
}

/// Orders a move; its number.
pub(crate) fn order(ecs: &mut Ecs, shard: ShardId, to: NodeId, is_trial: bool) -> Result<MigrationId, MoveError> {
    let entity = ecs.resource::<ShardMap>().entity(shard).ok_or(MoveError::NoShard(shard))?;
    let known = ecs.get::<Shard>(entity).ok_or(MoveError::NoShard(shard))?;
    let Custody::Owned { holder } = known.custody else { return Err(MoveError::NotRunning(shard)) };
    let (epoch, entities) = (known.epoch, known.report.as_ref().map_or(0, |report| report.entities));
    let target = ecs.resource::<Nodes>().entity(to).filter(|_| to.role == Role::Scene).ok_or(MoveError::NoScene(to))?;
    let draining = ecs.get::<Node>(target).is_none_or(|node| !node.is_open());
    let busy = ecs.resource::<Moves>().of(shard).and_then(|shift| shift.news.to);
    match busy {
        Some(other) => return Err(MoveError::Busy(shard, other)),
        None if draining => return Err(MoveError::Draining(to)),
        None if holder.node == to => return Err(MoveError::AlreadyThere(shard, to)),
        None => {}
    }
    let now = ecs.resource::<Now>().at;
    let mut moves = ecs.resource_mut::<Moves>();
    let id = MigrationId(moves.last + 1);
    if is_trial {
        return Ok(id);
    }
    moves.last = id.0;
    let news = news(id, shard, epoch, to, entities);
    let shift = Move { from: holder.node, news, ordered: now, heard: now };
    moves.by_id.insert(id, (shift, Repeat::every(ORDER_AGAIN)));
    let over = moves.by_id.iter().find(|(_, (shift, _))| shift.is_over()).map(|(id, _)| *id);
    if let Some(over) = over.filter(|_| moves.by_id.len() > MOVES_KEPT_MAX) {
        moves.by_id.remove(&over);
    }
    tracing::info!(%shard, from = %holder.node, %to, id = id.0, "shard move ordered");
    ecs.resource_mut::<Events>().push(now, Happening::MoveOrdered { shard, from: holder.node, to });
    Ok(id)
}

/// Asks the source to keep the shard after all. `false`: no such move is under way.
pub(crate) fn cancel(ecs: &mut Ecs, id: MigrationId) -> bool {
    let moves = ecs.resource::<Moves>();
    let Some((shift, _)) = moves.by_id.get(&id).filter(|(shift, _)| !shift.is_over()) else { return false };
    let (from, shard) = (shift.from, shift.news.shard);
    let cancel = Message::Control(Control::CancelMigration { id, shard });
    ecs.resource_mut::<Outbox>().send(Address::Node(from), cancel);
    true
}

fn news(id: MigrationId, shard: ShardId, epoch: ShardEpoch, to: NodeId, entities: u32) -> MigrationNews {
    MigrationNews {
        id,
        shard,
        epoch,
        to: Some(to),
        step: MigrationStep::Preparing,
        rounds: 0,
        entities,
        bytes: 0,
        blackout_us: 0,
        missed_ticks: 0,
        reason: String::new(),
    }
}

/// What the sources say. A target that owns the shard is its owner at once, before it reports itself.
fn hear(
    now: Res<Now>,
    mut inbox: ResMut<Inbox>,
    mut moves: ResMut<Moves>,
    mut events: ResMut<Events>,
    nodes: Res<Nodes>,
    map: Res<ShardMap>,
    mut shards: Query<&mut Shard>,
) {
    for (from, news) in inbox.migrations.drain(..) {
        if let Some(mut shard) = map.entity(news.shard).and_then(|entity| shards.get_mut(entity).ok())
            && matches!(news.step, MigrationStep::Given | MigrationStep::Done)
            && news.epoch > shard.epoch
            && let Some((node, nonce)) = news.to.and_then(|to| Some((to, nodes.nonce(to)?)))
        {
            shard.epoch = news.epoch;
            let by = Holder { node, nonce };
            shard.step(now.at, CustodyEvent::Reported { by, phase: ShardPhase::Running }, &mut events);
        }
        let known = moves.by_id.get_mut(&news.id).filter(|(shift, _)| shift.from == from && !shift.is_over());
        let Some((shift, _)) = known else { continue };
        (shift.news, shift.heard) = (news, now.at);
        tell_end(now.at, shift, &mut events);
    }
}

fn tell_end(now: Timestamp, shift: &Move, events: &mut Events) {
    let (shard, to) = (shift.news.shard, shift.news.to.unwrap_or(shift.from));
    match shift.news.step {
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
            tell_end(now.at, shift, &mut events);
        } else if let Some(to) = shift.news.to.filter(|_| repeat.due(now.at)) {
            let order = Control::Migrate { id: *id, shard: shift.news.shard, to };
            outbox.send(Address::Node(shift.from), Message::Control(order));
        }
    }
}
