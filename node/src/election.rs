//! Which world process leads: whoever holds the key [`WORLD_LEADER_KEY`], leased to it. A world without an engine is alone and
//! leads.
//!
//! | the watch says | this process | does |
//! |---|---|---|
//! | nobody | stands by, with a lease | asks for the key, if nobody has it |
//! | somebody else | leads | stands by: what it knows is dropped |
//! | this one | stands by | leads, with a world that knows nothing yet: scenes and gateways report to it |
//!
//! Who leads decides no ownership: two leaders for a moment could only waste orders.

use std::time::Duration;

use bytes::Bytes;
use pangaea_schemas::message::{Address, BeaconRequest, Envelope, Message};
use pangaea_schemas::{NodeId, RequestId, Revision, Timestamp};

use crate::engine::WORLD_LEADER_KEY;

/// A request for the key that is not decided is sent again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Marks a request of this module; those of cores and of the membership have other bits.
const ELECTION_REQUEST: u64 = 1 << 62;

/// One candidate.
#[derive(Debug)]
pub struct Election {
    own: NodeId,
    asked: Option<Timestamp>,
    requests: u64,
}

impl Election {
    /// Nobody is known to lead.
    pub fn new(own: NodeId) -> Self {
        Self { own, asked: None, requests: 0 }
    }

    /// Whether an answer is to one of its own requests. The watch tells what became of it.
    pub fn is_own(request: RequestId) -> bool {
        request.0 & ELECTION_REQUEST != 0
    }

    /// What to send now, given who leads and whether this process has a lease that the key could depend on.
    pub fn poll(&mut self, now: Timestamp, leader: Option<NodeId>, has_lease: bool) -> Option<Envelope> {
        if leader.is_some() {
            self.asked = None;
            return None;
        }
        if !has_lease || self.asked.is_some_and(|asked| now.since(asked) < ASK_AGAIN) {
            return None;
        }
        self.asked = Some(now);
        self.requests += 1;
        let request = BeaconRequest::PutIf {
            request: RequestId(ELECTION_REQUEST | self.requests),
            key: WORLD_LEADER_KEY.to_owned(),
            expected: Revision::ZERO,
            value: Bytes::from(self.own.to_string()),
            leased_to: Some(self.own),
        };
        Some(Envelope { to: Address::Beacon, message: Message::BeaconRequest(request) })
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::Role;

    use super::*;

    const OWN: NodeId = NodeId::new(Role::World, 2);
    const NOW: Timestamp = Timestamp(9_000_000);

    #[test]
    fn a_vacant_lead_is_asked_for_once_a_second_by_who_has_a_lease() {
        let mut election = Election::new(OWN);
        assert_eq!(election.poll(NOW, None, false), None, "the key could depend on nothing");
        let Some(Envelope { to: Address::Beacon, message: Message::BeaconRequest(asked) }) = election.poll(NOW, None, true)
        else {
            panic!("it asks")
        };
        let BeaconRequest::PutIf { request, expected: Revision::ZERO, leased_to: Some(OWN), value, .. } = asked else {
            panic!("only if nobody leads: {asked:?}")
        };
        assert!(Election::is_own(request));
        assert_eq!(std::str::from_utf8(&value).ok().and_then(|id| id.parse().ok()), Some(OWN));
        assert_eq!(election.poll(NOW, None, true), None);
        assert!(election.poll(NOW + ASK_AGAIN, None, true).is_some());
        assert_eq!(election.poll(NOW + ASK_AGAIN * 2, Some(NodeId::new(Role::World, 1)), true), None, "somebody leads");
    }
}
