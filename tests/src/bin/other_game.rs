//! The demo game with one component more: a build that keeps something else than the demo's.

use std::process::ExitCode;

use pangaea_scene::prelude::*;

/// How far somebody has walked.
#[component]
struct Mileage {
    metres: f32,
}

fn main() -> ExitCode {
    pangaea_cli::main(|game| {
        game.plugin(pangaea_game::game).component::<Mileage>().replicated();
    })
}
