//! Who may come in: tickets of the authentication servers, and the gateways' own tokens to come back with.
//!
//! Tickets are PASETO v4.public, verified offline with the cluster's public key. Resume tokens are PASETO v4.local under a key
//! that all gateways share, so a client may come back at any of them. A token's nonce is drawn by the cryptography below, so
//! its text is the one thing a gateway makes that does not follow from its inputs; nothing depends on it.

use pangaea_schemas::client::{RefusalCode, TOKEN_BYTES_MAX};
use pangaea_schemas::ticket::{ParseTicketError, TicketClaims};
use pangaea_schemas::{SessionEpoch, Timestamp};
use pasetors::keys::{AsymmetricPublicKey, SymmetricKey};
use pasetors::token::UntrustedToken;
use pasetors::version4::{LocalToken, PublicToken, V4};
use pasetors::{Local, Public};

/// The one claim that tokens have beside a ticket's; always the last.
const RESUME_CLAIM: &str = ",\"resume\":";

/// A key of the wrong length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key has 32 bytes, not {0}")]
pub struct KeyLengthError(pub usize);

/// Why a ticket or a token is not accepted, in words for the player.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not a token, or not signed with the cluster's key.
    #[error("it was not issued by this cluster")]
    Forged,
    /// Signed, but with claims of another form.
    #[error("it does not say what it should")]
    Claims(#[from] ParseTicketError),
    /// For another cluster.
    #[error("it is for the cluster `{0}`")]
    OtherCluster(String),
    /// Too old.
    #[error("it has expired; please log in again")]
    Expired,
}

impl TicketError {
    /// What a client is told about a ticket.
    pub(crate) fn for_ticket(&self) -> (RefusalCode, String) {
        (RefusalCode::Ticket, format!("the ticket is not accepted: {self}"))
    }

    /// What a client is told about a resume token.
    pub(crate) fn for_token(&self) -> (RefusalCode, String) {
        (RefusalCode::Token, format!("the session cannot be resumed: {self}"))
    }
}

/// The public half of the key that tickets are signed with.
#[derive(Clone, Debug)]
pub struct TicketKey(AsymmetricPublicKey<V4>);

impl TicketKey {
    /// Key from its 32 bytes (Ed25519).
    ///
    /// # Errors
    /// When there are not 32.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyLengthError> {
        AsymmetricPublicKey::from(bytes).map(Self).map_err(|_| KeyLengthError(bytes.len()))
    }

    /// What a ticket says, if it is good at `now` for `cluster`.
    ///
    /// # Errors
    /// When it is not, see [`TicketError`].
    pub fn verify(&self, now: Timestamp, cluster: &str, ticket: &str) -> Result<TicketClaims, TicketError> {
        let token: UntrustedToken<Public, V4> = bounded(ticket)?;
        let trusted = PublicToken::verify(&self.0, &token, None, None).map_err(|_| TicketError::Forged)?;
        checked(now, cluster, TicketClaims::parse(trusted.payload())?)
    }
}

/// The key that resume tokens are sealed with, the same at all gateways.
#[derive(Clone, Debug)]
pub struct ResumeKey(SymmetricKey<V4>);

impl ResumeKey {
    /// Key from its 32 bytes.
    ///
    /// # Errors
    /// When there are not 32.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyLengthError> {
        SymmetricKey::from(bytes).map(Self).map_err(|_| KeyLengthError(bytes.len()))
    }

    /// A token to come back with; empty when the cryptography fails, which no token will match.
    pub(crate) fn seal(&self, claims: &TicketClaims, epoch: SessionEpoch) -> String {
        let payload = claims.payload();
        let payload = payload.strip_suffix('}').unwrap_or(&payload);
        let payload = format!("{payload}{RESUME_CLAIM}{}}}", epoch.resume);
        LocalToken::encrypt(&self.0, payload.as_bytes(), None, None).unwrap_or_default()
    }

    /// Whose session a token resumes, and its epoch when the token was made.
    pub(crate) fn open(&self, now: Timestamp, cluster: &str, token: &str) -> Result<(TicketClaims, SessionEpoch), TicketError> {
        let token: UntrustedToken<Local, V4> = bounded(token)?;
        let trusted = LocalToken::decrypt(&self.0, &token, None, None).map_err(|_| TicketError::Forged)?;
        let payload = trusted.payload();
        let claims = checked(now, cluster, TicketClaims::parse(payload)?)?;
        let resume = payload.strip_suffix('}').and_then(|fields| fields.rsplit_once(RESUME_CLAIM)?.1.parse().ok());
        let resume = resume.ok_or(ParseTicketError::Claim("resume"))?;
        let epoch = SessionEpoch { login: claims.login, resume };
        Ok((claims, epoch))
    }
}

fn bounded<'t, T: TryFrom<&'t str>>(text: &'t str) -> Result<T, TicketError> {
    let fits = (text.len() <= TOKEN_BYTES_MAX).then_some(text).ok_or(TicketError::Forged)?;
    T::try_from(fits).map_err(|_| TicketError::Forged)
}

fn checked(now: Timestamp, cluster: &str, claims: TicketClaims) -> Result<TicketClaims, TicketError> {
    if claims.cluster != cluster {
        return Err(TicketError::OtherCluster(claims.cluster));
    }
    if now >= claims.expires {
        return Err(TicketError::Expired);
    }
    Ok(claims)
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::{AccountId, EntityId};
    use pasetors::keys::{AsymmetricKeyPair, Generate};

    use super::*;

    const NOON: Timestamp = Timestamp(1_900_000_000_000_000);
    const NIGHT: Timestamp = Timestamp(1_900_030_000_000_000);

    fn claims() -> TicketClaims {
        TicketClaims {
            account: AccountId(7),
            agent: EntityId(8),
            name: "Ana \"the\" \\".to_owned(),
            login: 3,
            cluster: "demo".to_owned(),
            expires: NIGHT,
        }
    }

    #[test]
    fn a_good_ticket_says_who_it_is_for_and_a_bad_one_is_refused_in_words() {
        let pair = AsymmetricKeyPair::<V4>::generate().expect("random bytes");
        let key = TicketKey::new(pair.public.as_bytes()).expect("32 bytes");
        let sign =
            |payload: &str| PublicToken::sign(&pair.secret, payload.as_bytes(), Some(b"{\"kid\":\"k1\"}"), None).expect("signs");
        let ticket = sign(&claims().payload());
        assert_eq!(key.verify(NOON, "demo", &ticket), Ok(claims()));
        assert_eq!(key.verify(NIGHT, "demo", &ticket), Err(TicketError::Expired));
        assert_eq!(key.verify(NOON, "live", &ticket), Err(TicketError::OtherCluster("demo".to_owned())));
        assert_eq!(key.verify(NOON, "demo", &ticket[..ticket.len() - 30]), Err(TicketError::Forged));
        assert_eq!(key.verify(NOON, "demo", &"x".repeat(2_000)), Err(TicketError::Forged));
        assert!(matches!(key.verify(NOON, "demo", &sign("{}")), Err(TicketError::Claims(_))));
        let other = AsymmetricKeyPair::<V4>::generate().expect("random bytes");
        let other = TicketKey::new(other.public.as_bytes()).expect("32 bytes");
        assert_eq!(other.verify(NOON, "demo", &ticket), Err(TicketError::Forged));
    }

    #[test]
    fn a_token_brings_back_the_session_it_was_made_for() {
        let key = ResumeKey::new(&[5; 32]).expect("32 bytes");
        let epoch = SessionEpoch { login: 3, resume: 12 };
        let token = key.seal(&claims(), epoch);
        assert!(token.len() <= TOKEN_BYTES_MAX);
        assert_eq!(key.open(NOON, "demo", &token), Ok((claims(), epoch)));
        assert_eq!(key.open(NIGHT, "demo", &token), Err(TicketError::Expired));
        let other = ResumeKey::new(&[6; 32]).expect("32 bytes");
        assert_eq!(other.open(NOON, "demo", &token), Err(TicketError::Forged));
        assert_eq!(ResumeKey::new(&[1; 31]).err(), Some(KeyLengthError(31)));
    }
}
