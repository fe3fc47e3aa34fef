//! What one client looks at: the rings of cells around its agent, or a spectator's rectangle.
//!
//! The centre follows the agent with a hysteresis of [`CENTRE_HYSTERESIS_M`], so that standing on a cell's edge changes nothing.
//! Rings 0 and 1 are looked at for newcomers every round, ring 2 every second, farther ones every fourth; different clients take
//! different rounds, so the load is level.

use pangaea_schemas::geometry::{CELL_EDGE_M, CellId, Position};

use crate::cells::{NEVER, Round};
use crate::known::KnownSet;
use crate::slab::Key;

/// How far the agent walks out of its centre cell before the centre follows.
pub(crate) const CENTRE_HYSTERESIS_M: f32 = 4.0;

/// A cell that a client looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) key: Key,
    cell: CellId,
    /// Distance from the centre in cells.
    ring: u16,
    /// Everybody who entered it up to this round has been introduced.
    pub(crate) sent: Round,
}

/// A rectangle of cells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    first: CellId,
    last: CellId,
}

impl Bounds {
    pub(crate) fn contains(self, cell: CellId) -> bool {
        let Self { first, last } = self;
        cell.space == first.space && (first.x..=last.x).contains(&cell.x) && (first.z..=last.z).contains(&cell.z)
    }
}

/// What a client looks at, nearest first, and whom it has been told of.
#[derive(Debug, Default)]
pub(crate) struct View {
    centre: Option<CellId>,
    bounds: Option<Bounds>,
    /// Round in which that changed last.
    since: Round,
    pub(crate) seen: Vec<Seen>,
    /// How many of those are in rings 0 and 1, and in rings 0 to 2.
    near: (usize, usize),
    /// They are others than before, and not all have been looked at since.
    pub(crate) is_fresh: bool,
    pub(crate) known: KnownSet,
}

impl View {
    /// The centre that suits a position; `None` when the present one still does.
    pub(crate) fn next_centre(&self, cell: CellId, position: Position) -> Option<CellId> {
        let suits = self.centre.is_some_and(|centre| {
            let corner = centre.corner();
            let inside = |v: f32, low: f32| (low - CENTRE_HYSTERESIS_M..low + CELL_EDGE_M + CENTRE_HYSTERESIS_M).contains(&v);
            centre.space == cell.space && inside(position.x, corner.x) && inside(position.z, corner.z)
        });
        (!suits).then_some(cell)
    }

    /// Look at the cells of a rectangle from now on. `follow` keeps the store's count of followers; returns those to unfollow.
    pub(crate) fn look_at(
        &mut self,
        round: Round,
        centre: CellId,
        cells: impl Iterator<Item = CellId>,
        follow: &mut dyn FnMut(CellId) -> Key,
    ) -> Vec<Key> {
        (self.centre, self.since) = (Some(centre), round);
        self.bounds = None;
        let mut old = std::mem::take(&mut self.seen);
        old.sort_unstable_by_key(|seen| seen.cell);
        let mut kept = vec![false; old.len()];
        for cell in cells {
            let Bounds { first, last } = self.bounds.unwrap_or(Bounds { first: cell, last: cell });
            let first = CellId { x: first.x.min(cell.x), z: first.z.min(cell.z), ..first };
            self.bounds = Some(Bounds { first, last: CellId { x: last.x.max(cell.x), z: last.z.max(cell.z), ..last } });
            let ring = cell.rings_to(centre).unwrap_or(u16::MAX);
            match old.binary_search_by_key(&cell, |seen| seen.cell) {
                Ok(at) => {
                    kept[at] = true;
                    self.seen.push(Seen { ring, ..old[at] });
                }
                Err(_) => self.seen.push(Seen { key: follow(cell), cell, ring, sent: NEVER }),
            }
        }
        self.seen.sort_by_key(|seen| (seen.ring, distance_squared(seen.cell, centre), seen.cell));
        let within = |ring| self.seen.partition_point(|seen| seen.ring <= ring);
        (self.near, self.is_fresh) = ((within(1), within(2)), true);
        old.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(seen, _)| seen.key).collect()
    }

    /// The round in which the rectangle changed last.
    pub(crate) fn since(&self) -> Round {
        self.since
    }

    /// The rectangle; `None` before anything is looked at.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        self.bounds
    }

    /// How many of the cells, nearest first, are to be looked at for newcomers in the client's `turn`, which counts rounds.
    pub(crate) fn due(&self, turn: Round) -> usize {
        match turn % 4 {
            _ if self.is_fresh => self.seen.len(),
            0 => self.seen.len(),
            2 => self.near.1,
            _ => self.near.0,
        }
    }

    /// The middle of the centre cell.
    pub(crate) fn middle(&self) -> Position {
        let corner = self.centre.unwrap_or_default().corner();
        Position { x: corner.x + CELL_EDGE_M / 2.0, z: corner.z + CELL_EDGE_M / 2.0 }
    }

    /// Look at nothing any more; what was looked at.
    pub(crate) fn close(&mut self) -> Vec<Key> {
        std::mem::take(self).seen.into_iter().map(|seen| seen.key).collect()
    }
}

fn distance_squared(a: CellId, b: CellId) -> u32 {
    u32::from(a.x.abs_diff(b.x)).pow(2) + u32::from(a.z.abs_diff(b.z)).pow(2)
}
