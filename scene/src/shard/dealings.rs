//! What a shard has agreed with other shards, by the name under which it was agreed.
//!
//! A shard's name is one end of every lane: of hand-overs, of their answers, of effects. When the map is cut anew, names end and
//! begin, but lanes do not: what a closed shard had agreed, its *estate*, stays under its name, and the shard that holds the
//! closed one's first cell goes on with it, as a new owner would. So no peer has to be asked, and nothing that is on its way
//! needs another address: it is carried to whoever serves the name ([`super::Routes::serving`]).

use std::collections::BTreeMap;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Departure, Fence, ShardOp, Xid};
use pangaea_schemas::message::{Lane, ShardImage};
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, ShardEpoch, Timestamp};

use super::{Life, Shard};
use crate::effects::EffectLanes;
use crate::handover::forwarders::Forwarders;
use crate::handover::source::{Leave, Leaves};
use crate::handover::target::Arrivals;

/// Everything agreed under one name, but for departures: those name their source themselves.
#[derive(Default)]
pub(super) struct Dealings {
    pub(super) arrivals: Arrivals,
    pub(super) forwarders: Forwarders,
    pub(super) effects: EffectLanes,
    /// Taken effects whose sequence is not in the journal yet.
    pub(super) applied: BTreeMap<ShardId, EffectSeq>,
    /// Sequences that are: acknowledged again when asked again.
    pub(super) durably_applied: BTreeMap<ShardId, EffectSeq>,
    /// Acknowledged effects of which the journal does not know that.
    pub(super) delivered: BTreeMap<ShardId, EffectSeq>,
}

impl Dealings {
    /// Starts from what the journal says, or a former owner.
    pub(super) fn recovered(image: ShardImage) -> (Self, Vec<Departure>) {
        let ShardImage { fences, departures, decided, stable, applied, outbox, delivered, .. } = image;
        let dealings = Self {
            arrivals: Arrivals::recovered(fences, decided, stable),
            durably_applied: applied.iter().copied().collect(),
            effects: EffectLanes::recovered(applied, delivered, outbox),
            ..Self::default()
        };
        (dealings, departures)
    }

    /// Remembers whose forwarders are still needed. An owner under `epoch` begins, and all departures are known.
    pub(super) fn remember_forwarders(&mut self, now: Timestamp, epoch: ShardEpoch, leaves: &Leaves) {
        let over = self.arrivals.forwarders().filter(|(member, ..)| leaves.of(*member).is_none());
        self.forwarders = Forwarders::recovered(now, epoch, over.collect::<Vec<_>>());
    }

    /// As the journal has it, the departures of this name added.
    pub(super) fn image<'l>(&self, name: Option<ShardId>, departures: impl Iterator<Item = (Xid, &'l Leave)>) -> ShardImage {
        let departure = |(xid, leave): (Xid, &Leave)| Departure { xid, target: leave.target, members: leave.records.clone() };
        ShardImage {
            fences: self.arrivals.fences().collect(),
            departures: departures.map(departure).collect(),
            applied: self.durably_applied.iter().map(|(source, upto)| (*source, *upto)).collect(),
            decided: self.arrivals.decisions().cloned().collect(),
            stable: self.arrivals.marks().collect(),
            outbox: self.effects.outbox().collect(),
            delivered: self.effects.delivered().collect(),
            name,
            ..ShardImage::default()
        }
    }
}

impl Life {
    /// All that was agreed under any name.
    pub(super) fn all_dealings(&self) -> impl Iterator<Item = &Dealings> {
        std::iter::once(&self.own).chain(self.estates.values())
    }

    /// The newest of what all names know of an entity; born under any of them is born.
    pub(super) fn fence(&self, entity: EntityId) -> Fence {
        let fences = || self.all_dealings().map(|dealings| dealings.arrivals.fence(entity));
        let newest = fences().max_by_key(|fence| (fence.seen, fence.accepted)).unwrap_or_default();
        Fence { born: fences().any(|fence| fence.born), ..newest }
    }

    /// The entity is live or asleep here now, under this epoch, whatever a name knew of it before.
    pub(super) fn is_here(&mut self, entity: EntityId, epoch: AgentEpoch) {
        let fence = self.own.arrivals.fence_mut(entity);
        (fence.seen, fence.accepted, fence.forward) = (epoch, epoch, None);
        self.estates.values_mut().for_each(|estate| estate.arrivals.forget(entity));
    }

    /// Nobody asks for these any more, under any name.
    pub(super) fn forget(&mut self, entity: EntityId) {
        self.own.arrivals.forget(entity);
        self.estates.values_mut().for_each(|estate| estate.arrivals.forget(entity));
    }
}

impl Shard {
    /// Whether messages to this name are for this shard: its own, or that of a closed one whose estate it has.
    pub(super) fn answers_to(&self, name: ShardId) -> bool {
        name == self.id || self.id.inherits(name)
    }

    /// What was agreed under a name that this shard answers to.
    pub(super) fn dealings(&mut self, name: ShardId) -> &mut Dealings {
        if name == self.id { &mut self.life.own } else { self.life.estates.entry(name).or_default() }
    }

    /// All names that this shard has dealings under, its own first.
    pub(super) fn names(&self) -> Vec<ShardId> {
        std::iter::once(self.id).chain(self.life.estates.keys().copied()).collect()
    }

    /// An operation for the journal, in the name under which it was agreed.
    pub(super) fn push_as(&mut self, name: ShardId, op: ShardOp) {
        let op = if name == self.id { op } else { ShardOp::InName { name, op: Box::new(op) } };
        self.writer.push(op);
    }

    /// From a name of this shard to another's.
    pub(super) fn lane_as(&self, name: ShardId, to: ShardId) -> Lane {
        let known = self.routes.serving(to).map_or(ShardEpoch::ZERO, |route| route.epoch);
        Lane { from: name, from_epoch: self.epoch(), to, to_epoch: self.lanes.heard(to).max(known) }
    }
}
