//! Many simulations: one seed after the other on several threads, failing ones reduced to the faults that they need.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pangaea_schemas::mutant::{self, Mutant, NoMutants};

use super::cluster::Cluster;
use super::outcome::{Options, Outcome, Trouble};

/// Runs one simulation to its end. A core that panics is a fault like any other.
pub fn run(options: Options) -> Outcome {
    panic::catch_unwind(AssertUnwindSafe(|| Cluster::new(options).run())).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
        Outcome { faults: vec![format!("panic: {text}")], ..Outcome::default() }
    })
}

/// Runs the seeds on so many threads and tells of each as it ends, in any order; stops early when `tell` says so.
///
/// # Errors
/// A mutant is wanted and this program has none.
pub fn run_seeds(
    seeds: std::ops::Range<u64>,
    jobs: usize,
    mutant: Option<Mutant>,
    options: impl Fn(u64) -> Options + Sync,
    mut tell: impl FnMut(u64, Outcome) -> Next,
) -> Result<(), NoMutants> {
    drop(mutant::unleash(mutant)?);
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let (sender, results) = mpsc::sync_channel(jobs);
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, options) = (sender.clone(), &next, &options);
            scope.spawn(move || {
                let _loose = mutant::unleash(mutant);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send((seed, run(options(seed)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (seed, outcome) in results {
            if tell(seed, outcome) == Next::Stop {
                break;
            }
        }
    });
    Ok(())
}

/// Whether to go on with other seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Seed,
    /// It is enough.
    Stop,
}

/// The numbers of the fewest of the outcome's planned faults with which the simulation still fails: halves are left out first,
/// then single ones.
pub fn reduce(options: &Options, outcome: &Outcome) -> Vec<usize> {
    let mut needed: Vec<usize> = (0..outcome.planned.len()).collect();
    let fails = |kept: &[usize]| {
        let planned = kept.iter().map(|number| outcome.planned[*number]).collect();
        !run(Options { trouble: Trouble::These(planned), print: false, ..options.clone() }).is_well()
    };
    let mut part = needed.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < needed.len() {
            let end = (at + part).min(needed.len());
            let without = [&needed[..at], &needed[end..]].concat();
            if fails(&without) {
                needed = without;
            } else {
                at = end;
            }
        }
        part /= 2;
    }
    needed
}

/// Sums over many simulations.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Simulations.
    pub seeds: u64,
    /// Those in which something was wrong, in order.
    pub failed: Vec<u64>,
    /// Simulated time.
    pub simulated: Duration,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Events, messages above all.
    pub events: u64,
    /// Inputs applied.
    pub inputs: u64,
    /// Hand-overs that came to an end.
    pub handovers: u64,
    /// How often a player was told that its trade is done.
    pub trades: u64,
    /// Trades over the border of two scenes.
    pub border_trades: u64,
    /// Changes of value and looks.
    pub transactions: u64,
}

impl Tally {
    /// One more.
    pub fn add(&mut self, seed: u64, span: Duration, outcome: &Outcome) {
        self.seeds += 1;
        self.simulated += span;
        for (_, fault) in &outcome.planned {
            *self.faults.entry(fault.kind()).or_default() += 1;
        }
        self.events += outcome.lines;
        self.inputs += outcome.inputs;
        self.handovers += outcome.handovers;
        self.trades += outcome.trades;
        self.border_trades += outcome.border_trades;
        self.transactions += outcome.transactions;
        if !outcome.is_well() {
            self.failed.push(seed);
            self.failed.sort_unstable();
        }
    }
}
