//! `pangaea chaos`: real faults on a cluster of its own, and the proof that nothing was lost.

use std::fmt::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use pangaea_chaos::ChaosReport;

use crate::args::ChaosArgs;
use crate::say;

/// Hurt it, then report; failure when anything is wrong.
pub(crate) async fn run(args: ChaosArgs) -> anyhow::Result<ExitCode> {
    let json = args.json;
    let drawn = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
    let report = pangaea_chaos::run(&args.options(drawn)).await?;
    say(&if json { serde_json::to_string_pretty(&report)? } else { table(&report) });
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(report: &ChaosReport) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_table(&mut text, report);
    text
}

fn write_table(text: &mut String, report: &ChaosReport) -> std::fmt::Result {
    writeln!(text, "seed {}, {} bots, {:.0} inputs/s\n", report.seed, report.connected, report.inputs_per_s)?;
    writeln!(text, "{:<18} {:>6} {:>9} {:>9} {:>9}  allowed sights", "fault", "count", "p50 ms", "p99 ms", "max ms")?;
    for kind in report.faults.keys().chain(report.recovery_ms.contains_key("overlapping").then_some(&"overlapping".to_owned())) {
        write!(text, "{kind:<18} {:>6}", report.faults.get(kind).copied().unwrap_or_default())?;
        match report.recovery_ms.get(kind) {
            Some(back) => write!(text, " {:>9.0} {:>9.0} {:>9.0}", back.p50, back.p99, back.max)?,
            None => write!(text, " {:>9} {:>9} {:>9}", "-", "-", "-")?,
        }
        let allowed = report.allowed.get(kind).into_iter().flatten().map(|(sight, count)| format!("{count} {sight}"));
        writeln!(text, "  {}", allowed.collect::<Vec<_>>().join(", "))?;
    }
    for (kind, why) in &report.skipped {
        writeln!(text, "{kind:<18} SKIPPED: {why}")?;
    }
    let ledger = if report.ledger_ok { "the ledger is exact" } else { "THE LEDGER IS WRONG" };
    write!(text, "\n{} anomalies; {ledger}", report.anomalies_total)?;
    for line in report.examples.iter().chain(&report.ledger_faults) {
        write!(text, "\n  {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use pangaea_bots::Spread;

    use super::*;

    #[test]
    fn the_table_names_faults_times_and_what_is_wrong() {
        let report = ChaosReport {
            seed: 42,
            faults: [("kill_scene".to_owned(), 3)].into(),
            recovery_ms: [("kill_scene".to_owned(), Spread { p50: 800.0, p99: 950.0, max: 950.0 })].into(),
            allowed: [("kill_scene".to_owned(), [("jump", 4)].into())].into(),
            skipped: [("full_disk".to_owned(), "no permission".to_owned())].into(),
            anomalies_total: 1,
            examples: vec!["twice: one too many".to_owned()],
            ..ChaosReport::default()
        };
        let text = table(&report);
        for words in ["seed 42", "950", "4 jump", "SKIPPED: no permission", "1 anomalies", "THE LEDGER IS WRONG", "one too many"]
        {
            assert!(text.contains(words), "{words} in {text}");
        }
    }
}
