//! `pangaea balance`: what balancing would do, and whether it does.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use pangaea_node::admin::{BalanceView, LevelsView, PlanView};

use crate::args::JsonArgs;
use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea balance plan                what it would do next, and why
  pangaea balance on                  moves shards so that the scenes are level; off when the world server starts
  pangaea balance off";

/// What to do about balancing.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum BalanceCommand {
    /// Let it move shards so that the scenes are level
    #[command(after_help = EXAMPLES)]
    On(OrderArgs),
    /// Let it only plan
    #[command(after_help = EXAMPLES)]
    Off(OrderArgs),
    /// Show what it would do next, and why
    #[command(after_help = EXAMPLES)]
    Plan(JsonArgs),
}

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: BalanceCommand) -> anyhow::Result<ExitCode> {
    let (view, json) = match command {
        BalanceCommand::On(args) => (switch(cluster, &args, "on").await?, args.json),
        BalanceCommand::Off(args) => (switch(cluster, &args, "off").await?, args.json),
        BalanceCommand::Plan(args) => (cluster.ask("/api/balance").await?, args.json),
    };
    say(&if json { serde_json::to_string_pretty(&view)? } else { describe(&view) });
    Ok(ExitCode::SUCCESS)
}

async fn switch(cluster: &ClusterAddress, args: &OrderArgs, word: &str) -> anyhow::Result<BalanceView> {
    if args.dry_run {
        return cluster.ask("/api/balance").await;
    }
    cluster.order(&format!("/api/balance/{word}"), &args.operator).await
}

fn describe(view: &BalanceView) -> String {
    let BalanceView { on, plan: PlanView { moves, splits, merges, before, after } } = view;
    let mut text = String::from(if *on { "balancing is on" } else { "balancing is off: only drained scenes are emptied" });
    // Writing to a string does not fail.
    let _ = write!(text, "\nthe scenes' loads: {}", levels(before));
    for planned in moves {
        let _ = write!(text, "\n{}", planned.text);
    }
    let cuts = splits.iter().map(|split| &split.text).chain(merges.iter().map(|merge| &merge.text));
    for planned in cuts {
        let _ = write!(text, "\n{planned}");
    }
    let _ = match moves.is_empty() {
        true => write!(text, "\nnothing to move"),
        false => write!(text, "\nafter these moves: {}", levels(after)),
    };
    text
}

fn levels(LevelsView { min, mean, max }: &LevelsView) -> String {
    format!("{:.1}% to {:.1}%, mean {:.1}%", min * 100.0, max * 100.0, mean * 100.0)
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::{PlannedMoveView, PlannedSplitView};

    use super::*;

    #[test]
    fn a_plan_is_told_line_by_line() {
        let shift =
            PlannedMoveView { text: "move 0/3/0,0 from scene-1 to scene-2: why".to_owned(), ..PlannedMoveView::default() };
        let split = PlannedSplitView { text: "split 0/3/1,0: why".to_owned(), ..PlannedSplitView::default() };
        let [before, after] = [(0.1, 0.5), (0.29, 0.31)].map(|(min, max)| LevelsView { min, mean: 0.3, max });
        let plan = PlanView { moves: vec![shift], splits: vec![split], merges: Vec::new(), before, after };
        let text = describe(&BalanceView { on: true, plan });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "balancing is on",
                "the scenes' loads: 10.0% to 50.0%, mean 30.0%",
                "move 0/3/0,0 from scene-1 to scene-2: why",
                "split 0/3/1,0: why",
                "after these moves: 29.0% to 31.0%, mean 30.0%",
            ]
        );
    }

    #[test]
    fn an_idle_cluster_has_nothing_to_move() {
        let text = describe(&BalanceView::default());
        assert!(text.starts_with("balancing is off") && text.ends_with("nothing to move"), "{text}");
    }
}
