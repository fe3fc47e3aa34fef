//! Scripts: systems that designers write and change while the world runs.
//!
//! A script says which components it reads and writes, and in which [`Phase`] it runs: after the phase's own systems, in order
//! of name. It gets the entities that have all of them as packed columns, in order of id, and gives the written ones back. What
//! it changed or sent counts only if it came to its end: a script that fails has done nothing in that tick, is switched off in
//! that shard, and says where and at which entity.
//!
//! Scripts of all shards of a scene share its tick: when some have taken [`SCENE_STEPS_MAX`], those of the other shards rest for
//! that tick, and hear in the next what came meanwhile.
//!
//! Nothing stays in a script between two ticks: it begins anew in each of them, so all state is in components, and a shard that
//! moves or recovers runs it on as if nothing had happened. What a language needs is behind [`Engine`]; this crate holds none.

mod columns;
mod desk;
mod turns;

use std::sync::Arc;

use bytes::Bytes;
use pangaea_schemas::registry::TypeInfo;
use pangaea_schemas::rules::{TuneValue, nearest};
use pangaea_schemas::{EntityId, Tick, TypeId};

use crate::ecs::{Near, Position};
use crate::game::Phase;

pub(crate) use columns::{Column, PlainColumn};
pub(crate) use desk::{Desk, install};
pub use turns::{SCENE_STEPS_MAX, Turns};

/// Most effects and events, each, that one script may send in one tick of a shard.
pub const SENT_MAX: usize = 16_384;

/// Most effects or inputs of one type that wait for a script that rests; the rest is not heard.
pub const MISSED_MAX: usize = 16_384;

/// Steps that all scripts of a shard may take together in one tick; what a step is, the language says.
pub const STEPS_MAX: u64 = 150_000;

/// A scripting language.
pub trait Engine: Send + Sync + 'static {
    /// Reads a script. Names in it are looked up in `words`.
    ///
    /// # Errors
    /// It cannot be understood: where and why.
    fn load(&self, name: &str, source: &str, words: &Words) -> Result<Box<dyn Script>, Fault>;

    /// What editors are told of the words that scripts may use.
    fn definitions(&self, words: &Words) -> String;
}

/// A script that was read, for one shard.
pub trait Script: Send + Sync {
    /// What it asks for.
    fn wants(&self) -> &Wants;

    /// Steps that it took last: in a tick, or before its first to be read. Unlike in [`Sent::steps`], what failed counts, too.
    fn spent(&self) -> u64;

    /// One tick. An error means that nothing was done; `batch.columns` may hold anything then.
    ///
    /// # Errors
    /// It failed, or spent its budget.
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<Sent, Fault>;
}

/// What a script asks for. Names are those of registered types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wants {
    /// When it runs.
    pub phase: Phase,
    /// Components that it sees.
    pub reads: Vec<String>,
    /// Components that it sees and may change.
    pub writes: Vec<String>,
    /// Components that its entities have beside.
    pub with: Vec<String>,
    /// Components that its entities do not have.
    pub without: Vec<String>,
    /// Effects and inputs that it hears.
    pub hears: Vec<String>,
}

/// All that a script may name.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Components that clients or systems know as plain types.
    pub components: Vec<TypeInfo>,
    /// What clients send.
    pub inputs: Vec<TypeInfo>,
    /// What entities do to each other.
    pub effects: Vec<TypeInfo>,
    /// What players are told.
    pub events: Vec<TypeInfo>,
    /// Every tunable with what it is at first.
    pub tunables: Vec<(String, TuneValue)>,
}

impl Words {
    /// The type of this name among `types`, which are of one `sort`.
    ///
    /// # Errors
    /// In words, with the nearest name.
    pub fn find<'t>(sort: &str, types: &'t [TypeInfo], name: &str) -> Result<&'t TypeInfo, String> {
        types.iter().find(|ty| ty.name == name).ok_or_else(|| {
            let nearest = nearest(name, types.iter().map(|ty| ty.name.as_str()));
            let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
            format!("there is no {sort} `{name}`{hint}")
        })
    }
}

/// Why a script failed.
#[derive(Clone, Debug, Default, PartialEq, thiserror::Error)]
#[error("{}{}: {text}{}", .script, if *.line > 0 { format!(":{line}") } else { String::new() }, if .values.is_empty() { String::new() } else { format!(" ({})", .values) })]
pub struct Fault {
    /// Which.
    pub script: String,
    /// Where in its source; 0: nowhere in particular.
    pub line: u32,
    /// Why.
    pub text: String,
    /// Which of its entities it had in hand, by row.
    pub row: Option<usize>,
    /// That entity and its components, in words.
    pub values: String,
}

/// The components of a batch's entities under one name, packed.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Their type.
    pub info: Arc<TypeInfo>,
    /// One value after the other, in order of the batch's rows.
    pub bytes: Vec<u8>,
    /// The script may change them.
    pub writes: bool,
}

/// Something that a script hears.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whom it concerns.
    pub to: EntityId,
    /// Who caused it.
    pub from: EntityId,
    /// What, as plain memory.
    pub bytes: Bytes,
}

/// What a script works on in one tick.
pub struct Batch<'w> {
    /// The tick.
    pub tick: Tick,
    /// Seconds per tick.
    pub dt: f32,
    /// Of all chance of this script in this tick.
    pub seed: u64,
    /// Its entities, in order.
    pub ids: Vec<EntityId>,
    /// As in [`Wants`]: those that it reads, then those that it writes.
    pub columns: Vec<Packed>,
    /// As in [`Wants::hears`].
    pub heard: Vec<(Arc<TypeInfo>, Vec<Heard>)>,
    /// All tunables as they are.
    pub tuned: &'w [(String, TuneValue)],
    /// Version of the rules that these are of.
    pub rules: u64,
    /// Steps that it may take: [`STEPS_MAX`] without what the scripts before it took.
    pub steps: u64,
    /// Who is near, real entities and ghosts.
    pub near: &'w (dyn Fn(Position, f32) -> Vec<Near> + 'w),
}

/// What a script sends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sent {
    /// From whom, to whom, which type, its memory.
    pub effects: Vec<(EntityId, EntityId, TypeId, Bytes)>,
    /// Whom to tell, which type, its memory.
    pub events: Vec<(EntityId, TypeId, Bytes)>,
    /// What it cost, in steps of the engine.
    pub steps: u64,
}

/// A random number of a script for an entity; the same wherever and whenever the tick is run.
pub fn chance(seed: u64, entity: EntityId, draw: u64) -> f64 {
    use crate::ecs::mix;
    let bits = mix(mix(seed ^ mix(entity.0)) ^ draw);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
