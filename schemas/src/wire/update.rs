//! Updates: what clients draw, once per tick. Packed by hand, because a table would cost more than what it holds; the layout is
//! written down in `fbs/client.fbs`. A gateway writes them, client programs read them back.

use bytes::{BufMut, Bytes, BytesMut};

use super::WireError;
use crate::geometry::{Position, Velocity, to_nearest};
use crate::record::{COMPONENT_BYTES_MAX, ComponentBytes, RECORD_COMPONENTS_MAX};
use crate::{AgentEpoch, EntityId, InSeq, Tick, TypeId};

/// Most entities that one connection is shown at a time.
pub const SLOTS_MAX: u32 = 65_536;
/// Updates share chunks of this size: one allocation for hundreds of them.
const CHUNK_BYTES: usize = 64 * 1_024;
/// Steps of a told position per metre: a step is 3.9 mm.
const STEPS_PER_M: f32 = 256.0;
/// Steps of a told velocity per m/s.
const STEPS_PER_M_S: f32 = 512.0;

const UPDATE: u8 = 1;
const LEFT: u8 = 1 << 1;
const ENTERED: u8 = 1 << 2;
const MOVED: u8 = 1 << 3;
const CHANGED: u8 = 1 << 4;
const DILATED: u8 = 1 << 5;
const REAL_TIME_PERCENT: u8 = 100;

/// Whether a body is an update; otherwise it is a FlatBuffer, whose first byte is even.
pub fn is_update(body: &[u8]) -> bool {
    body.first().is_some_and(|first| first & UPDATE != 0)
}

/// A short name of an entity on one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// Where an entity is at an update's tick, and how it goes on until clients are told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// East of the own agent, in 1/256 m.
    pub x: i32,
    /// South of the own agent, in 1/256 m.
    pub z: i32,
    /// Velocity east, in 1/512 m/s.
    pub vx: i32,
    /// Velocity south, in 1/512 m/s.
    pub vz: i32,
}

impl Course {
    /// As told to the client whose own agent stands at `own`.
    pub fn of(position: Position, velocity: Velocity, own: Position) -> Self {
        let steps = |metres: f32| to_nearest(metres * STEPS_PER_M) as i32;
        let speed = |metres_per_s: f32| to_nearest(metres_per_s * STEPS_PER_M_S) as i32;
        Self { x: steps(position.x - own.x), z: steps(position.z - own.z), vx: speed(velocity.x), vz: speed(velocity.z) }
    }

    /// The position in the space.
    pub fn position(self, own: Position) -> Position {
        Position { x: own.x + self.x as f32 / STEPS_PER_M, z: own.z + self.z as f32 / STEPS_PER_M }
    }

    /// In metres per second.
    pub fn velocity(self) -> Velocity {
        Velocity { x: self.vx as f32 / STEPS_PER_M_S, z: self.vz as f32 / STEPS_PER_M_S }
    }
}

/// An entity comes into sight, or is told anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Its name from now on.
    pub slot: Slot,
    /// Who.
    pub entity: EntityId,
    /// Where.
    pub course: Course,
    /// All that clients see of it.
    pub components: Vec<ComponentBytes>,
}

/// What an update says beside entities.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateHead {
    /// After which tick.
    pub tick: Tick,
    /// The own agent's epoch.
    pub agent_epoch: AgentEpoch,
    /// No input up to here is needed again.
    pub in_seq: InSeq,
    /// The last input applied at `tick`; ahead of `in_seq` while something of value is not durable.
    pub applied: InSeq,
    /// The own agent's exact position at `tick`, after that input; of a spectator the middle of what it watches.
    pub position: Position,
    /// Speed of time in percent; 100 is real time.
    pub dilation_percent: u8,
}

/// What a client program reads; to be applied in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// The client's own news.
    pub head: UpdateHead,
    /// No longer in sight.
    pub left: Vec<Slot>,
    /// Came into sight.
    pub entered: Vec<Entered>,
    /// Goes on otherwise than it was told.
    pub moved: Vec<(Slot, Course)>,
    /// New bytes of components.
    pub changed: Vec<(Slot, Vec<ComponentBytes>)>,
}

/// One list of an update under construction.
#[derive(Debug, Default)]
struct Section {
    count: u32,
    bytes: Vec<u8>,
}

/// Writes updates; keeps its buffers between them.
#[derive(Debug, Default)]
pub struct UpdateWriter {
    left: Section,
    entered: Section,
    moved: Section,
    changed: Section,
    chunk: BytesMut,
}

impl UpdateWriter {
    /// The entity of that slot is no longer in sight.
    pub fn left(&mut self, slot: Slot) {
        put_varint(self.left.next(), slot.0.into());
    }

    /// An entity comes into sight under that slot, or is told anew.
    pub fn entered<'c>(
        &mut self,
        slot: Slot,
        entity: EntityId,
        course: Course,
        components: impl Iterator<Item = &'c ComponentBytes> + Clone,
    ) {
        let out = self.entered.next();
        put_varint(out, slot.0.into());
        out.put_u64_le(entity.0);
        put_course(out, course);
        put_components(out, components);
    }

    /// It goes on otherwise.
    pub fn moved(&mut self, slot: Slot, course: Course) {
        let out = self.moved.next();
        put_varint(out, slot.0.into());
        put_course(out, course);
    }

    /// These components of it changed.
    pub fn changed<'c>(&mut self, slot: Slot, components: impl Iterator<Item = &'c ComponentBytes> + Clone) {
        let out = self.changed.next();
        put_varint(out, slot.0.into());
        put_components(out, components);
    }

    /// Size of all that was put since the last [`Self::finish`], in bytes.
    pub fn bytes(&self) -> usize {
        self.left.bytes.len() + self.entered.bytes.len() + self.moved.bytes.len() + self.changed.bytes.len()
    }

    /// The whole message; the writer is empty again.
    pub fn finish(&mut self, head: &UpdateHead) -> Bytes {
        let room = 64 + self.bytes();
        if self.chunk.capacity() < room {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES.max(room));
        }
        let out = &mut self.chunk;
        let sections =
            [(LEFT, &mut self.left), (ENTERED, &mut self.entered), (MOVED, &mut self.moved), (CHANGED, &mut self.changed)];
        let dilated = if head.dilation_percent == REAL_TIME_PERCENT { 0 } else { DILATED };
        let flags = sections.iter().filter(|(_, section)| section.count > 0).fold(UPDATE | dilated, |all, (flag, _)| all | flag);
        out.put_u8(flags);
        out.put_uint_le(head.tick.0, 5);
        put_varint(out, head.agent_epoch.0);
        put_varint(out, head.in_seq.0.into());
        put_zigzag(out, head.applied.0.wrapping_sub(head.in_seq.0) as i32);
        out.put_f32_le(head.position.x);
        out.put_f32_le(head.position.z);
        if dilated != 0 {
            out.put_u8(head.dilation_percent);
        }
        for (_, section) in sections {
            if section.count > 0 {
                put_varint(out, section.count.into());
                out.put_slice(&section.bytes);
                section.count = 0;
                section.bytes.clear();
            }
        }
        out.split().freeze()
    }
}

impl Section {
    fn next(&mut self) -> &mut Vec<u8> {
        self.count += 1;
        &mut self.bytes
    }
}

fn put_varint(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn put_zigzag(out: &mut impl BufMut, value: i32) {
    put_varint(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

fn put_course(out: &mut impl BufMut, course: Course) {
    let Course { x, z, vx, vz } = course;
    [x, z, vx, vz].into_iter().for_each(|value| put_zigzag(out, value));
}

fn put_components<'c>(out: &mut impl BufMut, components: impl Iterator<Item = &'c ComponentBytes> + Clone) {
    put_varint(out, components.clone().count() as u64);
    for component in components {
        out.put_u32_le(component.id.0);
        put_varint(out, component.bytes.len() as u64);
        out.put_slice(&component.bytes);
    }
}

/// Reads an update. Every length is checked against what is left before anything is allocated.
pub(super) fn read(body: &[u8]) -> Result<Update, WireError> {
    let mut reader = Reader { rest: body };
    let flags = reader.u8()?;
    if flags & UPDATE == 0 || flags >= DILATED << 1 {
        return Err(WireError::Impossible { field: "flags", value: flags.into() });
    }
    let mut head = UpdateHead {
        tick: Tick(reader.u40()?),
        agent_epoch: AgentEpoch(reader.varint()?),
        in_seq: InSeq(reader.number("in_seq", u32::MAX)?),
        applied: InSeq(reader.zigzag()? as u32),
        position: Position { x: reader.f32()?, z: reader.f32()? },
        dilation_percent: REAL_TIME_PERCENT,
    };
    head.applied = InSeq(head.in_seq.0.wrapping_add(head.applied.0));
    if flags & DILATED != 0 {
        head.dilation_percent = reader.u8()?;
    }
    Ok(Update {
        head,
        left: reader.list(flags & LEFT, Reader::slot)?,
        entered: reader.list(flags & ENTERED, Reader::entered)?,
        moved: reader.list(flags & MOVED, |reader| Ok((reader.slot()?, reader.course()?)))?,
        changed: reader.list(flags & CHANGED, |reader| Ok((reader.slot()?, reader.components()?)))?,
    })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(WireError::Missing { field: "the rest of the update" })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u40(&mut self) -> Result<u64, WireError> {
        let [a, b, c, d, e] = self.array()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
    }

    fn f32(&mut self) -> Result<f32, WireError> {
        self.array().map(f32::from_le_bytes)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Impossible { field: "varint", value })
    }

    fn number(&mut self, field: &'static str, most: u32) -> Result<u32, WireError> {
        let value = self.varint()?;
        u32::try_from(value).ok().filter(|value| *value <= most).ok_or(WireError::Impossible { field, value })
    }

    fn zigzag(&mut self) -> Result<i32, WireError> {
        let value = self.number("zigzag", u32::MAX)?;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    /// Each element takes a byte at least, so a count above what is left is refused.
    fn list<T>(&mut self, flag: u8, mut element: impl FnMut(&mut Self) -> Result<T, WireError>) -> Result<Vec<T>, WireError> {
        if flag == 0 {
            return Ok(Vec::new());
        }
        let count = self.varint()? as usize;
        if count > self.rest.len() {
            return Err(WireError::TooLong { field: "list", length: count, max: self.rest.len() });
        }
        (0..count).map(|_| element(self)).collect()
    }

    fn slot(&mut self) -> Result<Slot, WireError> {
        self.number("slot", SLOTS_MAX - 1).map(Slot)
    }

    fn course(&mut self) -> Result<Course, WireError> {
        Ok(Course { x: self.zigzag()?, z: self.zigzag()?, vx: self.zigzag()?, vz: self.zigzag()? })
    }

    fn entered(&mut self) -> Result<Entered, WireError> {
        let (slot, entity) = (self.slot()?, EntityId(u64::from_le_bytes(self.array()?)));
        Ok(Entered { slot, entity, course: self.course()?, components: self.components()? })
    }

    fn components(&mut self) -> Result<Vec<ComponentBytes>, WireError> {
        let count = self.varint()? as usize;
        if count > RECORD_COMPONENTS_MAX {
            return Err(WireError::TooLong { field: "components", length: count, max: RECORD_COMPONENTS_MAX });
        }
        (0..count).map(|_| self.component()).collect()
    }

    fn component(&mut self) -> Result<ComponentBytes, WireError> {
        let id = TypeId(u32::from_le_bytes(self.array()?));
        let length = self.varint()? as usize;
        if length > COMPONENT_BYTES_MAX {
            return Err(WireError::TooLong { field: "component", length, max: COMPONENT_BYTES_MAX });
        }
        Ok(ComponentBytes { id, bytes: Bytes::copy_from_slice(self.take(length)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_that_turns_costs_nine_bytes_near_the_own_agent() {
        let own = Position { x: 1_000.3, z: 77.7 };
        let course = Course::of(Position { x: 1_020.0, z: 60.0 }, Velocity { x: 4.2, z: -4.2 }, own);
        let mut writer = UpdateWriter::default();
        let head = UpdateHead { tick: Tick(36_000_000_000), position: own, dilation_percent: 100, ..UpdateHead::default() };
        let empty = writer.finish(&head).len();
        writer.moved(Slot(30), course);
        assert_eq!(writer.bytes(), 9);
        assert_eq!((empty, writer.finish(&head).len()), (17, 17 + 1 + 9));
    }

    #[test]
    fn positions_are_told_to_three_millimetres() {
        let own = Position { x: 1_000.3, z: 77.7 };
        for (x, z) in [(1_000.3, 77.7), (1_031.17, 45.1), (880.0, 200.0)] {
            let position = Position { x, z };
            assert!(Course::of(position, Velocity::default(), own).position(own).distance(position) < 0.0029);
        }
    }
}
