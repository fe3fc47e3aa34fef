//! Raw bevy_ecs iteration: the same components, the same arithmetic, nothing around it.

use bevy_ecs::query::QueryState;
use bevy_ecs::world::World;
use pangaea_scene::prelude::{Position, Velocity};

use crate::measure::cpu_seconds;

/// Length of a tick in seconds.
const DT: f32 = 0.05;

/// So many entities that walk about in a square.
pub(crate) struct Walkers {
    world: World,
    query: QueryState<(&'static mut Position, &'static mut Velocity)>,
    edge_m: f32,
}

impl Walkers {
    pub(crate) fn new(count: u32, edge_m: f32) -> Self {
        let (mut world, mut rng) = (World::new(), fastrand::Rng::with_seed(7));
        for _ in 0..count {
            let position = Position::new(rng.f32() * edge_m, rng.f32() * edge_m);
            world.spawn((position, Velocity::new(rng.f32() * 8.0 - 4.0, rng.f32() * 8.0 - 4.0)));
        }
        let query = world.query();
        Self { world, query, edge_m }
    }

    /// Milliseconds of one walk over all of them.
    pub(crate) fn tick_ms(&mut self) -> f64 {
        let Self { world, query, edge_m } = self;
        let ((), took) = cpu_seconds(|| {
            for (mut position, mut velocity) in query.iter_mut(world) {
                let (x, z) = (position.x + velocity.x * DT, position.z + velocity.z * DT);
                if !(0.0..*edge_m).contains(&x) || !(0.0..*edge_m).contains(&z) {
                    *velocity = *velocity * -1.0;
                }
                *position = Position::new(x.clamp(0.0, *edge_m), z.clamp(0.0, *edge_m));
            }
        });
        world.increment_change_tick();
        took * 1e3
    }
}
