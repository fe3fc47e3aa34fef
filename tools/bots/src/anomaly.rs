//! What must never be seen by a client.

use std::collections::BTreeMap;
use std::time::Instant;

/// Most examples kept of each kind.
const EXAMPLES_MAX: usize = 3;
/// Most sightings that one bot keeps; all are counted.
const SIGHTINGS_MAX: usize = 4_096;

/// A sort of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// A bot did not get into the world.
    NeverJoined,
    /// The connection was lost, or the gateway said goodbye.
    Disconnected,
    /// It lost its connection and did not get back in.
    NeverBack,
    /// No update for two seconds.
    UpdateGap,
    /// No update for two seconds after it was sent on to another gateway.
    SlowReturn,
    /// A tick lower than the one before.
    TickBack,
    /// An acknowledged input was taken back.
    InputBack,
    /// An input was acknowledged that was never sent.
    InputBeyond,
    /// Events are missing, or came twice.
    EventGap,
    /// What it owned by an acknowledged change is not what it owns.
    BelongingsBack,
    /// The own agent moved farther than it can.
    Jump,
    /// The own agent is not drawn.
    Vanished,
    /// A near entity left and was back at once.
    Blinked,
    /// One entity under two names.
    Twice,
    /// News of an entity that never entered.
    Unknown,
    /// Bytes that are not the protocol.
    Malformed,
}

impl AnomalyKind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NeverJoined => "never_joined",
            Self::Disconnected => "disconnected",
            Self::NeverBack => "never_back",
            Self::UpdateGap => "update_gap",
            Self::SlowReturn => "slow_return",
            Self::TickBack => "tick_back",
            Self::InputBack => "input_back",
            Self::InputBeyond => "input_beyond",
            Self::EventGap => "event_gap",
            Self::BelongingsBack => "belongings_back",
            Self::Jump => "jump",
            Self::Vanished => "vanished",
            Self::Blinked => "blinked",
            Self::Twice => "twice",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
        }
    }
}

/// One anomaly: what, when, where, how much.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// When it was noticed.
    pub at: Instant,
    /// What sort.
    pub kind: AnomalyKind,
    /// How much: milliseconds for what lasts, metres for what moves, steps for what is numbered, 1 for what just is.
    pub size: f64,
    /// Which gateway showed it.
    pub gateway: String,
    /// Which scene ran the bot's agent, as far as the bot was told.
    pub scene: String,
    /// Which other scene ran it before; what began there may be noticed here.
    pub former_scene: String,
    /// In words.
    pub text: String,
}

/// Where a bot is in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    /// Such as `gateway-1`.
    pub(crate) gateway: String,
    /// Such as `scene-2`.
    pub(crate) scene: String,
    /// Such as `scene-1`.
    pub(crate) former_scene: String,
}

impl Whereabouts {
    /// This scene runs the agent now.
    pub(crate) fn routed(&mut self, scene: String) {
        if scene != self.scene {
            self.former_scene = std::mem::replace(&mut self.scene, scene);
        }
    }
}

/// Anomalies by kind, with a few examples in words, and each one for itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Anomalies {
    seen: BTreeMap<AnomalyKind, (u64, Vec<String>)>,
    sightings: Vec<Sighting>,
    /// Of the bot that looks, at this moment.
    pub(crate) whereabouts: Whereabouts,
}

impl Anomalies {
    /// Count one of a certain size, see [`Sighting::size`].
    pub fn note(&mut self, kind: AnomalyKind, size: f64, what: impl FnOnce() -> String) {
        let (count, examples) = self.seen.entry(kind).or_default();
        *count += 1;
        if self.sightings.len() >= SIGHTINGS_MAX && examples.len() >= EXAMPLES_MAX {
            return;
        }
        let text = what();
        if examples.len() < EXAMPLES_MAX {
            examples.push(text.clone());
        }
        if self.sightings.len() < SIGHTINGS_MAX {
            let Whereabouts { gateway, scene, former_scene } = self.whereabouts.clone();
            self.sightings.push(Sighting { at: Instant::now(), kind, size, gateway, scene, former_scene, text });
        }
    }

    /// Take over what another one saw.
    pub fn merge(&mut self, mut other: Self) {
        for (kind, (count, mut examples)) in other.seen {
            let (total, kept) = self.seen.entry(kind).or_default();
            *total += count;
            kept.append(&mut examples);
            kept.truncate(EXAMPLES_MAX);
        }
        self.sightings.append(&mut other.sightings);
    }

    /// Each kind's name and count.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.seen.iter().map(|(kind, (count, _))| (kind.name(), *count)).collect()
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.seen.values().map(|(count, _)| count).sum()
    }

    /// Examples in words, by kind.
    pub fn examples(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.seen.iter().flat_map(|(kind, (_, examples))| examples.iter().map(|text| (kind.name(), text.as_str())))
    }

    /// Each one for itself; beyond a bound per bot they are only counted.
    pub fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }
}
