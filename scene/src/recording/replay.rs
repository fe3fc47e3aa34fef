//! Running a recording again: the same world, the same ticks, no network, no clock.

use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::recording::{RecordedTick, Recording, RecordingError};
use pangaea_schemas::{EntityId, RegistryHash, Tick, TickRate};

use super::check::{Difference, hash_simulated};
use crate::ecs::{Extent, Settlement, ShardWorld, TickInput, WorldDelta, WorldRest};
use crate::game::BuiltGame;

/// Why a recording cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Of another game.
    #[error(
        "the recording is of another game: its components, inputs and events have the hash {recorded}, those of this build \
         {here}; replay it with the build that recorded it"
    )]
    OtherGame {
        /// As recorded.
        recorded: RegistryHash,
        /// Of this build.
        here: RegistryHash,
    },
    /// What was recorded does not make the world that it is said to be.
    #[error("the world at the recording's beginning cannot be built: it has the hash {built:016x} instead of {recorded:016x}")]
    Beginning {
        /// As recorded.
        recorded: u64,
        /// As built.
        built: u64,
    },
    /// A frame cannot be read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
}

/// A tick that was run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Which.
    pub tick: Tick,
    /// Entities after it.
    pub entities: u32,
    /// Inputs of clients.
    pub inputs: usize,
    /// All that came from outside, inputs included.
    pub heard: usize,
    /// How it differs from the recorded one.
    pub difference: Option<Difference>,
}

/// A recording being run.
pub struct Replay {
    world: ShardWorld,
    recording: Recording,
    next: usize,
}

impl Replay {
    /// The world as it was where the recording begins.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn new(game: &BuiltGame, recording: Recording) -> Result<Self, ReplayError> {
        let head = recording.head();
        let here = game.registry_hash();
        if head.registry != here {
            return Err(ReplayError::OtherGame { recorded: head.registry, here });
        }
        let rate = TickRate::new(head.hz).ok_or(RecordingError::Impossible { what: "tick rate" })?;
        let mut world = ShardWorld::new(game, head.shard, &head.space, rate, head.seed);
        world.overwrite(&WorldDelta { records: recording.records().to_vec(), gone: Vec::new() });
        let rest = WorldRest { seed: head.seed, pending: head.pending.clone(), ids: head.ids.clone(), hash: head.hash };
        if !world.complete(rest) {
            return Err(ReplayError::Beginning { recorded: head.hash, built: world.state_hash() });
        }
        Ok(Self { world, recording, next: 0 })
    }

    /// The recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Run the next tick; `None` behind the last.
    ///
    /// # Errors
    /// Its frame cannot be read.
    pub fn step(&mut self) -> Result<Option<Replayed>, ReplayError> {
        let Some(recorded) = self.recording.tick(self.next)? else { return Ok(None) };
        self.next += 1;
        let RecordedTick { rules, ids, exits, check, .. } = &recorded;
        for (first, end) in ids {
            self.world.refill_ids(EntityId(*first), end.saturating_sub(*first));
        }
        for rules in rules {
            self.world.rules_are(rules);
        }
        let (tick, input, exits, check) = (recorded.tick, input_of(&recorded), exits.clone(), check.clone());
        let (inputs, heard) = (recorded.inputs.len(), heard(&recorded));
        let simulated = hash_simulated(&self.world.simulate(input));
        for exit in exits {
            match exit.to {
                Some(to) => drop(self.world.take(exit.entity, to)),
                None => drop(self.world.put_to_sleep(exit.entity)),
            }
        }
        let published = self.world.publish();
        let replayed = self.world.check(tick, simulated, &published);
        let difference = self.world.difference(tick, &check, &replayed);
        Ok(Some(Replayed { tick, entities: replayed.entities, inputs, heard, difference }))
    }

    /// After the last tick: the hash of everything as recorded, if the shard itself ended the recording, and as it is here.
    pub fn hashes(&self) -> (Option<u64>, u64) {
        let end = self.recording.end();
        (end.is_whole.then_some(end.hash), self.world.state_hash())
    }

    /// An entity as it is now, with all its components; `None`: it is not here.
    pub fn entity(&self, entity: EntityId) -> Option<Record> {
        self.world.record_of(entity, Presence::Awake, Extent::Whole)
    }
}

fn input_of(recorded: &RecordedTick) -> TickInput {
    TickInput {
        tick: recorded.tick,
        arrivals: recorded.arrivals.clone(),
        births: recorded.births.iter().map(|birth| (birth.agent, birth.birth.clone())).collect(),
        connected: recorded.links.iter().map(|link| (link.agent, link.is_connected)).collect(),
        placements: recorded.placements.iter().map(|placement| (placement.entity, placement.position)).collect(),
        inputs: recorded.inputs.clone(),
        effects: recorded.effects.clone(),
        ledger: recorded.answers.iter().cloned().map(Settlement::from).collect(),
        news: recorded.news.clone(),
        ghosts: recorded.ghosts.clone(),
        ghost_sources_lost: recorded.silent.clone(),
        scripts_rest: recorded.scripts_rest,
    }
}

fn heard(recorded: &RecordedTick) -> usize {
    let RecordedTick { rules, arrivals, births, links, placements, inputs, effects, answers, news, ghosts, exits, .. } = recorded;
    let players = arrivals.len() + births.len() + links.len() + placements.len() + inputs.len() + exits.len();
    players + effects.len() + answers.len() + news.len() + ghosts.len() + rules.len()
}
