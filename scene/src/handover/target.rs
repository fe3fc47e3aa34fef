//! The side that takes.
//!
//! | what the fence of the leader says | and | answer to COMMIT |
//! |---|---|---|
//! | seen < xid.epoch | room was reserved | Take: append IN, run at once, ROUTE; ACK once durable |
//! | seen < xid.epoch | there is room | the same, under the next epoch |
//! | seen < xid.epoch | cannot take | Refuse: append REFUSED; REFUSE once durable |
//! | accepted ≥ xid.epoch | IN durable | Confirm: ACK again |
//! | accepted < xid.epoch ≤ seen | REFUSED durable | Deny: REFUSE again |
//! | seen ≥ xid.epoch | not durable yet | Wait: the answer comes when it is |
//! | (forgotten) | the source has settled it long ago | Wait: nobody wants an answer |
//!
//! Who has reserved nothing may be a new owner, after one that ran the members and showed them, and died before IN was durable.
//! An epoch has one owner: so they run under the next one. A source that takes back goes beyond that.
//!
//! `seen` is the highest epoch that any commit named, refused ones included; `accepted` the highest that was taken. They are kept
//! apart so that a doubled COMMIT of a refused hand-over is refused again, for ever. What they were for one hand-over is
//! remembered with it ([`Decision`]) until its source will not ask again; so the fences of entities may be forgotten before.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Decision, Fence, Mark, Xid};
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::{AgentEpoch, EntityId, Timestamp};

use super::{RESERVATION, RESERVATIONS_MAX};

/// What a commit is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitAnswer {
    /// Take them: new. They run under this epoch.
    Take(AgentEpoch),
    /// Turn them down for ever: new.
    Refuse,
    /// They are here, or were.
    Confirm,
    /// They were turned down.
    Deny,
    /// Say nothing: decided, but not durable yet; or settled long ago.
    Wait,
}

/// Whether those who come have room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It was promised to them.
    Reserved,
    /// There is some.
    Free,
    /// There is none.
    None,
}

/// The table above.
pub fn answer(fence: Fence, xid: Xid, room: Room, is_pending: bool) -> CommitAnswer {
    let seen = if Mutant::AcceptedForSeen.lives() { fence.accepted } else { fence.seen };
    match (seen < xid.epoch || Mutant::AcceptTwice.lives(), fence.accepted >= xid.epoch) {
        (true, _) => match room {
            Room::Reserved => CommitAnswer::Take(xid.epoch),
            Room::Free => CommitAnswer::Take(xid.epoch.next()),
            Room::None => CommitAnswer::Refuse,
        },
        (false, _) if is_pending => CommitAnswer::Wait,
        (false, true) => CommitAnswer::Confirm,
        (false, false) => CommitAnswer::Deny,
    }
}

/// A shard as the target of hand-overs: room promised, fences, answers that wait for the journal.
#[derive(Clone, Debug, Default, Hash)]
pub struct Arrivals {
    fences: BTreeMap<EntityId, Fence>,
    reserved: BTreeMap<Xid, (u32, Timestamp)>,
    /// Members of all in `reserved`.
    promised: u32,
    pending: BTreeSet<Xid>,
    lanes: BTreeMap<ShardId, Lane>,
}

/// What is remembered of the hand-overs from one source.
#[derive(Clone, Debug, Default, Hash)]
struct Lane {
    /// Up to here it will never ask again.
    stable: Mark,
    decided: BTreeMap<Mark, Decision>,
}

impl Arrivals {
    /// Starts from what the journal says.
    pub fn recovered(
        fences: impl IntoIterator<Item = (EntityId, Fence)>,
        decided: impl IntoIterator<Item = Decision>,
        stable: impl IntoIterator<Item = (ShardId, Mark)>,
    ) -> Self {
        let mut arrivals = Self { fences: fences.into_iter().collect(), ..Self::default() };
        for (source, upto) in stable {
            arrivals.lanes.entry(source).or_default().stable = upto;
        }
        for decision in decided {
            arrivals.decide(decision.xid, decision.refused);
        }
        arrivals
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
    pub fn forward(&self, entity: EntityId) -> Option<ShardId> {
        self.fences.get(&entity)?.forward
    }

    /// All forwarders: who, the epoch under which it went, where to.
    pub fn forwarders(&self) -> impl Iterator<Item = (EntityId, AgentEpoch, ShardId)> {
        self.fences.iter().filter_map(|(entity, fence)| Some((*entity, fence.seen, fence.forward?)))
    }

    /// Answers that sources may ask for again.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.lanes.values().flat_map(|lane| lane.decided.values())
    }

    /// Up to where each source will not ask again.
    pub fn marks(&self) -> impl Iterator<Item = (ShardId, Mark)> {
        self.lanes.iter().map(|(source, lane)| (*source, lane.stable))
    }

    /// Nobody asks for these any more, or they ceased to be. Who was born here stays known, or it could be born twice.
    pub fn forget(&mut self, entity: EntityId) {
        if let Some(fence) = self.fences.get_mut(&entity) {
            fence.forward = None;
            if !fence.born {
                self.fences.remove(&entity);
            }
        }
    }

    /// The source will never ask again about its hand-overs up to here: whom it took back from here. `None`: that is known.
    pub fn stable(&mut self, source: ShardId, upto: Mark) -> Option<Vec<(EntityId, AgentEpoch)>> {
        let lane = self.lanes.entry(source).or_default();
        if upto <= lane.stable {
            return None;
        }
        lane.stable = upto;
        let mut refused = Vec::new();
        while let Some(first) = lane.decided.first_entry().filter(|first| *first.key() <= upto) {
            let Decision { xid, refused: members } = first.remove();
            refused.extend(members.into_iter().map(|member| (member, xid.epoch)));
        }
        Some(refused)
    }

    fn decide(&mut self, xid: Xid, refused: Vec<EntityId>) {
        self.lanes.entry(xid.source).or_default().decided.insert(xid.mark(), Decision { xid, refused });
    }

    /// What the fence of the leader said when the hand-over was decided, or says now if it never was. `None`: its source has
    /// settled it long ago.
    fn remembered(&self, xid: Xid) -> Option<Fence> {
        let Some(lane) = self.lanes.get(&xid.source) else { return Some(self.fence(xid.entity)) };
        if xid.mark() <= lane.stable {
            return None;
        }
        Some(match lane.decided.get(&xid.mark()) {
            Some(Decision { refused, .. }) if refused.is_empty() => {
                Fence { seen: xid.epoch, accepted: xid.epoch, ..Fence::default() }
            }
            Some(_) => Fence { seen: xid.epoch, ..Fence::default() },
            None => self.fence(xid.entity),
        })
    }

    /// Reserves room unless the hand-over is old or `free` is used up. `None`: it is old, say nothing.
    pub fn reserve(&mut self, now: Timestamp, xid: Xid, members: u32, free: u32) -> Option<bool> {
        if xid.epoch <= self.fence(xid.entity).seen {
            return None;
        }
        self.release(xid);
        let fits = |this: &Self| this.promised + members <= free && this.reserved.len() < RESERVATIONS_MAX;
        if !fits(self) {
            self.expire(now);
        }
        let fits = fits(self);
        if fits {
            self.reserved.insert(xid, (members, now + RESERVATION));
            self.promised += members;
        }
        Some(fits)
    }

    /// What to do with a commit; a reservation is used up by it. Room for those without one is `free`.
    pub fn commit(&mut self, xid: Xid, members: u32, free: u32) -> CommitAnswer {
        let room = match self.release(xid) {
            true => Room::Reserved,
            false if self.promised + members <= free => Room::Free,
            false => Room::None,
        };
        self.remembered(xid).map_or(CommitAnswer::Wait, |fence| answer(fence, xid, room, self.pending.contains(&xid)))
    }

    /// The members are taken: IN is on its way into the journal.
    pub fn take(&mut self, xid: Xid, members: impl IntoIterator<Item = EntityId>) {
        for member in members {
            let fence = self.fence_mut(member);
            (fence.seen, fence.accepted, fence.forward) = (xid.epoch, xid.epoch, None);
        }
        self.decide(xid, Vec::new());
        self.pending.insert(xid);
    }

    /// The members are refused: REFUSED is on its way into the journal. Whoever looks for them here is sent back to the source.
    pub fn refuse(&mut self, xid: Xid, members: impl IntoIterator<Item = EntityId>) {
        let members: Vec<EntityId> = members.into_iter().collect();
        for member in &members {
            let fence = self.fence_mut(*member);
            (fence.seen, fence.forward) = (fence.seen.max(xid.epoch), Some(xid.source));
        }
        self.decide(xid, members);
        self.pending.insert(xid);
    }

    /// The answer is durable.
    pub fn settled(&mut self, xid: Xid) {
        self.pending.remove(&xid);
    }

    /// Takes back what was promised and has run out; to be called in each tick.
    pub fn expire(&mut self, now: Timestamp) {
        self.reserved.retain(|_, (_, until)| *until > now);
        self.promised = self.reserved.values().map(|(members, _)| members).sum();
    }

    /// `false`: nothing was reserved for it.
    fn release(&mut self, xid: Xid) -> bool {
        let released = self.reserved.remove(&xid);
        self.promised -= released.map_or(0, |(members, _)| members);
        released.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::ShardEpoch;
    use pangaea_schemas::geometry::SpaceId;

    fn xid(epoch: u64) -> Xid {
        let source = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
        Xid { entity: EntityId(5), epoch: AgentEpoch(epoch), source, source_epoch: ShardEpoch(1), number: epoch }
    }

    #[test]
    fn a_doubled_commit_is_taken_once() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Take(AgentEpoch(3)));
        arrivals.take(xid(2), [EntityId(5)]);
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Wait, "no answer before it is durable");
        arrivals.settled(xid(2));
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Confirm);
    }

    #[test]
    fn who_was_promised_room_lives_under_the_epoch_of_the_hand_over_and_with_a_later_owner_under_the_next() {
        let mut former = Arrivals::default();
        assert_eq!(former.reserve(Timestamp(0), xid(2), 1, 10), Some(true));
        assert_eq!(former.commit(xid(2), 1, 10), CommitAnswer::Take(AgentEpoch(2)));
        // It died before that was durable.
        assert_eq!(Arrivals::default().commit(xid(2), 1, 10), CommitAnswer::Take(AgentEpoch(3)));
    }

    #[test]
    fn a_refused_hand_over_stays_refused_when_there_is_room_again() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.commit(xid(2), 1, 0), CommitAnswer::Refuse);
        arrivals.refuse(xid(2), [EntityId(5)]);
        arrivals.settled(xid(2));
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Deny);
        assert_eq!(arrivals.commit(xid(4), 1, 10), CommitAnswer::Take(AgentEpoch(5)), "the next one is another matter");
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

    #[test]
    fn a_commit_that_comes_after_its_source_settled_it_is_not_heard_although_all_is_forgotten() {
        let mut arrivals = Arrivals::default();
        arrivals.take(xid(2), [EntityId(5)]);
        arrivals.refuse(xid(3), [EntityId(7)]);
        arrivals.settled(xid(2));
        arrivals.settled(xid(3));
        let source = xid(2).source;
        assert_eq!(arrivals.forward(EntityId(7)), Some(source), "who was refused is where it came from");
        assert_eq!(arrivals.stable(source, xid(3).mark()), Some(vec![(EntityId(7), AgentEpoch(3))]));
        assert_eq!(arrivals.stable(source, xid(3).mark()), None, "said again");
        for entity in [5, 7] {
            arrivals.forget(EntityId(entity));
        }
        assert_eq!(arrivals.fence(EntityId(5)), Fence::default());
        assert_eq!(arrivals.commit(xid(2), 1, 10), CommitAnswer::Wait);
        assert_eq!(arrivals.commit(xid(3), 1, 10), CommitAnswer::Wait);
        assert_eq!(arrivals.commit(xid(4), 1, 10), CommitAnswer::Take(AgentEpoch(5)));
    }

    #[test]
    fn a_new_owner_answers_as_the_former_did() {
        let decided = [Decision { xid: xid(2), refused: vec![] }, Decision { xid: xid(3), refused: vec![EntityId(5)] }];
        let stable = [(xid(1).source, xid(1).mark())];
        let mut arrivals = Arrivals::recovered([], decided, stable);
        let answers = [1, 2, 3, 4].map(|number| arrivals.commit(xid(number), 1, 10));
        use CommitAnswer::{Confirm, Deny, Take, Wait};
        assert_eq!(answers, [Wait, Confirm, Deny, Take(AgentEpoch(5))]);
    }

    #[test]
    fn who_was_born_here_is_never_forgotten() {
        let mut arrivals = Arrivals::default();
        arrivals.fence_mut(EntityId(5)).born = true;
        arrivals.forget(EntityId(5));
        assert!(arrivals.fence(EntityId(5)).born);
    }
}
