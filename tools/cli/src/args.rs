//! What can be typed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use pangaea_bots::Scenario;
use pangaea_chaos::{ChaosOptions, FaultKind};
use pangaea_node::role::{ABUNDANCE_DEFAULT, SCENES_DEFAULT};
use pangaea_node::telemetry::LogFormat;
use pangaea_node::up::UpOptions;

use crate::cluster::ClusterAddress;
use crate::data::DataArgs;
use crate::operator::OperatorArgs;
use crate::roles::RoleArgs;

const UP_EXAMPLES: &str = "Examples:
  pangaea up                                        two scenes, one gateway, 20 bots; web page on port 7000
  pangaea up --scenes 4 --gateways 2 --bots 200
  pangaea up --port-base 7100 --data-dir /tmp/world a second cluster beside the first
  pangaea up --for 60 --bots 0                      end by itself after a minute";

const STATUS_EXAMPLES: &str = "Examples:
  pangaea status
  pangaea --cluster http://127.0.0.1:7100 status --json";

const BOTS_EXAMPLES: &str = "Examples:
  pangaea bots --count 100 --seconds 30
  pangaea bots --count 500 --seconds 60 --scenario border-storm --json
Exit code 1 when a bot saw anything that should not be.";

const CHAOS_EXAMPLES: &str = "Examples:
  pangaea chaos                                     a minute of faults on a cluster of its own
  pangaea chaos --seconds 3600 --bots 300 --json
  pangaea chaos --seed 42                           the same faults in the same order
Exit code 1 when anything was lost, or seen that no fault excuses. Filling a disk needs the right to mount one.";

const LEDGER_EXAMPLES: &str = "Examples:
  pangaea ledger
  pangaea ledger --json
  pangaea ledger --data-dir pangaea-data      a dead cluster's files, or a backup
Exit code 1 when anything does not add up.";

const SHARD_EXAMPLES: &str = "Examples:
  pangaea shard list
  pangaea shard show 0/3/1,0
  pangaea shard migrate 0/3/1,0 --to scene-2 --dry-run
  pangaea shard migrate 0/3/1,0 --to scene-2      ends with the measured blackout
Ctrl-C while a shard moves asks for it to stay. Exit code 1 when it stayed.";
const GATEWAY_EXAMPLES: &str = "Examples:
  pangaea gateway list
  pangaea gateway drain gateway-1 --dry-run
  pangaea gateway drain gateway-1     its clients go on at the others; then it may be stopped
  pangaea gateway undrain gateway-1
Ctrl-C while a gateway is drained undrains it. Exit code 1 when it was refused or did not end well.";

const SCENE_EXAMPLES: &str = "Examples:
  pangaea scene list
  pangaea scene drain scene-1 --dry-run
  pangaea scene drain scene-1         its shards move to the others while people play; then it may be stopped
  pangaea scene undrain scene-1
Ctrl-C while a scene is drained undrains it. Exit code 1 when it was refused or did not end well.";

const BALANCE_EXAMPLES: &str = "Examples:
  pangaea balance plan                what it would do next, and why
  pangaea balance on                  moves shards so that the scenes are level; off when the world server starts
  pangaea balance off";

/// One seamless world, many servers.
#[derive(Debug, Parser)]
#[command(name = "pangaea", version, about, max_term_width = 120)]
pub(crate) struct Cli {
    /// Which cluster: the address of its web page
    #[arg(long, env = "PANGAEA_CLUSTER", default_value = "http://127.0.0.1:7000", global = true, value_name = "URL")]
    pub(crate) cluster: ClusterAddress,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do; without a command: `up`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a whole cluster on this machine (the default)
    #[command(after_help = UP_EXAMPLES)]
    Up(UpArgs),
    /// Show nodes, shards and sessions
    #[command(after_help = STATUS_EXAMPLES)]
    Status(JsonArgs),
    /// Let bots play and report every anomaly they see
    #[command(after_help = BOTS_EXAMPLES)]
    Bots(BotsArgs),
    /// Hurt a cluster of its own for real, and prove that nothing was lost
    #[command(after_help = CHAOS_EXAMPLES)]
    Chaos(ChaosArgs),
    /// Audit all gold and items
    #[command(after_help = LEDGER_EXAMPLES)]
    Ledger(LedgerArgs),
    /// Run one world process: beacon, bus, managers, admin API
    World(RoleArgs),
    /// Run one data process: journals, records, ledger; or verify, back up and restore its files
    Data(DataArgs),
    /// Run one auth process: accounts and tickets
    Auth(RoleArgs),
    /// List scenes, empty one, use it again; without such a word: run one scene process
    #[command(after_help = SCENE_EXAMPLES, args_conflicts_with_subcommands = true)]
    Scene(SceneArgs),
    /// Show what balancing would do, switch it on or off
    #[command(subcommand, after_help = BALANCE_EXAMPLES)]
    Balance(BalanceCommand),
    /// List shards, look at one, move one to another scene while people play in it
    #[command(after_help = SHARD_EXAMPLES, subcommand)]
    Shard(ShardCommand),
    /// List gateways, empty one, use it again; without such a word: run one gateway process
    #[command(after_help = GATEWAY_EXAMPLES, args_conflicts_with_subcommands = true)]
    Gateway(GatewayArgs),
}

impl Default for Command {
    fn default() -> Self {
        Self::Up(UpArgs::default())
    }
}

/// How a local cluster is shaped.
#[derive(Debug, Args)]
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
    /// Bots that play as soon as the world is up
    #[arg(long, default_value_t = 20, value_name = "N")]
    bots: u32,
    /// End by itself after so long
    #[arg(long = "for", value_name = "SECONDS")]
    run_for: Option<u64>,
    /// Threads that tick shards in each scene; 0: one per core
    #[arg(long, default_value_t = 0, value_name = "N")]
    tick_threads: usize,
    /// Creatures of new shards, times the usual: 17 makes a new world of 5,000
    #[arg(long, default_value_t = ABUNDANCE_DEFAULT, value_name = "N")]
    abundance: u16,
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
    pub(crate) fn options(self) -> UpOptions {
        UpOptions {
            data_dir: self.data_dir,
            port_base: self.port_base,
            scenes: self.scenes,
            gateways: self.gateways,
            bots: self.bots,
            run_for: self.run_for.map(Duration::from_secs),
            tick_threads: self.tick_threads,
            abundance: self.abundance,
            verbose: self.verbose,
            log: self.log.into(),
            advertised: BTreeMap::new(),
        }
    }
}

/// See [`LogFormat`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogArg {
    #[default]
    Human,
    Json,
}

impl From<LogArg> for LogFormat {
    fn from(arg: LogArg) -> Self {
        match arg {
            LogArg::Human => Self::Human,
            LogArg::Json => Self::Json,
        }
    }
}

/// How to answer.
#[derive(Debug, Args)]
pub(crate) struct JsonArgs {
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with shards.
#[derive(Debug, Subcommand)]
pub(crate) enum ShardCommand {
    /// Show all shards: owner, epoch, entities, load
    #[command(after_help = SHARD_EXAMPLES)]
    List(JsonArgs),
    /// Show one shard, and the moves of it that are remembered
    #[command(after_help = SHARD_EXAMPLES)]
    Show(ShardShowArgs),
    /// Move a shard to another scene while people play in it
    #[command(after_help = SHARD_EXAMPLES)]
    Migrate(ShardMigrateArgs),
}

/// Which shard to show.
#[derive(Debug, Args)]
pub(crate) struct ShardShowArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    pub(crate) shard: String,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which shard to move where.
#[derive(Debug, Args)]
pub(crate) struct ShardMigrateArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    pub(crate) shard: String,
    /// The scene that is to own it
    #[arg(long, value_name = "SCENE")]
    pub(crate) to: String,
    /// Only say what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

/// Whose value to audit.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    /// The files of a data folder or a backup, not the living cluster
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// A scene process, or what to do with those that run.
#[derive(Debug, Args)]
pub(crate) struct SceneArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SceneCommand>,
    #[command(flatten)]
    pub(crate) role: RoleArgs,
}

/// What to do with scenes.
#[derive(Debug, Subcommand)]
pub(crate) enum SceneCommand {
    /// Show scenes and how much they have to do
    #[command(after_help = SCENE_EXAMPLES)]
    List(JsonArgs),
    /// Move a scene's shards to the others and give it no new ones
    #[command(after_help = SCENE_EXAMPLES)]
    Drain(SceneOrderArgs),
    /// Let a drained scene take shards again
    #[command(after_help = SCENE_EXAMPLES)]
    Undrain(SceneOrderArgs),
}

/// An order to a scene.
#[derive(Debug, Args)]
pub(crate) struct SceneOrderArgs {
    /// Which one, such as scene-1
    #[arg(value_name = "SCENE")]
    pub(crate) scene: String,
    #[command(flatten)]
    pub(crate) order: DrainArgs,
}

/// What to do about balancing.
#[derive(Debug, Subcommand)]
pub(crate) enum BalanceCommand {
    /// Let it move shards so that the scenes are level
    #[command(after_help = BALANCE_EXAMPLES)]
    On(BalanceOrderArgs),
    /// Let it only plan
    #[command(after_help = BALANCE_EXAMPLES)]
    Off(BalanceOrderArgs),
    /// Show what it would do next, and why
    #[command(after_help = BALANCE_EXAMPLES)]
    Plan(JsonArgs),
}

/// An order about balancing.
#[derive(Debug, Args)]
pub(crate) struct BalanceOrderArgs {
    /// Only say what it would do next
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

/// A gateway process, or what to do with those that run.
#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    #[command(subcommand)]
    pub(crate) command: Option<GatewayCommand>,
    #[command(flatten)]
    pub(crate) role: RoleArgs,
}

/// What to do with gateways.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Show gateways, their clients and sessions
    #[command(after_help = GATEWAY_EXAMPLES)]
    List(JsonArgs),
    /// Send a gateway's clients to the others and give it no new ones
    #[command(after_help = GATEWAY_EXAMPLES)]
    Drain(GatewayOrderArgs),
    /// Let a drained gateway take clients again
    #[command(after_help = GATEWAY_EXAMPLES)]
    Undrain(GatewayOrderArgs),
}

/// An order to a gateway.
#[derive(Debug, Args)]
pub(crate) struct GatewayOrderArgs {
    /// Which one, such as gateway-1
    #[arg(value_name = "GATEWAY")]
    pub(crate) gateway: String,
    #[command(flatten)]
    pub(crate) order: DrainArgs,
}

/// How to empty a process, or use it again.
#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    /// Only say what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
}

/// How bots play.
#[derive(Debug, Args)]
pub(crate) struct BotsArgs {
    /// How many
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) count: u32,
    /// How long, from when all are connected
    #[arg(long, default_value_t = 30, value_name = "S")]
    pub(crate) seconds: u64,
    /// What they do: wander, border-storm or city-rush
    #[arg(long, default_value = "wander", value_name = "NAME")]
    pub(crate) scenario: Scenario,
    /// The same seed: the same decisions
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Connect as browsers do, over WebSocket
    #[arg(long)]
    pub(crate) websocket: bool,
    /// Report as JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    /// End when stdin does
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}

/// How to hurt a cluster.
#[derive(Debug, Args)]
pub(crate) struct ChaosArgs {
    /// How long faults are injected
    #[arg(long, default_value_t = 60, value_name = "S")]
    seconds: u64,
    /// How many bots play meanwhile
    #[arg(long, default_value_t = 40, value_name = "N")]
    bots: u32,
    /// The same seed: the same faults in the same order; drawn and printed when not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where the cluster lives, without a world yet; a temporary folder when not given, kept only if something is wrong
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Port of the cluster's page; all others are above it
    #[arg(long, default_value_t = 7_800, value_name = "N")]
    port_base: u16,
    /// Scene processes
    #[arg(long, default_value_t = SCENES_DEFAULT, value_name = "N")]
    scenes: u16,
    /// Gateway processes
    #[arg(long, default_value_t = 2, value_name = "N")]
    gateways: u16,
    /// Only these kinds of fault, such as kill_scene,cut_link
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    only: Vec<FaultKind>,
    /// Multiplies promised times, for slow machines and unoptimised builds
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    patience: f64,
    /// Report as JSON, for scripts; progress goes to stderr
    #[arg(long)]
    pub(crate) json: bool,
}

impl ChaosArgs {
    pub(crate) fn options(self, drawn_seed: u64) -> ChaosOptions {
        ChaosOptions {
            play: Duration::from_secs(self.seconds),
            bots: self.bots,
            seed: self.seed.unwrap_or(drawn_seed),
            data_dir: self.data_dir,
            port_base: self.port_base,
            scenes: self.scenes,
            gateways: self.gateways,
            only: self.only,
            patience: self.patience.max(0.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_up_with_its_defaults() {
        let cli = Cli::parse_from(["pangaea"]);
        let Command::Up(args) = cli.command.unwrap_or_default() else { panic!("not up") };
        let options = args.options();
        assert_eq!((options.scenes, options.gateways, options.bots, options.port_base), (2, 1, 20, 7_000));
        assert_eq!(options.run_for, None);
    }

    #[test]
    fn the_cluster_may_be_named_before_and_after_the_command() {
        for words in
            [["pangaea", "--cluster", "http://localhost:7100", "status"], ["pangaea", "status", "--cluster", "localhost:7100"]]
        {
            assert_eq!(Cli::parse_from(words).cluster.to_string(), "localhost:7100");
        }
    }
}
