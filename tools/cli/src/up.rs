//! `pangaea up`: a whole cluster on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser};
use pangaea_node::engine::server;
use pangaea_node::role::{ABUNDANCE_DEFAULT, SCENES_DEFAULT};
use pangaea_node::up::{Hosts, KeptBy, SERVERS_MAX, UpEngine, UpOptions};
use pangaea_node::workshop::SHEET;
use pangaea_scene::game::Game;
use pangaea_scene::layouts::Layouts;

use crate::args::{Cli, Command, LogArg};
use crate::engine::{EngineArgs, EngineKind};
use crate::tls::TlsArgs;

const EXAMPLES: &str = "Examples:
  pangaea up                                        two scenes, one gateway, 20 bots; web page on port 7000
  pangaea up --scenes 4 --gateways 2 --bots 200
  pangaea up --port-base 7100 --data-dir /tmp/world a second cluster beside the first
  pangaea up --for 60 --bots 0                      end by itself after a minute
  pangaea up --engine nats --engine-nodes 3 --worlds 2 --datas 2     no process is the only one of its kind
  pangaea up --engine nats --engine-servers nats://10.0.0.1:4222     on an engine that runs already";

/// How a local cluster is shaped.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpArgs {
    /// Where the world, the keys and the logs are kept
    #[arg(long, default_value = "pangaea-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Port of the web page; all others are above it
    #[arg(long, default_value_t = 7_000, value_name = "N")]
    port_base: u16,
    /// Scene processes
    #[arg(long, default_value_t = SCENES_DEFAULT, value_name = "N")]
    scenes: u16,
    /// Gateway processes
    #[arg(long, default_value_t = 1, value_name = "N")]
    gateways: u16,
    /// World processes, of which one leads; several need the engine
    #[arg(long, default_value_t = 1, value_name = "N")]
    worlds: u16,
    /// Data processes with a copy each; several need the engine
    #[arg(long, default_value_t = 1, value_name = "N")]
    datas: u16,
    /// Where beacon, journals, bus and blobs are: in processes of this cluster, or on NATS JetStream
    #[arg(long, value_enum, default_value = "embedded")]
    engine: EngineKind,
    /// With --engine nats: how many servers to start, 1 or 3, unless --engine-servers names some
    #[arg(long, default_value_t = 1, value_name = "N")]
    engine_nodes: u16,
    #[command(flatten)]
    servers: EngineArgs,
    #[command(flatten)]
    tls: TlsArgs,
    /// Bots that play as soon as the world is up
    #[arg(long, default_value_t = 20, value_name = "N")]
    bots: u32,
    /// Start even if the world was kept by a build with components that this one cannot read, and lose them
    #[arg(long)]
    accept_losses: bool,
    /// End by itself after so long
    #[arg(long = "for", value_name = "SECONDS")]
    run_for: Option<u64>,
    /// Threads that tick shards in each scene; 0: one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    tick_threads: usize,
    /// Creatures of new shards, times the usual: 17 makes a new world of 5,000
    #[arg(long, default_value_t = ABUNDANCE_DEFAULT, value_name = "N")]
    abundance: u16,
    /// The designers' folder, whose `tunables.toml` is watched; `game` or this one when there is such a file
    #[arg(long, value_name = "DIR")]
    design: Option<PathBuf>,
    /// Show all log lines of all roles, not only warnings and errors
    #[arg(long)]
    verbose: bool,
    /// How log lines look
    #[arg(long, value_enum, default_value = "human")]
    log: LogArg,
}

impl Default for UpArgs {
    /// What clap takes when nothing is given.
    fn default() -> Self {
        match Cli::parse_from(["pangaea", "up"]).command {
            Some(Command::Up(args)) => args,
            _ => unreachable!("`pangaea up` is the command up"),
        }
    }
}

impl UpArgs {
    /// # Errors
    /// The engine's words do not fit together.
    pub(crate) fn options(self, layouts: &Layouts) -> anyhow::Result<UpOptions> {
        let engine = match (self.engine, self.servers.options()?) {
            (EngineKind::Embedded, None) => UpEngine::Embedded,
            (EngineKind::Embedded, Some(_)) => bail!("--engine-servers need --engine nats"),
            (EngineKind::Nats, Some(reached)) => UpEngine::Reached(reached),
            (EngineKind::Nats, None) => own_engine(self.engine_nodes)?,
        };
        Ok(UpOptions {
            data_dir: self.data_dir,
            port_base: self.port_base,
            scenes: self.scenes,
            gateways: self.gateways,
            worlds: self.worlds,
            datas: self.datas,
            engine,
            bots: self.bots,
            run_for: self.run_for.map(Duration::from_secs),
            tick_threads: self.tick_threads,
            abundance: self.abundance,
            design: self.design.or_else(usual_design),
            verbose: self.verbose,
            log: self.log.into(),
            hosts: Hosts::default(),
            advertised: BTreeMap::new(),
            tls: self.tls.files()?,
            kept_by: Some(KeptBy { layouts: layouts.clone(), accept_losses: self.accept_losses }),
        })
    }
}

/// The folder of the game that is being worked on, seen from where games are built and run.
fn usual_design() -> Option<PathBuf> {
    ["game", "."].into_iter().map(PathBuf::from).find(|folder| folder.join(SHEET).is_file())
}

pub(crate) fn own_engine(servers: u16) -> anyhow::Result<UpEngine> {
    ensure!(servers == 1 || servers == SERVERS_MAX, "--engine-nodes is 1, or {SERVERS_MAX} for a majority without one of them");
    let program = server::program(Path::new(".")).with_context(|| {
        format!(
            "there is no {} in the path: install it (Debian's is too old; `cargo xtask nats` brings a good one), name it with the \
             variable {}, or name servers that run with --engine-servers",
            server::PROGRAM,
            server::PROGRAM_VARIABLE
        )
    })?;
    Ok(UpEngine::Own { program: program.canonicalize().unwrap_or(program), servers })
}

/// Run it until it ends or is told to.
pub(crate) async fn run(args: UpArgs, game: fn(&mut Game)) -> anyhow::Result<ExitCode> {
    let game = Game::build(game)?;
    pangaea_node::up::run(args.options(game.layouts())?).await?;
    Ok(ExitCode::SUCCESS)
}
