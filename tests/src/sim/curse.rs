//! A bug in the game for those who want one: an input that nobody else sends ends the process that applies it, at once, as an
//! abort or a stack overflow does. A panic alone would not: a system that panics costs its own work in this tick.

use std::cell::Cell;

use pangaea_scene::prelude::*;

thread_local! {
    /// The process that was stepped last on this thread has ended in the midst of its tick.
    static STRUCK: Cell<bool> = const { Cell::new(false) };
}

/// Ends the process that applies it.
#[input]
pub struct Curse {
    /// Nothing.
    pub of: u64,
}

/// The demo game with the bug.
pub fn game(game: &mut Game) {
    pangaea_game::game(game);
    game.input::<Curse>();
    game.system(Phase::Input, strike);
}

/// Whether the process that was stepped last is no more: whatever it did then, nobody hears of it.
pub fn has_struck() -> bool {
    STRUCK.take()
}

fn strike(inputs: Inputs<Curse>) {
    if inputs.iter().next().is_some() {
        STRUCK.set(true);
    }
}
