//! Recordings of shards. The shard's owner keeps what it records in memory; whoever ordered it fetches it part by part, and so
//! writes the file. Parts are for those who know the recording's key: the operator who began it is told, and nobody else.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::Desk;
use pangaea_schemas::recording::RECORDING_SECONDS_MAX;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::names::{answers_otherwise, running, shard_named};
use super::orders::{Question, Refusal};
use super::view::StatusView;

/// What an order to record a shard means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingView {
    /// Such as `0/3/1,0`.
    pub shard: String,
    /// Who has it, and records it.
    pub scene: String,
    /// Entities in it now.
    pub entities: u32,
    /// Of them, players' agents.
    pub players: u32,
    /// How long it is recorded.
    pub seconds: u32,
    /// Wanted to fetch its parts; empty when nothing was ordered.
    pub key: String,
    /// Nothing was ordered.
    pub dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    shard: String,
    #[serde(default)]
    seconds: u32,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct Part {
    shard: String,
    key: String,
    from: u64,
}

pub(super) async fn begin(State(admin): State<Admin>, Query(wanted): Query<Wanted>) -> Result<Json<RecordingView>, Refusal> {
    let (shard, mut view) = judge(&admin.shown.borrow().status, &wanted)?;
    if !(1..=RECORDING_SECONDS_MAX).contains(&wanted.seconds) {
        let text = format!("a recording takes from 1 to {RECORDING_SECONDS_MAX} seconds; {} is not among them\n", wanted.seconds);
        return Err((StatusCode::BAD_REQUEST, text));
    }
    if !wanted.dry_run {
        let key = draw_key()?;
        let (scene, _) = recorded(&admin, Question::Record { shard, key, seconds: wanted.seconds }).await?;
        (view.scene, view.key) = (scene, format!("{key:016x}"));
    }
    Ok(Json(view))
}

pub(super) async fn end(State(admin): State<Admin>, Query(wanted): Query<Wanted>) -> Result<Json<RecordingView>, Refusal> {
    let (shard, mut view) = judge(&admin.shown.borrow().status, &wanted)?;
    if !wanted.dry_run {
        view.scene = recorded(&admin, Question::EndRecording(shard)).await?.0;
    }
    Ok(Json(view))
}

pub(super) async fn part(State(admin): State<Admin>, Query(wanted): Query<Part>) -> Result<Bytes, Refusal> {
    let bad = |what: &str| (StatusCode::BAD_REQUEST, format!("`{what}` is not what it should be\n"));
    let shard = wanted.shard.parse().map_err(|_| bad(&wanted.shard))?;
    let key = u64::from_str_radix(&wanted.key, 16).map_err(|_| bad("key"))?;
    recorded(&admin, Question::TakeRecorded { shard, key, from: wanted.from }).await.map(|(_, bytes)| bytes)
}

/// What the shard's owner answers, with its name.
async fn recorded(admin: &Admin, question: Question) -> Result<(String, Bytes), Refusal> {
    match admin.ask(question).await? {
        (scene, Desk::Recorded { bytes, refusal, .. }) if refusal.is_empty() => Ok((scene.to_string(), bytes)),
        (_, Desk::Recorded { refusal, .. }) => Err((StatusCode::CONFLICT, format!("{refusal}\n"))),
        (scene, _) => Err(answers_otherwise(scene)),
    }
}

/// What the order would mean now.
fn judge(status: &StatusView, wanted: &Wanted) -> Result<(ShardId, RecordingView), Refusal> {
    let known = shard_named(status, &wanted.shard)?;
    let (shard, scene) = running(known)?;
    let view = RecordingView {
        shard: known.id.clone(),
        scene,
        entities: known.entities,
        players: known.players,
        seconds: wanted.seconds,
        key: String::new(),
        dry_run: wanted.dry_run,
    };
    Ok((shard, view))
}

/// Nobody guesses it.
fn draw_key() -> Result<u64, Refusal> {
    let mut bytes = [0; 8];
    let drawn = getrandom::fill(&mut bytes);
    drawn.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("the operating system gives no randomness: {error}\n")))?;
    Ok(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::super::view::ShardView;
    use super::*;

    #[test]
    fn only_a_shard_that_runs_is_recorded() {
        let shard = |id: &str, phase: &str| ShardView {
            id: id.to_owned(),
            owner: Some("scene-2".to_owned()),
            phase: phase.to_owned(),
            entities: 9,
            ..ShardView::default()
        };
        let status = StatusView { shards: vec![shard("0/3/0,0", "running"), shard("0/3/1,0", "claiming")], ..Default::default() };
        let judged = |id: &str| judge(&status, &Wanted { shard: id.to_owned(), seconds: 60, dry_run: false });
        let (_, view) = judged("0/3/0,0").expect("it runs");
        assert_eq!((view.scene.as_str(), view.entities, view.seconds), ("scene-2", 9, 60));
        assert_eq!(judged("0/3/1,0").expect_err("not yet").0, StatusCode::CONFLICT);
        let (status, text) = judged("0/3/7,7").expect_err("there is none");
        assert!(status == StatusCode::NOT_FOUND && text.contains("0/3/0,0"), "{text}");
    }
}
