//! What goes wrong in a simulation, drawn from its seed: processes die, stand still or lose their sense of time, links break, lag
//! or are cut one way or both, the disk is slow, full, fails, or does not say whether it wrote. Meanwhile admins move shards and
//! empty processes ([`Order`]).
//!
//! Links are like TCP's: in order, nothing doubled, and what is under way is lost when they break. Between the protocols of
//! ownership and value that need nothing of that, a link may also double messages and change their order ([`Fault::Disorder`]).

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use pangaea_schemas::message::Message;
use pangaea_schemas::{NodeId, Role};

use super::orders::{self, Order};

/// Faults begin after this: by then everybody has come in.
pub const CALM_BEFORE: Duration = Duration::from_secs(5);
/// No fault lasts into this last part of a simulation: the system must be live again when it ends.
pub const CALM_AFTER: Duration = Duration::from_secs(12);
/// Most faults of one simulation.
const FAULTS_MAX: usize = 5;
/// Most orders of one simulation.
const ORDERS_MAX: usize = 5;
/// A fault follows an earlier one, or an order, within this time in one of [`TOGETHER_ONE_IN`] cases.
const TOGETHER: Duration = Duration::from_millis(400);
/// See [`TOGETHER`].
const TOGETHER_ONE_IN: u32 = 2;
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
        /// Its clock stands still too, as on a machine that is suspended.
        unaware: bool,
    },
    /// The process's clock skips some time.
    Jump {
        /// Whose.
        node: NodeId,
        /// How much.
        by: Duration,
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
    /// The link between two nodes breaks and is made again at once.
    Break {
        /// One end.
        from: NodeId,
        /// The other.
        to: NodeId,
    },
    /// Messages from one node to another take long.
    Lag {
        /// Who is heard late.
        from: NodeId,
        /// By whom.
        to: NodeId,
        /// For how long.
        span: Duration,
        /// How much later.
        by: Duration,
    },
    /// Of the messages from one node to another that may come in any order, some come twice, some late.
    Disorder {
        /// Who is misheard.
        from: NodeId,
        /// By whom.
        to: NodeId,
        /// For how long.
        span: Duration,
    },
    /// No fault, but somebody's order.
    Order(Order),
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
    /// There is hardly any room left.
    FullDisk {
        /// For how long.
        span: Duration,
    },
    /// Commits report a failure although they are durable: the data process must end.
    UnsureDisk {
        /// For how long.
        span: Duration,
    },
}

/// A fault and the moment at which it begins.
pub type Planned = (Duration, Fault);

impl Fault {
    /// How long it lasts.
    pub fn span(&self) -> Duration {
        match self {
            Self::Kill { span, .. }
            | Self::Pause { span, .. }
            | Self::Cut { span, .. }
            | Self::Lag { span, .. }
            | Self::Disorder { span, .. }
            | Self::SlowDisk { span }
            | Self::FailingDisk { span }
            | Self::FullDisk { span }
            | Self::UnsureDisk { span } => *span,
            Self::Order(order) => order.span(),
            Self::Jump { .. } | Self::Break { .. } => Duration::ZERO,
        }
    }

    /// Whether somebody's clock is wrong by more than clocks are.
    pub fn confuses_a_clock(&self) -> bool {
        matches!(self, Self::Jump { .. } | Self::Pause { unaware: true, .. })
    }

    /// The two whom it is between; for what happens to one, whoever it is.
    fn between(&self) -> Option<(NodeId, Option<NodeId>)> {
        match self {
            Self::Kill { node, .. } | Self::Pause { node, .. } | Self::Jump { node, .. } => Some((*node, None)),
            Self::Cut { from, to, .. }
            | Self::Break { from, to }
            | Self::Lag { from, to, .. }
            | Self::Disorder { from, to, .. } => Some((*from, Some(*to))),
            Self::Order(_)
            | Self::SlowDisk { .. }
            | Self::FailingDisk { .. }
            | Self::FullDisk { .. }
            | Self::UnsureDisk { .. } => None,
        }
    }

    /// In a word, for those who count.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Pause { unaware: false, .. } => "pause",
            Self::Pause { unaware: true, .. } => "suspend",
            Self::Jump { .. } => "clock-jump",
            Self::Cut { both: true, .. } => "cut",
            Self::Cut { both: false, .. } => "one-way-cut",
            Self::Break { .. } => "broken-link",
            Self::Lag { .. } => "lag",
            Self::Disorder { .. } => "disorder",
            Self::Order(order) => order.kind(),
            Self::SlowDisk { .. } => "slow-disk",
            Self::FailingDisk { .. } => "failing-disk",
            Self::FullDisk { .. } => "full-disk",
            Self::UnsureDisk { .. } => "unsure-disk",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { node, span } => write!(f, "{node} is killed for {} ms", span.as_millis()),
            Self::Pause { node, span, unaware } => {
                let how = if *unaware { ", and its clock with it" } else { "" };
                write!(f, "{node} stands still for {} ms{how}", span.as_millis())
            }
            Self::Jump { node, by } => write!(f, "the clock of {node} skips {} ms", by.as_millis()),
            Self::Cut { from, to, both, span, .. } => {
                let way = if *both { "<>" } else { ">" };
                write!(f, "{from} {way} {to} is cut for {} ms", span.as_millis())
            }
            Self::Break { from, to } => write!(f, "{from} <> {to} breaks"),
            Self::Lag { from, to, span, by } => {
                write!(f, "{from} > {to} lags by {} ms for {} ms", by.as_millis(), span.as_millis())
            }
            Self::Disorder { from, to, span } => write!(f, "{from} > {to} is out of order for {} ms", span.as_millis()),
            Self::Order(order) => write!(f, "{order}"),
            Self::SlowDisk { span } => write!(f, "the disk is slow for {} ms", span.as_millis()),
            Self::FailingDisk { span } => write!(f, "the disk fails for {} ms", span.as_millis()),
            Self::FullDisk { span } => write!(f, "the disk is full for {} ms", span.as_millis()),
            Self::UnsureDisk { span } => write!(f, "the disk does not say what it wrote for {} ms", span.as_millis()),
        }
    }
}

/// What goes wrong in a simulation of `span`, in the order in which it was drawn. Nothing in a simulation that is too short.
pub fn draw(rng: &mut Rng, span: Duration, nodes: &[NodeId]) -> Vec<Planned> {
    let Some(room) = span.checked_sub(CALM_BEFORE + CALM_AFTER).filter(|room| !room.is_zero()) else { return Vec::new() };
    let anywhen = |rng: &mut Rng| CALM_BEFORE + Duration::from_micros(rng.u64(..room.as_micros() as u64));
    let orders = rng.usize(..=ORDERS_MAX);
    let mut planned: Vec<Planned> = (0..orders).map(|_| (anywhen(rng), Fault::Order(orders::draw(rng, nodes)))).collect();
    for _ in 0..rng.usize(1..=FAULTS_MAX) {
        let soon = Duration::from_micros(rng.u64(..TOGETHER.as_micros() as u64));
        let earlier = planned.get(rng.usize(..planned.len().max(1))).copied().filter(|_| rng.u32(..TOGETHER_ONE_IN) == 0);
        let at = earlier.map_or_else(|| anywhen(rng), |(at, _)| at + soon);
        let same = earlier.and_then(|(_, fault)| fault.between()).filter(|_| rng.bool());
        planned.push((at, one(rng, nodes, same)));
    }
    planned
}

/// Whether a message means the same if it comes twice or after later ones. Feeds, watches and reports are streams of what their
/// sender believes: they rely on their link.
pub fn may_come_in_any_order(message: &Message) -> bool {
    match message {
        Message::JournalRequest(_)
        | Message::JournalReply(_)
        | Message::LedgerRequest(_)
        | Message::LedgerReply(_)
        | Message::Handover(_)
        | Message::Effect(_)
        | Message::Migration(_)
        | Message::Session(_)
        | Message::Control(_)
        | Message::Directory(_) => true,
        Message::Feed(_)
        | Message::BeaconRequest(_)
        | Message::BeaconReply(_)
        | Message::BusRequest(_)
        | Message::BusEvent(_)
        | Message::BlobRequest(_)
        | Message::BlobReply(_)
        | Message::TableRequest(_)
        | Message::TableReply(_)
        | Message::AuthRequest(_)
        | Message::AuthReply(_)
        | Message::Desk(_) => false,
    }
}

/// One of them; if it happens to or between somebody, to these if they are named, either way round.
fn one(rng: &mut Rng, nodes: &[NodeId], named: Option<(NodeId, Option<NodeId>)>) -> Fault {
    let mut millis = |range| Duration::from_millis(rng.u64(range));
    let (short, long, notice) = (millis(100..1_500), millis(100..5_000), millis(50..2_000));
    let node = named.map_or_else(|| nodes[rng.usize(..nodes.len())], |(node, _)| node);
    let others: Vec<NodeId> = nodes.iter().copied().filter(|other| *other != node && speak(node, *other)).collect();
    let to = named.and_then(|(_, to)| to).unwrap_or_else(|| others[rng.usize(..others.len())]);
    let (from, to) = if rng.bool() { (node, to) } else { (to, node) };
    match rng.u32(..21) {
        0..=5 => Fault::Kill { node, span: if rng.bool() { short } else { long } },
        6 | 7 => Fault::Pause { node, span: long, unaware: false },
        8 => Fault::Pause { node, span: long, unaware: true },
        9..=11 => Fault::Cut { from, to, both: rng.bool(), span: long, notice },
        12 => Fault::Break { from, to },
        13 => Fault::Lag { from, to, span: long, by: Duration::from_millis(rng.u64(20..1_500)) },
        14 => Fault::Jump { node, by: short },
        15 => Fault::SlowDisk { span: long },
        16 => Fault::FailingDisk { span: short },
        17..=19 => Fault::Disorder { from, to, span: long },
        _ if rng.bool() => Fault::FullDisk { span: short },
        _ => Fault::UnsureDisk { span: short },
    }
}

/// Whether two nodes have anything to say to each other.
fn speak(a: NodeId, b: NodeId) -> bool {
    let with = |role| a.role == role || b.role == role;
    with(Role::World) || with(Role::Scene) || (with(Role::Auth) && with(Role::Gateway)) || (with(Role::Auth) && with(Role::Data))
}
