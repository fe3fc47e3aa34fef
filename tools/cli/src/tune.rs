//! `pangaea tune`: values that designers set while people play.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use pangaea_node::admin::{ChangeView, TunableView, TuneOrder, TuneOrderView, TuneView, UndoOrder};
use serde_json::Value;
use tokio::time::Instant;

use crate::args::JsonArgs;
use crate::cluster::ClusterAddress;
use crate::operator::OrderArgs;
use crate::say;

/// A change is known to all scenes well before this; later something is wrong.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// How often the cluster is asked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const EXAMPLES: &str = "Examples:
  pangaea tune list                                 all tunables: value, range, what they do
  pangaea tune set wandering.speed_m_per_s 9        in force on all scenes from one tick on
  pangaea tune set wandering.speed_m_per_s 9 --dry-run
  pangaea tune history
  pangaea tune undo                                 take the latest change back; `undo 7`: that of version 7";

/// What to do with tunables.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum TuneCommand {
    /// Show all tunables: value, range, what they do
    #[command(after_help = EXAMPLES)]
    List(JsonArgs),
    /// Show one
    #[command(after_help = EXAMPLES)]
    Get(GetArgs),
    /// Set one
    #[command(after_help = EXAMPLES)]
    Set(SetArgs),
    /// Let one be as the game begins with it
    #[command(after_help = EXAMPLES)]
    Reset(ResetArgs),
    /// Show what was changed, when and by whom
    #[command(after_help = EXAMPLES)]
    History(JsonArgs),
    /// Take a change back
    #[command(after_help = EXAMPLES)]
    Undo(UndoArgs),
}

/// Which to show.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Which one, such as wandering.speed_m_per_s
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    json: JsonArgs,
}

/// Which to set to what.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Which one, such as wandering.speed_m_per_s
    #[arg(value_name = "NAME")]
    name: String,
    /// A number, true, false or a text
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    order: TuneOrderArgs,
}

/// Which to set back.
#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    /// Which one, such as wandering.speed_m_per_s
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    order: TuneOrderArgs,
}

/// Which change to take back.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// The version of the change, as `pangaea tune history` shows it; the latest when not given
    #[arg(value_name = "VERSION")]
    version: Option<u64>,
    #[command(flatten)]
    order: TuneOrderArgs,
}

/// A change of the rules.
#[derive(Debug, Args)]
pub(crate) struct TuneOrderArgs {
    /// Who changes it, for the history
    #[arg(long, env = "USER", default_value = "operator", hide_env = true, value_name = "NAME")]
    pub(crate) by: String,
    #[command(flatten)]
    pub(crate) how: OrderArgs,
}

/// Do what was typed.
pub(crate) async fn run(cluster: &ClusterAddress, command: TuneCommand) -> anyhow::Result<ExitCode> {
    match command {
        TuneCommand::List(args) => {
            let view: TuneView = cluster.ask("/api/tune").await?;
            say(&if args.json { serde_json::to_string_pretty(&view)? } else { list(&view) });
        }
        TuneCommand::Get(args) => {
            let view: TuneView = cluster.ask("/api/tune").await?;
            let tunable = view.tunables.iter().find(|tunable| tunable.name == args.name);
            let tunable = tunable.with_context(|| format!("there is no tunable `{}`; see `pangaea tune list`", args.name))?;
            say(&if args.json.json { serde_json::to_string_pretty(tunable)? } else { describe(tunable) });
        }
        TuneCommand::Set(SetArgs { name, value, order }) => set(cluster, name, read(&value), &order).await?,
        TuneCommand::Reset(ResetArgs { name, order }) => set(cluster, name, Value::Null, &order).await?,
        TuneCommand::History(args) => {
            let view: TuneView = cluster.ask("/api/tune").await?;
            say(&if args.json { serde_json::to_string_pretty(&view.history)? } else { history(&view.history) });
        }
        TuneCommand::Undo(UndoArgs { version, order }) => {
            let undo = UndoOrder { by: order.by.clone(), version };
            let path = path("/api/tune/undo", order.how.dry_run);
            follow(cluster, cluster.send(&path, &order.how.operator, &undo).await?, &order).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn set(cluster: &ClusterAddress, name: String, value: Value, order: &TuneOrderArgs) -> anyhow::Result<()> {
    let tune = TuneOrder { by: order.by.clone(), values: BTreeMap::from([(name, value)]) };
    let path = path("/api/tune", order.how.dry_run);
    follow(cluster, cluster.send(&path, &order.how.operator, &tune).await?, order).await
}

fn path(path: &str, dry_run: bool) -> String {
    format!("{path}?dry_run={dry_run}")
}

/// Waits until every scene has what was ordered, and says so.
async fn follow(cluster: &ClusterAddress, ordered: TuneOrderView, order: &TuneOrderArgs) -> anyhow::Result<()> {
    if order.how.dry_run || ordered.changes.is_empty() {
        say(&if order.how.json { serde_json::to_string_pretty(&ordered)? } else { told(&ordered, None) });
        return Ok(());
    }
    let began = Instant::now();
    loop {
        let view: TuneView = cluster.ask("/api/tune").await?;
        let kept = view.version > ordered.version;
        if kept && view.scenes.values().all(|known| *known >= view.version) {
            say(&if order.how.json { serde_json::to_string_pretty(&view)? } else { told(&ordered, Some(&view)) });
            return Ok(());
        }
        if began.elapsed() > TAKEN_WITHIN {
            let seconds = TAKEN_WITHIN.as_secs();
            if kept {
                bail!("it is kept as version {}, but not all scenes have it after {seconds} s: {:?}", view.version, view.scenes);
            }
            bail!("it is not kept after {seconds} s; see the world's log, and whether the data node is up");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What was typed as a value: a number, true, false, or else a text.
fn read(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::String(_))) => value,
        Ok(Value::Null | Value::Array(_) | Value::Object(_)) | Err(_) => Value::String(text.to_owned()),
    }
}

fn told(ordered: &TuneOrderView, now: Option<&TuneView>) -> String {
    let would = if ordered.dry_run { "would be" } else { "is" };
    let mut text = String::new();
    for change in &ordered.changes {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {would} {} (was {})", change.name, shown(&change.after), shown(&change.before));
    }
    match now {
        _ if ordered.changes.is_empty() => text.push_str("it is so already"),
        Some(view) => {
            let _ = write!(text, "version {}, from tick {} on, on {} scenes", view.version, view.from_tick, view.scenes.len());
        }
        None => {}
    }
    text.trim_end().to_owned()
}

fn shown(value: &Value) -> String {
    if value.is_null() { "as the game begins".to_owned() } else { value.to_string() }
}

fn list(view: &TuneView) -> String {
    let width = view.tunables.iter().map(|tunable| tunable.name.len()).max().unwrap_or(0);
    let line = |tunable: &TunableView| {
        let mark = if tunable.is_set { "*" } else { " " };
        let value = tunable.value.to_string();
        format!("{mark} {:width$}  {value:<10} {:<16} {}", tunable.name, range(tunable), tunable.about)
    };
    let lines: Vec<String> = view.tunables.iter().map(line).collect();
    format!("{}\n* set by somebody; version {}", lines.join("\n"), view.version)
}

fn describe(tunable: &TunableView) -> String {
    let TunableView { name, about, value, initial, .. } = tunable;
    format!("{name} = {value}\n{about}\n{}, at first {initial}", range(tunable))
}

fn range(tunable: &TunableView) -> String {
    match (tunable.min, tunable.max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        _ => tunable.kind.clone(),
    }
}

fn history(changes: &[ChangeView]) -> String {
    if changes.is_empty() {
        return "nothing was changed yet".to_owned();
    }
    let line = |change: &ChangeView| {
        let ChangeView { version, by, why, name, .. } = change;
        let (at, before, after) = (utc(change.at_us), shown(&change.before), shown(&change.after));
        // Of scripts only what was done is kept.
        let values = if change.before == change.after { String::new() } else { format!(": {before} → {after}") };
        format!("{version:>5}  {at}  {by:<12} {why:<8} {name}{values}")
    };
    changes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Microseconds since the Unix epoch as day and time, UTC. Days to dates after H. Hinnant's `civil_from_days`.
fn utc(at_us: u64) -> String {
    let seconds = at_us / 1_000_000;
    let days = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_typed() {
        assert_eq!(read("9"), Value::from(9));
        assert_eq!(read("-2.5"), Value::from(-2.5));
        assert_eq!(read("true"), Value::Bool(true));
        assert_eq!(read("\"9\""), Value::from("9"));
        assert_eq!(read("Grey wolf"), Value::from("Grey wolf"));
        assert_eq!(read("[1]"), Value::from("[1]"));
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_782_400_000_000), "2000-02-29 00:00:00");
        assert_eq!(utc(1_798_761_599_999_999), "2026-12-31 23:59:59");
    }

    #[test]
    fn what_was_done_is_told() {
        let change = ChangeView { name: "wolves.speed".to_owned(), after: 5.0.into(), ..ChangeView::default() };
        let mut ordered = TuneOrderView { version: 1, changes: vec![change], dry_run: true };
        assert_eq!(told(&ordered, None), "wolves.speed would be 5.0 (was as the game begins)");
        ordered.dry_run = false;
        let scenes = BTreeMap::from([("scene-1".to_owned(), 2), ("scene-2".to_owned(), 2)]);
        let view = TuneView { version: 2, from_tick: 77, scenes, ..TuneView::default() };
        let text = told(&ordered, Some(&view));
        assert_eq!(text, "wolves.speed is 5.0 (was as the game begins)\nversion 2, from tick 77 on, on 2 scenes");
        ordered.changes.clear();
        assert_eq!(told(&ordered, None), "it is so already");
    }
}
