//! `pangaea up`: a whole cluster on this machine, as real processes, from one command to one screen to a clean end.
//!
//! 1. Check everything that can be checked before anything is started: numbers, ports, data folder, keys.
//! 2. Start every role, then wait until all are registered and all shards run, with a progress line.
//! 3. Print one screen, start the bots, and watch: a role that dies is reported dead and started again, with limits.
//! 4. On Ctrl-C, SIGTERM or after `--for`: bots, gateways, scenes, auth, data, world end in this order, each with a bound.

mod builds;
mod child;
mod cluster;
mod data_dir;
mod doorbell;
mod hosts;
mod kept_by;
mod ports;
mod screen;
mod supervisor;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, bail};
use pangaea_schemas::NodeId;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

pub use child::{Child, ChildSpec, Ended};
pub use cluster::{LocalCluster, nodes_of};
pub use data_dir::{DataDir, DataDirError};
pub use doorbell::{UpAnswer, UpOrder, ring};
pub use hosts::{HostAddresses, Hosts, host_of};
pub use kept_by::KeptBy;
pub use ports::{GATEWAYS_MAX, PORTS, PlannedPort, PortInUse, PortTable, SCENES_MAX, SERVERS_MAX, TRIPLE_MAX};
pub use supervisor::{Death, Supervisor};

use doorbell::Doorbell;

use crate::engine::EngineOptions;
use crate::telemetry::LogFormat;
use crate::tls::TlsFiles;

/// The cluster must be up by then.
const UP_TIME_MAX: Duration = Duration::from_secs(60);
/// Time between two looks at children and status.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where beacon, journals, bus and blobs of a cluster on this machine are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UpEngine {
    /// In the world's and the data process.
    #[default]
    Embedded,
    /// On servers that run already.
    Reached(EngineOptions),
    /// On servers of its own, started and ended with the cluster.
    Own {
        /// `nats-server`.
        program: PathBuf,
        /// How many: 1 or 3.
        servers: u16,
    },
}

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
    /// World processes; more than one needs the engine.
    pub worlds: u16,
    /// Data processes; more than one needs the engine.
    pub datas: u16,
    /// Where beacon, journals, bus and blobs are.
    pub engine: UpEngine,
    /// Bots to start when the world is up.
    pub bots: u32,
    /// End after this long.
    pub run_for: Option<Duration>,
    /// Threads that tick shards, per scene; zero: one per core.
    pub tick_threads: usize,
    /// The designers' folder, watched by the world.
    pub design: Option<PathBuf>,
    /// How many times the usual life scenes give to new shards.
    pub abundance: u16,
    /// All log lines of all roles on the terminal.
    pub verbose: bool,
    /// How the roles' log lines look.
    pub log: LogFormat,
    /// Where its processes run.
    pub hosts: Hosts,
    /// Where peers reach a node, when that is not where it listens: through somebody's relay.
    pub advertised: BTreeMap<NodeId, SocketAddr>,
    /// Mutual TLS between the nodes.
    pub tls: Option<TlsFiles>,
    /// The build, held against the one that kept the world before. `None`: whoever starts the cluster knows that it is the same.
    pub kept_by: Option<KeptBy>,
}

/// A cluster on this machine, from start to end.
///
/// # Errors
/// It could not be started; the text says what, where and what to do. Nothing is left running.
pub async fn run(options: UpOptions) -> anyhow::Result<()> {
    let mut cluster = LocalCluster::start(&options)?;
    let ended = live(&options, &mut cluster).await;
    say("\nStopping: gateways, scenes, auth, data, world …");
    let (began, data_dir, logs) = (Instant::now(), cluster.data_dir().to_owned(), cluster.logs());
    let troubles = cluster.stop().await;
    for trouble in &troubles {
        say(&format!("  {trouble}"));
    }
    ended?;
    if !troubles.is_empty() {
        bail!("the cluster did not end in good order; see {}", logs.display());
    }
    say(&format!("Stopped in {:.1} s. The world is in {}.", began.elapsed().as_secs_f64(), data_dir.display()));
    Ok(())
}

/// From the first process to the moment when the end is wanted.
async fn live(options: &UpOptions, cluster: &mut LocalCluster) -> anyhow::Result<()> {
    let mut end = EndWanted::listen()?;
    let mut progress = Progress::new();
    let mut show = |line: &str| progress.show(line);
    let up = tokio::select! {
        up = cluster.until_up(&mut show) => up,
        () = end.wanted() => return Ok(()),
    };
    progress.end();
    up?;
    if options.bots > 0 {
        cluster.add_bots(options)?;
    }
    say(&screen::text(cluster.ports(), cluster.nodes(), cluster.data_dir(), options));
    let run_for = async {
        match options.run_for {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    };
    let doorbell = Doorbell::hang(cluster.data_dir())?;
    tokio::select! {
        () = run_for => Ok(()),
        () = end.wanted() => Ok(()),
        () = keep_alive(cluster, &doorbell) => Ok(()),
    }
}

/// Start again what dies, and do what is rung for, until this future is dropped.
async fn keep_alive(cluster: &mut LocalCluster, doorbell: &Doorbell) {
    let (mut look, mut rung) = (tokio::time::interval(LOOK_EVERY), pin!(doorbell.rung()));
    loop {
        tokio::select! {
            _ = look.tick() => cluster.look().iter().for_each(|death| say(&death.to_string())),
            (order, caller) = &mut rung => {
                let answer = cluster.obey(&order).await;
                say(&match &answer {
                    Ok(names) => format!("{}: {}", order.done(), names.join(", ")),
                    Err(words) => format!("refused: {words}"),
                });
                caller.answer(answer).await;
                rung.set(doorbell.rung());
            }
        }
    }
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
