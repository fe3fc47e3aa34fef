//! A game: what its types are and which systems run, as plugin functions say.
//!
//! A plugin is `fn(&mut Game)`, one feature per file. The game's root plugin calls the others; [`Game::build`] runs it once,
//! checks everything and dry-runs the schedule. Each shard runs it again for a schedule of its own, so plugins must not depend
//! on anything but their source.

use std::fmt;
use std::sync::Arc;

use bevy_ecs::component::{Component, Mutable};
use bevy_ecs::error::{BevyError, ErrorContext, FallbackErrorHandler};
use bevy_ecs::schedule::{IntoScheduleConfigs, LogLevel, Schedule, ScheduleBuildSettings};
use bevy_ecs::schedule::{SingleThreadedExecutor, SystemSet};
use bevy_ecs::system::ScheduleSystem;
use bevy_ecs::world::World;
use pangaea_schemas::geometry::{ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::record::RECORD_COMPONENTS_MAX;
use pangaea_schemas::registry::{Dialect, FIELDS_MAX, Registry, TYPE_BYTES_MAX, TYPES_MAX, TypeInfo};
use pangaea_schemas::rules::{TUNABLES_MAX, TuneRefusal, TuneSpec};
use pangaea_schemas::{RegistryHash, TickRate, TypeId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ecs::kinds::{ComponentKind, Kinds, MessageKind};
use crate::ecs::tunables::TunableKind;
use crate::ecs::{Birthing, Plain, Player, Position, Seeding, Tied, Tunables, Velocity, install};
use crate::layouts::{self, Layouts};
use crate::profile::{self, Probe};
use crate::scripts::{self, Engine, Fault, Words};

/// The parts of Simulate, in this order. Systems of one phase that touch the same data need `.before` or `.after`.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Apply what clients want.
    Input,
    /// Decide what creatures want.
    Decide,
    /// Do it: attack, pick up, talk.
    Act,
    /// Go there.
    Move,
    /// What follows from it: damage, death, healing, timers.
    React,
}

impl Phase {
    /// In order.
    pub const ALL: [Self; 5] = [Self::Input, Self::Decide, Self::Act, Self::Move, Self::React];
}

/// Everything that is wrong with a game, each with its fix.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the game does not fit together:\n{}", .0.iter().map(|fault| format!("- {fault}")).collect::<Vec<_>>().join("\n"))]
pub struct GameError(pub Vec<GameFault>);

/// One thing wrong with a game.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GameFault {
    /// Two types of one sort with one name.
    #[error("`{first}` and `{second}` are both the {sort} `{name}`: give one another name, as in `#[{sort}(name = \"…\")]`")]
    Name {
        /// Component, input, event or effect.
        sort: &'static str,
        /// The name.
        name: String,
        /// The earlier type's path.
        first: &'static str,
        /// The later type's path.
        second: &'static str,
    },
    /// Two names with one id.
    #[error("the {sort}s `{first}` and `{second}` have the same id by chance: rename one of them")]
    Id {
        /// Component, input, event or effect.
        sort: &'static str,
        /// The earlier name.
        first: &'static str,
        /// The later name.
        second: &'static str,
    },
    /// Clients could send what only entities may do to each other.
    #[error("`{name}` is both an input and an effect: write one struct for each")]
    Both {
        /// The type.
        name: &'static str,
    },
    /// A type beyond a bound.
    #[error("the {sort} `{name}` has {size} bytes and {fields} fields: split it, {TYPE_BYTES_MAX} and {FIELDS_MAX} are possible")]
    Size {
        /// Component, input, event or effect.
        sort: &'static str,
        /// The type.
        name: &'static str,
        /// Its bytes.
        size: usize,
        /// Its fields.
        fields: usize,
    },
    /// Too many types.
    #[error("{count} {sort}s are registered; at most {max} are possible: join some of them")]
    Count {
        /// Component, input, event or effect.
        sort: &'static str,
        /// Registered.
        count: usize,
        /// Possible.
        max: usize,
    },
    /// A flag that the component cannot have.
    #[error("clients cannot read the codec component `{name}`: make it a `#[component]` with `Text<N>` or arrays")]
    CodecReplicated {
        /// The component.
        name: &'static str,
    },
    /// Two groups of tunables with one name.
    #[error("`{first}` and `{second}` are both the tunables `{name}`: give one another name, as in `#[tunable(name = \"…\")]`")]
    Tunables {
        /// The name.
        name: &'static str,
        /// The earlier type's path.
        first: &'static str,
        /// The later type's path.
        second: &'static str,
    },
    /// A tunable that begins outside its own range.
    #[error("a tunable begins with what it may not be: {0}; widen its range or begin with another value")]
    Tunable(TuneRefusal),
    /// Too many tunables.
    #[error("{0} tunables are registered; at most {TUNABLES_MAX} are possible: make constants of some")]
    TooManyTunables(usize),
    /// Retired, and there.
    #[error("`{0}` is said to be retired, but it is registered: remove one of the two lines")]
    Retired(&'static str),
    /// State that moves with nobody.
    #[error(
        "systems use `{name}`, which is not registered: add `game.component::<{short}>()`, with `.persistent()` if it is to last; \
         state that is no component does not move with its shard"
    )]
    Unregistered {
        /// The type's path.
        name: String,
        /// The type's name.
        short: String,
    },
    /// Systems without order, in a circle, or in conflict with themselves.
    #[error("the systems have no order: {0}\n  say who comes first with `.before(other)` or `.after(other)`, or use two phases")]
    Order(String),
}

/// A game under construction: what plugins fill.
pub struct Game {
    pub(crate) kinds: Kinds,
    /// Kept as a schedule, which other threads may hold; systems on their own may not leave theirs.
    systems: Schedule,
    pub(crate) spawners: Vec<fn(&mut Seeding)>,
    pub(crate) births: Vec<fn(&mut Birthing)>,
    engine: Option<Arc<dyn Engine>>,
    faults: Vec<GameFault>,
}

/// A game whose plugins fit together. Holds no systems, so threads may share it: each shard runs the plugins for its own.
#[derive(Clone, Debug)]
pub struct BuiltGame {
    root: fn(&mut Game),
    registry: Registry,
    components: Arc<[TypeInfo]>,
    layouts: Arc<Layouts>,
    dialect: Dialect,
    tunables: Arc<[TuneSpec]>,
    scripting: Scripting,
    pub(crate) abundance: u16,
}

impl BuiltGame {
    /// What it keeps and says, to be compared with another build's.
    pub fn layouts(&self) -> &Arc<Layouts> {
        &self.layouts
    }

    /// What each of its types is made of, in short: two nodes compare it before they talk.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    /// What clients are told of the game's types.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Hash of [`Self::registry`].
    pub fn registry_hash(&self) -> RegistryHash {
        self.registry.hash()
    }

    /// All components, in order of registration, those that clients do not see included. One that serde encodes has no fields and
    /// no size.
    pub fn components(&self) -> &[TypeInfo] {
        &self.components
    }

    /// What designers may set while the world runs, in order of registration.
    pub fn tunables(&self) -> &[TuneSpec] {
        &self.tunables
    }

    /// All that scripts of this game may name.
    pub fn script_words(&self) -> &Words {
        &self.scripting.words
    }

    /// What editors are told about scripts of this game; `None`: it has none.
    pub fn script_definitions(&self) -> Option<String> {
        self.scripting.engine.as_ref().map(|engine| engine.definitions(&self.scripting.words))
    }

    /// Reads a script as a shard would.
    ///
    /// # Errors
    /// It cannot be understood, or this game has no scripts.
    pub fn check_script(&self, name: &str, source: &str) -> Result<(), Fault> {
        let none = || Fault { script: name.to_owned(), text: NO_ENGINE.to_owned(), ..Fault::default() };
        let engine = self.scripting.engine.as_ref().ok_or_else(none)?;
        engine.load(name, source, &self.scripting.words).map(drop)
    }

    /// The same game with so many times the usual life in new shards, see [`Seeding::abundance`].
    #[must_use]
    pub fn with_abundance(self, abundance: u16) -> Self {
        Self { abundance, ..self }
    }

    /// A world and a schedule for one shard.
    pub(crate) fn shard(&self, shard: ShardId, space: &SpaceSpec, rate: TickRate, seed: u64) -> Parts {
        match Game::described(self.root).parts(shard, space, rate, seed) {
            Ok(parts) => parts,
            Err(fault) => {
                unreachable!("a checked game has a fault only if its plugins depend on more than their source: {fault}")
            }
        }
    }
}

/// What it takes to read scripts.
#[derive(Clone)]
struct Scripting {
    engine: Option<Arc<dyn Engine>>,
    words: Arc<Words>,
}

impl fmt::Debug for Scripting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.engine.is_some() { "Scripting" } else { "NoScripting" })
    }
}

/// What a script is told in a game that did not ask for any.
const NO_ENGINE: &str = "this game has no scripts: add `game.plugin(pangaea_script::plugin)`";

/// What one shard needs of a game.
pub(crate) struct Parts {
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) schedule: Schedule,
    /// Hears which of the schedule's systems runs.
    pub(crate) probe: Probe,
    pub(crate) world: World,
    pub(crate) spawners: Vec<fn(&mut Seeding)>,
    pub(crate) births: Vec<fn(&mut Birthing)>,
}

impl Game {
    /// Run the root plugin and check what it says.
    ///
    /// # Errors
    /// Names everything that does not fit together: double names, sizes, systems without order.
    pub fn build(root: fn(&mut Self)) -> Result<BuiltGame, GameError> {
        let mut game = Self::described(root);
        game.check();
        if game.faults.is_empty() {
            let space = SpaceSpec { space: SpaceId(0), name: "check".to_owned(), level: 0, shard_level: 0 };
            let dry_run = Self::described(root).parts(space.root(), &space, TickRate::DEFAULT, 0);
            match dry_run {
                Ok(parts) => game.faults.extend(unregistered(&parts.world, &parts.kinds)),
                Err(fault) => game.faults.push(fault),
            }
        }
        let faults = std::mem::take(&mut game.faults);
        if !faults.is_empty() {
            return Err(GameError(faults));
        }
        let tunables = game.kinds.tunables.iter().flat_map(|kind| kind.specs.iter().cloned()).collect();
        let scripting = Scripting { engine: game.engine.take(), words: Arc::new(game.kinds.words()) };
        let registry = game.describe();
        let layouts = Arc::new(Layouts::of(registry.hash().to_string(), &game.kinds));
        let dialect = layouts::dialect(&game.kinds);
        let encoded = |kind: &ComponentKind| TypeInfo { id: kind.id, name: kind.name.to_owned(), size: 0, fields: Vec::new() };
        let components = game.kinds.components.iter().map(|kind| kind.info.clone().unwrap_or_else(|| encoded(kind))).collect();
        Ok(BuiltGame { root, registry, components, layouts, dialect, tunables, scripting, abundance: 1 })
    }

    fn described(root: fn(&mut Self)) -> Self {
        let mut game = Self {
            kinds: Kinds::default(),
            systems: Schedule::default(),
            spawners: Vec::new(),
            births: Vec::new(),
            engine: None,
            faults: Vec::new(),
        };
        game.component::<Player>().replicated().persistent().ghosted();
        game.component::<Velocity>();
        game.component::<Tied>().persistent();
        root(&mut game);
        game
    }

    /// Add a feature.
    pub fn plugin(&mut self, plugin: fn(&mut Self)) -> &mut Self {
        plugin(self);
        self
    }

    /// Register a plain component. Unregistered components neither move with their entity nor last.
    pub fn component<T: Plain + Component<Mutability = Mutable>>(&mut self) -> Registered<'_> {
        self.add_component(ComponentKind::plain::<T>())
    }

    /// Register a component with strings or vectors as `name`. It may last and be ghosted; clients cannot read it.
    pub fn codec_component<T>(&mut self, name: &'static str) -> Registered<'_>
    where
        T: Component<Mutability = Mutable> + Serialize + DeserializeOwned,
    {
        self.add_component(ComponentKind::codec::<T>(name))
    }

    fn add_component(&mut self, kind: ComponentKind) -> Registered<'_> {
        self.kinds.components.push(kind);
        let last = self.kinds.components.len() - 1;
        Registered { kind: &mut self.kinds.components[last] }
    }

    /// Register what clients may send; read it with `Inputs<T>`.
    pub fn input<T: Plain>(&mut self) -> &mut Self {
        self.kinds.inputs.push(MessageKind::incoming::<T>());
        self
    }

    /// Register what players are told; send it with `Events`.
    pub fn event<T: Plain>(&mut self) -> &mut Self {
        self.kinds.events.push(MessageKind::outgoing::<T>());
        self
    }

    /// Register what entities do to each other; send it with `Effects`, read it with `Received<T>`.
    pub fn effect<T: Plain>(&mut self) -> &mut Self {
        self.kinds.effects.push(MessageKind::incoming::<T>());
        self
    }

    /// The type of this name was taken out of the game, on purpose: such a build may be deployed. Entities carry a component that
    /// was retired on as it is, so whoever takes the deploy back has it again.
    pub fn retired(&mut self, name: &'static str) -> &mut Self {
        self.kinds.retired.push(name);
        self
    }

    /// Register a group of tunables; read it with `Tunable<T>`.
    pub fn tunable<T: Tunables>(&mut self) -> &mut Self {
        self.kinds.tunables.push(TunableKind::of::<T>());
        self
    }

    /// Let designers write systems as scripts of this language.
    pub fn script_engine(&mut self, engine: impl Engine) -> &mut Self {
        self.engine = Some(Arc::new(engine));
        self
    }

    /// Run systems in each tick.
    pub fn system<M>(&mut self, phase: Phase, systems: impl IntoScheduleConfigs<ScheduleSystem, M>) -> &mut Self {
        self.systems.add_systems(systems.in_set(phase));
        self
    }

    /// Fill a new shard, once in its life.
    pub fn spawner(&mut self, spawner: fn(&mut Seeding)) -> &mut Self {
        self.spawners.push(spawner);
        self
    }

    /// Give a new player's agent what it starts with. Runs in order of registration.
    pub fn birth(&mut self, birth: fn(&mut Birthing)) -> &mut Self {
        self.births.push(birth);
        self
    }

    fn parts(&mut self, shard: ShardId, space: &SpaceSpec, rate: TickRate, seed: u64) -> Result<Parts, GameFault> {
        let mut world = World::new();
        world.insert_resource(FallbackErrorHandler(log_system_error));
        install(&mut world, &self.kinds, shard, space, rate, seed);
        let mut schedule = std::mem::take(&mut self.systems);
        schedule.set_executor(SingleThreadedExecutor::new());
        schedule.set_build_settings(ScheduleBuildSettings {
            ambiguity_detection: LogLevel::Error,
            hierarchy_detection: LogLevel::Error,
            ..ScheduleBuildSettings::default()
        });
        let [input, decide, act, go, react] = Phase::ALL;
        schedule.configure_sets((input, decide, act, go, react).chain());
        let probe = Probe::default();
        profile::observe(&mut schedule, &probe);
        let kinds = Arc::new(std::mem::take(&mut self.kinds));
        if let Some(engine) = self.engine.take() {
            scripts::install(&mut world, &mut schedule, engine, Arc::clone(&kinds), probe.clone());
        }
        if let Err(error) = schedule.initialize(&mut world) {
            return Err(GameFault::Order(error.to_string(schedule.graph(), &world)));
        }
        let (spawners, births) = (self.spawners.clone(), self.births.clone());
        Ok(Parts { kinds, schedule, probe, world, spawners, births })
    }

    fn describe(&self) -> Registry {
        let components = self.kinds.components.iter().filter(|kind| kind.replicated);
        let infos = |kinds: &[MessageKind]| kinds.iter().map(|kind| kind.info.clone()).collect();
        Registry {
            components: components.filter_map(|kind| kind.info.clone()).collect(),
            inputs: infos(&self.kinds.inputs),
            events: infos(&self.kinds.events),
        }
    }

    fn check(&mut self) {
        let kinds = &self.kinds;
        // Positions have their own place in feeds and records.
        let position = ComponentKind::plain::<Position>();
        let mut components = Vec::new();
        for kind in std::iter::once(&position).chain(&kinds.components) {
            components.push(Declared::new(kind.id, kind.name, kind.rust, kind.info.as_ref()));
            components.extend(kind.formers.iter().map(|f| Declared::new(f.id, kind.name, kind.rust, Some(&f.info))));
        }
        let messages = |kinds: &[MessageKind]| -> Vec<Declared> {
            kinds.iter().map(|k| Declared::new(k.id, k.name, k.rust, Some(&k.info))).collect()
        };
        let sorts = [
            ("component", components, RECORD_COMPONENTS_MAX),
            ("input", messages(&kinds.inputs), TYPES_MAX),
            ("event", messages(&kinds.events), TYPES_MAX),
            ("effect", messages(&kinds.effects), TYPES_MAX),
        ];
        for (sort, types, max) in sorts {
            check_sort(sort, &types, max, &mut self.faults);
        }
        for input in kinds.inputs.iter().filter(|input| kinds.effects.iter().any(|effect| effect.id == input.id)) {
            self.faults.push(GameFault::Both { name: input.name });
        }
        for kind in kinds.components.iter().filter(|kind| kind.replicated && kind.info.is_none()) {
            self.faults.push(GameFault::CodecReplicated { name: kind.name });
        }
        let is_there = |name: &&&str| {
            let messages = || kinds.inputs.iter().chain(&kinds.events).chain(&kinds.effects);
            kinds.components.iter().any(|kind| kind.name == **name) || messages().any(|kind| kind.name == **name)
        };
        self.faults.extend(kinds.retired.iter().filter(is_there).map(|name| GameFault::Retired(name)));
        check_tunables(&kinds.tunables, &mut self.faults);
    }
}

/// The flags of a component just registered.
pub struct Registered<'g> {
    kind: &'g mut ComponentKind,
}

impl Registered<'_> {
    /// Clients see it.
    pub fn replicated(self) -> Self {
        self.kind.replicated = true;
        self
    }

    /// It lasts over logout, crash and restart.
    pub fn persistent(self) -> Self {
        self.kind.persistent = true;
        self
    }

    /// Neighbour shards' systems see it near the border.
    pub fn ghosted(self) -> Self {
        self.kind.ghosted = true;
        self
    }
}

struct Declared {
    id: TypeId,
    name: &'static str,
    rust: &'static str,
    size: usize,
    fields: usize,
}

impl Declared {
    fn new(id: TypeId, name: &'static str, rust: &'static str, info: Option<&TypeInfo>) -> Self {
        Self { id, name, rust, size: info.map_or(0, |i| i.size.into()), fields: info.map_or(0, |i| i.fields.len()) }
    }
}

fn check_sort(sort: &'static str, types: &[Declared], max: usize, faults: &mut Vec<GameFault>) {
    if types.len() > max {
        faults.push(GameFault::Count { sort, count: types.len(), max });
    }
    for (at, ty) in types.iter().enumerate() {
        if ty.size > TYPE_BYTES_MAX || ty.fields > FIELDS_MAX {
            faults.push(GameFault::Size { sort, name: ty.name, size: ty.size, fields: ty.fields });
        }
        let Some(first) = types[..at].iter().find(|earlier| earlier.id == ty.id) else { continue };
        faults.push(if first.name == ty.name {
            GameFault::Name { sort, name: ty.name.to_owned(), first: first.rust, second: ty.rust }
        } else {
            GameFault::Id { sort, first: first.name, second: ty.name }
        });
    }
}

/// What systems use beside registered components and what Pangaea itself has.
fn unregistered(world: &World, kinds: &Kinds) -> Vec<GameFault> {
    let own = |name: &str| ["bevy_ecs::", "pangaea_scene::"].iter().any(|path| name.starts_with(path));
    let names = world.components().iter_registered().map(|(_, info)| info.name().to_string());
    let foreign = names.filter(|name| !own(name) && !kinds.components.iter().any(|kind| kind.rust == name));
    let fault = |name: String| {
        let short = name.rsplit("::").next().unwrap_or(&name).to_owned();
        GameFault::Unregistered { name, short }
    };
    foreign.map(fault).collect()
}

fn check_tunables(groups: &[TunableKind], faults: &mut Vec<GameFault>) {
    let count = groups.iter().map(|group| group.specs.len()).sum();
    if count > TUNABLES_MAX {
        faults.push(GameFault::TooManyTunables(count));
    }
    for (at, group) in groups.iter().enumerate() {
        if let Some(first) = groups[..at].iter().find(|earlier| earlier.name == group.name) {
            faults.push(GameFault::Tunables { name: group.name, first: first.rust, second: group.rust });
        }
        let begin_outside = group.specs.iter().filter_map(|spec| spec.check(spec.initial.clone()).err());
        faults.extend(begin_outside.map(GameFault::Tunable));
    }
}

/// A system that returns an error, or a command that fails, is reported; the tick goes on.
fn log_system_error(error: BevyError, context: ErrorContext) {
    tracing::error!(%error, context = %context, "a system failed");
}
