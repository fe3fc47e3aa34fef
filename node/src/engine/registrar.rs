//! A node's lease: each renewal is a message with a time to live, written on top of the last one.
//!
//! | the engine says | meaning | next |
//! |---|---|---|
//! | written | the lease runs, from when the renewal was *sent* | `Registered` |
//! | overtaken by a marker, or by nothing | it ended: the engine was away, or this node too slow | the same on top of that |
//! | overtaken by our own incarnation | an acknowledgement got lost | the same on top of that |
//! | overtaken by another incarnation | it lives | `NameTaken` |
//! | unknown | the engine is away | no answer; the node asks again |

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pangaea_schemas::message::{BeaconReply, NodeInfo};
use pangaea_schemas::{NodeId, Nonce, RequestId};
use pangaea_world::beacon::{TTL_MS_MAX, TTL_MS_MIN};
use tokio::time::Instant;

use super::beacon::{DELETED, Subjects, node_row};
use super::fenced::{Fate, FencedStream, FencedWrite};
use super::replica::{decode_lease, encode_lease};

/// A renewal is tried for so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// A renewal that takes longer says that the engine is away, not that others are.
const STALL: Duration = Duration::from_millis(750);
/// After the engine was away, leases that ended meanwhile count for so long: time to connect again and to renew.
const GRACE: Duration = Duration::from_secs(5);
/// Writes to take a name that somebody else just left.
const ATTEMPTS_MAX: usize = 4;
/// How long the end of a lease stays visible for those who follow the bucket.
const MARKER_TIME: Duration = Duration::from_secs(60);

/// Whether the engine was away lately, as far as this node's renewals tell.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// A renewal that is on its way.
    waiting_since: Option<Instant>,
    /// The engine answered again.
    back_since: Option<Instant>,
}

impl Health {
    /// For how long leases that end now still count.
    pub(super) fn grace(&self, now: Instant) -> Option<Duration> {
        let away = self.waiting_since.is_some_and(|since| now - since >= STALL);
        let just_back = self.back_since.is_some_and(|since| now - since < GRACE);
        (away || just_back).then_some(GRACE)
    }

    fn answered(&mut self, now: Instant) {
        if self.waiting_since.take().is_some_and(|since| now - since >= STALL) {
            self.back_since = Some(now);
        }
    }
}

/// What this node has in the bucket.
#[derive(Debug)]
struct Held {
    nonce: Nonce,
    /// Sequence of the last renewal.
    sequence: u64,
    /// What the row says, and its sequence.
    row: Option<(NodeInfo, u64)>,
}

/// Keeps one node's lease.
pub(super) struct Registrar {
    bucket: FencedStream,
    subjects: Subjects,
    node: NodeId,
    health: Arc<Mutex<Health>>,
    held: Option<Held>,
    count: u64,
}

impl Registrar {
    pub(super) fn new(bucket: FencedStream, subjects: Subjects, node: NodeId, health: Arc<Mutex<Health>>) -> Self {
        Self { bucket, subjects, node, health, held: None, count: 0 }
    }

    /// Take or renew the lease of this node's name. `None`: nobody knows.
    pub(super) async fn register(&mut self, request: RequestId, info: NodeInfo, ttl_ms: u32) -> Option<BeaconReply> {
        let refused = |reason| Some(BeaconReply::Refused { request, reason });
        if info.node != self.node {
            return refused(format!("a node registers only itself, and {} is not the sender", info.node));
        }
        if !(TTL_MS_MIN..=TTL_MS_MAX).contains(&ttl_ms) {
            return refused(format!("a lease of {ttl_ms} ms is outside {TTL_MS_MIN} to {TTL_MS_MAX} ms"));
        }
        self.watching(|health, now| _ = health.waiting_since.get_or_insert(now));
        let reply = self.renew(request, &info, ttl_ms).await;
        if reply.is_some() {
            self.watching(Health::answered);
        }
        if !matches!(reply, Some(BeaconReply::Registered { .. })) {
            return reply;
        }
        self.show(info).await?;
        reply
    }

    fn watching(&self, look: impl FnOnce(&mut Health, Instant)) {
        look(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    }

    async fn renew(&mut self, request: RequestId, info: &NodeInfo, ttl_ms: u32) -> Option<BeaconReply> {
        let nonce = info.nonce;
        let mut expected = self.held.as_ref().filter(|held| held.nonce == nonce).map_or(0, |held| held.sequence);
        for _ in 0..ATTEMPTS_MAX {
            let id = self.name("lease", nonce);
            let write = FencedWrite {
                subject: self.subjects.lease(info.node),
                id,
                expected,
                payload: encode_lease(nonce),
                // Whole seconds are what the engine knows.
                ttl: Some(Duration::from_secs(u64::from(ttl_ms.div_ceil(1_000)))),
                header: None,
            };
            match self.bucket.write(&write, PATIENCE).await {
                Fate::Written(sequence) => {
                    let row = self.held.take().filter(|held| held.nonce == nonce).and_then(|held| held.row);
                    self.held = Some(Held { nonce, sequence, row });
                    return Some(BeaconReply::Registered { request, ttl_ms });
                }
                Fate::Overtaken(last) => {
                    let holder = last.as_ref().and_then(|last| decode_lease(&last.payload));
                    if let Some(holder) = holder.filter(|holder| *holder != nonce) {
                        return Some(BeaconReply::NameTaken { request, holder });
                    }
                    expected = last.map_or(0, |last| last.sequence);
                }
                Fate::Unknown(reason) => {
                    tracing::debug!(reason, "the lease is not renewed");
                    return None;
                }
            }
        }
        None
    }

    /// Bring the node's row up to date. Only the holder of the lease writes it, so whatever lies there is older.
    async fn show(&mut self, info: NodeInfo) -> Option<()> {
        let id = self.name("row", info.nonce);
        let held = self.held.as_mut()?;
        let mut expected = match &held.row {
            Some((shown, _)) if *shown == info => return Some(()),
            Some((_, sequence)) => *sequence,
            None => 0,
        };
        let (key, payload) = node_row(&info);
        for _ in 0..ATTEMPTS_MAX {
            let (subject, payload) = (self.subjects.row(&key), payload.clone());
            let write = FencedWrite { subject, id: id.clone(), expected, payload, ttl: None, header: None };
            match self.bucket.write(&write, PATIENCE).await {
                Fate::Written(sequence) => {
                    held.row = Some((info, sequence));
                    return Some(());
                }
                Fate::Overtaken(last) => expected = last.map_or(0, |last| last.sequence),
                Fate::Unknown(_) => return None,
            }
        }
        None
    }

    /// By the holder itself, or by who knows that it is dead.
    pub(super) async fn end(&mut self, node: NodeId, nonce: Nonce) {
        let subject = self.subjects.lease(node);
        let last = match self.bucket.last(&subject).await {
            Ok(Some(last)) if decode_lease(&last.payload) == Some(nonce) => last,
            Ok(_) => return,
            Err(reason) => return tracing::debug!(%node, reason, "the lease is left to its time"),
        };
        let write = FencedWrite {
            subject,
            id: self.name("end", nonce),
            expected: last.sequence,
            payload: bytes::Bytes::new(),
            ttl: Some(MARKER_TIME),
            header: Some(DELETED),
        };
        match self.bucket.write(&write, PATIENCE).await {
            Fate::Written(_) if self.held.as_ref().is_some_and(|held| held.nonce == nonce) => self.held = None,
            Fate::Written(_) => {}
            Fate::Overtaken(_) | Fate::Unknown(_) => tracing::debug!(%node, "the lease is left to its time"),
        }
    }

    fn name(&mut self, what: &str, nonce: Nonce) -> String {
        self.count += 1;
        format!("{what}-{}-{:032x}-{}", self.node, nonce.0, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_an_engine_that_was_away_excuses_the_end_of_a_lease() {
        let mut health = Health::default();
        let start = Instant::now();
        assert_eq!(health.grace(start), None);
        health.waiting_since = Some(start);
        assert_eq!(health.grace(start + STALL / 2), None, "a renewal takes a moment");
        assert_eq!(health.grace(start + STALL), Some(GRACE));
        health.answered(start + STALL);
        assert_eq!(health.grace(start + STALL + GRACE / 2), Some(GRACE), "others are still coming back");
        assert_eq!(health.grace(start + STALL + GRACE), None);
        health.waiting_since = Some(start);
        health.answered(start + STALL / 2);
        assert_eq!(health.grace(start + STALL + GRACE), None);
    }
}
