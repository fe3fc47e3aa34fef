//! After Simulate: one walk over positions files entities into their cells and finds who stands outside the shard.

use std::collections::{BTreeMap, BTreeSet};

use bevy_ecs::change_detection::{DetectChangesMut, Tick as ChangeTick};
use bevy_ecs::query::{Changed, Or, QueryState};
use bevy_ecs::world::World;
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::{CellId, ShardId, SpaceSpec};

use super::grid::Grid;
use super::ingest::Tied;
use super::motion::{Position, Velocity};
use super::population::{Filed, Identity, Population};
use super::shard_world::{CROSSING_HYSTERESIS_M, Crossing, ShardWorld};

type Moving = (&'static Identity, &'static mut Filed, &'static mut Position, &'static mut Velocity);

/// Finds who moved.
pub(crate) type MovedQuery = QueryState<Moving, Or<(Changed<Position>, Changed<Velocity>)>>;

/// Where entities may stand, and who stands outside the shard.
pub(crate) struct Bounds {
    pub(crate) shard: ShardId,
    pub(crate) space: SpaceSpec,
    pub(crate) outside: BTreeSet<EntityId>,
}

impl Bounds {
    /// The nearest position that may be; a position that is no number becomes `last`.
    fn admit(&self, position: Position, last: Position) -> Position {
        let real = if position.is_finite() { position } else { last };
        self.space.clamp(real.into()).into()
    }

    fn note(&mut self, id: EntityId, filed: &mut Filed, position: Position) {
        let outside = !self.shard.contains_position(position.into());
        if outside != filed.outside {
            filed.outside = outside;
            if outside {
                self.outside.insert(id)
            } else {
                self.outside.remove(&id)
            };
        }
    }
}

impl ShardWorld {
    /// File whoever came since the last time; returns them in order.
    pub(crate) fn file_newborns(&mut self) -> Vec<EntityId> {
        let newborn = std::mem::take(&mut self.world.resource_mut::<Population>().newborn);
        if newborn.is_empty() {
            return Vec::new();
        }
        for (id, _) in &newborn {
            self.forget_ghost(*id);
        }
        let mut grid = self.world.resource_mut::<Grid>().lift();
        for (id, entity) in &newborn {
            let mut parts = self.world.entity_mut(*entity);
            let velocity = parts.get::<Velocity>().copied().unwrap_or_default();
            let given = parts.get::<Position>().copied().unwrap_or_default();
            let middle = self.bounds.shard.first_cell().corner().into();
            let position = self.bounds.admit(given, middle);
            if position != given {
                parts.insert(position);
            }
            let mut filed = Filed::NEW;
            self.feed.enter(&mut grid, *entity, &mut filed, (*id, position, velocity));
            self.bounds.note(*id, &mut filed, position);
            parts.insert(filed);
        }
        *self.world.resource_mut::<Grid>() = grid;
        newborn.into_iter().map(|(id, _)| id).collect()
    }

    /// Take whoever ceased out of the grid; followers hear where to. Returns those that had been filed.
    pub(crate) fn unfile_ceased(&mut self, to: Option<CellId>) -> Vec<EntityId> {
        let ceased = std::mem::take(&mut self.world.resource_mut::<Population>().ceased);
        let mut gone = Vec::new();
        for (id, filed) in ceased {
            if filed.cell == Filed::NOWHERE {
                continue;
            }
            self.world.resource_mut::<Grid>().remove(filed.cell, id);
            self.bounds.outside.remove(&id);
            self.feed.leave(id, filed.cell, to);
            gone.push(id);
        }
        gone
    }

    /// Follow whoever moved.
    pub(crate) fn settle_moved(&mut self) {
        let Self { world, feed, bounds, moved, since, .. } = self;
        let mut grid = world.resource_mut::<Grid>().lift();
        in_changes_since(world, *since, |world| {
            for (identity, mut filed, mut position, mut velocity) in moved.iter_mut(world) {
                let id = identity.id();
                if !position.is_finite() || !bounds.space_holds(*position) || !velocity.is_finite() {
                    let last = grid.member_mut(filed.cell, id, &mut filed.row).map(|member| member.position);
                    *position = bounds.admit(*position, last.unwrap_or_default());
                    *velocity = Velocity::default();
                }
                let filed = filed.bypass_change_detection();
                let stays = filed.holds(*position);
                feed.step(&mut grid, filed, (id, *position, *velocity));
                if !stays {
                    bounds.note(id, filed, *position);
                }
            }
        });
        *world.resource_mut::<Grid>() = grid;
    }

    /// Who stands beyond the hysteresis, with those tied to it.
    pub(crate) fn crossings(&mut self) -> Vec<Crossing> {
        if self.bounds.outside.is_empty() {
            return Vec::new();
        }
        let ties = self.ties();
        let leaders = self.bounds.outside.iter().filter(|id| leader_of(&ties, **id) == **id);
        let crossing = |leader: &EntityId| {
            let position = self.position(*leader)?;
            let beyond = self.bounds.shard.distance_to(position) > CROSSING_HYSTERESIS_M;
            let target = CellId::at(self.bounds.space.space, position);
            let follows = |id: &EntityId| id != leader && leader_of(&ties, *id) == *leader;
            let group = ties.keys().copied().filter(follows).collect();
            beyond.then_some(Crossing { entity: *leader, target, group })
        };
        leaders.filter_map(crossing).collect()
    }

    /// Who is tied to whom, both here.
    fn ties(&self) -> BTreeMap<EntityId, EntityId> {
        let Some(mut query) = self.world.try_query::<(&Identity, &Tied)>() else { return BTreeMap::new() };
        let pairs = query.iter(&self.world).map(|(id, tie)| (id.id(), tie.to));
        pairs.filter(|(_, leader)| self.real(*leader).is_some()).collect()
    }
}

/// Where all ties lead in the end. A circle is led by the lowest id in it, so partners may be tied to each other.
fn leader_of(ties: &BTreeMap<EntityId, EntityId>, follower: EntityId) -> EntityId {
    let mut at = follower;
    for _ in 0..=ties.len() {
        match ties.get(&at) {
            Some(next) => at = *next,
            None => return at,
        }
    }
    let circle = std::iter::successors(ties.get(&at), |next| ties.get(*next)).take_while(|next| **next != at);
    circle.copied().fold(at, EntityId::min)
}

impl Bounds {
    fn space_holds(&self, position: Position) -> bool {
        let edge = self.space.edge_m();
        (0.0..edge).contains(&position.x) && (0.0..edge).contains(&position.z)
    }
}

/// Let queries see what changed after `since`.
pub(crate) fn in_changes_since<T>(world: &mut World, since: ChangeTick, look: impl FnOnce(&mut World) -> T) -> T {
    world.last_change_tick_scope(since, look)
}
