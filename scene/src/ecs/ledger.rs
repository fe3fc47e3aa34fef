//! Value: systems ask the ledger and read its answers some ticks later.

use std::sync::atomic::{AtomicU64, Ordering};

use bevy_ecs::resource::Resource;
use bevy_ecs::system::{Deferred, Res, SystemParam};
use bytemuck::{Pod, Zeroable};
use pangaea_schemas::message::{Holdings, Item, LedgerResult, Transaction};
use pangaea_schemas::registry::FieldType;
use pangaea_schemas::{EntityId, Tick};

use super::mail::Draft;
use super::plain::{FieldKind, Part};

/// Names a ledger operation inside its shard, so that a system finds the answer in a later tick. It may be kept in a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct LedgerTicket(pub u64);

impl LedgerTicket {
    /// No operation of a system.
    pub const NONE: Self = Self(0);

    /// Whether this names an operation at all.
    pub fn is_some(self) -> bool {
        self.0 != 0
    }
}

impl FieldKind for LedgerTicket {
    const PARTS: &'static [Part] = &[Part { suffix: "", ty: FieldType::U64, offset: 0, length: 1 }];
}

/// A change of value that a system asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// Comes back with the answer.
    pub ticket: LedgerTicket,
    /// Local agents whose ownership the ledger must check. Epochs inside the transaction are left at zero, to be filled in.
    pub fences: Vec<EntityId>,
    /// What.
    pub transaction: Transaction,
}

/// Bits of a ticket that count within one tick; the others are the tick.
const TICKET_COUNT_BITS: u32 = 20;

/// The next ticket. Systems share it: they run one after the other, so the order is always the same.
#[derive(Resource, Default)]
pub struct Tickets(AtomicU64);

impl Tickets {
    /// Start over for a tick.
    pub(crate) fn begin(&mut self, tick: Tick) {
        *self.0.get_mut() = tick.0 << TICKET_COUNT_BITS | 1;
    }
}

/// Asks the ledger for changes of value. Nothing has happened until [`Settled`] says so.
#[derive(SystemParam)]
pub struct Ledger<'w, 's> {
    draft: Deferred<'s, Draft<Transfer>>,
    tickets: Res<'w, Tickets>,
}

impl Ledger<'_, '_> {
    /// Ask. `fences` are the agents of this shard in whose name it is done: the ledger refuses if any of them has another owner
    /// by then.
    pub fn ask(&mut self, fences: &[EntityId], transaction: Transaction) -> LedgerTicket {
        let ticket = LedgerTicket(self.tickets.0.fetch_add(1, Ordering::Relaxed));
        self.draft.0.push(Transfer { ticket, fences: fences.to_vec(), transaction });
        ticket
    }
}

/// The ledger's answers that arrived for this tick.
#[derive(Resource, Default)]
pub struct Answers(pub(crate) Vec<(LedgerTicket, LedgerResult)>);

/// Reads the ledger's answers.
#[derive(SystemParam)]
pub struct Settled<'w> {
    answers: Res<'w, Answers>,
}

impl Settled<'_> {
    /// What became of an operation, in the tick in which the answer arrives.
    pub fn get(&self, ticket: LedgerTicket) -> Option<&LedgerResult> {
        self.answers.0.iter().find(|(answered, _)| *answered == ticket && ticket.is_some()).map(|(_, result)| result)
    }

    /// All answers to operations of systems.
    pub fn iter(&self) -> impl Iterator<Item = (LedgerTicket, &LedgerResult)> {
        self.answers.0.iter().filter(|(ticket, _)| ticket.is_some()).map(|(ticket, result)| (*ticket, result))
    }

    /// What agents have now, from every answer that says so, looks of the shard itself included.
    pub fn holdings(&self) -> impl Iterator<Item = &Holdings> {
        self.answers.0.iter().flat_map(|(_, result)| match result {
            LedgerResult::Done(holdings) => holdings.as_slice(),
            LedgerResult::Ground(_) | LedgerResult::Refused(_) | LedgerResult::Unavailable(_) => &[],
        })
    }

    /// What lies on the ground of this shard, when the ledger was asked.
    pub fn ground(&self) -> impl Iterator<Item = &Item> {
        self.answers.0.iter().flat_map(|(_, result)| match result {
            LedgerResult::Ground(items) => items.as_slice(),
            LedgerResult::Done(_) | LedgerResult::Refused(_) | LedgerResult::Unavailable(_) => &[],
        })
    }
}
