//! What the beacon told, remembered beyond its end.
//!
//! The beacon is a cache: when the world process starts anew it is empty, while everybody is still where they were. Until the
//! living have had one lease of time to register again, absence from it means nothing:
//!
//! | beacon | when a watch starts |
//! |---|---|
//! | known for longer than a lease | its entries are passed on as they are |
//! | young: another incarnation of the world | what is remembered is added, but for this node's own: that is put again |
//! | grown up: one lease later | all watches are asked again, and their entries count as they are |

use std::collections::BTreeMap;

use pangaea_schemas::message::{BeaconEntry, BeaconReply, NodeInfo, ShardRoute};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{NodeId, Timestamp};

/// Most entries remembered; a cluster beyond it forgets the newest at a restart of its world.
const ENTRIES_MAX: usize = 262_144;

/// Entries of all watched prefixes.
#[derive(Debug)]
pub(super) struct Remembered {
    own: NodeId,
    young_until: Option<Timestamp>,
    entries: BTreeMap<String, BeaconEntry>,
}

impl Remembered {
    pub(super) fn new(own: NodeId) -> Self {
        Self { own, young_until: None, entries: BTreeMap::new() }
    }

    /// Another beacon answers from now on.
    pub(super) fn beacon_is_young_until(&mut self, until: Timestamp) {
        self.young_until = Some(until);
    }

    /// True once after the end of the beacon's youth: time to ask all watches again.
    pub(super) fn beacon_has_grown_up(&mut self, now: Timestamp) -> bool {
        self.young_until.take_if(|until| *until <= now).is_some()
    }

    /// Remember what a reply says, and add to it what a young beacon cannot know yet.
    pub(super) fn complete(&mut self, now: Timestamp, reply: &mut BeaconReply) {
        match reply {
            BeaconReply::WatchStart { prefix, entries } => {
                let young = self.young_until.is_some_and(|until| now < until);
                let mut all: BTreeMap<_, _> =
                    self.entries.extract_if(prefix.clone().., |key, _| key.starts_with(prefix.as_str())).collect();
                all.retain(|_, entry| young && !is_of(self.own, entry));
                all.extend(entries.drain(..).map(|entry| (entry.key.clone(), entry)));
                entries.extend(all.values().cloned());
                self.entries.extend(all);
            }
            BeaconReply::WatchChange { entry, .. } if entry.value.is_none() => drop(self.entries.remove(&entry.key)),
            BeaconReply::WatchChange { entry, .. } if self.entries.len() < ENTRIES_MAX => {
                self.entries.insert(entry.key.clone(), entry.clone());
            }
            _ => {}
        }
    }
}

/// Whether an entry was put by this node.
fn is_of(own: NodeId, entry: &BeaconEntry) -> bool {
    let route = entry.value.as_ref().and_then(|value| ShardRoute::from_stored(value).ok());
    entry.key == NodeInfo::key(own) || route.is_some_and(|route| route.owner == own)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use pangaea_schemas::geometry::{ShardId, SpaceId};
    use pangaea_schemas::{Nonce, Revision, Role, ShardEpoch};

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);
    const LEASE: Duration = Duration::from_secs(2);
    const OWN: NodeId = NodeId::new(Role::Scene, 1);
    const OTHER: NodeId = NodeId::new(Role::Scene, 2);

    fn entry(key: &str) -> BeaconEntry {
        BeaconEntry { key: key.to_owned(), revision: Revision(1), value: Some(Bytes::from_static(b"x")) }
    }

    fn route(x: u16, owner: NodeId) -> BeaconEntry {
        let shard = ShardId { space: SpaceId(0), level: 3, x, z: 0 };
        let route = ShardRoute { shard, owner, nonce: Nonce(1), epoch: ShardEpoch(1) };
        BeaconEntry { key: ShardRoute::key(shard), revision: Revision(1), value: Some(route.to_stored()) }
    }

    /// What the core hears when the beacon says `told`.
    fn heard(remembered: &mut Remembered, now: Timestamp, prefix: &str, told: &[BeaconEntry]) -> Vec<String> {
        let mut reply = BeaconReply::WatchStart { prefix: prefix.to_owned(), entries: told.to_vec() };
        remembered.complete(now, &mut reply);
        let BeaconReply::WatchStart { entries, .. } = reply else { panic!("another reply") };
        entries.into_iter().map(|entry| entry.key).collect()
    }

    #[test]
    fn a_known_beacon_is_believed() {
        let mut remembered = Remembered::new(OWN);
        heard(&mut remembered, NOW, "node/", &[entry("node/scene-2"), entry("node/data-1")]);
        assert_eq!(heard(&mut remembered, NOW, "node/", &[entry("node/data-1")]), ["node/data-1"]);
    }

    #[test]
    fn a_young_beacon_is_completed_but_for_our_own_and_believed_when_grown_up() {
        let mut remembered = Remembered::new(OWN);
        heard(&mut remembered, NOW, "shard/", &[route(0, OWN), route(1, OTHER)]);
        heard(&mut remembered, NOW, "node/", &[entry("node/scene-2")]);
        remembered.beacon_is_young_until(NOW + LEASE);
        assert!(!remembered.beacon_has_grown_up(NOW));
        assert_eq!(heard(&mut remembered, NOW, "shard/", &[]), [route(1, OTHER).key], "our own is to be put again");
        assert_eq!(heard(&mut remembered, NOW, "node/", &[entry("node/data-1")]), ["node/data-1", "node/scene-2"]);

        let later = NOW + LEASE;
        assert!(remembered.beacon_has_grown_up(later));
        assert!(!remembered.beacon_has_grown_up(later), "once");
        assert_eq!(heard(&mut remembered, later, "shard/", &[]), Vec::<String>::new());
    }

    #[test]
    fn changes_are_remembered_too() {
        let mut remembered = Remembered::new(OWN);
        let mut change = |entry| remembered.complete(NOW, &mut BeaconReply::WatchChange { prefix: "node/".to_owned(), entry });
        change(entry("node/scene-2"));
        change(entry("node/scene-3"));
        change(BeaconEntry { value: None, ..entry("node/scene-3") });
        remembered.beacon_is_young_until(NOW + LEASE);
        assert_eq!(heard(&mut remembered, NOW, "node/", &[]), ["node/scene-2"]);
    }
}
