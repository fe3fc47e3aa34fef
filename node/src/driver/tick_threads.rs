//! The fixed pool of threads that tick a scene's shards.
//!
//! Shards travel by value: the driver's thread puts them into a bounded queue, the pool's threads and the driver's own take them
//! out, and every shard comes back before the tick is over. A tick that is done in a moment is not worth waking anybody.
//!
//! A shard that panics is in an unknown state, and so is what it has told its neighbours in the process: the panic is carried to
//! the driver's thread and ends the process. Its supervisor starts another, and the shards come back from their journals.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use pangaea_scene::shard::{Shard, TickPhase};
use pangaea_schemas::{Tick, Timestamp};

use super::laps::Measuring;

/// Most shards that wait for a thread; the driver's own thread ticks what finds no place.
const SHARDS_WAITING_MAX: usize = 256;
/// The pool is woken when the last tick's shards took at least this long in all; waking it costs some tens of microseconds.
const WORTH_WAKING: Duration = Duration::from_millis(2);

/// A shard to tick.
struct Job {
    shard: Box<Shard>,
    now: Timestamp,
    tick: Tick,
}

/// A shard that was ticked, and how long it took; or the panic that took it.
type Done = thread::Result<(Box<Shard>, Duration)>;

/// See the module.
pub(super) struct TickThreads {
    jobs: Sender<Job>,
    /// The driver's thread takes jobs too.
    taken: Receiver<Job>,
    done: Receiver<Done>,
    /// Beside the driver's own.
    threads: usize,
    /// Time of the last tick's shards, added up over all threads.
    last_work: Duration,
}

impl TickThreads {
    /// A pool of `threads`, the caller's own included. They end when it is dropped.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(super) fn start(threads: usize) -> anyhow::Result<Self> {
        let threads = threads.saturating_sub(1);
        let (jobs, taken) = bounded::<Job>(SHARDS_WAITING_MAX);
        // Room for all that wait and all that are being ticked: a thread never waits to give a shard back.
        let (give_back, done) = bounded(SHARDS_WAITING_MAX + threads);
        for n in 1..=threads {
            let (taken, give_back) = (taken.clone(), give_back.clone());
            let work = move || {
                for job in taken {
                    let done = catch_unwind(AssertUnwindSafe(|| job.run()));
                    if give_back.send(done).is_err() {
                        return;
                    }
                }
            };
            thread::Builder::new().name(format!("tick-{n}")).spawn(work).context("cannot start a tick thread")?;
        }
        Ok(Self { jobs, taken, done, threads, last_work: Duration::ZERO })
    }

    /// Tick every shard once and give all of them back, in any order.
    pub(super) fn tick(&mut self, shards: Vec<Box<Shard>>, now: Timestamp, tick: Tick) -> Vec<Box<Shard>> {
        let alone = self.threads == 0 || shards.len() < 2 || self.last_work < WORTH_WAKING;
        let mut ticked = Vec::with_capacity(shards.len());
        let mut away = 0;
        for shard in shards {
            let job = Job { shard, now, tick };
            match if alone { Err(TrySendError::Full(job)) } else { self.jobs.try_send(job) } {
                Ok(()) => away += 1,
                Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => ticked.push(job.run()),
            }
        }
        while let Ok(job) = self.taken.try_recv() {
            away -= 1;
            ticked.push(job.run());
        }
        ticked.extend(self.done.iter().take(away).map(|done| done.unwrap_or_else(|panic| resume_unwind(panic))));
        self.last_work = ticked.iter().map(|(_, took)| *took).sum();
        ticked.into_iter().map(|(shard, _)| shard).collect()
    }
}

impl Job {
    fn run(mut self) -> (Box<Shard>, Duration) {
        let began = Instant::now();
        let mut last = began;
        let mut phases = [Duration::ZERO; TickPhase::ALL.len()];
        let measuring = Measuring::begin(&self.shard, self.tick);
        self.shard.tick_observed(self.now, self.tick, |phase| {
            let ended = Instant::now();
            phases[phase as usize] = ended - last;
            metrics::histogram!("pangaea_shard_phase_seconds", "phase" => phase.name()).record(ended - last);
            last = ended;
        });
        let took = began.elapsed();
        if let Some(measuring) = measuring {
            measuring.end(&mut self.shard, &phases);
        }
        self.shard.note_tick_time(took.as_micros() as u32);
        metrics::histogram!("pangaea_shard_tick_seconds").record(took);
        metrics::counter!("pangaea_scripts_rested").increment(u64::from(self.shard.world().scripts_rest()));
        (self.shard, took)
    }
}

#[cfg(test)]
mod tests {
    use pangaea_scene::game::{BuiltGame, Game};
    use pangaea_scene::scene::{Scene, SceneConfig};
    use pangaea_schemas::cluster::ClusterSpec;
    use pangaea_schemas::message::{Control, Message};
    use pangaea_schemas::{NodeId, Nonce, Role};

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    /// A scene that was asked to own the demo's shards.
    fn scene(game: BuiltGame) -> Scene {
        let spec = ClusterSpec::demo();
        let shards: Vec<_> = spec.spaces.iter().flat_map(|space| space.first_shards()).collect();
        let mut scene = Scene::new(SceneConfig { node: NodeId::new(Role::Scene, 1), nonce: Nonce(1), spec, game, seed: 1 });
        scene.handle(NOW, NodeId::new(Role::World, 1), Message::Control(Control::Rules(Default::default())));
        scene.lease_renewed(NOW);
        for shard in shards {
            let order = Message::Control(Control::Assign { shard, above: Default::default() });
            scene.handle(NOW, NodeId::new(Role::World, 1), order);
        }
        scene
    }

    #[test]
    fn every_shard_comes_back_whoever_ticked_it() {
        let mut scene = scene(Game::build(|_| {}).expect("a game"));
        let ids: Vec<_> = scene.shards().map(Shard::id).collect();
        assert_eq!(ids.len(), 16);
        for threads in [0, 1, 2, 5] {
            let mut pool = TickThreads::start(threads).expect("threads");
            for last_work in [Duration::ZERO, WORTH_WAKING] {
                pool.last_work = last_work;
                let lent = scene.lend_shards();
                assert_eq!(scene.shards().count(), 0, "lent");
                scene.return_shards(pool.tick(lent, NOW, Tick(1)));
                assert_eq!(scene.shards().map(Shard::id).collect::<Vec<_>>(), ids, "{threads} threads");
            }
        }
    }
}
