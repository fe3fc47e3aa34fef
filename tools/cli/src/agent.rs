//! `pangaea agent`: who is where, putting somebody elsewhere, sending somebody away.

mod show;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Args, Subcommand};
use pangaea_node::admin::{AgentMove, AgentMoveView, AgentPlace, AgentView, Kick, KickView, ReleaseView, ShardView, StatusView};
use serde::Serialize;

use crate::args::JsonArgs;
use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea agent list --shard 0/3/1,0
  pangaea agent show e4711
  pangaea agent show e4711 --follow                  as it goes, until Ctrl-C; any entity, not only players' agents
  pangaea agent move e4711 --to 120.5,88
  pangaea agent move e4711 --to e4712 --dry-run      to where that one stands
  pangaea agent kick e4711 --words \"please read the rules\"
  pangaea agent parked                               whose inputs ended their shard three times
  pangaea agent release e4711                        it plays again when its player comes back
A kicked player may log in again.";

/// Pause between two looks at where somebody is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A hand-over takes a few ticks; one that has not happened by then waits for its target.
const ARRIVAL_TIME_MAX: Duration = Duration::from_secs(15);

/// What to do with agents.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum AgentCommand {
    /// Show players' agents, those at rest included
    #[command(after_help = EXAMPLES)]
    List(ListArgs),
    /// Show one agent, or any other entity: owner, place, components, the shards that it came through
    #[command(after_help = EXAMPLES)]
    Show(ShowArgs),
    /// Put an agent elsewhere; where that is in another shard, it is handed over
    #[command(after_help = EXAMPLES)]
    Move(MoveArgs),
    /// End an agent's session, with words to its player
    #[command(after_help = EXAMPLES)]
    Kick(KickArgs),
    /// Show the agents that rest because their inputs ended their shard's owners
    #[command(after_help = EXAMPLES)]
    Parked(JsonArgs),
    /// Let one of them play again
    #[command(after_help = EXAMPLES)]
    Release(ReleaseArgs),
}

/// Which agents.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those in this shard
    #[arg(long, value_name = "SHARD")]
    shard: Option<String>,
    /// Only those with a higher id, of each shard
    #[arg(long, value_name = "AGENT", value_parser = agent_id)]
    after: Option<u64>,
    /// Most of them, up to 1,000
    #[arg(long, default_value_t = 100, value_name = "N")]
    limit: usize,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Which agent.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its id, such as e4711
    #[arg(value_name = "AGENT", value_parser = agent_id)]
    pub(crate) agent: u64,
    /// As JSON, for scripts; with --follow one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on looking, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    /// Milliseconds between two looks
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(50..=60_000), value_name = "MS", requires = "follow")]
    pub(crate) every_ms: u64,
    /// End after so many looks
    #[arg(long, value_name = "N", requires = "follow")]
    pub(crate) count: Option<u64>,
}

/// Who is to go where.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Its id, such as e4711
    #[arg(value_name = "AGENT", value_parser = agent_id)]
    agent: u64,
    /// X,Z in metres, or the agent to whose place it is to go
    #[arg(long, value_name = "PLACE", value_parser = goal, allow_hyphen_values = true)]
    to: AgentMove,
    #[command(flatten)]
    how: OrderArgs,
}

/// Whose session is to end.
#[derive(Debug, Args)]
pub(crate) struct KickArgs {
    /// Its id, such as e4711
    #[arg(value_name = "AGENT", value_parser = agent_id)]
    agent: u64,
    /// Told to the player
    #[arg(long, default_value = "", value_name = "TEXT")]
    words: String,
    #[command(flatten)]
    how: OrderArgs,
}

/// Who is to play again.
#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// Its id, such as e4711
    #[arg(value_name = "AGENT", value_parser = agent_id)]
    agent: u64,
    #[command(flatten)]
    how: OrderArgs,
}

/// What became of a move. The names are a promise to scripts.
#[derive(Debug, Serialize)]
struct Outcome {
    /// `moved`, or with a dry run `possible`.
    result: &'static str,
    /// The scene that runs it now.
    scene: String,
    /// From order to arrival.
    seconds: f64,
    #[serde(flatten)]
    order: AgentMoveView,
}

/// Such as `e4711` or the bare number.
pub(crate) fn agent_id(text: &str) -> Result<u64, String> {
    let id = text.strip_prefix('e').unwrap_or(text).parse().ok().filter(|id| *id != 0);
    id.ok_or_else(|| "expected something like e4711".to_owned())
}

fn goal(text: &str) -> Result<AgentMove, String> {
    match text.split_once(',') {
        Some((x, z)) => match (x.trim().parse(), z.trim().parse()) {
            (Ok(x), Ok(z)) => Ok(AgentMove::Place(AgentPlace { x, z })),
            _ => Err("expected X,Z in metres, such as 120.5,88".to_owned()),
        },
        None => agent_id(text)
            .map(|to_agent| AgentMove::Agent { to_agent })
            .map_err(|_| "expected X,Z in metres, such as 120.5,88, or an agent, such as e4712".to_owned()),
    }
}

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: AgentCommand) -> anyhow::Result<ExitCode> {
    match command {
        AgentCommand::List(ListArgs { shard, after, limit, json }) => {
            let shard = shard.map(|shard| format!("&shard={shard}")).unwrap_or_default();
            let path = format!("/api/agents?limit={limit}&after={}{shard}", after.unwrap_or(0));
            let agents: Vec<AgentView> = cluster.ask(&path).await?;
            say(&if json { serde_json::to_string_pretty(&agents)? } else { table(&agents) });
        }
        AgentCommand::Show(args) => show::run(cluster, &args).await?,
        AgentCommand::Move(args) => {
            let outcome = put(cluster, &args).await?;
            say(&if args.how.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
        }
        AgentCommand::Kick(KickArgs { agent, words, how }) => {
            let path = format!("/api/agents/{agent}/kick?dry_run={}", how.dry_run);
            let view: KickView = cluster.send(&path, &how.operator, &Kick { words }).await?;
            let KickView { name, gateway, words, .. } = &view;
            let verb = if how.dry_run { "would be sent away from" } else { "was sent away from" };
            let text = format!("{name} (e{agent}) {verb} {gateway} with the words: {words}");
            say(&if how.json { serde_json::to_string_pretty(&view)? } else { text });
        }
        AgentCommand::Parked(JsonArgs { json }) => {
            let shards = cluster.ask::<StatusView>("/api/status").await?.shards;
            let parked: Vec<ReleaseView> = shards.iter().flat_map(parked_in).collect();
            say(&if json { serde_json::to_string_pretty(&parked)? } else { parked_table(&parked) });
        }
        AgentCommand::Release(ReleaseArgs { agent, how }) => {
            let path = format!("/api/agents/{agent}/release?dry_run={}", how.dry_run);
            let view: ReleaseView = cluster.order(&path, &how.operator).await?;
            let verb =
                if how.dry_run { "would play again. Nothing was ordered." } else { "plays again when its player comes back." };
            let text = format!("e{agent} of {} {verb}", view.shard);
            say(&if how.json { serde_json::to_string_pretty(&view)? } else { text });
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Each with what its release would mean.
fn parked_in(shard: &ShardView) -> impl Iterator<Item = ReleaseView> {
    shard.parked.iter().map(|agent| ReleaseView { agent: *agent, shard: shard.id.clone(), dry_run: true })
}

fn parked_table(parked: &[ReleaseView]) -> String {
    let mut text = format!("{:<12} {:<12}", "parked", "shard");
    for ReleaseView { agent, shard, .. } in parked {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{:<12} {shard:<12}", format!("e{agent}"));
    }
    text
}

/// Orders, and waits until the agent is in the shard where it should be. It may walk on meanwhile.
async fn put(cluster: &ClusterAddress, args: &MoveArgs) -> anyhow::Result<Outcome> {
    let MoveArgs { agent, to, how } = args;
    let began = Instant::now();
    let path = format!("/api/agents/{agent}/move?dry_run={}", how.dry_run);
    let order: AgentMoveView = cluster.send(&path, &how.operator, to).await?;
    if how.dry_run {
        return Ok(Outcome { result: "possible", scene: String::new(), seconds: 0.0, order });
    }
    while began.elapsed() < ARRIVAL_TIME_MAX {
        // Between two shards it is nowhere known for a moment.
        if let Ok(view) = cluster.ask::<AgentView>(&format!("/api/agents/{agent}")).await
            && view.shard == order.to_shard
        {
            return Ok(Outcome { result: "moved", scene: view.scene, seconds: began.elapsed().as_secs_f64(), order });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let shard = &order.to_shard;
    bail!("e{agent} stands there, but {shard} has not taken it in yet; see `pangaea shard show {shard}`")
}

fn in_words(outcome: &Outcome) -> String {
    let AgentMoveView { agent, from, from_shard, to, to_shard, dry_run } = &outcome.order;
    let way = format!("from {:.1}, {:.1} in {from_shard} to {:.1}, {:.1} in {to_shard}", from.x, from.z, to.x, to.z);
    match dry_run {
        true => format!("e{agent} would be put {way}. Nothing was ordered."),
        false => format!("e{agent} was put {way}; {} runs it after {:.1} s.", outcome.scene, outcome.seconds),
    }
}

fn table(agents: &[AgentView]) -> String {
    let mut text = format!(
        "{:<12} {:<12} {:<10} {:>6} {:>9} {:>9} {:<7} {:<11} session",
        "agent", "shard", "scene", "epoch", "x", "z", "", "gateway"
    );
    for view in agents {
        let AgentView { id, shard, scene, epoch, position, session, .. } = view;
        let (agent, gateway) = (format!("e{id}"), view.gateway.as_deref().unwrap_or("-"));
        let awake = if view.awake { "" } else { "at rest" };
        let (x, z) = (position.x, position.z);
        // Writing to a string does not fail.
        let _ =
            write!(text, "\n{agent:<12} {shard:<12} {scene:<10} {epoch:>6} {x:>9.1} {z:>9.1} {awake:<7} {gateway:<11} {session}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_places_or_agents() {
        assert_eq!(goal("120.5,88"), Ok(AgentMove::Place(AgentPlace { x: 120.5, z: 88.0 })));
        assert_eq!(goal("-1, 2"), Ok(AgentMove::Place(AgentPlace { x: -1.0, z: 2.0 })));
        assert_eq!(goal("e4712"), Ok(AgentMove::Agent { to_agent: 4_712 }));
        for text in ["", "here", "1,", "e0", "1;2"] {
            assert!(goal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whoever_is_parked_is_listed_with_its_shard() {
        let shard = ShardView { id: "0/3/1,0".to_owned(), parked: vec![7, 8], ..ShardView::default() };
        let text = parked_table(&parked_in(&shard).collect::<Vec<_>>());
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows, [["e7", "0/3/1,0"], ["e8", "0/3/1,0"]]);
    }

    #[test]
    fn who_is_at_rest_is_listed_as_such() {
        assert!(table(&[AgentView { awake: false, ..AgentView::default() }]).contains("at rest"));
    }
}
