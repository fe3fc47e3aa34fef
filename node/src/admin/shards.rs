//! Moving shards from scene to scene.
//!
//! Like every order it is judged by the last snapshot and then waits in the world's inbox; how it goes is in `/api/status` under
//! `moves`.

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pangaea_schemas::MigrationId;
use serde::{Deserialize, Serialize};

use super::audit::Follows;
use super::names::{running, shard_named};
use super::orders::Refusal;
use super::view::StatusView;
use super::{Admin, AdminOrder, unknown};

/// What an order to move a shard means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveOrderView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// Where it is.
    pub from: String,
    /// Where it is to go.
    pub to: String,
    /// Entities in it now.
    pub entities: u32,
    /// Of them, players' agents.
    pub players: u32,
    /// To merge: parts that are elsewhere, and are moved there first.
    #[serde(default)]
    pub gathers: Vec<GatherView>,
    /// Nothing was ordered.
    pub dry_run: bool,
    /// The number of the last move of any shard before this order.
    pub after: u64,
    /// The number of this move; `null` when nothing was ordered.
    #[serde(default)]
    pub number: Option<u64>,
}

/// A part of a shard to be, which is at another scene.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatherView {
    /// Such as `0/2/2,0`.
    pub shard: String,
    /// Where it is.
    pub from: String,
    /// Entities in it now.
    pub entities: u32,
}

#[derive(Deserialize)]
pub(super) struct Move {
    shard: String,
    to: String,
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn migrate(State(admin): State<Admin>, Query(wanted): Query<Move>) -> Result<Response, Refusal> {
    let (mut view, order) = judge(&admin.shown.borrow().status, &wanted)?;
    if view.dry_run {
        return Ok(Json(view).into_response());
    }
    view.number = admin.order(order).await?;
    Ok((view.number.map(|number| Extension(Follows(number))), Json(view)).into_response())
}

pub(super) async fn abort(State(admin): State<Admin>, Path(id): Path<u64>) -> Result<Json<()>, Refusal> {
    admin.order(AdminOrder::AbortMove(MigrationId(id))).await?;
    Ok(Json(()))
}

/// What the order would mean now.
fn judge(status: &StatusView, wanted: &Move) -> Result<(MoveOrderView, AdminOrder), Refusal> {
    let Move { shard, to, dry_run } = wanted;
    let refuse = |status, text: String| Err((status, format!("{text}\n")));
    let known = shard_named(status, shard)?;
    let scenes: Vec<_> = status.nodes.iter().filter(|node| node.role == "scene").collect();
    let Some(target) = scenes.iter().find(|scene| scene.id == *to) else {
        return refuse(StatusCode::NOT_FOUND, unknown("scene", to, scenes.iter().map(|scene| scene.id.as_str())));
    };
    if target.state != "up" {
        return refuse(StatusCode::CONFLICT, format!("{to} is {}; undrain it, or choose another scene", target.state));
    }
    let (shard_id, from) = running(known)?;
    if from == *to {
        return refuse(StatusCode::CONFLICT, format!("shard {shard} is at {to} already"));
    }
    if let Some(busy) = status.moves.iter().find(|shift| shift.shard == *shard && !shift.over) {
        return refuse(StatusCode::CONFLICT, format!("shard {shard} is on its way to {} already", busy.to));
    }
    let Ok(to_id) = to.parse() else { return refuse(StatusCode::BAD_REQUEST, format!("`{to}` is no name")) };
    let view = MoveOrderView {
        shard: shard.clone(),
        from,
        to: to.clone(),
        entities: known.entities,
        players: known.players,
        gathers: Vec::new(),
        dry_run: *dry_run,
        after: status.moves.last().map_or(0, |shift| shift.id),
        number: None,
    };
    Ok((view, AdminOrder::MoveShard { shard: shard_id, to: to_id }))
}

#[cfg(test)]
mod tests {
    use super::super::view::{MoveView, NodeView, ShardView};
    use super::*;

    fn status() -> StatusView {
        let scene = |id: &str, state: &str| NodeView {
            id: id.to_owned(),
            role: "scene".to_owned(),
            state: state.to_owned(),
            ..NodeView::default()
        };
        let shard = |id: &str, phase: &str| ShardView {
            id: id.to_owned(),
            owner: Some("scene-1".to_owned()),
            phase: phase.to_owned(),
            players: 5,
            ..ShardView::default()
        };
        StatusView {
            nodes: vec![scene("scene-1", "up"), scene("scene-2", "up"), scene("scene-3", "draining")],
            shards: vec![shard("0/3/0,0", "running"), shard("0/3/1,0", "vacant"), shard("0/3/2,0", "running")],
            moves: vec![MoveView { id: 7, shard: "0/3/2,0".to_owned(), to: "scene-2".to_owned(), ..MoveView::default() }],
            ..StatusView::default()
        }
    }

    fn judged(shard: &str, to: &str) -> Result<MoveOrderView, String> {
        let wanted = Move { shard: shard.to_owned(), to: to.to_owned(), dry_run: true };
        judge(&status(), &wanted).map(|(view, _)| view).map_err(|(_, text)| text)
    }

    #[test]
    fn an_order_says_what_moves_where() {
        let view = judged("0/3/0,0", "scene-2").expect("possible");
        assert_eq!((view.from.as_str(), view.players, view.after, view.dry_run), ("scene-1", 5, 7, true));
    }

    #[test]
    fn what_cannot_be_moved_is_refused_in_words() {
        for (shard, to, why) in [
            ("0/3/9,9", "scene-2", "no shard"),
            ("0/3/0,0", "scene-9", "there are scene-1, scene-2, scene-3"),
            ("0/3/0,0", "scene-3", "draining"),
            ("0/3/0,0", "scene-1", "already"),
            ("0/3/1,0", "scene-2", "vacant"),
            ("0/3/2,0", "scene-2", "on its way to scene-2"),
        ] {
            let text = judged(shard, to).expect_err(why);
            assert!(text.contains(why), "{text}");
        }
    }
}
