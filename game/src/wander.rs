//! Wandering: walk some way, stand a while, turn, go on. Borders mean nothing to a wolf.

use pangaea_scene::prelude::*;

/// Speed of a wanderer in m/s.
const WANDER_M_PER_S: f32 = 2.4;

/// It wanders.
#[component]
pub struct Wanders {
    /// Tick of the next change of mind.
    pub until: u64,
}

impl Wanders {
    /// It makes up its mind at once.
    pub fn now() -> Self {
        Self { until: 0 }
    }
}

/// One system in Decide.
pub fn plugin(game: &mut Game) {
    game.component::<Wanders>().persistent();
    game.system(Phase::Decide, wander);
}

pub(crate) fn wander(clock: Clock, chance: Chance, mut wolves: Query<(&Identity, &mut Wanders, &mut Velocity)>) {
    let now = clock.tick().0;
    for (identity, mut wanders, mut velocity) in &mut wolves {
        if now < wanders.until {
            continue;
        }
        let mut dice = chance.of(identity.id());
        wanders.until = now + clock.ticks(1.0 + dice.f32() * 5.0);
        let angle = dice.f32() * std::f32::consts::TAU;
        let speed = if dice.f32() < 0.3 { 0.0 } else { WANDER_M_PER_S };
        *velocity = Velocity::new(angle.cos() * speed, angle.sin() * speed);
    }
}
