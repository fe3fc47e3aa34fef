//! One bot's life: into the world as a guest, play until the fleet is done, back again when the connection is lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangaea_schemas::client::{ClientMessage, INPUTS_MAX, Input, PROTOCOL_VERSION, ServerMessage};
use pangaea_schemas::geometry::{CELL_EDGE_M, Position};
use pangaea_schemas::message::Credentials;
use pangaea_schemas::wire::client::FromServer;
use pangaea_schemas::wire::update::Update;
use pangaea_schemas::{InSeq, OutSeq, RegistryHash, Tick};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::anomaly::AnomalyKind;
use crate::connection::Connection;
use crate::inputs::Abilities;
use crate::pilot::Pilot;
use crate::report::{Tally, record};
use crate::sight::Sight;
use crate::{Endpoint, Scenario};

/// A bot that is not in the world by then has failed.
const ENTER_TIME_MAX: Duration = Duration::from_secs(60);
/// One answer of a gateway takes at most this long.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// A lost session is kept by the gateway for this long.
const RESUME_TIME_MAX: Duration = Duration::from_secs(30);
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
/// Unacknowledged inputs above which a bot waits.
const UNACKNOWLEDGED_MAX: usize = 64;

/// What the fleet is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Some are still coming in.
    Gathering,
    /// What is seen now counts.
    Measuring,
    /// The end.
    Over,
}

/// Who a bot is and what it does.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) number: u32,
    pub(crate) endpoint: Endpoint,
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
}

/// A bot in the world.
struct Player {
    role: Role,
    abilities: Abilities,
    tick_hz: f32,
    token: String,
    pilot: Pilot,
    sight: Sight,
    sent: InSeq,
    acknowledged: InSeq,
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

/// Live until the fleet is over; what was seen.
pub(crate) async fn live(role: Role, mut phase: watch::Receiver<Phase>, joined: impl FnOnce(bool)) -> Tally {
    let number = role.number;
    let entered = tokio::select! {
        entered = timeout(ENTER_TIME_MAX, enter_patiently(role)) => entered.unwrap_or_else(|_| Err(anyhow::anyhow!("it took too long"))),
        () = over(&mut phase) => Err(anyhow::anyhow!("the fleet was over before it got in")),
    };
    joined(entered.is_ok());
    match entered {
        Ok((connection, mut player)) => {
            player.play(connection, phase).await;
            player.tally
        }
        Err(error) => {
            let mut tally = Tally::default();
            tally.anomalies.note(AnomalyKind::NeverJoined, || format!("bot {number}: {error:#}"));
            tally
        }
    }
}

/// Until the fleet is over, or gone.
async fn over(phase: &mut watch::Receiver<Phase>) {
    let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
}

async fn enter_patiently(role: Role) -> anyhow::Result<(Connection, Player)> {
    let began = Instant::now();
    loop {
        match enter(&role).await {
            Ok(entered) => return Ok(entered),
            Err(error) if began.elapsed() + TRY_AGAIN_AFTER * 4 > ENTER_TIME_MAX => return Err(error),
            Err(error) => tracing::debug!(bot = role.number, "not in yet: {error:#}"),
        }
        sleep(TRY_AGAIN_AFTER).await;
    }
}

async fn greet(endpoint: &Endpoint) -> anyhow::Result<(Connection, ServerMessage)> {
    let mut connection = Connection::open(endpoint).await?;
    let hello = ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(0), client: "pangaea bots".to_owned() };
    connection.send(&hello).await?;
    let welcome = answer(&mut connection).await?;
    Ok((connection, welcome))
}

async fn enter(role: &Role) -> anyhow::Result<(Connection, Player)> {
    let (mut connection, welcome) = greet(&role.endpoint).await?;
    let ServerMessage::Welcome { tick_hz, description, .. } = welcome else { bail!("no welcome but {welcome:?}") };
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
            let player = Player {
                role: role.clone(),
                abilities: Abilities::of(&description),
                tick_hz: f32::from(tick_hz.max(1)),
                token,
                pilot: Pilot::new(role.scenario, rng, edge_m, now),
                sight: Sight::of(agent, now),
                sent: in_seq,
                acknowledged: in_seq,
                unacknowledged: VecDeque::new(),
                last_event: out_seq,
                told_event: out_seq,
                last_update: None,
                joined_at: now,
                farewell: None,
                phase: Phase::Gathering,
                tally: Tally { joined: 1, ..Tally::default() },
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
                let farewell = self.farewell.take().unwrap_or_else(|| format!("{error:#}"));
                self.note(AnomalyKind::Disconnected, farewell);
                connection = tokio::select! {
                    resumed = timeout(RESUME_TIME_MAX, self.resume_patiently()) => match resumed {
                        Ok(resumed) => resumed,
                        Err(_) => return self.note(AnomalyKind::Disconnected, "it did not get back in".to_owned()),
                    },
                    () = over(&mut phase) => return,
                };
            }
        }
    }

    async fn resume_patiently(&mut self) -> Connection {
        loop {
            match self.resume().await {
                Ok(connection) => return connection,
                Err(error) => tracing::debug!(bot = self.role.number, "not back yet: {error:#}"),
            }
            sleep(TRY_AGAIN_AFTER).await;
        }
    }

    async fn resume(&mut self) -> anyhow::Result<Connection> {
        let (mut connection, _) = greet(&self.role.endpoint).await?;
        connection.send(&ClientMessage::Resume { token: self.token.clone(), out_ack: self.last_event }).await?;
        match answer(&mut connection).await? {
            ServerMessage::Joined { token, in_seq, .. } => {
                self.token = token;
                self.sight.forget(Instant::now());
                (self.last_update, self.joined_at) = (None, Instant::now());
                self.acknowledge(in_seq, Instant::now());
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
        match message {
            FromServer::Update(update) => self.see(Instant::now(), &update),
            FromServer::Message(ServerMessage::Events { events, resync }) => {
                for event in events {
                    if event.seq != self.last_event.next() && !resync {
                        let last = self.last_event;
                        self.note(AnomalyKind::EventGap, format!("event {} after {}", event.seq.0, last.0));
                    }
                    self.last_event = event.seq.max(self.last_event);
                }
            }
            FromServer::Message(ServerMessage::Goodbye { code, text, .. }) => {
                self.farewell = Some(format!("goodbye ({code:?}): {text}"));
            }
            FromServer::Message(ServerMessage::Refused { code, text, .. }) => {
                tracing::debug!(bot = self.role.number, ?code, text, "refused");
            }
            FromServer::Message(_) => {}
        }
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
                self.note(AnomalyKind::UpdateGap, format!("{} ms", gap.as_millis()));
            }
            if head.tick < tick {
                self.note(AnomalyKind::TickBack, format!("{} after {tick}", head.tick));
            }
            let seconds = head.tick.since(tick).max(1) as f32 / self.tick_hz;
            let way = head.position.distance(place);
            if way > self.sight.speed.unwrap_or(SPEED_M_PER_S) * seconds + CATCH_UP_M {
                self.note(AnomalyKind::Jump, format!("{way:.1} m in {seconds:.2} s, from {place:?} to {:?}", head.position));
            }
        }
        self.last_update = Some((now, head.tick, head.position));
        if head.in_seq < self.acknowledged {
            let before = self.acknowledged;
            self.note(AnomalyKind::InputBack, format!("{} after {}", head.in_seq.0, before.0));
        }
        if head.in_seq > self.sent {
            let sent = self.sent;
            self.note(AnomalyKind::InputBeyond, format!("{} of {}", head.in_seq.0, sent.0));
        }
        self.acknowledge(head.in_seq, now);
        self.sight.apply(now, update, &self.abilities, &mut self.tally.anomalies);
        let unseen = now.duration_since(self.sight.own_seen);
        if unseen > UNSEEN_MAX && now.duration_since(self.joined_at) > UNSEEN_MAX * 2 {
            self.sight.own_seen = now;
            let place = head.position;
            self.note(AnomalyKind::Vanished, format!("the own agent is not drawn for {} ms at {place:?}", unseen.as_millis()));
        }
    }

    fn acknowledge(&mut self, upto: InSeq, now: Instant) {
        self.acknowledged = self.acknowledged.max(upto);
        while let Some((at, _)) = self.unacknowledged.front().filter(|(_, input)| input.seq <= upto) {
            if self.phase == Phase::Measuring {
                record(&mut self.tally.latencies, now.duration_since(*at));
            }
            self.unacknowledged.pop_front();
        }
    }

    async fn act(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let Some((_, _, place)) = self.last_update else { return Ok(()) };
        let now = Instant::now();
        let mut inputs = Vec::new();
        if self.unacknowledged.len() < UNACKNOWLEDGED_MAX {
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
        if self.pilot.chance(0.02) {
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
            self.note(AnomalyKind::UpdateGap, format!("silent for the last {} ms", silent.as_millis()));
        }
    }

    fn note(&mut self, kind: AnomalyKind, what: String) {
        let number = self.role.number;
        self.tally.anomalies.note(kind, || format!("bot {number}: {what}"));
    }
}
