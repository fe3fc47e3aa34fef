//! The end of a hand-over: both sides forget it, by one mark per pair of shards.
//!
//! | at | happening | next |
//! |---|---|---|
//! | source | SETTLED is pushed to the journal | remembered, not durable |
//! | source | it is durable | remembered, for [`FORWARD_MIN`] at least |
//! | source | all up to a mark are durable and old enough, none before it is open | say SETTLED(mark), again until answered |
//! | target | SETTLED(mark), higher than known | append STABLE(mark): answers up to it are forgotten; say STABLE once durable |
//! | target | SETTLED(mark), known | say STABLE once all is durable |
//! | source | STABLE(mark) | append FORGOTTEN: forwarders up to it are forgotten, but not those of who left again since |
//!
//! The target may forget its answers because no COMMIT up to the mark is said any more, and one that comes late is known by its
//! mark. The source may forget its forwarders because whoever asks here for somebody is served by the directory as well.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Mark, Xid};
use pangaea_schemas::{AgentEpoch, EntityId, ShardEpoch, Timestamp};

use super::{FORWARD_MIN, SETTLED_RESEND, UNSTABLE_MAX};

/// All finished hand-overs of a source whose forwarders it keeps.
#[derive(Clone, Debug, Default, Hash)]
pub struct Forwarders {
    lanes: BTreeMap<ShardId, Lane>,
}

/// Hand-overs to one target.
#[derive(Clone, Debug, Default, Hash)]
struct Lane {
    /// Number of the last one that was offered.
    last: u64,
    settled: BTreeMap<Mark, Settled>,
    say_at: Timestamp,
}

#[derive(Clone, Debug, Hash)]
struct Settled {
    /// Who went, with the epoch under which they went.
    members: Vec<(EntityId, AgentEpoch)>,
    /// Since when the journal has it.
    durable: Option<Timestamp>,
}

impl Forwarders {
    /// Starts with the forwarders that the journal holds, whose hand-overs an earlier owner settled. They count as the first
    /// of this owner, under `epoch`.
    pub fn recovered(
        now: Timestamp,
        epoch: ShardEpoch,
        forwarders: impl IntoIterator<Item = (EntityId, AgentEpoch, ShardId)>,
    ) -> Self {
        let mut lanes = BTreeMap::<ShardId, Lane>::new();
        for (entity, left_under, target) in forwarders {
            let mark = Mark { epoch, number: 0 };
            let settled = lanes.entry(target).or_default().settled.entry(mark);
            let settled = settled.or_insert(Settled { members: Vec::new(), durable: Some(now) });
            settled.members.push((entity, left_under));
        }
        Self { lanes }
    }

    /// The number of the next hand-over to `target`; `None`: too many wait for its answer.
    pub fn next_number(&mut self, target: ShardId) -> Option<u64> {
        let lane = self.lanes.entry(target).or_default();
        let room = lane.settled.len() < UNSTABLE_MAX;
        lane.last += u64::from(room);
        room.then_some(lane.last)
    }

    /// A hand-over is settled, but not durably yet.
    pub fn settled(&mut self, target: ShardId, xid: Xid, members: impl IntoIterator<Item = EntityId>) {
        let members = members.into_iter().map(|member| (member, xid.epoch)).collect();
        self.lanes.entry(target).or_default().settled.insert(xid.mark(), Settled { members, durable: None });
    }

    /// The journal has it.
    pub fn is_durable(&mut self, now: Timestamp, target: ShardId, mark: Mark) {
        if let Some(settled) = self.lanes.get_mut(&target).and_then(|lane| lane.settled.get_mut(&mark)) {
            settled.durable = Some(now);
        }
    }

    /// What to say now: to whom, and up to where. `open` is the first hand-over to a target that is not settled.
    pub fn poll(&mut self, now: Timestamp, open: impl Fn(ShardId) -> Option<Mark>) -> Vec<(ShardId, Mark)> {
        let mut said = Vec::new();
        for (target, lane) in self.lanes.iter_mut().filter(|(_, lane)| lane.say_at <= now && !lane.settled.is_empty()) {
            let open = open(*target);
            let old_enough = |settled: &Settled| settled.durable.is_some_and(|since| now.since(since) >= FORWARD_MIN);
            let over = |mark: Mark, settled: &Settled| old_enough(settled) && open.is_none_or(|open| mark < open);
            let upto = lane.settled.iter().take_while(|(mark, settled)| over(**mark, settled)).last();
            if let Some((upto, _)) = upto {
                lane.say_at = now + SETTLED_RESEND;
                said.push((*target, *upto));
            }
        }
        said
    }

    /// The target has answered: whose forwarders are needed no more, and the epoch under which they went.
    pub fn stable(&mut self, target: ShardId, upto: Mark) -> Vec<(EntityId, AgentEpoch)> {
        let Some(lane) = self.lanes.get_mut(&target) else { return Vec::new() };
        let mut over = Vec::new();
        while let Some(first) = lane.settled.first_entry().filter(|first| *first.key() <= upto) {
            over.extend(first.remove().members);
        }
        over
    }

    /// How many finished hand-overs are remembered.
    pub fn len(&self) -> usize {
        self.lanes.values().map(|lane| lane.settled.len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::geometry::SpaceId;

    const EAST: ShardId = ShardId { space: SpaceId(0), level: 3, x: 1, z: 0 };
    const AT: fn(u64) -> Timestamp = |ms| Timestamp(ms * 1_000);

    fn xid(number: u64) -> Xid {
        let source = ShardId { x: 0, ..EAST };
        Xid { entity: EntityId(number), epoch: AgentEpoch(number), source, source_epoch: ShardEpoch(4), number }
    }

    /// Hand-overs 1 to `count`, settled durably at 0.
    fn settled(count: u64) -> Forwarders {
        let mut forwarders = Forwarders::default();
        for number in 1..=count {
            assert_eq!(forwarders.next_number(EAST), Some(number));
            forwarders.settled(EAST, xid(number), [EntityId(number)]);
            forwarders.is_durable(AT(0), EAST, xid(number).mark());
        }
        forwarders
    }

    fn said(forwarders: &mut Forwarders, ms: u64, open: Option<u64>) -> Option<u64> {
        let open = |_| open.map(|number| xid(number).mark());
        forwarders.poll(AT(ms), open).first().map(|(_, upto)| upto.number)
    }

    #[test]
    fn forwarders_are_kept_for_a_while_and_then_until_the_target_answers() {
        let mut forwarders = settled(2);
        assert_eq!(said(&mut forwarders, 9_999, None), None);
        assert_eq!(said(&mut forwarders, 10_000, None), Some(2));
        assert_eq!(said(&mut forwarders, 10_500, None), None);
        assert_eq!(said(&mut forwarders, 11_000, None), Some(2), "said again: nobody answered");
        assert_eq!(forwarders.stable(EAST, xid(1).mark()), [(EntityId(1), AgentEpoch(1))]);
        assert_eq!(forwarders.stable(EAST, xid(1).mark()), [], "doubled");
        assert_eq!(forwarders.stable(EAST, xid(2).mark()), [(EntityId(2), AgentEpoch(2))]);
        assert!(forwarders.is_empty());
        assert_eq!(said(&mut forwarders, 60_000, None), None);
    }

    #[test]
    fn what_is_open_or_not_durable_holds_back_all_behind_it() {
        let mut forwarders = settled(3);
        assert_eq!(said(&mut forwarders, 10_000, Some(2)), Some(1));
        let mut forwarders = settled(1);
        forwarders.settled(EAST, xid(2), [EntityId(2)]);
        forwarders.settled(EAST, xid(3), [EntityId(3)]);
        forwarders.is_durable(AT(0), EAST, xid(3).mark());
        assert_eq!(said(&mut forwarders, 20_000, None), Some(1), "the second might come back after a crash");
    }

    #[test]
    fn a_new_owner_goes_on_with_the_forwarders_of_the_former() {
        let mut forwarders = Forwarders::recovered(AT(0), ShardEpoch(5), [(EntityId(1), AgentEpoch(7), EAST)]);
        assert_eq!(said(&mut forwarders, 10_000, Some(3)), None, "a hand-over of the former owner is open");
        let upto = forwarders.poll(AT(11_000), |_| None)[0].1;
        assert_eq!(upto, Mark { epoch: ShardEpoch(5), number: 0 });
        assert_eq!(forwarders.next_number(EAST), Some(1));
        assert_eq!(forwarders.stable(EAST, upto), [(EntityId(1), AgentEpoch(7))]);
    }

    #[test]
    fn without_answers_nobody_is_offered_beyond_a_bound() {
        let mut forwarders = settled(UNSTABLE_MAX as u64);
        assert_eq!(forwarders.next_number(EAST), None);
        forwarders.stable(EAST, xid(1).mark());
        assert_eq!(forwarders.next_number(EAST), Some(UNSTABLE_MAX as u64 + 1));
    }
}
