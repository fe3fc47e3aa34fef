//! The entities that are live in a shard: their epochs, when they may leave, and whether their value may be touched.

use std::collections::BTreeMap;

use pangaea_schemas::{AgentEpoch, EntityId, Timestamp};

/// Whether operations of value are allowed for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ValueGate {
    /// A player's agent whose epoch is not yet durable, or whose fence at the ledger is not yet raised.
    Closed,
    /// Allowed.
    Open,
}

/// One live entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resident {
    /// Fence of its owner: this shard.
    pub(super) epoch: AgentEpoch,
    /// Do not offer it to a neighbour before.
    pub(super) offer_after: Timestamp,
    /// Whether its value may be touched.
    pub(super) gate: ValueGate,
}

/// All live entities of a shard.
pub(super) type Residents = BTreeMap<EntityId, Resident>;

impl Resident {
    /// Somebody who came at `now` and stays at least the minimum dwell time.
    pub(super) fn new(epoch: AgentEpoch, now: Timestamp, gate: ValueGate) -> Self {
        Self { epoch, offer_after: now + crate::handover::DWELL_MIN, gate }
    }
}
