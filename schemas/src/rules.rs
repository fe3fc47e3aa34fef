//! The rules of a running world: what designers set without a new build. Today: tunables, typed values with a range.
//!
//! The world keeps them in one durable row, the [`Book`], and tells every scene the same [`Rules`], which say from which tick on
//! they hold. Which tunables there are follows from the game, as [`TuneSpec`]s; rules name only those that differ from what the
//! game begins with.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::{Tick, Timestamp};

/// Most tunables of a game.
pub const TUNABLES_MAX: usize = 1_024;
/// Longest text that a tunable may hold, in bytes.
pub const TUNED_TEXT_BYTES_MAX: usize = 256;
/// Changes that are remembered, the latest.
pub const CHANGES_KEPT_MAX: usize = 512;

/// Most scripts of a world.
pub const SCRIPTS_MAX: usize = 64;
/// Longest source of one script in bytes.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1_024;
/// Longest source of all scripts together: each is kept up to three times in one row of 1 MiB.
pub const SCRIPTS_BYTES_MAX: usize = 256 * 1_024;

/// A tunable's value.
#[derive(Clone, Debug, PartialEq)]
pub enum TuneValue {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Yes or no.
    Flag(bool),
    /// Words.
    Text(String),
}

impl fmt::Display for TuneValue {
    /// As in TOML; a number that is no whole number always shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Flag(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

/// What values a tunable may have; both ends are possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TuneKind {
    /// A whole number.
    Int {
        /// The lowest.
        min: i64,
        /// The highest.
        max: i64,
    },
    /// A number.
    Float {
        /// The lowest.
        min: f64,
        /// The highest.
        max: f64,
    },
    /// Yes or no.
    Flag,
    /// Words.
    Text {
        /// The longest in bytes.
        bytes_max: usize,
    },
}

impl fmt::Display for TuneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Float { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Flag => f.write_str("true or false"),
            Self::Text { bytes_max } => write!(f, "a text of at most {bytes_max} bytes"),
        }
    }
}

/// A tunable as the game declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneSpec {
    /// Group and name, as in `wandering.speed_m_per_s`.
    pub name: String,
    /// What it does, from the source.
    pub about: String,
    /// What it is until somebody sets it.
    pub initial: TuneValue,
    /// What it may be.
    pub kind: TuneKind,
}

/// Why a tunable cannot be set.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TuneRefusal {
    /// The game has none of this name.
    #[error("there is no tunable `{name}`{}", match .nearest { Some(nearest) => format!("; did you mean `{nearest}`?"), None => String::new() })]
    Unknown {
        /// As given.
        name: String,
        /// One that is spelled alike.
        nearest: Option<String>,
    },
    /// It cannot have this value.
    #[error("`{name}` is {kind}; {given} is not")]
    Value {
        /// Which.
        name: String,
        /// What it may be.
        kind: TuneKind,
        /// As given.
        given: TuneValue,
    },
}

impl TuneSpec {
    /// The value as this tunable holds it: a whole number may stand for a number.
    ///
    /// # Errors
    /// When its type or range is another.
    pub fn check(&self, given: TuneValue) -> Result<TuneValue, TuneRefusal> {
        let fitting = match (self.kind, &given) {
            (TuneKind::Int { min, max }, TuneValue::Int(value)) if (min..=max).contains(value) => Some(given.clone()),
            (TuneKind::Float { min, max }, TuneValue::Float(value)) if (min..=max).contains(value) => Some(given.clone()),
            (TuneKind::Float { min, max }, TuneValue::Int(value)) if (min..=max).contains(&(*value as f64)) => {
                Some(TuneValue::Float(*value as f64))
            }
            (TuneKind::Flag, TuneValue::Flag(_)) => Some(given.clone()),
            (TuneKind::Text { bytes_max }, TuneValue::Text(text)) if text.len() <= bytes_max => Some(given.clone()),
            _ => None,
        };
        fitting.ok_or_else(|| TuneRefusal::Value { name: self.name.clone(), kind: self.kind, given })
    }

    /// The tunable of this name.
    ///
    /// # Errors
    /// When there is none; with the nearest, if one is near.
    pub fn find<'s>(specs: &'s [Self], name: &str) -> Result<&'s Self, TuneRefusal> {
        specs.iter().find(|spec| spec.name == name).ok_or_else(|| {
            let nearest = nearest(name, specs.iter().map(|spec| spec.name.as_str()));
            TuneRefusal::Unknown { name: name.to_owned(), nearest: nearest.map(str::to_owned) }
        })
    }
}

/// A tunable that was set.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// Which.
    pub name: String,
    /// To what.
    pub value: TuneValue,
}

/// What holds in the world from a tick on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Rises with each change; 0: nothing was ever set.
    pub version: u64,
    /// The first tick in which they hold, everywhere.
    pub from: Tick,
    /// Tunables that differ from what the game begins with, in order of name.
    pub tunables: Vec<Tuned>,
    /// In order of name.
    pub scripts: Vec<ScriptRule>,
}

/// A script's source; clones share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source(Arc<str>);

impl Default for Source {
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Deref for Source {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A script that designers want to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptRule {
    /// Its file's name without the ending.
    pub name: String,
    /// What runs.
    pub source: Source,
    /// Whether it does.
    pub is_on: bool,
    /// Rises when shards in which it failed shall try again.
    pub attempt: u32,
}

/// What a script was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptPast {
    /// Which.
    pub name: String,
    /// The last one before what runs that failed nowhere; empty: there was none.
    pub good: Source,
    /// As last saved; what runs may be older.
    pub saved: Source,
}

impl Rules {
    /// What a tunable was set to.
    pub fn tuned(&self, name: &str) -> Option<&TuneValue> {
        self.tunables.iter().find(|tuned| tuned.name == name).map(|tuned| &tuned.value)
    }

    /// Sets a tunable, or lets it be as the game begins with it.
    pub fn tune(&mut self, name: &str, value: Option<TuneValue>) {
        self.tunables.retain(|tuned| tuned.name != name);
        self.tunables.extend(value.map(|value| Tuned { name: name.to_owned(), value }));
        self.tunables.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// One tunable that was changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Of the rules that it led to; what was changed at once has one version.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// Who, in his own words.
    pub by: String,
    /// How: set, edited, undone.
    pub why: String,
    /// Which tunable.
    pub name: String,
    /// What it was; `None`: as the game begins with it.
    pub before: Option<Tuned>,
    /// What it is.
    pub after: Option<Tuned>,
}

/// The rules with how they came about, as they are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Book {
    /// In force, or about to be.
    pub rules: Rules,
    /// The latest last; at most [`CHANGES_KEPT_MAX`].
    pub history: Vec<Change>,
    /// Of each script, in order of name.
    pub pasts: Vec<ScriptPast>,
}

/// The one of `names` that is most like `wanted`, if a few slips of the hand explain the difference.
pub fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let slips_max = (wanted.chars().count() / 3).max(2);
    let slips = names.map(|name| (strsim::levenshtein(wanted, name), name));
    slips.filter(|(slips, _)| *slips <= slips_max).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs() -> Vec<TuneSpec> {
        let spec = |name: &str, initial, kind| TuneSpec { name: name.to_owned(), about: String::new(), initial, kind };
        vec![
            spec("wolves.speed", TuneValue::Float(2.4), TuneKind::Float { min: 0.0, max: 20.0 }),
            spec("wolves.pack", TuneValue::Int(4), TuneKind::Int { min: 1, max: 9 }),
            spec("wolves.howl", TuneValue::Flag(true), TuneKind::Flag),
            spec("wolves.name", TuneValue::Text("Wolf".to_owned()), TuneKind::Text { bytes_max: 5 }),
        ]
    }

    fn set(name: &str, value: TuneValue) -> Result<TuneValue, String> {
        let specs = specs();
        TuneSpec::find(&specs, name).and_then(|spec| spec.check(value)).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn what_fits_is_taken() {
        assert_eq!(set("wolves.speed", TuneValue::Float(20.0)), Ok(TuneValue::Float(20.0)));
        assert_eq!(set("wolves.speed", TuneValue::Int(3)), Ok(TuneValue::Float(3.0)));
        assert_eq!(set("wolves.pack", TuneValue::Int(1)), Ok(TuneValue::Int(1)));
        assert_eq!(set("wolves.howl", TuneValue::Flag(false)), Ok(TuneValue::Flag(false)));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let refusals = [
            set("wolves.sped", TuneValue::Int(1)),
            set("sheep", TuneValue::Int(1)),
            set("wolves.speed", TuneValue::Int(21)),
            set("wolves.speed", TuneValue::Float(f64::NAN)),
            set("wolves.speed", TuneValue::Text("fast".to_owned())),
            set("wolves.pack", TuneValue::Float(2.0)),
            set("wolves.howl", TuneValue::Int(1)),
            set("wolves.name", TuneValue::Text("Wolfram".to_owned())),
        ];
        let words: Vec<String> = refusals.into_iter().filter_map(Result::err).collect();
        assert_eq!(
            words,
            [
                "there is no tunable `wolves.sped`; did you mean `wolves.speed`?",
                "there is no tunable `sheep`",
                "`wolves.speed` is a number from 0 to 20; 21 is not",
                "`wolves.speed` is a number from 0 to 20; NaN is not",
                "`wolves.speed` is a number from 0 to 20; \"fast\" is not",
                "`wolves.pack` is a whole number from 1 to 9; 2.0 is not",
                "`wolves.howl` is true or false; 1 is not",
                "`wolves.name` is a text of at most 5 bytes; \"Wolfram\" is not",
            ]
        );
    }

    #[test]
    fn rules_hold_each_name_once_in_order() {
        let mut rules = Rules::default();
        rules.tune("b", Some(TuneValue::Int(1)));
        rules.tune("a", Some(TuneValue::Int(2)));
        rules.tune("b", Some(TuneValue::Int(3)));
        assert_eq!(rules.tunables.iter().map(|tuned| tuned.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(rules.tuned("b"), Some(&TuneValue::Int(3)));
        rules.tune("a", None);
        assert_eq!(rules.tuned("a"), None);
    }
}
