//! One entity, whatever it is: who has it, what it is made of, and the shards that it came through. The scene that probably has
//! it is asked first, then all.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pangaea_schemas::message::{Desk, Sight, SightState};
use pangaea_schemas::record::Presence;
use pangaea_schemas::{EntityId, NodeId};
use pangaea_world::passages::Passage;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{AgentView, agent_of, components, session_at, view};
use crate::admin::Admin;
use crate::admin::orders::{Question, Refusal};

/// Scenes that are asked at the same time for one entity; the world's desk has room for more questions than that.
const ASKED_AT_ONCE: usize = 16;

/// One hand-over of an entity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PassageView {
    /// The shard it left.
    pub from: String,
    /// Who ran that.
    pub from_scene: String,
    /// The shard it came to.
    pub to: String,
    /// Who ran that when the world heard of it.
    pub to_scene: Option<String>,
    /// When it left, in microseconds since the Unix epoch.
    pub at_us: u64,
    /// Milliseconds from then until the other shard had confirmed to have it, durably.
    pub took_ms: f64,
}

pub(in crate::admin) async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<AgentView>, Refusal> {
    let entity = agent_of(&id)?;
    let trace = admin.trace(entity).await?;
    let Some((scene, sight)) = find(&admin, entity, trace.scene).await else {
        let text = "there is no such entity, or its shard has no running owner just now; see `pangaea agent list`";
        return Err((StatusCode::NOT_FOUND, format!("{entity} is nowhere: {text}\n")));
    };
    let mut seen = described(&sight, scene);
    seen.components = components::read(&admin.components, &sight.record.components);
    seen.history = trace.passages.iter().map(passage_view).collect();
    if let Some(gateway) = sight.record.session.gateway {
        seen.name = session_at(&admin, gateway, entity).await.map(|row| row.name);
    }
    Ok(Json(seen))
}

/// Who knows the entity best, and what they see.
async fn find(admin: &Admin, entity: EntityId, first: Option<NodeId>) -> Option<(NodeId, Sight)> {
    if let Some(scene) = first
        && let Some(sight) = inspect(admin.clone(), scene, entity).await
        && sight.state >= SightState::AtRest
    {
        return Some((scene, sight));
    }
    let scenes = admin.shown.borrow().status.scenes.iter().filter_map(|scene| scene.id.parse().ok()).collect::<Vec<NodeId>>();
    let mut sights = Vec::new();
    for some in scenes.chunks(ASKED_AT_ONCE) {
        let mut asked = JoinSet::new();
        for scene in some.iter().copied() {
            let admin = admin.clone();
            asked.spawn(async move { Some((scene, inspect(admin, scene, entity).await?)) });
        }
        sights.extend(asked.join_all().await.into_iter().flatten());
    }
    // Whoever has it under a higher epoch is right; of two shards on both sides of a hand-over, the one that took it.
    sights.into_iter().max_by_key(|(scene, sight)| (sight.record.epoch, sight.state, *scene))
}

/// A scene that does not answer has nothing to say.
async fn inspect(admin: Admin, scene: NodeId, entity: EntityId) -> Option<Sight> {
    match admin.ask(Question::Inspect { scene, entity }).await {
        Ok((_, Desk::Inspected { sight, .. })) => sight,
        Ok(_) | Err(_) => None,
    }
}

fn described(sight: &Sight, scene: NodeId) -> AgentView {
    let state = match sight.state {
        SightState::Leaving => "leaving",
        SightState::Arriving => "arriving",
        SightState::AtRest if sight.record.presence == Presence::Parked => "parked",
        SightState::AtRest => "at rest",
        SightState::Awake => "awake",
    };
    AgentView {
        state: state.to_owned(),
        awake: sight.state == SightState::Awake,
        toward: sight.toward.map(|shard| shard.to_string()),
        ..view(&sight.record, sight.shard, sight.epoch, scene)
    }
}

fn passage_view(passage: &Passage) -> PassageView {
    PassageView {
        from: passage.from.to_string(),
        from_scene: passage.from_scene.to_string(),
        to: passage.to.to_string(),
        to_scene: passage.to_scene.map(|scene| scene.to_string()),
        at_us: passage.left.0,
        took_ms: passage.took.as_secs_f64() * 1_000.0,
    }
}
