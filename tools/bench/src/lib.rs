//! The benchmark suite: what the cluster costs, each figure beside a bare reference that ran in the same minute on the same
//! cores, because absolute speed drifts by a third within minutes on shared machines and ratios do not.
//!
//! [`run`] is `pangaea bench`. Read on in [`row`] (what a figure is), `measure` (how references are interleaved), [`report`]
//! (what is written), `suite` (the rows, one file per part of the cluster), `reference` (the bare things they are compared
//! with), `bed` (a scene without processes around it).

mod bed;
mod cores;
mod game;
pub mod inner;
mod load;
mod machine;
mod measure;
mod profile;
mod reference;
pub mod report;
pub mod row;
mod scrape;
mod suite;
mod wires;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use pangaea_scene::game::Game;

use measure::Log;
use report::Report;

/// What to measure and how long.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// Only these rows, such as `S4`; empty: all.
    pub only: Vec<String>,
    /// Fewer repetitions and shorter runs: the same sizes, wider spread.
    pub quick: bool,
    /// Where the table, the JSON, the raw log and the data of the stores go. Durable rows measure the disk under it.
    pub folder: PathBuf,
    /// First of the ports for the suite's clusters.
    pub port_base: u16,
    /// Record this process with perf, see [`profile`].
    pub profile: bool,
}

/// What every row is told.
pub(crate) struct Setup {
    /// See [`BenchOptions::quick`].
    pub(crate) quick: bool,
    /// See [`BenchOptions::folder`].
    pub(crate) folder: PathBuf,
    /// See [`BenchOptions::port_base`].
    pub(crate) port_base: u16,
}

/// Set for the processes of the suite's clusters: names the game that they run in place of their binary's, see [`arena_game`].
pub(crate) const ARENA: &str = "PANGAEA_BENCH_ARENA";
/// What makes a game.
pub type Plugin = fn(&mut Game);
/// Those games.
const GAMES: [(&str, Plugin); 3] = [("arena", game::arena), ("ferries", game::ferries), ("drove", game::drove)];

/// The game to run if this process belongs to a cluster of the suite.
pub fn arena_game() -> Option<Plugin> {
    let wanted = std::env::var(ARENA).ok()?;
    GAMES.into_iter().find(|(name, _)| *name == wanted).map(|(_, game)| game)
}

impl Setup {
    /// How often a pair of reference and measurement is repeated.
    pub(crate) fn repetitions(&self) -> usize {
        if self.quick { 3 } else { 7 }
    }

    /// `full`, or a third of it when in a hurry.
    pub(crate) fn span(&self, full: Duration) -> Duration {
        if self.quick { full / 3 } else { full }
    }
}

/// Run the suite, write `bench.md`, `bench.json` and `bench.log` into the folder.
///
/// # Errors
/// A row's name is unknown, the folder cannot be written, or a row could not be measured at all; the text says which.
pub fn run(options: &BenchOptions) -> anyhow::Result<Report> {
    for wanted in &options.only {
        if !suite::ALL.iter().any(|part| part.ids.contains(&wanted.as_str())) {
            bail!("there is no row {wanted}; rows are S1 to S17");
        }
    }
    std::fs::create_dir_all(&options.folder)?;
    let setup = Setup { quick: options.quick, folder: options.folder.clone(), port_base: options.port_base };
    let mut log = Log::create(&options.folder.join("bench.log"))?;
    log.say(&machine::describe().to_string());
    let recorder = if options.profile { Some(profile::Recorder::start(&options.folder)?) } else { None };
    let mut report = Report::new(machine::describe(), options.quick);
    for part in suite::ALL {
        let wanted = |id: &&str| options.only.is_empty() || options.only.iter().any(|only| only == id);
        if part.ids.iter().any(wanted) {
            log.say(&format!("# {}: {}", part.ids.join(" "), part.what));
            let mut rows = (part.run)(&setup, &mut log)?;
            rows.retain(|row| wanted(&row.id));
            rows.iter().for_each(|row| log.say(&row.to_string()));
            report.rows.extend(rows);
            report.rows.sort_by_key(|row| row.id.trim_start_matches('S').parse::<u32>().unwrap_or(u32::MAX));
            // A whole run takes about half an hour: who ends it early has the rows so far.
            report.write(&options.folder)?;
        }
    }
    if let Some(recorder) = recorder {
        log.say(&recorder.finish()?);
    }
    Ok(report)
}
