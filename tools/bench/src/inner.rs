//! The inner loops, one round at a time, for those who count instructions: their number does not drift with the machine.

use crate::suite::{replication, tick};

/// One round of a loop.
pub type Round = Box<dyn FnMut()>;

/// Names of the loops.
pub const LOOPS: [&str; 2] = ["gateway-round", "shard-tick"];

/// A loop by its name, warmed up: `gateway-round` is a tick of a gateway with 625 clients who each see about 30, frames in and
/// updates out; `shard-tick` one of a shard in which 2,500 walk, its frames encoded.
///
/// # Errors
/// There is no such loop, or it could not be set up.
pub fn inner_loop(name: &str) -> anyhow::Result<Round> {
    match name {
        "gateway-round" => replication::round(),
        "shard-tick" => tick::round(),
        _ => anyhow::bail!("there is no loop {name}; there are {}", LOOPS.join(", ")),
    }
}
