//! The driver of a scene process: messages as they come, ticks on absolute deadlines, shards in parallel.
//!
//! The driver's thread is one of the tick threads, see [`super::tick_threads`]. A scene that is told to stop stands still, gets
//! all that changed into its journals, and ends as soon as they have it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::Router;
use pangaea_scene::scene::{Scene, SceneConfig};
use pangaea_schemas::message::{Control, Message, MigrationStep, SceneReport};
use pangaea_schemas::{Tick, TickRate, Timestamp};

use super::process::{self, Context, Driver, Shell};
use super::tick_threads::TickThreads;
use crate::halt::{HaltPoint, Point};
use crate::membership::Heard;

/// A scene that stops waits no longer than this for its journals; what they do not have then is at most a second old.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);

/// Nothing wakes a scene process but its peers, the next tick and its end.
type Event = process::Event<Infallible>;

pub(super) struct SceneDriver {
    scene: Scene,
    rate: TickRate,
    threads: TickThreads,
    last_tick: Tick,
    /// Where a drill may want it to stand still.
    halt: Option<HaltPoint>,
}

impl Driver for SceneDriver {
    type Own = Infallible;

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
            threads: TickThreads::start(if options.tick_threads == 0 { cores } else { options.tick_threads })?,
            last_tick: rate.tick_at(context.clock.now()),
            halt: HaltPoint::below(&options.data_dir),
        };
        Ok((driver, Router::new()))
    }

    fn drive(mut self, mut shell: Shell<Event>) -> anyhow::Result<()> {
        let mut batch = VecDeque::new();
        let mut ends_at = None;
        loop {
            let next_tick = self.rate.start_of(self.last_tick.next());
            // The core looks at all its time-outs in each tick.
            shell.wait(next_tick.max(shell.clock.now()), &mut batch);
            for event in batch.drain(..) {
                match event {
                    Event::Mesh(event) => {
                        if let Some(heard) = shell.hear(event)? {
                            self.hear(shell.clock.now(), heard);
                        }
                    }
                    Event::Own(never) => match never {},
                    Event::Stop => {
                        ends_at.get_or_insert(shell.clock.now() + CLOSE_TIME_MAX);
                        self.scene.close(shell.clock.now());
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
            self.send(&mut shell);
            let Some(ends_at) = ends_at else { continue };
            if self.scene.is_closed() || ends_at <= now {
                if !self.scene.is_closed() {
                    tracing::warn!("the journals did not answer: what changed in the last second may be lost");
                }
                shell.port.leave();
                return Ok(());
            }
        }
    }
}

impl SceneDriver {
    /// What the core said. A drill may let this process stand still after news of a migration, or after what follows from them.
    fn send(&mut self, shell: &mut Shell<Event>) {
        let mut news = None;
        while let Some(envelope) = self.scene.poll_output() {
            let mut step = None;
            match &envelope.message {
                Message::Control(Control::Scene(report)) => show(report),
                Message::Control(Control::Migrating(news)) => step = Some(news.step),
                _ => {}
            }
            shell.port.send(envelope);
            self.halt_at(step, false);
            news = step.or(news);
        }
        self.halt_at(news, true);
    }

    fn halt_at(&self, step: Option<MigrationStep>, said: bool) {
        if let Some((halt, step)) = self.halt.as_ref().zip(step) {
            halt.reach(Point { step, said });
        }
    }

    fn hear(&mut self, now: Timestamp, heard: Heard) {
        match heard {
            Heard::Core { from, message } => self.scene.handle(now, from, message),
            Heard::Renewed { sent } => self.scene.lease_renewed(sent),
            Heard::Up { node, nonce } => self.scene.link_up(now, node, nonce),
            Heard::Down { node } => self.scene.link_down(node),
            Heard::NameTaken { .. } | Heard::Nothing => {}
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
        let ticked = self.threads.tick(self.scene.lend_shards(), now, tick);
        let queued: usize = ticked.iter().map(|shard| shard.journal_queued()).sum();
        self.scene.return_shards(ticked);
        record("shards", ticking);
        let ending = Instant::now();
        self.scene.end_tick(shell.clock.now());
        record("end", ending);
        record("all", began);
        metrics::gauge!("pangaea_journal_queued_entries").set(queued as f64);
        metrics::gauge!("pangaea_mesh_queued_bytes").set(shell.port.queued_bytes() as f64);
    }
}

/// What the world hears, for those who read metrics.
fn show(report: &SceneReport) {
    for shard in &report.shards {
        let id = shard.shard.to_string();
        metrics::counter!("pangaea_shard_handovers_begun", "shard" => id.clone()).absolute(shard.handovers_out);
        metrics::counter!("pangaea_shard_handovers_taken", "shard" => id).absolute(shard.handovers_in);
    }
}

fn record(phase: &'static str, since: Instant) {
    metrics::histogram!("pangaea_tick_seconds", "phase" => phase).record(since.elapsed());
}
