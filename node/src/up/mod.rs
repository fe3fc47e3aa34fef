//! `pangaea up`: a whole cluster on this machine, as real processes, from one command to one screen to a clean end.
//!
//! 1. Check everything that can be checked before anything is started: numbers, ports, data folder, keys.
//! 2. Start every role, then wait until all are registered and all shards run, with a progress line.
//! 3. Print one screen, start the bots, and watch: a role that dies is reported dead and started again, with limits.
//! 4. On Ctrl-C, SIGTERM or after `--for`: bots, gateways, scenes, auth, data, world end in this order, each with a bound.

mod child;
mod data_dir;
mod ports;
mod screen;
mod supervisor;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::{NodeId, Role};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

pub use child::{Child, ChildSpec, Ended};
pub use data_dir::{DataDir, DataDirError};
pub use ports::{GATEWAYS_MAX, PORTS, PlannedPort, PortInUse, PortTable, SCENES_MAX};
pub use supervisor::{Death, Supervisor};

use crate::admin::{Reaped, StatusView, client};
use crate::keys::ClusterKeys;
use crate::role::{ABUNDANCE_DEFAULT, CONNECTIONS_MAX_DEFAULT, ClientListeners, RoleOptions};
use crate::telemetry::LogFormat;

/// The cluster must be up by then.
const UP_TIME_MAX: Duration = Duration::from_secs(60);
/// Time between two looks at children and status.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bots that are not told when to stop.
const BOTS_FOR_EVER_S: u64 = 10 * 365 * 24 * 3_600;

/// What `pangaea up` is asked for.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Where everything durable and every log goes.
    pub data_dir: PathBuf,
    /// The web page's port; all others are above it.
    pub port_base: u16,
    /// Scene processes.
    pub scenes: u16,
    /// Gateway processes.
    pub gateways: u16,
    /// Bots to start when the world is up.
    pub bots: u32,
    /// End after this long.
    pub run_for: Option<Duration>,
    /// Threads that tick shards, per scene; zero: one per core.
    pub tick_threads: usize,
    /// How many times the usual life scenes give to new shards.
    pub abundance: u16,
    /// All log lines of all roles on the terminal.
    pub verbose: bool,
    /// How the roles' log lines look.
    pub log: LogFormat,
}

/// A cluster on this machine, from start to end.
///
/// # Errors
/// It could not be started; the text says what, where and what to do. Nothing is left running.
pub async fn run(options: UpOptions) -> anyhow::Result<()> {
    let plan = Plan::of(&options)?;
    let mut supervisor = Supervisor::start(plan.children(&options)?)?;
    let ended = plan.live(&options, &mut supervisor).await;
    say("\nStopping: gateways, scenes, auth, data, world …");
    let began = Instant::now();
    let troubles = supervisor.stop_all().await;
    for trouble in &troubles {
        say(&format!("  {trouble}"));
    }
    ended?;
    if !troubles.is_empty() {
        bail!("the cluster did not end in good order; see {}", plan.data_dir.path().join("logs").display());
    }
    say(&format!("Stopped in {:.1} s. The world is in {}.", began.elapsed().as_secs_f64(), plan.data_dir.path().display()));
    Ok(())
}

/// What was checked before the start.
struct Plan {
    ports: PortTable,
    nodes: Vec<NodeId>,
    data_dir: DataDir,
    operator_token: String,
    program: PathBuf,
    cluster: ClusterSpec,
}

impl Plan {
    fn of(options: &UpOptions) -> anyhow::Result<Self> {
        if !(1..=SCENES_MAX).contains(&options.scenes) || !(1..=GATEWAYS_MAX).contains(&options.gateways) {
            bail!("one machine takes 1 to {SCENES_MAX} scenes and 1 to {GATEWAYS_MAX} gateways");
        }
        let ports = PortTable::new(options.port_base)
            .with_context(|| format!("--port-base must be from 1024 to {}", u16::MAX - PORTS))?;
        let nodes = nodes(options.scenes, options.gateways);
        ports.check(&nodes)?;
        let data_dir = DataDir::open(&options.data_dir)?;
        let keys = ClusterKeys::below(data_dir.path());
        keys.create_missing()?;
        let operator_token = keys.operator_token()?;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        Ok(Self { ports, nodes, data_dir, operator_token, program, cluster: ClusterSpec::demo() })
    }

    fn children(&self, options: &UpOptions) -> anyhow::Result<Vec<ChildSpec>> {
        let child = |&node: &NodeId| ChildSpec {
            name: node.to_string(),
            program: self.program.clone(),
            args: self.role(node, options).to_args(),
            log: self.data_dir.log_of(&node.to_string()),
            verbose: options.verbose,
        };
        Ok(self.nodes.iter().map(child).collect())
    }

    fn role(&self, node: NodeId, options: &UpOptions) -> RoleOptions {
        let clients = (node.role == Role::Gateway).then(|| ClientListeners {
            tcp: self.ports.client_tcp(node.ordinal),
            ws: self.ports.client_ws(node.ordinal),
            connections_max: CONNECTIONS_MAX_DEFAULT,
        });
        RoleOptions {
            node,
            cluster: self.cluster.clone(),
            listen: self.ports.node(node),
            world: self.ports.node(NodeId::new(Role::World, 1)),
            http: self.ports.http(node),
            data_dir: self.data_dir.path().to_owned(),
            supervised: true,
            log: options.log,
            tick_threads: if node.role == Role::Scene { options.tick_threads } else { 0 },
            abundance: if node.role == Role::Scene { options.abundance } else { ABUNDANCE_DEFAULT },
            scenes_expected: usize::from(options.scenes),
            guests: node.role == Role::Auth,
            clients,
        }
    }

    /// From the first process to the moment when the end is wanted.
    async fn live(&self, options: &UpOptions, supervisor: &mut Supervisor) -> anyhow::Result<()> {
        let mut end = EndWanted::listen()?;
        tokio::select! {
            up = self.until_up(supervisor) => up?,
            () = end.wanted() => return Ok(()),
        }
        supervisor.set_calm(false);
        if options.bots > 0 {
            supervisor.add(self.bots(options))?;
        }
        say(&screen::text(self.ports, &self.nodes, self.data_dir.path(), options));
        let run_for = async {
            match options.run_for {
                Some(span) => tokio::time::sleep(span).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = run_for => Ok(()),
            () = end.wanted() => Ok(()),
            () = self.keep_alive(supervisor) => Ok(()),
        }
    }

    fn bots(&self, options: &UpOptions) -> ChildSpec {
        let seconds = options.run_for.map_or(BOTS_FOR_EVER_S, |span| span.as_secs());
        let words = ["--cluster", &format!("http://{}", self.ports.web()), "bots", "--supervised", "--json"];
        let numbers = ["--count".to_owned(), options.bots.to_string(), "--seconds".to_owned(), seconds.to_string()];
        ChildSpec {
            name: "bots".to_owned(),
            program: self.program.clone(),
            args: words.iter().map(|word| (*word).to_owned()).chain(numbers).collect(),
            log: self.data_dir.log_of("bots"),
            verbose: options.verbose,
        }
    }

    /// Wait until all nodes are registered and all shards run.
    async fn until_up(&self, supervisor: &mut Supervisor) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut progress = Progress::new();
        loop {
            if let Some(death) = supervisor.poll_deaths().into_iter().next() {
                progress.end();
                bail!("{death}");
            }
            let missing = match client::get(&self.ports.web().to_string(), "/api/status").await {
                Ok(body) => self.missing(&serde_json::from_slice(&body).context("the admin API's status is not JSON")?),
                Err(_) => Some("world-1 starts".to_owned()),
            };
            let Some(missing) = missing else {
                progress.end();
                return Ok(());
            };
            if began.elapsed() > UP_TIME_MAX {
                progress.end();
                let logs = self.data_dir.path().join("logs");
                bail!("the world is not up after {} s: {missing}. Logs: {}", UP_TIME_MAX.as_secs(), logs.display());
            }
            progress.show(&format!("Starting Pangaea ({:.0} s): {missing}", began.elapsed().as_secs_f64()));
            tokio::time::sleep(LOOK_EVERY * 2).await;
        }
    }

    /// What a status lacks, in words; `None` when the world is up.
    fn missing(&self, status: &StatusView) -> Option<String> {
        let up = |node: &NodeId| status.nodes.iter().any(|seen| seen.id == node.to_string());
        let waiting: Vec<_> = self.nodes.iter().filter(|node| !up(node)).map(NodeId::to_string).collect();
        if !waiting.is_empty() {
            return Some(format!("waiting for {}", waiting.join(", ")));
        }
        let running = status.shards.iter().filter(|shard| shard.phase == "running").count();
        let all: usize = self.cluster.spaces.iter().map(|space| space.first_shards().len()).sum();
        (running < all).then(|| format!("{running} of {all} shards run"))
    }

    /// Start again what dies, until this future is dropped.
    async fn keep_alive(&self, supervisor: &mut Supervisor) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            for death in supervisor.poll_deaths() {
                say(&death.to_string());
                if let Err(error) = self.report_dead(&death).await {
                    tracing::debug!("cannot report a death: {error:#}");
                }
            }
            supervisor.restart_due();
        }
    }

    /// Tell the world that a process is dead, so that nobody waits for its lease.
    async fn report_dead(&self, death: &Death) -> anyhow::Result<()> {
        let Some(pid) = death.pid.filter(|_| death.name.parse::<NodeId>().is_ok()) else { return Ok(()) };
        let body = serde_json::to_vec(&Reaped { node: death.name.clone(), pid })?;
        client::post(&self.ports.web().to_string(), "/api/reaped", &self.operator_token, &body).await?;
        Ok(())
    }
}

/// In start order, which is the order of roles.
fn nodes(scenes: u16, gateways: u16) -> Vec<NodeId> {
    let one = [Role::World, Role::Data, Role::Auth].map(|role| NodeId::new(role, 1));
    let scenes = (1..=scenes).map(|n| NodeId::new(Role::Scene, n));
    let gateways = (1..=gateways).map(|n| NodeId::new(Role::Gateway, n));
    one.into_iter().chain(scenes).chain(gateways).collect()
}

/// Ctrl-C or SIGTERM.
struct EndWanted {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl EndWanted {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// One line that changes in place on a terminal, and single lines elsewhere.
struct Progress {
    terminal: bool,
    last: String,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), last: String::new() }
    }

    fn show(&mut self, line: &str) {
        // Without a terminal the seconds alone are no news.
        let news = line.split_once("):").map_or(line, |(_, news)| news);
        if self.terminal {
            let _ = write!(std::io::stdout(), "\r\x1b[K{line}");
            let _ = std::io::stdout().flush();
        } else if news != self.last {
            say(line);
        }
        self.last = news.to_owned();
    }

    fn end(&mut self) {
        if self.terminal && !self.last.is_empty() {
            let _ = write!(std::io::stdout(), "\r\x1b[K");
        }
    }
}

/// A line for the person at the terminal, who may have closed it.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
