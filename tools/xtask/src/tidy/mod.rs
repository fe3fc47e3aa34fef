//! The rules that no compiler checks: who may depend on whom, headers, sizes, names, reasons.
//!
//! Generated code is exempt from everything. Tests are exempt from size: `tests.rs`, files under `tests/`, and what stands behind
//! `#[cfg(test)]`.

mod manifest;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Folders that are not source: built, fetched or generated.
const SKIPPED_FOLDERS: &[&str] = &[".git", "target", "node_modules", "dist", "generated"];

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// From the root.
    pub path: PathBuf,
    /// From 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, text } = self;
        if *line == 0 { write!(f, "{}: {text}", path.display()) } else { write!(f, "{}:{line}: {text}", path.display()) }
    }
}

/// Fails with all findings of the tree at `root`.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let findings = findings(root)?;
    if findings.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    bail!("{} tidy rule(s) broken:\n{}", lines.len(), lines.join("\n"))
}

/// Every broken rule of the tree at `root`, in order of path and line.
pub fn findings(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut files = Vec::new();
    list(root, &mut files)?;
    let mut findings = Vec::new();
    for path in files {
        let name = path.strip_prefix(root)?;
        let is_manifest = name.file_name().is_some_and(|file| file == "Cargo.toml");
        let kind = name.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if !is_manifest && !matches!(kind, "rs" | "ts" | "mjs" | "fbs") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let broken = if is_manifest { manifest::broken_rules(&text)? } else { source::broken_rules(name, &text) };
        findings.extend(broken.into_iter().map(|(line, text)| Finding { path: name.to_owned(), line, text }));
    }
    findings.sort();
    Ok(findings)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !path.is_dir() {
            files.push(path);
        } else if !SKIPPED_FOLDERS.contains(&name) {
            list(&path, files)?;
        }
    }
    Ok(())
}
