//! A stream's messages in order, for ever: across lost connections, dead leaders and consumers that died with their server, or
//! were cut off with it.
//!
//! The client's own ordered consumer would make another one, too, but it waits ten seconds between two attempts once five have
//! failed: after a cut of that length it is behind for as long again.

use std::time::Duration;

use anyhow::{Context, ensure};
use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages that wait for whoever follows; they are at most so many times the largest message.
const WAITING_MAX: usize = 16;
/// Pause before following is tried again.
const PAUSE: Duration = Duration::from_millis(250);
/// How long the engine keeps a request for more messages open. It says that it lives twice in this time, so a consumer that died
/// is missed soon.
const PULL_TIME: Duration = Duration::from_secs(1);
/// Messages that the engine sends of itself before it is asked for more.
const BATCH_MAX: usize = 256;
/// Who answers later than this is given up, and asked anew.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// The engine keeps a consumer for so long that nobody asks for anything.
const CONSUMER_TIME: Duration = Duration::from_secs(30);

/// One message of a stream.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) sequence: u64,
    pub(super) subject: String,
    pub(super) payload: Bytes,
}

/// Everything behind the sequence `after` that is or will be there, each once.
pub(super) fn follow(stream: &Stream, after: u64, stopped: &CancellationToken) -> mpsc::Receiver<Followed> {
    let (queue, followed) = mpsc::channel(WAITING_MAX);
    let follower = Follower { stream: stream.clone(), after, queue };
    tokio::spawn(stopped.clone().run_until_cancelled_owned(follower.run()));
    followed
}

struct Follower {
    stream: Stream,
    after: u64,
    queue: mpsc::Sender<Followed>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            match self.until_interrupted().await {
                Ok(()) => return,
                Err(error) => tracing::debug!("following {} is interrupted: {error:#}", self.stream.cached_info().config.name),
            }
            metrics::counter!("pangaea_engine_retries", "service" => "follow").increment(1);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// `Ok`: nobody listens any more.
    async fn until_interrupted(&mut self) -> anyhow::Result<()> {
        let open = tokio::time::timeout(ANSWER_TIME, self.open());
        let mut messages = open.await.context("the engine makes no consumer")??;
        let (mut delivered, mut missed) = (0, false);
        while let Some(message) = messages.next().await {
            let message = match message {
                // One sign of life may be late.
                Err(error) if error.kind() == MessagesErrorKind::MissingHeartbeat && !missed => {
                    missed = true;
                    continue;
                }
                message => message?,
            };
            missed = false;
            let info = message.info().map_err(|error| anyhow::anyhow!(error))?;
            let (sequence, of_consumer) = (info.stream_sequence, info.consumer_sequence);
            ensure!(of_consumer == delivered + 1, "message {} of the consumer did not come", delivered + 1);
            delivered = of_consumer;
            if sequence <= self.after {
                continue;
            }
            let async_nats::Message { subject, payload, .. } = message.message;
            let followed = Followed { sequence, subject: subject.to_string(), payload };
            if self.queue.send(followed).await.is_err() {
                return Ok(());
            }
            self.after = sequence;
        }
        anyhow::bail!("the engine ended it")
    }

    async fn open(&self) -> anyhow::Result<pull::Stream> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.after + 1 },
            replay_policy: ReplayPolicy::Instant,
            ack_policy: AckPolicy::None,
            inactive_threshold: CONSUMER_TIME,
            num_replicas: 1,
            memory_storage: true,
            ..pull::Config::default()
        };
        let consumer = self.stream.create_consumer(config).await?;
        let messages = consumer.stream().max_messages_per_batch(BATCH_MAX).expires(PULL_TIME).heartbeat(PULL_TIME / 2);
        Ok(messages.messages().await?)
    }
}
