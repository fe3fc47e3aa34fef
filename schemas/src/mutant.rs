//! Mutants: planted bugs, each of which breaks one rule of the protocols.
//!
//! The rule's code asks `Mutant::X.lives()` where it would go wrong. In a release without the cargo feature `mutants` that is the
//! constant `false` and nothing of it is left in the program. With it, and in debug builds, a model or a simulation lets one
//! mutant live on its thread and must then see an invariant broken: a check that a mutant survives checks nothing.
//!
//! ```
//! # use pangaea_schemas::mutant::{self, Mutant};
//! let name: Mutant = "journal-fence-removed".parse().expect("a mutant");
//! match mutant::unleash(Some(name)) {
//!     Ok(_until_dropped) => assert!(name.lives()),
//!     Err(mutant::NoMutants) => assert!(!name.lives()),
//! }
//! assert!(!name.lives());
//! ```

use std::fmt;
use std::str::FromStr;

macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $rule:literal;)*) => {
        /// One planted bug; the documentation of each says what goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $($(#[$doc])* $variant,)*
        }

        impl Mutant {
            /// All there are, in the order of the protocols.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As typed on a command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The invariant of the protocols that it breaks.
            pub const fn breaks(self) -> &'static str {
                match self {
                    $(Self::$variant => $rule,)*
                }
            }
        }
    };
}

mutants! {
    /// An append is taken whatever tail its writer expected.
    AppendWithoutCompare, "append-without-compare", "J1";
    /// The journal takes entries from whoever knows its tail, not only from the owner in force.
    JournalFenceRemoved, "journal-fence-removed", "J1";
    /// A starting owner resumes under the epoch that it read from the journal, without an OWNER entry of its own.
    ResumeWithoutClaim, "resume-without-claim", "P1";
    /// An answer to an earlier start of the process is taken for one's own.
    AnswerOfAnotherStart, "answer-of-another-start", "P1";
    /// A starting owner runs from a state that was read before its OWNER entry was in.
    RecoverFromOldReading, "recover-from-old-reading", "P2";
    /// An owner that finds another's entry in its journal goes on.
    GoOnAfterConflict, "go-on-after-conflict", "P1";
    /// An owner that has doubted for too long goes on doubting.
    DoubtForEver, "doubt-for-ever", "P1";
    /// A lease counts from the moment its renewal was answered, not from the moment it was sent.
    LeaseFromReply, "lease-from-reply", "I1";
    /// An owner whose lease was over goes on under the next one without asking its journal.
    LapsedLeaseTrusted, "lapsed-lease-trusted", "P1";
    /// What must wait for the journal happens as soon as it is written down.
    AcknowledgeBeforeDurable, "acknowledge-before-durable", "J4";
    /// The target is told to take over before the source's OUT is durable.
    CommitBeforeOut, "commit-before-out", "I1";
    /// The source forgets who left when the target does not answer.
    DestroyBeforeAccept, "destroy-before-accept", "I2";
    /// The source takes back who left when the target does not answer.
    ResumeByTimeout, "resume-by-timeout", "I6";
    /// A doubled COMMIT is taken twice.
    AcceptTwice, "accept-twice", "I1";
    /// The target compares a COMMIT with what it accepted, not with all that it has seen: what was refused is taken later.
    AcceptedForSeen, "accepted-for-seen", "I1";
    /// A refusal of an earlier hand-over gives back who left in a later one.
    RefusalOfAnotherEpoch, "refusal-of-another-epoch", "I6";
    /// A source whose shard has a newer owner is still heard.
    StaleLaneHeard, "stale-lane-heard", "I5";
    /// A gateway takes any owner's word, also that of one with an older epoch.
    RouteEpochIgnored, "route-epoch-ignored", "I7";
    /// A gateway that is told of a new owner does not tell it again what the former one had not applied.
    InputsNotResent, "inputs-not-resent", "I3";
    /// An owner goes back to the sequence that a resuming gateway names, so inputs are applied twice.
    InputTwiceAfterResume, "input-twice-after-resume", "I4";
    /// An input is applied although those before it have not come.
    InputGapApplied, "input-gap-applied", "I4";
    /// A session that was replaced may attach again.
    OldSessionAttaches, "old-session-attaches", "I5";
    /// The ledger does an operation again when it is asked again.
    OperationTwice, "operation-twice", "T3";
    /// The ledger hears owners that were replaced.
    LedgerFenceIgnored, "ledger-fence-ignored", "T4";
    /// A confirmation of a trade counts although its agent has another owner by now.
    ConfirmationSurvives, "confirmation-survives", "T4";
    /// A confirmation of a trade counts for whatever terms are in force.
    ConfirmAnyTerms, "confirm-any-terms", "T4";
    /// The source of a migration goes on although it has asked for the target's OWNER entry.
    AbandonCommit, "abandon-commit", "P1";
    /// The target of a migration runs as soon as its copy is whole.
    RunBeforeOwned, "run-before-owned", "P1";
    /// The target of a migration takes a copy whose hash differs.
    CopyThatDiffers, "copy-that-differs", "P4";
}

impl Mutant {
    /// Whether the rule is to be broken now, on this thread.
    #[cfg(not(any(feature = "mutants", debug_assertions)))]
    #[inline(always)]
    pub const fn lives(self) -> bool {
        false
    }

    /// Whether the rule is to be broken now, on this thread.
    #[cfg(any(feature = "mutants", debug_assertions))]
    #[inline]
    pub fn lives(self) -> bool {
        loose::current() == Some(self)
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Nobody planted such a bug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no mutant `{0}`; there are {list}", list = Mutant::ALL.iter().map(|m| m.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownMutant(String);

impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(name: &str) -> Result<Self, UnknownMutant> {
        Self::ALL.iter().copied().find(|mutant| mutant.name() == name).ok_or_else(|| UnknownMutant(name.to_owned()))
    }
}

/// This program was built without the feature `mutants`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this program was built without mutants: build it with the feature `mutants`")]
pub struct NoMutants;

/// While it is there, only the mutant named at [`unleash`] lives on this thread.
#[derive(Debug)]
#[must_use = "the mutant lives until this is dropped"]
pub struct Unleashed {
    #[cfg(any(feature = "mutants", debug_assertions))]
    before: Option<Mutant>,
    /// It belongs to its thread.
    _here: std::marker::PhantomData<*const ()>,
}

/// Lets this mutant and no other live on the calling thread until the result is dropped; `None`: none at all.
///
/// # Errors
/// A mutant is wanted and this program has none.
pub fn unleash(mutant: Option<Mutant>) -> Result<Unleashed, NoMutants> {
    #[cfg(any(feature = "mutants", debug_assertions))]
    return Ok(Unleashed { before: loose::replace(mutant), _here: std::marker::PhantomData });
    #[cfg(not(any(feature = "mutants", debug_assertions)))]
    match mutant {
        None => Ok(Unleashed { _here: std::marker::PhantomData }),
        Some(_) => Err(NoMutants),
    }
}

#[cfg(any(feature = "mutants", debug_assertions))]
impl Drop for Unleashed {
    fn drop(&mut self) {
        loose::replace(self.before);
    }
}

#[cfg(any(feature = "mutants", debug_assertions))]
mod loose {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        /// Per thread, so that tests and models side by side do not infect each other.
        static LOOSE: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    #[inline]
    pub(super) fn current() -> Option<Mutant> {
        LOOSE.get()
    }

    pub(super) fn replace(mutant: Option<Mutant>) -> Option<Mutant> {
        LOOSE.replace(mutant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_parse() {
        for mutant in Mutant::ALL {
            assert_eq!(mutant.name().parse(), Ok(*mutant));
        }
        let error = "nobody".parse::<Mutant>().unwrap_err().to_string();
        assert!(error.contains("`nobody`") && error.contains("accept-twice"), "{error}");
    }

    #[test]
    fn without_being_let_out_none_lives() {
        assert!(Mutant::ALL.iter().all(|mutant| !mutant.lives()));
    }

    #[test]
    fn only_the_last_one_let_out_lives_and_only_for_a_while() {
        let outer = unleash(Some(Mutant::AcceptTwice));
        assert_eq!(outer.is_ok(), cfg!(any(feature = "mutants", debug_assertions)));
        let Ok(_outer) = outer else { return };
        {
            let _inner = unleash(Some(Mutant::CommitBeforeOut)).expect("mutants are built in");
            assert!(Mutant::CommitBeforeOut.lives() && !Mutant::AcceptTwice.lives());
        }
        assert!(Mutant::AcceptTwice.lives() && !Mutant::CommitBeforeOut.lives());
    }
}
