//! A shard's state in parts of bounded size: what a starting owner reads. Its own parts come first, then those of its estates.

use std::ops::ControlFlow;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Departure, Fence};
use pangaea_schemas::message::{JournalReply, ShardImage};
use pangaea_schemas::{EntityId, RequestId};

use crate::batch::Batch;
use crate::codec::decode;
use crate::fold;
use crate::journal::Head;
use crate::key;
use crate::lanes;
use crate::store::{RowTable, StoreError};

/// A part is ended when its rows have so many bytes; its last row may go beyond.
pub const IMAGE_PART_BYTES: usize = 1 << 20;
/// What the smaller rows count for, in bytes.
const FENCE_BYTES: usize = 40;

/// All parts of a shard's image, at least one; the last one says so.
pub(crate) fn load(batch: &mut Batch<'_>, request: RequestId, shard: ShardId) -> Result<Vec<JournalReply>, StoreError> {
    let head = Head::load(batch, shard)?;
    let empty = ShardImage { index: head.tail, epoch: head.epoch, tick: head.tick, ..ShardImage::default() };
    let mut parts = Parts { part: empty.clone(), empty, bytes: 0, done: Vec::new() };
    for entity in entities(batch, shard)? {
        let place_without_record = || StoreError::damaged(RowTable::Records, &key::number(entity.0), "it is missing");
        let (record, bytes) = fold::record(batch, entity)?.ok_or_else(place_without_record)?;
        parts.part.records.push(record);
        parts.grown(bytes);
    }
    births_before(batch, shard, &head.estates, &mut parts)?;
    agreed(batch, shard, &mut parts)?;
    for estate in &head.estates {
        parts.begin(*estate);
        agreed(batch, *estate, &mut parts)?;
    }
    Ok(parts.finish(request, shard))
}

/// Who was born in shards that are no more and once stood here: nobody else may be asked about that. An estate says it itself.
fn births_before(batch: &mut Batch<'_>, shard: ShardId, estates: &[ShardId], parts: &mut Parts) -> Result<(), StoreError> {
    let mut above = shard.parent();
    while let Some(name) = above {
        above = name.parent();
        if estates.contains(&name) {
            continue;
        }
        for (entity, fence) in fences(batch, name)?.into_iter().filter(|(_, fence)| fence.born) {
            parts.part.fences.push((entity, Fence { born: fence.born, ..Fence::default() }));
            parts.grown(FENCE_BYTES);
        }
    }
    Ok(())
}

fn fences(batch: &Batch<'_>, name: ShardId) -> Result<Vec<(EntityId, Fence)>, StoreError> {
    let rows = batch.under(RowTable::Fences, &key::shard(name))?.into_iter().map(|(key, value)| {
        let damaged = |why| StoreError::damaged(RowTable::Fences, &key, why);
        let fence = fold::decode_fence(value).map_err(|e| damaged(e.0))?;
        let entity = key::number_at(&key, 1).ok_or_else(|| damaged("too short a key"))?;
        Ok((EntityId(entity), fence))
    });
    rows.collect()
}

/// Everything that was agreed with other shards in this name.
fn agreed(batch: &mut Batch<'_>, shard: ShardId, parts: &mut Parts) -> Result<(), StoreError> {
    let damaged = StoreError::damaged;
    for fence in fences(batch, shard)? {
        parts.part.fences.push(fence);
        parts.grown(FENCE_BYTES);
    }
    for (key, value) in batch.under(RowTable::Departures, &key::shard(shard))? {
        let bytes = value.len();
        let departure = decode::<Departure>(&value).map_err(|e| damaged(RowTable::Departures, &key, e.0))?;
        parts.part.departures.push(departure);
        parts.grown(bytes);
    }
    for table in lanes::TABLES {
        for (key, value) in batch.under(table, &key::shard(shard))? {
            let bytes = key.len() + value.len();
            lanes::read(table, &key, value, &mut parts.part)?;
            parts.grown(bytes);
        }
    }
    Ok(())
}

/// Who is filed in the shard's cells, in order of id.
fn entities(batch: &Batch<'_>, shard: ShardId) -> Result<Vec<EntityId>, StoreError> {
    let (first, last) = shard.key_range();
    let mut entities = Vec::new();
    batch.scan(RowTable::Places, &key::number(first), &mut |key, _| {
        let (Some(cell), Some(entity)) = (key::number_at(key, 0), key::number_at(key, 1)) else {
            return Err(StoreError::damaged(RowTable::Places, key, "too short a key"));
        };
        if cell > last {
            return Ok(ControlFlow::Break(()));
        }
        entities.push(EntityId(entity));
        Ok(ControlFlow::Continue(()))
    })?;
    entities.sort_unstable();
    Ok(entities)
}

/// Parts on their way.
struct Parts {
    /// What every part begins with.
    empty: ShardImage,
    part: ShardImage,
    bytes: usize,
    done: Vec<ShardImage>,
}

impl Parts {
    /// What follows is in the name of a closed shard.
    fn begin(&mut self, estate: ShardId) {
        self.empty.name = Some(estate);
        self.bytes = 0;
        self.done.push(std::mem::replace(&mut self.part, self.empty.clone()));
    }

    fn grown(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes >= IMAGE_PART_BYTES {
            self.bytes = 0;
            self.done.push(std::mem::replace(&mut self.part, self.empty.clone()));
        }
    }

    fn finish(mut self, request: RequestId, shard: ShardId) -> Vec<JournalReply> {
        self.done.push(self.part);
        let count = self.done.len();
        let image = |(n, part)| JournalReply::Image { request, shard, part: Box::new(part), last: n + 1 == count };
        self.done.into_iter().enumerate().map(image).collect()
    }
}
