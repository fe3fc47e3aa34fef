//! The beacon: who is here and who has what. A cache and a detector of absence; never the truth about ownership.

use bytes::Bytes;

use crate::geometry::ShardId;
use crate::{NodeId, Nonce, RegistryHash, RequestId, Revision, ShardEpoch};

/// Longest key in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 4 * 1_024;

/// To the beacon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeaconRequest {
    /// Register this node, or renew its lease: `node/<id>` holds its [`NodeInfo`] until `ttl_ms` after the last renewal.
    Register {
        /// Echoed in the reply.
        request: RequestId,
        /// The registrant.
        node: NodeInfo,
        /// Lease time in milliseconds.
        ttl_ms: u32,
    },
    /// Give up this node's registration and leased keys.
    Deregister {
        /// The registrant.
        node: NodeId,
        /// Its incarnation; another one's request is ignored.
        nonce: Nonce,
    },
    /// One key.
    Get {
        /// Echoed in the reply.
        request: RequestId,
        /// The key.
        key: String,
    },
    /// All keys that start with `prefix`, in order.
    List {
        /// Echoed in the reply.
        request: RequestId,
        /// Start of the keys.
        prefix: String,
    },
    /// Set a key if its revision is `expected`.
    PutIf {
        /// Echoed in the reply.
        request: RequestId,
        /// The key.
        key: String,
        /// [`Revision::ZERO`]: must not exist.
        expected: Revision,
        /// The new value.
        value: Bytes,
        /// Deleted when this node's lease ends.
        leased_to: Option<NodeId>,
    },
    /// Delete a key if its revision is `expected`.
    DeleteIf {
        /// Echoed in the reply.
        request: RequestId,
        /// The key.
        key: String,
        /// Its present revision.
        expected: Revision,
    },
    /// Tell the sender all keys with `prefix` now, then each change, until its link ends. Asking again starts afresh.
    Watch {
        /// Start of the keys.
        prefix: String,
    },
}

/// A key's present value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeaconEntry {
    /// The key.
    pub key: String,
    /// Its last change.
    pub revision: Revision,
    /// `None`: deleted.
    pub value: Option<Bytes>,
}

/// From the beacon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeaconReply {
    /// The lease runs; `ttl_ms` counts from when the request was *sent*.
    Registered {
        /// Of the request.
        request: RequestId,
        /// Lease time in milliseconds.
        ttl_ms: u32,
    },
    /// Another incarnation holds this node's name.
    NameTaken {
        /// Of the request.
        request: RequestId,
        /// Its incarnation.
        holder: Nonce,
    },
    /// Answer to `Get`; `value` is `None` and the revision 0 when there is none.
    Value {
        /// Of the request.
        request: RequestId,
        /// The key and its value.
        entry: BeaconEntry,
    },
    /// Answer to `List`.
    Entries {
        /// Of the request.
        request: RequestId,
        /// In key order.
        entries: Vec<BeaconEntry>,
    },
    /// `PutIf` or `DeleteIf` was done.
    Done {
        /// Of the request.
        request: RequestId,
        /// The change's number.
        revision: Revision,
    },
    /// `PutIf` or `DeleteIf` found another revision.
    Conflict {
        /// Of the request.
        request: RequestId,
        /// The one found; 0 when there is none.
        current: Revision,
    },
    /// Not done, and nothing changed: over a bound, or not the sender's to ask.
    Refused {
        /// Of the request.
        request: RequestId,
        /// In words.
        reason: String,
    },
    /// First answer to `Watch`: everything under the prefix; what is not here does not exist.
    WatchStart {
        /// Of the watch.
        prefix: String,
        /// In key order.
        entries: Vec<BeaconEntry>,
    },
    /// A watched key changed.
    WatchChange {
        /// Of the watch.
        prefix: String,
        /// The key and its value, `None` when deleted.
        entry: BeaconEntry,
    },
}

/// What `node/<id>` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub nonce: Nonce,
    /// Operating system process.
    pub pid: u32,
    /// Host and port of its node listener.
    pub address: String,
    /// Host and port where clients connect over TCP; empty but for gateways.
    pub client_tcp: String,
    /// Host and port where clients connect over WebSocket; empty but for gateways.
    pub client_ws: String,
    /// Host and port of metrics and health.
    pub http: String,
    /// What game it runs.
    pub registry: RegistryHash,
    /// No new work, please.
    pub draining: bool,
}

impl NodeInfo {
    /// The beacon key of a node.
    pub fn key(node: NodeId) -> String {
        format!("node/{node}")
    }
}

/// What `shard/<id>` says: the last known owner. A hint; the journal has the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardRoute {
    /// Which shard.
    pub shard: ShardId,
    /// Its owner.
    pub owner: NodeId,
    /// The owner's incarnation.
    pub nonce: Nonce,
    /// The owner's epoch.
    pub epoch: ShardEpoch,
}

impl ShardRoute {
    /// The beacon key of a shard.
    pub fn key(shard: ShardId) -> String {
        format!("shard/{shard}")
    }
}
