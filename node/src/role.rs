//! What a role process is started with: one value, made by the command line, by `pangaea up`, or by a test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pangaea_gateway::VIEW_RADIUS_CELLS;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::{NodeId, Role};

use crate::engine::EngineOptions;
use crate::telemetry::LogFormat;
use crate::tls::TlsFiles;

/// Where clients of an embedded cluster are counted to; beyond it new connections are turned away.
pub const CONNECTIONS_MAX_DEFAULT: usize = 10_000;

/// How far players see, in cells.
pub const VIEW_CELLS_DEFAULT: u8 = VIEW_RADIUS_CELLS;

/// Space that a data node keeps for journals, in MiB.
pub const RESERVE_MIB_DEFAULT: u64 = 256;

/// Time between two snapshots, in seconds.
pub const SNAPSHOT_SECONDS_DEFAULT: u64 = 600;

/// Snapshots that are kept.
pub const SNAPSHOTS_KEPT_DEFAULT: usize = 3;

/// Scenes of a cluster that nobody told otherwise.
pub const SCENES_DEFAULT: u16 = 2;

/// Life in the new shards of a cluster that nobody told otherwise.
pub const ABUNDANCE_DEFAULT: u16 = 1;

/// How a data node keeps its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes of the disk and of the store's map that only journals may still use; at most a twentieth of the disk.
    pub reserve_bytes: u64,
    /// Time between two snapshots.
    pub snapshot_every: Duration,
    /// Older snapshots go; zero: none are taken.
    pub snapshots_kept: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            reserve_bytes: RESERVE_MIB_DEFAULT << 20,
            snapshot_every: Duration::from_secs(SNAPSHOT_SECONDS_DEFAULT),
            snapshots_kept: SNAPSHOTS_KEPT_DEFAULT,
        }
    }
}

/// One process of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleOptions {
    /// Which node it is; its role decides what runs.
    pub node: NodeId,
    /// The cluster's shape.
    pub cluster: ClusterSpec,
    /// Where this process listens for peers.
    pub listen: SocketAddr,
    /// Where peers are told to connect, when it is not where this process listens: behind a relay or an address translation.
    pub advertise: Option<SocketAddr>,
    /// Where the world's peers connect: everybody finds everybody from there.
    pub world: SocketAddr,
    /// Metrics and health; the admin API and the page, for the world.
    pub http: SocketAddr,
    /// The cluster's data folder: keys, and the data node's files.
    pub data_dir: PathBuf,
    /// The cluster's engine; `None`: beacon, bus and journals are embedded in the world's and the data process.
    pub engine: Option<EngineOptions>,
    /// Mutual TLS between nodes; `None`: links are in the clear.
    pub tls: Option<TlsFiles>,
    /// End in good order when stdin ends: the supervisor holds its other end.
    pub supervised: bool,
    /// How log lines look.
    pub log: LogFormat,
    /// Threads that tick shards, for scenes; zero: one per core.
    pub tick_threads: usize,
    /// How many times the usual life scenes give to new shards.
    pub abundance: u16,
    /// For the world of a development cluster: the designers' folder, whose files are watched.
    pub design: Option<PathBuf>,
    /// For the world: it gives out the first shards when so many scenes are there, or after a while.
    pub scenes_expected: usize,
    /// For data nodes: reserve and snapshots.
    pub store: StoreOptions,
    /// Whether guests are let in without a password, for auth.
    pub guests: bool,
    /// Where clients connect, for gateways.
    pub clients: Option<ClientListeners>,
}

/// Where a gateway's clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientListeners {
    /// Length-prefixed frames.
    pub tcp: SocketAddr,
    /// One binary message per frame.
    pub ws: SocketAddr,
    /// Most connections over both.
    pub connections_max: usize,
    /// How far players see, in cells around their own.
    pub view_radius_cells: u8,
}

impl RoleOptions {
    /// The command line that starts this process: the role's name, then flags.
    pub fn to_args(&self) -> Vec<String> {
        let mut args = vec![self.node.role.name().to_owned()];
        let mut flag = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        flag("id", self.node.to_string());
        flag("listen", self.listen.to_string());
        if let Some(advertise) = self.advertise {
            flag("advertise", advertise.to_string());
        }
        flag("world", self.world.to_string());
        flag("http", self.http.to_string());
        flag("data-dir", self.data_dir.display().to_string());
        if let Some(engine) = &self.engine {
            args.extend(engine.to_args());
        }
        let mut flag = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        if let Some(tls) = &self.tls {
            flag("tls-ca", tls.ca.display().to_string());
            flag("tls-certificate", tls.certificate.display().to_string());
            flag("tls-key", tls.key.display().to_string());
        }
        if let Some(clients) = self.clients {
            flag("client-tcp", clients.tcp.to_string());
            flag("client-ws", clients.ws.to_string());
            flag("connections", clients.connections_max.to_string());
            // As usual, or as the environment says, which every process of a cluster inherits.
            if clients.view_radius_cells != VIEW_RADIUS_CELLS {
                flag("view-cells", clients.view_radius_cells.to_string());
            }
        }
        if self.tick_threads > 0 {
            flag("tick-threads", self.tick_threads.to_string());
        }
        if self.abundance != ABUNDANCE_DEFAULT {
            flag("abundance", self.abundance.to_string());
        }
        if let Some(design) = &self.design {
            flag("design", design.display().to_string());
        }
        if self.node.role == Role::World {
            flag("scenes", self.scenes_expected.to_string());
        }
        // What is as usual may be said by the environment, which every process of a cluster inherits.
        if self.store != StoreOptions::default() {
            flag("reserve-mib", (self.store.reserve_bytes >> 20).to_string());
            flag("snapshot-seconds", self.store.snapshot_every.as_secs().to_string());
            flag("snapshots", self.store.snapshots_kept.to_string());
        }
        if self.log == LogFormat::Json {
            flag("log", "json".to_owned());
        }
        let switches = [("--supervised", self.supervised), ("--guests", self.guests)];
        args.extend(switches.iter().filter(|(_, on)| *on).map(|(name, _)| (*name).to_owned()));
        args
    }
}
