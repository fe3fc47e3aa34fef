//! `cargo sim -- SEED` prints one simulation; `cargo sim -- --seeds N [--from SEED]` runs many.
#![allow(clippy::print_stdout, reason = "a command-line tool talks on its streams")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use pangaea_schemas::mutant::{self, Mutant};
use pangaea_tests::sim::campaign::{self, Next, Tally};
use pangaea_tests::sim::outcome::Replayed;
use pangaea_tests::sim::{Cluster, Options, Outcome, Trouble, hunt};
use serde_json::json;

const EXAMPLES: &str = "Examples:
  cargo sim -- 42                                    one simulation, one line per event
  cargo sim -- 42 --quiet --only 1,3                 of its faults only these
  cargo sim -- --seeds 10000 --jobs 2                many, failing ones reduced to the faults they need
  cargo sim -- --seeds 1000 --mutant accept-twice    until a planted bug is found
  cargo sim -- --mutants --jobs 2                    each planted bug, and the seed that finds it";

/// Runs the cluster's real cores in a deterministic world.
#[derive(Parser, Debug)]
#[command(name = "sim", after_help = EXAMPLES)]
struct Arguments {
    /// Run this seed and print its trace.
    seed: Option<u64>,
    /// Run so many seeds without traces.
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Simulated seconds per seed; faults need more than 20.
    #[arg(long, default_value_t = 35)]
    seconds: u64,
    /// Let nothing go wrong.
    #[arg(long, conflicts_with = "only")]
    clean: bool,
    /// Of the faults drawn from the seed, only those with these numbers.
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<usize>>,
    /// Let the first player find a bug of the game that ends its scene.
    #[arg(long)]
    cursed: bool,
    /// Players per seed.
    #[arg(long, default_value_t = 6)]
    players: usize,
    /// Record the liveliest shard, too, and run it again: it must come to the same.
    #[arg(long)]
    record: bool,
    /// Let this planted bug live; with --seeds, stop when it is found.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Hunt all planted bugs that must be found, one after the other, with at most 1,000 seeds each or as many as --seeds says.
    #[arg(long, conflicts_with_all = ["seed", "mutant", "only", "clean", "json"])]
    mutants: bool,
    /// Do not print the trace of a single seed, nor a line per seed of many.
    #[arg(long)]
    quiet: bool,
    /// Tell the end as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "off".into()))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    match (arguments.seed, arguments.seeds) {
        (Some(seed), _) => one(&arguments, seed),
        (None, seeds) if arguments.mutants => all_mutants(&arguments, seeds.unwrap_or(hunt::SEEDS_MAX)),
        (None, seeds) => many(&arguments, seeds.unwrap_or(10)),
    }
}

/// The hunt as a table, one line per planted bug as soon as it is found.
fn all_mutants(arguments: &Arguments, seeds: u64) -> ExitCode {
    let began = Instant::now();
    // A panicking core is one of the things that can be said.
    std::panic::set_hook(Box::new(|_| {}));
    println!("| planted bug | breaks | found by seed | what was said |\n|---|---|---|---|");
    let mut survivors = Vec::new();
    for mutant in hunt::QUARRY {
        let breaks = mutant.breaks();
        match hunt::hunt(*mutant, arguments.from..arguments.from + seeds, arguments.jobs.max(1)) {
            Ok(Some(hunt::Kill { seed, said })) => println!("| `{mutant}` | {breaks} | {seed} | {said} |"),
            Ok(None) => {
                println!("| `{mutant}` | {breaks} | none of {seeds} | nothing: it lives on |");
                survivors.push(mutant.name());
            }
            Err(error) => return refused(&error),
        }
    }
    let (found, all) = (hunt::QUARRY.len() - survivors.len(), hunt::QUARRY.len());
    println!("\n{found} of {all} planted bugs are found, in {:.1} s", began.elapsed().as_secs_f64());
    if survivors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options(arguments: &Arguments, seed: u64) -> Options {
    let span = Duration::from_secs(arguments.seconds);
    let trouble = if arguments.clean { Trouble::None } else { Trouble::Drawn };
    let (players, cursed, record) = (arguments.players, arguments.cursed, arguments.record);
    let mut options = Options { span, players, trouble, cursed, record, ..Options::seed(seed) };
    if let Some(kept) = &arguments.only {
        let drawn = Cluster::new(options.clone()).planned().to_vec();
        options.trouble = Trouble::These(kept.iter().filter_map(|number| drawn.get(*number).copied()).collect());
    }
    options
}

fn one(arguments: &Arguments, seed: u64) -> ExitCode {
    println!("seed {seed}");
    let loose = match mutant::unleash(arguments.mutant) {
        Ok(loose) => loose,
        Err(error) => return refused(&error),
    };
    let options = Options { print: !arguments.quiet, ..options(arguments, seed) };
    let outcome = campaign::run(options.clone());
    report(seed, &outcome);
    if outcome.is_well() {
        return ExitCode::SUCCESS;
    }
    explain(arguments, &options, &outcome);
    drop(loose);
    ExitCode::FAILURE
}

fn many(arguments: &Arguments, seeds: u64) -> ExitCode {
    let began = Instant::now();
    let mut tally = Tally::default();
    let mut found = None;
    // A panicking core is told as a fault; its backtrace is for those who run that seed alone.
    std::panic::set_hook(Box::new(|_| {}));
    let range = arguments.from..arguments.from + seeds;
    let told = campaign::run_seeds(
        range,
        arguments.jobs.max(1),
        arguments.mutant,
        |seed| options(arguments, seed),
        |seed, outcome| {
            tally.add(seed, Duration::from_secs(arguments.seconds), &outcome);
            if !(arguments.json || arguments.quiet && outcome.is_well()) {
                report(seed, &outcome);
            }
            if outcome.is_well() {
                return Next::Seed;
            }
            if arguments.mutant.is_some() {
                found = Some((seed, outcome.faults.first().cloned().unwrap_or_default()));
                return Next::Stop;
            }
            if !arguments.json {
                explain(arguments, &options(arguments, seed), &outcome);
            }
            Next::Seed
        },
    );
    if let Err(error) = told {
        return refused(&error);
    }
    summary(arguments, &tally, began.elapsed());
    match (arguments.mutant, found) {
        (None, _) => {
            if tally.failed.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        (Some(mutant), Some((seed, fault))) => {
            println!("{mutant} (breaks {}) is found by seed {seed}: {fault}", mutant.breaks());
            ExitCode::SUCCESS
        }
        (Some(mutant), None) => {
            println!("{mutant} (breaks {}) lives on", mutant.breaks());
            ExitCode::FAILURE
        }
    }
}

fn refused(error: &impl std::fmt::Display) -> ExitCode {
    println!("{error}");
    ExitCode::FAILURE
}

fn report(seed: u64, outcome: &Outcome) {
    let Outcome { hash, lines, playing, inputs, entities, handovers, trades, longest_pause, .. } = outcome;
    println!(
        "seed {seed}: {} {lines} events, {playing} playing, {inputs} inputs, {entities} entities, {handovers} hand-overs, {trades} trades, longest pause {} ms, trace {hash:016x}",
        if outcome.is_well() { "ok" } else { "FAILED" },
        longest_pause.as_millis(),
    );
    if outcome.replayed != Replayed::default() {
        let Replayed { ticks, inputs, arrivals, exits, effects, answers, is_whole } = outcome.replayed;
        let whole = if is_whole { "" } else { ", then broke off" };
        println!(
            "  recorded {ticks} ticks{whole}: {inputs} inputs, {arrivals} arrivals, {exits} exits, {effects} effects, {answers} answers"
        );
    }
    for fault in outcome.faults.iter().take(5) {
        println!("  {fault}");
    }
}

/// The fewest faults that do it, and the command that shows them.
fn explain(arguments: &Arguments, options: &Options, outcome: &Outcome) {
    let needed = campaign::reduce(options, outcome);
    for number in &needed {
        let (at, fault) = outcome.planned[*number];
        println!("  needs {number}: after {:.3} s {fault}", at.as_secs_f64());
    }
    // Numbers count all that is drawn from the seed.
    let numbers = needed.iter().map(|number| arguments.only.as_ref().map_or(*number, |only| only[*number]));
    let numbers = numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(",");
    let which = if needed.is_empty() { "--clean".to_owned() } else { format!("--only {numbers}") };
    let mutant = arguments.mutant.map(|mutant| format!(" --mutant {mutant}")).unwrap_or_default();
    let cursed = if arguments.cursed { " --cursed" } else { "" };
    let record = if options.record { " --record" } else { "" };
    let Options { seed, players, .. } = options;
    let seconds = arguments.seconds;
    println!("  again: cargo sim -- {seed} {which} --seconds {seconds} --players {players}{record}{mutant}{cursed}");
}

fn summary(arguments: &Arguments, tally: &Tally, took: Duration) {
    let jobs = arguments.jobs.max(1);
    let per_hour = tally.seeds as f64 * 3_600.0 / took.as_secs_f64();
    let simulated_h = tally.simulated.as_secs_f64() / 3_600.0;
    let Tally { seeds, failed, faults, events, inputs, handovers, trades, border_trades, transactions, .. } = tally;
    if arguments.json {
        let told = json!({
            "seeds": seeds, "failed": failed, "simulated_hours": simulated_h, "seconds": took.as_secs_f64(), "jobs": jobs,
            "seeds_per_hour": per_hour, "faults": faults, "faults_total": faults.values().sum::<u64>(), "events": events,
            "inputs": inputs, "handovers": handovers, "trades": trades, "border_trades": border_trades, "transactions": transactions,
        });
        return println!("{told:#}");
    }
    println!("{} passed, {} failed {failed:?}", seeds - failed.len() as u64, failed.len());
    let kinds = faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
    println!("{} faults: {kinds}", faults.values().sum::<u64>());
    println!(
        "{events} events, {inputs} inputs, {handovers} hand-overs, {trades} times traded ({border_trades} trades over borders), {transactions} ledger operations"
    );
    println!("{simulated_h:.2} simulated hours in {:.1} s: {per_hour:.0} seeds per hour with {jobs} job(s)", took.as_secs_f64());
}
