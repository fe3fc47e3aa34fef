//! Entities at rest and on their way: components to bytes, and the hash of everything.

use bevy_ecs::bundle::Bundle;
use bevy_ecs::component::Component;
use bevy_ecs::world::EntityRef;
use bytes::Bytes;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::Effect;
use pangaea_schemas::record::{ComponentBytes, Presence, Record, SessionState};
use pangaea_schemas::{AgentEpoch, EntityId, TypeId};

use super::fnv;
use super::kinds::ComponentKind;
use super::motion::{Position, Velocity};
use super::population::{Filed, Identity};
use super::senses::{IdPool, Now, mix};
use super::shard_world::ShardWorld;
use super::versions::{Carried, CarriedPart};

/// What the components of most entities take together, in bytes: they are written without growing.
const COMPONENTS_BYTES: usize = 64;

/// How much of an entity is in its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every component: for another shard or another scene.
    Whole,
    /// What lasts: for the journal.
    Lasting,
}

impl ShardWorld {
    /// The entity with its components, those included that only other builds know. `None`: it is not here.
    pub(crate) fn record_of(&self, id: EntityId, presence: Presence, extent: Extent) -> Option<Record> {
        let entity = self.world.get_entity(self.real(id)?).ok()?;
        let position: Position = *entity.get()?;
        let shard = self.bounds.shard;
        let cell = shard.nearest_cell(CellId::at(shard.space, position.into()));
        let mut components = self.components(&entity, |kind| extent == Extent::Whole || kind.persistent);
        let is_fleeting = |part: &ComponentBytes| {
            extent == Extent::Whole && self.kinds.with_layout(part.id).is_some_and(|(kind, _)| !kind.persistent)
        };
        let mut fleeting: Vec<TypeId> = components.iter().filter(|part| is_fleeting(part)).map(|part| part.id).collect();
        for part in self.carried(&entity) {
            match (part.lasts, extent) {
                (false, Extent::Lasting) => continue,
                (false, Extent::Whole) => fleeting.push(part.component.id),
                (true, Extent::Whole | Extent::Lasting) => {}
            }
            components.push(part.component.clone());
        }
        components.sort_unstable_by_key(|component| component.id);
        let (epoch, session) = (AgentEpoch::ZERO, SessionState::default());
        Some(Record { entity: id, epoch, presence, cell, position: position.into(), session, components, fleeting })
    }

    /// What the entity has that this build does not know. Another layout of a component that it does know is told only beside
    /// that component, if it is a later one: who takes the component away takes all of it away. An earlier one is told until the
    /// component is there.
    fn carried<'w>(&'w self, entity: &'w EntityRef<'w>) -> impl Iterator<Item = &'w CarriedPart> {
        let parts = entity.get::<Carried>().map_or(&[][..], |carried| &carried.0);
        let has = move |kind: &ComponentKind| (kind.encode)(entity, &mut Vec::new());
        parts.iter().filter(move |part| self.kinds.kin(part.component.id).is_none_or(|(kind, is_later)| has(kind) == is_later))
    }

    /// The entity's components that are wanted, in all their layouts, in order of registration. They share one allocation.
    pub(crate) fn components(&self, entity: &EntityRef, wanted: impl Fn(&ComponentKind) -> bool) -> Vec<ComponentBytes> {
        let mut bytes = Vec::with_capacity(COMPONENTS_BYTES);
        let mut ends = Vec::with_capacity(self.kinds.components.len());
        for kind in self.kinds.components.iter().filter(|kind| wanted(kind)) {
            let start = bytes.len();
            if !(kind.encode)(entity, &mut bytes) {
                continue;
            }
            ends.push((kind.id, bytes.len()));
            if !kind.formers.is_empty() {
                let own = bytes[start..].to_vec();
                kind.in_formers(&own, &mut |id, former| {
                    bytes.extend_from_slice(former);
                    ends.push((id, bytes.len()));
                });
            }
        }
        let bytes = Bytes::from(bytes);
        let mut start = 0;
        let component = |(id, end)| {
            let part = bytes.slice(start..end);
            start = end;
            ComponentBytes { id, bytes: part }
        };
        ends.into_iter().map(component).collect()
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
        let ids = self.real_ids().into_iter();
        self.hash_with(ids.map(|id| self.hash_entity(id)))
    }

    /// The same, with the entities' hashes at hand. They are summed, so their order does not matter.
    pub(crate) fn hash_with(&self, entities: impl Iterator<Item = u64>) -> u64 {
        let blocks: Vec<_> = self.world.resource::<IdPool>().blocks().into_iter().map(|block| (block.start, block.end)).collect();
        hash_of((self.world.resource::<Now>().seed, &self.pending, &blocks), entities)
    }

    pub(crate) fn hash_entity(&self, id: EntityId) -> u64 {
        self.record_of(id, Presence::Awake, Extent::Whole).map_or(0, |record| Self::hash_record(&record))
    }

    /// Of an entity with all its components, whoever owns it.
    pub(crate) fn hash_record(record: &Record) -> u64 {
        let position = u64::from(record.position.x.to_bits()) << 32 | u64::from(record.position.z.to_bits());
        let start = mix(record.entity.0 ^ mix(position));
        record.components.iter().fold(start, |hash, part| mix(hash ^ u64::from(part.id.0) ^ fnv(&part.bytes).rotate_left(7)))
    }
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
