//! Backups: taken beside a living data node, read from end to end before they count, restored into what is empty.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::look::{self, JournalView, VerifyView};
use super::{STORE_FILE, find_store, refuse_occupied, snapshots, store_below, sync_folder};
use crate::up::DataDir;

/// The layout of a backup. One of another number is refused.
const FORMAT: u32 = 1;
/// What makes a folder a backup.
pub(crate) const MANIFEST_FILE: &str = "manifest.json";
/// What tells of a restored store where it comes from.
const RESTORED_FILE: &str = "restored.json";
/// Bytes read at once while a file is hashed.
const HASH_PIECE_BYTES: usize = 1 << 20;

/// What a backup is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the backup's layout.
    pub format: u32,
    /// Which build took it.
    pub version: String,
    /// When, in UTC.
    pub taken_at: String,
    /// How far each journal had come.
    pub journals: Vec<JournalView>,
    /// How far it follows the engine's log; zero for an embedded world.
    #[serde(default)]
    pub position: u64,
    /// Rows in it.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file in hexadecimal, as `sha256sum` prints it.
    pub sha256: String,
}

/// What became of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// When, in UTC.
    pub at: String,
    /// What is there now.
    pub from: Manifest,
    /// Where the store went that was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<PathBuf>,
}

impl Restored {
    /// What the store in `folder` was restored from, if it was.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(RESTORED_FILE)).ok()?).ok()
    }
}

/// Copies the store that is meant by `from` into the new folder `to`. `say` hears of each step.
///
/// # Errors
/// `to` is occupied, the store cannot be copied, or the copy is not whole; nothing is left at `to` then.
pub fn back_up(from: &Path, to: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<Manifest> {
    let store = find_store(from)?;
    refuse_occupied(to)?;
    let unfinished = to.with_added_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished).with_context(|| format!("cannot make {}", unfinished.display()))?;
    let outcome = fill(&store, &unfinished, say).and_then(|manifest| {
        fs::rename(&unfinished, to).with_context(|| format!("cannot name {}", to.display()))?;
        sync_folder(to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
        Ok(manifest)
    });
    if outcome.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    outcome
}

fn fill(store: &Path, folder: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<Manifest> {
    let (file, taken_at) = (folder.join(STORE_FILE), now());
    say(format!("copying {} ({})", store.join(STORE_FILE).display(), mib(fs::metadata(store.join(STORE_FILE))?.len())));
    let bytes = look::copied(store, &file)?;
    say(format!("reading the copy of {} from end to end", mib(bytes)));
    let found = look::verified(folder)?;
    ensure!(found.ok, "the store in {} is not whole: {}", store.display(), found.findings.join("; "));
    // What the reader left beside the copy.
    let _ = fs::remove_file(folder.join("lock.mdb"));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let (journals, position, rows, sha256) = (found.journals, found.position, found.rows, hash(&file)?);
    let manifest = Manifest { format: FORMAT, version, taken_at, journals, position, rows, bytes, sha256 };
    write_json(&folder.join(MANIFEST_FILE), &manifest)?;
    sync_folder(folder)?;
    Ok(manifest)
}

/// The manifest of a backup whose file is as it was taken.
///
/// # Errors
/// It is no backup, of another format, or its file is another one.
pub fn check(backup: &Path) -> anyhow::Result<Manifest> {
    let manifest = backup.join(MANIFEST_FILE);
    let text = fs::read(&manifest).with_context(|| format!("{} is no backup: no {MANIFEST_FILE}", backup.display()))?;
    let manifest: Manifest = serde_json::from_slice(&text).with_context(|| format!("cannot read {}", manifest.display()))?;
    ensure!(manifest.format == FORMAT, "{} is of format {}, this build reads {FORMAT}", backup.display(), manifest.format);
    let file = backup.join(STORE_FILE);
    ensure!(hash(&file)? == manifest.sha256, "{} is not the file that was taken on {}", file.display(), manifest.taken_at);
    Ok(manifest)
}

/// Reads all of the store that is meant by `given`; of a backup also whether it is what was taken.
///
/// # Errors
/// There is none, or the reader cannot be started.
pub fn verify(given: &Path) -> anyhow::Result<VerifyView> {
    let store = find_store(given)?;
    let mut view = look::verified(&store)?;
    if store.join(MANIFEST_FILE).exists()
        && let Err(error) = check(&store)
    {
        view.ok = false;
        view.findings.push(format!("{error:#}"));
    }
    Ok(view)
}

/// Makes a new data folder of a backup. Keys are not in it: who was logged in logs in again.
///
/// # Errors
/// The backup is not whole, or the folder is occupied.
pub fn restore(backup: &Path, data_dir: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<Restored> {
    refuse_occupied(data_dir)?;
    say(format!("checking {}", backup.display()));
    let manifest = check(backup)?;
    let data_dir = DataDir::open(data_dir)?;
    lay_down(backup, manifest, data_dir.path(), None, say)
}

/// Puts the newest good snapshot in the place of a store that is not whole, which is set aside. What was done since the
/// snapshot is not in it.
///
/// # Errors
/// The cluster runs, the store is whole, or there is no good snapshot.
pub fn restore_last_good(data_dir: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<Restored> {
    ensure!(data_dir.is_dir(), "there is no data folder {}", data_dir.display());
    let data_dir = DataDir::open(data_dir)?;
    let (store, kept) = (store_below(data_dir.path()), snapshots::below(data_dir.path()));
    if store.join(STORE_FILE).exists() {
        say(format!("reading {}", store.display()));
        ensure!(!look::verified(&store)?.ok, "the store in {} is whole: nothing needs to be restored", store.display());
    }
    for snapshot in snapshots::list(&kept).into_iter().rev() {
        say(format!("checking {}", snapshot.display()));
        let checked = check(&snapshot);
        let manifest = match checked {
            Ok(manifest) => manifest,
            Err(error) => {
                say(format!("not this one: {error:#}"));
                continue;
            }
        };
        let aside = store.with_file_name(format!("data-damaged-{}", snapshots::name_of(SystemTime::now())));
        if store.exists() {
            fs::rename(&store, &aside).with_context(|| format!("cannot set {} aside", store.display()))?;
        }
        return lay_down(&snapshot, manifest, data_dir.path(), aside.exists().then_some(aside), say);
    }
    bail!("there is no good snapshot in {}", kept.display())
}

fn lay_down(
    backup: &Path,
    from: Manifest,
    data_dir: &Path,
    set_aside: Option<PathBuf>,
    say: &mut dyn FnMut(String),
) -> anyhow::Result<Restored> {
    let store = store_below(data_dir);
    fs::create_dir_all(&store).with_context(|| format!("cannot make {}", store.display()))?;
    say(format!("copying {}", mib(from.bytes)));
    let (file, unfinished) = (store.join(STORE_FILE), store.join("data.mdb.unfinished"));
    fs::copy(backup.join(STORE_FILE), &unfinished).with_context(|| format!("cannot write {}", unfinished.display()))?;
    File::open(&unfinished)?.sync_all()?;
    ensure!(hash(&unfinished)? == from.sha256, "{} is not what was copied there", unfinished.display());
    let restored = Restored { at: now(), from, set_aside };
    write_json(&store.join(RESTORED_FILE), &restored)?;
    fs::rename(&unfinished, &file)?;
    sync_folder(&store)?;
    Ok(restored)
}

fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let written = fs::write(path, serde_json::to_vec_pretty(value)?).and_then(|()| File::open(path)?.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))
}

pub(crate) fn hash(path: &Path) -> anyhow::Result<String> {
    let read = || -> std::io::Result<String> {
        let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; HASH_PIECE_BYTES]);
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => hasher.update(&piece[..read]),
            }
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    utc(seconds)
}

/// Such as `2026-11-22T20:15:00Z`.
pub(super) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March put the leap day last; days are counted from 0000-03-01, in eras of 400 years.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_write_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
