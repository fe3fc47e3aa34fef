//! What a deploy leaves in the data folder while it runs: whoever comes after one that was cut off knows what was begun.
//!
//! The file is locked for as long as its deploy lives, so a deploy that runs is told from one that ended somehow.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// The file's name in the data folder.
const NAME: &str = "deploy.json";
/// Longest trace in bytes.
const BYTES_MAX: u64 = 64 * 1_024;

/// What was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// The new build.
    pub(super) program: PathBuf,
    /// Scenes that ran before.
    pub(super) old: Vec<String>,
    /// Those of them that an admin had drained.
    pub(super) drained: Vec<String>,
    /// Scenes of the new build.
    pub(super) new: Vec<String>,
    /// The balancer was on.
    pub(super) balances: bool,
    /// The new build has everything, and the old scenes are being stopped: there is no way back.
    pub(super) is_final: bool,
}

/// The file, which is ours until this is dropped.
pub(super) struct Trace {
    file: File,
    path: PathBuf,
}

impl Trace {
    /// Takes the file; also what a deploy that was cut off has left in it.
    ///
    /// # Errors
    /// Another deploy runs, or the folder cannot be written to.
    pub(super) fn take(folder: &Path) -> anyhow::Result<(Self, Option<Begun>)> {
        let path = folder.join(NAME);
        let what = || format!("cannot note the deploy in {}", path.display());
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(&path).with_context(what)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another deploy runs in this cluster; wait for its end, or press Ctrl-C there")
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(what),
        }
        let mut text = Vec::new();
        Read::by_ref(&mut file).take(BYTES_MAX).read_to_end(&mut text).with_context(what)?;
        // A deploy that ended before it began anything has left nothing, or half a line.
        let begun = serde_json::from_slice(&text).ok();
        Ok((Self { file, path }, begun))
    }

    /// What was begun so far.
    ///
    /// # Errors
    /// It cannot be written down: nothing more should be begun.
    pub(super) fn note(&mut self, begun: &Begun) -> anyhow::Result<()> {
        let text = serde_json::to_vec(begun)?;
        let write = |file: &mut File| {
            file.rewind()?;
            file.set_len(0)?;
            file.write_all(&text)?;
            file.sync_data()
        };
        write(&mut self.file).with_context(|| format!("cannot note the deploy in {}", self.path.display()))
    }

    /// All is as it should be: nobody need know of it.
    pub(super) fn erase(self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Begun {
    /// What is to be done about it, for who comes after.
    pub(super) fn in_words(&self) -> String {
        let Self { program, old, new, balances, is_final, .. } = self;
        let new = if new.is_empty() { "none yet".to_owned() } else { new.join(", ") };
        let balancer = if *balances { ", and lets the balancer, which is off, go on" } else { "" };
        let mending = if *is_final { "stops the old scenes" } else { "moves all shards back and stops the new scenes" };
        format!(
            "a deploy of {} was cut off: {} are scenes of the build before, of the new one: {new}. `pangaea deploy --mend` \
             {mending}{balancer}; then deploy again",
            program.display(),
            old.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_after_a_deploy_that_was_cut_off_knows_what_was_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let begun = Begun {
            program: "/a build".into(),
            old: vec!["scene-1".to_owned()],
            new: vec!["scene-2".to_owned()],
            balances: true,
            ..Begun::default()
        };
        let (mut trace, before) = Trace::take(folder.path()).expect("taken");
        assert_eq!(before, None);
        trace.note(&Begun::default()).expect("noted");
        trace.note(&begun).expect("noted");
        let error = Trace::take(folder.path()).map(drop).expect_err("it runs").to_string();
        assert!(error.contains("another deploy runs"), "{error}");
        drop(trace);
        let (trace, found) = Trace::take(folder.path()).expect("taken");
        assert_eq!(found.as_ref(), Some(&begun));
        let words = begun.in_words();
        assert!(
            words.contains("scene-1 are scenes of the build before") && words.contains("--mend` moves all shards back"),
            "{words}"
        );
        trace.erase();
        assert_eq!(Trace::take(folder.path()).expect("taken").1, None);
    }
}
