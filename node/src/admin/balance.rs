//! What the balancer would do, and whether it does.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::drains::DryRun;
use super::orders::Refusal;
use super::{Admin, AdminOrder};

/// `/api/balance`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BalanceView {
    /// It carries out its plans. While off, it only empties drained scenes.
    pub on: bool,
    /// The last plan; a new one is made every second.
    pub plan: PlanView,
}

/// What should be done next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    /// Shards that should go elsewhere.
    pub moves: Vec<PlannedMoveView>,
    /// Shards that should become four. Planned only: nothing carries it out yet.
    pub splits: Vec<PlannedSplitView>,
    /// Four shards that should become one. Planned only: nothing carries it out yet.
    pub merges: Vec<PlannedMergeView>,
    /// The scenes' levels now: load as a part of capacity.
    pub before: LevelsView,
    /// The scenes' levels when all moves are done.
    pub after: LevelsView,
}

/// The levels of the scenes that take shards; 1 is a whole tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LevelsView {
    /// The lowest.
    pub min: f64,
    /// Of all together.
    pub mean: f64,
    /// The highest.
    pub max: f64,
}

/// A shard that should go elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedMoveView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// Where it is.
    pub from: String,
    /// Where it should go.
    pub to: String,
    /// All of it as a sentence, with why.
    pub text: String,
}

/// A shard that should become four.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedSplitView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// Part of a tick that it takes.
    pub load: f64,
    /// All of it as a sentence, with why.
    pub text: String,
}

/// Four shards that should become one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedMergeView {
    /// The one that they should become.
    pub parent: String,
    /// Who has them.
    pub scene: String,
    /// Part of a tick that they take together.
    pub load: f64,
    /// All of it as a sentence.
    pub text: String,
}

pub(super) async fn show(State(admin): State<Admin>) -> Json<BalanceView> {
    Json(admin.shown.borrow().balance.clone())
}

pub(super) async fn switch(
    State(admin): State<Admin>,
    Query(DryRun { dry_run }): Query<DryRun>,
    on: bool,
) -> Result<Json<BalanceView>, Refusal> {
    let BalanceView { on: was, plan } = admin.shown.borrow().balance.clone();
    if !dry_run {
        admin.order(AdminOrder::SwitchBalance { on }).await?;
    }
    Ok(Json(BalanceView { on: if dry_run { was } else { on }, plan }))
}
