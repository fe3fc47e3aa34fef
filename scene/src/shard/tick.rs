//! The phases of a tick, in this order: Ingest → Simulate → Hand over → Publish → Persist.
//!
//! A driver that measures them hears when each has ended; the shard reads no clock.

use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{Address, BusRequest, Message};
use pangaea_schemas::{AgentEpoch, EntityId, Tick, Timestamp};

use super::residents::ValueGate;
use super::{Resident, SHARD_IDS, Shard, Then};
use crate::ecs::{Encoded, Simulated, TickInput};

/// A phase of a shard's tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickPhase {
    /// What came since the last tick reaches the entities.
    Ingest,
    /// The designers' systems.
    Simulate,
    /// What systems asked for beyond the shard, and who leaves it.
    HandOver,
    /// The change feed.
    Publish,
    /// What the journal must hold.
    Persist,
}

impl TickPhase {
    /// In order.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Simulate, Self::HandOver, Self::Publish, Self::Persist];

    /// As metrics and admins see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Simulate => "simulate",
            Self::HandOver => "hand-over",
            Self::Publish => "publish",
            Self::Persist => "persist",
        }
    }
}

impl Shard {
    /// One tick. A shard that does not run, or closes, looks at its time-outs only.
    pub fn tick(&mut self, now: Timestamp, tick: Tick) {
        self.tick_observed(now, tick, |_| {});
    }

    /// The same; `ended` hears of each phase when it is over, in order. A shard that does not run or is paused has no phases.
    pub fn tick_observed(&mut self, now: Timestamp, tick: Tick, mut ended: impl FnMut(TickPhase)) {
        (self.now, self.tick) = (now, tick);
        self.writer.begin_tick();
        self.keep_confirmed();
        let runs = self.incarnation.ticks() && !self.closing && !self.is_frozen();
        if runs && self.stands_paused() {
            self.tick_paused();
        } else if runs {
            self.world.rules_are(&self.rules);
            self.forget_kin();
            self.populate_once();
            self.follow_neighbours();
            self.begin_trials();
            let input = self.ingest();
            let newborn = input.births.iter().map(|(agent, _)| *agent).collect();
            let ingested = self.world.ingest(input);
            ended(TickPhase::Ingest);
            let mut simulated = self.world.run_systems(ingested);
            self.config.script_turns.spend(self.world.script_steps_spent());
            ended(TickPhase::Simulate);
            let crossings = std::mem::take(&mut simulated.crossings);
            self.follow_up(simulated);
            self.births_are_done(newborn);
            self.hand_over(&crossings);
            self.tell_settled();
            self.fall_asleep();
            ended(TickPhase::HandOver);
            let published = self.world.publish();
            self.send_feed(&published);
            self.tell_clients();
            self.pass_trials();
            ended(TickPhase::Publish);
            self.persist(published.dirty);
            self.tell_directory();
            self.note_first_tick();
            ended(TickPhase::Persist);
        }
        self.keep_giving();
        self.go_on_freezing();
        self.keep_taking();
        self.flush();
    }

    /// The process is to end: from now on nobody moves, and all that changed goes to the journal at once. Messages are still
    /// heard, so hand-overs on their way come to rest; effects that no tick applied are the successor's.
    pub fn close(&mut self, now: Timestamp) {
        self.now = now;
        self.closing = true;
        // One that stands still has written everything down, and its journal may end with that.
        if self.incarnation.ticks() && self.still.is_none() {
            let mut changed = std::mem::take(&mut self.life.urgent);
            changed.extend(self.life.dirty.take_all());
            self.life.own.applied.clear();
            self.life.estates.values_mut().for_each(|estate| estate.applied.clear());
            self.journal(changed);
        }
        self.flush();
    }

    /// A closed shard whose journal holds everything.
    pub fn is_closed(&self) -> bool {
        self.closing && self.writer.is_idle()
    }

    /// A shard that never had an entity gets its first ones from the game's spawners, as soon as there are ids.
    fn populate_once(&mut self) {
        if !self.life.is_empty_world || self.world.ids_left() < SHARD_IDS / 2 {
            return;
        }
        self.life.is_empty_world = false;
        let made = self.world.populate();
        self.settle_spawned(made);
    }

    /// Everything that came since the last tick, inputs in their sequence.
    fn ingest(&mut self) -> TickInput {
        let (trials, held) = (&self.life.trials, self.holds_trials());
        let inputs = self.life.sessions.drain_inputs_but(|agent| held && trials.holds(agent));
        for input in &inputs {
            self.make_dirty(input.agent);
        }
        let input = std::mem::take(&mut self.life.inbox);
        self.close_operations(&input.ledger);
        let turn = self.config.script_turns.give();
        self.script_turn = turn.unwrap_or(self.script_turn);
        TickInput { tick: self.tick, inputs, scripts_rest: turn.is_none(), ..input }
    }

    /// What systems asked for beyond their shard.
    fn follow_up(&mut self, simulated: Simulated) {
        self.settle_spawned(simulated.spawned);
        for entity in simulated.despawned {
            self.life.residents.remove(&entity);
            self.clean(entity);
            if self.life.sessions.remove(entity).is_some() {
                self.life.directory.went(entity, self.life.fence(entity).seen);
            }
            self.writer.push(ShardOp::Remove { entity });
            self.life.forget(entity);
        }
        for (agent, id, bytes) in simulated.events {
            self.life.sessions.push_event(agent, id, bytes);
        }
        for (subject, bytes) in simulated.publish {
            self.send(Address::Bus, Message::BusRequest(BusRequest::Publish { subject, bytes }));
        }
        self.route_effects(simulated.effects);
        self.transfer(simulated.ledger);
        self.ask_ledger();
    }

    fn settle_spawned(&mut self, spawned: Vec<EntityId>) {
        for entity in spawned {
            self.life.residents.insert(entity, Resident::new(AgentEpoch(1), self.now, ValueGate::Open));
            self.make_dirty(entity);
        }
    }

    pub(super) fn tell_clients(&mut self) {
        for (gateway, message) in self.life.sessions.poll_events(self.now) {
            self.tell(gateway, message);
        }
    }

    /// Journals what changed: urgent ones now, the others within a second, spread over the ticks by id. Effects taken go with the
    /// records that they changed, so that after a crash either both are there or the effects come again.
    pub(super) fn persist(&mut self, dirty: Vec<EntityId>) {
        for entity in dirty {
            self.make_dirty(entity);
        }
        let has_room = self.writer.has_room();
        if has_room || self.life.all_dealings().any(|dealings| !dealings.applied.is_empty()) {
            let urgent = std::mem::take(&mut self.life.urgent);
            self.journal(urgent);
            self.operations_are_journaled();
        }
        if has_room {
            let due = self.life.dirty.take_due(self.tick);
            self.journal(due);
        }
    }

    /// What must not wait for its second: before the shard goes to another scene.
    pub(super) fn journal_urgent(&mut self) {
        let urgent = std::mem::take(&mut self.life.urgent);
        self.journal(urgent);
    }

    /// Records of these, which effects are in them, and which effects others have.
    fn journal(&mut self, changed: impl IntoIterator<Item = EntityId>) {
        let mut encoded = Encoded::default();
        for entity in changed {
            if self.save(entity, &mut encoded) {
                self.life.dirty.remove(entity);
            }
        }
        for name in self.names() {
            let dealings = self.dealings(name);
            let (applied, delivered) = (std::mem::take(&mut dealings.applied), std::mem::take(&mut dealings.delivered));
            for (source, upto) in applied {
                self.push_as(name, ShardOp::Applied { source, upto });
                self.when_durable(Then::Applied(name, source, upto));
            }
            for (to, upto) in delivered {
                self.push_as(name, ShardOp::Delivered { to, upto });
            }
        }
    }

    /// Whoever is not live here by the time of its turn has no record then.
    fn make_dirty(&mut self, entity: EntityId) {
        self.life.dirty.insert(entity);
    }

    /// The entity is no longer live here: nothing of it is to be journaled any more.
    pub(super) fn clean(&mut self, entity: EntityId) {
        self.life.urgent.remove(&entity);
        self.life.dirty.remove(entity);
    }
}
