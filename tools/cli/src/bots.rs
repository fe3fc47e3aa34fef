//! `pangaea bots`: real clients that play and report every anomaly they see.

use std::fmt::Write;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use pangaea_bots::{BotOptions, Endpoint, Report, Scenario, Spread};
use pangaea_node::admin::ConfigView;
use tokio::io::AsyncReadExt;

use crate::cluster::ClusterAddress;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea bots --count 100 --seconds 30
  pangaea bots --count 500 --seconds 60 --scenario border-storm --json
Exit code 1 when a bot saw anything that should not be.";

/// How bots play.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BotsArgs {
    /// How many
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) count: u32,
    /// How long, from when all are connected
    #[arg(long, default_value_t = 30, value_name = "S")]
    pub(crate) seconds: u64,
    /// What they do: wander, border-storm or city-rush
    #[arg(long, default_value = "wander", value_name = "NAME")]
    pub(crate) scenario: Scenario,
    /// The same seed: the same decisions
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Connect as browsers do, over WebSocket
    #[arg(long)]
    pub(crate) websocket: bool,
    /// Report as JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
    /// End when stdin does
    #[arg(long, hide = true)]
    pub(crate) supervised: bool,
}

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
    let (deeds, mut text) = (report.deeds, format!("{} bots connected\n", report.connected));
    let rows = [
        ("inputs", format!("{:.0}/s", report.inputs_per_s)),
        ("updates", format!("{:.1}/s per bot", report.updates_per_client_s)),
        ("bytes", format!("{:.0}/s per bot", report.bytes_per_client_s)),
        ("gap", spread(&report.gap_ms)),
        ("input to seen", spread(&report.input_to_seen_ms)),
        ("sent on", format!("{} times, by gateways that were drained", report.sent_on)),
        ("borders", format!("{} crossed, {} to another process", deeds.crossings, deeds.scene_changes)),
        ("deals", format!("{} trades, {} payments", deeds.trades, deeds.payments)),
        ("fights", format!("{} blows, {} laid down", deeds.blows, deeds.felled)),
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
