//! Flocking, after C. Reynolds, "Flocks, Herds, and Schools" (1987): keep together, keep apart, and here: flee from wolves'
//! teeth.
//!
//! Neighbours may be ghosts of the next shard; `Nearby` and `Sight` show them alike, so a flock grazes across a border.

use pangaea_scene::prelude::*;

use crate::looks::Look;

/// How sheep keep together.
#[tunable]
pub struct Flocking {
    /// How far a sheep looks, in metres; no farther than neighbour shards show.
    #[tune(14.0, 2.0..=30.0)]
    pub sight_m: f32,
    /// How close is too close, in metres.
    #[tune(2.0, 0.0..=10.0)]
    pub elbow_m: f32,
    /// How close a wolf may come, in metres.
    #[tune(8.0, 0.0..=30.0)]
    pub fear_m: f32,
    /// Grazing speed in m/s.
    #[tune(0.8, 0.0..=10.0)]
    pub graze_m_per_s: f32,
    /// Fleeing speed in m/s.
    #[tune(4.0, 0.0..=20.0)]
    pub flee_m_per_s: f32,
}

/// A sheep thinks every so many ticks, each at its own time.
const THINK_TICKS: u64 = 8;

/// It keeps together with its like.
#[component]
pub struct Flocks {
    /// Which flock it takes for its own.
    pub flock: u32,
    /// None.
    pub pad: u32,
}

/// One system in Decide.
pub fn plugin(game: &mut Game) {
    game.component::<Flocks>().persistent().ghosted();
    game.tunable::<Flocking>();
    game.system(Phase::Decide, flock.after(crate::wander::wander));
}

pub(crate) fn flock(
    clock: Clock,
    chance: Chance,
    tuned: Tunable<Flocking>,
    nearby: Nearby,
    flocks: Sight<Flocks>,
    looks: Sight<Look>,
    mut sheep: Query<(&Identity, &Flocks, &Position, &mut Velocity)>,
) {
    for (identity, own, position, mut velocity) in &mut sheep {
        if !(clock.tick().0 + identity.id().0).is_multiple_of(THINK_TICKS) {
            continue;
        }
        let mut pull = Velocity::default();
        let mut fear = Velocity::default();
        for near in nearby.within(*position, tuned.sight_m).filter(|near| near.id != identity.id()) {
            let away = *position - near.position;
            let distance = away.speed().max(0.1);
            if looks.get(near.id).is_some_and(|look| look.kind == Look::WOLF) && distance < tuned.fear_m {
                fear = fear + away * (1.0 / distance);
            } else if flocks.get(near.id).is_some_and(|other| other.flock == own.flock) {
                pull = pull + away * if distance < tuned.elbow_m { 2.0 / distance } else { -0.05 };
            }
        }
        let mut dice = chance.of(identity.id());
        let whim = Velocity::new(dice.f32() - 0.5, dice.f32() - 0.5);
        let calm = (pull + whim * 1.5 + *velocity * 0.4).at_most(tuned.graze_m_per_s);
        let idle = fear == Velocity::default() && dice.f32() < 0.3;
        *velocity = match fear.speed() {
            0.0 if idle => Velocity::default(),
            0.0 => calm,
            _ => fear.with_speed(tuned.flee_m_per_s),
        };
    }
}
