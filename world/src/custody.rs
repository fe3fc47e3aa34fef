//! Who has a shard, as far as the world knows. The journal decides; this only decides whom to ask, and when.
//!
//! | state | event | next |
//! |---|---|---|
//! | any | `Reported` running | `Owned` by the reporter |
//! | `Unknown`, or any with another holder | `Recorded` with an owner | `Recalled` |
//! | `Unknown` | `Recorded` without owner | `Vacant` |
//! | `Vacant` | `Order` | `Ordered` |
//! | `Ordered`, `Recalled` | `Reported` starting, by the holder | `Starting` |
//! | `Starting`, `Owned` | `Reported` fenced, by the holder | `Vacant`, after a pause |
//! | `Recalled`, `Starting`, `Owned` | `Unlisted` by the holder | `Vacant`, after a pause |
//! | any with a holder | `Left` by the holder | `Vacant`, at once |
//! | `Recalled` | `Elapsed`, after its limit, the holder not registered | `Vacant`, at once |
//! | `Ordered`, `Starting` | `Elapsed`, after its limit | `Vacant`, after a pause |
//!
//! Everything else changes nothing. In particular a fenced or missing shard does not cancel an order that its scene may not have
//! read yet.

use std::time::Duration;

use pangaea_schemas::message::ShardPhase;
use pangaea_schemas::{NodeId, Nonce, Timestamp};

/// An order that no report confirms is given up after this.
pub(crate) const ORDER_LIMIT: Duration = Duration::from_secs(5);
/// A claim that does not come to run is given up after this; replaying a long journal takes its time.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
/// The first repetition of an order, doubled each time up to [`REPEAT_MAX`]; scenes report every half second.
pub(crate) const REPEAT_MIN: Duration = Duration::from_millis(600);
/// The longest time between two repetitions of an order.
pub(crate) const REPEAT_MAX: Duration = Duration::from_millis(2_400);
/// The pause after a first failed claim, doubled each time up to [`PAUSE_MAX`].
pub(crate) const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause after a failed claim.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(8);

/// One incarnation of one scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Which scene.
    pub node: NodeId,
    /// Which incarnation.
    pub nonce: Nonce,
}

/// Who has a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custody {
    /// The journal has not been asked yet.
    Unknown,
    /// The journal names this owner, who may be alive and has not reported.
    Recalled {
        /// The owner.
        holder: Holder,
        /// Its lease is over by then, unless it registers.
        until: Timestamp,
    },
    /// Nobody.
    Vacant {
        /// Not to be given away before.
        not_before: Timestamp,
        /// Claims that failed in a row.
        failures: u32,
        /// Where the last one failed: better ask somebody else.
        avoid: Option<NodeId>,
    },
    /// Somebody was told to claim it.
    Ordered {
        /// Who.
        holder: Holder,
        /// When to tell again.
        repeat_at: Timestamp,
        /// How long to wait after that.
        repeat: Duration,
        /// When to give up.
        until: Timestamp,
        /// Claims that failed before.
        failures: u32,
    },
    /// Somebody is claiming it.
    Starting {
        /// Who.
        holder: Holder,
        /// When to give up.
        until: Timestamp,
        /// Claims that failed before.
        failures: u32,
    },
    /// Somebody runs it.
    Owned {
        /// Who.
        holder: Holder,
    },
}

/// What the world learns about a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CustodyEvent {
    /// The journal's owner entry, newer than all that was known.
    Recorded {
        /// `None`: nobody ever owned it.
        owner: Option<Holder>,
        /// The owner's lease is over by then, unless it is registered.
        lease_over: Timestamp,
    },
    /// A scene's report, with an epoch that is not older than what is known.
    Reported {
        /// By whom.
        by: Holder,
        /// How far it is.
        phase: ShardPhase,
    },
    /// The scene reported, and not this shard.
    Unlisted {
        /// Who.
        by: Holder,
    },
    /// The incarnation is gone.
    Left {
        /// Who.
        by: Holder,
    },
    /// It is told to claim the shard.
    Order {
        /// Who.
        to: Holder,
    },
    /// Time went by.
    Elapsed {
        /// The holder has a lease.
        holder_registered: bool,
    },
}

impl Custody {
    /// Who has it, or is to have it.
    pub fn holder(self) -> Option<Holder> {
        match self {
            Self::Unknown | Self::Vacant { .. } => None,
            Self::Recalled { holder, .. }
            | Self::Ordered { holder, .. }
            | Self::Starting { holder, .. }
            | Self::Owned { holder } => Some(holder),
        }
    }

    /// The state after an event.
    #[must_use]
    pub(crate) fn step(self, now: Timestamp, event: CustodyEvent) -> Self {
        match event {
            CustodyEvent::Recorded { owner, lease_over } => self.recorded(now, owner, lease_over),
            CustodyEvent::Reported { by, phase } => match phase {
                ShardPhase::Running | ShardPhase::Unconfirmed => Self::Owned { holder: by },
                ShardPhase::Claiming | ShardPhase::Recovering | ShardPhase::Fencing => self.starting(now, by),
                ShardPhase::Fenced => self.fenced(now, by),
            },
            CustodyEvent::Unlisted { by } => self.unlisted(now, by),
            CustodyEvent::Left { by } if self.holder() == Some(by) => Self::Vacant { not_before: now, failures: 0, avoid: None },
            CustodyEvent::Left { .. } => self,
            CustodyEvent::Order { to } => self.order(now, to),
            CustodyEvent::Elapsed { holder_registered } => self.elapsed(now, holder_registered),
        }
    }

    /// Whom to tell (again) to claim it now; the next time is noted.
    pub(crate) fn order_due(&mut self, now: Timestamp) -> Option<NodeId> {
        match self {
            Self::Ordered { holder, repeat_at, repeat, .. } if *repeat_at <= now => {
                *repeat_at = now + *repeat;
                *repeat = (*repeat * 2).min(REPEAT_MAX);
                Some(holder.node)
            }
            Self::Unknown
            | Self::Recalled { .. }
            | Self::Vacant { .. }
            | Self::Ordered { .. }
            | Self::Starting { .. }
            | Self::Owned { .. } => None,
        }
    }

    fn recorded(self, now: Timestamp, owner: Option<Holder>, lease_over: Timestamp) -> Self {
        match (self, owner) {
            (Self::Unknown, None) => Self::Vacant { not_before: now, failures: 0, avoid: None },
            (_, None) => self,
            (_, Some(owner)) if self.holder() == Some(owner) => self,
            (_, Some(holder)) => Self::Recalled { holder, until: lease_over },
        }
    }

    fn starting(self, now: Timestamp, by: Holder) -> Self {
        match self {
            Self::Ordered { holder, failures, .. } if holder == by => {
                Self::Starting { holder, until: now + START_LIMIT, failures }
            }
            Self::Recalled { holder, .. } if holder == by => Self::Starting { holder, until: now + START_LIMIT, failures: 0 },
            Self::Unknown
            | Self::Recalled { .. }
            | Self::Vacant { .. }
            | Self::Ordered { .. }
            | Self::Starting { .. }
            | Self::Owned { .. } => self,
        }
    }

    fn fenced(self, now: Timestamp, by: Holder) -> Self {
        match self {
            Self::Starting { holder, failures, .. } if holder == by => failed(now, holder, failures),
            Self::Owned { holder } if holder == by => failed(now, holder, 0),
            Self::Unknown
            | Self::Recalled { .. }
            | Self::Vacant { .. }
            | Self::Ordered { .. }
            | Self::Starting { .. }
            | Self::Owned { .. } => self,
        }
    }

    fn unlisted(self, now: Timestamp, by: Holder) -> Self {
        match self {
            Self::Recalled { holder, .. } if holder == by => failed(now, holder, 0),
            Self::Unknown
            | Self::Recalled { .. }
            | Self::Vacant { .. }
            | Self::Ordered { .. }
            | Self::Starting { .. }
            | Self::Owned { .. } => self.fenced(now, by),
        }
    }

    fn order(self, now: Timestamp, to: Holder) -> Self {
        match self {
            Self::Vacant { failures, .. } => {
                Self::Ordered { holder: to, repeat_at: now, repeat: REPEAT_MIN, until: now + ORDER_LIMIT, failures }
            }
            Self::Unknown | Self::Recalled { .. } | Self::Ordered { .. } | Self::Starting { .. } | Self::Owned { .. } => self,
        }
    }

    fn elapsed(self, now: Timestamp, holder_registered: bool) -> Self {
        match self {
            Self::Recalled { until, .. } if until <= now && !holder_registered => {
                Self::Vacant { not_before: now, failures: 0, avoid: None }
            }
            Self::Ordered { holder, until, failures, .. } | Self::Starting { holder, until, failures } if until <= now => {
                failed(now, holder, failures)
            }
            Self::Unknown
            | Self::Recalled { .. }
            | Self::Vacant { .. }
            | Self::Ordered { .. }
            | Self::Starting { .. }
            | Self::Owned { .. } => self,
        }
    }
}

fn failed(now: Timestamp, holder: Holder, failures: u32) -> Custody {
    let pause = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
    Custody::Vacant { not_before: now + pause, failures: failures.saturating_add(1), avoid: Some(holder.node) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pangaea_schemas::Role;

    const NOW: Timestamp = Timestamp(1_000_000_000);
    const ONE: Holder = Holder { node: NodeId::new(Role::Scene, 1), nonce: Nonce(1) };
    const REBORN: Holder = Holder { node: NodeId::new(Role::Scene, 1), nonce: Nonce(2) };
    const TWO: Holder = Holder { node: NodeId::new(Role::Scene, 2), nonce: Nonce(3) };
    const OWNED: Custody = Custody::Owned { holder: ONE };
    const RECALLED: Custody = Custody::Recalled { holder: ONE, until: NOW };

    fn vacant() -> Custody {
        Custody::Vacant { not_before: NOW, failures: 0, avoid: None }
    }

    fn ordered() -> Custody {
        vacant().step(NOW, CustodyEvent::Order { to: ONE })
    }

    fn starting() -> Custody {
        ordered().step(NOW, CustodyEvent::Reported { by: ONE, phase: ShardPhase::Claiming })
    }

    fn all() -> [Custody; 6] {
        [Custody::Unknown, RECALLED, vacant(), ordered(), starting(), OWNED]
    }

    fn is_vacant(custody: Custody) -> bool {
        matches!(custody, Custody::Vacant { .. })
    }

    #[test]
    fn whoever_reports_running_owns_it() {
        for state in all() {
            for phase in [ShardPhase::Running, ShardPhase::Unconfirmed] {
                assert_eq!(state.step(NOW, CustodyEvent::Reported { by: TWO, phase }), Custody::Owned { holder: TWO });
            }
        }
    }

    #[test]
    fn only_the_very_incarnation_leaves() {
        for state in all() {
            assert_eq!(state.step(NOW, CustodyEvent::Left { by: REBORN }), state);
            assert_eq!(state.step(NOW, CustodyEvent::Left { by: TWO }), state);
            let after = state.step(NOW, CustodyEvent::Left { by: ONE });
            assert!(if state.holder().is_some() { is_vacant(after) } else { after == state }, "{state:?}");
        }
    }

    #[test]
    fn an_order_is_given_only_for_a_vacant_shard() {
        for state in all() {
            let after = state.step(NOW, CustodyEvent::Order { to: TWO });
            assert_eq!(after != state, is_vacant(state), "{state:?}");
        }
    }

    #[test]
    fn a_fenced_or_missing_shard_does_not_cancel_an_order_that_may_be_unread() {
        let fenced = CustodyEvent::Reported { by: ONE, phase: ShardPhase::Fenced };
        for event in [fenced, CustodyEvent::Unlisted { by: ONE }] {
            assert_eq!(ordered().step(NOW, event), ordered());
            assert!(is_vacant(starting().step(NOW, event)));
            assert!(is_vacant(OWNED.step(NOW, event)));
        }
        let others = CustodyEvent::Reported { by: TWO, phase: ShardPhase::Fenced };
        assert_eq!(OWNED.step(NOW, others), OWNED, "somebody else's fence is not ours");
    }

    #[test]
    fn a_recalled_owner_is_waited_for_while_its_lease_may_run() {
        let late = NOW + Duration::from_secs(3_600);
        let early = Timestamp(NOW.0 - 1);
        assert_eq!(RECALLED.step(late, CustodyEvent::Elapsed { holder_registered: true }), RECALLED);
        assert_eq!(RECALLED.step(early, CustodyEvent::Elapsed { holder_registered: false }), RECALLED);
        assert!(is_vacant(RECALLED.step(NOW, CustodyEvent::Elapsed { holder_registered: false })));
    }

    #[test]
    fn the_journal_overrules_a_holder_that_it_does_not_name() {
        let recorded = |owner| CustodyEvent::Recorded { owner, lease_over: NOW };
        assert_eq!(OWNED.step(NOW, recorded(Some(ONE))), OWNED);
        assert_eq!(OWNED.step(NOW, recorded(Some(TWO))), Custody::Recalled { holder: TWO, until: NOW });
        assert_eq!(OWNED.step(NOW, recorded(None)), OWNED, "an empty journal proves nothing against a report");
        assert!(is_vacant(Custody::Unknown.step(NOW, recorded(None))));
    }

    #[test]
    fn pauses_double_up_to_their_bound_and_remember_where_it_failed() {
        let mut state = vacant();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let until = NOW + ORDER_LIMIT;
            state = state.step(NOW, CustodyEvent::Order { to: ONE });
            state = state.step(until, CustodyEvent::Elapsed { holder_registered: true });
            let Custody::Vacant { not_before, avoid, .. } = state else { panic!("{state:?}") };
            assert_eq!(avoid, Some(ONE.node));
            pauses.push(not_before.since(until).as_millis());
        }
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    }

    #[test]
    fn an_order_is_due_at_once_and_then_ever_more_rarely() {
        let mut state = ordered();
        let mut due = Vec::new();
        for ms in (0..5_000).step_by(50) {
            if state.order_due(NOW + Duration::from_millis(ms)).is_some() {
                due.push(ms);
            }
        }
        assert_eq!(due, [0, 600, 1_800, 4_200]);
    }
}
