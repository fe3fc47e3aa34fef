//! The driver of a data process: the core on one OS thread, which is the store's only writer.
//!
//! Group commit comes by itself: while a transaction is written, requests queue up; then all of them go into the next one.
//! Whoever reads all of the store, for an audit or a snapshot, does so in another process beside it.
//!
//! On the cluster's engine requests are not done as they come: they go into the log and are done when they come back from there
//! ([`proposals`]), here as in every other data process.

mod proposals;

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
use pangaea_persistence::{Data, LmdbOptions, LmdbStore, Logged, disk_space};
use pangaea_schemas::{NodeId, Role};

use self::proposals::Proposals;
use super::process::{self, Context, Driver, Shell};
use crate::admin::DataView;
use crate::archive::running::Running;
use crate::archive::snapshots::{self, Keeper};
use crate::archive::{look, store_of};
use crate::engine::log::LogEvent;
use crate::engine::{Connection, checkpoint};
use crate::membership::Heard;
use crate::mesh::Inbox;

/// The lease is renewed by [`Shell::wait`]; otherwise a data process has no deadline of its own.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// A data process that stops goes on for the scenes that stop with it, at most for so long: they write what is not written yet.
const SCENES_TIME_MAX: Duration = Duration::from_secs(2);

/// What wakes a data process beside its peers.
pub(super) enum DataEvent {
    /// A process that read the store has ended, perhaps without giving back its place among the readers.
    ReaderEnded,
    /// The engine's log goes on.
    Log(LogEvent),
}
type Event = process::Event<DataEvent>;

pub(super) struct DataDriver {
    data: Data<LmdbStore>,
    /// On the engine only.
    proposals: Option<Proposals>,
    folder: PathBuf,
    /// Its rows cannot follow the log any more.
    is_behind: bool,
    running: Running,
    /// Only journals have room.
    scarce: bool,
    /// Scenes whose links are up.
    scenes: BTreeSet<NodeId>,
}

impl Driver for DataDriver {
    type Own = DataEvent;

    async fn open(context: &Context<Event>) -> anyhow::Result<(Self, Router)> {
        let (data_dir, options) = (&context.options.data_dir, context.options.store);
        let folder = store_of(data_dir, context.options.node);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let data_dir = data_dir.canonicalize()?;
        let reserve = snapshots::reserve_bytes(&data_dir, options)?;
        if let Some(engine) = &context.engine {
            proposals::begin_from_checkpoint(engine, &folder).await?;
        }
        let running = Running::begin(&folder)?;
        let store = LmdbStore::open(&folder, LmdbOptions::default())
            .with_context(|| format!("cannot open the store in {}", folder.display()))?;
        if let Some(keeper) = Keeper::new(data_dir.clone(), context.options.node, options) {
            tokio::spawn(keep_snapshots(keeper, context.engine.clone(), context.inbox.clone()));
        }
        let files = Files { data_dir: data_dir.into(), store: folder.clone().into(), inbox: context.inbox.clone() };
        let routes = Router::new().route("/api/ledger", get(ledger)).route("/api/data", get(whereabouts)).with_state(files);
        let mut data = Data::new(store).with_reserve(reserve);
        let proposals = proposals::begin(context, &mut data, &folder)?;
        Ok((Self { data, proposals, folder, is_behind: false, running, scarce: false, scenes: BTreeSet::new() }, routes))
    }

    fn drive(mut self, mut shell: Shell<Event>) -> anyhow::Result<()> {
        let outcome = self.serve(&mut shell);
        drop(self.data);
        if self.is_behind {
            proposals::set_aside(&self.folder)?;
        }
        match &outcome {
            Ok(()) => self.running.end_well(),
            Err(_) if self.is_behind => self.running.end_well(),
            Err(_) => {}
        }
        outcome
    }
}

impl DataDriver {
    fn serve(&mut self, shell: &mut Shell<Event>) -> anyhow::Result<()> {
        let mut batch = VecDeque::new();
        let mut ends_at = None;
        while !ends_at.is_some_and(|at| self.scenes.is_empty() || at <= shell.clock.now()) {
            shell.wait(shell.clock.now() + IDLE_WAIT, &mut batch);
            for event in batch.drain(..) {
                match event {
                    Event::Mesh(event) => {
                        if let Some(heard) = shell.hear(event)? {
                            self.hear(shell, heard);
                        }
                    }
                    Event::Own(DataEvent::ReaderEnded) => self.data.store_mut().forget_dead_readers()?,
                    Event::Own(DataEvent::Log(event)) => self.follow(event)?,
                    Event::Stop => ends_at = Some(shell.clock.now() + SCENES_TIME_MAX),
                }
            }
            shell.port.maintain(shell.clock.now());
            if let Some(proposals) = &mut self.proposals {
                proposals.propose(shell.clock.now());
            }
            self.commit(shell);
            self.watch_room();
            if let Some(reason) = self.data.broken() {
                let reason = reason.to_owned();
                self.running.mark_suspect();
                bail!(
                    "the store in {} failed and its state is unknown: {reason}. Nothing of the last batch was acknowledged. \
                     Check the disk; then start this process again, it looks at what is there",
                    self.folder.display()
                );
            }
        }
        shell.port.leave();
        Ok(())
    }

    fn hear(&mut self, shell: &mut Shell<Event>, heard: Heard) {
        match heard {
            Heard::Core { from, message } => match &mut self.proposals {
                None => self.data.handle(shell.clock.now(), from, message),
                Some(proposals) => match self.data.turned_away(&message) {
                    Some(refusal) => shell.port.send_to(from, refusal),
                    None => proposals.push(from, &message),
                },
            },
            Heard::Up { node, .. } if node.role == Role::Scene => _ = self.scenes.insert(node),
            Heard::Down { node } => _ = self.scenes.remove(&node),
            Heard::Up { .. } | Heard::Renewed { .. } | Heard::NameTaken { .. } | Heard::Nothing => {}
        }
    }

    /// What the log says next is done here, too; where it was asked for here, it is answered.
    fn follow(&mut self, event: LogEvent) -> anyhow::Result<()> {
        let (place, requests) = match event {
            LogEvent::Next { place, requests } => (place, requests),
            LogEvent::Behind { position } => {
                self.is_behind = true;
                bail!(
                    "position {position} of the log was purged: these rows are older than the oldest checkpoint. They are set aside; \
                     start again, and this process begins from the newest checkpoint"
                )
            }
            LogEvent::Broken { reason } => bail!("the log cannot be followed: {reason}"),
        };
        let own = self.proposals.as_mut().is_some_and(|proposals| proposals.came(place));
        let requests = requests.into_iter().map(|(from, message)| (own.then_some(from), message)).collect();
        self.data.follow(Logged { place, requests });
        Ok(())
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
            metrics::counter!("pangaea_data_entries_unfolded").increment(after.unfolded - before.unfolded);
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

/// Snapshots are checkpoints of the engine, too, if there is one.
async fn keep_snapshots(mut keeper: Keeper, engine: Option<Connection>, inbox: Inbox<Event>) {
    loop {
        let taken = keeper.take_next().await;
        if let (Some(folder), Some(engine)) = (taken, &engine)
            && let Err(error) = checkpoint::keep(engine, &folder).await
        {
            metrics::counter!("pangaea_failed_checkpoints").increment(1);
            tracing::error!("no checkpoint could be kept, those before it are there: {error:#}");
        }
        if inbox.deliver(Event::Own(DataEvent::ReaderEnded)).await.is_err() {
            return;
        }
    }
}

/// What the routes share.
#[derive(Clone)]
struct Files {
    data_dir: Arc<std::path::Path>,
    store: Arc<std::path::Path>,
    inbox: Inbox<Event>,
}

async fn ledger(State(files): State<Files>) -> Response {
    let store = files.store.clone();
    let audit = tokio::task::spawn_blocking(move || look::ledger(&store)).await;
    // A process that stops needs no readers' places any more.
    let _ = files.inbox.deliver(Event::Own(DataEvent::ReaderEnded)).await;
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
