//! Ghosts: read-only copies of the neighbours' border entities, made from their cells' feeds.
//!
//! Every ghost belongs to the neighbour's cell that showed it last, so news of a cell it has left already change nothing. An
//! entity that leaves a cell for another one, or nobody knows for which, stays for [`LIMBO_TICKS`] until that one shows it; one
//! that comes here, for [`COMING_TICKS`]. So effects on it find the shard that lets it go, which keeps them until it has come.
//! A real entity has no ghost: real wins.

use std::collections::{BTreeMap, BTreeSet};

use bevy_ecs::entity::Entity;
use bevy_ecs::world::EntityRef;
use pangaea_schemas::geometry::{CellId, ShardId};
use pangaea_schemas::message::{CellFeed, FeedFrame, Leave, Motion};
use pangaea_schemas::record::{ComponentBytes, Record};
use pangaea_schemas::{EntityId, Tick};

use super::grid::{Grid, Member};
use super::motion::{Position, Velocity, quantise, unquantise};
use super::population::{Ghost, Ghosted, Population};
use super::senses::Now;
use super::shard_world::ShardWorld;

/// How long a ghost between two cells is kept.
const LIMBO_TICKS: u64 = 40;
/// How long one is kept that comes here: a hand-over takes as long as the journal is away.
const COMING_TICKS: u64 = 1_200;

/// Which ghosts are where.
#[derive(Default)]
pub(crate) struct Ghosts {
    /// The neighbours' cells that we follow.
    cells: BTreeMap<CellId, Followed>,
    /// Between two cells.
    limbo: BTreeSet<EntityId>,
}

/// A neighbour's cell.
struct Followed {
    /// Whose it is.
    shard: ShardId,
    members: BTreeSet<EntityId>,
}

impl ShardWorld {
    /// Apply the neighbours' news, in order.
    pub(crate) fn ingest_ghosts(&mut self, frames: &[FeedFrame], lost: &[ShardId]) {
        for frame in frames {
            for feed in &frame.cells {
                self.apply_cell(frame.shard, feed);
            }
        }
        if !lost.is_empty() {
            self.stop_ghosts(lost);
        }
        self.end_limbo();
    }

    /// Which shard shows the entity as a ghost.
    pub(crate) fn shown_by(&self, id: EntityId) -> Option<ShardId> {
        let entity = self.world.resource::<Population>().ghost(id)?;
        self.world.get::<Ghost>(entity).map(|ghost| ghost.shard)
    }

    /// Drop the ghost of an entity, if there is one.
    pub(crate) fn forget_ghost(&mut self, id: EntityId) {
        let Some(entity) = self.world.resource::<Population>().ghost(id) else { return };
        let cell = self.world.get::<Ghost>(entity).map(|ghost| ghost.cell);
        let position = self.world.get::<Ghosted<Position>>(entity).map(|position| **position);
        self.world.resource_mut::<Grid>().remove_ghost(id, position.unwrap_or_default());
        self.world.despawn(entity);
        self.ghosts.limbo.remove(&id);
        if let Some(followed) = cell.and_then(|cell| self.ghosts.cells.get_mut(&cell)) {
            followed.members.remove(&id);
        }
    }

    /// Leave a ghost behind for who goes to a neighbour, so that our systems see it until the neighbour shows it.
    pub(crate) fn leave_ghost(&mut self, record: &Record, to: CellId) {
        let Some(shard) = self.ghosts.cells.get(&to).map(|followed| followed.shard) else { return };
        self.show(shard, to, record.entity, &record.components);
        self.move_ghost(to, quantise(record.entity, to, record.position.into(), Velocity::default()));
        self.put_into_limbo(record.entity, LIMBO_TICKS);
    }

    fn apply_cell(&mut self, shard: ShardId, feed: &CellFeed) {
        let here = self.ghosts.cells.entry(feed.cell).or_insert_with(|| Followed { shard, members: BTreeSet::new() });
        here.shard = shard;
        if feed.snapshot {
            let shown: BTreeSet<EntityId> = feed.entered.iter().map(|enter| enter.entity).collect();
            let gone: Vec<EntityId> = here.members.difference(&shown).copied().collect();
            gone.into_iter().for_each(|id| self.put_into_limbo(id, LIMBO_TICKS));
        }
        for enter in &feed.entered {
            self.show(shard, feed.cell, enter.entity, &enter.components);
        }
        for motion in &feed.moved {
            self.move_ghost(feed.cell, *motion);
        }
        for changed in &feed.changed {
            if let Some(entity) = self.ghost_in(feed.cell, changed.entity) {
                self.give_ghost(entity, &changed.component);
            }
        }
        for leave in &feed.left {
            self.hide(feed.cell, *leave);
        }
    }

    /// The ghost, if it belongs to that cell.
    fn ghost_in(&self, cell: CellId, id: EntityId) -> Option<Entity> {
        let entity = self.world.resource::<Population>().ghost(id)?;
        self.world.get::<Ghost>(entity).is_some_and(|ghost| ghost.cell == cell).then_some(entity)
    }

    fn show(&mut self, shard: ShardId, cell: CellId, id: EntityId, components: &[ComponentBytes]) {
        if self.real(id).is_some() {
            return;
        }
        self.forget_ghost(id);
        let position = Position::from(cell.corner());
        let ghost = Ghost { id, shard, cell, until: None };
        let entity = self.world.spawn((ghost, Ghosted::new(position), Ghosted::new(Velocity::default()))).id();
        let motion = quantise(id, cell, position, Velocity::default());
        self.world.resource_mut::<Population>().add_ghost(id, entity);
        self.world.resource_mut::<Grid>().insert_ghost(Member { entity, position, motion });
        if let Some(followed) = self.ghosts.cells.get_mut(&cell) {
            followed.members.insert(id);
        }
        for component in components {
            self.give_ghost(entity, component);
        }
    }

    fn give_ghost(&mut self, entity: Entity, component: &ComponentBytes) {
        let Some((kind, is_present)) = self.kinds.with_layout(component.id).filter(|(kind, _)| kind.ghosted) else { return };
        let mut ghost = self.world.entity_mut(entity);
        let outcome = if is_present {
            (kind.insert_ghost)(&mut ghost, &component.bytes)
        } else {
            let mut known = Vec::new();
            let is_known = (kind.encode_ghost)(&EntityRef::from(&ghost), &mut known);
            let learned = kind.learn(component, is_known.then_some(&known[..]));
            learned.and_then(|bytes| bytes.map_or(Ok(()), |bytes| (kind.insert_ghost)(&mut ghost, &bytes)))
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "a ghost's component is left out");
        }
    }

    fn move_ghost(&mut self, cell: CellId, motion: Motion) {
        let Some(entity) = self.ghost_in(cell, motion.entity) else { return };
        let (position, velocity) = unquantise(cell, motion);
        let mut parts = self.world.entity_mut(entity);
        let old = parts.get::<Ghosted<Position>>().map(|position| **position).unwrap_or_default();
        parts.insert((Ghosted::new(position), Ghosted::new(velocity)));
        let mut grid = self.world.resource_mut::<Grid>();
        grid.remove_ghost(motion.entity, old);
        grid.insert_ghost(Member { entity, position, motion });
    }

    fn hide(&mut self, cell: CellId, leave: Leave) {
        if self.ghost_in(cell, leave.entity).is_none() {
            return;
        }
        match leave.to {
            Some(to) if self.bounds.shard.contains(to) => self.put_into_limbo(leave.entity, COMING_TICKS),
            Some(to) if self.ghosts.cells.contains_key(&to) => self.put_into_limbo(leave.entity, LIMBO_TICKS),
            Some(_) | None => self.forget_ghost(leave.entity),
        }
    }

    fn put_into_limbo(&mut self, id: EntityId, ticks: u64) {
        let until = Tick(self.world.resource::<Now>().tick.0 + ticks);
        let Some(entity) = self.world.resource::<Population>().ghost(id) else { return };
        if let Some(mut ghost) = self.world.get_mut::<Ghost>(entity) {
            ghost.until = Some(until);
            self.ghosts.limbo.insert(id);
        }
    }

    fn end_limbo(&mut self) {
        let now = self.world.resource::<Now>().tick;
        let population = self.world.resource::<Population>();
        let until = |id: &EntityId| self.world.get::<Ghost>(population.ghost(*id)?)?.until;
        let over: Vec<EntityId> = self.ghosts.limbo.iter().filter(|id| until(id).is_none_or(|end| end <= now)).copied().collect();
        over.into_iter().for_each(|id| self.forget_ghost(id));
    }

    /// Nobody knows where they go now, so they stand.
    fn stop_ghosts(&mut self, lost: &[ShardId]) {
        let mut query = self.world.query::<(Entity, &Ghost)>();
        let still: Vec<Entity> =
            query.iter(&self.world).filter(|(_, g)| lost.contains(&g.shard)).map(|(entity, _)| entity).collect();
        for entity in still {
            self.world.entity_mut(entity).insert(Ghosted::new(Velocity::default()));
        }
    }
}
