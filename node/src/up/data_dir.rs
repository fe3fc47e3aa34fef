//! The data folder of a cluster: its format, and the lock that keeps a second cluster out.
//!
//! `FORMAT` says in one line what the folder is; `lock` is held for as long as the supervisor lives, and the operating system
//! gives it back whatever ends the process. Below it: `keys/`, `data/` (the data node's store), `logs/`, `builds/` (the
//! executables that run) and `layouts.json` (which build kept the world).

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// What `FORMAT` says in a folder of this version.
const FORMAT: &str = "pangaea data folder, format 1\n";

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Somebody else has it.
    #[error("the data folder {path} is in use by process {holder}; stop that cluster, or choose another folder with --data-dir")]
    InUse {
        /// Which.
        path: PathBuf,
        /// Who, as the lock file says.
        holder: String,
    },
    /// Another version made it.
    #[error(
        "the data folder {path} is of another version ({found:?} instead of {FORMAT:?}); start the version that made it, or choose another folder with --data-dir"
    )]
    OtherFormat {
        /// Which.
        path: PathBuf,
        /// What `FORMAT` says.
        found: String,
    },
    /// It holds something else.
    #[error("{path} is not empty and not a data folder of Pangaea; choose another folder with --data-dir")]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The file system says no.
    #[error("cannot use {path} as data folder")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A data folder that is ours until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Make the folder if it is missing, check its format and take its lock.
    ///
    /// # Errors
    /// See [`DataDirError`]; nothing in a folder that is refused was changed.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let io = |source| DataDirError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let path = path.canonicalize().map_err(io)?;
        check_format(&path)?;
        let lock = take_lock(&path)?;
        fs::write(path.join("FORMAT"), FORMAT).map_err(io)?;
        fs::create_dir_all(path.join("logs")).map_err(io)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a process writes its log.
    pub fn log_of(&self, process: &str) -> PathBuf {
        self.path.join("logs").join(format!("{process}.log"))
    }
}

fn check_format(path: &Path) -> Result<(), DataDirError> {
    match fs::read_to_string(path.join("FORMAT")) {
        Ok(found) if found == FORMAT => Ok(()),
        Ok(found) => Err(DataDirError::OtherFormat { path: path.to_owned(), found }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut entries = fs::read_dir(path).map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
            let foreign = entries.any(|entry| entry.is_ok_and(|entry| entry.file_name() != "lock"));
            if foreign { Err(DataDirError::Foreign { path: path.to_owned() }) } else { Ok(()) }
        }
        Err(source) => Err(DataDirError::Io { path: path.to_owned(), source }),
    }
}

fn take_lock(path: &Path) -> Result<File, DataDirError> {
    let io = |source| DataDirError::Io { path: path.to_owned(), source };
    let mut lock = File::options().read(true).write(true).create(true).truncate(false).open(path.join("lock")).map_err(io)?;
    if let Err(error) = lock.try_lock() {
        return match error {
            fs::TryLockError::Error(source) => Err(io(source)),
            fs::TryLockError::WouldBlock => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                Err(DataDirError::InUse { path: path.to_owned(), holder: holder.trim().to_owned() })
            }
        };
    }
    let write = |lock: &mut File| {
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}", std::process::id())
    };
    write(&mut lock).map_err(io)?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = DataDir::open(folder.path()).expect("free");
        let text = DataDir::open(folder.path()).expect_err("taken").to_string();
        assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
        drop(first);
        DataDir::open(folder.path()).expect("free again");
    }

    #[test]
    fn another_version_and_a_foreign_folder_are_refused_untouched() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("FORMAT"), "pangaea data folder, format 9\n").expect("written");
        let text = DataDir::open(folder.path()).expect_err("another version").to_string();
        assert!(text.contains("format 9") && text.contains("--data-dir"), "{text}");

        let foreign = tempfile::tempdir().expect("a folder");
        fs::write(foreign.path().join("thesis.txt"), "dear reader").expect("written");
        assert!(matches!(DataDir::open(foreign.path()), Err(DataDirError::Foreign { .. })));
        assert_eq!(fs::read_dir(foreign.path()).expect("listed").count(), 1);
    }
}
