//! One client's session between its gateway and the shard that runs its agent.

use bytes::Bytes;

use crate::geometry::ShardId;
use crate::record::ReliableEvent;
use crate::{AccountId, AgentEpoch, EntityId, InSeq, OutSeq, SessionEpoch, ShardEpoch, TypeId};

/// One input of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientInput {
    /// Whose agent.
    pub agent: EntityId,
    /// In which session.
    pub session: SessionEpoch,
    /// Rises by one.
    pub seq: InSeq,
    /// Registered input type.
    pub id: TypeId,
    /// The input's plain bytes.
    pub bytes: Bytes,
}

/// What a new agent starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Whose it is.
    pub account: AccountId,
    /// What others call it.
    pub name: String,
}

/// Why a session did not attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachRefusal {
    /// The agent is not here; it went there, if known.
    NotHere {
        /// Where it went.
        forward: Option<ShardId>,
    },
    /// A newer session speaks for the agent.
    Replaced {
        /// The session in force.
        current: SessionEpoch,
    },
    /// The shard is not running, or the agent is between two shards: ask again.
    NotNow,
    /// The shard takes no more agents.
    Full,
    /// The agent's inputs ended one owner of its shard after the other: it rests until an admin releases it.
    Parked,
}

/// Between a gateway and a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// Gateway: this session speaks for the agent from now on. Resent until answered.
    Attach {
        /// Where the agent is believed to be.
        shard: ShardId,
        /// Whom.
        agent: EntityId,
        /// Must not be lower than the one in force.
        session: SessionEpoch,
        /// The client holds all events up to here.
        out_ack: OutSeq,
        /// The gateway was told that inputs up to here are applied and let them go; zero when it never was. An owner that
        /// recovered from a slightly older record goes on after them.
        in_ack: InSeq,
        /// Create the agent if it has never been in the world.
        birth: Option<Birth>,
    },
    /// Shard: it does.
    Attached {
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// Where.
        shard: ShardId,
        /// The shard's epoch.
        shard_epoch: ShardEpoch,
        /// The agent's epoch.
        epoch: AgentEpoch,
        /// Last input applied.
        in_seq: InSeq,
        /// Last event made before this session spoke for the agent: a fresh client gets those after it.
        out_seq: OutSeq,
    },
    /// Shard: it does not.
    AttachRefused {
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// Why.
        reason: AttachRefusal,
    },
    /// Gateway: the client went away; with `asleep` the agent leaves the world at once, else after a while.
    Detach {
        /// Where the agent is believed to be.
        shard: ShardId,
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// The player logged out.
        asleep: bool,
    },
    /// Gateway: inputs and acknowledgements, in order per agent.
    Inputs {
        /// The shard they are for.
        shard: ShardId,
        /// Inputs.
        inputs: Vec<ClientInput>,
        /// Events the clients hold: agent, session, up to.
        out_acks: Vec<(EntityId, SessionEpoch, OutSeq)>,
    },
    /// Shard: reliable events for one client.
    Events {
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// Consecutive.
        events: Vec<ReliableEvent>,
        /// Events before the first were dropped: the client must forget what it inferred from events.
        resync: bool,
    },
    /// Shard: the agent runs here now. Accepted only if `epoch` is newer than the route in force.
    Route {
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// Where.
        shard: ShardId,
        /// The shard's epoch.
        shard_epoch: ShardEpoch,
        /// The agent's epoch.
        epoch: AgentEpoch,
        /// Last input applied.
        in_seq: InSeq,
    },
    /// Source shard: the agent is on its way; hold its inputs until a `Route` with this epoch.
    Hint {
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// Where it goes.
        target: ShardId,
        /// Its epoch there.
        epoch: AgentEpoch,
    },
    /// Shard: inputs came for an agent that is not here.
    Misrouted {
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// Where it went, if known.
        forward: Option<ShardId>,
    },
    /// Shard: an input was too far ahead and is dropped; tell all again from this one on.
    Expected {
        /// Whom.
        agent: EntityId,
        /// Which session.
        session: SessionEpoch,
        /// The input that is wanted next.
        next: InSeq,
    },
    /// Shard: a newer session took over.
    Replaced {
        /// Whom.
        agent: EntityId,
        /// The old session.
        session: SessionEpoch,
    },
}
