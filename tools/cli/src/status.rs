//! `pangaea status`: what runs where.

use std::fmt::Write;
use std::process::ExitCode;

use clap::Args;
use pangaea_node::admin::StatusView;

use crate::args::JsonArgs;
use crate::cluster::ClusterAddress;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea status
  pangaea --cluster http://127.0.0.1:7100 status --json";

/// How to answer.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    answer: JsonArgs,
}

/// Ask and print.
pub(crate) async fn show(cluster: &ClusterAddress, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let status: StatusView = cluster.ask("/api/status").await?;
    say(&if args.answer.json { serde_json::to_string_pretty(&status)? } else { table(&status) });
    Ok(ExitCode::SUCCESS)
}

fn table(status: &StatusView) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_table(&mut text, status);
    text
}

fn write_table(text: &mut String, status: &StatusView) -> std::fmt::Result {
    let entities: u32 = status.shards.iter().map(|shard| shard.entities).sum();
    let running = status.shards.iter().filter(|shard| shard.phase == "running").count();
    let (shards, sessions) = (status.shards.len(), status.sessions);
    writeln!(text, "cluster {}: {running} of {shards} shards run, {entities} entities, {sessions} sessions\n", status.cluster)?;
    writeln!(text, "{:<12} {:>8}  {:<18} state", "node", "pid", "address")?;
    for node in &status.nodes {
        writeln!(text, "{:<12} {:>8}  {:<18} {}", node.id, node.pid, node.address, node.state)?;
    }
    writeln!(
        text,
        "\n{:<14} {:<12} {:>6} {:>9} {:>8} {:>7}  {:>9} {:>9} {:>6}  phase",
        "shard", "owner", "epoch", "entities", "players", "ghosts", "p50 ms", "p99 ms", "load"
    )?;
    for shard in &status.shards {
        let owner = shard.owner.as_deref().unwrap_or("-");
        write!(text, "{:<14} {owner:<12} {:>6} {:>9}", shard.id, shard.epoch, shard.entities)?;
        write!(text, " {:>8} {:>7}", shard.players, shard.ghosts)?;
        write!(text, "  {:>9.2} {:>9.2} {:>5.0}%", shard.tick_ms.p50, shard.tick_ms.p99, shard.load * 100.0)?;
        writeln!(text, "  {}", shard.phase)?;
    }
    text.truncate(text.trim_end().len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::{NodeView, ShardView};

    use super::*;

    #[test]
    fn the_table_has_every_node_and_shard_and_the_totals() {
        let shard = |id: &str, phase: &str| ShardView {
            id: id.to_owned(),
            phase: phase.to_owned(),
            entities: 21,
            ..ShardView::default()
        };
        let status = StatusView {
            cluster: "demo".to_owned(),
            nodes: vec![NodeView { id: "scene-1".to_owned(), pid: 77, ..NodeView::default() }],
            shards: vec![shard("0/3/0,0", "running"), shard("0/3/1,0", "vacant")],
            sessions: 5,
            ..StatusView::default()
        };
        let text = table(&status);
        assert!(text.starts_with("cluster demo: 1 of 2 shards run, 42 entities, 5 sessions"), "{text}");
        for word in ["scene-1", "77", "0/3/0,0", "0/3/1,0", "vacant"] {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}
