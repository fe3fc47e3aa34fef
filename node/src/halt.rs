//! A scene that stands still at a named step of a shard's migration, so that somebody may be killed just then.
//!
//! Only for drills: whoever makes the folder `halt` in the data folder before the processes start may arm one step after the
//! other. Without that folder nothing here ever looks at a file.
//!
//! | file in `halt` | made by | meaning |
//! |---|---|---|
//! | `armed` | the drill | its text is a [`Point`], such as `committing said`: the next scene that comes there stands still |
//! | `reached` | the scene, by renaming `armed` | it stands still: all that it said before is on its way, and it hears nothing |
//!
//! It goes on as soon as the drill removes `reached`, or after [`STILL_TIME_MAX`].

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use pangaea_schemas::message::MigrationStep;

/// A drill that died holds nobody longer than this.
pub const STILL_TIME_MAX: Duration = Duration::from_secs(10);
/// Pause between two looks whether the drill lets it go on.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Where a scene may be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// It has just told the world that its migration is there.
    pub step: MigrationStep,
    /// What follows from that has been said, too, to the target or to the journal.
    pub said: bool,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.step.name(), if self.said { " said" } else { "" })
    }
}

/// A point that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no point of a migration; choose from {all}", all = Point::ALL.map(|point| point.to_string()).join(", "))]
pub struct UnknownPoint(String);

impl Point {
    /// All at which a drill stops a source, in the order of a migration.
    pub const ALL: [Self; 8] = [
        Self { step: MigrationStep::Preparing, said: true },
        Self { step: MigrationStep::Copying, said: true },
        Self { step: MigrationStep::Freezing, said: false },
        Self { step: MigrationStep::Frozen, said: true },
        Self { step: MigrationStep::Committing, said: false },
        Self { step: MigrationStep::Committing, said: true },
        Self { step: MigrationStep::Returning, said: true },
        Self { step: MigrationStep::Given, said: true },
    ];
}

impl FromStr for Point {
    type Err = UnknownPoint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|point| point.to_string() == text).ok_or_else(|| UnknownPoint(text.to_owned()))
    }
}

/// A scene's side.
#[derive(Debug)]
pub struct HaltPoint {
    folder: PathBuf,
}

impl HaltPoint {
    /// That of a process which starts now; `None`: nobody drills here.
    pub fn below(data_dir: &Path) -> Option<Self> {
        let folder = folder(data_dir);
        folder.is_dir().then_some(Self { folder })
    }

    /// Stands still, if this point is armed.
    pub fn reach(&self, point: Point) {
        let (armed, reached) = (self.folder.join("armed"), self.folder.join("reached"));
        let is_armed = fs::read_to_string(&armed).is_ok_and(|name| name == point.to_string());
        // Whoever renames it first has reached it.
        if !is_armed || fs::rename(&armed, &reached).is_err() {
            return;
        }
        let began = Instant::now();
        while reached.exists() && began.elapsed() < STILL_TIME_MAX {
            thread::sleep(LOOK_EVERY);
        }
        tracing::warn!(%point, still_us = began.elapsed().as_micros() as u64, "a drill has let this scene stand still");
    }
}

/// A drill's side.
#[derive(Debug)]
pub struct HaltDrill {
    folder: PathBuf,
}

impl HaltDrill {
    /// Makes the folder; for processes that start later.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn prepare(data_dir: &Path) -> io::Result<Self> {
        let folder = folder(data_dir);
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Lets the next scene that comes there stand still.
    ///
    /// # Errors
    /// The order cannot be written.
    pub fn arm(&self, point: Point) -> io::Result<()> {
        // Written whole before it is there.
        let draft = self.folder.join("draft");
        fs::write(&draft, point.to_string())?;
        fs::rename(draft, self.folder.join("armed"))
    }

    /// Whether a scene stands still now.
    pub fn is_reached(&self) -> bool {
        self.folder.join("reached").exists()
    }

    /// Lets whoever stands still go on, and nobody stand still any more.
    pub fn release(&self) {
        for name in ["armed", "reached"] {
            // What is not there holds nobody.
            let _ = fs::remove_file(self.folder.join(name));
        }
    }
}

fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("halt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_named_once_and_found_by_name() {
        for point in Point::ALL {
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        let text = "melting".parse::<Point>().expect_err("no such point").to_string();
        assert!(text.contains("`melting`") && text.contains("returning said, given said"), "{text}");
    }

    #[test]
    fn who_reaches_an_armed_step_stands_still_until_it_is_let_go() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(HaltPoint::below(dir.path()).is_none(), "nobody drills");
        let drill = HaltDrill::prepare(dir.path()).expect("made");
        let scene = HaltPoint::below(dir.path()).expect("a drill");
        let point = |step, said| Point { step, said };
        let frozen = point(MigrationStep::Frozen, true);
        scene.reach(frozen);
        drill.arm(frozen).expect("armed");
        scene.reach(point(MigrationStep::Copying, true));
        scene.reach(point(MigrationStep::Frozen, false));
        assert!(!drill.is_reached(), "another point");
        thread::scope(|threads| {
            let still = threads.spawn(|| scene.reach(frozen));
            while !drill.is_reached() {
                thread::yield_now();
            }
            assert!(!still.is_finished());
            drill.release();
            still.join().expect("it goes on");
        });
        scene.reach(frozen);
        assert!(!drill.is_reached(), "once");
    }
}
