//! The designers' folder of a development cluster: what is saved there is done in the running world, what is done elsewhere is
//! written there.
//!
//! One thread reads, writes and watches, so the world's own thread waits for no disk. What it finds goes to the world as any
//! other order does.

mod scripts;
mod sheet;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use pangaea_schemas::rules::{Book, TuneSpec, TuneValue};
use pangaea_world::rules::Wish;

use self::scripts::Shelf;

/// Reads a script as a shard would; why it cannot be read.
pub(crate) type Check = Box<dyn Fn(&str, &str) -> Result<(), String> + Send>;

/// The sheet's name in the folder.
pub const SHEET: &str = "tunables.toml";
/// The name of the scripts' folder in it.
pub const SCRIPTS: &str = "scripts";
/// Most errands that wait; further ones are not needed: those before them look at everything.
const ERRANDS_MAX: usize = 64;
/// Editors save in several steps; so long after the last of them the files are read.
const SETTLE: Duration = Duration::from_millis(40);
/// Who changes what is edited in the folder.
pub(crate) const EDITOR: &str = "file";

/// What the workshop tells the world.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    /// This is to be so.
    Wish(Wish),
    /// What was saved cannot be understood.
    Unclear {
        /// In words.
        reason: String,
    },
}

enum Errand {
    /// Something in the folder changed.
    Look,
    /// The rules are these now.
    Write(Arc<Book>),
}

/// The open workshop. Dropping it closes it.
pub(crate) struct Workshop {
    errands: Sender<Errand>,
    _watcher: RecommendedWatcher,
}

impl Workshop {
    /// Watch a folder; `tell` hears what is found in it, from the beginning.
    ///
    /// # Errors
    /// The folder is not there, or cannot be watched.
    pub(crate) fn open(
        folder: &Path,
        specs: Arc<[TuneSpec]>,
        check: Check,
        tell: impl Fn(News) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (errands, done) = bounded(ERRANDS_MAX);
        let looking = errands.clone();
        let changed = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // A full queue holds a look already.
                let _ = looking.try_send(Errand::Look);
            }
        };
        let mut watcher = notify::recommended_watcher(changed).context("files cannot be watched")?;
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .with_context(|| format!("{} cannot be watched; name the folder of `{SHEET}` with --design", folder.display()))?;
        let shelf = Shelf::new(folder.join(SCRIPTS), check);
        let bench = Bench { sheet: folder.join(SHEET), specs, seen: None, shelf, tell };
        std::thread::Builder::new().name("workshop".to_owned()).spawn(move || bench.work(&done)).context("no thread")?;
        let _ = errands.try_send(Errand::Look);
        Ok(Self { errands, _watcher: watcher })
    }

    /// The rules are these now: the sheet is brought up to date.
    pub(crate) fn rules_are(&self, book: Arc<Book>) {
        if let Err(TrySendError::Full(_)) = self.errands.try_send(Errand::Write(book)) {
            tracing::warn!("the designers' folder is not brought up to date: too much waits for its disk");
        }
    }
}

/// The thread's own.
struct Bench<T> {
    sheet: PathBuf,
    specs: Arc<[TuneSpec]>,
    /// The sheet as last read or written.
    seen: Option<String>,
    shelf: Shelf,
    tell: T,
}

impl<T: Fn(News)> Bench<T> {
    fn work(mut self, errands: &Receiver<Errand>) {
        while let Ok(errand) = errands.recv() {
            match errand {
                Errand::Look => {
                    let latest = settle(errands);
                    self.look();
                    self.shelf.look().into_iter().for_each(&self.tell);
                    if let Some(book) = latest {
                        self.write(&book);
                    }
                }
                Errand::Write(book) => self.write(&book),
            }
        }
    }

    /// Reads the sheet. Whether it says something new, which the world is told.
    fn look(&mut self) -> bool {
        let text = match fs::read_to_string(&self.sheet) {
            Ok(text) => text,
            // Nothing was ever written, or it is being replaced.
            Err(error) if error.kind() == ErrorKind::NotFound => return false,
            Err(error) => {
                (self.tell)(News::Unclear { reason: format!("{} cannot be read: {error}", self.sheet.display()) });
                return false;
            }
        };
        if self.seen.as_ref() == Some(&text) {
            return false;
        }
        (self.tell)(match sheet::read(&text) {
            Ok(values) => News::Wish(self.wish(values)),
            Err(reason) => News::Unclear { reason: format!("{}: {reason}", self.sheet.display()) },
        });
        self.seen = Some(text);
        true
    }

    /// Everything shall be as the sheet says; what it does not name as the game begins with it.
    fn wish(&self, mut values: std::collections::BTreeMap<String, TuneValue>) -> Wish {
        let named: Vec<_> = self.specs.iter().map(|spec| (spec.name.clone(), values.remove(&spec.name))).collect();
        let unknown = values.into_iter().map(|(name, value)| (name, Some(value)));
        Wish {
            by: EDITOR.to_owned(),
            why: "edit".to_owned(),
            values: named.into_iter().chain(unknown).collect(),
            scripts: Vec::new(),
        }
    }

    /// Brings the sheet up to date, unless it says something that the world has not heard.
    fn write(&mut self, book: &Book) {
        if self.look() {
            return;
        }
        let text = self.seen.clone().unwrap_or_default();
        let Some(wanted) = sheet::updated(&text, &self.specs, &book.rules) else {
            tracing::warn!(sheet = %self.sheet.display(), "the sheet is not brought up to date: it is written in a form of its own");
            return;
        };
        if wanted == text {
            return;
        }
        let draft = self.sheet.with_extension("toml.new");
        match fs::write(&draft, &wanted).and_then(|()| fs::rename(&draft, &self.sheet)) {
            Ok(()) => self.seen = Some(wanted),
            Err(error) => tracing::warn!(sheet = %self.sheet.display(), %error, "the sheet is not brought up to date"),
        }
    }
}

/// Waits until nothing happens any more; the latest book among what did.
fn settle(errands: &Receiver<Errand>) -> Option<Arc<Book>> {
    let mut latest = None;
    while let Ok(errand) = errands.recv_timeout(SETTLE) {
        if let Errand::Write(book) = errand {
            latest = Some(book);
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use pangaea_schemas::rules::TuneKind;

    use super::*;

    struct Stage {
        folder: tempfile::TempDir,
        bench: Bench<Box<dyn Fn(News)>>,
        told: Rc<RefCell<Vec<News>>>,
    }

    impl Stage {
        fn new() -> Self {
            let spec = |name: &str| TuneSpec {
                name: name.to_owned(),
                about: "About it.".to_owned(),
                initial: TuneValue::Int(1),
                kind: TuneKind::Int { min: 0, max: 9 },
            };
            let folder = tempfile::tempdir().expect("a folder");
            let told = Rc::new(RefCell::new(Vec::new()));
            let tell = Rc::clone(&told);
            let bench = Bench {
                sheet: folder.path().join(SHEET),
                specs: [spec("a.x"), spec("a.y")].into(),
                seen: None,
                shelf: Shelf::new(folder.path().join(SCRIPTS), Box::new(|_, _| Ok(()))),
                tell: Box::new(move |news| tell.borrow_mut().push(news)) as Box<dyn Fn(News)>,
            };
            Self { folder, bench, told }
        }

        fn save(&self, text: &str) {
            fs::write(self.folder.path().join(SHEET), text).expect("saved");
        }

        fn sheet(&self) -> String {
            fs::read_to_string(self.folder.path().join(SHEET)).expect("there")
        }

        fn told(&self) -> Vec<News> {
            self.told.take()
        }
    }

    fn wish(values: &[(&str, Option<i64>)]) -> News {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.map(TuneValue::Int))).collect();
        News::Wish(Wish { by: "file".to_owned(), why: "edit".to_owned(), values, scripts: Vec::new() })
    }

    fn book(x: i64) -> Book {
        let mut book = Book::default();
        book.rules.tune("a.x", Some(TuneValue::Int(x)));
        book
    }

    #[test]
    fn what_is_saved_is_wished_once() {
        let mut stage = Stage::new();
        assert!(!stage.bench.look(), "there is nothing");
        stage.save("[a]\nx = 3\nz = 4\n");
        assert!(stage.bench.look() && !stage.bench.look());
        assert_eq!(stage.told(), [wish(&[("a.x", Some(3)), ("a.y", None), ("a.z", Some(4))])]);
        stage.save("[a]\nx = \n");
        stage.bench.look();
        assert!(matches!(&stage.told()[..], [News::Unclear { reason }] if reason.contains("tunables.toml")));
    }

    #[test]
    fn what_is_done_elsewhere_is_written_and_not_wished() {
        let mut stage = Stage::new();
        stage.bench.write(&book(5));
        assert!(stage.sheet().contains("x = 5\n") && stage.sheet().contains("y = 1\n"), "{}", stage.sheet());
        stage.bench.write(&book(6));
        assert!(stage.sheet().contains("x = 6\n"));
        assert!(!stage.bench.look());
        assert_eq!(stage.told(), []);
    }

    #[test]
    fn what_was_saved_meanwhile_is_not_overwritten_but_wished() {
        let mut stage = Stage::new();
        stage.bench.write(&book(5));
        stage.save("[a]\nx = 7\ny = 1\n");
        stage.bench.write(&book(6));
        assert_eq!(stage.sheet(), "[a]\nx = 7\ny = 1\n");
        assert_eq!(stage.told(), [wish(&[("a.x", Some(7)), ("a.y", Some(1))])]);
    }
}
