//! `pangaea bench`: what everything costs, beside bare references of the same minute on the same cores.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pangaea_bench::BenchOptions;

use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea bench                       all rows; the table, the JSON and the raw log go to pangaea-bench/
  pangaea bench --only S4,S15 --quick
  pangaea bench --only S15 --profile  and where the time goes, by perf
Run a release build on an idle machine; exit code 1 when a goal is not met.";

/// What to measure.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// Only these rows, such as S4,S15
    #[arg(long, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<String>,
    /// Fewer repetitions: the same sizes, a wider spread
    #[arg(long)]
    quick: bool,
    /// Where table, raw log and the stores under test go: durable rows measure the disk under it
    #[arg(long, default_value = "pangaea-bench", value_name = "DIR")]
    folder: PathBuf,
    /// First of 90 ports for the clusters of the suite
    #[arg(long, default_value_t = 7_900, value_name = "N")]
    port_base: u16,
    /// Record this process with perf and print where its time goes
    #[arg(long)]
    profile: bool,
    /// The rows as JSON, for scripts; progress goes to stderr
    #[arg(long)]
    json: bool,
}

/// Run the suite; failure when a goal is not met.
pub(crate) fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let BenchArgs { only, quick, folder, port_base, profile, json } = args;
    let report = pangaea_bench::run(&BenchOptions { only, quick, folder, port_base, profile })?;
    say(&if json { report.json()? } else { report.markdown() });
    Ok(if report.all_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
