//! The build that is to be deployed: what it keeps and says is compared with the cluster's before anything moves.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use pangaea_scene::layouts::Layouts;
use tokio::process::Command;

use crate::cluster::ClusterAddress;

/// A build says what it keeps within this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Most lines of differences that are told.
const CHANGES_MAX: usize = 40;

/// Finds the executable and asks both sides.
///
/// # Errors
/// It is no build of a game, or one whose types are not those of the cluster: told line by line.
pub(super) async fn check(cluster: &ClusterAddress, build: &Path) -> anyhow::Result<PathBuf> {
    let program = build.canonicalize().with_context(|| format!("there is no build at {}", build.display()))?;
    let ours: Layouts = cluster.ask("/api/layouts").await?;
    let theirs = layouts_of(&program).await?;
    let changes = ours.changes_to(&theirs);
    if changes.is_empty() {
        return Ok(program);
    }
    let mut text = changes.iter().take(CHANGES_MAX).map(|line| format!("\n  {line}")).collect::<String>();
    if changes.len() > CHANGES_MAX {
        text += &format!("\n  and {} more lines", changes.len() - CHANGES_MAX);
    }
    bail!(
        "{} keeps or says other things than the cluster does; nothing was moved:{text}\nDeploy takes builds with the same types. For \
         others stop the cluster and start it with the new build",
        program.display()
    )
}

async fn layouts_of(program: &Path) -> anyhow::Result<Layouts> {
    let mut command = Command::new(program);
    command.args(["layouts", "--json"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_TIME_MAX, command.output()).await;
    let what = || format!("{} is no build that can be deployed: `layouts --json`", program.display());
    let output = output.with_context(|| format!("{} says nothing for {} s", what(), ANSWER_TIME_MAX.as_secs()))?;
    let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ends with {}: {}", what(), output.status, said.trim());
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} prints something else", what()))
}
