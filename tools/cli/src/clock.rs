//! Moments and spans as people read and write them.

use std::time::Duration;

const DAY_SECONDS: u64 = 24 * 3_600;

/// Date and time of a moment in microseconds since the Unix epoch, in UTC.
pub(crate) fn at(us: u64) -> String {
    let seconds = us / 1_000_000;
    let (year, month, day) = date(seconds / DAY_SECONDS);
    let rest = seconds % DAY_SECONDS;
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
}

/// The time of day of a moment, in UTC, with milliseconds.
pub(crate) fn time_of_day(us: u64) -> String {
    let rest = us / 1_000_000 % DAY_SECONDS;
    format!("{:02}:{:02}:{:02}.{:03}", rest / 3_600, rest / 60 % 60, rest % 60, us / 1_000 % 1_000)
}

/// A span such as `90s`, `15m` or `2h`; a bare number is seconds.
///
/// # Errors
/// It is none, in words.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => DAY_SECONDS,
        _ => return Err("expected something like 90s, 15m or 2h".to_owned()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.map(Duration::from_secs).ok_or_else(|| "expected something like 90s, 15m or 2h".to_owned())
}

/// The civil date of a day since the Unix epoch, counted in eras of 400 years that begin in March.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let month_day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, month_day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_764_378_245, "2025-11-29 01:04:05"),
        ] {
            assert_eq!(at(seconds * 1_000_000), text);
        }
        assert_eq!(time_of_day(1_764_378_245_067_000), "01:04:05.067");
    }

    #[test]
    fn spans_have_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7_200), ("1d", 86_400)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "two", "5 weeks", "99999999999999999999h"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
