//! Who asks, and what they may do.
//!
//! | who | how they are known | may |
//! |---|---|---|
//! | a named operator | `Authorization: Bearer TOKEN` | read and change everything |
//! | a named viewer | the same | read |
//! | somebody on the world's own machine | a loopback connection | read |
//! | anybody else | | load the page, nothing more |
//!
//! Every request but `GET` and `HEAD` is a change, dry runs included: it wants an operator, and it is written into the audit log.
//! Both are done here for all routes, so a handler that is reached may act.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use axum::Json;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{Admin, Refusal, audit};

/// The name of the folder's own token, and of whoever is on the world's machine and shows none.
pub(super) const LOCAL: &str = "local";

/// What somebody may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rank {
    /// Read.
    #[default]
    Viewer,
    /// Read and change.
    Operator,
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        })
    }
}

impl FromStr for Rank {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            _ => Err("expected viewer or operator".to_owned()),
        }
    }
}

/// Whoever asks: `/api/me`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The token's name; `local` on the world's machine without one.
    pub name: String,
    /// What they may do.
    pub rank: Rank,
}

pub(super) async fn me(Extension(caller): Extension<Caller>) -> Json<Caller> {
    Json(caller)
}

/// Lets requests through that their sender may make. Handlers find the [`Caller`] among the extensions.
pub(super) async fn admit(State(admin): State<Admin>, mut request: Request, next: Next) -> Response {
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let token = bearer(request.headers());
    let caller = match token {
        Some(token) => admin.tokens.holder(token),
        None => from.is_some_and(|from| from.ip().is_loopback()).then(|| Caller { name: LOCAL.to_owned(), rank: Rank::Viewer }),
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_page = is_read && !request.uri().path().starts_with("/api/");
    let judged = if is_page { Ok(()) } else { judge(caller.as_ref(), token.is_some(), is_read) };
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    match judged {
        Ok(()) if is_read => next.run(request).await,
        Ok(()) => audit::watched(&admin, caller.unwrap_or_default(), from, request, next).await,
        Err(refusal) => {
            if !is_read {
                admin.audit.turned_away(caller, from, &request, &refusal.1);
            }
            refusal.into_response()
        }
    }
}

fn judge(caller: Option<&Caller>, has_token: bool, is_read: bool) -> Result<(), Refusal> {
    match caller {
        Some(Caller { rank: Rank::Operator, .. }) => Ok(()),
        Some(_) if is_read => Ok(()),
        Some(Caller { name, .. }) if has_token => {
            Err((StatusCode::FORBIDDEN, format!("{name} is a viewer: only an operator may change anything\n")))
        }
        Some(_) | None => {
            let wrong = if has_token { "this token is not known; " } else { "" };
            let whose = if is_read { "a viewer's or an operator's" } else { "an operator's" };
            let text = format!("{wrong}this wants {whose} token, such as that in keys/operator.token of the data folder\n");
            Err((StatusCode::UNAUTHORIZED, text))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    given.strip_prefix("Bearer ").map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rank: Option<Rank>, has_token: bool, is_read: bool) -> Option<u16> {
        let caller = rank.map(|rank| Caller { name: "ann".to_owned(), rank });
        judge(caller.as_ref(), has_token, is_read).err().map(|(status, _)| status.as_u16())
    }

    #[test]
    fn everybody_does_what_the_table_says() {
        let table = [
            (Some(Rank::Operator), true, [None, None]),
            (Some(Rank::Viewer), true, [None, Some(403)]),
            // On the world's own machine.
            (Some(Rank::Viewer), false, [None, Some(401)]),
            (None, true, [Some(401), Some(401)]),
            (None, false, [Some(401), Some(401)]),
        ];
        for (rank, has_token, [read, change]) in table {
            assert_eq!((status(rank, has_token, true), status(rank, has_token, false)), (read, change), "{rank:?} {has_token}");
        }
    }
}
