//! The pretended network: every message takes its time; on one link they stay in order, as TCP keeps them; links break with their
//! processes or when they are cut, and what was under way is lost.

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

/// While a link is out of order, of so many messages that do not mind one comes late, and one comes twice.
const DISORDERED_ONE_IN: u32 = 5;
/// How much later at most, in microseconds.
const DISORDER_US_MAX: u64 = 700_000;

/// Delays and order of all links.
#[derive(Debug)]
pub struct Network {
    rng: Rng,
    /// When the last message on a link arrives: the next one is not earlier.
    last: BTreeMap<(NodeId, NodeId), Timestamp>,
    /// Which incarnation's links these are: raised when either end dies.
    lives: BTreeMap<NodeId, u64>,
    /// How often the link between two nodes broke; the smaller node first.
    breaks: BTreeMap<(NodeId, NodeId), u64>,
    /// What is sent this way is lost until then.
    blocked: BTreeMap<(NodeId, NodeId), Timestamp>,
    /// What is sent this way until then takes so much longer.
    lagging: BTreeMap<(NodeId, NodeId), (Timestamp, Duration)>,
    /// What is sent this way until then comes in any order.
    disordered: BTreeMap<(NodeId, NodeId), Timestamp>,
}

/// A link between two incarnations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Sender and its incarnation's count.
    pub from: (NodeId, u64),
    /// Receiver and its incarnation's count.
    pub to: (NodeId, u64),
    breaks: u64,
}

impl Network {
    /// A network whose delays follow from `rng`.
    pub fn new(rng: Rng) -> Self {
        Self {
            rng,
            last: BTreeMap::new(),
            lives: BTreeMap::new(),
            breaks: BTreeMap::new(),
            blocked: BTreeMap::new(),
            lagging: BTreeMap::new(),
            disordered: BTreeMap::new(),
        }
    }

    /// The link as it is now.
    pub fn link(&self, from: NodeId, to: NodeId) -> Link {
        let count = |node| (node, self.lives.get(&node).copied().unwrap_or_default());
        Link { from: count(from), to: count(to), breaks: self.breaks.get(&pair(from, to)).copied().unwrap_or_default() }
    }

    /// Whether a message sent over `link` still arrives.
    pub fn is_up(&self, link: Link) -> bool {
        link == self.link(link.from.0, link.to.0)
    }

    /// A node dies, and its links with it.
    pub fn end_life(&mut self, node: NodeId) {
        *self.lives.entry(node).or_default() += 1;
    }

    /// The link between two nodes breaks: what is under way is lost.
    pub fn tear(&mut self, a: NodeId, b: NodeId) {
        *self.breaks.entry(pair(a, b)).or_default() += 1;
    }

    /// What is sent this way is lost until then.
    pub fn block(&mut self, from: NodeId, to: NodeId, until: Timestamp) {
        let blocked = self.blocked.entry((from, to)).or_default();
        *blocked = (*blocked).max(until);
    }

    /// Whether what is sent this way now is lost.
    pub fn is_blocked(&self, now: Timestamp, from: NodeId, to: NodeId) -> bool {
        self.blocked.get(&(from, to)).is_some_and(|until| now < *until)
    }

    /// What is sent this way arrives after that, in order: a hiccup that breaks nothing.
    pub fn stall(&mut self, from: NodeId, to: NodeId, until: Timestamp) {
        let last = self.last.entry((from, to)).or_default();
        *last = (*last).max(until);
    }

    /// What is sent this way until then takes so much longer.
    pub fn lag(&mut self, from: NodeId, to: NodeId, until: Timestamp, by: Duration) {
        self.lagging.insert((from, to), (until, by));
    }

    /// What is sent this way until then comes in any order, and some of it twice.
    pub fn disorder(&mut self, from: NodeId, to: NodeId, until: Timestamp) {
        self.disordered.insert((from, to), until);
    }

    /// When a message sent now, which may come in any order, arrives, and when it arrives once more.
    pub fn arrivals(&mut self, now: Timestamp, from: NodeId, to: NodeId) -> (Timestamp, Option<Timestamp>) {
        let first = self.arrival(now, from, to);
        if self.disordered.get(&(from, to)).is_none_or(|until| *until <= now) {
            return (first, None);
        }
        let mut later = || first + Duration::from_micros(self.rng.u64(..DISORDER_US_MAX));
        let (late, again) = (later(), later());
        match self.rng.u32(..DISORDERED_ONE_IN) {
            0 => (late, None),
            1 => (first, Some(again)),
            _ => (first, None),
        }
    }

    /// When a message sent now arrives.
    pub fn arrival(&mut self, now: Timestamp, from: NodeId, to: NodeId) -> Timestamp {
        let us = match self.rng.u32(..SLOW_ONE_IN) {
            0 => self.rng.u64(DELAY_US.end..SLOW_US_MAX),
            _ => self.rng.u64(DELAY_US),
        };
        let lag = self.lagging.get(&(from, to)).filter(|(until, _)| now < *until).map_or(Duration::ZERO, |(_, by)| *by);
        let last = self.last.entry((from, to)).or_default();
        *last = (now + Duration::from_micros(us) + lag).max(*last);
        *last
    }
}

fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}
