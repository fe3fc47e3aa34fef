//! The snapshots that a data node takes by itself, so that there is a last good one: each was read from end to end, and the
//! oldest go when there are more than wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pangaea_schemas::NodeId;

use super::backup::{back_up, utc};
use super::store_of;
use crate::role::StoreOptions;

/// A data node that has just started has other things to do first.
const FIRST_AFTER: Duration = Duration::from_secs(60);

/// Where they are, below a data folder.
pub(crate) fn below(data_dir: &Path) -> PathBuf {
    data_dir.join("snapshots")
}

/// The same for one of several data nodes that share a data folder.
pub(crate) fn of(data_dir: &Path, node: NodeId) -> PathBuf {
    if node.ordinal == 1 { below(data_dir) } else { data_dir.join(format!("snapshots-{node}")) }
}

/// Finished ones, oldest first.
pub(crate) fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut finished: Vec<_> = entries.filter(|path| path.extension().is_none() && path.is_dir()).collect();
    finished.sort();
    finished
}

/// A name that sorts by time.
pub(super) fn name_of(time: SystemTime) -> String {
    utc(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())).replace(['-', ':'], "")
}

/// Takes snapshots, one after the other.
pub(crate) struct Keeper {
    data_dir: PathBuf,
    node: NodeId,
    options: StoreOptions,
    wait: Duration,
}

impl Keeper {
    /// Of the store below a data folder; `None`: no snapshots are wanted.
    pub(crate) fn new(data_dir: PathBuf, node: NodeId, options: StoreOptions) -> Option<Self> {
        let wait = FIRST_AFTER.min(options.snapshot_every);
        (options.snapshots_kept > 0).then_some(Self { data_dir, node, options, wait })
    }

    /// Waits until the next one is due, and takes it: its folder. What goes wrong is logged and counted.
    pub(crate) async fn take_next(&mut self) -> Option<PathBuf> {
        tokio::time::sleep(self.wait).await;
        self.wait = self.options.snapshot_every;
        let (data_dir, node, options, began) = (self.data_dir.clone(), self.node, self.options, Instant::now());
        // The reading is done by another process; only the waiting for it is here.
        let taken = tokio::task::spawn_blocking(move || take(&data_dir, node, options)).await;
        match taken.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(folder) => {
                metrics::histogram!("pangaea_snapshot_seconds").record(began.elapsed());
                Some(folder)
            }
            Err(error) => {
                metrics::counter!("pangaea_failed_snapshots").increment(1);
                tracing::error!("no snapshot could be taken, the ones before it are kept: {error:#}");
                None
            }
        }
    }
}

/// What is kept for journals: as much as wanted, but never more than a twentieth of the disk.
pub(crate) fn reserve_bytes(data_dir: &Path, options: StoreOptions) -> anyhow::Result<u64> {
    Ok(options.reserve_bytes.min(pangaea_persistence::disk_space(data_dir)?.size / 20))
}

fn take(data_dir: &Path, node: NodeId, options: StoreOptions) -> anyhow::Result<PathBuf> {
    let (began, store, folder) = (Instant::now(), store_of(data_dir, node), of(data_dir, node));
    let bytes = fs::metadata(store.join(super::STORE_FILE))?.len();
    let room = pangaea_persistence::disk_space(data_dir)?.room;
    anyhow::ensure!(
        room >= bytes + reserve_bytes(data_dir, options)?,
        "the disk under {} has {room} bytes left; a snapshot of {bytes} would go below the reserve",
        data_dir.display()
    );
    let taken = folder.join(name_of(SystemTime::now()));
    let manifest = back_up(&store, &taken, &mut |step| tracing::debug!(step))?;
    let kept = list(&folder);
    for old in &kept[..kept.len().saturating_sub(options.snapshots_kept)] {
        fs::remove_dir_all(old)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    tracing::info!(bytes = manifest.bytes, rows = manifest.rows, seconds, "took a snapshot");
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_listed_in_the_order_in_which_they_were_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |seconds| name_of(UNIX_EPOCH + Duration::from_secs(seconds));
        for seconds in [1_798_761_599, 951_782_400, 1_798_761_600] {
            fs::create_dir(folder.path().join(at(seconds))).expect("made");
        }
        fs::create_dir(folder.path().join(format!("{}.unfinished", at(1_798_761_700)))).expect("made");
        let names = [951_782_400, 1_798_761_599, 1_798_761_600].map(|seconds| folder.path().join(at(seconds)));
        assert_eq!(list(folder.path()), names);
    }
}
