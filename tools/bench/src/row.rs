//! A row of the table: a goal, a figure, and the reference that ran beside it.

use std::fmt;

use serde::Serialize;

/// What a goal asks of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

impl Bound {
    /// Whether `figure` is within it.
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
        }
    }
}

/// A bare thing of the same minute on the same cores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reference {
    /// What it is.
    pub what: &'static str,
    /// Median, in the row's unit.
    pub figure: f64,
    /// Median of the row's figure over the reference's, pair by pair.
    pub ratio: f64,
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Of the suite, such as `S4`; a row with two goals comes twice.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    /// In words.
    pub goal: String,
    /// Median.
    pub figure: f64,
    /// Of `figure` and of the reference.
    pub unit: &'static str,
    /// Whether the goal is met.
    pub met: bool,
    /// What it is compared with.
    pub reference: Option<Reference>,
    /// Smallest and largest.
    pub spread: [f64; 2],
    /// How many times it was measured.
    pub samples: usize,
    /// What the reader must know, such as that cores could not be pinned.
    pub note: String,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, what, goal, figure, unit, spread: [low, high], .. } = self;
        let met = if self.met { "met" } else { "NOT met" };
        write!(f, "{id} {what}: {} {unit} ({} to {}), goal {goal}: {met}", show(*figure), show(*low), show(*high))?;
        if let Some(Reference { what, figure, ratio }) = &self.reference {
            write!(f, "; {what} {} {unit}, ratio {}", show(*figure), show(*ratio))?;
        }
        if !self.note.is_empty() {
            write!(f, "; {}", self.note)?;
        }
        Ok(())
    }
}

/// Three digits that matter.
pub(crate) fn show(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        1.0.. => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_on_their_edge() {
        assert!(Bound::AtMost(5.0).holds(5.0) && !Bound::AtMost(5.0).holds(5.1));
        assert!(Bound::AtLeast(5.0).holds(5.0) && !Bound::AtLeast(5.0).holds(4.9));
    }

    #[test]
    fn figures_show_three_digits() {
        assert_eq!([0.0, 0.1234, 1.234, 12.34, 1234.5].map(show), ["0", "0.123", "1.23", "12.3", "1234"]);
    }
}
