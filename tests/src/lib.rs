//! The deterministic simulator and the tests that need several roles.

pub mod sim;
