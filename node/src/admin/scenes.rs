//! Emptying scenes, shard by shard while people play, and taking them into use again.

use axum::Json;
use axum::extract::{Path, Query, State};
use pangaea_schemas::NodeId;
use serde::{Deserialize, Serialize};

use super::drains::{self, DryRun};
use super::orders::Refusal;
use super::view::SceneView;
use super::{Admin, AdminOrder};

/// What an order to a scene means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SceneOrderView {
    /// Such as `scene-1`.
    pub scene: String,
    /// Its state before: `up`, `draining` or `drained`.
    pub was: String,
    /// Shards that it has now; all of them move when it is drained.
    pub shards: u32,
    /// Entities in them.
    pub entities: u32,
    /// Where shards can go: the other scenes that take them.
    pub to: Vec<String>,
    /// Nothing was ordered.
    pub dry_run: bool,
}

pub(super) async fn drain(
    State(admin): State<Admin>,
    Path(scene): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<SceneOrderView>, Refusal> {
    let judged = judge(&admin.shown.borrow().status.scenes, &scene, AdminOrder::Drain, dry_run);
    drains::carry_out(&admin, dry_run, judged).await
}

pub(super) async fn undrain(
    State(admin): State<Admin>,
    Path(scene): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
) -> Result<Json<SceneOrderView>, Refusal> {
    let judged = judge(&admin.shown.borrow().status.scenes, &scene, AdminOrder::Undrain, dry_run);
    drains::carry_out(&admin, dry_run, judged).await
}

fn judge(
    scenes: &[SceneView],
    scene: &str,
    order: fn(NodeId) -> AdminOrder,
    dry_run: bool,
) -> Result<(SceneOrderView, AdminOrder), Refusal> {
    let states = scenes.iter().map(|known| (known.id.as_str(), known.state.as_str()));
    let judged = drains::judge(("scene", "shards"), states, scene, order)?;
    let (shards, entities) = scenes.iter().find(|known| known.id == scene).map_or((0, 0), |known| (known.shards, known.entities));
    let view = SceneOrderView { scene: scene.to_owned(), was: judged.was, shards, entities, to: judged.to, dry_run };
    Ok((view, judged.order))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn judged(states: &[&str], scene: &str) -> Result<SceneOrderView, Refusal> {
        let named = |(n, state): (usize, &&str)| SceneView {
            id: format!("scene-{}", n + 1),
            state: (*state).to_owned(),
            shards: 8,
            ..SceneView::default()
        };
        let scenes: Vec<_> = states.iter().enumerate().map(named).collect();
        judge(&scenes, scene, AdminOrder::Drain, true).map(|(view, _)| view)
    }

    #[test]
    fn a_drain_says_how_much_moves_where() {
        let view = judged(&["up", "draining", "up"], "scene-1").expect("possible");
        assert_eq!((view.was.as_str(), view.shards, view.to, view.dry_run), ("up", 8, vec!["scene-3".to_owned()], true));
    }

    #[test]
    fn the_last_scene_that_takes_shards_is_not_drained() {
        let (status, text) = judged(&["up", "drained"], "scene-1").expect_err("the last one");
        assert_eq!((status, text.contains("the last scene that takes shards")), (StatusCode::CONFLICT, true), "{text}");
    }
}
