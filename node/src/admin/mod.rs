//! The admin API and the web page, served by the world process.
//!
//! | route | what |
//! |---|---|
//! | `GET /api/status` | [`StatusView`] |
//! | `GET /api/config` | [`ConfigView`] |
//! | `GET /api/layouts` | [`Layouts`]: what the world's build keeps and says |
//! | `GET /api/events` | server-sent events, one [`EventView`] each; `Last-Event-ID` or `?after=SEQ` continues |
//! | `GET /api/me` | [`Caller`]: who asks, and what they may do |
//! | `GET /api/audit` | [`AuditEntry`]s, the latest last; `?limit=N` |
//! | `GET /api/tokens` | [`TokenView`]s |
//! | `POST /api/tokens` | [`NewToken`]; answers [`TokenMade`]; `?dry_run=true` only asks |
//! | `POST /api/tokens/{name}/revoke` | [`TokenView`]; `?dry_run=true` only asks |
//! | `GET /api/ledger` | the data node's audit of all value |
//! | `GET /api/data` | [`DataView`]: where the data node keeps its files |
//! | `POST /api/reaped` | [`Reaped`]: a supervisor tells that a process is dead |
//! | `POST /api/gateways/{id}/drain`, `…/undrain` | [`GatewayOrderView`]; `?dry_run=true` only asks |
//! | `POST /api/scenes/{id}/drain`, `…/undrain` | [`SceneOrderView`]; `?dry_run=true` only asks |
//! | `GET /api/agents` | [`AgentView`]s without components; `?shard=ID`, `?after=AGENT`, `?limit=N` |
//! | `GET /api/agents/{id}` | [`AgentView`] of any entity, with components and its last hand-overs |
//! | `POST /api/agents/{id}/move` | [`AgentMove`]; answers [`AgentMoveView`]; `?dry_run=true` only asks |
//! | `POST /api/agents/{id}/kick` | [`Kick`]; answers [`KickView`]; `?dry_run=true` only asks |
//! | `GET /api/sessions` | [`SessionView`]s; `?after=AGENT`, `?limit=N` |
//! | `GET /api/balance` | [`BalanceView`]: what the balancer would do, or does |
//! | `POST /api/balance/on`, `…/off` | lets it act, or not any more |
//! | `GET /api/tune` | [`TuneView`]: tunables, who set them, what each scene knows |
//! | `POST /api/tune`, `/api/tune/undo` | [`TuneOrder`], [`UndoOrder`], answered by [`TuneOrderView`]; `?dry_run=true` asks |
//! | `GET /api/scripts`, `/api/scripts/{name}` | [`ScriptsView`], [`ScriptView`]: what runs, what fails where |
//! | `POST /api/scripts/{name}/{on,off,rollback,remove,save}` | [`ScriptOrder`], answered by [`ScriptOrderView`]; as above |
//! | `GET /api/shards/profile?shard=ID` | [`ProfileView`]: what its ticks cost, phase by phase and system by system |
//! | `POST /api/migrate?shard=ID&to=SCENE` | [`MoveOrderView`]; `&dry_run=true` only asks |
//! | `POST /api/shards/split?shard=ID`, `merge` | the same, from a scene to itself |
//! | `GET /api/shards/pause?shard=ID` | [`PauseView`] |
//! | `POST /api/shards/{pause,resume,step}?shard=ID&ticks=N` | [`PauseView`], in a development cluster; `&dry_run=true` asks |
//! | `POST /api/recordings?shard=ID&seconds=N`, `…/end?shard=ID` | [`RecordingView`]; `&dry_run=true` only asks |
//! | `GET /api/recordings/part?shard=ID&key=KEY&from=BYTE` | bytes of a recording, for whoever began it |
//! | `POST /api/migrations/{number}/abort` | asks for a move to end where it began |
//! | `POST /api/agents/{id}/release` | [`ReleaseView`]: a parked agent may play again; `?dry_run=true` only asks |
//! | anything else | the page |
//!
//! Every `POST` wants an operator and is written into the audit log, see [`callers`] and [`audit`].
//!
//! The world's driver publishes a [`Snapshot`] a few times per second; no request ever reaches into the world's thread, but
//! for orders, which wait in its inbox.

mod agents;
mod audit;
mod balance;
mod bundle;
mod callers;
pub mod client;
mod drains;
mod events;
mod gateways;
mod guard;
mod names;
mod orders;
mod pauses;
mod profile;
mod recent;
mod recordings;
mod recuts;
mod scenes;
mod scripts;
mod shards;
mod tokens;
mod tune;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use pangaea_scene::layouts::Layouts;
use pangaea_schemas::NodeId;
use pangaea_schemas::message::PauseOrder;
use pangaea_schemas::registry::TypeInfo;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

pub use agents::{
    AgentMove, AgentMoveView, AgentPlace, AgentView, Kick, KickView, PassageView, ReleaseView, SessionView, components_by_name,
};
pub use audit::{AuditEntry, AuditLog};
pub use balance::{BalanceView, LevelsView, PlanView, PlannedMergeView, PlannedMoveView, PlannedSplitView};
pub use callers::{Caller, Rank};
pub use gateways::GatewayOrderView;
pub use names::unknown;
pub use orders::{AdminOrder, Asked, ORDERS_MAX, OrderAnswer, Ordered, Question, Told, Trace, Wanted};
pub use pauses::PauseView;
pub use profile::{CostView, ProfileView};
pub use recent::RecentEvents;
pub use recordings::RecordingView;
pub use scenes::SceneOrderView;
pub use scripts::{FaultView, ScriptOrder, ScriptOrderView, ScriptView, ScriptsView};
pub use shards::{GatherView, MoveOrderView};
pub use tokens::{NewToken, TokenMade, TokenView, Tokens};
pub use tune::{ChangeView, RulesShown, TunableView, TuneOrder, TuneOrderView, TuneView, UndoOrder};
pub use view::{
    ConfigView, CurrencyView, DataView, EventView, GatewayView, LedgerView, MoveView, NodeView, PausedView, Quantiles, SceneView,
    ShardView, Snapshot, SpaceView, StatusView,
};

use orders::Refusal;

/// The body of `POST /api/reaped`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaped {
    /// Such as `scene-1`.
    pub node: String,
    /// The process that died, so that its successor is not meant.
    pub pid: u32,
}

/// Reads a script, given by name and text, as a shard would; why it cannot be read.
pub type CheckScript = Arc<dyn Fn(&str, &str) -> Result<(), String> + Send + Sync>;

/// What the routes share.
#[derive(Clone)]
pub struct Admin {
    /// The latest snapshot.
    pub shown: watch::Receiver<Arc<Snapshot>>,
    /// To the world's driver.
    pub orders: mpsc::Sender<Wanted>,
    /// Who may do what.
    pub tokens: Arc<Tokens>,
    /// What was done.
    pub audit: Arc<AuditLog>,
    /// Reads a script as a shard would; why it cannot be read.
    pub check_script: CheckScript,
    /// What the game's components look like, those that clients do not see included.
    pub components: Arc<[TypeInfo]>,
    /// All that the game keeps and says.
    pub layouts: Arc<Layouts>,
    /// It is a development cluster: its world has a designers' folder.
    pub development: bool,
}

/// All routes, guarded for the address they are bound to. To be served with the address of who connects, without which nobody
/// is local.
pub fn routes(admin: Admin, bound: SocketAddr) -> Router {
    Router::new()
        .route("/api/status", get(status))
        .route("/api/config", get(config))
        .route("/api/layouts", get(|State(admin): State<Admin>| async move { Json(admin.layouts.as_ref().clone()) }))
        .route("/api/events", get(events::tell))
        .route("/api/me", get(callers::me))
        .route("/api/audit", get(audit::show))
        .route("/api/tokens", get(tokens::list).post(tokens::make))
        .route("/api/tokens/{name}/revoke", post(tokens::revoke))
        .route("/api/ledger", get(|admin| from_data(admin, "/api/ledger")))
        .route("/api/data", get(|admin| from_data(admin, "/api/data")))
        .route("/api/reaped", post(reaped))
        .route("/api/gateways/{id}/drain", post(gateways::drain))
        .route("/api/gateways/{id}/undrain", post(gateways::undrain))
        .route("/api/scenes/{id}/drain", post(scenes::drain))
        .route("/api/scenes/{id}/undrain", post(scenes::undrain))
        .route("/api/balance", get(balance::show))
        .route("/api/balance/on", post(|admin, dry_run| balance::switch(admin, dry_run, true)))
        .route("/api/balance/off", post(|admin, dry_run| balance::switch(admin, dry_run, false)))
        .route("/api/agents", get(agents::list))
        .route("/api/agents/{id}", get(agents::show))
        .route("/api/agents/{id}/move", post(agents::place))
        .route("/api/agents/{id}/kick", post(agents::kick))
        .route("/api/sessions", get(agents::sessions))
        .route("/api/scripts", get(scripts::list))
        .route("/api/scripts/{name}", get(scripts::show))
        .route("/api/scripts/{name}/{word}", post(scripts::order))
        .route("/api/tune", get(tune::show).post(tune::set))
        .route("/api/tune/undo", post(tune::take_back))
        .route("/api/migrate", post(shards::migrate))
        .route("/api/shards/profile", get(profile::show))
        .route("/api/shards/split", post(recuts::split))
        .route("/api/shards/merge", post(recuts::merge))
        .route("/api/shards/pause", get(pauses::look).post(|a, wanted| pauses::order(a, wanted, PauseOrder::Pause)))
        .route("/api/shards/resume", post(|admin, wanted| pauses::order(admin, wanted, PauseOrder::Resume)))
        .route("/api/shards/step", post(|admin, wanted| pauses::order(admin, wanted, PauseOrder::Step)))
        .route("/api/recordings", post(recordings::begin))
        .route("/api/recordings/end", post(recordings::end))
        .route("/api/recordings/part", get(recordings::part))
        .route("/api/migrations/{id}/abort", post(shards::abort))
        .route("/api/agents/{id}/release", post(agents::release))
        .fallback(get(bundle::file))
        .layer(middleware::from_fn_with_state(admin.clone(), callers::admit))
        .layer(middleware::from_fn_with_state(bound, guard::only_own_host))
        .with_state(admin)
}

async fn status(State(admin): State<Admin>) -> Json<StatusView> {
    Json(admin.shown.borrow().status.clone())
}

async fn config(State(admin): State<Admin>) -> Json<ConfigView> {
    Json(admin.shown.borrow().config.clone())
}

/// What the data node answers to the same question.
async fn from_data(State(admin): State<Admin>, path: &'static str) -> Response {
    let data = admin.shown.borrow().status.nodes.iter().find(|node| node.role == "data").map(|node| node.http.clone());
    let Some(address) = data else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no data node is registered\n").into_response();
    };
    match client::get(&address, path, None).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("the data node does not answer: {error}\n")).into_response(),
    }
}

async fn reaped(State(admin): State<Admin>, Json(body): Json<Reaped>) -> Result<StatusCode, Refusal> {
    let Ok(node) = body.node.parse::<NodeId>() else {
        return Err((StatusCode::BAD_REQUEST, format!("`{}` is not a node name\n", body.node)));
    };
    admin.order(AdminOrder::Reaped { node, pid: body.pid }).await?;
    Ok(StatusCode::ACCEPTED)
}

#[cfg(test)]
mod tests;
