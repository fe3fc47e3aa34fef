//! The driver of a data process: the core on one OS thread, which is the store's only writer.
//!
//! Group commit comes by itself: while a transaction is written, requests queue up; then all of them go into the next one.
//! Whoever reads all of the store, for an audit or a snapshot, does so in another process beside it.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use pangaea_persistence::{Data, LmdbOptions, LmdbStore, disk_space};
use pangaea_schemas::{NodeId, Role};

use super::process::{self, Context, Driver, Shell};
use crate::admin::DataView;
use crate::archive::running::Running;
use crate::archive::snapshots::{self, Keeper};
use crate::archive::{look, store_below};
use crate::membership::Heard;
use crate::mesh::Inbox;

/// The lease is renewed by [`Shell::wait`]; otherwise a data process has no deadline of its own.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// A data process that stops goes on for the scenes that stop with it, at most for so long: they write what is not written yet.
const SCENES_TIME_MAX: Duration = Duration::from_secs(2);

/// A process that read the store has ended, perhaps without giving back its place among the readers.
pub(super) struct ReaderEnded;
type Event = process::Event<ReaderEnded>;

pub(super) struct DataDriver {
    data: Data<LmdbStore>,
    folder: PathBuf,
    running: Running,
    /// Only journals have room.
    scarce: bool,
    /// Scenes whose links are up.
    scenes: BTreeSet<NodeId>,
}

impl Driver for DataDriver {
    type Own = ReaderEnded;

    async fn open(context: &Context<Event>) -> anyhow::Result<(Self, Router)> {
        let (data_dir, options) = (&context.options.data_dir, context.options.store);
        let folder = store_below(data_dir);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let data_dir = data_dir.canonicalize()?;
        let reserve = snapshots::reserve_bytes(&data_dir, options)?;
        let running = Running::begin(&folder)?;
        let store = LmdbStore::open(&folder, LmdbOptions::default())
            .with_context(|| format!("cannot open the store in {}", folder.display()))?;
        if let Some(keeper) = Keeper::new(data_dir.clone(), options) {
            tokio::spawn(keep_snapshots(keeper, context.inbox.clone()));
        }
        let files = Files { data_dir: data_dir.into(), inbox: context.inbox.clone() };
        let routes = Router::new().route("/api/ledger", get(ledger)).route("/api/data", get(whereabouts)).with_state(files);
        let data = Data::new(store).with_reserve(reserve);
        Ok((Self { data, folder, running, scarce: false, scenes: BTreeSet::new() }, routes))
    }

    fn drive(mut self, mut shell: Shell<Event>) -> anyhow::Result<()> {
        let mut batch = VecDeque::new();
        let mut ends_at = None;
        while !ends_at.is_some_and(|at| self.scenes.is_empty() || at <= shell.clock.now()) {
            shell.wait(shell.clock.now() + IDLE_WAIT, &mut batch);
            for event in batch.drain(..) {
                match event {
                    Event::Mesh(event) => {
                        if let Some(heard) = shell.hear(event)? {
                            self.hear(&shell, heard);
                        }
                    }
                    Event::Own(ReaderEnded) => self.data.store_mut().forget_dead_readers()?,
                    Event::Stop => ends_at = Some(shell.clock.now() + SCENES_TIME_MAX),
                }
            }
            shell.port.maintain(shell.clock.now());
            self.commit(&mut shell);
            self.watch_room();
            if let Some(reason) = self.data.broken() {
                let reason = reason.to_owned();
                self.running.end_badly();
                bail!(
                    "the store in {} failed and its state is unknown: {reason}. Nothing of the last batch was acknowledged. \
                     Check the disk; then start this process again, it looks at what is there",
                    self.folder.display()
                );
            }
        }
        shell.port.leave();
        drop(self.data);
        self.running.end_well();
        Ok(())
    }
}

impl DataDriver {
    fn hear(&mut self, shell: &Shell<Event>, heard: Heard) {
        match heard {
            Heard::Core { from, message } => self.data.handle(shell.clock.now(), from, message),
            Heard::Up { node, .. } if node.role == Role::Scene => _ = self.scenes.insert(node),
            Heard::Down { node } => _ = self.scenes.remove(&node),
            Heard::Up { .. } | Heard::Renewed { .. } | Heard::NameTaken { .. } | Heard::Nothing => {}
        }
    }

    fn commit(&mut self, shell: &mut Shell<Event>) {
        if self.data.has_work() {
            let (before, began) = (self.data.counts(), std::time::Instant::now());
            self.data.commit(shell.clock.now());
            metrics::histogram!("pangaea_commit_seconds").record(began.elapsed());
            let after = self.data.counts();
            metrics::counter!("pangaea_commits").increment(after.commits - before.commits);
            metrics::counter!("pangaea_failed_commits").increment(after.failed_commits - before.failed_commits);
            metrics::counter!("pangaea_data_requests").increment(after.requests - before.requests);
            metrics::counter!("pangaea_data_bytes_written").increment(after.bytes - before.bytes);
            metrics::counter!("pangaea_data_requests_reserved").increment(after.reserved - before.reserved);
        }
        while let Some((to, reply)) = self.data.poll_output() {
            shell.port.send_to(to, reply);
        }
    }

    /// Says once when only the reserve is left, and once when it is over.
    fn watch_room(&mut self) {
        let Ok((room, scarce)) = self.data.room() else { return };
        metrics::gauge!("pangaea_store_room_bytes").set(room as f64);
        if scarce && !self.scarce {
            tracing::warn!(room, folder = %self.folder.display(), "only the reserve is left: durable actions wait, free some space");
        } else if self.scarce && !scarce {
            tracing::info!(room, "there is space again: durable actions go on");
        }
        self.scarce = scarce;
    }
}

async fn keep_snapshots(mut keeper: Keeper, inbox: Inbox<Event>) {
    loop {
        keeper.take_next().await;
        if inbox.deliver(Event::Own(ReaderEnded)).await.is_err() {
            return;
        }
    }
}

/// What the routes share.
#[derive(Clone)]
struct Files {
    data_dir: Arc<std::path::Path>,
    inbox: Inbox<Event>,
}

async fn ledger(State(files): State<Files>) -> Response {
    let store = store_below(&files.data_dir);
    let audit = tokio::task::spawn_blocking(move || look::ledger(&store)).await;
    // A process that stops needs no readers' places any more.
    let _ = files.inbox.deliver(Event::Own(ReaderEnded)).await;
    match audit.unwrap_or_else(|panic| Err(panic.into())) {
        Ok(view) => Json(view).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}\n")).into_response(),
    }
}

async fn whereabouts(State(files): State<Files>) -> Json<DataView> {
    let snapshots = snapshots::list(&snapshots::below(&files.data_dir));
    Json(DataView {
        data_dir: files.data_dir.display().to_string(),
        disk_room: disk_space(&files.data_dir).map_or(0, |disk| disk.room),
        snapshots: snapshots.iter().map(|folder| folder.display().to_string()).collect(),
    })
}
