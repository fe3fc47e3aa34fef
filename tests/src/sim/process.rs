//! One simulated process: the cores of its role and its membership, wired as the real driver wires them.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use pangaea_gateway::ticket::{ResumeKey, TicketKey};
use pangaea_gateway::{ConnId, Gateway, GatewayConfig, Input as GatewayInput, Output as GatewayOutput};
use pangaea_node::membership::{Heard, Membership, Step};
use pangaea_node::mesh::MeshEvent;
use pangaea_persistence::Data;
use pangaea_persistence::store::MemoryStore;
use pangaea_scene::game::BuiltGame;
use pangaea_scene::scene::{Scene, SceneConfig};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::message::{Message, NodeInfo};
use pangaea_schemas::{NodeId, Nonce, Role, Tick, TickRate, Timestamp};
use pangaea_world::auth::{Auth, AuthConfig, Input as AuthInput, Output as AuthOutput, Signer};
use pangaea_world::{Beacon, Bus, World, WorldConfig};

use super::clock::Clock;
use super::keys;

/// How long a password takes to hash.
const HASH_TIME: Duration = Duration::from_millis(30);
/// Rounds in which a process answers itself before others are heard.
const ROUNDS_MAX: usize = 256;

/// What a process does to the outside.
#[derive(Debug)]
pub enum Effect {
    /// A message to another process.
    Send(NodeId, Message),
    /// A message to a client.
    ToClient(ConnId, Bytes),
    /// A client's connection is closed.
    Close(ConnId),
    /// A password is hashed or compared after a while.
    Later(Duration, AuthInput),
    /// The disk is asked to commit.
    Commit,
}

enum Cores {
    World { beacon: Box<Beacon>, bus: Bus, world: Box<World> },
    Data { data: Box<Data<MemoryStore>>, asked: bool },
    Auth(Box<Auth>),
    Scene(Box<Scene>),
    Gateway(Box<Gateway>),
}

/// One process.
///
/// Its cores hear its own time; everybody else here counts in true time.
pub struct Process {
    node: NodeId,
    nonce: Nonce,
    clock: Clock,
    /// The last tick that it began.
    ticked: Tick,
    rate: TickRate,
    membership: Membership,
    cores: Cores,
    loopback: VecDeque<Message>,
    effects: Vec<Effect>,
}

/// What all processes of a simulation share.
pub struct Shared {
    /// The cluster.
    pub spec: ClusterSpec,
    /// The game.
    pub game: BuiltGame,
    /// Scenes that are started.
    pub scenes: usize,
}

impl Process {
    /// Start a process with its clock. `disk` is what a data process finds.
    pub fn start(now: Timestamp, node: NodeId, nonce: Nonce, clock: Clock, shared: &Shared, disk: Option<MemoryStore>) -> Self {
        let seed = nonce.0 as u64;
        let now = clock.at(now);
        let spec = shared.spec.clone();
        let cores = match node.role {
            Role::World => {
                let config =
                    WorldConfig { spec, seed, scenes_expected: shared.scenes, tunables: shared.game.tunables().to_vec() };
                Cores::World { beacon: Box::new(Beacon::new(now)), bus: Bus::new(), world: Box::new(World::new(now, config)) }
            }
            Role::Data => Cores::Data { data: Box::new(Data::new(disk.unwrap_or_default())), asked: false },
            Role::Auth => Cores::Auth(Box::new(Auth::new(AuthConfig {
                cluster: spec.name,
                signer: Signer::new("sim", &keys::TICKET_SECRET).expect("a key of the right length"),
                ticket_valid: Duration::from_secs(300),
                guests: true,
                dummy_phc: "hash of nobody".to_owned(),
            }))),
            Role::Scene => Cores::Scene(Box::new(Scene::new(SceneConfig { node, nonce, spec, game: shared.game.clone(), seed }))),
            Role::Gateway => {
                let ticket_key = TicketKey::new(keys::ticket_public()).expect("a key of the right length");
                let resume_key = ResumeKey::new(&keys::RESUME).expect("a key of the right length");
                let registry = shared.game.registry().clone();
                Cores::Gateway(Box::new(Gateway::new(GatewayConfig::new(node, spec, registry, ticket_key, resume_key))))
            }
        };
        let membership = Membership::new(info(node, nonce, shared), shared.spec.lease);
        let rate = shared.spec.tick_rate;
        let ticked = rate.tick_at(now);
        Self { node, nonce, clock, ticked, rate, membership, cores, loopback: VecDeque::new(), effects: Vec::new() }
    }

    /// This start.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// What the process leaves on its disk.
    pub fn into_disk(self) -> Option<MemoryStore> {
        match self.cores {
            Cores::Data { data, .. } => Some(data.into_store()),
            Cores::World { .. } | Cores::Auth(_) | Cores::Scene(_) | Cores::Gateway(_) => None,
        }
    }

    /// The scene's core.
    pub fn scene(&self) -> Option<&Scene> {
        match &self.cores {
            Cores::Scene(scene) => Some(scene),
            Cores::World { .. } | Cores::Data { .. } | Cores::Auth(_) | Cores::Gateway(_) => None,
        }
    }

    /// The data node's core.
    pub fn data(&self) -> Option<&Data<MemoryStore>> {
        match &self.cores {
            Cores::Data { data, .. } => Some(data),
            Cores::World { .. } | Cores::Scene(_) | Cores::Auth(_) | Cores::Gateway(_) => None,
        }
    }

    /// The data node's core, to hurt its disk.
    pub fn data_mut(&mut self) -> Option<&mut Data<MemoryStore>> {
        match &mut self.cores {
            Cores::Data { data, .. } => Some(data),
            Cores::World { .. } | Cores::Scene(_) | Cores::Auth(_) | Cores::Gateway(_) => None,
        }
    }

    /// The world server's core, to give it orders.
    pub fn world_mut(&mut self) -> Option<&mut World> {
        match &mut self.cores {
            Cores::World { world, .. } => Some(world),
            Cores::Data { .. } | Cores::Scene(_) | Cores::Auth(_) | Cores::Gateway(_) => None,
        }
    }

    /// The mesh says something.
    pub fn hear(&mut self, now: Timestamp, event: MeshEvent) {
        let now = self.clock.at(now);
        self.hear_own(now, event);
    }

    fn hear_own(&mut self, now: Timestamp, event: MeshEvent) {
        let heard = self.membership.hear(now, event);
        self.dispatch(now, heard);
    }

    /// A gateway's client does something.
    pub fn client(&mut self, now: Timestamp, input: GatewayInput) {
        let now = self.clock.at(now);
        if let Cores::Gateway(gateway) = &mut self.cores {
            gateway.handle(now, input);
        }
    }

    /// A password is done.
    pub fn hashed(&mut self, now: Timestamp, input: AuthInput) {
        let now = self.clock.at(now);
        if let Cores::Auth(auth) = &mut self.cores {
            auth.handle(now, input);
        }
    }

    /// The disk has committed.
    pub fn commit(&mut self, now: Timestamp) {
        if let Cores::Data { data, asked } = &mut self.cores {
            *asked = false;
            data.commit(self.clock.at(now));
        }
    }

    /// Its clock, to hurt it.
    pub fn clock_mut(&mut self) -> &mut Clock {
        &mut self.clock
    }

    /// When the next tick is due, for those that tick.
    pub fn next_tick(&self) -> Option<Timestamp> {
        let ticks = matches!(self.node.role, Role::World | Role::Scene | Role::Gateway);
        ticks.then(|| self.clock.when(self.rate.start_of(self.ticked.next())))
    }

    /// A tick begins, unless its time has not come. Those that were slept through are not made up for.
    pub fn tick(&mut self, now: Timestamp) {
        let now = self.clock.at(now);
        let tick = self.rate.tick_at(now);
        if tick <= self.ticked {
            return;
        }
        self.ticked = tick;
        match &mut self.cores {
            Cores::World { world, .. } => world.tick(now, tick),
            Cores::Scene(scene) => scene.tick(now, tick),
            Cores::Gateway(gateway) => gateway.tick(now, tick),
            Cores::Data { .. } | Cores::Auth(_) => {}
        }
    }

    /// The next deadline.
    pub fn deadline(&self) -> Timestamp {
        let own = match &self.cores {
            Cores::World { beacon, .. } => beacon.poll_timeout(),
            Cores::Auth(auth) => auth.poll_timeout(),
            // They look at their time-outs in each tick or commit.
            Cores::Scene(_) | Cores::Gateway(_) | Cores::Data { .. } => None,
        };
        let own_time = own.map_or(self.membership.poll_timeout(), |(at, _)| at.min(self.membership.poll_timeout()));
        self.clock.when(own_time)
    }

    /// Let time-outs act, and take what the process does to the outside.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Effect> {
        let now = self.clock.at(now);
        match &mut self.cores {
            Cores::World { beacon, .. } if beacon.poll_timeout().is_some_and(|(at, _)| at <= now) => beacon.handle_timeout(now),
            Cores::Auth(auth) if auth.poll_timeout().is_some_and(|(at, _)| at <= now) => auth.handle_timeout(now),
            Cores::World { .. } | Cores::Data { .. } | Cores::Auth(_) | Cores::Scene(_) | Cores::Gateway(_) => {}
        }
        for _ in 0..ROUNDS_MAX {
            while let Some(step) = self.membership.poll_step(now) {
                // Links are the network's business here.
                if let Step::Send(envelope) = step {
                    self.send(envelope);
                }
            }
            self.drain();
            if self.loopback.is_empty() {
                break;
            }
            while let Some(message) = self.loopback.pop_front() {
                let from = self.node;
                self.hear_own(now, MeshEvent::Message { from, message });
            }
        }
        std::mem::take(&mut self.effects)
    }

    fn dispatch(&mut self, now: Timestamp, heard: Heard) {
        match (heard, &mut self.cores) {
            (Heard::Core { from, message }, Cores::World { beacon, bus, world }) => match message {
                Message::BeaconRequest(request) => beacon.handle(now, from, request),
                Message::BusRequest(request) => bus.handle(from, request),
                message => world.handle(now, from, message),
            },
            (Heard::Core { from, message }, Cores::Data { data, .. }) => data.handle(now, from, message),
            (Heard::Core { from, message }, Cores::Auth(auth)) => auth.handle(now, AuthInput::Node { from, message }),
            (Heard::Core { from, message }, Cores::Scene(scene)) => scene.handle(now, from, message),
            (Heard::Core { from, message }, Cores::Gateway(gateway)) => {
                gateway.handle(now, GatewayInput::Node { from, message });
            }
            (Heard::Renewed { sent }, Cores::Scene(scene)) => scene.lease_renewed(sent),
            (Heard::Up { node, nonce }, Cores::Scene(scene)) => scene.link_up(now, node, nonce),
            (Heard::Down { node }, Cores::Scene(scene)) => scene.link_down(node),
            (Heard::Up { node, .. }, Cores::Gateway(gateway)) => gateway.handle(now, GatewayInput::LinkUp { node }),
            (Heard::Down { node }, Cores::World { beacon, bus, .. }) => {
                beacon.link_closed(node);
                bus.link_closed(node);
            }
            (Heard::Renewed { .. } | Heard::NameTaken { .. } | Heard::Up { .. } | Heard::Down { .. } | Heard::Nothing, _) => {}
        }
    }

    fn send(&mut self, envelope: pangaea_schemas::message::Envelope) {
        self.membership.note_sent(&envelope);
        if let Some(node) = self.membership.resolve(envelope.to) {
            self.send_to(node, envelope.message);
        }
    }

    fn send_to(&mut self, node: NodeId, message: Message) {
        if node == self.node {
            self.loopback.push_back(message);
        } else {
            self.effects.push(Effect::Send(node, message));
        }
    }

    fn drain(&mut self) {
        match &mut self.cores {
            Cores::World { .. } => self.drain_world(),
            Cores::Data { data, asked } => {
                if data.has_work() && !*asked {
                    *asked = true;
                    self.effects.push(Effect::Commit);
                }
                while let Some((to, reply)) = data.poll_output() {
                    self.effects.push(Effect::Send(to, reply));
                }
            }
            Cores::Auth(_) => self.drain_auth(),
            Cores::Scene(_) => {
                while let Cores::Scene(scene) = &mut self.cores
                    && let Some(envelope) = scene.poll_output()
                {
                    self.send(envelope);
                }
            }
            Cores::Gateway(_) => self.drain_gateway(),
        }
    }

    fn drain_world(&mut self) {
        while let Cores::World { world, .. } = &mut self.cores
            && let Some(envelope) = world.poll_output()
        {
            self.send(envelope);
        }
        while let Cores::World { beacon, .. } = &mut self.cores
            && let Some((to, reply)) = beacon.poll_output()
        {
            self.send_to(to, Message::BeaconReply(reply));
        }
        while let Cores::World { bus, .. } = &mut self.cores
            && let Some((to, event)) = bus.poll_output()
        {
            self.send_to(to, Message::BusEvent(event));
        }
    }

    fn drain_auth(&mut self) {
        while let Cores::Auth(auth) = &mut self.cores
            && let Some(output) = auth.poll_output()
        {
            match output {
                AuthOutput::Send(envelope) => self.send(envelope),
                AuthOutput::Hash { job, password } => {
                    let done = AuthInput::Hashed { job, phc: format!("hash of {password}") };
                    self.effects.push(Effect::Later(HASH_TIME, done));
                }
                AuthOutput::Verify { job, password, phc } => {
                    let done = AuthInput::Verified { job, ok: phc == format!("hash of {password}") };
                    self.effects.push(Effect::Later(HASH_TIME, done));
                }
            }
        }
    }

    fn drain_gateway(&mut self) {
        while let Cores::Gateway(gateway) = &mut self.cores
            && let Some(output) = gateway.poll_output()
        {
            match output {
                GatewayOutput::Send(envelope) => self.send(envelope),
                GatewayOutput::ToClient { conn, bytes } => self.effects.push(Effect::ToClient(conn, bytes)),
                GatewayOutput::Close { conn, .. } => self.effects.push(Effect::Close(conn)),
                // Simulated clients do not flood: their reading is never held back for long.
                GatewayOutput::PauseReading { .. } | GatewayOutput::ResumeReading { .. } => {}
            }
        }
    }
}

fn info(node: NodeId, nonce: Nonce, shared: &Shared) -> NodeInfo {
    NodeInfo {
        node,
        nonce,
        pid: 0,
        address: node.to_string(),
        client_tcp: String::new(),
        client_ws: String::new(),
        http: String::new(),
        registry: shared.game.registry_hash(),
        draining: false,
    }
}
