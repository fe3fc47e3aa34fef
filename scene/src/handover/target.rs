//! The side that takes.
//!
//! | what the fence of the leader says | and | answer to COMMIT |
//! |---|---|---|
//! | seen < xid.epoch | can take | Take: append IN, run at once, ROUTE; ACK once durable |
//! | seen < xid.epoch | cannot take | Refuse: append REFUSED; REFUSE once durable |
//! | accepted ≥ xid.epoch | IN durable | Confirm: ACK again |
//! | accepted < xid.epoch ≤ seen | REFUSED durable | Deny: REFUSE again |
//! | seen ≥ xid.epoch | not durable yet | Wait: the answer comes when it is |
//!
//! `seen` is the highest epoch that any commit named, refused ones included; `accepted` the highest that was taken. They are kept
//! apart so that a doubled COMMIT of a refused hand-over is refused again, for ever.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::journal::{Fence, Xid};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::{EntityId, Timestamp};

use super::{RESERVATION, RESERVATIONS_MAX};

/// What a commit is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitAnswer {
    /// Take them: new.
    Take,
    /// Turn them down for ever: new.
    Refuse,
    /// They are here, or were.
    Confirm,
    /// They were turned down.
    Deny,
    /// Decided, but not durable yet.
    Wait,
}

/// The table above.
pub fn answer(fence: Fence, xid: Xid, can_take: bool, is_pending: bool) -> CommitAnswer {
    let seen = if Mutant::AcceptedForSeen.lives() { fence.accepted } else { fence.seen };
    match (seen < xid.epoch || Mutant::AcceptTwice.lives(), fence.accepted >= xid.epoch) {
        (true, _) if can_take => CommitAnswer::Take,
        (true, _) => CommitAnswer::Refuse,
        (false, _) if is_pending => CommitAnswer::Wait,
        (false, true) => CommitAnswer::Confirm,
        (false, false) => CommitAnswer::Deny,
    }
}

/// A shard as the target of hand-overs: room promised, fences, answers that wait for the journal.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    fences: BTreeMap<EntityId, Fence>,
    reserved: BTreeMap<Xid, (u32, Timestamp)>,
    pending: BTreeSet<Xid>,
}

impl Arrivals {
    /// Starts from what the journal says.
    pub fn recovered(fences: impl IntoIterator<Item = (EntityId, Fence)>) -> Self {
        Self { fences: fences.into_iter().collect(), ..Self::default() }
    }

    /// All fences, in order.
    pub fn fences(&self) -> impl Iterator<Item = (EntityId, Fence)> {
        self.fences.iter().map(|(entity, fence)| (*entity, *fence))
    }

    /// The fence of an entity; default for one that was never here.
    pub fn fence(&self, entity: EntityId) -> Fence {
        self.fences.get(&entity).copied().unwrap_or_default()
    }

    /// The fence of an entity, to raise.
    pub fn fence_mut(&mut self, entity: EntityId) -> &mut Fence {
        self.fences.entry(entity).or_default()
    }

    /// Where an entity went that is no longer here.
    pub fn forward(&self, entity: EntityId) -> Option<pangaea_schemas::geometry::ShardId> {
        self.fences.get(&entity)?.forward
    }

    /// Reserves room unless the hand-over is old or `free` is used up. `None`: it is old, say nothing.
    pub fn reserve(&mut self, now: Timestamp, xid: Xid, members: u32, free: u32) -> Option<bool> {
        if xid.epoch <= self.fence(xid.entity).seen {
            return None;
        }
        self.expire(now);
        self.reserved.remove(&xid);
        let fits = self.promised() + members <= free && self.reserved.len() < RESERVATIONS_MAX;
        if fits {
            self.reserved.insert(xid, (members, now + RESERVATION));
        }
        Some(fits)
    }

    /// What to do with a commit; a reservation is used up by it. Room for those without one is `free`.
    pub fn commit(&mut self, xid: Xid, members: u32, free: u32) -> CommitAnswer {
        let fits = self.reserved.remove(&xid).is_some() || self.promised() + members <= free;
        answer(self.fence(xid.entity), xid, fits, self.pending.contains(&xid))
    }

    /// The members are taken: IN is on its way into the journal.
    pub fn take(&mut self, xid: Xid, members: impl IntoIterator<Item = EntityId>) {
        for member in members {
            let fence = self.fence_mut(member);
            (fence.seen, fence.accepted, fence.forward) = (xid.epoch, xid.epoch, None);
        }
        self.pending.insert(xid);
    }

    /// The members are refused: REFUSED is on its way into the journal.
    pub fn refuse(&mut self, xid: Xid, members: impl IntoIterator<Item = EntityId>) {
        for member in members {
            let fence = self.fence_mut(member);
            fence.seen = fence.seen.max(xid.epoch);
        }
        self.pending.insert(xid);
    }

    /// The answer is durable.
    pub fn settled(&mut self, xid: Xid) {
        self.pending.remove(&xid);
    }

    fn promised(&self) -> u32 {
        self.reserved.values().map(|(members, _)| members).sum()
    }

    fn expire(&mut self, now: Timestamp) {
        self.reserved.retain(|_, (_, until)| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::geometry::{ShardId, SpaceId};
    use pangaea_schemas::{AgentEpoch, ShardEpoch};

    fn xid(epoch: u64) -> Xid {
        let source = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
        Xid { entity: EntityId(5), epoch: AgentEpoch(epoch), source, source_epoch: ShardEpoch(1) }
    }

    #[test]
    fn a_doubled_commit_is_taken_once() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Take);
        arrivals.take(xid(2), [EntityId(5)]);
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Wait, "no answer before it is durable");
        arrivals.settled(xid(2));
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Confirm);
    }

    #[test]
    fn a_refused_hand_over_stays_refused_when_there_is_room_again() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.commit(xid(2), 1, 0), CommitAnswer::Refuse);
        arrivals.refuse(xid(2), [EntityId(5)]);
        arrivals.settled(xid(2));
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Deny);
        assert_eq!(arrivals.commit(xid(4), 1, 10), CommitAnswer::Take, "the next one is another matter");
    }

    #[test]
    fn reservations_count_and_run_out() {
        let mut arrivals = Arrivals::default();
        let at = |ms: u64| Timestamp(ms * 1_000);
        assert_eq!(arrivals.reserve(at(0), xid(2), 3, 4), Some(true));
        let other = Xid { entity: EntityId(6), ..xid(2) };
        assert_eq!(arrivals.reserve(at(1), other, 2, 4), Some(false));
        assert_eq!(arrivals.reserve(at(2_000), other, 2, 4), Some(true), "the first has run out");
    }

    #[test]
    fn old_offers_are_not_even_answered() {
        let mut arrivals = Arrivals::default();
        arrivals.take(xid(5), [EntityId(5)]);
        assert_eq!(arrivals.reserve(Timestamp(0), xid(5), 1, 10), None);
        assert_eq!(arrivals.reserve(Timestamp(0), xid(4), 1, 10), None);
    }
}
