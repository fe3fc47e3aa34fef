//! Looking at a store in a process of its own, which may be killed by what it reads.
//!
//! The parent starts this very program as `pangaea data look FOLDER TASK`, holds its stdin, and reads one JSON value from its
//! stdout. The child ends when its stdin does, so that it never outlives its parent.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::{fs, thread};

use anyhow::{Context, bail};
use pangaea_persistence::ledger::Audit;
use pangaea_persistence::log::position_in;
use pangaea_persistence::verify::{audit, owners, verify};
use pangaea_persistence::{LmdbFile, StoreError};
use pangaea_schemas::message::Currency;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::STORE_FILE;
use super::backup::Restored;
use crate::admin::{CurrencyView, LedgerView};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Read every row: a [`VerifyView`].
    Verify,
    /// Add up all value: a [`LedgerView`].
    Ledger,
    /// Copy the file: the number of its bytes.
    Copy,
}

impl FromStr for Task {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let task = [Self::Verify, Self::Ledger, Self::Copy].into_iter().find(|task| task.name() == text);
        task.ok_or_else(|| "expected verify, ledger or copy".to_owned())
    }
}

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Ledger => "ledger",
            Self::Copy => "copy",
        }
    }
}

/// What reading all of a store found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyView {
    /// It is whole.
    pub ok: bool,
    /// Rows read.
    pub rows: u64,
    /// How far it follows the engine's log; zero for an embedded world.
    #[serde(default)]
    pub position: u64,
    /// Every journal with an owner, in order.
    pub journals: Vec<JournalView>,
    /// What is wrong, in words.
    pub findings: Vec<String>,
}

/// How far a journal has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// The epoch in force.
    pub epoch: u64,
    /// Index of its last entry.
    pub tail: u64,
}

/// Read every row of the store in `folder`. A store that kills its reader is not whole, and that is what it says.
///
/// # Errors
/// The reader cannot be started.
pub fn verified(folder: &Path) -> anyhow::Result<VerifyView> {
    Ok(match in_child(folder, Task::Verify, None)? {
        Ok(view) => view,
        Err(fault) => VerifyView { findings: vec![fault], ..VerifyView::default() },
    })
}

/// Add up all value in the store in `folder`. What cannot be read is a fault.
///
/// # Errors
/// The reader cannot be started.
pub fn ledger(folder: &Path) -> anyhow::Result<LedgerView> {
    Ok(match in_child(folder, Task::Ledger, None)? {
        Ok(view) => view,
        Err(fault) => LedgerView { faults: vec![fault], ..LedgerView::default() },
    })
}

/// Copy the store in `folder` to the new file `to`, as of one commit; how many bytes it has.
///
/// # Errors
/// It cannot be read, or not be written there.
pub fn copied(folder: &Path, to: &Path) -> anyhow::Result<u64> {
    in_child(folder, Task::Copy, Some(to))?.map_err(anyhow::Error::msg)
}

/// What the child says, or why it says nothing.
fn in_child<T: DeserializeOwned>(folder: &Path, task: Task, to: Option<&Path>) -> anyhow::Result<Result<T, String>> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(&program);
    command.args(["data", "look"]).arg(folder).arg(task.name()).args(to);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.with_context(|| format!("cannot start {} to look at {}", program.display(), folder.display()))?;
    let held = child.stdin.take();
    let output = child.wait_with_output().context("cannot hear what the reader says")?;
    drop(held);
    if let Some(signal) = output.status.signal() {
        let path = folder.join(STORE_FILE);
        return Ok(Err(format!("{} is damaged: reading it killed the reader (signal {signal})", path.display())));
    }
    if !output.status.success() {
        return Ok(Err(String::from_utf8_lossy(&output.stderr).trim().trim_start_matches("pangaea: ").to_owned()));
    }
    serde_json::from_slice(&output.stdout).map(Ok).context("the reader says something else than asked")
}

/// Be the child: what is found, as JSON.
///
/// # Errors
/// It cannot be opened, or not be copied; the text is for the parent's user.
pub fn answer(folder: PathBuf, task: Task, to: Option<PathBuf>) -> anyhow::Result<String> {
    thread::Builder::new().name("parent".to_owned()).spawn(end_with_parent).context("cannot start a thread")?;
    let file = LmdbFile::open(&folder)?;
    Ok(match task {
        Task::Verify => serde_json::to_string(&verify_view(&file)?)?,
        Task::Ledger => serde_json::to_string(&audit_view(&file, &folder))?,
        Task::Copy => {
            let Some(to) = to else { bail!("a copy needs a file to go to") };
            let copy = File::create_new(&to).with_context(|| format!("cannot write {}", to.display()))?;
            file.copy_to(&copy)?;
            serde_json::to_string(&fs::metadata(&to)?.len())?
        }
    })
}

/// The parent never writes: stdin ends when it lets go, or dies.
fn end_with_parent() {
    let mut byte = [0];
    while std::io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {}
    // Nobody reads it any more; a copy that is not finished has no manifest.
    let _ = writeln!(std::io::stderr(), "nobody waits for this any more");
    std::process::exit(1);
}

fn verify_view(file: &LmdbFile) -> Result<VerifyView, StoreError> {
    let verification = verify(file)?;
    let journals = owners(file).unwrap_or_default().into_iter();
    let journals =
        journals.map(|(shard, _, _, epoch, tail)| JournalView { shard: shard.to_string(), epoch: epoch.0, tail: tail.0 });
    let (ok, rows) = (verification.ok(), verification.rows);
    let position = position_in(file).unwrap_or_default();
    Ok(VerifyView { ok, rows, position, journals: journals.collect(), findings: verification.findings })
}

fn audit_view(file: &LmdbFile, folder: &Path) -> LedgerView {
    let mut view = match audit(file) {
        Ok(audit) => ledger_view(&audit),
        Err(error) => LedgerView { faults: vec![error.to_string()], ..LedgerView::default() },
    };
    if let (false, Some(restored)) = (view.ok, Restored::of(folder)) {
        view.faults.push(format!("this store was restored on {} from what was kept on {}", restored.at, restored.from.taken_at));
    }
    view
}

fn ledger_view(audit: &Audit) -> LedgerView {
    let name =
        |currency: Currency| if currency == Currency::GOLD { "gold".to_owned() } else { format!("currency-{}", currency.0) };
    let totals = audit.currencies.iter();
    let currencies = totals.map(|c| (name(c.currency), CurrencyView { issued: c.issued, sunk: c.sunk, held: c.held })).collect();
    LedgerView { ok: audit.ok(), currencies, items: audit.items, faults: audit.faults.clone() }
}
