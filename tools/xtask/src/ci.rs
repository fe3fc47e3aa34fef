//! `cargo xtask ci`: every check in one order, cheap ones first, each with its time. All run even when one fails, so one run
//! tells everything; what cannot run here is skipped loudly.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cluster::{Cluster, free_ports};
use crate::{nats, schemas, tidy};

/// Seeds of the simulator per run.
const SIM_SEEDS: &str = "16";

/// Planted bugs that the simulator must find within that many seeds: some that it finds at once, or its checks see nothing.
const SIM_MUTANTS: [&str; 3] = ["acknowledge-before-durable", "commit-before-out", "resume-without-claim"];

/// Faults on a real cluster: so long, and each kind at least once, in the order that the seed draws.
const CHAOS_SECONDS: &str = "25";
const CHAOS_SEED: &str = "1";
const CHAOS_FAULTS: &str = "kill_scene,kill_gateway,kill_data,kill_world,pause_scene,cut_link,full_disk";
/// The same where no process is the only one of its kind.
const ENGINE_CHAOS_SECONDS: &str = "10";
const ENGINE_CHAOS_FAULTS: &str = "kill_engine,kill_world,kill_data,kill_scene";
/// The same spread over three hosts: a whole one dies, has a lossy network, and one of each kind of process dies. A lag is left
/// out: it takes an unoptimised build, which is late by itself, beyond its leases.
const HOSTS_CHAOS_SECONDS: &str = "1";
const HOSTS_CHAOS_FAULTS: &str = "kill_host,lose_host,kill_engine,kill_world,kill_data,kill_scene";
/// Players meanwhile; and few, where the network between hosts takes its share of the machine.
const CHAOS_BOTS: &str = "40";
const HOSTS_CHAOS_BOTS: &str = "16";
/// Unoptimised, on few cores: how long recovery takes there is no measure of it.
const CHAOS_PATIENCE: &str = "10";

/// The browser where nobody names another.
const CHROMIUM: &str = "/usr/bin/chromium";

/// What became of a step.
enum Outcome {
    Passed,
    Failed(anyhow::Error),
    Skipped(String),
}

/// A step's name and what it does.
type Step = (&'static str, fn(&Path) -> Outcome);

const STEPS: &[Step] = &[
    ("format", |root| cargo(root, &["fmt", "--all", "--check"])),
    ("tidy", |root| tidy::check(root).into()),
    ("schemas", fresh_schemas),
    ("clippy", clippy),
    ("engine's server", engine_server),
    ("build", |root| crate::build(root).into()),
    ("test", |root| cargo(root, &["test", "--locked", "--workspace", "--no-fail-fast"])),
    ("new game", new_game),
    ("simulator", simulator),
    ("models", |root| cargo(root, &["model"])),
    ("chaos", chaos),
    ("chaos on the engine", engine_chaos),
    ("chaos on several hosts", hosts_chaos),
    ("web", web),
    ("browser", browser),
];

/// Runs every step; fails when one did.
#[allow(clippy::print_stdout, reason = "progress is this command's purpose")]
pub fn run(root: &Path) -> anyhow::Result<()> {
    let mut report: Vec<(&str, Duration, Outcome)> = Vec::new();
    for (count, (name, step)) in STEPS.iter().enumerate() {
        println!("== [{}/{}] {name}", count + 1, STEPS.len());
        let start = Instant::now();
        let outcome = step(root);
        println!("== {}", line(name, start.elapsed(), &outcome));
        report.push((name, start.elapsed(), outcome));
    }
    println!("\n== summary");
    for (name, time, outcome) in &report {
        println!("{}", line(name, *time, outcome).lines().next().unwrap_or_default());
    }
    let failed: Vec<&str> = report.iter().filter(|(_, _, o)| matches!(o, Outcome::Failed(_))).map(|(name, ..)| *name).collect();
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn line(name: &str, time: Duration, outcome: &Outcome) -> String {
    let seconds = time.as_secs_f32();
    match outcome {
        Outcome::Passed => format!("passed   {seconds:7.1} s  {name}"),
        Outcome::Failed(error) => format!("FAILED   {seconds:7.1} s  {name}: {error:#}"),
        Outcome::Skipped(why) => format!("SKIPPED  {seconds:7.1} s  {name}: {why}"),
    }
}

impl From<anyhow::Result<()>> for Outcome {
    fn from(result: anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(error),
        }
    }
}

fn cargo(root: &Path, arguments: &[&str]) -> Outcome {
    crate::run(Command::new("cargo").args(arguments).current_dir(root)).into()
}

fn clippy(root: &Path) -> Outcome {
    cargo(root, &["clippy", "--locked", "--workspace", "--all-targets", "--keep-going", "--", "--deny", "warnings"])
}

fn fresh_schemas(root: &Path) -> Outcome {
    match schemas::available(root) {
        Ok(()) => schemas::check(root).into(),
        Err(why) => Outcome::Skipped(why),
    }
}

/// Tests of the engine run against a real server, and say so when there is none.
fn engine_server(root: &Path) -> Outcome {
    match nats::install(root) {
        Ok(_) => Outcome::Passed,
        Err(why) => Outcome::Skipped(format!("{why:#}; the engine's tests check nothing")),
    }
}

/// What `pangaea new` makes fits together with this checkout. Its code is compiled and tried by the game's tests.
fn new_game(root: &Path) -> Outcome {
    let check = || {
        crate::build(root)?;
        let place = root.join("target/new-game");
        if place.exists() {
            std::fs::remove_dir_all(&place)?;
        }
        std::fs::create_dir_all(&place)?;
        crate::run(Command::new(crate::built(root, "pangaea")).args(["new", "my-game"]).current_dir(&place))?;
        crate::run(Command::new("cargo").args(["tree", "--offline", "--depth", "0"]).current_dir(place.join("my-game")))
    };
    check().into()
}

fn simulator(root: &Path) -> Outcome {
    let simulate = |more: &[&str]| {
        let seeds = ["--seeds", SIM_SEEDS, "--jobs", "2", "--quiet"];
        crate::run(Command::new(crate::built(root, "sim")).args(seeds).args(more).current_dir(root))
    };
    let check = || {
        crate::build(root)?;
        simulate(&[])?;
        SIM_MUTANTS.iter().try_for_each(|mutant| simulate(&["--mutant", mutant]))
    };
    check().into()
}

/// A cluster of real processes is hurt while bots storm its borders; its ledger, its files and what the bots saw must be right.
fn chaos(root: &Path) -> Outcome {
    hurt(root, "chaos", &["--bots", CHAOS_BOTS, "--seconds", CHAOS_SECONDS, "--only", CHAOS_FAULTS]).into()
}

/// The same with three servers of the engine, two worlds and two data nodes.
fn engine_chaos(root: &Path) -> Outcome {
    if let Err(why) = nats::install(root) {
        return Outcome::Skipped(format!("{why:#}"));
    }
    let triple = ["--engine", "nats", "--engine-nodes", "3", "--worlds", "2", "--datas", "2"];
    let faults = ["--bots", CHAOS_BOTS, "--seconds", ENGINE_CHAOS_SECONDS, "--only", ENGINE_CHAOS_FAULTS];
    hurt(root, "engine-chaos", &[&triple[..], &faults].concat()).into()
}

/// The same on hosts with a network between them. Where there can be no network namespaces it says so, and hurts no network.
fn hosts_chaos(root: &Path) -> Outcome {
    if let Err(why) = nats::install(root) {
        return Outcome::Skipped(format!("{why:#}"));
    }
    let hosts = ["--engine", "nats", "--hosts", "3"];
    let faults = ["--bots", HOSTS_CHAOS_BOTS, "--seconds", HOSTS_CHAOS_SECONDS, "--only", HOSTS_CHAOS_FAULTS];
    hurt(root, "hosts-chaos", &[&hosts[..], &faults].concat()).into()
}

fn hurt(root: &Path, name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    crate::build(root)?;
    let folder = root.join("target/ci").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let base = free_ports()?.to_string();
    let mut command = Command::new(crate::built(root, "pangaea"));
    command.current_dir(root).args(["chaos", "--seed", CHAOS_SEED]).args(arguments);
    command.args(["--patience", CHAOS_PATIENCE, "--port-base", &base, "--data-dir"]).arg(folder);
    crate::run(command.stdin(Stdio::null()))
}

/// The browser client's own checks; they need npm and, once, its registry.
fn web(root: &Path) -> Outcome {
    if let Err(error) = npm(root, &["ci", "--no-audit", "--no-fund", "--loglevel=error"], &[]) {
        return Outcome::Skipped(format!("npm cannot install: {error:#}"));
    }
    npm(root, &["run", "check"], &[]).into()
}

/// The page in a real browser, on a real cluster.
fn browser(root: &Path) -> Outcome {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| CHROMIUM.to_owned());
    if !Path::new(&chromium).exists() {
        return Outcome::Skipped(format!("there is no {chromium}; the variable CHROMIUM names another"));
    }
    if !root.join("tools/web/node_modules/playwright-core").exists() {
        return Outcome::Skipped("npm has not installed playwright-core".to_owned());
    }
    let check = || {
        // Drawing in software takes the machine's cores: few bots leave room for it.
        let cluster = Cluster::start(root, &["--bots", "4"])?;
        let token = cluster.operator_token()?;
        let variables = [("PANGAEA_URL", cluster.url()), ("PANGAEA_TOKEN", &token), ("CHROMIUM", &chromium)];
        npm(root, &["run", "e2e"], &variables)?;
        cluster.stop()
    };
    check().into()
}

fn npm(root: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<()> {
    let variables = variables.iter().copied();
    crate::run(Command::new("npm").args(arguments).envs(variables).current_dir(root.join("tools/web")).stdin(Stdio::null()))
}
