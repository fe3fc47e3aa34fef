//! `pangaea chaos`: real faults on a cluster of its own, and the proof that nothing was lost.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use clap::Args;
use pangaea_bots::Deeds;
use pangaea_chaos::{ChaosOptions, ChaosReport, FaultKind};
use pangaea_node::halt::Point;
use pangaea_node::role::SCENES_DEFAULT;
use pangaea_node::up::UpEngine;

use crate::engine::EngineKind;
use crate::up::own_engine;
use crate::{say, say_aside};

const EXAMPLES: &str = "Examples:
  pangaea chaos                                     a minute of faults on a cluster of its own
  pangaea chaos --seconds 3600 --bots 300 --json
  pangaea chaos --seed 42                           the same faults in the same order
  pangaea chaos --engine nats --worlds 2 --datas 2 --only kill_engine,kill_world,kill_data,kill_scene,pause_engine
  pangaea chaos --engine nats --hosts 3 --only cut_host,kill_host     on three hosts, of which one is lost
  pangaea chaos --drill                             at every step of a shard's migration kills source, target, world and data
Exit code 1 when anything was lost, or seen that no fault excuses. Filling a disk needs the right to mount one; cutting hosts off needs root, `ip` and /dev/net/tun: without, they are loopback addresses
that can be killed and stopped, but not cut off.";

/// How to hurt a cluster.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ChaosArgs {
    /// How long faults are injected
    #[arg(long, default_value_t = 60, value_name = "S")]
    seconds: u64,
    /// How many bots play meanwhile
    #[arg(long, default_value_t = 40, value_name = "N")]
    bots: u32,
    /// The same seed: the same faults in the same order; drawn and printed when not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where the cluster lives, without a world yet; a temporary folder when not given, kept only if something is wrong
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Port of the cluster's page; all others are above it
    #[arg(long, default_value_t = 7_800, value_name = "N")]
    port_base: u16,
    /// Scene processes
    #[arg(long, default_value_t = SCENES_DEFAULT, value_name = "N")]
    scenes: u16,
    /// Gateway processes
    #[arg(long, default_value_t = 2, value_name = "N")]
    gateways: u16,
    /// World processes, of which one leads; several need the engine
    #[arg(long, default_value_t = 1, value_name = "N")]
    worlds: u16,
    /// Data processes with a copy each; several need the engine
    #[arg(long, default_value_t = 1, value_name = "N")]
    datas: u16,
    /// Where beacon, journals, bus and blobs are: in processes of the cluster, or on NATS JetStream servers, which are hurt, too
    #[arg(long, value_enum, default_value = "embedded")]
    engine: EngineKind,
    /// With --engine nats: how many servers to start, 1 or 3
    #[arg(long, default_value_t = 3, value_name = "N")]
    engine_nodes: u16,
    /// Over how many hosts to spread processes, 1 or 3: network namespaces, whose network is hurt, too. Each of 3 has at least
    /// one scene, gateway and server of --engine nats; worlds and data processes are at least two
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=3), conflicts_with = "drill")]
    hosts: u16,
    /// Only these kinds of fault, such as kill_scene,cut_link; each at least once, even if that takes longer
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    only: Vec<FaultKind>,
    /// Instead of faults that are drawn: kills everybody who takes part in a shard's migration at every step of it, each once
    #[arg(long, conflicts_with_all = ["seconds", "only"])]
    drill: bool,
    /// With --drill: only at these points of a migration, such as 'freezing,committing said'
    #[arg(long, requires = "drill", value_delimiter = ',', value_name = "POINTS")]
    at: Vec<Point>,
    /// Multiplies promised times, for slow machines and unoptimised builds
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    patience: f64,
    /// Report as JSON, for scripts; progress goes to stderr
    #[arg(long)]
    pub(crate) json: bool,
}

impl ChaosArgs {
    pub(crate) fn options(self, drawn_seed: u64) -> anyhow::Result<ChaosOptions> {
        let engine = match self.engine {
            EngineKind::Embedded => UpEngine::Embedded,
            EngineKind::Nats => own_engine(self.engine_nodes)?,
        };
        let own_servers = if let UpEngine::Own { servers, .. } = engine { servers } else { 1 };
        ensure!(
            self.hosts == 1 || self.hosts == own_servers,
            "each of several hosts has a server of the engine: add --engine nats \
                and as many --engine-nodes as --hosts, 3"
        );
        // Whatever is on one host is elsewhere, too.
        let twice = self.hosts.min(2);
        Ok(ChaosOptions {
            engine,
            hosts: self.hosts,
            worlds: self.worlds.max(twice),
            datas: self.datas.max(twice),
            play: Duration::from_secs(self.seconds),
            bots: self.bots,
            seed: self.seed.unwrap_or(drawn_seed),
            data_dir: self.data_dir,
            port_base: self.port_base,
            scenes: self.scenes.max(self.hosts),
            gateways: self.gateways.max(self.hosts),
            only: self.only,
            drill: self.drill,
            drill_at: self.at,
            patience: self.patience.max(0.1),
        })
    }
}

/// Hurt it, then report; failure when anything is wrong.
pub(crate) async fn run(args: ChaosArgs) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let drawn = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
    let report = pangaea_chaos::run(&args.options(drawn)?).await?;
    if json {
        report.examples.iter().for_each(|example| say_aside(example));
        say(&serde_json::to_string_pretty(&report)?);
    } else {
        say(&table(&report));
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(report: &ChaosReport) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_table(&mut text, report);
    text
}

fn write_table(text: &mut String, report: &ChaosReport) -> std::fmt::Result {
    writeln!(text, "seed {}, {} bots, {:.0} inputs/s", report.seed, report.connected, report.inputs_per_s)?;
    if let Some(hosts) = &report.hosts {
        writeln!(text, "{hosts}")?;
    }
    let Deeds { crossings, scene_changes, trades, payments, blows, felled } = report.deeds;
    write!(
        text,
        "{crossings} borders crossed, {scene_changes} of them between processes; {trades} trades, {payments} payments; "
    )?;
    writeln!(text, "{blows} blows, {felled} laid down\n")?;
    writeln!(text, "{:<18} {:>6} {:>9} {:>9} {:>9}  allowed sights", "fault", "count", "p50 ms", "p99 ms", "max ms")?;
    for kind in report.faults.keys().chain(report.recovery_ms.contains_key("overlapping").then_some(&"overlapping".to_owned())) {
        write!(text, "{kind:<18} {:>6}", report.faults.get(kind).copied().unwrap_or_default())?;
        match report.recovery_ms.get(kind) {
            Some(back) => write!(text, " {:>9.0} {:>9.0} {:>9.0}", back.p50, back.p99, back.max)?,
            None => write!(text, " {:>9} {:>9} {:>9}", "-", "-", "-")?,
        }
        let allowed = report.allowed.get(kind).into_iter().flatten().map(|(sight, count)| format!("{count} {sight}"));
        writeln!(text, "  {}", allowed.collect::<Vec<_>>().join(", "))?;
    }
    for (kind, taken) in &report.takeover_ms {
        writeln!(
            text,
            "{kind:<18} taken over by other hosts after {:.0} ms, p99 {:.0}, max {:.0}",
            taken.p50, taken.p99, taken.max
        )?;
    }
    for (kill, back_ms) in &report.at_steps {
        writeln!(text, "{kill:<26} well again after {back_ms:>6.0} ms")?;
    }
    for (kind, why) in &report.skipped {
        writeln!(text, "{kind:<18} SKIPPED: {why}")?;
    }
    let ledger = if report.ledger_ok { "the ledger is exact" } else { "THE LEDGER IS WRONG" };
    write!(text, "\n{} anomalies; {ledger}", report.anomalies_total)?;
    for line in report.examples.iter().chain(&report.ledger_faults) {
        write!(text, "\n  {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pangaea_bots::Spread;

    use super::*;

    #[test]
    fn the_table_names_faults_times_and_what_is_wrong() {
        let report = ChaosReport {
            seed: 42,
            faults: [("kill_scene".to_owned(), 3)].into(),
            deeds: Deeds { crossings: 4_711, trades: 12, ..Deeds::default() },
            recovery_ms: [("kill_scene".to_owned(), Spread { p50: 800.0, p99: 950.0, max: 950.0 })].into(),
            allowed: [("kill_scene".to_owned(), [("jump", 4)].into())].into(),
            skipped: [("full_disk".to_owned(), "no permission".to_owned())].into(),
            hosts: Some("3 network namespaces".to_owned()),
            takeover_ms: [("cut_host".to_owned(), Spread { p50: 2_718.0, p99: 3_141.0, max: 3_141.0 })].into(),
            anomalies_total: 1,
            examples: vec!["twice: one too many".to_owned()],
            ..ChaosReport::default()
        };
        let text = table(&report);
        for words in [
            "seed 42",
            "4711 borders",
            "12 trades",
            "950",
            "3 network namespaces",
            "cut_host           taken over by other hosts after 2718 ms",
            "4 jump",
            "SKIPPED: no permission",
            "1 anomalies",
            "THE LEDGER IS WRONG",
            "one too many",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
    }
}
