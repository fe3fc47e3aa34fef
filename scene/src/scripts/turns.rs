//! Whose scripts take their turns in a tick of a scene, and whose rest: all its shards share the tick.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::STEPS_MAX;

/// Steps that scripts of all shards of a scene may have taken in a tick when those of a further shard begin; after that, the
/// others rest in this tick and come first in the next. So what fails in all shards at once does so in one after the other. The
/// last to begin takes it beyond by what one shard may take; of shards that tick on several threads, so may one on each.
pub const SCENE_STEPS_MAX: u64 = 2 * STEPS_MAX;

/// What the shards of a scene share for their scripts, on whatever thread they tick.
#[derive(Debug, Default)]
pub struct Turns {
    /// In this tick.
    spent: AtomicU64,
    /// Ever.
    given: AtomicU64,
}

impl Turns {
    /// A tick of the scene begins.
    pub(crate) fn begin_tick(&self) {
        self.spent.store(0, Relaxed);
    }

    /// The number of a turn, higher than all before; `None`: the shard's scripts rest in this tick.
    pub(crate) fn give(&self) -> Option<u64> {
        (self.spent.load(Relaxed) < SCENE_STEPS_MAX).then(|| self.given.fetch_add(1, Relaxed) + 1)
    }

    /// A shard's scripts took so many steps.
    pub(crate) fn spend(&self, steps: u64) {
        self.spent.fetch_add(steps, Relaxed);
    }
}
