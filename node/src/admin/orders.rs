//! What an admin orders and asks: it waits in the world's inbox, and the world answers, itself or after whoever has the agent.

use std::time::Duration;

use axum::http::StatusCode;
use pangaea_schemas::geometry::{Position, ShardId};
use pangaea_schemas::message::{Desk, PauseOrder};
use pangaea_schemas::{EntityId, MigrationId, NodeId};
use pangaea_world::passages::Passage;
use pangaea_world::rules::Wish;
use tokio::sync::{mpsc, oneshot};

use super::Admin;

/// Most orders that wait for the world's driver.
pub const ORDERS_MAX: usize = 64;
/// The world answers an order within a tick or two.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Why nothing is ordered, in words.
pub(super) type Refusal = (StatusCode, String);

/// What an admin wants of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminOrder {
    /// Send this gateway's clients, or this scene's shards, elsewhere.
    Drain(NodeId),
    /// Let it take them again.
    Undrain(NodeId),
    /// Let the balancer act, or not any more.
    SwitchBalance {
        /// It acts.
        on: bool,
    },
    /// Move a shard while it runs.
    MoveShard {
        /// Which.
        shard: ShardId,
        /// Where to.
        to: NodeId,
    },
    /// Cut a shard into its children while it runs, or make it of them.
    Recut {
        /// The one.
        shard: ShardId,
        /// It is to be one.
        merges: bool,
    },
    /// Let this move end where it began.
    AbortMove(MigrationId),
    /// Change what designers may set.
    Wish(Wish),
    /// What a designer saved cannot be understood.
    Unclear {
        /// In words.
        reason: String,
    },
    /// Let a parked agent play again.
    Release(EntityId),
    /// This process is dead.
    Reaped {
        /// Which node it was.
        node: NodeId,
        /// Its process id.
        pid: u32,
    },
}

/// What became of an order: the number of the move that it began, if it did, or why the world does not do it.
pub type OrderAnswer = Result<Option<u64>, String>;

/// An order on its way, with who waits for the answer.
#[derive(Debug)]
pub struct Ordered {
    /// What.
    pub order: AdminOrder,
    answer: oneshot::Sender<OrderAnswer>,
}

impl Ordered {
    /// An order whose answer nobody waits for.
    pub fn unasked(order: AdminOrder) -> Self {
        Self { order, answer: oneshot::channel().0 }
    }

    /// Tells who ordered it what became of it.
    pub fn answer(self, answer: OrderAnswer) {
        // They may have gone.
        let _ = self.answer.send(answer);
    }
}

/// What only the node knows or does that has an agent or a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Players' agents in a shard.
    Agents {
        /// Where.
        shard: ShardId,
        /// Only those with a higher id.
        after: EntityId,
        /// Most of them.
        limit: u32,
    },
    /// One agent, with components.
    Agent(EntityId),
    /// Any entity, of one scene.
    Inspect {
        /// Who is asked.
        scene: NodeId,
        /// Which.
        entity: EntityId,
    },
    /// An agent is to stand there.
    Place {
        /// Who.
        agent: EntityId,
        /// Within its space.
        position: Position,
    },
    /// Sessions at a gateway.
    Sessions {
        /// Which.
        gateway: NodeId,
        /// Only those of agents with a higher id.
        after: EntityId,
        /// Most of them.
        limit: u32,
    },
    /// End a session.
    Kick {
        /// Where it is.
        gateway: NodeId,
        /// Whose.
        agent: EntityId,
        /// For the client.
        words: String,
    },
    /// A shard is to be recorded.
    Record {
        /// Which.
        shard: ShardId,
        /// Names the recording.
        key: u64,
        /// For so long.
        seconds: u32,
    },
    /// What was recorded.
    TakeRecorded {
        /// Of which shard.
        shard: ShardId,
        /// Names the recording.
        key: u64,
        /// In bytes from its beginning.
        from: u64,
    },
    /// A recording of this shard is to end.
    EndRecording(ShardId),
    /// What this shard's ticks cost.
    Profile(ShardId),
    /// A shard is to stand, to go on, or to run single ticks.
    Pause {
        /// Which.
        shard: ShardId,
        /// What.
        order: PauseOrder,
        /// To step: so many.
        ticks: u32,
    },
}

/// The answer, as the node gave it, with the node; or why there is none.
pub type Told = Result<(NodeId, Desk), String>;

/// A question on its way, with who waits for the answer.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub question: Question,
    answer: oneshot::Sender<Told>,
}

impl Asked {
    /// What, and whom to tell.
    pub fn into_parts(self) -> (Question, oneshot::Sender<Told>) {
        (self.question, self.answer)
    }
}

/// What the world itself knows of an entity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The scene that probably has it.
    pub scene: Option<NodeId>,
    /// Its last hand-overs, the latest first.
    pub passages: Vec<Passage>,
}

/// What wakes the world's driver beside its peers.
#[derive(Debug)]
pub enum Wanted {
    /// Something is to be done.
    Order(Ordered),
    /// Something is to be told.
    Answer(Asked),
    /// What is known of an entity is to be told.
    Trace(EntityId, oneshot::Sender<Trace>),
}

impl Admin {
    /// Asks whoever knows.
    pub(super) async fn ask(&self, question: Question) -> Result<(NodeId, Desk), Refusal> {
        let (answer, answered) = oneshot::channel();
        self.send(Wanted::Answer(Asked { question, answer }))?;
        match tokio::time::timeout(ANSWER_TIME_MAX, answered).await {
            Ok(Ok(Ok(told))) => Ok(told),
            Ok(Ok(Err(why))) => Err((StatusCode::NOT_FOUND, format!("{why}\n"))),
            Ok(Err(_)) | Err(_) => Err((StatusCode::GATEWAY_TIMEOUT, "whoever knows does not answer; try again\n".to_owned())),
        }
    }

    /// What the world knows of an entity.
    pub(super) async fn trace(&self, entity: EntityId) -> Result<Trace, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.send(Wanted::Trace(entity, answer))?;
        match tokio::time::timeout(ANSWER_TIME_MAX, answered).await {
            Ok(Ok(trace)) => Ok(trace),
            Ok(Err(_)) | Err(_) => Err((StatusCode::GATEWAY_TIMEOUT, "the world does not answer; try again\n".to_owned())),
        }
    }

    /// Orders, and hears what the world says.
    pub(super) async fn order(&self, order: AdminOrder) -> Result<Option<u64>, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.send(Wanted::Order(Ordered { order, answer }))?;
        match tokio::time::timeout(ANSWER_TIME_MAX, answered).await {
            Ok(Ok(Ok(number))) => Ok(number),
            Ok(Ok(Err(why))) => Err((StatusCode::CONFLICT, format!("{why}\n"))),
            Ok(Err(_)) | Err(_) => Err((
                StatusCode::GATEWAY_TIMEOUT,
                "the world does not answer; `pangaea status` shows what came of it\n".to_owned(),
            )),
        }
    }
    fn send(&self, wanted: Wanted) -> Result<(), Refusal> {
        self.orders.try_send(wanted).map_err(|error| {
            let why = match error {
                mpsc::error::TrySendError::Full(_) => "too many orders wait; try again",
                mpsc::error::TrySendError::Closed(_) => "the world is stopping",
            };
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
        })
    }
}
