//! The shard's cells: who is filed in each, and where they stood at the end of the last tick. Answers what is near.
//!
//! Cells are numbered in Morton order from the shard's first. An entity that stands outside the shard is filed in the nearest
//! cell of it, coordinate by coordinate; a search box is cut to the shard in the same way, so it always finds them.

use std::collections::BTreeMap;

use bevy_ecs::entity::Entity;
use bevy_ecs::resource::Resource;
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::{CELL_EDGE_M, CellId, ShardId, morton};
use pangaea_schemas::message::Motion;

use super::motion::Position;

/// How far outside a shard someone may stand and still be found from within: as far as a motion can say.
const OVERHANG_M: f32 = 4.0 * CELL_EDGE_M;

/// One entity in a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) entity: Entity,
    pub(crate) position: Position,
    /// As last told to followers; names the entity.
    pub(crate) motion: Motion,
}

/// Someone near.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Who.
    pub id: EntityId,
    /// Where, at the start of Simulate.
    pub position: Position,
    /// It belongs to a neighbour shard: read it with `Sight`, reach it with `Effects`.
    pub ghost: bool,
}

/// See the module.
#[derive(Resource)]
pub struct Grid {
    shard: ShardId,
    first_key: u64,
    /// Per cell of the shard, in order of id.
    cells: Vec<Vec<Member>>,
    /// Ghosts by the cell in which they stand, in order of id.
    ghosts: BTreeMap<CellId, Vec<Member>>,
}

impl Grid {
    pub(crate) fn new(shard: ShardId) -> Self {
        let (first_key, last_key) = shard.key_range();
        let cells = vec![Vec::new(); (last_key - first_key + 1) as usize];
        Self { shard, first_key, cells, ghosts: BTreeMap::new() }
    }

    /// Take the contents out of the world for a while, leaving nothing.
    pub(crate) fn lift(&mut self) -> Self {
        let (cells, ghosts) = (std::mem::take(&mut self.cells), std::mem::take(&mut self.ghosts));
        Self { shard: self.shard, first_key: self.first_key, cells, ghosts }
    }

    /// How many cells the shard has.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The number of a cell; `None` outside the shard.
    pub(crate) fn index(&self, cell: CellId) -> Option<u32> {
        self.shard.contains(cell).then(|| (cell.key() - self.first_key) as u32)
    }

    /// The number of the cell in which `position` is filed.
    pub(crate) fn file_under(&self, position: Position) -> (u32, CellId) {
        let cell = self.shard.nearest_cell(CellId::at(self.shard.space, position.into()));
        ((cell.key() - self.first_key) as u32, cell)
    }

    pub(crate) fn members(&self, cell: u32) -> &[Member] {
        self.cells.get(cell as usize).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn member(&self, cell: u32, id: EntityId) -> Option<&Member> {
        let members = self.members(cell);
        find(members, id).ok().and_then(|row| members.get(row))
    }

    /// The entity's entry in its cell, looked for at `row` first.
    pub(crate) fn member_mut(&mut self, cell: u32, id: EntityId, row: &mut u32) -> Option<&mut Member> {
        let members = self.cells.get_mut(cell as usize)?;
        if members.get(*row as usize).is_none_or(|m| m.motion.entity != id) {
            *row = find(members, id).ok()? as u32;
        }
        members.get_mut(*row as usize)
    }

    /// File it; returns its row.
    pub(crate) fn insert(&mut self, cell: u32, member: Member) -> u32 {
        let members = &mut self.cells[cell as usize];
        let row = find(members, member.motion.entity).unwrap_or_else(|row| row);
        members.insert(row, member);
        row as u32
    }

    pub(crate) fn remove(&mut self, cell: u32, id: EntityId) -> Option<Member> {
        let members = self.cells.get_mut(cell as usize)?;
        find(members, id).ok().map(|row| members.remove(row))
    }

    pub(crate) fn insert_ghost(&mut self, member: Member) {
        let members = self.ghosts.entry(CellId::at(self.shard.space, member.position.into())).or_default();
        let row = find(members, member.motion.entity).unwrap_or_else(|row| row);
        members.insert(row, member);
    }

    pub(crate) fn remove_ghost(&mut self, id: EntityId, position: Position) {
        let cell = CellId::at(self.shard.space, position.into());
        let Some(members) = self.ghosts.get_mut(&cell) else { return };
        if let Ok(row) = find(members, id) {
            members.remove(row);
        }
        if members.is_empty() {
            self.ghosts.remove(&cell);
        }
    }

    /// Everybody at most `radius` metres from `center`, cell by cell and in each by id: real entities, then ghosts.
    pub(crate) fn within(&self, center: Position, radius: f32) -> impl Iterator<Item = Near> + '_ {
        let low = self.cell_at(center.x - radius, center.z - radius);
        let high = self.cell_at(center.x + radius, center.z + radius);
        let (first, last) = (self.shard.nearest_cell(low), self.shard.nearest_cell(high));
        let first_key = self.first_key - (u64::from(self.shard.space.0) << 32);
        let real = (first.z..=last.z)
            .flat_map(move |z| (first.x..=last.x).map(move |x| u64::from(morton(x, z)) - first_key))
            .flat_map(|index| &self.cells[index as usize])
            .map(|member| (member, false));
        let ghosts = cells_between(low, high, !self.ghosts.is_empty())
            .filter_map(|cell| self.ghosts.get(&cell))
            .flatten()
            .map(|member| (member, true));
        let near = move |member: &Member| {
            let (dx, dz) = (member.position.x - center.x, member.position.z - center.z);
            dx * dx + dz * dz <= radius * radius
        };
        real.chain(ghosts).filter(move |(member, _)| near(member)).map(|(member, ghost)| Near {
            id: member.motion.entity,
            position: member.position,
            ghost,
        })
    }

    /// The cell of a coordinate pair, cut to the shard and a little more, so that a huge radius costs no more than the cells
    /// there are.
    fn cell_at(&self, x: f32, z: f32) -> CellId {
        let edge = CELL_EDGE_M * f32::from(self.shard.edge_cells());
        let corner = self.shard.first_cell().corner();
        let cut = |v: f32, low: f32| v.clamp(low - OVERHANG_M, low + edge + OVERHANG_M);
        CellId::at(self.shard.space, Position::new(cut(x, corner.x), cut(z, corner.z)).into())
    }
}

fn find(members: &[Member], id: EntityId) -> Result<usize, usize> {
    members.binary_search_by_key(&id, |member| member.motion.entity)
}

fn cells_between(low: CellId, high: CellId, any: bool) -> impl Iterator<Item = CellId> {
    let rows = if any { low.z..high.z.saturating_add(1) } else { 0..0 };
    rows.flat_map(move |z| (low.x..=high.x).map(move |x| CellId { space: low.space, x, z }))
}
