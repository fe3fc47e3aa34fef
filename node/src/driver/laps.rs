//! What a shard's tick costs, system by system: measured in one tick of [`MEASURE_EVERY`].
//!
//! The core says when a system begins and ends, the clock is read here. A measured tick costs two readings of the clock for each
//! system; the ticks between cost nothing but a look at a flag.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pangaea_scene::profile::{Moment, SCRIPT_PREFIX};
use pangaea_scene::shard::{Shard, TickCosts};
use pangaea_schemas::Tick;

/// One tick of a shard of so many is measured system by system; those of different shards in different ticks.
pub(super) const MEASURE_EVERY: u64 = 20;

/// The laps of one tick.
#[derive(Default)]
struct Laps {
    began: Option<Instant>,
    systems: Vec<(Arc<str>, u32)>,
}

/// A tick that is measured.
pub(super) struct Measuring(Arc<Mutex<Laps>>);

impl Measuring {
    /// Begins if it is this shard's turn.
    pub(super) fn begin(shard: &Shard, tick: Tick) -> Option<Self> {
        if !tick.0.wrapping_add(shard.id().to_bits()).is_multiple_of(MEASURE_EVERY) {
            return None;
        }
        let laps = Arc::new(Mutex::new(Laps::default()));
        let heard = Arc::clone(&laps);
        shard.listen_to_systems(Some(Box::new(move |moment| {
            let now = Instant::now();
            let mut laps = heard.lock().unwrap_or_else(PoisonError::into_inner);
            match moment {
                Moment::Begins => laps.began = Some(now),
                Moment::Ended(name) => {
                    let Some(began) = laps.began.take() else { return };
                    laps.systems.push((Arc::clone(name), nanoseconds(now - began)));
                }
            }
        })));
        Some(Self(laps))
    }

    /// The tick is over. A shard that did not run has cost nothing.
    pub(super) fn end(self, shard: &mut Shard, phases: &[Duration; 5]) {
        shard.listen_to_systems(None);
        let systems = std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).systems);
        if phases.iter().all(Duration::is_zero) {
            return;
        }
        for (name, ns) in &systems {
            let took = Duration::from_nanos(u64::from(*ns));
            metrics::histogram!("pangaea_system_seconds", "system" => label(name)).record(took);
        }
        shard.note_costs(&TickCosts { phases: phases.map(nanoseconds), systems });
    }
}

/// Names of systems are as many as the game has. Those of scripts come and go, so they are one.
fn label(name: &str) -> String {
    if name.starts_with(SCRIPT_PREFIX) { "scripts".to_owned() } else { name.to_owned() }
}

fn nanoseconds(took: Duration) -> u32 {
    u32::try_from(took.as_nanos()).unwrap_or(u32::MAX)
}
