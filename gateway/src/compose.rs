//! One update per client and tick, out of what the client has been told and what is so.
//!
//! The nearest are told of in every round, everybody else in every fourth, a quarter of the slots at a time. Who comes into
//! sight is introduced between the two, nearest cells first. When the client's byte allowance is spent, what is left out stays
//! due: nothing is ever told in vain, and the far ones begin elsewhere each time, so nobody starves.

use bytes::Bytes;
use pangaea_schemas::geometry::Position;
use pangaea_schemas::wire::update::{Course, Slot, UpdateHead, UpdateWriter};
use pangaea_schemas::{AgentEpoch, EntityId, Tick, Timestamp};

use crate::cells::{CellStore, NEVER, Round, Shown};
use crate::interest::View;
use crate::known::Known;
use crate::limits::{Allowance, Rate};
use crate::session::Session;
use crate::slab::Key;

/// Rounds from one look at a far entity to the next: five looks per second at 20 Hz.
const FAR_ROUNDS: Round = 4;
/// Bytes of an update beside its entities, about.
const HEAD_BYTES: usize = 24;

/// Makes updates; keeps its buffers between them.
#[derive(Debug, Default)]
pub(crate) struct Composer {
    writer: UpdateWriter,
    ranks: Vec<(f32, u32)>,
}

/// One update in the making.
struct Draft<'a> {
    store: &'a CellStore,
    writer: &'a mut UpdateWriter,
    tick: Tick,
    /// Positions are told from here.
    origin: Position,
    /// The own agent; its place is in the update's head.
    own: EntityId,
}

impl Composer {
    /// The update of this round for one client.
    pub(crate) fn compose(&mut self, store: &CellStore, session: &mut Session, rate: Rate, now: Timestamp, tick: Tick) -> Bytes {
        let Self { writer, ranks } = self;
        let round = store.round();
        let own = session.claims.as_ref().map_or(EntityId::NONE, |claims| claims.agent);
        let origin = if session.claims.is_some() { session.agent.position } else { session.view.middle() };
        session.byte_allowance.refill(rate, now);
        session.byte_allowance.take(HEAD_BYTES);
        let mut draft = Draft { store, writer, tick, origin, own };
        // Clients take turns in being ranked.
        let turn = round.wrapping_add(session.conn.map_or(0, |conn| conn.0 as u32));
        if turn.is_multiple_of(FAR_ROUNDS) && own != EntityId::NONE {
            let place = |name| store.shown(name).map(|shown| shown.course.at(tick, store.seconds_per_tick()));
            session.view.known.rank(origin, ranks, place);
        }
        draft.tell_near(&mut session.view, &mut session.byte_allowance);
        draft.introduce(turn, &mut session.view, &mut session.byte_allowance);
        draft.tell_far(&mut session.view, &mut session.byte_allowance);
        writer.finish(&head(session, origin, tick))
    }
}

impl Draft<'_> {
    fn tell_near(&mut self, view: &mut View, allowance: &mut Allowance) {
        // Who is gone leaves the list: from behind, so that nobody is skipped.
        for n in (0..view.known.near()).rev() {
            if let Some(slot) = view.known.near_slot(n) {
                self.tell(view, slot, allowance);
            }
        }
    }

    fn tell_far(&mut self, view: &mut View, allowance: &mut Allowance) {
        let (round, slots) = (self.store.round(), view.known.slots());
        let groups = slots.div_ceil(FAR_ROUNDS);
        // Another beginning in each turn.
        let first = (round / FAR_ROUNDS).wrapping_mul(7).checked_rem(groups).unwrap_or(0);
        for group in (first..groups).chain(0..first) {
            let slot = group * FAR_ROUNDS + round % FAR_ROUNDS;
            if slot < slots {
                self.tell(view, Slot(slot), allowance);
            }
        }
    }

    /// Whatever the client does not know of the entity in a slot. Those who went out of sight go whatever it costs.
    fn tell(&mut self, view: &mut View, slot: Slot, allowance: &mut Allowance) {
        let (bounds, since) = (view.bounds(), view.since());
        let Some((id, known)) = view.known.get(slot) else { return };
        // What most of them are in most rounds.
        if since <= known.told && self.store.is_as_told(known.name, known.told) {
            return;
        }
        let shown = match self.store.shown(known.name) {
            Some(shown) => Some(shown),
            // It went out of sight and came back: the client need not know.
            None => self.store.find(id).and_then(|name| {
                *known = Known { name, told: NEVER };
                self.store.shown(name)
            }),
        };
        let Some(shown) = shown.filter(|shown| bounds.is_some_and(|bounds| bounds.contains(shown.cell))) else {
            self.writer.left(slot);
            return view.known.remove(slot);
        };
        if allowance.is_spent() {
            return;
        }
        let before = self.writer.bytes();
        if shown.shaped > known.told {
            self.enter(slot, known.name, shown);
        } else {
            if shown.moved > known.told && id != self.own {
                self.writer.moved(slot, self.course(shown));
            }
            if shown.altered > known.told
                && let Some(entity) = self.store.entity(known.name)
            {
                let news = entity.components.iter().filter(|(round, _)| *round > known.told);
                self.writer.changed(slot, news.map(|(_, component)| component));
            }
        }
        known.told = self.store.round();
        allowance.take(self.writer.bytes() - before);
    }

    /// Those who came into cells of the view, or into sight with them.
    fn introduce(&mut self, turn: Round, view: &mut View, allowance: &mut Allowance) {
        let (round, due) = (self.store.round(), view.due(turn));
        let View { seen, known, is_fresh, .. } = view;
        for seen in &mut seen[..due] {
            if self.store.entered(seen.key) <= seen.sent {
                continue;
            }
            let Some(cell) = self.store.cell(seen.key).filter(|cell| cell.live) else { continue };
            for member in cell.members.iter().filter(|member| member.entered > seen.sent) {
                let Some(shown) = self.store.shown(member.name).filter(|_| !known.contains(member.entity)) else { continue };
                if allowance.is_spent() {
                    return;
                }
                let told = Known { name: member.name, told: round };
                let Some(slot) = known.insert(member.entity, told) else { return };
                let before = self.writer.bytes();
                self.enter(slot, member.name, shown);
                allowance.take(self.writer.bytes() - before);
            }
            seen.sent = round;
        }
        *is_fresh = false;
    }

    fn enter(&mut self, slot: Slot, name: Key, shown: &Shown) {
        let (Some(entity), course) = (self.store.entity(name), self.course(shown)) else { return };
        self.writer.entered(slot, entity.id, course, entity.components.iter().map(|(_, component)| component));
    }

    fn course(&self, shown: &Shown) -> Course {
        let position = shown.course.at(self.tick, self.store.seconds_per_tick());
        Course::of(position, shown.course.velocity(), self.origin)
    }
}

fn head(session: &Session, position: Position, tick: Tick) -> UpdateHead {
    UpdateHead {
        tick,
        agent_epoch: session.owner.map_or_else(AgentEpoch::default, |owner| owner.epoch),
        in_seq: session.inputs.acknowledged(),
        applied: session.agent.applied,
        position,
        dilation_percent: 100,
    }
}
