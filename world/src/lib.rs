//! The control plane core: beacon, bus, authentication, agent directory, managers and world systems.
//!
//! Read [`world`] first: the tick and its phases. Then one file per manager: [`nodes`], [`shards`] (with its state machine
//! [`custody`]), [`moves`], [`balance`] (the planner of both), [`agents`], [`gates`], [`rules`] with [`scripts`]; the world's own
//! systems [`clock`] and [`chat`]; [`status`] and [`passages`] for admins; [`auth`], which runs in processes of its own.
//! [`beacon`] and [`bus`] are the embedded backends of two interfaces, and [`contract`] is what any backend must do. Nothing
//! here decides who owns a shard: journals do.

pub mod world;

pub mod agents;
pub mod auth;
pub mod balance;
pub mod chat;
pub mod clock;
pub mod custody;
pub mod gates;
pub mod inbox;
pub mod moves;
pub mod nodes;
mod parked;
pub mod passages;
pub mod restarts;
pub mod rules;
pub mod scripts;
pub mod shards;
pub mod status;

pub mod beacon;
pub mod bus;
pub mod contract;

pub use beacon::Beacon;
pub use bus::Bus;
pub use status::Status;
pub use world::{Order, World, WorldConfig};
