//! A data process on the engine: what it is asked for goes into the log in batches, one at a time; group commit comes by itself,
//! as requests queue up while a batch is on its way. A batch has come when it comes back from the log.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use pangaea_persistence::data::QUEUE_MAX;
use pangaea_persistence::{Data, LmdbStore, Place, Proposal};
use pangaea_schemas::message::Message;
use pangaea_schemas::{NodeId, Nonce, Timestamp, wire};

use super::{DataEvent, Event};
use crate::archive::STORE_FILE;
use crate::driver::process::Context;
use crate::engine::log::{BATCH_BYTES, Batch, LogEnds};
use crate::engine::{Connection, checkpoint};

/// Requests on their way into the log.
pub(super) struct Proposals {
    ends: LogEnds,
    node: NodeId,
    nonce: Nonce,
    /// Of the last batch.
    number: u64,
    is_under_way: bool,
    waiting: VecDeque<(NodeId, Bytes)>,
}

/// Begin to follow the log where the store's rows end; `None` without an engine.
///
/// # Errors
/// The store is of a cluster of the other kind.
pub(super) fn begin(context: &Context<Event>, data: &mut Data<LmdbStore>, folder: &Path) -> anyhow::Result<Option<Proposals>> {
    let position = data.position().context("cannot read the store's position in the log")?;
    let Some(connection) = &context.engine else {
        ensure!(
            position == 0,
            "the world in {} lives on the engine: start with the [engine] of before, not embedded",
            folder.display()
        );
        return Ok(None);
    };
    ensure!(
        position > 0 || data.owners()?.is_empty(),
        "{} holds an embedded world. `pangaea engine move` brings it to the engine; another --data-dir begins a new one",
        folder.display()
    );
    let wrap = |event| Event::Own(DataEvent::Log(event));
    Ok(Some(Proposals {
        ends: LogEnds::start(connection, position, context.inbox.clone(), wrap),
        node: context.options.node,
        nonce: context.nonce,
        number: 0,
        is_under_way: false,
        waiting: VecDeque::new(),
    }))
}

/// A store that is not there yet begins from the newest checkpoint, if there is one.
///
/// # Errors
/// It cannot be fetched.
pub(super) async fn begin_from_checkpoint(connection: &Connection, folder: &Path) -> anyhow::Result<()> {
    if folder.join(STORE_FILE).exists() {
        return Ok(());
    }
    match checkpoint::fetch_newest(connection, folder).await.context("cannot begin from a checkpoint")? {
        Some(position) => tracing::info!(position, "begins from a checkpoint"),
        None => tracing::info!("begins from the start of the log"),
    }
    Ok(())
}

/// Rows that cannot follow the log any more make room for a checkpoint.
pub(super) fn set_aside(folder: &Path) -> anyhow::Result<()> {
    let (file, aside) = (folder.join(STORE_FILE), folder.join("data.mdb.behind"));
    std::fs::rename(&file, &aside).with_context(|| format!("cannot set {} aside", file.display()))
}

impl Proposals {
    /// Take a request for the next batch. Without room it is dropped, and asked again.
    pub(super) fn push(&mut self, from: NodeId, message: &Message) {
        let is_ours = matches!(
            message,
            Message::JournalRequest(_) | Message::LedgerRequest(_) | Message::TableRequest(_) | Message::BlobRequest(_)
        );
        if !is_ours {
            return tracing::debug!(%from, "a message that is not for a data node");
        }
        if self.waiting.len() >= QUEUE_MAX {
            metrics::counter!("pangaea_engine_dropped", "service" => "log").increment(1);
            return;
        }
        self.waiting.push_back((from, wire::encode(message)));
    }

    /// Bring what waits on its way, unless a batch is.
    pub(super) fn propose(&mut self, now: Timestamp) {
        if self.is_under_way || self.waiting.is_empty() {
            return;
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.waiting.pop_front_if(|(_, frame)| bytes == 0 || bytes + frame.len() <= BATCH_BYTES) {
            bytes += next.1.len();
            frames.push(next);
        }
        self.number += 1;
        self.is_under_way = true;
        let proposal = Proposal { node: self.node, nonce: self.nonce, number: self.number };
        self.ends.propose(Batch { proposal, now, frames });
    }

    /// Whether a message of the log is a batch of this process: then the next may go.
    pub(super) fn came(&mut self, place: Place) -> bool {
        let own = place.proposal.is_some_and(|proposal| (proposal.node, proposal.nonce) == (self.node, self.nonce));
        if own && place.proposal.is_some_and(|proposal| proposal.number == self.number) {
            self.is_under_way = false;
        }
        own
    }
}
