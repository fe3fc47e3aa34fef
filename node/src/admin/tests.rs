//! The admin API over real sockets: what is told, who may change what, and what is noted of it.

use std::time::Duration;

use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, Position, SpaceId};
use pangaea_schemas::message::{Cost, Desk, PauseOrder, SessionRow, Sight, SightState};
use pangaea_schemas::record::{ComponentBytes, Presence, Record, SessionState};
use pangaea_schemas::registry::{Field, FieldType};
use pangaea_schemas::{AccountId, AgentEpoch, EntityId, RequestId, SessionEpoch, ShardEpoch, Tick, Timestamp, TypeId};
use pangaea_world::passages::Passage;

use super::*;
use crate::keys::ClusterKeys;

/// A served API, with what the world would say and hear.
struct Stage {
    address: String,
    show: watch::Sender<Arc<Snapshot>>,
    taken: mpsc::Receiver<Wanted>,
    audit: Arc<AuditLog>,
    local: String,
    folder: tempfile::TempDir,
}

impl Stage {
    /// Of a development cluster.
    async fn new() -> Self {
        Self::of(true).await
    }

    async fn of(development: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = ClusterKeys::below(folder.path());
        keys.create_missing().expect("made");
        let (show, shown) = watch::channel(Arc::new(Snapshot { status: cluster(), config: map(), ..Snapshot::default() }));
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let bound = listener.local_addr().expect("bound");
        let audit = Arc::new(AuditLog::open(folder.path()).expect("opened"));
        let tokens = Arc::new(Tokens::open(folder.path()).expect("opened"));
        let check_script = Arc::new(|_: &str, _: &str| Ok(()));
        let admin = Admin {
            shown,
            orders,
            tokens,
            audit: Arc::clone(&audit),
            components: Arc::new([health()]),
            layouts: Arc::default(),
            check_script,
            development,
        };
        let service = routes(admin, bound).into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(axum::serve(listener, service).into_future());
        let local = keys.operator_token().expect("made");
        Self { address: bound.to_string(), show, taken, audit, local, folder }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let body = client::get(&self.address, path, None).await.expect("an answer");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Its answer, or the status and words of the refusal. The world takes every order, as number 7.
    async fn post(&mut self, path: &str, token: &str, body: &str) -> Result<serde_json::Value, (u16, String)> {
        let asked = client::post(&self.address, path, token, body.as_bytes());
        let obeyed = async {
            while let Some(wanted) = self.taken.recv().await {
                match wanted {
                    Wanted::Order(ordered) => ordered.answer(Ok(Some(7))),
                    Wanted::Answer(asked) => answer_for_nodes(asked),
                    Wanted::Trace(entity, answer) => drop(answer.send(trace(entity))),
                }
            }
        };
        let answer = tokio::select! { answer = asked => answer, () = obeyed => panic!("the API has ended") };
        match answer {
            Ok(body) => Ok(serde_json::from_slice(&body).unwrap_or_default()),
            Err(client::AskError::Refused { status, text }) => Err((status, text)),
            Err(error) => panic!("{error}"),
        }
    }

    /// What whoever is on this machine is told; nodes and the world answer.
    async fn look(&mut self, path: &str) -> Result<serde_json::Value, (u16, String)> {
        let address = self.address.clone();
        let answered = async {
            while let Some(wanted) = self.taken.recv().await {
                match wanted {
                    Wanted::Order(_) => panic!("whoever looks orders nothing"),
                    Wanted::Answer(asked) => answer_for_nodes(asked),
                    Wanted::Trace(entity, answer) => drop(answer.send(trace(entity))),
                }
            }
        };
        let told =
            tokio::select! { told = client::get(&address, path, None) => told, () = answered => panic!("the API has ended") };
        match told {
            Ok(body) => Ok(serde_json::from_slice(&body).expect("JSON")),
            Err(client::AskError::Refused { status, text }) => Err((status, text)),
            Err(error) => panic!("{error}"),
        }
    }

    async fn token(&mut self, name: &str, rank: Rank) -> String {
        let body = serde_json::to_string(&NewToken { name: name.to_owned(), rank }).expect("JSON");
        let local = self.local.clone();
        let made = self.post("/api/tokens", &local, &body).await.expect("made");
        made["token"].as_str().expect("a token").to_owned()
    }

    /// The last entry, once it has this result.
    async fn noted(&self, result: &str) -> AuditEntry {
        loop {
            let entry = self.audit.latest(1).pop().expect("an entry");
            if entry.result == result {
                return entry;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Agent 11 is awake at 300, 20 in shard 0/3/1,0, and has a session; 12 is at rest; nobody else is known.
fn answer_for_nodes(asked: Asked) {
    let (question, answer) = asked.into_parts();
    let (scene, gateway): (NodeId, NodeId) = ("scene-1".parse().expect("a name"), "gateway-1".parse().expect("a name"));
    let (request, agent) = (RequestId(1), EntityId(11));
    let told = match question {
        Question::Agent(EntityId(id @ (11 | 12))) => {
            let shard = "0/3/1,0".parse().expect("a shard");
            Ok((scene, Desk::Seen { request, shard, epoch: ShardEpoch(3), agents: vec![record(id)], more: false }))
        }
        Question::Agent(agent) => Err(format!("{agent} is nowhere known")),
        Question::Inspect { scene, entity } => {
            let sight = match (scene.ordinal, entity.0) {
                (1, 11) => Some(sight(record(11), SightState::Awake)),
                // It went to the first scene, which has not told the second.
                (2, 11) => Some(sight(Record { epoch: AgentEpoch(1), ..record(11) }, SightState::Leaving)),
                (2, 12) => Some(sight(record(12), SightState::AtRest)),
                _ => None,
            };
            Ok((scene, Desk::Inspected { request, sight }))
        }
        Question::Place { agent: of, .. } => Ok((scene, Desk::Placed { request, here: of == agent })),
        Question::Sessions { .. } => {
            let row = SessionRow {
                agent,
                account: AccountId(1),
                name: "Ada".to_owned(),
                session: SessionEpoch { login: 3, resume: 1 },
                connected: true,
                shard: None,
                owner: None,
                state: "playing".to_owned(),
            };
            Ok((gateway, Desk::Sessions { request, sessions: vec![row], more: false }))
        }
        Question::Kick { agent: of, .. } => Ok((gateway, Desk::Kicked { request, here: of == agent })),
        Question::Agents { .. } => Err("nobody runs it".to_owned()),
        Question::Record { .. } | Question::TakeRecorded { .. } => {
            Ok((scene, Desk::Recorded { request, bytes: Default::default(), refusal: String::new() }))
        }
        Question::Pause { order, ticks, .. } => {
            let refusal = if order == PauseOrder::Resume { "the shard is not paused".to_owned() } else { String::new() };
            let left_ms = if order == PauseOrder::Look { 0 } else { 600_000 };
            Ok((scene, Desk::Paused { request, left_ms, steps: ticks, tick: Tick(9), refusal }))
        }
        Question::Profile(shard) => {
            let cost = |name: &str, mean_ns| Cost { name: name.to_owned(), mean_ns, max_ns: 9_000 };
            let (phases, systems) = (vec![cost("simulate", 8_000)], vec![cost("act", 1_000), cost("walk", 6_000)]);
            Ok((scene, Desk::Profiled { request, shard, ticks: 3, phases, systems }))
        }
        Question::EndRecording(_) => {
            Ok((scene, Desk::Recorded { request, bytes: Default::default(), refusal: "nobody records it".to_owned() }))
        }
    };
    let _ = answer.send(told);
}

fn sight(record: Record, state: SightState) -> Sight {
    let toward = (state == SightState::Leaving).then(|| "0/3/1,0".parse().expect("a shard"));
    Sight { shard: "0/3/1,0".parse().expect("a shard"), epoch: ShardEpoch(3), state, toward, record }
}

/// Where the world believes that everybody is: at the scene that agent 11 has left.
fn trace(entity: EntityId) -> Trace {
    let shard = |name: &str| name.parse().expect("a shard");
    let node = |name: &str| name.parse().expect("a node");
    let passage = Passage {
        entity,
        from: shard("0/3/0,0"),
        from_scene: node("scene-2"),
        to: shard("0/3/1,0"),
        to_scene: Some(node("scene-1")),
        left: Timestamp(7_000_000),
        took: Duration::from_micros(31_250),
    };
    Trace { scene: Some(node("scene-2")), passages: if entity.0 == 11 { vec![passage] } else { vec![] } }
}

/// Clients do not see it.
fn health() -> TypeInfo {
    let field = Field { name: "points".to_owned(), ty: FieldType::U16, offset: 0, length: 1 };
    TypeInfo { id: TypeId::of("health"), name: "health".to_owned(), size: 2, fields: vec![field] }
}

fn record(id: u64) -> Record {
    let is_awake = id == 11;
    let position = Position { x: 300.0, z: 20.0 };
    Record {
        entity: EntityId(id),
        epoch: AgentEpoch(2),
        presence: if is_awake { Presence::Awake } else { Presence::Asleep },
        cell: CellId::at(SpaceId(0), position),
        position,
        session: SessionState { gateway: is_awake.then(|| "gateway-1".parse().expect("a name")), ..SessionState::default() },
        components: vec![ComponentBytes { id: TypeId::of("health"), bytes: Bytes::from_static(&[90, 0]) }],
        fleeting: Vec::new(),
    }
}

fn scene(id: &str) -> SceneView {
    SceneView { id: id.to_owned(), ..SceneView::default() }
}

fn cluster() -> StatusView {
    let scene =
        |id: &str| NodeView { id: id.to_owned(), role: "scene".to_owned(), state: "up".to_owned(), ..NodeView::default() };
    let shard = ShardView {
        id: "0/3/1,0".to_owned(),
        owner: Some("scene-1".to_owned()),
        phase: "running".to_owned(),
        ..ShardView::default()
    };
    StatusView { nodes: vec![scene("scene-1"), scene("scene-2")], shards: vec![shard], ..StatusView::default() }
}

/// One space of 16 by 16 cells.
fn map() -> ConfigView {
    ConfigView { spaces: vec![SpaceView { edge_cells: 16, ..SpaceView::default() }], ..ConfigView::default() }
}

const MIGRATE: &str = "/api/migrate?shard=0/3/1,0&to=scene-2";

#[tokio::test]
async fn status_is_what_the_world_shows() {
    let stage = Stage::new().await;
    let status = StatusView { sessions: 7, cluster: "demo".to_owned(), ..StatusView::default() };
    stage.show.send_replace(Arc::new(Snapshot { status: status.clone(), ..Snapshot::default() }));
    assert_eq!(stage.get::<StatusView>("/api/status").await, status);
}

#[tokio::test]
async fn whoever_is_on_this_machine_may_look_and_no_more() {
    let mut stage = Stage::new().await;
    let me: Caller = stage.get("/api/me").await;
    assert_eq!(me, Caller { name: "local".to_owned(), rank: Rank::Viewer });
    let (status, text) = stage.post(MIGRATE, "", "{}").await.expect_err("refused");
    assert_eq!((status, text.contains("an operator's token")), (401, true), "{text}");
}

#[tokio::test]
async fn a_viewer_looks_an_operator_changes_and_a_revoked_token_does_nothing() {
    let mut stage = Stage::new().await;
    let (viewer, operator) = (stage.token("vera", Rank::Viewer).await, stage.token("olaf", Rank::Operator).await);
    let (status, text) = stage.post(MIGRATE, &viewer, "{}").await.expect_err("refused");
    assert_eq!((status, text.as_str()), (403, "vera is a viewer: only an operator may change anything"));
    let view = stage.post(MIGRATE, &operator, "{}").await.expect("ordered");
    assert_eq!(view["number"], 7);
    stage.post("/api/tokens/olaf/revoke", &operator, "{}").await.expect("revoked");
    let (status, text) = stage.post(MIGRATE, &operator, "{}").await.expect_err("refused");
    assert_eq!((status, text.starts_with("this token is not known")), (401, true), "{text}");
    let known = client::get(&stage.address, "/api/status", Some(&operator)).await;
    assert!(matches!(known, Err(client::AskError::Refused { status: 401, .. })), "a wrong token is worse than none");
}

#[tokio::test]
async fn every_change_is_noted_with_who_what_and_how_it_ended() {
    let mut stage = Stage::new().await;
    let operator = stage.token("olaf", Rank::Operator).await;
    stage.post(&format!("{MIGRATE}&dry_run=true"), &operator, "{}").await.expect("possible");
    let asked = stage.noted("done").await;
    assert_eq!((asked.who.as_str(), asked.what.as_str(), asked.dry_run), ("olaf", "migrate", true));
    assert_eq!((asked.args["shard"].as_str(), asked.args["to"].as_str()), ("0/3/1,0", "scene-2"));

    stage.post("/api/migrate?shard=0/3/9,9&to=scene-2", &operator, "{}").await.expect_err("no such shard");
    assert!(stage.noted("refused").await.words.contains("there is no shard"));
    stage.post(MIGRATE, "guessed", "{}").await.expect_err("refused");
    let stranger = stage.noted("refused").await;
    assert_eq!((stranger.who.as_str(), stranger.rank, stranger.from.as_str()), ("unknown", None, "127.0.0.1"));

    // On the disk, and without the secret.
    let kept = AuditLog::open(stage.folder.path()).expect("opened").latest(100);
    assert_eq!(kept, stage.audit.latest(100));
    let file = std::fs::read_to_string(stage.folder.path().join("audit/audit.jsonl")).expect("there");
    assert!(!file.contains(&operator) && !file.contains(&stage.local));
}

#[tokio::test]
async fn a_move_is_noted_again_when_it_is_over() {
    let mut stage = Stage::new().await;
    let local = stage.local.clone();
    stage.post(MIGRATE, &local, "{}").await.expect("ordered");
    let over = MoveView { id: 7, step: "done".to_owned(), over: true, blackout_ms: 3.25, ..MoveView::default() };
    let status = StatusView { moves: vec![over], ..cluster() };
    stage.show.send_replace(Arc::new(Snapshot { status, ..Snapshot::default() }));
    let entry = stage.noted("moved").await;
    assert!(entry.words.contains("3.2 ms blackout, 0 missed"), "{entry:?}");
}

#[tokio::test]
async fn an_agent_is_put_where_there_is_a_map_and_only_if_it_is_awake() {
    let mut stage = Stage::new().await;
    let local = stage.local.clone();
    let mut put = async |id: &str, body: &str| stage.post(&format!("/api/agents/{id}/move"), &local, body).await;
    let moved = put("e11", r#"{"x": 260, "z": 5}"#).await.expect("placed");
    assert_eq!(
        (&moved["from_shard"], &moved["to_shard"], &moved["to"]["x"]),
        (&"0/3/1,0".into(), &"0/3/1,0".into(), &260.0.into())
    );
    assert_eq!(put("11", r#"{"to_agent": 12}"#).await.expect("placed")["to"]["x"], 300.0);
    for (id, body, status, why) in [
        ("e12", r#"{"x": 260, "z": 5}"#, 409, "at rest"),
        ("e11", r#"{"x": 260, "z": 9000}"#, 400, "from 0 to 512 metres"),
        ("e11", r#"{"to_agent": 99}"#, 404, "nowhere known"),
        ("ada", r#"{"x": 260, "z": 5}"#, 400, "is no agent"),
    ] {
        let (found, text) = put(id, body).await.expect_err(why);
        assert_eq!((found, text.contains(why)), (status, true), "{text}");
    }
}

#[tokio::test]
async fn who_has_a_session_is_sent_away_with_words() {
    let mut stage = Stage::new().await;
    let local = stage.local.clone();
    let kicked = stage.post("/api/agents/e11/kick", &local, r#"{"words": "be kind"}"#).await.expect("kicked");
    assert_eq!((&kicked["name"], &kicked["gateway"], &kicked["words"]), (&"Ada".into(), &"gateway-1".into(), &"be kind".into()));
    assert_eq!(stage.noted("done").await.body, r#"{"words": "be kind"}"#);
    let (status, text) = stage.post("/api/agents/e12/kick", &local, "{}").await.expect_err("refused");
    assert_eq!((status, text.as_str()), (409, "e12 has no session now"));
}

#[tokio::test]
async fn a_recording_is_an_operators_and_its_key_is_told_to_nobody_else() {
    let mut stage = Stage::new().await;
    let (local, viewer) = (stage.local.clone(), stage.token("vera", Rank::Viewer).await);
    let path = "/api/recordings?shard=0/3/1,0&seconds=60";
    assert_eq!(stage.post(path, &viewer, "{}").await.expect_err("refused").0, 403);
    let begun = stage.post(path, &local, "{}").await.expect("begun");
    let key = begun["key"].as_str().expect("a key").to_owned();
    assert_eq!((key.len(), &begun["scene"]), (16, &"scene-1".into()));
    let entries = serde_json::to_string(&stage.audit.latest(9)).expect("JSON");
    assert!(entries.contains("recordings") && !entries.contains(&key), "{entries}");
    let (status, text) = stage.post("/api/recordings?shard=0/3/1,0&seconds=601", &local, "{}").await.expect_err("too long");
    assert_eq!((status, text.as_str()), (400, "a recording takes from 1 to 600 seconds; 601 is not among them"));
    let ended = stage.post("/api/recordings/end?shard=0/3/1,0", &local, "{}").await;
    assert_eq!(ended.expect_err("there is none"), (409, "nobody records it".to_owned()));
}

#[tokio::test]
async fn whoever_looks_is_told_what_a_shards_ticks_cost() {
    let mut stage = Stage::new().await;
    let body = stage.look("/api/shards/profile?shard=0/3/1,0").await.expect("told");
    let profile: ProfileView = serde_json::from_value(body).expect("a profile");
    let names: Vec<_> = profile.systems.iter().map(|cost| cost.name.as_str()).collect();
    assert_eq!((profile.scene.as_str(), profile.ticks, names), ("scene-1", 3, vec!["walk", "act"]));
    assert_eq!(stage.look("/api/shards/profile?shard=0/3/9,9").await.expect_err("there is none").0, 404);
    let cut = stage.look("/api/shards/profile?shard=0/2/2,0").await.expect("a quarter of one, of which nobody has heard yet");
    assert_eq!(cut["ticks"], 0, "{cut}");
}

#[tokio::test]
async fn an_entity_is_found_wherever_it_is_with_all_components_and_its_past() {
    let mut stage = Stage::new().await;
    let status = StatusView { scenes: ["scene-1", "scene-2"].map(scene).to_vec(), ..cluster() };
    stage.show.send_replace(Arc::new(Snapshot { status, config: map(), ..Snapshot::default() }));
    let seen: AgentView = serde_json::from_value(stage.look("/api/agents/e11").await.expect("found")).expect("a view");
    assert_eq!((seen.scene.as_str(), seen.state.as_str(), seen.toward, seen.epoch), ("scene-1", "awake", None, 2));
    assert_eq!(seen.components["health"]["points"], 90);
    let past: Vec<_> = seen.history.iter().map(|went| (went.from_scene.as_str(), went.to.as_str(), went.took_ms)).collect();
    assert_eq!(past, [("scene-2", "0/3/1,0", 31.25)]);
    let asleep = stage.look("/api/agents/12").await.expect("found");
    assert_eq!((&asleep["state"], &asleep["awake"]), (&"at rest".into(), &false.into()));
    let (status, text) = stage.look("/api/agents/e99").await.expect_err("nobody");
    assert_eq!((status, text.starts_with("e99 is nowhere")), (404, true), "{text}");
}

#[tokio::test]
async fn a_shard_is_stopped_by_an_operator_in_a_development_cluster_and_that_is_noted() {
    let mut stage = Stage::new().await;
    let (local, viewer) = (stage.local.clone(), stage.token("vera", Rank::Viewer).await);
    let path = |word: &str, more: &str| format!("/api/shards/{word}?shard=0/3/1,0{more}");
    assert_eq!(stage.post(&path("pause", ""), &viewer, "{}").await.expect_err("refused").0, 403);
    let paused = stage.post(&path("pause", ""), &local, "{}").await.expect("it stands");
    assert_eq!((&paused["paused"], &paused["left_s"], &paused["scene"]), (&true.into(), &600.0.into(), &"scene-1".into()));
    let noted = stage.noted("done").await;
    assert_eq!((noted.what.as_str(), noted.args["shard"].as_str()), ("shards/pause", "0/3/1,0"));
    assert_eq!(stage.post(&path("step", "&ticks=5"), &local, "{}").await.expect("stepped")["steps"], 5);
    for (word, more, status, why) in [("resume", "", 409, "not paused"), ("step", "&ticks=1201", 400, "from 1 to 1200 ticks")] {
        let (found, text) = stage.post(&path(word, more), &local, "{}").await.expect_err(why);
        assert_eq!((found, text.contains(why)), (status, true), "{text}");
    }
    let asked = stage.post(&path("pause", "&dry_run=true"), &local, "{}").await.expect("told");
    assert_eq!((&asked["paused"], &asked["dry_run"]), (&false.into(), &true.into()));
}

#[tokio::test]
async fn a_cluster_that_people_play_on_is_not_stopped() {
    let mut stage = Stage::of(false).await;
    let local = stage.local.clone();
    let (status, text) = stage.post("/api/shards/pause?shard=0/3/1,0", &local, "{}").await.expect_err("refused");
    assert_eq!((status, text.contains("development cluster") && text.contains("--design")), (409, true), "{text}");
}

#[tokio::test]
async fn a_death_is_reported_by_an_operator_only() {
    let mut stage = Stage::new().await;
    let body = serde_json::to_string(&Reaped { node: "scene-1".to_owned(), pid: 42 }).expect("JSON");
    assert_eq!(stage.post("/api/reaped", "wrong!", &body).await.expect_err("refused").0, 401);
    let (local, address) = (stage.local.clone(), stage.address.clone());
    let asked = tokio::spawn(async move { client::post(&address, "/api/reaped", &local, body.as_bytes()).await });
    let Some(Wanted::Order(ordered)) = stage.taken.recv().await else { panic!("no order") };
    assert_eq!(ordered.order, AdminOrder::Reaped { node: "scene-1".parse().expect("a name"), pid: 42 });
    ordered.answer(Ok(None));
    asked.await.expect("ran").expect("taken");
}

#[tokio::test]
async fn what_the_world_refuses_is_told_in_its_words() {
    let mut stage = Stage::new().await;
    let (local, address) = (stage.local.clone(), stage.address.clone());
    let asked = tokio::spawn(async move { client::post(&address, MIGRATE, &local, b"{}").await });
    let Some(Wanted::Order(ordered)) = stage.taken.recv().await else { panic!("no order") };
    ordered.answer(Err("shard 0/3/1,0 is at scene-2 already".to_owned()));
    let error = asked.await.expect("ran").expect_err("refused").to_string();
    assert_eq!(error, "shard 0/3/1,0 is at scene-2 already");
    assert_eq!(stage.noted("refused").await.words, "shard 0/3/1,0 is at scene-2 already");
}

#[tokio::test]
async fn events_are_heard_as_they_happen_until_the_listener_has_enough() {
    let stage = Stage::new().await;
    let event = |seq| EventView { seq, kind: "node".to_owned(), ..EventView::default() };
    let show = |events| stage.show.send_replace(Arc::new(Snapshot { events, ..Snapshot::default() }));
    show(vec![event(1), event(2)]);
    let mut heard = Vec::new();
    let told = |data: &str| {
        heard.push(serde_json::from_str::<EventView>(data).expect("JSON").seq);
        show(vec![event(1), event(2), event(3)]);
        heard.len() < 2
    };
    client::listen(&stage.address, "/api/events?after=1", None, told).await.expect("enough");
    assert_eq!(heard, [2, 3]);
    let refused = client::listen(&stage.address, "/api/events", Some("guessed"), |_| true).await;
    assert!(matches!(refused, Err(client::AskError::Refused { status: 401, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing_whatever_it_knows() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let stage = Stage::new().await;
    for (host, origin) in [(stage.address.as_str(), "http://evil.example"), ("evil.example", "http://evil.example")] {
        let mut socket = tokio::net::TcpStream::connect(&stage.address).await.expect("connected");
        let request = format!(
            "POST {MIGRATE} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
             Content-Length: 0\r\n\r\n",
            stage.local
        );
        socket.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("read");
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("frame-ancestors 'none'"), "{answer}");
    }
    assert_eq!(stage.audit.latest(1), []);
}
