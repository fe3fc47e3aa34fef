//! Players glow: their colour goes around the wheel. A feature to begin with; delete it when you have your own.

use pangaea_game::looks::Look;
use pangaea_scene::prelude::*;

/// How players glow.
#[tunable]
pub struct Glow {
    /// Steps of the colour wheel, which has 256, per tick.
    #[tune(1, 0..=32)]
    pub speed: u8,
}

/// One system, after everything else has happened.
pub fn plugin(game: &mut Game) {
    game.tunable::<Glow>();
    game.system(Phase::React, glow);
}

fn glow(tuned: Tunable<Glow>, mut players: Query<&mut Look, With<Player>>) {
    for mut look in &mut players {
        look.hue = look.hue.wrapping_add(tuned.speed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The demo and this feature, whatever else your game has.
    fn game(game: &mut Game) {
        game.plugin(pangaea_game::game).plugin(plugin);
    }

    #[test]
    fn players_glow_as_fast_as_designers_want() {
        let mut world = Harness::new(game);
        let anna = world.player("Anna");
        let hue = |world: &Harness| world.get::<Look>(anna).expect("here").hue;
        let before = hue(&world);
        world.ticks(3);
        assert_eq!(hue(&world), before.wrapping_add(3));
        world.tune("glow.speed", TuneValue::Int(10));
        world.tick();
        assert_eq!(hue(&world), before.wrapping_add(13));
    }
}
