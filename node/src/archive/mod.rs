//! The data node's files, from outside: looked at, backed up, restored, and judged before they are opened.
//!
//! | what | where, below the data folder |
//! |---|---|
//! | the store | `data/data.mdb`; a second data node's in the same folder: `data-2/data.mdb` |
//! | who has it open, or died with it | `data/running` |
//! | what it was restored from | `data/restored.json` |
//! | snapshots the data node takes by itself | `snapshots/<time>/` |
//!
//! A backup and a snapshot are the same: a folder with `data.mdb` and `manifest.json`, which is written last, once the copy was
//! read from end to end and found whole. Everything works beside a living data node: LMDB's readers wait for nobody and nobody
//! waits for them. Damage in a page can end the process that reads it, so reading is done in a process of its own ([`look`]).

pub mod backup;
pub mod look;
pub(crate) mod running;
pub(crate) mod snapshots;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pangaea_schemas::NodeId;

/// LMDB's name for its file.
pub(crate) const STORE_FILE: &str = "data.mdb";

/// The store below a data folder.
pub fn store_below(data_dir: &Path) -> PathBuf {
    data_dir.join("data")
}

/// The store of one of several data nodes that share a data folder.
pub fn store_of(data_dir: &Path, node: NodeId) -> PathBuf {
    if node.ordinal == 1 { store_below(data_dir) } else { data_dir.join(node.to_string()) }
}

/// The folder with the store that is meant by a data folder, a store's own folder, a snapshot or a backup.
///
/// # Errors
/// There is no store in it.
pub fn find_store(given: &Path) -> anyhow::Result<PathBuf> {
    let found = [store_below(given), given.to_owned()].into_iter().find(|folder| folder.join(STORE_FILE).is_file());
    found.with_context(|| format!("there is no {STORE_FILE} in {}: name a data folder or a backup", given.display()))
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> anyhow::Result<()> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("cannot sync {}", folder.display()))
}

/// Refuses a folder that holds anything.
fn refuse_occupied(folder: &Path) -> anyhow::Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => bail!("{} is not empty: nothing is overwritten, choose a new folder", folder.display()),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot look into {}", folder.display())),
    }
}
