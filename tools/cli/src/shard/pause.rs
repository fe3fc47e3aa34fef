//! `pangaea shard pause`, `resume` and `step`: a shard of a development cluster stands, runs single ticks, and goes on.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use pangaea_node::admin::PauseView;

use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::say;

/// Pause between two looks at how far the steps are.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Steps run at the cluster's rate; a shard that has not run them by so much more stands still for another reason.
const STEP_SLACK: Duration = Duration::from_secs(10);
/// Slowest rate that a cluster may have, for how long steps may take.
const SLOWEST_TICK: Duration = Duration::from_secs(1);

/// Which shard.
#[derive(Debug, Args)]
#[command(after_help = super::EXAMPLES)]
pub(crate) struct PauseArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    shard: String,
    #[command(flatten)]
    how: OrderArgs,
}

/// Which shard, and how far.
#[derive(Debug, Args)]
#[command(after_help = super::EXAMPLES)]
pub(crate) struct StepArgs {
    /// Which one, such as 0/3/1,0
    #[arg(value_name = "SHARD")]
    shard: String,
    /// So many ticks, then it stands again; up to 1,200
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_200))]
    ticks: u32,
    #[command(flatten)]
    how: OrderArgs,
}

/// Stop it.
pub(super) async fn pause(cluster: &ClusterAddress, args: &PauseArgs) -> anyhow::Result<ExitCode> {
    let view = order(cluster, &args.shard, "pause", 1, &args.how).await?;
    tell(&view, &args.how, paused_in_words(&view))
}

/// Let it go on.
pub(super) async fn resume(cluster: &ClusterAddress, args: &PauseArgs) -> anyhow::Result<ExitCode> {
    let view = order(cluster, &args.shard, "resume", 1, &args.how).await?;
    let text = match view.dry_run {
        true => format!("{} would go on at {}. Nothing was ordered.", view.shard, view.scene),
        false => format!("{} goes on at {}.", view.shard, view.scene),
    };
    tell(&view, &args.how, text)
}

/// Run some ticks of it, and wait until they have run.
pub(super) async fn step(cluster: &ClusterAddress, args: &StepArgs) -> anyhow::Result<ExitCode> {
    let StepArgs { shard, ticks, how } = args;
    let mut view = order(cluster, shard, "step", *ticks, how).await?;
    let (began, at_most) = (Instant::now(), SLOWEST_TICK * *ticks + STEP_SLACK);
    while view.steps > 0 && !view.dry_run {
        if began.elapsed() > at_most {
            bail!("{} ticks of {shard} did not run yet; see `pangaea shard show {shard}`", view.steps);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        view = cluster.ask(&format!("/api/shards/pause?shard={shard}")).await?;
    }
    let text = match view.dry_run {
        true => format!("{shard} would run {ticks} ticks, and stand again. Nothing was ordered."),
        false => format!("{shard} has run {ticks} ticks, the last was {}, and stands again.", view.tick),
    };
    tell(&view, how, text)
}

async fn order(cluster: &ClusterAddress, shard: &str, word: &str, ticks: u32, how: &OrderArgs) -> anyhow::Result<PauseView> {
    let path = format!("/api/shards/{word}?shard={shard}&ticks={ticks}&dry_run={}", how.dry_run);
    cluster.order(&path, &how.operator).await
}

fn tell(view: &PauseView, how: &OrderArgs, text: String) -> anyhow::Result<ExitCode> {
    say(&if how.json { serde_json::to_string_pretty(view)? } else { text });
    Ok(ExitCode::SUCCESS)
}

fn paused_in_words(view: &PauseView) -> String {
    let PauseView { shard, scene, entities, players, left_s, dry_run, .. } = view;
    let who = format!("{entities} entities, {players} players among them");
    match dry_run {
        true => format!("{shard} at {scene} would stand, with {who}. Nothing was ordered."),
        false => format!(
            "{shard} at {scene} stands, with {who}. It goes on with `pangaea shard resume {shard}`, or by itself in {:.0} minutes.",
            left_s / 60.0
        ),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::shard::ShardCommand;

    fn parsed(words: &[&str]) -> Result<ShardCommand, clap::Error> {
        match Cli::try_parse_from([&["pangaea", "shard"], words].concat())?.command {
            Some(Command::Shard(command)) => Ok(command),
            other => panic!("not a shard's command: {other:?}"),
        }
    }

    #[test]
    fn one_tick_is_stepped_unless_more_are_wanted() {
        for (words, wanted) in [(&["step", "0/3/1,0"][..], 1), (&["step", "0/3/1,0", "--ticks", "20"], 20)] {
            let Ok(ShardCommand::Step(StepArgs { shard, ticks, .. })) = parsed(words) else { panic!("not a step") };
            assert_eq!((shard.as_str(), ticks), ("0/3/1,0", wanted));
        }
        for ticks in ["0", "1201", "-1", "many"] {
            assert!(parsed(&["step", "0/3/1,0", "--ticks", ticks]).is_err(), "{ticks}");
        }
        let Ok(ShardCommand::Pause(PauseArgs { how, .. })) = parsed(&["pause", "0/3/1,0", "--dry-run"]) else {
            panic!("no pause")
        };
        assert!(how.dry_run);
        assert!(matches!(parsed(&["resume", "0/3/1,0"]), Ok(ShardCommand::Resume(_))));
    }

    #[test]
    fn a_pause_says_who_stands_and_how_it_ends() {
        let view = PauseView {
            shard: "0/3/1,0".to_owned(),
            scene: "scene-2".to_owned(),
            entities: 9,
            players: 2,
            left_s: 600.0,
            ..PauseView::default()
        };
        let text = paused_in_words(&view);
        assert!(text.contains("9 entities, 2 players") && text.contains("by itself in 10 minutes"), "{text}");
        assert!(paused_in_words(&PauseView { dry_run: true, ..view }).ends_with("Nothing was ordered."));
    }
}
