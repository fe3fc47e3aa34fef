//! `pangaea ledger`: an audit of all gold and items, of a living cluster or of files.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pangaea_node::admin::LedgerView;
use pangaea_node::archive::{find_store, look};

use crate::cluster::ClusterAddress;
use crate::{say, wait_for};

const EXAMPLES: &str = "Examples:
  pangaea ledger
  pangaea ledger --json
  pangaea ledger --data-dir pangaea-data      a dead cluster's files, or a backup
Exit code 1 when anything does not add up.";

/// Whose value to audit.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LedgerArgs {
    /// The files of a data folder or a backup, not the living cluster
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// As JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// Ask and print; failure when anything does not add up.
pub(crate) fn show(cluster: &ClusterAddress, args: &LedgerArgs) -> anyhow::Result<ExitCode> {
    let ledger: LedgerView = match &args.data_dir {
        Some(files) => look::ledger(&find_store(files)?)?,
        None => wait_for(cluster.ask("/api/ledger"))?,
    };
    say(&if args.json { serde_json::to_string_pretty(&ledger)? } else { table(&ledger) });
    Ok(if ledger.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(ledger: &LedgerView) -> String {
    let mut text = format!("{:<14} {:>16} {:>16} {:>16}", "currency", "issued", "sunk", "held");
    for (name, totals) in &ledger.currencies {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{name:<14} {:>16} {:>16} {:>16}", totals.issued, totals.sunk, totals.held);
    }
    let _ = write!(text, "\n\n{} items, each with exactly one owner", ledger.items);
    if !ledger.ok {
        let _ = write!(text, " - but:");
        for fault in &ledger.faults {
            let _ = write!(text, "\n  {fault}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use pangaea_node::admin::CurrencyView;

    use super::*;

    #[test]
    fn faults_are_told_in_words() {
        let gold = CurrencyView { issued: 10, sunk: 2, held: 9 };
        let ledger = LedgerView {
            ok: false,
            currencies: [("gold".to_owned(), gold)].into(),
            items: 3,
            faults: vec!["gold: 10 issued, but 11 accounted for".to_owned()],
        };
        let text = table(&ledger);
        assert!(text.contains("gold") && text.contains("11 accounted for"), "{text}");
    }
}
