//! This shard stands still to become four, or one of four; and how one begins that others became. The scene leads
//! ([`crate::recut`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pangaea_schemas::geometry::{ShardId, SpaceSpec};
use pangaea_schemas::message::Message;
use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::{EntityId, JournalIndex, NodeId, ShardEpoch, Timestamp};

use super::pause::PAUSED;
use super::{Routes, Shard, ShardConfig};
use crate::ecs::{Copied, ShardWorld, WorldDelta};
use crate::incarnation::Happening;
use crate::migration::FROZEN_MESSAGES_MAX;
use crate::recut::parts::Part;

/// A shard that stands still.
#[derive(Default)]
pub(super) struct Still {
    /// What came meanwhile.
    waiting: VecDeque<(NodeId, Message)>,
}

impl Still {
    pub(super) fn keep(&mut self, from: NodeId, message: Message) {
        if self.waiting.len() < FROZEN_MESSAGES_MAX {
            self.waiting.push_back((from, message));
        }
    }
}

impl Shard {
    /// Why it cannot be cut, or be one of those that become one.
    pub(crate) fn cannot_be_recut(&self) -> Option<&'static str> {
        if self.gift.is_some() || self.draft.is_some() {
            Some("it is on its way to another scene, or has just come")
        } else if self.still.is_some() {
            Some("the map is being cut there already")
        } else if self.is_paused() {
            Some(PAUSED)
        } else if !self.incarnation.is_confirmed() || self.life.is_empty_world || self.closing {
            Some("it does not run, or its lease or journal is away")
        } else {
            None
        }
    }

    /// The tick is over: no further one runs until [`Self::go_on`]. Everything goes to the journal, where everybody must be filed
    /// where they stand: the map is cut there, too.
    pub(crate) fn stand_still(&mut self, now: Timestamp) {
        self.now = now;
        self.call_back();
        self.life.urgent.extend(self.life.dirty.take_all());
        self.journal_urgent();
        self.still = Some(Still::default());
        self.flush();
    }

    /// It stands still and its journal holds everything.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.still.is_some() && self.writer.is_idle()
    }

    /// Its owner is in force, as far as it knows.
    pub(crate) fn is_in_force(&self) -> bool {
        self.incarnation.is_confirmed()
    }

    /// Last durable index of its journal, and the epoch in force.
    pub(crate) fn journal_end(&self) -> (JournalIndex, ShardEpoch) {
        (self.writer.tail(), self.epoch())
    }

    /// Nothing came of it: goes on as if nothing had been.
    pub(crate) fn go_on_ticking(&mut self, now: Timestamp) {
        let Some(still) = self.still.take() else { return };
        self.now = now;
        for (from, message) in still.waiting {
            self.dispatch(from, message);
        }
        self.flush();
    }

    /// What came for it while it stood still: others stand in its place now.
    pub(crate) fn take_waiting(&mut self) -> impl Iterator<Item = (NodeId, Message)> + use<> {
        self.still.take().unwrap_or_default().waiting.into_iter()
    }

    /// All that it is.
    pub(crate) fn whole(&self) -> Part {
        let mut copied = Copied::default();
        let mut records = self.world.delta(&mut copied).records;
        records.extend(self.life.asleep.values().cloned());
        Part { records, rest: self.rest(&copied) }
    }

    /// Nodes that follow it, or have players in it.
    pub(crate) fn listeners(&self) -> BTreeSet<NodeId> {
        let mut nodes = self.life.followers.nodes();
        nodes.extend(self.life.sessions.attached().map(|(_, gateway, _, _)| gateway));
        nodes
    }

    /// A shard made of what others were, not yet in force. `None`: it is not the same as they were.
    pub(crate) fn built(
        (id, space): (ShardId, &SpaceSpec),
        (config, routes, opened): (&Arc<ShardConfig>, &Arc<Routes>, u64),
        now: Timestamp,
        part: Part,
    ) -> Option<Box<Self>> {
        let mut shard = Box::new(Self::new(id, space.clone(), (Arc::clone(config), Arc::clone(routes)), opened));
        (shard.now, shard.tick) = (now, part.rest.tick);
        let (asleep, records): (Vec<Record>, Vec<Record>) =
            part.records.into_iter().partition(|record| record.presence != Presence::Awake);
        shard.life.asleep.extend(asleep.into_iter().map(|record| (record.entity, record)));
        let hashes: Vec<u64> = records.iter().map(ShardWorld::hash_record).collect();
        shard.world.overwrite(&WorldDelta { records, gone: Vec::new() });
        let mut rest = part.rest;
        rest.hash = shard.world.hash_expected(&rest, hashes);
        shard.take_over(rest).then_some(shard)
    }

    /// The journal names this start: it runs the next tick. `kin`: who was in one shard with its entities, and where they are.
    pub(crate) fn opened(&mut self, now: Timestamp, (epoch, tail): (ShardEpoch, JournalIndex), kin: BTreeMap<EntityId, ShardId>) {
        self.now = now;
        self.writer.restart(epoch, tail);
        self.happens(Happening::Inherited { epoch });
        self.life.kin = kin;
        self.begins();
        tracing::info!(shard = %self.id, %epoch, entities = self.life.residents.len(), "the shard runs, cut anew");
    }

    pub(super) fn forget_kin(&mut self) {
        if self.life.young_until <= self.now {
            self.life.kin.clear();
        }
    }

    /// Whether it has to do with an agent: its player's words are for this shard.
    pub(crate) fn knows(&self, agent: EntityId) -> bool {
        self.life.residents.contains_key(&agent) || self.life.asleep.contains_key(&agent) || self.life.leaves.is_away(agent)
    }
}
