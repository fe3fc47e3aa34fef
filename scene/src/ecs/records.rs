//! Entities at rest and on their way: components to bytes, and the hash of everything.

use bevy_ecs::bundle::Bundle;
use bevy_ecs::component::Component;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::Effect;
use pangaea_schemas::record::{Presence, Record, SessionState};
use pangaea_schemas::wire::flat::RecordHead;
use pangaea_schemas::{AgentEpoch, EntityId, TypeId};

use super::encoded::{Encoded, Extent};
use super::fnv;
use super::motion::{Position, Velocity};
use super::population::{Filed, Identity};
use super::senses::{IdPool, Now, mix};
use super::shard_world::ShardWorld;

impl ShardWorld {
    /// The entity with its components, those included that only other builds know. `None`: it is not here.
    pub(crate) fn record_of(&self, id: EntityId, presence: Presence, extent: Extent) -> Option<Record> {
        let mut encoded = Encoded::default();
        let position = self.encode(id, extent, &mut encoded)?;
        Some(record_with(self.head(id, presence, position), &encoded))
    }

    /// What is in a record of the entity, but for its head. `None`: it is not here.
    pub(crate) fn encode(&self, id: EntityId, extent: Extent, encoded: &mut Encoded) -> Option<Position> {
        let entity = self.world.get_entity(self.real(id)?).ok()?;
        encoded.take_all(self, &entity, extent);
        entity.get().copied()
    }

    /// The head of a record, whose epoch the shard knows.
    pub(crate) fn head(&self, entity: EntityId, presence: Presence, position: Position) -> RecordHead {
        let shard = self.bounds.shard;
        let cell = shard.nearest_cell(CellId::at(shard.space, position.into()));
        RecordHead { entity, epoch: AgentEpoch::ZERO, presence, cell, position: position.into() }
    }

    /// Make a real entity, outside of any system.
    pub(crate) fn spawn(&mut self, id: EntityId, position: Position, components: impl Bundle) {
        self.world.spawn((Identity::new(id), Filed::NEW, position, Velocity::default())).insert(components);
        self.file_newborns();
    }

    /// A real entity's component.
    pub(crate) fn read<T: Component + Clone>(&self, id: EntityId) -> Option<T> {
        self.world.get::<T>(self.real(id)?).cloned()
    }

    /// Give a real entity a component. `false`: it is not here.
    pub(crate) fn write<T: Component>(&mut self, id: EntityId, component: T) -> bool {
        let Some(entity) = self.real(id) else { return false };
        self.world.entity_mut(entity).insert(component);
        true
    }

    /// The world behind.
    #[cfg(test)]
    pub(crate) fn bevy(&mut self) -> &mut bevy_ecs::world::World {
        &mut self.world
    }

    /// Take a component from a real entity.
    #[cfg(test)]
    pub(crate) fn strip<T: Component>(&mut self, id: EntityId) {
        if let Some(entity) = self.real(id) {
            self.world.entity_mut(entity).remove::<T>();
        }
    }

    /// Leave no id to systems.
    #[cfg(test)]
    pub(crate) fn drain_ids(&mut self) {
        self.world.insert_resource(IdPool::default());
    }

    /// The entity goes: its record, and followers hear where to.
    pub(crate) fn remove(&mut self, id: EntityId, to: Option<CellId>, record: Option<Record>) -> Option<Record> {
        let record = record?;
        self.world.despawn(self.real(id)?);
        self.unfile_ceased(to);
        if let Some(to) = to {
            self.leave_ghost(&record, to);
        }
        Some(record)
    }

    /// See [`ShardWorld::state_hash`].
    pub(crate) fn hash_state(&self) -> u64 {
        let mut encoded = Encoded::default();
        self.hash_with(self.real_ids().into_iter().map(|id| self.hash_entity(id, &mut encoded)))
    }

    /// The same, with the entities' hashes at hand. They are summed, so their order does not matter.
    pub(crate) fn hash_with(&self, entities: impl Iterator<Item = u64>) -> u64 {
        let blocks: Vec<_> = self.world.resource::<IdPool>().blocks().into_iter().map(|block| (block.start, block.end)).collect();
        hash_of((self.world.resource::<Now>().seed, &self.pending, &blocks), entities)
    }

    pub(crate) fn hash_entity(&self, id: EntityId, encoded: &mut Encoded) -> u64 {
        let position = self.encode(id, Extent::Whole, encoded);
        position.map_or(0, |position| hash_parts(id, position, encoded.parts()))
    }

    /// Of an entity with all its components, whoever owns it.
    pub(crate) fn hash_record(record: &Record) -> u64 {
        let parts = record.components.iter().map(|part| (part.id, &part.bytes[..]));
        hash_parts(record.entity, record.position.into(), parts)
    }
}

/// A record from its pieces; the session is default.
pub(crate) fn record_with(head: RecordHead, encoded: &Encoded) -> Record {
    let RecordHead { entity, epoch, presence, cell, position } = head;
    let (session, components, fleeting) = (SessionState::default(), encoded.to_components(), encoded.fleeting());
    Record { entity, epoch, presence, cell, position, session, components, fleeting }
}

/// Of an entity with these components.
pub(crate) fn hash_parts<'p>(id: EntityId, position: Position, parts: impl Iterator<Item = (TypeId, &'p [u8])>) -> u64 {
    let position = u64::from(position.x.to_bits()) << 32 | u64::from(position.z.to_bits());
    let start = mix(id.0 ^ mix(position));
    parts.fold(start, |hash, (id, bytes)| mix(hash ^ u64::from(id.0) ^ fnv(bytes).rotate_left(7)))
}

/// Of a world with this seed, these effects for the next tick, these blocks of ids, and entities of these hashes.
pub(crate) fn hash_of((seed, pending, ids): (u64, &[Effect], &[(u64, u64)]), entities: impl Iterator<Item = u64>) -> u64 {
    let mut hash = entities.fold(mix(seed), u64::wrapping_add);
    for effect in pending {
        let address = mix(effect.to.0) ^ mix(effect.from.0).rotate_left(1) ^ u64::from(effect.id.0);
        hash = mix(hash ^ address ^ fnv(&effect.bytes));
    }
    for (first, end) in ids {
        hash = mix(hash ^ first) ^ mix(*end);
    }
    hash
}
