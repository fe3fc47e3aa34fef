//! A little world to try a feature in: build it from a plugin, put someone there, send inputs, tick, look. See the example in
//! [`crate::prelude`].

use std::sync::Arc;

use bevy_ecs::bundle::Bundle;
use bevy_ecs::component::Component;
use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::message::{Birth, CellFeed, ClientInput, Effect, Enter, FeedFrame, LedgerResult, OpId, ScriptFault};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::recording::{RECORDING_SECONDS_MAX, Recording};
use pangaea_schemas::rules::{Rules, ScriptRule, Source, TuneSpec, TuneValue};
use pangaea_schemas::{AccountId, EntityId, InSeq, SessionEpoch, ShardEpoch, Tick, TickRate, TypeId};

use crate::ecs::{
    Copied, Plain, Player, Position, Published, Settlement, ShardWorld, Simulated, TickInput, Transfer, Velocity, ghost_motion,
};
use crate::game::{BuiltGame, Game};
use crate::recording::{Order, Replay};

/// Ids of a harness begin here; those below are for tests that need their own.
const FIRST_ID: u64 = 1_000;

/// One shard of 8 × 8 cells in the middle of a space of 1 km, ticking at 20 Hz. Its world is the real one.
pub struct Harness {
    /// The shard's world, for what the harness does not offer.
    pub world: ShardWorld,
    /// What came of the last tick.
    pub last: Simulated,
    /// The last tick's feed.
    pub feed: Published,
    shard: ShardId,
    input: TickInput,
    tick: Tick,
    next_id: u64,
    told: Vec<(EntityId, TypeId, Bytes)>,
    tunables: Vec<TuneSpec>,
    rules: Rules,
    game: BuiltGame,
}

impl Harness {
    /// A world with this plugin alone.
    ///
    /// # Panics
    /// When the plugin does not fit together; says why.
    pub fn new(plugin: fn(&mut Game)) -> Self {
        let game = match Game::build(plugin) {
            Ok(game) => game,
            Err(error) => panic!("{error}"),
        };
        Self::of(game)
    }

    fn of(game: BuiltGame) -> Self {
        let space = SpaceSpec { space: SpaceId(0), name: "harness".to_owned(), level: 5, shard_level: 3 };
        let shard = ShardId { space: space.space, level: 3, x: 2, z: 2 };
        let mut world = ShardWorld::new(&game, shard, &space, TickRate::DEFAULT, 7);
        world.refill_ids(EntityId(FIRST_ID << 32), 1 << 20);
        let (last, feed, input) = Default::default();
        let (tunables, rules) = (game.tunables().to_vec(), Rules::default());
        Self { world, last, feed, shard, input, tick: Tick(0), next_id: FIRST_ID, told: Vec::new(), tunables, rules, game }
    }

    /// The shard: it begins at 512 m, 512 m and ends at 768 m, 768 m.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// A new player's agent, in the middle of the space (the shard's north-west corner), as the game's births make it.
    pub fn player(&mut self, name: &str) -> EntityId {
        let id = self.fresh_id();
        self.input.births.push((id, Birth { account: AccountId(id.0), name: name.to_owned() }));
        self.tick();
        id
    }

    /// An entity with these components.
    pub fn spawn(&mut self, position: Position, components: impl Bundle) -> EntityId {
        let id = self.fresh_id();
        self.world.spawn(id, position, components);
        id
    }

    /// A neighbour's entity with one ghosted component, east of the shard's eastern edge unless `position` says otherwise. It
    /// is there from the next tick on.
    pub fn ghost<T: Plain>(&mut self, position: Position, component: T) -> EntityId {
        let id = self.fresh_id();
        let cell = CellId::at(self.shard.space, position.into());
        let bytes = Bytes::copy_from_slice(bytemuck::bytes_of(&component));
        let enter = Enter { entity: id, components: vec![ComponentBytes { id: TypeId::of_version(T::NAME, T::VERSION), bytes }] };
        let moved = vec![ghost_motion(id, cell, position, Velocity::default())];
        let feed = CellFeed { cell, entered: vec![enter], moved, ..CellFeed::default() };
        let shard = ShardId::holding(cell, self.shard.level);
        let (epoch, tick, follower) = (ShardEpoch(1), self.tick, Some(self.shard));
        let frame = FeedFrame { shard, epoch, tick, seq: 1, follower, cells: vec![Arc::new(feed)], agents: Vec::new() };
        self.input.ghosts.push(frame);
        id
    }

    /// A neighbour's player, like any other ghost.
    pub fn ghost_player(&mut self, position: Position) -> EntityId {
        self.ghost(position, Player { connected: 1 })
    }

    /// A client's input, applied at the next tick.
    pub fn input<T: Plain>(&mut self, agent: EntityId, input: T) {
        let bytes = Bytes::copy_from_slice(bytemuck::bytes_of(&input));
        let (session, seq) = (SessionEpoch::default(), InSeq(0));
        self.input.inputs.push(ClientInput { agent, session, seq, id: TypeId::of(T::NAME), bytes });
    }

    /// An effect from elsewhere, for the next tick.
    pub fn effect<T: Plain>(&mut self, from: EntityId, to: EntityId, effect: T) {
        let bytes = Bytes::copy_from_slice(bytemuck::bytes_of(&effect));
        self.input.effects.push(Effect { to, from, id: TypeId::of(T::NAME), bytes, hops: 0, within: None });
    }

    /// The ledger's answer to what a tick asked, for the next tick.
    pub fn settle(&mut self, asked: &Transfer, result: LedgerResult) {
        let Transfer { by, transaction } = asked.clone();
        self.input.ledger.push(Settlement { op: OpId(0), by, asked: transaction, result });
    }

    /// Set a tunable from the next tick on, as designers do while the world runs.
    ///
    /// # Panics
    /// When there is none of this name, or it cannot be that.
    pub fn tune(&mut self, name: &str, value: TuneValue) {
        let spec = TuneSpec::find(&self.tunables, name);
        match spec.and_then(|spec| spec.check(value)) {
            Ok(value) => self.rules.tune(name, Some(value)),
            Err(refusal) => panic!("{refusal}"),
        }
        self.rules.version += 1;
        self.world.rules_are(&self.rules);
    }

    /// Run these scripts, given by name and source, and no others, from the next tick on.
    pub fn scripts(&mut self, scripts: &[(&str, &str)]) {
        let rule = |(name, source): &(&str, &str)| ScriptRule {
            name: (*name).to_owned(),
            source: Source::from(*source),
            is_on: true,
            attempt: 0,
        };
        self.rules.scripts = scripts.iter().map(rule).collect();
        self.rules.version += 1;
        self.world.rules_are(&self.rules);
    }

    /// Scripts that are off because they failed, in words.
    pub fn script_faults(&self) -> Vec<String> {
        let told = |fault: &ScriptFault| format!("{}:{}: {} ({})", fault.script, fault.line, fault.text, fault.values);
        self.world.script_faults().map(told).collect()
    }

    /// The same shard at another scene, as a migration would bring it there.
    ///
    /// # Panics
    /// When the copy differs from its original.
    pub fn moved(&self) -> Self {
        let mut other = Self { tick: self.tick, next_id: self.next_id, rules: self.rules.clone(), ..Self::of(self.game.clone()) };
        let mut copied = Copied::default();
        other.world.overwrite(&self.world.delta(&mut copied));
        assert!(other.world.complete(self.world.rest(&copied)), "the copy differs");
        other.world.rules_are(&self.rules);
        other
    }

    /// From the next tick on the shard is recorded, see [`Self::replay`]. Put nobody there and change nothing by hand until then:
    /// a recording holds what comes the way of inputs, effects, ghosts and the like.
    ///
    /// # Panics
    /// When the world cannot be built anew.
    pub fn record(&mut self) {
        let fresh = Self::of(self.game.clone()).world;
        let order = Order { key: 1, seconds: RECORDING_SECONDS_MAX, registry: self.game.registry_hash() };
        assert!(self.world.begin_tape(fresh, order), "the copy differs");
        self.world.rules_are(&self.rules);
    }

    /// End the recording with one more tick, and give its bytes.
    ///
    /// # Panics
    /// When nothing is recorded.
    pub fn recorded(&mut self) -> Bytes {
        let Some(tape) = self.world.tape_mut() else { panic!("nothing is recorded: call `record` first") };
        tape.end("the test has seen enough");
        self.tick();
        let mut bytes = Vec::new();
        while let Some(part) =
            self.world.tape_mut().and_then(|tape| tape.fetch(bytes.len() as u64)).filter(|part| !part.is_empty())
        {
            bytes.extend_from_slice(&part);
        }
        bytes.into()
    }

    /// End the recording with one more tick and run it again; how many ticks that were, or what came of it that was not the same,
    /// in words. What a feature keeps outside its components is found so.
    ///
    /// # Errors
    /// See above.
    ///
    /// # Panics
    /// When nothing is recorded.
    pub fn replay(&mut self) -> Result<u64, String> {
        let bytes = self.recorded();
        replay(&self.game, &bytes)
    }

    /// What else the next tick begins with.
    pub fn next_input(&mut self) -> &mut TickInput {
        &mut self.input
    }

    /// One tick.
    pub fn tick(&mut self) -> &Simulated {
        self.tick_with(|_| {})
    }

    /// One tick, with something between Simulate and Publish: hand-overs, log-outs.
    pub fn tick_with(&mut self, hand_over: impl FnOnce(&mut ShardWorld)) -> &Simulated {
        self.tick = self.tick.next();
        let input = TickInput { tick: self.tick, ..std::mem::take(&mut self.input) };
        self.last = self.world.simulate(input);
        hand_over(&mut self.world);
        self.feed = self.world.publish();
        self.told.extend(self.last.events.iter().cloned());
        &self.last
    }

    /// Some ticks.
    pub fn ticks(&mut self, count: u64) {
        for _ in 0..count {
            self.tick();
        }
    }

    /// A real entity's component.
    pub fn get<T: Component + Clone>(&self, id: EntityId) -> Option<T> {
        self.world.read(id)
    }

    /// Change a real entity's component as a system would.
    ///
    /// # Panics
    /// When it has none.
    pub fn set<T: Component>(&mut self, id: EntityId, component: T) {
        assert!(self.world.write(id, component), "{id} is not here");
    }

    /// All events of one type that a player has been told.
    pub fn events<T: Plain>(&self, agent: EntityId) -> Vec<T> {
        let mine = self.told.iter().filter(|(to, id, _)| *to == agent && *id == TypeId::of(T::NAME));
        mine.map(|(_, _, bytes)| bytemuck::pod_read_unaligned(bytes)).collect()
    }

    fn fresh_id(&mut self) -> EntityId {
        self.next_id += 1;
        EntityId(self.next_id)
    }
}

/// Run a recording again; see [`Harness::replay`].
///
/// # Errors
/// What was not the same, or why it cannot be run, in words.
pub fn replay(game: &BuiltGame, bytes: &Bytes) -> Result<u64, String> {
    let recording = Recording::read(bytes).map_err(|error| error.to_string())?;
    let mut replay = Replay::new(game, recording).map_err(|error| error.to_string())?;
    let mut ticks = 0;
    while let Some(tick) = replay.step().map_err(|error| error.to_string())? {
        if let Some(difference) = tick.difference {
            return Err(difference.to_string());
        }
        ticks += 1;
    }
    match replay.hashes() {
        (Some(recorded), here) if recorded != here => {
            Err(format!("in the end the state hash is {here:016x} instead of {recorded:016x}"))
        }
        _ => Ok(ticks),
    }
}
