//! The control plane core: beacon, bus, authentication, agent directory, managers and world systems.

pub mod beacon;
pub mod bus;
pub mod contract;
mod stored;

pub use beacon::Beacon;
pub use bus::Bus;
