//! `pangaea session`: whose sessions there are, at which gateways.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use pangaea_node::admin::SessionView;

use crate::cluster::ClusterAddress;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea session list
  pangaea session list --limit 1000 --json
A session outlives its client's connection for a while; `pangaea agent kick` ends one.";

/// What to do with sessions.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum SessionCommand {
    /// Show sessions of all gateways, by agent
    #[command(after_help = EXAMPLES)]
    List(ListArgs),
}

/// Which sessions.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Most of them, up to 1,000
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// Only those of agents with a higher id
    #[arg(long, default_value_t = 0, value_name = "ID")]
    after: u64,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: SessionCommand) -> anyhow::Result<ExitCode> {
    let SessionCommand::List(ListArgs { limit, after, json }) = command;
    let sessions: Vec<SessionView> = cluster.ask(&format!("/api/sessions?limit={limit}&after={after}")).await?;
    say(&if json { serde_json::to_string_pretty(&sessions)? } else { table(&sessions) });
    Ok(ExitCode::SUCCESS)
}

fn table(sessions: &[SessionView]) -> String {
    let head = ["agent", "name", "session", "gateway", "state", "client", "shard", "scene"];
    let row = |cells: [&str; 8]| {
        let [agent, name, session, gateway, state, client, shard, scene] = cells;
        format!("{agent:<12} {name:<20} {session:<8} {gateway:<11} {state:<10} {client:<7} {shard:<12} {scene}")
    };
    let mut text = row(head);
    for view in sessions {
        let (agent, client) = (format!("e{}", view.agent), if view.connected { "yes" } else { "no" });
        let [shard, scene] = [&view.shard, &view.scene].map(|known| known.as_deref().unwrap_or("-"));
        let line = row([&agent, &view.name, &view.session, &view.gateway, &view.state, client, shard, scene]);
        // Writing to a string does not fail.
        let _ = write!(text, "\n{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_who_is_where() {
        let view = SessionView {
            agent: 4_711,
            name: "Ana".to_owned(),
            session: "3.1".to_owned(),
            gateway: "gateway-1".to_owned(),
            state: "lost".to_owned(),
            ..SessionView::default()
        };
        let text = table(&[view]);
        let row: Vec<_> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(row, ["e4711", "Ana", "3.1", "gateway-1", "lost", "no", "-", "-"]);
    }
}
