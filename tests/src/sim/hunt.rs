//! The hunt for planted bugs: each of [`QUARRY`] lives in the cores until a simulation says what it breaks. A check that none of
//! them fails sees nothing.

use pangaea_schemas::mutant::{Mutant, NoMutants};

use super::campaign::{self, Next};
use super::outcome::Options;

/// Within so many seeds each of them must be found.
pub const SEEDS_MAX: u64 = 1_000;

/// Planted bugs that the simulator must find. It is not known yet to find the others: the models judge most of those, but the
/// ones that only a simulation could catch wait for a check of their own.
pub const QUARRY: &[Mutant] = &[
    Mutant::AppendWithoutCompare,
    Mutant::ResumeWithoutClaim,
    Mutant::GoOnAfterConflict,
    Mutant::AcknowledgeBeforeDurable,
    Mutant::CommitBeforeOut,
    Mutant::DestroyBeforeAccept,
    Mutant::ResumeByTimeout,
    Mutant::InputsNotResent,
    Mutant::InputTwiceAfterResume,
];

/// A planted bug that was found.
#[derive(Clone, Debug)]
pub struct Kill {
    /// By the simulation of this seed.
    pub seed: u64,
    /// What it said first.
    pub said: String,
}

/// Lets the bug live in one simulation after the other until one of them, which goes well without the bug, says that something is
/// wrong; `None`: it lives on.
///
/// # Errors
/// This program has no mutants.
pub fn hunt(mutant: Mutant, seeds: std::ops::Range<u64>, jobs: usize) -> Result<Option<Kill>, NoMutants> {
    let mut kill = None;
    campaign::run_seeds(seeds, jobs, Some(mutant), Options::faulty, |seed, outcome| match outcome.faults.first() {
        // The bug lives on the threads that simulate, not on this one.
        Some(said) if campaign::run(Options::faulty(seed)).is_well() => {
            kill = Some(Kill { seed, said: said.clone() });
            Next::Stop
        }
        _ => Next::Seed,
    })?;
    Ok(kill)
}
