//! The executables that a cluster runs, under names of their own in the data folder.
//!
//! Whoever dies is started again as the build that it was: at the path of a build another one may stand by then, which nobody
//! has deployed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// Most builds that one `pangaea up` has run, one after the other.
const BUILDS_MAX: usize = 256;

/// What was kept since this `pangaea up` began.
#[derive(Debug)]
pub(super) struct Builds {
    folder: PathBuf,
    /// Device and inode of what was kept, with its name here.
    kept: Vec<((u64, u64), PathBuf)>,
}

impl Builds {
    /// Begin anew: nobody runs what a former run has kept.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub(super) fn begin(data_dir: &Path) -> anyhow::Result<Self> {
        let folder = data_dir.join("builds");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        Ok(Self { folder, kept: Vec::new() })
    }

    /// Where this build is to be started from, now and later: a second name of the same file, or a copy where that cannot be.
    ///
    /// # Errors
    /// It cannot be read, or the data folder not be written to.
    pub(super) fn keep(&mut self, program: &Path) -> anyhow::Result<PathBuf> {
        let what = || format!("cannot keep the build {}", program.display());
        let program = program.canonicalize().with_context(what)?;
        let found = fs::metadata(&program).with_context(what)?;
        if let Some((_, kept)) = self.kept.iter().find(|(file, _)| *file == (found.dev(), found.ino())) {
            return Ok(kept.clone());
        }
        ensure!(self.kept.len() < BUILDS_MAX, "{BUILDS_MAX} builds ran one after the other: start the cluster anew");
        let name = program.file_name().with_context(what)?;
        let folder = self.folder.join((self.kept.len() + 1).to_string());
        let kept = folder.join(name);
        fs::create_dir_all(&folder).with_context(what)?;
        // Another file system, or somebody else's file.
        if fs::hard_link(&program, &kept).is_err() {
            fs::copy(&program, &kept).with_context(what)?;
        }
        self.kept.push(((found.dev(), found.ino()), kept.clone()));
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_stays_what_it_was_when_its_path_becomes_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("game");
        let mut builds = Builds::begin(folder.path()).expect("begun");
        fs::write(&path, "first").expect("written");
        let first = builds.keep(&path).expect("kept");
        assert_eq!(builds.keep(&path).expect("kept"), first, "once");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "second").expect("written");
        let second = builds.keep(&path).expect("kept");
        let read = |path: &Path| fs::read_to_string(path).expect("there");
        assert_eq!((read(&first).as_str(), read(&second).as_str()), ("first", "second"));
        assert_eq!(first.file_name(), path.file_name(), "it has its own name in lists of processes");
        drop(Builds::begin(folder.path()).expect("begun anew"));
        assert!(!first.exists() && path.exists());
    }

    #[test]
    fn what_is_not_there_is_told_by_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut builds = Builds::begin(folder.path()).expect("begun");
        let error = builds.keep(Path::new("/nowhere/game")).expect_err("nothing").to_string();
        assert!(error.contains("/nowhere/game"), "{error}");
    }
}
