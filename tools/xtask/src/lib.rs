//! Chores of the workspace, as a library so that `cargo test` can run what `cargo xtask` runs.

pub mod ci;
pub mod instructions;
pub mod nats;
pub mod schemas;
pub mod tidy;

mod cluster;
mod pinned;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

/// The workspace's root folder.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}

/// Runs a program to its end; an error unless it succeeds.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Builds every binary as `cargo test --workspace` sees it: a package built alone has other features and would build the
/// dependencies once more.
pub(crate) fn build(root: &Path) -> anyhow::Result<()> {
    run(Command::new("cargo").args(["build", "--locked", "--workspace", "--bins", "--tests"]).current_dir(root))
}

/// Where [`build`] puts a binary.
pub(crate) fn built(root: &Path, name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
    target.join("debug").join(name)
}
