//! The client edge core: sessions, routing of inputs and replication to clients.
//!
//! [`Gateway`] takes what nodes and clients say and returns what to tell them; it opens no socket and reads no clock. Read in
//! this order: [`limits`], `session`, `gateway`, `clients`, `nodes`, `upkeep`, `drain`; then how inputs and events travel
//! (`inputs`, `events`, `routes`); then replication (`feeds`, `cells`, `course`, `interest`, `known`, `compose`).

pub mod limits;
pub mod ticket;

mod cells;
mod clients;
mod compose;
mod config;
mod course;
mod desk;
mod drain;
mod events;
mod feeds;
mod gateway;
mod inputs;
mod interest;
mod known;
mod nodes;
mod routes;
mod session;
mod slab;
mod upkeep;

pub use config::{GatewayConfig, Spectators, VIEW_RADIUS_CELLS};
pub use gateway::{ConnId, Gateway, Input, Output, Transport};
