//! How long scenes have heard nothing from their journals: whatever moved meanwhile is lost with its owner.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use pangaea_schemas::message::{JournalReply, Message};
use pangaea_schemas::{NodeId, Role, Timestamp};

/// A loss is noticed at most so long after its cause: leases, claims and recoveries take their time.
const NOTICED_WITHIN: Duration = Duration::from_secs(8);

/// What scenes have heard.
#[derive(Debug, Default)]
pub struct Journals {
    heard: BTreeMap<NodeId, Timestamp>,
    /// Silences of the last seconds, with their ends.
    silences: VecDeque<(Timestamp, Duration)>,
}

impl Journals {
    /// A message reached a node.
    pub fn overhear(&mut self, now: Timestamp, to: NodeId, message: &Message) {
        if to.role == Role::Scene && matches!(message, Message::JournalReply(JournalReply::Appended { .. })) {
            let before = self.heard.insert(to, now).unwrap_or(now);
            self.silences.push_back((now, now.since(before)));
            while self.silences.pop_front_if(|(end, _)| now.since(*end) > NOTICED_WITHIN).is_some() {}
        }
    }

    /// The longest of the last silences, those that go on included.
    pub fn silence(&self, now: Timestamp) -> Duration {
        let going_on = self.heard.values().map(|heard| now.since(*heard)).max();
        let over = self.silences.iter().map(|(_, silence)| *silence).max();
        going_on.max(over).unwrap_or_default()
    }
}
