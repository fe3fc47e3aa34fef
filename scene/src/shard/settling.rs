//! The end of hand-overs: settled, stable, forgotten. [`crate::handover::forwarders`] carried out.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Mark, ShardOp, Xid};
use pangaea_schemas::message::{Handover, Lane};
use pangaea_schemas::{AgentEpoch, EntityId};

use super::{Life, Shard, Then};
use crate::lanes::Hearing;

impl Shard {
    /// The target has answered: who went is only forwarded from now on.
    pub(super) fn remember_settled(&mut self, target: ShardId, xid: Xid, members: &[EntityId]) {
        self.writer.push(ShardOp::Settled { xid });
        self.life.forwarders.settled(target, xid, members.iter().copied());
        self.when_durable(Then::Settled(target, xid.mark()));
    }

    /// Tells targets up to where their answers need not be kept any more.
    pub(super) fn tell_settled(&mut self) {
        if !self.incarnation.is_confirmed() {
            return;
        }
        let leaves = &self.life.leaves;
        for (target, upto) in self.life.forwarders.poll(self.now, |target| leaves.first_to(target)) {
            self.say(target, Handover::Settled { upto });
        }
    }

    /// A source will not ask again: the answers to it are forgotten, and it is told so once that is durable.
    pub(super) fn source_has_settled(&mut self, lane: Lane, upto: Mark) {
        if !self.is_heard(lane) || !self.incarnation.is_confirmed() {
            return;
        }
        if let Some(refused) = self.life.arrivals.stable(lane.from, upto) {
            self.writer.push(ShardOp::Stable { source: lane.from, upto });
            self.forget(refused);
        }
        self.when_durable(Then::Stable(lane.from, upto));
    }

    /// A target has forgotten its answers: who went there is not forwarded any more.
    pub(super) fn target_is_stable(&mut self, lane: Lane, upto: Mark) {
        if self.is_heard(lane) {
            let over = self.life.forwarders.stable(lane.from, upto);
            self.forget(over);
        }
    }

    /// Forgets those who are as far away as they were under this epoch.
    fn forget(&mut self, members: Vec<(EntityId, AgentEpoch)>) {
        let is_over = |(member, epoch): &(EntityId, AgentEpoch)| {
            let fence = self.life.arrivals.fence(*member);
            fence.forward.is_some() && fence.seen == *epoch && self.life.leaves.of(*member).is_none()
        };
        let members: Vec<EntityId> = members.into_iter().filter(is_over).map(|(member, _)| member).collect();
        for member in &members {
            self.life.arrivals.forget(*member);
        }
        if !members.is_empty() {
            self.writer.push(ShardOp::Forgotten { members });
        }
    }

    /// Whether what a shard says that does not depend on this owner is from its owner in force.
    pub(super) fn is_heard(&mut self, lane: Lane) -> bool {
        let old_sender = lane.from_epoch < self.lanes.heard(lane.from);
        self.hear(lane) != Hearing::Superseded && !old_sender
    }
}

impl Life {
    /// Forwarders of hand-overs that are over: who, the epoch under which it went, where to.
    pub(super) fn settled_forwarders(&self) -> impl Iterator<Item = (EntityId, AgentEpoch, ShardId)> {
        self.arrivals.forwarders().filter(|(member, ..)| self.leaves.of(*member).is_none())
    }
}
