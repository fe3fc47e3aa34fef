//! The demo game with a system that nobody should deploy: each tick of each shard takes 8 ms more.

use std::process::ExitCode;
use std::time::Duration;

use pangaea_scene::prelude::*;

fn main() -> ExitCode {
    pangaea_cli::main(|game| {
        game.plugin(pangaea_game::game).system(Phase::Decide, doze);
    })
}

fn doze() {
    std::thread::sleep(Duration::from_millis(8));
}
