//! Everything of a shard that is not in its world: what a migration carries beside the entities, and how a new owner takes it
//! over. A field of `Life` that is not named here is lost by a migration.
//!
//! Left behind on purpose: offers and reservations (they are made anew), ghosts and what is known of neighbours' feeds (followed
//! anew), news of the bus (at most once anyway), numbers for reports.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::Xid;
use pangaea_schemas::message::{RestAnswer, RestHeld, RestResident, RestSeat, ShardImage, ShardRest};
use pangaea_schemas::record::SessionState;

use super::dealings::Dealings;
use super::residents::ValueGate;
use super::{Life, Resident, Shard, unsaved};
use crate::ecs::{Copied, Settlement, WorldRest};
use crate::lanes::Lanes;

impl Shard {
    /// What is left to carry after the rounds in `copied`. The journal holds everything written so far, and nobody is joining.
    pub(super) fn rest(&self, copied: &Copied) -> ShardRest {
        let WorldRest { seed, pending, ids, hash } = self.world.rest(copied);
        let life = &self.life;
        let dirty = life.dirty.all().into_iter().chain(life.urgent.iter().copied()).collect();
        ShardRest {
            tick: self.tick,
            seed,
            pending,
            arrived: life.inbox.effects.clone(),
            ids,
            hash,
            durable: self.durable_rest(None, &life.own),
            estates: life.estates.iter().map(|(name, estate)| self.durable_rest(Some(*name), estate)).collect(),
            residents: life.residents.iter().map(|(entity, resident)| self.rest_of(*entity, resident)).collect(),
            seats: life.sessions.rest(self.now),
            held: life.leaves.out().map(|(xid, leave)| RestHeld { leader: xid.entity, inputs: leave.inputs.clone() }).collect(),
            operations: life.desk.rest(),
            answers: life.inbox.ledger.iter().map(RestAnswer::from).collect(),
            peers: self.lanes.all().collect(),
            followers: life.followers.rest(),
            dirty,
        }
    }

    /// What was agreed under a name; `None`: the shard's own.
    fn durable_rest(&self, name: Option<ShardId>, dealings: &Dealings) -> ShardImage {
        let source = name.unwrap_or(self.id);
        let image = dealings.image(name, self.life.leaves.out().filter(|(xid, _)| xid.source == source));
        ShardImage { index: self.writer.tail(), epoch: self.epoch(), tick: self.tick, ..image }
    }

    fn rest_of(&self, entity: EntityId, resident: &Resident) -> RestResident {
        let dwell_us = resident.offer_after.since(self.now).as_micros() as u64;
        RestResident { entity, epoch: resident.epoch, dwell_us, open: resident.gate == ValueGate::Open }
    }

    /// Becomes what the former owner was after its last tick. `false`: the copied world differs from its original.
    pub(super) fn take_over(&mut self, rest: ShardRest) -> bool {
        let now = self.now;
        let world = WorldRest { seed: rest.seed, pending: rest.pending, ids: rest.ids, hash: rest.hash };
        if !self.world.complete(world) {
            return false;
        }
        let asleep = std::mem::take(&mut self.life.asleep);
        self.life = Life { dirty: unsaved(self.config.rate), asleep, ..Life::default() };
        let life = &mut self.life;
        let here: Vec<EntityId> = rest.residents.iter().map(|resident| resident.entity).collect();
        for resident in rest.residents {
            let gate = if resident.open { ValueGate::Open } else { ValueGate::Closed };
            let offer_after = now + Duration::from_micros(resident.dwell_us);
            life.residents.insert(resident.entity, Resident { epoch: resident.epoch, offer_after, gate });
        }
        for RestSeat { agent, state, .. } in &rest.seats {
            match state {
                SessionState { on_trial: true, crashes, .. } => life.trials.resume(*agent, *crashes),
                SessionState { crashes: 0, .. } => {}
                SessionState { crashes, .. } => life.trials.expect(*agent, *crashes),
            }
        }
        life.sessions.take_over(now, rest.seats);
        let epoch = rest.durable.epoch;
        for image in std::iter::once(rest.durable).chain(rest.estates) {
            self.recover_dealings(image);
        }
        here.into_iter().for_each(|entity| self.life.leaves.came_home(entity));
        self.remember_forwarders(epoch.next());
        let life = &mut self.life;
        let mut held: BTreeMap<EntityId, RestHeld> = rest.held.into_iter().map(|held| (held.leader, held)).collect();
        let leaving: Vec<Xid> = life.leaves.out().map(|(xid, _)| xid).collect();
        for xid in leaving {
            if let Some((leave, held)) = life.leaves.leave_mut(xid).zip(held.remove(&xid.entity)) {
                leave.inputs = held.inputs;
            }
        }
        life.desk.take_over(rest.operations);
        life.inbox.ledger = rest.answers.into_iter().map(Settlement::from).collect();
        life.inbox.effects = rest.arrived;
        life.followers.take_over(rest.tick, rest.followers);
        life.urgent = rest.dirty.into_iter().collect();
        self.lanes = Lanes::default();
        for (shard, epoch) in rest.peers {
            self.lanes.learn(shard, epoch);
        }
        true
    }
}
