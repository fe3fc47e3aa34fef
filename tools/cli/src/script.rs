//! `pangaea script`: systems that designers write and change while people play.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use pangaea_node::admin::{FaultView, ScriptOrder, ScriptOrderView, ScriptView, ScriptsView, TuneView};
use pangaea_scene::game::Game;
use tokio::time::Instant;

use crate::args::JsonArgs;
use crate::cluster::ClusterAddress;
use crate::tune::TuneOrderArgs;
use crate::{exit, say};

/// A change is known to all scenes well before this; later something is wrong.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// How often the cluster is asked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "Examples:
  pangaea script list                               all scripts, and where they fail
  pangaea script show lanterns                      one with its text
  pangaea script save game/scripts/lanterns.luau    what saving does by itself in a development cluster
  pangaea script check scripts/*.luau                whether this build can read them; needs no cluster
  pangaea script rollback lanterns                  the last one that failed nowhere
  pangaea script enable lanterns                    also where it failed; `disable`: nowhere
  pangaea script types > game/scripts/game.d.luau   what editors want to know";

/// What to do with scripts.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum ScriptCommand {
    /// Show all scripts, and where they fail
    #[command(after_help = EXAMPLES)]
    List(JsonArgs),
    /// Show one with its text
    #[command(after_help = EXAMPLES)]
    Show(ShowArgs),
    /// Let one run, also in shards in which it failed
    #[command(after_help = EXAMPLES)]
    Enable(ScriptArgs),
    /// Let one not run
    #[command(after_help = EXAMPLES)]
    Disable(ScriptArgs),
    /// Go back to the last one that failed nowhere
    #[command(after_help = EXAMPLES)]
    Rollback(ScriptArgs),
    /// Forget one
    #[command(after_help = EXAMPLES)]
    Remove(ScriptArgs),
    /// Put a file into the running world
    #[command(after_help = EXAMPLES)]
    Save(SaveArgs),
    /// Read files as a shard of this build would; nothing changes anywhere
    #[command(after_help = EXAMPLES)]
    Check(CheckArgs),
    /// Write what editors want to know about this game, for the Luau language server
    #[command(after_help = EXAMPLES)]
    Types,
}

/// Which to show.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Which one, such as lanterns
    #[arg(value_name = "SCRIPT")]
    name: String,
    #[command(flatten)]
    json: JsonArgs,
}

/// Which to order about.
#[derive(Debug, Args)]
pub(crate) struct ScriptArgs {
    /// Which one, such as lanterns
    #[arg(value_name = "SCRIPT")]
    name: String,
    #[command(flatten)]
    order: TuneOrderArgs,
}

/// What to save.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// A file NAME.luau
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    order: TuneOrderArgs,
}

/// What to read.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Files NAME.luau
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// A script's name and text.
fn read(file: &Path) -> anyhow::Result<(String, String)> {
    let name = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".luau"));
    let name = name.with_context(|| format!("{} is no script: name a file NAME.luau", file.display()))?.to_owned();
    let source = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok((name, source))
}

/// What a shard of this build would say of these files, a line for each that it cannot read.
fn faults(files: &[PathBuf], game: fn(&mut Game)) -> anyhow::Result<Vec<String>> {
    let game = Game::build(game)?;
    let mut faults = Vec::new();
    for file in files {
        let (name, source) = read(file)?;
        faults.extend(game.check_script(&name, &source).err().map(|fault| fault.to_string()));
    }
    Ok(faults)
}

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: ScriptCommand, game: fn(&mut Game)) -> anyhow::Result<ExitCode> {
    match command {
        ScriptCommand::List(args) => {
            let view: ScriptsView = cluster.ask("/api/scripts").await?;
            say(&if args.json { serde_json::to_string_pretty(&view)? } else { list(&view) });
        }
        ScriptCommand::Show(args) => {
            let view: ScriptView = cluster.ask(&format!("/api/scripts/{}", args.name)).await?;
            say(&if args.json.json {
                serde_json::to_string_pretty(&view)?
            } else {
                format!("{}\n\n{}", line(&view), view.source)
            });
        }
        ScriptCommand::Enable(args) => order(cluster, args.name, "on", String::new(), &args.order).await?,
        ScriptCommand::Disable(args) => order(cluster, args.name, "off", String::new(), &args.order).await?,
        ScriptCommand::Rollback(args) => order(cluster, args.name, "rollback", String::new(), &args.order).await?,
        ScriptCommand::Remove(args) => order(cluster, args.name, "remove", String::new(), &args.order).await?,
        ScriptCommand::Save(SaveArgs { file, order: how }) => {
            let (name, source) = read(&file)?;
            order(cluster, name, "save", source, &how).await?;
        }
        ScriptCommand::Check(CheckArgs { files }) => {
            let faults = faults(&files, game)?;
            faults.iter().for_each(|fault| say(fault));
            if !faults.is_empty() {
                return Ok(ExitCode::from(exit::WRONG));
            }
            say(&format!("this build reads all {}", files.len()));
        }
        ScriptCommand::Types => say(Game::build(game)?.script_definitions().context("this game has no scripts")?.trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

async fn order(cluster: &ClusterAddress, name: String, word: &str, source: String, args: &TuneOrderArgs) -> anyhow::Result<()> {
    let how = &args.how;
    let path = format!("/api/scripts/{name}/{word}?dry_run={}", how.dry_run);
    let body = ScriptOrder { by: args.by.clone(), source };
    let ordered: ScriptOrderView = cluster.send(&path, &how.operator, &body).await?;
    if how.dry_run || ordered.done.is_empty() {
        let text =
            if ordered.done.is_empty() { "it is so already".to_owned() } else { format!("{name} would be: {}", ordered.done) };
        say(&if how.json { serde_json::to_string_pretty(&ordered)? } else { text });
        return Ok(());
    }
    let began = Instant::now();
    loop {
        let rules: TuneView = cluster.ask("/api/tune").await?;
        if rules.version > ordered.version && rules.scenes.values().all(|known| *known >= rules.version) {
            let view: ScriptsView = cluster.ask("/api/scripts").await?;
            let told = format!("{name}: {}; version {}, from tick {} on", ordered.done, view.version, view.from_tick);
            say(&if how.json { serde_json::to_string_pretty(&view)? } else { told });
            return Ok(());
        }
        if began.elapsed() > TAKEN_WITHIN {
            bail!("not all scenes have it after {} s: {:?}; see the world's log", TAKEN_WITHIN.as_secs(), rules.scenes);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn list(view: &ScriptsView) -> String {
    if view.scripts.is_empty() {
        return "there are no scripts; save one in the designers' folder as scripts/NAME.luau".to_owned();
    }
    view.scripts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(script: &ScriptView) -> String {
    let state = match (script.is_on, script.faults.len()) {
        (false, _) => "off".to_owned(),
        (true, 0) => "on".to_owned(),
        (true, 1) => "FAILED in 1 shard".to_owned(),
        (true, count) => format!("FAILED in {count} shards"),
    };
    let back = if script.is_rolled_back { ", rolled back" } else { "" };
    let mut text = format!("{:<20} {state}{back}, {} lines", script.name, script.lines);
    // The same mistake in many shards is one mistake.
    let mut told: Vec<(&FaultView, usize)> = Vec::new();
    for fault in &script.faults {
        match told.iter_mut().find(|(known, _)| (known.line, &known.text) == (fault.line, &fault.text)) {
            Some((_, others)) => *others += 1,
            None => told.push((fault, 0)),
        }
    }
    for (FaultView { line, text: reason, values, shard, .. }, others) in told {
        let values = if values.is_empty() { String::new() } else { format!(" ({values})") };
        let others = if others > 0 { format!(" and {others} more") } else { String::new() };
        text.push_str(&format!("\n  {}:{line}: {reason}{values} in {shard}{others}", script.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_fails_says_where_and_why() {
        let fault =
            FaultView { shard: "0/3/1,0".to_owned(), line: 7, text: "no".to_owned(), values: "entity 5".to_owned(), tick: 9 };
        let script = ScriptView {
            name: "wolves".to_owned(),
            is_on: true,
            lines: 12,
            faults: vec![fault.clone()],
            ..ScriptView::default()
        };
        assert_eq!(line(&script), "wolves               FAILED in 1 shard, 12 lines\n  wolves:7: no (entity 5) in 0/3/1,0");
        let elsewhere = FaultView { shard: "0/3/2,0".to_owned(), values: "entity 6".to_owned(), ..fault.clone() };
        let other = FaultView { line: 8, values: String::new(), ..fault.clone() };
        let three = line(&ScriptView { faults: vec![fault, other, elsewhere], ..script.clone() });
        assert_eq!(
            three.split_once('\n').expect("lines").1,
            "  wolves:7: no (entity 5) in 0/3/1,0 and 1 more\n  wolves:8: no in 0/3/1,0"
        );
        assert_eq!(line(&ScriptView { faults: Vec::new(), ..script }), "wolves               on, 12 lines");
    }
    #[test]
    fn what_a_build_cannot_read_is_told_by_name_and_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("idle.luau");
        fs::write(&file, "return system {}").expect("written");
        let said = faults(&[file], |_| {}).expect("read");
        assert!(said.len() == 1 && said[0].starts_with("idle") && said[0].contains("this game has no scripts"), "{said:?}");
        for other in ["notes.txt", "missing.luau"] {
            let error = faults(&[folder.path().join(other)], |_| {}).expect_err("none").to_string();
            assert!(error.contains(other), "{error}");
        }
    }
}
