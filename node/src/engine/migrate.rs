//! `pangaea engine move`: an embedded world comes to the engine, whole.
//!
//! 1. The log begins with the last entry of each journal, under its own name: owners find their journals' heads there.
//! 2. A copy of the store, with the position behind those entries, becomes the first checkpoint: every data node begins from it.
//! 3. The store itself gets that position. From then on it belongs to the engine; until then nothing of it was changed.
//!
//! Broken off anywhere, it is done again from the start: what is there already is recognised by its name.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use pangaea_persistence::log::{LastEntry, last_entries};
use pangaea_persistence::{Data, LmdbOptions, LmdbStore, Logged, Place};
use pangaea_schemas::Timestamp;
use pangaea_schemas::wire::stored::Stored;

use super::entries::{Closed, EntryMessage, JournalMessage};
use super::fenced::Fate;
use super::journal::write_of;
use super::{Connection, checkpoint};
use crate::archive::{backup, store_below};
use crate::up::DataDir;

/// An entry that the engine does not take in this time makes the move fail.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What was moved.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Moved {
    /// Journals.
    pub shards: usize,
    /// Rows of records, ledger, tables and all else.
    pub rows: u64,
    /// Bytes of the checkpoint.
    pub bytes: u64,
    /// Where data nodes begin to follow the log.
    pub position: u64,
}

/// Move the world of a stopped cluster. `say` hears of each step.
///
/// # Errors
/// The cluster runs, there is no embedded world, or the engine holds another one. The embedded world is as it was.
pub async fn to_engine(connection: &Connection, data_dir: &Path, say: &mut dyn FnMut(String)) -> anyhow::Result<Moved> {
    ensure!(data_dir.is_dir(), "there is no data folder {}", data_dir.display());
    let data_dir = DataDir::open(data_dir)?;
    let folder = store_below(data_dir.path());
    let store = || LmdbStore::open(&folder, LmdbOptions::default()).with_context(|| format!("cannot open {}", folder.display()));
    let (entries, position) = {
        let data = Data::new(store()?);
        let position = data.position()?;
        (last_entries(&data.into_store())?, position)
    };
    ensure!(position == 0, "the world in {} lives on the engine already, at position {position}", folder.display());
    ensure!(!entries.is_empty(), "there is no world in {} yet: just start with the engine", folder.display());
    say(format!("the last entries of {} journals", entries.len()));
    for entry in &entries {
        begin_journal(connection, entry).await?;
    }
    let position = connection.log().stream().get_info().await?.state.last_sequence;
    ensure!(
        position == entries.len() as u64,
        "the engine's log has {position} messages, not the {} that this world begins with: it holds another world",
        entries.len()
    );
    let (copy, taken) = (data_dir.path().join("engine-move.copy"), data_dir.path().join("engine-move"));
    for left in [&copy, &taken] {
        let _ = std::fs::remove_dir_all(left);
    }
    backup::back_up(&folder, &copy, say)?;
    set_position(LmdbStore::open(&copy, LmdbOptions::default())?, position)?;
    let manifest = backup::back_up(&copy, &taken, say)?;
    say(format!("{} bytes go into the engine as its first checkpoint", manifest.bytes));
    checkpoint::keep(connection, &taken).await?;
    set_position(store()?, position)?;
    for left in [&copy, &taken] {
        std::fs::remove_dir_all(left).with_context(|| format!("the world was moved, but {} is left", left.display()))?;
    }
    Ok(Moved { shards: entries.len(), rows: manifest.rows, bytes: manifest.bytes, position })
}

/// What tells the head of a journal: its last entry, or that it has ended, if that entry does not say so.
fn first_message(LastEntry { shard, head, id, entry }: &LastEntry) -> Bytes {
    let message = EntryMessage { shard: *shard, id: *id, owner: head.owner, index: head.tail, previous: 0 };
    if JournalMessage::Entry(message, entry.clone()).head().epoch == head.epoch {
        return message.encode(&entry.to_stored());
    }
    Closed { shard: *shard, id: *id, index: head.tail, epoch: head.epoch, previous: 0 }.encode()
}

async fn begin_journal(connection: &Connection, last: &LastEntry) -> anyhow::Result<()> {
    let LastEntry { shard, id, .. } = last;
    let payload = first_message(last);
    let write = write_of(connection.names(), *shard, *id, 0, payload);
    match connection.log().write(&write, PATIENCE).await {
        Fate::Written(_) => Ok(()),
        Fate::Overtaken(_) => bail!("the engine has another history of {shard}: it holds another world"),
        Fate::Unknown(reason) => bail!("the engine does not take the journal of {shard}: {reason}"),
    }
}

fn set_position(store: LmdbStore, position: u64) -> anyhow::Result<()> {
    let mut data = Data::new(store);
    let place = Place { position, now: Timestamp::default(), proposal: None };
    data.follow(Logged { place, requests: Vec::new() });
    data.commit(Timestamp::default());
    match data.broken() {
        Some(reason) => bail!("the position cannot be written: {reason}"),
        None => Ok(()),
    }
}
