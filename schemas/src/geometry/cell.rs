//! The cell: a square of 32 m, the unit of interest.

use std::fmt;

use super::{Position, SpaceId, morton};

/// Edge of a cell in metres.
pub const CELL_EDGE_M: f32 = 32.0;

/// A square of a space. Ordered by space, then Morton code, so a shard's cells are consecutive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CellId {
    /// The map it lies on.
    pub space: SpaceId,
    /// Column, from the west.
    pub x: u16,
    /// Row, from the north.
    pub z: u16,
}

impl CellId {
    /// The cell in which `position` lies; coordinates outside the space saturate at its edge.
    #[inline]
    pub fn at(space: SpaceId, position: Position) -> Self {
        Self { space, x: (position.x / CELL_EDGE_M) as u16, z: (position.z / CELL_EDGE_M) as u16 }
    }

    /// The north-west corner.
    #[inline]
    pub fn corner(self) -> Position {
        Position { x: f32::from(self.x) * CELL_EDGE_M, z: f32::from(self.z) * CELL_EDGE_M }
    }

    /// Space, then Morton code: the order of records at rest.
    #[inline]
    pub fn key(self) -> u64 {
        u64::from(self.space.0) << 32 | u64::from(morton(self.x, self.z))
    }

    /// Rings between two cells of one space (Chebyshev distance); `None` across spaces.
    pub fn rings_to(self, other: Self) -> Option<u16> {
        (self.space == other.space).then(|| self.x.abs_diff(other.x).max(self.z.abs_diff(other.z)))
    }

    /// All cells at most `rings` away, this one included, cut at coordinate 0 and `edge_cells`, row by row.
    pub fn within(self, rings: u16, edge_cells: u16) -> CellsWithin {
        let last = edge_cells.saturating_sub(1);
        let (x0, z0) = (self.x.saturating_sub(rings), self.z.saturating_sub(rings));
        let (x1, z1) = (self.x.saturating_add(rings).min(last), self.z.saturating_add(rings).min(last));
        CellsWithin { space: self.space, x0, x1, z1, x: x0, z: z0 }
    }

    /// Packed for the wire.
    pub fn to_bits(self) -> u64 {
        u64::from(self.space.0) << 32 | u64::from(self.x) << 16 | u64::from(self.z)
    }

    /// The inverse of [`Self::to_bits`]; `None` when the unused bits are not zero.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let cell = Self { space: SpaceId((bits >> 32) as u16), x: (bits >> 16) as u16, z: bits as u16 };
        (cell.to_bits() == bits).then_some(cell)
    }
}

impl PartialOrd for CellId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CellId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The highest bit in which two Morton codes differ decides; of two at one height that of z lies above.
        let (x, z) = (self.x ^ other.x, self.z ^ other.z);
        let by_code = if x.leading_zeros() < z.leading_zeros() { self.x.cmp(&other.x) } else { self.z.cmp(&other.z) };
        self.space.cmp(&other.space).then(by_code)
    }
}

impl fmt::Display for CellId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}:{},{}", self.space.0, self.x, self.z)
    }
}

/// Iterator of [`CellId::within`].
#[derive(Clone, Debug)]
pub struct CellsWithin {
    space: SpaceId,
    x0: u16,
    x1: u16,
    z1: u16,
    x: u16,
    z: u16,
}

impl Iterator for CellsWithin {
    type Item = CellId;

    fn next(&mut self) -> Option<CellId> {
        if self.z > self.z1 || self.x0 > self.x1 {
            return None;
        }
        let cell = CellId { space: self.space, x: self.x, z: self.z };
        if self.x == self.x1 {
            self.x = self.x0;
            self.z += 1;
        } else {
            self.x += 1;
        }
        Some(cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(x: u16, z: u16) -> CellId {
        CellId { space: SpaceId(1), x, z }
    }

    proptest::proptest! {
        #[test]
        fn the_order_is_that_of_the_keys(a: (u16, u16), b: (u16, u16)) {
            let (a, b) = (cell(a.0, a.1), cell(b.0, b.1));
            proptest::prop_assert_eq!(a.cmp(&b), a.key().cmp(&b.key()));
        }
    }

    #[test]
    fn positions_fall_into_their_cell() {
        assert_eq!(CellId::at(SpaceId(1), Position { x: 31.9, z: 32.0 }), cell(0, 1));
        assert_eq!(CellId::at(SpaceId(1), Position { x: -5.0, z: 64.5 }), cell(0, 2));
        assert_eq!(cell(2, 3).corner(), Position { x: 64.0, z: 96.0 });
    }

    #[test]
    fn cells_within_a_radius_are_cut_at_the_edge() {
        assert_eq!(cell(5, 5).within(2, 64).count(), 25);
        assert_eq!(cell(0, 0).within(2, 64).count(), 9);
        assert_eq!(cell(63, 63).within(2, 64).count(), 9);
        assert!(cell(5, 5).within(3, 64).all(|c| cell(5, 5).rings_to(c) <= Some(3)));
    }

    #[test]
    fn wire_bits_round_trip_and_refuse_junk() {
        let c = CellId { space: SpaceId(9), x: 65_535, z: 17 };
        assert_eq!(CellId::from_bits(c.to_bits()), Some(c));
        assert_eq!(CellId::from_bits(1 << 60), None);
    }
}
