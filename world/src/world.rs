//! The world server's core: an ECS tick loop over nodes, shards and managers.
//!
//! `handle` only queues; everything happens in `tick`, in the order of [`Phase`]. Each manager is one file with a `plugin` that
//! adds its resources and systems; designers add world systems the same way, in [`Phase::Simulate`].
//!
//! Nodes and shards are entities. Agents are not: ten million of them are rows of one compact map, see [`crate::agents`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bevy_ecs::error::{BevyError, ErrorContext, FallbackErrorHandler};
use bevy_ecs::prelude::{IntoScheduleConfigs, Resource, Schedule, SystemSet};
use bevy_ecs::schedule::{LogLevel, ScheduleBuildSettings, SingleThreadedExecutor};
use bevy_ecs::system::ScheduleSystem;
use bytes::Bytes;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Address, BusRequest, Envelope, Location, Message, NodeInfo};
use pangaea_schemas::rules::{Book, TuneSpec};
use pangaea_schemas::{EntityId, MigrationId, NodeId, RequestId, Tick, TickRate, Timestamp};

use crate::agents::Agents;
use crate::inbox::Inbox;
use crate::moves::MoveError;
use crate::passages::{Passage, Passages};
use crate::rules::{Desk, Wish};
use crate::shards::{Shard, ShardMap};
use crate::status::{Event, Status};
use crate::{agents, balance, chat, clock, gates, moves, nodes, parked, rules, shards, status};

/// Most messages that wait to be sent; beyond it the newest are dropped, their senders ask again.
pub const OUTBOX_MAX: usize = 262_144;

/// What a world server starts with.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// The cluster.
    pub spec: ClusterSpec,
    /// Of the weather and everything else that is random.
    pub seed: u64,
    /// The first shards are given out once this many scenes are there, or after [`shards::SPREAD_WAIT`].
    pub scenes_expected: usize,
    /// What designers may set while the world runs.
    pub tunables: Vec<TuneSpec>,
}

/// What happens in a tick, in this order.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Bus messages become readable for all that follow.
    Listen,
    /// Who came and who left.
    Nodes,
    /// What designers set.
    Rules,
    /// What scenes tell of shards on their way, who may be elsewhere by now.
    Moved,
    /// Who owns what; orders to scenes.
    Shards,
    /// Shards on their way by somebody's order.
    Moves,
    /// Whether more should be on their way.
    Balance,
    /// Where the agents are.
    Agents,
    /// Gateways.
    Edge,
    /// Clock, chat, and the systems of designers.
    Simulate,
    /// What admins see.
    Status,
}

/// When this tick is.
#[derive(Resource, Clone, Copy, Debug, Default)]
pub struct Now {
    /// The moment it was begun.
    pub at: Timestamp,
    /// Its number.
    pub tick: Tick,
}

/// [`WorldConfig`], for systems, with the moment of the start.
#[derive(Resource, Clone, Debug)]
pub struct Setting {
    /// As given.
    pub config: WorldConfig,
    /// When this world server started.
    pub started: Timestamp,
}

/// What leaves at the end of the tick.
#[derive(Resource, Debug, Default)]
pub struct Outbox {
    envelopes: VecDeque<Envelope>,
    last_request: u64,
    dropped: u64,
}

impl Outbox {
    /// Sends a message.
    pub fn send(&mut self, to: Address, message: Message) {
        if self.envelopes.len() >= OUTBOX_MAX {
            self.dropped += 1;
            return;
        }
        self.envelopes.push_back(Envelope { to, message });
    }

    /// Tells everybody who listens to `subject`.
    pub fn publish(&mut self, subject: &str, bytes: Bytes) {
        self.send(Address::Bus, Message::BusRequest(BusRequest::Publish { subject: subject.to_owned(), bytes }));
    }

    /// A name for the next question.
    pub fn request(&mut self) -> RequestId {
        self.last_request += 1;
        RequestId(self.last_request)
    }
}

/// What an admin asks of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send this gateway's clients, or this scene's shards, elsewhere and give it no new ones.
    Drain(NodeId),
    /// It may be used again.
    Undrain(NodeId),
}

/// Systems that cannot be put in order; the text names them and what they share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the world's systems have no order: {0}")]
pub struct ScheduleError(String);

/// The world server.
pub struct World {
    ecs: bevy_ecs::world::World,
    schedule: Schedule,
    rate: TickRate,
    last_tick: Tick,
}

impl World {
    /// A world that knows nobody yet.
    pub fn new(now: Timestamp, config: WorldConfig) -> Self {
        let (rate, tunables) = (config.spec.tick_rate, Arc::from(config.tunables.as_slice()));
        let first_cut = config.spec.spaces.iter().map(|space| space.shard_level).max().unwrap_or(0);
        let mut ecs = bevy_ecs::world::World::new();
        ecs.insert_resource(FallbackErrorHandler(log_system_error));
        ecs.insert_resource(Setting { config, started: now });
        ecs.insert_resource(Now { at: now, tick: rate.tick_at(now) });
        ecs.init_resource::<Inbox>();
        ecs.init_resource::<Outbox>();
        let mut world = Self { ecs, schedule: schedule(), rate, last_tick: rate.tick_at(now) };
        status::plugin(&mut world, now);
        nodes::plugin(&mut world);
        rules::plugin(&mut world, tunables);
        shards::plugin(&mut world);
        moves::plugin(&mut world, now);
        balance::plugin(&mut world, first_cut);
        agents::plugin(&mut world);
        gates::plugin(&mut world);
        clock::plugin(&mut world);
        chat::plugin(&mut world);
        world
    }

    /// Adds systems to a phase. Two systems of a phase that touch the same data need a stated order.
    pub fn add_systems<M>(&mut self, phase: Phase, systems: impl IntoScheduleConfigs<ScheduleSystem, M>) -> &mut Self {
        self.schedule.add_systems(systems.in_set(phase));
        self
    }

    /// Adds state that systems share.
    pub fn insert_resource(&mut self, resource: impl Resource) -> &mut Self {
        self.ecs.insert_resource(resource);
        self
    }

    /// Subscribes to bus messages; systems find them in [`crate::inbox::Heard`].
    pub fn subscribe(&mut self, prefix: &str) -> &mut Self {
        let subscribe = Message::BusRequest(BusRequest::Subscribe { prefix: prefix.to_owned() });
        self.ecs.resource_mut::<Outbox>().send(Address::Bus, subscribe);
        self
    }

    /// Checks the order of all systems before the first tick.
    ///
    /// # Errors
    /// When two systems could run in either order, naming both.
    pub fn check(&mut self) -> Result<(), ScheduleError> {
        let built = self.schedule.initialize(&mut self.ecs).map(|_| ());
        built.map_err(|error| ScheduleError(error.to_string(self.schedule.graph(), &self.ecs)))
    }

    /// Queues a message for the next tick.
    pub fn handle(&mut self, _now: Timestamp, from: NodeId, message: Message) {
        self.ecs.resource_mut::<Inbox>().push(from, message);
    }

    /// Queues an admin's order for the next tick.
    pub fn order(&mut self, order: Order) {
        self.ecs.resource_mut::<Inbox>().order(order);
    }

    /// Runs one tick.
    pub fn tick(&mut self, now: Timestamp, tick: Tick) {
        self.last_tick = tick;
        self.ecs.insert_resource(Now { at: now, tick });
        self.schedule.run(&mut self.ecs);
        self.ecs.clear_trackers();
    }

    /// The next message to send.
    pub fn poll_output(&mut self) -> Option<Envelope> {
        self.ecs.resource_mut::<Outbox>().envelopes.pop_front()
    }

    /// When the next tick is.
    pub fn poll_timeout(&self) -> Option<(Timestamp, &'static str)> {
        Some((self.rate.start_of(self.last_tick.next()), "tick"))
    }

    /// Everything admins see, as of the last tick.
    pub fn status(&mut self) -> Status {
        status::snapshot(&mut self.ecs)
    }

    /// What happened after the event numbered `seq`, oldest first; older events than [`status::EVENTS_MAX`] are forgotten.
    pub fn events_after(&self, seq: u64) -> Vec<Event> {
        self.ecs.resource::<status::Events>().after(seq)
    }

    /// Where an agent is, as its shard told last; `None`: it is not known, or the shard has no owner now.
    pub fn locate(&self, agent: EntityId) -> Option<Location> {
        self.location(self.ecs.resource::<Agents>().shard_of(agent)?)
    }

    /// The last hand-overs of an entity, the latest first.
    pub fn passages_of(&self, entity: EntityId) -> Vec<Passage> {
        self.ecs.resource::<Passages>().of(entity)
    }

    /// Who runs a shard.
    pub fn location(&self, shard: ShardId) -> Option<Location> {
        self.ecs.get::<Shard>(self.ecs.resource::<ShardMap>().entity(shard)?)?.location()
    }

    /// The gateway that the next client should use.
    pub fn gateway_for_client(&mut self) -> Option<NodeInfo> {
        gates::for_client(&mut self.ecs)
    }

    /// Moves a shard to another scene while it runs; the number of the move. `is_trial`: only says whether it would.
    ///
    /// # Errors
    /// Why it cannot be moved, in words for an admin.
    pub fn move_shard(&mut self, shard: ShardId, to: NodeId, is_trial: bool) -> Result<MigrationId, MoveError> {
        moves::order(&mut self.ecs, shard, to, is_trial)
    }

    /// Cuts a running shard into its four children, or (`merges`) makes it of them; the order's number. `is_trial`: only says
    /// whether it would.
    ///
    /// # Errors
    /// Why it cannot be, in words for an admin.
    pub fn recut(&mut self, shard: ShardId, merges: bool, is_trial: bool) -> Result<MigrationId, MoveError> {
        moves::order_recut(&mut self.ecs, shard, merges, is_trial)
    }

    /// Asks for a move to end where it began. `false`: it is over. It may be too late all the same.
    pub fn cancel_move(&mut self, id: MigrationId) -> bool {
        moves::cancel(&mut self.ecs, id)
    }

    /// Lets a parked agent play again; the shard where it rests. `None`: no such agent is parked. Its shard's owner is told until
    /// it no longer reports the agent as parked.
    pub fn release(&mut self, agent: EntityId) -> Option<ShardId> {
        parked::release(&mut self.ecs, agent)
    }

    /// Lets the balancer carry out its plans, or not any more.
    pub fn switch_balance(&mut self, on: bool) {
        balance::switch(&mut self.ecs, on);
    }

    /// Queues a change of the rules for the next tick.
    pub fn wish(&mut self, wish: Wish) {
        self.ecs.resource_mut::<Desk>().wish(wish);
    }

    /// What somebody wants cannot even be understood: tells admins.
    pub fn refuse(&mut self, by: &str, reason: String) {
        rules::refuse(&mut self.ecs, by, reason);
    }

    /// What designers have set; `None`: it was not read yet.
    pub fn book(&self) -> Option<Arc<Book>> {
        self.ecs.resource::<Desk>().book()
    }

    /// Messages dropped since start: received over a bound, and not sent over a bound.
    pub fn dropped(&self) -> (u64, u64) {
        (self.ecs.resource::<Inbox>().dropped(), self.ecs.resource::<Outbox>().dropped)
    }
}

/// Repeats what nobody answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    next: Option<Timestamp>,
    every: Duration,
}

impl Repeat {
    /// Due at once, then after `every`.
    pub(crate) fn every(every: Duration) -> Self {
        Self { next: None, every }
    }

    /// Whether to ask (again) now.
    pub(crate) fn due(&mut self, now: Timestamp) -> bool {
        let due = self.next.is_none_or(|next| next <= now);
        if due {
            self.next = Some(now + self.every);
        }
        due
    }
}

fn schedule() -> Schedule {
    let mut schedule = Schedule::default();
    schedule.set_executor(SingleThreadedExecutor::new());
    schedule.set_build_settings(ScheduleBuildSettings { ambiguity_detection: LogLevel::Error, ..Default::default() });
    schedule.configure_sets(
        (
            Phase::Listen,
            Phase::Nodes,
            Phase::Rules,
            Phase::Moved,
            Phase::Shards,
            Phase::Moves,
            Phase::Balance,
            Phase::Agents,
            Phase::Edge,
            Phase::Simulate,
            Phase::Status,
        )
            .chain(),
    );
    schedule
}

/// A failed system costs its own work in this tick, not the world.
fn log_system_error(error: BevyError, context: ErrorContext) {
    tracing::error!(kind = context.kind(), name = %context.name(), %error, "a world system failed");
}
