//! A stream's messages in order, for ever: across lost connections, dead leaders and consumers that died with their server.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
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
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.after + 1 },
            replay_policy: ReplayPolicy::Instant,
            max_expires: PULL_TIME,
            ..OrderedConfig::default()
        };
        let mut messages = self.stream.create_consumer(config).await?.messages().await?;
        while let Some(message) = messages.next().await {
            let message = message?;
            let sequence = message.info().map_err(|error| anyhow::anyhow!(error))?.stream_sequence;
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
}
