//! A shard of another scene on its way here: the orders of [`crate::migration::target`] carried out.

use pangaea_schemas::message::{Address, JournalRequest, Message, Migration, ShardRoute};
use pangaea_schemas::record::Presence;
use pangaea_schemas::{JournalIndex, MigrationId, NodeId, Nonce, ShardEpoch, Tick, Timestamp};

use super::{Life, Shard, Then, new_world, unsaved};
use crate::ecs::WorldDelta;
use crate::incarnation::{Happening, Incarnation};
use crate::migration::SOURCE_SILENCE;
use crate::migration::target::{Heard, Taking, TargetOrder};

/// A migration at its target. The copy is in the shard's own world and life, which nothing ticks yet.
pub(super) struct Draft {
    id: MigrationId,
    from: NodeId,
    state: Taking,
    /// The source's epoch.
    epoch: ShardEpoch,
    /// The source's last tick, once everything is here.
    last: Option<Tick>,
    heard: Timestamp,
}

/// A migration that came here: its source waits to hear that the shard runs.
#[derive(Clone, Copy)]
pub(super) struct Arrived {
    id: MigrationId,
    from: NodeId,
    /// The first tick here, and when it began; known once it ran.
    first: Option<(Tick, Timestamp)>,
    is_durable: bool,
}

impl Shard {
    /// The source speaks.
    pub(super) fn source_says(&mut self, from: NodeId, message: Migration) {
        match message {
            Migration::Prepare { id, epoch, .. } => self.prepare(from, id, epoch),
            Migration::Copied { id, round, records, gone, last, .. } if self.takes(from, id) => {
                let delta = WorldDelta { records, gone };
                self.copy_part(delta);
                if last {
                    self.draft_hears(Heard::Round, Some(round));
                }
            }
            Migration::Final { id, rest, .. } if self.takes(from, id) => {
                let is_new = self.draft.as_ref().is_some_and(|draft| draft.state == Taking::Standby);
                let last = rest.tick;
                let is_same = !is_new || self.take_over(*rest);
                if let Some(draft) = self.draft.as_mut().filter(|_| is_new) {
                    draft.last = Some(last);
                }
                self.draft_hears(Heard::Final { is_same }, None);
            }
            Migration::Cancelled { id, .. } if self.takes(from, id) => self.draft_hears(Heard::Cancelled, None),
            Migration::Owned { id, epoch, index, nonce, .. } => {
                if self.takes(from, id) && nonce == self.config.nonce {
                    self.inherit(epoch, index);
                } else {
                    self.tell_runs(id);
                }
            }
            // About another migration, or for a source.
            Migration::Copied { .. }
            | Migration::Final { .. }
            | Migration::Cancelled { .. }
            | Migration::Standby { .. }
            | Migration::Declined { .. }
            | Migration::Taken { .. }
            | Migration::Ready { .. }
            | Migration::Running { .. }
            | Migration::Moved { .. }
            | Migration::Recut { .. } => {}
        }
    }

    fn takes(&mut self, from: NodeId, id: MigrationId) -> bool {
        let now = self.now;
        let draft = self.draft.as_mut().filter(|draft| draft.id == id && draft.from == from);
        draft.map(|draft| draft.heard = now).is_some()
    }

    fn prepare(&mut self, from: NodeId, id: MigrationId, epoch: ShardEpoch) {
        let shard = self.id;
        if !self.takes(from, id) {
            let reason = match self.incarnation {
                Incarnation::Off | Incarnation::Fenced { .. } if self.closing => Some("the target is going away"),
                // The world would take its former start's end for the shard's.
                Incarnation::Off | Incarnation::Fenced { .. } if self.lease_until <= self.now => {
                    Some("the target has no lease: it has just started, or was away")
                }
                Incarnation::Off | Incarnation::Fenced { .. } if epoch < self.lanes.heard(shard) => {
                    Some("the target has run it under a higher epoch")
                }
                Incarnation::Off | Incarnation::Fenced { .. } => None,
                Incarnation::Claiming { .. }
                | Incarnation::Recovering { .. }
                | Incarnation::Fencing { .. }
                | Incarnation::Running { .. }
                | Incarnation::Unconfirmed { .. } => Some("the target has it, or is claiming it"),
            };
            if let Some(reason) = reason {
                let declined = Migration::Declined { id, shard, reason: reason.to_owned() };
                return self.send(Address::Node(from), Message::Migration(declined));
            }
            self.clear();
            self.draft = Some(Draft { id, from, state: Taking::Standby, epoch, last: None, heard: self.now });
        }
        let standby = Migration::Standby { id, shard, nonce: self.config.nonce };
        self.send(Address::Node(from), Message::Migration(standby));
    }

    /// Nothing of an earlier stay is left.
    fn clear(&mut self) {
        self.world = new_world(self.id, &self.space, &self.config);
        self.life = Life { dirty: unsaved(self.config.rate), ..Life::default() };
        self.arrived = None;
        self.gift = None;
    }

    fn copy_part(&mut self, mut delta: WorldDelta) {
        if self.draft.as_ref().is_none_or(|draft| draft.state != Taking::Standby) {
            return;
        }
        for agent in &delta.gone {
            self.life.asleep.remove(agent);
        }
        for sleeper in delta.records.extract_if(.., |record| record.presence != Presence::Awake) {
            self.life.asleep.insert(sleeper.entity, sleeper);
        }
        self.world.overwrite(&delta);
    }

    fn draft_hears(&mut self, heard: Heard, round: Option<u32>) {
        let Some(draft) = self.draft.as_mut() else { return };
        let (next, order) = draft.state.step(heard);
        let (id, to, shard) = (draft.id, Address::Node(draft.from), self.id);
        match next {
            Some(state) => draft.state = state,
            None => self.draft = None,
        }
        match order {
            Some(TargetOrder::Taken) => {
                let round = round.unwrap_or_default();
                self.send(to, Message::Migration(Migration::Taken { id, shard, round }));
            }
            Some(TargetOrder::Ready) => self.send(to, Message::Migration(Migration::Ready { id, shard })),
            Some(TargetOrder::Bad) => {
                let reason = "the copy differs from its original".to_owned();
                tracing::error!(%shard, "a migrated copy differs from its original; it is dropped");
                self.send(to, Message::Migration(Migration::Declined { id, shard, reason }));
                self.clear();
            }
            Some(TargetOrder::Drop) => self.clear(),
            Some(TargetOrder::AskJournal) => {
                let request = self.request_id();
                self.send(Address::Data, Message::JournalRequest(JournalRequest::Owners { request }));
            }
            // `inherit` has seen to it.
            Some(TargetOrder::Run) | None => {}
        }
    }

    /// The journal names this very start.
    fn inherit(&mut self, epoch: ShardEpoch, index: JournalIndex) {
        let Some(draft) = self.draft.as_ref().filter(|draft| draft.state == Taking::Ready) else { return };
        let (id, from, last) = (draft.id, draft.from, draft.last);
        self.draft_hears(Heard::Owned, None);
        self.writer.restart(epoch, index);
        self.happens(Happening::Inherited { epoch });
        tracing::info!(shard = %self.id, %epoch, entities = self.life.residents.len(), "the shard runs, migrated");
        self.begins();
        self.arrived = Some(Arrived { id, from, first: None, is_durable: false });
        let (shard, owner, nonce) = (self.id, self.config.node, self.config.nonce);
        self.tell_moved(ShardRoute { shard, owner, nonce, epoch });
        // Its next tick has begun at this scene without it: that runs now, late, instead of never.
        if last.is_some_and(|last| last < self.tick) {
            self.tick(self.now, self.tick);
        }
    }

    /// What the journal says of this shard's owner: for a copy whose source cannot say it any more.
    pub fn owner_is(&mut self, owner: (NodeId, Nonce), epoch: ShardEpoch, tail: JournalIndex) {
        let Some(draft) = self.draft.as_ref() else { return };
        if owner == (self.config.node, self.config.nonce) {
            self.inherit(epoch, tail);
        } else if epoch > draft.epoch {
            self.draft_hears(Heard::ClaimedByOther, None);
        }
    }

    /// The source's process is gone.
    pub(super) fn source_lost(&mut self, node: NodeId) {
        if self.draft.as_ref().is_some_and(|draft| draft.from == node) {
            self.draft_hears(Heard::SourceLost, None);
        }
    }

    /// The world wants this node to claim the shard: a copy is of no use then.
    pub(super) fn drop_draft(&mut self) {
        if self.draft.take().is_some() {
            self.clear();
        }
    }

    /// At each tick: a source that fell silent.
    pub(super) fn keep_taking(&mut self) {
        let now = self.now;
        if let Some(draft) = self.draft.as_mut().filter(|draft| now.since(draft.heard) >= SOURCE_SILENCE) {
            draft.heard = now;
            self.draft_hears(Heard::TimedOut, None);
        }
    }

    /// After a tick that ran: the first one here is told once it is durable.
    pub(super) fn note_first_tick(&mut self) {
        let (tick, now) = (self.tick, self.now);
        if let Some(arrived) = self.arrived.as_mut().filter(|arrived| arrived.first.is_none()) {
            arrived.first = Some((tick, now));
            self.when_durable(Then::Arrived);
        }
    }

    pub(super) fn arrival_is_durable(&mut self) {
        if let Some(arrived) = self.arrived.as_mut() {
            arrived.is_durable = true;
            let id = arrived.id;
            self.tell_runs(id);
        }
    }

    fn tell_runs(&mut self, id: MigrationId) {
        let Some(arrived) = self.arrived.filter(|arrived| arrived.id == id && arrived.is_durable) else { return };
        let Some((first, began)) = arrived.first else { return };
        let runs = Migration::Running { id, shard: self.id, first, started_us: began.0 };
        self.send(Address::Node(arrived.from), Message::Migration(runs));
    }
}
