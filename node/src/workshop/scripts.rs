//! The scripts of the designers' folder: `scripts/NAME.luau`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pangaea_schemas::rules::{SCRIPT_BYTES_MAX, Source};
use pangaea_world::rules::Wish;
use pangaea_world::scripts::ScriptWish;

use super::{Check, EDITOR, News};

/// What a script's file ends with.
const ENDING: &str = "luau";

/// The files as last seen.
pub(super) struct Shelf {
    folder: PathBuf,
    check: Check,
    seen: BTreeMap<String, String>,
}

impl Shelf {
    pub(super) fn new(folder: PathBuf, check: Check) -> Self {
        Self { folder, check, seen: BTreeMap::new() }
    }

    /// What is new since the last look. A script that cannot be read is not wished: what runs goes on.
    pub(super) fn look(&mut self) -> Vec<News> {
        let here = self.read();
        let mut news = Vec::new();
        for (name, text) in &here {
            if self.seen.get(name) == Some(text) {
                continue;
            }
            news.push(match (self.check)(name, text) {
                Ok(()) => wish(ScriptWish::Save { name: name.clone(), source: Source::from(text.as_str()) }),
                Err(reason) => News::Unclear { reason },
            });
        }
        let gone = self.seen.keys().filter(|name| !here.contains_key(*name));
        news.extend(gone.map(|name| wish(ScriptWish::Remove { name: name.clone() })));
        self.seen = here;
        news
    }

    /// By name. A file that cannot be read just now is as it was.
    fn read(&self) -> BTreeMap<String, String> {
        let mut here = BTreeMap::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Some(name) = name_of(&path) else { continue };
            let small = entry.metadata().is_ok_and(|file| file.is_file() && file.len() <= 2 * SCRIPT_BYTES_MAX as u64);
            match fs::read_to_string(&path) {
                Ok(text) if small => _ = here.insert(name, text),
                _ => {
                    tracing::warn!(script = %path.display(), "a script is left as it was: the file is no text, or far too long");
                    here.extend(self.seen.get(&name).map(|text| (name.clone(), text.clone())));
                }
            }
        }
        here
    }
}

/// The script in a file; `None`: it is another kind of file.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?.strip_suffix('.')?;
    // What editors read stands beside, and what they hide as well.
    (!name.is_empty() && !name.starts_with('.') && !name.ends_with(".d")).then(|| name.to_owned())
}

fn wish(script: ScriptWish) -> News {
    News::Wish(Wish { by: EDITOR.to_owned(), why: "save".to_owned(), values: Vec::new(), scripts: vec![script] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_changed_broken_and_removed_scripts_are_news_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |name: &str, text: &str| if text.contains("bad") { Err(format!("{name}:1: bad")) } else { Ok(()) };
        let mut shelf = Shelf::new(folder.path().to_owned(), Box::new(check));
        let save = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("saved");
        let saved = |text: &str| wish(ScriptWish::Save { name: "wolves".to_owned(), source: Source::from(text) });
        assert_eq!(shelf.look(), []);
        save("wolves.luau", "one");
        save("types.d.luau", "bad");
        save("notes.txt", "bad");
        assert_eq!(shelf.look(), [saved("one")]);
        assert_eq!(shelf.look(), []);
        save("wolves.luau", "bad");
        assert_eq!(shelf.look(), [News::Unclear { reason: "wolves:1: bad".to_owned() }]);
        save("wolves.luau", "two");
        assert_eq!(shelf.look(), [saved("two")]);
        fs::remove_file(folder.path().join("wolves.luau")).expect("removed");
        assert_eq!(shelf.look(), [wish(ScriptWish::Remove { name: "wolves".to_owned() })]);
    }
}
