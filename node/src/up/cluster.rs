//! The processes of a cluster on this machine: planned and checked, started, watched over, ended.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::future::{join_all, select_ok};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::{NodeId, Role};
use tokio::time::Instant;

use super::builds::Builds;
use super::child::ChildSpec;
use super::data_dir::DataDir;
use super::doorbell::{UpAnswer, UpOrder};
use super::ports::{GATEWAYS_MAX, PORTS, PortTable, SCENES_MAX, SERVERS_MAX, TRIPLE_MAX};
use super::supervisor::{Death, Supervisor};
use super::{LOOK_EVERY, UP_TIME_MAX, UpEngine, UpOptions};
use crate::admin::{Reaped, StatusView, client};
use crate::engine::EngineOptions;
use crate::engine::server::{self, ServerPlan};
use crate::keys::ClusterKeys;
use crate::role::{ABUNDANCE_DEFAULT, CONNECTIONS_MAX_DEFAULT, ClientListeners, RoleOptions, StoreOptions, VIEW_CELLS_DEFAULT};

/// Bots that are not told when to stop.
const BOTS_FOR_EVER_S: u64 = 10 * 365 * 24 * 3_600;

/// A scene that is stopped for good ends within this, or is killed. It has no shards then, and nobody else is watched meanwhile.
const SCENE_STOP_GRACE: Duration = Duration::from_secs(5);

/// Runs a server that knows nothing of stdin until stdin ends, whatever ends it: also the death of whoever holds its other end.
const SERVE_UNTIL_STDIN_ENDS: &str = "exec 3<&0; \"$0\" -c \"$1\" 3<&- </dev/null & server=$!; \
     { cat <&3 >/dev/null; kill $server; } & watch=$!; \
     wait $server; code=$?; kill $watch 2>/dev/null; [ $code = 1 ] || [ $code = 143 ] || exit $code";

/// Every process of one cluster, each started again when it dies. Dropping it kills them.
pub struct LocalCluster {
    plan: Plan,
    options: UpOptions,
    supervisor: Supervisor,
}

impl LocalCluster {
    /// Check everything that can be checked beforehand, then start every process.
    ///
    /// # Errors
    /// What is wrong, where, and what to do. Nothing is left running.
    pub fn start(options: &UpOptions) -> anyhow::Result<Self> {
        let plan = Plan::of(options)?;
        // Servers first, though nobody depends on it: roles wait for the engine.
        let servers =
            plan.servers.iter().map(|server| plan.server_process(server, options)).collect::<anyhow::Result<Vec<_>>>()?;
        let roles = plan.nodes.iter().map(|node| plan.role_process(*node, options));
        let supervisor = Supervisor::start(servers.into_iter().chain(roles).collect())?;
        Ok(Self { plan, options: options.clone(), supervisor })
    }

    /// Wait until all nodes are registered and all shards run; `tell` hears what is waited for, again and again. From then on
    /// warnings reach the terminal.
    ///
    /// # Errors
    /// A process died, or it takes longer than a minute.
    pub async fn until_up(&mut self, tell: &mut (dyn FnMut(&str) + Send)) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            if let Some(death) = self.supervisor.poll_deaths().into_iter().next() {
                bail!("{death}");
            }
            let missing = match self.status().await {
                Ok(status) => self.plan.missing(&status),
                Err(_) => Some("world-1 starts".to_owned()),
            };
            let Some(missing) = missing else {
                self.supervisor.set_calm(false);
                return Ok(());
            };
            if began.elapsed() > UP_TIME_MAX {
                bail!("the world is not up after {} s: {missing}. Logs: {}", UP_TIME_MAX.as_secs(), self.logs().display());
            }
            tell(&format!("Starting Pangaea ({:.0} s): {missing}", began.elapsed().as_secs_f64()));
            tokio::time::sleep(LOOK_EVERY * 2).await;
        }
    }

    /// Let bots play, as one more process.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn add_bots(&mut self, options: &UpOptions) -> anyhow::Result<()> {
        self.supervisor.add(self.plan.bots_process(options))
    }

    /// Start scenes of another build beside those that run. All, or none.
    ///
    /// # Errors
    /// There is no room for so many, or they cannot be started; the text says which.
    async fn start_scenes(&mut self, program: &Path, count: u16) -> anyhow::Result<Vec<NodeId>> {
        let free = (1..=SCENES_MAX).map(|n| NodeId::new(Role::Scene, n)).filter(|scene| !self.plan.nodes.contains(scene));
        let scenes: Vec<_> = free.take(usize::from(count)).collect();
        let running = self.plan.nodes.iter().filter(|node| node.role == Role::Scene).count();
        if scenes.len() < usize::from(count) {
            bail!("{running} scenes run, and one machine takes {SCENES_MAX}: there is no room for {count} more");
        }
        self.plan.ports.check(&scenes)?;
        let program = self.plan.builds.keep(program)?;
        for scene in &scenes {
            let spec = self.plan.role_process(*scene, &self.options);
            if let Err(error) = self.supervisor.add(ChildSpec { program: program.clone(), ..spec }) {
                let names: Vec<_> = scenes.iter().map(NodeId::to_string).collect();
                self.stop_scenes(&names).await;
                return Err(error);
            }
            self.plan.nodes.push(*scene);
        }
        Ok(scenes)
    }

    /// Stop scenes for good. Their names, if they ran.
    async fn stop_scenes(&mut self, names: &[String]) -> Vec<String> {
        let mut ended = Vec::new();
        for name in names {
            let Some(scene) = name.parse().ok().filter(|node: &NodeId| node.role == Role::Scene) else { continue };
            if self.supervisor.end(name, SCENE_STOP_GRACE).await.is_some() {
                ended.push(name.clone());
            }
            self.plan.nodes.retain(|node| *node != scene);
        }
        ended
    }

    /// Do what somebody rang for.
    pub(super) async fn obey(&mut self, order: &UpOrder) -> UpAnswer {
        match order {
            UpOrder::Start { program, scenes } => {
                let started = self.start_scenes(program, *scenes).await.map_err(|error| format!("{error:#}"))?;
                Ok(started.iter().map(NodeId::to_string).collect())
            }
            UpOrder::Stop { scenes } => Ok(self.stop_scenes(scenes).await),
        }
    }

    /// Who died since the last look. The world is told, and whose pause is over is started again.
    pub fn look(&mut self) -> Vec<Death> {
        let deaths = self.supervisor.poll_deaths();
        for death in &deaths {
            self.plan.report_dead(death);
        }
        self.supervisor.restart_due();
        deaths
    }

    /// Whether only errors of the processes reach the terminal, or warnings too.
    pub fn set_calm(&mut self, calm: bool) {
        self.supervisor.set_calm(calm);
    }

    /// End all in order. Returns what did not go well, in words.
    pub async fn stop(mut self) -> Vec<String> {
        self.supervisor.stop_all().await
    }

    /// The process of a node, while it runs.
    pub fn pid(&self, node: NodeId) -> Option<u32> {
        let name = node.to_string();
        self.supervisor.running().into_iter().find(|(running, _)| *running == name).map(|(_, pid)| pid)
    }

    /// The engine's servers that were started here: names, and processes of those that run.
    pub fn servers(&self) -> Vec<(&str, Option<u32>)> {
        let running = self.supervisor.running();
        // The supervisor knows the shell around it.
        let server_in = |shell: u32| child_named(shell, server::PROGRAM);
        let pid = |name: &str| running.iter().find(|(other, _)| *other == name).and_then(|(_, shell)| server_in(*shell));
        self.plan.servers.iter().map(|server| (server.name.as_str(), pid(&server.name))).collect()
    }

    /// The admin API's answer to a `GET`, whoever leads.
    ///
    /// # Errors
    /// No world process that leads answers, or something else.
    pub async fn get(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        // All at once: whoever stands by says so, and whoever is cut off says nothing for long. From another host than the
        // leader's only somebody with a token may ask.
        let webs: Vec<_> = self.plan.webs().collect();
        let token = Some(self.plan.operator_token.as_str());
        let asked: Vec<_> = webs.iter().map(|web| Box::pin(client::get(web, path, token))).collect();
        let (answer, _) = select_ok(asked).await?;
        Ok(answer)
    }

    /// What the admin API says now.
    ///
    /// # Errors
    /// The world does not answer, or something else.
    pub async fn status(&self) -> anyhow::Result<StatusView> {
        serde_json::from_slice(&self.get("/api/status").await?).context("the admin API's status is not JSON")
    }

    /// What a status lacks, in words; `None` when the world is up.
    pub fn missing(&self, status: &StatusView) -> Option<String> {
        self.plan.missing(status)
    }

    /// In start order, which is the order of roles.
    pub fn nodes(&self) -> &[NodeId] {
        &self.plan.nodes
    }

    /// Which port is whose.
    pub fn ports(&self) -> PortTable {
        self.plan.ports
    }

    /// Where everything durable is.
    pub fn data_dir(&self) -> &Path {
        self.plan.data_dir.path()
    }

    /// Where the processes' logs are.
    pub fn logs(&self) -> PathBuf {
        self.data_dir().join("logs")
    }
}

/// What was checked before the start.
struct Plan {
    ports: PortTable,
    nodes: Vec<NodeId>,
    advertised: BTreeMap<NodeId, SocketAddr>,
    engine: Option<EngineOptions>,
    /// Of the engine, started here.
    servers: Vec<ServerPlan>,
    data_dir: DataDir,
    operator_token: String,
    builds: Builds,
    program: PathBuf,
    cluster: ClusterSpec,
}

impl Plan {
    fn of(options: &UpOptions) -> anyhow::Result<Self> {
        if !(1..=SCENES_MAX).contains(&options.scenes) || !(1..=GATEWAYS_MAX).contains(&options.gateways) {
            bail!("one machine takes 1 to {SCENES_MAX} scenes and 1 to {GATEWAYS_MAX} gateways");
        }
        if !(1..=TRIPLE_MAX).contains(&options.worlds) || !(1..=TRIPLE_MAX).contains(&options.datas) {
            bail!("one machine takes 1 to {TRIPLE_MAX} world processes, and as many data processes");
        }
        if options.engine == UpEngine::Embedded && (options.worlds > 1 || options.datas > 1) {
            bail!("several world or data processes agree through the engine: add --engine nats");
        }
        let ports = PortTable::new(options.port_base)
            .with_context(|| format!("--port-base must be from 1024 to {}", u16::MAX - PORTS))?
            .on(options.hosts.addresses);
        let nodes = nodes_of(options);
        // In network namespaces nobody else listens.
        if options.hosts.namespaces.is_none() {
            ports.check(&nodes)?;
        }
        let data_dir = DataDir::open(&options.data_dir)?;
        if let Some(build) = &options.kept_by {
            build.take(data_dir.path())?;
        }
        let keys = ClusterKeys::below(data_dir.path());
        keys.create_missing()?;
        let operator_token = keys.operator_token()?;
        let own = std::env::current_exe().context("cannot find this program's own file")?;
        let mut builds = Builds::begin(data_dir.path())?;
        let program = builds.keep(&own)?;
        let (advertised, cluster) = (options.advertised.clone(), ClusterSpec::demo());
        let servers = servers(ports, data_dir.path(), &options.engine);
        let engine = match &options.engine {
            UpEngine::Embedded => None,
            UpEngine::Reached(engine) => Some(engine.clone()),
            UpEngine::Own { .. } => Some(server::options(&servers)),
        };
        Ok(Self { ports, nodes, advertised, engine, servers, data_dir, operator_token, builds, program, cluster })
    }

    fn role_process(&self, node: NodeId, options: &UpOptions) -> ChildSpec {
        let args = self.role(node, options).to_args();
        ChildSpec { namespace: options.hosts.namespace(node.ordinal), ..self.process(node.to_string(), args, options) }
    }

    fn process(&self, name: String, args: Vec<String>, options: &UpOptions) -> ChildSpec {
        let (program, log) = (self.program.clone(), self.data_dir.log_of(&name));
        ChildSpec { program, args, namespace: None, log, verbose: options.verbose, name }
    }

    /// A server of the engine, in a shell that ends it when stdin ends, as roles end by themselves.
    fn server_process(&self, plan: &ServerPlan, options: &UpOptions) -> anyhow::Result<ChildSpec> {
        let UpEngine::Own { program, .. } = &options.engine else { bail!("no servers of its own are wanted") };
        let config = plan.write_config(&self.servers)?;
        let words = ["-c", SERVE_UNTIL_STDIN_ENDS].map(str::to_owned).into_iter();
        let paths = [program.display().to_string(), config.display().to_string()];
        let spec = self.process(plan.name.clone(), words.chain(paths).collect(), options);
        Ok(ChildSpec { program: "/bin/sh".into(), namespace: options.hosts.namespace(plan.ordinal), ..spec })
    }

    /// Admin APIs, the leader's among them.
    fn webs(&self) -> impl Iterator<Item = String> {
        let worlds = self.nodes.iter().filter(|node| node.role == Role::World);
        worlds.map(|world| self.ports.http(*world).to_string())
    }

    fn role(&self, node: NodeId, options: &UpOptions) -> RoleOptions {
        let clients = (node.role == Role::Gateway).then(|| ClientListeners {
            tcp: self.ports.client_tcp(node.ordinal),
            ws: self.ports.client_ws(node.ordinal),
            connections_max: CONNECTIONS_MAX_DEFAULT,
            view_radius_cells: VIEW_CELLS_DEFAULT,
        });
        let world = NodeId::new(Role::World, 1);
        RoleOptions {
            node,
            cluster: self.cluster.clone(),
            listen: self.ports.node(node),
            advertise: self.advertised.get(&node).copied(),
            world: self.advertised.get(&world).copied().unwrap_or_else(|| self.ports.node(world)),
            http: self.ports.http(node),
            data_dir: self.data_dir.path().to_owned(),
            engine: self.engine.as_ref().map(|engine| engine.from_server(node.ordinal)),
            tls: options.tls.clone(),
            supervised: true,
            log: options.log,
            tick_threads: if node.role == Role::Scene { options.tick_threads } else { 0 },
            design: options.design.clone().filter(|_| node.role == Role::World),
            abundance: if node.role == Role::Scene { options.abundance } else { ABUNDANCE_DEFAULT },
            scenes_expected: usize::from(options.scenes),
            store: StoreOptions::default(),
            guests: node.role == Role::Auth,
            clients,
        }
    }

    fn bots_process(&self, options: &UpOptions) -> ChildSpec {
        let seconds = options.run_for.map_or(BOTS_FOR_EVER_S, |span| span.as_secs());
        let words = ["--cluster", &format!("http://{}", self.ports.web()), "bots", "--supervised", "--json"];
        let numbers = ["--count".to_owned(), options.bots.to_string(), "--seconds".to_owned(), seconds.to_string()];
        self.process("bots".to_owned(), words.iter().map(|word| (*word).to_owned()).chain(numbers).collect(), options)
    }

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

    /// Tell the world that a process is dead, so that nobody waits for its lease. In the background: the world itself may hang,
    /// and the others must be watched meanwhile.
    fn report_dead(&self, death: &Death) {
        let Some(pid) = death.pid.filter(|_| death.name.parse::<NodeId>().is_ok()) else { return };
        let reaped = Reaped { node: death.name.clone(), pid };
        let (webs, token) = (self.webs().collect::<Vec<_>>(), self.operator_token.clone());
        tokio::spawn(async move {
            let body = serde_json::to_vec(&reaped).unwrap_or_default();
            // All at once: one that is cut off itself says nothing for long.
            join_all(webs.iter().map(async |web| {
                if let Err(error) = client::post(web, "/api/reaped", &token, &body).await {
                    tracing::debug!("cannot report a death to {web}: {error:#}");
                }
            }))
            .await;
        });
    }
}

/// The nodes that `options` ask for, in start order, which is the order of roles.
pub fn nodes_of(options: &UpOptions) -> Vec<NodeId> {
    let UpOptions { worlds, datas, scenes, gateways, .. } = *options;
    let counts = [(Role::World, worlds), (Role::Data, datas), (Role::Auth, 1), (Role::Scene, scenes), (Role::Gateway, gateways)];
    counts.into_iter().flat_map(|(role, count)| (1..=count).map(move |n| NodeId::new(role, n))).collect()
}

/// The child of a process that runs this program.
fn child_named(parent: u32, program: &str) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let mut pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.find(|pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == program))
}

/// The servers of the engine that are started here.
fn servers(ports: PortTable, data_dir: &Path, engine: &UpEngine) -> Vec<ServerPlan> {
    let UpEngine::Own { servers, .. } = engine else { return Vec::new() };
    let plan = |n: u16| {
        let ([clients, monitor, route], name) = (ports.server(n), format!("nats-{n}"));
        ServerPlan { ordinal: n, folder: data_dir.join(&name), name, clients, monitor, route }
    };
    (1..=(*servers).min(SERVERS_MAX)).map(plan).collect()
}
