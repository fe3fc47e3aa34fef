//! Programs that come as Python packages, pinned by hash in a lock file beside this crate and installed into a virtual
//! environment below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::run;

/// A program and its package.
pub(crate) struct Pinned {
    /// Names the lock file, and the folder below `target/`.
    pub(crate) name: &'static str,
    /// What the package brings.
    pub(crate) program: &'static str,
}

impl Pinned {
    /// The program, installed when it is not there yet.
    pub(crate) fn install(&self, root: &Path) -> anyhow::Result<PathBuf> {
        let Self { name, program } = self;
        let lock = root.join(format!("tools/xtask/{name}.lock"));
        let folder = root.join("target").join(name);
        let (environment, installed) = (folder.join("venv"), folder.join("installed.lock"));
        let file = environment.join("bin").join(program);
        let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
        if file.exists() && fs::read(&installed).ok().as_ref() == Some(&wanted) {
            return Ok(file);
        }
        fs::create_dir_all(&folder)?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
            .with_context(|| format!("{program} needs python3 with its venv module (Debian: python3-venv)"))?;
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--requirement"];
        run(Command::new(environment.join("bin/python")).args(pip).arg(&lock))
            .with_context(|| format!("cannot install {program} from {}", lock.display()))?;
        ensure!(file.exists(), "the package of {} brought no {program}", lock.display());
        fs::write(installed, wanted)?;
        Ok(file)
    }
}
