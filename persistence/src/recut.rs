//! A shard becomes four, or four become one, in one commit: journals end and begin, no record and no lane is touched.
//!
//! | entry | in the journal of | it is taken if |
//! |---|---|---|
//! | `Split` | the parent | its owner writes it, and the children are not open and have the tails it names |
//! | `Merge` | the parent | it is not open, and the writer owns all children, with the tails it names |
//!
//! A split ends the parent; each child begins with OWNER of the same incarnation, one epoch above. A merge, whose epoch is above
//! those of all children, ends them; the parent has the writer for its owner.
//!
//! A journal that has ended is *closed*: it has an epoch, that of its heirs, and no owner; no claim is taken. So the epochs of
//! shards that overlap rise with time, whatever their level.
//!
//! What a closed shard had agreed with others, its *estate*, stays under its name. It belongs to the open shard that holds the
//! closed one's first cell ([`ShardId::inherits`]); the head of that one's journal lists it.
//!
//! What an entry makes of the heads is decided by [`recut`] alone, whoever keeps the journals.

use pangaea_schemas::Nonce;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Entry, ShardOp};
use pangaea_schemas::message::AppendId;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{JournalIndex, ShardEpoch};

use crate::batch::Batch;
use crate::journal::{self, Head};
use crate::store::StoreError;

/// What an entry does to the journals of the parts of its shard.
#[derive(Clone, Debug, PartialEq)]
pub enum Recut {
    /// They begin, each with this entry.
    Begins(Entry),
    /// They end.
    Ends,
}

/// The parts whose journals this entry begins or ends along with that of `shard`. `None`: it is about one journal only.
pub fn parts_of(shard: ShardId, entry: &Entry) -> Option<[ShardId; 4]> {
    matches!(entry.ops.as_slice(), [ShardOp::Split { .. } | ShardOp::Merge { .. }]).then(|| shard.children())?
}

/// The epoch of a journal whose last entry this is: that of its heirs, if the entry has ended it.
pub fn epoch_after(entry: &Entry) -> ShardEpoch {
    match entry.ops.as_slice() {
        [ShardOp::Split { .. }] => entry.epoch.next(),
        _ => entry.epoch,
    }
}

/// What is left to do once all heads are as they are after the entry, but for what is appended to them. `None`: one of them is
/// not as the entry says; they are of no use then.
pub fn recut(shard: ShardId, nonce: Nonce, entry: &Entry, head: &mut Head, parts: &mut [(ShardId, Head)]) -> Option<Recut> {
    let is_as_told = |tails: &[JournalIndex], parts: &[(ShardId, Head)]| {
        tails.len() == parts.len() && tails.iter().zip(parts).all(|(tail, (_, part))| part.tail == *tail)
    };
    match entry.ops.as_slice() {
        [ShardOp::Split { tails }] if is_as_told(tails, parts) => split(shard, entry, head, parts).map(Recut::Begins),
        [ShardOp::Merge { tails }] if is_as_told(tails, parts) => merge(shard, nonce, entry, head, parts).then_some(Recut::Ends),
        _ => None,
    }
}

fn split(shard: ShardId, entry: &Entry, head: &mut Head, parts: &mut [(ShardId, Head)]) -> Option<Entry> {
    let (node, nonce) = head.owner?;
    if parts.iter().any(|(_, part)| part.owner.is_some() || part.epoch > entry.epoch) {
        return None;
    }
    let mut estates = std::mem::take(&mut head.estates);
    estates.push(shard);
    for (name, part) in parts {
        part.estates = estates.iter().copied().filter(|estate| name.inherits(*estate)).collect();
        part.owner = Some((node, nonce));
    }
    let epoch = epoch_after(entry);
    (head.owner, head.epoch) = (None, epoch);
    Some(Entry { epoch, tick: entry.tick, ops: vec![ShardOp::Owner { node, nonce }] })
}

fn merge(shard: ShardId, nonce: Nonce, entry: &Entry, head: &mut Head, parts: &mut [(ShardId, Head)]) -> bool {
    let is_own = |part: &Head| part.owner.is_some_and(|(_, of)| of == nonce) && part.epoch < entry.epoch;
    if head.owner.is_some() || entry.epoch <= head.epoch || !parts.iter().all(|(_, part)| is_own(part)) {
        return false;
    }
    for (name, part) in parts {
        head.owner = part.owner.take();
        head.estates.extend(std::mem::take(&mut part.estates).into_iter().filter(|estate| *estate != shard));
        head.estates.push(*name);
        part.epoch = entry.epoch;
    }
    true
}

/// Changes the rows of the parts' journals, and `head`. `false`: one of them is not as the entry says; nothing is changed.
pub(crate) fn apply(
    batch: &mut Batch<'_>,
    shard: ShardId,
    head: &mut Head,
    (id, entry): (AppendId, &Entry),
) -> Result<bool, StoreError> {
    let Some(names) = parts_of(shard, entry) else { return Ok(false) };
    let mut parts = Vec::with_capacity(names.len());
    for name in names {
        parts.push((name, Head::load(batch, name)?));
    }
    let Some(recut) = recut(shard, id.nonce, entry, head, &mut parts) else { return Ok(false) };
    for (name, mut part) in parts {
        if let Recut::Begins(first) = &recut {
            journal::write(batch, name, &mut part, id, (first, &first.to_stored()));
        }
        part.save(batch, name);
    }
    Ok(true)
}
