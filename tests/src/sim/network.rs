//! The pretended network: every message takes its time; on one link they stay in order, as TCP keeps them; links break with their
//! processes, and what was under way is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use pangaea_schemas::{NodeId, Timestamp};

/// Shortest and longest way of a message between two nodes, in microseconds, but for the rare slow one.
const DELAY_US: std::ops::Range<u64> = 80..900;
/// One message in so many is slow.
const SLOW_ONE_IN: u32 = 400;
/// The longest delay of a slow message in microseconds.
const SLOW_US_MAX: u64 = 40_000;

/// Delays and order of all links.
#[derive(Debug)]
pub struct Network {
    rng: Rng,
    /// When the last message on a link arrives: the next one is not earlier.
    last: BTreeMap<(NodeId, NodeId), Timestamp>,
    /// Which incarnation's links these are: raised when either end dies.
    generation: BTreeMap<NodeId, u64>,
}

/// A link between two incarnations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Sender and its incarnation's count.
    pub from: (NodeId, u64),
    /// Receiver and its incarnation's count.
    pub to: (NodeId, u64),
}

impl Network {
    /// A network whose delays follow from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self { rng, last: BTreeMap::new(), generation: BTreeMap::new() }
    }

    /// The link as it is now.
    pub fn link(&self, from: NodeId, to: NodeId) -> Link {
        let count = |node| (node, self.generation.get(&node).copied().unwrap_or_default());
        Link { from: count(from), to: count(to) }
    }

    /// Whether a message sent over `link` still arrives.
    pub fn is_up(&self, link: Link) -> bool {
        link == self.link(link.from.0, link.to.0)
    }

    /// All links of a node break.
    pub fn cut(&mut self, node: NodeId) {
        *self.generation.entry(node).or_default() += 1;
    }

    /// When a message sent now arrives.
    pub fn arrival(&mut self, now: Timestamp, from: NodeId, to: NodeId) -> Timestamp {
        let us = match self.rng.u32(..SLOW_ONE_IN) {
            0 => self.rng.u64(DELAY_US.end..SLOW_US_MAX),
            _ => self.rng.u64(DELAY_US),
        };
        let last = self.last.entry((from, to)).or_default();
        *last = (now + Duration::from_micros(us)).max(*last);
        *last
    }
}
