//! The bounded way from tokio's tasks into a driver's thread.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TrySendError};

use super::MeshEvent;

/// Most events that wait for a driver.
pub const INBOX_EVENTS_MAX: usize = 16_384;
/// How long a task waits before it tries a full inbox again.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// The driver has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the driver takes no more events")]
pub struct InboxClosed;

/// The sending end of a driver's events.
#[derive(Debug)]
pub struct Inbox<E> {
    sender: Sender<E>,
}

impl<E> Clone for Inbox<E> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<E> Inbox<E> {
    /// An inbox and the driver's end of it.
    pub fn new() -> (Self, Receiver<E>) {
        let (sender, receiver) = crossbeam::channel::bounded(INBOX_EVENTS_MAX);
        (Self { sender }, receiver)
    }

    /// Hand over an event, waiting while the inbox is full: this is what slows a flooding peer down.
    ///
    /// # Errors
    /// The driver has ended.
    pub async fn deliver(&self, event: E) -> Result<(), InboxClosed> {
        let mut event = event;
        loop {
            match self.sender.try_send(event) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(InboxClosed),
                Err(TrySendError::Full(back)) => event = back,
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    /// The same from a thread that may block.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn deliver_blocking(&self, event: E) -> Result<(), InboxClosed> {
        self.sender.send(event).map_err(|_| InboxClosed)
    }

    /// Events that wait now.
    pub fn waiting(&self) -> usize {
        self.sender.len()
    }
}

/// An inbox as those see it who bring [`MeshEvent`]s only, the mesh and the engine: one type for the drivers of all roles, so
/// that their tasks are compiled once.
#[derive(Clone)]
pub struct MeshInbox {
    offer: Arc<dyn Fn(MeshEvent) -> Result<(), Refused> + Send + Sync>,
}

/// Why an event was not taken at once.
enum Refused {
    /// Here it is back.
    Full(Box<MeshEvent>),
    Closed,
}

impl<E> From<Inbox<E>> for MeshInbox
where
    E: From<MeshEvent> + TryInto<MeshEvent> + Send + 'static,
{
    fn from(inbox: Inbox<E>) -> Self {
        let offer = move |event: MeshEvent| match inbox.sender.try_send(event.into()) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(back)) => Err(back.try_into().map_or(Refused::Closed, |event| Refused::Full(Box::new(event)))),
            Err(TrySendError::Disconnected(_)) => Err(Refused::Closed),
        };
        Self { offer: Arc::new(offer) }
    }
}

impl MeshInbox {
    /// As [`Inbox::deliver`].
    ///
    /// # Errors
    /// The driver has ended.
    pub async fn deliver(&self, event: MeshEvent) -> Result<(), InboxClosed> {
        let mut event = event;
        loop {
            match (self.offer)(event) {
                Ok(()) => return Ok(()),
                Err(Refused::Closed) => return Err(InboxClosed),
                Err(Refused::Full(back)) => event = *back,
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }
}
