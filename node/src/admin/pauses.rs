//! Stopping a shard of a development cluster to look at it, running single ticks of it, and letting it go on.
//!
//! Its owner does it, and forgets it when it dies: nothing of a pause is stored. What is told here is what the owner answers.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use pangaea_scene::shard::STEPS_MAX;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Desk, PauseOrder};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::names::{answers_otherwise, running, shard_named};
use super::orders::{Question, Refusal};
use super::view::StatusView;

/// A shard that is stopped, or is not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PauseView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// Who has it.
    pub scene: String,
    /// Entities in it now.
    pub entities: u32,
    /// Of them, players' agents.
    pub players: u32,
    /// It stands.
    pub paused: bool,
    /// Seconds until it goes on by itself.
    pub left_s: f64,
    /// Ticks that are still to be run one by one.
    pub steps: u32,
    /// The last tick that it ran.
    pub tick: u64,
    /// Nothing was ordered.
    pub dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    shard: String,
    #[serde(default = "one")]
    ticks: u32,
    #[serde(default)]
    dry_run: bool,
}

fn one() -> u32 {
    1
}

pub(super) async fn look(State(admin): State<Admin>, Query(wanted): Query<Wanted>) -> Result<Json<PauseView>, Refusal> {
    let judged = judge(&admin.shown.borrow().status, &wanted)?;
    answer(&admin, judged, PauseOrder::Look, 0).await
}

pub(super) async fn order(
    State(admin): State<Admin>,
    Query(wanted): Query<Wanted>,
    order: PauseOrder,
) -> Result<Json<PauseView>, Refusal> {
    let judged = judge(&admin.shown.borrow().status, &wanted)?;
    if !admin.development {
        return Err((StatusCode::CONFLICT, NO_DEVELOPMENT.to_owned()));
    }
    if order == PauseOrder::Step && !(1..=STEPS_MAX).contains(&wanted.ticks) {
        return Err((
            StatusCode::BAD_REQUEST,
            format!("from 1 to {STEPS_MAX} ticks are run; {} is not among them\n", wanted.ticks),
        ));
    }
    // Whoever only asks hears how it stands.
    let order = if wanted.dry_run { PauseOrder::Look } else { order };
    answer(&admin, judged, order, wanted.ticks).await
}

const NO_DEVELOPMENT: &str = "shards are only stopped in a development cluster: one whose world has a designers' folder, as with \
                              `pangaea up --design DIR`; here players would stand for nothing\n";

async fn answer(
    admin: &Admin,
    (shard, view): (ShardId, PauseView),
    order: PauseOrder,
    ticks: u32,
) -> Result<Json<PauseView>, Refusal> {
    match admin.ask(Question::Pause { shard, order, ticks }).await? {
        (scene, Desk::Paused { left_ms, steps, tick, refusal, .. }) if refusal.is_empty() => Ok(Json(PauseView {
            scene: scene.to_string(),
            paused: left_ms > 0,
            left_s: f64::from(left_ms) / 1_000.0,
            steps,
            tick: tick.0,
            ..view
        })),
        (_, Desk::Paused { refusal, .. }) => Err((StatusCode::CONFLICT, format!("{refusal}\n"))),
        (scene, _) => Err(answers_otherwise(scene)),
    }
}

/// Which shard is meant, as it is now.
fn judge(status: &StatusView, wanted: &Wanted) -> Result<(ShardId, PauseView), Refusal> {
    let known = shard_named(status, &wanted.shard)?;
    let (shard, scene) = running(known)?;
    let view = PauseView {
        shard: known.id.clone(),
        scene,
        entities: known.entities,
        players: known.players,
        dry_run: wanted.dry_run,
        ..PauseView::default()
    };
    Ok((shard, view))
}
