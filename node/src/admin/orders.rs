//! What an admin orders: it waits in the world's inbox, and the world answers whether it takes it.

use std::time::Duration;

use axum::http::StatusCode;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{MigrationId, NodeId};
use tokio::sync::{mpsc, oneshot};

use super::Admin;

/// Most orders that wait for the world's driver.
pub const ORDERS_MAX: usize = 64;
/// The world answers an order within a tick or two.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Why nothing is ordered, in words.
pub(super) type Refusal = (StatusCode, String);

/// What an admin wants of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Let this move end where it began.
    AbortMove(MigrationId),
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
    /// Tells who ordered it what became of it.
    pub fn answer(self, answer: OrderAnswer) {
        // They may have gone.
        let _ = self.answer.send(answer);
    }
}

impl Admin {
    /// Orders, and hears what the world says.
    pub(super) async fn order(&self, order: AdminOrder) -> Result<Option<u64>, Refusal> {
        let (answer, answered) = oneshot::channel();
        if let Err(error) = self.orders.try_send(Ordered { order, answer }) {
            let why = match error {
                mpsc::error::TrySendError::Full(_) => "too many orders wait; try again",
                mpsc::error::TrySendError::Closed(_) => "the world is stopping",
            };
            return Err((StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")));
        }
        match tokio::time::timeout(ANSWER_TIME_MAX, answered).await {
            Ok(Ok(Ok(number))) => Ok(number),
            Ok(Ok(Err(why))) => Err((StatusCode::CONFLICT, format!("{why}\n"))),
            Ok(Err(_)) | Err(_) => Err((
                StatusCode::GATEWAY_TIMEOUT,
                "the world does not answer; `pangaea status` shows what came of it\n".to_owned(),
            )),
        }
    }
}
