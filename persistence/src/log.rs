//! A cluster's log: everything that changes the data nodes' rows, in one order that the engine decides. Each data node that
//! follows it from its start has the same rows at the same position, so any of them can answer and none is the only one.
//!
//! Two sorts of messages: an entry of a shard's journal, which its owner wrote under the engine's fence; and a batch of requests
//! that a data node was asked for. A batch is numbered by the node that proposed it, so that proposing it twice does it once.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::Entry;
use pangaea_schemas::message::{AppendId, Message};
use pangaea_schemas::{JournalIndex, NodeId, Nonce, Timestamp};

use crate::batch::Batch;
use crate::codec::{Reader, Writer};
use crate::journal::{self, Head};
use crate::service::Hot;
use crate::store::{RowTable, Snapshots, StoreError};

/// The row with the last position.
const POSITION: &[u8] = b"log";

/// One message of the log.
#[derive(Debug)]
pub struct Logged {
    /// Where it stands.
    pub place: Place,
    /// What it says, in order; with whom the answer is for where this node is to answer.
    pub requests: Vec<(Option<NodeId>, Message)>,
}

/// Where a message of the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Rises from message to message, from 1.
    pub position: u64,
    /// When it was proposed: the time for whatever it does, everywhere.
    pub now: Timestamp,
    /// Who proposed it, for batches.
    pub proposal: Option<Proposal>,
}

/// Names a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// By whom.
    pub node: NodeId,
    /// By which start of it.
    pub nonce: Nonce,
    /// Rises by one per batch of that start, from 1; one is in the log before the next is proposed.
    pub number: u64,
}

/// The last position whose changes are in the rows; zero before the first.
pub(crate) fn position(batch: &mut Batch<'_>) -> Result<u64, StoreError> {
    match batch.get(RowTable::Meta, POSITION)? {
        Some(bytes) => Reader::new(bytes).u64().map_err(|e| StoreError::damaged(RowTable::Meta, POSITION, e.0)),
        None => Ok(0),
    }
}

/// The same of a store that is only looked at.
///
/// # Errors
/// The store cannot be read.
pub fn position_in(store: &impl Snapshots) -> Result<u64, StoreError> {
    let (mut hot, mut found) = (Hot::default(), 0);
    store.read(&mut |rows| {
        found = position(&mut Batch::new(rows, &mut hot))?;
        Ok(())
    })?;
    Ok(found)
}

/// The last entry of every journal and its name: what a log must begin with, so that owners find the heads of journals that are
/// older than it. Of those that have ended, too: what begins anew where they stood goes on behind their tails.
///
/// # Errors
/// The store cannot be read.
pub fn last_entries(store: &impl Snapshots) -> Result<Vec<LastEntry>, StoreError> {
    let (mut hot, mut found) = (Hot::default(), Vec::new());
    store.read(&mut |rows| {
        let mut batch = Batch::new(rows, &mut hot);
        for (shard, head) in journal::heads(&batch)?.into_iter().filter(|(_, head)| head.tail != JournalIndex::default()) {
            let (id, entry) = journal::entry_at(&mut batch, shard, head.tail)?;
            found.push(LastEntry { shard, head, id, entry });
        }
        Ok(())
    })?;
    Ok(found)
}

/// See [`last_entries`].
#[derive(Clone, Debug, PartialEq)]
pub struct LastEntry {
    /// Whose journal.
    pub shard: ShardId,
    /// Its head.
    pub head: Head,
    /// Name of the entry at its tail.
    pub id: AppendId,
    /// That entry.
    pub entry: Entry,
}

/// Whether a message is still to be done: a batch may stand in the log twice.
pub(crate) fn is_new(batch: &mut Batch<'_>, place: Place) -> Result<bool, StoreError> {
    let Some(Proposal { node, nonce, number }) = place.proposal else { return Ok(true) };
    let key = proposer(node);
    let Some(bytes) = batch.get(RowTable::Meta, &key)? else { return Ok(true) };
    let mut reader = Reader::new(bytes);
    let damaged = |e: crate::codec::Malformed| StoreError::damaged(RowTable::Meta, &key, e.0);
    let (last_nonce, last) = (Nonce(reader.u128().map_err(damaged)?), reader.u64().map_err(damaged)?);
    Ok(last_nonce != nonce || number > last)
}

/// The message is done.
pub(crate) fn advance(batch: &mut Batch<'_>, place: Place) {
    batch.put(RowTable::Meta, POSITION, place.position.to_le_bytes().to_vec());
    if let Some(Proposal { node, nonce, number }) = place.proposal {
        let mut row = Writer::default();
        row.u128(nonce.0).u64(number);
        batch.put(RowTable::Meta, &proposer(node), row.0);
    }
}

fn proposer(node: NodeId) -> Vec<u8> {
    [b"proposer/".as_slice(), &node.to_bits().to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::message::{JournalReply, JournalRequest, Table, TableOp, TableReply, TableRequest};
    use pangaea_schemas::{RequestId, Revision, Role};

    use super::*;
    use crate::{Data, MemoryFaults, MemoryStore};

    const NOW: Timestamp = Timestamp(5_000_000);
    const ASKER: NodeId = NodeId::new(Role::Auth, 1);

    fn put(key: &str) -> Message {
        let op = TableOp::PutIf { expected: Revision::ZERO, value: b"x".as_slice().into() };
        Message::TableRequest(TableRequest { request: RequestId(1), table: Table::Settings, key: key.to_owned(), op })
    }

    /// What the log holds at `position`: the `number`-th batch of data node 1.
    fn logged(position: u64, number: u64, answers: bool, message: Message) -> Logged {
        let proposal = Proposal { node: NodeId::new(Role::Data, 1), nonce: Nonce(7), number };
        let place = Place { position, now: NOW, proposal: Some(proposal) };
        Logged { place, requests: vec![(answers.then_some(ASKER), message)] }
    }

    fn answers(data: &mut Data<MemoryStore>) -> Vec<Message> {
        data.commit(NOW);
        std::iter::from_fn(|| data.poll_output()).map(|(_, message)| message).collect()
    }

    #[test]
    fn a_follower_knows_its_position_and_answers_what_is_its_to_answer() {
        let mut data = Data::new(MemoryStore::default());
        data.follow(logged(1, 1, false, put("a")));
        assert_eq!(answers(&mut data), []);
        data.follow(logged(2, 2, true, put("a")));
        let found = answers(&mut data);
        assert!(matches!(found[..], [Message::TableReply(TableReply::Conflict { .. })]), "somebody else put it: {found:?}");
        assert_eq!(data.position().expect("read"), 2);
        assert_eq!(Data::new(data.into_store()).position().expect("read"), 2, "the position is as durable as what it stands for");
    }

    #[test]
    fn a_batch_that_stands_in_the_log_twice_is_done_once() {
        let mut data = Data::new(MemoryStore::default());
        let ids = || Message::JournalRequest(JournalRequest::Ids { request: RequestId(1) });
        let first = |answers: Vec<Message>| match answers[..] {
            [Message::JournalReply(JournalReply::IdBlock { first, count, .. })] => (first.0, count),
            ref other => panic!("no block: {other:?}"),
        };
        data.follow(logged(1, 1, true, ids()));
        let (one, count) = first(answers(&mut data));
        data.follow(logged(2, 1, true, ids()));
        assert_eq!(answers(&mut data), []);
        data.follow(logged(3, 2, true, ids()));
        assert_eq!(first(answers(&mut data)).0, one + count, "no block was lost to the repetition");
    }

    #[test]
    fn a_store_that_fails_ends_a_follower_instead_of_refusing_what_is_decided() {
        let mut store = MemoryStore::default();
        store.set_faults(MemoryFaults { fail_permille: 1_000, ..MemoryFaults::default() });
        let mut data = Data::new(store);
        data.follow(logged(1, 1, true, put("a")));
        assert_eq!(answers(&mut data), []);
        assert!(data.broken().is_some());
        assert_eq!(data.position().expect("read"), 0);
    }
}
