//! Which owner of each neighbour shard is heard: every message between two shards carries the epochs of both.
//!
//! | epoch of | is | the message is |
//! |---|---|---|
//! | the receiver, as the sender knows it | higher than this owner's | Superseded: this owner is old |
//! | the sender | lower than the highest heard | Stale |
//! | the receiver, as the sender knows it | lower than this owner's | Stale; its sender is in force all the same |
//! | – | anything else | Fresh |
//!
//! What was heard survives this owner's end: epochs only rise.

use std::collections::BTreeMap;

use pangaea_schemas::ShardEpoch;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::Lane;
use pangaea_schemas::mutant::Mutant;

/// Whether a message of another shard may be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hearing {
    /// Between the two owners in force, as far as both know.
    Fresh,
    /// The sender, or what it knows of this owner, is old.
    Stale,
    /// This owner is old.
    Superseded,
}

/// The highest epoch heard of each neighbour.
#[derive(Clone, Debug, Default, Hash)]
pub struct Lanes {
    heard: BTreeMap<ShardId, ShardEpoch>,
}

impl Lanes {
    /// The highest epoch heard of a shard; zero for one that never spoke.
    pub fn heard(&self, shard: ShardId) -> ShardEpoch {
        self.heard.get(&shard).copied().unwrap_or_default()
    }

    /// Judges a message to the owner with epoch `own`.
    pub fn hear(&mut self, own: ShardEpoch, lane: Lane) -> Hearing {
        if lane.to_epoch > own {
            return Hearing::Superseded;
        }
        if lane.from_epoch < self.heard(lane.from) && !Mutant::StaleLaneHeard.lives() {
            return Hearing::Stale;
        }
        self.learn(lane.from, lane.from_epoch);
        if lane.to_epoch < own { Hearing::Stale } else { Hearing::Fresh }
    }

    /// Everything heard, in order of shard.
    pub fn all(&self) -> impl Iterator<Item = (ShardId, ShardEpoch)> {
        self.heard.iter().map(|(shard, epoch)| (*shard, *epoch))
    }

    /// Somebody named the epoch of a shard. Whether it is news.
    pub fn learn(&mut self, shard: ShardId, epoch: ShardEpoch) -> bool {
        let heard = self.heard.entry(shard).or_default();
        let is_news = epoch > *heard;
        *heard = epoch.max(*heard);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::geometry::SpaceId;

    const OWN: ShardEpoch = ShardEpoch(5);

    fn shard(x: u16) -> ShardId {
        ShardId { space: SpaceId(0), level: 3, x, z: 0 }
    }

    fn lane(from_epoch: u64, to_epoch: u64) -> Lane {
        Lane { from: shard(0), from_epoch: ShardEpoch(from_epoch), to: shard(1), to_epoch: ShardEpoch(to_epoch) }
    }

    #[test]
    fn an_older_owner_of_a_neighbour_is_not_heard_any_more() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.hear(OWN, lane(2, 5)), Hearing::Fresh);
        assert_eq!(lanes.hear(OWN, lane(3, 5)), Hearing::Fresh);
        assert_eq!(lanes.hear(OWN, lane(2, 5)), Hearing::Stale);
        assert_eq!(lanes.heard(shard(0)), ShardEpoch(3));
    }

    #[test]
    fn a_sender_that_speaks_to_a_former_owner_is_stale_and_in_force() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.hear(OWN, lane(4, 3)), Hearing::Stale);
        assert_eq!(lanes.heard(shard(0)), ShardEpoch(4));
    }

    #[test]
    fn a_message_to_a_successor_teaches_nothing_but_the_own_end() {
        let mut lanes = Lanes::default();
        assert_eq!(lanes.hear(OWN, lane(9, 6)), Hearing::Superseded);
        assert_eq!(lanes.heard(shard(0)), ShardEpoch::ZERO);
    }

    #[test]
    fn only_higher_epochs_are_news() {
        let mut lanes = Lanes::default();
        assert!(lanes.learn(shard(0), ShardEpoch(2)));
        assert!(!lanes.learn(shard(0), ShardEpoch(2)));
        assert!(!lanes.learn(shard(0), ShardEpoch(1)));
        assert_eq!(lanes.heard(shard(0)), ShardEpoch(2));
    }
}
