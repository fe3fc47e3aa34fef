//! `cargo model` explores every model and lets every planted bug live in one that must catch it; it fails when a rule is broken
//! or a bug gets away.
#![allow(clippy::print_stdout, reason = "a command-line tool talks on its streams")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Parser;
use pangaea_model::catalogue::{Case, Hunter, LARGE, SMALL, hunter};
use pangaea_model::explore::{Explored, Verdict};
use pangaea_schemas::mutant::{self, Mutant};

/// Most states of one model.
const STATES_MAX: usize = 6_000_000;

/// Explores the models of the protocols through every state within their bounds.
#[derive(Parser, Debug)]
#[command(name = "model")]
struct Arguments {
    /// At bounds that take long.
    #[arg(long)]
    large: bool,
    /// Only models whose name and bounds contain this.
    #[arg(long)]
    only: Option<String>,
    /// Only this planted bug.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Most states of one model; memory is about 500 bytes per state and thread.
    #[arg(long, default_value_t = STATES_MAX)]
    states: usize,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Print the way to each broken rule also for planted bugs.
    #[arg(long)]
    ways: bool,
}

/// One exploration.
type Job = (Case, Option<Mutant>);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic in a machine is told like any other broken rule.
    std::panic::set_hook(Box::new(|_| {}));
    let jobs = jobs(&arguments);
    let (next, failed, screen) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(()));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (lines, is_well) = run(*job, arguments.states, arguments.ways);
                    failed.fetch_add(usize::from(!is_well), Ordering::Relaxed);
                    let _turn = screen.lock().unwrap_or_else(PoisonError::into_inner);
                    lines.iter().for_each(|line| println!("{line}"));
                }
            });
        }
    });
    if arguments.mutant.is_none() && arguments.only.is_none() {
        tell_of_others();
    }
    let (failed, time) = (failed.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
    println!("{} explorations, {failed} failed, in {time:.1} s", jobs.len());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn jobs(arguments: &Arguments) -> Vec<Job> {
    let cases = if arguments.large { LARGE } else { SMALL };
    let is_wanted = |case: &Case| arguments.only.as_ref().is_none_or(|part| case.to_string().contains(part));
    let mutants = Mutant::ALL.iter().filter(|mutant| arguments.mutant.is_none_or(|only| only == **mutant));
    let hunts = mutants.filter_map(|mutant| match hunter(*mutant) {
        Hunter::Model(case) => Some((case, Some(*mutant))),
        Hunter::Simulator(_) => None,
    });
    let proofs = cases.iter().filter(|_| arguments.mutant.is_none()).map(|case| (*case, None));
    proofs.chain(hunts).filter(|(case, _)| is_wanted(case)).collect()
}

/// What to print, and whether it is as it should be.
fn run((case, mutant): Job, states_max: usize, ways: bool) -> (Vec<String>, bool) {
    let _loose = match mutant::unleash(mutant) {
        Ok(loose) => loose,
        Err(error) => return (vec![format!("FAILED   {error}")], false),
    };
    let began = Instant::now();
    let explored = case.explore(states_max, || began.elapsed());
    let Explored { verdict, states, steps, depth, time } = &explored;
    let numbers = format!("{states:>8} states {steps:>10} steps {depth:>3} deep {:6.1} s", time.as_secs_f64());
    let (rule, way) = finding(verdict);
    let is_well = rule.is_some() == mutant.is_some();
    let head = match (&rule, mutant) {
        (None, None) => format!("holds    {numbers}  {case}"),
        (Some(rule), None) => format!("FAILED   {numbers}  {case}: {rule}"),
        (Some(rule), Some(mutant)) => format!("caught   {numbers}  {mutant}: {rule}"),
        (None, Some(mutant)) => format!("FAILED   {numbers}  {mutant} lives on in {case}"),
    };
    let shown = if ways || !is_well { way } else { &[] };
    (std::iter::once(head).chain(shown.iter().map(|step| format!("         {step}"))).collect(), is_well)
}

/// What is wrong, and the way there.
fn finding(verdict: &Verdict) -> (Option<String>, &[String]) {
    match verdict {
        Verdict::Holds => (None, &[]),
        Verdict::Broken { rule, way } => (Some(rule.clone()), way),
        Verdict::Stuck { way } => (Some("no way without faults leads to a settled state".to_owned()), way),
        Verdict::Unseen(sight) => (Some(format!("this never comes to pass: {sight}")), &[]),
        Verdict::TooLarge => (Some("more states than allowed, nothing is proved".to_owned()), &[]),
    }
}

fn tell_of_others() {
    for mutant in Mutant::ALL {
        if let Hunter::Simulator(why) = hunter(*mutant) {
            println!("left to the simulator: {mutant}, {why}");
        }
    }
}
