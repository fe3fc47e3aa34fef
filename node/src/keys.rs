//! The cluster's secrets in `<data folder>/keys`: made once, read by the roles that need them, never logged.
//!
//! | file | bytes | who reads it |
//! |---|---|---|
//! | `ticket.secret` | Ed25519 key pair, 64 | auth: signs tickets |
//! | `ticket.public` | Ed25519 public key, 32 | gateways: check tickets |
//! | `resume.key` | symmetric, 32 | gateways: seal and open resume tokens |
//! | `operator.token` | 64 hexadecimal digits | the admin API and its callers |
//! | `tokens` | a line for each named token, without its secret | the admin API |

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pasetors::keys::{AsymmetricKeyPair, Generate, SymmetricKey};
use pasetors::version4::V4;

/// Only the owner reads a secret.
const SECRET_MODE: u32 = 0o600;
/// Only the owner enters the folder.
const FOLDER_MODE: u32 = 0o700;

/// A key file that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file system says no.
    #[error("cannot {what} the key file {path}")]
    File {
        /// Read or write.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A role is started in a folder that never was a cluster's.
    #[error("there is no key file {path}; `pangaea up` makes it, another host gets it from the cluster's data folder")]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not what it should be.
    #[error(
        "the key file {path} holds {found} bytes instead of {wanted}; restore it from a backup, or delete the folder to log everybody out"
    )]
    Length {
        /// Which file.
        path: PathBuf,
        /// Bytes found.
        found: usize,
        /// Bytes wanted.
        wanted: usize,
    },
    /// The operating system gives no randomness.
    #[error("cannot draw a key: the operating system gives no randomness")]
    Randomness,
}

/// The key folder of one cluster.
#[derive(Clone, Debug)]
pub struct ClusterKeys {
    folder: PathBuf,
}

impl ClusterKeys {
    /// The keys below a data folder; nothing is read yet.
    pub fn below(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("keys") }
    }

    /// Make the keys that are not there.
    ///
    /// # Errors
    /// No randomness, or the folder cannot be written.
    pub fn create_missing(&self) -> Result<(), KeyError> {
        fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder).map_err(|source| KeyError::File {
            what: "make the folder of",
            path: self.folder.clone(),
            source,
        })?;
        if !self.path("ticket.secret").exists() {
            let pair = AsymmetricKeyPair::<V4>::generate().map_err(|_| KeyError::Randomness)?;
            self.write("ticket.public", pair.public.as_bytes())?;
            self.write("ticket.secret", pair.secret.as_bytes())?;
        }
        if !self.path("resume.key").exists() {
            let key = SymmetricKey::<V4>::generate().map_err(|_| KeyError::Randomness)?;
            self.write("resume.key", key.as_bytes())?;
        }
        if !self.path("operator.token").exists() {
            self.write("operator.token", Self::draw_token()?.as_bytes())?;
        }
        Ok(())
    }

    /// Ed25519 key pair that signs tickets.
    ///
    /// # Errors
    /// The file is missing, unreadable or not 64 bytes long.
    pub fn ticket_secret(&self) -> Result<[u8; 64], KeyError> {
        self.read("ticket.secret")
    }

    /// Ed25519 public key that checks tickets.
    ///
    /// # Errors
    /// The file is missing, unreadable or not 32 bytes long.
    pub fn ticket_public(&self) -> Result<[u8; 32], KeyError> {
        self.read("ticket.public")
    }

    /// A number that is this cluster's own and stays the same: not a secret.
    ///
    /// # Errors
    /// As [`Self::ticket_public`].
    pub fn seed(&self) -> Result<u64, KeyError> {
        let words = self.ticket_public()?;
        Ok(words.chunks_exact(8).fold(0, |seed, word| seed ^ word.try_into().map_or(0, u64::from_le_bytes)))
    }

    /// Symmetric key of resume tokens.
    ///
    /// # Errors
    /// The file is missing, unreadable or not 32 bytes long.
    pub fn resume(&self) -> Result<[u8; 32], KeyError> {
        self.read("resume.key")
    }

    /// What the admin API wants to hear before it changes anything.
    ///
    /// # Errors
    /// The file is missing, unreadable or not 64 bytes long.
    pub fn operator_token(&self) -> Result<String, KeyError> {
        self.read::<64>("operator.token").map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The lines of the named tokens' file; empty when there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn tokens(&self) -> Result<String, KeyError> {
        let path = self.path("tokens");
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|source| KeyError::File { what: "read", path, source }),
        }
    }

    /// Write the named tokens' file.
    ///
    /// # Errors
    /// The file cannot be written; the old one is there then.
    pub fn write_tokens(&self, lines: &str) -> Result<(), KeyError> {
        self.write("tokens", lines.as_bytes())
    }

    /// A new token: 64 hexadecimal digits.
    ///
    /// # Errors
    /// No randomness.
    pub fn draw_token() -> Result<String, KeyError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|_| KeyError::Randomness)?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Written beside and renamed, so that a crash leaves no half key.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), KeyError> {
        let (path, draft) = (self.path(name), self.path(&format!("{name}.new")));
        let write = || {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(SECRET_MODE).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        write().map_err(|source| KeyError::File { what: "write", path: path.clone(), source })
    }

    fn read<const N: usize>(&self, name: &str) -> Result<[u8; N], KeyError> {
        let path = self.path(name);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => KeyError::Missing { path: path.clone() },
            _ => KeyError::File { what: "read", path: path.clone(), source },
        })?;
        bytes.try_into().map_err(|bytes: Vec<u8>| KeyError::Length { path, found: bytes.len(), wanted: N })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_only_for_the_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = ClusterKeys::below(folder.path());
        keys.create_missing().expect("made");
        let first = (keys.ticket_secret().expect("read"), keys.resume().expect("read"), keys.operator_token().expect("read"));
        keys.create_missing().expect("kept");
        let second = (keys.ticket_secret().expect("read"), keys.resume().expect("read"), keys.operator_token().expect("read"));
        assert_eq!(first, second);
        assert_eq!(keys.seed().expect("read"), keys.seed().expect("read"));
        assert_eq!(&first.0[32..], keys.ticket_public().expect("read").as_slice(), "the pair belongs together");
        for name in ["ticket.secret", "ticket.public", "resume.key", "operator.token"] {
            let mode = fs::metadata(folder.path().join("keys").join(name)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_damaged_key_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = ClusterKeys::below(folder.path());
        keys.create_missing().expect("made");
        fs::write(folder.path().join("keys/resume.key"), b"short").expect("written");
        let text = keys.resume().expect_err("too short").to_string();
        assert!(text.contains("resume.key holds 5 bytes instead of 32"), "{text}");
    }
}
