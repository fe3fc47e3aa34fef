//! What stands in the log under a shard's subject: the entries of its journal, and its end when its parent takes its place.
//!
//! The last of them tells the head of the journal, and its sequence in the stream is the fence of whatever comes next.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pangaea_persistence::{JournalHead, recut};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::Entry;
use pangaea_schemas::message::AppendId;
use pangaea_schemas::wire::stored::Stored;
use pangaea_schemas::{JournalIndex, NodeId, Nonce, ShardEpoch};

use super::log::{LogError, after_form};

/// First bytes of an entry of a journal: kind and version.
const ENTRY_FORM: [u8; 4] = [b'L', b'E', b'N', 1];
/// First bytes of a journal's end.
const CLOSED_FORM: [u8; 4] = [b'L', b'C', b'L', 1];

/// A message under a shard's subject.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum JournalMessage {
    /// The next entry.
    Entry(EntryMessage, Entry),
    /// There is no next one: a merge has ended the journal.
    Closed(Closed),
}

/// What stands beside an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryMessage {
    pub(super) shard: ShardId,
    pub(super) id: AppendId,
    /// The owner in force after it.
    pub(super) owner: Option<(NodeId, Nonce)>,
    pub(super) index: JournalIndex,
    /// Sequence of the shard's message before; zero for the first.
    pub(super) previous: u64,
}

/// The end of a journal by an entry in that of its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) shard: ShardId,
    /// Name of that entry.
    pub(super) id: AppendId,
    /// Of its own last entry.
    pub(super) index: JournalIndex,
    /// Of its heir.
    pub(super) epoch: ShardEpoch,
    /// Sequence of the shard's message before.
    pub(super) previous: u64,
}

impl JournalMessage {
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, LogError> {
        if bytes.starts_with(&CLOSED_FORM) {
            return Closed::decode(bytes).map(Self::Closed);
        }
        EntryMessage::decode(bytes).map(|(message, entry)| Self::Entry(message, entry))
    }

    /// The head of the journal while this is its last message.
    pub(super) fn head(&self) -> JournalHead {
        match self {
            Self::Entry(found, entry) => JournalHead {
                tail: found.index,
                epoch: recut::epoch_after(entry),
                tick: entry.tick,
                owner: found.owner,
                ..JournalHead::default()
            },
            Self::Closed(closed) => JournalHead { tail: closed.index, epoch: closed.epoch, ..JournalHead::default() },
        }
    }
}

impl EntryMessage {
    pub(super) fn encode(&self, entry: &Bytes) -> Bytes {
        let mut bytes = BytesMut::with_capacity(entry.len() + 80);
        put_names(&mut bytes, ENTRY_FORM, self.shard, self.id);
        let (node, nonce) = self.owner.map_or((0, 0), |(node, nonce)| (node.to_bits(), nonce.0));
        bytes.put_u32_le(node);
        bytes.put_u128_le(nonce);
        bytes.put_u64_le(self.index.0);
        bytes.put_u64_le(self.previous);
        bytes.put_slice(entry);
        bytes.freeze()
    }

    fn decode(bytes: &Bytes) -> Result<(Self, Entry), LogError> {
        let mut rest = after_form(bytes, ENTRY_FORM)?;
        let mut read = || -> Result<Self, bytes::TryGetError> {
            let (shard, id) = get_names(&mut rest)?;
            let (node, nonce) = (rest.try_get_u32_le()?, Nonce(rest.try_get_u128_le()?));
            let owner = NodeId::from_bits(node).map(|node| (node, nonce));
            let index = JournalIndex(rest.try_get_u64_le()?);
            Ok(Self { shard, id, owner, index, previous: rest.try_get_u64_le()? })
        };
        let message = read().map_err(|_| LogError::Form)?;
        Ok((message, Entry::from_stored(&rest)?))
    }
}

impl Closed {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        put_names(&mut bytes, CLOSED_FORM, self.shard, self.id);
        bytes.put_u64_le(self.index.0);
        bytes.put_u64_le(self.epoch.0);
        bytes.put_u64_le(self.previous);
        bytes.freeze()
    }

    fn decode(bytes: &Bytes) -> Result<Self, LogError> {
        let mut rest = after_form(bytes, CLOSED_FORM)?;
        let mut read = || -> Result<Self, bytes::TryGetError> {
            let (shard, id) = get_names(&mut rest)?;
            let (index, epoch) = (JournalIndex(rest.try_get_u64_le()?), ShardEpoch(rest.try_get_u64_le()?));
            Ok(Self { shard, id, index, epoch, previous: rest.try_get_u64_le()? })
        };
        read().map_err(|_| LogError::Form)
    }
}

fn put_names(bytes: &mut BytesMut, form: [u8; 4], shard: ShardId, id: AppendId) {
    bytes.put_slice(&form);
    bytes.put_u64_le(shard.to_bits());
    bytes.put_u128_le(id.nonce.0);
    bytes.put_u64_le(id.seq);
}

fn get_names(rest: &mut Bytes) -> Result<(ShardId, AppendId), bytes::TryGetError> {
    let shard = ShardId::from_bits(rest.try_get_u64_le()?);
    let id = AppendId { nonce: Nonce(rest.try_get_u128_le()?), seq: rest.try_get_u64_le()? };
    Ok((shard.ok_or(bytes::TryGetError { requested: 0, available: 0 })?, id))
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::geometry::SpaceId;
    use pangaea_schemas::journal::ShardOp;
    use pangaea_schemas::{EntityId, Role, Tick};

    use super::*;

    const SHARD: ShardId = ShardId { space: SpaceId(1), level: 3, x: 2, z: 7 };
    const ID: AppendId = AppendId { nonce: Nonce(8), seq: 4 };

    fn entry(op: ShardOp) -> Entry {
        Entry { epoch: ShardEpoch(3), tick: Tick(9), ops: vec![op] }
    }

    #[test]
    fn messages_come_back_and_junk_does_not() {
        let entry = entry(ShardOp::Born { entity: EntityId(5) });
        let owner = Some((NodeId::new(Role::Scene, 2), Nonce(8)));
        let message = EntryMessage { shard: SHARD, id: ID, owner, index: JournalIndex(12), previous: 77 };
        let bytes = message.encode(&entry.to_stored());
        assert_eq!(JournalMessage::decode(&bytes).expect("decodes"), JournalMessage::Entry(message, entry));
        let closed = Closed { shard: SHARD, id: ID, index: JournalIndex(12), epoch: ShardEpoch(5), previous: 77 };
        let bytes = closed.encode();
        assert_eq!(JournalMessage::decode(&bytes).expect("decodes"), JournalMessage::Closed(closed));
        for cut in 0..bytes.len() {
            assert!(JournalMessage::decode(&bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
        assert!(JournalMessage::decode(&Bytes::from_static(b"LEN\x02something")).is_err());
    }

    #[test]
    fn a_journal_that_has_ended_has_the_epoch_of_its_heirs_and_no_owner() {
        let message = EntryMessage { shard: SHARD, id: ID, owner: None, index: JournalIndex(12), previous: 77 };
        let split = entry(ShardOp::Split { tails: vec![JournalIndex(0); 4] });
        let head = JournalMessage::Entry(message, split).head();
        assert_eq!((head.tail, head.epoch, head.owner), (JournalIndex(12), ShardEpoch(4), None));
        let closed = Closed { shard: SHARD, id: ID, index: JournalIndex(12), epoch: ShardEpoch(5), previous: 77 };
        let head = JournalMessage::Closed(closed).head();
        assert_eq!((head.tail, head.epoch, head.owner), (JournalIndex(12), ShardEpoch(5), None));
    }
}
