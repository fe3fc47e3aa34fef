//! What a shard says to others than clients: feed, directory.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, AgentFeed, Directory, Feed, FeedFrame, Message};
use pangaea_schemas::{AgentEpoch, EntityId, NodeId, ShardEpoch};

use super::followers::FollowRequest;
use super::{GHOST_FRAMES_MAX, Shard};
use crate::ecs::Published;

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
        let (mut agents, mut told): (BTreeMap<NodeId, Vec<AgentFeed>>, Vec<_>) = Default::default();
        // What a player did that has value is acknowledged when it cannot be lost any more; meanwhile his steps are shown.
        let unwritten: BTreeSet<EntityId> = self.life.desk.unwritten().map(|(_, agent)| agent).collect();
        for (agent, gateway, session, applied) in self.life.sessions.attached() {
            let in_seq = if unwritten.contains(&agent) { self.life.sessions.told(agent) } else { applied };
            let resident = self.life.residents.get(&agent);
            if let (Some(resident), Some(position)) = (resident, self.world.position(agent)) {
                let feed = AgentFeed { agent, session, epoch: resident.epoch, in_seq, applied, position };
                agents.entry(gateway).or_default().push(feed);
                told.push((agent, in_seq));
            }
        }
        told.into_iter().for_each(|(agent, in_seq)| self.life.sessions.tell(agent, in_seq));
        let (world, beat) = (&self.world, u64::from(self.config.rate.hz()));
        let key = (self.id, self.epoch(), self.tick);
        let frames = self.life.followers.frames(key, published, |cell, filter| world.snapshot(cell, filter), &mut agents, beat);
        for (node, frame) in frames {
            self.send(Address::Node(node), Message::Feed(Feed::Frame(frame)));
        }
    }

    // Directory.

    /// The directory asks everybody for an agent: if it is here, the next report says so.
    pub fn seek(&mut self, agent: EntityId) {
        let awake = self.life.residents.get(&agent).map(|resident| resident.epoch);
        let here = awake.or_else(|| self.life.asleep.get(&agent).map(|record| record.epoch));
        if let Some(epoch) = here.filter(|_| self.incarnation.ticks()) {
            self.life.directory.came(agent, epoch);
        }
    }

    /// The next report tells the directory of everybody here.
    pub(super) fn tell_all_players(&mut self) {
        let all = self.players().collect::<Vec<_>>();
        self.life.directory.start(all);
    }

    pub(super) fn tell_directory(&mut self) {
        if self.tick.0.wrapping_add(self.id.to_bits()).is_multiple_of(DIRECTORY_REFRESH_TICKS) {
            self.tell_all_players();
        }
        if let Some(report) = self.life.directory.take(self.id, self.epoch()) {
            self.send(Address::World, Message::Directory(report));
        }
    }
}
