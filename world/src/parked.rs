//! Agents that rest because their inputs ended one owner of their shard after the other, as scenes report them.

use std::collections::BTreeMap;
use std::time::Duration;

use bevy_ecs::prelude::{Query, Res, ResMut, Resource, World as Ecs};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, Control, Message, PARKED_TOLD_MAX, ShardReport};
use pangaea_schemas::{EntityId, Timestamp};

use crate::shards::{Shard, ShardMap};
use crate::status::{Events, Happening};
use crate::world::{Now, Outbox};

/// An owner that was told to let an agent play again, and goes on reporting it, is told again after this.
const RELEASE_AGAIN: Duration = Duration::from_secs(1);

/// Where each of them rests, and whose release was ordered. At most [`PARKED_TOLD_MAX`] of each shard.
#[derive(Resource, Debug, Default)]
pub(crate) struct Parked {
    by_agent: BTreeMap<EntityId, ShardId>,
    /// With the time at which the owner is told next.
    releases: BTreeMap<EntityId, Timestamp>,
}

impl Parked {
    /// The report of a shard that runs. A shard that moves, recovers or is cut anew takes them along: that is no news.
    pub(crate) fn hear(&mut self, now: Timestamp, report: &ShardReport, events: &mut Events) {
        let shard = report.shard;
        for agent in report.parked.iter().copied() {
            if self.by_agent.insert(agent, shard).is_none() {
                tracing::warn!(%shard, %agent, "an agent is parked");
                events.push(now, Happening::Parked { agent, shard });
            }
        }
        // A full list may hide some.
        if report.parked.len() < PARKED_TOLD_MAX {
            let is_released = |agent: &EntityId, at: &mut ShardId| *at == shard && !report.parked.contains(agent);
            for (agent, _) in self.by_agent.extract_if(.., is_released) {
                self.releases.remove(&agent);
                events.push(now, Happening::Released { agent, shard });
            }
        }
    }
}

/// Orders that the agent play again; the shard where it rests. `None`: it is not parked. Its owner is told until it has heard.
pub(crate) fn release(ecs: &mut Ecs, agent: EntityId) -> Option<ShardId> {
    let now = ecs.resource::<Now>().at;
    let mut parked = ecs.resource_mut::<Parked>();
    let shard = parked.by_agent.get(&agent).copied()?;
    parked.releases.insert(agent, now);
    Some(shard)
}

/// Tells the owners of shards whom to release.
pub(crate) fn tell(
    now: Res<Now>,
    map: Res<ShardMap>,
    shards: Query<&Shard>,
    mut parked: ResMut<Parked>,
    mut outbox: ResMut<Outbox>,
) {
    let Parked { by_agent, releases } = &mut *parked;
    for (agent, due) in releases.iter_mut().filter(|(_, due)| **due <= now.at) {
        *due = now.at + RELEASE_AGAIN;
        let entity = by_agent.get(agent).and_then(|shard| map.entity(*shard));
        let holder = entity.and_then(|entity| shards.get(entity).ok()).and_then(|shard| shard.custody.holder());
        if let Some(holder) = holder {
            outbox.send(Address::Node(holder.node), Message::Control(Control::Release { agent: *agent }));
        }
    }
}
