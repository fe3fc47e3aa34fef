//! The admin API of a world process that stands by: it says who leads, and takes nothing but reports of deaths, which it can pass
//! on to the engine itself.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::watch;

use crate::admin::client::LEADER_HEADER;

/// What a world process that stands by takes.
const TAKEN: &str = "/api/reaped";

/// `None`: this process leads. Otherwise whom to ask instead, in words and as an address.
pub(super) type Elsewhere = Option<Leader>;

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    /// Its id; empty when nobody leads now.
    pub(super) id: String,
    /// Host and port of its admin API; empty when it is not known.
    pub(super) http: String,
}

/// Guard all of the API.
pub(super) fn guard(routes: Router, elsewhere: watch::Receiver<Elsewhere>) -> Router {
    routes.layer(middleware::from_fn_with_state(elsewhere, only_the_leader))
}

async fn only_the_leader(State(elsewhere): State<watch::Receiver<Elsewhere>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let leader = elsewhere.borrow().clone().filter(|_| path.starts_with("/api/") && path != TAKEN);
    let Some(Leader { id, http }) = leader else { return next.run(request).await };
    let error = if id.is_empty() {
        "this world process stands by, and nobody leads at this moment: ask again".to_owned()
    } else {
        format!("this world process stands by: ask the leader, {id}, at http://{http}")
    };
    (StatusCode::SERVICE_UNAVAILABLE, [(LEADER_HEADER, http)], Json(json!({ "error": error }))).into_response()
}
