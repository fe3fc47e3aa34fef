//! One run: the cluster and its bots, the faults one after the other, the measuring, the end.

mod drill;
mod hurt;
mod takeover;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangaea_bots::{BotOptions, Endpoint, Fleet, Report, Scenario, Sighting, Stage, Vitals};
use pangaea_node::halt::HaltDrill;
use pangaea_node::telemetry::LogFormat;
use pangaea_node::up::{DataDir, Hosts, LocalCluster, PortTable, UpEngine, UpOptions, nodes_of};
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::{NodeId, Role};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use crate::ChaosOptions;
use crate::audit;
use crate::disk::Disk;
use crate::fault::{Fault, FaultKind, Ground, Setting};
use crate::hosts::Land;
use crate::judge::{Episode, judge};
use crate::plan::{Plan, Round};
use crate::relay::Relays;
use crate::report::{ChaosReport, spread};

/// Between two looks at bots and processes: the resolution of all times.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Between two looks at the cluster's status, which is made five times a second.
const STATUS_EVERY: Duration = Duration::from_millis(100);
/// A status that takes longer is none.
const STATUS_TIME_MAX: Duration = Duration::from_secs(1);
/// Whatever was done, all is well again so long after it was healed.
const BACK_TIME_MAX: Duration = Duration::from_secs(20);
/// A killed scene's world is back within this time.
const SCENE_BACK_PROMISE: Duration = Duration::from_secs(2);
/// News of value that come so soon after a fault were on their way before.
const VALUE_ON_ITS_WAY: Duration = Duration::from_millis(100);
/// Value that moved so shortly before a fault must move again after it; with few bots it may just rest.
const VALUE_FLOWS_WITHIN: Duration = Duration::from_secs(10);
/// In so many rounds per kind of fault each kind that was asked for by name has been done.
const MORE_ROUNDS: usize = 3;
/// All bots are in the world by then.
const GATHER_TIME_MAX: Duration = Duration::from_secs(60);
/// At the end all inputs are answered by then.
const REST_TIME_MAX: Duration = Duration::from_secs(20);
/// By then all shards have reported who is in them since everything rests.
const REPORTS_TIME_MAX: Duration = Duration::from_secs(3);
/// Then this long nothing happens: what is still under way ends.
const REST_TIME: Duration = Duration::from_secs(3);

/// Start a cluster, hurt it, look what became of it.
///
/// # Errors
/// It could not be started or watched, or somebody ended the run. Nothing is left running.
pub async fn run(options: &ChaosOptions) -> anyhow::Result<ChaosReport> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        report = run_undisturbed(options) => report,
        _ = interrupt.recv() => bail!("interrupted; the cluster is gone"),
        _ = terminate.recv() => bail!("told to end; the cluster is gone"),
    }
}

async fn run_undisturbed(options: &ChaosOptions) -> anyhow::Result<ChaosReport> {
    say(&format!("seed {}", options.seed));
    let mut home = Home::of(options)?;
    let drill = if options.drill { Some(HaltDrill::prepare(&home.folder).context("cannot prepare the drill")?) } else { None };
    let land = Land::make(options.hosts, options.seed);
    if let Some(words) = land.describe() {
        say(&words);
    }
    let setting = Setting { engine: matches!(options.engine, UpEngine::Own { .. }), ground: land.ground() };
    let mut skipped = skipped(options, setting, &land);
    let disk = match FaultKind::FullDisk.is_impossible(setting) {
        Some(_) => None,
        None => {
            let tell = |error: &anyhow::Error| {
                say(&format!("SKIPPING full_disk: {error:#}"));
                skipped.insert(FaultKind::FullDisk.name(), format!("{error:#}"));
            };
            Disk::mount(&home.store()).inspect_err(tell).ok()
        }
    };
    let storm = Storm::start(options, &home, disk, skipped, (setting, land)).await?;
    let report = storm.live(drill).await?;
    if report.ok() {
        home.remove()
    } else {
        home.keep()
    }
    Ok(report)
}

/// Where the cluster lives.
struct Home {
    folder: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Home {
    fn of(options: &ChaosOptions) -> anyhow::Result<Self> {
        let temporary = match options.data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("pangaea-chaos-").tempdir().context("no temporary folder")?),
        };
        let folder = options.data_dir.clone().or_else(|| Some(temporary.as_ref()?.path().to_owned())).context("no folder")?;
        let store = folder.join("data");
        if store.exists() {
            bail!("there is a world in {}, and chaos wants a fresh one: choose another folder", folder.display());
        }
        // Marks the folder before a disk is mounted in it; the lock is given back at once.
        drop(DataDir::open(&folder)?);
        Ok(Self { folder, temporary })
    }

    fn store(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn keep(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
        say(&format!("everything is kept in {}", self.folder.display()));
    }

    fn remove(&mut self) {
        drop(self.temporary.take());
    }
}

/// What was asked for by name and cannot be done to such a cluster, and what cannot be done on this machine.
fn skipped(options: &ChaosOptions, setting: Setting, land: &Land) -> BTreeMap<String, String> {
    let is_wanted = |kind: &FaultKind| options.only.is_empty() || options.only.contains(kind);
    let mut skipped = BTreeMap::new();
    if let Land::Addresses(_, why) = land {
        for kind in FaultKind::ALL.into_iter().filter(|kind| kind.needs_network() && is_wanted(kind)) {
            say(&format!("SKIPPING {}: {why}", kind.name()));
            skipped.insert(kind.name(), format!("hosts are addresses of this machine without a network between them: {why}"));
        }
    }
    for kind in &options.only {
        if let Some(why) = kind.is_impossible(setting) {
            skipped.entry(kind.name()).or_insert_with(|| why.to_owned());
        }
    }
    skipped
}

/// The cluster that is hurt.
fn up_options(options: &ChaosOptions, home: &Home, hosts: Hosts) -> UpOptions {
    UpOptions {
        data_dir: home.folder.clone(),
        port_base: options.port_base,
        scenes: options.scenes,
        gateways: options.gateways,
        worlds: options.worlds,
        datas: options.datas,
        engine: options.engine.clone(),
        bots: 0,
        run_for: None,
        tick_threads: 0,
        design: None,
        abundance: pangaea_node::role::ABUNDANCE_DEFAULT,
        verbose: false,
        log: LogFormat::Human,
        hosts,
        advertised: BTreeMap::new(),
        tls: None,
        kept_by: None,
    }
}

/// What is due at a moment of a round.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(Fault),
    Heal(Fault),
}

/// A cluster that is being hurt.
struct Storm {
    options: ChaosOptions,
    began: Instant,
    folder: PathBuf,
    setting: Setting,
    cluster: LocalCluster,
    /// Between nodes of one machine.
    relays: Option<Relays>,
    /// Under the cluster: it is removed after the cluster has ended.
    land: Land,
    disk: Option<Disk>,
    fleet: Fleet,
    episodes: Vec<Episode>,
    recoveries: BTreeMap<String, Vec<Duration>>,
    /// How long until the others had taken over all that was on a host that is away still.
    takeovers: BTreeMap<String, Vec<Duration>>,
    /// Deaths that were asked for and have not been seen yet.
    deaths_due: BTreeMap<String, u32>,
    /// Who was told or made to end, and which process that was.
    ending: BTreeMap<NodeId, u32>,
    report: ChaosReport,
}

impl Storm {
    async fn start(
        options: &ChaosOptions,
        home: &Home,
        disk: Option<Disk>,
        skipped: BTreeMap<String, String>,
        (setting, land): (Setting, Land),
    ) -> anyhow::Result<Self> {
        let hosts = land.describe();
        let mut up = up_options(options, home, land.hosts());
        let ports = PortTable::new(options.port_base).context("--port-base is out of range")?.on(up.hosts.addresses);
        let relays = match setting.ground {
            Ground::OneMachine => Some(Relays::open(nodes_of(&up).into_iter().map(|node| (node, ports.node(node)))).await?),
            Ground::Addresses | Ground::Network => None,
        };
        up.advertised = relays.as_ref().map_or_else(BTreeMap::new, |relays| relays.addresses().clone());
        let began = Instant::now();
        let mut cluster = LocalCluster::start(&up)?;
        cluster.until_up(&mut |_| {}).await?;
        cluster.set_calm(true);
        let fleet = Fleet::start(&BotOptions {
            endpoints: (1..=options.gateways).map(|n| Endpoint::Tcp(ports.client_tcp(n).to_string())).collect(),
            count: options.bots,
            play: options.play,
            scenario: Scenario::BorderStorm,
            seed: options.seed,
            progress: false,
        });
        Ok(Self {
            options: options.clone(),
            began,
            folder: home.folder.clone(),
            setting,
            cluster,
            relays,
            land,
            disk,
            fleet,
            episodes: Vec::new(),
            recoveries: BTreeMap::new(),
            takeovers: BTreeMap::new(),
            deaths_due: BTreeMap::new(),
            ending: BTreeMap::new(),
            report: ChaosReport { seed: options.seed, hosts, skipped, ..ChaosReport::default() },
        })
    }

    async fn live(mut self, drill: Option<HaltDrill>) -> anyhow::Result<ChaosReport> {
        self.gather().await;
        self.fleet.measure();
        match drill {
            Some(halt) => self.drill(&halt).await?,
            None => self.suffer_all().await?,
        }
        self.end().await
    }

    /// Faults as they are drawn, as long as is wanted.
    async fn suffer_all(&mut self) -> anyhow::Result<()> {
        let kinds = self.kinds();
        if kinds.is_empty() {
            bail!("no kind of fault is left that can be done here");
        }
        let servers = self.cluster.servers().len() as u16;
        let mut plan = Plan::new(self.options.seed, self.cluster.nodes(), servers, self.options.hosts, &kinds);
        let play_began = Instant::now();
        for round in 0.. {
            let is_over = play_began.elapsed() >= self.options.play;
            let missing = self.named_and_not_done(&kinds);
            if is_over && (missing.is_empty() || round >= MORE_ROUNDS * kinds.len()) {
                missing.into_iter().for_each(|kind| self.anomaly("not_done", format!("{kind} was wanted")));
                break;
            }
            // Two at once may hurt the same node, and then only one of them is done.
            let overlapping = !is_over && play_began.elapsed() > self.options.play / 2;
            self.suffer(&plan.next_round(overlapping)).await?;
        }
        Ok(())
    }

    /// Kinds that somebody asked for by name are each done once, however long that takes.
    fn named_and_not_done(&self, kinds: &[FaultKind]) -> Vec<String> {
        let named = kinds.iter().filter(|kind| self.options.only.contains(kind)).map(|kind| kind.name());
        named.filter(|kind| !self.report.faults.contains_key(kind)).collect()
    }

    /// What is wanted and can be done here.
    fn kinds(&self) -> Vec<FaultKind> {
        let is_wanted = |kind: &FaultKind| self.options.only.is_empty() || self.options.only.contains(kind);
        let is_possible =
            |kind: &FaultKind| kind.is_impossible(self.setting).is_none() && !self.report.skipped.contains_key(&kind.name());
        FaultKind::ALL.into_iter().filter(|kind| is_wanted(kind) && is_possible(kind)).collect()
    }

    /// Until all bots are in the world, or have given up.
    async fn gather(&mut self) {
        let began = Instant::now();
        while began.elapsed() < GATHER_TIME_MAX && self.fleet.vitals().any(|bot| bot.stage == Stage::Entering) {
            self.look();
            sleep(LOOK_EVERY).await;
        }
        self.say(&format!("{} bots play", self.fleet.vitals().filter(|bot| bot.stage == Stage::Playing).count()));
    }

    /// Do a round of faults, heal them, and wait until all is well.
    async fn suffer(&mut self, round: &Round) -> anyhow::Result<()> {
        let start = Instant::now();
        let faults = std::iter::once((start, round.first)).chain(round.second.map(|(later, second)| (start + later, second)));
        let mut steps = Vec::new();
        for (at, fault) in faults {
            steps.push((at, Step::Begin(fault)));
            if !fault.lasts.is_zero() {
                steps.push((at + fault.lasts, Step::Heal(fault)));
            }
        }
        steps.sort_by_key(|(at, _)| *at);
        let mut begun: Vec<(Instant, Fault)> = Vec::new();
        let mut hurt = start;
        for (at, step) in steps {
            match begun.as_slice() {
                [(since, fault)] if fault.kind.takes_a_host_away() => self.watch_takeover(*since, fault, at).await,
                _ => self.look_until(at).await,
            }
            match step {
                Step::Begin(fault) => {
                    self.say(&fault.to_string());
                    begun.push((Instant::now(), fault));
                    self.begin(&fault)?;
                    hurt = Instant::now();
                    *self.report.faults.entry(fault.kind.name()).or_default() += 1;
                }
                Step::Heal(fault) => {
                    self.say(&format!("  healed: {}", fault.kind.name()));
                    self.heal(&fault)?;
                }
            }
        }
        self.recover(begun, hurt).await;
        self.look_until(Instant::now() + round.rest).await;
        Ok(())
    }

    /// Look after the processes until then.
    async fn look_until(&mut self, until: Instant) {
        loop {
            self.look();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK_EVERY)).await;
        }
    }

    fn look(&mut self) {
        let disk_is_full = self.disk.as_ref().is_some_and(Disk::is_full);
        for death in self.cluster.look() {
            match self.deaths_due.get_mut(&death.name).filter(|due| **due > 0) {
                Some(due) => *due -= 1,
                // What a full disk does to its process is its own choice, as long as nothing is lost.
                None if disk_is_full && death.name.starts_with(Role::Data.name()) => self.say(&format!("  {death}")),
                None => self.anomaly("died", death.to_string()),
            }
        }
    }

    /// Wait until all is well, and count how long that took. All faults were done at `hurt`: what a bot asked before, a process
    /// may have answered that died right after.
    async fn recover(&mut self, begun: Vec<(Instant, Fault)>, hurt: Instant) -> Duration {
        let lasting = begun.iter().any(|(_, fault)| !fault.lasts.is_zero());
        let since = if lasting { Instant::now() } else { hurt };
        let back = self.until_back(since).await;
        let over = Instant::now();
        let took = over.duration_since(since);
        let (name, promise) = match begun.as_slice() {
            [(_, fault)] if fault.kind == FaultKind::Kill(Role::Scene) => (fault.kind.name(), SCENE_BACK_PROMISE),
            [(_, fault)] => (fault.kind.name(), BACK_TIME_MAX),
            _ => ("overlapping".to_owned(), BACK_TIME_MAX),
        };
        match back {
            Ok(()) if took > self.patient(promise) => {
                self.anomaly("slow_recovery", format!("{name}: back after {} ms", took.as_millis()));
            }
            Ok(()) => self.say(&format!("  back after {} ms", took.as_millis())),
            Err(missing) => self.anomaly("not_back", format!("{name}: after {} ms: {missing}", took.as_millis())),
        }
        self.recoveries.entry(name).or_default().push(took);
        self.episodes.extend(begun.into_iter().map(|(began, fault)| Episode { fault, began, over }));
        took
    }

    /// Until all shards run, every bot is answered what it asked after `since`, and gold and items move again; an error says what
    /// is still missing.
    async fn until_back(&mut self, since: Instant) -> Result<(), String> {
        let value_flowed = self.last_value() > since.checked_sub(VALUE_FLOWS_WITHIN);
        let (mut next_status, mut lacks) = (Instant::now(), Some("no status yet".to_owned()));
        loop {
            self.look();
            if lacks.is_some() && Instant::now() >= next_status {
                next_status = Instant::now() + STATUS_EVERY;
                lacks = self.lacks().await;
            }
            let waiting = self.waiting_bots(since);
            let value = !value_flowed || self.last_value() > Some(since + VALUE_ON_ITS_WAY);
            if lacks.is_none() && waiting.is_empty() && value {
                return Ok(());
            }
            if since.elapsed() > self.patient(BACK_TIME_MAX) {
                let lacks = lacks.unwrap_or_default();
                return Err(format!("{lacks}; value flows: {value}; {} bots wait: {}", waiting.len(), waiting.join(", ")));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// When anybody was last told of a change of what it owns.
    fn last_value(&self) -> Option<Instant> {
        self.fleet.vitals().filter_map(|bot| bot.told).max()
    }

    fn waiting_bots(&self, since: Instant) -> Vec<String> {
        let bots = self.fleet.vitals().enumerate();
        let waits = |bot: &Vitals| bot.stage != Stage::Out && !(bot.stage == Stage::Playing && bot.answered > Some(since));
        bots.filter(|(_, bot)| waits(bot)).map(|(number, bot)| format!("bot {number} ({:?})", bot.stage)).collect()
    }

    /// What the cluster lacks, by its own status; a status that still shows a dead process is an old one.
    async fn lacks(&self) -> Option<String> {
        // Who ends in good order serves for a while, and all looks well.
        if let Some((node, _)) = self.ending.iter().find(|(node, pid)| self.cluster.pid(**node) == Some(**pid)) {
            return Some(format!("{node} has not ended yet"));
        }
        let Ok(Ok(status)) = timeout(STATUS_TIME_MAX, self.cluster.status()).await else {
            return Some("the world does not answer".to_owned());
        };
        let is_old = |node: &&NodeId| {
            let shown = status.nodes.iter().find(|shown| shown.id == node.to_string());
            shown.map(|shown| shown.pid) != self.cluster.pid(**node)
        };
        let old = self.cluster.nodes().iter().find(is_old);
        old.map(|node| format!("{node} is not registered")).or_else(|| self.cluster.missing(&status))
    }

    fn patient(&self, promise: Duration) -> Duration {
        promise.mul_f64(self.options.patience)
    }

    fn anomaly(&mut self, kind: &str, text: String) {
        self.say(&format!("  ANOMALY {kind}: {text}"));
        self.report.count(kind, text);
    }

    /// A line of progress, with the time since the start.
    fn say(&self, text: &str) {
        say(&format!("[{:7.2} s] {text}", self.began.elapsed().as_secs_f64()));
    }

    /// Let everything rest, look at the data, end the cluster, look again.
    async fn end(mut self) -> anyhow::Result<ChaosReport> {
        self.say("rest");
        self.fleet.rest();
        let began = Instant::now();
        while began.elapsed() < REST_TIME_MAX && self.fleet.vitals().any(|bot| bot.unanswered > 0) {
            self.look_until(Instant::now() + LOOK_EVERY).await;
        }
        self.look_until(Instant::now() + REST_TIME).await;
        let bots: Vec<_> = self.fleet.vitals().collect();
        self.check_status(&bots).await;
        match audit::live(&self.cluster).await {
            Ok(faults) => self.report.ledger_faults.extend(faults.into_iter().map(|fault| format!("live: {fault}"))),
            Err(error) => self.report.ledger_faults.push(format!("live: {error:#}")),
        }
        self.stop(&bots).await
    }

    async fn check_status(&mut self, bots: &[Vitals]) {
        // What died last may have come back to a world that still waited for an engine.
        let began = Instant::now();
        while let Some(lacks) = self.lacks().await {
            if began.elapsed() > self.patient(BACK_TIME_MAX) {
                self.anomaly("not_running", lacks);
                break;
            }
            self.look_until(Instant::now() + STATUS_EVERY).await;
        }
        // Shards report one after the other: who crosses between them may be counted twice, once.
        let playing = bots.iter().filter(|bot| bot.stage == Stage::Playing).count() as u64;
        let began = Instant::now();
        loop {
            let Ok(status) = self.cluster.status().await else { return };
            let players: u64 = status.shards.iter().map(|shard| u64::from(shard.players)).sum();
            if players == playing {
                return;
            }
            if began.elapsed() > self.patient(REPORTS_TIME_MAX) {
                let populous = status.shards.iter().filter(|shard| shard.players > 0);
                let where_all: Vec<_> =
                    populous.map(|shard| format!("{} {:?} {}", shard.id, shard.owner, shard.players)).collect();
                let where_all = where_all.join(", ");
                return self.anomaly("owners", format!("{playing} bots play, but shards run {players} players: {where_all}"));
            }
            self.look_until(Instant::now() + STATUS_EVERY).await;
        }
    }

    async fn stop(self, bots: &[Vitals]) -> anyhow::Result<ChaosReport> {
        self.say("stop");
        let Self { options, cluster, disk, fleet, episodes, recoveries, takeovers, mut report, began, folder, land, .. } = self;
        let seen = fleet.end().await;
        for trouble in cluster.stop().await {
            report.count("bad_end", trouble);
        }
        drop(land);
        for copy in (1..=options.datas).map(|n| if n == 1 { "data".to_owned() } else { format!("data-{n}") }) {
            match audit::files(&folder.join(&copy), &ClusterSpec::demo(), bots) {
                Ok(findings) => {
                    report.ledger_faults.extend(findings.value.into_iter().map(|fault| format!("files in {copy}: {fault}")));
                    findings.ownership.into_iter().for_each(|fault| report.count("owners", format!("{copy}: {fault}")));
                }
                Err(error) => report.ledger_faults.push(format!("files in {copy}: {error:#}")),
            }
        }
        disk.map_or(Ok(()), Disk::keep)?;
        report.ledger_ok = report.ledger_faults.is_empty();
        report.takeover_ms = takeovers.into_iter().map(|(kind, spans)| (kind, spread(spans))).collect();
        report.recovery_ms = recoveries.into_iter().map(|(kind, spans)| (kind, spread(spans))).collect();
        weigh(&mut report, seen, &episodes, began);
        Ok(report)
    }
}

/// Judge what the bots saw, and count what nothing excuses.
fn weigh(report: &mut ChaosReport, seen: Report, episodes: &[Episode], began: Instant) {
    (report.connected, report.inputs_per_s, report.deeds) = (seen.connected, seen.inputs_per_s, seen.deeds);
    let verdict = judge(episodes, &seen.sightings);
    report.allowed = verdict.allowed;
    for sighting in verdict.anomalies {
        let seconds = |at: Instant| at.saturating_duration_since(began).as_secs_f64();
        let last = episodes.iter().filter(|episode| episode.began <= sighting.at).max_by_key(|episode| episode.began);
        let last = last.map_or_else(String::new, |Episode { fault, began, over }| {
            format!("; last fault: {fault}, from {:.2} s, well again at {:.2} s", seconds(*began), seconds(*over))
        });
        let Sighting { at, gateway, scene, former_scene, text, size, .. } = sighting;
        let place = format!("at {:.2} s, {gateway}, {scene} (before {former_scene})", seconds(at));
        report.count(sighting.kind.name(), format!("{place}, size {size:.1}: {text}{last}"));
    }
    let forgotten = seen.anomalies_total - seen.sightings.len() as u64;
    if forgotten > 0 {
        report.count("unjudged", format!("{forgotten} more sightings than bots remember"));
    }
}

/// For whoever follows the run: stdout is for the report.
fn say(text: &str) {
    // Nobody may read it.
    let _ = writeln!(std::io::stderr(), "{text}");
}
