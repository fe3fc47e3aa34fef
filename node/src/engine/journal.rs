//! A scene's appends, straight into the cluster's log.
//!
//! Each shard has a task of its own: its appends come one after the other, those of different shards at once. The task knows the
//! journal's head and the sequence of its last entry in the stream. It takes an append by the same rules as a data node would
//! ([`JournalHead::admits`]) and writes it only if that entry is still the last: the decision and the writing are one. Each entry
//! carries the head after it and the sequence before it, so a head is read in one message and an entry found by walking back.
//! What ends or begins several journals at once is written to all of them or to none: a split or a merge.

mod together;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use pangaea_persistence::{JournalHead, encode_entry, recut};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::Entry;
use pangaea_schemas::message::{AppendId, JournalReply, Message};
use pangaea_schemas::{JournalIndex, ShardEpoch};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::entries::{EntryMessage, JournalMessage};
use super::fenced::{Fate, FencedStream, FencedWrite};
use super::names::Names;
use super::{Connection, Outlet, offer};
use crate::membership::DATA;

/// Most appends of one shard that wait; its owner sends few at once.
const WAITING_MAX: usize = 64;
/// An append that is not decided by then is answered "not now".
const PATIENCE: Duration = Duration::from_secs(2);
/// A shard's task ends when nothing was appended for so long.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Names of own appends that are remembered, so that most repetitions cost no reading.
const OWN_MAX: usize = 16;
/// How many entries are walked back to find one. An owner that missed an answer has only a few appends on their way; what lies
/// deeper is not asked for again.
const WALK_MAX: u64 = 32;

/// What is to be appended.
pub(super) struct Append {
    pub(super) id: AppendId,
    pub(super) expected: JournalIndex,
    pub(super) entry: Arc<Entry>,
}

/// All shards' tasks.
pub(super) struct Journals {
    log: FencedStream,
    names: Names,
    outlet: Outlet,
    stopped: CancellationToken,
    /// Appends come from a driver's thread.
    runtime: Handle,
    shards: BTreeMap<ShardId, mpsc::Sender<Append>>,
}

pub(super) fn start(connection: &Connection, outlet: Outlet, stopped: &CancellationToken) -> Journals {
    Journals {
        log: connection.log().clone(),
        names: connection.names().clone(),
        outlet,
        stopped: stopped.clone(),
        runtime: Handle::current(),
        shards: BTreeMap::new(),
    }
}

impl Journals {
    pub(super) fn send(&mut self, shard: ShardId, append: Append) {
        self.shards.retain(|_, queue| !queue.is_closed());
        if !self.shards.contains_key(&shard) {
            self.shards.insert(shard, self.start(shard));
        }
        offer(&self.shards[&shard], append, "journal");
    }

    /// A shard's task.
    fn start(&self, shard: ShardId) -> mpsc::Sender<Append> {
        let (queue, asked) = mpsc::channel(WAITING_MAX);
        let desk = Desk::new(self.log.clone(), &self.names, shard);
        self.runtime.spawn(self.stopped.clone().run_until_cancelled_owned(desk.serve(asked, self.outlet.clone())));
        queue
    }
}

/// The head of a journal and where its last entry is in the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    head: JournalHead,
    sequence: u64,
}

/// One shard's appends.
struct Desk {
    log: FencedStream,
    names: Names,
    shard: ShardId,
    known: Option<Known>,
    /// Indices of own appends and their names, the newest last.
    own: VecDeque<(JournalIndex, AppendId)>,
}

impl Desk {
    fn new(log: FencedStream, names: &Names, shard: ShardId) -> Self {
        Self { log, names: names.clone(), shard, known: None, own: VecDeque::new() }
    }

    async fn serve(mut self, mut asked: mpsc::Receiver<Append>, outlet: Outlet) {
        loop {
            let append = match tokio::time::timeout(IDLE_MAX, asked.recv()).await {
                Ok(Some(append)) => append,
                Ok(None) => return,
                Err(_) => {
                    // Whoever sends now finds it closed and starts another; what is queued already is still served.
                    asked.close();
                    continue;
                }
            };
            let began = std::time::Instant::now();
            let reply = self.append(&append).await;
            metrics::histogram!("pangaea_engine_append_seconds").record(began.elapsed());
            outlet.say(DATA, Message::JournalReply(reply)).await;
        }
    }

    async fn append(&mut self, append: &Append) -> JournalReply {
        let (shard, id) = (self.shard, append.id);
        match self.decide(append).await {
            Ok(reply) => reply,
            Err(reason) => {
                // What was written last is looked up before anything else is.
                self.known = None;
                JournalReply::Unavailable { shard, id, reason }
            }
        }
    }

    /// `Err`: nobody knows; the owner asks again under the same name.
    async fn decide(&mut self, append: &Append) -> Result<JournalReply, String> {
        if let Some(parts) = recut::parts_of(self.shard, &append.entry) {
            return self.recut(append, parts).await;
        }
        let Append { id, expected, entry } = append;
        let (shard, id, expected) = (self.shard, *id, *expected);
        let encoded = match encode_entry(entry) {
            Ok(encoded) => encoded,
            Err(fault) => return Ok(JournalReply::Unavailable { shard, id, reason: fault.to_string() }),
        };
        let mut fresh = self.known.is_none();
        loop {
            let known = match self.known.clone() {
                Some(known) => known,
                None => self.look().await?,
            };
            if expected < known.head.tail && self.is_there(&known, expected.next(), id).await? {
                return Ok(JournalReply::Appended { shard, id, index: expected.next() });
            }
            if known.head.tail != expected || !known.head.admits(id.nonce, entry) {
                // What was remembered may be old: only the leader's word refuses.
                if fresh {
                    return Ok(self.conflict(id, known.head.tail, known.head.epoch));
                }
                (self.known, fresh) = (None, true);
                continue;
            }
            let mut head = known.head.clone();
            head.append(entry);
            let message = EntryMessage { shard, id, owner: head.owner, index: head.tail, previous: known.sequence };
            let write = write_of(&self.names, shard, id, known.sequence, message.encode(&encoded));
            match self.log.write(&write, PATIENCE).await {
                Fate::Written(sequence) => {
                    self.remember(head.tail, id);
                    let index = head.tail;
                    self.known = Some(Known { head, sequence });
                    return Ok(JournalReply::Appended { shard, id, index });
                }
                Fate::Overtaken(last) => {
                    self.known = Some(Self::read(last)?);
                    fresh = true;
                }
                Fate::Unknown(reason) => return Err(reason),
            }
        }
    }

    fn conflict(&self, id: AppendId, tail: JournalIndex, epoch: ShardEpoch) -> JournalReply {
        JournalReply::Conflict { shard: self.shard, id, tail, epoch }
    }

    fn remember(&mut self, index: JournalIndex, id: AppendId) {
        if self.own.len() >= OWN_MAX {
            self.own.pop_front();
        }
        self.own.push_back((index, id));
    }

    async fn look(&mut self) -> Result<Known, String> {
        let known = self.look_at(self.shard).await?;
        self.known = Some(known.clone());
        Ok(known)
    }

    /// The head of a journal, as the stream's leader knows it.
    async fn look_at(&self, shard: ShardId) -> Result<Known, String> {
        Self::read(self.log.last(&self.names.shard(shard)).await?)
    }

    fn read(last: Option<StreamMessage>) -> Result<Known, String> {
        let Some(message) = last else { return Ok(Known::default()) };
        let found = JournalMessage::decode(&message.payload).map_err(|error| error.to_string())?;
        Ok(Known { head: found.head(), sequence: message.sequence })
    }

    /// Whether the entry of that index has that name.
    async fn is_there(&self, known: &Known, index: JournalIndex, id: AppendId) -> Result<bool, String> {
        if let Some((_, own)) = self.own.iter().find(|(at, _)| *at == index) {
            return Ok(*own == id);
        }
        if known.head.tail.0 - index.0 >= WALK_MAX {
            return Ok(false);
        }
        // Zero is before the first entry, or before all that came along when the world was moved here.
        let mut sequence = known.sequence;
        while sequence > 0 {
            let Some(message) = self.log.at(sequence).await? else { return Ok(false) };
            sequence = match JournalMessage::decode(&message.payload).map_err(|error| error.to_string())? {
                JournalMessage::Entry(found, _) if found.shard != self.shard || found.index <= index => {
                    return Ok(found.shard == self.shard && found.index == index && found.id == id);
                }
                JournalMessage::Entry(found, _) => found.previous,
                JournalMessage::Closed(closed) => closed.previous,
            };
        }
        Ok(false)
    }
}

/// A message under a shard's subject, behind the one that is the last now.
pub(super) fn write_of(names: &Names, shard: ShardId, id: AppendId, expected: u64, payload: Bytes) -> FencedWrite {
    let name = format!("{:032x}-{shard}-{}", id.nonce.0, id.seq);
    FencedWrite { subject: names.shard(shard), id: name, expected, payload, ttl: None, header: None }
}
