//! The store's disk: a small file system of its own in memory, so that it can be filled without harm to the machine's.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// How large it is: the store's reserve, and as much again and more for what hours of play write. All of it is memory while full.
const DISK_BYTES: u64 = 768 * 1_024 * 1_024;
/// What takes up all room while the disk is full.
const FILLER: &str = "filler";
/// Bytes written at once, first and at last.
const PIECE_BYTES: [usize; 3] = [1_024 * 1_024, 16 * 1_024, 512];

/// A mounted disk. Dropping it unmounts it; what was on it is gone unless [`Disk::keep`] was called.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mount an empty one on this folder, which is made.
    ///
    /// # Errors
    /// Usually the permission is missing.
    pub fn mount(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let size = std::ffi::CString::new(format!("size={DISK_BYTES},mode=700"))?;
        mount("pangaea-chaos", folder, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, size.as_c_str())
            .with_context(|| format!("cannot mount a file system in memory on {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Take up all room.
    ///
    /// # Errors
    /// It does not get full.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut filler = File::create(self.folder.join(FILLER)).context("cannot make the filler")?;
        let zeros = vec![0; PIECE_BYTES[0]];
        for piece in PIECE_BYTES {
            let mut written = 0;
            while filler.write_all(&zeros[..piece]).is_ok() {
                written += piece as u64;
                if written > DISK_BYTES {
                    bail!("the disk takes more than it has room for");
                }
            }
        }
        Ok(())
    }

    /// Whether all room is taken up.
    pub fn is_full(&self) -> bool {
        self.folder.join(FILLER).exists()
    }

    /// Give the room back.
    ///
    /// # Errors
    /// The filler cannot be removed.
    pub fn clear(&self) -> anyhow::Result<()> {
        fs::remove_file(self.folder.join(FILLER)).context("cannot remove the filler")
    }

    /// Unmount it and leave its files in the folder where it was.
    ///
    /// # Errors
    /// They cannot be copied.
    pub fn keep(self) -> anyhow::Result<()> {
        let aside = self.folder.with_extension("kept");
        fs::create_dir_all(&aside)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), aside.join(entry.file_name()))?;
            }
        }
        let folder = self.folder.clone();
        drop(self);
        fs::remove_dir(&folder)?;
        fs::rename(&aside, &folder).context("cannot put the store's files where their disk was")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.folder, UnmountFlags::DETACH) {
            tracing::error!(folder = %self.folder.display(), %error, "cannot unmount");
        }
    }
}
