//! A write that happens once, and only if nobody wrote to its subject since: compare-and-set on a stream.
//!
//! | the engine says | what it means | next |
//! |---|---|---|
//! | acknowledged | it is there, replicated | – |
//! | wrong last sequence | somebody else wrote, or this very message before, unacknowledged | read the subject's last message |
//! | nothing in time, or any other error | it may be there or not, or come later | the same |
//! | … the last message has our name | it is there | – |
//! | … the last message is the expected one | it is not there yet | send again, under the same name |
//! | … another message | somebody else wrote | – |
//!
//! The last message is read through the stream's leader. A copy that comes late meets the fence: the sequence that it expects
//! is no longer the last.
//!
//! Several writes may be one: an atomic batch is stored whole, or not at all when one of its fences is overtaken. The subject of
//! the first one tells what became of it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{RawMessageErrorKind, Stream};
use async_nats::jetstream::{self};
use bytes::Bytes;
use tokio::time::Instant;

use super::{ACK_TIME, RETRY_PAUSE};

/// The message's name in its header.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The same of one that was written together with others: the engine's own name for it does not go into batches everywhere.
const TOGETHER_ID: &str = "Pangaea-Id";
/// Most writes that are one.
const TOGETHER_MAX: usize = 8;

/// One message and the condition under which it is written.
#[derive(Clone, Debug)]
pub(super) struct FencedWrite {
    pub(super) subject: String,
    /// Names it for ever: a repetition has the same.
    pub(super) id: String,
    /// Sequence of the subject's last message; zero: it has none.
    pub(super) expected: u64,
    pub(super) payload: Bytes,
    /// The engine removes it after so long, in whole seconds.
    pub(super) ttl: Option<Duration>,
    /// A header beside the usual ones.
    pub(super) header: Option<(&'static str, &'static str)>,
}

/// What became of a write.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is there, under this sequence.
    Written(u64),
    /// Another message is the subject's last; `None`: the expected one has gone.
    Overtaken(Option<StreamMessage>),
    /// The engine did not answer in time: it may be there, or come later.
    Unknown(String),
}

/// Writes to one stream.
#[derive(Clone)]
pub(super) struct FencedStream {
    context: jetstream::Context,
    stream: Stream,
}

impl FencedStream {
    pub(super) fn new(context: jetstream::Context, stream: Stream) -> Self {
        Self { context, stream }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Write, or learn why not. Gives up after `patience`.
    pub(super) async fn write(&self, write: &FencedWrite, patience: Duration) -> Fate {
        self.write_together(std::slice::from_ref(write), patience).await
    }

    async fn publish(&self, write: &FencedWrite) -> Result<u64, String> {
        let mut message = PublishMessage::build()
            .payload(write.payload.clone())
            .message_id(&write.id)
            .expected_last_subject_sequence(write.expected);
        if let Some(ttl) = write.ttl {
            message = message.ttl(ttl);
        }
        if let Some((name, value)) = write.header {
            message = message.header(name, value);
        }
        let acknowledged = async {
            let ack = self.context.send_publish(write.subject.clone(), message).await?;
            ack.await
        };
        match tokio::time::timeout(ACK_TIME, acknowledged).await {
            Ok(Ok(ack)) => Ok(ack.sequence),
            Ok(Err(error)) => {
                if error.kind() != PublishErrorKind::WrongLastSequence {
                    tracing::debug!(subject = write.subject, %error, "not acknowledged");
                }
                Err(format!("the engine does not take it: {error}"))
            }
            Err(_) => Err("the engine does not acknowledge".to_owned()),
        }
    }

    /// Write all of them, at most [`TOGETHER_MAX`], or learn why not; the fate of the first is that of all. Gives up after
    /// `patience`.
    pub(super) async fn write_together(&self, writes: &[FencedWrite], patience: Duration) -> Fate {
        let deadline = Instant::now() + patience;
        loop {
            let published = match writes {
                [one] => self.publish(one).await,
                several => self.publish_together(several).await,
            };
            let reason = match published {
                Ok(sequence) => return Fate::Written(sequence),
                Err(reason) => reason,
            };
            match self.overtaken(writes).await {
                Ok(None) => {}
                Ok(Some(fate)) => return fate,
                Err(error) => tracing::debug!(subject = writes[0].subject, error, "the engine does not tell"),
            }
            if Instant::now() >= deadline {
                return Fate::Unknown(reason);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// What became of writes that were not acknowledged; `None`: nothing yet.
    async fn overtaken(&self, writes: &[FencedWrite]) -> Result<Option<Fate>, String> {
        let mut first = None;
        for (n, write) in writes.iter().enumerate() {
            let last = self.last(&write.subject).await?;
            let sequence = last.as_ref().map_or(0, |last| last.sequence);
            if n == 0 && last.as_ref().is_some_and(|last| is_named(last, &write.id)) {
                return Ok(Some(Fate::Written(sequence)));
            }
            let is_overtaken = sequence != write.expected;
            let first = first.get_or_insert(last);
            if is_overtaken {
                return Ok(Some(Fate::Overtaken(first.take())));
            }
        }
        Ok(None)
    }

    /// In an atomic batch, as NATS' decision record 50 has it: a number for each, and the last one commits. The sequence of the
    /// first.
    async fn publish_together(&self, writes: &[FencedWrite]) -> Result<u64, String> {
        debug_assert!((1..=TOGETHER_MAX).contains(&writes.len()), "{} writes", writes.len());
        let batch = format!("{:032x}", fastrand::u128(..));
        let headers = |n: usize, write: &FencedWrite| {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", (n + 1).to_string());
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, write.expected.to_string());
            headers.insert(TOGETHER_ID, write.id.as_str());
            headers
        };
        let Some((last, before)) = writes.split_last() else { return Err("nothing is to be written".to_owned()) };
        let client = self.context.client();
        let committed = async {
            for (n, write) in before.iter().enumerate() {
                let sent = client.publish_with_headers(write.subject.clone(), headers(n, write), write.payload.clone());
                sent.await.map_err(|error| error.to_string())?;
            }
            let mut commit = headers(before.len(), last);
            commit.insert("Nats-Batch-Commit", "1");
            let message = PublishMessage::build().payload(last.payload.clone()).headers(commit);
            let ack = self.context.send_publish(last.subject.clone(), message).await.map_err(|error| error.to_string())?;
            ack.await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(ACK_TIME, committed).await {
            Ok(Ok(ack)) => Ok(ack.sequence.saturating_sub(before.len() as u64)),
            Ok(Err(error)) => Err(format!("the engine does not take them: {error}")),
            Err(_) => Err("the engine does not acknowledge".to_owned()),
        }
    }

    /// The subject's last message, as the stream's leader knows it.
    pub(super) async fn last(&self, subject: &str) -> Result<Option<StreamMessage>, String> {
        let asked = tokio::time::timeout(ACK_TIME, self.stream.get_last_raw_message_by_subject(subject)).await;
        match asked.map_err(|_| "the engine does not answer".to_owned())? {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The message of a sequence, if it is there.
    pub(super) async fn at(&self, sequence: u64) -> Result<Option<StreamMessage>, String> {
        let asked = tokio::time::timeout(ACK_TIME, self.stream.get_raw_message(sequence)).await;
        match asked.map_err(|_| "the engine does not answer".to_owned())? {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn is_named(message: &StreamMessage, id: &str) -> bool {
    [MESSAGE_ID, TOGETHER_ID].iter().any(|name| message.headers.get(*name).is_some_and(|found| found.as_str() == id))
}
