//! `cargo sim -- SEED` prints one simulation; `cargo sim -- --seeds N [--from SEED]` runs many.
#![allow(clippy::print_stdout, reason = "a command-line tool talks on its streams")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use pangaea_tests::sim::{Cluster, Options, Outcome};

/// Runs the cluster's real cores in a deterministic world.
#[derive(Parser, Debug)]
#[command(name = "sim", after_help = "Examples:\n  cargo sim -- 42\n  cargo sim -- --seeds 100 --from 1000")]
struct Arguments {
    /// Run this seed and print its trace.
    seed: Option<u64>,
    /// Run so many seeds without traces.
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Simulated seconds per seed; faults need more than 20.
    #[arg(long, default_value_t = 35)]
    seconds: u64,
    /// Let nothing go wrong.
    #[arg(long)]
    clean: bool,
    /// Players per seed.
    #[arg(long, default_value_t = 6)]
    players: usize,
    /// Do not print the trace of a single seed.
    #[arg(long)]
    quiet: bool,
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
        (None, seeds) => many(&arguments, seeds.unwrap_or(10)),
    }
}

fn options(arguments: &Arguments, seed: u64) -> Options {
    let span = Duration::from_secs(arguments.seconds);
    Options { span, players: arguments.players, faults: !arguments.clean, ..Options::seed(seed) }
}

fn one(arguments: &Arguments, seed: u64) -> ExitCode {
    println!("seed {seed}");
    let outcome = Cluster::new(Options { print: !arguments.quiet, ..options(arguments, seed) }).run();
    report(seed, &outcome);
    if outcome.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn many(arguments: &Arguments, seeds: u64) -> ExitCode {
    let began = Instant::now();
    let mut failed = 0;
    for seed in arguments.from..arguments.from + seeds {
        let outcome = Cluster::new(options(arguments, seed)).run();
        report(seed, &outcome);
        if !outcome.faults.is_empty() {
            failed += 1;
            let clean = if arguments.clean { " --clean" } else { "" };
            println!("  again: cargo sim -- {seed} --seconds {} --players {}{clean}", arguments.seconds, arguments.players);
        }
    }
    let took = began.elapsed();
    let per_hour = seeds as f64 * 3_600.0 / took.as_secs_f64();
    println!("{} passed, {failed} failed", seeds - failed);
    println!(
        "{} simulated seconds in {:.1} s: {per_hour:.0} seeds per hour on one core",
        seeds * arguments.seconds,
        took.as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(seed: u64, outcome: &Outcome) {
    let Outcome { hash, lines, playing, inputs, updates, entities, handovers, trades, border_trades, longest_pause, faults } =
        outcome;
    println!(
        "seed {seed}: {} {lines} events, {playing} playing, {inputs} inputs, {updates} updates, {entities} entities, {handovers} hand-overs, {trades} times traded ({border_trades} trades over borders), longest pause {} ms, trace {hash:016x}",
        if faults.is_empty() { "ok" } else { "FAILED" },
        longest_pause.as_millis(),
    );
    for fault in faults.iter().take(5) {
        println!("  {fault}");
    }
}
