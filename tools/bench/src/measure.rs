//! How figures are made: reference and measurement take turns, and medians of pairs count.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::row::{Bound, Reference, Row, show};

/// The raw log: every single sample, in the order in which they were taken.
pub(crate) struct Log {
    file: File,
}

impl Log {
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { file: File::create(path).with_context(|| format!("cannot write {}", path.display()))? })
    }

    /// A line for the log and for whoever watches.
    pub(crate) fn say(&mut self, line: &str) {
        self.note(line);
        // Nobody needs to watch.
        let _ = writeln!(std::io::stderr(), "{line}");
    }

    /// A line for the log.
    pub(crate) fn note(&mut self, line: &str) {
        // The table counts, not the log: a full disk ends no run.
        let _ = writeln!(self.file, "{line}");
    }
}

/// Samples of a figure and of its reference, taken in turn.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    reference: Vec<f64>,
    figure: Vec<f64>,
}

impl Pairs {
    pub(crate) fn push(&mut self, log: &mut Log, reference: f64, figure: f64) {
        log.note(&format!("  reference {} figure {} ratio {}", show(reference), show(figure), show(figure / reference)));
        self.add(reference, figure);
    }

    /// A pair that the log has already.
    pub(crate) fn add(&mut self, reference: f64, figure: f64) {
        self.reference.push(reference);
        self.figure.push(figure);
    }

    /// Figures over references, pair by pair.
    fn ratios(&self) -> Vec<f64> {
        self.figure.iter().zip(&self.reference).map(|(figure, reference)| figure / reference).collect()
    }

    pub(crate) fn ratio(&self) -> f64 {
        median(&self.ratios())
    }

    fn reference(&self, what: &'static str) -> Reference {
        Reference { what, figure: median(&self.reference), ratio: self.ratio() }
    }

    /// A row that is judged by its figure.
    pub(crate) fn row(&self, id: &'static str, what: &str, goal: Bound, unit: &'static str, reference: &'static str) -> Row {
        let row = samples(&self.figure, id, what, goal, unit);
        Row { reference: Some(self.reference(reference)), ..row }
    }

    /// A row that is judged by its ratio to the reference.
    pub(crate) fn row_of_ratio(
        &self,
        id: &'static str,
        what: &str,
        goal: Bound,
        unit: &'static str,
        reference: &'static str,
    ) -> Row {
        let row = self.row(id, what, goal, unit, reference);
        Row { goal: format!("{goal} × {reference}"), met: goal.holds(self.ratio()), ..row }
    }
}

/// A row without a reference.
pub(crate) fn samples(figures: &[f64], id: &'static str, what: &str, goal: Bound, unit: &'static str) -> Row {
    let figure = median(figures);
    let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let high = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Row {
        id,
        what: what.to_owned(),
        goal: format!("{goal} {unit}"),
        figure,
        unit,
        met: goal.holds(figure),
        reference: None,
        spread: [low, high],
        samples: figures.len(),
        note: String::new(),
    }
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// The sample below which that part of all lies; 0 without samples.
pub(crate) fn quantile(samples: &[f64], part: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = (part * sorted.len() as f64) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Seconds of processor time that `work` takes on this thread: on a shared machine, what others do is not in it.
pub(crate) fn cpu_seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = thread_time();
    let done = work();
    (done, (thread_time() - began).as_secs_f64())
}

/// Processor time that this thread has taken.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Seconds that `work` takes.
pub(crate) fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_tails() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.99), 4.0);
        assert_eq!(median(&[]), 0.0);
    }

    #[test]
    fn pairs_are_judged_by_their_ratio() {
        let pairs = Pairs { reference: vec![1.0, 10.0, 2.0], figure: vec![2.0, 11.0, 4.0] };
        let row = pairs.row_of_ratio("S4", "x", Bound::AtMost(2.0), "ms", "y");
        assert!(row.met && pairs.ratio() == 2.0, "one slow minute changes no ratio");
        assert_eq!(row.goal, "≤ 2 × y");
    }
}
