//! Cutting shards into their children, and making shards of them. Judged by the last snapshot like every order; how it goes is in
//! `/api/status` under `moves`, as a move from a scene to itself.

use axum::Json;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use pangaea_schemas::NodeId;
use pangaea_schemas::geometry::ShardId;
use pangaea_world::moves::{MoveError, meeting_place};
use serde::Deserialize;

use super::audit::Follows;
use super::names::{no_shard, running, shard_named};
use super::orders::Refusal;
use super::shards::{GatherView, MoveOrderView};
use super::view::{ShardView, StatusView};
use super::{Admin, AdminOrder};

#[derive(Deserialize)]
pub(super) struct Recut {
    shard: String,
    #[serde(default)]
    dry_run: bool,
}

pub(super) async fn split(State(admin): State<Admin>, Query(wanted): Query<Recut>) -> Result<Response, Refusal> {
    let judged = judge_split(&admin.shown.borrow().status, &wanted)?;
    give(&admin, judged).await
}

pub(super) async fn merge(State(admin): State<Admin>, Query(wanted): Query<Recut>) -> Result<Response, Refusal> {
    let judged = judge_merge(&admin.shown.borrow().status, &wanted)?;
    give(&admin, judged).await
}

async fn give(admin: &Admin, (mut view, order): (MoveOrderView, AdminOrder)) -> Result<Response, Refusal> {
    if view.dry_run {
        return Ok(Json(view).into_response());
    }
    view.number = admin.order(order).await?;
    Ok((view.number.map(|number| Extension(Follows(number))), Json(view)).into_response())
}

fn judge_split(status: &StatusView, wanted: &Recut) -> Result<(MoveOrderView, AdminOrder), Refusal> {
    let id = parse(&wanted.shard)?;
    let known = shard_named(status, &wanted.shard)?;
    if id.children().is_none() {
        return refuse(format!("shard {id} is a single cell and cannot be split"));
    }
    let (_, scene) = running(known)?;
    is_free(status, id)?;
    Ok((view(status, id, scene, &[known], wanted.dry_run), AdminOrder::Recut { shard: id, merges: false }))
}

/// The name is that of the shard to become, or of one of its four parts.
fn judge_merge(status: &StatusView, wanted: &Recut) -> Result<(MoveOrderView, AdminOrder), Refusal> {
    let named = parse(&wanted.shard)?;
    let is_part = status.shards.iter().any(|known| known.id == wanted.shard);
    let parent = if is_part { named.parent() } else { Some(named) };
    let Some((parent, children)) = parent.and_then(|parent| Some((parent, parent.children()?))) else {
        return refuse(format!("shard {named} has nothing that it could be merged of"));
    };
    let mut parts = Vec::new();
    for child in children {
        let name = child.to_string();
        match status.shards.iter().find(|known| known.id == name) {
            Some(part) => parts.push(part),
            None if is_part => {
                return refuse(format!("shard {named} is whole, and with it {parent} cannot be made: there is no shard {name}"));
            }
            None if parts.is_empty() && child == children[3] => return Err(no_shard(status, &wanted.shard)),
            None => return refuse(format!("{parent} cannot be merged: its part {name} is no shard; merge that first")),
        }
        is_free(status, child)?;
    }
    let mut places = Vec::new();
    for part in &parts {
        let (_, scene) = running(part)?;
        let Ok(node) = scene.parse() else { return refuse(format!("`{scene}` is no name")) };
        places.push((node, part.entities));
    }
    let is_open = |scene: NodeId| status.nodes.iter().any(|node| node.id == scene.to_string() && node.state == "up");
    let Some(scene) = meeting_place(&places, is_open) else { return refuse(MoveError::NoPlace(parent).to_string()) };
    Ok((view(status, parent, scene.to_string(), &parts, wanted.dry_run), AdminOrder::Recut { shard: parent, merges: true }))
}

fn view(status: &StatusView, shard: ShardId, scene: String, parts: &[&ShardView], dry_run: bool) -> MoveOrderView {
    let elsewhere = parts.iter().filter_map(|part| Some((part, part.owner.clone().filter(|owner| *owner != scene)?)));
    let gathers = elsewhere.map(|(part, from)| GatherView { shard: part.id.clone(), from, entities: part.entities });
    MoveOrderView {
        gathers: gathers.collect(),
        shard: shard.to_string(),
        from: scene.clone(),
        to: scene,
        entities: parts.iter().map(|part| part.entities).sum(),
        players: parts.iter().map(|part| part.players).sum(),
        dry_run,
        after: status.moves.last().map_or(0, |shift| shift.id),
        number: None,
    }
}

fn parse(name: &str) -> Result<ShardId, Refusal> {
    name.parse().map_err(|error: pangaea_schemas::geometry::ParseShardIdError| (StatusCode::BAD_REQUEST, format!("{error}\n")))
}

fn refuse<T>(text: String) -> Result<T, Refusal> {
    Err((StatusCode::CONFLICT, format!("{text}\n")))
}

fn is_free(status: &StatusView, shard: ShardId) -> Result<(), Refusal> {
    let name = shard.to_string();
    match status.moves.iter().find(|shift| shift.shard == name && !shift.over) {
        Some(busy) => refuse(format!("shard {name} is on its way to {} already, or being cut", busy.to)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::{MoveView, NodeView};
    use super::*;

    fn status() -> StatusView {
        let shard = |id: &str, owner: &str, phase: &str| ShardView {
            id: id.to_owned(),
            owner: Some(owner.to_owned()),
            phase: phase.to_owned(),
            players: 5,
            ..ShardView::default()
        };
        let mut shards = vec![
            shard("0/3/0,0", "scene-1", "running"),
            shard("0/3/1,0", "scene-1", "vacant"),
            shard("0/3/2,0", "scene-1", "running"),
            shard("0/0/63,63", "scene-1", "running"),
        ];
        let four = |parent: &str| parent.parse::<ShardId>().expect("a shard").children().expect("it has some");
        shards.extend(four("0/3/0,1").map(|child| shard(&child.to_string(), "scene-2", "running")));
        let mixed = four("0/3/1,1").into_iter().zip(["scene-1", "scene-1", "scene-2", "scene-1"]);
        shards.extend(mixed.map(|(child, owner)| shard(&child.to_string(), owner, "running")));
        let stuck = four("0/3/0,2").into_iter().zip(["scene-3", "scene-3", "scene-4", "scene-4"]);
        shards.extend(stuck.map(|(child, owner)| shard(&child.to_string(), owner, "running")));
        let node = |id: &str, state: &str| NodeView { id: id.to_owned(), state: state.to_owned(), ..NodeView::default() };
        let nodes = vec![node("scene-1", "up"), node("scene-2", "up"), node("scene-3", "draining"), node("scene-4", "drained")];
        let moves = vec![MoveView { id: 7, shard: "0/3/2,0".to_owned(), to: "scene-2".to_owned(), ..MoveView::default() }];
        StatusView { nodes, shards, moves, ..StatusView::default() }
    }

    fn judged(shard: &str, merges: bool) -> Result<(MoveOrderView, AdminOrder), String> {
        let wanted = Recut { shard: shard.to_owned(), dry_run: true };
        let judge = if merges { judge_merge } else { judge_split };
        judge(&status(), &wanted).map_err(|(_, text)| text)
    }

    #[test]
    fn an_order_says_what_is_cut_where() {
        let (view, order) = judged("0/3/0,0", false).expect("possible");
        assert_eq!((view.from.as_str(), view.to.as_str(), view.players, view.after), ("scene-1", "scene-1", 5, 7));
        assert_eq!(order, AdminOrder::Recut { shard: "0/3/0,0".parse().expect("a shard"), merges: false });
        for name in ["0/3/0,1", "0/2/1,3"] {
            let (view, order) = judged(name, true).expect("the parent, or one of the four");
            assert_eq!((view.shard.as_str(), view.players), ("0/3/0,1", 20));
            assert_eq!(order, AdminOrder::Recut { shard: "0/3/0,1".parse().expect("a shard"), merges: true });
        }
    }

    #[test]
    fn parts_that_lie_apart_are_to_be_brought_together() {
        let (view, _) = judged("0/3/1,1", true).expect("possible");
        assert_eq!((view.to.as_str(), view.players), ("scene-1", 20));
        let away = GatherView { shard: "0/2/2,3".to_owned(), from: "scene-2".to_owned(), entities: 0 };
        assert_eq!(view.gathers, [away]);
        assert_eq!(judged("0/3/0,1", true).expect("possible").0.gathers, []);
    }

    #[test]
    fn what_cannot_be_cut_is_refused_in_words() {
        for (shard, merges, why) in [
            ("0/3/9,9", false, "no shard"),
            ("here", false, "is not a shard"),
            ("0/0/63,63", false, "single cell"),
            ("0/3/1,0", false, "vacant"),
            ("0/3/2,0", false, "on its way"),
            ("0/3/0,2", true, "all of those are draining"),
            ("0/3/9,9", true, "no shard"),
            ("0/3/0,0", true, "0/3/0,0 is whole, and with it 0/4/0,0 cannot be made: there is no shard 0/3/0,1"),
        ] {
            let text = judged(shard, merges).expect_err(why);
            assert!(text.contains(why), "{text}");
        }
    }
}
