//! Tag: whoever is it touches somebody, and then they are it.

use pangaea_game::health::Health;
use pangaea_game::looks::{Look, Name};
use pangaea_game::wander::Wanders;
use pangaea_scene::prelude::*;

/// How tag is played.
#[tunable]
pub struct Tag {
    /// How near is a touch, in metres.
    #[tune(2.0, 0.5..=10.0)]
    pub reach_m: f32,
    /// Seconds until whoever was touched may touch somebody.
    #[tune(3.0, 0.0..=60.0)]
    pub pause_s: f32,
}

/// They are it.
#[component]
pub struct It {
    /// Until then they touch nobody.
    pub pause: Timer,
    /// How often it was passed on before.
    pub passed: u32,
    /// The colour that they had.
    pub hue: u32,
}

/// Whoever was it touches somebody.
#[effect]
pub struct Touch {
    /// How often it was passed on.
    pub passed: u32,
}

/// Everything that the game needs to know.
pub fn plugin(game: &mut Game) {
    game.component::<It>().replicated().persistent().ghosted();
    game.effect::<Touch>();
    game.tunable::<Tag>();
    game.spawner(|shard| {
        let (place, it) = (shard.anywhere(), It { pause: Timer::OVER, passed: 0, hue: 30 });
        let name = Name { text: Text::new("Fox") };
        shard.at(place, (name, Look { kind: Look::WOLF, hue: 0 }, Health::full(60), Wanders::now(), it));
    });
    game.system(Phase::Act, touch);
    game.system(Phase::React, take_over);
}

fn touch(
    clock: Clock,
    tuned: Tunable<Tag>,
    nearby: Nearby,
    its: Sight<It>,
    lives: Sight<Health>,
    mut players: Query<(Entity, &Identity, &Position, &It, &mut Look)>,
    mut effects: Effects,
    mut commands: Commands,
) {
    for (entity, identity, position, it, mut look) in &mut players {
        if !clock.is_over(it.pause) {
            continue;
        }
        // The one who is near may live in the next shard: `Sight` shows its ghost, and the effect goes to it.
        let free = |near: &Near| near.id != identity.id() && lives.get(near.id).is_some() && its.get(near.id).is_none();
        if let Some(near) = nearby.within(*position, tuned.reach_m).find(free) {
            effects.send(identity.id(), near.id, &Touch { passed: it.passed + 1 });
            look.hue = it.hue as u8;
            commands.entity(entity).remove::<It>();
        }
    }
}

fn take_over(touches: Received<Touch>, clock: Clock, tuned: Tunable<Tag>, mut looks: Query<&mut Look>, mut commands: Commands) {
    for touch in touches.iter() {
        let Ok(mut look) = looks.get_mut(touch.entity) else { continue };
        let it = It { pause: clock.timer(tuned.pause_s), passed: touch.value.passed, hue: u32::from(look.hue) };
        look.hue = 0;
        commands.entity(touch.entity).insert(it);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(game: &mut Game) {
        game.plugin(pangaea_game::game).plugin(plugin);
    }

    fn runner() -> (Health, Look) {
        (Health::full(9), Look { kind: Look::SHEEP, hue: 90 })
    }

    const IT: It = It { pause: Timer::OVER, passed: 0, hue: 90 };

    #[test]
    fn it_is_passed_on_and_rests_a_while() {
        let mut world = Harness::new(game);
        let anna = world.spawn(Position::new(600.0, 600.0), (runner(), IT));
        let bert = world.spawn(Position::new(601.0, 600.0), runner());
        world.ticks(2);
        assert!(world.get::<It>(anna).is_none());
        assert_eq!(world.get::<It>(bert).expect("it").passed, 1);
        world.ticks(50);
        assert!(world.get::<It>(bert).is_some(), "three seconds are not over");
        world.ticks(15);
        assert!(world.get::<It>(anna).is_some());
    }

    #[test]
    fn it_crosses_a_border() {
        let mut world = Harness::new(game);
        let anna = world.spawn(Position::new(767.5, 600.0), (runner(), IT));
        let ghost = world.ghost(Position::new(768.5, 600.0), Health::full(9));
        let mut sent = Vec::new();
        for _ in 0..3 {
            sent.extend(world.tick().effects.iter().map(|(effect, _)| effect.to));
        }
        assert_eq!(sent, [ghost]);
        assert!(world.get::<It>(anna).is_none(), "it is in the next shard now");
    }
}
