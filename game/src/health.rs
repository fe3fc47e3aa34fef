//! Health: lost by hits, regained with time. Who has none left lies down for a while, then rises with all of it.

use pangaea_scene::prelude::*;

/// Ticks between two regained points.
const HEAL_TICKS: u64 = 20;
/// Seconds on the ground.
pub const DOWN_S: f32 = 4.0;

/// Hit points.
#[component]
pub struct Health {
    /// Left.
    pub now: u16,
    /// At most.
    pub max: u16,
}

impl Health {
    /// Unhurt.
    pub fn full(max: u16) -> Self {
        Self { now: max, max }
    }

    /// Able to do anything.
    pub fn is_up(&self) -> bool {
        self.now > 0
    }
}

/// It lies on the ground.
#[component]
pub struct Down {
    /// It rises at this tick.
    pub until: u64,
}

/// Healing comes after hits, in [`crate::combat`].
pub fn plugin(game: &mut Game) {
    game.component::<Health>().replicated().persistent().ghosted();
    game.component::<Down>().persistent();
    game.birth(|agent| {
        agent.insert(Health::full(100));
    });
    game.system(Phase::Decide, stay_down.after(crate::flock::flock).after(crate::wander::wander));
    game.system(Phase::React, (rise, heal).chain().after(crate::combat::suffer));
}

fn stay_down(mut fallen: Query<&mut Velocity, With<Down>>) {
    for mut velocity in &mut fallen {
        *velocity = Velocity::default();
    }
}

fn rise(clock: Clock, mut fallen: Query<(Entity, &Down, &mut Health)>, mut commands: Commands) {
    for (entity, down, mut health) in &mut fallen {
        if clock.tick().0 >= down.until {
            health.now = health.max;
            commands.entity(entity).remove::<Down>();
        }
    }
}

/// Who is up regains health with time.
pub fn heal(clock: Clock, mut hurt: Query<(&Identity, &mut Health), Without<Down>>) {
    for (identity, mut health) in &mut hurt {
        let due = (clock.tick().0 + identity.id().0).is_multiple_of(HEAL_TICKS);
        if due && health.is_up() && health.now < health.max {
            health.now += 1;
        }
    }
}
