//! Records at rest: one behind the other in one run of bytes, as the journal carries them, as each lies in its row, and as the
//! scene writes them down. So a record is encoded once, and copied from then on. As a FlatBuffer it took ten times the work to
//! write and to read: see ARCHITECTURE, decisions.
//!
//! ```text
//! entity u64 · epoch u64 · cell u64 · x f32 · z f32 · presence u8 · 0 u8 · components u16 · fleeting u16 · session u32
//! components × (id u32 · length u32) · fleeting × id u32 · bytes of all components · session as a FlatBuffer
//! ```
//!
//! Numbers are little-endian. A session of no bytes is the default one.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, TryGetError};

use super::codec::{At, Pack, Unpack, pack_bytes};
use super::stored::{Stored, behind_form};
use super::{NODE_LIMITS, WireError, build, decode_part};
use crate::generated::record as fb;
use crate::geometry::{CellId, Position};
use crate::journal::ENTRY_OPS_MAX;
use crate::record::{COMPONENT_BYTES_MAX, ComponentBytes, OUTBOX_MAX, Presence, RECORD_COMPONENTS_MAX, Record, SessionState};
use crate::{AgentEpoch, EntityId, TypeId};

/// Bytes before a record's components.
const HEAD_BYTES: usize = 42;
/// Bytes of a component's id and length.
const PART_BYTES: usize = 8;
/// Bytes of an id.
const ID_BYTES: usize = 4;
/// A session of so many bytes cannot have more than [`OUTBOX_MAX`] outputs: each takes an offset and a table.
const SESSION_BYTES_SURE: usize = OUTBOX_MAX * 8;

/// Who and where, of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordHead {
    /// See [`Record::entity`].
    pub entity: EntityId,
    /// See [`Record::epoch`].
    pub epoch: AgentEpoch,
    /// See [`Record::presence`].
    pub presence: Presence,
    /// See [`Record::cell`].
    pub cell: CellId,
    /// See [`Record::position`].
    pub position: Position,
}

/// Records in one run of bytes; see the module.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Records {
    bytes: Vec<u8>,
    count: usize,
}

impl Records {
    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = RecordView<'_>> {
        // All were written here, or checked when they came.
        let mut left = self.bytes.as_slice();
        std::iter::from_fn(move || RecordView::take(&mut left).ok())
    }

    /// One more.
    pub fn push(&mut self, record: &Record) {
        let Record { entity, epoch, presence, cell, position, session, components, fleeting } = record;
        let head = RecordHead { entity: *entity, epoch: *epoch, presence: *presence, cell: *cell, position: *position };
        self.write(head, session, fleeting, components.iter().map(|component| (component.id, &component.bytes[..])));
    }

    /// One more, from its pieces. `parts`: its components in order of id; a build registers fewer than 65,536.
    pub fn write<'p>(
        &mut self,
        head: RecordHead,
        session: &SessionState,
        fleeting: &[TypeId],
        parts: impl Iterator<Item = (TypeId, &'p [u8])> + Clone,
    ) {
        let session = (*session != SessionState::default()).then(|| build(&[], |builder| session.pack(builder)));
        let session = session.unwrap_or_default();
        let RecordHead { entity, epoch, presence, cell, position } = head;
        let out = &mut self.bytes;
        out.put_u64_le(entity.0);
        out.put_u64_le(epoch.0);
        out.put_u64_le(cell.to_bits());
        out.put_f32_le(position.x);
        out.put_f32_le(position.z);
        out.put_u8(presence as u8);
        out.put_u8(0);
        out.put_u16_le(parts.clone().count() as u16);
        out.put_u16_le(fleeting.len() as u16);
        out.put_u32_le(session.len() as u32);
        for (id, bytes) in parts.clone() {
            out.put_u32_le(id.0);
            out.put_u32_le(bytes.len() as u32);
        }
        fleeting.iter().for_each(|id| out.put_u32_le(id.0));
        parts.for_each(|(_, bytes)| out.put_slice(bytes));
        out.put_slice(&session);
        self.count += 1;
    }

    /// All of `others` behind these.
    pub fn append(&mut self, others: &Self) {
        self.bytes.extend_from_slice(&others.bytes);
        self.count += others.count;
    }
}

impl From<&Record> for Records {
    fn from(record: &Record) -> Self {
        let mut records = Self::default();
        records.push(record);
        records
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|record| record.to_record())).finish()
    }
}

impl<'b> Pack<'b> for Records {
    type Wire = flatbuffers::WIPOffset<fb::Put<'b>>;
    fn pack(&self, b: &mut flatbuffers::FlatBufferBuilder<'b>) -> Self::Wire {
        let records = Some(pack_bytes(&self.bytes, b));
        fb::Put::create(b, &fb::PutArgs { records })
    }
}

impl<'a> Unpack<fb::Put<'a>> for Records {
    fn unpack(wire: fb::Put<'a>, at: At<'_>) -> Result<Self, WireError> {
        let bytes = wire.records().map_or(&[][..], |records| records.bytes());
        let (mut left, mut count) = (bytes, 0);
        while !left.is_empty() {
            let record = RecordView::take(&mut left)?;
            record.check(at)?;
            count += 1;
            at.field("records").check_length(count, ENTRY_OPS_MAX)?;
        }
        Ok(Self { bytes: bytes.to_vec(), count })
    }
}

/// One of [`Records`], or a stored one, where it lies.
#[derive(Clone, Copy)]
pub struct RecordView<'a> {
    /// Who and where.
    pub head: RecordHead,
    parts: &'a [u8],
    fleeting: &'a [u8],
    bytes: &'a [u8],
    session: &'a [u8],
    whole: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// The view of a record in its stored form, whose lengths add up.
    ///
    /// # Errors
    /// It is of another form, or ends too early or too late.
    pub fn of_stored(stored: &'a [u8]) -> Result<Self, WireError> {
        let mut left = behind_form(stored, Record::FORM)?;
        let record = Self::take(&mut left)?;
        if left.is_empty() { Ok(record) } else { Err(left_over(left.len())) }
    }

    /// The record at the start of `left`, which goes on behind it.
    fn take(left: &mut &'a [u8]) -> Result<Self, WireError> {
        let whole = *left;
        let (head, [parts, fleeting, session]) = read_head(left)?;
        let cut = |left: &mut &'a [u8], length: usize| {
            let (own, rest) = left.split_at_checked(length).ok_or_else(|| left_over(length))?;
            *left = rest;
            Ok::<_, WireError>(own)
        };
        let (parts, fleeting) = (cut(left, parts * PART_BYTES)?, cut(left, fleeting * ID_BYTES)?);
        let bytes = part_list(parts).map(|(_, length)| length).sum();
        let (bytes, session) = (cut(left, bytes)?, cut(left, session)?);
        Ok(Self { head, parts, fleeting, bytes, session, whole: &whole[..whole.len() - left.len()] })
    }

    /// What the head and the lengths do not tell: that it is within the bounds, and its session one.
    fn check(&self, at: At<'_>) -> Result<(), WireError> {
        at.field("components").check_length(part_list(self.parts).len(), RECORD_COMPONENTS_MAX)?;
        at.field("fleeting").check_length(self.fleeting.len() / ID_BYTES, RECORD_COMPONENTS_MAX)?;
        for (_, length) in part_list(self.parts) {
            at.field("components").check_length(length, COMPONENT_BYTES_MAX)?;
        }
        if self.session.is_empty() { Ok(()) } else { self.session().map(drop) }
    }

    /// Whether it has more or larger components than a record may have, or more outputs waiting.
    pub fn is_too_large(&self) -> bool {
        let mut parts = part_list(self.parts);
        parts.len() > RECORD_COMPONENTS_MAX
            || parts.any(|(_, length)| length > COMPONENT_BYTES_MAX)
            || (self.session.len() > SESSION_BYTES_SURE && self.session().is_err())
    }

    /// The components, in the order in which they were written.
    pub fn components(&self) -> impl Iterator<Item = (TypeId, &'a [u8])> {
        let mut bytes = self.bytes;
        part_list(self.parts).map(move |(id, length)| {
            let (own, rest) = bytes.split_at(length.min(bytes.len()));
            bytes = rest;
            (id, own)
        })
    }

    /// Its session.
    ///
    /// # Errors
    /// It is none.
    pub fn session(&self) -> Result<SessionState, WireError> {
        if self.session.is_empty() {
            return Ok(SessionState::default());
        }
        let session = Bytes::copy_from_slice(self.session);
        decode_part::<SessionState, fb::SessionState<'_>>(&session, &session, &NODE_LIMITS)
    }

    /// The record. Its components share one copy of their bytes.
    ///
    /// # Errors
    /// Its session is none.
    pub fn to_record(&self) -> Result<Record, WireError> {
        let RecordHead { entity, epoch, presence, cell, position } = self.head;
        let mut bytes = Bytes::copy_from_slice(self.bytes);
        let parts = part_list(self.parts);
        let components = parts.map(|(id, length)| ComponentBytes { id, bytes: bytes.split_to(length) }).collect();
        let fleeting = self.fleeting.chunks_exact(ID_BYTES).map(|mut id| TypeId(id.get_u32_le())).collect();
        Ok(Record { entity, epoch, presence, cell, position, session: self.session()?, components, fleeting })
    }

    /// The stored form of the record.
    pub fn to_stored(&self) -> Bytes {
        [&Record::FORM, self.whole].concat().into()
    }
}

impl Stored for Record {
    const FORM: [u8; 4] = *b"REC\x03";

    fn to_stored(&self) -> Bytes {
        let mut records = Records { bytes: Self::FORM.to_vec(), count: 0 };
        records.push(self);
        records.bytes.into()
    }

    fn from_stored(bytes: &Bytes) -> Result<Self, WireError> {
        RecordView::of_stored(bytes)?.to_record()
    }
}

/// The head, and how many components, fleeting ids and bytes of a session there are.
fn read_head(left: &mut &[u8]) -> Result<(RecordHead, [usize; 3]), WireError> {
    let (mut head, rest) = left.split_at_checked(HEAD_BYTES).ok_or_else(|| left_over(HEAD_BYTES))?;
    *left = rest;
    let mut read = || -> Result<_, TryGetError> {
        let (entity, epoch) = (EntityId(head.try_get_u64_le()?), AgentEpoch(head.try_get_u64_le()?));
        let cell = head.try_get_u64_le()?;
        let position = Position { x: head.try_get_f32_le()?, z: head.try_get_f32_le()? };
        let (presence, _) = (head.try_get_u8()?, head.try_get_u8()?);
        let (parts, fleeting, session) = (head.try_get_u16_le()?, head.try_get_u16_le()?, head.try_get_u32_le()?);
        Ok(((entity, epoch, cell, position, presence), [usize::from(parts), usize::from(fleeting), session as usize]))
    };
    let ((entity, epoch, cell, position, presence), counts) = read().map_err(|error| left_over(error.requested))?;
    let cell = CellId::from_bits(cell).ok_or(WireError::Impossible { field: "cell", value: cell })?;
    let presence = match presence {
        0 => Presence::Awake,
        1 => Presence::Asleep,
        2 => Presence::Parked,
        value => return Err(WireError::Impossible { field: "presence", value: value.into() }),
    };
    Ok((RecordHead { entity, epoch, presence, cell, position }, counts))
}

/// Ids and lengths of components.
fn part_list(parts: &[u8]) -> impl ExactSizeIterator<Item = (TypeId, usize)> {
    parts.chunks_exact(PART_BYTES).map(|mut part| (TypeId(part.get_u32_le()), part.get_u32_le() as usize))
}

/// So many bytes that are not there, or belong to nobody.
fn left_over(bytes: usize) -> WireError {
    WireError::Impossible { field: "records", value: bytes as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ShardOp;
    use crate::wire::tests::samples::Dice;

    fn some() -> Vec<Record> {
        (0..40).map(|seed| Dice::new(seed).record()).collect()
    }

    fn all(records: &[Record]) -> Records {
        let mut all = Records::default();
        records.iter().for_each(|record| all.push(record));
        all
    }

    /// As they come out of a message.
    fn read(bytes: &[u8]) -> Result<Records, WireError> {
        let op = build(&[], |builder| Records { bytes: bytes.to_vec(), count: 0 }.pack(builder));
        decode_part::<Records, fb::Put<'_>>(&op, &op, &NODE_LIMITS)
    }

    /// A record with such components, so many fleeting ones among them.
    fn with(components: &[(u32, usize)], fleeting: usize) -> Record {
        let components =
            components.iter().map(|(id, length)| ComponentBytes { id: TypeId(*id), bytes: vec![*id as u8; *length].into() });
        let (components, fleeting) = (components.collect(), vec![TypeId(1); fleeting]);
        Record { components, fleeting, ..Dice::new(1).record() }
    }

    #[test]
    fn records_come_back_as_they_were() {
        let records = some();
        let (one, other) = records.split_at(10);
        let mut together = all(one);
        together.append(&all(other));
        assert_eq!((together.len(), together.bytes()), (40, all(&records).bytes()));
        let back: Result<Vec<_>, _> = together.iter().map(|record| record.to_record()).collect();
        assert_eq!(back, Ok(records.clone()));
        assert_eq!(read(&together.bytes), Ok(together));
        for record in records {
            let stored = record.to_stored();
            assert_eq!(Record::from_stored(&stored), Ok(record.clone()));
            let view = RecordView::of_stored(&stored).expect("it is one");
            assert_eq!((view.head.entity, view.to_stored()), (record.entity, stored.clone()));
            let parts: Vec<_> = view.components().map(|(id, bytes)| (id, bytes.to_vec())).collect();
            assert_eq!(parts, record.components.iter().map(|part| (part.id, part.bytes.to_vec())).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_ends_too_early_or_too_late_is_no_record() {
        for record in some() {
            let stored = record.to_stored();
            for length in 0..stored.len() {
                assert!(Record::from_stored(&stored.slice(..length)).is_err(), "{length} of {} bytes", stored.len());
                assert!(length < 5 || read(&stored[4..length]).is_err());
            }
            let longer = [&stored[..], &[0]].concat();
            assert!(Record::from_stored(&longer.clone().into()).is_err());
            assert!(read(&longer[4..]).is_err());
        }
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused_by_name() {
        let bytes = Records::from(&with(&[(5, 3)], 0)).bytes;
        let spoiled = |at: usize, with: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + with.len()].copy_from_slice(with);
            read(&bytes)
        };
        assert_eq!(spoiled(32, &[3]), Err(WireError::Impossible { field: "presence", value: 3 }));
        assert_eq!(spoiled(16, &[0xff; 8]), Err(WireError::Impossible { field: "cell", value: u64::MAX }));
        assert!(spoiled(46, &u32::MAX.to_le_bytes()).is_err(), "a length beyond the end");
        let mut session = Records::from(&Dice::new(3).record()).bytes;
        assert!(read(&session).is_ok());
        let end = session.len() - 24;
        session[end..].fill(0xee);
        assert!(read(&session).is_err(), "the session is none");
    }

    #[test]
    fn what_is_too_large_is_refused_on_its_way_and_known_where_it_lies() {
        let outbox = |count| {
            let mut record = with(&[(5, 3)], 0);
            record.session.outbox = vec![Dice::new(9).event(); count];
            record
        };
        let large =
            [with(&[(5, 0); RECORD_COMPONENTS_MAX + 1], 0), with(&[(5, COMPONENT_BYTES_MAX + 1)], 0), outbox(OUTBOX_MAX + 1)];
        for record in &large {
            let records = Records::from(record);
            assert!(records.iter().all(|record| record.is_too_large()));
            assert!(matches!(read(&records.bytes), Err(WireError::TooLong { .. })));
        }
        let full = [
            with(&[(5, 1); RECORD_COMPONENTS_MAX], RECORD_COMPONENTS_MAX),
            with(&[(5, COMPONENT_BYTES_MAX)], 0),
            outbox(OUTBOX_MAX),
        ];
        assert!(!all(&full).iter().any(|record| record.is_too_large()));
        assert!(read(&all(&full).bytes).is_ok());
        assert!(read(&Records::from(&with(&[], RECORD_COMPONENTS_MAX + 1)).bytes).is_err());
        let many = vec![Record { components: Vec::new(), session: SessionState::default(), ..with(&[], 0) }; ENTRY_OPS_MAX + 1];
        assert!(matches!(read(&all(&many).bytes), Err(WireError::TooLong { field: "records", .. })));
        assert_eq!(ShardOp::Put(all(&many)).count(), ENTRY_OPS_MAX + 1);
    }
}
