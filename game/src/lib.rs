//! The demo game: enough of a game that the architecture is used in earnest. One feature per file; start with [`movement`].
//!
//! A feature is a `plugin` that registers its types and systems. A system is a plain function over components; where an entity
//! lives, which process runs it and when it crosses a border is none of its business.

pub mod chat;
pub mod combat;
pub mod creatures;
pub mod flock;
pub mod health;
pub mod holdings;
pub mod items;
pub mod looks;
pub mod mount;
pub mod movement;
pub mod trade;
pub mod wander;

#[cfg(test)]
mod tests;

use pangaea_scene::prelude::*;

/// The whole game, in the order in which a reader should meet it.
pub fn game(game: &mut Game) {
    game.plugin(looks::plugin)
        .plugin(movement::plugin)
        .plugin(mount::plugin)
        .plugin(creatures::plugin)
        .plugin(wander::plugin)
        .plugin(flock::plugin)
        .plugin(health::plugin)
        .plugin(combat::plugin)
        .plugin(holdings::plugin)
        .plugin(items::plugin)
        .plugin(trade::plugin)
        .plugin(chat::plugin)
        .plugin(pangaea_script::plugin);
}
