//! The end of hand-overs: settled, stable, forgotten. [`crate::handover::forwarders`] carried out.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Mark, ShardOp, Xid};
use pangaea_schemas::message::{Handover, Lane};
use pangaea_schemas::{AgentEpoch, EntityId};

use super::{Shard, Then};
use crate::lanes::Hearing;

impl Shard {
    /// The target has answered: who went is only forwarded from now on.
    pub(super) fn remember_settled(&mut self, target: ShardId, xid: Xid, members: &[EntityId]) {
        self.writer.push(ShardOp::Settled { xid });
        self.dealings(xid.source).forwarders.settled(target, xid, members.iter().copied());
        self.when_durable(Then::Settled(xid.source, target, xid.mark()));
    }

    /// Tells targets up to where their answers need not be kept any more.
    pub(super) fn tell_settled(&mut self) {
        if !self.incarnation.is_confirmed() {
            return;
        }
        for name in self.names() {
            let (now, leaves) = (self.now, std::mem::take(&mut self.life.leaves));
            let said = self.dealings(name).forwarders.poll(now, |target| leaves.first(name, target));
            self.life.leaves = leaves;
            for (target, upto) in said {
                self.say(name, target, Handover::Settled { upto });
            }
        }
    }

    /// A source will not ask again: the answers to it are forgotten, and it is told so once that is durable.
    pub(super) fn source_has_settled(&mut self, lane: Lane, upto: Mark) {
        if !self.is_heard(lane) || !self.incarnation.is_confirmed() {
            return;
        }
        if let Some(refused) = self.dealings(lane.to).arrivals.stable(lane.from, upto) {
            self.push_as(lane.to, ShardOp::Stable { source: lane.from, upto });
            self.forget(refused);
        }
        self.when_durable(Then::Stable(lane.to, lane.from, upto));
    }

    /// A target has forgotten its answers: who went there is not forwarded any more.
    pub(super) fn target_is_stable(&mut self, lane: Lane, upto: Mark) {
        if self.is_heard(lane) {
            let over = self.dealings(lane.to).forwarders.stable(lane.from, upto);
            self.forget(over);
        }
    }

    /// Forgets those who are as far away as they were under this epoch.
    fn forget(&mut self, members: Vec<(EntityId, AgentEpoch)>) {
        let is_over = |(member, epoch): &(EntityId, AgentEpoch)| {
            let fence = self.life.fence(*member);
            fence.forward.is_some() && fence.seen == *epoch && self.life.leaves.of(*member).is_none()
        };
        let members: Vec<EntityId> = members.into_iter().filter(is_over).map(|(member, _)| member).collect();
        for member in &members {
            self.life.forget(*member);
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
