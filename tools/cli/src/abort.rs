//! `pangaea abort`: lets what is under way end where it began, from any terminal.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use pangaea_node::admin::{StatusView, unknown};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::{moves, say};

const EXAMPLES: &str = "Examples:
  pangaea abort 0/3/1,0               what is done with this shard: a move, a split, or the merge into it
  pangaea abort 1764374400000001      the move with this number, as `pangaea shard show` tells it
  pangaea abort scene-1               its drain; what has moved stays where it is
Whoever waits for it ends with exit code 4. It may be too late: a shard that the target owns is not taken back.";

/// What to abort.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AbortArgs {
    /// A shard on its way, the number of a move, or a scene or gateway that is drained
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    how: OrderArgs,
}

/// What is aborted. The names are a promise to scripts.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Aborted {
    /// `move`, `split`, `merge` or `drain`.
    kind: String,
    /// The shard, or the node.
    id: String,
    /// The move's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    dry_run: bool,
}

/// Ask for it.
pub(crate) async fn run(cluster: &ClusterAddress, args: &AbortArgs) -> anyhow::Result<ExitCode> {
    let found = find(&cluster.ask("/api/status").await?, args)?;
    let Aborted { kind, id, number, dry_run } = &found;
    if !dry_run {
        match number {
            Some(number) => moves::abort(cluster, &args.how.operator, *number).await?,
            None => {
                let route = if id.starts_with("scene") { "scenes" } else { "gateways" };
                cluster.order::<Value>(&format!("/api/{route}/{id}/undrain"), &args.how.operator).await?;
            }
        }
    }
    let verb = if *dry_run { "would be" } else { "is being" };
    say(&if args.how.json { serde_json::to_string_pretty(&found)? } else { format!("the {kind} of {id} {verb} aborted") });
    Ok(ExitCode::SUCCESS)
}

fn find(status: &StatusView, args: &AbortArgs) -> anyhow::Result<Aborted> {
    let AbortArgs { id, how } = args;
    let flying = || status.moves.iter().filter(|shift| !shift.over);
    if let Some(shift) = flying().find(|shift| shift.shard == *id || shift.id.to_string() == *id) {
        return Ok(Aborted { kind: shift.kind.clone(), id: shift.shard.clone(), number: Some(shift.id), dry_run: how.dry_run });
    }
    let scenes = status.scenes.iter().map(|scene| (&scene.id, &scene.state));
    let gateways = status.gateways.iter().map(|gateway| (&gateway.id, &gateway.state));
    let draining: Vec<_> = scenes.chain(gateways).filter(|(_, state)| *state != "up").map(|(name, _)| name.as_str()).collect();
    if draining.contains(&id.as_str()) {
        return Ok(Aborted { kind: "drain".to_owned(), id: id.clone(), number: None, dry_run: how.dry_run });
    }
    let under_way: Vec<_> = flying().map(|shift| shift.shard.as_str()).chain(draining).collect();
    match under_way.as_slice() {
        [] => bail!("nothing is under way"),
        names => bail!("{}", unknown("operation", id, names.iter().copied())),
    }
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::{MoveView, SceneView};

    use super::*;

    #[test]
    fn an_operation_is_found_by_what_it_is_about() {
        let shift = |id, shard: &str, over| {
            let (kind, shard) = ("merge".to_owned(), shard.to_owned());
            MoveView { id, kind, shard, over, ..MoveView::default() }
        };
        let scene = SceneView { id: "scene-1".to_owned(), state: "draining".to_owned(), ..SceneView::default() };
        let moves = vec![shift(6, "0/3/0,0", true), shift(7, "0/3/1,0", false)];
        let status = StatusView { moves, scenes: vec![scene], ..StatusView::default() };
        let find = |id: &str| {
            let args = AbortArgs { id: id.to_owned(), how: crate::operator::tests::nobody() };
            find(&status, &args).map(|found| (found.kind, found.number)).map_err(|error| error.to_string())
        };
        assert_eq!(find("0/3/1,0"), Ok(("merge".to_owned(), Some(7))));
        assert_eq!(find("7"), Ok(("merge".to_owned(), Some(7))));
        assert_eq!(find("scene-1"), Ok(("drain".to_owned(), None)));
        assert!(find("0/3/0,0").expect_err("over").contains("there are 0/3/1,0, scene-1"));
    }
}
