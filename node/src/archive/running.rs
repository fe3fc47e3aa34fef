//! Whether a store is suspect, judged before this process opens it.
//!
//! `running` lies beside the store and says whether a process has it open, or had when it died: under which start of the machine,
//! and how many died in a row. It is written over in place, which needs no room on the disk: a process must be able to start, and
//! to end well, when there is none.
//!
//! | found | means | then |
//! |---|---|---|
//! | `closed`, or nothing | closed in good order, or new | open |
//! | this start of the machine, no death before | the process was killed: all it wrote is there | open |
//! | this start of the machine, deaths before | perhaps the store kills them | read all of it first |
//! | another start of the machine | power was lost | read all of it first |
//! | anything else | who knows | read all of it first |

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{STORE_FILE, look};

/// What a store that was closed in good order is marked with.
const CLOSED: &str = "closed";
/// All marks are padded to this length in bytes, so that each one covers the one before.
const MARK_BYTES: usize = 64;

/// A store that this process may open, until it says how it left it.
#[derive(Debug)]
pub(crate) struct Running {
    mark: PathBuf,
}

impl Running {
    /// Judges the store in `folder`, in a process of its own when it is suspect, and leaves a mark.
    ///
    /// # Errors
    /// It is not whole: what was found, and what can be done.
    pub(crate) fn begin(folder: &Path) -> anyhow::Result<Self> {
        let (mark, boot) = (folder.join("running"), boot_id());
        let found = fs::read_to_string(&mark).ok().filter(|text| text.trim() != CLOSED);
        let mut deaths = found.map(|text| deaths_since(&text, &boot).map(|before| before + 1));
        if folder.join(STORE_FILE).exists() && matches!(deaths, Some(None | Some(2..))) {
            read_all_of(folder)?;
            deaths = None;
        }
        let deaths = deaths.flatten().unwrap_or_default();
        write_over(&mark, &format!("{boot} {deaths}")).with_context(|| format!("cannot write {}", mark.display()))?;
        Ok(Self { mark })
    }

    /// The store is closed, and everything was as it should be.
    pub(crate) fn end_well(self) {
        if let Err(error) = write_over(&self.mark, CLOSED) {
            tracing::warn!(%error, "the store will be read from end to end at the next start");
        }
    }

    /// The disk failed: the next process trusts nothing.
    pub(crate) fn mark_suspect(&self) {
        if let Err(error) = write_over(&self.mark, "suspect") {
            tracing::warn!(%error, "the next process will not know that the disk failed");
        }
    }
}

/// Without truncating: the bytes are there already.
fn write_over(mark: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(mark)?;
    file.write_all(format!("{text:<MARK_BYTES$}").as_bytes())?;
    file.sync_data()
}

/// Deaths in a row that the mark tells of, if it is of this start of the machine.
fn deaths_since(mark: &str, boot: &str) -> Option<u32> {
    let (marked, deaths) = mark.split_once(' ')?;
    (!boot.is_empty() && marked == boot).then(|| deaths.trim().parse().ok())?
}

/// Names this start of the machine; empty where the system has no such name.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn read_all_of(folder: &Path) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    tracing::info!(folder = %folder.display(), "the store was not closed in good order: reading all of it first");
    let found = look::verified(folder)?;
    if !found.ok {
        let data_dir = folder.parent().unwrap_or(folder).display();
        bail!(
            "the store in {} is not whole: {}. Nothing was changed. `pangaea data verify {data_dir}` tells all; \
             `pangaea data restore --last-good --data-dir {data_dir}` sets it aside and starts from the last good snapshot, \
             without what was done since",
            folder.display(),
            found.findings.iter().take(3).cloned().collect::<Vec<_>>().join("; ")
        );
    }
    tracing::info!(rows = found.rows, seconds = began.elapsed().as_secs_f64(), "the store is whole");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which mark the store has after a process began on it and died.
    fn died(folder: &Path) -> String {
        drop(Running::begin(folder).expect("no store, nothing to doubt"));
        fs::read_to_string(folder.join("running")).expect("a mark")
    }

    #[test]
    fn deaths_in_a_row_are_counted_until_an_end_in_good_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let counts: Vec<_> = (0..3).map(|_| deaths_since(&died(folder.path()), &boot_id())).collect();
        assert_eq!(counts, [Some(0), Some(1), Some(2)]);
        Running::begin(folder.path()).expect("begun").end_well();
        assert_eq!(deaths_since(&died(folder.path()), &boot_id()), Some(0));
    }

    #[test]
    fn a_mark_is_written_in_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let size = |folder: &Path| fs::metadata(folder.join("running")).expect("a mark").len();
        died(folder.path());
        let before = size(folder.path());
        Running::begin(folder.path()).expect("begun").mark_suspect();
        assert_eq!((size(folder.path()), deaths_since(&died(folder.path()), &boot_id())), (before, Some(0)), "no store to doubt");
    }

    #[test]
    fn only_a_single_death_under_this_start_of_the_machine_is_no_reason_for_doubt() {
        assert_eq!(deaths_since("boot 0", "boot"), Some(0));
        for doubtful in ["other 0", "suspect", "", "boot many", " 0"] {
            assert_eq!(deaths_since(doubtful, "boot"), None, "{doubtful:?}");
        }
        assert_eq!(deaths_since(" 0", ""), None, "no name is nobody's name");
    }
}
