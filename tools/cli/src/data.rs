//! `pangaea data`: without more words a data process; with them the data node's files, of a living cluster or a dead one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::ensure;
use clap::{Args, Subcommand};
use pangaea_node::admin::DataView;
use pangaea_node::archive::backup::{self, Manifest, Restored};
use pangaea_node::archive::look::{self, Task, VerifyView};
use pangaea_scene::game::Game;
use pangaea_schemas::Role;
use serde::Serialize;

use crate::cluster::ClusterAddress;
use crate::roles::{self, RoleArgs};
use crate::{say, wait_for};

const VERIFY_EXAMPLES: &str = "Examples:
  pangaea data verify                          the living cluster's store
  pangaea data verify pangaea-data             the same, or a dead one's
  pangaea data verify /backups/monday --json
Exit code 1 when anything is wrong.";

const BACKUP_EXAMPLES: &str = "Examples:
  pangaea data backup --to /backups/monday
  pangaea data backup --data-dir /srv/world --to /backups/monday --json
The cluster may run: readers wait for nobody and nobody waits for them. Keys are not in a backup.";

const RESTORE_EXAMPLES: &str = "Examples:
  pangaea data restore --from /backups/monday --data-dir /srv/new-world
  pangaea data restore --last-good --data-dir pangaea-data
Nothing is overwritten: a backup goes into a new folder, and --last-good sets a damaged store aside.";

/// A data process, or a look at its files.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    files: Option<FilesCommand>,
    #[command(flatten)]
    pub(crate) role: RoleArgs,
}

#[derive(Debug, Subcommand)]
enum FilesCommand {
    /// Read every row and say what is wrong
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify {
        /// A data folder, a snapshot or a backup; the living cluster's when not given
        path: Option<PathBuf>,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Copy the store, as of one moment, into a new folder
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup {
        /// The new folder
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Whose; the living cluster's when not given
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Make a data folder of a backup, or go back to the last good snapshot
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore {
        /// The backup or snapshot
        #[arg(long, value_name = "DIR", required_unless_present = "last_good", conflicts_with = "last_good")]
        from: Option<PathBuf>,
        /// Put the newest good snapshot in the place of a damaged store; the cluster must be stopped
        #[arg(long)]
        last_good: bool,
        /// The new data folder, or the one with the damaged store
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
        /// As JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Look at a store for another process
    #[command(hide = true)]
    Look { folder: PathBuf, task: Task, to: Option<PathBuf> },
}

/// Do what was asked.
pub(crate) fn run(cluster: &ClusterAddress, args: DataArgs, game: fn(&mut Game)) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    match args.files {
        None => roles::run(args.role.options(Role::Data)?, game),
        Some(FilesCommand::Verify { path, json }) => {
            let view = backup::verify(&path.map_or_else(|| of_living(cluster), Ok)?)?;
            print(json, &view, verified)?;
            Ok(if view.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Some(FilesCommand::Backup { to, data_dir, json }) => {
            let from = data_dir.map_or_else(|| of_living(cluster), Ok)?;
            let manifest = backup::back_up(&from, &to, &mut progress)?;
            print(json, &manifest, |manifest| backed_up(manifest, &to, began))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(FilesCommand::Restore { from, data_dir, json, .. }) => {
            let restored = match from {
                Some(from) => backup::restore(&from, &data_dir, &mut progress)?,
                None => backup::restore_last_good(&data_dir, &mut progress)?,
            };
            print(json, &restored, |restored| put_back(restored, &data_dir, began))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(FilesCommand::Look { folder, task, to }) => {
            say(&look::answer(folder, task, to)?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The data folder of the cluster that runs.
fn of_living(cluster: &ClusterAddress) -> anyhow::Result<PathBuf> {
    let data: DataView = wait_for(cluster.ask("/api/data"))?;
    let data_dir = PathBuf::from(data.data_dir);
    ensure!(data_dir.is_dir(), "the data node's files are in {}, on another machine: run this there", data_dir.display());
    Ok(data_dir)
}

/// Progress goes where it does not mix with the answer.
fn progress(step: String) {
    let _ = writeln!(std::io::stderr(), "  {step} …");
}

fn print<T: Serialize>(json: bool, value: &T, words: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    say(&if json { serde_json::to_string_pretty(value)? } else { words(value) });
    Ok(())
}

fn verified(view: &VerifyView) -> String {
    let head = format!("{} rows in {} journals and all tables", view.rows, view.journals.len());
    if view.ok { format!("{head}: whole") } else { format!("{head}, but:\n  {}", view.findings.join("\n  ")) }
}

fn backed_up(manifest: &Manifest, to: &Path, began: Instant) -> String {
    let Manifest { rows, bytes, taken_at, sha256, .. } = manifest;
    let (seconds, to) = (began.elapsed().as_secs_f64(), to.display());
    format!("{rows} rows, {bytes} bytes, as of {taken_at}, in {to} after {seconds:.1} s\nsha256 {sha256}")
}

fn put_back(restored: &Restored, data_dir: &Path, began: Instant) -> String {
    let Manifest { rows, taken_at, .. } = &restored.from;
    let (seconds, data_dir) = (began.elapsed().as_secs_f64(), data_dir.display());
    let mut text = format!(
        "{rows} rows, as of {taken_at}, in {data_dir} after {seconds:.1} s; start it with `pangaea up --data-dir {data_dir}`"
    );
    if let Some(aside) = &restored.set_aside {
        text.push_str(&format!("\nThe damaged store is in {}. What was done after the snapshot is only there.", aside.display()));
    }
    text
}
