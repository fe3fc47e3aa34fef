//! The beacon in a key-value bucket, see [`super::replica`] for what lies there.
//!
//! Two tasks per node:
//! - the *writer* does what needs the leader's word, one request after the other: it keeps this node's lease
//!   ([`super::registrar`]) and changes rows. What only looks gets a *barrier*, a message of its own: whoever has seen it has
//!   seen all that was acknowledged before;
//! - the *desk* follows the bucket, answers who looks, and tells who watches.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use bytes::Bytes;
use pangaea_schemas::message::{BeaconEntry, BeaconReply, BeaconRequest, KEY_BYTES_MAX, Message, NodeInfo, VALUE_BYTES_MAX};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{NodeId, Nonce, RequestId, Revision, Timestamp};
use pangaea_world::beacon::WATCHES_PER_NODE_MAX;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fenced::{Fate, FencedStream, FencedWrite};
use super::follow::{Followed, follow};
use super::names::{escape, unescape};
use super::registrar::{Health, Registrar};
use super::replica::{Change, Replica, Row, decode_lease};
use super::{ACK_TIME, Connection, Outlet, REQUESTS_MAX, RETRY_PAUSE, offer};

/// Most requests that wait for their barriers.
const LOOKS_MAX: usize = 1_024;
/// A conditional write is tried for so long; then its asker asks again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of a key stays visible for those who follow the bucket.
const MARKER_TIME: Duration = Duration::from_secs(60);
/// Node keys are written by registrations only.
const NODE_PREFIX: &str = "node/";
/// The header by which a key-value bucket marks a deletion.
pub(super) const DELETED: (&str, &str) = ("KV-Operation", "DEL");

/// Where things lie in the bucket.
#[derive(Clone)]
pub(super) struct Subjects(String);

impl Subjects {
    pub(super) fn lease(&self, node: NodeId) -> String {
        format!("{}lease.{node}", self.0)
    }

    pub(super) fn row(&self, key: &str) -> String {
        format!("{}row.{}", self.0, escape(key))
    }

    fn barrier(&self, node: NodeId) -> String {
        format!("{}barrier.{node}", self.0)
    }

    /// What a message changes; `None` for what is not ours.
    fn change(&self, message: &Followed) -> Option<Change> {
        let (kind, name) = message.subject.strip_prefix(&self.0)?.split_once('.')?;
        // A marker has no payload, whoever wrote it: a deletion, or the engine at the end of a time to live.
        match kind {
            "lease" => Some(Change::Lease(name.parse().ok()?, decode_lease(&message.payload))),
            "row" => Some(Change::Row(unescape(name)?, Row::decode(&message.payload))),
            "barrier" => Some(Change::Barrier),
            _ => None,
        }
    }
}

/// A node's way to the beacon.
pub(super) struct BeaconDesk {
    requests: mpsc::Sender<BeaconRequest>,
    /// Renewals that wait: only the last one is of use.
    renewals: Arc<AtomicUsize>,
}

impl BeaconDesk {
    pub(super) fn send(&self, request: BeaconRequest) {
        // Counted before the writer can see it.
        let renewals = usize::from(matches!(request, BeaconRequest::Register { .. }));
        self.renewals.fetch_add(renewals, Ordering::Relaxed);
        if !offer(&self.requests, request, "beacon") {
            self.renewals.fetch_sub(renewals, Ordering::Relaxed);
        }
    }
}

pub(super) fn start(connection: &Connection, outlet: Outlet, stopped: &CancellationToken) -> BeaconDesk {
    let subjects = Subjects(connection.names().beacon_prefix());
    let bucket = connection.beacon().clone();
    let (requests, asked) = mpsc::channel(REQUESTS_MAX);
    let (looks, looked) = mpsc::channel(LOOKS_MAX);
    let health = Arc::new(Mutex::new(Health::default()));
    let renewals = Arc::new(AtomicUsize::new(0));
    let writer = Writer {
        bucket: bucket.clone(),
        connection: connection.clone(),
        subjects: subjects.clone(),
        outlet: outlet.clone(),
        registrar: Registrar::new(bucket.clone(), subjects.clone(), outlet.node, health.clone()),
        renewals: renewals.clone(),
        looks,
        incarnation: fastrand::u128(..),
    };
    let followed = follow(bucket.stream(), 0, stopped);
    let desk = Desk {
        subjects,
        outlet,
        health,
        replica: Replica::default(),
        watched: BTreeSet::new(),
        waiting: VecDeque::new(),
        started: Instant::now(),
    };
    tokio::spawn(stopped.clone().run_until_cancelled_owned(writer.serve(asked)));
    tokio::spawn(stopped.clone().run_until_cancelled_owned(desk.serve(followed, looked)));
    BeaconDesk { requests, renewals }
}

/// A request that only looks, and what must be known before it is answered.
struct Look {
    barrier: u64,
    request: BeaconRequest,
}

/// Does one request after the other.
struct Writer {
    bucket: FencedStream,
    connection: Connection,
    subjects: Subjects,
    outlet: Outlet,
    registrar: Registrar,
    renewals: Arc<AtomicUsize>,
    looks: mpsc::Sender<Look>,
    /// Makes this start's names its own.
    incarnation: u128,
}

impl Writer {
    async fn serve(mut self, mut asked: mpsc::Receiver<BeaconRequest>) {
        let mut count = 0_u64;
        while let Some(request) = asked.recv().await {
            count += 1;
            let reply = match request {
                BeaconRequest::Get { .. } | BeaconRequest::List { .. } | BeaconRequest::Watch { .. } => {
                    let barrier = self.barrier().await;
                    if self.looks.send(Look { barrier, request }).await.is_err() {
                        return;
                    }
                    continue;
                }
                BeaconRequest::PutIf { request, key, expected, value, leased_to } => {
                    self.put(request, &key, expected, value, leased_to, count).await
                }
                BeaconRequest::DeleteIf { request, key, expected } => self.delete(request, &key, expected, count).await,
                BeaconRequest::Register { request, node, ttl_ms } => match self.renewals.fetch_sub(1, Ordering::Relaxed) {
                    1 => self.registrar.register(request, node, ttl_ms).await,
                    _ => None,
                },
                BeaconRequest::Deregister { node, nonce } => {
                    self.registrar.end(node, nonce).await;
                    None
                }
            };
            // Without an answer nobody knows what became of it: its asker asks again.
            if let Some(reply) = reply {
                self.outlet.say(self.outlet.node, Message::BeaconReply(reply)).await;
            }
        }
    }

    /// The sequence of a message that comes after everything that was acknowledged before. Waits for the engine.
    async fn barrier(&self) -> u64 {
        loop {
            let written = async {
                let message = PublishMessage::build();
                self.connection.context().send_publish(self.subjects.barrier(self.outlet.node), message).await?.await
            };
            match tokio::time::timeout(ACK_TIME, written).await {
                Ok(Ok(ack)) => return ack.sequence,
                Ok(Err(error)) => tracing::debug!(%error, "no barrier"),
                Err(_) => tracing::debug!("no barrier: the engine does not acknowledge"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn put(
        &self,
        request: RequestId,
        key: &str,
        expected: Revision,
        value: Bytes,
        leased_to: Option<NodeId>,
        count: u64,
    ) -> Option<BeaconReply> {
        let refused = |reason: String| Some(BeaconReply::Refused { request, reason });
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return refused(format!("a key has 1 to {KEY_BYTES_MAX} bytes, not {}", key.len()));
        }
        if key.starts_with(NODE_PREFIX) {
            return refused(format!("keys under `{NODE_PREFIX}` change only by registration"));
        }
        if value.len() > VALUE_BYTES_MAX {
            return refused(format!("a value has at most {VALUE_BYTES_MAX} bytes, not {}", value.len()));
        }
        let lease = match leased_to {
            None => None,
            Some(node) => match self.holder(node).await.ok()? {
                Some(nonce) => Some((node, nonce)),
                None => return refused(format!("{node} has no lease that a key could depend on")),
            },
        };
        let payload = Row { leased_to: lease, value }.encode();
        self.change(request, key, expected, payload, None, count).await
    }

    async fn delete(&self, request: RequestId, key: &str, expected: Revision, count: u64) -> Option<BeaconReply> {
        if key.starts_with(NODE_PREFIX) {
            let reason = format!("keys under `{NODE_PREFIX}` change only by registration");
            return Some(BeaconReply::Refused { request, reason });
        }
        if expected == Revision::ZERO {
            // Deleting what is not there changes nothing.
            let found = self.bucket.last(&self.subjects.row(key)).await.ok()?;
            let current = self.counting(found.as_ref()).await.ok()?;
            return Some(match current {
                Revision::ZERO => BeaconReply::Done { request, revision: Revision(found.map_or(0, |last| last.sequence)) },
                current => BeaconReply::Conflict { request, current },
            });
        }
        self.change(request, key, expected, Bytes::new(), Some(DELETED), count).await
    }

    /// `None`: nobody knows.
    async fn change(
        &self,
        request: RequestId,
        key: &str,
        expected: Revision,
        payload: Bytes,
        header: Option<(&'static str, &'static str)>,
        count: u64,
    ) -> Option<BeaconReply> {
        let mut write = FencedWrite {
            subject: self.subjects.row(key),
            id: format!("{}-{:032x}-{count}", self.outlet.node, self.incarnation),
            expected: expected.0,
            payload,
            ttl: header.map(|_| MARKER_TIME),
            header,
        };
        loop {
            match self.bucket.write(&write, PATIENCE).await {
                Fate::Written(sequence) => return Some(BeaconReply::Done { request, revision: Revision(sequence) }),
                Fate::Overtaken(last) => {
                    let current = self.counting(last.as_ref()).await.ok()?;
                    if current != Revision::ZERO || expected != Revision::ZERO {
                        return Some(BeaconReply::Conflict { request, current });
                    }
                    // What lies there does not count any more: a marker, or a row of somebody who has gone.
                    write.expected = last.map_or(0, |last| last.sequence);
                }
                Fate::Unknown(reason) => {
                    tracing::debug!(key, reason, "a change of the beacon is undecided");
                    return None;
                }
            }
        }
    }

    /// The revision of a row that counts; zero otherwise.
    async fn counting(&self, last: Option<&StreamMessage>) -> Result<Revision, String> {
        let Some((last, row)) = last.and_then(|last| Some((last, Row::decode(&last.payload)?))) else {
            return Ok(Revision::ZERO);
        };
        let counts = match row.leased_to {
            None => true,
            Some((node, nonce)) => self.holder(node).await? == Some(nonce),
        };
        Ok(if counts { Revision(last.sequence) } else { Revision::ZERO })
    }

    async fn holder(&self, node: NodeId) -> Result<Option<Nonce>, String> {
        Ok(self.bucket.last(&self.subjects.lease(node)).await?.and_then(|last| decode_lease(&last.payload)))
    }
}

/// Follows the bucket.
struct Desk {
    subjects: Subjects,
    outlet: Outlet,
    health: Arc<Mutex<Health>>,
    replica: Replica,
    watched: BTreeSet<String>,
    /// In the order of their barriers.
    waiting: VecDeque<Look>,
    started: Instant,
}

impl Desk {
    async fn serve(mut self, mut followed: mpsc::Receiver<Followed>, mut looked: mpsc::Receiver<Look>) {
        loop {
            let next_end = self.replica.next_end().map(|at| self.started + Duration::from_micros(at.0));
            let grace_ends = async {
                match next_end {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let changed = tokio::select! {
                message = followed.recv() => match message {
                    Some(message) => self.apply(&message),
                    None => return,
                },
                look = looked.recv(), if self.waiting.len() < LOOKS_MAX => match look {
                    Some(look) => {
                        self.waiting.push_back(look);
                        Vec::new()
                    }
                    None => return,
                },
                () = grace_ends => self.replica.expire(self.now()),
            };
            for entry in changed {
                self.tell(&entry).await;
            }
            while let Some(look) = self.waiting.pop_front_if(|look| look.barrier <= self.replica.sequence()) {
                self.answer(look.request).await;
            }
        }
    }

    /// Microseconds since the start.
    fn now(&self) -> Timestamp {
        Timestamp(self.started.elapsed().as_micros() as u64)
    }

    fn apply(&mut self, message: &Followed) -> Vec<BeaconEntry> {
        // What is not understood still moves the barrier on.
        let change = self.subjects.change(message).unwrap_or_else(|| {
            tracing::warn!(subject = message.subject, "the beacon's bucket holds what is not ours");
            Change::Barrier
        });
        let grace = self.health.lock().unwrap_or_else(PoisonError::into_inner).grace(Instant::now());
        let grace = grace.map(|span| self.now() + span);
        if let Change::Lease(node, None) = change {
            tracing::info!(%node, excused = grace.is_some(), "lease ended");
        }
        self.replica.apply(message.sequence, change, grace)
    }

    async fn tell(&self, entry: &BeaconEntry) {
        for prefix in self.watched.iter().filter(|prefix| entry.key.starts_with(prefix.as_str())) {
            let reply = BeaconReply::WatchChange { prefix: prefix.clone(), entry: entry.clone() };
            self.outlet.say(self.outlet.node, Message::BeaconReply(reply)).await;
        }
    }

    async fn answer(&mut self, request: BeaconRequest) {
        let reply = match request {
            BeaconRequest::Get { request, key } => BeaconReply::Value { request, entry: self.replica.entry(&key) },
            BeaconRequest::List { request, prefix } => BeaconReply::Entries { request, entries: self.replica.under(&prefix) },
            BeaconRequest::Watch { prefix } => {
                if self.watched.len() >= WATCHES_PER_NODE_MAX && !self.watched.contains(&prefix) {
                    tracing::warn!(prefix, "too many watches: ignored");
                    return;
                }
                self.watched.insert(prefix.clone());
                let entries = self.replica.under(&prefix);
                BeaconReply::WatchStart { prefix, entries }
            }
            _ => return,
        };
        self.outlet.say(self.outlet.node, Message::BeaconReply(reply)).await;
    }
}

/// The row of a node.
pub(super) fn node_row(info: &NodeInfo) -> (String, Bytes) {
    let row = Row { leased_to: Some((info.node, info.nonce)), value: info.to_stored() };
    (NodeInfo::key(info.node), row.encode())
}
