//! A shard's world on its way to another process: copied in rounds while it ticks, the same to the last bit in the end.
//!
//! Enumerated here and in the hash ([`ShardWorld::state_hash`]), all that a tick depends on: every registered component of every
//! entity, exact positions, effects for the next tick, the seed, ids not used yet. Not copied: ghosts, which the new owner's
//! neighbours show it anew; mailboxes, answers and drafts, which are empty between two ticks.

use pangaea_schemas::EntityId;
use pangaea_schemas::message::{Effect, ShardRest};
use pangaea_schemas::record::{Presence, Record};

use super::encoded::{Encoded, Extent};
use super::ingest::Arrival;
use super::motion::Position;
use super::population::{Identity, Population};
use super::records::{hash_of, hash_parts, record_with};
use super::senses::{IdPool, Now};
use super::shard_world::ShardWorld;
use super::versions::Carried;

/// What of a world was sent already: entities in order, with the hash of what was sent.
#[derive(Clone, Debug, Default)]
pub struct Copied(Vec<(EntityId, u64)>);

/// What differs from what was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorldDelta {
    /// New or changed entities, whole: all registered components. In order of id; epochs and sessions are default.
    pub records: Vec<Record>,
    /// No longer here, in order.
    pub gone: Vec<EntityId>,
}

/// What is not an entity, and the hash of all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorldRest {
    /// Of all chance in the shard.
    pub seed: u64,
    /// Effects for the next tick, in order.
    pub pending: Vec<Effect>,
    /// Blocks of ids for entities to come: first, and the one behind the last.
    pub ids: Vec<(u64, u64)>,
    /// [`ShardWorld::state_hash`] of the whole.
    pub hash: u64,
}

impl ShardWorld {
    /// Whatever changed since the last call with the same `copied`, everything in the first. One pass over all entities.
    pub fn delta(&self, copied: &mut Copied) -> WorldDelta {
        let (mut delta, mut encoded) = (WorldDelta::default(), Encoded::default());
        let ids = self.real_ids();
        // In the first round everybody is sent, in later ones whoever walks: mostly all or hardly anybody.
        delta.records.reserve(ids.len());
        let mut before = std::mem::replace(&mut copied.0, Vec::with_capacity(ids.len())).into_iter().peekable();
        for id in ids {
            let Some(position) = self.encode(id, Extent::Whole, &mut encoded) else { continue };
            let hash = hash_parts(id, position, encoded.parts());
            while let Some((gone, _)) = before.next_if(|(sent, _)| *sent < id) {
                delta.gone.push(gone);
            }
            if before.next_if(|(sent, _)| *sent == id).is_none_or(|(_, sent)| sent != hash) {
                delta.records.push(record_with(self.head(id, Presence::Awake, position), &encoded));
            }
            copied.0.push((id, hash));
        }
        delta.gone.extend(before.map(|(gone, _)| gone));
        delta
    }

    /// What is not an entity; asked right after [`Self::delta`] with the same `copied`.
    pub fn rest(&self, copied: &Copied) -> WorldRest {
        let blocks = self.world.resource::<IdPool>().blocks();
        WorldRest {
            seed: self.world.resource::<Now>().seed,
            pending: self.pending.clone(),
            ids: blocks.into_iter().map(|block| (block.start, block.end)).collect(),
            hash: self.hash_with(copied.0.iter().map(|(_, hash)| *hash)),
        }
    }

    /// Takes over what changed in the world that this one becomes a copy of. Followers hear nothing of it.
    pub fn overwrite(&mut self, delta: &WorldDelta) {
        let mut encoded = Encoded::default();
        let anew: Vec<&Record> = delta.records.iter().filter(|record| !self.rewrite(record, &mut encoded)).collect();
        for id in delta.gone.iter().copied().chain(anew.iter().map(|record| record.entity)) {
            self.translated.remove(&id);
            if let Some(entity) = self.real(id) {
                self.world.despawn(entity);
            }
        }
        self.unfile_ceased(None);
        for record in anew {
            if self.arrive(record) == Arrival::Translated {
                let came = Self::hash_record(record);
                if self.hash_entity(record.entity, &mut encoded) != came {
                    self.translated.insert(record.entity, came);
                }
            }
        }
        self.file_newborns();
        self.settle_moved();
        self.drop_feed();
    }

    /// Gives an entity that was copied before what it has now, where it is: who walks differs in place and speed alone. `false`:
    /// it is new, or has other components than before, or some that this build writes otherwise; then it has to come anew.
    fn rewrite(&mut self, record: &Record, encoded: &mut Encoded) -> bool {
        if self.translated.contains_key(&record.entity) {
            return false;
        }
        let Some(entity) = self.real(record.entity).and_then(|entity| self.world.get_entity(entity).ok()) else { return false };
        encoded.take_all(self, &entity, Extent::Whole);
        let pairs = encoded.parts().zip(&record.components);
        let is_alike = encoded.parts().len() == record.components.len() && pairs.clone().all(|((id, _), now)| id == now.id);
        if !is_alike || entity.contains::<Carried>() {
            return false;
        }
        let id = entity.id();
        let Self { world, kinds, .. } = self;
        let mut entity = world.entity_mut(id);
        entity.insert(Position::from(record.position));
        let mut differing = pairs.filter(|((_, before), now)| *before != now.bytes).map(|(_, now)| now);
        differing.all(|part| {
            let kind = kinds.component(part.id).filter(|kind| kind.formers.is_empty());
            kind.is_some_and(|kind| (kind.insert)(&mut entity, &part.bytes).is_ok())
        })
    }

    /// Takes over what is not an entity. `false`: the copy differs from its original and must not run.
    pub fn complete(&mut self, rest: WorldRest) -> bool {
        self.world.resource_mut::<Now>().seed = rest.seed;
        self.pending = rest.pending;
        let mut pool = IdPool::default();
        for (first, end) in rest.ids {
            pool.refill(EntityId(first), end.saturating_sub(first));
        }
        self.world.insert_resource(pool);
        // Who came in another build's layouts is told otherwise here: that nobody else's differs is what can be said.
        let translated = std::mem::take(&mut self.translated);
        let mut encoded = Encoded::default();
        let hash = |id: EntityId| translated.get(&id).copied().unwrap_or_else(|| self.hash_entity(id, &mut encoded));
        self.hash_with(self.real_ids().into_iter().map(hash)) == rest.hash
    }

    /// The hash that the world will have with these entities and this rest.
    pub(crate) fn hash_expected(&self, rest: &ShardRest, entities: Vec<u64>) -> u64 {
        hash_of((rest.seed, &rest.pending, &rest.ids), entities.into_iter())
    }

    /// All entities that live here, in order of id.
    pub(crate) fn real_ids(&self) -> Vec<EntityId> {
        let Some(mut query) = self.world.try_query::<&Identity>() else { return Vec::new() };
        let mut ids: Vec<_> = query.iter(&self.world).map(Identity::id).collect();
        ids.sort_unstable();
        debug_assert_eq!(ids.len(), self.world.resource::<Population>().len());
        ids
    }
}
