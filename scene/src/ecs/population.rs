//! Who is here: the names of entities, and the index from our ids to bevy's, kept by component hooks so that it is right
//! however an entity comes or goes.

use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::lifecycle::HookContext;
use bevy_ecs::resource::Resource;
use bevy_ecs::world::DeferredWorld;
use pangaea_schemas::geometry::{CellId, ShardId, SpaceId};
use pangaea_schemas::{EntityId, Tick};
use rustc_hash::FxHashMap;
use std::ops::Deref;

use super::motion::Position;

/// A real entity's name. Only the engine gives names, so every entity that has one is in the index, the grid and the feed.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[component(immutable, on_add = enters, on_remove = ceases)]
pub struct Identity(EntityId);

impl Identity {
    pub(crate) fn new(id: EntityId) -> Self {
        Self(id)
    }

    /// The name.
    pub fn id(&self) -> EntityId {
        self.0
    }
}

/// In which cell of the shard a real entity is filed.
#[derive(Component, Clone, Copy, Debug)]
pub(crate) struct Filed {
    /// Index of the cell in the grid; [`Filed::NOWHERE`] until it is filed.
    pub(crate) cell: u32,
    /// That cell.
    pub(crate) at: CellId,
    /// Where it was last seen in the cell's list; a hint.
    pub(crate) row: u32,
    /// The feed in which it entered the cell: in that one it has no changes.
    pub(crate) since: u64,
    /// Whether it stands outside the shard.
    pub(crate) outside: bool,
}

impl Filed {
    pub(crate) const NOWHERE: u32 = u32::MAX;
    pub(crate) const NEW: Self =
        Self { cell: Self::NOWHERE, at: CellId { space: SpaceId(0), x: 0, z: 0 }, row: 0, since: 0, outside: false };

    /// Whether it is filed in the very cell of `position`, so that nothing changes when it stands there. Whoever stands outside
    /// the shard is filed in another cell than that in which it stands.
    pub(crate) fn holds(&self, position: Position) -> bool {
        self.cell != Self::NOWHERE && !self.outside && CellId::at(self.at.space, position.into()) == self.at
    }
}

/// Marks the copy of a neighbour's entity.
#[derive(Component, Clone, Copy, Debug)]
#[component(on_remove = ghost_ceases)]
pub(crate) struct Ghost {
    pub(crate) id: EntityId,
    /// Who showed it.
    pub(crate) shard: ShardId,
    /// In which cell of the neighbour it is filed.
    pub(crate) cell: CellId,
    /// Left its cell for another that we follow; forgotten at this tick unless that one shows it.
    pub(crate) until: Option<Tick>,
}

/// A neighbour's component, as last told. There is no way to write it.
#[derive(Component, Clone, Copy, Debug)]
pub struct Ghosted<T: Send + Sync + 'static>(T);

impl<T: Send + Sync + 'static> Ghosted<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T: Send + Sync + 'static> Deref for Ghosted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The index of a shard's entities. Nobody iterates the hash maps.
#[derive(Resource, Default)]
pub struct Population {
    real: FxHashMap<EntityId, Entity>,
    ghosts: FxHashMap<EntityId, Entity>,
    /// Came and not filed yet, in order.
    pub(crate) newborn: Vec<(EntityId, Entity)>,
    /// Went and not yet taken out of the grid, in order.
    pub(crate) ceased: Vec<(EntityId, Filed)>,
}

impl Population {
    pub(crate) fn real(&self, id: EntityId) -> Option<Entity> {
        self.real.get(&id).copied()
    }

    pub(crate) fn ghost(&self, id: EntityId) -> Option<Entity> {
        self.ghosts.get(&id).copied()
    }

    pub(crate) fn add_ghost(&mut self, id: EntityId, entity: Entity) {
        self.ghosts.insert(id, entity);
    }

    pub(crate) fn len(&self) -> usize {
        self.real.len()
    }

    pub(crate) fn ghosts_len(&self) -> usize {
        self.ghosts.len()
    }
}

fn enters(mut world: DeferredWorld, context: HookContext) {
    let Some(id) = world.get::<Identity>(context.entity).map(Identity::id) else { return };
    let mut population = world.resource_mut::<Population>();
    if population.real.contains_key(&id) {
        tracing::error!(%id, "an entity was made twice; the second is dropped");
        world.commands().entity(context.entity).despawn();
        return;
    }
    population.real.insert(id, context.entity);
    population.newborn.push((id, context.entity));
}

fn ceases(mut world: DeferredWorld, context: HookContext) {
    let Some(id) = world.get::<Identity>(context.entity).map(Identity::id) else { return };
    let filed = world.get::<Filed>(context.entity).copied().unwrap_or(Filed::NEW);
    let mut population = world.resource_mut::<Population>();
    if population.real(id) == Some(context.entity) {
        population.real.remove(&id);
        population.newborn.retain(|(newborn, _)| *newborn != id);
        population.ceased.push((id, filed));
    }
}

fn ghost_ceases(mut world: DeferredWorld, context: HookContext) {
    let Some(id) = world.get::<Ghost>(context.entity).map(|ghost| ghost.id) else { return };
    world.resource_mut::<Population>().ghosts.remove(&id);
}
