//! `pangaea scene`: which scenes there are, emptying one while people play, taking it into use again.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::args::JsonArgs;
use clap::{Args, Subcommand};
use pangaea_node::admin::{SceneOrderView, SceneView, StatusView};

use crate::cluster::ClusterAddress;
use crate::drain::{Kind, Moved, Outcome};
use crate::operator::OrderArgs;
use crate::roles::RoleArgs;
use crate::{exit, say};

const EXAMPLES: &str = "Examples:
  pangaea scene list
  pangaea scene drain scene-1 --dry-run
  pangaea scene drain scene-1         its shards move to the others while people play; then it may be stopped
  pangaea scene undrain scene-1
Ctrl-C while a scene is drained undrains it. Exit codes: 1 when it was refused or did not end well, 4 when it was aborted.";

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
    pub(crate) order: OrderArgs,
}

const SCENE: Kind<SceneOrderView> = Kind {
    route: "scenes",
    unit: "shards",
    was: |order| &order.was,
    look: |status, name| {
        let scene = status.scenes.iter().find(|known| known.id == name)?;
        Some((scene.state.clone(), scene.shards))
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
        SceneCommand::Drain(SceneOrderArgs { scene, order: args }) => {
            let outcome = SCENE.drain(cluster, &scene, &args).await?;
            say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { in_words(&outcome) });
            if outcome.result == "aborted" {
                return Ok(ExitCode::from(exit::ABORTED));
            }
        }
        SceneCommand::Undrain(SceneOrderArgs { scene, order: args }) => {
            let outcome = SCENE.undrain(cluster, &scene, &args).await?;
            let what = if args.dry_run { "would take shards again. Nothing was ordered." } else { "takes shards again." };
            let text = format!("{scene} {what}");
            say(&if args.json { serde_json::to_string_pretty(&outcome)? } else { text });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(outcome: &Outcome<SceneOrderView>) -> String {
    let SceneOrderView { scene, shards, entities, to, dry_run, .. } = &outcome.order;
    let to = to.join(", ");
    if *dry_run {
        let was = &outcome.result;
        return format!("{scene} is {was}; its {shards} shards with {entities} entities would go to {to}. Nothing was ordered.");
    }
    let Moved { moved_shards, blackout_ms_max, missed_ticks, moved_entities, bytes } = outcome.moved;
    let (seconds, kib) = (outcome.seconds, bytes / 1_024);
    let moved = format!(
        "{moved_shards} shards with {moved_entities} entities went to {to}, {kib} KiB in all; no shard was without a tick for more than \
         {blackout_ms_max:.1} ms, {missed_ticks} ticks were missed"
    );
    match outcome.result.as_str() {
        "aborted" => format!("aborted: {scene} takes shards again; {moved}."),
        _ => format!("{scene} is drained after {seconds:.1} s: {moved}. It may be stopped."),
    }
}

fn table(scenes: &[SceneView]) -> String {
    let mut text = format!("{:<12} {:<9} {:>7} {:>9} {:>7}", "scene", "state", "shards", "entities", "load");
    for SceneView { id, state, shards, entities, load, .. } in scenes {
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
        let scene =
            SceneView { id: "scene-2".to_owned(), state: "up".to_owned(), shards: 8, entities: 400, load: 0.256, rules: 1 };
        let text = table(&[scene]);
        let row = text.lines().nth(1).expect("a row");
        assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["scene-2", "up", "8", "400", "25.6%"]);
    }

    #[test]
    fn a_drain_is_told_with_its_figures() {
        let order = SceneOrderView { scene: "scene-1".to_owned(), shards: 8, entities: 70, ..SceneOrderView::default() };
        let order = SceneOrderView { to: vec!["scene-2".to_owned(), "scene-3".to_owned()], ..order };
        let moved = Moved { moved_shards: 8, blackout_ms_max: 3.25, missed_ticks: 0, moved_entities: 70, bytes: 4_096 };
        let text = in_words(&Outcome { result: "drained".to_owned(), seconds: 4.25, moved, order: order.clone() });
        assert_eq!(
            text,
            "scene-1 is drained after 4.2 s: 8 shards with 70 entities went to scene-2, scene-3, 4 KiB in all; no shard was without a \
             tick for more than 3.2 ms, 0 ticks were missed. It may be stopped."
        );
        let asked = SceneOrderView { dry_run: true, ..order };
        let text = in_words(&Outcome { result: "up".to_owned(), seconds: 0.0, moved: Moved::default(), order: asked });
        assert!(text.contains("its 8 shards with 70 entities would go to scene-2, scene-3. Nothing"), "{text}");
    }
}
