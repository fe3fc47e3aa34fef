//! Signing tickets: PASETO v4.public, Ed25519. Gateways verify them offline with the public key.

use pangaea_schemas::ticket::{TicketClaims, footer};
use pasetors::keys::AsymmetricSecretKey;
use pasetors::version4::{PublicToken, V4};

/// Holds the cluster's secret key.
pub struct Signer {
    key: AsymmetricSecretKey<V4>,
    footer: String,
}

/// Keys never reach a log.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("footer", &self.footer).finish_non_exhaustive()
    }
}

/// A secret key that does not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 bytes, or its halves do not belong together.
    #[error("a ticket key is an Ed25519 seed and its public key, 64 bytes")]
    NotAKey,
    /// The library refused.
    #[error("signing failed")]
    Signing,
}

impl Signer {
    /// A signer with the key called `name`; `secret` is the Ed25519 seed and its public key, 64 bytes.
    ///
    /// # Errors
    /// When the bytes are no key.
    pub fn new(name: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let key = AsymmetricSecretKey::<V4>::from(secret).map_err(|_| KeyError::NotAKey)?;
        Ok(Self { key, footer: footer(name) })
    }

    /// The ticket.
    ///
    /// # Errors
    /// When the library refuses, which it has no reason to.
    pub fn sign(&self, claims: &TicketClaims) -> Result<String, KeyError> {
        let payload = claims.payload();
        PublicToken::sign(&self.key, payload.as_bytes(), Some(self.footer.as_bytes()), None).map_err(|_| KeyError::Signing)
    }
}
