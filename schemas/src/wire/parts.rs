//! Components on the wire: whose they are and how long in one vector, their bytes behind each other in another. A table for each
//! component, with a vector of its own, took several times the work to write and to read: see ARCHITECTURE, decisions. Clients'
//! inputs travel alike.

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, Vector, WIPOffset};

use super::WireError;
use super::codec::{At, pack_bytes};
use crate::TypeId;
use crate::generated::record::Part;
use crate::record::{COMPONENT_BYTES_MAX, ComponentBytes, RECORD_COMPONENTS_MAX};

/// What is to be written, of one entity or of many.
#[derive(Default)]
pub(super) struct Parts {
    parts: Vec<Part>,
    bytes: Vec<u8>,
}

/// Both vectors.
pub(super) type Written<'b> = (Option<WIPOffset<Vector<'b, Part>>>, Option<WIPOffset<Vector<'b, u8>>>);

impl Parts {
    /// The components of one entity.
    pub(super) fn of(components: &[ComponentBytes]) -> Self {
        let bytes = components.iter().map(|component| component.bytes.len()).sum();
        let mut parts = Self { parts: Vec::with_capacity(components.len()), bytes: Vec::with_capacity(bytes) };
        parts.extend(components);
        parts
    }

    /// More components, of the next entity.
    pub(super) fn extend(&mut self, components: &[ComponentBytes]) {
        for component in components {
            let part = self.beside(component);
            self.parts.push(part);
        }
    }

    /// The bytes of a component whose part stands elsewhere.
    pub(super) fn beside(&mut self, component: &ComponentBytes) -> Part {
        self.bytes.extend_from_slice(&component.bytes);
        Part::new(component.id.0, component.bytes.len() as u32)
    }

    /// Writes both vectors; what is empty is absent.
    pub(super) fn pack<'b>(&self, b: &mut FlatBufferBuilder<'b>) -> Written<'b> {
        let parts = (!self.parts.is_empty()).then(|| b.create_vector(&self.parts));
        (parts, (!self.bytes.is_empty()).then(|| pack_bytes(&self.bytes, b)))
    }
}

/// What was written, from its start on.
pub(super) struct Reading<'a, 'f> {
    parts: Option<Vector<'a, Part>>,
    next: usize,
    bytes: Joined<'a, 'f>,
}

impl<'a, 'f> Reading<'a, 'f> {
    pub(super) fn new(parts: Option<Vector<'a, Part>>, bytes: Option<Vector<'a, u8>>, at: At<'f>) -> Self {
        Self { parts, next: 0, bytes: Joined::new(bytes, at.field("parts").at_most(COMPONENT_BYTES_MAX)) }
    }

    /// The components of the next entity, which has so many. They share one copy of their bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<Vec<ComponentBytes>, WireError> {
        let at = self.bytes.at;
        at.check_length(count, RECORD_COMPONENTS_MAX)?;
        if count > self.left() {
            return Err(at.impossible(count as u64));
        }
        let all = self.parts.unwrap_or_default();
        let parts = (self.next..self.next + count).map(|at| all.get(at));
        self.next += count;
        let mut length = 0;
        for part in parts.clone() {
            at.check(part.length() as usize)?;
            length += part.length() as usize;
        }
        let mut bytes = at.keep(self.bytes.cut(length)?);
        Ok(parts.map(|part| ComponentBytes { id: TypeId(part.id()), bytes: bytes.split_to(part.length() as usize) }).collect())
    }

    /// The component of a part that stands elsewhere.
    pub(super) fn beside(&mut self, part: &Part) -> Result<ComponentBytes, WireError> {
        Ok(ComponentBytes { id: TypeId(part.id()), bytes: self.bytes.take(part.length())? })
    }

    /// Components that were not taken yet.
    pub(super) fn left(&self) -> usize {
        self.parts.map_or(0, |parts| parts.len()) - self.next
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), WireError> {
        match self.left() {
            0 => self.bytes.end(),
            left => Err(self.bytes.at.impossible(left as u64)),
        }
    }
}

/// Bytes of many behind each other, whose lengths stand elsewhere.
pub(super) struct Joined<'a, 'f> {
    left: &'a [u8],
    at: At<'f>,
}

impl<'a, 'f> Joined<'a, 'f> {
    /// `at` says how many bytes each may have.
    pub(super) fn new(bytes: Option<Vector<'a, u8>>, at: At<'f>) -> Self {
        Self { left: bytes.map_or(&[], |bytes| bytes.bytes()), at }
    }

    /// Those of the next one.
    pub(super) fn take(&mut self, length: u32) -> Result<Bytes, WireError> {
        self.at.check(length as usize)?;
        Ok(self.at.keep(self.cut(length as usize)?))
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), WireError> {
        if self.left.is_empty() { Ok(()) } else { Err(self.at.impossible(self.left.len() as u64)) }
    }

    fn cut(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (own, rest) = self.left.split_at_checked(length).ok_or_else(|| self.at.impossible(length as u64))?;
        self.left = rest;
        Ok(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generated::record as fb;
    use crate::record::Record;
    use crate::wire::codec::Unpack;

    /// A record with these parts and so many bytes for them.
    fn read(parts: &[(u32, u32)], bytes: usize) -> Result<Vec<(u32, usize)>, WireError> {
        let mut b = FlatBufferBuilder::new();
        let parts: Vec<Part> = parts.iter().map(|(id, length)| Part::new(*id, *length)).collect();
        let (parts, bytes) = (Some(b.create_vector(&parts)), Some(pack_bytes(&vec![7; bytes], &mut b)));
        let cell = crate::geometry::CellId { space: crate::geometry::SpaceId(0), x: 1, z: 1 }.to_bits();
        let head = fb::RecordHead::new(1, 1, cell, &fb::Position::new(40.0, 40.0), fb::Presence::Awake);
        let record = fb::Record::create(&mut b, &fb::RecordArgs { head: Some(&head), parts, bytes, ..Default::default() });
        b.finish_minimal(record);
        let frame = Bytes::copy_from_slice(b.finished_data());
        let root = flatbuffers::root::<fb::Record<'_>>(&frame)?;
        let record = Record::unpack(root, At::new(&frame))?;
        Ok(record.components.iter().map(|component| (component.id.0, component.bytes.len())).collect())
    }

    #[test]
    fn each_component_gets_its_own_bytes() {
        assert_eq!(read(&[(5, 3), (9, 0), (12, 2_000)], 2_003), Ok(vec![(5, 3), (9, 0), (12, 2_000)]));
        assert_eq!(read(&[], 0), Ok(Vec::new()));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let refused = |found| matches!(found, Err(WireError::Impossible { field: "parts", .. }));
        assert!(refused(read(&[(5, 4)], 3)), "more than there is");
        assert!(refused(read(&[(5, 3)], 4)), "bytes of nobody");
        assert!(refused(read(&[], 1)), "bytes without parts");
        let too_long = |found| matches!(found, Err(WireError::TooLong { field: "parts", .. }));
        assert!(too_long(read(&[(5, u32::MAX)], 3)));
        assert!(too_long(read(&[(5, 0); RECORD_COMPONENTS_MAX + 1], 0)));
    }
}
