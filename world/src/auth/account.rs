//! An account as a row of `Table::Accounts`, whose key is the lower-case name.
//!
//! Bytes, little-endian: version `u8` (1), account `u64`, agent `u64`, login count `u32`, then name and password hash, each a
//! `u16` length and UTF-8. A new field is a new version; old versions stay readable.

use bytes::Bytes;
use pangaea_schemas::ticket::TicketClaims;
use pangaea_schemas::{AccountId, EntityId, Timestamp};

const VERSION: u8 = 1;

/// One human.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name for ever.
    pub id: AccountId,
    /// The player's agent.
    pub agent: EntityId,
    /// Logins so far: raised before each ticket.
    pub login: u32,
    /// As registered, upper and lower case.
    pub name: String,
    /// Of the password, in PHC string format; empty for guests.
    pub phc: String,
}

/// Hashes never reach a log.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, agent, login, name, .. } = self;
        f.debug_struct("Account")
            .field("id", id)
            .field("agent", agent)
            .field("login", login)
            .field("name", name)
            .finish_non_exhaustive()
    }
}

/// Why a row is not an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Written by a newer build.
    #[error("account version {0} is not known here")]
    Version(u8),
    /// Cut off, too long, or not UTF-8.
    #[error("the account's bytes are damaged")]
    Damaged,
}

impl Account {
    /// The row's value.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = vec![VERSION];
        bytes.extend(self.id.0.to_le_bytes());
        bytes.extend(self.agent.0.to_le_bytes());
        bytes.extend(self.login.to_le_bytes());
        for text in [&self.name, &self.phc] {
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.into()
    }

    /// The inverse of [`Self::to_bytes`].
    ///
    /// # Errors
    /// When the version is unknown or the bytes are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AccountError> {
        match bytes.first() {
            Some(&VERSION) => Self::parse(&bytes[1..]).ok_or(AccountError::Damaged),
            Some(version) => Err(AccountError::Version(*version)),
            None => Err(AccountError::Damaged),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (id, bytes) = bytes.split_first_chunk()?;
        let (agent, bytes) = bytes.split_first_chunk()?;
        let (login, bytes) = bytes.split_first_chunk()?;
        let (name, bytes) = text(bytes)?;
        let (phc, bytes) = text(bytes)?;
        bytes.is_empty().then_some(Self {
            id: AccountId(u64::from_le_bytes(*id)),
            agent: EntityId(u64::from_le_bytes(*agent)),
            login: u32::from_le_bytes(*login),
            name,
            phc,
        })
    }

    /// What its ticket says.
    pub(super) fn claims(&self, cluster: &str, expires: Timestamp) -> TicketClaims {
        TicketClaims {
            account: self.id,
            agent: self.agent,
            name: self.name.clone(),
            login: self.login,
            cluster: cluster.to_owned(),
            expires,
        }
    }
}

fn text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, bytes) = bytes.split_first_chunk()?;
    let (text, rest) = bytes.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_round_trip_and_damage_is_seen() {
        let account =
            Account { id: AccountId(7), agent: EntityId(8), login: 9, name: "Ana".to_owned(), phc: "$argon2id$x".to_owned() };
        let bytes = account.to_bytes();
        assert_eq!(Account::from_bytes(&bytes), Ok(account));
        for end in 1..bytes.len() {
            assert_eq!(Account::from_bytes(&bytes[..end]), Err(AccountError::Damaged), "cut to {end}");
        }
        assert_eq!(Account::from_bytes(&[&bytes[..], b"x"].concat()), Err(AccountError::Damaged));
        assert_eq!(Account::from_bytes(&[9]), Err(AccountError::Version(9)));
        assert_eq!(Account::from_bytes(&[]), Err(AccountError::Damaged));
    }
}
