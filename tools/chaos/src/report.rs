//! What chaos found, in the form that scripts rely on.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_bots::{Deeds, Spread};
use serde::Serialize;

/// Anomalies of one kind told in words.
const EXAMPLES_PER_KIND_MAX: u64 = 40;

/// The outcome of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChaosReport {
    /// All faults were drawn from it.
    pub seed: u64,
    /// How many of each kind were done.
    pub faults: BTreeMap<String, u32>,
    /// Where the cluster's processes ran, if not all on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<String>,
    /// Kinds that could not be done here, and why.
    pub skipped: BTreeMap<String, String>,
    /// By kind, how long until all shards ran, every bot was answered and value moved: from the fault for what heals by itself,
    /// from its healing for what lasts. `overlapping`: two at once, from the last healing.
    pub recovery_ms: BTreeMap<String, Spread>,
    /// By kind, how long after a host was away the others had taken over all that was there, while it was away still: all shards
    /// ran elsewhere, and every bot was answered.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub takeover_ms: BTreeMap<String, Spread>,
    /// In a drill: who was killed at which step of a migration, and how many milliseconds later all was well.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub at_steps: BTreeMap<String, f64>,
    /// What must not be, by kind.
    pub anomalies: BTreeMap<String, u64>,
    /// All together.
    pub anomalies_total: u64,
    /// What bots saw that the promises allow for that fault, by kinds of fault and of sight.
    pub allowed: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// All gold and items add up, live and in the files, and are where the bots were told.
    pub ledger_ok: bool,
    /// What the audits found, in words.
    pub ledger_faults: Vec<String>,
    /// Bots that got into the world.
    pub connected: u32,
    /// Inputs of all bots together.
    pub inputs_per_s: f64,
    /// What the bots did meanwhile.
    pub deeds: Deeds,
    /// Anomalies in words, the first of each kind; with JSON on stderr.
    #[serde(skip)]
    pub examples: Vec<String>,
}

impl ChaosReport {
    /// Count an anomaly.
    pub(crate) fn count(&mut self, kind: &str, text: String) {
        let count = self.anomalies.entry(kind.to_owned()).or_default();
        *count += 1;
        self.anomalies_total += 1;
        if *count <= EXAMPLES_PER_KIND_MAX {
            self.examples.push(format!("{kind}: {text}"));
        }
    }

    /// Whether everything is as it must be.
    pub fn ok(&self) -> bool {
        self.anomalies_total == 0 && self.ledger_ok
    }
}

/// Median, 99th percentile and maximum of a few spans, each one of them: nothing is interpolated.
pub(crate) fn spread(mut spans: Vec<Duration>) -> Spread {
    spans.sort_unstable();
    let at = |quantile: f64| {
        let nth = (quantile * spans.len() as f64).ceil() as usize;
        let span = spans.get(nth.clamp(1, spans.len().max(1)) - 1).copied().unwrap_or_default();
        (span.as_secs_f64() * 1e4).round() / 10.0
    };
    Spread { p50: at(0.5), p99: at(0.99), max: at(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_made_of_spans_that_were_measured() {
        let ms = |all: &[u64]| spread(all.iter().map(|ms| Duration::from_millis(*ms)).collect());
        assert_eq!(ms(&[30, 10, 20]), Spread { p50: 20.0, p99: 30.0, max: 30.0 });
        assert_eq!(ms(&[7]), Spread { p50: 7.0, p99: 7.0, max: 7.0 });
        assert_eq!(ms(&[]), Spread::default());
    }

    #[test]
    fn the_report_has_the_names_that_scripts_rely_on() {
        let report = ChaosReport {
            faults: [("kill_scene".to_owned(), 2)].into(),
            recovery_ms: [("kill_scene".to_owned(), Spread { p50: 1.0, p99: 2.0, max: 2.0 })].into(),
            ledger_ok: true,
            ..ChaosReport::default()
        };
        let json = serde_json::to_value(&report).expect("plain data");
        assert_eq!(json["faults"]["kill_scene"], 2);
        assert_eq!(json["recovery_ms"]["kill_scene"]["p99"], 2.0);
        assert_eq!((&json["anomalies_total"], &json["ledger_ok"]), (&0.into(), &true.into()));
        assert!(report.ok() && !ChaosReport { anomalies_total: 1, ..report.clone() }.ok());
        assert!(!ChaosReport { ledger_ok: false, ..report }.ok());
    }
}
