//! Which nodes are there: told by the beacon, confirmed by what is heard.
//!
//! | state | happening | next |
//! |---|---|---|
//! | any | linked or registered, same incarnation | known |
//! | known, missed | linked or registered, another incarnation | known; the former one is gone |
//! | linked | registered, another incarnation | unchanged: that is the former one, whose lease still runs |
//! | known | no longer registered | missed |
//! | missed | nothing heard of it for [`PEER_SILENCE`] | gone |
//! | any | reaped | gone |
//!
//! A beacon loses a lease when its own link to a node is cut, or its memory when it restarts. A gateway that goes on talking is
//! there all the same, and its clients play on. A node that starts again is linked and talks before its name is free for it: its
//! registration, when it comes, is no news.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::{NodeId, Nonce, Timestamp};

/// A node that is not registered and says nothing for this long is gone.
pub const PEER_SILENCE: Duration = Duration::from_secs(2);

/// All nodes that the scene knows of.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    known: BTreeMap<NodeId, Nonce>,
    missed: BTreeMap<NodeId, Nonce>,
    heard: BTreeMap<NodeId, Timestamp>,
    /// Who is at the other end of the links that are up.
    linked: BTreeMap<NodeId, Nonce>,
}

impl Peers {
    /// A message of the node came.
    pub fn hear(&mut self, now: Timestamp, node: NodeId) {
        self.heard.insert(node, now);
    }

    /// The link to it is up. Whether another incarnation of it is gone.
    pub fn linked(&mut self, node: NodeId, nonce: Nonce) -> bool {
        self.linked.insert(node, nonce);
        self.registered(node, nonce)
    }

    /// The link to it is down.
    pub fn unlinked(&mut self, node: NodeId) {
        self.linked.remove(&node);
    }

    /// The beacon has it. Whether another incarnation of it is gone.
    pub fn registered(&mut self, node: NodeId, nonce: Nonce) -> bool {
        if self.linked.get(&node).is_some_and(|linked| *linked != nonce) {
            return false;
        }
        let missed = self.missed.remove(&node);
        let former = self.known.insert(node, nonce).or(missed);
        former.is_some_and(|former| former != nonce)
    }

    /// The beacon has it no longer.
    pub fn unregistered(&mut self, node: NodeId) {
        self.missed.extend(self.known.remove(&node).map(|nonce| (node, nonce)));
    }

    /// The beacon has these and no others.
    pub fn registered_are(&mut self, here: &[NodeId]) {
        let missing: Vec<NodeId> = self.known.keys().copied().filter(|node| !here.contains(node)).collect();
        missing.into_iter().for_each(|node| self.unregistered(node));
    }

    /// It is known to be dead.
    pub fn reaped(&mut self, node: NodeId) {
        self.known.remove(&node);
        self.missed.remove(&node);
        self.heard.remove(&node);
        self.linked.remove(&node);
    }

    /// Who is gone since the last time this was asked.
    pub fn gone(&mut self, now: Timestamp) -> Vec<NodeId> {
        let silent = |node: &NodeId| self.heard.get(node).is_none_or(|at| now.since(*at) >= PEER_SILENCE);
        let gone: Vec<NodeId> = self.missed.keys().copied().filter(silent).collect();
        gone.iter().for_each(|node| self.reaped(*node));
        gone
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::Role;

    use super::*;

    const GATE: NodeId = NodeId::new(Role::Gateway, 1);
    const AT: fn(u64) -> Timestamp = |ms| Timestamp(ms * 1_000);

    fn talking() -> Peers {
        let mut peers = Peers::default();
        assert!(!peers.registered(GATE, Nonce(1)));
        peers.hear(AT(1_000), GATE);
        peers
    }

    #[test]
    fn a_node_that_the_beacon_lost_is_there_while_it_talks() {
        let mut peers = talking();
        peers.registered_are(&[]);
        assert_eq!(peers.gone(AT(2_999)), []);
        peers.hear(AT(2_999), GATE);
        assert_eq!(peers.gone(AT(4_998)), []);
        assert_eq!(peers.gone(AT(4_999)), [GATE]);
        assert_eq!(peers.gone(AT(9_000)), [], "told once");
    }

    #[test]
    fn a_node_that_registers_again_was_never_gone() {
        let mut peers = talking();
        peers.unregistered(GATE);
        assert!(!peers.registered(GATE, Nonce(1)));
        assert_eq!(peers.gone(AT(60_000)), []);
    }

    #[test]
    fn a_node_that_starts_again_talks_before_it_is_registered() {
        let mut peers = talking();
        peers.unlinked(GATE);
        assert!(peers.linked(GATE, Nonce(2)), "its link tells that the former one is gone");
        assert!(!peers.registered(GATE, Nonce(1)), "the former one's lease still runs");
        peers.unregistered(GATE);
        peers.hear(AT(2_000), GATE);
        assert_eq!(peers.gone(AT(3_000)), []);
        assert!(!peers.registered(GATE, Nonce(2)), "nothing of it is forgotten when its name is free");
    }

    #[test]
    fn another_incarnation_says_that_the_former_is_gone() {
        let mut peers = talking();
        assert!(peers.registered(GATE, Nonce(2)));
        peers.unregistered(GATE);
        assert!(peers.registered(GATE, Nonce(3)), "also of one that was only missed");
    }
}
