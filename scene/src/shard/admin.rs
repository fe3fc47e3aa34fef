//! What an admin asks of a shard: who is here, and to put somebody elsewhere.

use std::ops::Bound::{Excluded, Unbounded};

use bytes::Bytes;
use pangaea_schemas::geometry::Position;
use pangaea_schemas::message::{Address, DESK_ROWS_MAX, Desk, Message};
use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::{EntityId, NodeId, RequestId};

use super::Shard;
use super::inspection::shown;
use crate::ecs::Extent;

/// Most agents that an admin puts elsewhere in one tick; more are not taken.
const PLACEMENTS_MAX: usize = 64;

impl Shard {
    pub(super) fn admin_asks(&mut self, from: NodeId, message: Desk) {
        let answer = match message {
            Desk::Look { request, after, limit, full, .. } => {
                let (agents, more) = self.agents_after(after, limit.min(DESK_ROWS_MAX) as usize, full);
                Desk::Seen { request, shard: self.id, epoch: self.epoch(), agents, more }
            }
            Desk::Place { request, agent, position, .. } => Desk::Placed { request, here: self.place(agent, position) },
            Desk::Record { request, key, seconds, .. } => told(request, self.begin_recording(key, seconds)),
            Desk::TakeRecorded { request, key, from: place, .. } => told(request, self.fetch_recording(key, place)),
            Desk::EndRecording { request, .. } => told(request, self.end_recording()),
            Desk::Profile { request, .. } => self.profiled(request),
            Desk::Pause { request, order, ticks, .. } => self.pause_ordered(request, order, ticks),
            Desk::Seen { .. }
            | Desk::Placed { .. }
            | Desk::ListSessions { .. }
            | Desk::Sessions { .. }
            | Desk::Kick { .. }
            | Desk::Kicked { .. }
            | Desk::Recorded { .. }
            | Desk::Profiled { .. }
            | Desk::Paused { .. }
            | Desk::Inspect { .. }
            | Desk::Inspected { .. } => return tracing::debug!(%from, "a word of an admin's that is not for a shard"),
        };
        self.send(Address::Node(from), Message::Desk(answer));
    }

    /// Players' agents with a higher id, at most `limit`, and whether there are more.
    fn agents_after(&self, after: EntityId, limit: usize, full: bool) -> (Vec<Record>, bool) {
        let beyond = (Excluded(after), Unbounded);
        let awake = self.life.residents.range(beyond).map(|(agent, _)| *agent);
        let awake = awake.filter(|agent| self.life.sessions.link(*agent).is_some()).take(limit + 1);
        let asleep = self.life.asleep.range(beyond).map(|(agent, _)| *agent).take(limit + 1);
        let mut all: Vec<EntityId> = awake.chain(asleep).collect();
        all.sort_unstable();
        let more = all.len() > limit;
        all.truncate(limit);
        (all.into_iter().filter_map(|agent| self.sheet(agent, full)).collect(), more)
    }

    /// What an admin sees of an agent. What only its owner and its gateway need is left out.
    fn sheet(&self, agent: EntityId, full: bool) -> Option<Record> {
        let mut record = match self.life.residents.get(&agent) {
            Some(resident) => {
                let mut record = self.world.record_of(agent, Presence::Awake, Extent::Whole)?;
                (record.epoch, record.session) = (resident.epoch, self.life.sessions.state(agent).unwrap_or_default());
                record
            }
            None => self.life.asleep.get(&agent)?.clone(),
        };
        record = shown(record);
        if !full {
            record.components.clear();
        }
        Some(record)
    }

    /// At the next tick it stands there. Where that is in another shard, the hand-over of every tick finds it.
    fn place(&mut self, agent: EntityId, position: Position) -> bool {
        let is_here = self.incarnation.is_confirmed() && self.life.residents.contains_key(&agent);
        let taken = is_here && self.life.inbox.placements.len() < PLACEMENTS_MAX;
        if taken {
            tracing::info!(shard = %self.id, %agent, x = position.x, z = position.z, "put elsewhere by an admin");
            self.life.inbox.placements.push((agent, position));
        }
        taken
    }
}

fn told(request: RequestId, outcome: Result<Bytes, &'static str>) -> Desk {
    let (bytes, refusal) = outcome.map_or_else(|why| (Bytes::new(), why.to_owned()), |bytes| (bytes, String::new()));
    Desk::Recorded { request, bytes, refusal }
}
