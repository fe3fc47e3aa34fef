//! The embedded journal and blobs keep the contracts, in memory and on disk.

use pangaea_persistence::contract::{BlobsBackend, JournalBackend, blobs_suite, journal_suite};
use pangaea_persistence::{Data, LmdbOptions, LmdbStore, MemoryStore, Store};
use pangaea_schemas::message::{BlobReply, BlobRequest, JournalReply, JournalRequest, Message};
use pangaea_schemas::{NodeId, Role, Timestamp};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp(1_000_000);
const SCENE: NodeId = NodeId::new(Role::Scene, 1);

/// A data node that can die and be started again on what is left.
struct Embedded<S, D> {
    /// `None` only while it is dead.
    data: Option<Data<S>>,
    disk: D,
    restart: fn(S, &D) -> S,
}

fn in_memory() -> Embedded<MemoryStore, ()> {
    let restart = |mut store: MemoryStore, (): &()| {
        store.crash();
        store
    };
    Embedded { data: Some(Data::new(MemoryStore::default())), disk: (), restart }
}

fn on_disk() -> Embedded<LmdbStore, TempDir> {
    let open = |folder: &TempDir| LmdbStore::open(folder.path(), LmdbOptions::default()).expect("opens");
    let folder = tempfile::tempdir().expect("a folder");
    let restart = |store, folder: &TempDir| {
        drop(store);
        LmdbStore::open(folder.path(), LmdbOptions::default()).expect("opens again")
    };
    Embedded { data: Some(Data::new(open(&folder))), disk: folder, restart }
}

impl<S: Store, D> Embedded<S, D> {
    fn replies<R>(&mut self, requests: impl Iterator<Item = Message>, reply: fn(Message) -> Option<R>) -> Vec<R> {
        let data = self.data.as_mut().expect("alive");
        requests.for_each(|request| data.handle(NOW, SCENE, request));
        data.commit(NOW);
        std::iter::from_fn(|| data.poll_output()).filter_map(|(_, message)| reply(message)).collect()
    }

    fn die_and_return(&mut self) {
        let store = self.data.take().expect("alive").into_store();
        self.data = Some(Data::new((self.restart)(store, &self.disk)));
    }
}

impl<S: Store, D> JournalBackend for Embedded<S, D> {
    fn ask(&mut self, requests: Vec<JournalRequest>) -> Vec<JournalReply> {
        self.replies(requests.into_iter().map(Message::JournalRequest), |message| match message {
            Message::JournalReply(reply) => Some(reply),
            _ => None,
        })
    }

    fn crash(&mut self) {
        self.die_and_return();
    }
}

impl<S: Store, D> BlobsBackend for Embedded<S, D> {
    fn ask(&mut self, requests: Vec<BlobRequest>) -> Vec<BlobReply> {
        self.replies(requests.into_iter().map(Message::BlobRequest), |message| match message {
            Message::BlobReply(reply) => Some(reply),
            _ => None,
        })
    }

    fn crash(&mut self) {
        self.die_and_return();
    }
}

#[test]
fn the_journal_in_memory_keeps_the_contract() {
    journal_suite(in_memory);
}

#[test]
fn the_journal_on_disk_keeps_the_contract() {
    journal_suite(on_disk);
}

#[test]
fn blobs_in_memory_keep_the_contract() {
    blobs_suite(in_memory);
}

#[test]
fn blobs_on_disk_keep_the_contract() {
    blobs_suite(on_disk);
}
