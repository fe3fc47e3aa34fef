//! What a shard's ticks cost, phase by phase and system by system. The shard's owner measures and remembers; it is asked.

use axum::Json;
use axum::extract::{Query, State};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Cost, Desk};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::names::{answers_otherwise, no_shard};
use super::orders::{Question, Refusal};
use super::view::StatusView;

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
    let named = look_up(&admin.shown.borrow().status, &shard)?;
    let Some(id) = named else { return Ok(Json(ProfileView { shard, ..ProfileView::default() })) };
    match admin.ask(Question::Profile(id)).await? {
        (scene, Desk::Profiled { ticks, phases, systems, .. }) => Ok(Json(ProfileView {
            shard,
            scene: scene.to_string(),
            ticks,
            phases: phases.into_iter().map(view).collect(),
            systems: costliest_first(systems),
        })),
        (scene, _) => Err(answers_otherwise(scene)),
    }
}

/// The shard of that name; `None`: it was split or merged just now, or came of that, so nothing is measured there yet, and who
/// asked is not wrong.
fn look_up(status: &StatusView, name: &str) -> Result<Option<ShardId>, Refusal> {
    let id: ShardId = name.parse().map_err(|_| no_shard(status, name))?;
    let known: Vec<ShardId> = status.shards.iter().filter_map(|known| known.id.parse().ok()).collect();
    let is_cut_anew = |known: &ShardId| known.contains(id.first_cell()) || id.contains(known.first_cell());
    match known.contains(&id) {
        true => Ok(Some(id)),
        false if known.iter().any(is_cut_anew) => Ok(None),
        false => Err(no_shard(status, name)),
    }
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
