//! A cluster of real processes, as `pangaea up` starts it, for the rows that need one: where it runs, what it tells, what it is
//! told.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangaea_node::admin::{MoveOrderView, MoveView, ShardView, StatusView, client};
use pangaea_node::keys::ClusterKeys;
use pangaea_node::telemetry::LogFormat;
use pangaea_node::up::{Hosts, LocalCluster, UpEngine, UpOptions};
use pangaea_schemas::{NodeId, Role};
use tokio::runtime::Runtime;

use crate::scrape::{self, Histogram};
use crate::{ARENA, Setup, cores};

/// Players see their own cell and those around it.
const VIEW_CELLS: &str = "1";
/// What was ordered has happened by then.
const DONE_TIME_MAX: Duration = Duration::from_secs(60);
/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// How large a cluster is, and where it runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) scenes: u16,
    pub(super) gateways: u16,
    /// How much of what the game spawns.
    pub(super) abundance: u16,
    pub(super) cores: &'a [usize],
}

/// One scene and one gateway on the servers' core, and nobody in the world.
pub(super) const ONE: Shape<'static> = Shape { scenes: 1, gateways: 1, abundance: 0, cores: &[cores::SERVER] };

/// See the module.
pub(super) struct Cluster {
    runtime: Runtime,
    cluster: LocalCluster,
    pub(super) scenes: Vec<NodeId>,
    pub(super) gateways: Vec<NodeId>,
    token: String,
    /// Why it does not run where it should.
    pub(super) note: String,
}

impl Cluster {
    pub(super) fn start(setup: &Setup, folder: &Path, shape: Shape<'_>) -> anyhow::Result<Self> {
        // A thread of its own: what processes log must be taken from them at all times, or they stand still.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let options = UpOptions {
            data_dir: folder.join("data"),
            port_base: setup.port_base,
            scenes: shape.scenes,
            gateways: shape.gateways,
            worlds: 1,
            datas: 1,
            engine: UpEngine::Embedded,
            bots: 0,
            run_for: None,
            tick_threads: 1,
            abundance: shape.abundance,
            design: None,
            verbose: false,
            log: LogFormat::Human,
            hosts: Hosts::default(),
            advertised: Default::default(),
            tls: None,
            kept_by: None,
        };
        // The processes inherit where this thread may run.
        let (started, note) = cores::on_cores(shape.cores, || runtime.block_on(async { LocalCluster::start(&options) }));
        let mut cluster = started.context("the cluster of the bench")?;
        runtime.block_on(cluster.until_up(&mut |_| {}))?;
        let token = ClusterKeys::below(cluster.data_dir()).operator_token()?;
        let nodes = |role, count| (1..=count).map(|n| NodeId::new(role, n)).collect();
        let (scenes, gateways) = (nodes(Role::Scene, shape.scenes), nodes(Role::Gateway, shape.gateways));
        Ok(Self { runtime, cluster, scenes, gateways, token, note })
    }

    /// Where clients of the `n`-th gateway connect, from 0.
    pub(super) fn address(&self, n: u16) -> SocketAddr {
        self.cluster.ports().client_tcp(n + 1)
    }

    /// What each scene tells under `/metrics`.
    pub(super) fn told_by_scenes(&self) -> anyhow::Result<Vec<String>> {
        self.scenes.iter().map(|scene| scrape::metrics(self.cluster.ports().http(*scene))).collect()
    }

    /// Seconds of the whole tick of each scene since its start.
    pub(super) fn ticks(&self) -> anyhow::Result<Vec<Histogram>> {
        self.told_by_scenes()?.iter().map(|text| Histogram::of(text, "pangaea_tick_seconds", ("phase", "all"))).collect()
    }

    /// Of the scene that is worst, in milliseconds, since an earlier [`Self::ticks`].
    pub(super) fn tick_ms_p99(&self, since: &[Histogram]) -> anyhow::Result<f64> {
        let now = self.ticks()?;
        let worst = now.iter().zip(since).map(|(now, since)| now.since(since).quantile(0.99));
        Ok(worst.fold(0.0, f64::max) * 1e3)
    }

    pub(super) fn pid(&self, node: NodeId) -> Option<u32> {
        self.cluster.pid(node)
    }

    fn pids(&self) -> impl Iterator<Item = (NodeId, u32)> + '_ {
        self.cluster.nodes().iter().filter_map(|node| Some((*node, self.cluster.pid(*node)?)))
    }

    /// Processor time of all its processes since their start.
    pub(super) fn cpu_seconds(&self) -> f64 {
        self.pids().map(|(_, pid)| cpu_seconds(pid)).sum()
    }

    /// Resident bytes of gateways and scenes.
    pub(super) fn memory(&self) -> u64 {
        let counted = self.pids().filter(|(node, _)| self.gateways.contains(node) || self.scenes.contains(node));
        counted.map(|(_, pid)| resident_bytes(pid)).sum()
    }

    fn status(&self) -> anyhow::Result<StatusView> {
        self.runtime.block_on(self.cluster.status())
    }

    /// Waits until `found` is something.
    pub(super) fn until<T>(&self, what: &str, mut found: impl FnMut(&StatusView) -> Option<T>) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            if let Some(found) = found(&self.status()?) {
                return Ok(found);
            }
            if began.elapsed() > DONE_TIME_MAX {
                bail!("in vain waited {} s until {what}", DONE_TIME_MAX.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Orders a shard to a scene; the number of the move.
    fn order(&self, shard: &str, to: NodeId) -> anyhow::Result<u64> {
        let path = format!("/api/migrate?shard={shard}&to={to}");
        let web = self.cluster.ports().web().to_string();
        let answer = self.runtime.block_on(client::post(&web, &path, &self.token, b"{}"))?;
        let order: MoveOrderView = serde_json::from_slice(&answer).context("the answer to an order is not JSON")?;
        order.number.context("an order without a number")
    }

    /// Moves a shard to the scene that does not have it, and waits until that is over; how it went.
    pub(super) fn shuttle(&self, shard: &str) -> anyhow::Result<MoveView> {
        let is_it = |view: &&ShardView| view.id == shard && view.phase == "running";
        let owner = |status: &StatusView| status.shards.iter().find(is_it).and_then(|view| view.owner.clone());
        let from = self.until(&format!("{shard} runs"), owner)?;
        let to = self.scenes.iter().find(|scene| scene.to_string() != from).context("a shard goes nowhere from one scene")?;
        let number = self.order(shard, *to)?;
        let over = |status: &StatusView| status.moves.iter().find(|shift| shift.id == number && shift.over).cloned();
        self.until(&format!("{shard} is at {to}"), over)
    }

    /// Brings each shard to where `home` wants it.
    pub(super) fn arrange(&self, home: impl Fn(&str) -> NodeId) -> anyhow::Result<()> {
        let is_home = |shard: &ShardView| shard.owner.as_deref() == Some(&*home(&shard.id).to_string());
        for shard in self.status()?.shards.iter().filter(|shard| !is_home(shard)) {
            self.order(&shard.id, home(&shard.id))?;
        }
        self.until("every shard is where it is wanted", |status| {
            status.shards.iter().all(|shard| is_home(shard) && shard.phase == "running").then_some(())
        })
    }

    pub(super) fn stop(self) -> anyhow::Result<()> {
        let troubles = self.runtime.block_on(self.cluster.stop());
        if !troubles.is_empty() {
            bail!("the bench's cluster did not end well: {}", troubles.join("; "));
        }
        Ok(())
    }
}

/// Children of this process play that game, see [`crate::arena_game`], and see one ring of cells.
#[allow(unsafe_code, reason = "the environment of children is that of this process")]
pub(super) fn with_game<T>(game: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    // SAFETY: the suite runs on one thread; those that others have started are joined by now.
    unsafe {
        std::env::set_var(ARENA, game);
        std::env::set_var("PANGAEA_VIEW_CELLS", VIEW_CELLS);
    }
    let done = work();
    // SAFETY: as above.
    unsafe {
        std::env::remove_var(ARENA);
        std::env::remove_var("PANGAEA_VIEW_CELLS");
    }
    done
}

/// Processor time of all threads that a process has, in seconds. What `stat` tells instead is sampled by the kernel's clock: who
/// is woken by that clock and is done before its next tick is not seen in it.
fn cpu_seconds(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let schedstat = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedstat.split(' ').next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}

fn resident_bytes(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
