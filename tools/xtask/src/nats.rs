//! The cluster's engine for developers: `nats-server`, pinned with its hash in `nats.lock`, installed below `target/`, where
//! tests and `pangaea up --engine nats` find it.

use std::path::{Path, PathBuf};

use crate::pinned::Pinned;

/// The program, installed when it is not there yet.
///
/// # Errors
/// It cannot be had here; the text says why.
pub fn install(root: &Path) -> anyhow::Result<PathBuf> {
    Pinned { name: "nats", program: "nats-server" }.install(root)
}
