//! The core of a data node: queue, one transaction for all that is queued, then the replies.
//!
//! `handle` only queues. `commit` runs the requests in order against one snapshot plus their own changes, writes all changes
//! at once, and hands out the replies when they are durable. If the write fails, every request of that batch is answered in
//! words and nothing has changed. A request that cannot be done takes back only its own changes.
//!
//! Where a cluster's log decides instead ([`crate::log`]), a data node *follows* it: the same requests in the log's order, with
//! the log's position stored in the transaction of what it changed. What the log holds is not refused any more, so whatever
//! stands in its way ends this node.

use std::collections::VecDeque;

use pangaea_schemas::journal::Entry;
use pangaea_schemas::message::{
    BlobReply, BlobRequest, JournalReply, JournalRequest, LedgerReply, LedgerRequest, LedgerResult, Message, TableOp, TableReply,
    TableRequest, Transaction,
};
use pangaea_schemas::{NodeId, Revision, Timestamp};

use crate::batch::Batch;
use crate::fold::FoldError;
use crate::journal::AppendError;
use crate::ledger::Audit;
use crate::log::{self, Logged, Place};
use crate::service::Hot;
use crate::store::{Changes, Store, StoreError};
use crate::verify::Verification;
use crate::{blobs, ids, journal, ledger, load, tables, verify};

/// Requests that may wait for the next commit; more are answered `Unavailable` at once.
pub const QUEUE_MAX: usize = 65_536;
/// A transaction is ended when its changes have so many bytes; the rest of the queue goes into the next one.
pub const BATCH_BYTES: usize = 64 << 20;

/// A data node: journals, records, ledger, tables, blobs and ids over one store.
#[derive(Debug)]
pub struct Data<S> {
    store: S,
    /// Bytes that only journals may still use.
    reserve: u64,
    hot: Hot,
    queue: VecDeque<Queued>,
    outputs: VecDeque<(NodeId, Message)>,
    counts: Counts,
    broken: Option<String>,
    /// The last commit failed, which was said.
    failing: bool,
}

/// What a data node did since it started, for its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions written.
    pub commits: u64,
    /// Transactions that failed.
    pub failed_commits: u64,
    /// Requests answered, refusals included.
    pub requests: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
    /// Messages that are not for a data node.
    pub ignored: u64,
    /// Requests turned away because the queue was full.
    pub turned_away: u64,
    /// Requests turned away because only the reserve is left.
    pub reserved: u64,
    /// Entries of a followed log that broke a rule of the fold.
    pub unfolded: u64,
}

/// What one turn of [`Data::commit`] does or does not do as a whole.
#[derive(Debug)]
struct Queued {
    /// Its place in the followed log; `None`: it was asked for here.
    place: Option<Place>,
    /// With whom the answer is for, if with anybody.
    requests: Vec<(Option<NodeId>, Request)>,
}

impl<S: Store> Data<S> {
    /// A data node over an open store.
    pub fn new(store: S) -> Self {
        Self {
            store,
            reserve: 0,
            hot: Hot::default(),
            queue: VecDeque::new(),
            outputs: VecDeque::new(),
            counts: Counts::default(),
            broken: None,
            failing: false,
        }
    }

    /// Keeps so many bytes of the disk and of the store's map for journals, which are bounded: under it, whatever would add to
    /// the ledger, the tables or the blobs is refused, so that ownership and motion outlive a disk that fills.
    pub fn with_reserve(mut self, bytes: u64) -> Self {
        self.reserve = bytes;
        self
    }

    /// Queues a request for the next [`Self::commit`].
    pub fn handle(&mut self, _now: Timestamp, from: NodeId, message: Message) {
        let Some(request) = Request::of(message) else {
            self.counts.ignored += 1;
            tracing::debug!(%from, "a message that is not for a data node");
            return;
        };
        if self.queue.len() >= QUEUE_MAX {
            self.counts.turned_away += 1;
            self.outputs.push_back((from, request.refusal("the data node has too much to do, ask again later")));
            return;
        }
        self.queue.push_back(Queued { place: None, requests: vec![(Some(from), request)] });
    }

    /// Queues what the followed log holds next.
    pub fn follow(&mut self, logged: Logged) {
        let of = |(from, message)| Request::of(message).map(|request| (from, request));
        self.queue
            .push_back(Queued { place: Some(logged.place), requests: logged.requests.into_iter().filter_map(of).collect() });
    }

    /// The last position of the followed log that is in the store; zero before the first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn position(&self) -> Result<u64, StoreError> {
        log::position_in(&self.store)
    }

    /// The answer to a request that must not go into the log now, if so: it is none, or it adds while only the reserve is left.
    pub fn turned_away(&mut self, message: &Message) -> Option<Message> {
        let request = Request::of(message.clone())?;
        let reason = self.only_reserve_left().filter(|_| request.adds())?;
        self.counts.reserved += 1;
        Some(request.refusal(&reason))
    }

    /// Does everything that is queued, durably, and releases the replies.
    pub fn commit(&mut self, now: Timestamp) {
        while !self.queue.is_empty() {
            let Run { asked, replies, changes } = self.run(now);
            self.counts.requests += asked.iter().map(|queued| queued.requests.len() as u64).sum::<u64>();
            match changes.and_then(|changes| self.write(&changes)) {
                Ok(()) => self.outputs.extend(replies),
                Err(error) => {
                    self.counts.failed_commits += 1;
                    // Those who are refused ask again and again: the first time is news, the others are counted.
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!(%error, requests = asked.len(), "nothing is done until this is mended");
                    }
                    let reason = error.to_string();
                    let follows = asked.iter().any(|queued| queued.place.is_some());
                    if matches!(error, StoreError::Broken { .. }) || follows {
                        self.broken = Some(reason.clone());
                    }
                    let all = asked.into_iter().filter(|queued| queued.place.is_none()).flat_map(|queued| queued.requests);
                    self.outputs.extend(all.filter_map(|(from, request)| Some((from?, request.refusal(&reason)))));
                    if follows {
                        return;
                    }
                }
            }
        }
    }

    /// The next reply and for whom it is.
    pub fn poll_output(&mut self) -> Option<(NodeId, Message)> {
        self.outputs.pop_front()
    }

    /// A data node waits for nobody.
    pub fn poll_timeout(&self) -> Option<(Timestamp, &'static str)> {
        None
    }

    /// Whether `commit` has something to do.
    pub fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Why this process must end and a new one look at the disk: it is unknown what is on it. `None`: all is well.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Bytes that the store can still take, and whether only the reserve is left.
    ///
    /// # Errors
    /// The store cannot tell.
    pub fn room(&self) -> Result<(u64, bool), StoreError> {
        let room = self.store.room()?;
        Ok((room, room < self.reserve))
    }

    /// What was done since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Proves the ledger's totals and each item's one owner, as of the last commit.
    ///
    /// # Errors
    /// The store cannot be read, or a row of the ledger is damaged.
    pub fn audit(&self) -> Result<Audit, StoreError> {
        verify::audit(&self.store)
    }

    /// The owner in force and the tail of every journal in shard order, as of the last commit.
    ///
    /// # Errors
    /// The store cannot be read, or a journal's head is damaged.
    pub fn owners(&self) -> Result<Vec<journal::OwnerInForce>, StoreError> {
        verify::owners(&self.store)
    }

    /// Reads everything and says what is wrong with it.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub fn verify(&self) -> Result<Verification, StoreError> {
        verify::verify(&self.store)
    }

    /// The store, as of the last commit; what was queued is lost, as in a crash.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The store, so that a simulator can hurt it.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// Runs requests until the queue is empty or the batch is full. Nothing is written yet.
    fn run(&mut self, now: Timestamp) -> Run {
        let scarce = self.only_reserve_left();
        let Self { store, hot, queue, counts, .. } = self;
        let (mut asked, mut replies, mut changes) = (Vec::new(), Vec::new(), Changes::default());
        let outcome = store.read(&mut |rows| {
            let mut batch = Batch::new(rows, hot);
            while batch.bytes() < BATCH_BYTES
                && let Some(queued) = queue.pop_front()
            {
                let done = match queued.place {
                    Some(place) => follow(&mut batch, place, &queued.requests, counts, &mut replies),
                    None => {
                        ask(&mut batch, now, &queued.requests, scarce.as_ref(), counts, &mut replies);
                        Ok(())
                    }
                };
                asked.push(queued);
                done?;
            }
            changes = batch.into_changes();
            Ok(())
        });
        if outcome.is_err() {
            // No snapshot, no work: all that waits is refused, so that the loop ends.
            asked.extend(queue.drain(..));
        }
        Run { asked, replies, changes: outcome.map(|()| changes) }
    }

    /// Why nothing may be added now, if so. A room that cannot be told is no reason: the commit will tell.
    fn only_reserve_left(&self) -> Option<String> {
        let (room, scarce) = self.room().ok()?;
        scarce.then(|| StoreError::Reserved { room, reserve: self.reserve }.to_string())
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.store.commit(changes)?;
        if std::mem::take(&mut self.failing) {
            tracing::info!("commits succeed again");
        }
        self.hot.follow(changes);
        self.counts.commits += 1;
        self.counts.bytes += changes.bytes() as u64;
        Ok(())
    }
}

/// A batch that was run but not yet written.
struct Run {
    asked: Vec<Queued>,
    /// To be sent once the changes are durable.
    replies: Vec<(NodeId, Message)>,
    changes: Result<Changes, StoreError>,
}

/// Does what was asked for here; whatever cannot be done is answered in words.
fn ask(
    batch: &mut Batch<'_>,
    now: Timestamp,
    requests: &[(Option<NodeId>, Request)],
    scarce: Option<&String>,
    counts: &mut Counts,
    replies: &mut Vec<(NodeId, Message)>,
) {
    for (from, request) in requests {
        let Some(from) = *from else { continue };
        if let Some(reason) = scarce.filter(|_| request.adds()) {
            counts.reserved += 1;
            replies.push((from, request.refusal(reason)));
            continue;
        }
        let start = batch.mark();
        match request.perform(batch, now) {
            Ok(answers) => replies.extend(answers.into_iter().map(|answer| (from, answer))),
            Err(error) => {
                batch.back_to(start);
                tracing::warn!(%from, %error, "a request cannot be done");
                replies.push((from, request.refusal(&error.to_string())));
            }
        }
        batch.keep();
    }
}

/// Does what one message of the log says, here as everywhere: only a store that fails can make a difference, and stops it.
fn follow(
    batch: &mut Batch<'_>,
    place: Place,
    requests: &[(Option<NodeId>, Request)],
    counts: &mut Counts,
    replies: &mut Vec<(NodeId, Message)>,
) -> Result<(), StoreError> {
    if log::is_new(batch, place)? {
        for (from, request) in requests {
            if from.is_none() && request.only_reads() {
                continue;
            }
            let start = batch.mark();
            let answers = match request.perform(batch, place.now) {
                Ok(answers) => answers,
                Err(AppendError::Store(error) | AppendError::Fold(FoldError::Store(error))) => return Err(error),
                Err(error) => {
                    batch.back_to(start);
                    counts.unfolded += 1;
                    tracing::error!(position = place.position, %error, "the log holds what cannot be done");
                    request.append_nothing(batch)?;
                    vec![request.refusal(&error.to_string())]
                }
            };
            batch.keep();
            request.expect_appended(&answers, place)?;
            replies.extend(answers.into_iter().filter_map(|answer| Some(((*from)?, answer))));
        }
    }
    log::advance(batch, place);
    batch.keep();
    Ok(())
}

/// What a data node is asked for.
#[derive(Debug)]
enum Request {
    Journal(JournalRequest),
    Ledger(LedgerRequest),
    Table(TableRequest),
    Blob(BlobRequest),
}

impl Request {
    fn of(message: Message) -> Option<Self> {
        match message {
            Message::JournalRequest(request) => Some(Self::Journal(request)),
            Message::LedgerRequest(request) => Some(Self::Ledger(request)),
            Message::TableRequest(request) => Some(Self::Table(request)),
            Message::BlobRequest(request) => Some(Self::Blob(request)),
            _ => None,
        }
    }

    /// Does it in the batch.
    fn perform(&self, batch: &mut Batch<'_>, now: Timestamp) -> Result<Vec<Message>, AppendError> {
        Ok(match self {
            Self::Journal(request) => perform_journal(batch, request)?.into_iter().map(Message::JournalReply).collect(),
            Self::Ledger(request) => vec![Message::LedgerReply(ledger::handle(batch, now, request)?)],
            Self::Table(request) => vec![Message::TableReply(tables::handle(batch, request)?)],
            Self::Blob(request) => vec![Message::BlobReply(blobs::handle(batch, request)?)],
        })
    }

    /// Whether it may leave more behind than there was. What is taken away, and journals, which are trimmed, do not.
    fn adds(&self) -> bool {
        match self {
            Self::Ledger(request) => !matches!(request.transaction, Transaction::Look { .. } | Transaction::LookGround { .. }),
            Self::Table(request) => matches!(request.op, TableOp::PutIf { expected: Revision::ZERO, .. }),
            Self::Blob(request) => matches!(request, BlobRequest::Put { .. }),
            Self::Journal(_) => false,
        }
    }

    /// Whether it changes nothing, so that only whoever answers needs to do it.
    fn only_reads(&self) -> bool {
        match self {
            Self::Journal(
                JournalRequest::Read { .. }
                | JournalRequest::Load { .. }
                | JournalRequest::Owners { .. }
                | JournalRequest::Find { .. },
            ) => true,
            Self::Journal(JournalRequest::Append { .. } | JournalRequest::Trim { .. } | JournalRequest::Ids { .. }) => false,
            Self::Ledger(_) => false,
            Self::Table(request) => matches!(request.op, TableOp::Get | TableOp::List { .. }),
            Self::Blob(request) => matches!(request, BlobRequest::Get { .. } | BlobRequest::List { .. }),
        }
    }

    /// The log has the entry, so its index is taken, though its operations are not.
    fn append_nothing(&self, batch: &mut Batch<'_>) -> Result<(), StoreError> {
        let Self::Journal(JournalRequest::Append { shard, id, expected, entry }) = self else { return Ok(()) };
        let empty = Entry { ops: Vec::new(), ..Entry::clone(entry) };
        match journal::append(batch, *shard, *id, *expected, &empty) {
            Ok(_) => Ok(()),
            Err(AppendError::Store(error) | AppendError::Fold(FoldError::Store(error))) => Err(error),
            Err(error) => Err(StoreError::Failed { doing: "following the log", reason: error.to_string() }),
        }
    }

    /// An append that the log has was taken when it was written: rows that say otherwise are of another history.
    fn expect_appended(&self, answers: &[Message], place: Place) -> Result<(), StoreError> {
        match (self, answers) {
            (Self::Journal(JournalRequest::Append { shard, expected, .. }), [Message::JournalReply(reply)])
                if matches!(reply, JournalReply::Conflict { .. }) =>
            {
                let reason = format!(
                    "position {} of the log is entry {} of {shard}, the rows here say {reply:?}: they are of another history. \
                     Remove this data folder's store and start again, it is built anew",
                    place.position,
                    expected.next(),
                );
                Err(StoreError::Failed { doing: "following the log", reason })
            }
            _ => Ok(()),
        }
    }

    /// The answer when it is not done.
    fn refusal(&self, reason: &str) -> Message {
        let reason = reason.to_owned();
        match self {
            Self::Journal(request) => Message::JournalReply(refuse_journal(request, reason)),
            Self::Ledger(asked) => {
                let result = LedgerResult::Unavailable(reason);
                Message::LedgerReply(LedgerReply { op: asked.op, shard: asked.shard, result })
            }
            Self::Table(asked) => Message::TableReply(TableReply::Failed { request: asked.request, reason }),
            Self::Blob(
                BlobRequest::Put { request, .. }
                | BlobRequest::Get { request, .. }
                | BlobRequest::List { request, .. }
                | BlobRequest::Delete { request, .. },
            ) => Message::BlobReply(BlobReply::Failed { request: *request, reason }),
        }
    }
}

fn perform_journal(batch: &mut Batch<'_>, request: &JournalRequest) -> Result<Vec<JournalReply>, AppendError> {
    let reply = match request {
        JournalRequest::Append { shard, id, expected, entry } => journal::append(batch, *shard, *id, *expected, entry)?,
        JournalRequest::Read { request, shard, from, bytes_max } => journal::read(batch, *request, *shard, *from, *bytes_max)?,
        JournalRequest::Trim { request, shard, below } => journal::trim(batch, *request, *shard, *below)?,
        JournalRequest::Load { request, shard } => return Ok(load::load(batch, *request, *shard)?),
        JournalRequest::Owners { request } => journal::owners(batch, *request)?,
        JournalRequest::Find { request, entity } => journal::find(batch, *request, *entity)?,
        JournalRequest::Ids { request } => ids::block(batch, *request)?,
    };
    Ok(vec![reply])
}

fn refuse_journal(asked: &JournalRequest, reason: String) -> JournalReply {
    match asked {
        JournalRequest::Append { shard, id, .. } => JournalReply::Unavailable { shard: *shard, id: *id, reason },
        JournalRequest::Read { request, .. }
        | JournalRequest::Trim { request, .. }
        | JournalRequest::Load { request, .. }
        | JournalRequest::Owners { request }
        | JournalRequest::Find { request, .. }
        | JournalRequest::Ids { request } => JournalReply::Failed { request: *request, reason },
    }
}
