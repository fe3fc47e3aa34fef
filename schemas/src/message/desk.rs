//! An admin's desk: questions and orders about one agent or session, to the node that has it, and the answers.
//!
//! Nothing here is repeated by anybody: an admin who hears nothing asks again.

use bytes::Bytes;

use crate::geometry::{Position, ShardId};
use crate::record::Record;
use crate::{AccountId, EntityId, NodeId, RequestId, SessionEpoch, ShardEpoch, Tick};

/// Most agents or sessions of one answer.
pub const DESK_ROWS_MAX: u32 = 256;
/// Longest last words to a client in bytes.
pub const KICK_BYTES_MAX: usize = 512;

/// Most bytes of a recording in one answer.
pub const RECORDED_BYTES_MAX: usize = 512 * 1_024;

/// Most systems and scripts of one profile.
pub const PROFILE_ROWS_MAX: usize = 256;
/// Longest name in a profile in bytes.
pub const COST_NAME_BYTES_MAX: usize = 96;

/// What a part of a shard's ticks cost, of the last ticks that were measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// A phase, a system without its crate, or a script.
    pub name: String,
    /// Mean time in a tick in nanoseconds; nothing in a tick in which it did not run.
    pub mean_ns: u32,
    /// Longest time in a tick in nanoseconds.
    pub max_ns: u32,
}

/// What an admin wants of a shard that is stopped, or is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PauseOrder {
    /// Only to know how it stands.
    #[default]
    Look = 0,
    /// Stop, or stay so for longer.
    Pause = 1,
    /// Go on.
    Resume = 2,
    /// Run some ticks, and stand again.
    Step = 3,
}

/// Where an entity is in its life at a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SightState {
    /// It has left, and no other shard has confirmed to have it.
    #[default]
    Leaving = 0,
    /// It was taken in, and comes with the next tick.
    Arriving = 1,
    /// It is kept until its player comes back, or an admin releases it.
    AtRest = 2,
    /// It runs.
    Awake = 3,
}

/// An entity, as a shard sees it that has to do with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// Which shard.
    pub shard: ShardId,
    /// The shard's epoch.
    pub epoch: ShardEpoch,
    /// Where it is in its life there.
    pub state: SightState,
    /// The shard that it leaves for, or is offered to.
    pub toward: Option<ShardId>,
    /// With all components that there are; without what only its owner and its gateway need.
    pub record: Record,
}

/// One session, as its gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose agent.
    pub agent: EntityId,
    /// Whose account.
    pub account: AccountId,
    /// What others call it.
    pub name: String,
    /// Which session of the agent.
    pub session: SessionEpoch,
    /// A client is there now.
    pub connected: bool,
    /// Where the agent was last.
    pub shard: Option<ShardId>,
    /// Who ran it there.
    pub owner: Option<NodeId>,
    /// Where the session is in its life, in a word.
    pub state: String,
}

/// Between the world and scenes or gateways, for an admin.
#[derive(Clone, Debug, PartialEq)]
pub enum Desk {
    /// World to a shard's owner: who is here?
    Look {
        /// Echoed in the answer.
        request: RequestId,
        /// Where.
        shard: ShardId,
        /// Only those with a higher id.
        after: EntityId,
        /// Most of them; at most [`DESK_ROWS_MAX`].
        limit: u32,
        /// With components.
        full: bool,
    },
    /// Owner to world.
    Seen {
        /// Of the question.
        request: RequestId,
        /// Where.
        shard: ShardId,
        /// The owner's epoch.
        epoch: ShardEpoch,
        /// Players' agents, asleep ones included, in order of id.
        agents: Vec<Record>,
        /// There are more.
        more: bool,
    },
    /// World to a shard's owner: put an agent there at the next tick. If that is in another shard, a hand-over follows by itself.
    Place {
        /// Echoed in the answer.
        request: RequestId,
        /// Where the agent is.
        shard: ShardId,
        /// Whom.
        agent: EntityId,
        /// Within the space.
        position: Position,
    },
    /// Owner to world.
    Placed {
        /// Of the order.
        request: RequestId,
        /// It is here, awake, and will be there; otherwise nothing happens.
        here: bool,
    },
    /// World to gateway: whose sessions are here?
    ListSessions {
        /// Echoed in the answer.
        request: RequestId,
        /// Only those of agents with a higher id.
        after: EntityId,
        /// Most of them; at most [`DESK_ROWS_MAX`].
        limit: u32,
    },
    /// Gateway to world.
    Sessions {
        /// Of the question.
        request: RequestId,
        /// In order of their agents' ids.
        sessions: Vec<SessionRow>,
        /// There are more.
        more: bool,
    },
    /// World to gateway: end an agent's session; the agent leaves the world.
    Kick {
        /// Echoed in the answer.
        request: RequestId,
        /// Whose.
        agent: EntityId,
        /// Told to the client.
        words: String,
    },
    /// Gateway to world.
    Kicked {
        /// Of the order.
        request: RequestId,
        /// The session was here.
        here: bool,
    },
    /// World to a shard's owner: from the next tick on keep all that ticks begin with, see [`crate::recording`]. A second order
    /// with the same key changes nothing.
    Record {
        /// Echoed in the answer.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
        /// Names the recording, and is known only to who ordered it.
        key: u64,
        /// For so long.
        seconds: u32,
    },
    /// World to a shard's owner: what was recorded from here on. What stands before needs not be kept any more.
    TakeRecorded {
        /// Echoed in the answer.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
        /// Names the recording.
        key: u64,
        /// In bytes from its beginning.
        from: u64,
    },
    /// World to a shard's owner: a recording of it, whoever ordered it, ends with the next tick.
    EndRecording {
        /// Echoed in the answer.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
    },
    /// Owner to world.
    Recorded {
        /// Of the order.
        request: RequestId,
        /// At most [`RECORDED_BYTES_MAX`]; the recording itself says when it is over.
        bytes: Bytes,
        /// Why there is nothing, in words; empty: there is.
        refusal: String,
    },
    /// World to a shard's owner: what do its ticks cost?
    Profile {
        /// Echoed in the answer.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
    },
    /// Owner to world.
    Profiled {
        /// Of the question.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
        /// Ticks that the means are of.
        ticks: u32,
        /// The phases of a tick, in order.
        phases: Vec<Cost>,
        /// Systems and scripts, in the order in which they first ran; at most [`PROFILE_ROWS_MAX`].
        systems: Vec<Cost>,
    },
    /// World to a shard's owner, in a development cluster: stop simulating, go on, or run single ticks.
    Pause {
        /// Echoed in the answer.
        request: RequestId,
        /// Which shard.
        shard: ShardId,
        /// What is wanted.
        order: PauseOrder,
        /// To step: so many.
        ticks: u32,
    },
    /// Owner to world.
    Paused {
        /// Of the order.
        request: RequestId,
        /// Milliseconds until it goes on by itself; 0: it is not stopped.
        left_ms: u32,
        /// Ticks that are still to be run one by one.
        steps: u32,
        /// The last tick that it ran.
        tick: Tick,
        /// Why the order was not carried out, in words; empty: it was.
        refusal: String,
    },
    /// World to scene: what is this entity, whatever it is?
    Inspect {
        /// Echoed in the answer.
        request: RequestId,
        /// Which.
        entity: EntityId,
    },
    /// Scene to world.
    Inspected {
        /// Of the question.
        request: RequestId,
        /// Of the scene's shards, the one that knows best; `None`: it has nothing to do with any of them.
        sight: Option<Sight>,
    },
}

impl Desk {
    /// The question that this answers; `None` for a question.
    pub fn answers(&self) -> Option<RequestId> {
        match self {
            Self::Seen { request, .. }
            | Self::Placed { request, .. }
            | Self::Sessions { request, .. }
            | Self::Kicked { request, .. }
            | Self::Recorded { request, .. }
            | Self::Profiled { request, .. }
            | Self::Paused { request, .. }
            | Self::Inspected { request, .. } => Some(*request),
            Self::Look { .. }
            | Self::Place { .. }
            | Self::ListSessions { .. }
            | Self::Kick { .. }
            | Self::Record { .. }
            | Self::TakeRecorded { .. }
            | Self::EndRecording { .. }
            | Self::Profile { .. }
            | Self::Pause { .. }
            | Self::Inspect { .. } => None,
        }
    }
}
