//! The side that gives.
//!
//! | state | happening | next | order |
//! |---|---|---|---|
//! | – | the world asks | Preparing | send PREPARE |
//! | Preparing | Standby | Copying | copy a round |
//! | Copying | RoundTaken, too much changed | Copying | copy a round of what changed |
//! | Copying | RoundTaken, little changed | Freezing | end this tick, tick no more, flush the journal |
//! | Preparing, Copying, Freezing | Declined, TimedOut, Cancelled, TargetLost | gone | go on: it owned the shard all along |
//! | Freezing | Flushed | Frozen | send FINAL |
//! | Frozen | Ready | Committing | append OWNER of the target |
//! | Frozen | Declined, TimedOut, Cancelled, TargetLost | Returning | append OWNER of this node |
//! | Committing | OwnerAppended | Given | tell the target and the followers, forward |
//! | Returning | OwnerAppended | gone | go on under the new epoch |
//! | Given | TargetRuns, TargetLost, TimedOut | gone | forget it: whoever takes over from the target has the journal |
//!
//! Whatever is not in the table changes nothing. Most of all: nothing but the journal ends Committing. The target may already
//! run, so neither a time-out, nor the loss of the target, nor an admin's change of mind gives the shard back. That the journal
//! is written by somebody newer is heard by [`crate::incarnation`], which drops the migration with everything else.

use pangaea_schemas::mutant::Mutant;

/// Where a migration is, at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Giving {
    /// The target was asked.
    Preparing,
    /// Rounds are copied while the shard ticks.
    Copying {
        /// Which round is on its way, from 1.
        round: u32,
    },
    /// The last tick is over; its journal entries are on their way.
    Freezing,
    /// Everything is sent; nothing ticks anywhere.
    Frozen,
    /// The target's OWNER entry is on its way: only the journal knows who owns the shard.
    Committing,
    /// The own OWNER entry is on its way.
    Returning,
    /// The target owns the shard.
    Given,
}

/// What a migration hears at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// The target stands by.
    Standby,
    /// The target cannot, or its copy differs.
    Declined,
    /// A round arrived whole.
    RoundTaken {
        /// What changed meanwhile can be copied between two ticks.
        is_small: bool,
    },
    /// All journal entries up to the last tick are durable.
    Flushed,
    /// The target has everything and its copy has the same hash.
    Ready,
    /// The OWNER entry asked for is durable.
    OwnerAppended,
    /// The target has made a tick durable.
    TargetRuns,
    /// The target's process is gone.
    TargetLost,
    /// Nobody answered for too long.
    TimedOut,
    /// An admin, the balancer or the end of this process.
    Cancelled,
}

/// What the source must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceOrder {
    /// Send what changed since the last round; all of it in the first.
    Copy {
        /// Which round.
        round: u32,
    },
    /// Tick no more; flush the journal.
    Freeze,
    /// Send what is left, and the hash of all.
    SendFinal,
    /// Append OWNER with the target's incarnation.
    AppendTarget,
    /// Append OWNER with the own incarnation.
    AppendSelf,
    /// Tell the target its index, tell followers the route, forward what comes.
    Hand,
    /// Go on ticking under the epoch in force, as if nothing had been.
    GoOn,
    /// The migration is over.
    Forget,
}

impl Giving {
    /// Takes one step of the table. `None` in the first place: the migration is over.
    pub fn step(self, heard: Heard) -> (Option<Self>, Option<SourceOrder>) {
        match self {
            Self::Preparing | Self::Copying { .. } | Self::Freezing => self.step_before_final(heard),
            Self::Frozen => match heard {
                Heard::Ready => (Some(Self::Committing), Some(SourceOrder::AppendTarget)),
                Heard::Declined | Heard::TimedOut | Heard::Cancelled | Heard::TargetLost => {
                    (Some(Self::Returning), Some(SourceOrder::AppendSelf))
                }
                Heard::Standby | Heard::RoundTaken { .. } | Heard::Flushed | Heard::OwnerAppended | Heard::TargetRuns => {
                    self.stay()
                }
            },
            Self::Committing | Self::Returning => self.step_at_journal(heard),
            Self::Given => match heard {
                Heard::TargetRuns | Heard::TargetLost | Heard::TimedOut => (None, Some(SourceOrder::Forget)),
                Heard::Standby
                | Heard::Declined
                | Heard::RoundTaken { .. }
                | Heard::Flushed
                | Heard::Ready
                | Heard::OwnerAppended
                | Heard::Cancelled => self.stay(),
            },
        }
    }

    /// The target cannot run yet: whatever goes wrong, this side goes on as if nothing had been.
    fn step_before_final(self, heard: Heard) -> (Option<Self>, Option<SourceOrder>) {
        match (self, heard) {
            (_, Heard::Declined | Heard::TimedOut | Heard::Cancelled | Heard::TargetLost) => (None, Some(SourceOrder::GoOn)),
            (Self::Preparing, Heard::Standby) => (Some(Self::Copying { round: 1 }), Some(SourceOrder::Copy { round: 1 })),
            (Self::Copying { .. }, Heard::RoundTaken { is_small: true }) => (Some(Self::Freezing), Some(SourceOrder::Freeze)),
            (Self::Copying { round }, Heard::RoundTaken { is_small: false }) if round < super::ROUNDS_MAX => {
                let round = round + 1;
                (Some(Self::Copying { round }), Some(SourceOrder::Copy { round }))
            }
            (Self::Copying { .. }, Heard::RoundTaken { is_small: false }) => (None, Some(SourceOrder::GoOn)),
            (Self::Freezing, Heard::Flushed) => (Some(Self::Frozen), Some(SourceOrder::SendFinal)),
            (
                Self::Preparing
                | Self::Copying { .. }
                | Self::Freezing
                | Self::Frozen
                | Self::Committing
                | Self::Returning
                | Self::Given,
                Heard::Standby
                | Heard::RoundTaken { .. }
                | Heard::Flushed
                | Heard::Ready
                | Heard::OwnerAppended
                | Heard::TargetRuns,
            ) => self.stay(),
        }
    }

    /// An OWNER entry is on its way: only the journal's answer counts.
    fn step_at_journal(self, heard: Heard) -> (Option<Self>, Option<SourceOrder>) {
        if heard == Heard::TimedOut && Mutant::AbandonCommit.lives() {
            return (None, Some(SourceOrder::GoOn));
        }
        match (heard == Heard::OwnerAppended, self == Self::Committing) {
            (true, true) => (Some(Self::Given), Some(SourceOrder::Hand)),
            (true, false) => (None, Some(SourceOrder::GoOn)),
            (false, _) => self.stay(),
        }
    }

    fn stay(self) -> (Option<Self>, Option<SourceOrder>) {
        (Some(self), None)
    }

    /// Whether the shard goes on ticking here.
    pub fn ticks(self) -> bool {
        match self {
            Self::Preparing | Self::Copying { .. } => true,
            Self::Freezing | Self::Frozen | Self::Committing | Self::Returning | Self::Given => false,
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Copying { .. } => "copying",
            Self::Freezing => "freezing",
            Self::Frozen => "frozen",
            Self::Committing => "committing",
            Self::Returning => "returning",
            Self::Given => "given",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Heard; 11] = [
        Heard::Standby,
        Heard::Declined,
        Heard::RoundTaken { is_small: true },
        Heard::RoundTaken { is_small: false },
        Heard::Flushed,
        Heard::Ready,
        Heard::OwnerAppended,
        Heard::TargetRuns,
        Heard::TargetLost,
        Heard::TimedOut,
        Heard::Cancelled,
    ];

    fn walk(happenings: &[Heard]) -> (Option<Giving>, Vec<SourceOrder>) {
        let (mut state, mut orders) = (Some(Giving::Preparing), Vec::new());
        for heard in happenings {
            let Some(giving) = state else { break };
            let (next, order) = giving.step(*heard);
            state = next;
            orders.extend(order);
        }
        (state, orders)
    }

    #[test]
    fn a_shard_is_given_in_order() {
        let (end, orders) = walk(&[
            Heard::Standby,
            Heard::RoundTaken { is_small: false },
            Heard::RoundTaken { is_small: true },
            Heard::Flushed,
            Heard::Ready,
            Heard::OwnerAppended,
            Heard::TargetRuns,
        ]);
        assert_eq!(end, None);
        use SourceOrder::*;
        assert_eq!(
            orders,
            [Copy { round: 1 }, Copy { round: 2 }, Freeze, SendFinal, AppendTarget, Hand, Forget],
            "each step once"
        );
    }

    #[test]
    fn a_shard_that_never_calms_down_stays() {
        let mut happenings = vec![Heard::Standby];
        happenings.extend([Heard::RoundTaken { is_small: false }; 20]);
        let (end, orders) = walk(&happenings);
        assert_eq!(end, None);
        assert_eq!(orders.last(), Some(&SourceOrder::GoOn));
        assert_eq!(orders.len() as u32, super::super::ROUNDS_MAX + 1);
    }

    #[test]
    fn nothing_but_the_journal_ends_a_commit() {
        for committing in [Giving::Committing, Giving::Returning] {
            for heard in ALL {
                let (next, order) = committing.step(heard);
                assert_eq!(next == Some(committing) && order.is_none(), heard != Heard::OwnerAppended, "{heard:?}");
            }
        }
    }

    #[test]
    fn once_everything_is_sent_only_an_own_entry_brings_the_shard_back() {
        for heard in [Heard::Declined, Heard::TimedOut, Heard::Cancelled, Heard::TargetLost] {
            assert_eq!(Giving::Freezing.step(heard), (None, Some(SourceOrder::GoOn)));
            assert_eq!(Giving::Frozen.step(heard), (Some(Giving::Returning), Some(SourceOrder::AppendSelf)));
        }
    }

    #[test]
    fn only_a_source_that_did_not_freeze_ticks() {
        let ticking = [Giving::Preparing, Giving::Copying { round: 3 }];
        let still = [Giving::Freezing, Giving::Frozen, Giving::Committing, Giving::Returning, Giving::Given];
        assert!(ticking.iter().all(|state| state.ticks()) && !still.iter().any(|state| state.ticks()));
    }
}
