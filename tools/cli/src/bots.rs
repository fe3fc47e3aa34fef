//! `pangaea bots`: real clients that play and report every anomaly they see.

use std::fmt::Write;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use pangaea_bots::{BotOptions, Endpoint, Report, Spread};
use pangaea_node::admin::ConfigView;
use tokio::io::AsyncReadExt;

use crate::args::BotsArgs;
use crate::cluster::ClusterAddress;
use crate::say;

/// Let them play, then report; failure when anything was wrong.
pub(crate) async fn run(cluster: &ClusterAddress, args: BotsArgs) -> anyhow::Result<ExitCode> {
    let config: ConfigView = cluster.ask("/api/config").await?;
    ensure!(!config.gateway_tcp.is_empty(), "the cluster at http://{cluster} has no gateway that takes clients");
    let options = BotOptions {
        endpoints: if args.websocket {
            config.gateway_ws.into_iter().map(|address| Endpoint::WebSocket(format!("ws://{address}"))).collect()
        } else {
            config.gateway_tcp.into_iter().map(Endpoint::Tcp).collect()
        },
        count: args.count,
        play: Duration::from_secs(args.seconds),
        scenario: args.scenario,
        seed: args.seed,
        progress: !args.supervised && std::io::stderr().is_terminal(),
    };
    let report = tokio::select! {
        report = pangaea_bots::run(options) => report,
        () = stdin_ends(), if args.supervised => return Ok(ExitCode::SUCCESS),
    };
    say(&if args.json { serde_json::to_string_pretty(&report)? } else { table(&report) });
    Ok(if report.anomalies_total == 0 && report.connected == args.count { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The supervisor closes stdin, or has gone.
async fn stdin_ends() {
    let mut bytes = [0; 64];
    let mut stdin = tokio::io::stdin();
    while stdin.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

fn table(report: &Report) -> String {
    let spread = |s: &Spread| format!("p50 {:.1}  p99 {:.1}  max {:.1} ms", s.p50, s.p99, s.max);
    let mut text = format!("{} bots connected\n", report.connected);
    let rows = [
        ("inputs", format!("{:.0}/s", report.inputs_per_s)),
        ("updates", format!("{:.1}/s per bot", report.updates_per_client_s)),
        ("bytes", format!("{:.0}/s per bot", report.bytes_per_client_s)),
        ("gap", spread(&report.gap_ms)),
        ("input to seen", spread(&report.input_to_seen_ms)),
        ("sent on", format!("{} times, by gateways that were drained", report.sent_on)),
        ("anomalies", report.anomalies_total.to_string()),
    ];
    for (name, value) in rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<14} {value}");
    }
    for (kind, count) in &report.anomalies {
        let _ = writeln!(text, "    {kind:<24} {count}");
    }
    for example in &report.examples {
        let _ = writeln!(text, "    {example}");
    }
    text.truncate(text.trim_end().len());
    text
}
