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

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Entry, ShardOp};
use pangaea_schemas::message::AppendId;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{JournalIndex, NodeId, Nonce};

use crate::batch::Batch;
use crate::journal::{self, Head};
use crate::store::StoreError;

/// Ends `shard` and begins its children. `false`: one of them is not as the entry says; nothing is changed.
pub(crate) fn split(
    batch: &mut Batch<'_>,
    shard: ShardId,
    head: &mut Head,
    (id, entry, tails): (AppendId, &Entry, &[JournalIndex]),
) -> Result<bool, StoreError> {
    let (Some(children), Some((node, nonce))) = (shard.children(), head.owner) else { return Ok(false) };
    let mut heads = Vec::with_capacity(children.len());
    for (child, tail) in children.iter().zip(tails) {
        let head = Head::load(batch, *child)?;
        if head.owner.is_none() && head.tail == *tail && head.epoch <= entry.epoch {
            heads.push((*child, head));
        }
    }
    if heads.len() != children.len() || tails.len() != children.len() {
        return Ok(false);
    }
    let epoch = entry.epoch.next();
    let mut estates = std::mem::take(&mut head.estates);
    estates.push(shard);
    for (child, mut opened) in heads {
        opened.estates = estates.iter().copied().filter(|name| child.inherits(*name)).collect();
        opened.owner = Some((node, nonce));
        let first = Entry { epoch, tick: entry.tick, ops: vec![ShardOp::Owner { node, nonce }] };
        journal::write(batch, child, &mut opened, id, (&first, &first.to_stored()));
        opened.save(batch, child);
    }
    (head.owner, head.epoch) = (None, epoch);
    Ok(true)
}

/// Ends the children of `shard` and gives it to their owner. `false`: one of them is not as the entry says; nothing is changed.
pub(crate) fn merge(
    batch: &mut Batch<'_>,
    shard: ShardId,
    head: &mut Head,
    (nonce, entry, tails): (Nonce, &Entry, &[JournalIndex]),
) -> Result<bool, StoreError> {
    let Some(children) = shard.children().filter(|children| children.len() == tails.len() && head.owner.is_none()) else {
        return Ok(false);
    };
    let mut heads = Vec::with_capacity(children.len());
    let mut owner: Option<(NodeId, Nonce)> = None;
    for (child, tail) in children.iter().zip(tails) {
        let head = Head::load(batch, *child)?;
        let is_own = head.owner.is_some_and(|(_, of)| of == nonce);
        if is_own && head.tail == *tail && head.epoch < entry.epoch {
            owner = head.owner;
            heads.push((*child, head));
        }
    }
    if heads.len() != children.len() || entry.epoch <= head.epoch {
        return Ok(false);
    }
    for (child, mut closed) in heads {
        head.estates.extend(std::mem::take(&mut closed.estates).into_iter().filter(|name| *name != shard));
        head.estates.push(child);
        (closed.owner, closed.epoch) = (None, entry.epoch);
        closed.save(batch, child);
    }
    head.owner = owner;
    Ok(true)
}
