//! The command line of the `pangaea` binary.
//!
//! A game's `main` is one line: `pangaea_cli::main(my_game)`. Everything here parses, asks the cluster or starts a process, and
//! prints; what the processes do is in `pangaea-node`. An error is one chain on stderr: what failed, where, and what to do.

mod abort;
mod agent;
mod args;
mod audit;
mod balance;
mod bench;
mod bots;
mod chaos;
mod clock;
mod cluster;
mod completions;
mod config;
mod data;
mod deploy;
mod drain;
mod engine;
mod exit;
mod gateway;
mod ledger;
mod moves;
mod new;
mod operator;
mod progress;
mod record;
mod replay;
mod roles;
mod scene;
mod script;
mod session;
mod shard;
mod status;
mod tls;
mod token;
mod top;
mod tune;
mod up;
mod watch;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches};
use pangaea_node::driver::WorldSystems;
use pangaea_scene::game::Game;

use args::{Cli, Command};
use config::{ConfigCommand, FileLayer};
use gateway::GatewayArgs;
use scene::SceneArgs;

/// Every process allocates small things on one thread and frees them on another, which is what mimalloc is made for: see
/// ARCHITECTURE, decisions.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Run the command line for a game. What exit codes mean: `pangaea exit-codes`.
pub fn main(game: fn(&mut Game)) -> ExitCode {
    main_with_world(game, |_| {})
}

/// The same for a game that adds systems to the world server, as `world.add_systems(Phase::Simulate, …)`.
pub fn main_with_world(game: fn(&mut Game), systems: WorldSystems) -> ExitCode {
    let outcome = FileLayer::find(&std::env::args().collect::<Vec<_>>()).and_then(|layer| {
        let command = layer.iter().fold(Cli::command(), |command, layer| layer.under(command));
        let cli = Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
        run(cli, layer.as_ref(), game, systems)
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Nobody may read stderr any more.
            let _ = writeln!(std::io::stderr(), "pangaea: {error:#}");
            ExitCode::from(exit::code_of(&error))
        }
    }
}

fn run(cli: Cli, layer: Option<&FileLayer>, game: fn(&mut Game), systems: WorldSystems) -> anyhow::Result<ExitCode> {
    let Cli { cluster, token, command, .. } = cli;
    let cluster = cluster.with_token(token);
    // The suite's clusters are made of this very binary.
    let game = pangaea_bench::arena_game().unwrap_or(game);
    match command.unwrap_or_else(|| default_command(layer)) {
        Command::Config(ConfigCommand::Keys(args)) => config::make_keys(&args),
        Command::Config(ConfigCommand::Check(_)) => Ok(config::show(layer, &Cli::command())),
        Command::Up(args) => wait_for(up::run(args, game)),
        Command::World(args) => roles::run_with(args.options(pangaea_schemas::Role::World)?, game, systems),
        Command::Data(args) => data::run(&cluster, args, game),
        Command::Auth(args) => roles::run(args.options(pangaea_schemas::Role::Auth)?, game),
        Command::Scene(SceneArgs { command: Some(command), .. }) => wait_for(scene::run(&cluster, command)),
        Command::Scene(args) => roles::run(args.role.options(pangaea_schemas::Role::Scene)?, game),
        Command::Balance(command) => wait_for(balance::run(&cluster, command)),
        Command::Shard(command) => wait_for(shard::run(&cluster, command)),
        Command::Agent(command) => wait_for(agent::run(&cluster, command)),
        Command::Session(command) => wait_for(session::run(&cluster, command)),
        Command::Deploy(args) => wait_for(deploy::run(&cluster, args)),
        Command::Layouts(args) => deploy::show_layouts(&args, game),
        Command::Gateway(GatewayArgs { command: Some(command), .. }) => wait_for(gateway::run(&cluster, command)),
        Command::Gateway(args) => roles::run(args.role.options(pangaea_schemas::Role::Gateway)?, game),
        Command::Status(args) => wait_for(status::show(&cluster, &args)),
        Command::Top(args) => wait_for(top::run(&cluster, &args)),
        Command::Watch(args) => wait_for(watch::run(&cluster, &args)),
        Command::Abort(args) => wait_for(abort::run(&cluster, &args)),
        Command::Audit(args) => wait_for(audit::show(&cluster, &args)),
        Command::Token(command) => wait_for(token::run(&cluster, command)),
        Command::New(args) => new::run(&args),
        Command::Completions(args) => Ok(completions::show(&args)),
        Command::ExitCodes(_) => Ok(exit::show()),
        Command::Ledger(args) => ledger::show(&cluster, &args),
        Command::Script(command) => wait_for(script::run(&cluster, command, game)),
        Command::Tune(command) => wait_for(tune::run(&cluster, command)),
        Command::Record(args) => wait_for(record::run(&cluster, &args)),
        Command::Replay(args) => replay::run(&args, game),
        Command::Engine(command) => wait_for(engine::run(command)),
        Command::Bench(args) => bench::run(args),
        Command::Chaos(args) => wait_for(chaos::run(args)),
        Command::Bots(args) => wait_for(bots::run(&cluster, args)),
    }
}

/// `up`, with the file's settings.
fn default_command(layer: Option<&FileLayer>) -> Command {
    let command = layer.iter().fold(Cli::command(), |command, layer| layer.under(command));
    let cli = Cli::from_arg_matches(&command.get_matches_from(["pangaea", "up"])).unwrap_or_else(|error| error.exit());
    cli.command.unwrap_or_default()
}

/// Run a future to its end on a runtime of its own.
fn wait_for<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(future)
}

/// A line on stdout. A closed pipe, such as of `head`, is no error.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// On stderr, where nobody may read it: stdout is for what was asked.
fn say_aside(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
