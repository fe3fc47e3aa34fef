//! Which models are run at which bounds, and which of them must catch which planted bug.

use std::fmt;
use std::time::Duration;

use pangaea_schemas::mutant::Mutant;

use crate::explore::{Explored, explore};
use crate::{handover, ownership, trade};

/// A model and its bounds.
#[derive(Clone, Copy, Debug)]
pub enum Case {
    /// [`ownership`].
    Ownership(ownership::Bounds),
    /// [`handover`].
    Handover(handover::Bounds),
    /// [`trade`].
    Trade(trade::Bounds),
}

impl Case {
    /// Explores it up to so many states.
    pub fn explore(self, states_max: usize, clock: impl Fn() -> Duration) -> Explored {
        match self {
            Self::Ownership(bounds) => explore(&ownership::Ownership::new(bounds), states_max, clock),
            Self::Handover(bounds) => explore(&handover::Walk::new(bounds), states_max, clock),
            Self::Trade(bounds) => explore(&trade::Ledger::new(bounds), states_max, clock),
        }
    }
}

/// As its bounds are written: `trade { owners: [2, 1], .. }`.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ownership(bounds) => write!(f, "ownership{}", fields(bounds)),
            Self::Handover(bounds) => write!(f, "handover{}", fields(bounds)),
            Self::Trade(bounds) => write!(f, "trade{}", fields(bounds)),
        }
    }
}

fn fields(bounds: &impl fmt::Debug) -> String {
    let text = format!("{bounds:?}");
    text.strip_prefix("Bounds").unwrap_or(&text).to_owned()
}

/// Two scenes, one of them the owner; nothing else happens.
const SCENES: ownership::Bounds = ownership::Bounds { scenes: 2, ticks: 1, claims: 0, crashes: 0, migrations: 0, doubts: false };
/// False suspicion, doubt and a crash.
const CLAIM: Case = Case::Ownership(ownership::Bounds { ticks: 2, claims: 1, crashes: 1, doubts: true, ..SCENES });
/// Two claims, so that a process that starts again meets its own former claim.
const CLAIMS: Case = Case::Ownership(ownership::Bounds { claims: 2, crashes: 1, ..SCENES });
/// A migration, undisturbed but for its network and its time-outs.
const MIGRATION: Case = Case::Ownership(ownership::Bounds { ticks: 2, migrations: 1, ..SCENES });
/// A migration against a claim and a crash.
const MIGRATION_HURT: Case = Case::Ownership(ownership::Bounds { claims: 1, crashes: 1, migrations: 1, ..SCENES });

const ROAD: handover::Bounds =
    handover::Bounds { shards: 2, offers: 2, inputs: 1, crashes: 0, suspicions: 0, refusals: false, forgetting: false };
/// There and back, with refusals.
const REFUSED: Case = Case::Handover(handover::Bounds { refusals: true, ..ROAD });
/// A crash at any point.
const CRASH: Case = Case::Handover(handover::Bounds { offers: 1, crashes: 1, refusals: true, ..ROAD });
/// Former owners that live on.
const ZOMBIE: Case = Case::Handover(handover::Bounds { suspicions: 1, ..ROAD });
/// Until nobody knows of it any more.
const FORGOTTEN: Case = Case::Handover(handover::Bounds { offers: 1, refusals: true, forgetting: true, ..ROAD });

/// A trade while who proposes changes owners.
const TRADE: Case = Case::Trade(trade::Bounds { owners: [2, 1], versions: 2, asks: 2, pays: false, expires: false });
/// A trade while who was asked does.
const ANSWER: Case = Case::Trade(trade::Bounds { owners: [1, 2], versions: 2, asks: 2, pays: false, expires: false });
/// A trade and a payment.
const PAYMENT: Case = Case::Trade(trade::Bounds { owners: [1, 1], versions: 1, asks: 2, pays: true, expires: true });

/// What each change is checked with.
pub const SMALL: &[Case] = &[CLAIM, CLAIMS, MIGRATION, MIGRATION_HURT, REFUSED, CRASH, ZOMBIE, TRADE, ANSWER, PAYMENT];

/// What is worth an hour.
pub const LARGE: &[Case] = &[
    FORGOTTEN,
    Case::Ownership(ownership::Bounds { ticks: 2, claims: 2, crashes: 1, ..SCENES }),
    Case::Ownership(ownership::Bounds { scenes: 3, claims: 1, crashes: 1, migrations: 1, ..SCENES }),
    Case::Ownership(ownership::Bounds { ticks: 2, claims: 1, crashes: 0, migrations: 1, doubts: true, ..SCENES }),
    Case::Handover(handover::Bounds { crashes: 1, refusals: true, ..ROAD }),
    Case::Handover(handover::Bounds { refusals: true, forgetting: true, ..ROAD }),
    Case::Handover(handover::Bounds { offers: 1, crashes: 1, suspicions: 1, refusals: true, ..ROAD }),
    Case::Handover(handover::Bounds { shards: 3, refusals: true, ..ROAD }),
    Case::Trade(trade::Bounds { owners: [2, 2], versions: 2, asks: 2, pays: true, expires: true }),
];

/// Who must catch a planted bug.
#[derive(Clone, Copy, Debug)]
pub enum Hunter {
    /// This model.
    Model(Case),
    /// The simulator, because of this.
    Simulator(&'static str),
}

/// Who must catch this one.
pub fn hunter(mutant: Mutant) -> Hunter {
    match mutant {
        Mutant::AppendWithoutCompare
        | Mutant::JournalFenceRemoved
        | Mutant::ResumeWithoutClaim
        | Mutant::RecoverFromOldReading
        | Mutant::GoOnAfterConflict
        | Mutant::DoubtForEver
        | Mutant::AcknowledgeBeforeDurable => Hunter::Model(CLAIM),
        Mutant::AnswerOfAnotherStart => Hunter::Model(CLAIMS),
        Mutant::AbandonCommit | Mutant::RunBeforeOwned | Mutant::CopyThatDiffers => Hunter::Model(MIGRATION),
        Mutant::CommitBeforeOut | Mutant::DestroyBeforeAccept | Mutant::ResumeByTimeout => Hunter::Model(CRASH),
        Mutant::AcceptTwice | Mutant::AcceptedForSeen | Mutant::RefusalOfAnotherEpoch => Hunter::Model(REFUSED),
        Mutant::StaleLaneHeard => Hunter::Model(ZOMBIE),
        Mutant::OperationTwice => Hunter::Model(PAYMENT),
        Mutant::LedgerFenceIgnored | Mutant::ConfirmationSurvives | Mutant::ConfirmAnyTerms => Hunter::Model(TRADE),
        Mutant::LeaseFromReply | Mutant::LapsedLeaseTrusted => {
            Hunter::Simulator("leases are measured in time, and models have none")
        }
        Mutant::RouteEpochIgnored
        | Mutant::InputsNotResent
        | Mutant::InputTwiceAfterResume
        | Mutant::InputGapApplied
        | Mutant::OldSessionAttaches => Hunter::Simulator("no model has gateways and sessions"),
    }
}
