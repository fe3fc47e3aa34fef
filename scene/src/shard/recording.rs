//! What an admin asks of a shard: that it is recorded. See [`crate::recording`].

use bytes::Bytes;
use pangaea_schemas::recording::RECORDING_SECONDS_MAX;

use super::neighbours::Neighbours;
use super::{Shard, new_world};
use crate::recording::Order;

/// The answer to who wants a recording of what is not here or is not recorded.
pub(crate) const NOT_RECORDED: &str =
    "there is no such recording at the shard's owner: the shard has moved, or nobody fetched it for too long";

impl Shard {
    /// From the next tick on it is recorded. Between two ticks its world is built anew; it follows its neighbours anew, too,
    /// since ghosts are in no image.
    pub(super) fn begin_recording(&mut self, key: u64, seconds: u32) -> Result<Bytes, &'static str> {
        match self.world.tape_mut().filter(|tape| !tape.is_forgotten()).map(|tape| tape.key()) {
            Some(known) if known == key => return Ok(Bytes::new()),
            Some(_) => return Err("the shard is being recorded already; wait, or end that with `pangaea record SHARD --end`"),
            None => {}
        }
        if !(1..=RECORDING_SECONDS_MAX).contains(&seconds) {
            return Err("a recording takes from 1 s to 600 s");
        }
        if !self.incarnation.ticks() || self.closing || self.life.is_empty_world {
            return Err("the shard does not tick yet or any more; try again in a moment");
        }
        if self.gift.is_some() || self.still.is_some() {
            return Err("the shard is being moved, split or merged; try again when that is over");
        }
        let order = Order { key, seconds, registry: self.config.game.registry_hash() };
        if !self.world.begin_tape(new_world(self.id, &self.space, &self.config), order) {
            tracing::error!(shard = %self.id, "a world built anew from its image differs from itself; the shard is not recorded");
            return Err("the shard's world cannot be built anew from its image, which is a bug: see the scene's log");
        }
        self.life.neighbours = Neighbours::default();
        self.life.inbox.ghosts.clear();
        self.life.inbox.ghost_sources_lost.clear();
        tracing::info!(shard = %self.id, seconds, entities = self.world.counts().entities, "an admin records the shard");
        Ok(Bytes::new())
    }

    /// What was recorded from there on.
    pub(super) fn fetch_recording(&mut self, key: u64, from: u64) -> Result<Bytes, &'static str> {
        let tape = self.world.tape_mut().filter(|tape| tape.key() == key).ok_or(NOT_RECORDED)?;
        tape.fetch(from).ok_or("this part of the recording was fetched before and is no longer kept")
    }

    /// It ends with the next tick.
    pub(super) fn end_recording(&mut self) -> Result<Bytes, &'static str> {
        let tape = self.world.tape_mut().ok_or(NOT_RECORDED)?;
        tape.end("it was told to end");
        Ok(Bytes::new())
    }
}
