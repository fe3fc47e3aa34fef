//! Bare interest: a grid, everybody within a radius, twelve bytes for each. What the bare loop does for each client and tick,
//! without its sockets.

use crate::measure::cpu_seconds;

/// Bytes told of one neighbour.
pub(crate) const RECORD_BYTES: usize = 12;

/// Points on a grid whose cells are as wide as the view.
pub(crate) struct Crowd {
    radius_m: f32,
    edge_cells: usize,
    pub(crate) points: Vec<(f32, f32)>,
    velocities: Vec<(f32, f32)>,
    cells: Vec<Vec<u32>>,
}

impl Crowd {
    /// So many points in a square in which each sees about `visible` others.
    pub(crate) fn new(count: usize, visible: f32, radius_m: f32) -> Self {
        let area = count as f32 / visible * std::f32::consts::PI * radius_m * radius_m;
        let edge_cells = (area.sqrt() / radius_m).ceil().max(1.0) as usize;
        let edge_m = area.sqrt();
        let mut rng = fastrand::Rng::with_seed(11);
        let points = (0..count).map(|_| (rng.f32() * edge_m, rng.f32() * edge_m)).collect();
        let velocities = (0..count).map(|_| (rng.f32() * 8.0 - 4.0, rng.f32() * 8.0 - 4.0)).collect();
        Self { radius_m, edge_cells, points, velocities, cells: vec![Vec::new(); edge_cells * edge_cells] }
    }

    /// Everybody goes on for a tick; who leaves the square turns round.
    pub(crate) fn step(&mut self) {
        let edge_m = self.edge_cells as f32 * self.radius_m;
        for ((x, z), (vx, vz)) in self.points.iter_mut().zip(&mut self.velocities) {
            (*x, *z) = (*x + *vx * 0.05, *z + *vz * 0.05);
            if !(0.0..edge_m).contains(x) {
                (*x, *vx) = (x.clamp(0.0, edge_m - 0.01), -*vx);
            }
            if !(0.0..edge_m).contains(z) {
                (*z, *vz) = (z.clamp(0.0, edge_m - 0.01), -*vz);
            }
        }
        self.cells.iter_mut().for_each(Vec::clear);
        for n in 0..self.points.len() {
            let cell = self.cell_of(self.points[n]);
            self.cells[cell].push(n as u32);
        }
    }

    fn cell_of(&self, (x, z): (f32, f32)) -> usize {
        let at = |v: f32| ((v / self.radius_m) as usize).min(self.edge_cells - 1);
        at(z) * self.edge_cells + at(x)
    }

    /// Appends what `viewer` sees; how many.
    pub(crate) fn see(&self, viewer: usize, out: &mut Vec<u8>) -> usize {
        let (x, z) = self.points[viewer];
        let (cell_x, cell_z) = ((x / self.radius_m) as usize, (z / self.radius_m) as usize);
        let mut seen = 0;
        for row in cell_z.saturating_sub(1)..=(cell_z + 1).min(self.edge_cells - 1) {
            for column in cell_x.saturating_sub(1)..=(cell_x + 1).min(self.edge_cells - 1) {
                for &other in &self.cells[row * self.edge_cells + column] {
                    let (dx, dz) = (self.points[other as usize].0 - x, self.points[other as usize].1 - z);
                    if dx * dx + dz * dz <= self.radius_m * self.radius_m && other as usize != viewer {
                        let mut record = [0; RECORD_BYTES];
                        record[..4].copy_from_slice(&other.to_le_bytes());
                        record[4..8].copy_from_slice(&dx.to_le_bytes());
                        record[8..].copy_from_slice(&dz.to_le_bytes());
                        out.extend_from_slice(&record);
                        seen += 1;
                    }
                }
            }
        }
        seen
    }

    /// Nanoseconds per visible pair of one tick of everybody, sockets not counted.
    pub(crate) fn pair_ns(&mut self) -> f64 {
        let mut out = Vec::new();
        let (pairs, took) = cpu_seconds(|| {
            self.step();
            let mut pairs = 0;
            for viewer in 0..self.points.len() {
                out.clear();
                pairs += self.see(viewer, &mut out);
            }
            pairs
        });
        took * 1e9 / pairs.max(1) as f64
    }
}
