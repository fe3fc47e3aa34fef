//! One process of a role: the core on a thread of its own, tokio's tasks around it for everything that waits.
//!
//! One closed enum of events, with one part per role, lists everything that wakes a driver. Each has one bounded loop: wait for
//! events or the next deadline, hand at most [`BATCH_MAX`] events to the core, then drain its outputs.

mod auth;
mod data;
mod desk;
mod gateway;
mod process;
mod scene;
mod standby;
mod tick_threads;
mod world;

use pangaea_scene::game::BuiltGame;
use pangaea_schemas::Role;

use crate::role::RoleOptions;

pub use process::BATCH_MAX;

/// Run one process of a role until it is told to stop (SIGTERM, SIGINT, or the end of stdin when supervised).
///
/// # Errors
/// It could not start, or its core ended; the text says what, where and what to do.
pub fn run(options: RoleOptions, game: BuiltGame) -> anyhow::Result<()> {
    match options.node.role {
        Role::World => process::run::<world::WorldDriver>(options, game),
        Role::Data => process::run::<data::DataDriver>(options, game),
        Role::Auth => process::run::<auth::AuthDriver>(options, game),
        Role::Scene => process::run::<scene::SceneDriver>(options, game),
        Role::Gateway => process::run::<gateway::GatewayDriver>(options, game),
    }
}
