//! What may be done with scripts: a pure function from the book to the book.
//!
//! The world knows scripts as texts with names; whether one can be read is judged before it is wished, whether it fails is told
//! by the scenes.

use pangaea_schemas::rules::{Book, SCRIPT_BYTES_MAX, SCRIPTS_BYTES_MAX, SCRIPTS_MAX, ScriptPast, ScriptRule, Source, nearest};

/// Longest name of a script.
pub const NAME_CHARS_MAX: usize = 40;

/// What somebody wants of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptWish {
    /// It was saved; it runs from now on, unless it is off.
    Save {
        /// Which.
        name: String,
        /// Its text.
        source: Source,
    },
    /// There is no such script any more.
    Remove {
        /// Which.
        name: String,
    },
    /// It runs, also where it had failed; or it does not.
    Switch {
        /// Which.
        name: String,
        /// It runs.
        on: bool,
    },
    /// The last one that failed nowhere runs again, until another is saved.
    Rollback {
        /// Which.
        name: String,
    },
}

/// Why a script is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptRefusal {
    /// There is none of this name.
    #[error("there is no script `{name}`{}", match .nearest { Some(nearest) => format!("; did you mean `{nearest}`?"), None => String::new() })]
    Unknown {
        /// As given.
        name: String,
        /// One that is spelled alike.
        nearest: Option<String>,
    },
    /// It cannot be called so.
    #[error("a script cannot be called `{0}`: use small letters, digits and `_`, at most {NAME_CHARS_MAX}")]
    Name(String),
    /// Too long, or all together are.
    #[error(
        "`{name}` has {bytes} bytes; at most {SCRIPT_BYTES_MAX} are possible, and {SCRIPTS_BYTES_MAX} of all scripts together"
    )]
    Bytes {
        /// Which.
        name: String,
        /// Its own.
        bytes: usize,
    },
    /// Too many.
    #[error("there are {SCRIPTS_MAX} scripts already; join some of them")]
    Count,
    /// Nothing to go back to.
    #[error("of `{0}` no earlier version is known that failed nowhere")]
    NothingGood(String),
}

impl ScriptWish {
    /// Which script.
    pub fn name(&self) -> &str {
        match self {
            Self::Save { name, .. } | Self::Remove { name } | Self::Switch { name, .. } | Self::Rollback { name } => name,
        }
    }

    /// Does it to a book; `fails` says whether what runs now fails somewhere. What was done, in a word; `None`: it is so already.
    ///
    /// # Errors
    /// When it cannot be done; the book may be changed in part then, and is to be thrown away.
    pub fn apply(&self, book: &mut Book, fails: bool) -> Result<Option<&'static str>, ScriptRefusal> {
        match self {
            Self::Save { name, source } => save(book, name, source, fails),
            Self::Remove { name } => {
                let (rules, pasts) = (book.rules.scripts.len(), book.pasts.len());
                book.rules.scripts.retain(|rule| rule.name != *name);
                book.pasts.retain(|past| past.name != *name);
                Ok((rules + pasts > book.rules.scripts.len() + book.pasts.len()).then_some("remove"))
            }
            Self::Switch { name, on: true } => {
                let rule = rule(book, name)?;
                if rule.is_on && !fails {
                    return Ok(None);
                }
                (rule.is_on, rule.attempt) = (true, rule.attempt + 1);
                Ok(Some("on"))
            }
            Self::Switch { name, on: false } => {
                let rule = rule(book, name)?;
                Ok(std::mem::replace(&mut rule.is_on, false).then_some("off"))
            }
            Self::Rollback { name } => {
                let good = book.pasts.iter().find(|past| past.name == *name).map(|past| past.good.clone()).unwrap_or_default();
                let rule = rule(book, name)?;
                if good.is_empty() {
                    return Err(ScriptRefusal::NothingGood(name.clone()));
                }
                (rule.source, rule.is_on, rule.attempt) = (good, true, rule.attempt + 1);
                Ok(Some("rollback"))
            }
        }
    }
}

fn rule<'b>(book: &'b mut Book, name: &str) -> Result<&'b mut ScriptRule, ScriptRefusal> {
    let rules = &mut book.rules.scripts;
    match rules.iter().position(|rule| rule.name == name) {
        Some(at) => Ok(&mut rules[at]),
        None => {
            let nearest = nearest(name, rules.iter().map(|rule| rule.name.as_str())).map(str::to_owned);
            Err(ScriptRefusal::Unknown { name: name.to_owned(), nearest })
        }
    }
}

fn save(book: &mut Book, name: &str, source: &Source, fails: bool) -> Result<Option<&'static str>, ScriptRefusal> {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(letters) {
        return Err(ScriptRefusal::Name(name.to_owned()));
    }
    let others: usize = book.pasts.iter().filter(|past| past.name != name).map(|past| past.saved.len()).sum();
    if source.len() > SCRIPT_BYTES_MAX || others + source.len() > SCRIPTS_BYTES_MAX {
        return Err(ScriptRefusal::Bytes { name: name.to_owned(), bytes: source.len() });
    }
    if let Some(past) = book.pasts.iter_mut().find(|past| past.name == name) {
        if past.saved == *source {
            return Ok(None);
        }
        past.saved = source.clone();
    } else if book.pasts.len() == SCRIPTS_MAX {
        return Err(ScriptRefusal::Count);
    } else {
        book.pasts.push(ScriptPast { name: name.to_owned(), good: Source::default(), saved: source.clone() });
        book.pasts.sort_by(|a, b| a.name.cmp(&b.name));
    }
    let Some(rule) = book.rules.scripts.iter_mut().find(|rule| rule.name == name) else {
        book.rules.scripts.push(ScriptRule { name: name.to_owned(), source: source.clone(), is_on: true, attempt: 0 });
        book.rules.scripts.sort_by(|a, b| a.name.cmp(&b.name));
        return Ok(Some("new"));
    };
    let before = std::mem::replace(&mut rule.source, source.clone());
    rule.attempt += 1;
    if !fails && let Some(past) = book.pasts.iter_mut().find(|past| past.name == name) {
        past.good = before;
    }
    Ok(Some("save"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(source: &str) -> ScriptWish {
        ScriptWish::Save { name: "wolves".to_owned(), source: Source::from(source) }
    }

    /// What runs after each wish; wishes made while it fails are marked so.
    fn story(wishes: &[(ScriptWish, bool)]) -> Vec<String> {
        let mut book = Book::default();
        let tell = |book: &Book| match book.rules.scripts.first() {
            Some(rule) => format!("{}{}", &*rule.source, if rule.is_on { "" } else { " off" }),
            None => "nothing".to_owned(),
        };
        let told = wishes.iter().map(|(wish, fails)| match wish.apply(&mut book, *fails) {
            Ok(done) => format!("{}: {}", done.unwrap_or("-"), tell(&book)),
            Err(refusal) => refusal.to_string(),
        });
        told.collect()
    }

    #[test]
    fn the_last_good_one_is_what_is_gone_back_to() {
        let name = || "wolves".to_owned();
        let back = || ScriptWish::Rollback { name: name() };
        let wishes = [
            (back(), false),
            (save("one"), false),
            (back(), false),
            (save("two"), false),
            (save("bad"), false),
            (save("worse"), true),
            (back(), true),
            (save("worse"), false),
            (ScriptWish::Switch { name: name(), on: false }, false),
            (save("three"), false),
            (ScriptWish::Switch { name: name(), on: true }, false),
            (ScriptWish::Remove { name: name() }, false),
            (ScriptWish::Remove { name: name() }, false),
        ];
        assert_eq!(
            story(&wishes),
            [
                "there is no script `wolves`",
                "new: one",
                "of `wolves` no earlier version is known that failed nowhere",
                "save: two",
                "save: bad",
                "save: worse",
                "rollback: two",
                "-: two",
                "off: two off",
                "save: three off",
                "on: three",
                "remove: nothing",
                "-: nothing",
            ]
        );
    }

    #[test]
    fn names_and_sizes_have_bounds() {
        let mut book = Book::default();
        let wish =
            |name: &str, bytes| ScriptWish::Save { name: name.to_owned(), source: Source::from("x".repeat(bytes).as_str()) };
        assert!(matches!(wish("Wolf pack", 1).apply(&mut book, false), Err(ScriptRefusal::Name(_))));
        assert!(matches!(wish("wolf", SCRIPT_BYTES_MAX + 1).apply(&mut book, false), Err(ScriptRefusal::Bytes { .. })));
        for n in 0..4 {
            assert_eq!(wish(&format!("s{n}"), SCRIPT_BYTES_MAX).apply(&mut book, false), Ok(Some("new")));
        }
        assert!(matches!(wish("s9", 1).apply(&mut book, false), Err(ScriptRefusal::Bytes { .. })));
    }
}
