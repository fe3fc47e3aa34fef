//! What can be typed: the commands. What each takes is beside its code.

use clap::{Args, Parser, Subcommand};
use pangaea_node::telemetry::LogFormat;

use crate::abort::AbortArgs;
use crate::agent::AgentCommand;
use crate::audit::AuditArgs;
use crate::balance::BalanceCommand;
use crate::bench::BenchArgs;
use crate::bots::BotsArgs;
use crate::chaos::ChaosArgs;
use crate::cluster::ClusterAddress;
use crate::completions::CompletionsArgs;
use crate::config::ConfigCommand;
use crate::data::DataArgs;
use crate::deploy::{DeployArgs, LayoutsArgs};
use crate::engine::EngineCommand;
use crate::exit::ExitCodesArgs;
use crate::gateway::GatewayArgs;
use crate::ledger::LedgerArgs;
use crate::new::NewArgs;
use crate::record::RecordArgs;
use crate::replay::ReplayArgs;
use crate::roles::RoleArgs;
use crate::scene::SceneArgs;
use crate::script::ScriptCommand;
use crate::session::SessionCommand;
use crate::shard::ShardCommand;
use crate::status::StatusArgs;
use crate::token::TokenCommand;
use crate::top::TopArgs;
use crate::tune::TuneCommand;
use crate::up::UpArgs;
use crate::watch::WatchArgs;

/// One seamless world, many servers.
#[derive(Debug, Parser)]
#[command(
    name = "pangaea",
    version,
    about,
    max_term_width = 120,
    after_help = "`pangaea help exit-codes` tells what exit codes mean."
)]
pub(crate) struct Cli {
    /// Which cluster: the address of its web page
    #[arg(long, env = "PANGAEA_CLUSTER", default_value = "http://127.0.0.1:7000", global = true, value_name = "URL")]
    pub(crate) cluster: ClusterAddress,
    /// Who asks: a token of `pangaea token`. Not needed to read on the world's own machine
    #[arg(long, alias = "operator-token", env = "PANGAEA_TOKEN", hide_env_values = true, global = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// A file with settings; as usual pangaea.toml, if there is one
    #[arg(long, env = crate::config::FILE_VARIABLE, global = true, value_name = "FILE")]
    pub(crate) config: Option<std::path::PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do; without a command: `up`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a whole cluster on this machine (the default)
    Up(UpArgs),
    /// Make a game of your own
    New(NewArgs),
    /// Show nodes, shards and sessions
    Status(StatusArgs),
    /// Watch nodes, scenes, shards and events in the terminal
    Top(TopArgs),
    /// Print events as they happen
    Watch(WatchArgs),
    /// List shards, look at one, move one to another scene while people play in it
    #[command(subcommand)]
    Shard(ShardCommand),
    /// List scenes, empty one, use it again; without such a word: run one scene process
    Scene(SceneArgs),
    /// List gateways, empty one, use it again; without such a word: run one gateway process
    Gateway(GatewayArgs),
    /// Change to a new build while people play: one shard first, the others when it does well, back when it does not
    Deploy(DeployArgs),
    /// Print what this build keeps and says: what `deploy` compares
    Layouts(LayoutsArgs),
    /// List players' agents, look at one, put one elsewhere, send one away, release one that is parked
    #[command(subcommand)]
    Agent(AgentCommand),
    /// List sessions of players
    #[command(subcommand)]
    Session(SessionCommand),
    /// Show what balancing would do, switch it on or off
    #[command(subcommand)]
    Balance(BalanceCommand),
    /// Let what is under way end where it began
    Abort(AbortArgs),
    /// Show who changed what, when, and how it ended
    Audit(AuditArgs),
    /// Say who may read the cluster, and who may change it
    #[command(subcommand)]
    Token(TokenCommand),
    /// Systems that designers write while people play: list, save, switch, roll back
    #[command(subcommand)]
    Script(ScriptCommand),
    /// Set what designers may set while people play: list, set, undo
    #[command(subcommand)]
    Tune(TuneCommand),
    /// Write a shard and all that reaches it into a file, while people play in it
    Record(RecordArgs),
    /// Run a recorded shard again, and tell whether the same comes of it
    Replay(ReplayArgs),
    /// Audit all gold and items
    Ledger(LedgerArgs),
    /// Let bots play and report every anomaly they see
    Bots(BotsArgs),
    /// Measure what everything costs, beside bare references of the same minute
    Bench(BenchArgs),
    /// Hurt a cluster of its own for real, and prove that nothing was lost
    Chaos(ChaosArgs),
    /// Check the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Try the engine that a cluster of several machines relies on
    #[command(subcommand)]
    Engine(EngineCommand),
    /// Run one data process: journals, records, ledger; or verify, back up and restore its files
    Data(DataArgs),
    /// Run one world process: beacon, bus, managers, admin API
    World(RoleArgs),
    /// Run one auth process: accounts and tickets
    Auth(RoleArgs),
    /// Print what a shell needs to complete commands
    Completions(CompletionsArgs),
    /// Tell what exit codes mean
    ExitCodes(ExitCodesArgs),
}

impl Default for Command {
    fn default() -> Self {
        Self::Up(UpArgs::default())
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_for_admins_has_an_example() {
        for command in Cli::command().get_subcommands().filter(|command| !["world", "auth", "data"].contains(&command.get_name()))
        {
            for command in std::iter::once(command).chain(command.get_subcommands()) {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.starts_with("Examples:\n  pangaea "), "{}: {help}", command.get_name());
            }
        }
    }

    #[test]
    fn no_command_is_up_with_its_defaults() {
        let cli = Cli::parse_from(["pangaea"]);
        let Command::Up(args) = cli.command.unwrap_or_default() else { panic!("not up") };
        let options = args.options(&pangaea_scene::layouts::Layouts::default()).expect("valid");
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
