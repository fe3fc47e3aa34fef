//! The admin API and the web page, served by the world process.
//!
//! | route | what |
//! |---|---|
//! | `GET /api/status` | [`StatusView`] |
//! | `GET /api/config` | [`ConfigView`] |
//! | `GET /api/events` | server-sent events, one [`EventView`] each; `Last-Event-ID` or `?after=SEQ` continues |
//! | `GET /api/ledger` | the data node's audit of all value |
//! | `GET /api/data` | [`DataView`]: where the data node keeps its files |
//! | `POST /api/reaped` | [`Reaped`]: a supervisor tells that a process is dead; wants the operator's token |
//! | `POST /api/gateways/{id}/drain`, `…/undrain` | [`GatewayOrderView`]; wants the operator's token; `?dry_run=true` only asks |
//! | `POST /api/scenes/{id}/drain`, `…/undrain` | [`SceneOrderView`]; wants the operator's token; `?dry_run=true` only asks |
//! | `GET /api/balance` | [`BalanceView`]: what the balancer would do, or does |
//! | `POST /api/balance/on`, `…/off` | lets it act, or not any more; wants the operator's token |
//! | `POST /api/migrate?shard=ID&to=SCENE` | [`MoveOrderView`]; wants the operator's token; `&dry_run=true` only asks |
//! | `POST /api/migrations/{number}/abort` | asks for a move to end where it began; wants the operator's token |
//! | anything else | the page |
//!
//! The world's driver publishes a [`Snapshot`] a few times per second; no request ever reaches into the world's thread, but
//! for orders, which wait in its inbox.

mod balance;
mod bundle;
pub mod client;
mod drains;
mod gateways;
mod guard;
mod scenes;
mod shards;
mod view;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use futures_util::{Stream, stream};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::{MigrationId, NodeId};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

pub use balance::{BalanceView, LevelsView, PlanView, PlannedMergeView, PlannedMoveView, PlannedSplitView};
pub use gateways::GatewayOrderView;
pub use scenes::SceneOrderView;
pub use shards::MoveOrderView;
pub use view::{
    ConfigView, CurrencyView, DataView, EventView, GatewayView, LedgerView, MoveView, NodeView, Quantiles, SceneView, ShardView,
    Snapshot, SpaceView, StatusView,
};

/// Most orders that wait for the world's driver.
pub const ORDERS_MAX: usize = 64;
/// Most events sent at once to a page that comes late.
const EVENTS_AT_ONCE_MAX: usize = 256;

/// The body of `POST /api/reaped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaped {
    /// Such as `scene-1`.
    pub node: String,
    /// The process that died, so that its successor is not meant.
    pub pid: u32,
}

/// What an admin wants of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminOrder {
    /// Send this gateway's clients, or this scene's shards, elsewhere.
    Drain(NodeId),
    /// Let it take them again.
    Undrain(NodeId),
    /// Let the balancer act, or not any more.
    SwitchBalance {
        /// It acts.
        on: bool,
    },
    /// Move a shard while it runs.
    MoveShard {
        /// Which.
        shard: ShardId,
        /// Where to.
        to: NodeId,
    },
    /// Let this move end where it began.
    AbortMove(MigrationId),
    /// This process is dead.
    Reaped {
        /// Which node it was.
        node: NodeId,
        /// Its process id.
        pid: u32,
    },
}

/// What the routes share.
#[derive(Clone)]
pub struct Admin {
    /// The latest snapshot.
    pub shown: watch::Receiver<Arc<Snapshot>>,
    /// To the world's driver.
    pub orders: mpsc::Sender<AdminOrder>,
    /// What a mutating request must bring as `Authorization: Bearer`.
    pub operator_token: Arc<str>,
}

/// All routes, guarded for the address they are bound to.
pub fn routes(admin: Admin, bound: SocketAddr) -> Router {
    Router::new()
        .route("/api/status", get(status))
        .route("/api/config", get(config))
        .route("/api/events", get(events))
        .route("/api/ledger", get(|admin| from_data(admin, "/api/ledger")))
        .route("/api/data", get(|admin| from_data(admin, "/api/data")))
        .route("/api/reaped", post(reaped))
        .route("/api/gateways/{id}/drain", post(gateways::drain))
        .route("/api/gateways/{id}/undrain", post(gateways::undrain))
        .route("/api/scenes/{id}/drain", post(scenes::drain))
        .route("/api/scenes/{id}/undrain", post(scenes::undrain))
        .route("/api/balance", get(balance::show))
        .route("/api/balance/on", post(|admin, headers| balance::switch(admin, headers, true)))
        .route("/api/balance/off", post(|admin, headers| balance::switch(admin, headers, false)))
        .route("/api/migrate", post(shards::migrate))
        .route("/api/migrations/{id}/abort", post(shards::abort))
        .fallback(get(bundle::file))
        .layer(middleware::from_fn_with_state(bound, guard::only_own_host))
        .with_state(admin)
}

async fn status(State(admin): State<Admin>) -> Json<StatusView> {
    Json(admin.shown.borrow().status.clone())
}

async fn config(State(admin): State<Admin>) -> Json<ConfigView> {
    Json(admin.shown.borrow().config.clone())
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
}

async fn events(
    State(admin): State<Admin>,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let after = last.or(query.after).unwrap_or(0);
    Sse::new(stream_events(admin.shown, after)).keep_alive(KeepAlive::default())
}

/// Events above `after`, then each new one as it is published.
fn stream_events(shown: watch::Receiver<Arc<Snapshot>>, after: u64) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((shown, after, Vec::<EventView>::new()), |(mut shown, mut after, mut pending)| async move {
        while pending.is_empty() {
            let snapshot = shown.borrow_and_update().clone();
            // A number from the future is another world's, whose clock was ahead: start over.
            if snapshot.events.last().is_some_and(|last| last.seq < after) {
                after = 0;
            }
            pending.extend(snapshot.events.iter().filter(|event| event.seq > after).cloned());
            pending.drain(..pending.len().saturating_sub(EVENTS_AT_ONCE_MAX));
            // Popped from the end.
            pending.reverse();
            if pending.is_empty() && shown.changed().await.is_err() {
                return None;
            }
        }
        let next = pending.pop()?;
        after = next.seq;
        let event = Event::default().id(next.seq.to_string()).event("event").json_data(&next).unwrap_or_default();
        Some((Ok(event), (shown, after, pending)))
    })
}

/// What the data node answers to the same question.
async fn from_data(State(admin): State<Admin>, path: &'static str) -> Response {
    let data = admin.shown.borrow().status.nodes.iter().find(|node| node.role == "data").map(|node| node.http.clone());
    let Some(address) = data else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no data node is registered\n").into_response();
    };
    match client::get(&address, path).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            (StatusCode::BAD_GATEWAY, format!("the data node at {address} does not answer: {error:#}\n")).into_response()
        }
    }
}

async fn reaped(State(admin): State<Admin>, headers: HeaderMap, Json(body): Json<Reaped>) -> Response {
    if !is_operator(&headers, &admin.operator_token) {
        return unauthorised();
    }
    let Ok(node) = body.node.parse::<NodeId>() else {
        return (StatusCode::BAD_REQUEST, format!("`{}` is not a node name\n", body.node)).into_response();
    };
    match admin.orders.try_send(AdminOrder::Reaped { node, pid: body.pid }) {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many orders wait\n").into_response(),
    }
}

fn unauthorised() -> Response {
    (StatusCode::UNAUTHORIZED, "this wants the operator's token, see keys/operator.token\n").into_response()
}

fn is_operator(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    // Every byte is compared whatever the first ones are, so that the time tells nothing.
    given.len() == token.len() && given.bytes().zip(token.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    async fn serving() -> (SocketAddr, watch::Sender<Arc<Snapshot>>, mpsc::Receiver<AdminOrder>) {
        let event = |seq| EventView { seq, kind: "node".to_owned(), ..EventView::default() };
        let snapshot = Snapshot { events: vec![event(1), event(2)], ..Snapshot::default() };
        let (show, shown) = watch::channel(Arc::new(snapshot));
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let bound = listener.local_addr().expect("bound");
        let admin = Admin { shown, orders, operator_token: "secret".into() };
        tokio::spawn(axum::serve(listener, routes(admin, bound)).into_future());
        (bound, show, taken)
    }

    #[tokio::test]
    async fn status_is_what_the_world_shows() {
        let (bound, show, _orders) = serving().await;
        let status = StatusView { sessions: 7, cluster: "demo".to_owned(), ..StatusView::default() };
        show.send_replace(Arc::new(Snapshot { status: status.clone(), ..Snapshot::default() }));
        let body = client::get(&bound.to_string(), "/api/status").await.expect("an answer");
        assert_eq!(serde_json::from_slice::<StatusView>(&body).expect("JSON"), status);
    }

    #[tokio::test]
    async fn only_the_operator_may_report_a_death() {
        let (bound, _show, mut orders) = serving().await;
        let body = serde_json::to_vec(&Reaped { node: "scene-1".to_owned(), pid: 42 }).expect("JSON");
        let bound = bound.to_string();
        let refused = client::post(&bound, "/api/reaped", "wrong!", &body).await.expect_err("refused");
        assert!(format!("{refused:#}").contains("401"), "{refused:#}");
        assert!(orders.try_recv().is_err());
        client::post(&bound, "/api/reaped", "secret", &body).await.expect("taken");
        let node = "scene-1".parse().expect("a name");
        assert_eq!(orders.try_recv(), Ok(AdminOrder::Reaped { node, pid: 42 }));
    }

    #[tokio::test]
    async fn events_continue_where_the_page_left_off() {
        let (show, shown) = watch::channel(Arc::new(Snapshot::default()));
        let event = |seq| EventView { seq, ..EventView::default() };
        show.send_replace(Arc::new(Snapshot { events: vec![event(4), event(5), event(6)], ..Snapshot::default() }));
        let stream = stream_events(shown, 4);
        let told: Vec<_> = stream.take(2).map(|event| format!("{:?}", event.expect("infallible"))).collect().await;
        assert!(told[0].contains("5") && told[1].contains("6"), "{told:?}");
    }

    #[tokio::test]
    async fn a_page_that_heard_a_later_world_starts_over() {
        let (show, shown) = watch::channel(Arc::new(Snapshot::default()));
        show.send_replace(Arc::new(Snapshot {
            events: vec![EventView { seq: 4, ..EventView::default() }],
            ..Snapshot::default()
        }));
        let told: Vec<_> = stream_events(shown, 900).take(1).collect().await;
        assert!(format!("{told:?}").contains('4'), "{told:?}");
    }
}
