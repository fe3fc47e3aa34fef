//! One owner's life over a shard: who may run it is decided by the shard's journal alone.
//!
//! | state | happening | next | order |
//! |---|---|---|---|
//! | Off, Fenced | Assigned | Claiming | append OWNER at the guessed tail |
//! | Claiming | Conflict, epoch ≤ `above` | Claiming | append OWNER at the tail that was told |
//! | Claiming | Conflict, epoch > `above` | Off | – somebody newer than the world knew owns it |
//! | Claiming | OrderIsOld | Off | retire: whoever was to be replaced may be back |
//! | Claiming | OwnerAppended | Recovering | load the state |
//! | Recovering | Replayed, own epoch | Fencing | raise the fences |
//! | Recovering | Replayed, lower epoch or index | Recovering | load the state again |
//! | Fencing | FencesRaised | Running | run |
//! | Running | Doubted | Unconfirmed | – motion goes on: no acknowledgement, no hand-over, no value |
//! | Unconfirmed | Confirmed | Running | – |
//! | Unconfirmed | DoubtedTooLong | Fenced | stop |
//! | Running, Unconfirmed | GivenAway | Fenced | retire: the journal names another owner, by this one's own hand |
//! | Off, Fenced | Inherited | Running | – the journal names this start, by its former owner's hand |
//! | Running, Unconfirmed | Renewed | Running, higher epoch | – |
//! | all but Off, Fenced | Superseded by a higher epoch, or Conflict past the claim | Fenced | stop |
//!
//! Whatever is not in the table changes nothing. An epoch that was only read never gives the right to run: the way to Running
//! leads over an OWNER entry that this very process start appended.

use pangaea_schemas::message::ShardPhase;
use pangaea_schemas::mutant::Mutant;
use pangaea_schemas::{JournalIndex, ShardEpoch};

/// Where the owner is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Incarnation {
    /// Never asked for.
    #[default]
    Off,
    /// An OWNER entry is on its way.
    Claiming {
        /// Give up when the journal is beyond this.
        above: ShardEpoch,
        /// The epoch asked for.
        epoch: ShardEpoch,
    },
    /// The OWNER entry is durable; the state is being read.
    Recovering {
        /// In force.
        epoch: ShardEpoch,
        /// Where the OWNER entry is.
        owner: JournalIndex,
    },
    /// The state is here; agents' epochs are being raised.
    Fencing {
        /// In force.
        epoch: ShardEpoch,
    },
    /// Ticking.
    Running {
        /// In force.
        epoch: ShardEpoch,
    },
    /// Ticking without lease or journal.
    Unconfirmed {
        /// In force, as far as known.
        epoch: ShardEpoch,
    },
    /// Somebody else owns the shard.
    Fenced {
        /// The last own epoch.
        epoch: ShardEpoch,
    },
}

/// What an incarnation hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// The world wants this node to own the shard.
    Assigned {
        /// Not if the journal is beyond this epoch.
        above: ShardEpoch,
        /// Where the journal ended when this node last heard of it; zero for never.
        tail: JournalIndex,
    },
    /// The world wanted it long ago, and the claim is to be made anew.
    OrderIsOld,
    /// The own OWNER entry is durable.
    OwnerAppended {
        /// Where.
        index: JournalIndex,
    },
    /// An append of this incarnation found another tail, and it was not its own doing.
    Conflict {
        /// The tail found.
        tail: JournalIndex,
        /// The epoch in force.
        epoch: ShardEpoch,
    },
    /// The state was read.
    Replayed {
        /// The fold of the journal up to here.
        index: JournalIndex,
        /// The epoch in force there.
        epoch: ShardEpoch,
    },
    /// Raised epochs are durable.
    FencesRaised,
    /// The lease or the journal is away.
    Doubted,
    /// Both are back.
    Confirmed,
    /// They were away for longer than allowed.
    DoubtedTooLong,
    /// An OWNER entry of this incarnation that names another is durable: the end of a migration, at its source.
    GivenAway,
    /// An OWNER entry that names this very process start is durable, and so is everything before it here: the end of a migration,
    /// at its target.
    Inherited {
        /// In force.
        epoch: ShardEpoch,
    },
    /// Another OWNER entry of this incarnation is durable: a migration that came to nothing.
    Renewed {
        /// In force.
        epoch: ShardEpoch,
    },
    /// Somebody speaks of an epoch of this shard.
    Superseded {
        /// Which.
        epoch: ShardEpoch,
    },
}

/// What the shard must do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Append the OWNER entry.
    Claim {
        /// Under this epoch.
        epoch: ShardEpoch,
        /// At this tail.
        expected: JournalIndex,
    },
    /// Read the state.
    Load,
    /// Raise the epochs of awake players' agents, durably.
    RaiseFences,
    /// Tick.
    Run,
    /// Drop everything volatile.
    Stop,
    /// The same, in good order: a successor has it, or may have it still.
    Retire,
}

impl Incarnation {
    /// The epoch in force here; `None` before the OWNER entry is durable and after the end.
    pub fn epoch(self) -> Option<ShardEpoch> {
        match self {
            Self::Recovering { epoch, .. } | Self::Fencing { epoch } | Self::Running { epoch } | Self::Unconfirmed { epoch } => {
                Some(epoch)
            }
            Self::Off | Self::Claiming { .. } | Self::Fenced { .. } => None,
        }
    }

    /// Whether the world ticks.
    pub fn ticks(self) -> bool {
        matches!(self, Self::Running { .. } | Self::Unconfirmed { .. })
    }

    /// Whether hand-overs, value and acknowledgements are allowed.
    pub fn is_confirmed(self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// As reported to the world; `None` for a shard that this node has nothing to do with.
    pub fn phase(self) -> Option<ShardPhase> {
        match self {
            Self::Off => None,
            Self::Claiming { .. } => Some(ShardPhase::Claiming),
            Self::Recovering { .. } => Some(ShardPhase::Recovering),
            Self::Fencing { .. } => Some(ShardPhase::Fencing),
            Self::Running { .. } => Some(ShardPhase::Running),
            Self::Unconfirmed { .. } => Some(ShardPhase::Unconfirmed),
            Self::Fenced { .. } => Some(ShardPhase::Fenced),
        }
    }

    /// Takes one step of the table.
    pub fn step(&mut self, happening: Happening) -> Option<Order> {
        match happening {
            Happening::Assigned { above, tail } => self.assigned(above, tail),
            Happening::OrderIsOld => {
                let Self::Claiming { .. } = *self else { return None };
                *self = Self::Off;
                Some(Order::Retire)
            }
            Happening::OwnerAppended { index } => {
                let Self::Claiming { epoch, .. } = *self else { return None };
                *self = Self::Recovering { epoch, owner: index };
                Some(Order::Load)
            }
            Happening::Conflict { tail, epoch } => self.conflict(tail, epoch),
            Happening::Replayed { index, epoch } => self.replayed(index, epoch),
            Happening::FencesRaised => {
                let Self::Fencing { epoch } = *self else { return None };
                *self = Self::Running { epoch };
                Some(Order::Run)
            }
            Happening::Doubted => {
                let Self::Running { epoch } = *self else { return None };
                *self = Self::Unconfirmed { epoch };
                None
            }
            Happening::Confirmed => {
                let Self::Unconfirmed { epoch } = *self else { return None };
                *self = Self::Running { epoch };
                None
            }
            Happening::DoubtedTooLong => match *self {
                Self::Unconfirmed { .. } if Mutant::DoubtForEver.lives() => None,
                Self::Unconfirmed { epoch } => self.stop(epoch),
                Self::Off
                | Self::Claiming { .. }
                | Self::Recovering { .. }
                | Self::Fencing { .. }
                | Self::Running { .. }
                | Self::Fenced { .. } => None,
            },
            Happening::GivenAway => {
                let (Self::Running { epoch } | Self::Unconfirmed { epoch }) = *self else { return None };
                *self = Self::Fenced { epoch };
                Some(Order::Retire)
            }
            Happening::Inherited { epoch } => {
                if let Self::Off | Self::Fenced { .. } = *self {
                    *self = Self::Running { epoch };
                }
                None
            }
            Happening::Renewed { epoch } => {
                if let Self::Running { epoch: before } | Self::Unconfirmed { epoch: before } = *self
                    && epoch > before
                {
                    *self = Self::Running { epoch };
                }
                None
            }
            Happening::Superseded { epoch: seen } => self.epoch().filter(|own| seen > *own).and_then(|own| self.stop(own)),
        }
    }

    fn assigned(&mut self, above: ShardEpoch, tail: JournalIndex) -> Option<Order> {
        match self {
            Self::Off | Self::Fenced { .. } => {
                let epoch = above.next();
                *self = Self::Claiming { above, epoch };
                Some(Order::Claim { epoch, expected: tail })
            }
            Self::Claiming { .. }
            | Self::Recovering { .. }
            | Self::Fencing { .. }
            | Self::Running { .. }
            | Self::Unconfirmed { .. } => None,
        }
    }

    fn conflict(&mut self, tail: JournalIndex, found: ShardEpoch) -> Option<Order> {
        match *self {
            Self::Claiming { .. } if Mutant::ResumeWithoutClaim.lives() => {
                *self = Self::Recovering { epoch: found, owner: tail };
                Some(Order::Load)
            }
            Self::Claiming { above, .. } if found <= above => {
                let epoch = found.next();
                *self = Self::Claiming { above, epoch };
                Some(Order::Claim { epoch, expected: tail })
            }
            Self::Claiming { .. } => {
                *self = Self::Off;
                Some(Order::Stop)
            }
            Self::Running { .. } | Self::Unconfirmed { .. } if Mutant::GoOnAfterConflict.lives() => None,
            Self::Recovering { epoch, .. } | Self::Fencing { epoch } | Self::Running { epoch } | Self::Unconfirmed { epoch } => {
                self.stop(epoch)
            }
            Self::Off | Self::Fenced { .. } => None,
        }
    }

    fn replayed(&mut self, index: JournalIndex, found: ShardEpoch) -> Option<Order> {
        let Self::Recovering { epoch, owner } = *self else { return None };
        if found > epoch {
            return self.stop(epoch);
        }
        if (found < epoch || index < owner) && !Mutant::RecoverFromOldReading.lives() {
            return Some(Order::Load);
        }
        *self = Self::Fencing { epoch };
        Some(Order::RaiseFences)
    }

    fn stop(&mut self, epoch: ShardEpoch) -> Option<Order> {
        *self = Self::Fenced { epoch };
        Some(Order::Stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const E: fn(u64) -> ShardEpoch = ShardEpoch;
    const J: fn(u64) -> JournalIndex = JournalIndex;

    #[test]
    fn an_old_order_ends_a_claim_and_nothing_else() {
        let mut life = Incarnation::Off;
        assert_eq!(life.step(Happening::OrderIsOld), None);
        life.step(Happening::Assigned { above: E(3), tail: J(0) });
        assert_eq!(life.step(Happening::OrderIsOld), Some(Order::Retire));
        assert_eq!(life, Incarnation::Off);
        let again = life.step(Happening::Assigned { above: E(3), tail: J(9) });
        assert_eq!(again, Some(Order::Claim { epoch: E(4), expected: J(9) }));
        life.step(Happening::OwnerAppended { index: J(10) });
        assert_eq!(life.step(Happening::OrderIsOld), None);
    }

    fn running() -> Incarnation {
        Incarnation::Running { epoch: E(4) }
    }

    #[test]
    fn only_the_own_owner_entry_leads_to_running() {
        let mut life = Incarnation::Off;
        let claim = life.step(Happening::Assigned { above: E(3), tail: J(0) });
        assert_eq!(claim, Some(Order::Claim { epoch: E(4), expected: J(0) }));
        assert_eq!(
            life.step(Happening::Replayed { index: J(9), epoch: E(4) }),
            None,
            "an epoch that was only read counts nothing"
        );
        assert_eq!(
            life.step(Happening::Conflict { tail: J(9), epoch: E(3) }),
            Some(Order::Claim { epoch: E(4), expected: J(9) })
        );
        assert_eq!(life.step(Happening::OwnerAppended { index: J(10) }), Some(Order::Load));
        assert_eq!(
            life.step(Happening::Replayed { index: J(9), epoch: E(3) }),
            Some(Order::Load),
            "an old reading is read again"
        );
        assert_eq!(life.step(Happening::Replayed { index: J(10), epoch: E(4) }), Some(Order::RaiseFences));
        assert!(!life.ticks());
        assert_eq!(life.step(Happening::FencesRaised), Some(Order::Run));
        assert_eq!(life, running());
    }

    #[test]
    fn a_claim_is_given_up_when_somebody_newer_owns_the_shard() {
        let mut life = Incarnation::Off;
        life.step(Happening::Assigned { above: E(3), tail: J(0) });
        assert_eq!(life.step(Happening::Conflict { tail: J(9), epoch: E(4) }), Some(Order::Stop));
        assert_eq!(life, Incarnation::Off);
    }

    #[test]
    fn a_higher_epoch_ends_every_owner() {
        let owners = [Incarnation::Recovering { epoch: E(4), owner: J(1) }, Incarnation::Fencing { epoch: E(4) }, running()];
        for mut life in owners {
            assert_eq!(life.step(Happening::Superseded { epoch: E(4) }), None);
            assert_eq!(life.step(Happening::Superseded { epoch: E(5) }), Some(Order::Stop));
            assert_eq!(life.epoch(), None);
        }
    }

    #[test]
    fn doubt_keeps_ticking_and_ends_either_way() {
        let mut life = running();
        life.step(Happening::Doubted);
        assert!(life.ticks() && !life.is_confirmed());
        life.step(Happening::Confirmed);
        assert_eq!(life, running());
        life.step(Happening::Doubted);
        assert_eq!(life.step(Happening::DoubtedTooLong), Some(Order::Stop));
        assert!(!life.ticks());
    }

    #[test]
    fn a_shard_given_away_is_inherited_once_and_by_nobody_else() {
        let (mut source, mut target) = (running(), Incarnation::Off);
        assert_eq!(source.step(Happening::GivenAway), Some(Order::Retire));
        assert!(!source.ticks());
        target.step(Happening::Inherited { epoch: E(5) });
        assert_eq!(target, Incarnation::Running { epoch: E(5) });
        let mut claiming = Incarnation::Claiming { above: E(4), epoch: E(5) };
        claiming.step(Happening::Inherited { epoch: E(5) });
        assert!(!claiming.ticks(), "its own claim decides");
    }

    #[test]
    fn assigning_twice_claims_once() {
        let mut life = running();
        assert_eq!(life.step(Happening::Assigned { above: E(9), tail: J(0) }), None);
        assert_eq!(life, running());
    }
}
