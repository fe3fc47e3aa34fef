//! Every file that a crash could leave behind: after a `kill -9` all that was written so far, after a power failure any part of
//! what was written since the last sync, sectors torn. Whatever it is, the store opens and holds exactly what was acknowledged,
//! with or without the commit that was under way.
//!
//! `PANGAEA_CRASH_IMAGES=20000 cargo test -p pangaea-persistence --test data crash_images` looks at more of them;
//! `PANGAEA_CRASH_SEED` chooses others.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use pangaea_persistence::store::RowTable;
use pangaea_persistence::verify::verify;
use pangaea_persistence::{Data, LmdbOptions, LmdbStore, Snapshots, StoreError};
use pangaea_schemas::EntityId;
use pangaea_schemas::journal::ShardOp;
use pangaea_schemas::message::{Currency, ItemKind, JournalReply, Message, Owner, Transaction};
use tempfile::TempDir;

use crate::disk::{self, Step};
use crate::fixture::*;

/// Images of a run that nobody asked for more.
const IMAGES: usize = 600;
/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;
/// Images per commit; a commit is about thirty writes and syncs, and each is looked at.
const IMAGES_PER_COMMIT: usize = 60;

/// Where files are written quickly, if anywhere: the disk's own speed is not what is tested.
pub(crate) fn quick_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

pub(crate) fn open(folder: &Path) -> Result<LmdbStore, StoreError> {
    LmdbStore::open(folder, LmdbOptions { map_bytes: 64 << 20, map_bytes_max: 64 << 20 })
}

/// A fingerprint of every row of every table.
pub(crate) fn fingerprint(store: &impl Snapshots) -> u64 {
    let mut hasher = DefaultHasher::new();
    let read = store.read(&mut |rows| {
        for table in RowTable::ALL {
            rows.scan(table, &[], &mut |key, sealed| {
                (table as u8, key, sealed).hash(&mut hasher);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    });
    read.expect("reads");
    hasher.finish()
}

/// Two shards full of people who are born, walk, leave and trade.
pub(crate) struct Life {
    west: Writer,
    east: Writer,
    random: fastrand::Rng,
    operations: u128,
}

impl Life {
    pub(crate) fn begin(data: &mut Data<LmdbStore>, seed: u64) -> Self {
        let (west, east) = (Writer::owning(data, WEST, 1), Writer::owning(data, EAST, 2));
        Self { west, east, random: fastrand::Rng::with_seed(seed), operations: 0 }
    }

    /// One batch of requests, committed together; whether all were done.
    pub(crate) fn go_on(&mut self, data: &mut Data<LmdbStore>) -> bool {
        let (west, east) = (self.moves(0), self.moves(1_000));
        let mut messages = vec![self.west.request(west), self.east.request(east)].into_iter().map(Message::JournalRequest);
        let mut asked: Vec<Message> = messages.by_ref().collect();
        for _ in 0..self.random.u32(0..6) {
            self.operations += 1;
            asked.push(Message::LedgerRequest(operation(self.operations, &[], self.deal())));
        }
        let replies = ask_all(data, asked);
        [&mut self.west, &mut self.east].into_iter().zip(&replies).all(|(writer, reply)| match reply {
            Message::JournalReply(JournalReply::Appended { index, .. }) => {
                writer.tail = *index;
                true
            }
            _ => false,
        })
    }

    fn moves(&mut self, first: u64) -> Vec<ShardOp> {
        let shard = if first == 0 { WEST } else { EAST };
        let count = self.random.u64(1..30);
        (0..count)
            .map(|_| {
                let entity = first + self.random.u64(1..300);
                match self.random.u32(0..8) {
                    0 => ShardOp::Remove { entity: EntityId(entity) },
                    _ => ShardOp::put(&record(shard, entity, 1, self.random.usize(0..64))),
                }
            })
            .collect()
    }

    fn deal(&mut self) -> Transaction {
        let random = &mut self.random;
        let mut agent = || EntityId(random.u64(1..20));
        let (from, to, currency) = (agent(), agent(), Currency::GOLD);
        let item = EntityId(10_000 + random.u64(0..60));
        match random.u32(0..4) {
            0 => Transaction::Mint { to, currency, amount: 50 },
            1 => Transaction::Pay { from, to, currency, amount: 7 },
            2 => Transaction::Create { item, kind: ItemKind(1), owner: Owner::Agent(to) },
            _ => Transaction::Move { item, from: Owner::Agent(from), to: Owner::Agent(to) },
        }
    }
}

/// What was written, and the fingerprint after each acknowledgement; the first one is of the state before.
struct History {
    before: Vec<u8>,
    steps: Vec<Step>,
    states: Vec<u64>,
}

fn history(seed: u64, commits: usize) -> History {
    let folder = quick_folder();
    let mut data = Data::new(open(folder.path()).expect("opens"));
    let mut life = Life::begin(&mut data, seed);
    let before = fs::read(folder.path().join("data.mdb")).expect("a file");
    let mut states = vec![fingerprint(data.store_mut())];
    disk::record();
    for _ in 0..commits {
        assert!(life.go_on(&mut data), "the disk is well");
        disk::acknowledge();
        states.push(fingerprint(data.store_mut()));
    }
    History { before, steps: disk::recorded(), states }
}

fn lay(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(bytes);
}

/// The disk at one moment.
struct Moment<'h> {
    /// What no crash takes away.
    settled: Vec<u8>,
    /// Written, but not synced.
    pending: Vec<(usize, &'h [u8])>,
    acknowledged: usize,
}

impl<'h> Moment<'h> {
    /// A step ends: what is durable by it is settled.
    fn pass(&mut self, step: &'h Step) {
        match step {
            Step::Write { offset, bytes, durable: true } => {
                self.pending.pop();
                lay(&mut self.settled, *offset, bytes);
            }
            Step::Write { durable: false, .. } => {}
            Step::Sync => {
                for (offset, bytes) in self.pending.drain(..) {
                    lay(&mut self.settled, offset, bytes);
                }
            }
            Step::Acknowledged => self.acknowledged += 1,
        }
    }

    /// What a process that was killed leaves.
    fn killed(&self) -> Vec<u8> {
        let mut image = self.settled.clone();
        self.pending.iter().for_each(|(offset, bytes)| lay(&mut image, *offset, bytes));
        image
    }

    /// What a power failure leaves: of each pending write everything, nothing, or some of its sectors.
    fn power_lost(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut image = self.settled.clone();
        // Writes may also reach the disk in another order than they were made in.
        let often = random.u32(0..=8);
        for (offset, bytes) in &self.pending {
            if random.u32(0..8) < often {
                lay(&mut image, *offset, bytes);
            } else if random.bool() {
                for (n, sector) in bytes.chunks(SECTOR).enumerate().filter(|_| random.bool()) {
                    lay(&mut image, offset + n * SECTOR, sector);
                }
            }
        }
        image
    }
}

/// What is wrong with a store that finds this file.
fn wrong_with(folder: &Path, image: &[u8], allowed: &[u64]) -> Option<String> {
    let _ = fs::remove_file(folder.join("lock.mdb"));
    fs::write(folder.join("data.mdb"), image).expect("written");
    let store = match open(folder) {
        Ok(store) => store,
        Err(error) => return Some(format!("it does not open: {error}")),
    };
    let verification = verify(&store).expect("reads");
    if !verification.ok() {
        return Some(format!("it is not whole: {:?}", verification.findings));
    }
    (!allowed.contains(&fingerprint(&store))).then(|| "it holds something else than what was acknowledged".to_owned())
}

fn from_environment(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn whatever_a_crash_leaves_holds_all_that_was_acknowledged() {
    let seed = from_environment("PANGAEA_CRASH_SEED", 1) as u64;
    let wanted = from_environment("PANGAEA_CRASH_IMAGES", IMAGES);
    let History { before, steps, states } = history(seed, wanted.div_ceil(IMAGES_PER_COMMIT));
    let per_step = wanted.div_ceil(steps.len());
    let folder = quick_folder();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut moment = Moment { settled: before, pending: Vec::new(), acknowledged: 0 };
    let mut images = 0;
    for (n, step) in steps.iter().enumerate() {
        if let Step::Write { offset, bytes, .. } = step {
            moment.pending.push((*offset, bytes));
        }
        let allowed = &states[moment.acknowledged..states.len().min(moment.acknowledged + 2)];
        let lost = if moment.pending.is_empty() { 0 } else { per_step };
        for image in std::iter::once(moment.killed()).chain((0..lost).map(|_| moment.power_lost(&mut random))) {
            images += 1;
            if let Some(wrong) = wrong_with(folder.path(), &image, allowed) {
                panic!("seed {seed}, step {n} of {}, image {images}: {wrong}", steps.len());
            }
        }
        moment.pass(step);
    }
    assert_eq!(moment.acknowledged + 1, states.len());
    println!("seed {seed}: {} steps, {images} images, none of them wrong", steps.len());
}

#[test]
fn a_disk_that_did_not_sync_would_be_noticed() {
    let History { before, steps, states } = history(1, 10);
    let folder = quick_folder();
    // What is left when the last commit before the end was never synced.
    let last = steps.iter().rposition(|step| matches!(step, Step::Acknowledged)).expect("one");
    let end = steps[..last].iter().rposition(|step| matches!(step, Step::Acknowledged)).expect("one more");
    let mut moment = Moment { settled: before, pending: Vec::new(), acknowledged: 0 };
    for step in &steps[..=end] {
        if let Step::Write { offset, bytes, .. } = step {
            moment.pending.push((*offset, bytes));
        }
        moment.pass(step);
    }
    let wrong = wrong_with(folder.path(), &moment.killed(), &states[10..]);
    assert_eq!(wrong.as_deref(), Some("it holds something else than what was acknowledged"));
}
