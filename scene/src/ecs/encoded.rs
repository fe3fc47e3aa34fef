//! An entity's components as bytes, one behind the other: what records, feeds and hashes are made of. Whoever looks at many
//! entities keeps one of these for all of them.

use std::ops::Range;

use bevy_ecs::world::EntityRef;
use bytes::Bytes;
use pangaea_schemas::TypeId;
use pangaea_schemas::record::ComponentBytes;

use super::kinds::ComponentKind;
use super::shard_world::ShardWorld;
use super::versions::Carried;

/// What the components of most entities take together, in bytes: they are written without growing.
const COMPONENTS_BYTES: usize = 64;

/// How much of an entity is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every component: for another shard or another scene.
    Whole,
    /// What lasts: for the journal.
    Lasting,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    parts: Vec<EncodedPart>,
}

#[derive(Debug)]
struct EncodedPart {
    id: TypeId,
    at: Range<usize>,
    lasts: bool,
}

impl Default for Encoded {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(COMPONENTS_BYTES), parts: Vec::with_capacity(8) }
    }
}

impl Encoded {
    /// The components, in the order in which they were taken.
    pub(crate) fn parts(&self) -> impl ExactSizeIterator<Item = (TypeId, &[u8])> + Clone {
        self.parts.iter().map(|part| (part.id, &self.bytes[part.at.clone()]))
    }

    /// Those that do not last.
    pub(crate) fn fleeting(&self) -> Vec<TypeId> {
        self.parts.iter().filter(|part| !part.lasts).map(|part| part.id).collect()
    }

    /// The same to be kept; they share one allocation.
    pub(crate) fn to_components(&self) -> Vec<ComponentBytes> {
        let bytes = Bytes::copy_from_slice(&self.bytes);
        self.parts.iter().map(|part| ComponentBytes { id: part.id, bytes: bytes.slice(part.at.clone()) }).collect()
    }

    /// Takes the components that are wanted, in all their layouts, in order of registration; what was held before is dropped.
    pub(crate) fn take(&mut self, world: &ShardWorld, entity: &EntityRef, wanted: impl Fn(&ComponentKind) -> bool) {
        self.bytes.clear();
        self.parts.clear();
        for kind in world.kinds.components.iter().filter(|kind| wanted(kind)) {
            let start = self.bytes.len();
            if !(kind.encode)(entity, &mut self.bytes) {
                continue;
            }
            self.end_part(kind.id, start, kind.persistent);
            if !kind.formers.is_empty() {
                let own = self.bytes[start..].to_vec();
                kind.in_formers(&own, &mut |id, former| self.push(id, former, kind.persistent));
            }
        }
    }

    /// Takes all that belongs into a record, in order of id: what only other builds know, too.
    pub(crate) fn take_all(&mut self, world: &ShardWorld, entity: &EntityRef, extent: Extent) {
        self.take(world, entity, |kind| extent == Extent::Whole || kind.persistent);
        for part in entity.get::<Carried>().map_or(&[][..], |carried| &carried.0) {
            if (extent == Extent::Whole || part.lasts) && world.tells(entity, part.component.id) {
                self.push(part.component.id, &part.component.bytes, part.lasts);
            }
        }
        self.parts.sort_unstable_by_key(|part| part.id);
    }

    fn push(&mut self, id: TypeId, bytes: &[u8], lasts: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.end_part(id, start, lasts);
    }

    fn end_part(&mut self, id: TypeId, start: usize, lasts: bool) {
        self.parts.push(EncodedPart { id, at: start..self.bytes.len(), lasts });
    }
}

impl ShardWorld {
    /// Whether a component that this build does not know is to be told of an entity. Another layout of a component that it does
    /// know is told only beside that component, if it is a later one: who takes the component away takes all of it away. An
    /// earlier one is told until the component is there.
    fn tells(&self, entity: &EntityRef, carried: TypeId) -> bool {
        let has = |kind: &ComponentKind| (kind.encode)(entity, &mut Vec::new());
        self.kinds.kin(carried).is_none_or(|(kind, is_later)| has(kind) == is_later)
    }
}
