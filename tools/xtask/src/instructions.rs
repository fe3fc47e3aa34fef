//! Instruction counts of the inner loops under callgrind, against those that are committed: unlike times they do not drift with
//! the machine, so a loop that grew shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::run;

/// Where the committed counts are.
const COUNTS: &str = "tools/bench/instructions.toml";
/// Rounds that the example counts.
const ROUNDS: u64 = 8;
/// A loop that needs so many percent more than is committed fails the check.
const GROWTH_MAX_PERCENT: f64 = 5.0;

/// Count, then compare with what is committed, or with `write` put it there. Returns the counts, a line each, or loudly why none
/// could be made here.
///
/// # Errors
/// A loop has grown, is not committed, or could not be counted.
pub fn count(root: &Path, write: bool) -> anyhow::Result<String> {
    if let Err(why) = Command::new("valgrind").arg("--version").output() {
        return Ok(format!(
            "SKIPPED: nothing was counted, valgrind cannot be started ({why}); on Debian it is the package valgrind"
        ));
    }
    run(Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "pangaea-bench", "--example", "inner"])
        .current_dir(root))?;
    let path = root.join(COUNTS);
    let committed: BTreeMap<String, u64> = toml::from_str(&fs::read_to_string(&path).unwrap_or_default())?;
    let mut counts = BTreeMap::new();
    for name in loops(root)? {
        let count = count_one(root, &name)?;
        counts.insert(name, count);
    }
    let (told, grown) = compare(&committed, &counts);
    if write {
        let text = toml::to_string(&counts)?;
        let head = "# Instructions per round under callgrind; `cargo xtask instructions --write` counts anew.";
        fs::write(&path, format!("{head}\n{text}"))?;
        return Ok(told);
    }
    ensure!(grown.is_empty(), "{told}\n{}; `cargo xtask instructions --write` commits to the new counts", grown.join("; "));
    Ok(told)
}

/// A line for each loop, and what is wrong.
fn compare(committed: &BTreeMap<String, u64>, counts: &BTreeMap<String, u64>) -> (String, Vec<String>) {
    let (mut told, mut wrong) = (Vec::new(), Vec::new());
    for (name, count) in counts {
        let Some(before) = committed.get(name) else {
            told.push(format!("{name:<16} {count:>12} instructions per round, new"));
            wrong.push(format!("{name} is not in {COUNTS}"));
            continue;
        };
        let percent = (*count as f64 / *before as f64 - 1.0) * 100.0;
        told.push(format!("{name:<16} {count:>12} instructions per round, {percent:+.1} % against {before}"));
        if percent > GROWTH_MAX_PERCENT {
            wrong.push(format!("{name} has grown by more than {GROWTH_MAX_PERCENT} %"));
        }
    }
    (told.join("\n"), wrong)
}

fn example(root: &Path) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
    target.join("release/examples/inner")
}

/// The loops' names, as the example tells them: the first word of each line.
fn loops(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new(example(root)).output().context("the example `inner` cannot be started")?;
    let text = String::from_utf8(output.stdout).context("the example `inner` names no loops")?;
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

fn count_one(root: &Path, name: &str) -> anyhow::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_round*"]);
    valgrind.arg(example(root)).arg(name);
    let output = valgrind.output().context("valgrind cannot be started; on Debian it is in the package valgrind")?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        bail!("the loop {name} failed under callgrind: {words}");
    }
    let collected = words.lines().find_map(|line| line.split_once("Collected :")).context("callgrind tells no count")?;
    let count: u64 = collected.1.trim().parse().context("callgrind's count is no number")?;
    Ok(count / ROUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_and_loops_without_a_count_are_told() {
        let counts = |all: &[(&str, u64)]| all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let (committed, now) = (counts(&[("a", 1_000), ("b", 1_000)]), counts(&[("a", 1_049), ("b", 1_051), ("c", 7)]));
        let (told, wrong) = compare(&committed, &now);
        assert_eq!(told.lines().count(), 3);
        assert_eq!(wrong, ["b has grown by more than 5 %", "c is not in tools/bench/instructions.toml"]);
        assert!(compare(&now, &committed).1.is_empty(), "who needs less is welcome");
    }
}
