//! Which shard here a message is for. Most say it themselves; what is addressed to a closed shard is for one of those that stand
//! in its place.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, Desk, Message, Session};
use pangaea_schemas::{EntityId, NodeId, RequestId};

use super::Scene;
use crate::incarnation::Incarnation;

impl Scene {
    /// The shards here that the message is for, with what of it is for each.
    pub(super) fn addressees(&self, shard: ShardId, message: Message) -> Vec<(ShardId, Message)> {
        let is_here = |shard: ShardId| match self.shards.get(&shard).map(|shard| shard.incarnation()) {
            None | Some(Incarnation::Off | Incarnation::Fenced { .. }) => false,
            Some(
                Incarnation::Claiming { .. }
                | Incarnation::Recovering { .. }
                | Incarnation::Fencing { .. }
                | Incarnation::Running { .. }
                | Incarnation::Unconfirmed { .. },
            ) => true,
        };
        if is_here(shard) {
            return vec![(shard, message)];
        }
        match message {
            Message::Handover(_) | Message::Effect(_) => vec![(self.heir(shard).unwrap_or(shard), message)],
            Message::Session(Session::Inputs { inputs, out_acks, .. }) => self.inputs_by_shard(shard, inputs, out_acks),
            Message::Session(Session::Attach { agent, .. } | Session::Detach { agent, .. }) => {
                let at = self.at_home(shard, agent).or_else(|| self.heir(shard)).unwrap_or(shard);
                vec![(at, message)]
            }
            message => vec![(shard, message)],
        }
    }

    /// What an admin asks of all shards: which of them knows an entity best.
    pub(super) fn inspected(&mut self, from: NodeId, request: RequestId, entity: EntityId) {
        let sights = self.shards.values().filter_map(|shard| shard.sight(entity));
        let sight = sights.max_by_key(|sight| (sight.record.epoch, sight.state));
        self.send(Address::Node(from), Message::Desk(Desk::Inspected { request, sight }));
    }

    /// The shard here that has the estate of a closed one.
    fn heir(&self, closed: ShardId) -> Option<ShardId> {
        let heirs = self.shards.values().filter(|shard| shard.id().inherits(closed) && shard.incarnation().ticks());
        heirs.map(|shard| shard.id()).next()
    }

    /// The shard here that stands in a closed one's place and has the agent.
    fn at_home(&self, closed: ShardId, agent: EntityId) -> Option<ShardId> {
        let heirs = self.shards.values().filter(|shard| shard.id().overlaps(closed) && shard.incarnation().ticks());
        heirs.filter(|shard| shard.knows(agent)).map(|shard| shard.id()).next()
    }

    fn inputs_by_shard(
        &self,
        closed: ShardId,
        inputs: Vec<pangaea_schemas::message::ClientInput>,
        out_acks: Vec<(EntityId, pangaea_schemas::SessionEpoch, pangaea_schemas::OutSeq)>,
    ) -> Vec<(ShardId, Message)> {
        let mut by_shard = std::collections::BTreeMap::<ShardId, (Vec<_>, Vec<_>)>::new();
        let rest = self.heir(closed).unwrap_or(closed);
        for input in inputs {
            by_shard.entry(self.at_home(closed, input.agent).unwrap_or(rest)).or_default().0.push(input);
        }
        for ack in out_acks {
            by_shard.entry(self.at_home(closed, ack.0).unwrap_or(rest)).or_default().1.push(ack);
        }
        let inputs = |(shard, (inputs, out_acks))| (shard, Message::Session(Session::Inputs { shard, inputs, out_acks }));
        by_shard.into_iter().map(inputs).collect()
    }
}
