//! The log's messages, and a data node's ends of it: what it proposes, and what it follows.
//!
//! A proposal is sent until it is acknowledged. Sent twice, it has the same name, so the engine takes it once within two minutes,
//! and the rows once for ever ([`pangaea_persistence::log`]). Following starts behind the last position in the node's own rows.

use async_nats::jetstream::message::PublishMessage;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use pangaea_persistence::{Place, Proposal};
use pangaea_schemas::message::{JournalRequest, Message};
use pangaea_schemas::wire::{self, WireError};
use pangaea_schemas::{JournalIndex, NodeId, Nonce, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::entries::{EntryMessage, JournalMessage};
use super::follow::{Followed, follow};
use super::{ACK_TIME, Connection, RETRY_PAUSE};
use crate::mesh::Inbox;

/// Bytes of requests in one batch, which must fit a message of the engine with the largest single one.
pub const BATCH_BYTES: usize = 4 * 1_024 * 1_024;
/// First bytes of a batch.
const BATCH_FORM: [u8; 4] = [b'L', b'B', b'A', 1];

/// A message of the log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Cut short, or of an unknown form.
    #[error("a message of the log is damaged or of another version")]
    Form,
    /// What is inside.
    #[error("a message of the log does not decode")]
    Wire(#[from] WireError),
}

/// What a data node was asked for, on its way into the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its name.
    pub proposal: Proposal,
    /// When.
    pub now: Timestamp,
    /// Who asks what, in order: encoded messages.
    pub frames: Vec<(NodeId, Bytes)>,
}

impl Batch {
    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_slice(&BATCH_FORM);
        bytes.put_u32_le(self.proposal.node.to_bits());
        bytes.put_u128_le(self.proposal.nonce.0);
        bytes.put_u64_le(self.proposal.number);
        bytes.put_u64_le(self.now.0);
        for (from, frame) in &self.frames {
            bytes.put_u32_le(from.to_bits());
            bytes.put_u32_le(frame.len() as u32);
            bytes.put_slice(frame);
        }
        bytes.freeze()
    }

    fn decode(bytes: &Bytes) -> Result<Self, LogError> {
        let mut rest = after_form(bytes, BATCH_FORM)?;
        let mut head = || -> Result<_, bytes::TryGetError> {
            let node = NodeId::from_bits(rest.try_get_u32_le()?);
            let (nonce, number) = (Nonce(rest.try_get_u128_le()?), rest.try_get_u64_le()?);
            Ok((node, nonce, number, Timestamp(rest.try_get_u64_le()?)))
        };
        let (node, nonce, number, now) = head().map_err(|_| LogError::Form)?;
        let proposal = Proposal { node: node.ok_or(LogError::Form)?, nonce, number };
        let mut frames = Vec::new();
        while rest.has_remaining() {
            let from = rest.try_get_u32_le().ok().and_then(NodeId::from_bits).ok_or(LogError::Form)?;
            let length = rest.try_get_u32_le().map_err(|_| LogError::Form)? as usize;
            if length > rest.len() {
                return Err(LogError::Form);
            }
            frames.push((from, rest.split_to(length)));
        }
        Ok(Self { proposal, now, frames })
    }
}

pub(super) fn after_form(bytes: &Bytes, form: [u8; 4]) -> Result<Bytes, LogError> {
    if bytes.starts_with(&form) { Ok(bytes.slice(form.len()..)) } else { Err(LogError::Form) }
}

/// What a follower learns.
#[derive(Debug)]
pub enum LogEvent {
    /// The next message.
    Next {
        /// Where it stands.
        place: Place,
        /// What it says, and who asked for it.
        requests: Vec<(NodeId, Message)>,
    },
    /// What comes next was purged: the rows here are older than the oldest checkpoint.
    Behind {
        /// Which position is not there.
        position: u64,
    },
    /// Following cannot go on.
    Broken {
        /// In words.
        reason: String,
    },
}

/// A data node's ends of the log. Dropping it ends them.
pub struct LogEnds {
    proposals: mpsc::Sender<Batch>,
    _ends: DropGuard,
}

impl LogEnds {
    /// Follow the log behind `position` and stand ready to propose. Events go to `inbox`. Must be called within a tokio runtime.
    pub fn start<E>(connection: &Connection, position: u64, inbox: Inbox<E>, wrap: fn(LogEvent) -> E) -> Self
    where
        E: Send + 'static,
    {
        let stopped = CancellationToken::new();
        // One is on its way; the next waits for it.
        let (proposals, wanted) = mpsc::channel(1);
        let follower = Follower { connection: connection.clone(), position, inbox, wrap };
        tokio::spawn(stopped.clone().run_until_cancelled_owned(follower.run(stopped.clone())));
        tokio::spawn(stopped.clone().run_until_cancelled_owned(propose_all(connection.clone(), wanted)));
        Self { proposals, _ends: stopped.drop_guard() }
    }

    /// Bring a batch into the log. Its coming is the acknowledgement; only then may the next be proposed.
    pub fn propose(&self, batch: Batch) {
        if self.proposals.try_send(batch).is_err() {
            tracing::error!("a second batch was proposed before the first had come");
        }
    }
}

async fn propose_all(connection: Connection, mut wanted: mpsc::Receiver<Batch>) {
    while let Some(batch) = wanted.recv().await {
        let Proposal { node, nonce, number } = batch.proposal;
        let (subject, id, payload) = (connection.names().batch(node), format!("{:032x}-{number}", nonce.0), batch.encode());
        loop {
            let message = PublishMessage::build().payload(payload.clone()).message_id(&id);
            let acknowledged = async {
                let ack = connection.context().send_publish(subject.clone(), message).await?;
                ack.await
            };
            match tokio::time::timeout(ACK_TIME, acknowledged).await {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => tracing::debug!(%error, "a batch is not acknowledged"),
                Err(_) => tracing::debug!("the engine does not acknowledge a batch"),
            }
            metrics::counter!("pangaea_engine_retries", "service" => "log").increment(1);
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

struct Follower<E> {
    connection: Connection,
    position: u64,
    inbox: Inbox<E>,
    wrap: fn(LogEvent) -> E,
}

impl<E> Follower<E> {
    async fn run(mut self, stopped: CancellationToken) {
        let stream = self.connection.log().stream();
        let last = loop {
            match stream.get_info().await {
                Ok(info) => break info.state.last_sequence,
                Err(error) => tracing::warn!(%error, "the engine does not tell where its log ends"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        };
        if last < self.position {
            let reason = format!(
                "the engine's log ends at {last}, but this data folder has what stood at {}: it belongs to another engine, or the \
                 engine lost what it had acknowledged",
                self.position
            );
            return self.tell(LogEvent::Broken { reason }).await;
        }
        let mut followed = follow(stream, self.position, &stopped);
        while let Some(Followed { sequence, payload, .. }) = followed.recv().await {
            if sequence != self.position + 1 {
                return self.tell(LogEvent::Behind { position: self.position + 1 }).await;
            }
            match decode(sequence, &payload) {
                Ok(event) => self.tell(event).await,
                Err(error) => {
                    let reason = format!("position {sequence} of the log: {error}");
                    return self.tell(LogEvent::Broken { reason }).await;
                }
            }
            self.position = sequence;
        }
    }

    async fn tell(&self, event: LogEvent) {
        // A closed inbox means that this node stops anyway.
        let _ = self.inbox.deliver((self.wrap)(event)).await;
    }
}

fn decode(position: u64, payload: &Bytes) -> Result<LogEvent, LogError> {
    if !payload.starts_with(&BATCH_FORM) {
        let place = Place { position, now: Timestamp::default(), proposal: None };
        let requests = match JournalMessage::decode(payload)? {
            JournalMessage::Entry(EntryMessage { shard, id, index, owner, .. }, entry) => {
                let expected = JournalIndex(index.0.saturating_sub(1));
                let append = Message::JournalRequest(JournalRequest::Append { shard, id, expected, entry: entry.into() });
                // Nobody is answered: the owner has its acknowledgement from the engine.
                vec![(owner.map_or(crate::membership::DATA, |(node, _)| node), append)]
            }
            // The entry that ended it came before, in the journal of its parent.
            JournalMessage::Closed(_) => Vec::new(),
        };
        return Ok(LogEvent::Next { place, requests });
    }
    let Batch { proposal, now, frames } = Batch::decode(payload)?;
    let requests = frames.iter().map(|(from, frame)| Ok((*from, wire::decode(frame)?))).collect::<Result<_, WireError>>()?;
    Ok(LogEvent::Next { place: Place { position, now, proposal: Some(proposal) }, requests })
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::{RequestId, Role};

    use super::*;

    const DATA_1: NodeId = NodeId::new(Role::Data, 1);

    #[test]
    fn batches_come_back_and_junk_does_not() {
        let ids = Message::JournalRequest(JournalRequest::Ids { request: RequestId(3) });
        let owners = Message::JournalRequest(JournalRequest::Owners { request: RequestId(4) });
        let batch = Batch {
            proposal: Proposal { node: DATA_1, nonce: Nonce(1), number: 6 },
            now: Timestamp(99),
            frames: vec![(NodeId::new(Role::Scene, 1), wire::encode(&ids)), (NodeId::new(Role::World, 1), wire::encode(&owners))],
        };
        let encoded = batch.encode();
        assert_eq!(Batch::decode(&encoded).expect("decodes"), batch);

        for cut in 0..encoded.len() {
            // Cut between two requests it is a batch, only a shorter one; cut anywhere else it is none.
            let whole = Batch::decode(&encoded.slice(..cut)).is_ok_and(|short| short.frames.len() < 2);
            assert!(whole || Batch::decode(&encoded.slice(..cut)).is_err(), "cut at {cut}");
        }
        assert!(decode(1, &Bytes::from_static(b"LEN\x02something")).is_err());
        assert!(decode(1, &Bytes::new()).is_err());
    }
}
