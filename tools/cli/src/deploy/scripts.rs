//! Scripts that run now, read as shards of the new build would read them: what they name may be gone, or mean something else.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use pangaea_node::admin::{ScriptView, ScriptsView};
use tokio::process::Command;

use crate::cluster::ClusterAddress;

/// All scripts are read within this.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// Lets the new build read them.
///
/// # Errors
/// It cannot read some: told with file, line and reason.
pub(super) async fn check(cluster: &ClusterAddress, program: &Path) -> anyhow::Result<()> {
    let running: ScriptsView = cluster.ask("/api/scripts").await?;
    let mut sources = Vec::new();
    for script in running.scripts.into_iter().filter(|script| script.is_on) {
        let whole: ScriptView = cluster.ask(&format!("/api/scripts/{}", script.name)).await?;
        sources.push((script.name, whole.source));
    }
    if sources.is_empty() {
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("pangaea-deploy-{}", std::process::id()));
    let outcome = read_by(program, &folder, &sources).await;
    // They are in the cluster.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

async fn read_by(program: &Path, folder: &Path, sources: &[(String, String)]) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut files = Vec::new();
    for (name, source) in sources {
        let file = folder.join(format!("{name}.luau"));
        fs::write(&file, source).with_context(|| format!("cannot write {}", file.display()))?;
        files.push(file);
    }
    let mut command = Command::new(program);
    command.args(["script", "check"]).args(&files).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(ANSWER_TIME_MAX, command.output()).await;
    let output = output.with_context(|| format!("{} does not read the cluster's scripts in time", program.display()))?;
    let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let lines: String = String::from_utf8_lossy(&said).lines().map(|line| format!("\n  {line}")).collect();
    bail!(
        "scripts that run now would be off in shards of {}; nothing was moved.{lines}\nSave what both builds can read, or switch them off \
         (`pangaea script disable`)",
        program.display()
    )
}
