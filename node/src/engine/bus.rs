//! The bus on core NATS: one subscription to all of the cluster's subjects per listening node, sorted by prefix here.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use pangaea_schemas::message::{BUS_BYTES_MAX, BusEvent, BusRequest, Message};
use pangaea_world::bus::{SUBJECT_BYTES_MAX, SUBSCRIPTIONS_PER_NODE_MAX};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Connection, Outlet, REQUESTS_MAX};

pub(super) fn start(connection: &Connection, outlet: Outlet, stopped: &CancellationToken) -> mpsc::Sender<BusRequest> {
    let (queue, asked) = mpsc::channel(REQUESTS_MAX);
    let desk = BusDesk { client: connection.client().clone(), prefix: connection.names().bus_prefix(), outlet };
    tokio::spawn(stopped.clone().run_until_cancelled_owned(desk.serve(asked)));
    queue
}

struct BusDesk {
    client: async_nats::Client,
    prefix: String,
    outlet: Outlet,
}

impl BusDesk {
    async fn serve(self, mut asked: mpsc::Receiver<BusRequest>) {
        let mut prefixes = BTreeSet::new();
        // Whoever never listens has no subscription.
        let mut heard = None;
        loop {
            let event = async {
                match heard.as_mut() {
                    Some(subscriber) => async_nats::Subscriber::next(subscriber).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                request = asked.recv() => match request {
                    None => return,
                    Some(BusRequest::Publish { subject, bytes }) => self.publish(&subject, bytes).await,
                    Some(BusRequest::Subscribe { prefix }) => {
                        if prefix.len() <= SUBJECT_BYTES_MAX && prefixes.len() < SUBSCRIPTIONS_PER_NODE_MAX {
                            prefixes.insert(prefix);
                        }
                        if heard.is_none() {
                            heard = self.listen().await;
                        }
                    }
                },
                message = event => match message {
                    Some(message) => self.hear(&prefixes, message).await,
                    None => heard = self.listen().await,
                },
            }
        }
    }

    /// What is over a bound is dropped: the bus promises nothing.
    async fn publish(&self, subject: &str, bytes: bytes::Bytes) {
        let words = subject.split('.').all(|word| !word.is_empty() && !word.contains(['*', '>', ' ', '\t', '\r', '\n']));
        if !words || subject.len() > SUBJECT_BYTES_MAX || bytes.len() > BUS_BYTES_MAX {
            metrics::counter!("pangaea_engine_dropped", "service" => "bus").increment(1);
            return;
        }
        if let Err(error) = self.client.publish(format!("{}{subject}", self.prefix), bytes).await {
            tracing::debug!(subject, %error, "not published");
        }
    }

    async fn listen(&self) -> Option<async_nats::Subscriber> {
        match self.client.subscribe(format!("{}>", self.prefix)).await {
            Ok(subscriber) => {
                // Whoever publishes after hearing of this subscription is heard: the servers know of it when they answer.
                if let Err(error) = self.client.flush().await {
                    tracing::debug!(%error, "the subscription is still on its way");
                }
                Some(subscriber)
            }
            Err(error) => {
                tracing::error!(%error, "cannot subscribe: nothing of the bus is heard");
                None
            }
        }
    }

    async fn hear(&self, prefixes: &BTreeSet<String>, message: async_nats::Message) {
        let Some(subject) = message.subject.strip_prefix(&self.prefix) else { return };
        if message.payload.len() <= BUS_BYTES_MAX && prefixes.iter().any(|prefix| subject.starts_with(prefix.as_str())) {
            let event = BusEvent { subject: subject.to_owned(), bytes: message.payload };
            self.outlet.say(self.outlet.node, Message::BusEvent(event)).await;
        }
    }
}
