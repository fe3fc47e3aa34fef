//! The roles' own commands: what `pangaea up` starts, and what an admin starts by hand or by a service manager.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use pangaea_node::driver::WorldSystems;
use pangaea_node::role::{
    ABUNDANCE_DEFAULT, CONNECTIONS_MAX_DEFAULT, ClientListeners, RESERVE_MIB_DEFAULT, RoleOptions, SCENES_DEFAULT,
    SNAPSHOT_SECONDS_DEFAULT, SNAPSHOTS_KEPT_DEFAULT, StoreOptions, VIEW_CELLS_DEFAULT,
};
use pangaea_node::up::PortTable;
use pangaea_scene::game::Game;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::{NodeId, Role};

use crate::args::LogArg;
use crate::engine::EngineArgs;
use crate::tls::TlsArgs;

/// Ports that are not given are those of `pangaea up` with this base.
const PORT_BASE_DEFAULT: u16 = 7_000;

/// One process.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// Which node it is, such as scene-2; the first of its role when not given
    #[arg(long, value_name = "NODE")]
    id: Option<NodeId>,
    /// Where it listens for other nodes
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where other nodes are told to connect, when that is not where it listens
    #[arg(long, value_name = "ADDRESS")]
    advertise: Option<SocketAddr>,
    /// Where the world listens for other nodes
    #[arg(long, value_name = "ADDRESS")]
    world: Option<SocketAddr>,
    /// Metrics and health; for the world also the web page and the admin API
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// The cluster's data folder: its keys, and the data node's files
    #[arg(long, default_value = "pangaea-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Gateways: where clients connect over TCP
    #[arg(long, value_name = "ADDRESS")]
    client_tcp: Option<SocketAddr>,
    /// Gateways: where clients connect over WebSocket
    #[arg(long, value_name = "ADDRESS")]
    client_ws: Option<SocketAddr>,
    /// Gateways: most client connections
    #[arg(long, default_value_t = CONNECTIONS_MAX_DEFAULT, value_name = "N")]
    connections: usize,
    /// Gateways: how far players see, in cells around their own
    #[arg(long, default_value_t = VIEW_CELLS_DEFAULT, value_name = "N", env = "PANGAEA_VIEW_CELLS")]
    view_cells: u8,
    /// Scenes: threads that tick shards; 0: one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    tick_threads: usize,
    /// Scenes: creatures of new shards, times the usual
    #[arg(long, default_value_t = ABUNDANCE_DEFAULT, value_name = "N")]
    abundance: u16,
    /// The world: the designers' folder, whose `tunables.toml` is watched (development only)
    #[arg(long, value_name = "DIR")]
    design: Option<PathBuf>,
    /// The world: give out the first shards when so many scenes are there
    #[arg(long, default_value_t = SCENES_DEFAULT.into(), value_name = "N")]
    scenes: usize,
    /// Data: keep so much of the disk, at most a twentieth, for journals; under it durable actions wait
    #[arg(long, default_value_t = RESERVE_MIB_DEFAULT, value_name = "MIB", env = "PANGAEA_RESERVE_MIB")]
    reserve_mib: u64,
    /// Data: time between two snapshots
    #[arg(long, default_value_t = SNAPSHOT_SECONDS_DEFAULT, value_name = "SECONDS", env = "PANGAEA_SNAPSHOT_SECONDS")]
    snapshot_seconds: u64,
    /// Data: snapshots to keep; 0: take none
    #[arg(long, default_value_t = SNAPSHOTS_KEPT_DEFAULT, value_name = "N", env = "PANGAEA_SNAPSHOTS")]
    snapshots: usize,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    tls: TlsArgs,
    /// Auth: let guests in without a password (development only)
    #[arg(long)]
    guests: bool,
    /// End in good order when stdin ends
    #[arg(long)]
    supervised: bool,
    /// How log lines look
    #[arg(long, value_enum, default_value = "human")]
    log: LogArg,
}

impl RoleArgs {
    /// What these words mean for a process of `role`.
    ///
    /// # Errors
    /// The id is of another role.
    pub(crate) fn options(self, role: Role) -> anyhow::Result<RoleOptions> {
        let node = self.id.unwrap_or(NodeId::new(role, 1));
        ensure!(
            node.role == role,
            "--id {node} is not a {}; such a process is started with `pangaea {}`",
            role.name(),
            node.role.name()
        );
        let ports = PortTable::new(PORT_BASE_DEFAULT).context("the usual ports")?;
        let clients = (role == Role::Gateway).then(|| ClientListeners {
            tcp: self.client_tcp.unwrap_or_else(|| ports.client_tcp(node.ordinal)),
            ws: self.client_ws.unwrap_or_else(|| ports.client_ws(node.ordinal)),
            connections_max: self.connections,
            view_radius_cells: self.view_cells,
        });
        Ok(RoleOptions {
            node,
            cluster: ClusterSpec::demo(),
            listen: self.listen.unwrap_or_else(|| ports.node(node)),
            advertise: self.advertise,
            world: self.world.unwrap_or_else(|| ports.node(NodeId::new(Role::World, 1))),
            http: self.http.unwrap_or_else(|| ports.http(node)),
            data_dir: self.data_dir,
            engine: self.engine.options()?,
            tls: self.tls.files()?,
            supervised: self.supervised,
            log: self.log.into(),
            tick_threads: self.tick_threads,
            abundance: self.abundance,
            design: self.design,
            scenes_expected: self.scenes,
            store: StoreOptions {
                reserve_bytes: self.reserve_mib << 20,
                snapshot_every: Duration::from_secs(self.snapshot_seconds.max(1)),
                snapshots_kept: self.snapshots,
            },
            guests: self.guests,
            clients,
        })
    }
}

/// Run the process to its end.
pub(crate) fn run(options: RoleOptions, game: fn(&mut Game)) -> anyhow::Result<ExitCode> {
    run_with(options, game, |_| {})
}

/// The same for the world, which has systems of the game as well.
pub(crate) fn run_with(options: RoleOptions, game: fn(&mut Game), systems: WorldSystems) -> anyhow::Result<ExitCode> {
    let built = Game::build(game)?.with_abundance(options.abundance);
    pangaea_node::driver::run(options, built, systems)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use pangaea_node::engine::{Durability, EngineOptions};
    use pangaea_node::tls::TlsFiles;

    use super::*;
    use crate::args::{Cli, Command};

    fn parsed(options: &RoleOptions) -> RoleOptions {
        let words = std::iter::once("pangaea".to_owned()).chain(options.to_args());
        let command = Cli::parse_from(words).command.expect("a command");
        let (role, args) = match command {
            Command::World(args) => (Role::World, args),
            Command::Data(args) => (Role::Data, args.role),
            Command::Auth(args) => (Role::Auth, args),
            Command::Scene(args) => (Role::Scene, args.role),
            Command::Gateway(args) => (Role::Gateway, args.role),
            other => panic!("{other:?} is no role"),
        };
        args.options(role).expect("valid")
    }

    #[test]
    fn what_the_supervisor_writes_is_what_the_role_reads() {
        let ports = PortTable::new(8_000).expect("fits");
        for role in Role::ALL {
            let node = NodeId::new(role, 1);
            let options = RoleOptions {
                node,
                cluster: ClusterSpec::demo(),
                listen: ports.node(node),
                advertise: (role == Role::Data).then(|| ports.web()),
                world: ports.node(NodeId::new(Role::World, 1)),
                http: ports.http(node),
                data_dir: "/tmp/with space".into(),
                engine: (role != Role::Auth).then(|| EngineOptions {
                    servers: vec!["nats://10.0.0.1:4222".to_owned(), "nats://10.0.0.2:4222".to_owned()],
                    monitors: vec!["10.0.0.1:8222".to_owned()],
                    replicas: (role == Role::Data).then_some(3),
                    durability: if role == Role::Data { Durability::ProcessLoss } else { Durability::PowerLoss },
                    tls: (role == Role::World).then(|| TlsFiles {
                        ca: "/tls/ca.pem".into(),
                        certificate: "/tls/node.pem".into(),
                        key: "/tls/node.key".into(),
                    }),
                }),
                tls: (role == Role::Scene).then(|| TlsFiles {
                    ca: "/tls/ca.pem".into(),
                    certificate: "/tls/nodes.pem".into(),
                    key: "/tls/nodes.key".into(),
                }),
                supervised: true,
                log: pangaea_node::telemetry::LogFormat::Json,
                tick_threads: if role == Role::Scene { 3 } else { 0 },
                abundance: if role == Role::Scene { 17 } else { ABUNDANCE_DEFAULT },
                design: (role == Role::World).then(|| "/tmp/my game".into()),
                scenes_expected: if role == Role::World { 5 } else { usize::from(SCENES_DEFAULT) },
                store: match role {
                    Role::Data => {
                        StoreOptions { reserve_bytes: 8 << 20, snapshot_every: Duration::from_secs(5), snapshots_kept: 9 }
                    }
                    _ => StoreOptions::default(),
                },
                guests: role == Role::Auth,
                clients: (role == Role::Gateway).then(|| ClientListeners {
                    tcp: ports.client_tcp(1),
                    ws: ports.client_ws(1),
                    connections_max: 50,
                    view_radius_cells: 1,
                }),
            };
            assert_eq!(parsed(&options), options);
        }
    }

    #[test]
    fn an_id_of_another_role_is_refused_in_words() {
        let words = ["pangaea", "scene", "--id", "gateway-1"];
        let Some(Command::Scene(args)) = Cli::parse_from(words).command else { panic!("not a scene") };
        let text = args.role.options(Role::Scene).expect_err("another role").to_string();
        assert!(text.contains("`pangaea gateway`"), "{text}");
    }
}
