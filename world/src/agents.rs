//! The directory: where each agent is, as the shards tell. A cache: whom it does not know it looks up in the records at
//! `Data` and asks all scenes for; whoever answers first is believed. Who is in no record has never been born.
//!
//! Agents are rows of one map and not entities: the directory only ever asks for one by its id, and ten million rows of 24 bytes
//! stay below half a gigabyte, where ten million entities with their archetype rows would not. A full report of a shard
//! does not walk the map: it raises the shard's generation, and rows of an older one count as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bevy_ecs::prelude::{IntoScheduleConfigs, Query, Res, ResMut, Resource};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, Directory, JournalReply, JournalRequest, Location, Message};
use pangaea_schemas::{AgentEpoch, EntityId, NodeId, RequestId, ShardEpoch, Timestamp};
use rustc_hash::FxHashMap;

use crate::inbox::Inbox;
use crate::shards::{Shard, ShardMap};
use crate::world::{Now, Outbox, Phase, Setting, World};

/// Most agents that are looked up at `Data` at a time; those who ask beyond it ask again.
pub const LOOKUPS_MAX: usize = 4_096;
/// Most nodes that wait for one lookup.
pub const WAITING_MAX: usize = 16;
/// A lookup that is not answered by then is forgotten; those who wait ask again.
pub const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

/// Where each agent is.
#[derive(Resource, Debug, Default)]
pub struct Agents {
    /// Looked up by id only, never walked: its order is nobody's behaviour.
    rows: FxHashMap<EntityId, Row>,
    places: Vec<Place>,
    index: BTreeMap<ShardId, u32>,
    lookups: BTreeMap<EntityId, Lookup>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    epoch: AgentEpoch,
    place: u32,
    generation: u32,
}

/// A shard that has reported.
#[derive(Debug)]
struct Place {
    shard: ShardId,
    epoch: ShardEpoch,
    generation: u32,
}

#[derive(Debug)]
struct Lookup {
    request: RequestId,
    until: Timestamp,
    waiting: Vec<(NodeId, RequestId)>,
}

impl Agents {
    /// In which shard the agent is, as last told.
    pub fn shard_of(&self, agent: EntityId) -> Option<ShardId> {
        let row = self.rows.get(&agent)?;
        let place = self.places.get(row.place as usize)?;
        (row.generation == place.generation).then_some(place.shard)
    }

    /// Rows held, outdated ones included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no agent is known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes a shard's report; an older epoch's is ignored. An agent reported twice is where its epoch is higher.
    fn report(
        &mut self,
        shard: ShardId,
        epoch: ShardEpoch,
        full: bool,
        present: Vec<(EntityId, AgentEpoch)>,
        gone: &[(EntityId, AgentEpoch)],
    ) {
        let index = self.place(shard);
        let place = &mut self.places[index as usize];
        if epoch < place.epoch {
            return;
        }
        place.epoch = epoch;
        place.generation += u32::from(full);
        let generation = place.generation;
        for (agent, epoch) in present {
            let row = self.rows.entry(agent).or_insert(Row { epoch, place: index, generation });
            if epoch >= row.epoch {
                *row = Row { epoch, place: index, generation };
            }
        }
        for (agent, epoch) in gone {
            if self.rows.get(agent).is_some_and(|row| row.place == index && row.epoch <= *epoch) {
                self.rows.remove(agent);
            }
        }
    }

    fn place(&mut self, shard: ShardId) -> u32 {
        *self.index.entry(shard).or_insert_with(|| {
            self.places.push(Place { shard, epoch: ShardEpoch::ZERO, generation: 0 });
            (self.places.len() - 1) as u32
        })
    }
}

pub(crate) fn plugin(world: &mut World) {
    world.insert_resource(Agents::default());
    world.add_systems(Phase::Agents, (hear, answer).chain());
}

/// Reports and questions, in the order they came.
fn hear(
    now: Res<Now>,
    mut inbox: ResMut<Inbox>,
    mut agents: ResMut<Agents>,
    map: Res<ShardMap>,
    shards: Query<&Shard>,
    mut outbox: ResMut<Outbox>,
) {
    for (from, message) in inbox.directory.drain(..) {
        match message {
            Directory::Report { shard, epoch, full, present, gone } => {
                if map.entity(shard).is_some() {
                    let told: Vec<EntityId> = present.iter().map(|(agent, _)| *agent).collect();
                    agents.report(shard, epoch, full, present, &gone);
                    for agent in told {
                        found(&mut agents, &mut outbox, &map, &shards, agent);
                    }
                }
            }
            Directory::Locate { request, agent } => match agents.shard_of(agent) {
                Some(shard) => reply(&mut outbox, from, request, agent, location(shard, &map, &shards), false),
                None => {
                    let scenes = shards.iter().filter_map(Shard::location).map(|location| location.owner).collect();
                    look_up(now.at, &mut agents, &mut outbox, scenes, (from, request), agent);
                }
            },
            Directory::Located { .. } | Directory::Seek { .. } => tracing::debug!(%from, "an answer that nobody asked for"),
        }
    }
}

/// Asks the records and every scene.
fn look_up(
    now: Timestamp,
    agents: &mut Agents,
    outbox: &mut Outbox,
    scenes: BTreeSet<NodeId>,
    (from, request): (NodeId, RequestId),
    agent: EntityId,
) {
    let known = agents.lookups.get(&agent).filter(|lookup| lookup.until > now);
    if known.is_none() {
        if agents.lookups.len() >= LOOKUPS_MAX {
            return reply(outbox, from, request, agent, None, false);
        }
        let question = outbox.request();
        outbox.send(Address::Data, Message::JournalRequest(JournalRequest::Find { request: question, entity: agent }));
        for scene in scenes {
            outbox.send(Address::Node(scene), Message::Directory(Directory::Seek { agent }));
        }
        let lookup = Lookup { request: question, until: now + LOOKUP_LIMIT, waiting: Vec::new() };
        agents.lookups.insert(agent, lookup);
    }
    if let Some(lookup) = agents.lookups.get_mut(&agent)
        && lookup.waiting.len() < WAITING_MAX
        && !lookup.waiting.contains(&(from, request))
    {
        lookup.waiting.push((from, request));
    }
}

/// A shard says that it has an agent: whoever waits for it is told.
fn found(agents: &mut Agents, outbox: &mut Outbox, map: &ShardMap, shards: &Query<&Shard>, agent: EntityId) {
    let Some(shard) = agents.shard_of(agent) else { return };
    let Some(lookup) = agents.lookups.remove(&agent) else { return };
    let location = location(shard, map, shards);
    for (from, request) in lookup.waiting {
        reply(outbox, from, request, agent, location, false);
    }
}

/// Answers of the records. Where a record is filed is not remembered here: its shard will tell.
fn answer(
    now: Res<Now>,
    mut inbox: ResMut<Inbox>,
    mut agents: ResMut<Agents>,
    map: Res<ShardMap>,
    shards: Query<&Shard>,
    setting: Res<Setting>,
    mut outbox: ResMut<Outbox>,
) {
    for journal in inbox.journal.drain(..) {
        let JournalReply::Found { request, entity, shard } = journal else { continue };
        if agents.lookups.get(&entity).is_none_or(|lookup| lookup.request != request) {
            continue;
        }
        let Some(lookup) = agents.lookups.remove(&entity) else { continue };
        // A shard may have told in the meantime, and then knows better.
        let filed = agents.shard_of(entity).or(shard);
        let unborn = filed.is_none();
        let at = filed.or_else(|| map.holding(setting.config.spec.spawn_cell()));
        let location = at.and_then(|shard| location(shard, &map, &shards));
        for (from, request) in lookup.waiting {
            reply(&mut outbox, from, request, entity, location, unborn);
        }
    }
    agents.lookups.retain(|_, lookup| lookup.until > now.at);
}

fn location(shard: ShardId, map: &ShardMap, shards: &Query<&Shard>) -> Option<Location> {
    shards.get(map.entity(shard)?).ok()?.location()
}

fn reply(outbox: &mut Outbox, to: NodeId, request: RequestId, agent: EntityId, location: Option<Location>, unborn: bool) {
    outbox.send(Address::Node(to), Message::Directory(Directory::Located { request, agent, location, unborn }));
}
