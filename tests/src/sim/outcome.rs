//! What goes into a simulation and what comes out of it.

use std::time::Duration;

use super::faults::Planned;

/// What goes wrong in a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    None,
    /// All that is drawn from the seed, see [`super::faults`].
    Drawn,
    /// This.
    These(Vec<Planned>),
}

/// How a simulation is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Simulated time.
    pub span: Duration,
    /// Players.
    pub players: usize,
    /// Print the trace.
    pub print: bool,
    /// What goes wrong.
    pub trouble: Trouble,
    /// The first player finds the game's bug, see [`super::curse`], and is to be parked for it.
    pub cursed: bool,
    /// An admin records the liveliest shard, and it is run again; see [`super::recorder`].
    pub record: bool,
}

impl Options {
    /// A usual run of `seed`.
    pub fn seed(seed: u64) -> Self {
        let trouble = Trouble::None;
        Self { seed, span: Duration::from_secs(20), players: 6, print: false, trouble, cursed: false, record: false }
    }

    /// A usual run of `seed` in which things go wrong.
    pub fn faulty(seed: u64) -> Self {
        Self { span: Duration::from_secs(35), trouble: Trouble::Drawn, ..Self::seed(seed) }
    }
}

/// What came of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Hash of the trace.
    pub hash: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// Players in the world at the end.
    pub playing: usize,
    /// Inputs applied, over all players.
    pub inputs: u64,
    /// Updates seen, over all players.
    pub updates: u64,
    /// Entities live at the end.
    pub entities: usize,
    /// Hand-overs that came to an end.
    pub handovers: u64,
    /// How often a player was told that its trade is done.
    pub trades: u64,
    /// Trades between two players whose agents two scenes ran.
    pub border_trades: u64,
    /// Changes of value that the ledger told as done.
    pub transactions: u64,
    /// Players whose agents are parked at the end, by number.
    pub parked: Vec<usize>,
    /// Processes that a curse ended.
    pub crashes: u64,
    /// The longest time that any player waited for an input to be applied.
    pub longest_pause: Duration,
    /// What was recorded and ran again to the same.
    pub replayed: Replayed,
    /// What was to go wrong, in order of number.
    pub planned: Vec<Planned>,
    /// What was wrong, in words.
    pub faults: Vec<String>,
}

/// A recording, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Ticks that ran again.
    pub ticks: u64,
    /// Inputs of players.
    pub inputs: usize,
    /// Who came in from another shard, was born or woke up.
    pub arrivals: usize,
    /// Who left or fell asleep.
    pub exits: usize,
    /// Effects from other shards.
    pub effects: usize,
    /// Answers of the ledger.
    pub answers: usize,
    /// The whole state was compared in the end; otherwise the recording broke off.
    pub is_whole: bool,
}

impl Outcome {
    /// Whether all went as it must.
    pub fn is_well(&self) -> bool {
        self.faults.is_empty()
    }
}
