//! The build that is to be deployed: what it keeps and says is compared with all that runs in the cluster before anything moves.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use pangaea_node::admin::StatusView;
use pangaea_scene::layouts::{Comparison, Layouts};
use tokio::process::Command;

use super::scripts;
use crate::cluster::ClusterAddress;

/// A build says what it keeps within this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Most lines of differences that are told at once.
const LINES_MAX: usize = 60;
/// Most builds that run in one cluster: three deploys on top of each other.
const BUILDS_MAX: usize = 4;

/// Finds the executable, and asks it and whatever runs. What it has otherwise than any of those.
///
/// # Errors
/// It is no build of a game, or one that cannot run beside those of the cluster: told line by line, with what to do.
pub(super) async fn check(cluster: &ClusterAddress, build: &Path, status: &StatusView) -> anyhow::Result<(PathBuf, Comparison)> {
    let program = build.canonicalize().with_context(|| format!("there is no build at {}", build.display()))?;
    let new = layouts_of(&program).await?;
    let mut comparison = Comparison::default();
    for (who, layouts) in running(cluster, status).await? {
        let other = layouts.compared_with(&new);
        if !other.is_possible() {
            bail!(
                "{} cannot run beside what {who} runs; nothing was moved.\n{}\nMend that. To stop the cluster and start it with the new \
                 build and --accept-losses helps, too, but loses every component that is made of something else",
                program.display(),
                shortened(&other)
            );
        }
        join(&mut comparison, other);
    }
    scripts::check(cluster, &program).await?;
    Ok((program, comparison))
}

/// What it has otherwise, for the terminal; no more than one screen or two.
pub(super) fn shortened(comparison: &Comparison) -> String {
    let text = comparison.to_string();
    let count = text.lines().count();
    if count <= LINES_MAX {
        return text;
    }
    let lines: Vec<&str> = text.lines().take(LINES_MAX).collect();
    format!("{}\nand {} more lines", lines.join("\n"), count - LINES_MAX)
}

/// Says once what it has otherwise than several.
fn join(all: &mut Comparison, other: Comparison) {
    let Comparison { added, converted, retired, refused } = other;
    for (all, new) in
        [(&mut all.added, added), (&mut all.converted, converted), (&mut all.retired, retired), (&mut all.refused, refused)]
    {
        // A line and those that are indented below it are one thing.
        let mut things: Vec<Vec<String>> = Vec::new();
        for line in new {
            match things.last_mut() {
                Some(thing) if line.starts_with(' ') => thing.push(line),
                Some(_) | None => things.push(vec![line]),
            }
        }
        for thing in things {
            if !all.windows(thing.len()).any(|known| known == thing) {
                all.extend(thing);
            }
        }
    }
}

/// Every build that runs, with one node that runs it: the world's own word, and the executables of processes on this machine.
async fn running(cluster: &ClusterAddress, status: &StatusView) -> anyhow::Result<Vec<(String, Layouts)>> {
    let mut builds = vec![("the world".to_owned(), cluster.ask::<Layouts>("/api/layouts").await?)];
    for (node, program) in executables(status).into_values() {
        let layouts = layouts_of(&program).await.with_context(|| format!("what {node} runs cannot be compared"))?;
        if !builds.iter().any(|(_, known)| *known == layouts) {
            builds.push((node, layouts));
        }
    }
    ensure!(
        builds.len() <= BUILDS_MAX,
        "{} builds run in this cluster, and at most {BUILDS_MAX} may: start it anew with the latest",
        builds.len()
    );
    Ok(builds)
}

/// Per file that scenes and gateways run: one of them, and where it still can be started, though its path may be another's now.
fn executables(status: &StatusView) -> BTreeMap<(u64, u64), (String, PathBuf)> {
    let mut found = BTreeMap::new();
    for node in status.nodes.iter().filter(|node| ["scene", "gateway"].contains(&node.role.as_str())) {
        let program = PathBuf::from(format!("/proc/{}/exe", node.pid));
        // Whose lease is not over yet may have ended.
        if let Ok(file) = std::fs::metadata(&program) {
            found.entry((file.dev(), file.ino())).or_insert((node.id.clone(), program));
        }
    }
    found
}

/// What an executable keeps and says.
///
/// # Errors
/// It is no build of a game, or of another version.
pub(super) async fn layouts_of(program: &Path) -> anyhow::Result<Layouts> {
    let mut command = Command::new(program);
    command.args(["layouts", "--json"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_TIME_MAX, command.output()).await;
    let what = || format!("{} is no build that can be deployed: `layouts --json`", program.display());
    let output = output.with_context(|| format!("{} says nothing for {} s", what(), ANSWER_TIME_MAX.as_secs()))?;
    let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ends with {}: {}", what(), output.status, said.trim());
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("{} prints something else; it may be of another version of Pangaea", what()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn what_is_otherwise_than_several_builds_is_said_once() {
        let of_one = Comparison { added: lines(&["a is new"]), converted: lines(&["b", "  + x"]), ..Comparison::default() };
        let of_other = Comparison { converted: lines(&["b", "  + x", "c", "  + x"]), ..Comparison::default() };
        let mut all = Comparison::default();
        join(&mut all, of_one);
        join(&mut all, of_other);
        assert_eq!((all.added, all.converted), (lines(&["a is new"]), lines(&["b", "  + x", "c", "  + x"])));
    }

    #[test]
    fn a_long_comparison_is_cut_and_says_so() {
        let comparison = Comparison { added: vec!["x".to_owned(); 100], ..Comparison::default() };
        let text = shortened(&comparison);
        assert_eq!(text.lines().count(), LINES_MAX + 1);
        assert!(text.ends_with("and 41 more lines"), "{text}");
    }
}
