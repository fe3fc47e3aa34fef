//! What an admin sees of one entity, whatever it is and wherever it is in its life here.

use pangaea_schemas::message::{Sight, SightState};
use pangaea_schemas::record::{Presence, Record, SessionState};
use pangaea_schemas::{AgentEpoch, EntityId};

use super::Shard;
use crate::ecs::Extent;

impl Shard {
    /// The entity, if this shard runs it, keeps it, lets it go or takes it in.
    pub(crate) fn sight(&self, entity: EntityId) -> Option<Sight> {
        if !self.incarnation.ticks() || self.draft.is_some() {
            return None;
        }
        let leave = self.life.leaves.of(entity).map(|(_, leave)| leave);
        let toward = leave.map(|leave| leave.target);
        let seen = |state, record| Some(Sight { shard: self.id, epoch: self.epoch(), state, toward, record });
        if let Some(resident) = self.life.residents.get(&entity) {
            let Some(record) = self.world.record_of(entity, Presence::Awake, Extent::Whole) else {
                // It comes in with the next tick.
                return seen(SightState::Arriving, self.arriving(entity, resident.epoch)?);
            };
            let session = self.life.sessions.state(entity).unwrap_or_default();
            return seen(SightState::Awake, shown(Record { epoch: resident.epoch, session, ..record }));
        }
        if let Some(record) = self.life.asleep.get(&entity) {
            return seen(SightState::AtRest, shown(record.clone()));
        }
        let leave = leave.filter(|leave| !leave.letting.is_live())?;
        let record = leave.records.iter().find(|record| record.entity == entity)?;
        seen(SightState::Leaving, shown(record.clone()))
    }

    fn arriving(&self, entity: EntityId, epoch: AgentEpoch) -> Option<Record> {
        let record = self.life.inbox.arrivals.iter().find(|record| record.entity == entity)?;
        Some(shown(Record { epoch, ..record.clone() }))
    }
}

/// What only its owner and its gateway need is left out.
pub(super) fn shown(record: Record) -> Record {
    let session = SessionState { outbox: Vec::new(), open: Vec::new(), ..record.session };
    Record { session, ..record }
}
