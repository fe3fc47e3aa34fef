//! Checkpoints: snapshots of the data nodes' rows in the engine's object store, each with its position in the log.
//!
//! A data node that is new, or was away for too long, begins from the newest checkpoint and follows the log from there. What lies
//! before the oldest one that is kept is purged from the log, but for the last entry of each journal: its owner finds the head
//! there. A checkpoint is there when its manifest is, which is written last.

use std::path::Path;

use anyhow::{Context, ensure};
use async_nats::jetstream::object_store::ObjectStore;
use futures_util::TryStreamExt;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::Connection;
use crate::archive::STORE_FILE;
use crate::archive::backup::{MANIFEST_FILE, Manifest, hash};

/// Checkpoints that are kept: a node that fetches the last but one while the next is written still finds what follows it.
const KEPT: usize = 2;
/// Where they are.
const PREFIX: &str = "checkpoint/";

fn name(position: u64, file: &str) -> String {
    format!("{PREFIX}{position:020}/{file}")
}

/// Positions of the checkpoints that are whole, the newest last.
async fn positions(blobs: &ObjectStore) -> anyhow::Result<Vec<u64>> {
    let objects: Vec<_> = blobs.list().await?.try_collect().await?;
    let position = |name: &str| name.strip_prefix(PREFIX)?.strip_suffix(MANIFEST_FILE)?.trim_end_matches('/').parse().ok();
    let mut positions: Vec<u64> = objects.iter().filter_map(|object| position(&object.name)).collect();
    positions.sort_unstable();
    Ok(positions)
}

/// Keep the snapshot in `folder` as a checkpoint, unless there is one as new; then forget what is too old, and purge the log.
///
/// # Errors
/// The engine does not take it; what was kept before is still there.
pub async fn keep(connection: &Connection, folder: &Path) -> anyhow::Result<()> {
    let manifest = tokio::fs::read(folder.join(MANIFEST_FILE)).await?;
    let position = serde_json::from_slice::<Manifest>(&manifest)?.position;
    let blobs = connection.blobs();
    if positions(blobs).await?.last().is_some_and(|newest| *newest >= position) {
        return Ok(());
    }
    let mut file = File::open(folder.join(STORE_FILE)).await?;
    blobs.put(name(position, STORE_FILE).as_str(), &mut file).await.context("the engine does not take the checkpoint")?;
    blobs.put(name(position, MANIFEST_FILE).as_str(), &mut manifest.as_slice()).await?;
    tracing::info!(position, "kept a checkpoint");
    let kept = positions(blobs).await?;
    let old = kept.len().saturating_sub(KEPT);
    for position in &kept[..old] {
        // The manifest first: without it the rest is no checkpoint.
        blobs.delete(name(*position, MANIFEST_FILE)).await?;
        blobs.delete(name(*position, STORE_FILE)).await?;
    }
    match kept.get(old) {
        Some(oldest) if kept.len() == KEPT || old > 0 => purge(connection, *oldest).await,
        _ => Ok(()),
    }
}

/// Everything up to `position` goes, but for the last entry of each journal.
async fn purge(connection: &Connection, position: u64) -> anyhow::Result<()> {
    let (log, names) = (connection.log(), connection.names());
    let stream = log.stream();
    stream.purge().filter(names.batches()).sequence(position + 1).await?;
    let mut subjects = stream.info_with_subjects(names.shards()).await?;
    while let Some((subject, count)) = subjects.try_next().await? {
        if count < 2 {
            continue;
        }
        let last = log.last(&subject).await.map_err(anyhow::Error::msg)?;
        let last = last.map_or(0, |last| last.sequence);
        stream.purge().filter(subject).sequence(last.min(position + 1)).await?;
    }
    tracing::info!(position, "purged the log");
    Ok(())
}

/// Lay the newest checkpoint down in `folder`, which has no store yet. `None`: there is none.
///
/// # Errors
/// It cannot be fetched, or is not what was kept.
pub async fn fetch_newest(connection: &Connection, folder: &Path) -> anyhow::Result<Option<u64>> {
    let blobs = connection.blobs();
    let Some(position) = positions(blobs).await?.pop() else { return Ok(None) };
    let mut manifest = Vec::new();
    blobs.get(name(position, MANIFEST_FILE)).await?.read_to_end(&mut manifest).await?;
    let manifest: Manifest = serde_json::from_slice(&manifest).context("the checkpoint's manifest cannot be read")?;
    let (unfinished, finished) = (folder.join("data.mdb.unfinished"), folder.join(STORE_FILE));
    let mut file = File::create(&unfinished).await?;
    tokio::io::copy(&mut blobs.get(name(position, STORE_FILE)).await?, &mut file).await?;
    file.sync_all().await?;
    let hashed = unfinished.clone();
    let found = tokio::task::spawn_blocking(move || hash(&hashed)).await??;
    ensure!(found == manifest.sha256, "the checkpoint at {position} is not what was kept");
    tokio::fs::rename(&unfinished, &finished).await?;
    Ok(Some(position))
}
