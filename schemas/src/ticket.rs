//! What a ticket says: the claims that authentication servers sign and gateways read, and their payload as flat JSON.
//!
//! The payload is the message of a PASETO v4.public token. Signing and verifying belong to the roles; both read and write the
//! claims here, so they cannot disagree. Neither reads a clock: the expiry is compared with `now` by the caller.

use crate::{AccountId, EntityId, Timestamp};

/// Claim: the account, a decimal `u64` as a string.
pub const CLAIM_ACCOUNT: &str = "account";
/// Claim: the player's agent, a decimal `u64` as a string.
pub const CLAIM_AGENT: &str = "agent";
/// Claim: the player's name.
pub const CLAIM_NAME: &str = "name";
/// Claim: the account's login count, a number.
pub const CLAIM_LOGIN: &str = "login";
/// Claim: the cluster's name.
pub const CLAIM_CLUSTER: &str = "cluster";
/// Claim: the end of validity, RFC 3339 in UTC with whole seconds, such as `2030-01-31T08:00:00Z`.
pub const CLAIM_EXPIRY: &str = "exp";
/// Footer: which key signed, a short name; the footer is `{"kid":"<name>"}`.
pub const FOOTER_KEY: &str = "kid";

/// What a ticket says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketClaims {
    /// Whose ticket it is.
    pub account: AccountId,
    /// The player's agent.
    pub agent: EntityId,
    /// The player's name.
    pub name: String,
    /// Raised durably by each login: the first half of the session's epoch.
    pub login: u32,
    /// For this cluster only.
    pub cluster: String,
    /// Not valid from here on; whole seconds, a fraction is cut off by [`Self::payload`].
    pub expires: Timestamp,
}

/// Why a payload is not a ticket's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTicketError {
    /// Not a flat JSON object of strings and whole numbers.
    #[error("the payload is not a flat JSON object")]
    NotFlatJson,
    /// The claim is absent or not of its form.
    #[error("the claim `{0}` is missing or malformed")]
    Claim(&'static str),
}

impl TicketClaims {
    /// The claims as JSON.
    pub fn payload(&self) -> String {
        format!(
            r#"{{"{CLAIM_ACCOUNT}":"{}","{CLAIM_AGENT}":"{}","{CLAIM_NAME}":"{}","{CLAIM_LOGIN}":{},"{CLAIM_CLUSTER}":"{}","{CLAIM_EXPIRY}":"{}"}}"#,
            self.account.0,
            self.agent.0,
            escaped(&self.name),
            self.login,
            escaped(&self.cluster),
            rfc3339(self.expires),
        )
    }

    /// The inverse of [`Self::payload`]; unknown claims are ignored.
    ///
    /// # Errors
    /// When the payload is not flat JSON or a claim is missing or malformed.
    pub fn parse(payload: &str) -> Result<Self, ParseTicketError> {
        let fields = flat_json(payload).ok_or(ParseTicketError::NotFlatJson)?;
        let text =
            |claim| fields.iter().find(|(key, _)| key == claim).map(|(_, value)| value).ok_or(ParseTicketError::Claim(claim));
        let number = |claim| text(claim)?.parse().map_err(|_| ParseTicketError::Claim(claim));
        Ok(Self {
            account: AccountId(number(CLAIM_ACCOUNT)?),
            agent: EntityId(number(CLAIM_AGENT)?),
            name: text(CLAIM_NAME)?.clone(),
            login: text(CLAIM_LOGIN)?.parse().map_err(|_| ParseTicketError::Claim(CLAIM_LOGIN))?,
            cluster: text(CLAIM_CLUSTER)?.clone(),
            expires: timestamp(text(CLAIM_EXPIRY)?).ok_or(ParseTicketError::Claim(CLAIM_EXPIRY))?,
        })
    }
}

/// The footer of a ticket signed by the key of that name.
pub fn footer(key_name: &str) -> String {
    format!(r#"{{"{FOOTER_KEY}":"{}"}}"#, escaped(key_name))
}

/// The name of the key in a footer; `None` when the footer is not of the form of [`footer`].
pub fn footer_key(footer: &str) -> Option<String> {
    flat_json(footer)?.into_iter().find(|(key, _)| key == FOOTER_KEY).map(|(_, value)| value)
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Keys and values of an object of strings and whole numbers, without white space and in order, as this file writes it.
fn flat_json(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.strip_prefix('{')?;
    let mut fields = Vec::new();
    loop {
        let (key, after) = json_string(rest)?;
        let after = after.strip_prefix(':')?;
        let (value, after) = if after.starts_with('"') { json_string(after)? } else { json_number(after)? };
        fields.push((key, value));
        if after == "}" {
            return Some(fields);
        }
        rest = after.strip_prefix(',')?;
    }
}

fn json_string(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, &body[at + 1..])),
            '\\' => out.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\\'))?),
            c => out.push(c),
        }
    }
    None
}

fn json_number(text: &str) -> Option<(String, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    Some((text[..end].to_owned(), &text[end..]))
}

const SECONDS_PER_DAY: u64 = 86_400;

fn rfc3339(at: Timestamp) -> String {
    let seconds = at.0 / 1_000_000;
    let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// The inverse of [`rfc3339`]: only years 1970 to 9999, only UTC, only whole seconds.
fn timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let shape = b"0000-00-00T00:00:00Z";
    let fits = |(have, want): (&u8, &u8)| if *want == b'0' { have.is_ascii_digit() } else { have == want };
    if bytes.len() != shape.len() || !bytes.iter().zip(shape).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    if civil_date(days) != (year, month, day) {
        return None;
    }
    Some(Timestamp((days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second) * 1_000_000))
}

/// Days from 1970-01-01 to the first of that month.
fn days_before(year: u64, month: u64) -> u64 {
    // Years are counted from March, so that the leap day is the last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 - 719_468
}

/// Year, month and day of a count of days since 1970-01-01.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // 400 years are one era of 146,097 days; the year of era and its day follow by the rule of leap years.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims(name: &str, expires: Timestamp) -> TicketClaims {
        TicketClaims {
            account: AccountId(u64::MAX),
            agent: EntityId(7),
            name: name.to_owned(),
            login: 3,
            cluster: "demo".to_owned(),
            expires,
        }
    }

    proptest! {
        #[test]
        fn claims_round_trip(name in "\\PC{0,24}", seconds in 0u64..253_402_300_799) {
            let claims = claims(&name, Timestamp(seconds * 1_000_000));
            prop_assert_eq!(TicketClaims::parse(&claims.payload()), Ok(claims));
        }

        #[test]
        fn junk_never_panics(text in "\\PC{0,80}") {
            let _ = TicketClaims::parse(&text);
            let _ = footer_key(&text);
            let _ = timestamp(&text);
        }
    }

    #[test]
    fn the_payload_is_plain_json() {
        let text = claims("Ana", Timestamp(1_709_164_800_000_000)).payload();
        let want = r#"{"account":"18446744073709551615","agent":"7","name":"Ana","login":3,"cluster":"demo","exp":"2024-02-29T00:00:00Z"}"#;
        assert_eq!(text, want);
        assert_eq!(footer_key(&footer("k1")), Some("k1".to_owned()));
    }

    #[test]
    fn missing_and_malformed_claims_are_named() {
        let good = claims("Ana", Timestamp(0)).payload();
        for (from, to, claim) in [
            (r#""account":"18446744073709551615""#, r#""account":"x""#, CLAIM_ACCOUNT),
            (r#""login":3"#, r#""login":4294967296"#, CLAIM_LOGIN),
            (r#""name":"Ana""#, r#""nom":"Ana""#, CLAIM_NAME),
            ("1970-01-01", "1970-02-30", CLAIM_EXPIRY),
            ("00:00Z", "00:00+", CLAIM_EXPIRY),
        ] {
            assert_eq!(TicketClaims::parse(&good.replace(from, to)), Err(ParseTicketError::Claim(claim)));
        }
        assert_eq!(TicketClaims::parse("[]"), Err(ParseTicketError::NotFlatJson));
    }
}
