//! The engine's backends keep the contracts that the embedded ones keep: on one real server, and on a real cluster of three
//! whose servers are killed. Where there is no `nats-server`, these tests say so and check nothing.

mod backends;
mod faults;
mod tls;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use backends::{NatsBeacon, NatsBlobs, NatsBus, NatsJournal};
use pangaea_node::engine::server::{self, LocalServers};
use pangaea_persistence::contract::{blobs_suite, journal_suite};
use pangaea_world::contract::{beacon_suite, bus_suite};

/// Servers, the folder of their files, and a runtime for their clients.
pub(crate) struct Stage {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) servers: LocalServers,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// `None`, loudly, where the engine is not installed.
    #[expect(clippy::print_stderr, reason = "a test that checks nothing must say so")]
    pub(crate) fn of(count: usize) -> Option<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace");
        let Some(program) = server::program(workspace) else {
            eprintln!("SKIPPED: there is no nats-server; `cargo xtask nats` installs it");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let servers = LocalServers::start(&program, folder.path(), count).expect("servers");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        Some(Self { runtime, servers, _folder: folder })
    }
}

/// A name that no other rule of any suite has: each starts on an empty cluster.
pub(crate) fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn keeps_the_contracts(servers: usize) {
    let Some(stage) = Stage::of(servers) else { return };
    let options = stage.servers.options();
    beacon_suite(|| NatsBeacon::fresh(stage.runtime.handle(), &options));
    bus_suite(|| NatsBus::fresh(stage.runtime.handle(), &options));
    blobs_suite(|| NatsBlobs::fresh(stage.runtime.handle(), &options));
    journal_suite(|| NatsJournal::fresh(stage.runtime.handle(), &options));
}

#[test]
fn one_server_keeps_the_contracts() {
    keeps_the_contracts(1);
}

#[test]
fn a_cluster_of_three_keeps_the_contracts() {
    keeps_the_contracts(3);
}
