//! The way of a shard's history into its journal: batches, a short pipeline of compare-and-appends, and what may happen once they
//! are durable.
//!
//! An append is resent under its own id until it is answered, so losing a message or an answer costs time only. Each append in
//! flight expects the index before its own, so a later one cannot overtake an earlier one. What waits for durability (`T`) comes
//! back in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{ENTRY_BYTES_MAX, ENTRY_OPS_MAX, Entry, ShardOp};
use pangaea_schemas::message::{AppendId, JournalRequest};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::record::{Record, SessionState};
use pangaea_schemas::wire::flat::{RecordHead, Records};
use pangaea_schemas::{JournalIndex, Nonce, ShardEpoch, Tick, Timestamp, TypeId};

/// Most appends of one shard on their way.
pub const APPENDS_IN_FLIGHT_MAX: usize = 4;
/// An append without an answer is sent again after this.
pub const APPEND_RESEND: Duration = Duration::from_millis(500);
/// After "not now" the writer waits this long.
pub const APPEND_RETRY: Duration = Duration::from_millis(100);
/// A batch is closed at this estimate, half of what an entry may have.
const BATCH_BYTES_MAX: usize = ENTRY_BYTES_MAX / 2;
/// What an operation is estimated to need beside its components.
const OP_BYTES: usize = 96;
/// What a component is estimated to need beside its bytes.
const PART_BYTES: usize = 16;
/// What a change of value that is asked for is estimated to need: a trade with all items of both sides.
const OPEN_BYTES: usize = 512;

/// Collects operations and gets them into the journal.
#[derive(Clone, Debug, Hash)]
pub struct JournalWriter<T> {
    shard: ShardId,
    nonce: Nonce,
    seq: u64,
    epoch: ShardEpoch,
    tail: JournalIndex,
    waiting: VecDeque<Batch<T>>,
    in_flight: VecDeque<Flight<T>>,
    resend_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Hash)]
struct Batch<T> {
    ops: Vec<ShardOp>,
    /// For how many operations they count.
    count: usize,
    bytes: usize,
    after: Vec<T>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { ops: Vec::new(), count: 0, bytes: 0, after: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// Adds records to those with which the batch ends.
    fn put(&mut self, put: impl FnOnce(&mut Records)) {
        let mut records = match self.ops.pop() {
            Some(ShardOp::Put(records)) => records,
            other => {
                self.ops.extend(other);
                Records::default()
            }
        };
        put(&mut records);
        self.ops.push(ShardOp::Put(records));
    }
}

#[derive(Clone, Debug, Hash)]
struct Flight<T> {
    seq: u64,
    expected: JournalIndex,
    entry: Arc<Entry>,
    after: Vec<T>,
    since: Timestamp,
}

/// What a conflict means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConflictVerdict<T> {
    /// Not about an append in flight.
    Old,
    /// An earlier append was lost on the way; all are sent again.
    Gap,
    /// The append had been done already.
    Durable(Vec<T>),
    /// Somebody else writes this journal.
    Lost {
        /// The tail found.
        tail: JournalIndex,
        /// The epoch in force.
        epoch: ShardEpoch,
    },
}

impl<T> JournalWriter<T> {
    /// A writer of `shard` for the process start `nonce`, with nothing to write. That start may have had writers of the shard
    /// before: this one's appends are named by numbers above `named`.
    pub fn new(shard: ShardId, nonce: Nonce, named: u64) -> Self {
        Self {
            shard,
            nonce,
            seq: named,
            epoch: ShardEpoch::ZERO,
            tail: JournalIndex::ZERO,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            resend_at: None,
        }
    }

    /// Drops everything not durable and goes on under `epoch` behind `tail`. Sequences go on rising.
    pub fn restart(&mut self, epoch: ShardEpoch, tail: JournalIndex) {
        (self.epoch, self.tail) = (epoch, tail);
        self.waiting.clear();
        self.in_flight.clear();
        self.resend_at = None;
    }

    /// Last durable index.
    pub fn tail(&self) -> JournalIndex {
        self.tail
    }

    /// Whether routine writes should be added: commit points never ask.
    pub fn has_room(&self) -> bool {
        self.waiting.len() <= 1 && self.in_flight.len() < APPENDS_IN_FLIGHT_MAX
    }

    /// Nothing waits for the journal.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Entries not durable yet, sent or not.
    pub fn queued(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    /// Whether an answer to this append would mean something.
    pub fn awaits(&self, id: AppendId) -> bool {
        self.position(id).is_some()
    }

    /// When the oldest unanswered append was first sent.
    pub fn unanswered_since(&self) -> Option<Timestamp> {
        self.in_flight.front().map(|flight| flight.since)
    }

    /// What a tick writes is to stay in one entry: a batch that is half full already is left as it is, and a new one begun.
    pub fn begin_tick(&mut self) {
        let half = |batch: &Batch<T>| batch.count > ENTRY_OPS_MAX / 2 || batch.bytes > BATCH_BYTES_MAX / 2;
        if self.waiting.back().is_some_and(half) {
            self.waiting.push_back(Batch::default());
        }
    }

    /// Adds an operation to the batch being collected.
    pub fn push(&mut self, op: ShardOp) {
        let batch = self.room_for(op.count(), op_bytes(&op));
        match op {
            ShardOp::Put(records) => batch.put(|all| all.append(&records)),
            op => batch.ops.push(op),
        }
    }

    /// Adds that an entity is live here with this state: its components in order of id, all of which last.
    pub fn put<'p>(&mut self, head: RecordHead, session: &SessionState, parts: impl Iterator<Item = (TypeId, &'p [u8])> + Clone) {
        let components: usize = parts.clone().map(|(_, bytes)| bytes.len() + PART_BYTES).sum();
        let batch = self.room_for(1, OP_BYTES + components + session_bytes(session));
        batch.put(|all| all.write(head, session, &[], parts));
    }

    /// The batch to which so much is added.
    fn room_for(&mut self, count: usize, bytes: usize) -> &mut Batch<T> {
        let full = |batch: &Batch<T>| batch.count + count > ENTRY_OPS_MAX || batch.bytes + bytes > BATCH_BYTES_MAX;
        if self.waiting.back().is_none_or(full) {
            self.waiting.push_back(Batch::default());
        }
        let last = self.waiting.len() - 1;
        let batch = &mut self.waiting[last];
        batch.count += count;
        batch.bytes += bytes;
        batch
    }

    /// Makes sure that something is still to be sent, an entry without operations if there is nothing else: its answer tells who
    /// owns the journal from now on.
    pub fn prove(&mut self) {
        if self.waiting.is_empty() {
            self.waiting.push_back(Batch::default());
        }
    }

    /// Remembers what may happen once everything pushed so far is durable. `Some` gives it back at once: nothing is waited for.
    pub fn after(&mut self, then: T) -> Option<T> {
        if Mutant::AcknowledgeBeforeDurable.lives() {
            return Some(then);
        }
        if let Some(batch) = self.waiting.back_mut() {
            batch.after.push(then);
        } else if let Some(flight) = self.in_flight.back_mut() {
            flight.after.push(then);
        } else {
            return Some(then);
        }
        None
    }

    /// Sends waiting batches as far as the pipeline has room, and again what was not answered in time.
    pub fn flush(&mut self, now: Timestamp, tick: Tick, send: &mut impl FnMut(JournalRequest)) {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.resend_at = Some(now + APPEND_RESEND);
            for flight in &self.in_flight {
                send(self.request(flight));
            }
        }
        while self.in_flight.len() < APPENDS_IN_FLIGHT_MAX {
            let Some(batch) = self.waiting.pop_front() else { break };
            self.seq += 1;
            let expected = JournalIndex(self.tail.0 + self.in_flight.len() as u64);
            let entry = Entry { epoch: self.epoch, tick, ops: batch.ops }.into();
            let flight = Flight { seq: self.seq, expected, entry, after: batch.after, since: now };
            send(self.request(&flight));
            self.in_flight.push_back(flight);
            self.resend_at.get_or_insert(now + APPEND_RESEND);
        }
    }

    /// An append is durable: what may happen now, in order. An answer to nothing in flight gives nothing.
    pub fn appended(&mut self, id: AppendId, index: JournalIndex) -> Vec<T> {
        match self.position(id) {
            Some(at) if self.in_flight[at].expected.next() == index => self.durable_through(at),
            Some(_) | None => Vec::new(),
        }
    }

    /// The journal has another tail.
    pub fn conflict(&mut self, id: AppendId, tail: JournalIndex, epoch: ShardEpoch, now: Timestamp) -> ConflictVerdict<T> {
        let Some(at) = self.position(id) else { return ConflictVerdict::Old };
        let claims = self.in_flight[at].entry.ops.iter().any(|op| matches!(op, ShardOp::Owner { .. }));
        if claims || epoch > self.epoch {
            return ConflictVerdict::Lost { tail, epoch };
        }
        if tail <= self.in_flight[at].expected {
            self.resend_at = Some(now + APPEND_RETRY);
            return ConflictVerdict::Gap;
        }
        // Nobody else writes under this epoch, and each append in flight has an index of its own: it is in.
        ConflictVerdict::Durable(self.durable_through(at))
    }

    /// The journal cannot do it now.
    pub fn unavailable(&mut self, id: AppendId, now: Timestamp) {
        if self.position(id).is_some() {
            self.resend_at = Some(now + APPEND_RETRY);
        }
    }

    fn position(&self, id: AppendId) -> Option<usize> {
        let own = id.nonce == self.nonce || Mutant::AnswerOfAnotherStart.lives();
        own.then(|| self.in_flight.iter().position(|flight| flight.seq == id.seq))?
    }

    /// A durable append proves all earlier ones: each expected its forerunner's index.
    fn durable_through(&mut self, at: usize) -> Vec<T> {
        let mut then = Vec::new();
        for flight in self.in_flight.drain(..=at) {
            self.tail = flight.expected.next();
            then.extend(flight.after);
        }
        if self.in_flight.is_empty() {
            self.resend_at = None;
        }
        then
    }

    fn request(&self, flight: &Flight<T>) -> JournalRequest {
        JournalRequest::Append {
            shard: self.shard,
            id: AppendId { nonce: self.nonce, seq: flight.seq },
            expected: flight.expected,
            entry: Arc::clone(&flight.entry),
        }
    }
}

/// An estimate of a record's encoded size in bytes.
pub fn record_bytes(record: &Record) -> usize {
    let components: usize = record.components.iter().map(|component| component.bytes.len() + PART_BYTES).sum();
    OP_BYTES + components + session_bytes(&record.session)
}

fn session_bytes(session: &SessionState) -> usize {
    let outbox: usize = session.outbox.iter().map(|event| event.bytes.len() + 24).sum();
    outbox + session.open.len() * OPEN_BYTES
}

fn op_bytes(op: &ShardOp) -> usize {
    match op {
        ShardOp::Put(records) => OP_BYTES + records.bytes(),
        ShardOp::Out { members, .. } | ShardOp::In { members, .. } => OP_BYTES + members.iter().map(record_bytes).sum::<usize>(),
        ShardOp::Refused { members, .. } | ShardOp::Forgotten { members } => OP_BYTES + 8 * members.len(),
        ShardOp::Sent { effects, .. } => OP_BYTES + effects.iter().map(|effect| OP_BYTES + effect.bytes.len()).sum::<usize>(),
        ShardOp::Owner { .. }
        | ShardOp::Remove { .. }
        | ShardOp::Born { .. }
        | ShardOp::Settled { .. }
        | ShardOp::Stable { .. }
        | ShardOp::Applied { .. }
        | ShardOp::Delivered { .. }
        | ShardOp::Split { .. }
        | ShardOp::Merge { .. } => OP_BYTES,
        ShardOp::InName { op, .. } => OP_BYTES + op_bytes(op),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::EntityId;
    use pangaea_schemas::geometry::SpaceId;

    const NONCE: Nonce = Nonce(7);

    struct Desk {
        writer: JournalWriter<&'static str>,
        sent: Vec<(u64, u64)>,
    }

    fn desk() -> Desk {
        let shard = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
        let mut writer = JournalWriter::new(shard, NONCE, 0);
        writer.restart(ShardEpoch(2), JournalIndex(10));
        Desk { writer, sent: Vec::new() }
    }

    impl Desk {
        fn write(&mut self, then: &'static str, at_ms: u64) {
            self.writer.push(ShardOp::Remove { entity: EntityId(1) });
            assert_eq!(self.writer.after(then), None);
            self.flush(at_ms);
        }

        fn flush(&mut self, at_ms: u64) {
            let sent = &mut self.sent;
            self.writer.flush(Timestamp(at_ms * 1_000), Tick(1), &mut |request| {
                let JournalRequest::Append { id, expected, .. } = request else { panic!("only appends") };
                sent.push((id.seq, expected.0));
            });
        }

        fn ok(&mut self, seq: u64, index: u64) -> Vec<&'static str> {
            self.writer.appended(AppendId { nonce: NONCE, seq }, JournalIndex(index))
        }

        fn conflict(&mut self, seq: u64, tail: u64, epoch: u64) -> ConflictVerdict<&'static str> {
            let id = AppendId { nonce: NONCE, seq };
            self.writer.conflict(id, JournalIndex(tail), ShardEpoch(epoch), Timestamp(0))
        }
    }

    #[test]
    fn appends_are_pipelined_and_come_back_in_order() {
        let mut d = desk();
        for then in ["a", "b", "c"] {
            d.write(then, 0);
        }
        assert_eq!(d.sent, [(1, 10), (2, 11), (3, 12)]);
        assert_eq!(d.ok(2, 12), ["a", "b"], "the second proves the first");
        assert_eq!(d.ok(2, 12), [""; 0], "a doubled answer does nothing");
        assert_eq!(d.ok(3, 99), [""; 0], "an answer for another index does nothing");
        assert_eq!(d.ok(3, 13), ["c"]);
        assert!(d.writer.is_idle());
    }

    #[test]
    fn the_pipeline_is_bounded_and_batches_behind_it() {
        let mut d = desk();
        for then in ["a", "b", "c", "d", "e", "f"] {
            d.write(then, 0);
        }
        assert_eq!(d.sent.len(), APPENDS_IN_FLIGHT_MAX);
        assert!(!d.writer.has_room());
        d.ok(1, 11);
        d.flush(1);
        assert_eq!(d.sent.last(), Some(&(5, 14)), "the two that waited travel together");
        d.ok(4, 14);
        assert_eq!(d.ok(5, 15), ["e", "f"]);
    }

    #[test]
    fn unanswered_appends_are_sent_again_under_their_own_id() {
        let mut d = desk();
        d.write("a", 0);
        d.flush(499);
        assert_eq!(d.sent.len(), 1);
        d.flush(500);
        assert_eq!(d.sent, [(1, 10), (1, 10)]);
        assert_eq!(d.ok(1, 11), ["a"]);
        d.flush(2_000);
        assert_eq!(d.sent.len(), 2);
    }

    #[test]
    fn conflicts_are_told_apart() {
        let mut d = desk();
        for then in ["a", "b", "c"] {
            d.write(then, 0);
        }
        assert_eq!(d.conflict(9, 12, 2), ConflictVerdict::Old);
        assert_eq!(d.conflict(2, 10, 2), ConflictVerdict::Gap, "the first is not in yet");
        assert_eq!(d.conflict(1, 12, 2), ConflictVerdict::Durable(vec!["a"]), "a resent append that was in long ago");
        let lost = ConflictVerdict::Lost { tail: JournalIndex(13), epoch: ShardEpoch(3) };
        assert_eq!(d.conflict(3, 13, 3), lost);
    }

    #[test]
    fn nothing_to_wait_for_comes_back_at_once() {
        assert_eq!(desk().writer.after("now"), Some("now"));
    }
}
