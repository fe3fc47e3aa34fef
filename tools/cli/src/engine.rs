//! What can be said about the cluster's engine, and `pangaea engine`: whether it holds what the cluster relies on.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use pangaea_node::engine::check::{self, CheckReport};
use pangaea_node::engine::migrate::{self, Moved};
use pangaea_node::engine::{Connection, Durability, EngineOptions, connect};
use pangaea_schemas::cluster::ClusterSpec;

use crate::{say, tls};

const EXAMPLES: &str = "Examples:
  pangaea engine check --engine-servers nats://10.0.0.1:4222,nats://10.0.0.2:4222,nats://10.0.0.3:4222 \\
                       --engine-monitors 10.0.0.1:8222,10.0.0.2:8222,10.0.0.3:8222";
const CHECK_EXAMPLES: &str = "Examples:
  pangaea engine check --engine-servers nats://127.0.0.1:4222 --engine-monitors 127.0.0.1:8222
  pangaea engine check --engine-servers nats://127.0.0.1:4222 --engine-durability process-loss --json
Exit code 1 when the cluster must not rely on this engine.";

const MOVE_EXAMPLES: &str = "Examples:
  pangaea engine move --data-dir pangaea-data --engine-servers nats://10.0.0.1:4222 --engine-monitors 10.0.0.1:8222
Stop the cluster first. Broken off, it is done again from the start; until it is done the embedded world is as it was.";
const NO_SERVERS: &str = "name the engine's servers with --engine-servers";

/// What to do about the engine.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum EngineCommand {
    /// Try compare-and-set and leases on these servers, and read their settings back
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Bring the world of a stopped, embedded cluster to the engine
    #[command(after_help = MOVE_EXAMPLES)]
    Move(MoveArgs),
}

/// Which engine to try.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Which world goes where.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The world's data folder
    #[arg(long, default_value = "pangaea-data", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Do it.
pub(crate) async fn run(command: EngineCommand) -> anyhow::Result<ExitCode> {
    match command {
        EngineCommand::Check(args) => check(args).await,
        EngineCommand::Move(args) => Box::pin(bring(args)).await,
    }
}

async fn bring(args: MoveArgs) -> anyhow::Result<ExitCode> {
    let options = args.engine.options()?.context(NO_SERVERS)?;
    connect::check_durability(&options).await?;
    let connection = Connection::open(&options, &ClusterSpec::demo().name, "move").await?;
    let mut tell = |step: String| {
        if !args.json {
            say(&step);
        }
    };
    let moved = migrate::to_engine(&connection, &args.data_dir, &mut tell).await?;
    let Moved { shards, rows, bytes, position } = moved;
    say(&if args.json {
        serde_json::to_string_pretty(&moved)?
    } else {
        format!(
            "Moved: {shards} shards, {rows} rows, {bytes} bytes; data nodes follow the log from position {position}.\n\
             Start the cluster with the same --engine-servers; the embedded one refuses this world from now on."
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn check(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let options = args.engine.options()?.context(NO_SERVERS)?;
    let report = check::run(&options).await?;
    say(&if args.json { serde_json::to_string_pretty(&report)? } else { table(&report) });
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(report: &CheckReport) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    for server in &report.servers {
        let _ = writeln!(text, "server           {} is nats-server {}", server.address, server.version);
    }
    let additions = &report.additions;
    let _ = writeln!(text, "replicas         {}", report.replicas);
    let _ = writeln!(text, "durability       {}", report.durability);
    let _ = writeln!(
        text,
        "compare-and-set  {} additions acknowledged, {} found; p50 {:.1} ms, p99 {:.1} ms",
        additions.acknowledged, additions.found, additions.p50_ms, additions.p99_ms
    );
    let _ = writeln!(text, "atomic batches   {}", if report.batches { "stored whole or not at all" } else { "in parts" });
    let _ = write!(text, "lease            of 2 s ended after {:.2} s", report.lease_ended_after_s);
    for fault in &report.faults {
        let _ = write!(text, "\nWRONG            {fault}");
    }
    if report.ok {
        let _ = write!(text, "\nThe cluster may rely on it.");
    }
    text
}

/// Where beacon, journals, bus and blobs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineKind {
    /// In the world's and the data process, on one machine.
    #[default]
    Embedded,
    /// On NATS JetStream.
    Nats,
}

/// How the engine is reached, and what is expected of it.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// The engine's servers, nats://HOST:PORT, separated by commas
    #[arg(long, value_name = "URLS", value_delimiter = ',', env = "PANGAEA_ENGINE_SERVERS")]
    engine_servers: Vec<String>,
    /// Where the servers' settings are read: HOST:PORT of their monitoring, separated by commas
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', env = "PANGAEA_ENGINE_MONITORS")]
    engine_monitors: Vec<String>,
    /// Copies of everything; as usual: 3 where there are three servers, else 1
    #[arg(long, value_name = "N", env = "PANGAEA_ENGINE_REPLICAS")]
    engine_replicas: Option<usize>,
    /// What is claimed of acknowledged data: power-loss or process-loss
    #[arg(long, value_name = "WHAT", default_value_t, env = "PANGAEA_ENGINE_DURABILITY")]
    engine_durability: Durability,
    /// Mutual TLS: who signs the servers' certificates (PEM)
    #[arg(long, value_name = "FILE", env = "PANGAEA_ENGINE_CA")]
    engine_ca: Option<PathBuf>,
    /// Mutual TLS: our certificate (PEM)
    #[arg(long, value_name = "FILE", env = "PANGAEA_ENGINE_CERTIFICATE")]
    engine_certificate: Option<PathBuf>,
    /// Mutual TLS: its key (PEM)
    #[arg(long, value_name = "FILE", env = "PANGAEA_ENGINE_KEY")]
    engine_key: Option<PathBuf>,
}

impl EngineArgs {
    /// `None`: no servers are named.
    ///
    /// # Errors
    /// What is said does not fit together.
    pub(crate) fn options(self) -> anyhow::Result<Option<EngineOptions>> {
        let all = "mutual TLS wants all three of --engine-ca, --engine-certificate and --engine-key";
        let tls = tls::files(self.engine_ca, self.engine_certificate, self.engine_key, all)?;
        if self.engine_servers.is_empty() {
            ensure!(tls.is_none() && self.engine_monitors.is_empty(), "an engine is described, but no --engine-servers");
            return Ok(None);
        }
        ensure!(
            self.engine_replicas.is_none_or(|count| matches!(count, 1 | 3 | 5)),
            "--engine-replicas is 1, 3 or 5: others gain nothing"
        );
        Ok(Some(EngineOptions {
            servers: self.engine_servers,
            monitors: self.engine_monitors,
            replicas: self.engine_replicas,
            durability: self.engine_durability,
            tls,
        }))
    }
}
