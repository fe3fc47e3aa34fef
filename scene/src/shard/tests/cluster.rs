//! Scenes, journals, a beacon and one gateway on a network that loses, doubles and delays. One seed draws it all.

use std::collections::BTreeMap;

use bytes::Bytes;
use fastrand::Rng;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::{ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::message::{
    Address, BeaconEntry, BeaconReply, BeaconRequest, Control, Desk, Envelope, Handover, HandoverMessage, Message, MigrationNews,
    Refusal, ShardRoute,
};
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{AgentEpoch, EntityId, NodeId, Nonce, Revision, Role, ShardEpoch, Tick, Timestamp};

use super::gate::Gate;
use super::journal::{Fences, Journals};
use crate::prelude::*;
use crate::scene::{Scene, SceneConfig};

pub(super) const WORLD: NodeId = NodeId::new(Role::World, 1);
pub(super) const DATA: NodeId = NodeId::new(Role::Data, 1);
pub(super) const GATE: NodeId = NodeId::new(Role::Gateway, 1);
pub(super) const STEP_US: u64 = 5_000;
const STEPS_PER_TICK: u64 = 10;

#[input]
pub(super) struct Go {
    pub x: f32,
    pub z: f32,
    pub poke: EntityId,
}

/// Tie yourself to somebody of the same shard; to nobody: be free again.
#[input]
pub(super) struct Follow {
    pub whom: EntityId,
}

/// Give gold away.
#[input]
pub(super) struct Spend {
    pub gold: u64,
}

/// What a player is told when its gold is spent.
pub(super) const SPENT: u32 = u32::MAX;

#[component]
pub(super) struct Steps {
    pub count: u32,
    pub pokes: u32,
}

#[effect]
pub(super) struct Poke {
    pub strength: u32,
}

#[event]
pub(super) struct Noted {
    pub count: u32,
}

pub(super) fn walking(game: &mut Game) {
    game.component::<Steps>().replicated().persistent();
    game.input::<Go>().input::<Follow>().effect::<Poke>().event::<Noted>();
    game.birth(|agent| {
        agent.insert(Steps { count: 0, pokes: 0 });
    });
    game.spawner(|shard| {
        let place = shard.anywhere();
        shard.at(place, Steps { count: 0, pokes: 0 });
    });
    game.system(Phase::Input, follow);
    game.input::<Spend>();
    game.system(Phase::Input, hear_ledger);
    game.system(Phase::Act, (walk, spend).chain());
    game.system(Phase::React, feel);
}

fn walk(inputs: Inputs<Go>, mut agents: Query<(&mut Position, &mut Steps)>, mut effects: Effects, mut events: Events) {
    for go in inputs.iter() {
        let Ok((mut position, mut steps)) = agents.get_mut(go.entity) else { continue };
        (position.x, position.z) = (position.x + go.value.x, position.z + go.value.z);
        steps.count += 1;
        events.tell(go.to, &Noted { count: steps.count });
        if go.value.poke.is_some() {
            effects.send(go.to, go.value.poke, &Poke { strength: 1 });
        }
    }
}

fn follow(inputs: Inputs<Follow>, mut commands: Commands) {
    for wish in inputs.iter() {
        let mut follower = commands.entity(wish.entity);
        if wish.value.whom == EntityId::NONE {
            follower.remove::<Tied>();
        } else {
            follower.insert(Tied { to: wish.value.whom });
        }
    }
}

fn spend(inputs: Inputs<Spend>, mut ledger: Ledger) {
    for wish in inputs.iter() {
        let burn = Transaction::Burn { from: wish.from, currency: Currency::GOLD, amount: wish.value.gold };
        ledger.ask(wish.from, burn);
    }
}

fn hear_ledger(settled: Settled, mut events: Events) {
    for settlement in settled.iter() {
        if let (Transaction::Burn { from, .. }, LedgerResult::Done(_)) = (&settlement.asked, &settlement.result) {
            events.tell(*from, &Noted { count: SPENT });
        }
    }
}

fn feel(pokes: Received<Poke>, mut agents: Query<&mut Steps>) {
    for poke in pokes.iter() {
        if let Ok(mut steps) = agents.get_mut(poke.entity) {
            steps.pokes += poke.value.strength;
        }
    }
}

/// How badly the network behaves, in percent of messages.
#[derive(Clone, Copy, Default)]
pub(super) struct Weather {
    pub lost: u32,
    pub doubled: u32,
    pub delayed: u32,
}

pub(super) struct Cluster {
    pub scenes: BTreeMap<NodeId, Scene>,
    pub journals: Journals,
    pub fences: Fences,
    pub gate: Gate,
    /// What a scene runs that starts now, if it is not [`walking`].
    pub builds: BTreeMap<NodeId, fn(&mut Game)>,
    pub weather: Weather,
    /// The ledger answers nothing meanwhile.
    pub ledger_is_away: bool,
    /// Commits do not arrive: they are answered with a refusal.
    pub refuses: bool,
    /// Commits do not arrive, nor is anything answered to them.
    pub loses_commits: bool,
    /// The highest epoch that was refused.
    pub refused: AgentEpoch,
    /// What scenes said of migrations.
    pub news: Vec<MigrationNews>,
    /// What shards answered to an admin.
    pub told: Vec<Desk>,
    /// Nodes whose messages arrive nowhere and who hear nothing.
    pub cut_off: Vec<NodeId>,
    beacon: BTreeMap<String, BeaconEntry>,
    net: Vec<(u64, NodeId, NodeId, Message)>,
    rng: Rng,
    step: u64,
    nonces: u128,
    /// Of the process that had the name before.
    pub former: BTreeMap<NodeId, Nonce>,
    current: BTreeMap<NodeId, Nonce>,
}

pub(super) fn scene_id(ordinal: u16) -> NodeId {
    NodeId::new(Role::Scene, ordinal)
}

pub(super) fn shard(x: u16, z: u16) -> ShardId {
    ShardId { space: SpaceId(0), level: 3, x, z }
}

fn spec() -> ClusterSpec {
    let space = SpaceSpec { space: SpaceId(0), name: "test".to_owned(), level: 4, shard_level: 3 };
    ClusterSpec { spaces: vec![space], ..ClusterSpec::demo() }
}

impl Cluster {
    /// Two scenes, four shards; nobody owns anything yet.
    pub(super) fn new(seed: u64) -> Self {
        let mut cluster = Self {
            scenes: BTreeMap::new(),
            journals: Journals::default(),
            fences: Fences::default(),
            gate: Gate::default(),
            builds: BTreeMap::new(),
            weather: Weather::default(),
            ledger_is_away: false,
            refuses: false,
            loses_commits: false,
            refused: AgentEpoch::ZERO,
            news: vec![],
            told: vec![],
            cut_off: vec![],
            beacon: BTreeMap::new(),
            net: vec![],
            rng: Rng::with_seed(seed),
            step: 1_000,
            nonces: 0,
            former: BTreeMap::new(),
            current: BTreeMap::new(),
        };
        cluster.start_scene(1);
        cluster.start_scene(2);
        cluster
    }

    /// Two scenes that share the map by columns, and run.
    pub(super) fn running(seed: u64) -> Self {
        let mut cluster = Self::new(seed);
        for z in [0, 1] {
            cluster.assign(1, shard(0, z));
            cluster.assign(2, shard(1, z));
        }
        cluster.steps(200);
        cluster
    }

    /// A new process takes the node's place; what the old one held is gone.
    pub(super) fn start_scene(&mut self, ordinal: u16) {
        self.nonces += 1;
        if let Some(former) = self.current.insert(scene_id(ordinal), Nonce(self.nonces)) {
            self.former.insert(scene_id(ordinal), former);
        }
        let build = self.builds.get(&scene_id(ordinal)).copied().unwrap_or(walking);
        let game = Game::build(build).expect("a game that fits together");
        let config = SceneConfig { node: scene_id(ordinal), nonce: Nonce(self.nonces), spec: spec(), game, seed: 1 };
        let mut scene = Scene::new(config);
        scene.lease_renewed(self.now());
        scene.handle(self.now(), WORLD, Message::Control(Control::Rules(Default::default())));
        self.scenes.insert(scene_id(ordinal), scene);
    }

    /// The world's order, as it comes after the last owner's lease ended.
    pub(super) fn assign(&mut self, ordinal: u16, shard: ShardId) {
        let above = self.journals.epoch(shard);
        let order = Message::Control(Control::Assign { shard, above });
        self.post(WORLD, scene_id(ordinal), order);
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.step * STEP_US)
    }

    pub(super) fn steps(&mut self, count: u64) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Everybody stands still for so long.
    pub(super) fn leap(&mut self, time: std::time::Duration) {
        self.step += time.as_micros() as u64 / STEP_US;
        self.steps(50);
    }

    fn step(&mut self) {
        self.step += 1;
        let now = self.now();
        let due: Vec<_> = self.net.extract_if(.., |(at, ..)| *at <= self.step).collect();
        for (_, from, to, message) in due {
            self.deliver(from, to, message);
        }
        if self.step.is_multiple_of(STEPS_PER_TICK) {
            for (node, scene) in &mut self.scenes {
                if !self.cut_off.contains(node) {
                    scene.lease_renewed(now);
                }
                scene.tick(now, Tick(self.step / STEPS_PER_TICK));
            }
            let asks = self.gate.tick(now, &self.beacon_routes());
            asks.into_iter().for_each(|(to, message)| self.post(GATE, to, message));
        }
        self.drain_scenes();
    }

    fn drain_scenes(&mut self) {
        let mut said = vec![];
        for (node, scene) in &mut self.scenes {
            while let Some(envelope) = scene.poll_output() {
                said.push((*node, envelope));
            }
        }
        for (from, Envelope { to, message }) in said {
            match to {
                Address::Node(to) => self.post(from, to, message),
                Address::Data => self.post(from, DATA, message),
                Address::Beacon | Address::World => self.post(from, WORLD, message),
                Address::Bus | Address::Auth => {}
            }
        }
    }

    pub(super) fn post(&mut self, from: NodeId, to: NodeId, message: Message) {
        if self.cut_off.contains(&from) || self.cut_off.contains(&to) || self.rng.u32(..100) < self.weather.lost {
            return;
        }
        if self.loses_commits
            && let Message::Handover(HandoverMessage { step: Handover::Commit { .. }, .. }) = &message
        {
            return;
        }
        if self.refuses
            && let Message::Handover(HandoverMessage { lane, step: Handover::Commit { xid, .. } }) = &message
        {
            self.refused = self.refused.max(xid.epoch);
            let step = Handover::Refuse { xid: *xid, reason: Refusal::Full };
            let message = HandoverMessage { lane: lane.back(lane.to_epoch), step };
            return self.net.push((self.step + 1, to, from, Message::Handover(message)));
        }
        let copies = if self.rng.u32(..100) < self.weather.doubled { 2 } else { 1 };
        for _ in 0..copies {
            let late = if self.rng.u32(..100) < self.weather.delayed { self.rng.u64(1..60) } else { 0 };
            self.net.push((self.step + 1 + late, from, to, message.clone()));
        }
    }

    fn deliver(&mut self, from: NodeId, to: NodeId, message: Message) {
        let now = self.now();
        match message {
            Message::JournalRequest(request) => {
                for reply in self.journals.answer(request) {
                    self.post(DATA, from, Message::JournalReply(reply));
                }
            }
            Message::LedgerRequest(_) if self.ledger_is_away => {}
            Message::LedgerRequest(request) => {
                if let Some(reply) = self.fences.answer(request) {
                    self.post(DATA, from, Message::LedgerReply(reply));
                }
            }
            Message::BeaconRequest(request) => self.beacon(from, request),
            Message::Control(Control::Migrating(news)) => self.news.push(news),
            Message::Desk(answer) if to == WORLD => self.told.push(answer),
            message if to == GATE => self.gate.handle(now, from, message),
            message => {
                if let Some(scene) = self.scenes.get_mut(&to) {
                    scene.handle(now, from, message);
                }
            }
        }
    }

    fn beacon(&mut self, from: NodeId, request: BeaconRequest) {
        match request {
            BeaconRequest::Watch { prefix } => {
                let entries = self.beacon.values().filter(|e| e.key.starts_with(&prefix)).cloned().collect();
                self.post(WORLD, from, Message::BeaconReply(BeaconReply::WatchStart { prefix, entries }));
            }
            BeaconRequest::PutIf { request, key, expected, value, .. } => {
                let current = self.beacon.get(&key).map_or(Revision::ZERO, |entry| entry.revision);
                if current != expected {
                    return self.post(WORLD, from, Message::BeaconReply(BeaconReply::Conflict { request, current }));
                }
                let revision = Revision(self.step);
                let entry = BeaconEntry { key: key.clone(), revision, value: Some(value) };
                self.beacon.insert(key, entry.clone());
                self.post(WORLD, from, Message::BeaconReply(BeaconReply::Done { request, revision }));
                for scene in self.scenes.keys().copied().collect::<Vec<_>>() {
                    let change = BeaconReply::WatchChange { prefix: "shard/".to_owned(), entry: entry.clone() };
                    self.post(WORLD, scene, Message::BeaconReply(change));
                }
            }
            BeaconRequest::DeleteIf { request, key, expected } => {
                let current = self.beacon.get(&key).map_or(Revision::ZERO, |entry| entry.revision);
                if current != expected {
                    return self.post(WORLD, from, Message::BeaconReply(BeaconReply::Conflict { request, current }));
                }
                self.beacon.remove(&key);
                let revision = Revision(self.step);
                self.post(WORLD, from, Message::BeaconReply(BeaconReply::Done { request, revision }));
                for scene in self.scenes.keys().copied().collect::<Vec<_>>() {
                    let entry = BeaconEntry { key: key.clone(), revision, value: None };
                    let change = BeaconReply::WatchChange { prefix: "shard/".to_owned(), entry };
                    self.post(WORLD, scene, Message::BeaconReply(change));
                }
            }
            _ => {}
        }
    }

    fn beacon_routes(&self) -> BTreeMap<ShardId, ShardRoute> {
        let route = |entry: &BeaconEntry| ShardRoute::from_stored(entry.value.as_ref()?).ok();
        self.beacon.values().filter_map(route).map(|route| (route.shard, route)).collect()
    }

    /// All shards, at whatever scene, in which the agent is live.
    pub(super) fn homes(&self, agent: EntityId) -> Vec<(NodeId, ShardId)> {
        let shards = self.scenes.iter().flat_map(|(node, scene)| scene.shards().map(|shard| (*node, shard)));
        let here = shards.filter(|(_, shard)| shard.residents().any(|(entity, _)| entity == agent));
        here.map(|(node, shard)| (node, shard.id())).collect()
    }

    /// The agent's epoch where it is live.
    pub(super) fn epoch_of(&self, agent: EntityId) -> Option<AgentEpoch> {
        let mut residents = self.scenes.values().flat_map(Scene::shards).flat_map(|shard| shard.residents());
        residents.find(|(entity, _)| *entity == agent).map(|(_, epoch)| epoch)
    }

    /// The agent's component, wherever it lives.
    pub(super) fn steps_of(&self, agent: EntityId) -> Option<Steps> {
        let mut shards = self.scenes.values().flat_map(Scene::shards);
        shards.find_map(|shard| shard.world().read::<Steps>(agent))
    }

    pub(super) fn owners(&self, shard: ShardId) -> Vec<(NodeId, ShardEpoch)> {
        let at = |(node, scene): (&NodeId, &Scene)| {
            let shard = scene.shard(shard)?;
            shard.incarnation().ticks().then(|| (*node, shard.incarnation().epoch().expect("it ticks")))
        };
        self.scenes.iter().filter_map(at).collect()
    }
}

pub(super) fn go(x: f32, z: f32) -> Go {
    Go { x, z, poke: EntityId::NONE }
}

pub(super) fn plain<T: bytemuck::Pod>(value: &T) -> Bytes {
    Bytes::copy_from_slice(bytemuck::bytes_of(value))
}
