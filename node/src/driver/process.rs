//! What all roles' processes have in common: from options to a running driver, and to an orderly end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use axum::Router;
use crossbeam::channel::Receiver;
use pangaea_scene::game::BuiltGame;
use pangaea_schemas::message::NodeInfo;
use pangaea_schemas::{Nonce, Timestamp};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument;

use super::WorldSystems;
use crate::clock::Clock;
use crate::engine::{Connection, Engine, EngineError, EngineOptions, connect};
use crate::membership::{Heard, Membership};
use crate::mesh::{Identity, Inbox, Mesh, MeshEvent};
use crate::port::Port;
use crate::role::RoleOptions;
use crate::telemetry::{self, Readiness};
use crate::tls::NodeTls;

/// Most events that a driver takes before it drains its core.
pub const BATCH_MAX: usize = 1_024;
/// Threads of tokio in each process: they only move bytes.
const IO_THREADS: usize = 2;
/// After its driver has ended, a process gives its links this long to send what waits.
const FLUSH_TIME: Duration = Duration::from_millis(150);

/// Pause between two tries to reach the engine.
const ENGINE_PAUSE: Duration = Duration::from_millis(500);

/// Everything that wakes a driver beside its deadlines.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are of the large kind, and a box would cost each message an allocation"
)]
pub(super) enum Event<Own> {
    /// A peer.
    Mesh(MeshEvent),
    /// What only this role has.
    Own(Own),
    /// The process is to end in good order.
    Stop,
}

impl<Own> From<MeshEvent> for Event<Own> {
    fn from(event: MeshEvent) -> Self {
        Self::Mesh(event)
    }
}

impl<Own> TryFrom<Event<Own>> for MeshEvent {
    type Error = Event<Own>;

    fn try_from(event: Event<Own>) -> Result<Self, Self::Error> {
        match event {
            Event::Mesh(event) => Ok(event),
            other => Err(other),
        }
    }
}

/// What a driver is made of, before its thread starts.
pub(super) struct Context<E> {
    pub(super) options: RoleOptions,
    pub(super) game: BuiltGame,
    pub(super) systems: WorldSystems,
    pub(super) nonce: Nonce,
    pub(super) clock: Clock,
    pub(super) inbox: Inbox<E>,
    pub(super) readiness: Readiness,
    /// The cluster's engine, if it has one.
    pub(super) engine: Option<Connection>,
}

/// What a driver runs with.
pub(super) struct Shell<E> {
    pub(super) clock: Clock,
    pub(super) port: Port,
    pub(super) events: Receiver<E>,
    pub(super) readiness: Readiness,
    lease: Duration,
    /// When the renewal was sent that holds the lease.
    renewed: Option<Timestamp>,
}

/// One role's driver.
pub(super) trait Driver: Sized + Send + 'static {
    /// What wakes it beside peers and its end.
    type Own: Send + 'static;

    /// Open what it needs: keys, stores, listeners. Within the runtime. Returns its HTTP routes beside the usual ones.
    async fn open(context: &Context<Event<Self::Own>>) -> anyhow::Result<(Self, Router)>;

    /// Run to the end, on a thread of its own.
    fn drive(self, shell: Shell<Event<Self::Own>>) -> anyhow::Result<()>;
}

/// See [`super::run`].
pub(super) fn run<D: Driver>(options: RoleOptions, game: BuiltGame, systems: WorldSystems) -> anyhow::Result<()> {
    telemetry::start_log(options.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let span = tracing::info_span!("node", id = %options.node);
    let ended = runtime.block_on(live::<D>(options, game, systems).instrument(span));
    // Tasks that wait for sockets are of no use any more.
    runtime.shutdown_timeout(FLUSH_TIME);
    ended
}

async fn live<D: Driver>(options: RoleOptions, game: BuiltGame, systems: WorldSystems) -> anyhow::Result<()> {
    let metrics = telemetry::start_metrics(&options.node.to_string())?;
    tokio::spawn(telemetry::upkeep(metrics.clone()));
    let peers = TcpListener::bind(options.listen).await;
    let peers = peers.with_context(|| format!("{} cannot listen for other nodes on {}", options.node, options.listen))?;
    let http = telemetry::bind_http(options.http).await?;

    let tls = options.tls.as_ref().map(|files| NodeTls::load(files, &options.cluster.name)).transpose()?;
    let (inbox, events) = Inbox::new();
    let readiness = Readiness::waiting_for("its lease");
    let engine = match &options.engine {
        Some(engine) => Some(reach_engine(engine, &options).await?),
        None => None,
    };
    let context = Context { nonce: draw_nonce()?, clock: Clock::start(), inbox, readiness, engine, options, game, systems };
    let (driver, routes) = D::open(&context).await?;
    let routes = telemetry::routes(metrics, context.readiness.clone()).merge(routes);
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(http, routes).into_future());

    let identity = Identity {
        cluster: context.options.cluster.name.clone(),
        node: context.options.node,
        nonce: context.nonce,
        dialect: context.game.dialect().clone(),
        tls,
    };
    let mesh = Mesh::start(identity, context.clock, peers, context.inbox.clone().into());
    let own = context.options.node;
    if own != crate::membership::WORLD && context.engine.is_none() {
        mesh.learn(crate::membership::WORLD, &context.options.world.to_string());
    }
    tokio::spawn(stop_when_told(context.options.supervised, context.inbox.clone()));
    tracing::info!(pid = std::process::id(), nonce = %context.nonce, listen = %context.options.listen, "started");

    let lease = context.options.cluster.lease;
    let engine = context.engine.as_ref().map(|connection| Engine::start(connection, own, context.inbox.clone().into()));
    let member = if engine.is_some() { Membership::on_engine } else { Membership::new };
    let port = Port::new(mesh.clone(), member(node_info(&context), lease), engine);
    let Context { clock, readiness, .. } = context;
    let shell = Shell { clock, port, events, readiness, lease, renewed: None };
    let (end, ended) = tokio::sync::oneshot::channel();
    let span = tracing::Span::current();
    let drive = move || {
        let outcome = span.in_scope(|| driver.drive(shell));
        // Nobody waits only when the process ends anyway.
        let _ = end.send(outcome);
    };
    std::thread::Builder::new().name(format!("{}-driver", own.role.name())).spawn(drive).context("cannot start a thread")?;
    let outcome = ended.await.unwrap_or_else(|_| bail!("the driver of {own} panicked; this is a bug in its core"));
    tokio::time::sleep(FLUSH_TIME).await;
    drop(mesh);
    tracing::info!("stopped");
    outcome
}

/// Wait for the engine, as long as it takes; what is wrong with it ends the process.
async fn reach_engine(engine: &EngineOptions, options: &RoleOptions) -> anyhow::Result<Connection> {
    let mut told = false;
    loop {
        match Connection::open(engine, &options.cluster.name, &options.node.to_string()).await {
            Ok(connection) => {
                connect::check_durability(engine).await?;
                tracing::info!(replicas = connection.replicas(), durability = %engine.durability, "engine reached");
                return Ok(connection);
            }
            Err(error @ (EngineError::NotReached { .. } | EngineError::Stream { .. })) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("waiting for the engine: {:#}", anyhow::Error::from(error));
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(ENGINE_PAUSE).await;
    }
}

fn draw_nonce() -> anyhow::Result<Nonce> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the operating system gives no randomness: {error}"))?;
    Ok(Nonce(u128::from_le_bytes(bytes)))
}

fn node_info<E>(context: &Context<E>) -> NodeInfo {
    let options = &context.options;
    NodeInfo {
        node: options.node,
        nonce: context.nonce,
        pid: std::process::id(),
        address: options.advertise.unwrap_or(options.listen).to_string(),
        client_tcp: options.clients.map_or_else(String::new, |clients| clients.tcp.to_string()),
        client_ws: options.clients.map_or_else(String::new, |clients| clients.ws.to_string()),
        http: options.http.to_string(),
        registry: context.game.registry_hash(),
        draining: false,
    }
}

/// Deliver [`Event::Stop`] on SIGTERM, on SIGINT, and when a supervised process's stdin ends.
async fn stop_when_told<Own>(supervised: bool, inbox: Inbox<Event<Own>>) {
    let stdin_ends = async {
        if !supervised {
            return std::future::pending().await;
        }
        let mut byte = [0; 64];
        let mut stdin = tokio::io::stdin();
        while stdin.read(&mut byte).await.is_ok_and(|read| read > 0) {}
    };
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("cannot listen for signals");
        return stdin_ends.await;
    };
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop by SIGTERM"),
        _ = interrupt.recv() => tracing::info!("told to stop by SIGINT"),
        () = stdin_ends => tracing::info!("told to stop: the supervisor closed stdin"),
    }
    // A closed inbox means that it stops already.
    let _ = inbox.deliver(Event::Stop).await;
}

impl<E> Shell<E> {
    /// Wait until `deadline` for events, then take those that are there, at most [`BATCH_MAX`].
    pub(super) fn wait(&mut self, deadline: Timestamp, batch: &mut VecDeque<E>) {
        let deadline = self.clock.instant(deadline.min(self.port.deadline(self.clock.now())));
        // The links hold senders, so the channel is never closed: an error is the deadline.
        batch.extend(self.events.recv_deadline(deadline));
        while batch.len() < BATCH_MAX
            && let Ok(event) = self.events.try_recv()
        {
            batch.push_back(event);
        }
        let now = self.clock.now();
        if self.renewed.take_if(|sent| now.since(*sent) > self.lease).is_some() {
            self.readiness.wait_for("its lease: the beacon does not answer");
        }
        metrics::gauge!("pangaea_driver_inbox_events").set(self.events.len() as f64);
    }

    /// Whether the lease runs.
    pub(super) fn holds_lease(&self) -> bool {
        self.renewed.is_some()
    }

    /// What every driver does with what the mesh says: `Some` is for the role itself.
    ///
    /// # Errors
    /// Another live process has this node's name: this one must end.
    pub(super) fn hear(&mut self, event: MeshEvent) -> anyhow::Result<Option<Heard>> {
        let heard = self.port.hear(self.clock.now(), event);
        self.sort(heard)
    }

    /// The same for the node's messages to itself.
    ///
    /// # Errors
    /// As [`Self::hear`].
    pub(super) fn loopback(&mut self) -> anyhow::Result<Option<Heard>> {
        while let Some(heard) = self.port.loopback(self.clock.now()) {
            if let Some(heard) = self.sort(heard)? {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    fn sort(&mut self, heard: Heard) -> anyhow::Result<Option<Heard>> {
        match heard {
            Heard::NameTaken { holder } => {
                bail!(
                    "another process is {} (incarnation {holder}): stop it, or start this one with another --id",
                    self.port.node()
                )
            }
            Heard::Nothing => Ok(None),
            Heard::Renewed { sent } => {
                if self.renewed.replace(sent).is_none() {
                    self.readiness.ready();
                }
                Ok(Some(Heard::Renewed { sent }))
            }
            other @ (Heard::Core { .. } | Heard::Up { .. } | Heard::Down { .. }) => Ok(Some(other)),
        }
    }
}
