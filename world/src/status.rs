//! What admins see: a snapshot as plain data, and the last events with their numbers.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bevy_ecs::prelude::{Resource, World as Ecs};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{ScriptFault, ShardPhase, WorldTime};
use pangaea_schemas::{EntityId, NodeId, Role, ShardEpoch, Tick, Timestamp};

use crate::agents::Agents;
use crate::balance::{self, BalanceStatus, Share};
use crate::clock::WorldClock;
use crate::custody::Custody;
use crate::moves::{Move, Moves};
use crate::nodes::{Node, Nodes};
use crate::shards::{Shard, ShardMap};
use crate::world::{Now, World};

/// Events that are remembered.
pub const EVENTS_MAX: usize = 4_096;

/// The cluster at one tick.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// When.
    pub tick: Tick,
    /// The world's clock.
    pub time: WorldTime,
    /// In order of name.
    pub nodes: Vec<NodeStatus>,
    /// In order of name.
    pub shards: Vec<ShardStatus>,
    /// Shards on their way, and the last that were, the oldest first.
    pub moves: Vec<Move>,
    /// What the balancer thinks and does.
    pub balance: BalanceStatus,
    /// Sessions of all gateways.
    pub sessions: u32,
    /// Rows of the directory.
    pub agents: usize,
    /// Number of the last event.
    pub last_event: u64,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Which.
    pub id: NodeId,
    /// What it does.
    pub role: Role,
    /// Operating system process.
    pub pid: u32,
    /// Host and port of its node listener.
    pub address: String,
    /// Host and port where clients connect over TCP; empty but for gateways.
    pub client_tcp: String,
    /// Host and port where clients connect over WebSocket; empty but for gateways.
    pub client_ws: String,
    /// Host and port of metrics and health.
    pub http: String,
    /// Whether it takes new work.
    pub state: NodeState,
    /// Since when it is here.
    pub joined: Timestamp,
    /// Ticks that started late, of scenes.
    pub late_ticks: u64,
    /// Version of the rules that it knows, of scenes.
    pub rules: u64,
    /// Scripts that are off in its shards because they failed, of scenes.
    pub faults: Vec<ScriptFault>,
    /// Sessions, of gateways.
    pub sessions: u32,
    /// Connections, of gateways.
    pub connections: u32,
    /// What it has to do, of scenes.
    pub has: Holding,
}

/// What a scene has to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Shards that it runs or is to run.
    pub shards: u32,
    /// Shards on their way to it.
    pub expected: u32,
    /// Entities in its shards.
    pub entities: u32,
    /// Smoothed part of a tick that its shards cost together.
    pub load: Share,
}

/// Whether a node takes new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Yes.
    Up,
    /// No.
    Draining,
    /// No, and it has none: it may be stopped.
    Drained,
}

impl NodeState {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Drained => "drained",
        }
    }
}

/// A shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardStatus {
    /// Which.
    pub id: ShardId,
    /// Who has it or is to have it.
    pub owner: Option<NodeId>,
    /// The highest epoch known.
    pub epoch: ShardEpoch,
    /// In a word: `running`, or why not.
    pub state: &'static str,
    /// As last reported by its owner; zero when nobody runs it.
    pub entities: u32,
    /// Agents with a session.
    pub players: u32,
    /// Ghosts of neighbours' entities.
    pub ghosts: u32,
    /// Tick time in milliseconds.
    pub tick_p50_ms: f32,
    /// Tick time in milliseconds.
    pub tick_p99_ms: f32,
    /// Share of the tick interval, 0 to 1 and above when overloaded.
    pub load: f32,
    /// Hand-overs begun since it runs.
    pub handovers_out: u64,
    /// Hand-overs taken since it runs.
    pub handovers_in: u64,
    /// Agents that rest here until they are released: their inputs ended the shard's owners.
    pub parked: Vec<EntityId>,
    /// An admin has stopped it: until it goes on by itself, and ticks that are still to be run one by one.
    pub paused: Option<(Duration, u32)>,
}

/// Something happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Rises by one. It starts at the microsecond in which this world server did, so those of its successor are higher.
    pub seq: u64,
    /// When the world heard of it.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A process registered.
    NodeJoined {
        /// Which.
        node: NodeId,
    },
    /// Its lease ended.
    NodeLeft {
        /// Which.
        node: NodeId,
    },
    /// A shard runs at a scene.
    ShardOwned {
        /// Which.
        shard: ShardId,
        /// Where.
        owner: NodeId,
        /// Under which epoch.
        epoch: ShardEpoch,
    },
    /// A shard lost its owner, or a claim failed.
    ShardVacant {
        /// Which.
        shard: ShardId,
        /// Who had it.
        was: NodeId,
    },
    /// An admin let the balancer act, or not any more.
    BalanceSwitched {
        /// It acts.
        on: bool,
    },
    /// Somebody wants a shard elsewhere.
    MoveOrdered {
        /// Which.
        shard: ShardId,
        /// Where from.
        from: NodeId,
        /// Where to.
        to: NodeId,
    },
    /// A shard was moved while it ran.
    Moved {
        /// Which.
        shard: ShardId,
        /// Where from.
        from: NodeId,
        /// Where to.
        to: NodeId,
        /// Microseconds in which nobody ticked it, beyond the interval of a tick.
        blackout_us: u64,
    },
    /// A shard became four while it ran, or four became one.
    Recut {
        /// The one.
        shard: ShardId,
        /// Whether it is one now.
        merged: bool,
        /// Where.
        at: NodeId,
        /// Microseconds in which nobody ticked it, beyond the interval of a tick.
        blackout_us: u64,
    },
    /// The map stays as it was cut.
    RecutFailed {
        /// The shard that should have become four, or one.
        shard: ShardId,
        /// Why.
        reason: String,
    },
    /// A shard stays where it was.
    MoveFailed {
        /// Which.
        shard: ShardId,
        /// Where it should have gone.
        to: NodeId,
        /// Why.
        reason: String,
    },
    /// A designer set a tunable, or let it be as the game begins with it.
    Tuned {
        /// Which.
        name: String,
        /// To what, in words.
        value: String,
        /// Who.
        by: String,
        /// In force from this tick on, everywhere.
        from: Tick,
    },
    /// A script failed in a shard, and is off there.
    ScriptFailed {
        /// Which, where and why.
        fault: Box<ScriptFault>,
    },
    /// What a designer wanted was not done.
    RulesRefused {
        /// Who.
        by: String,
        /// Why not.
        reason: String,
    },
    /// An admin has stopped a shard.
    Paused {
        /// Which.
        shard: ShardId,
    },
    /// A shard that an admin had stopped goes on.
    Resumed {
        /// Which.
        shard: ShardId,
    },
    /// An agent's inputs ended its shard's owners: it rests until somebody releases it.
    Parked {
        /// Who.
        agent: EntityId,
        /// Where.
        shard: ShardId,
    },
    /// A parked agent may play again.
    Released {
        /// Who.
        agent: EntityId,
        /// Where.
        shard: ShardId,
    },
    /// An agent went from one shard to another.
    Handover {
        /// Who.
        agent: EntityId,
        /// Where from.
        from: ShardId,
        /// Where to.
        to: ShardId,
    },
}

/// The last events.
#[derive(Resource, Debug, Default)]
pub struct Events {
    last: u64,
    ring: VecDeque<Event>,
}

impl Events {
    /// Notes an event; the oldest one goes when there are too many.
    pub fn push(&mut self, at: Timestamp, what: Happening) {
        self.last += 1;
        if self.ring.len() >= EVENTS_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back(Event { seq: self.last, at, what });
    }

    /// Events after `seq`, oldest first.
    pub fn after(&self, seq: u64) -> Vec<Event> {
        self.ring.iter().skip_while(|event| event.seq <= seq).cloned().collect()
    }
}

pub(crate) fn plugin(world: &mut World, started: Timestamp) {
    world.insert_resource(Events { last: started.0, ring: VecDeque::new() });
}

pub(crate) fn snapshot(ecs: &mut Ecs) -> Status {
    let holdings = holdings(ecs);
    let has = |node: &Node| holdings.get(&node.info.node).copied().unwrap_or_default();
    let nodes = ecs.resource::<Nodes>().entities().filter_map(|entity| ecs.get::<Node>(entity));
    let nodes: Vec<_> = nodes.map(|node| node_status(node, has(node))).collect();
    let shards = ecs.resource::<ShardMap>().entities().filter_map(|entity| ecs.get::<Shard>(entity)).map(shard_status);
    Status {
        tick: ecs.resource::<Now>().tick,
        time: ecs.resource::<WorldClock>().time,
        shards: shards.collect(),
        moves: ecs.resource::<Moves>().iter().cloned().collect(),
        balance: balance::status(ecs),
        sessions: nodes.iter().map(|node| node.sessions).sum(),
        nodes,
        agents: ecs.resource::<Agents>().len(),
        last_event: ecs.resource::<Events>().last,
    }
}

fn holdings(ecs: &Ecs) -> BTreeMap<NodeId, Holding> {
    let mut holdings: BTreeMap<NodeId, Holding> = BTreeMap::new();
    for shard in ecs.resource::<ShardMap>().entities().filter_map(|entity| ecs.get::<Shard>(entity)) {
        let Some(holder) = shard.custody.holder() else { continue };
        let has = holdings.entry(holder.node).or_default();
        has.shards += 1;
        has.entities += shard.report.as_ref().map_or(0, |report| report.entities);
        has.load += shard.usage.load();
    }
    for shift in ecs.resource::<Moves>().iter().filter(|shift| !shift.is_over()) {
        if let Some(to) = shift.news.to {
            holdings.entry(to).or_default().expected += 1;
        }
    }
    holdings
}

fn node_status(node: &Node, has: Holding) -> NodeStatus {
    let info = &node.info;
    NodeStatus {
        id: info.node,
        role: info.node.role,
        pid: info.pid,
        address: info.address.clone(),
        client_tcp: info.client_tcp.clone(),
        client_ws: info.client_ws.clone(),
        http: info.http.clone(),
        state: node_state(node, has),
        joined: node.joined,
        late_ticks: node.late_ticks,
        rules: node.rules,
        faults: node.faults.clone(),
        sessions: node.gateway.sessions,
        connections: node.gateway.connections,
        has,
    }
}

fn node_state(node: &Node, has: Holding) -> NodeState {
    let emptied = match node.info.node.role {
        Role::Scene => has.shards + has.expected == 0,
        // Gateways empty themselves, once they know.
        Role::World | Role::Data | Role::Auth | Role::Gateway => node.gateway.draining && node.gateway.connections == 0,
    };
    match node.is_open() && !node.gateway.draining {
        true => NodeState::Up,
        false if emptied => NodeState::Drained,
        false => NodeState::Draining,
    }
}

fn shard_status(shard: &Shard) -> ShardStatus {
    let report = shard.report.as_ref().filter(|_| shard.custody.holder().is_some());
    ShardStatus {
        id: shard.id,
        owner: shard.custody.holder().map(|holder| holder.node),
        epoch: shard.epoch,
        state: state_name(shard.custody, report.map(|report| report.phase)),
        entities: report.map_or(0, |r| r.entities),
        players: report.map_or(0, |r| r.players),
        ghosts: report.map_or(0, |r| r.ghosts),
        tick_p50_ms: report.map_or(0.0, |r| r.tick_p50_us as f32 / 1_000.0),
        tick_p99_ms: report.map_or(0.0, |r| r.tick_p99_us as f32 / 1_000.0),
        load: report.map_or(0.0, |r| r.load_permille as f32 / 1_000.0),
        handovers_out: report.map_or(0, |r| r.handovers_out),
        handovers_in: report.map_or(0, |r| r.handovers_in),
        parked: report.map_or_else(Vec::new, |r| r.parked.clone()),
        paused: report.filter(|r| r.paused_ms > 0).map(|r| (Duration::from_millis(r.paused_ms.into()), r.paused_steps)),
    }
}

fn state_name(custody: Custody, phase: Option<ShardPhase>) -> &'static str {
    match custody {
        Custody::Unknown => "unknown",
        Custody::Recalled { .. } => "recalled",
        Custody::Vacant { .. } => "vacant",
        Custody::Ordered { .. } => "ordered",
        Custody::Starting { .. } => "starting",
        Custody::Owned { .. } if phase == Some(ShardPhase::Unconfirmed) => "unconfirmed",
        Custody::Owned { .. } => "running",
    }
}
