//! Players' agents and their sessions: who is where, putting somebody elsewhere, sending somebody away.
//!
//! The world only knows in which shard an agent is; the rest is asked of the shard's owner and of the session's gateway.

mod components;
mod inspect;
mod parked;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use pangaea_schemas::geometry::{CELL_EDGE_M, CellId, Position, ShardId, SpaceId};
use pangaea_schemas::message::{Desk, KICK_BYTES_MAX, SessionRow};
use pangaea_schemas::record::{Presence, Record};
use pangaea_schemas::{EntityId, NodeId, SessionEpoch, ShardEpoch};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use inspect::PassageView;
pub(super) use inspect::show;
pub use parked::ReleaseView;
pub(super) use parked::release;

use super::drains::DryRun;
use super::names::answers_otherwise;
use super::orders::{Question, Refusal};
use super::view::SpaceView;
use super::{Admin, StatusView};

pub use components::read as components_by_name;

/// Rows of a list when nobody says how many.
const ROWS_DEFAULT: usize = 100;
/// Most rows of a list.
const ROWS_MAX: usize = 1_000;
/// What a client hears that is sent away without a reason.
const NO_REASON: &str = "an admin ended this session";

/// Where somebody stands, in metres from the space's north-west corner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentPlace {
    /// East.
    pub x: f32,
    /// South.
    pub z: f32,
}

/// An entity: a player's agent, unless somebody asks for another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    /// Its entity id.
    pub id: u64,
    /// What others call it, if a gateway has its session.
    pub name: Option<String>,
    /// In which shard.
    pub shard: String,
    /// Who runs that.
    pub scene: String,
    /// Of the shard.
    pub shard_epoch: u64,
    /// Of the agent.
    pub epoch: u64,
    /// It takes part in the world; otherwise it is at rest until its player comes back.
    pub awake: bool,
    /// Where it stands.
    pub position: AgentPlace,
    /// Who has its session.
    pub gateway: Option<String>,
    /// Login and resume, such as `3.1`.
    pub session: String,
    /// `awake`, `at rest`, `parked`, or between two shards: `leaving` the one on show, or `arriving` there.
    #[serde(default)]
    pub state: String,
    /// The shard that it leaves for, or is offered to.
    #[serde(default)]
    pub toward: Option<String>,
    /// A player's; otherwise a creature, a thing, or what stands for one.
    #[serde(default)]
    pub player: bool,
    /// By name, with their fields where they have a description. Empty in lists.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub components: Map<String, Value>,
    /// Its last hand-overs, the latest first, as far as the world remembers. Empty in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PassageView>,
}

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// Whose agent.
    pub agent: u64,
    /// What others call it.
    pub name: String,
    /// Whose account.
    pub account: u64,
    /// Login and resume, such as `3.1`.
    pub session: String,
    /// Who has it.
    pub gateway: String,
    /// `playing`, `crossing`, `lost`, or how far it has come in entering.
    pub state: String,
    /// A client is there now.
    pub connected: bool,
    /// Where the agent was last.
    pub shard: Option<String>,
    /// Who ran it there.
    pub scene: Option<String>,
}

/// The body of `POST /api/agents/{id}/move`: a place, or who stands there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AgentMove {
    /// There.
    Place(AgentPlace),
    /// Where this agent stands.
    Agent {
        /// Whose place.
        to_agent: u64,
    },
}

/// What putting an agent elsewhere means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentMoveView {
    /// Who.
    pub agent: u64,
    /// Where it stands.
    pub from: AgentPlace,
    /// In which shard that is.
    pub from_shard: String,
    /// Where it is to stand.
    pub to: AgentPlace,
    /// In which shard that is; where it is another one, a hand-over follows.
    pub to_shard: String,
    /// Nothing was ordered.
    pub dry_run: bool,
}

/// The body of `POST /api/agents/{id}/kick`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kick {
    /// Told to the client.
    #[serde(default)]
    pub words: String,
}

/// What ending a session means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KickView {
    /// Whose.
    pub agent: u64,
    /// What others call it.
    pub name: String,
    /// Who has the session.
    pub gateway: String,
    /// A client is there now.
    pub connected: bool,
    /// Told to the client.
    pub words: String,
    /// Nothing was ordered.
    pub dry_run: bool,
}

#[derive(Deserialize)]
pub(super) struct Rows {
    shard: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
}

impl Rows {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX)
    }
}

pub(super) async fn list(State(admin): State<Admin>, Query(rows): Query<Rows>) -> Result<Json<Vec<AgentView>>, Refusal> {
    let status = admin.shown.borrow().status.clone();
    let names = || status.shards.iter().map(|shard| shard.id.as_str());
    if let Some(wanted) = rows.shard.as_deref().filter(|wanted| !names().any(|name| name == *wanted)) {
        return Err((StatusCode::NOT_FOUND, super::unknown("shard", wanted, names()) + "\n"));
    }
    let wanted = status.shards.iter().filter(|shard| rows.shard.as_ref().is_none_or(|wanted| shard.id == *wanted));
    let mut found = Vec::new();
    for shard in wanted.filter(|shard| shard.phase == "running") {
        let Ok(shard) = shard.id.parse::<ShardId>() else { continue };
        let left = rows.limit() - found.len();
        let question = Question::Agents { shard, after: EntityId(rows.after.unwrap_or(0)), limit: left as u32 };
        // A shard that changes hands just now is left out: the next look has it.
        let Ok((scene, Desk::Seen { shard, epoch, agents, .. })) = admin.ask(question).await else { continue };
        found.extend(agents.iter().map(|record| view(record, shard, epoch, scene)).take(left));
        if found.len() >= rows.limit() {
            break;
        }
    }
    Ok(Json(found))
}

pub(super) async fn place(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Json(wanted): Json<AgentMove>,
) -> Result<Json<AgentMoveView>, Refusal> {
    let agent = agent_of(&id)?;
    let (seen, record) = look(&admin, agent).await?;
    let (to, space) = match wanted {
        AgentMove::Place(place) => (place, record.cell.space),
        AgentMove::Agent { to_agent } => {
            let (_, other) = look(&admin, EntityId(to_agent)).await?;
            (place_of(other.position), other.cell.space)
        }
    };
    if space != record.cell.space {
        return refuse(
            StatusCode::CONFLICT,
            format!("{agent} is in space {}, and the goal in space {}", record.cell.space.0, space.0),
        );
    }
    if !seen.awake {
        return refuse(
            StatusCode::CONFLICT,
            format!("{agent} is at rest until its player comes back; only who is awake is moved"),
        );
    }
    let snapshot = admin.shown.borrow().clone();
    let known = snapshot.config.spaces.iter().find(|known| known.id == space.0);
    let Some(to_shard) = known.and_then(|space| shard_at(&snapshot.status, space, to)) else {
        let edge = known.map_or(0.0, edge_m);
        return refuse(
            StatusCode::BAD_REQUEST,
            format!("{}, {} is not on the map: x and z are from 0 to {edge} metres", to.x, to.z),
        );
    };
    if !dry_run {
        let position = Position { x: to.x, z: to.z };
        match admin.ask(Question::Place { agent, position }).await? {
            (_, Desk::Placed { here: true, .. }) => {}
            _ => return refuse(StatusCode::CONFLICT, format!("{agent} is on its way to another shard just now; try again")),
        }
    }
    Ok(Json(AgentMoveView { agent: agent.0, from: seen.position, from_shard: seen.shard, to, to_shard, dry_run }))
}

pub(super) async fn kick(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Query(DryRun { dry_run }): Query<DryRun>,
    Json(Kick { words }): Json<Kick>,
) -> Result<Json<KickView>, Refusal> {
    let agent = agent_of(&id)?;
    let words = if words.is_empty() { NO_REASON.to_owned() } else { words };
    if words.len() > KICK_BYTES_MAX {
        return refuse(StatusCode::BAD_REQUEST, format!("at most {} bytes of last words", KICK_BYTES_MAX));
    }
    let (_, record) = look(&admin, agent).await?;
    let session = match record.session.gateway {
        Some(gateway) => session_at(&admin, gateway, agent).await.map(|row| (gateway, row)),
        None => None,
    };
    let Some((gateway, row)) = session else {
        return refuse(StatusCode::CONFLICT, format!("{agent} has no session now"));
    };
    if !dry_run {
        match admin.ask(Question::Kick { gateway, agent, words: words.clone() }).await? {
            (_, Desk::Kicked { here: true, .. }) => {}
            _ => return refuse(StatusCode::CONFLICT, format!("{agent} has left {gateway} just now")),
        }
    }
    let view =
        KickView { agent: agent.0, name: row.name, gateway: gateway.to_string(), connected: row.connected, words, dry_run };
    Ok(Json(view))
}

pub(super) async fn sessions(State(admin): State<Admin>, Query(rows): Query<Rows>) -> Result<Json<Vec<SessionView>>, Refusal> {
    let gateways: Vec<_> = admin.shown.borrow().status.gateways.iter().filter_map(|known| known.id.parse().ok()).collect();
    let (limit, from) = (rows.limit(), EntityId(rows.after.unwrap_or(0)));
    let mut found = Vec::new();
    for gateway in gateways {
        let (mut after, mut of_it) = (from, 0);
        // The lists are merged by id, so each gateway tells as many as there may be.
        while of_it < limit {
            let question = Question::Sessions { gateway, after, limit: (limit - of_it) as u32 };
            let (_, Desk::Sessions { sessions, more, .. }) = admin.ask(question).await? else { break };
            of_it += sessions.len();
            after = sessions.last().map_or(after, |row| row.agent);
            found.extend(sessions.into_iter().map(|row| session_view(row, gateway)));
            if !more {
                break;
            }
        }
    }
    found.sort_by_key(|row| row.agent);
    found.truncate(limit);
    Ok(Json(found))
}

fn refuse<T>(status: StatusCode, text: String) -> Result<T, Refusal> {
    Err((status, text + "\n"))
}

/// Such as `e4711`, or the bare number.
fn agent_of(text: &str) -> Result<EntityId, Refusal> {
    let id = text.strip_prefix('e').unwrap_or(text).parse().ok().filter(|id| *id != 0).map(EntityId);
    id.ok_or_else(|| (StatusCode::BAD_REQUEST, format!("`{text}` is no agent: expected something like e4711\n")))
}

async fn look(admin: &Admin, agent: EntityId) -> Result<(AgentView, Record), Refusal> {
    let (scene, seen) = admin.ask(Question::Agent(agent)).await?;
    let Desk::Seen { shard, epoch, agents, .. } = seen else {
        return Err(answers_otherwise(scene));
    };
    let record = agents.into_iter().find(|record| record.entity == agent);
    let text = || format!("{agent} is on its way to another shard just now, or is no player's agent; see `pangaea agent list`\n");
    let record = record.ok_or_else(|| (StatusCode::NOT_FOUND, text()))?;
    Ok((view(&record, shard, epoch, scene), record))
}

async fn session_at(admin: &Admin, gateway: NodeId, agent: EntityId) -> Option<SessionRow> {
    let question = Question::Sessions { gateway, after: EntityId(agent.0 - 1), limit: 1 };
    match admin.ask(question).await {
        Ok((_, Desk::Sessions { sessions, .. })) => sessions.into_iter().find(|row| row.agent == agent),
        _ => None,
    }
}

fn view(record: &Record, shard: ShardId, shard_epoch: ShardEpoch, scene: NodeId) -> AgentView {
    let session = record.session.epoch;
    AgentView {
        id: record.entity.0,
        name: None,
        shard: shard.to_string(),
        scene: scene.to_string(),
        shard_epoch: shard_epoch.0,
        epoch: record.epoch.0,
        awake: record.presence == Presence::Awake,
        position: place_of(record.position),
        gateway: record.session.gateway.map(|gateway| gateway.to_string()),
        session: format!("{}.{}", session.login, session.resume),
        state: if record.presence == Presence::Awake { "awake" } else { "at rest" }.to_owned(),
        toward: None,
        player: session != SessionEpoch::default(),
        components: Map::new(),
        history: Vec::new(),
    }
}

fn session_view(row: SessionRow, gateway: NodeId) -> SessionView {
    SessionView {
        agent: row.agent.0,
        name: row.name,
        account: row.account.0,
        session: format!("{}.{}", row.session.login, row.session.resume),
        gateway: gateway.to_string(),
        state: row.state,
        connected: row.connected,
        shard: row.shard.map(|shard| shard.to_string()),
        scene: row.owner.map(|owner| owner.to_string()),
    }
}

fn place_of(position: Position) -> AgentPlace {
    AgentPlace { x: position.x, z: position.z }
}

fn edge_m(space: &SpaceView) -> f32 {
    f32::from(space.edge_cells) * CELL_EDGE_M
}

/// The shard of the map that holds a place of a space.
fn shard_at(status: &StatusView, space: &SpaceView, place: AgentPlace) -> Option<String> {
    let edge = edge_m(space);
    if ![place.x, place.z].iter().all(|at| (0.0..edge).contains(at)) {
        return None;
    }
    let cell = CellId::at(SpaceId(space.id), Position { x: place.x, z: place.z });
    let holds = |name: &str| name.parse::<ShardId>().is_ok_and(|shard| shard.contains(cell));
    status.shards.iter().find(|shard| holds(&shard.id)).map(|shard| shard.id.clone())
}

#[cfg(test)]
mod tests {
    use super::super::view::ShardView;
    use super::*;

    #[test]
    fn a_place_is_in_the_shard_whose_cells_hold_it() {
        let shard = |id: &str| ShardView { id: id.to_owned(), ..ShardView::default() };
        let status = StatusView { shards: vec![shard("0/3/0,0"), shard("0/3/1,0")], ..StatusView::default() };
        let space = SpaceView { edge_cells: 16, ..SpaceView::default() };
        let at = |x, z| shard_at(&status, &space, AgentPlace { x, z });
        assert_eq!(at(10.0, 10.0).as_deref(), Some("0/3/0,0"));
        assert_eq!(at(256.0, 0.0).as_deref(), Some("0/3/1,0"));
        for (x, z) in [(10.0, 300.0), (-1.0, 0.0), (512.0, 0.0), (f32::NAN, 0.0), (0.0, f32::INFINITY)] {
            assert_eq!(at(x, z), None, "{x}, {z}");
        }
    }

    #[test]
    fn agents_are_named_with_and_without_their_letter() {
        for (text, id) in [("e4711", Some(4_711)), ("4711", Some(4_711)), ("e0", None), ("ana", None), ("", None), ("e-1", None)]
        {
            assert_eq!(agent_of(text).ok().map(|agent| agent.0), id, "{text}");
        }
    }

    #[test]
    fn a_goal_is_a_place_or_somebody() {
        let read = |text: &str| serde_json::from_str::<AgentMove>(text).ok();
        assert_eq!(read(r#"{"x": 1, "z": 2.5}"#), Some(AgentMove::Place(AgentPlace { x: 1.0, z: 2.5 })));
        assert_eq!(read(r#"{"to_agent": 7}"#), Some(AgentMove::Agent { to_agent: 7 }));
        assert_eq!(read(r#"{"x": 1}"#), None);
    }
}
