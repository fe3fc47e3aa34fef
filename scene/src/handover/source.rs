//! The side that lets go.
//!
//! | state | happening | next | order |
//! |---|---|---|---|
//! | – | an entity stands beyond | Offered | send OFFER |
//! | Offered | Reserved | Reserved | – |
//! | Offered, Reserved | Refused offer, TimedOut, CameBack | gone | forget: it has been running all along |
//! | Reserved | TickEnded | Leaving | take it out of the live set, append OUT |
//! | Leaving | OutDurable | Out | send COMMIT and HINT |
//! | Out | TimedOut | Out | send COMMIT again |
//! | Out | Accepted | gone | append SETTLED, forward from now on |
//! | Out | Refused | gone | append it as live under the next epoch, run it |
//!
//! Whatever is not in the table changes nothing: a late answer, an answer to another hand-over, a time-out past the commit point.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::journal::{Departure, Mark, Xid};
use pangaea_schemas::message::ClientInput;
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::record::Record;
use pangaea_schemas::{EntityId, Timestamp};

use super::{COMMIT_RESEND, COMMIT_RESEND_MAX, OFFER_TIMEOUT, RESERVATION};

/// Where a hand-over is, at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Letting {
    /// The target was asked.
    Offered,
    /// The target would take it.
    Reserved,
    /// OUT is on its way into the journal.
    Leaving,
    /// OUT is durable: the commit point is passed.
    Out,
}

/// What a hand-over hears at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// The target reserved room.
    Reserved,
    /// The target has none.
    NotWanted,
    /// The entity stands inside again, or may not leave now.
    CameBack,
    /// The tick is over and the entity still stands beyond.
    TickEnded,
    /// OUT is durable.
    OutDurable,
    /// Nobody answered for a while.
    TimedOut,
    /// The target has it durably.
    Accepted,
    /// The target refused it durably.
    Refused,
}

/// What the source must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceOrder {
    /// Nothing was bound: drop the hand-over.
    Forget,
    /// Take the members out of the live set and append OUT.
    LetGo,
    /// Tell the target, and the gateways.
    Commit,
    /// Append SETTLED; from now on the shard only forwards.
    Settle,
    /// Append the members as live under the next epoch and run them.
    TakeBack,
}

impl Letting {
    /// Takes one step of the table.
    pub fn step(&mut self, heard: Heard) -> Option<SourceOrder> {
        match (*self, heard) {
            (Self::Offered, Heard::Reserved) => {
                *self = Self::Reserved;
                None
            }
            (Self::Offered | Self::Reserved, Heard::NotWanted | Heard::CameBack | Heard::TimedOut) => Some(SourceOrder::Forget),
            (Self::Reserved, Heard::TickEnded) => {
                *self = if Mutant::CommitBeforeOut.lives() { Self::Out } else { Self::Leaving };
                Some(SourceOrder::LetGo)
            }
            (Self::Leaving, Heard::OutDurable) => {
                *self = Self::Out;
                Some(SourceOrder::Commit)
            }
            (Self::Out, Heard::TimedOut) if Mutant::DestroyBeforeAccept.lives() => Some(SourceOrder::Settle),
            (Self::Out, Heard::TimedOut) if Mutant::ResumeByTimeout.lives() => Some(SourceOrder::TakeBack),
            (Self::Out, Heard::TimedOut) => Some(SourceOrder::Commit),
            (Self::Out, Heard::Accepted) => Some(SourceOrder::Settle),
            (Self::Out, Heard::Refused) => Some(SourceOrder::TakeBack),
            (Self::Offered, Heard::TickEnded | Heard::OutDurable | Heard::Accepted | Heard::Refused)
            | (Self::Reserved, Heard::Reserved | Heard::OutDurable | Heard::Accepted | Heard::Refused)
            | (
                Self::Leaving,
                Heard::Reserved
                | Heard::NotWanted
                | Heard::CameBack
                | Heard::TickEnded
                | Heard::TimedOut
                | Heard::Accepted
                | Heard::Refused,
            )
            | (Self::Out, Heard::Reserved | Heard::NotWanted | Heard::CameBack | Heard::TickEnded | Heard::OutDurable) => None,
        }
    }

    /// Whether the members are still in the live set.
    pub fn is_live(self) -> bool {
        match self {
            Self::Offered | Self::Reserved => true,
            Self::Leaving | Self::Out => false,
        }
    }
}

/// A hand-over and its payload.
#[derive(Clone, Debug, Hash)]
pub struct Leave {
    /// Where it is.
    pub letting: Letting,
    /// Where to.
    pub target: ShardId,
    /// Who, the leader first.
    pub members: Vec<EntityId>,
    /// Their states, once they are taken out of the live set.
    pub records: Vec<Record>,
    /// Inputs that came but were not applied.
    pub inputs: Vec<ClientInput>,
    due: Timestamp,
    wait: Duration,
}

/// All hand-overs that a shard has begun.
#[derive(Clone, Debug, Default, Hash)]
pub struct Leaves {
    by_xid: BTreeMap<Xid, Leave>,
    by_entity: BTreeMap<EntityId, Xid>,
}

impl Leaves {
    /// Begins a hand-over.
    pub fn offer(&mut self, now: Timestamp, xid: Xid, target: ShardId, members: Vec<EntityId>) {
        let leave = Leave {
            letting: Letting::Offered,
            target,
            members,
            records: Vec::new(),
            inputs: Vec::new(),
            due: now + OFFER_TIMEOUT,
            wait: COMMIT_RESEND,
        };
        self.insert(xid, leave);
    }

    /// Goes on with a hand-over that an earlier owner of the shard committed.
    pub fn recover(&mut self, now: Timestamp, departure: Departure) {
        let leave = Leave {
            letting: Letting::Out,
            target: departure.target,
            members: departure.members.iter().map(|record| record.entity).collect(),
            records: departure.members,
            inputs: Vec::new(),
            due: now,
            wait: COMMIT_RESEND,
        };
        self.insert(departure.xid, leave);
    }

    fn insert(&mut self, xid: Xid, leave: Leave) {
        for member in &leave.members {
            self.by_entity.insert(*member, xid);
        }
        self.by_xid.insert(xid, leave);
    }

    /// Takes one step, and starts the clock anew.
    pub fn step(&mut self, now: Timestamp, xid: Xid, heard: Heard) -> Option<SourceOrder> {
        let leave = self.by_xid.get_mut(&xid)?;
        let order = leave.letting.step(heard);
        match leave.letting {
            Letting::Offered | Letting::Leaving => {}
            Letting::Reserved if heard == Heard::Reserved => leave.due = now + RESERVATION,
            Letting::Reserved => {}
            Letting::Out => {
                if order == Some(SourceOrder::Commit) {
                    leave.due = now + leave.wait;
                    leave.wait = (leave.wait * 2).min(COMMIT_RESEND_MAX);
                }
            }
        }
        order
    }

    /// The hand-over is over: its payload.
    pub fn remove(&mut self, xid: Xid) -> Option<Leave> {
        let leave = self.by_xid.remove(&xid)?;
        for member in &leave.members {
            if self.by_entity.get(member) == Some(&xid) {
                self.by_entity.remove(member);
            }
        }
        Some(leave)
    }

    /// The entity is live here again although an older hand-over of it is not settled yet: it is no longer away.
    pub fn came_home(&mut self, entity: EntityId) {
        self.by_entity.remove(&entity);
    }

    /// The hand-over that an answer from `from` is about; `None`: it is over, or was another shard's to answer.
    pub fn answered(&self, from: ShardId, xid: Xid) -> Option<Xid> {
        let xid = if Mutant::RefusalOfAnotherEpoch.lives() { *self.by_entity.get(&xid.entity)? } else { xid };
        self.by_xid.get(&xid).filter(|leave| leave.target == from).map(|_| xid)
    }

    /// The payload of a hand-over.
    pub fn leave(&self, xid: Xid) -> Option<&Leave> {
        self.by_xid.get(&xid)
    }

    /// The payload of a hand-over, to fill.
    pub fn leave_mut(&mut self, xid: Xid) -> Option<&mut Leave> {
        self.by_xid.get_mut(&xid)
    }

    /// The hand-over that an entity takes part in.
    pub fn of(&self, entity: EntityId) -> Option<(Xid, &Leave)> {
        let xid = *self.by_entity.get(&entity)?;
        Some((xid, self.by_xid.get(&xid)?))
    }

    /// Whether the entity has left the live set and nobody has confirmed to have it.
    pub fn is_away(&self, entity: EntityId) -> bool {
        self.of(entity).is_some_and(|(_, leave)| !leave.letting.is_live())
    }

    /// Who has left the live set and is confirmed by nobody.
    pub fn away(&self) -> impl Iterator<Item = EntityId> {
        self.by_xid.values().filter(|leave| !leave.letting.is_live()).flat_map(|leave| leave.members.iter().copied())
    }

    /// The shard that will say where an entity is which has left the live set; `None`: it has not left, or it is known.
    pub fn undecided(&self, entity: EntityId) -> Option<ShardId> {
        self.of(entity).filter(|(_, leave)| !leave.letting.is_live()).map(|(_, leave)| leave.target)
    }

    /// The first hand-over from the name `source` to `target` that is not over.
    pub fn first(&self, source: ShardId, target: ShardId) -> Option<Mark> {
        let between = |(xid, leave): &(&Xid, &Leave)| xid.source == source && leave.target == target;
        self.by_xid.iter().filter(between).map(|(xid, _)| xid.mark()).min()
    }

    /// Sends commits to `target`, or to what it stands in the place of, again at once: it has a new owner.
    pub fn hurry(&mut self, now: Timestamp, target: ShardId) {
        for leave in self.by_xid.values_mut().filter(|l| l.target.overlaps(target) && l.letting == Letting::Out) {
            (leave.due, leave.wait) = (now, COMMIT_RESEND);
        }
    }

    /// Hand-overs whose time is up.
    pub fn due(&self, now: Timestamp) -> Vec<Xid> {
        self.by_xid.iter().filter(|(_, l)| l.letting != Letting::Leaving && l.due <= now).map(|(xid, _)| *xid).collect()
    }

    /// Hand-overs in a state, in order.
    pub fn in_state(&self, letting: Letting) -> Vec<Xid> {
        self.by_xid.iter().filter(|(_, l)| l.letting == letting).map(|(xid, _)| *xid).collect()
    }

    /// Hand-overs that nothing binds yet: those offered, then those reserved, each in order.
    pub fn revocable(&self) -> Vec<Xid> {
        [Letting::Offered, Letting::Reserved].into_iter().flat_map(|letting| self.in_state(letting)).collect()
    }

    /// Hand-overs past their commit point, with their payload.
    pub fn out(&self) -> impl Iterator<Item = (Xid, &Leave)> {
        self.by_xid.iter().filter(|(_, leave)| leave.letting == Letting::Out).map(|(xid, leave)| (*xid, leave))
    }

    /// How many hand-overs there are.
    pub fn len(&self) -> usize {
        self.by_xid.len()
    }

    /// Whether nobody is leaving.
    pub fn is_empty(&self) -> bool {
        self.by_xid.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Heard; 8] = [
        Heard::Reserved,
        Heard::NotWanted,
        Heard::CameBack,
        Heard::TickEnded,
        Heard::OutDurable,
        Heard::TimedOut,
        Heard::Accepted,
        Heard::Refused,
    ];

    #[test]
    fn an_agent_leaves_in_order() {
        let mut letting = Letting::Offered;
        assert_eq!(letting.step(Heard::TickEnded), None, "not before the target has room");
        assert_eq!(letting.step(Heard::Reserved), None);
        assert_eq!(letting.step(Heard::TickEnded), Some(SourceOrder::LetGo));
        assert!(!letting.is_live());
        assert_eq!(letting.step(Heard::OutDurable), Some(SourceOrder::Commit));
        assert_eq!(letting.step(Heard::TimedOut), Some(SourceOrder::Commit));
        assert_eq!(letting.step(Heard::Accepted), Some(SourceOrder::Settle));
    }

    #[test]
    fn before_out_is_durable_nothing_is_told_and_nothing_taken_back() {
        for heard in ALL {
            let mut letting = Letting::Leaving;
            let order = letting.step(heard);
            assert_eq!(order, (heard == Heard::OutDurable).then_some(SourceOrder::Commit), "{heard:?}");
        }
    }

    #[test]
    fn past_the_commit_point_only_a_refusal_gives_back() {
        for heard in ALL {
            let mut letting = Letting::Out;
            let order = letting.step(heard);
            assert_eq!(order == Some(SourceOrder::TakeBack), heard == Heard::Refused, "{heard:?}");
            assert_ne!(order, Some(SourceOrder::Forget));
        }
    }
}
