//! One shard's entities: a bevy world and one single-threaded schedule behind an interface of our own ids and records.
//!
//! A tick is [`ShardWorld::simulate`], then any number of [`ShardWorld::take`] and [`ShardWorld::put_to_sleep`], then
//! [`ShardWorld::publish`]. [`ShardWorld::snapshot`] is asked after `publish` and stands in for that tick's feed of the cell.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bevy_ecs::change_detection::Tick as ChangeTick;
use bevy_ecs::schedule::Schedule;
use bevy_ecs::world::{Mut, World};
use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, Position, ShardId, SpaceSpec};
use pangaea_schemas::message::{Birth, BusEvent, CellFeed, ClientInput, Effect, FeedFilter, FeedFrame, ScriptFault};
use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::rules::Rules;
use pangaea_schemas::wire::flat::RecordHead;
use pangaea_schemas::{EntityId, Tick, TickRate, TypeId};

use super::encoded::{Encoded, Extent};
use super::feed::Feed;
use super::ghosts::Ghosts;
use super::grid::Grid;
use super::ingest::{Birthing, Player, Seeding};
use super::kinds::{Kinds, Walker};
use super::ledger::{Answers, Settlement, Transfer};
use super::mail::{Newspaper, Outbox, Told};
use super::motion;
use super::population::Population;
use super::publish::border;
use super::records::record_with;
use super::senses::{IdPool, Now};
use super::settle::{Bounds, MovedQuery};
use crate::game::{BuiltGame, Parts};
use crate::profile::{Listener, Probe};
use crate::recording::Tape;
use crate::scripts::Desk;

/// An entity is reported as crossing once it stands this far outside its shard.
pub const CROSSING_HYSTERESIS_M: f32 = 2.0;

/// Ghosted feeds are made for cells at most this many rings from the shard's edge; neighbours follow no others.
pub const GHOST_RINGS: u16 = 1;

/// Most effects between entities of one shard in one tick.
const EFFECTS_PENDING_MAX: usize = 65_536;

/// A shard's entities, systems, cells, feed and ghosts.
pub struct ShardWorld {
    pub(crate) world: World,
    schedule: Schedule,
    probe: Probe,
    pub(crate) kinds: Arc<Kinds>,
    /// One per registered component, in the same order.
    pub(crate) walkers: Vec<Box<dyn Walker>>,
    pub(crate) moved: MovedQuery,
    /// What changed up to this change tick is published.
    pub(crate) since: ChangeTick,
    pub(crate) feed: Feed,
    pub(crate) bounds: Bounds,
    /// Per cell: whether neighbours may follow it.
    pub(crate) border: Vec<bool>,
    pub(crate) ghosts: Ghosts,
    /// Effects to entities here, for the next tick.
    pub(crate) pending: Vec<Effect>,
    /// Of entities that came in other layouts than this build writes: their hash as they came, until the copy is complete.
    pub(crate) translated: BTreeMap<EntityId, u64>,
    /// Effects that came and that this build does not know, by sort; at most as many sorts as a game may have.
    pub(crate) strange: BTreeSet<TypeId>,
    pub(crate) spawners: Vec<fn(&mut Seeding)>,
    pub(crate) abundance: u16,
    pub(crate) births: Vec<fn(&mut Birthing)>,
    /// Version of the rules that hold.
    rules: u64,
    /// All that comes from outside goes onto it while the shard is recorded: see [`crate::recording`].
    pub(crate) tape: Option<Box<Tape>>,
}

/// What a tick begins with. Each list is in order of arrival; the world applies all of it.
#[derive(Clone, Debug, Default)]
pub struct TickInput {
    /// Which tick runs.
    pub tick: Tick,
    /// Awake entities that come in: handed over, woken, recovered. Cells and sessions in them do not matter here.
    pub arrivals: Vec<Record>,
    /// Players' agents that enter the world for the first time.
    pub births: Vec<(EntityId, Birth)>,
    /// Whether a client is connected to a player's agent, when that changed.
    pub connected: Vec<(EntityId, bool)>,
    /// Who is put elsewhere by an admin.
    pub placements: Vec<(EntityId, Position)>,
    /// Already sequenced and checked for session.
    pub inputs: Vec<ClientInput>,
    /// From other shards, each once. Those to entities that are no longer here come out again in [`Simulated::effects`].
    pub effects: Vec<Effect>,
    /// Answers of the ledger.
    pub ledger: Vec<Settlement>,
    /// From the bus.
    pub news: Vec<BusEvent>,
    /// Neighbours' border cells under the ghosted filter, checked for epoch and gaps.
    pub ghosts: Vec<FeedFrame>,
    /// Neighbours that do not send any more: their ghosts stand still until a snapshot says otherwise.
    pub ghost_sources_lost: Vec<ShardId>,
    /// Scripts take no turn in this tick, and none is read: those of other shards of the scene took too long.
    pub scripts_rest: bool,
}

/// What came of [`ShardWorld::simulate`].
#[derive(Clone, Debug, Default)]
pub struct Simulated {
    /// Who stands beyond the hysteresis, again in each tick until taken, in order of id.
    pub crossings: Vec<Crossing>,
    /// Effects to entities that are not here, in order, with the shard that showed them as a ghost.
    pub effects: Vec<(Effect, Option<ShardId>)>,
    /// Reliable events to players' agents, in order.
    pub events: Vec<(EntityId, TypeId, Bytes)>,
    /// Changes of value that systems ask for, in order.
    pub ledger: Vec<Transfer>,
    /// Messages for the bus: subject and bytes.
    pub publish: Vec<(String, Bytes)>,
    /// Entities that systems made, in order.
    pub spawned: Vec<EntityId>,
    /// Entities that systems ended, in order.
    pub despawned: Vec<EntityId>,
}

/// An entity that stands in another shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Crossing {
    /// Who.
    pub entity: EntityId,
    /// The cell in which it stands.
    pub target: CellId,
    /// Who must go with it, in order of id; empty for most.
    pub group: Vec<EntityId>,
}

/// The tick's change feed. Cells without change are absent.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// For gateways.
    pub replicated: BTreeMap<CellId, Arc<CellFeed>>,
    /// For neighbour shards; border cells only.
    pub ghosted: BTreeMap<CellId, Arc<CellFeed>>,
    /// Entities of which a persistent component or the position changed, in no particular order; some more than once, and some
    /// are not here any more.
    pub dirty: Vec<EntityId>,
}

/// How full a shard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Real entities, players included.
    pub entities: u32,
    /// Players' agents.
    pub players: u32,
    /// Copies of neighbours' entities.
    pub ghosts: u32,
}

impl ShardWorld {
    /// An empty world for `shard`. The same seed and the same inputs give the same world.
    pub fn new(game: &BuiltGame, shard: ShardId, space: &SpaceSpec, rate: TickRate, seed: u64) -> Self {
        let Parts { kinds, schedule, probe, mut world, spawners, births } = game.shard(shard, space, rate, seed);
        let cells = world.resource::<Grid>().len();
        let walkers = kinds.components.iter().map(|kind| (kind.walker)(&mut world)).collect();
        let moved = world.query_filtered();
        world.clear_trackers();
        Self {
            since: world.last_change_tick(),
            feed: Feed::new(cells),
            bounds: Bounds { shard, space: space.clone(), outside: BTreeSet::new() },
            border: border(shard),
            ghosts: Ghosts::default(),
            pending: Vec::new(),
            translated: BTreeMap::new(),
            strange: BTreeSet::new(),
            world,
            schedule,
            probe,
            kinds,
            walkers,
            moved,
            spawners,
            abundance: game.abundance,
            births,
            rules: Rules::default().version,
            tape: None,
        }
    }

    /// Run the game's spawners: only for a shard that never had an owner. Needs ids, see [`Self::refill_ids`]; returns whom it
    /// made.
    pub fn populate(&mut self) -> Vec<EntityId> {
        self.seed()
    }

    /// From the next tick on these rules hold, those of scripts from the next in which scripts do not rest; they cost nothing
    /// when they hold already.
    pub fn rules_are(&mut self, rules: &Rules) {
        if self.rules != rules.version {
            self.rules = rules.version;
            self.on_tape(|tape| tape.hear_rules(rules));
            tune(&mut self.world, &self.kinds, rules);
            if let Some(mut desk) = self.world.get_resource_mut::<Desk>() {
                desk.rules_are(rules);
            }
        }
    }

    /// What the scripts' turns of the last tick cost together, in steps of their language.
    pub fn script_steps(&self) -> u64 {
        self.world.get_resource::<Desk>().map_or(0, Desk::steps)
    }

    /// Whether scripts rested in the last tick, see [`SCENE_STEPS_MAX`](crate::scripts::SCENE_STEPS_MAX).
    pub fn scripts_rest(&self) -> bool {
        self.world.get_resource::<Desk>().is_some_and(Desk::rest)
    }

    /// All that scripts took in the last tick, in steps of their language: those that failed and the reading of new ones, too.
    pub(crate) fn script_steps_spent(&self) -> u64 {
        self.world.get_resource::<Desk>().map_or(0, Desk::spent)
    }

    /// Scripts that are off here because they failed.
    pub fn script_faults(&self) -> impl Iterator<Item = &ScriptFault> {
        self.world.get_resource::<Desk>().into_iter().flat_map(Desk::faults)
    }

    /// `listener` hears when systems and scripts begin and end; `None`: nobody does.
    pub fn listen_to_systems(&self, listener: Option<Listener>) {
        self.probe.set(listener);
    }

    /// Ingest, then Simulate.
    pub fn simulate(&mut self, input: TickInput) -> Simulated {
        let ingested = self.ingest(input);
        self.run_systems(ingested)
    }

    /// Before the systems: scripts that are new are read, unless all rest in this tick.
    pub(crate) fn begin_scripts(&mut self, rest: bool) {
        if self.world.contains_resource::<Desk>() {
            self.world.resource_scope(|world, mut desk: Mut<Desk>| desk.begin_tick(world, rest));
        }
    }

    /// Simulate: the designers' systems, and what came of them beside what `out` holds from [`Self::ingest`].
    pub(crate) fn run_systems(&mut self, mut out: Simulated) -> Simulated {
        self.schedule.run(&mut self.world);
        self.clear_mail();
        out.despawned = self.unfile_ceased(None);
        out.spawned = self.file_newborns();
        self.settle_moved();
        out.crossings = self.crossings();
        self.empty_outbox(&mut out);
        self.on_tape(|tape| tape.hear_said(&out));
        out
    }

    /// The entity leaves for another shard's cell; followers hear `leave(to)`. Its full record: all registered components. The
    /// epoch and the session in it are default. `None`: it is not here.
    pub fn take(&mut self, entity: EntityId, to: CellId) -> Option<Record> {
        let record = self.record_of(entity, Presence::Awake, Extent::Whole);
        self.on_tape(|tape| tape.hear_exit(entity, Some(to)));
        self.remove(entity, Some(to), record)
    }

    /// The entity falls asleep: followers hear `leave(None)`. Its persistent record, as [`Presence::Asleep`].
    pub fn put_to_sleep(&mut self, entity: EntityId) -> Option<Record> {
        let record = self.record_of(entity, Presence::Asleep, Extent::Lasting);
        self.on_tape(|tape| tape.hear_exit(entity, None));
        self.remove(entity, None, record)
    }

    /// The tick's change feed: one walk over what changed, shared by all followers.
    pub fn publish(&mut self) -> Published {
        let published = self.publish_feed();
        self.end_taped_tick(&published);
        published
    }

    /// All that is in a cell of this shard now, for a new follower.
    pub fn snapshot(&self, cell: CellId, filter: FeedFilter) -> Arc<CellFeed> {
        Arc::new(self.cell_snapshot(cell, filter))
    }

    /// The entity's persistent components as they are now. The epoch and the session are default. `None` also for an entity
    /// without any: it is a view of something that lasts elsewhere, such as an item of the ledger.
    pub fn record(&self, entity: EntityId) -> Option<Record> {
        let mut encoded = Encoded::default();
        let head = self.lasting(entity, &mut encoded)?;
        Some(record_with(head, &encoded))
    }

    /// The same in its pieces, for whoever writes down many.
    pub(crate) fn lasting(&self, entity: EntityId, encoded: &mut Encoded) -> Option<RecordHead> {
        let position = self.encode(entity, Extent::Lasting, encoded)?;
        (encoded.parts().len() > 0).then(|| self.head(entity, Presence::Awake, position))
    }

    /// Where a real entity stands.
    pub fn position(&self, entity: EntityId) -> Option<Position> {
        self.world.get::<motion::Position>(self.real(entity)?).map(|position| (*position).into())
    }

    /// Give ids for entities that systems and spawners make: `count` of them from `first`.
    pub fn refill_ids(&mut self, first: EntityId, count: u64) {
        self.on_tape(|tape| tape.hear_ids(first, count));
        self.world.resource_mut::<IdPool>().refill(first, count);
    }

    /// Ids not used yet.
    pub fn ids_left(&self) -> u64 {
        self.world.resource::<IdPool>().left()
    }

    /// The last tick that it ran.
    pub fn tick(&self) -> Tick {
        self.world.resource::<Now>().tick
    }

    pub(crate) fn rate(&self) -> TickRate {
        self.world.resource::<Now>().rate
    }

    /// How full the shard is.
    pub fn counts(&self) -> Counts {
        let population = self.world.resource::<Population>();
        let players = self.world.try_query::<&Player>().map_or(0, |mut query| query.iter(&self.world).count());
        Counts { entities: population.len() as u32, players: players as u32, ghosts: population.ghosts_len() as u32 }
    }

    /// Hash of all that a migration or a replay must reproduce: registered components, positions, effects on their way, ids.
    pub fn state_hash(&self) -> u64 {
        self.hash_state()
    }

    /// Sort what systems sent: effects to entities here wait for the next tick, the rest goes out.
    fn empty_outbox(&mut self, out: &mut Simulated) {
        let Outbox { effects, events, news, ledger } = std::mem::take(&mut *self.world.resource_mut::<Outbox>());
        for effect in effects {
            if self.pending.len() < EFFECTS_PENDING_MAX && self.real(effect.to).is_some() {
                self.pending.push(effect);
            } else if self.real(effect.to).is_none() {
                let hint = self.shown_by(effect.to);
                out.effects.push((effect, hint));
            } else {
                tracing::error!(to = %effect.to, "too many effects in one tick; one is dropped");
            }
        }
        for Told { agent, id, bytes } in events {
            let player = self.real(agent).is_some_and(|entity| self.world.get::<Player>(entity).is_some());
            if !player {
                continue;
            }
            if self.kinds.events.iter().any(|kind| kind.id == id) {
                out.events.push((agent, id, bytes));
            } else {
                tracing::error!(event = id.0, "an event is sent that is not registered: add `game.event::<…>()`");
            }
        }
        out.publish = news.into_iter().map(|BusEvent { subject, bytes }| (subject, bytes)).collect();
        out.ledger = ledger;
    }
}

/// Put into a new world what systems find there.
pub(crate) fn install(world: &mut World, kinds: &Kinds, shard: ShardId, space: &SpaceSpec, rate: TickRate, seed: u64) {
    world.init_resource::<Population>();
    world.init_resource::<Outbox>();
    world.init_resource::<Newspaper>();
    world.init_resource::<Answers>();
    world.init_resource::<IdPool>();
    world.insert_resource(Grid::new(shard));
    world.insert_resource(Now { tick: Tick(0), rate, seed, space: space.clone(), shard });
    for kind in kinds.inputs.iter().chain(&kinds.effects) {
        (kind.install)(world);
    }
    tune(world, kinds, &Rules::default());
}

fn tune(world: &mut World, kinds: &Kinds, rules: &Rules) {
    for kind in &kinds.tunables {
        (kind.apply)(world, &kind.specs, rules);
    }
}
