//! The table: Markdown for people, JSON for scripts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::machine::Machine;
use crate::row::{Row, show};

/// What a run found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Fewer repetitions.
    pub quick: bool,
    /// In order of id.
    pub rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new(machine: Machine, quick: bool) -> Self {
        Self { machine, quick, rows: Vec::new() }
    }

    /// Whether every goal that was measured is met.
    pub fn all_met(&self) -> bool {
        self.rows.iter().all(|row| row.met)
    }

    /// A table with one line per row.
    pub fn markdown(&self) -> String {
        let mut text = format!("{}{}\n\n", self.machine, if self.quick { "; a quick run" } else { "" });
        text.push_str("| # | what | goal | figure | spread | reference | ratio | |\n|---|---|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let Row { id, what, goal, figure, unit, spread: [low, high], note, .. } = row;
            let what = if note.is_empty() { what.clone() } else { format!("{what} ({note})") };
            let (figure, low, high) = (show(*figure), show(*low), show(*high));
            let of = |r: &crate::row::Reference| (format!("{} {}", r.what, show(r.figure)), show(r.ratio));
            let (reference, ratio) = row.reference.as_ref().map(of).unwrap_or_default();
            let met = if row.met { "met" } else { "**not met**" };
            // Writing to a string succeeds.
            let _ =
                writeln!(text, "| {id} | {what} | {goal} | {figure} {unit} | {low} – {high} | {reference} | {ratio} | {met} |");
        }
        text
    }

    /// The rows alone, as scripts expect them.
    ///
    /// # Errors
    /// Never in practice: rows hold numbers and text.
    pub fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(&self.rows)?)
    }

    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("bench.md", self.markdown())?;
        write("bench.json", serde_json::to_string_pretty(self)?)
    }
}
