//! The change feed of a tick under construction: per cell, who entered, moved, changed and left.
//!
//! `settle` fills in movement, `publish` the components, and both encode once for all followers. In the feed in which an entity
//! enters a cell it has no changes: its `Enter` says everything. No feed of a cell says both `entered` and `left` of one
//! entity, so followers may apply the lists in any order, but for `moved` and `changed` after `entered`.

use bevy_ecs::entity::Entity;
use bytes::{Bytes, BytesMut};
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{Changed, FeedFilter, Leave, Motion};

use super::grid::{Grid, Member};
use super::motion::{Position, Velocity, quantise};
use super::population::Filed;

/// Components of one tick share chunks of this size: one allocation for hundreds of them.
const CHUNK_BYTES: usize = 64 * 1_024;

/// The feed of the running tick.
pub(crate) struct Feed {
    /// Its number; never 0, so that [`Filed::NEW`] is in none.
    pub(crate) number: u64,
    /// Per cell of the shard: its draft, or [`Filed::NOWHERE`].
    slots: Vec<u32>,
    drafts: Vec<CellDraft>,
    /// Whose persistent state changed; some may be named twice.
    pub(crate) dirty: Vec<EntityId>,
    chunk: BytesMut,
}

/// What happened in one cell.
#[derive(Clone)]
pub(crate) struct CellDraft {
    /// Number of the cell in the grid.
    pub(crate) index: u32,
    pub(crate) entered: Vec<EntityId>,
    pub(crate) moved: Vec<Motion>,
    pub(crate) changed: Vec<(Changed, Seen)>,
    pub(crate) left: Vec<Leave>,
}

/// Under which filters a component is seen.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) replicated: bool,
    pub(crate) ghosted: bool,
}

impl Seen {
    pub(crate) fn by(self, filter: FeedFilter) -> bool {
        match filter {
            FeedFilter::Replicated => self.replicated,
            FeedFilter::Ghosted => self.ghosted,
        }
    }
}

impl Feed {
    pub(crate) fn new(cells: usize) -> Self {
        let slots = vec![Filed::NOWHERE; cells];
        Self { number: 1, slots, drafts: Vec::new(), dirty: Vec::new(), chunk: BytesMut::new() }
    }

    /// The draft of a cell.
    pub(crate) fn draft(&mut self, index: u32) -> &mut CellDraft {
        let slot = &mut self.slots[index as usize];
        if *slot == Filed::NOWHERE {
            *slot = self.drafts.len() as u32;
            self.drafts.push(CellDraft { index, entered: Vec::new(), moved: Vec::new(), changed: Vec::new(), left: Vec::new() });
        }
        &mut self.drafts[*slot as usize]
    }

    /// Begin the next feed; returns the drafts of this one in order of their cells.
    pub(crate) fn turn(&mut self) -> Vec<CellDraft> {
        self.number += 1;
        let mut drafts = std::mem::take(&mut self.drafts);
        drafts.sort_unstable_by_key(|draft| draft.index);
        for draft in &drafts {
            self.slots[draft.index as usize] = Filed::NOWHERE;
        }
        drafts
    }

    /// An entity comes into a cell.
    pub(crate) fn enter(&mut self, grid: &mut Grid, entity: Entity, filed: &mut Filed, at: (EntityId, Position, Velocity)) {
        let (id, position, velocity) = at;
        let (index, cell) = grid.file_under(position);
        let motion = quantise(id, cell, position, velocity);
        filed.row = grid.insert(index, Member { entity, position, motion });
        (filed.cell, filed.at) = (index, cell);
        filed.since = self.number;
        let draft = self.draft(index);
        draft.left.retain(|leave| leave.entity != id);
        draft.entered.push(id);
    }

    /// An entity leaves a cell, for another shard or for good.
    pub(crate) fn leave(&mut self, id: EntityId, index: u32, to: Option<CellId>) {
        let draft = self.draft(index);
        draft.entered.retain(|entered| *entered != id);
        draft.moved.retain(|motion| motion.entity != id);
        draft.left.push(Leave { entity: id, to });
    }

    /// An entity goes on inside its cell, or into another one of the shard.
    pub(crate) fn step(&mut self, grid: &mut Grid, filed: &mut Filed, at: (EntityId, Position, Velocity)) {
        let (id, position, velocity) = at;
        let (index, cell) = if filed.holds(position) { (filed.cell, filed.at) } else { grid.file_under(position) };
        let fresh = filed.since == self.number;
        if index == filed.cell {
            let motion = quantise(id, cell, position, velocity);
            let Some(member) = grid.member_mut(index, id, &mut filed.row) else { return };
            let told = std::mem::replace(&mut member.motion, motion);
            let stood = std::mem::replace(&mut member.position, position);
            if told != motion && !fresh {
                let moved = &mut self.draft(index).moved;
                if moved.is_empty() {
                    // Whoever moves is seldom alone.
                    moved.reserve(grid.members(index).len());
                }
                moved.push(motion);
            }
            if stood != position {
                self.dirty.push(id);
            }
        } else if let Some(member) = grid.remove(filed.cell, id) {
            let draft = self.draft(filed.cell);
            if fresh {
                draft.entered.retain(|entered| *entered != id);
            } else {
                draft.left.push(Leave { entity: id, to: Some(cell) });
            }
            self.enter(grid, member.entity, filed, at);
            self.dirty.push(id);
        }
    }

    /// Whoever is dirty is handed over; most of them will be dirty again in the next tick.
    pub(crate) fn take_dirty(&mut self) -> Vec<EntityId> {
        let next = Vec::with_capacity(self.dirty.len());
        std::mem::replace(&mut self.dirty, next)
    }

    /// Bytes that share a chunk with others of the tick.
    pub(crate) fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if self.chunk.capacity() < bytes.len() {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(bytes.len()));
        }
        self.chunk.extend_from_slice(bytes);
        self.chunk.split().freeze()
    }
}
