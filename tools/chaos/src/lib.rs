//! Chaos: a cluster of real processes under load is hurt for real, and must have lost nothing afterwards.
//!
//! 1. A fresh cluster starts, every link between its nodes through a [`relay`], its store on a small disk of its own ([`disk`]);
//!    or on several hosts with a network between them, whole hosts of which are hurt (`hosts`).
//! 2. Bots play, and remember what they saw and what they were told that they own.
//! 3. From one seed, [`plan`] draws [`fault`]s: one at a time at first, then two that overlap. `storm` does them, heals them, and
//!    measures how long it takes until all shards run, every bot is answered and value moves.
//!    Or else, in a drill, everybody who takes part in a shard's migration is killed at each step of it.
//! 4. Everything rests; [`audit`] looks at the real data: live, and in the files when all processes have ended.
//! 5. [`judge`] holds what the bots saw against what the promises allow for that fault, at that place, at that time. Nothing else
//!    is forgiven.
//!
//! Read in this order; [`report`] is what comes out.

pub mod audit;
pub mod disk;
pub mod fault;
mod hosts;
pub mod judge;
pub mod plan;
pub mod relay;
pub mod report;

mod storm;

use std::path::PathBuf;
use std::time::Duration;

use pangaea_node::halt::Point;
use pangaea_node::up::UpEngine;

pub use fault::FaultKind;
pub use report::ChaosReport;
pub use storm::run;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct ChaosOptions {
    /// How long faults are injected.
    pub play: Duration,
    /// How many bots play meanwhile.
    pub bots: u32,
    /// The same seed: the same faults in the same order.
    pub seed: u64,
    /// Where the cluster lives; a temporary folder when not given, kept only if something is wrong.
    pub data_dir: Option<PathBuf>,
    /// Port of the cluster's page; all others are above it.
    pub port_base: u16,
    /// Scene processes.
    pub scenes: u16,
    /// Gateway processes.
    pub gateways: u16,
    /// World processes, of which one leads; several need the engine.
    pub worlds: u16,
    /// Data processes with a copy each; several need the engine.
    pub datas: u16,
    /// Where beacon, journals, bus and blobs are. Servers that others run cannot be hurt.
    pub engine: UpEngine,
    /// Hosts that the processes are spread over: 1, or several, which need an engine of its own with as many servers.
    pub hosts: u16,
    /// Only these kinds of fault, by name, and each at least once; all when empty, as many as there is time for.
    pub only: Vec<FaultKind>,
    /// Instead of faults that are drawn: everybody who takes part in a shard's migration is killed at every step of it.
    pub drill: bool,
    /// Only at these points of it; at all when empty.
    pub drill_at: Vec<Point>,
    /// Promised times are multiplied by this, for slow machines and unoptimised builds.
    pub patience: f64,
}
