//! The embedded beacon: registrations under a lease, keys with revisions, watches. In memory: after a restart everybody
//! registers again, and revisions still rise because they start from `now`.
//!
//! A lease, per node:
//!
//! | state | event | next |
//! |---|---|---|
//! | none | `Register` | held by that incarnation until `now + ttl` |
//! | held | `Register`, same incarnation | held until `now + ttl`; the key changes only if the info did |
//! | held | `Register`, another incarnation | unchanged, `NameTaken` |
//! | held | the time was over long ago: the beacon itself stood still | held for [`GRACE`] |
//! | held | `Deregister` or [`Beacon::reaped`] of the holder, or the time is over | none; the node's keys are deleted |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use pangaea_schemas::message::{BeaconEntry, BeaconReply, BeaconRequest, KEY_BYTES_MAX, NodeInfo, VALUE_BYTES_MAX};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{NodeId, Nonce, RequestId, Revision, Timestamp};

/// Most keys; a row per node and per shard of the largest cluster fits.
pub const KEYS_MAX: usize = 200_000;
/// Most watches of one subscriber.
pub const WATCHES_PER_NODE_MAX: usize = 16;
/// Shortest lease in milliseconds.
pub const TTL_MS_MIN: u32 = 100;
/// Longest lease in milliseconds.
pub const TTL_MS_MAX: u32 = 60_000;
/// A lease whose end is looked at so late says that the beacon stood still, not that the node is gone.
pub const STALL: Duration = Duration::from_millis(250);
/// After standing still the beacon waits this long for renewals: those that waited for it, and the next ones.
pub const GRACE: Duration = Duration::from_millis(500);
/// Node keys are written by registrations only.
const NODE_PREFIX: &str = "node/";

/// The embedded beacon.
#[derive(Debug)]
pub struct Beacon {
    revision: Revision,
    rows: BTreeMap<String, Row>,
    leases: BTreeMap<NodeId, Lease>,
    watches: BTreeMap<NodeId, BTreeSet<String>>,
    outputs: VecDeque<(NodeId, BeaconReply)>,
}

#[derive(Debug)]
struct Row {
    revision: Revision,
    value: Bytes,
    leased_to: Option<NodeId>,
}

#[derive(Debug)]
struct Lease {
    nonce: Nonce,
    ends: Timestamp,
}

/// Why a request was refused; the words of [`BeaconReply::Refused`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("a node registers only itself, and {0} is not the sender")]
    NotYourself(NodeId),
    #[error("a lease of {0} ms is outside {TTL_MS_MIN} to {TTL_MS_MAX} ms")]
    Ttl(u32),
    #[error("a key has 1 to {KEY_BYTES_MAX} bytes, not {0}")]
    KeyLength(usize),
    #[error("keys under `{NODE_PREFIX}` change only by registration")]
    NodeKey,
    #[error("a value has at most {VALUE_BYTES_MAX} bytes, not {0}")]
    ValueLength(usize),
    #[error("the beacon holds {KEYS_MAX} keys and takes no more")]
    Full,
    #[error("{0} has no lease that a key could depend on")]
    NoLease(NodeId),
}

impl Beacon {
    /// An empty beacon. Revisions start at the microseconds of `now`: a million changes per second would be needed to catch up
    /// with a later start.
    pub fn new(now: Timestamp) -> Self {
        Self {
            revision: Revision(now.0),
            rows: BTreeMap::new(),
            leases: BTreeMap::new(),
            watches: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Acts on a request that came over the link of `from`.
    pub fn handle(&mut self, now: Timestamp, from: NodeId, request: BeaconRequest) {
        self.handle_timeout(now);
        match request {
            BeaconRequest::Register { request, node, ttl_ms } => match self.register(now, from, &node, ttl_ms) {
                Ok(None) => self.reply(from, BeaconReply::Registered { request, ttl_ms }),
                Ok(Some(holder)) => self.reply(from, BeaconReply::NameTaken { request, holder }),
                Err(refusal) => self.refuse(from, request, &refusal),
            },
            BeaconRequest::Deregister { node, nonce } => self.reaped(node, nonce),
            BeaconRequest::Get { request, key } => {
                let entry = self.entry(key);
                self.reply(from, BeaconReply::Value { request, entry });
            }
            BeaconRequest::List { request, prefix } => {
                let entries = self.under(&prefix);
                self.reply(from, BeaconReply::Entries { request, entries });
            }
            BeaconRequest::PutIf { request, key, expected, value, leased_to } => match self.check_put(&key, &value, leased_to) {
                Ok(()) => self.change_if(from, request, key, expected, Some((value, leased_to))),
                Err(refusal) => self.refuse(from, request, &refusal),
            },
            BeaconRequest::DeleteIf { request, key, .. } if key.starts_with(NODE_PREFIX) => {
                self.refuse(from, request, &Refusal::NodeKey);
            }
            BeaconRequest::DeleteIf { request, key, expected } => self.change_if(from, request, key, expected, None),
            BeaconRequest::Watch { prefix } => self.watch(from, prefix),
        }
    }

    /// Ends the leases whose time is over. A beacon that itself stood still heard no renewal meanwhile: it lets everybody live
    /// on for [`GRACE`], so that its own pause deregisters nobody.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let first_end = self.leases.values().map(|lease| lease.ends).min();
        if first_end.is_some_and(|ends| now.since(ends) >= STALL) {
            tracing::warn!("the beacon stood still: leases are prolonged");
            self.leases.values_mut().for_each(|lease| lease.ends = lease.ends.max(now + GRACE));
        }
        let over: Vec<NodeId> = self.leases.iter().filter(|(_, lease)| lease.ends <= now).map(|(node, _)| *node).collect();
        for node in over {
            tracing::warn!(%node, "lease expired");
            self.end_lease(node);
        }
    }

    /// The supervisor knows this incarnation to be dead: its lease ends now. Another incarnation's lease is left alone.
    pub fn reaped(&mut self, node: NodeId, nonce: Nonce) {
        if self.leases.get(&node).is_some_and(|lease| lease.nonce == nonce) {
            self.end_lease(node);
        }
    }

    /// The link to `node` is gone: its watches end. Its lease goes on, it may be back before that ends.
    pub fn link_closed(&mut self, node: NodeId) {
        self.watches.remove(&node);
    }

    /// The next reply, and to whom.
    pub fn poll_output(&mut self) -> Option<(NodeId, BeaconReply)> {
        self.outputs.pop_front()
    }

    /// When the next lease ends.
    pub fn poll_timeout(&self) -> Option<(Timestamp, &'static str)> {
        self.leases.values().map(|lease| lease.ends).min().map(|ends| (ends, "lease"))
    }

    /// `Ok(Some)` is the incarnation that holds the name.
    fn register(&mut self, now: Timestamp, from: NodeId, info: &NodeInfo, ttl_ms: u32) -> Result<Option<Nonce>, Refusal> {
        let node = info.node;
        if node != from {
            return Err(Refusal::NotYourself(node));
        }
        if !(TTL_MS_MIN..=TTL_MS_MAX).contains(&ttl_ms) {
            return Err(Refusal::Ttl(ttl_ms));
        }
        let value = info.to_stored();
        if value.len() > VALUE_BYTES_MAX {
            return Err(Refusal::ValueLength(value.len()));
        }
        let holder = self.leases.get(&node).map(|lease| lease.nonce).filter(|nonce| *nonce != info.nonce);
        if holder.is_some() {
            return Ok(holder);
        }
        self.leases.insert(node, Lease { nonce: info.nonce, ends: now + Duration::from_millis(u64::from(ttl_ms)) });
        let key = NodeInfo::key(node);
        if self.rows.get(&key).is_none_or(|row| row.value != value) {
            self.put(key, value, Some(node));
        }
        Ok(None)
    }

    fn check_put(&self, key: &str, value: &Bytes, leased_to: Option<NodeId>) -> Result<(), Refusal> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Refusal::KeyLength(key.len()));
        }
        if key.starts_with(NODE_PREFIX) {
            return Err(Refusal::NodeKey);
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(Refusal::ValueLength(value.len()));
        }
        if self.rows.len() >= KEYS_MAX && !self.rows.contains_key(key) {
            return Err(Refusal::Full);
        }
        match leased_to.filter(|node| !self.leases.contains_key(node)) {
            Some(node) => Err(Refusal::NoLease(node)),
            None => Ok(()),
        }
    }

    /// Puts (`Some`) or deletes (`None`) if the key's revision is the expected one.
    fn change_if(
        &mut self,
        from: NodeId,
        request: RequestId,
        key: String,
        expected: Revision,
        new: Option<(Bytes, Option<NodeId>)>,
    ) {
        let current = self.rows.get(&key).map_or(Revision::ZERO, |row| row.revision);
        if current != expected {
            return self.reply(from, BeaconReply::Conflict { request, current });
        }
        match new {
            Some((value, leased_to)) => self.put(key, value, leased_to),
            // Deleting what is not there changes nothing, so nobody is told.
            None if current == Revision::ZERO => {}
            None => self.delete(key),
        }
        self.reply(from, BeaconReply::Done { request, revision: self.revision });
    }

    fn watch(&mut self, from: NodeId, prefix: String) {
        let watches = self.watches.entry(from).or_default();
        if watches.len() >= WATCHES_PER_NODE_MAX && !watches.contains(&prefix) {
            tracing::warn!(%from, prefix, "too many watches: ignored");
            return;
        }
        watches.insert(prefix.clone());
        let entries = self.under(&prefix);
        self.reply(from, BeaconReply::WatchStart { prefix, entries });
    }

    fn end_lease(&mut self, node: NodeId) {
        self.leases.remove(&node);
        let keys: Vec<String> =
            self.rows.iter().filter(|(_, row)| row.leased_to == Some(node)).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.delete(key);
        }
    }

    fn put(&mut self, key: String, value: Bytes, leased_to: Option<NodeId>) {
        self.revision = self.revision.next();
        self.rows.insert(key.clone(), Row { revision: self.revision, value, leased_to });
        self.tell_watchers(&key);
    }

    fn delete(&mut self, key: String) {
        self.revision = self.revision.next();
        self.rows.remove(&key);
        self.tell_watchers(&key);
    }

    fn tell_watchers(&mut self, key: &str) {
        let row = self.rows.get(key);
        let revision = row.map_or(self.revision, |row| row.revision);
        let value = row.map(|row| row.value.clone());
        for (subscriber, prefixes) in &self.watches {
            for prefix in prefixes.iter().filter(|prefix| key.starts_with(prefix.as_str())) {
                let entry = BeaconEntry { key: key.to_owned(), revision, value: value.clone() };
                self.outputs.push_back((*subscriber, BeaconReply::WatchChange { prefix: prefix.clone(), entry }));
            }
        }
    }

    fn entry(&self, key: String) -> BeaconEntry {
        let row = self.rows.get(&key);
        BeaconEntry { key, revision: row.map_or(Revision::ZERO, |row| row.revision), value: row.map(|row| row.value.clone()) }
    }

    fn under(&self, prefix: &str) -> Vec<BeaconEntry> {
        let from = self.rows.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        from.map(|(key, row)| BeaconEntry { key: key.clone(), revision: row.revision, value: Some(row.value.clone()) }).collect()
    }

    fn refuse(&mut self, to: NodeId, request: RequestId, refusal: &Refusal) {
        self.reply(to, BeaconReply::Refused { request, reason: refusal.to_string() });
    }

    fn reply(&mut self, to: NodeId, reply: BeaconReply) {
        self.outputs.push_back((to, reply));
    }
}
