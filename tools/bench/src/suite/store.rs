//! S8, S9, S16: what must last. A real data node on LMDB with its default, durable flags; raw LMDB beside it on the same disk.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use pangaea_persistence::{Data, LmdbStore};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Currency, LedgerRequest, LedgerResult, Message, OpId, Transaction};
use pangaea_schemas::{EntityId, NodeId, Role, ShardEpoch, Timestamp};

use crate::Setup;
use crate::bed::{Bed, Journal, data_node, fill, records, space};
use crate::game;
use crate::measure::{Log, Pairs, median, quantile, samples, seconds};
use crate::reference::lmdb::Rows;
use crate::row::{Bound, Row, show};

const SCENE: NodeId = NodeId::new(Role::Scene, 1);
/// Entities of S8 and S9.
const ENTITIES: u64 = 100_000;
/// Commits in which S8 journals them: one for each tick of a second.
const COMMITS: u64 = 20;
/// What a record of these games takes in a row, about, in bytes.
const RECORD_BYTES: usize = 100;
/// Operations in one commit of S16.
const BATCH: u64 = 2_000;
/// Rows that a payment changes: two accounts, two balances, two postings, the operation and its place in the order.
const ROWS_PER_PAYMENT: u64 = 8;
/// Accounts that pay each other in S16.
const ACCOUNTS: u64 = 1_000;
/// Operations per second when latency counts.
const RATE: u64 = 10_000;

fn one_shard() -> (pangaea_schemas::geometry::SpaceSpec, ShardId) {
    let space = space(6, 6);
    let shard = space.root();
    (space, shard)
}

/// S8: everything in a shard of walkers has changed and goes through the journal into its records.
pub(crate) fn snapshot(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    let (space, shard) = one_shard();
    let mut data = data_node(&folder.path().join("node"))?;
    fill(&mut data, shard, records(shard, 1, ENTITIES, true))?;
    let mut raw = Rows::open(&folder.path().join("raw"), RECORD_BYTES)?;
    let mut bed = Bed::new(game::walkers, space, Journal::Real(Box::new(data)), ShardEpoch(1))?;
    bed.start()?;
    bed.follow();
    (0..40).for_each(|_| _ = bed.tick());
    let (mut rates, mut tails, mut floor) = (Pairs::default(), Pairs::default(), Vec::new());
    for _ in 0..setup.repetitions() {
        let reference = ENTITIES as f64 / raw.put(0, ENTITIES)?;
        floor.push(ENTITIES as f64 / as_often(&mut raw)?);
        // All walk, so each of the 20 ticks of a second journals its twentieth of them.
        bed.journal_s = 0.0;
        let journaled: Vec<f64> = (0..20).map(|_| bed.tick()).collect();
        let figure = ENTITIES as f64 / bed.journal_s;
        rates.push(log, reference, figure);
        bed.is_deaf = true;
        (0..3).for_each(|_| _ = bed.tick());
        let alone: Vec<f64> = (0..20).map(|_| bed.tick()).collect();
        bed.is_deaf = false;
        (0..20).for_each(|_| _ = bed.tick());
        tails.push(log, quantile(&alone, 0.99), quantile(&journaled, 0.99));
        log.note(&format!(
            "  medians {} and {} ms, {} journal entries wait",
            show(median(&alone)),
            show(median(&journaled)),
            bed.undurable()
        ));
    }
    let what = "100,000 changed entities through the journal into their records, durable";
    let note = format!("raw LMDB, entries beside records, in as many commits: {} rows/s", show(median(&floor)));
    let rate = rates.row_of_ratio("S8", what, Bound::AtLeast(0.7), "rows/s", "raw LMDB batch");
    Ok(vec![
        Row { note, ..rate },
        tails.row_of_ratio("S8", "tick p99 while they are journaled", Bound::AtMost(1.1), "ms", "the same without a journal"),
    ])
}

/// Seconds of raw LMDB for what a second's journaling of all entities comes to: twenty commits, each of a twentieth of the
/// records and of entries as large.
fn as_often(raw: &mut Rows) -> anyhow::Result<f64> {
    let each = ENTITIES / COMMITS;
    let commit = |n: u64| raw.put_all((n * each..(n + 1) * each).chain(ENTITIES + n * each..ENTITIES + (n + 1) * each));
    (0..COMMITS).map(commit).sum()
}

/// S9: a scene that knows nothing takes over a shard from disk.
pub(crate) fn cold_start(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    let (space, shard) = one_shard();
    let mut data = data_node(&folder.path().join("node"))?;
    fill(&mut data, shard, records(shard, 1, ENTITIES, true))?;
    let mut raw = Rows::open(&folder.path().join("raw"), RECORD_BYTES)?;
    raw.put(0, ENTITIES)?;
    let mut journal = Journal::Real(Box::new(data));
    let mut pairs = Pairs::default();
    for epoch in (1..).take(setup.repetitions()) {
        let mut bed = Bed::new(game::walkers, space.clone(), journal, ShardEpoch(epoch))?;
        let reference = raw.scan()?.0;
        let figure = bed.start()?;
        anyhow::ensure!(bed.entities() == ENTITIES as usize, "only {} entities came back", bed.entities());
        pairs.push(log, reference, figure);
        journal = bed.into_journal();
    }
    let what = "from an order to the first tick of a shard with 100,000 entities on disk";
    Ok(vec![pairs.row("S9", what, Bound::AtMost(1.0), "s", "raw LMDB scan of its rows")])
}

fn pay(n: u64) -> Message {
    let (from, to) = (EntityId(1 + n % ACCOUNTS), EntityId(1 + (n + 7) % ACCOUNTS));
    let transaction = Transaction::Pay { from, to, currency: Currency::GOLD, amount: 1 };
    Message::LedgerRequest(LedgerRequest { op: OpId(u128::from(n) + 1), shard: one_shard().1, fences: Vec::new(), transaction })
}

/// Releases what is durable; every single one must be done.
fn release(data: &mut Data<LmdbStore>) -> anyhow::Result<u64> {
    let mut done = 0;
    while let Some((_, reply)) = data.poll_output() {
        let Message::LedgerReply(reply) = reply else { continue };
        anyhow::ensure!(matches!(reply.result, LedgerResult::Done(_)), "a payment was not done: {:?}", reply.result);
        done += 1;
    }
    Ok(done)
}

/// S16: payments among a thousand accounts.
pub(crate) fn ledger(setup: &Setup, log: &mut Log) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(&setup.folder)?;
    let mut data = data_node(&folder.path().join("node"))?;
    let mut raw = Rows::open(&folder.path().join("raw"), 40)?;
    let mut next = 0;
    for agent in 1..=ACCOUNTS {
        let transaction = Transaction::Mint { to: EntityId(agent), currency: Currency::GOLD, amount: 1 << 40 };
        let (op, shard, fences) = (OpId(u128::MAX - u128::from(agent)), one_shard().1, Vec::new());
        data.handle(Timestamp(1), SCENE, Message::LedgerRequest(LedgerRequest { op, shard, fences, transaction }));
    }
    data.commit(Timestamp(1));
    release(&mut data)?;
    let batches = if setup.quick { 10 } else { 25 };
    let mut rates = Pairs::default();
    for _ in 0..setup.repetitions() {
        let mut reference = 0.0;
        let mut took = 0.0;
        for batch in 0..batches {
            reference += raw.put(batch * BATCH * ROWS_PER_PAYMENT, BATCH * ROWS_PER_PAYMENT)?;
            let (done, s) = seconds(|| {
                (next..next + BATCH).for_each(|n| data.handle(Timestamp(2), SCENE, pay(n)));
                data.commit(Timestamp(2));
                release(&mut data)
            });
            anyhow::ensure!(done? == BATCH, "payments are missing");
            next += BATCH;
            took += s;
        }
        let operations = (batches * BATCH) as f64;
        rates.push(log, operations / reference, operations / took);
    }
    let mut tails = Vec::new();
    for _ in 0..setup.repetitions() {
        let latencies = latencies(&mut data, &mut next, setup.span(Duration::from_secs(3)))?;
        log.note(&format!("  at {RATE}/s: median {} ms, p99 {} ms", median(&latencies), quantile(&latencies, 0.99)));
        tails.push(quantile(&latencies, 0.99));
    }
    let what = "payments, durable, 2,000 in a commit";
    Ok(vec![
        rates.row("S16", what, Bound::AtLeast(50_000.0), "1/s", "raw LMDB, as many rows"),
        samples(&tails, "S16", "payments, p99 from asked to durable at 10,000/s", Bound::AtMost(20.0), "ms"),
    ])
}

/// Milliseconds from when each payment was due to when it was durable: whoever waits for a commit waits in the open.
fn latencies(data: &mut Data<LmdbStore>, next: &mut u64, span: Duration) -> anyhow::Result<Vec<f64>> {
    let (began, first) = (Instant::now(), *next);
    let (mut due, mut latencies) = (VecDeque::new(), Vec::new());
    while began.elapsed() < span {
        let upto = first + (began.elapsed().as_secs_f64() * RATE as f64) as u64;
        while *next < upto {
            due.push_back((*next - first) as f64 / RATE as f64);
            data.handle(Timestamp(3), SCENE, pay(*next));
            *next += 1;
        }
        if due.is_empty() {
            std::thread::sleep(Duration::from_micros(50));
            continue;
        }
        data.commit(Timestamp(3));
        let done = release(data)? as usize;
        let now = began.elapsed().as_secs_f64();
        latencies.extend(due.drain(..done.min(due.len())).map(|at| (now - at) * 1e3));
    }
    Ok(latencies)
}
