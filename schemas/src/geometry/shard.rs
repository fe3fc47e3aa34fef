//! The shard: a square block of cells with one owner. Its geometry is its name.

use std::fmt;
use std::str::FromStr;

use super::{CELL_EDGE_M, CellId, Position, SPACE_LEVEL_MAX, SpaceId, morton};

/// The coarsest shard covers the largest space.
pub const SHARD_LEVEL_MAX: u8 = SPACE_LEVEL_MAX;

/// A leaf of a space's quadtree. `level` is the base-2 logarithm of its edge in cells; (x, z) count blocks of that size.
/// Ordered by space, then first cell in Morton order, then level: siblings are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShardId {
    /// The map it is cut from.
    pub space: SpaceId,
    /// Its edge is 2^level cells.
    pub level: u8,
    /// Column of blocks.
    pub x: u16,
    /// Row of blocks.
    pub z: u16,
}

impl ShardId {
    /// The block of `level` that holds `cell`.
    pub fn holding(cell: CellId, level: u8) -> Self {
        Self { space: cell.space, level, x: cell.x >> level, z: cell.z >> level }
    }

    /// Edge in cells.
    #[inline]
    pub fn edge_cells(self) -> u16 {
        1 << self.level
    }

    /// The north-west cell.
    #[inline]
    pub fn first_cell(self) -> CellId {
        CellId { space: self.space, x: self.x << self.level, z: self.z << self.level }
    }

    /// Whether the cell lies in this shard.
    #[inline]
    pub fn contains(self, cell: CellId) -> bool {
        self.space == cell.space && cell.x >> self.level == self.x && cell.z >> self.level == self.z
    }

    /// Whether the position lies in this shard.
    pub fn contains_position(self, position: Position) -> bool {
        let (corner, edge) = (self.first_cell().corner(), f32::from(self.edge_cells()) * CELL_EDGE_M);
        let holds = |v: f32, low: f32| low <= v && v < low + edge;
        holds(position.x, corner.x) && holds(position.z, corner.z)
    }

    /// Metres from `position` to the nearest point of this shard; 0 inside.
    pub fn distance_to(self, position: Position) -> f32 {
        let edge = f32::from(self.edge_cells()) * CELL_EDGE_M;
        let corner = self.first_cell().corner();
        let outside = |v: f32, low: f32| (low - v).max(v - (low + edge)).max(0.0);
        outside(position.x, corner.x).hypot(outside(position.z, corner.z))
    }

    /// The position of this shard nearest to `position`, a millimetre inside its far edges.
    pub fn clamp(self, position: Position) -> Position {
        let edge = f32::from(self.edge_cells()) * CELL_EDGE_M - 0.001;
        let corner = self.first_cell().corner();
        Position { x: position.x.clamp(corner.x, corner.x + edge), z: position.z.clamp(corner.z, corner.z + edge) }
    }

    /// The cell of this shard nearest to `cell`.
    #[inline]
    pub fn nearest_cell(self, cell: CellId) -> CellId {
        let first = self.first_cell();
        let last = self.edge_cells() - 1;
        CellId { space: self.space, x: cell.x.clamp(first.x, first.x + last), z: cell.z.clamp(first.z, first.z + last) }
    }

    /// All its cells in Morton order.
    pub fn cells(self) -> impl Iterator<Item = CellId> {
        let first = morton(self.first_cell().x, self.first_cell().z);
        let count = 1u32 << (2 * self.level);
        (first..first + count).map(move |code| {
            let (x, z) = super::unmorton(code);
            CellId { space: self.space, x, z }
        })
    }

    /// Its cells at most `rings` away from `other`, a shard it does not overlap; empty across spaces.
    pub fn border_cells(self, other: Self, rings: u16) -> Vec<CellId> {
        self.cells().filter(|cell| other.nearest_cell(*cell).rings_to(*cell).is_some_and(|r| r <= rings)).collect()
    }

    /// The range of [`CellId::key`] that is this shard: first and last key, both included.
    pub fn key_range(self) -> (u64, u64) {
        let first = self.first_cell().key();
        (first, first + ((1u64 << (2 * self.level)) - 1))
    }

    /// The four shards it splits into, in Morton order; `None` for a single cell.
    pub fn children(self) -> Option<[Self; 4]> {
        let level = self.level.checked_sub(1)?;
        let at = |dx, dz| Self { space: self.space, level, x: self.x * 2 + dx, z: self.z * 2 + dz };
        Some([at(0, 0), at(1, 0), at(0, 1), at(1, 1)])
    }

    /// The shard it merges into with its siblings; `None` at the coarsest level.
    pub fn parent(self) -> Option<Self> {
        let level = self.level + 1;
        (level <= SHARD_LEVEL_MAX).then_some(Self { space: self.space, level, x: self.x >> 1, z: self.z >> 1 })
    }

    /// The shards of `level` it consists of, in Morton order; empty when `level` is coarser than its own.
    pub fn descendants(self, level: u8) -> Vec<Self> {
        let Some(depth) = self.level.checked_sub(level) else {
            return Vec::new();
        };
        let first = morton(self.x << depth, self.z << depth);
        let at = |code| {
            let (x, z) = super::unmorton(code);
            Self { space: self.space, level, x, z }
        };
        (first..first + (1u32 << (2 * depth))).map(at).collect()
    }

    /// Whether one of two shards lies in the other, or they are the same.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first_cell()) || other.contains(self.first_cell())
    }

    /// Whether the estate of the closed shard `name` is this one's: it holds its first cell.
    pub fn inherits(self, name: Self) -> bool {
        self != name && self.contains(name.first_cell())
    }

    /// The shard behind this one in Morton order, of this level or a coarser one, as long as it lies within `region`: all blocks
    /// that the region was ever cut into are met by going on from its first one.
    pub fn next_within(self, region: Self) -> Option<Self> {
        if self.level >= region.level || !region.overlaps(self) {
            return None;
        }
        let parent = self.parent()?;
        let siblings = parent.children()?;
        let at = siblings.iter().position(|sibling| *sibling == self)?;
        siblings.get(at + 1).copied().or_else(|| parent.next_within(region))
    }

    /// Whether two shards share an edge or a corner; false when they overlap.
    pub fn touches(self, other: Self) -> bool {
        let nearest = other.nearest_cell(self.nearest_cell(other.first_cell()));
        let here = self.nearest_cell(nearest);
        here.rings_to(nearest) == Some(1)
    }

    /// Packed for the wire.
    pub fn to_bits(self) -> u64 {
        u64::from(self.space.0) << 48 | u64::from(self.level) << 32 | u64::from(self.x) << 16 | u64::from(self.z)
    }

    /// The inverse of [`Self::to_bits`]; `None` for a level or a block that cannot exist.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let shard =
            Self { space: SpaceId((bits >> 48) as u16), level: (bits >> 32) as u8, x: (bits >> 16) as u16, z: bits as u16 };
        shard.exists().then_some(shard).filter(|s| s.to_bits() == bits)
    }

    fn exists(self) -> bool {
        let blocks = |level: u8| 1u32 << (SHARD_LEVEL_MAX - level);
        self.level <= SHARD_LEVEL_MAX && u32::from(self.x) < blocks(self.level) && u32::from(self.z) < blocks(self.level)
    }
}

impl PartialOrd for ShardId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ShardId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.first_cell().cmp(&other.first_cell()).then(self.level.cmp(&other.level))
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{},{}", self.space.0, self.level, self.x, self.z)
    }
}

/// A shard name that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a shard; expected space/level/x,z such as `0/3/1,0`, with a level of at most {SHARD_LEVEL_MAX}")]
pub struct ParseShardIdError(pub String);

impl FromStr for ShardId {
    type Err = ParseShardIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut parts = text.split('/');
            let space = SpaceId(parts.next()?.parse().ok()?);
            let level = parts.next()?.parse().ok()?;
            let (x, z) = parts.next()?.split_once(',')?;
            let shard = Self { space, level, x: x.parse().ok()?, z: z.parse().ok()? };
            (parts.next().is_none() && shard.exists()).then_some(shard)
        };
        parse().ok_or_else(|| ParseShardIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shard(level: u8, x: u16, z: u16) -> ShardId {
        ShardId { space: SpaceId(3), level, x, z }
    }

    prop_compose! {
        fn any_shard()(level in 0u8..=SHARD_LEVEL_MAX)
            (level in Just(level), x in 0..1u16 << (SHARD_LEVEL_MAX - level), z in 0..1u16 << (SHARD_LEVEL_MAX - level)) -> ShardId {
            shard(level, x, z)
        }
    }

    proptest! {
        #[test]
        fn names_and_bits_round_trip(s in any_shard()) {
            prop_assert_eq!(s.to_string().parse::<ShardId>(), Ok(s));
            prop_assert_eq!(ShardId::from_bits(s.to_bits()), Some(s));
        }

        #[test]
        fn the_order_is_that_of_the_first_keys_and_then_of_size(a in any_shard(), b in any_shard()) {
            let by_keys = |s: ShardId| (s.key_range().0, s.level);
            prop_assert_eq!(a.cmp(&b), by_keys(a).cmp(&by_keys(b)));
        }

        #[test]
        fn children_tile_their_parent(s in any_shard()) {
            if let Some(children) = s.children() {
                let (first, last) = s.key_range();
                prop_assert_eq!(children[0].key_range().0, first);
                prop_assert_eq!(children[3].key_range().1, last);
                for pair in children.windows(2) {
                    prop_assert_eq!(pair[0].key_range().1 + 1, pair[1].key_range().0);
                }
                for child in children {
                    prop_assert_eq!(child.parent(), Some(s));
                }
            }
        }

        #[test]
        fn the_key_range_is_the_shard(s in any_shard(), x in 0u16..1024, z in 0u16..1024) {
            let cell = CellId { space: SpaceId(3), x, z };
            let (first, last) = s.key_range();
            prop_assert_eq!(s.contains(cell), (first..=last).contains(&cell.key()));
        }
    }

    #[test]
    fn an_estate_belongs_to_whoever_holds_its_first_cell() {
        let parent = shard(2, 1, 1);
        let children = parent.children().expect("four");
        assert_eq!(children.map(|child| child.inherits(parent)), [true, false, false, false]);
        assert_eq!(children.map(|child| parent.inherits(child)), [true; 4]);
        assert!(!parent.inherits(parent));
        assert!(parent.overlaps(children[3]) && children[3].overlaps(parent) && !children[0].overlaps(children[1]));
    }

    #[test]
    fn the_blocks_of_a_region_follow_each_other() {
        let region = shard(2, 0, 0);
        let children = region.children().expect("four");
        let mut met = vec![children[0].children().expect("four")[2]];
        while let Some(next) = met[met.len() - 1].next_within(region) {
            met.push(next);
        }
        assert_eq!(met[1..], [children[0].children().expect("four")[3], children[1], children[2], children[3]]);
        assert_eq!(region.next_within(region), None);
        assert_eq!(shard(1, 2, 0).next_within(region), None, "outside");
    }

    #[test]
    fn neighbours_touch_across_levels() {
        assert!(shard(2, 0, 0).touches(shard(2, 1, 1)));
        assert!(shard(2, 0, 0).touches(shard(0, 4, 3)));
        assert!(!shard(2, 0, 0).touches(shard(0, 5, 3)));
        assert!(!shard(2, 0, 0).touches(shard(2, 0, 0)));
        assert!(!shard(2, 0, 0).touches(shard(1, 0, 0)));
    }

    #[test]
    fn border_cells_face_the_neighbour() {
        let west = shard(2, 0, 0);
        let border = west.border_cells(shard(2, 1, 0), 1);
        assert_eq!(border.len(), 4);
        assert!(border.iter().all(|c| c.x == 3));
        assert_eq!(west.border_cells(shard(2, 1, 1), 1).len(), 1);
        assert_eq!(west.cells().count(), 16);
    }

    #[test]
    fn distance_is_zero_inside() {
        let s = shard(1, 1, 0);
        assert_eq!(s.distance_to(Position { x: 70.0, z: 1.0 }), 0.0);
        assert_eq!(s.distance_to(Position { x: 61.0, z: 68.0 }), 5.0);
        assert!(s.contains_position(Position { x: 64.0, z: 0.0 }));
        assert!(!s.contains_position(Position { x: 128.0, z: 0.0 }));
    }

    #[test]
    fn a_clamped_position_is_inside() {
        let s = shard(3, 2, 1);
        for (x, z) in [(-5.0, 900.0), (512.0, 256.0), (767.9, 511.9), (9_000.0, 0.0), (768.0, 512.0)] {
            assert!(s.contains_position(s.clamp(Position { x, z })));
        }
    }

    #[test]
    fn impossible_shards_are_named() {
        for text in ["0/11/0,0", "0/10/1,0", "0/3/1", "0/3/1,0/7", "x/3/1,0"] {
            assert_eq!(text.parse::<ShardId>(), Err(ParseShardIdError(text.to_owned())));
        }
    }
}
