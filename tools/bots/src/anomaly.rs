//! What must never be seen by a client.

use std::collections::BTreeMap;

/// Most examples kept of each kind.
const EXAMPLES_MAX: usize = 3;

/// A sort of anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// A bot did not get into the world.
    NeverJoined,
    /// The connection was lost, or the gateway said goodbye.
    Disconnected,
    /// No update for two seconds.
    UpdateGap,
    /// A tick lower than the one before.
    TickBack,
    /// An acknowledged input was taken back.
    InputBack,
    /// An input was acknowledged that was never sent.
    InputBeyond,
    /// Events are missing, or came twice.
    EventGap,
    /// The own agent moved farther than it can.
    Jump,
    /// The own agent is not drawn in any cell.
    Vanished,
    /// A near entity was gone without having left.
    Lost,
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
            Self::UpdateGap => "update_gap",
            Self::TickBack => "tick_back",
            Self::InputBack => "input_back",
            Self::InputBeyond => "input_beyond",
            Self::EventGap => "event_gap",
            Self::Jump => "jump",
            Self::Vanished => "vanished",
            Self::Lost => "lost",
            Self::Blinked => "blinked",
            Self::Twice => "twice",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
        }
    }
}

/// Anomalies by kind, with a few examples in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anomalies {
    seen: BTreeMap<AnomalyKind, (u64, Vec<String>)>,
}

impl Anomalies {
    /// Count one.
    pub fn note(&mut self, kind: AnomalyKind, what: impl FnOnce() -> String) {
        let (count, examples) = self.seen.entry(kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(what());
        }
    }

    /// Take over what another one saw.
    pub fn merge(&mut self, other: Self) {
        for (kind, (count, mut examples)) in other.seen {
            let (total, kept) = self.seen.entry(kind).or_default();
            *total += count;
            kept.append(&mut examples);
            kept.truncate(EXAMPLES_MAX);
        }
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
}
