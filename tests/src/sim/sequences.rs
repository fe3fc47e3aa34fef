//! What owners tell of sessions and their inputs: under one agent epoch neither ever goes back, and nothing is applied that was
//! not delivered in whole. The network is overheard.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::message::{AgentFeed, Feed, FeedFrame, Message, Session};
use pangaea_schemas::{AgentEpoch, EntityId, InSeq, SessionEpoch, Tick};

/// See the module.
#[derive(Debug, Default)]
pub struct Sequences {
    by_agent: BTreeMap<EntityId, Inputs>,
}

#[derive(Debug, Default)]
struct Inputs {
    /// All up to here were delivered to some owner.
    whole: InSeq,
    /// Delivered beyond that.
    ahead: BTreeSet<InSeq>,
    /// The last news of it, in order of epoch and tick.
    told: Option<(AgentEpoch, Tick, SessionEpoch, InSeq)>,
}

impl Sequences {
    /// A message reaches its receiver. What is wrong with it, in words.
    pub fn overhear(&mut self, message: &Message) -> Vec<String> {
        match message {
            Message::Session(Session::Inputs { inputs, .. }) => {
                for input in inputs {
                    self.by_agent.entry(input.agent).or_default().deliver(input.seq);
                }
                Vec::new()
            }
            Message::Feed(Feed::Frame(frame)) => frame.agents.iter().filter_map(|news| self.told(frame, news)).collect(),
            _ => Vec::new(),
        }
    }

    fn told(&mut self, frame: &FeedFrame, news: &AgentFeed) -> Option<String> {
        let inputs = self.by_agent.entry(news.agent).or_default();
        let (agent, tick, applied, session) = (news.agent, frame.tick, news.applied, news.session);
        if applied > inputs.whole {
            return Some(format!("input {} of {agent} is applied, but {} was never delivered", applied.0, inputs.whole.next().0));
        }
        let before = inputs.told.filter(|(epoch, at, ..)| (*epoch, *at) >= (news.epoch, tick));
        if before.is_some() {
            // Another link was faster.
            return None;
        }
        let (epoch, _, former, last) = inputs.told.replace((news.epoch, tick, session, applied))?;
        if epoch != news.epoch {
            // A new owner may have an older record.
            None
        } else if applied < last {
            Some(format!("{agent} goes back from input {} to {} under {epoch} at {tick}", last.0, applied.0))
        } else if session < former {
            Some(format!("{agent} goes back from session {former} to {session} under {epoch} at {tick}"))
        } else {
            None
        }
    }
}

impl Inputs {
    fn deliver(&mut self, seq: InSeq) {
        if seq > self.whole {
            self.ahead.insert(seq);
        }
        while self.ahead.remove(&self.whole.next()) {
            self.whole = self.whole.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use pangaea_schemas::geometry::{Position, ShardId, SpaceId};
    use pangaea_schemas::message::ClientInput;
    use pangaea_schemas::{ShardEpoch, TypeId};

    use super::*;

    const AGENT: EntityId = EntityId(5);
    const SHARD: ShardId = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };

    fn delivered(seqs: &[u32]) -> Sequences {
        let session = SessionEpoch::default();
        let input = |seq: &u32| ClientInput { agent: AGENT, session, seq: InSeq(*seq), id: TypeId(1), bytes: Bytes::new() };
        let mut sequences = Sequences::default();
        let inputs = Session::Inputs { shard: SHARD, inputs: seqs.iter().map(input).collect(), out_acks: Vec::new() };
        assert!(sequences.overhear(&Message::Session(inputs)).is_empty());
        sequences
    }

    /// The owner under this agent epoch tells at this tick how far it is, and in which session.
    fn told(sequences: &mut Sequences, (epoch, tick): (u64, u64), applied: u32, login: u32) -> Vec<String> {
        let news = AgentFeed {
            agent: AGENT,
            session: SessionEpoch { login, resume: 0 },
            epoch: AgentEpoch(epoch),
            in_seq: InSeq(0),
            applied: InSeq(applied),
            position: Position::default(),
        };
        let frame = FeedFrame {
            shard: SHARD,
            epoch: ShardEpoch(1),
            tick: Tick(tick),
            seq: 0,
            follower: None,
            cells: Vec::new(),
            agents: vec![news],
        };
        sequences.overhear(&Message::Feed(Feed::Frame(frame)))
    }

    #[test]
    fn nothing_is_applied_before_all_up_to_it_came_in_whatever_order() {
        let mut sequences = delivered(&[1, 3, 3]);
        assert!(told(&mut sequences, (1, 1), 1, 1).is_empty());
        assert!(told(&mut sequences, (1, 2), 3, 1)[0].contains("2 was never delivered"));
        assert!(told(&mut delivered(&[3, 2, 1]), (1, 1), 3, 1).is_empty());
    }

    #[test]
    fn under_one_epoch_neither_inputs_nor_sessions_go_back() {
        let mut sequences = delivered(&[1, 2, 3]);
        assert!(told(&mut sequences, (1, 1), 3, 2).is_empty());
        assert!(told(&mut sequences, (1, 2), 2, 2)[0].contains("from input 3 to 2"));
        assert!(told(&mut sequences, (1, 3), 2, 1)[0].contains("session"));
        assert!(told(&mut sequences, (2, 1), 1, 1).is_empty(), "a new owner knows less");
        assert!(told(&mut sequences, (1, 9), 3, 2).is_empty(), "late news of the former owner");
        assert!(told(&mut sequences, (2, 2), 2, 1).is_empty());
        assert!(told(&mut sequences, (2, 1), 1, 1).is_empty(), "the same over a slower link");
    }
}
