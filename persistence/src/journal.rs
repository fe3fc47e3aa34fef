//! A shard's journal: compare-and-append, idempotent on (incarnation, sequence), in the same transaction as the fold.
//!
//! An append is taken only if the tail is the expected one and the entry is the writer's to make: an OWNER entry stands alone
//! and raises the epoch by exactly one; every other entry carries the epoch in force and comes from the incarnation that
//! OWNER named. `Split` and `Merge` stand alone too and change more than one journal: see [`crate::recut`].

use bytes::Bytes;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{ENTRY_BYTES_MAX, ENTRY_OPS_MAX, Entry, ShardOp};
use pangaea_schemas::message::{AppendId, JournalReply};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{EntityId, JournalIndex, NodeId, Nonce, RequestId, ShardEpoch, Tick};

use crate::batch::Batch;
use crate::codec::{Malformed, Reader, Writer, decode};
use crate::fold::{self, FoldError};
use crate::key;
use crate::recut;
use crate::store::{RowTable, StoreError};

/// Entries that stay readable behind a journal's tail.
pub const ENTRIES_KEPT: u64 = 1_024;
/// Entries that no trim takes, so that a writer who missed the answer still gets it.
const ENTRIES_NEVER_TRIMMED: u64 = 16;

/// A journal's tail and who may write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Of the last entry.
    pub tail: JournalIndex,
    /// First entry that is still there.
    pub first: JournalIndex,
    /// In force; zero before the first owner.
    pub epoch: ShardEpoch,
    /// Of the last entry.
    pub tick: Tick,
    /// The owner in force; none before the first one, and when others stand in the shard's place.
    pub owner: Option<(NodeId, Nonce)>,
    /// Closed shards whose estates this one has.
    pub estates: Vec<ShardId>,
}

impl Head {
    pub(crate) fn load(batch: &mut Batch<'_>, shard: ShardId) -> Result<Self, StoreError> {
        let key = key::shard(shard);
        match batch.get(RowTable::Heads, &key)? {
            Some(bytes) => Self::decode(bytes).map_err(|e| StoreError::damaged(RowTable::Heads, &key, e.0)),
            None => Ok(Self { first: JournalIndex(1), ..Self::default() }),
        }
    }

    pub(crate) fn save(&self, batch: &mut Batch<'_>, shard: ShardId) {
        let mut writer = Writer::default();
        writer.u64(self.tail.0).u64(self.first.0).u64(self.epoch.0).u64(self.tick.0);
        let (node, nonce) = self.owner.map_or((0, Nonce::default()), |(node, nonce)| (node.to_bits(), nonce));
        writer.u32(node).u128(nonce.0);
        for estate in &self.estates {
            writer.u64(estate.to_bits());
        }
        batch.put(RowTable::Heads, &key::shard(shard), writer.0);
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut head = Self {
            tail: JournalIndex(reader.u64()?),
            first: JournalIndex(reader.u64()?),
            epoch: ShardEpoch(reader.u64()?),
            tick: Tick(reader.u64()?),
            owner: None,
            estates: Vec::new(),
        };
        let (node, nonce) = (NodeId::from_bits(reader.u32()?), Nonce(reader.u128()?));
        head.owner = node.map(|node| (node, nonce));
        let mut rest = reader.rest();
        while !rest.is_empty() {
            let mut reader = Reader::new(rest);
            head.estates.push(reader.shard()?);
            rest = reader.rest();
        }
        Ok(head)
    }

    /// Others stand in the shard's place: its children, or its parent.
    fn is_closed(&self) -> bool {
        self.owner.is_none() && self.epoch != ShardEpoch::ZERO
    }

    /// Whether this entry may come next from this writer. What changes more than one journal may not, as far as one of them can
    /// tell: see [`Self::ends_with`].
    pub fn admits(&self, nonce: Nonce, entry: &Entry) -> bool {
        match entry.ops.as_slice() {
            [ShardOp::Split { .. } | ShardOp::Merge { .. }] => false,
            ops if ops.iter().any(|op| matches!(op, ShardOp::Owner { .. })) => {
                entry.epoch == self.epoch.next() && !self.is_closed()
            }
            _ => self.is_written_by(nonce, entry),
        }
    }

    /// Whether this entry may begin or end the journal together with others; what those say is asked in [`crate::recut`].
    pub fn ends_with(&self, nonce: Nonce, entry: &Entry) -> bool {
        match entry.ops.as_slice() {
            [ShardOp::Split { .. }] => self.is_written_by(nonce, entry),
            [ShardOp::Merge { .. }] => self.owner.is_none(),
            _ => false,
        }
    }

    fn is_written_by(&self, nonce: Nonce, entry: &Entry) -> bool {
        let is_owner = entry.epoch == self.epoch && self.owner.is_some_and(|(_, owner)| owner == nonce);
        is_owner || Mutant::JournalFenceRemoved.lives()
    }

    /// The entry is the next one.
    pub fn append(&mut self, entry: &Entry) {
        if let [ShardOp::Owner { node, nonce }] = entry.ops.as_slice() {
            self.owner = Some((*node, *nonce));
        }
        self.tail = self.tail.next();
        self.epoch = entry.epoch;
        self.tick = entry.tick;
    }
}

/// An entry that can never be taken, whoever asks; nothing changes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// Too many operations.
    #[error("the entry has {0} operations, more than {ENTRY_OPS_MAX}")]
    Operations(usize),
    /// Too many bytes.
    #[error("the entry has {0} bytes, more than {ENTRY_BYTES_MAX}")]
    Bytes(usize),
    /// An owner and something else.
    #[error("an operation that changes the owner must be the only one of its entry")]
    OwnerNotAlone,
}

/// Why an append did not happen and did not conflict.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Form(#[from] FormFault),
    #[error(transparent)]
    Fold(#[from] FoldError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Appends and folds, or answers again, or tells of the conflict.
pub(crate) fn append(
    batch: &mut Batch<'_>,
    shard: ShardId,
    id: AppendId,
    expected: JournalIndex,
    entry: &Entry,
) -> Result<JournalReply, AppendError> {
    let mut head = Head::load(batch, shard)?;
    if expected < head.tail {
        // Asked again: the entry is there under this very name.
        let index = expected.next();
        if entry_row(batch, shard, index)?.is_some_and(|(written, _)| written == id) {
            return Ok(JournalReply::Appended { shard, id, index });
        }
    }
    let is_next = head.tail == expected || Mutant::AppendWithoutCompare.lives();
    if !is_next || !(head.admits(id.nonce, entry) || head.ends_with(id.nonce, entry)) {
        return Ok(JournalReply::Conflict { shard, id, tail: head.tail, epoch: head.epoch });
    }
    let encoded = encode_entry(entry)?;
    let fits = match entry.ops.as_slice() {
        [ShardOp::Split { .. } | ShardOp::Merge { .. }] => recut::apply(batch, shard, &mut head, (id, entry))?,
        _ => {
            fold::fold(batch, shard, &mut head.estates, entry)?;
            true
        }
    };
    if !fits {
        return Ok(JournalReply::Conflict { shard, id, tail: head.tail, epoch: head.epoch });
    }
    let epoch = head.epoch.max(entry.epoch);
    let index = write(batch, shard, &mut head, id, (entry, &encoded));
    // A journal that has ended has the epoch of its heirs.
    head.epoch = epoch;
    head.save(batch, shard);
    Ok(JournalReply::Appended { shard, id, index })
}

/// Writes an entry behind the tail.
pub(crate) fn write(
    batch: &mut Batch<'_>,
    shard: ShardId,
    head: &mut Head,
    id: AppendId,
    (entry, encoded): (&Entry, &Bytes),
) -> JournalIndex {
    let index = head.tail.next();
    let mut row = Writer(Vec::with_capacity(encoded.len() + 24));
    row.u128(id.nonce.0).u64(id.seq).0.extend_from_slice(encoded);
    batch.put(RowTable::Entries, &key::pair(shard.to_bits(), index.0), row.0);
    head.append(entry);
    forget_below(batch, shard, head, JournalIndex(index.0.saturating_sub(ENTRIES_KEPT - 1)));
    index
}

/// The entry as it is stored.
///
/// # Errors
/// No journal takes it, whoever asks.
pub fn encode_entry(entry: &Entry) -> Result<Bytes, FormFault> {
    let count = entry.ops.iter().map(ShardOp::count).sum();
    if count > ENTRY_OPS_MAX {
        return Err(FormFault::Operations(count));
    }
    let alone = |op: &ShardOp| matches!(op, ShardOp::Owner { .. } | ShardOp::Split { .. } | ShardOp::Merge { .. });
    if entry.ops.len() > 1 && entry.ops.iter().any(alone) {
        return Err(FormFault::OwnerNotAlone);
    }
    let encoded = entry.to_stored();
    if encoded.len() > ENTRY_BYTES_MAX {
        return Err(FormFault::Bytes(encoded.len()));
    }
    Ok(encoded)
}

fn entry_row(batch: &mut Batch<'_>, shard: ShardId, index: JournalIndex) -> Result<Option<(AppendId, Bytes)>, StoreError> {
    let key = key::pair(shard.to_bits(), index.0);
    let Some(row) = batch.get(RowTable::Entries, &key)? else {
        return Ok(None);
    };
    split_row(row).map(Some).map_err(|e| StoreError::damaged(RowTable::Entries, &key, e.0))
}

/// The entry of an index, which must be there, and its name.
pub(crate) fn entry_at(batch: &mut Batch<'_>, shard: ShardId, index: JournalIndex) -> Result<(AppendId, Entry), StoreError> {
    let damaged = |why| StoreError::damaged(RowTable::Entries, &key::pair(shard.to_bits(), index.0), why);
    let (id, encoded) = entry_row(batch, shard, index)?.ok_or_else(|| damaged("it is missing"))?;
    Ok((id, decode(&encoded).map_err(|e| damaged(e.0))?))
}

fn split_row(row: Bytes) -> Result<(AppendId, Bytes), Malformed> {
    let mut reader = Reader::new(row);
    let id = AppendId { nonce: Nonce(reader.u128()?), seq: reader.u64()? };
    Ok((id, reader.rest()))
}

/// An entry's row, decoded; for the verifier.
pub(crate) fn decode_row(row: Bytes) -> Result<Entry, Malformed> {
    decode(&split_row(row)?.1)
}

fn forget_below(batch: &mut Batch<'_>, shard: ShardId, head: &mut Head, below: JournalIndex) {
    while head.first < below {
        batch.delete(RowTable::Entries, &key::pair(shard.to_bits(), head.first.0));
        head.first = head.first.next();
    }
}

/// Entries from `from` on: as many as fit `bytes_max`, at least one.
pub(crate) fn read(
    batch: &mut Batch<'_>,
    request: RequestId,
    shard: ShardId,
    from: JournalIndex,
    bytes_max: u32,
) -> Result<JournalReply, StoreError> {
    let head = Head::load(batch, shard)?;
    if from < head.first {
        let reason = format!("entry {from} of {shard} is trimmed, the first there is {}", head.first);
        return Ok(JournalReply::Failed { request, reason });
    }
    let (mut entries, mut bytes, mut index) = (Vec::new(), 0, from);
    while index <= head.tail {
        let damaged = |why| StoreError::damaged(RowTable::Entries, &key::pair(shard.to_bits(), index.0), why);
        let (_, encoded) = entry_row(batch, shard, index)?.ok_or_else(|| damaged("it is missing"))?;
        bytes += encoded.len();
        if bytes > bytes_max as usize && !entries.is_empty() {
            break;
        }
        entries.push(decode(&encoded).map_err(|e| damaged(e.0))?);
        index = index.next();
    }
    Ok(JournalReply::Entries { request, from, entries, tail: head.tail })
}

/// Forgets entries below `below`, but never the last few. The rows of a shard are always folded up to its tail, so the tail
/// is the checkpoint.
pub(crate) fn trim(
    batch: &mut Batch<'_>,
    request: RequestId,
    shard: ShardId,
    below: JournalIndex,
) -> Result<JournalReply, StoreError> {
    let mut head = Head::load(batch, shard)?;
    if below > head.tail.next() {
        let reason = format!("{shard} is folded up to {} only, entries above it stay", head.tail);
        return Ok(JournalReply::Failed { request, reason });
    }
    let below = below.min(JournalIndex(head.tail.0.saturating_sub(ENTRIES_NEVER_TRIMMED - 1)));
    if head.first < below {
        forget_below(batch, shard, &mut head, below);
        head.save(batch, shard);
    }
    Ok(JournalReply::Trimmed { request, first: head.first })
}

/// Answers who owns what.
pub(crate) fn owners(batch: &Batch<'_>, request: RequestId) -> Result<JournalReply, StoreError> {
    Ok(JournalReply::OwnerList { request, owners: owner_list(batch)? })
}

/// A journal's shard, its owner in force (node, start, epoch), and its tail.
pub type OwnerInForce = (ShardId, NodeId, Nonce, ShardEpoch, JournalIndex);

/// The owner in force and the tail of every journal, in shard order.
pub(crate) fn owner_list(batch: &Batch<'_>) -> Result<Vec<OwnerInForce>, StoreError> {
    let in_force = |(shard, head): (ShardId, Head)| head.owner.map(|(node, nonce)| (shard, node, nonce, head.epoch, head.tail));
    Ok(heads(batch)?.into_iter().filter_map(in_force).collect())
}

/// Every journal's head, also of those that have ended, in shard order.
pub(crate) fn heads(batch: &Batch<'_>) -> Result<Vec<(ShardId, Head)>, StoreError> {
    let mut heads = Vec::new();
    for (key, value) in batch.under(RowTable::Heads, &[])? {
        let head = Head::decode(value).map_err(|e| StoreError::damaged(RowTable::Heads, &key, e.0))?;
        let shard = key::number_at(&key, 0).and_then(ShardId::from_bits);
        let shard = shard.ok_or_else(|| StoreError::damaged(RowTable::Heads, &key, "there is no such shard"))?;
        heads.push((shard, head));
    }
    heads.sort_by_key(|(shard, _)| *shard);
    Ok(heads)
}

/// In which shard's state an entity is: the shard with an owner around its cell, or the one that it is leaving.
pub(crate) fn find(batch: &mut Batch<'_>, request: RequestId, entity: EntityId) -> Result<JournalReply, StoreError> {
    let mut shard = None;
    if let Some(cell) = fold::cell_of(batch, entity)? {
        for level in 0..=pangaea_schemas::geometry::SHARD_LEVEL_MAX {
            let holding = ShardId::holding(cell, level);
            if Head::load(batch, holding)?.owner.is_some() {
                shard = Some(holding);
                break;
            }
        }
    }
    let shard = match shard {
        Some(shard) => Some(shard),
        None => fold::leaving(batch, entity)?,
    };
    Ok(JournalReply::Found { request, entity, shard })
}
