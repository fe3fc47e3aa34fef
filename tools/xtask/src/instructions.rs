//! Instruction counts of the inner loops under callgrind, against those that are committed: unlike times they do not drift with
//! the machine, so a loop that grew shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::run;

/// Where the committed counts are.
const COUNTS: &str = "tools/bench/instructions.toml";
/// The loops of `pangaea_bench::inner`.
const LOOPS: [&str; 2] = ["gateway-round", "shard-tick"];
/// Rounds that the example counts.
const ROUNDS: u64 = 8;
/// A loop that needs so many percent more than is committed fails the check.
const GROWTH_MAX_PERCENT: f64 = 5.0;

/// Count, then compare with what is committed, or with `write` put it there. Returns the counts, a line each.
///
/// # Errors
/// A loop has grown, or could not be counted.
pub fn count(root: &Path, write: bool) -> anyhow::Result<String> {
    run(Command::new("cargo").args(["build", "--release", "-p", "pangaea-bench", "--example", "inner"]).current_dir(root))?;
    let path = root.join(COUNTS);
    let committed: BTreeMap<String, u64> = toml::from_str(&fs::read_to_string(&path).unwrap_or_default())?;
    let mut counts = BTreeMap::new();
    let (mut grown, mut told) = (Vec::new(), Vec::new());
    for name in LOOPS {
        let count = count_one(root, name)?;
        let before = committed.get(name).copied().unwrap_or(count);
        let percent = (count as f64 / before as f64 - 1.0) * 100.0;
        told.push(format!("{name:<16} {count:>12} instructions per round, {percent:+.1} % against {before}"));
        if percent > GROWTH_MAX_PERCENT {
            grown.push(name);
        }
        counts.insert(name.to_owned(), count);
    }
    if write {
        let text = toml::to_string(&counts)?;
        fs::write(
            &path,
            format!("# Instructions per round under callgrind; `cargo xtask instructions --write` counts anew.\n{text}"),
        )?;
        return Ok(told.join("\n"));
    }
    ensure!(grown.is_empty(), "{}\ngrown by more than {GROWTH_MAX_PERCENT} %: {}", told.join("\n"), grown.join(", "));
    Ok(told.join("\n"))
}

fn count_one(root: &Path, name: &str) -> anyhow::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_round*"]);
    valgrind.arg(root.join("target/release/examples/inner")).arg(name);
    let output = valgrind.output().context("valgrind cannot be started; on Debian it is in the package valgrind")?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("the loop {name} failed under callgrind: {words}");
    }
    let collected = words.lines().find_map(|line| line.split_once("Collected :")).context("callgrind tells no count")?;
    let count: u64 = collected.1.trim().parse().context("callgrind's count is no number")?;
    Ok(count / ROUNDS)
}
