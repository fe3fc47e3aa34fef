//! Parts of a whole, exact enough for a shard of a hundred agents.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

/// A part of a tick's interval (of one thread), or of a scene's capacity, in millionths. Above one whole: overloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(pub u64);

impl Share {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// A whole tick of one thread, or all of a scene's capacity.
    pub const WHOLE: Self = Self(1_000_000);

    /// From thousandths.
    pub const fn permille(permille: u64) -> Self {
        Self(permille * 1_000)
    }

    /// From hundredths.
    pub const fn percent(percent: u64) -> Self {
        Self(percent * 10_000)
    }

    /// `permille` thousandths of this.
    pub const fn permille_of(self, permille: u64) -> Self {
        Self(self.0 * permille / 1_000)
    }

    /// This as a part of `whole`; nothing is a part of nothing.
    pub const fn of(self, whole: Self) -> Self {
        if whole.0 == 0 { Self::ZERO } else { Self((self.0 as u128 * Self::WHOLE.0 as u128 / whole.0 as u128) as u64) }
    }

    /// For people and scripts, 1 is a whole.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / Self::WHOLE.0 as f64
    }

    /// How far apart two are.
    pub const fn apart(self, other: Self) -> Self {
        Self(self.0.abs_diff(other.0))
    }
}

impl Add for Share {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Share {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Share {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Share {
    fn sum<I: Iterator<Item = Self>>(shares: I) -> Self {
        shares.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}%", self.as_f64() * 100.0)
    }
}

/// Not a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share; expected a percentage such as `12.5%`")]
pub struct ParseShareError(pub String);

impl FromStr for Share {
    type Err = ParseShareError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
        let percent = percent.filter(|percent| (0.0..1e9).contains(percent));
        percent.map(|percent| Self((percent * 10_000.0).round() as u64)).ok_or_else(|| ParseShareError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_and_read_in_percent() {
        assert_eq!("12.5%".parse(), Ok(Share(125_000)));
        assert_eq!(Share(1_234_567).to_string(), "123.5%");
        for text in ["", "12", "-1%", "x%"] {
            assert_eq!(text.parse::<Share>(), Err(ParseShareError(text.to_owned())));
        }
    }

    #[test]
    fn parts_of_a_whole_follow_its_size() {
        assert_eq!(Share::percent(50).of(Share::percent(200)), Share::percent(25));
        assert_eq!(Share::percent(50).of(Share::ZERO), Share::ZERO);
        assert_eq!(Share::percent(50).permille_of(40), Share::percent(2));
    }
}
