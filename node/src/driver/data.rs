//! The driver of a data process: the core on one OS thread, which is the store's only writer.
//!
//! Group commit comes by itself: while a transaction is written, requests queue up; then all of them go into the next one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use pangaea_persistence::ledger::Audit;
use pangaea_persistence::{Data, LmdbOptions, LmdbStore};
use pangaea_schemas::message::Currency;
use pangaea_schemas::{NodeId, Role};
use tokio::sync::oneshot;

use super::process::{self, Context, Driver, Shell};
use crate::admin::{CurrencyView, LedgerView};
use crate::membership::Heard;
use crate::mesh::Inbox;

/// The lease is renewed by [`Shell::wait`]; otherwise a data process has no deadline of its own.
const IDLE_WAIT: Duration = Duration::from_millis(250);
/// A data process that stops goes on for the scenes that stop with it, at most for so long: they write what is not written yet.
const SCENES_TIME_MAX: Duration = Duration::from_secs(2);

/// Who wants the ledger audited.
type AuditAsked = oneshot::Sender<Result<Audit, String>>;
type Event = process::Event<AuditAsked>;

pub(super) struct DataDriver {
    data: Data<LmdbStore>,
    folder: PathBuf,
    /// Scenes whose links are up.
    scenes: BTreeSet<NodeId>,
}

impl Driver for DataDriver {
    type Own = AuditAsked;

    async fn open(context: &Context<Event>) -> anyhow::Result<(Self, Router)> {
        let folder = context.options.data_dir.join("data");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let store = LmdbStore::open(&folder, LmdbOptions::default())
            .with_context(|| format!("cannot open the store in {}", folder.display()))?;
        let routes = Router::new().route("/api/ledger", get(ledger)).with_state(context.inbox.clone());
        Ok((Self { data: Data::new(store), folder, scenes: BTreeSet::new() }, routes))
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
                    // Whoever asked may have gone.
                    Event::Own(answer) => drop(answer.send(self.data.audit().map_err(|error| error.to_string()))),
                    Event::Stop => ends_at = Some(shell.clock.now() + SCENES_TIME_MAX),
                }
            }
            shell.port.maintain(shell.clock.now());
            self.commit(&mut shell);
            if let Some(reason) = self.data.broken() {
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
}

impl DataDriver {
    fn hear(&mut self, shell: &Shell<Event>, heard: Heard) {
        match heard {
            Heard::Core { from, message } => self.data.handle(shell.clock.now(), from, message),
            Heard::Up { node } if node.role == Role::Scene => _ = self.scenes.insert(node),
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
        }
        while let Some((to, reply)) = self.data.poll_output() {
            shell.port.send_to(to, reply);
        }
    }
}

async fn ledger(State(inbox): State<Inbox<Event>>) -> Response {
    let (answer, audit) = oneshot::channel();
    if inbox.deliver(Event::Own(answer)).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the data node stops\n").into_response();
    }
    match audit.await {
        Ok(Ok(audit)) => Json(ledger_view(&audit)).into_response(),
        Ok(Err(text)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{text}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the data node stops\n").into_response(),
    }
}

fn ledger_view(audit: &Audit) -> LedgerView {
    let name =
        |currency: Currency| if currency == Currency::GOLD { "gold".to_owned() } else { format!("currency-{}", currency.0) };
    let totals = audit.currencies.iter();
    let currencies: BTreeMap<_, _> =
        totals.map(|c| (name(c.currency), CurrencyView { issued: c.issued, sunk: c.sunk, held: c.held })).collect();
    LedgerView { ok: audit.ok(), currencies, items: audit.items, faults: audit.faults.clone() }
}
