//! What a process tells about itself: log lines on stderr, metrics for Prometheus, health and readiness over HTTP.
//!
//! Every role serves `/metrics`, `/healthz` (the process answers) and `/readyz` (the role does its work) on its HTTP port.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// How often the exporter folds its histograms.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// Bounds of time histograms in seconds: from a tenth of a millisecond to two seconds.
const SECONDS_BUCKETS: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.25, 0.5, 2.0];
/// Of single systems, most of which take some microseconds.
const SYSTEM_SECONDS_BUCKETS: [f64; 8] = [0.000_001, 0.000_005, 0.000_02, 0.000_1, 0.000_5, 0.002, 0.01, 0.05];

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// Start logging to stderr: `RUST_LOG` decides what, INFO by default. A second call does nothing.
pub fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A supervisor that died takes the pipe behind stderr with it: that must not end the role before its orderly stop.
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Human => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging runs already");
    }
}

/// Whether a role does its work, and what it waits for if not. Copies share the answer.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<RwLock<Result<(), String>>>);

impl Readiness {
    /// Not ready: it waits for `what`.
    pub fn waiting_for(what: &str) -> Self {
        Self(Arc::new(RwLock::new(Err(what.to_owned()))))
    }

    /// From now on ready.
    pub fn ready(&self) {
        self.set(Ok(()));
    }

    /// From now on waiting for `what`.
    pub fn wait_for(&self, what: &str) {
        self.set(Err(what.to_owned()));
    }

    fn set(&self, state: Result<(), String>) {
        if let Ok(mut held) = self.0.write() {
            *held = state;
        }
    }

    /// `Err` says what the role waits for.
    pub fn state(&self) -> Result<(), String> {
        self.0.read().map_or_else(|_| Err("unknown".to_owned()), |held| held.clone())
    }
}

/// Start collecting metrics, all labelled with the node's name. Once per process.
///
/// # Errors
/// Another recorder runs already.
pub fn start_metrics(node: &str) -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .context("histogram bounds")?
        .set_buckets_for_metric(Matcher::Full("pangaea_system_seconds".to_owned()), &SYSTEM_SECONDS_BUCKETS)
        .context("histogram bounds")?
        .add_global_label("node", node)
        .install_recorder()
        .context("cannot start the metrics recorder")
}

/// The three routes of every role.
pub fn routes(metrics: PrometheusHandle, readiness: Readiness) -> Router {
    let ready = move || async move {
        match readiness.state() {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {what}\n")),
        }
    };
    Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
}

/// Keep the exporter's memory level; runs until dropped.
pub async fn upkeep(metrics: PrometheusHandle) {
    let mut every = tokio::time::interval(UPKEEP_EVERY);
    loop {
        every.tick().await;
        metrics.run_upkeep();
    }
}

/// Bind the HTTP listener of a role.
///
/// # Errors
/// The address is in use or not ours; the text names it.
pub async fn bind_http(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen for HTTP on {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_it_waits_for() {
        let readiness = Readiness::waiting_for("the beacon");
        let copy = readiness.clone();
        assert_eq!(copy.state(), Err("the beacon".to_owned()));
        readiness.ready();
        assert_eq!(copy.state(), Ok(()));
    }
}
