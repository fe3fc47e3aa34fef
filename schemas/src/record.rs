//! An entity at rest or on its way: its components and its sequences.

use bytes::Bytes;

use crate::geometry::{CellId, Position};
use crate::message::{OpId, Transaction};
use crate::{AgentEpoch, EntityId, InSeq, NodeId, OutSeq, SessionEpoch, TypeId};

/// Most components of one record.
pub const RECORD_COMPONENTS_MAX: usize = 128;
/// Largest encoded component in bytes.
pub const COMPONENT_BYTES_MAX: usize = 16 * 1_024;
/// Most unacknowledged reliable outputs of one agent; beyond it the client is resynchronised.
pub const OUTBOX_MAX: usize = 256;

/// One component's bytes, as its codec wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ComponentBytes {
    /// Which component.
    pub id: TypeId,
    /// Its encoding: the memory of a plain type, or a codec's output.
    pub bytes: Bytes,
}

/// A reliable output waiting for the client's acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReliableEvent {
    /// Rises by one per agent.
    pub seq: OutSeq,
    /// Registered event type.
    pub id: TypeId,
    /// The event's plain bytes.
    pub bytes: Bytes,
}

/// Most changes of value asked for in one agent's name and not answered yet.
pub const OPEN_OPERATIONS_MAX: usize = 32;

/// A change of value that is asked for: in the agent's record before the ledger hears of it, and until its answer was acted on.
/// So whoever owns the agent asks again, and somebody always learns the outcome.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct OpenOperation {
    /// Its name: asking twice does it once.
    pub op: OpId,
    /// What.
    pub transaction: Transaction,
}

/// The session side of an agent: travels with it, so nothing is applied or told twice.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct SessionState {
    /// Who may speak for the agent.
    pub epoch: SessionEpoch,
    /// The gateway that holds the session, so that a new owner can tell it; `None` after a detach.
    pub gateway: Option<NodeId>,
    /// Last input applied.
    pub in_seq: InSeq,
    /// Last reliable output made.
    pub out_seq: OutSeq,
    /// Made but not acknowledged, oldest first; at most [`OUTBOX_MAX`].
    pub outbox: Vec<ReliableEvent>,
    /// Asked of the ledger in the agent's name, oldest first; at most [`OPEN_OPERATIONS_MAX`].
    pub open: Vec<OpenOperation>,
    /// How many owners of its shard in a row were lost while the agent's inputs were on trial.
    pub crashes: u8,
    /// The agent's inputs are on trial: an owner that is lost now may have been lost by them.
    pub on_trial: bool,
}

/// Whether an entity takes part in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Presence {
    /// In the ECS, ticking.
    Awake,
    /// At rest until its player comes back.
    Asleep,
    /// At rest until an admin releases it: its inputs ended one owner of its shard after the other.
    Parked,
}

/// An entity's state: persistent components when at rest, all registered ones when handed over.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Record {
    /// Who.
    pub entity: EntityId,
    /// Fence of its owner.
    pub epoch: AgentEpoch,
    /// Awake or asleep.
    pub presence: Presence,
    /// Where it is filed: a cell of the owning shard.
    pub cell: CellId,
    /// Where it stands; may hang over the cell during a hand-over.
    pub position: Position,
    /// Inputs and outputs; default for entities without a player.
    pub session: SessionState,
    /// In order of id; at most [`RECORD_COMPONENTS_MAX`].
    pub components: Vec<ComponentBytes>,
    /// Which of them do not last: for an owner whose build does not know them. Empty at rest.
    pub fleeting: Vec<TypeId>,
}
