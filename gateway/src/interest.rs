//! What one client looks at: the rings of cells around its agent, or a spectator's rectangle.
//!
//! The centre follows the agent with a hysteresis of [`CENTRE_HYSTERESIS_M`], so that standing on a cell's edge changes nothing.
//! Rings 0 and 1 are sent every round, ring 2 every second, farther ones every fourth. Which rounds is a matter of the cell and
//! not of the client, so clients share the encoded bytes; different cells take different rounds, so the load is level.

use pangaea_schemas::geometry::{CELL_EDGE_M, CellId, Position};

use crate::cells::{NEVER, Round};
use crate::slab::Key;

/// How far the agent walks out of its centre cell before the centre follows.
pub(crate) const CENTRE_HYSTERESIS_M: f32 = 4.0;
/// A changed cell that was not sent for so long goes first, however far it is: 1 s at 20 Hz.
pub(crate) const STARVED_ROUNDS: Round = 20;

/// A cell that a client looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) key: Key,
    pub(crate) cell: CellId,
    /// Distance from the centre in cells.
    pub(crate) ring: u16,
    /// Last round in which it was sent; [`NEVER`] asks for a snapshot.
    pub(crate) sent: Round,
    /// The client may draw something in it, from now or from an earlier look.
    pub(crate) drawn: bool,
}

/// What a client looks at, nearest first.
#[derive(Debug, Default)]
pub(crate) struct View {
    centre: Option<CellId>,
    pub(crate) seen: Vec<Seen>,
    /// Cells that the client still draws but no longer follows.
    pub(crate) gone: Vec<CellId>,
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

    /// Look at these cells from now on. `follow` and `unfollow` keep the store's count of followers.
    pub(crate) fn look_at(
        &mut self,
        centre: CellId,
        cells: impl Iterator<Item = CellId>,
        follow: &mut dyn FnMut(CellId) -> Key,
    ) -> Vec<Key> {
        self.centre = Some(centre);
        let mut old = std::mem::take(&mut self.seen);
        old.sort_unstable_by_key(|seen| seen.cell);
        let mut kept = vec![false; old.len()];
        for cell in cells {
            let ring = cell.rings_to(centre).unwrap_or(u16::MAX);
            match old.binary_search_by_key(&cell, |seen| seen.cell) {
                Ok(at) => {
                    kept[at] = true;
                    self.seen.push(Seen { ring, ..old[at] });
                }
                Err(_) => {
                    let drawn = self.gone.contains(&cell);
                    self.seen.push(Seen { key: follow(cell), cell, ring, sent: NEVER, drawn });
                }
            }
        }
        self.seen.sort_by_key(|seen| (seen.ring, distance_squared(seen.cell, centre), seen.cell));
        let dropped: Vec<_> = old.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(seen, _)| seen).collect();
        let seen = &self.seen;
        self.gone.retain(|gone| seen.iter().all(|seen| seen.cell != *gone));
        self.gone.extend(dropped.iter().filter(|seen| seen.drawn).map(|seen| seen.cell));
        dropped.into_iter().map(|seen| seen.key).collect()
    }

    /// Look at nothing any more; what was looked at.
    pub(crate) fn close(&mut self) -> Vec<Key> {
        self.centre = None;
        self.gone.clear();
        std::mem::take(&mut self.seen).into_iter().map(|seen| seen.key).collect()
    }
}

impl Seen {
    /// Whether the cell's turn has come.
    pub(crate) fn is_due(&self, round: Round) -> bool {
        if self.sent == NEVER {
            return true;
        }
        let period = period(self.ring);
        (round.wrapping_add(phase(self.cell))).is_multiple_of(period) || round - self.sent >= period
    }

    /// Whether it has waited so long that it goes before nearer ones.
    pub(crate) fn is_starved(&self, round: Round) -> bool {
        self.sent != NEVER && round - self.sent >= STARVED_ROUNDS
    }
}

/// Rounds from one sending of a cell to the next.
fn period(ring: u16) -> Round {
    match ring {
        0 | 1 => 1,
        2 => 2,
        3.. => 4,
    }
}

fn phase(cell: CellId) -> Round {
    u32::from(cell.x) + u32::from(cell.z) * 2
}

fn distance_squared(a: CellId, b: CellId) -> u32 {
    u32::from(a.x.abs_diff(b.x)).pow(2) + u32::from(a.z.abs_diff(b.z)).pow(2)
}
