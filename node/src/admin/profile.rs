//! What a shard's ticks cost, phase by phase and system by system. The shard's owner measures and remembers; it is asked.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Cost, Desk};
use serde::{Deserialize, Serialize};

use super::orders::{Question, Refusal};
use super::{Admin, unknown};

/// `/api/shards/profile`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProfileView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// Who has it, and measured.
    pub scene: String,
    /// Ticks that the figures are of: one of twenty is measured, the last 32 of those are remembered.
    pub ticks: u32,
    /// The phases of a tick, in order.
    pub phases: Vec<CostView>,
    /// Systems and scripts, the costliest first.
    pub systems: Vec<CostView>,
}

/// What a part of a tick costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CostView {
    /// A phase, a system without its crate, or `script NAME`.
    pub name: String,
    /// Mean time in a tick in microseconds.
    pub mean_us: f64,
    /// Longest time in a tick in microseconds.
    pub max_us: f64,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    shard: String,
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Query(Wanted { shard }): Query<Wanted>,
) -> Result<Json<ProfileView>, Refusal> {
    let id = match known(&admin, &shard) {
        Ok(id) => id,
        Err(_) if is_cut_anew(&admin, &shard) => return Ok(Json(ProfileView { shard, ..ProfileView::default() })),
        Err(refusal) => return Err(refusal),
    };
    match admin.ask(Question::Profile(id)).await? {
        (scene, Desk::Profiled { ticks, phases, systems, .. }) => Ok(Json(ProfileView {
            shard,
            scene: scene.to_string(),
            ticks,
            phases: phases.into_iter().map(view).collect(),
            systems: costliest_first(systems),
        })),
        (scene, _) => Err((StatusCode::BAD_GATEWAY, format!("{scene} answers something else\n"))),
    }
}

/// A shard of the map.
pub(super) fn known(admin: &Admin, shard: &str) -> Result<ShardId, Refusal> {
    let shown = admin.shown.borrow();
    let names = || shown.status.shards.iter().map(|known| known.id.as_str());
    match shard.parse() {
        Ok(id) if names().any(|name| name == shard) => Ok(id),
        Ok(_) | Err(_) => Err((StatusCode::NOT_FOUND, unknown("shard", shard, names()) + "\n")),
    }
}

/// A shard that was split or merged just now, or came of that: nothing is measured there, and who asked is not wrong.
fn is_cut_anew(admin: &Admin, shard: &str) -> bool {
    let Ok(id) = shard.parse::<ShardId>() else { return false };
    let shown = admin.shown.borrow();
    let mut known = shown.status.shards.iter().filter_map(|known| known.id.parse::<ShardId>().ok());
    known.any(|known| known.contains(id.first_cell()) || id.contains(known.first_cell()))
}

fn costliest_first(mut systems: Vec<Cost>) -> Vec<CostView> {
    systems.sort_by(|a, b| b.mean_ns.cmp(&a.mean_ns).then_with(|| a.name.cmp(&b.name)));
    systems.into_iter().map(view).collect()
}

fn view(cost: Cost) -> CostView {
    let us = |ns: u32| f64::from(ns) / 1_000.0;
    CostView { mean_us: us(cost.mean_ns), max_us: us(cost.max_ns), name: cost.name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_costliest_system_comes_first_and_figures_are_microseconds() {
        let cost = |name: &str, mean_ns| Cost { name: name.to_owned(), mean_ns, max_ns: 2 * mean_ns };
        let told = costliest_first(vec![cost("walk", 1_500), cost("script glow", 20_000), cost("act", 1_500)]);
        let rows: Vec<_> = told.iter().map(|cost| (cost.name.as_str(), cost.mean_us, cost.max_us)).collect();
        assert_eq!(rows, [("script glow", 20.0, 40.0), ("act", 1.5, 3.0), ("walk", 1.5, 3.0)]);
    }
}
