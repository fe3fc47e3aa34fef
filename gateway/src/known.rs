//! What one client has been told: whom it draws, under which slot, and up to which round.
//!
//! The connection is ordered and nothing on it is lost, so what was written is known. A slot is a client's own short name for an
//! entity; the lowest free one is taken, so most fit a byte.

use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::Position;
use pangaea_schemas::wire::update::{SLOTS_MAX, Slot};

use crate::cells::Round;
use crate::slab::Key;

/// So many of the nearest are told of in every round, if they take another course.
pub(crate) const NEAREST: usize = 10;

/// An entity that a client draws.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) name: Key,
    /// Everything of it was told, or had not changed, in this round.
    pub(crate) told: Round,
}

/// Everybody that a client draws, by slot.
#[derive(Debug, Default)]
pub(crate) struct KnownSet {
    /// [`EntityId::NONE`] in free slots; apart from the rest, because it is searched.
    ids: Vec<EntityId>,
    known: Vec<Option<Known>>,
    free: Vec<u32>,
    /// Slots of the nearest, told of first.
    near: Vec<u32>,
}

impl KnownSet {
    /// One more than the highest slot in use so far.
    pub(crate) fn slots(&self) -> u32 {
        self.ids.len() as u32
    }

    pub(crate) fn near(&self) -> usize {
        self.near.len()
    }

    /// The `n`-th of the nearest.
    pub(crate) fn near_slot(&self, n: usize) -> Option<Slot> {
        self.near.get(n).copied().map(Slot)
    }

    pub(crate) fn get(&mut self, slot: Slot) -> Option<(EntityId, &mut Known)> {
        let known = self.known.get_mut(slot.0 as usize)?.as_mut()?;
        Some((self.ids[slot.0 as usize], known))
    }

    pub(crate) fn contains(&self, entity: EntityId) -> bool {
        self.ids.contains(&entity)
    }

    /// A slot for an entity; `None` when all are in use.
    pub(crate) fn insert(&mut self, entity: EntityId, known: Known) -> Option<Slot> {
        if let Some(slot) = self.free.pop() {
            (self.ids[slot as usize], self.known[slot as usize]) = (entity, Some(known));
            return Some(Slot(slot));
        }
        let slot = self.slots();
        if slot >= SLOTS_MAX {
            return None;
        }
        self.ids.push(entity);
        self.known.push(Some(known));
        Some(Slot(slot))
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let at = slot.0 as usize;
        if self.known.get_mut(at).and_then(Option::take).is_some() {
            self.ids[at] = EntityId::NONE;
            self.free.push(slot.0);
            self.near.retain(|near| *near != slot.0);
        }
    }

    /// Find out who is nearest to `own`. `place` tells where an entity is; `ranks` is scratch space.
    pub(crate) fn rank(&mut self, own: Position, ranks: &mut Vec<(f32, u32)>, place: impl Fn(Key) -> Option<Position>) {
        ranks.clear();
        for (slot, known) in (0..).zip(&self.known) {
            let Some(position) = known.and_then(|known| place(known.name)) else { continue };
            let (x, z) = (position.x - own.x, position.z - own.z);
            ranks.push((x * x + z * z, slot));
        }
        // The own agent is the nearest of all.
        let wanted = NEAREST + 1;
        if ranks.len() > wanted {
            ranks.select_nth_unstable_by(wanted - 1, |a, b| a.0.total_cmp(&b.0));
            ranks.truncate(wanted);
        }
        self.near.clear();
        self.near.extend(ranks.iter().map(|(_, slot)| *slot));
    }
}
