//! Trials of inputs after the loss of an owner, and agents that did not pass them: [`crate::trials`] carried out.

use pangaea_schemas::EntityId;
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::PARKED_TOLD_MAX;
use pangaea_schemas::record::{Presence, Record};

use super::{JOURNAL_SILENCE, Shard, Then};
use crate::trials;

impl Shard {
    /// Whether trials are held. While the journal is away nothing could be learnt from one, and everybody moves on; but an owner
    /// that has just begun and waits for its first lease is not to apply what may have ended its forerunner.
    pub(super) fn holds_trials(&self) -> bool {
        self.life.doubted_since.is_none_or(|since| self.now.since(since) < JOURNAL_SILENCE)
    }

    /// Whoever's turn it is goes on trial.
    pub(super) fn begin_trials(&mut self) {
        if !self.holds_trials() {
            return;
        }
        let sessions = &self.life.sessions;
        for agent in self.life.trials.begin(|agent| sessions.has_inputs(agent)) {
            self.life.sessions.set_trial(agent, true);
            match self.record(agent) {
                Some(record) => {
                    self.writer.push(ShardOp::put(&record));
                    self.when_durable(Then::OnTrial(agent));
                }
                // It comes into the world in this tick.
                None => {
                    self.life.sessions.set_trial(agent, false);
                    self.life.trials.put_off(agent);
                }
            }
        }
    }

    /// A tick is over, and the shard lives.
    pub(super) fn pass_trials(&mut self) {
        for agent in self.life.trials.survived() {
            self.life.sessions.set_trial(agent, false);
            self.life.sessions.clear_crashes(agent);
            self.life.urgent.insert(agent);
        }
    }

    /// The inputs of an agent that comes with crashes are tried wherever it comes to.
    pub(super) fn mistrust(&mut self, record: &Record) {
        if record.session.crashes > 0 {
            self.life.trials.expect(record.entity, record.session.crashes);
        }
    }

    /// A new owner judges what it finds: its forerunner may have been lost by somebody's inputs. Who is parked now.
    pub(super) fn judge(&mut self, records: &mut [Record]) {
        let tried = records.iter().filter(|record| record.session.on_trial).count();
        for record in records {
            if trials::judge(&mut record.session, tried) {
                let (agent, crashes) = (record.entity, record.session.crashes);
                tracing::error!(shard = %self.id, %agent, crashes, "parked: the shard was lost again and again by this agent's inputs");
                record.presence = Presence::Parked;
                record.session.gateway = None;
                self.writer.push(ShardOp::put(record));
            }
        }
    }

    /// Who is parked here, as far as the world is told.
    pub(super) fn parked(&self) -> Vec<EntityId> {
        let parked = self.life.asleep.values().filter(|record| record.presence == Presence::Parked);
        parked.map(|record| record.entity).take(PARKED_TOLD_MAX).collect()
    }

    /// An admin lets the agent play again, beyond suspicion.
    pub fn release(&mut self, agent: EntityId) {
        // What stands still keeps its state; the world asks again.
        let ticks = self.incarnation.ticks() && self.draft.is_none() && !self.is_frozen();
        let parked = self.life.asleep.get_mut(&agent).filter(|record| ticks && record.presence == Presence::Parked);
        let Some(record) = parked else { return };
        (record.presence, record.session.crashes) = (Presence::Asleep, 0);
        let record = record.clone();
        tracing::info!(shard = %self.id, %agent, "released");
        self.writer.push(ShardOp::put(&record));
        self.flush();
    }
}
