//! Positions in metres, and their compact form relative to a cell.

use std::hash::{Hash, Hasher};
use std::ops::{Add, Mul, Sub};

use bytemuck::{Pod, Zeroable};

use super::{CELL_EDGE_M, CellId};

/// Metres from the space's north-west corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Position {
    /// East.
    pub x: f32,
    /// South.
    pub z: f32,
}

/// Metres per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Velocity {
    /// East.
    pub x: f32,
    /// South.
    pub z: f32,
}

/// Equal positions hash alike: the two zeros are one.
impl Hash for Position {
    fn hash<H: Hasher>(&self, state: &mut H) {
        ((self.x + 0.0).to_bits(), (self.z + 0.0).to_bits()).hash(state);
    }
}

impl Position {
    /// Distance in metres.
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.z - other.z)
    }

    /// Whether both coordinates are numbers that exist.
    pub fn is_finite(self) -> bool {
        self.x.is_finite() && self.z.is_finite()
    }
}

impl Velocity {
    /// Metres per second.
    pub fn speed(self) -> f32 {
        self.x.hypot(self.z)
    }

    /// The same direction, at most `speed` m/s.
    pub fn at_most(self, speed: f32) -> Self {
        let now = self.speed();
        if now > speed { self * (speed / now) } else { self }
    }
}

impl Mul<f32> for Velocity {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self { x: self.x * factor, z: self.z * factor }
    }
}

impl Add for Velocity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { x: self.x + other.x, z: self.z + other.z }
    }
}

/// The way from one position to another in one second.
impl Sub for Position {
    type Output = Velocity;
    fn sub(self, from: Self) -> Velocity {
        Velocity { x: self.x - from.x, z: self.z - from.z }
    }
}

/// One second's way.
impl Add<Velocity> for Position {
    type Output = Self;
    fn add(self, way: Velocity) -> Self {
        Self { x: self.x + way.x, z: self.z + way.z }
    }
}

/// How many units of [`CellOffset`] make a cell edge: a unit is 3.9 mm, the rounding error at most 2 mm.
pub const OFFSET_UNITS_PER_CELL: f32 = 8192.0;

/// `value` moved so that a cast to whole numbers, which cuts, gives the nearest one; halves go away from zero. `f32::round` is a
/// call on processors that may lack SSE 4.1, and each mover is rounded four times in each tick.
pub(crate) fn to_nearest(value: f32) -> f32 {
    value + 0.5_f32.copysign(value)
}

/// A position relative to a cell's corner in 1/8192 cell edges, so that a skipped update costs nothing and an entity may hang
/// over its cell by three edges (96 m) until its hand-over is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CellOffset {
    /// East of the corner.
    pub x: i16,
    /// South of the corner.
    pub z: i16,
}

impl CellOffset {
    /// `position` as seen from `cell`, saturating three edges beyond the cell.
    pub fn of(position: Position, cell: CellId) -> Self {
        let unit = OFFSET_UNITS_PER_CELL / CELL_EDGE_M;
        let corner = cell.corner();
        Self { x: to_nearest((position.x - corner.x) * unit) as i16, z: to_nearest((position.z - corner.z) * unit) as i16 }
    }

    /// The position in the space.
    pub fn position(self, cell: CellId) -> Position {
        let unit = CELL_EDGE_M / OFFSET_UNITS_PER_CELL;
        let corner = cell.corner();
        Position { x: corner.x + f32::from(self.x) * unit, z: corner.z + f32::from(self.z) * unit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::SpaceId;

    #[test]
    fn a_cast_gives_the_nearest_whole_number() {
        for value in [0.0, 0.4, 0.5, 1.5, 2.4999, -0.4, -0.5, -1.5, -7.51, 32_766.5, -32_768.4] {
            assert_eq!(to_nearest(value) as i32, value.round() as i32, "{value}");
        }
        assert_eq!([to_nearest(1e9) as i16, to_nearest(-1e9) as i16, to_nearest(f32::NAN) as i16], [i16::MAX, i16::MIN, 0]);
    }

    #[test]
    fn offsets_are_exact_to_two_millimetres_even_when_hanging_over() {
        let cell = CellId { space: SpaceId(0), x: 7, z: 9 };
        for (x, z) in [(224.0, 288.0), (255.99, 300.123), (220.5, 288.7), (310.0, 380.0)] {
            let position = Position { x, z };
            assert!(CellOffset::of(position, cell).position(cell).distance(position) < 0.0029);
        }
    }

    #[test]
    fn speed_is_cut_not_turned() {
        let cut = Velocity { x: 6.0, z: 8.0 }.at_most(5.0);
        assert_eq!(cut, Velocity { x: 3.0, z: 4.0 });
        assert_eq!(cut.at_most(9.0), cut);
    }
}
