//! What is durable: the product's own data node over its store in memory, as one small value.
//!
//! A data node is deterministic, so what it makes of a request follows from what it holds. Each content is kept once, under its
//! fingerprint, and each request is done once per content; a state of a model holds the fingerprint.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use pangaea_persistence::store::RowTable;
use pangaea_persistence::{Data, MemoryStore, Snapshots};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{JournalReply, JournalRequest, LedgerReply, LedgerRequest, Message, ShardImage};
use pangaea_schemas::{NodeId, RequestId, Role, Timestamp};
use rustc_hash::FxHashMap;

use crate::explore::fingerprint;

/// The content of a data node; what it is, its [`Archive`] knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Disk(u64);

/// All contents that were ever met, and what became of all requests.
#[derive(Debug, Default)]
pub struct Archive {
    contents: RefCell<FxHashMap<Disk, MemoryStore>>,
    answers: RefCell<Answers>,
}

/// By content and request: the content afterwards, and what was answered.
type Answers = FxHashMap<(Disk, u64), (Disk, Vec<Message>)>;

/// Who asks; the data node only echoes it.
const ASKER: NodeId = NodeId::new(Role::Scene, 1);

impl Archive {
    /// A content with nothing in it.
    pub fn empty(&self) -> Disk {
        self.file(MemoryStore::default())
    }

    /// Asks the journals: the content afterwards, and the answers, durable by then.
    pub fn journal(&self, disk: Disk, request: &JournalRequest) -> (Disk, Vec<JournalReply>) {
        let (after, answers) = self.ask(disk, Timestamp(0), fingerprint(request), || Message::JournalRequest(request.clone()));
        let replies = answers.into_iter().filter_map(|answer| match answer {
            Message::JournalReply(reply) => Some(reply),
            _ => None,
        });
        (after, replies.collect())
    }

    /// Asks the ledger.
    pub fn ledger(&self, disk: Disk, now: Timestamp, request: &LedgerRequest) -> (Disk, LedgerReply) {
        let name = fingerprint(&(now, request));
        let (after, mut answers) = self.ask(disk, now, name, || Message::LedgerRequest(request.clone()));
        match answers.pop() {
            Some(Message::LedgerReply(reply)) => (after, reply),
            other => panic!("the ledger answers each request once, not with {other:?}"),
        }
    }

    /// The state of a shard: the fold of its journal.
    pub fn image(&self, disk: Disk, shard: ShardId) -> ShardImage {
        let (_, mut replies) = self.journal(disk, &JournalRequest::Load { request: RequestId(0), shard });
        match replies.pop() {
            Some(JournalReply::Image { part, last: true, .. }) => *part,
            other => panic!("a small shard has an image of one part, not {other:?}"),
        }
    }

    fn ask(&self, disk: Disk, now: Timestamp, name: u64, message: impl FnOnce() -> Message) -> (Disk, Vec<Message>) {
        if let Some(known) = self.answers.borrow().get(&(disk, name)) {
            return known.clone();
        }
        let store = self.contents.borrow()[&disk].clone();
        let mut data = Data::new(store);
        data.handle(now, ASKER, message());
        data.commit(now);
        let answers: Vec<Message> = std::iter::from_fn(|| data.poll_output()).map(|(_, answer)| answer).collect();
        let after = self.file(data.into_store());
        self.answers.borrow_mut().insert((disk, name), (after, answers.clone()));
        (after, answers)
    }

    fn file(&self, store: MemoryStore) -> Disk {
        let disk = Disk(content(&store));
        self.contents.borrow_mut().entry(disk).or_insert(store);
        disk
    }
}

fn content(store: &MemoryStore) -> u64 {
    let mut hasher = DefaultHasher::new();
    let read = store.read(&mut |rows| {
        for table in RowTable::ALL {
            rows.scan(table, &[], &mut |key, value| {
                (table as u8, key, value).hash(&mut hasher);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    });
    match read {
        Ok(()) => hasher.finish(),
        Err(error) => panic!("a store in memory can be read: {error}"),
    }
}
