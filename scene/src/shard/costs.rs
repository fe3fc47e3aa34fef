//! What the parts of a shard's ticks cost, as told by the driver: of the ticks that it measured, the last ones.

use std::sync::Arc;

use pangaea_schemas::RequestId;
use pangaea_schemas::message::{Cost, Desk, PROFILE_ROWS_MAX};

use super::{Shard, TickPhase};
use crate::profile::Listener;

/// Measured ticks that are remembered of each system.
const SAMPLES_KEPT: usize = 32;

/// Nanoseconds of the last measured ticks.
type Samples = [u32; SAMPLES_KEPT];

/// What one measured tick cost.
#[derive(Clone, Debug, Default)]
pub struct TickCosts {
    /// Nanoseconds of each phase, in order.
    pub phases: [u32; TickPhase::ALL.len()],
    /// Systems and scripts in the order in which they ended, with their nanoseconds.
    pub systems: Vec<(Arc<str>, u32)>,
}

/// What is remembered of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Costs {
    phases: [Samples; TickPhase::ALL.len()],
    systems: Vec<(Arc<str>, Samples)>,
    /// Ticks measured so far.
    ticks: usize,
}

impl Costs {
    fn note(&mut self, costs: &TickCosts) {
        let at = self.ticks % SAMPLES_KEPT;
        self.ticks += 1;
        for (samples, ns) in self.phases.iter_mut().zip(costs.phases) {
            samples[at] = ns;
        }
        for (_, samples) in &mut self.systems {
            samples[at] = 0;
        }
        for (name, ns) in &costs.systems {
            let known = self.systems.iter().position(|(known, _)| known == name);
            let row = known.unwrap_or(self.systems.len());
            if known.is_none() && row < PROFILE_ROWS_MAX {
                self.systems.push((Arc::clone(name), [0; SAMPLES_KEPT]));
            }
            if let Some((_, samples)) = self.systems.get_mut(row) {
                samples[at] = samples[at].saturating_add(*ns);
            }
        }
        // A script that was taken away does not run any more.
        self.systems.retain(|(_, samples)| samples.iter().any(|ns| *ns > 0));
    }

    fn ticks(&self) -> usize {
        self.ticks.min(SAMPLES_KEPT)
    }

    fn cost(&self, name: &str, samples: &Samples) -> Cost {
        let sum: u64 = samples.iter().map(|ns| u64::from(*ns)).sum();
        let mean_ns = (sum / self.ticks().max(1) as u64) as u32;
        Cost { name: name.to_owned(), mean_ns, max_ns: samples.iter().copied().max().unwrap_or(0) }
    }
}

impl Shard {
    /// `listener` hears when systems and scripts begin and end; `None`: nobody does.
    pub fn listen_to_systems(&self, listener: Option<Listener>) {
        self.world.listen_to_systems(listener);
    }

    /// The last tick was measured, and cost this.
    pub fn note_costs(&mut self, costs: &TickCosts) {
        self.meter.costs.note(costs);
    }

    /// For an admin.
    pub(super) fn profiled(&self, request: RequestId) -> Desk {
        let costs = &self.meter.costs;
        let phases = TickPhase::ALL.iter().zip(&costs.phases).map(|(phase, samples)| costs.cost(phase.name(), samples)).collect();
        let systems = costs.systems.iter().map(|(name, samples)| costs.cost(name, samples)).collect();
        Desk::Profiled { request, shard: self.id, ticks: costs.ticks() as u32, phases, systems }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(systems: &[(&str, u32)]) -> TickCosts {
        let systems = systems.iter().map(|(name, ns)| (Arc::from(*name), *ns)).collect();
        TickCosts { phases: [10, 20, 30, 40, 50], systems }
    }

    fn told(costs: &Costs) -> Vec<(String, u32, u32)> {
        let cost = |(name, samples): &(Arc<str>, Samples)| {
            let Cost { name, mean_ns, max_ns } = costs.cost(name, samples);
            (name, mean_ns, max_ns)
        };
        costs.systems.iter().map(cost).collect()
    }

    #[test]
    fn means_are_over_all_measured_ticks_whether_a_system_ran_in_them_or_not() {
        let mut costs = Costs::default();
        costs.note(&tick(&[("walk", 100), ("script glow", 30), ("walk", 20)]));
        costs.note(&tick(&[("walk", 180)]));
        assert_eq!(told(&costs), [("walk".to_owned(), 150, 180), ("script glow".to_owned(), 15, 30)]);
        assert_eq!(costs.cost("", &costs.phases[4]).mean_ns, 50);
    }

    #[test]
    fn what_runs_no_more_is_forgotten_and_rows_are_bounded() {
        let mut costs = Costs::default();
        costs.note(&tick(&[("script glow", 30)]));
        for _ in 0..SAMPLES_KEPT {
            costs.note(&tick(&[("walk", 7)]));
        }
        assert_eq!(told(&costs), [("walk".to_owned(), 7, 7)]);
        let names: Vec<String> = (0..PROFILE_ROWS_MAX + 5).map(|n| n.to_string()).collect();
        costs.note(&tick(&names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>()));
        assert_eq!(costs.systems.len(), PROFILE_ROWS_MAX);
    }
}
