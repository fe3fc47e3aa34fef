//! What goes wrong in a simulation, drawn from its seed: processes die or stand still, links are cut, the disk is slow or fails.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use pangaea_schemas::{NodeId, Role};

/// Faults begin after this: by then everybody has come in.
pub const CALM_BEFORE: Duration = Duration::from_secs(5);
/// No fault lasts into this last part of a simulation: the system must be live again when it ends.
pub const CALM_AFTER: Duration = Duration::from_secs(12);
/// Most faults of one simulation.
const FAULTS_MAX: usize = 4;
/// A cut that is over by then breaks no link: what was sent arrives late.
pub const HICCUP: Duration = Duration::from_millis(300);

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is killed and started again.
    Kill {
        /// Which.
        node: NodeId,
        /// How long it is away.
        span: Duration,
    },
    /// The process stands still, and wakes without knowing it.
    Pause {
        /// Which.
        node: NodeId,
        /// For how long.
        span: Duration,
    },
    /// Nothing sent from one node to another arrives.
    Cut {
        /// Who is not heard.
        from: NodeId,
        /// By whom.
        to: NodeId,
        /// Nor the other way.
        both: bool,
        /// For how long.
        span: Duration,
        /// When both ends notice, if it lasts so long.
        notice: Duration,
    },
    /// Commits take long.
    SlowDisk {
        /// For how long.
        span: Duration,
    },
    /// Commits fail now and then, and nothing is written.
    FailingDisk {
        /// For how long.
        span: Duration,
    },
}

impl Fault {
    /// How long it lasts.
    pub fn span(&self) -> Duration {
        match self {
            Self::Kill { span, .. }
            | Self::Pause { span, .. }
            | Self::Cut { span, .. }
            | Self::SlowDisk { span }
            | Self::FailingDisk { span } => *span,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node, span } => write!(f, "{node} is killed for {} ms", span.as_millis()),
            Self::Pause { node, span } => write!(f, "{node} stands still for {} ms", span.as_millis()),
            Self::Cut { from, to, both, span, .. } => {
                let way = if *both { "<>" } else { ">" };
                write!(f, "{from} {way} {to} is cut for {} ms", span.as_millis())
            }
            Self::SlowDisk { span } => write!(f, "the disk is slow for {} ms", span.as_millis()),
            Self::FailingDisk { span } => write!(f, "the disk fails for {} ms", span.as_millis()),
        }
    }
}

/// What goes wrong in a simulation of `span`, with the moments it begins at. Nothing in a simulation that is too short.
pub fn draw(rng: &mut Rng, span: Duration, nodes: &[NodeId]) -> Vec<(Duration, Fault)> {
    let Some(room) = span.checked_sub(CALM_BEFORE + CALM_AFTER).filter(|room| !room.is_zero()) else { return Vec::new() };
    (0..rng.usize(1..=FAULTS_MAX))
        .map(|_| {
            let at = CALM_BEFORE + Duration::from_micros(rng.u64(..room.as_micros() as u64));
            (at, one(rng, nodes))
        })
        .collect()
}

fn one(rng: &mut Rng, nodes: &[NodeId]) -> Fault {
    let mut millis = |range| Duration::from_millis(rng.u64(range));
    let (short, long, notice) = (millis(100..1_500), millis(100..5_000), millis(50..2_000));
    let node = nodes[rng.usize(..nodes.len())];
    match rng.u32(..10) {
        0..=3 => Fault::Kill { node, span: if rng.bool() { short } else { long } },
        4 | 5 => Fault::Pause { node, span: long },
        6 | 7 => {
            let others: Vec<NodeId> = nodes.iter().copied().filter(|other| *other != node && speak(node, *other)).collect();
            let to = others[rng.usize(..others.len())];
            Fault::Cut { from: node, to, both: rng.bool(), span: long, notice }
        }
        8 => Fault::SlowDisk { span: long },
        _ => Fault::FailingDisk { span: short },
    }
}

/// Whether two nodes have anything to say to each other.
fn speak(a: NodeId, b: NodeId) -> bool {
    let with = |role| a.role == role || b.role == role;
    with(Role::World) || with(Role::Scene) || (with(Role::Auth) && with(Role::Gateway)) || (with(Role::Auth) && with(Role::Data))
}
