//! Components of many entities as one piece of memory, and back. Typed once per component and script, so that a row costs a copy.

use bevy_ecs::component::{Component, ComponentId, Mutable};
use bevy_ecs::entity::Entity;
use bevy_ecs::query::QueryState;
use bevy_ecs::world::World;

use crate::ecs::Plain;

/// One component type of one world.
pub(crate) trait Column: Send + Sync {
    /// Its id in the world.
    fn component(&self) -> ComponentId;

    /// Appends the components of these entities, all of which have one.
    fn pack(&mut self, world: &World, entities: &[Entity], out: &mut Vec<u8>);

    /// Writes back what differs from `before`; only that counts as changed.
    fn unpack(&mut self, world: &mut World, entities: &[Entity], before: &[u8], after: &[u8]);
}

pub(crate) struct PlainColumn<T: Plain + Component<Mutability = Mutable>> {
    component: ComponentId,
    read: QueryState<&'static T>,
    write: QueryState<&'static mut T>,
}

impl<T: Plain + Component<Mutability = Mutable>> PlainColumn<T> {
    pub(crate) fn new(world: &mut World) -> Self {
        Self { component: world.register_component::<T>(), read: world.query(), write: world.query() }
    }
}

impl<T: Plain + Component<Mutability = Mutable>> Column for PlainColumn<T> {
    fn component(&self) -> ComponentId {
        self.component
    }

    fn pack(&mut self, world: &World, entities: &[Entity], out: &mut Vec<u8>) {
        self.read.update_archetypes(world);
        let query = self.read.query_manual(world);
        for entity in entities {
            match query.get(*entity) {
                Ok(value) => out.extend_from_slice(bytemuck::bytes_of(value)),
                // The batch holds only entities that have it.
                Err(_) => out.extend_from_slice(bytemuck::bytes_of(&T::zeroed())),
            }
        }
    }

    fn unpack(&mut self, world: &mut World, entities: &[Entity], before: &[u8], after: &[u8]) {
        let size = size_of::<T>();
        if before == after || size == 0 {
            return;
        }
        let mut query = self.write.query_mut(world);
        for (row, entity) in entities.iter().enumerate() {
            let at = row * size..(row + 1) * size;
            let (Some(old), Some(new)) = (before.get(at.clone()), after.get(at)) else { return };
            if old != new
                && let Ok(mut value) = query.get_mut(*entity)
            {
                *value = bytemuck::pod_read_unaligned(new);
            }
        }
    }
}
