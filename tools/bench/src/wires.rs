//! What goes over links, into journals and to clients, written and read back: rounds of [`crate::inner`].

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, Position, ShardId, Velocity};
use pangaea_schemas::journal::{Entry, ShardOp, Xid};
use pangaea_schemas::message::{CellFeed, Feed, FeedFrame, Handover, HandoverMessage, Lane, Message, Motion};
use pangaea_schemas::record::Record;
use pangaea_schemas::wire::client::{FromServer, decode_server};
use pangaea_schemas::wire::flat::Records;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::wire::update::{Course, Slot, UpdateHead, UpdateWriter};
use pangaea_schemas::wire::{decode, encode};
use pangaea_schemas::{AgentEpoch, EntityId, InSeq, ShardEpoch, Tick};

use crate::bed::{records, space};
use crate::inner::Round;

/// Entities that move in a frame.
pub(crate) const MOVERS: u64 = 1_024;
/// Cells of the frame.
const CELLS: u16 = 64;
/// Entities that each update tells of.
pub(crate) const SEEN: u64 = 32;
/// Updates in a round.
pub(crate) const UPDATES: u64 = 64;
/// Records in an entry.
pub(crate) const RECORDS: u64 = 256;
/// Hand-overs in a round.
pub(crate) const HANDOVERS: u64 = 64;

fn shard() -> ShardId {
    space(3, 3).root()
}

/// Places and speeds that are not all alike.
fn walker(n: u64, edge: f32) -> (Position, Velocity) {
    let mut rng = fastrand::Rng::with_seed(n + 1);
    let mut upto = |most: f32| rng.f32() * most;
    (Position { x: upto(edge), z: upto(edge) }, Velocity { x: upto(8.0) - 4.0, z: upto(8.0) - 4.0 })
}

fn frame() -> Message {
    let cell = |n: u16| {
        let cell = CellId { space: shard().space, x: n % 8, z: n / 8 };
        let corner = cell.corner();
        let motion = |n: u64| {
            let (place, velocity) = walker(n, 32.0);
            Motion::of(EntityId(n + 1), cell, Position { x: corner.x + place.x, z: corner.z + place.z }, velocity)
        };
        let each = MOVERS / u64::from(CELLS);
        let first = u64::from(n) * each;
        Arc::new(CellFeed { cell, moved: (first..first + each).map(motion).collect(), ..CellFeed::default() })
    };
    let cells = (0..CELLS).map(cell).collect();
    let (epoch, tick, agents) = (ShardEpoch(1), Tick(38_000_000_000), Vec::new());
    Message::Feed(Feed::Frame(FeedFrame { shard: shard(), epoch, tick, seq: 7, follower: None, cells, agents }))
}

pub(crate) fn frame_encode() -> anyhow::Result<Round> {
    let frame = frame();
    Ok(Box::new(move || _ = black_box(encode(black_box(&frame)))))
}

pub(crate) fn frame_decode() -> anyhow::Result<Round> {
    let (frame, bytes) = (frame(), encode(&frame()));
    ensure!(decode(&bytes)? == frame, "a frame does not come back as it was");
    Ok(Box::new(move || _ = black_box(decode(black_box(&bytes)))))
}

/// What one client sees: where it stands, and who moves how.
struct Sight {
    own: Position,
    movers: Vec<(Position, Velocity)>,
}

fn sights() -> Vec<Sight> {
    let sight = |client: u64| {
        let movers = (0..SEEN).map(|n| walker(client * SEEN + n, 96.0)).collect();
        Sight { own: walker(client, 96.0).0, movers }
    };
    (0..UPDATES).map(sight).collect()
}

/// Everybody in sight is told anew.
fn write_update(writer: &mut UpdateWriter, Sight { own, movers }: &Sight) -> Bytes {
    for (slot, (place, velocity)) in (0..).zip(movers) {
        writer.moved(Slot(slot), Course::of(*place, *velocity, *own));
    }
    writer.finish(&UpdateHead {
        tick: Tick(38_000_000_000),
        agent_epoch: AgentEpoch(3),
        in_seq: InSeq(70_000),
        applied: InSeq(70_000),
        position: *own,
        dilation_percent: 100,
    })
}

pub(crate) fn update_write() -> anyhow::Result<Round> {
    let (mut writer, sights) = (UpdateWriter::default(), sights());
    Ok(Box::new(move || {
        for sight in &sights {
            black_box(write_update(&mut writer, black_box(sight)));
        }
    }))
}

pub(crate) fn update_read() -> anyhow::Result<Round> {
    let mut writer = UpdateWriter::default();
    let updates: Vec<Bytes> = sights().iter().map(|sight| write_update(&mut writer, sight)).collect();
    let FromServer::Update(read) = decode_server(&updates[0])? else { anyhow::bail!("an update is read as something else") };
    ensure!(read.moved.len() as u64 == SEEN, "an update lost somebody");
    Ok(Box::new(move || {
        for bytes in &updates {
            _ = black_box(decode_server(black_box(bytes)));
        }
    }))
}

/// What a tick writes down.
fn entry(written: &[Record]) -> Entry {
    let mut all = Records::default();
    written.iter().for_each(|record| all.push(record));
    Entry { epoch: ShardEpoch(1), tick: Tick(38_000_000_000), ops: vec![ShardOp::Put(all)] }
}

pub(crate) fn journal_encode() -> anyhow::Result<Round> {
    let written: Vec<Record> = records(shard(), 1, RECORDS, true).collect();
    Ok(Box::new(move || _ = black_box(entry(black_box(&written)).to_stored())))
}

/// As a data node reads it: each record's head.
pub(crate) fn journal_decode() -> anyhow::Result<Round> {
    let written: Vec<Record> = records(shard(), 1, RECORDS, true).collect();
    let entry = entry(&written);
    let bytes = entry.to_stored();
    ensure!(Entry::from_stored(&bytes)? == entry, "an entry does not come back as it was");
    Ok(Box::new(move || {
        let Ok(Entry { ops, .. }) = Entry::from_stored(black_box(&bytes)) else { return };
        for op in &ops {
            let ShardOp::Put(records) = op else { continue };
            records.iter().for_each(|record| _ = black_box(record.head));
        }
    }))
}

fn handovers() -> anyhow::Result<Vec<Message>> {
    let [from, to, ..] = space(4, 3).first_shards()[..] else { anyhow::bail!("a space of one shard") };
    let commit = |record: Record| {
        let (entity, source_epoch) = (record.entity, ShardEpoch(4));
        let xid = Xid { entity, epoch: AgentEpoch(9), source: from, source_epoch, number: entity.0 };
        let step = Handover::Commit { xid, members: vec![record], inputs: Vec::new() };
        let lane = Lane { from, from_epoch: source_epoch, to, to_epoch: ShardEpoch(2) };
        Message::Handover(HandoverMessage { lane, step })
    };
    Ok(records(from, 1, HANDOVERS, true).map(commit).collect())
}

pub(crate) fn handover_encode() -> anyhow::Result<Round> {
    let handovers = handovers()?;
    Ok(Box::new(move || handovers.iter().for_each(|message| _ = black_box(encode(black_box(message))))))
}

pub(crate) fn handover_decode() -> anyhow::Result<Round> {
    let handovers = handovers()?;
    let frames: Vec<Bytes> = handovers.iter().map(encode).collect();
    let first = decode(frames.first().context("no hand-over")?)?;
    ensure!(Some(&first) == handovers.first(), "a hand-over does not come back as it was");
    Ok(Box::new(move || frames.iter().for_each(|frame| _ = black_box(decode(black_box(frame))))))
}
