//! `pangaea shard migrate`: moving a shard to another scene while people play in it.

use std::process::ExitCode;

use clap::Args;

use crate::cluster::ClusterAddress;
use crate::moves::{self, Outcome};
use crate::operator::OrderArgs;
use crate::say;

/// Which shard to move where.
#[derive(Debug, Args)]
#[command(after_help = super::EXAMPLES)]
pub(crate) struct MigrateArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    shard: String,
    /// The scene that is to own it
    #[arg(long, value_name = "SCENE")]
    to: String,
    #[command(flatten)]
    how: OrderArgs,
}

/// Move it, and tell how it went.
pub(super) async fn run(cluster: &ClusterAddress, args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let MigrateArgs { shard, to, how } = args;
    let (_, outcome) = moves::order(cluster, &format!("/api/migrate?shard={shard}&to={to}"), how, "moved").await?;
    say(&if how.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
    Ok(outcome.exit_code())
}

fn in_words(outcome: &Outcome) -> String {
    let Outcome { result, blackout_ms, missed_ticks, entities, bytes, rounds, seconds, reason, shard, from, to } = outcome;
    match result.as_str() {
        "moved" => format!(
            "{shard} moved from {from} to {to}: {entities} entities, {} KiB in {rounds} rounds, {seconds:.1} s in all; nobody ticked \
             it for {blackout_ms:.1} ms, {missed_ticks} ticks were missed.",
            bytes / 1_024
        ),
        "kept" | "aborted" => format!("{shard} stays at {from}: {reason}."),
        _ => format!("{shard} with {entities} entities would move from {from} to {to}. Nothing was ordered."),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pangaea_node::admin::{MoveOrderView, MoveView};

    use super::*;
    use crate::moves::Ended;

    fn told(shift: MoveView) -> (String, String) {
        let order = MoveOrderView {
            shard: "0/3/1,0".to_owned(),
            from: "scene-1".to_owned(),
            to: "scene-2".to_owned(),
            ..MoveOrderView::default()
        };
        let outcome = Outcome::new(&order, Ended { shift, is_aborted: false, took: Duration::ZERO }, "moved");
        (outcome.result.clone(), in_words(&outcome))
    }

    #[test]
    fn a_move_ends_in_a_sentence_with_its_figures() {
        let shift =
            MoveView { step: "done".to_owned(), blackout_ms: 1.25, bytes: 4_096, rounds: 3, entities: 9, ..MoveView::default() };
        let (result, text) = told(shift);
        assert_eq!(result, "moved");
        assert!(text.contains("from scene-1 to scene-2: 9 entities, 4 KiB in 3 rounds"), "{text}");
        assert!(text.contains("1.2 ms, 0 ticks were missed"), "{text}");
        let kept = MoveView { step: "kept".to_owned(), reason: "it was cancelled".to_owned(), ..MoveView::default() };
        assert_eq!(told(kept), ("aborted".to_owned(), "0/3/1,0 stays at scene-1: it was cancelled.".to_owned()));
        let kept = MoveView { step: "kept".to_owned(), reason: "scene-2 is gone".to_owned(), ..MoveView::default() };
        assert_eq!(told(kept).0, "kept");
    }
}
