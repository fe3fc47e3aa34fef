//! `pangaea watch`: events as they happen.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use pangaea_node::admin::{EventView, StatusView};

use crate::clock::{span, time_of_day};
use crate::cluster::ClusterAddress;

const EXAMPLES: &str = "Examples:
  pangaea watch                       from now on, until Ctrl-C
  pangaea watch --since 10m --kind move,node
  pangaea watch --for 30s --json      one JSON object a line
Times are UTC. The cluster remembers its last 1,024 events.";

/// Between two attempts to hear a cluster that went away.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Which events.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WatchArgs {
    /// Also those of so long before now, such as 90s, 15m or 2h
    #[arg(long, value_parser = span, value_name = "SPAN")]
    since: Option<Duration>,
    /// Only these kinds: balance, handover, move, node, parked, script, shard, tune
    #[arg(long, value_delimiter = ',', value_name = "KINDS")]
    kind: Vec<String>,
    /// End after so long
    #[arg(long = "for", value_parser = span, value_name = "SPAN")]
    run_for: Option<Duration>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Each as JSON on a line of its own, for scripts
    #[arg(long)]
    json: bool,
}

/// Print them until told to stop. A cluster that goes away is waited for; one that was never there is not.
pub(crate) async fn run(cluster: &ClusterAddress, args: &WatchArgs) -> anyhow::Result<ExitCode> {
    // Whether there is one at all.
    let _: StatusView = cluster.ask("/api/status").await?;
    let until = args.run_for.map(|span| Instant::now() + span);
    let ended = async {
        match until {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        told = tell(cluster, args) => told?,
        () = ended => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn tell(cluster: &ClusterAddress, args: &WatchArgs) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut picker = Picker { from_us: now.saturating_sub(args.since.unwrap_or_default()).as_micros() as u64, after: 0, told: 0 };
    loop {
        let after = picker.after;
        let heard = cluster.listen(after, |data| picker.hear(args, data)).await;
        let Err(error) = heard else { return Ok(()) };
        if crate::exit::code_of(&error) != crate::exit::UNREACHABLE {
            return Err(error);
        }
        // Nobody may read stderr.
        let _ = writeln!(std::io::stderr(), "pangaea: {error}; trying again");
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Which events to print, and which were.
struct Picker {
    from_us: u64,
    after: u64,
    told: u64,
}

impl Picker {
    /// Prints one if it is wanted; `false`: enough.
    fn hear(&mut self, args: &WatchArgs, data: &str) -> bool {
        // One that this build does not understand ends nothing.
        let Ok(event) = serde_json::from_str::<EventView>(data) else { return true };
        self.after = event.seq;
        if !self.wants(args, &event) {
            return true;
        }
        self.told += 1;
        let line = if args.json { data.to_owned() } else { line(&event) };
        // A closed pipe, such as of `head`, is the end.
        let is_read = writeln!(std::io::stdout(), "{line}").is_ok();
        is_read && args.count.is_none_or(|count| self.told < count)
    }

    fn wants(&self, args: &WatchArgs, event: &EventView) -> bool {
        event.at_us >= self.from_us && (args.kind.is_empty() || args.kind.contains(&event.kind))
    }
}

/// One event as a line.
pub(crate) fn line(event: &EventView) -> String {
    format!("{}  {:<8}  {}", time_of_day(event.at_us), event.kind, event.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(kinds: &[&str], count: Option<u64>) -> WatchArgs {
        let kind = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        WatchArgs { since: None, kind, run_for: None, count, json: false }
    }

    #[test]
    fn events_are_picked_by_time_kind_and_number() {
        let mut picker = Picker { from_us: 100, after: 0, told: 0 };
        let event = |seq, at_us, kind: &str| {
            serde_json::to_string(&EventView { seq, at_us, kind: kind.to_owned(), ..EventView::default() }).expect("JSON")
        };
        let args = args(&["move"], Some(2));
        for (event, goes_on, told) in [
            (event(1, 50, "move"), true, 0),
            (event(2, 150, "node"), true, 0),
            (event(3, 150, "move"), true, 1),
            ("not JSON".to_owned(), true, 1),
            (event(4, 160, "move"), false, 2),
        ] {
            assert_eq!((picker.hear(&args, &event), picker.told), (goes_on, told), "{event}");
        }
        assert_eq!(picker.after, 4, "a lost stream goes on from here");
    }

    #[test]
    fn a_line_has_time_kind_and_words() {
        let event = EventView {
            at_us: 1_764_378_245_067_000,
            kind: "move".to_owned(),
            text: "0/3/1,0 moved from scene-1 to scene-2".to_owned(),
            ..EventView::default()
        };
        assert_eq!(line(&event), "01:04:05.067  move      0/3/1,0 moved from scene-1 to scene-2");
    }
}
