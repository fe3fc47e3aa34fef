//! The smallest gateway that keeps its promises: an input is kept until acknowledged, an event is counted once.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::{Position, ShardId};
use pangaea_schemas::message::{AttachRefusal, Birth, ClientInput, Feed, FeedFilter, Message, Session, ShardRoute};
use pangaea_schemas::{AccountId, AgentEpoch, EntityId, InSeq, NodeId, OutSeq, SessionEpoch, Timestamp, TypeId};

use super::cluster::{Noted, plain, shard};
use crate::ecs::Plain;

#[derive(Default)]
pub(super) struct Player {
    pub session: SessionEpoch,
    pub shard: Option<ShardId>,
    pub epoch: AgentEpoch,
    pub attached: bool,
    pub in_ack: InSeq,
    pub out_ack: OutSeq,
    pub sent: InSeq,
    pub unacked: Vec<ClientInput>,
    /// It was told that its agent is parked.
    pub parked: bool,
    /// The input that a shard asked for.
    pub expected: Option<InSeq>,
    /// Events as the client holds them.
    pub noted: Vec<u32>,
    /// Last input that its picture shows, and where it shows the agent.
    pub shown: Option<(InSeq, Position)>,
    heard: Timestamp,
}

#[derive(Default)]
pub(super) struct Gate {
    pub players: BTreeMap<EntityId, Player>,
    follow_at: Timestamp,
}

impl Gate {
    pub(super) fn join(&mut self, agent: EntityId) {
        let session = SessionEpoch { login: 1, resume: 0 };
        self.players.insert(agent, Player { session, shard: Some(shard(1, 1)), ..Player::default() });
    }

    pub(super) fn input<T: Plain>(&mut self, agent: EntityId, input: T) {
        let player = self.players.get_mut(&agent).expect("joined");
        player.sent = player.sent.next();
        let (session, seq) = (player.session, player.sent);
        player.unacked.push(ClientInput { agent, session, seq, id: TypeId::of(T::NAME), bytes: plain(&input) });
    }

    /// What the gateway says in each tick: attach until attached, unacknowledged inputs until acknowledged.
    pub(super) fn tick(&mut self, now: Timestamp, routes: &BTreeMap<ShardId, ShardRoute>) -> Vec<(NodeId, Message)> {
        let mut out = vec![];
        if self.follow_at <= now {
            self.follow_at = Timestamp(now.0 + 500_000);
            for route in routes.values() {
                let follow = Feed::Follow {
                    shard: route.shard,
                    follower: None,
                    filter: FeedFilter::Replicated,
                    reset: false,
                    add: vec![],
                    remove: vec![],
                };
                out.push((route.owner, Message::Feed(follow)));
            }
        }
        for (agent, player) in &mut self.players {
            if now.0 - player.heard.0 > 1_500_000 {
                player.attached = false;
            }
            let Some(shard) = player.shard else { continue };
            // A shard that is no more is asked for at whoever has its estate.
            let heir = || routes.values().find(|route| route.shard.inherits(shard));
            let Some(route) = routes.get(&shard).or_else(heir) else { continue };
            out.push((route.owner, Message::Session(player.say(*agent, shard))));
        }
        out
    }

    pub(super) fn handle(&mut self, now: Timestamp, _from: NodeId, message: Message) {
        match message {
            Message::Feed(Feed::Frame(frame)) => {
                for news in frame.agents {
                    if let Some(player) = self.players.get_mut(&news.agent).filter(|p| p.epoch == news.epoch) {
                        (player.heard, player.shard) = (now, Some(frame.shard));
                        player.acknowledge(news.in_seq);
                        player.shown = Some((news.applied, news.position));
                    }
                }
            }
            Message::Session(Session::Attached { agent, shard, epoch, in_seq, .. }) => {
                self.route(now, agent, shard, epoch, in_seq);
            }
            Message::Session(Session::Route { agent, shard, epoch, in_seq, .. }) => self.route(now, agent, shard, epoch, in_seq),
            Message::Session(Session::AttachRefused { agent, reason: AttachRefusal::NotHere { forward }, .. })
            | Message::Session(Session::Misrouted { agent, forward, .. }) => {
                if let Some(player) = self.players.get_mut(&agent).filter(|player| !player.attached) {
                    player.shard = forward.or(Some(shard(1, 1)));
                }
            }
            Message::Session(Session::AttachRefused { agent, reason: AttachRefusal::Parked, .. }) => {
                self.players.get_mut(&agent).expect("joined").parked = true;
            }
            Message::Session(Session::Expected { agent, next, .. }) => {
                self.players.get_mut(&agent).expect("joined").expected = Some(next);
            }
            Message::Session(Session::Events { agent, events, resync, .. }) => {
                let player = self.players.get_mut(&agent).expect("joined");
                for event in events {
                    // After a recovery numbers go on above those that may have been used.
                    if event.seq == player.out_ack.next() || (resync && event.seq > player.out_ack) {
                        player.out_ack = event.seq;
                        player.noted.push(bytemuck::pod_read_unaligned::<Noted>(&event.bytes).count);
                    }
                }
            }
            _ => {}
        }
    }

    fn route(&mut self, now: Timestamp, agent: EntityId, shard: ShardId, epoch: AgentEpoch, in_seq: InSeq) {
        let Some(player) = self.players.get_mut(&agent).filter(|player| epoch >= player.epoch) else { return };
        (player.shard, player.epoch, player.attached, player.heard) = (Some(shard), epoch, true, now);
        player.acknowledge(in_seq);
    }
}

impl Player {
    fn acknowledge(&mut self, upto: InSeq) {
        self.in_ack = self.in_ack.max(upto);
        self.unacked.retain(|input| input.seq > upto);
    }

    fn say(&self, agent: EntityId, shard: ShardId) -> Session {
        let session = self.session;
        if self.attached {
            let out_acks = vec![(agent, session, self.out_ack)];
            return Session::Inputs { shard, inputs: self.unacked.clone(), out_acks };
        }
        let birth = Some(Birth { account: AccountId(agent.0), name: "Anna".to_owned() });
        Session::Attach { shard, agent, session, out_ack: self.out_ack, in_ack: self.in_ack, birth }
    }
}
