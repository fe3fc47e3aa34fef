//! Named tokens: who holds which rank. Kept in `keys/tokens` of the world's data folder, one JSON object a line, readable by its
//! owner only, and without the tokens themselves: of each there is a SHA-256. The folder's own `keys/operator.token` works, too.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::RwLock;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::callers::{Caller, LOCAL, Rank};
use super::drains::DryRun;
use super::{Admin, Refusal};
use crate::keys::ClusterKeys;

/// Most tokens that a cluster has.
const TOKENS_MAX: usize = 256;
/// Longest name of a token in bytes.
const TOKEN_NAME_BYTES_MAX: usize = 32;

/// A token without its secret: a line of `/api/tokens`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Whose.
    pub name: String,
    /// What it allows.
    pub rank: Rank,
    /// When it was made, in microseconds since the Unix epoch; 0: with the cluster.
    pub made_us: u64,
}

/// The body of `POST /api/tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Whose it is to be.
    pub name: String,
    /// What it is to allow.
    pub rank: Rank,
}

/// Its answer: the only time that a token is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// Whose.
    pub name: String,
    /// What it allows.
    pub rank: Rank,
    /// The secret.
    pub token: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    view: TokenView,
    sha256: String,
}

/// All tokens of a cluster.
#[derive(Debug)]
pub struct Tokens {
    keys: ClusterKeys,
    /// Of the folder's own token.
    own: String,
    named: RwLock<Vec<Kept>>,
}

impl Tokens {
    /// Those of a data folder.
    ///
    /// # Errors
    /// A file is missing, cannot be read, or is not what it should be; the text names it.
    pub fn open(data_dir: &Path) -> anyhow::Result<Self> {
        let keys = ClusterKeys::below(data_dir);
        let own = digest(&keys.operator_token()?);
        let text = keys.tokens()?;
        let named = text.lines().map(serde_json::from_str).collect::<Result<Vec<Kept>, _>>();
        let named = named.map_err(|error| anyhow::anyhow!("keys/tokens is damaged ({error}); delete it and make new tokens"))?;
        Ok(Self { keys, own, named: RwLock::new(named) })
    }

    /// Who shows this token.
    pub fn holder(&self, token: &str) -> Option<Caller> {
        let shown = digest(token);
        if same(&shown, &self.own) {
            return Some(Caller { name: LOCAL.to_owned(), rank: Rank::Operator });
        }
        let named = self.named.read().ok()?;
        let kept = named.iter().find(|kept| same(&shown, &kept.sha256))?;
        Some(Caller { name: kept.view.name.clone(), rank: kept.view.rank })
    }

    fn list(&self) -> Vec<TokenView> {
        let own = TokenView { name: LOCAL.to_owned(), rank: Rank::Operator, made_us: 0 };
        let named = self.named.read().map(|named| named.iter().map(|kept| kept.view.clone()).collect::<Vec<_>>());
        std::iter::once(own).chain(named.unwrap_or_default()).collect()
    }

    fn make(&self, wanted: &NewToken, dry_run: bool) -> Result<TokenMade, Refusal> {
        let NewToken { name, rank } = wanted.clone();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > TOKEN_NAME_BYTES_MAX || !name.bytes().all(plain) || name == LOCAL {
            let text =
                format!("`{name}` is no name for a token: lower-case letters, digits and -, at most {TOKEN_NAME_BYTES_MAX}\n");
            return Err((StatusCode::BAD_REQUEST, text));
        }
        let token = ClusterKeys::draw_token().map_err(|error| failed(&error.to_string()))?;
        let made_us = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
        let kept = Kept { view: TokenView { name: name.clone(), rank, made_us }, sha256: digest(&token) };
        self.change(dry_run, |named| {
            if named.iter().any(|known| known.view.name == name) {
                return Err((StatusCode::CONFLICT, format!("{name} has a token already; revoke it first\n")));
            }
            if named.len() >= TOKENS_MAX {
                return Err((StatusCode::CONFLICT, format!("there are {TOKENS_MAX} tokens; revoke one first\n")));
            }
            named.push(kept);
            Ok(())
        })?;
        Ok(TokenMade { name, rank, token: if dry_run { String::new() } else { token } })
    }

    fn revoke(&self, name: &str, dry_run: bool) -> Result<TokenView, Refusal> {
        self.change(dry_run, |named| {
            let at = named.iter().position(|kept| kept.view.name == name);
            let text = || match name {
                LOCAL => "the folder's own token is not revoked: write a new keys/operator.token and start the world again\n"
                    .to_owned(),
                _ => format!("nobody called `{name}` has a token; see `pangaea token list`\n"),
            };
            at.map(|at| named.remove(at).view).ok_or_else(|| (StatusCode::NOT_FOUND, text()))
        })
    }

    /// Changes the list in the file first, then here; neither, if it is only asked whether it could be.
    fn change<T>(&self, dry_run: bool, change: impl FnOnce(&mut Vec<Kept>) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let mut named = self.named.write().map_err(|_| failed("an earlier change of the tokens failed"))?;
        let mut draft = named.clone();
        let changed = change(&mut draft)?;
        if dry_run {
            return Ok(changed);
        }
        let lines = draft.iter().filter_map(|kept| serde_json::to_string(kept).ok()).map(|line| line + "\n");
        self.keys.write_tokens(&lines.collect::<String>()).map_err(|error| failed(&error.to_string()))?;
        *named = draft;
        Ok(changed)
    }
}

pub(super) async fn list(State(admin): State<Admin>) -> Json<Vec<TokenView>> {
    Json(admin.tokens.list())
}

pub(super) async fn make(
    State(admin): State<Admin>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Json(wanted): Json<NewToken>,
) -> Result<Json<TokenMade>, Refusal> {
    admin.tokens.make(&wanted, dry_run).map(Json)
}

pub(super) async fn revoke(
    State(admin): State<Admin>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Segment(name): Segment<String>,
) -> Result<Json<TokenView>, Refusal> {
    admin.tokens.revoke(&name, dry_run).map(Json)
}

fn failed(text: &str) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{text}\n"))
}

fn digest(token: &str) -> String {
    Sha256::digest(token.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Every byte is compared whatever the first ones are, so that the time tells nothing.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_works_until_it_is_revoked_also_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        ClusterKeys::below(folder.path()).create_missing().expect("made");
        let tokens = Tokens::open(folder.path()).expect("opened");
        let ann = tokens.make(&NewToken { name: "ann".to_owned(), rank: Rank::Viewer }, false).expect("made");
        let bob = tokens.make(&NewToken { name: "bob".to_owned(), rank: Rank::Operator }, false).expect("made");
        tokens.revoke("ann", true).expect("known");
        assert!(tokens.holder(&ann.token).is_some(), "it was only asked");
        tokens.revoke("ann", false).expect("known");
        for tokens in [tokens, Tokens::open(folder.path()).expect("opened")] {
            assert_eq!(tokens.holder(&ann.token), None);
            assert_eq!(tokens.holder(&bob.token), Some(Caller { name: "bob".to_owned(), rank: Rank::Operator }));
            assert_eq!(tokens.holder("guessed"), None);
        }
        let file = std::fs::read_to_string(folder.path().join("keys/tokens")).expect("there");
        assert!(!file.contains(&bob.token), "the secret is in no file");
    }

    #[test]
    fn names_are_plain_and_of_one_token() {
        let folder = tempfile::tempdir().expect("a folder");
        ClusterKeys::below(folder.path()).create_missing().expect("made");
        let tokens = Tokens::open(folder.path()).expect("opened");
        let make = |name: &str| {
            tokens.make(&NewToken { name: name.to_owned(), rank: Rank::Viewer }, false).map_err(|(status, _)| status.as_u16())
        };
        assert!(make("ann").is_ok());
        assert_eq!(make("ann"), Err(409));
        for name in ["", "local", "Ann", "a b", "a\nb", &"a".repeat(33)] {
            assert_eq!(make(name).err(), Some(400), "{name}");
        }
        assert_eq!(tokens.revoke("local", false).err().map(|(status, _)| status.as_u16()), Some(404));
    }
}
