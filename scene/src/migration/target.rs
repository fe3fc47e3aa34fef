//! The side that takes.
//!
//! | state | happening | next | order |
//! |---|---|---|---|
//! | – | PREPARE, can take | Standby | answer STANDBY |
//! | Standby | Round | Standby | keep it, answer TAKEN |
//! | Standby | Final, same hash | Ready | answer READY |
//! | Standby | Final, other hash | gone | answer BAD, drop the copy |
//! | Standby | Cancelled, SourceLost, TimedOut | gone | drop the copy |
//! | Ready | Owned | gone | run the next tick |
//! | Ready | Cancelled | gone | drop the copy |
//! | Ready | Claimed by another | gone | drop the copy |
//!
//! Whatever is not in the table changes nothing. A target owns nothing and emits nothing before the journal names its own
//! incarnation; it then runs although the source may be dead. A target that is READY does not give up by itself: the source may
//! have asked the journal already, and then the shard is here or nowhere. If the source is lost it asks the journal.

use pangaea_schemas::mutant::Mutant;

/// Where a migration is, at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taking {
    /// Collects rounds.
    Standby,
    /// Has everything, and waits for the journal.
    Ready,
}

/// What a migration hears at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// A round came whole.
    Round,
    /// The last part came.
    Final {
        /// The copy has the source's hash.
        is_same: bool,
    },
    /// An OWNER entry with this very incarnation is durable.
    Owned,
    /// An OWNER entry of anybody else, newer than the source's, is durable.
    ClaimedByOther,
    /// The source changed its mind.
    Cancelled,
    /// The source's process is gone.
    SourceLost,
    /// Nothing came for too long.
    TimedOut,
}

/// What the target must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetOrder {
    /// Answer that the round arrived.
    Taken,
    /// Answer that everything is here and the same.
    Ready,
    /// Answer that the copy differs, and drop it.
    Bad,
    /// Drop the copy.
    Drop,
    /// Read the journal's owner: the source cannot tell any more.
    AskJournal,
    /// Run the next tick.
    Run,
}

impl Taking {
    /// Takes one step of the table. `None` in the first place: the migration is over.
    pub fn step(self, heard: Heard) -> (Option<Self>, Option<TargetOrder>) {
        match self {
            Self::Standby => match heard {
                Heard::Round => (Some(self), Some(TargetOrder::Taken)),
                Heard::Final { .. } if Mutant::RunBeforeOwned.lives() => (None, Some(TargetOrder::Run)),
                Heard::Final { is_same } if is_same || Mutant::CopyThatDiffers.lives() => {
                    (Some(Self::Ready), Some(TargetOrder::Ready))
                }
                Heard::Final { .. } => (None, Some(TargetOrder::Bad)),
                Heard::ClaimedByOther | Heard::Cancelled | Heard::SourceLost | Heard::TimedOut => (None, Some(TargetOrder::Drop)),
                Heard::Owned => (Some(self), None),
            },
            Self::Ready => match heard {
                Heard::Final { is_same: true } => (Some(self), Some(TargetOrder::Ready)),
                Heard::Owned => (None, Some(TargetOrder::Run)),
                Heard::ClaimedByOther | Heard::Cancelled => (None, Some(TargetOrder::Drop)),
                Heard::SourceLost | Heard::TimedOut => (Some(self), Some(TargetOrder::AskJournal)),
                Heard::Round | Heard::Final { is_same: false } => (Some(self), None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_taken_in_order() {
        let standby = Taking::Standby;
        assert_eq!(standby.step(Heard::Round), (Some(standby), Some(TargetOrder::Taken)));
        assert_eq!(standby.step(Heard::Final { is_same: true }), (Some(Taking::Ready), Some(TargetOrder::Ready)));
        assert_eq!(Taking::Ready.step(Heard::Owned), (None, Some(TargetOrder::Run)));
    }

    #[test]
    fn a_copy_that_differs_never_runs() {
        assert_eq!(Taking::Standby.step(Heard::Final { is_same: false }), (None, Some(TargetOrder::Bad)));
    }

    #[test]
    fn a_half_copy_does_not_run_whoever_says_so() {
        assert_eq!(Taking::Standby.step(Heard::Owned), (Some(Taking::Standby), None));
    }

    #[test]
    fn a_target_that_is_ready_asks_the_journal_and_does_not_guess() {
        for heard in [Heard::SourceLost, Heard::TimedOut] {
            assert_eq!(Taking::Ready.step(heard), (Some(Taking::Ready), Some(TargetOrder::AskJournal)));
        }
    }
}
