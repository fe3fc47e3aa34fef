//! Which names and passwords are allowed.

/// Characters of a name.
pub(crate) const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=24;
/// Characters of a password.
pub(crate) const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;

/// A name: ASCII letters, digits, `_` and `-`, the first a letter. Nobody can look like somebody else, and a guest's `~` never
/// fits.
pub(crate) fn is_name(name: &str) -> bool {
    NAME_CHARS.contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// A password: any characters, enough and not too many of them.
pub(crate) fn is_password(password: &str) -> bool {
    PASSWORD_CHARS.contains(&password.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_have_their_form() {
        for good in ["Ana", "a-1", "Player_24", &"x".repeat(24)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "ab", "1abc", "Ana Bell", "Ána", "ana~7", "a\"b", "a/bc", &"x".repeat(25)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_password("pässwörd") && is_password(&"x".repeat(128)));
        assert!(!is_password("seven77") && !is_password(&"x".repeat(129)));
    }
}
