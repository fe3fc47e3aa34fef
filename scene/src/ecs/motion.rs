//! Where entities are and where they are going: the two components that every entity has.

use std::ops::{Add, Mul, Sub};

use pangaea_scene_macros::component;
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::{self, CellId};
use pangaea_schemas::message::Motion;
use pangaea_schemas::registry::FieldType;

use super::plain::{FieldKind, Part};

/// Metres from the space's north-west corner.
#[component]
#[derive(Default)]
pub struct Position {
    /// East.
    pub x: f32,
    /// South.
    pub z: f32,
}

/// Metres per second.
#[component]
#[derive(Default)]
pub struct Velocity {
    /// East.
    pub x: f32,
    /// South.
    pub z: f32,
}

impl Position {
    /// A position in metres.
    pub const fn new(x: f32, z: f32) -> Self {
        Self { x, z }
    }

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
    /// A velocity in metres per second.
    pub const fn new(x: f32, z: f32) -> Self {
        Self { x, z }
    }

    /// Whether both parts are numbers that exist.
    pub fn is_finite(self) -> bool {
        self.x.is_finite() && self.z.is_finite()
    }

    /// Metres per second.
    pub fn speed(self) -> f32 {
        self.x.hypot(self.z)
    }

    /// The same direction, at most `speed` m/s.
    pub fn at_most(self, speed: f32) -> Self {
        let now = self.speed();
        if now > speed { self * (speed / now) } else { self }
    }

    /// The same direction at exactly `speed` m/s; standing stays standing.
    pub fn with_speed(self, speed: f32) -> Self {
        let now = self.speed();
        if now > 0.0 { self * (speed / now) } else { self }
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

impl From<geometry::Position> for Position {
    fn from(position: geometry::Position) -> Self {
        Self { x: position.x, z: position.z }
    }
}

impl From<Position> for geometry::Position {
    fn from(position: Position) -> Self {
        Self { x: position.x, z: position.z }
    }
}

const TWO_FLOATS: &[Part] = &[
    Part { suffix: ".x", ty: FieldType::F32, offset: 0, length: 1 },
    Part { suffix: ".z", ty: FieldType::F32, offset: 4, length: 1 },
];

impl FieldKind for Position {
    const PARTS: &'static [Part] = TWO_FLOATS;
}

impl FieldKind for Velocity {
    const PARTS: &'static [Part] = TWO_FLOATS;
}

/// As it is told to followers.
pub(crate) fn quantise(entity: EntityId, cell: CellId, position: Position, velocity: Velocity) -> Motion {
    Motion::of(entity, cell, position.into(), geometry::Velocity { x: velocity.x, z: velocity.z })
}

/// What a follower can know of it.
pub(crate) fn unquantise(cell: CellId, motion: Motion) -> (Position, Velocity) {
    let geometry::Velocity { x, z } = motion.velocity();
    (motion.offset.position(cell).into(), Velocity { x, z })
}
