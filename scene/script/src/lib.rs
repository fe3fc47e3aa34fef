//! Scripts in Luau (<https://luau.org>): systems that designers write and change while the world runs.
//!
//! A game that wants them adds [`plugin`]. A script is a file `NAME.luau` that returns what it asks for and what it does:
//!
//! ```luau
//! return system {
//!     phase = "React",
//!     reads = { "health" },
//!     writes = { "look" },
//!     run = function(batch, world)
//!         local now, max = batch:read("health.now"), batch:read("health.max")
//!         local hue = batch:read("look.hue")
//!         for row = 1, batch.count do
//!             hue[row] = 120 * now[row] // max[row]
//!         end
//!         batch:write("look.hue", hue)
//!     end,
//! }
//! ```
//!
//! A column is a plain array: one value for each entity that has all the components named. That is what makes ten thousand
//! entities affordable; `each = function(entity, world)` instead of `run` is easier to write and several times dearer. What else
//! there is stands in [`types`], which editors read.
//!
//! A script may do nothing but that: no files, no clock, no chance but `batch:chance()`, no memory from tick to tick. All
//! scripts of a shard have [`STEPS_MAX`](pangaea_scene::scripts::STEPS_MAX) steps per tick together, each has
//! [`MEMORY_BYTES_MAX`] bytes. A step is a turn of a loop, a call, or 64 bytes asked for; calls that do much at once pay for it.
//! When those of a scene have taken [`SCENE_STEPS_MAX`](pangaea_scene::scripts::SCENE_STEPS_MAX), the others rest for that tick.

mod engine;
mod fault;
mod layout;
mod meter;
pub mod types;

use pangaea_scene::game::Game;

pub use engine::Luau;

/// Bytes that a script may hold at a time in one shard, the language's own half megabyte included.
pub const MEMORY_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// Lines that a script may print in one tick of a shard; the rest is not printed.
pub const PRINTS_MAX: u64 = 20;

/// Lets designers write systems of this game in Luau.
pub fn plugin(game: &mut Game) {
    game.script_engine(Luau);
}

#[cfg(test)]
mod tests;
