//! The driver of a scene process: messages as they come, ticks on absolute deadlines, shards in parallel.
//!
//! The driver's thread is the tick thread. At a tick it starts as many helpers as there is work for, for the tick only, and
//! they take shards from a common queue until none is left; a tick that is done in a moment needs no helpers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use axum::Router;
use crossbeam::queue::ArrayQueue;
use pangaea_scene::scene::{Scene, SceneConfig};
use pangaea_scene::shard::Shard;
use pangaea_schemas::{Tick, TickRate, Timestamp};

use super::process::{Context, Driver, Shell, Stop};
use crate::membership::Heard;
use crate::mesh::MeshEvent;

/// A scene that stops goes on ticking for so long: every change is journaled at most 1 s after it was made.
const FLUSH_TIME: Duration = Duration::from_millis(1_200);
/// Helpers are started when the last tick took at least this long in all; starting one costs some tens of microseconds.
const HELPERS_FROM: Duration = Duration::from_millis(2);

/// Everything that wakes a scene process.
pub(super) enum Event {
    Mesh(MeshEvent),
    Stop,
}

impl From<MeshEvent> for Event {
    fn from(event: MeshEvent) -> Self {
        Self::Mesh(event)
    }
}

impl From<Stop> for Event {
    fn from(_: Stop) -> Self {
        Self::Stop
    }
}

pub(super) struct SceneDriver {
    scene: Scene,
    rate: TickRate,
    threads: usize,
    last_tick: Tick,
    /// Time of the last tick's shards, added up over all threads.
    last_work: Duration,
}

impl Driver for SceneDriver {
    type Event = Event;

    async fn open(context: &Context<Event>) -> anyhow::Result<(Self, Router)> {
        let options = &context.options;
        let rate = options.cluster.tick_rate;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let scene = Scene::new(SceneConfig {
            node: options.node,
            nonce: context.nonce,
            spec: options.cluster.clone(),
            game: context.game.clone(),
            seed: context.nonce.0 as u64,
        });
        let driver = Self {
            scene,
            rate,
            threads: if options.tick_threads == 0 { cores } else { options.tick_threads },
            last_tick: rate.tick_at(context.clock.now()),
            last_work: Duration::ZERO,
        };
        Ok((driver, Router::new()))
    }

    fn drive(mut self, mut shell: Shell<Event>) -> anyhow::Result<()> {
        let mut batch = VecDeque::new();
        let mut ends_at = None;
        loop {
            let next_tick = self.rate.start_of(self.last_tick.next());
            let deadline = self.scene.poll_timeout().map_or(next_tick, |(at, _)| at.min(next_tick));
            shell.wait(deadline.max(shell.clock.now()), &mut batch);
            for event in batch.drain(..) {
                match event {
                    Event::Mesh(event) => {
                        if let Some(heard) = shell.hear(event)? {
                            self.hear(shell.clock.now(), heard);
                        }
                    }
                    Event::Stop => {
                        ends_at.get_or_insert(shell.clock.now() + FLUSH_TIME);
                    }
                }
            }
            while let Some(heard) = shell.loopback()? {
                self.hear(shell.clock.now(), heard);
            }
            let now = shell.clock.now();
            shell.port.maintain(now);
            if next_tick <= now {
                self.tick(&shell, now);
            }
            while let Some(envelope) = self.scene.poll_output() {
                shell.port.send(envelope);
            }
            if ends_at.is_some_and(|at| at <= now) {
                shell.port.leave();
                return Ok(());
            }
        }
    }
}

impl SceneDriver {
    fn hear(&mut self, now: Timestamp, heard: Heard) {
        match heard {
            Heard::Core { from, message } => self.scene.handle(now, from, message),
            Heard::Renewed { sent } => self.scene.lease_renewed(sent),
            Heard::Up { .. } | Heard::Down { .. } | Heard::NameTaken { .. } | Heard::Nothing => {}
        }
    }

    /// The tick that runs at `now`; those that were slept through are not made up for.
    fn tick(&mut self, shell: &Shell<Event>, now: Timestamp) {
        let tick = self.rate.tick_at(now);
        let late = now.since(self.rate.start_of(self.last_tick.next()));
        if late > self.rate.interval() / 2 {
            metrics::counter!("pangaea_late_ticks").increment(1);
            self.scene.note_late_tick();
        }
        metrics::histogram!("pangaea_tick_late_seconds").record(late);
        self.last_tick = tick;
        let began = Instant::now();
        self.scene.begin_tick(now, tick);
        record("begin", began);
        let ticking = Instant::now();
        self.tick_shards(now, tick);
        record("shards", ticking);
        let ending = Instant::now();
        self.scene.end_tick(shell.clock.now());
        record("end", ending);
        record("all", began);
        metrics::gauge!("pangaea_mesh_queued_bytes").set(shell.port.queued_bytes() as f64);
    }

    fn tick_shards(&mut self, now: Timestamp, tick: Tick) {
        let shards: Vec<&mut Shard> = self.scene.shards_mut().collect();
        if shards.is_empty() {
            return;
        }
        let helpers = if self.last_work < HELPERS_FROM { 0 } else { self.threads.min(shards.len()) - 1 };
        let queue = ArrayQueue::new(shards.len());
        for shard in shards {
            // The queue has a place for each.
            let _ = queue.push(shard);
        }
        let work = || {
            let mut worked = Duration::ZERO;
            while let Some(shard) = queue.pop() {
                let began = Instant::now();
                shard.tick(now, tick);
                let took = began.elapsed();
                shard.note_tick_time(took.as_micros() as u32);
                metrics::histogram!("pangaea_shard_tick_seconds").record(took);
                worked += took;
            }
            worked
        };
        self.last_work = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let own = work();
            // A helper's panic is the tick's panic: a shard in an unknown state must not go on.
            helpers
                .into_iter()
                .map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .sum::<Duration>()
                + own
        });
    }
}

fn record(phase: &'static str, since: Instant) {
    metrics::histogram!("pangaea_tick_seconds", "phase" => phase).record(since.elapsed());
}
