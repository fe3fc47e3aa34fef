//! NAME: what it takes over from the demo, and its own features, one file each.

pub mod glow;

use pangaea_scene::prelude::*;

/// The whole game. Take `pangaea_game::game` apart when you want less of the demo: see its source.
pub fn game(game: &mut Game) {
    game.plugin(pangaea_game::game).plugin(glow::plugin);
}
