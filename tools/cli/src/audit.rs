//! `pangaea audit`: who changed what, when, and how it ended.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use pangaea_node::admin::AuditEntry;

use crate::clock::at;
use crate::cluster::ClusterAddress;
use crate::say;

const EXAMPLES: &str = "Examples:
  pangaea audit
  pangaea audit --who olaf --limit 10
  pangaea audit --refused --json
The cluster tells its last 1,024 entries; older ones are in audit/ of the world's data folder. Times are UTC.";

/// Which entries.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AuditArgs {
    /// Only the last so many
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: usize,
    /// Only what this one did, or tried
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only what was refused
    #[arg(long)]
    refused: bool,
    /// As JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// Ask and print, the latest last.
pub(crate) async fn show(cluster: &ClusterAddress, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let all: Vec<AuditEntry> = cluster.ask("/api/audit").await?;
    let entries = chosen(all, args);
    say(&if args.json { serde_json::to_string_pretty(&entries)? } else { table(&entries) });
    Ok(ExitCode::SUCCESS)
}

fn chosen(mut entries: Vec<AuditEntry>, args: &AuditArgs) -> Vec<AuditEntry> {
    entries.retain(|entry| args.who.as_ref().is_none_or(|who| entry.who == *who) && (!args.refused || entry.result == "refused"));
    entries.drain(..entries.len().saturating_sub(args.limit));
    entries
}

fn table(entries: &[AuditEntry]) -> String {
    let mut text = format!("{:<19}  {:<10} {:<8} what", "when (UTC)", "who", "result");
    for entry in entries {
        let args: Vec<_> = entry.args.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let result = if entry.result.is_empty() { "?" } else { &entry.result };
        let (args, dry_run) = (args.join(" "), if entry.dry_run { "(dry run)" } else { "" });
        let parts = [entry.what.as_str(), &args, &entry.body, dry_run, &entry.words];
        let what: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        // Writing to a string does not fail.
        let _ = write!(text, "\n{}  {:<10} {result:<8} {}", at(entry.at_us), entry.who, what.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: u64, who: &str, result: &str) -> AuditEntry {
        AuditEntry {
            seq,
            who: who.to_owned(),
            what: "migrate".to_owned(),
            args: [("shard".to_owned(), "0/3/1,0".to_owned())].into(),
            result: result.to_owned(),
            ..AuditEntry::default()
        }
    }

    #[test]
    fn entries_are_chosen_by_name_and_result_and_the_last_are_kept() {
        let all =
            || vec![entry(1, "ann", "done"), entry(2, "bob", "refused"), entry(3, "ann", "refused"), entry(4, "ann", "done")];
        let seqs = |limit, who: Option<&str>, refused| {
            let args = AuditArgs { limit, who: who.map(str::to_owned), refused, json: false };
            chosen(all(), &args).iter().map(|entry| entry.seq).collect::<Vec<_>>()
        };
        assert_eq!(seqs(2, None, false), [3, 4]);
        assert_eq!(seqs(9, Some("ann"), false), [1, 3, 4]);
        assert_eq!(seqs(9, None, true), [2, 3]);
    }

    #[test]
    fn a_line_tells_who_what_and_how_it_ended() {
        let text = table(&[AuditEntry { dry_run: true, words: "no such shard".to_owned(), ..entry(1, "ann", "refused") }]);
        let line = text.lines().nth(1).expect("a line");
        assert_eq!(line, "1970-01-01 00:00:00  ann        refused  migrate shard=0/3/1,0 (dry run) no such shard");
    }
}
