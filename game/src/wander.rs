//! Wandering: walk some way, stand a while, turn, go on. Borders mean nothing to a wolf.

use pangaea_scene::prelude::*;

/// How wolves wander.
#[tunable]
pub struct Wandering {
    /// Speed in m/s.
    #[tune(2.4, 0.0..=20.0)]
    pub speed_m_per_s: f32,
    /// Seconds until it changes its mind, at most.
    #[tune(6.0, 1.0..=60.0)]
    pub patience_s: f32,
    /// How often it stands for a while instead of going on.
    #[tune(0.3, 0.0..=1.0)]
    pub rest: f32,
}

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
    game.tunable::<Wandering>();
    game.system(Phase::Decide, wander);
}

pub(crate) fn wander(
    clock: Clock,
    chance: Chance,
    tuned: Tunable<Wandering>,
    mut wolves: Query<(&Identity, &mut Wanders, &mut Velocity)>,
) {
    let now = clock.tick().0;
    for (identity, mut wanders, mut velocity) in &mut wolves {
        if now < wanders.until {
            continue;
        }
        let mut dice = chance.of(identity.id());
        wanders.until = now + clock.ticks(1.0 + dice.f32() * (tuned.patience_s - 1.0));
        let angle = dice.f32() * std::f32::consts::TAU;
        let speed = if dice.f32() < tuned.rest { 0.0 } else { tuned.speed_m_per_s };
        *velocity = Velocity::new(angle.cos() * speed, angle.sin() * speed);
    }
}
