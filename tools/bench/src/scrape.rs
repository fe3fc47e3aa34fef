//! What a process tells under `/metrics`: counters, and histograms as cumulative counts up to named bounds.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, ensure};

/// The text of `http://address/metrics`.
pub(crate) fn metrics(address: SocketAddr) -> anyhow::Result<String> {
    let mut socket = TcpStream::connect(address).with_context(|| format!("no metrics at {address}"))?;
    write!(socket, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Values of a metric by one of its labels, summed over all other labels.
pub(crate) fn by_label(text: &str, name: &str, label: &str) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for (labels, value) in lines(text, name) {
        if let Some(key) = label_of(labels, label) {
            *all.entry(key.to_owned()).or_default() += value;
        }
    }
    all
}

/// A histogram: for each upper bound how many samples are not above it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Histogram(Vec<(f64, f64)>);

impl Histogram {
    /// The one of that name whose lines have `label="value"`.
    ///
    /// # Errors
    /// The text holds none.
    pub(crate) fn of(text: &str, name: &str, (label, value): (&str, &str)) -> anyhow::Result<Self> {
        let wanted = |(labels, count): (&str, f64)| {
            let bound = label_of(labels, "le")?.parse().ok()?;
            (label.is_empty() || label_of(labels, label) == Some(value)).then_some((bound, count))
        };
        let mut bounds: Vec<(f64, f64)> = lines(text, &format!("{name}_bucket")).filter_map(wanted).collect();
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        ensure!(!bounds.is_empty(), "the process tells no histogram {name} with {label}={value}");
        Ok(Self(bounds))
    }

    /// What came since an earlier look at the same histogram.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| earlier.0.iter().find(|(other, _)| *other == bound).map_or(0.0, |(_, count)| *count);
        Self(self.0.iter().map(|(bound, count)| (*bound, count - before(*bound))).collect())
    }

    /// The value below which that part of all lies, evenly spread between two bounds; beyond the last bound it is that one.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let wanted = self.0.last().map_or(0.0, |(_, all)| all * part);
        let (mut low, mut below) = (0.0, 0.0);
        for &(high, upto) in &self.0 {
            if upto >= wanted && upto > below {
                return if high.is_finite() { low + (high - low) * (wanted - below) / (upto - below) } else { low };
            }
            if high.is_finite() {
                (low, below) = (high, upto);
            }
        }
        low
    }
}

/// Labels and value of each line of a metric.
fn lines<'t>(text: &'t str, name: &str) -> impl Iterator<Item = (&'t str, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?.strip_prefix('{')?;
        let (labels, value) = rest.rsplit_once("} ")?;
        Some((labels, value.trim().parse().ok()?))
    })
}

fn label_of<'t>(labels: &'t str, name: &str) -> Option<&'t str> {
    labels
        .split(',')
        .find_map(|label| label.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
pangaea_tick_seconds_bucket{node="scene-1",phase="all",le="0.01"} 50
pangaea_tick_seconds_bucket{node="scene-1",phase="all",le="0.02"} 100
pangaea_tick_seconds_bucket{node="scene-1",phase="all",le="+Inf"} 100
pangaea_tick_seconds_bucket{node="scene-1",phase="begin",le="0.01"} 100
bench_crossings{node="scene-1",ticks="1"} 40
bench_crossings{node="scene-1",ticks="2"} 2
"#;

    #[test]
    fn histograms_are_read_by_label_and_count_from_a_moment_on() {
        let all = Histogram::of(TEXT, "pangaea_tick_seconds", ("phase", "all")).expect("it is there");
        assert_eq!((all.quantile(0.25), all.quantile(0.75), all.quantile(1.0)), (0.005, 0.015, 0.02));
        let earlier = Histogram(vec![(0.01, 50.0), (0.02, 50.0), (f64::INFINITY, 50.0)]);
        assert_eq!(all.since(&earlier).quantile(0.5), 0.015, "the quick ones were before");
        Histogram::of(TEXT, "pangaea_tick_seconds", ("phase", "none")).expect_err("there is none");
    }

    #[test]
    fn counters_are_read_by_label() {
        let crossings = by_label(TEXT, "bench_crossings", "ticks");
        assert_eq!(crossings, BTreeMap::from([("1".to_owned(), 40.0), ("2".to_owned(), 2.0)]));
    }
}
