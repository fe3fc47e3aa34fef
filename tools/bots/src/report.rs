//! What a fleet reports: rates, spreads and anomalies, in the form that scripts rely on.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::anomaly::{Anomalies, Sighting};
use crate::deeds::Deeds;

/// Longest time a histogram holds in µs: a minute.
const LONGEST_US: u64 = 60_000_000;

/// Median, 99th percentile and largest of a span, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Half are shorter.
    pub p50: f64,
    /// 99 of 100 are shorter.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What the bots saw.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Bots that got into the world.
    pub connected: u32,
    /// Inputs of all bots together.
    pub inputs_per_s: f64,
    /// Updates per bot.
    pub updates_per_client_s: f64,
    /// Bytes to each bot, frames' prefixes included.
    pub bytes_per_client_s: f64,
    /// From one update to the next.
    pub gap_ms: Spread,
    /// From sending an input to the update that acknowledges it.
    pub input_to_seen_ms: Spread,
    /// How often a gateway that was drained sent a bot to another one, where it went on.
    pub sent_on: u64,
    /// What the bots did, since they came in.
    pub deeds: Deeds,
    /// By kind.
    pub anomalies: BTreeMap<&'static str, u64>,
    /// All together.
    pub anomalies_total: u64,
    /// A few of each kind in words; not in the JSON.
    #[serde(skip)]
    pub examples: Vec<String>,
    /// Each anomaly for itself, as far as bots remember them; not in the JSON.
    #[serde(skip)]
    pub sightings: Vec<Sighting>,
}

/// Counts of one bot or of all of them.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) joined: u32,
    pub(crate) inputs: u64,
    pub(crate) updates: u64,
    pub(crate) bytes: u64,
    pub(crate) sent_on: u64,
    pub(crate) deeds: Deeds,
    pub(crate) gaps: Histogram<u32>,
    pub(crate) latencies: Histogram<u32>,
    pub(crate) anomalies: Anomalies,
}

impl Default for Tally {
    fn default() -> Self {
        let (gaps, latencies) = (spans(), spans());
        let (deeds, anomalies) = (Deeds::default(), Anomalies::default());
        Self { joined: 0, inputs: 0, updates: 0, bytes: 0, sent_on: 0, deeds, gaps, latencies, anomalies }
    }
}

impl Tally {
    pub(crate) fn merge(&mut self, other: Self) {
        self.joined += other.joined;
        self.inputs += other.inputs;
        self.updates += other.updates;
        self.bytes += other.bytes;
        self.sent_on += other.sent_on;
        self.deeds.add(other.deeds);
        // Both have the same bounds, so adding cannot fail.
        let _ = self.gaps.add(&other.gaps);
        let _ = self.latencies.add(&other.latencies);
        self.anomalies.merge(other.anomalies);
    }

    pub(crate) fn report(&self, play: Duration) -> Report {
        let seconds = play.as_secs_f64().max(0.001);
        let per_client = |count: u64| rounded(count as f64 / seconds / f64::from(self.joined.max(1)));
        Report {
            connected: self.joined,
            inputs_per_s: rounded(self.inputs as f64 / seconds),
            updates_per_client_s: per_client(self.updates),
            bytes_per_client_s: per_client(self.bytes),
            gap_ms: spread(&self.gaps),
            input_to_seen_ms: spread(&self.latencies),
            sent_on: self.sent_on,
            deeds: self.deeds,
            anomalies: self.anomalies.counts(),
            anomalies_total: self.anomalies.total(),
            examples: self.anomalies.examples().map(|(kind, text)| format!("{kind}: {text}")).collect(),
            sightings: self.anomalies.sightings().to_vec(),
        }
    }
}

/// Count a span; longer ones than a minute count as a minute.
pub(crate) fn record(spans: &mut Histogram<u32>, span: Duration) {
    spans.saturating_record((span.as_micros() as u64).clamp(1, LONGEST_US));
}

fn spans() -> Histogram<u32> {
    // The bounds are constants within the library's range: 1 µs to a minute, two digits.
    Histogram::new_with_bounds(1, LONGEST_US, 2).unwrap_or_else(|_| unreachable!("constant bounds"))
}

fn spread(spans: &Histogram<u32>) -> Spread {
    let ms = |us: u64| rounded(us as f64 / 1_000.0);
    Spread { p50: ms(spans.value_at_quantile(0.5)), p99: ms(spans.value_at_quantile(0.99)), max: ms(spans.max()) }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnomalyKind;

    #[test]
    fn the_report_has_the_names_that_scripts_rely_on() {
        let mut tally = Tally { joined: 2, inputs: 400, updates: 398, bytes: 40_000, ..Tally::default() };
        record(&mut tally.gaps, Duration::from_millis(50));
        tally.anomalies.note(AnomalyKind::Jump, 7.0, || "7 m in a tick".to_owned());
        let json = serde_json::to_value(tally.report(Duration::from_secs(10))).expect("plain data");
        assert_eq!(json["connected"], 2);
        assert_eq!(json["inputs_per_s"], 40.0);
        assert_eq!(json["updates_per_client_s"], 19.9);
        assert_eq!(json["bytes_per_client_s"], 2_000.0);
        assert_eq!(json["sent_on"], 0);
        assert_eq!(json["deeds"]["crossings"], 0);
        assert_eq!(json["anomalies"]["jump"], 1);
        assert_eq!(json["anomalies_total"], 1);
        let p50 = json["gap_ms"]["p50"].as_f64().expect("a number");
        assert!((49.5..50.5).contains(&p50), "{p50}");
        assert!(json["input_to_seen_ms"]["p99"].is_number() && json.get("examples").is_none());
    }
}
