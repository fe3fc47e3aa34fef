//! `pangaea scene`: which scenes there are, emptying one while people play, taking it into use again.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::args::JsonArgs;
use clap::{Args, Subcommand};
use pangaea_node::admin::{SceneOrderView, SceneView, StatusView};

use crate::cluster::ClusterAddress;
use crate::drain::{DrainArgs, Kind, Outcome};
use crate::roles::RoleArgs;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea scene list
  pangaea scene drain scene-1 --dry-run
  pangaea scene drain scene-1         its shards move to the others while people play; then it may be stopped
  pangaea scene undrain scene-1
Ctrl-C while a scene is drained undrains it. Exit code 1 when it was refused or did not end well.";

/// A scene process, or what to do with those that run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct SceneArgs {
    #[command(subcommand)]
    pub(crate) command: Option<SceneCommand>,
    #[command(flatten)]
    pub(crate) role: RoleArgs,
}

/// What to do with scenes.
#[derive(Debug, Subcommand)]
pub(crate) enum SceneCommand {
    /// Show scenes and how much they have to do
    #[command(after_help = EXAMPLES)]
    List(JsonArgs),
    /// Move a scene's shards to the others and give it no new ones
    #[command(after_help = EXAMPLES)]
    Drain(SceneOrderArgs),
    /// Let a drained scene take shards again
    #[command(after_help = EXAMPLES)]
    Undrain(SceneOrderArgs),
}

/// An order to a scene.
#[derive(Debug, Args)]
pub(crate) struct SceneOrderArgs {
    /// Which one, such as scene-1
    #[arg(value_name = "SCENE")]
    pub(crate) scene: String,
    #[command(flatten)]
    pub(crate) order: DrainArgs,
}

const SCENE: Kind<SceneOrderView> = Kind {
    route: "scenes",
    was: |order| &order.was,
    look: |status, name| {
        let scene = status.scenes.iter().find(|known| known.id == name)?;
        Some((scene.state.clone(), format!("{} shards", scene.shards)))
    },
    gone: "its shards go to the other scenes by themselves",
    // A second or so for each shard, two at a time.
    obey_time_max: Duration::from_secs(600),
};

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: SceneCommand) -> anyhow::Result<ExitCode> {
    match command {
        SceneCommand::List(args) => {
            let scenes = cluster.ask::<StatusView>("/api/status").await?.scenes;
            say(&if args.json { serde_json::to_string_pretty(&scenes)? } else { table(&scenes) });
        }
        SceneCommand::Drain(args) => {
            let outcome = tokio::select! {
                outcome = order(cluster, &args, "drain", "drained") => outcome?,
                _ = tokio::signal::ctrl_c() => return abort(cluster, &args).await,
            };
            say(&if args.order.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
        }
        SceneCommand::Undrain(args) => {
            let outcome = order(cluster, &args, "undrain", "up").await?;
            let what = if args.order.dry_run { "would take shards again. Nothing was ordered." } else { "takes shards again." };
            let text = format!("{} {what}", outcome.order.scene);
            say(&if args.order.json { serde_json::to_string_pretty(&outcome)? } else { text });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn order(
    cluster: &ClusterAddress,
    args: &SceneOrderArgs,
    verb: &str,
    wanted: &str,
) -> anyhow::Result<Outcome<SceneOrderView>> {
    SCENE.order(cluster, &args.scene, &args.order, (verb, wanted)).await
}

/// Ctrl-C: shards that have moved stay where they are, the others stay here.
async fn abort(cluster: &ClusterAddress, args: &SceneOrderArgs) -> anyhow::Result<ExitCode> {
    order(cluster, args, "undrain", "up").await?;
    say(&format!("aborted: {} takes shards again", args.scene));
    Ok(ExitCode::FAILURE)
}

fn in_words(outcome: &Outcome<SceneOrderView>) -> String {
    let SceneOrderView { scene, shards, entities, to, dry_run, .. } = &outcome.order;
    let to = to.join(", ");
    if *dry_run {
        let was = &outcome.result;
        return format!("{scene} is {was}; its {shards} shards with {entities} entities would go to {to}. Nothing was ordered.");
    }
    format!("{scene} is drained after {:.1} s: {shards} shards went to {to}. It may be stopped.", outcome.seconds)
}

fn table(scenes: &[SceneView]) -> String {
    let mut text = format!("{:<12} {:<9} {:>7} {:>9} {:>7}", "scene", "state", "shards", "entities", "load");
    for SceneView { id, state, shards, entities, load } in scenes {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{id:<12} {state:<9} {shards:>7} {entities:>9} {:>6.1}%", load * 100.0);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_scene_with_its_load() {
        let scene = SceneView { id: "scene-2".to_owned(), state: "up".to_owned(), shards: 8, entities: 400, load: 0.256 };
        let text = table(&[scene]);
        let row = text.lines().nth(1).expect("a row");
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["scene-2", "up", "8", "400", "25.6%"]);
    }

    #[test]
    fn a_drain_is_told_with_its_figures() {
        let order = SceneOrderView { scene: "scene-1".to_owned(), shards: 8, entities: 70, ..SceneOrderView::default() };
        let order = SceneOrderView { to: vec!["scene-2".to_owned(), "scene-3".to_owned()], ..order };
        let text = in_words(&Outcome { result: "drained".to_owned(), seconds: 4.25, order: order.clone() });
        assert_eq!(text, "scene-1 is drained after 4.2 s: 8 shards went to scene-2, scene-3. It may be stopped.");
        let asked = SceneOrderView { dry_run: true, ..order };
        let text = in_words(&Outcome { result: "up".to_owned(), seconds: 0.0, order: asked });
        assert!(text.contains("its 8 shards with 70 entities would go to scene-2, scene-3. Nothing"), "{text}");
    }
}
