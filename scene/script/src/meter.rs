//! What a script has spent in the running tick. Steps are counted, not timed, so a script fails or not wherever it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use mlua::debug::Debug;
use mlua::{Lua, VmState};
use pangaea_scene::scripts::STEPS_MAX;

use crate::fault::{ENDING, bare};

/// Bytes that cost one step.
const BYTES_PER_STEP: u64 = 64;
/// Memory is looked at once in so many steps.
const LOOK_EVERY: u64 = 8;
/// What a script that spent its budget is told.
pub(crate) const SPENT: &str = "it takes too many steps: an endless loop, or far too much at once?";
/// The same when the scripts before it took most of it.
pub(crate) const SHARED: &str = "the scripts of this shard together take too many steps";
/// The same for what it asks for again and again.
pub(crate) const GREEDY: &str = "it asks for too much memory in one tick";

/// Frames in which the script's own line is looked for; deeper ones are the prelude's.
const FRAMES_MAX: usize = 8;

/// The counters, shared with the language's own machine.
#[derive(Clone, Default)]
pub(crate) struct Meter(Arc<Counters>);

#[derive(Default)]
struct Counters {
    /// What may be spent.
    budget: AtomicU64,
    steps: AtomicU64,
    bytes: AtomicU64,
    memory: AtomicU64,
    /// Whether `line` is kept, which is dear.
    follows: AtomicBool,
    /// The script's line at the last step.
    line: AtomicU32,
}

impl Meter {
    /// Counts what this machine does.
    pub(crate) fn install(&self, lua: &Lua) {
        let meter = self.clone();
        lua.set_interrupt(move |lua| meter.step(lua).map(|()| VmState::Continue));
    }

    /// A tick begins, in which so many steps may be spent.
    pub(crate) fn begin(&self, lua: &Lua, steps_max: u64) {
        let Counters { budget, steps, bytes, memory, .. } = &*self.0;
        budget.store(steps_max, Relaxed);
        steps.store(0, Relaxed);
        bytes.store(0, Relaxed);
        memory.store(lua.used_memory() as u64, Relaxed);
    }

    /// Spends some steps at once, for what is done outside the language.
    pub(crate) fn charge(&self, steps: u64) -> mlua::Result<()> {
        self.0.steps.fetch_add(steps, Relaxed);
        self.judge()
    }

    /// From now on each step's line is kept, or not any more: an error about memory does not say where it came from.
    pub(crate) fn follow(&self, follows: bool) {
        self.0.follows.store(follows, Relaxed);
    }

    /// The script's line at the last step that was followed; 0: none was.
    pub(crate) fn line(&self) -> u32 {
        self.0.line.load(Relaxed)
    }

    /// All steps of the tick so far.
    pub(crate) fn spent(&self) -> u64 {
        self.0.steps.load(Relaxed) + self.0.bytes.load(Relaxed) / BYTES_PER_STEP
    }

    fn step(&self, lua: &Lua) -> mlua::Result<()> {
        let steps = self.0.steps.fetch_add(1, Relaxed);
        if self.0.follows.load(Relaxed)
            && let Some((_, line)) = place(lua)
        {
            self.0.line.store(line as u32, Relaxed);
        }
        if steps.is_multiple_of(LOOK_EVERY) {
            let now = lua.used_memory() as u64;
            let before = self.0.memory.swap(now, Relaxed);
            self.0.bytes.fetch_add(now.saturating_sub(before), Relaxed);
            return self.judge().map_err(|error| placed(lua, error));
        }
        Ok(())
    }

    fn judge(&self) -> mlua::Result<()> {
        let (steps, bytes) = (self.0.steps.load(Relaxed), self.0.bytes.load(Relaxed));
        let budget = self.0.budget.load(Relaxed);
        if steps + bytes / BYTES_PER_STEP <= budget {
            return Ok(());
        }
        if budget < STEPS_MAX / 2 {
            return Err(mlua::Error::runtime(format!("{SHARED}: {budget} of {STEPS_MAX} steps were left")));
        }
        let greedy = bytes / BYTES_PER_STEP > steps;
        Err(mlua::Error::runtime(if greedy { GREEDY } else { SPENT }))
    }
}

/// The script's name and line that run.
fn place(lua: &Lua) -> Option<(String, usize)> {
    let place = |frame: &Debug<'_>| {
        let source = frame.source().short_src.filter(|source| source.ends_with(ENDING))?;
        Some((source.into_owned(), frame.current_line()?))
    };
    (0..FRAMES_MAX).find_map(|level| lua.inspect_stack(level, place).flatten())
}

/// The error with the line of the script that runs: unlike other errors, one of an interrupt does not say where it came from.
fn placed(lua: &Lua, error: mlua::Error) -> mlua::Error {
    match place(lua) {
        Some((source, line)) => mlua::Error::runtime(format!("{source}:{line}: {}", bare(&error.to_string()))),
        None => error,
    }
}
