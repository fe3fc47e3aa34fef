//! What systems know: the tick, what is near, others' components by id, chance; and how they make and end entities.

use std::collections::VecDeque;
use std::ops::{Deref, Range};
use std::sync::{Mutex, PoisonError};

use bevy_ecs::bundle::Bundle;
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::query::With;
use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Commands, Local, Query, Res, SystemName, SystemParam};
use fastrand::Rng;
use pangaea_schemas::geometry::{ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::{EntityId, Tick, TickRate};

use super::grid::{Grid, Near};
use super::motion::{Position, Velocity};
use super::population::{Filed, Ghosted, Identity, Population};

/// The running tick and what does not change in a shard.
#[derive(Resource)]
pub struct Now {
    pub(crate) tick: Tick,
    pub(crate) rate: TickRate,
    pub(crate) seed: u64,
    pub(crate) space: SpaceSpec,
    pub(crate) shard: ShardId,
}

/// The tick and the map.
#[derive(SystemParam)]
pub struct Clock<'w> {
    now: Res<'w, Now>,
}

impl Clock<'_> {
    /// The running tick.
    pub fn tick(&self) -> Tick {
        self.now.tick
    }

    /// Seconds per tick.
    pub fn dt(&self) -> f32 {
        self.now.rate.seconds_per_tick()
    }

    /// Whole ticks in `seconds`, rounded up: to set a timer, keep `clock.tick().0 + clock.ticks(1.5)` in a component.
    pub fn ticks(&self, seconds: f32) -> u64 {
        (seconds * f32::from(self.now.rate.hz())).ceil() as u64
    }

    /// The map this shard is cut from.
    pub fn space(&self) -> SpaceId {
        self.now.space.space
    }

    /// The shard of this world.
    pub fn shard(&self) -> ShardId {
        self.now.shard
    }

    /// The nearest position inside the space.
    pub fn inside(&self, position: Position) -> Position {
        self.now.space.clamp(position.into()).into()
    }

    /// The nearest position inside this shard: for things that stay where they are put, beside someone who hangs over a border.
    pub fn inside_shard(&self, position: Position) -> Position {
        self.now.shard.clamp(position.into()).into()
    }
}

/// Finds who is near, real entities and ghosts alike, as they stood when Simulate began.
#[derive(SystemParam)]
pub struct Nearby<'w> {
    grid: Res<'w, Grid>,
}

impl Nearby<'_> {
    /// Everybody at most `radius` metres from `center`, whoever asks included, in an order that is always the same.
    pub fn within(&self, center: Position, radius: f32) -> impl Iterator<Item = Near> + '_ {
        self.grid.within(center, radius)
    }
}

/// Reads a component of any entity in sight by id, real or ghost. Ghosts have the components registered as `.ghosted()`. A
/// system that has `Sight<T>` cannot also write `T`: decide in one system, write in a later one.
#[derive(SystemParam)]
pub struct Sight<'w, 's, T: Component> {
    population: Res<'w, Population>,
    real: Query<'w, 's, &'static T, With<Identity>>,
    ghosts: Query<'w, 's, &'static Ghosted<T>>,
}

impl<T: Component> Sight<'_, '_, T> {
    /// The component as it is now, for ghosts as last told.
    pub fn get(&self, id: EntityId) -> Option<&T> {
        if let Some(entity) = self.population.real(id) {
            return self.real.get(entity).ok();
        }
        self.ghosts.get(self.population.ghost(id)?).ok().map(Deref::deref)
    }
}

/// Finds the real entity of an id for the queries of this tick.
#[derive(SystemParam)]
pub struct Locate<'w> {
    population: Res<'w, Population>,
}

impl Locate<'_> {
    /// The entity, if it lives in this shard. Never keep it beyond the tick.
    pub fn entity(&self, id: EntityId) -> Option<Entity> {
        self.population.real(id)
    }
}

/// Ids that systems may give. Systems share it: they run one after the other, so the order is always the same.
#[derive(Resource, Default)]
pub struct IdPool(Mutex<VecDeque<Range<u64>>>);

impl IdPool {
    pub(crate) fn refill(&mut self, first: EntityId, count: u64) {
        let blocks = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        blocks.push_back(first.0..first.0 + count);
    }

    pub(crate) fn left(&self) -> u64 {
        let blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.iter().map(|block| block.end - block.start).sum()
    }

    pub(crate) fn blocks(&self) -> Vec<Range<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn draw(&self) -> Option<EntityId> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match blocks.front_mut()?.next() {
                Some(id) => return Some(EntityId(id)),
                None => blocks.pop_front(),
            };
        }
    }
}

/// Makes and ends entities of this shard.
#[derive(SystemParam)]
pub struct Spawn<'w, 's> {
    commands: Commands<'w, 's>,
    ids: Res<'w, IdPool>,
    population: Res<'w, Population>,
}

impl Spawn<'_, '_> {
    /// Make an entity at `position`; later systems that are ordered after this one see it. `None` when the shard has run out of
    /// ids for the moment: try again at a later tick.
    pub fn at(&mut self, position: Position, components: impl Bundle) -> Option<EntityId> {
        let id = self.ids.draw()?;
        self.with_id(id, position, components);
        Some(id)
    }

    /// A name for an entity that is made with [`Self::with_id`], so that the ledger can be asked about it first. `None`: try
    /// again at a later tick.
    pub fn fresh_id(&self) -> Option<EntityId> {
        self.ids.draw()
    }

    /// Make an entity that already has a name, such as an item of the ledger. `false` when it is here already.
    pub fn with_id(&mut self, id: EntityId, position: Position, components: impl Bundle) -> bool {
        let absent = self.population.real(id).is_none();
        if absent {
            self.commands.spawn((Identity::new(id), Filed::NEW, position, Velocity::default())).insert(components);
        }
        absent
    }

    /// End an entity of this shard. `false` when it is not here.
    pub fn despawn(&mut self, id: EntityId) -> bool {
        let entity = self.population.real(id);
        if let Some(entity) = entity {
            self.commands.entity(entity).try_despawn();
        }
        entity.is_some()
    }
}

/// Random numbers that are the same when the tick is run again: drawn from the shard's seed, the tick and the system's name
/// (closures of one plugin share a name; give systems that must differ names of their own).
#[derive(SystemParam)]
pub struct Chance<'w, 's> {
    now: Res<'w, Now>,
    system: SystemName,
    // Not state: it is drawn anew in each tick.
    stream: Local<'s, Option<(Tick, Stream)>>,
}

/// A random generator that may stand in a `Local`, which needs a default.
pub struct Stream(Rng);

impl Chance<'_, '_> {
    /// Numbers for one entity: the same in whatever order entities are visited, so also after a migration.
    pub fn of(&self, entity: EntityId) -> Rng {
        Rng::with_seed(mix(self.seed() ^ mix(entity.0)))
    }

    /// Numbers for the system as a whole.
    pub fn rng(&mut self) -> &mut Rng {
        let (tick, seed) = (self.now.tick, self.seed());
        let fresh = self.stream.take().filter(|(drawn, _)| *drawn == tick);
        let stream = fresh.unwrap_or_else(|| (tick, Stream(Rng::with_seed(mix(seed)))));
        &mut self.stream.insert(stream).1.0
    }

    fn seed(&self) -> u64 {
        let system = crate::ecs::fnv(self.system.as_str().as_bytes());
        mix(self.now.seed ^ mix(self.now.tick.0)) ^ system
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood): every bit of the input changes half of the output's.
pub(crate) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
