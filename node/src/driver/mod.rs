//! One process of a role: the core on a thread of its own, tokio's tasks around it for everything that waits.
//!
//! One closed enum of events, with one part per role, lists everything that wakes a driver. Each has one bounded loop: wait for
//! events or the next deadline, hand at most [`BATCH_MAX`] events to the core, then drain its outputs.

mod auth;
mod data;
mod desk;
mod gateway;
mod laps;
mod process;
mod scene;
mod standby;
mod tick_threads;
mod world;

use pangaea_scene::game::BuiltGame;
use pangaea_schemas::Role;

use crate::role::RoleOptions;

pub use process::BATCH_MAX;

/// What a game adds to the world server: systems in `world::Phase::Simulate`, and what they share.
pub type WorldSystems = fn(&mut pangaea_world::World);

/// Run one process of a role until it is told to stop (SIGTERM, SIGINT, or the end of stdin when supervised).
///
/// # Errors
/// It could not start, or its core ended; the text says what, where and what to do.
pub fn run(options: RoleOptions, game: BuiltGame, systems: WorldSystems) -> anyhow::Result<()> {
    match options.node.role {
        Role::World => process::run::<world::WorldDriver>(options, game, systems),
        Role::Data => process::run::<data::DataDriver>(options, game, systems),
        Role::Auth => process::run::<auth::AuthDriver>(options, game, systems),
        Role::Scene => process::run::<scene::SceneDriver>(options, game, systems),
        Role::Gateway => process::run::<gateway::GatewayDriver>(options, game, systems),
    }
}
