//! One bot's life: into the world as a guest, play until the fleet is done, back again when the connection is lost – at the
//! gateway that the last one named, or else at the next one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangaea_schemas::client::{ClientMessage, INPUTS_MAX, Input, PROTOCOL_VERSION, RefusalCode, ServerMessage};
use pangaea_schemas::geometry::{CELL_EDGE_M, Position, ShardId};
use pangaea_schemas::message::Credentials;
use pangaea_schemas::wire::client::FromServer;
use pangaea_schemas::wire::update::Update;
use pangaea_schemas::{EntityId, InSeq, OutSeq, RegistryHash, Tick};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::anomaly::{AnomalyKind, Whereabouts};
use crate::connection::Connection;
use crate::inputs::Abilities;
use crate::pilot::Pilot;
use crate::report::{Tally, record};
use crate::sight::Sight;
use crate::vitals::{Stage, Vitals};
use crate::{Endpoint, Scenario};

/// A bot that is not in the world by then has failed.
const ENTER_TIME_MAX: Duration = Duration::from_secs(60);
/// One answer of a gateway takes at most this long.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// A lost session is kept by the gateway for this long.
const RESUME_TIME_MAX: Duration = Duration::from_secs(30);
/// One try to come back takes at most this long: there are other gateways.
const RETURN_TRY_MAX: Duration = Duration::from_secs(3);
/// A gateway that says nothing for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// Pause between two tries.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// No update for so long is an anomaly.
const UPDATE_GAP_MAX: Duration = Duration::from_secs(2);
/// The own agent undrawn for so long is an anomaly.
const UNSEEN_MAX: Duration = Duration::from_secs(1);
/// What a server may let an agent catch up at once, in metres: late inputs come in a bunch.
const CATCH_UP_M: f32 = 4.5;
/// Full speed in m/s where the game does not tell.
const SPEED_M_PER_S: f32 = 6.0;
/// Inputs that nobody has applied above which a bot waits.
const UNAPPLIED_MAX: u32 = 64;
/// Inputs that it may have to tell again above which it waits, too.
const UNACKNOWLEDGED_MAX: usize = 1_024;

/// What the fleet is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Some are still coming in.
    Gathering,
    /// What is seen now counts.
    Measuring,
    /// Nothing new is begun; what is under way may end.
    Resting,
    /// The end.
    Over,
}

/// Who a bot is and what it does.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) number: u32,
    /// Its own gateway first, then where it goes when that one fails.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
}

/// A bot in the world.
struct Player {
    role: Role,
    abilities: Abilities,
    tick_hz: f32,
    token: String,
    /// Where the own agent is, as last told.
    shard: Option<ShardId>,
    pilot: Pilot,
    sight: Sight,
    vitals: watch::Sender<Vitals>,
    /// Which of the endpoints it is connected to.
    at: usize,
    /// Where the gateway that says goodbye wants it to go.
    sent_on: Option<Endpoint>,
    /// When anything came from the gateway.
    heard: Instant,
    /// Whose offer is on the table.
    offered: Option<EntityId>,
    sent: InSeq,
    acknowledged: InSeq,
    applied: InSeq,
    unacknowledged: VecDeque<(Instant, Input)>,
    last_event: OutSeq,
    told_event: OutSeq,
    /// Arrival, tick and place of the last update on this connection.
    last_update: Option<(Instant, Tick, Position)>,
    joined_at: Instant,
    farewell: Option<String>,
    phase: Phase,
    tally: Tally,
}

/// Live until the fleet is over; what was seen. `vitals` tell meanwhile how it is.
pub(crate) async fn live(role: Role, mut phase: watch::Receiver<Phase>, vitals: watch::Sender<Vitals>) -> Tally {
    let number = role.number;
    let entered = tokio::select! {
        entered = timeout(ENTER_TIME_MAX, enter_patiently(role, &vitals)) => {
            entered.unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long")))
        }
        () = over(&mut phase) => Err(anyhow::anyhow!("the fleet was over before it got in")),
    };
    match entered {
        Ok((connection, mut player)) => {
            player.play(connection, phase).await;
            vitals.send_modify(|vitals| vitals.stage = Stage::Out);
            player.tally
        }
        Err(error) => {
            let mut tally = Tally::default();
            tally.anomalies.note(AnomalyKind::NeverJoined, 1.0, || format!("bot {number}: {error:#}"));
            vitals.send_modify(|vitals| vitals.stage = Stage::Out);
            tally
        }
    }
}

/// Until the fleet is over, or gone.
async fn over(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
}

async fn enter_patiently(role: Role, vitals: &watch::Sender<Vitals>) -> anyhow::Result<(Connection, Player)> {
    let began = Instant::now();
    for at in (0..role.endpoints.len().max(1)).cycle() {
        match enter(&role, at, vitals).await {
            Ok(entered) => return Ok(entered),
            Err(error) if began.elapsed() + TRY_AGAIN_AFTER * 4 > ENTER_TIME_MAX => return Err(error),
            Err(error) => tracing::debug!(bot = role.number, "not in yet: {error:#}"),
        }
        sleep(TRY_AGAIN_AFTER).await;
    }
    bail!("no gateway is known")
}

async fn greet(endpoint: &Endpoint) -> anyhow::Result<(Connection, ServerMessage)> {
    let mut connection = Connection::open(endpoint).await?;
    let hello = ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(0), client: "pangaea bots".to_owned() };
    connection.send(&hello).await?;
    let welcome = answer(&mut connection).await?;
    Ok((connection, welcome))
}

/// Into the world through one of the endpoints.
async fn enter(role: &Role, at: usize, vitals: &watch::Sender<Vitals>) -> anyhow::Result<(Connection, Player)> {
    let own = role.endpoints.get(at).context("no gateway is known")?;
    let (mut connection, welcome) = greet(own).await?;
    let ServerMessage::Welcome { tick_hz, description, gateway, .. } = welcome else { bail!("no welcome but {welcome:?}") };
    let description = description.context("the welcome lacks the game's description")?;
    let name = format!("bot {}", role.number);
    connection.send(&ClientMessage::Login(Credentials::Guest { name })).await?;
    let ticket = match answer(&mut connection).await? {
        ServerMessage::Ticket { ticket, .. } => ticket,
        other => bail!("no ticket but {other:?}"),
    };
    connection.send(&ClientMessage::Join { ticket }).await?;
    match answer(&mut connection).await? {
        ServerMessage::Joined { agent, token, space_edge_cells, in_seq, out_seq, .. } => {
            let now = Instant::now();
            let edge_m = f32::from(space_edge_cells) * CELL_EDGE_M;
            let rng = fastrand::Rng::with_seed(role.seed);
            vitals.send_modify(|vitals| (vitals.stage, vitals.agent) = (Stage::Playing, agent));
            let mut tally = Tally { joined: 1, ..Tally::default() };
            tally.anomalies.whereabouts = Whereabouts { gateway, ..Whereabouts::default() };
            let player = Player {
                vitals: vitals.clone(),
                at,
                sent_on: None,
                heard: now,
                role: role.clone(),
                abilities: Abilities::of(&description),
                tick_hz: f32::from(tick_hz.max(1)),
                token,
                shard: None,
                pilot: Pilot::new(role.scenario, rng, edge_m, now),
                sight: Sight::of(agent, now),
                offered: None,
                sent: in_seq,
                acknowledged: in_seq,
                applied: in_seq,
                unacknowledged: VecDeque::new(),
                last_event: out_seq,
                told_event: out_seq,
                last_update: None,
                joined_at: now,
                farewell: None,
                phase: Phase::Gathering,
                tally,
            };
            Ok((connection, player))
        }
        other => bail!("not joined but {other:?}"),
    }
}

/// The next message that is not an update.
async fn answer(connection: &mut Connection) -> anyhow::Result<ServerMessage> {
    let wait = async {
        loop {
            if let (FromServer::Message(message), _) = connection.next().await? {
                return Ok(message);
            }
        }
    };
    timeout(ANSWER_TIME_MAX, wait).await.context("the gateway does not answer")?
}

impl Player {
    async fn play(&mut self, mut connection: Connection, mut phase: watch::Receiver<Phase>) {
        let mut beat = interval(Duration::from_secs_f32(1.0 / self.tick_hz));
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            self.phase = *phase.borrow_and_update();
            let broken = tokio::select! {
                heard = connection.next() => match heard {
                    Ok((message, bytes)) => { self.hear(message, bytes); None }
                    Err(error) => Some(error),
                },
                _ = beat.tick() => self.act(&mut connection).await.err(),
                () = over(&mut phase) => {
                    // Leaving is a courtesy; the report does not depend on it.
                    let _ = connection.send(&ClientMessage::Leave).await;
                    return self.look_back(Instant::now());
                }
            };
            if let Some(error) = broken {
                self.part(&error);
                self.vitals.send_modify(|vitals| vitals.stage = Stage::Returning);
                connection = tokio::select! {
                    resumed = timeout(RESUME_TIME_MAX, self.resume_patiently()) => match resumed {
                        Ok(resumed) => resumed,
                        Err(_) => return self.note(AnomalyKind::NeverBack, 1.0, format!("not within {} s", RESUME_TIME_MAX.as_secs())),
                    },
                    () = over(&mut phase) => return,
                };
            }
        }
    }

    /// The connection has ended. A gateway that says where to go on does what it should: then nothing may be missed on the
    /// way, and the first update there must follow the last one here.
    fn part(&mut self, error: &anyhow::Error) {
        let farewell = self.farewell.take().unwrap_or_else(|| format!("{error:#}"));
        if self.sent_on.is_some() {
            self.tally.sent_on += 1;
        } else {
            self.note(AnomalyKind::Disconnected, 1.0, farewell);
            self.last_update = None;
        }
    }

    async fn resume_patiently(&mut self) -> Connection {
        // Who is thrown out as soon as it is in does not knock a hundred times a second.
        sleep(TRY_AGAIN_AFTER.saturating_sub(self.joined_at.elapsed())).await;
        let mut tries = 0;
        loop {
            tries += 1;
            let next = self.role.endpoints[(self.at + tries) % self.role.endpoints.len()].clone();
            let goal = self.sent_on.take().unwrap_or(next);
            match timeout(RETURN_TRY_MAX, self.resume(&goal)).await {
                Ok(Ok(connection)) => {
                    self.at = self.role.endpoints.iter().position(|known| *known == goal).unwrap_or(self.at);
                    self.vitals.send_modify(|vitals| vitals.stage = Stage::Playing);
                    return connection;
                }
                Ok(Err(error)) => tracing::debug!(bot = self.role.number, "not back yet: {error:#}"),
                Err(_) => tracing::debug!(bot = self.role.number, ?goal, "not back yet: no answer"),
            }
            sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn resume(&mut self, goal: &Endpoint) -> anyhow::Result<Connection> {
        let (mut connection, welcome) = greet(goal).await?;
        let (token, shard) = (self.token.clone(), self.shard);
        connection.send(&ClientMessage::Resume { token, out_ack: self.last_event, shard }).await?;
        match answer(&mut connection).await? {
            ServerMessage::Joined { token, in_seq, .. } => {
                if let ServerMessage::Welcome { gateway, .. } = welcome {
                    self.tally.anomalies.whereabouts.gateway = gateway;
                }
                let now = Instant::now();
                self.token = token;
                self.sight.forget(now);
                (self.joined_at, self.heard) = (now, now);
                self.acknowledge(in_seq);
                let again: Vec<_> = self.unacknowledged.iter().map(|(_, input)| input.clone()).collect();
                for inputs in again.chunks(INPUTS_MAX) {
                    let out_ack = self.last_event;
                    connection.send(&ClientMessage::Inputs { inputs: inputs.to_vec(), out_ack }).await?;
                }
                Ok(connection)
            }
            other => bail!("not resumed but {other:?}"),
        }
    }

    fn hear(&mut self, message: FromServer, bytes: usize) {
        if self.phase == Phase::Measuring {
            self.tally.bytes += bytes as u64;
        }
        self.heard = Instant::now();
        match message {
            FromServer::Update(update) => self.see(Instant::now(), &update),
            FromServer::Message(ServerMessage::Events { events, resync }) => {
                for event in events {
                    if event.seq != self.last_event.next() && !resync {
                        let last = self.last_event;
                        let missing = event.seq.0.abs_diff(last.0);
                        self.note(AnomalyKind::EventGap, f64::from(missing), format!("event {} after {}", event.seq.0, last.0));
                    }
                    if event.seq > self.last_event {
                        self.last_event = event.seq;
                        self.look_into_purse(event.id, &event.bytes);
                        self.abilities.news.count(&mut self.tally.deeds, self.sight.own, event.id, &event.bytes);
                        self.offered = self.abilities.offered(event.id, &event.bytes).or(self.offered);
                    }
                }
            }
            FromServer::Message(ServerMessage::Routed { shard, scene, .. }) => self.routed(shard.parse().ok(), scene),
            FromServer::Message(ServerMessage::Goodbye { code, text, reconnect_to, .. }) => {
                let goal = Some(reconnect_to).filter(|goal| code == RefusalCode::Draining && !goal.is_empty());
                self.sent_on = goal.map(|goal| self.like_own(goal));
                self.farewell = Some(format!("goodbye ({code:?}): {text}"));
            }
            FromServer::Message(ServerMessage::Refused { code, text, .. }) => {
                tracing::debug!(bot = self.role.number, ?code, text, "refused");
            }
            FromServer::Message(_) => {}
        }
    }

    fn routed(&mut self, shard: Option<ShardId>, scene: String) {
        let whereabouts = &mut self.tally.anomalies.whereabouts;
        if self.shard.is_some() && shard != self.shard {
            self.tally.deeds.crossings += 1;
            self.tally.deeds.scene_changes += u64::from(scene != whereabouts.scene);
        }
        whereabouts.routed(scene);
        self.shard = shard;
    }

    fn see(&mut self, now: Instant, update: &Update) {
        let head = &update.head;
        if let Some((at, tick, place)) = self.last_update {
            let gap = now.duration_since(at);
            if self.phase == Phase::Measuring {
                self.tally.updates += 1;
                record(&mut self.tally.gaps, gap);
            }
            if gap > UPDATE_GAP_MAX {
                let kind = if at < self.joined_at { AnomalyKind::SlowReturn } else { AnomalyKind::UpdateGap };
                self.note(kind, gap.as_secs_f64() * 1e3, format!("{} ms", gap.as_millis()));
            }
            if head.tick < tick {
                self.note(AnomalyKind::TickBack, tick.since(head.tick) as f64, format!("{} after {tick}", head.tick));
            }
            let seconds = head.tick.since(tick).max(1) as f32 / self.tick_hz;
            let way = head.position.distance(place);
            if way > self.sight.speed.unwrap_or(SPEED_M_PER_S) * seconds + CATCH_UP_M {
                let what = format!("{way:.1} m in {seconds:.2} s, from {place:?} to {:?}", head.position);
                self.note(AnomalyKind::Jump, f64::from(way), what);
            }
        }
        self.last_update = Some((now, head.tick, head.position));
        if head.in_seq < self.acknowledged {
            let before = self.acknowledged;
            self.note(
                AnomalyKind::InputBack,
                f64::from(before.0 - head.in_seq.0),
                format!("{} after {}", head.in_seq.0, before.0),
            );
        }
        if head.in_seq > self.sent {
            let sent = self.sent;
            self.note(AnomalyKind::InputBeyond, f64::from(head.in_seq.0 - sent.0), format!("{} of {}", head.in_seq.0, sent.0));
        }
        self.note_applied(head.applied, now);
        self.acknowledge(head.in_seq);
        self.sight.apply(now, update, &self.abilities, &mut self.tally.anomalies);
        let unseen = now.duration_since(self.sight.own_seen);
        if unseen > UNSEEN_MAX && now.duration_since(self.joined_at) > UNSEEN_MAX * 2 {
            self.sight.own_seen = now;
            let place = head.position;
            let what = format!("the own agent is not drawn for {} ms at {place:?}", unseen.as_millis());
            self.note(AnomalyKind::Vanished, unseen.as_secs_f64() * 1e3, what);
        }
    }

    /// What the picture shows may be ahead of what is acknowledged, and goes back only where a scene was lost.
    fn note_applied(&mut self, upto: InSeq, now: Instant) {
        let before = std::mem::replace(&mut self.applied, upto);
        if upto < before {
            let what = format!("{} after {} is shown", upto.0, before.0);
            self.note(AnomalyKind::InputBack, f64::from(before.0 - upto.0), what);
        }
        if self.phase == Phase::Measuring {
            for (at, _) in self.unacknowledged.iter().filter(|(_, input)| input.seq > before && input.seq <= upto) {
                record(&mut self.tally.latencies, now.duration_since(*at));
            }
        }
    }

    fn may_act(&self) -> bool {
        let unapplied = self.sent.0.saturating_sub(self.applied.0);
        unapplied < UNAPPLIED_MAX && self.unacknowledged.len() < UNACKNOWLEDGED_MAX
    }

    fn acknowledge(&mut self, upto: InSeq) {
        self.acknowledged = self.acknowledged.max(upto);
        let mut answered = None;
        while let Some((at, _)) = self.unacknowledged.pop_front_if(|(_, input)| input.seq <= upto) {
            answered = Some(at);
        }
        let unanswered = self.unacknowledged.len();
        self.vitals.send_modify(|vitals| (vitals.answered, vitals.unanswered) = (vitals.answered.max(answered), unanswered));
    }

    fn look_into_purse(&mut self, id: pangaea_schemas::TypeId, bytes: &[u8]) {
        let Some(belongings) = self.abilities.belongings(id, bytes) else { return };
        let before = self.vitals.borrow().belongings.clone();
        if let Some(before) = before.filter(|before| belongings.takes_back(before)) {
            self.note(AnomalyKind::BelongingsBack, 1.0, format!("{belongings:?} after {before:?}"));
        }
        self.vitals.send_modify(|vitals| (vitals.belongings, vitals.told) = (Some(belongings), Some(Instant::now())));
    }

    /// An address, of the sort that this bot uses.
    fn like_own(&self, goal: String) -> Endpoint {
        match self.role.endpoints.first() {
            Some(Endpoint::WebSocket(_)) => Endpoint::WebSocket(goal),
            Some(Endpoint::Tcp(_)) | None => Endpoint::Tcp(goal),
        }
    }

    async fn act(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let now = Instant::now();
        let silent = now.duration_since(self.heard);
        if silent > SILENCE_MAX {
            bail!("the gateway says nothing for {} ms", silent.as_millis());
        }
        let Some((_, _, place)) = self.last_update else { return Ok(()) };
        let mut inputs = Vec::new();
        if self.phase != Phase::Resting && self.may_act() {
            let (dx, dz) = self.pilot.steer(now, place);
            let mut wishes: Vec<_> = self.abilities.walk(dx, dz).into_iter().collect();
            wishes.extend(self.whim(place));
            for (id, bytes) in wishes {
                self.sent = self.sent.next();
                let input = Input { seq: self.sent, id, bytes };
                self.unacknowledged.push_back((now, input.clone()));
                inputs.push(input);
            }
        }
        if inputs.is_empty() && self.told_event == self.last_event {
            return Ok(());
        }
        if self.phase == Phase::Measuring {
            self.tally.inputs += inputs.len() as u64;
        }
        self.told_event = self.last_event;
        connection.send(&ClientMessage::Inputs { inputs, out_ack: self.last_event }).await
    }

    /// Now and then something besides walking.
    fn whim(&mut self, place: Position) -> Option<(pangaea_schemas::TypeId, bytes::Bytes)> {
        if let Some(from) = self.offered.take() {
            self.abilities.accept(from)
        } else if self.pilot.chance(0.01) {
            self.sight.nearest_player(place, 3.0).and_then(|to| self.abilities.pay(to, 1))
        } else if self.pilot.chance(0.01) {
            self.sight.nearest_player(place, 3.0).and_then(|to| self.abilities.offer(to, 2, 1))
        } else if self.pilot.chance(0.02) {
            self.sight.nearest_target(place, 5.0).and_then(|target| self.abilities.attack(target))
        } else if self.pilot.chance(0.02) {
            self.sight.nearest_item(place, 2.5).and_then(|item| self.abilities.pick_up(item))
        } else if self.pilot.chance(0.001) {
            self.abilities.chat("good day")
        } else {
            None
        }
    }

    /// At the end: silence until now is a gap, too.
    fn look_back(&mut self, now: Instant) {
        let since = self.last_update.map_or(self.joined_at, |(at, _, _)| at);
        let silent = now.duration_since(since);
        if silent > UPDATE_GAP_MAX {
            self.note(
                AnomalyKind::UpdateGap,
                silent.as_secs_f64() * 1e3,
                format!("silent for the last {} ms", silent.as_millis()),
            );
        }
    }

    fn note(&mut self, kind: AnomalyKind, size: f64, what: String) {
        let number = self.role.number;
        self.tally.anomalies.note(kind, size, || format!("bot {number}: {what}"));
    }
}
