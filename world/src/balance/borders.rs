//! Which shards touch which, whatever their sizes: the map as a sorted list of leaves.

use pangaea_schemas::geometry::{CellId, SPACE_LEVEL_MAX, ShardId, SpaceId};

/// The shards of a map in order. Positions in it name shards.
#[derive(Clone, Debug, Default)]
pub(super) struct Borders {
    ids: Vec<ShardId>,
    /// Of each shard's first cell: rising, as shards are ordered by it.
    keys: Vec<u64>,
}

/// A neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touching {
    /// Its position in the map.
    pub(super) shard: usize,
    /// How many of its cells lie in the ring of cells around the other.
    pub(super) cells: u32,
}

impl Borders {
    /// Of shards that do not overlap, in order.
    pub(super) fn new(ids: Vec<ShardId>) -> Self {
        let keys = ids.iter().map(|id| id.first_cell().key()).collect();
        Self { ids, keys }
    }

    pub(super) fn id(&self, shard: usize) -> ShardId {
        self.ids[shard]
    }

    /// The shard that holds a cell.
    fn holding(&self, cell: CellId) -> Option<usize> {
        let shard = self.keys.partition_point(|key| *key <= cell.key()).checked_sub(1)?;
        self.ids[shard].contains(cell).then_some(shard)
    }

    /// The neighbours of a shard: those that hold a cell of the ring around it.
    pub(super) fn around(&self, shard: usize) -> Vec<Touching> {
        let id = self.ids[shard];
        let (corner, edge) = (id.first_cell(), i32::from(id.edge_cells()));
        let (west, north) = (i32::from(corner.x) - 1, i32::from(corner.z) - 1);
        let mut found = Vec::new();
        for z in [north, north + edge + 1] {
            self.walk(id.space, west..west + edge + 2, |x| (x, z), &mut found);
        }
        for x in [west, west + edge + 1] {
            self.walk(id.space, north + 1..north + 1 + edge, |z| (x, z), &mut found);
        }
        found
    }

    /// One side of a ring, from shard to shard rather than from cell to cell.
    fn walk(&self, space: SpaceId, side: std::ops::Range<i32>, at: impl Fn(i32) -> (i32, i32), found: &mut Vec<Touching>) {
        let mut step = side.start;
        while step < side.end {
            let (x, z) = at(step);
            let inside = 0..1 << SPACE_LEVEL_MAX;
            let cell = CellId { space, x: x as u16, z: z as u16 };
            let shard = Some(cell).filter(|_| inside.contains(&x) && inside.contains(&z)).and_then(|cell| self.holding(cell));
            // Where the map ends, it usually ends for the whole side.
            let Some(shard) = shard else {
                step += 1;
                continue;
            };
            let edge = i32::from(self.ids[shard].edge_cells());
            let end = (step - step.rem_euclid(edge) + edge).min(side.end);
            let cells = (end - step) as u32;
            match found.iter_mut().find(|touching| touching.shard == shard) {
                Some(touching) => touching.cells += cells,
                None => found.push(Touching { shard, cells }),
            }
            step = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(borders: &Borders, of: &str) -> Vec<String> {
        let shard = borders.ids.binary_search(&of.parse().expect("a shard")).expect("on the map");
        let mut names: Vec<_> = borders.around(shard).iter().map(|t| format!("{} {}", borders.id(t.shard), t.cells)).collect();
        names.sort();
        names
    }

    /// A space of 16 cells: three shards of 8 cells, and four of 4 cells in the south-east.
    fn mixed() -> Borders {
        let quarters = "0/4/0,0".parse::<ShardId>().expect("a shard").children().expect("four");
        let mut ids = quarters[..3].to_vec();
        ids.extend(quarters[3].children().expect("four"));
        Borders::new(ids)
    }

    #[test]
    fn neighbours_of_the_same_size_share_an_edge_or_a_corner() {
        let ids = "0/5/0,0".parse::<ShardId>().expect("a shard").descendants(3);
        let borders = Borders::new(ids);
        assert_eq!(names(&borders, "0/3/0,0"), ["0/3/0,1 8", "0/3/1,0 8", "0/3/1,1 1"]);
        assert_eq!(names(&borders, "0/3/1,1").len(), 8);
    }

    #[test]
    fn neighbours_of_other_sizes_are_found_from_both_sides() {
        let borders = mixed();
        assert_eq!(names(&borders, "0/2/2,2"), ["0/2/2,3 4", "0/2/3,2 4", "0/2/3,3 1", "0/3/0,0 1", "0/3/0,1 5", "0/3/1,0 5"]);
        assert_eq!(names(&borders, "0/3/1,0"), ["0/2/2,2 4", "0/2/3,2 4", "0/3/0,0 8", "0/3/0,1 1"]);
    }

    #[test]
    fn the_ring_finds_exactly_those_who_touch() {
        let borders = mixed();
        for one in 0..borders.ids.len() {
            let around: Vec<usize> = borders.around(one).iter().map(|touching| touching.shard).collect();
            for other in 0..borders.ids.len() {
                assert_eq!(around.contains(&other), borders.id(one).touches(borders.id(other)), "{one} {other}");
            }
        }
    }
}
