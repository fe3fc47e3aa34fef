//! A shard that an admin has stopped, to look at it: it is owned and journaled as before, and nobody moves in it. Single ticks
//! are run when asked for.
//!
//! What comes waits within the bounds of every shard: inputs in their window, effects until their sender sends them again.
//! Clients go on hearing of their agents, who stand. Whoever would come from a neighbour is turned down and goes on there; who
//! was let go already is taken, and stands. Ticks that did not run are not made up for: what was due in them is due in the next.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::message::{Desk, PauseOrder};
use pangaea_schemas::{EntityId, RequestId, Timestamp};

use super::neighbours::Neighbours;
use super::{GHOST_FRAMES_MAX, Shard};
use crate::ecs::Published;
use crate::handover::source::Heard;

/// A pause ends by itself after this, unless it is ordered again.
pub const PAUSE_TIME_MAX: Duration = Duration::from_secs(600);
/// Most ticks that wait to be run one by one.
pub const STEPS_MAX: u32 = 1_200;

/// Why a shard that moves or is cut is not stopped, and one that is stopped neither moved nor cut.
pub(super) const PAUSED: &str = "it is paused; let it go on first, with `pangaea shard resume`";

/// A shard that is stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    until: Timestamp,
    /// Ticks that run all the same.
    steps: u32,
}

impl Shard {
    /// An admin stops it, lets it go on, or looks how it stands.
    pub(super) fn pause_ordered(&mut self, request: RequestId, order: PauseOrder, ticks: u32) -> Desk {
        let done = match order {
            PauseOrder::Look => Ok(()),
            PauseOrder::Pause => self.pause(),
            PauseOrder::Resume => self.resume(),
            PauseOrder::Step => self.step(ticks),
        };
        let (left_ms, steps) = self.paused();
        let refusal = done.err().map(ToOwned::to_owned).unwrap_or_default();
        Desk::Paused { request, left_ms, steps, tick: self.world.tick(), refusal }
    }

    /// Milliseconds until it goes on by itself, 0 when it is not stopped, and ticks that are still to be run one by one.
    pub(super) fn paused(&self) -> (u32, u32) {
        self.life.pause.map_or((0, 0), |pause| {
            let left = Duration::from_micros(pause.until.0.saturating_sub(self.now.0));
            ((left.as_millis() as u32).max(1), pause.steps)
        })
    }

    pub(super) fn is_paused(&self) -> bool {
        self.life.pause.is_some()
    }

    fn pause(&mut self) -> Result<(), &'static str> {
        if !self.incarnation.ticks() || self.closing || self.life.is_empty_world {
            return Err("the shard does not tick yet or any more; try again in a moment");
        }
        if self.gift.is_some() || self.draft.is_some() || self.still.is_some() {
            return Err("the shard is being moved, split or merged; try again when that is over");
        }
        let steps = self.life.pause.map_or(0, |pause| pause.steps);
        if self.life.pause.replace(Pause { until: self.now + PAUSE_TIME_MAX, steps }).is_none() {
            tracing::warn!(shard = %self.id, "paused by an admin");
            self.call_back();
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), &'static str> {
        self.life.pause.take().ok_or(NOT_PAUSED)?;
        tracing::info!(shard = %self.id, "an admin lets it go on");
        Ok(())
    }

    fn step(&mut self, ticks: u32) -> Result<(), &'static str> {
        let pause = self.life.pause.as_mut().ok_or(NOT_PAUSED)?;
        match pause.steps.checked_add(ticks.max(1)).filter(|steps| *steps <= STEPS_MAX) {
            Some(steps) => pause.steps = steps,
            None => return Err("at most 1,200 ticks wait to be run one by one"),
        }
        pause.until = self.now + PAUSE_TIME_MAX;
        Ok(())
    }

    /// Whether the tick that begins does not run. One that was asked for does.
    pub(super) fn stands_paused(&mut self) -> bool {
        let Some(pause) = self.life.pause.as_mut() else { return false };
        if pause.until <= self.now {
            tracing::warn!(shard = %self.id, "paused for as long as that may be: it goes on by itself");
            self.life.pause = None;
            return false;
        }
        let runs = pause.steps > 0;
        pause.steps -= u32::from(runs);
        !runs
    }

    /// What a stopped shard does in each tick: it says that it is there, writes down what changed before, and answers for what is
    /// on its way.
    pub(super) fn tick_paused(&mut self) {
        let inbox = &mut self.life.inbox;
        if inbox.ghosts.len() >= GHOST_FRAMES_MAX {
            // Followed anew, neighbours show who is there now.
            inbox.ghosts.clear();
            inbox.ghost_sources_lost.clear();
            self.life.neighbours = Neighbours::default();
        }
        // How it stands in the end is all that counts.
        let latest: BTreeMap<EntityId, bool> = inbox.connected.drain(..).collect();
        inbox.connected.extend(latest);
        self.follow_neighbours();
        for xid in self.life.leaves.due(self.now) {
            self.step_leave(xid, Heard::TimedOut);
        }
        self.route_effects(Vec::new());
        self.ask_ledger();
        self.tell_settled();
        self.send_feed(&Published::default());
        self.tell_clients();
        self.persist(Vec::new());
        self.tell_directory();
    }
}

const NOT_PAUSED: &str = "the shard is not paused; stop it with `pangaea shard pause`";
