//! What a shard says to others than clients: effects, feed, directory.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, AgentFeed, Directory, Effect, EffectMessage, Feed, FeedFrame, Lane, Message};
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, NodeId, ShardEpoch};

use super::followers::FollowRequest;
use super::{EFFECTS_WAITING_MAX, GHOST_FRAMES_MAX, Shard};
use crate::ecs::Published;
use crate::lanes::Hearing;

/// After this many ticks a shard tells the directory again who is here, in case a change was lost.
pub(super) const DIRECTORY_REFRESH_TICKS: u64 = 200;

/// What the directory has not been told yet.
#[derive(Clone, Debug, Default)]
pub(super) struct DirectoryNews {
    full: bool,
    present: BTreeMap<EntityId, AgentEpoch>,
    gone: BTreeMap<EntityId, AgentEpoch>,
}

impl DirectoryNews {
    /// Tells everybody who is here.
    pub(super) fn start(&mut self, all: impl IntoIterator<Item = (EntityId, AgentEpoch)>) {
        *self = Self { full: true, present: all.into_iter().collect(), gone: BTreeMap::new() };
    }

    /// An agent came, or got a new epoch.
    pub(super) fn came(&mut self, agent: EntityId, epoch: AgentEpoch) {
        self.gone.remove(&agent);
        self.present.insert(agent, epoch);
    }

    /// An agent went, its epoch at its new place.
    pub(super) fn went(&mut self, agent: EntityId, epoch: AgentEpoch) {
        self.present.remove(&agent);
        self.gone.insert(agent, epoch);
    }

    fn take(&mut self, shard: ShardId, epoch: ShardEpoch) -> Option<Directory> {
        let Self { full, present, gone } = std::mem::take(self);
        let news = full || !present.is_empty() || !gone.is_empty();
        let list = |map: BTreeMap<_, _>| map.into_iter().collect();
        news.then(|| Directory::Report { shard, epoch, full, present: list(present), gone: list(gone) })
    }
}

impl Shard {
    // Effects.

    pub(super) fn effects(&mut self, message: EffectMessage) {
        match message {
            EffectMessage::Batch { lane, numbering, first, effects } => {
                if self.incarnation.ticks() {
                    self.effects_came(lane, numbering, first, effects);
                }
            }
            EffectMessage::Ack { lane, upto } => {
                if self.hear(lane) == Hearing::Fresh {
                    self.life.effects.acknowledged(lane.from, upto);
                }
            }
        }
    }

    /// Whether the sender knows this owner does not matter: what was applied is in the journal, whoever reads it.
    fn effects_came(&mut self, lane: Lane, numbering: ShardEpoch, first: EffectSeq, effects: Vec<Effect>) {
        let old_sender = lane.from_epoch < self.lanes.heard(lane.from);
        if self.hear(lane) == Hearing::Superseded || old_sender || self.life.inbox.effects.len() >= EFFECTS_WAITING_MAX {
            return;
        }
        let news = self.life.effects.receive(lane.from, numbering, first, effects);
        if news.is_empty() {
            return self.acknowledge_effects(lane.from, numbering);
        }
        for effect in news {
            if !self.life.leaves.hold(&effect) {
                self.life.urgent.insert(effect.to);
                self.life.inbox.effects.push(effect);
            }
        }
        let upto = self.life.effects.taken(lane.from, numbering);
        self.life.applied.insert(lane.from, (numbering, upto));
    }

    pub(super) fn effects_are_durable(&mut self, source: ShardId, epoch: ShardEpoch, upto: EffectSeq) {
        self.life.durably_applied.insert(source, (epoch, upto));
        self.acknowledge_effects(source, epoch);
    }

    fn acknowledge_effects(&mut self, source: ShardId, epoch: ShardEpoch) {
        let Some((_, upto)) = self.life.durably_applied.get(&source).copied().filter(|(known, _)| *known == epoch) else {
            return;
        };
        let lane = self.lane_to(source);
        self.send_to_shard(source, Message::Effect(EffectMessage::Ack { lane, upto }));
    }

    /// Effects on entities that are not here go to where a ghost was seen, or where a forwarder points.
    pub(super) fn route_effects(&mut self, effects: Vec<(Effect, Option<ShardId>)>) {
        for (effect, hint) in effects {
            if self.life.leaves.hold(&effect) {
                continue;
            }
            if self.life.residents.contains_key(&effect.to) {
                self.life.inbox.effects.push(effect);
                continue;
            }
            let to = hint.or_else(|| self.life.arrivals.forward(effect.to)).filter(|to| *to != self.id);
            match to {
                Some(to) if self.life.effects.send(to, effect) => {}
                Some(to) => tracing::warn!(shard = %self.id, %to, "too many effects wait for a shard: one is dropped"),
                None => tracing::debug!(shard = %self.id, "an effect on nobody"),
            }
        }
        for batch in self.life.effects.poll(self.now) {
            let lane = self.lane_to(batch.to);
            let numbering = self.life.effects.numbering();
            let message = EffectMessage::Batch { lane, numbering, first: batch.first, effects: batch.effects };
            self.send_to_shard(batch.to, Message::Effect(message));
        }
    }

    // Feed.

    pub(super) fn feed(&mut self, from: NodeId, message: Feed) {
        match message {
            Feed::Follow { shard, follower, filter, reset, add, remove } => {
                if self.incarnation.ticks() {
                    let request = FollowRequest { filter, reset, add, remove };
                    self.life.followers.follow(self.id, (from, follower), request);
                } else {
                    self.send(Address::Node(from), Message::Feed(Feed::NotHere { shard, follower }));
                }
            }
            Feed::Frame(frame) => self.ghosts_came(frame),
            // The route map says where to ask next; silence brings it about.
            Feed::NotHere { .. } => {}
        }
    }

    fn ghosts_came(&mut self, frame: FeedFrame) {
        let room = self.incarnation.ticks() && self.life.inbox.ghosts.len() < GHOST_FRAMES_MAX;
        if room && self.life.neighbours.accept(self.now, &frame) {
            self.life.inbox.ghosts.push(frame);
        }
    }

    pub(super) fn follow_neighbours(&mut self) {
        let (asks, lost) = self.life.neighbours.refresh(self.now, self.id, &self.routes);
        self.life.inbox.ghost_sources_lost.extend(lost);
        for (to, ask) in asks {
            self.send_to_shard(to, Message::Feed(ask));
        }
    }

    pub(super) fn send_feed(&mut self, published: &Published) {
        let mut agents: BTreeMap<NodeId, Vec<AgentFeed>> = BTreeMap::new();
        // What a player did that has value is acknowledged when it cannot be lost any more. Its place goes with the inputs that led
        // there, so it waits, too.
        let unwritten: BTreeSet<EntityId> = self.life.desk.unwritten().map(|(_, agent)| agent).collect();
        for (agent, gateway, session, in_seq) in self.life.sessions.attached().filter(|(agent, ..)| !unwritten.contains(agent)) {
            let resident = self.life.residents.get(&agent);
            if let (Some(resident), Some(position)) = (resident, self.world.position(agent)) {
                let feed = AgentFeed { agent, session, epoch: resident.epoch, in_seq, position };
                agents.entry(gateway).or_default().push(feed);
            }
        }
        let (world, beat) = (&self.world, u64::from(self.config.rate.hz()));
        let key = (self.id, self.epoch(), self.tick);
        let frames = self.life.followers.frames(key, published, |cell, filter| world.snapshot(cell, filter), &mut agents, beat);
        for (node, frame) in frames {
            self.send(Address::Node(node), Message::Feed(Feed::Frame(frame)));
        }
    }

    // Directory.

    pub(super) fn tell_directory(&mut self) {
        if self.tick.0.wrapping_add(self.id.to_bits()).is_multiple_of(DIRECTORY_REFRESH_TICKS) {
            let all = self.players().collect::<Vec<_>>();
            self.life.directory.start(all);
        }
        if let Some(report) = self.life.directory.take(self.id, self.epoch()) {
            self.send(Address::World, Message::Directory(report));
        }
    }
}
