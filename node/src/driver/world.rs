//! The driver of a world process: beacon, bus and world cores on one thread, and the admin API beside it.
//!
//! On the cluster's engine there may be several, of which one leads ([`crate::election`]). The others stand by: they have a lease
//! and links, no world, and send admins to who leads.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::geometry::CELL_EDGE_M;
use pangaea_schemas::message::{BeaconReply, Control, Message, ScriptFault};
use pangaea_schemas::rules::TuneSpec;
use pangaea_schemas::{EntityId, NodeId, Role, Timestamp};
use pangaea_world::balance::{BalanceStatus, Merge, Move as PlannedMove, Outlook, Split};
use pangaea_world::moves::Move;
use pangaea_world::rules::SCRIPTS_PREFIX;
use pangaea_world::status::{Event as WorldNews, Happening, NodeState, NodeStatus, ShardStatus};
use pangaea_world::{Beacon, Bus, Order, World, WorldConfig};
use tokio::sync::{mpsc, watch};

use super::desk::QuestionDesk;
use super::process::{self, Context, Driver, Shell};
use super::standby::{self, Elsewhere, Leader};
use crate::admin::{
    self, Admin, AdminOrder, AuditLog, BalanceView, CheckScript, ConfigView, EventView, GatewayView, LevelsView, MoveView,
    NodeView, ORDERS_MAX, OrderAnswer, Ordered, PausedView, PlanView, PlannedMergeView, PlannedMoveView, PlannedSplitView,
    Quantiles, RecentEvents, RulesShown, SceneView, ShardView, Snapshot, SpaceView, StatusView, Tokens, Trace, Wanted,
};
use crate::election::Election;
use crate::keys::ClusterKeys;
use crate::membership::Heard;
use crate::workshop::{EDITOR, News, Workshop};

/// Time between two snapshots for admins.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// Rounds in which the three cores of this process answer each other before the outside is heard again.
const ROUNDS_MAX: usize = 64;

/// What an admin orders wakes a world process too.
type Event = process::Event<Wanted>;

pub(super) struct WorldDriver {
    spec: ClusterSpec,
    beacon: Beacon,
    bus: Bus,
    world: World,
    desk: QuestionDesk,
    config: WorldConfig,
    /// On the engine only.
    election: Option<Election>,
    leads: bool,
    elsewhere: watch::Sender<Elsewhere>,
    show: watch::Sender<Arc<Snapshot>>,
    next_show: Timestamp,
    events: RecentEvents,
    last_event: u64,
    tunables: Arc<[TuneSpec]>,
    /// Of a development cluster.
    workshop: Option<Workshop>,
    /// Version of the rules that the workshop was told.
    written: u64,
}

impl Driver for WorldDriver {
    type Own = Wanted;

    async fn open(context: &Context<Event>) -> anyhow::Result<(Self, Router)> {
        let (spec, now) = (context.options.cluster.clone(), context.clock.now());
        let keys = ClusterKeys::below(&context.options.data_dir);
        let tokens = Arc::new(Tokens::open(&context.options.data_dir)?);
        let audit = AuditLog::open(&context.options.data_dir).context("cannot open the audit log in the data folder")?;
        let (show, shown) = watch::channel(Arc::new(Snapshot::default()));
        let (orders, mut taken) = mpsc::channel(ORDERS_MAX);
        let tunables: Arc<[TuneSpec]> = context.game.tunables().into();
        let game = context.game.clone();
        let check: CheckScript = Arc::new(move |name, source| game.check_script(name, source).map_err(|fault| fault.to_string()));
        let workshop =
            context.options.design.as_deref().map(|folder| open_workshop(folder, &tunables, Arc::clone(&check), orders.clone()));
        let workshop = workshop.transpose()?;
        let inbox = context.inbox.clone();
        tokio::spawn(async move {
            while let Some(order) = taken.recv().await {
                if inbox.deliver(Event::Own(order)).await.is_err() {
                    return;
                }
            }
        });
        let config = WorldConfig {
            spec: spec.clone(),
            seed: keys.seed()?,
            scenes_expected: context.options.scenes_expected,
            tunables: tunables.to_vec(),
        };
        let mut world = World::new(now, config.clone());
        (context.systems)(&mut world);
        world.check()?;
        let election = context.engine.is_some().then(|| Election::new(context.options.node));
        let (elsewhere, asked_elsewhere) = watch::channel(None);
        let driver = Self {
            spec,
            beacon: Beacon::new(now),
            bus: Bus::new(),
            world,
            desk: QuestionDesk::new(now),
            config,
            leads: election.is_none(),
            election,
            elsewhere,
            show,
            next_show: now,
            events: RecentEvents::default(),
            last_event: 0,
            tunables,
            workshop,
            written: 0,
        };
        let development = context.options.design.is_some();
        let components = context.game.components().into();
        let layouts = Arc::clone(context.game.layouts());
        let admin =
            Admin { shown, orders, tokens, audit: Arc::new(audit), components, layouts, check_script: check, development };
        Ok((driver, standby::guard(admin::routes(admin, context.options.http), asked_elsewhere)))
    }

    fn drive(mut self, mut shell: Shell<Event>) -> anyhow::Result<()> {
        let mut batch = VecDeque::new();
        loop {
            shell.wait(self.deadline(), &mut batch);
            for event in batch.drain(..) {
                match event {
                    Event::Mesh(event) => {
                        if let Some(heard) = shell.hear(event)? {
                            self.dispatch(shell.clock.now(), heard);
                        }
                    }
                    Event::Own(Wanted::Order(ordered)) => {
                        let answer = self.obey(&mut shell, ordered.order.clone());
                        ordered.answer(answer);
                    }
                    Event::Own(Wanted::Answer(asked)) => self.desk.ask(shell.clock.now(), &self.world, &mut shell.port, asked),
                    Event::Own(Wanted::Trace(entity, answer)) => {
                        // Whoever asked may have gone.
                        let _ = answer.send(self.trace(entity));
                    }
                    Event::Stop => {
                        // Whoever stands by need not wait for the lease to end.
                        shell.port.leave();
                        return Ok(());
                    }
                }
            }
            shell.port.maintain(shell.clock.now());
            self.stand_for_election(&mut shell);
            self.act(shell.clock.now());
            self.drain(&mut shell)?;
        }
    }
}

impl WorldDriver {
    fn deadline(&self) -> Timestamp {
        let due = [self.world.poll_timeout().filter(|_| self.leads), self.beacon.poll_timeout()];
        due.into_iter().flatten().map(|(at, _)| at).fold(self.next_show, Timestamp::min)
    }

    fn dispatch(&mut self, now: Timestamp, heard: Heard) {
        match heard {
            Heard::Core {
                message: Message::BeaconReply(BeaconReply::Done { request, .. } | BeaconReply::Conflict { request, .. }),
                ..
            } if Election::is_own(request) => {}
            Heard::Core { from, message: Message::BeaconRequest(request) } => self.beacon.handle(now, from, request),
            Heard::Core { from, message: Message::BusRequest(request) } => self.bus.handle(from, request),
            Heard::Core { from, message: Message::Desk(message) } => self.desk.hear(from, message),
            Heard::Core { from, message } if self.leads => self.world.handle(now, from, message),
            Heard::Core { .. } => {}
            Heard::Down { node } => {
                self.beacon.link_closed(node);
                self.bus.link_closed(node);
            }
            Heard::Renewed { .. } | Heard::Up { .. } | Heard::NameTaken { .. } | Heard::Nothing => {}
        }
    }

    /// Where an entity probably is, and its last hand-overs.
    fn trace(&self, entity: EntityId) -> Trace {
        let passages = self.world.passages_of(entity);
        let went = || self.world.location(passages.first()?.to);
        Trace { scene: self.world.locate(entity).or_else(went).map(|place| place.owner), passages }
    }

    fn obey(&mut self, shell: &mut Shell<Event>, order: AdminOrder) -> OrderAnswer {
        match order {
            AdminOrder::Reaped { node, pid } => self.reaped(shell, node, pid),
            AdminOrder::Drain(node) => self.world.order(Order::Drain(node)),
            AdminOrder::Undrain(node) => self.world.order(Order::Undrain(node)),
            AdminOrder::SwitchBalance { on } => self.world.switch_balance(on),
            AdminOrder::MoveShard { shard, to } => {
                let number = self.world.move_shard(shard, to, false).map_err(|error| error.to_string())?;
                return Ok(Some(number.0));
            }
            AdminOrder::Recut { shard, merges } => {
                let number = self.world.recut(shard, merges, false).map_err(|error| error.to_string())?;
                return Ok(Some(number.0));
            }
            AdminOrder::AbortMove(id) if !self.world.cancel_move(id) => return Err(format!("no move {} is under way", id.0)),
            AdminOrder::AbortMove(_) => {}
            AdminOrder::Wish(wish) => self.world.wish(wish),
            AdminOrder::Unclear { reason } => self.world.refuse(EDITOR, reason),
            AdminOrder::Release(agent) if self.world.release(agent).is_none() => return Err(format!("{agent} is not parked")),
            AdminOrder::Release(_) => {}
        }
        Ok(None)
    }

    /// A process is dead: its lease ends now. One that came after it under the same name is not meant.
    fn reaped(&mut self, shell: &mut Shell<Event>, node: NodeId, pid: u32) {
        let Some(nonce) = shell.port.membership().peers().get(&node).filter(|info| info.pid == pid).map(|info| info.nonce) else {
            tracing::info!(%node, pid, "reported dead, but not registered");
            return;
        };
        tracing::warn!(%node, pid, %nonce, "reported dead");
        self.beacon.reaped(node, nonce);
        shell.port.reaped(node, nonce);
        let own = shell.port.node();
        self.world.handle(shell.clock.now(), own, Message::Control(Control::Reaped { node, nonce }));
    }

    /// Begin to lead, or stop, as the beacon says; ask for the lead when nobody has it.
    fn stand_for_election(&mut self, shell: &mut Shell<Event>) {
        let Some(election) = &mut self.election else { return };
        let (now, own, has_lease) = (shell.clock.now(), shell.port.node(), shell.holds_lease());
        let leader = shell.port.membership().leader();
        if let Some(envelope) = election.poll(now, leader, has_lease) {
            shell.port.send(envelope);
        }
        let leads = leader == Some(own);
        let peers = shell.port.membership().peers();
        let elsewhere = (!leads).then(|| Leader {
            id: leader.map_or_else(String::new, |node| node.to_string()),
            http: leader.and_then(|node| peers.get(&node)).map_or_else(String::new, |info| info.http.clone()),
        });
        self.elsewhere.send_if_modified(|told| {
            let is_news = *told != elsewhere;
            *told = elsewhere;
            is_news
        });
        if std::mem::replace(&mut self.leads, leads) != leads {
            tracing::warn!(leads, "this world process {}", if leads { "leads" } else { "stands by" });
            self.world = World::new(now, self.config.clone());
            self.last_event = 0;
        }
        metrics::gauge!("pangaea_world_leads").set(if leads { 1.0 } else { 0.0 });
    }

    /// Timeouts and the tick.
    fn act(&mut self, now: Timestamp) {
        if self.beacon.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.beacon.handle_timeout(now);
        }
        if self.leads && self.world.poll_timeout().is_some_and(|(at, _)| at <= now) {
            let began = std::time::Instant::now();
            self.world.tick(now, self.spec.tick_rate.tick_at(now));
            metrics::histogram!("pangaea_tick_seconds", "phase" => "world").record(began.elapsed());
            self.tell_workshop();
        }
        if self.next_show <= now {
            self.next_show = now + SHOW_EVERY;
            self.publish();
        }
    }

    fn tell_workshop(&mut self) {
        let (Some(workshop), Some(book)) = (&self.workshop, self.world.book()) else { return };
        if self.written != book.rules.version {
            self.written = book.rules.version;
            workshop.rules_are(book);
        }
    }

    /// Until the three cores have nothing more to say to each other, or the outside has waited long enough.
    fn drain(&mut self, shell: &mut Shell<Event>) -> anyhow::Result<()> {
        for _ in 0..ROUNDS_MAX {
            while let Some(envelope) = self.world.poll_output() {
                shell.port.send(envelope);
            }
            while let Some((to, reply)) = self.beacon.poll_output() {
                shell.port.send_to(to, Message::BeaconReply(reply));
            }
            while let Some((to, event)) = self.bus.poll_output() {
                shell.port.send_to(to, Message::BusEvent(event));
            }
            let mut quiet = true;
            while let Some(heard) = shell.loopback()? {
                quiet = false;
                self.dispatch(shell.clock.now(), heard);
            }
            if quiet {
                return Ok(());
            }
        }
        Ok(())
    }

    fn publish(&mut self) {
        let status = self.world.status();
        metrics::gauge!("pangaea_sessions").set(f64::from(status.sessions));
        metrics::gauge!("pangaea_nodes").set(status.nodes.len() as f64);
        metrics::gauge!("pangaea_agents").set(status.agents as f64);
        for event in self.world.events_after(self.last_event) {
            self.last_event = event.seq;
            if let Happening::Handover { .. } = event.what {
                metrics::counter!("pangaea_handovers").increment(1);
            }
            self.events.push(event_view(&event));
        }
        let nodes: Vec<_> = status.nodes.iter().map(node_view).collect();
        let next = self.world.gateway_for_client().map(|info| info.node.to_string());
        let development = self.workshop.is_some();
        let config = ConfigView { development, ..config_view(&self.spec, &nodes, next.as_deref()) };
        let balance = balance_view(&status.balance);
        let scenes = status.nodes.iter().filter(|node| node.role == Role::Scene);
        let faults = status.nodes.iter().flat_map(|node| node.faults.iter().cloned()).collect();
        let status = StatusView {
            cluster: self.spec.name.clone(),
            tick: status.tick.0,
            shards: status.shards.iter().map(shard_view).collect(),
            sessions: status.sessions,
            gateways: status.nodes.iter().filter(|node| node.role == Role::Gateway).map(gateway_view).collect(),
            scenes: scenes.map(scene_view).collect(),
            moves: status.moves.iter().map(move_view).collect(),
            nodes,
        };
        let rules = RulesShown { specs: Arc::clone(&self.tunables), book: self.world.book() };
        let events = self.events.to_vec();
        self.show.send_replace(Arc::new(Snapshot { status, config, balance, events, rules, faults }));
    }
}

fn open_workshop(
    folder: &Path,
    tunables: &Arc<[TuneSpec]>,
    check: CheckScript,
    orders: mpsc::Sender<Wanted>,
) -> anyhow::Result<Workshop> {
    let check = Box::new(move |name: &str, source: &str| check(name, source));
    Workshop::open(folder, Arc::clone(tunables), check, move |news| {
        let order = match news {
            News::Wish(wish) => AdminOrder::Wish(wish),
            News::Unclear { reason } => AdminOrder::Unclear { reason },
        };
        // Nobody takes orders any more when the process ends.
        let _ = orders.blocking_send(Wanted::Order(Ordered::unasked(order)));
    })
}

fn node_view(node: &NodeStatus) -> NodeView {
    NodeView {
        id: node.id.to_string(),
        role: node.role.name().to_owned(),
        pid: node.pid,
        address: node.address.clone(),
        http: node.http.clone(),
        state: node.state.name().to_owned(),
        client_tcp: node.client_tcp.clone(),
        client_ws: node.client_ws.clone(),
    }
}

fn gateway_view(gateway: &NodeStatus) -> GatewayView {
    GatewayView {
        id: gateway.id.to_string(),
        state: gateway.state.name().to_owned(),
        connections: gateway.connections,
        sessions: gateway.sessions,
        client_tcp: gateway.client_tcp.clone(),
        client_ws: gateway.client_ws.clone(),
    }
}

fn scene_view(scene: &NodeStatus) -> SceneView {
    SceneView {
        id: scene.id.to_string(),
        state: scene.state.name().to_owned(),
        shards: scene.has.shards,
        entities: scene.has.entities,
        load: scene.has.load.as_f64(),
        rules: scene.rules,
    }
}

fn balance_view(balance: &BalanceStatus) -> BalanceView {
    let plan = &balance.plan;
    let shift = |shift: &PlannedMove| PlannedMoveView {
        shard: shift.shard.to_string(),
        from: shift.from.to_string(),
        to: shift.to.to_string(),
        text: shift.to_string(),
    };
    let split =
        |split: &Split| PlannedSplitView { shard: split.shard.to_string(), load: split.load.as_f64(), text: split.to_string() };
    let merge = |merge: &Merge| PlannedMergeView {
        parent: merge.parent.to_string(),
        scene: merge.scene.to_string(),
        load: merge.load.as_f64(),
        text: merge.to_string(),
    };
    let levels = |levels: Outlook| LevelsView { min: levels.min.as_f64(), mean: levels.mean.as_f64(), max: levels.max.as_f64() };
    BalanceView {
        on: balance.on,
        plan: PlanView {
            moves: plan.moves.iter().map(shift).collect(),
            splits: plan.splits.iter().map(split).collect(),
            merges: plan.merges.iter().map(merge).collect(),
            before: levels(plan.before),
            after: levels(plan.after),
        },
    }
}

fn shard_view(shard: &ShardStatus) -> ShardView {
    ShardView {
        id: shard.id.to_string(),
        owner: shard.owner.map(|owner| owner.to_string()),
        epoch: shard.epoch.0,
        phase: shard.state.to_owned(),
        entities: shard.entities,
        players: shard.players,
        ghosts: shard.ghosts,
        tick_ms: Quantiles { p50: f64::from(shard.tick_p50_ms), p99: f64::from(shard.tick_p99_ms) },
        load: f64::from(shard.load),
        handovers_in: shard.handovers_in,
        parked: shard.parked.iter().map(|agent| agent.0).collect(),
        handovers_out: shard.handovers_out,
        paused: shard.paused.map(|(left, steps)| PausedView { left_s: left.as_secs_f64(), steps }),
    }
}

fn move_view(shift: &Move) -> MoveView {
    let news = &shift.news;
    MoveView {
        id: news.id.0,
        kind: shift.kind.name().to_owned(),
        shard: news.shard.to_string(),
        from: shift.from.to_string(),
        // What is cut anew stays where it is.
        to: news.to.unwrap_or(shift.from).to_string(),
        step: if shift.gathering.is_some() { "gathering".to_owned() } else { news.step.name().to_owned() },
        over: shift.is_over(),
        rounds: news.rounds,
        entities: news.entities,
        bytes: news.bytes,
        blackout_ms: news.blackout_us as f64 / 1_000.0,
        missed_ticks: news.missed_ticks,
        reason: news.reason.clone(),
        ordered_us: shift.ordered.0,
    }
}

/// Gateways that take clients; the one that the next client should use comes first.
fn config_view(spec: &ClusterSpec, nodes: &[NodeView], next: Option<&str>) -> ConfigView {
    let mut open: Vec<_> = nodes.iter().filter(|node| node.state == NodeState::Up.name()).collect();
    open.sort_by_key(|node| Some(node.id.as_str()) != next);
    let listening = |address: fn(&NodeView) -> &String| {
        open.iter().map(|node| address(node).clone()).filter(|address| !address.is_empty()).collect()
    };
    let space = |space: &pangaea_schemas::geometry::SpaceSpec| SpaceView {
        id: space.space.0,
        name: space.name.clone(),
        level: space.level,
        shard_level: space.shard_level,
        edge_cells: space.edge_cells(),
    };
    ConfigView {
        cluster: spec.name.clone(),
        gateway_ws: listening(|node| &node.client_ws),
        gateway_tcp: listening(|node| &node.client_tcp),
        spaces: spec.spaces.iter().map(space).collect(),
        cell_edge_m: CELL_EDGE_M,
        tick_hz: spec.tick_rate.hz(),
        development: false,
    }
}

fn event_view(event: &WorldNews) -> EventView {
    let base = EventView { seq: event.seq, at_us: event.at.0, ..EventView::default() };
    let with = |kind: &str, text: String| EventView { kind: kind.to_owned(), text, ..base };
    match &event.what {
        Happening::BalanceSwitched { on } => with("balance", format!("balancing is {}", if *on { "on" } else { "off" })),
        Happening::MoveOrdered { shard, from, to } => {
            EventView { to: Some(shard.to_string()), ..with("move", format!("{shard} is to move from {from} to {to}")) }
        }
        Happening::Moved { shard, from, to, blackout_us } => {
            let blackout_ms = *blackout_us as f64 / 1_000.0;
            let text = format!("{shard} moved from {from} to {to}, {blackout_ms:.1} ms of blackout");
            EventView { to: Some(shard.to_string()), ..with("move", text) }
        }
        Happening::Recut { shard, merged, at, blackout_us } => {
            let (blackout_ms, count) = (*blackout_us as f64 / 1_000.0, if *merged { "one" } else { "four" });
            let text = format!("{shard} is {count} at {at} now, {blackout_ms:.1} ms of blackout");
            EventView { to: Some(shard.to_string()), ..with("move", text) }
        }
        Happening::RecutFailed { shard, reason } => {
            EventView { to: Some(shard.to_string()), ..with("move", format!("the map at {shard} stays as it is: {reason}")) }
        }
        Happening::MoveFailed { shard, to, reason } => {
            EventView { to: Some(shard.to_string()), ..with("move", format!("{shard} did not move to {to}: {reason}")) }
        }
        Happening::Tuned { name, value, by, from } if name.starts_with(SCRIPTS_PREFIX) => {
            with("script", format!("{name}: {value}, from tick {} on, by {by}", from.0))
        }
        Happening::Tuned { name, value, by, from } => {
            with("tune", format!("{name} is {value} from tick {} on, set by {by}", from.0))
        }
        Happening::ScriptFailed { fault } => {
            let ScriptFault { script, line, text, values, shard, .. } = &**fault;
            EventView {
                to: Some(shard.to_string()),
                ..with("script", format!("{script}:{line}: {text}{}; off in {shard}", bracketed(values)))
            }
        }
        Happening::RulesRefused { by, reason } => with("tune", format!("not changed for {by}: {reason}")),
        Happening::NodeJoined { node } => with("node", format!("{node} joined")),
        Happening::NodeLeft { node } => with("node", format!("{node} left")),
        Happening::ShardOwned { shard, owner, epoch } => {
            EventView { to: Some(shard.to_string()), ..with("shard", format!("{owner} runs {shard} under epoch {}", epoch.0)) }
        }
        Happening::ShardVacant { shard, was } => {
            EventView { from: Some(shard.to_string()), ..with("shard", format!("{shard} is without an owner, it was {was}")) }
        }
        Happening::Paused { shard } => EventView { to: Some(shard.to_string()), ..with("shard", format!("{shard} is paused")) },
        Happening::Resumed { shard } => EventView { to: Some(shard.to_string()), ..with("shard", format!("{shard} goes on")) },
        Happening::Parked { agent, shard } => EventView {
            entity: Some(agent.0),
            to: Some(shard.to_string()),
            ..with(
                "parked",
                format!("{agent} of {shard} is parked: its inputs ended three owners; it rests until it is released"),
            )
        },
        Happening::Released { agent, shard } => EventView {
            entity: Some(agent.0),
            to: Some(shard.to_string()),
            ..with("parked", format!("{agent} of {shard} may play again"))
        },
        Happening::Handover { agent, from, to } => EventView {
            entity: Some(agent.0),
            from: Some(from.to_string()),
            to: Some(to.to_string()),
            ..with("handover", format!("{agent} went from {from} to {to}"))
        },
    }
}

fn bracketed(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" ({words})") }
}
