//! The embedded bus: world-wide messages to whoever listens now. At most once, in order per publisher and subscriber.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pangaea_schemas::NodeId;
use pangaea_schemas::message::{BUS_BYTES_MAX, BusEvent, BusRequest};

/// Most subscriptions of one subscriber.
pub const SUBSCRIPTIONS_PER_NODE_MAX: usize = 32;
/// Longest subject or prefix in bytes.
pub const SUBJECT_BYTES_MAX: usize = 128;
/// Most events that wait to be sent; beyond it the newest are dropped.
pub const BUS_QUEUE_MAX: usize = 16_384;

/// The embedded bus.
#[derive(Debug, Default)]
pub struct Bus {
    subscriptions: BTreeMap<NodeId, BTreeSet<String>>,
    outputs: VecDeque<(NodeId, BusEvent)>,
    dropped: u64,
}

impl Bus {
    /// A bus that nobody listens to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Acts on a request that came over the link of `from`. What is over a bound is dropped: the bus promises nothing.
    pub fn handle(&mut self, from: NodeId, request: BusRequest) {
        match request {
            BusRequest::Publish { subject, bytes } => {
                if subject.len() > SUBJECT_BYTES_MAX || bytes.len() > BUS_BYTES_MAX {
                    self.dropped += 1;
                    return;
                }
                self.publish(&BusEvent { subject, bytes });
            }
            BusRequest::Subscribe { prefix } => {
                let prefixes = self.subscriptions.entry(from).or_default();
                if prefix.len() <= SUBJECT_BYTES_MAX && prefixes.len() < SUBSCRIPTIONS_PER_NODE_MAX {
                    prefixes.insert(prefix);
                }
            }
        }
    }

    /// The link to `node` is gone: its subscriptions end.
    pub fn link_closed(&mut self, node: NodeId) {
        self.subscriptions.remove(&node);
    }

    /// The next event, and to whom.
    pub fn poll_output(&mut self) -> Option<(NodeId, BusEvent)> {
        self.outputs.pop_front()
    }

    /// Messages and events dropped at a bound since start.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A subscriber hears an event once, however many of its prefixes match.
    fn publish(&mut self, event: &BusEvent) {
        for (subscriber, prefixes) in &self.subscriptions {
            if !prefixes.iter().any(|prefix| event.subject.starts_with(prefix.as_str())) {
                continue;
            }
            if self.outputs.len() >= BUS_QUEUE_MAX {
                self.dropped += 1;
                continue;
            }
            self.outputs.push_back((*subscriber, event.clone()));
        }
    }
}
