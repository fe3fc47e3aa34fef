//! Hand-overs that were confirmed, the latest of all entities: what an admin is told of one entity's past. A memory and no truth:
//! it begins with this world server, and the oldest go first.
//!
//! The shards' owners measure and report them. They are kept here because an entity's owner changes with each of them, and its
//! record is no place for what only admins want.

use std::collections::VecDeque;
use std::time::Duration;

use bevy_ecs::prelude::Resource;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{EntityId, NodeId, Timestamp};

/// Hand-overs that are remembered, of all entities together.
pub const PASSAGES_KEPT_MAX: usize = 65_536;
/// Most that are told of one entity, the latest.
pub const PASSAGES_OF_ONE_MAX: usize = 32;

/// One entity's way from a shard to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Who.
    pub entity: EntityId,
    /// Where from.
    pub from: ShardId,
    /// Who ran that.
    pub from_scene: NodeId,
    /// Where to.
    pub to: ShardId,
    /// Who ran that when the world heard of it; `None`: nobody known.
    pub to_scene: Option<NodeId>,
    /// When it left the one's live set, by the clock of that one's owner.
    pub left: Timestamp,
    /// From then until the other had confirmed to have it, durably.
    pub took: Duration,
}

/// The latest, oldest first.
#[derive(Resource, Debug, Default)]
pub(crate) struct Passages {
    ring: VecDeque<Passage>,
}

impl Passages {
    pub(crate) fn note(&mut self, passage: Passage) {
        if self.ring.len() >= PASSAGES_KEPT_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(passage);
    }

    /// An entity's last ones, the latest first.
    pub(crate) fn of(&self, entity: EntityId) -> Vec<Passage> {
        self.ring.iter().rev().filter(|passage| passage.entity == entity).take(PASSAGES_OF_ONE_MAX).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::Role;

    fn passage(entity: u64, left: u64) -> Passage {
        let (from, to) = ("0/3/0,0".parse().expect("a shard"), "0/3/1,0".parse().expect("a shard"));
        let scene = NodeId::new(Role::Scene, 1);
        let (left, took) = (Timestamp(left), Duration::from_millis(20));
        Passage { entity: EntityId(entity), from, from_scene: scene, to, to_scene: Some(scene), left, took }
    }

    #[test]
    fn the_latest_of_one_are_told_and_the_oldest_of_all_forgotten() {
        let mut passages = Passages::default();
        for n in 0..PASSAGES_KEPT_MAX as u64 {
            passages.note(passage(n % 1_000, n));
        }
        let of = passages.of(EntityId(7));
        assert_eq!((of.len(), of[0].left), (PASSAGES_OF_ONE_MAX, Timestamp(65_007)));
        assert!(of.windows(2).all(|pair| pair[0].left > pair[1].left), "the latest first");
        passages.note(passage(5_000, 0));
        assert_eq!((passages.ring.len(), passages.ring[0].left), (PASSAGES_KEPT_MAX, Timestamp(1)));
        assert_eq!(passages.of(EntityId(6_000)), []);
    }
}
