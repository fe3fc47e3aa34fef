//! A new build takes over while people play, and is taken back when it is worse.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::edge::{await_sessions, content, play};
use crate::process::{Cluster, Site, all_run, program, read_json, signal};

const PATIENCE: Duration = Duration::from_secs(60);
/// The demo with a slow system.
const SLOW: &str = env!("CARGO_BIN_EXE_slow-game");
/// The demo with one component more.
const OTHER: &str = env!("CARGO_BIN_EXE_other-game");
/// That one, with another layout of it, one component more and an effect.
const EXTENDED: &str = env!("CARGO_BIN_EXE_extended-game");

fn deploy(cluster: &Cluster, site: &Site, build: impl AsRef<Path>, words: &[&str]) -> (Option<i32>, Value) {
    let mut command = cluster.command(&["deploy"]);
    command.arg(build.as_ref()).args(words).args(["--json", "--data-dir"]).arg(site.folder());
    read_json(&command.output().expect("pangaea starts"))
}

fn refused(cluster: &Cluster, site: &Site, build: impl AsRef<Path>) -> String {
    let mut command = cluster.command(&["deploy"]);
    let output = command.arg(build.as_ref()).arg("--data-dir").arg(site.folder()).output().expect("pangaea starts");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn scenes(status: &Value) -> Vec<&str> {
    status["scenes"].as_array().expect("scenes").iter().map(|scene| scene["id"].as_str().expect("a name")).collect()
}

#[test]
fn a_build_is_deployed_under_load_and_a_slow_one_is_taken_back() {
    let site = Site::new();
    let cluster = site.up(&["--scenes", "2"]);
    cluster.await_status("the map is up", PATIENCE, all_run);
    let bots = play(&cluster, 20, 45, &[]);
    await_sessions(&cluster, 20);

    let (code, asked) = deploy(&cluster, &site, program(), &["--dry-run"]);
    assert_eq!((code, &asked["result"]), (Some(0), &"possible".into()), "{asked:#}");
    let (code, other) = deploy(&cluster, &site, OTHER, &["--dry-run"]);
    assert_eq!((code, &other["result"]), (Some(0), &"possible".into()), "{other:#}");
    assert!(other["added"][0].as_str().is_some_and(|line| line.starts_with("component mileage is new")), "{other:#}");
    let foreign = refused(&cluster, &site, "/bin/true");
    assert!(foreign.contains("/bin/true is no build that can be deployed"), "{foreign}");
    assert_eq!(scenes(&cluster.status()), ["scene-1", "scene-2"], "nothing was ordered");

    let (code, slow) = deploy(&cluster, &site, SLOW, &["--watch", "5"]);
    assert_eq!((code, &slow["result"]), (Some(1), &"taken back".into()), "{slow:#}");
    assert!(slow["reason"].as_str().is_some_and(|why| why.contains("median tick went from")), "{slow:#}");
    cluster.await_status("it is as before", PATIENCE, |status| all_run(status) && scenes(status) == ["scene-1", "scene-2"]);

    let (code, deployed) = deploy(&cluster, &site, program(), &["--watch", "5"]);
    assert_eq!((code, &deployed["result"]), (Some(0), &"deployed".into()), "{deployed:#}");
    println!("deployed in {} s: {}", deployed["seconds"], deployed);
    cluster
        .await_status("the new scenes have all", PATIENCE, |status| all_run(status) && scenes(status) == ["scene-3", "scene-4"]);

    let report = content(bots);
    assert_eq!(report["connected"], 20, "{report:#}");
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    assert_eq!(cluster.stop().status.code(), Some(0));
}

/// The shard with most players, which is the most to lose.
fn fullest(cluster: &Cluster) -> String {
    let status = cluster.status();
    let shards = status["shards"].as_array().expect("shards");
    let fullest = shards.iter().max_by_key(|shard| shard["players"].as_u64()).expect("a map");
    assert!(fullest["players"].as_u64() >= Some(1), "{status:#}");
    fullest["id"].as_str().expect("an id").to_owned()
}

fn tick(cluster: &Cluster) -> u64 {
    cluster.status()["tick"].as_u64().expect("a tick")
}

/// A deploy that is called off once its canary has run for some seconds under the new build.
fn deploy_and_call_off(cluster: &Cluster, site: &Site, build: &str, canary: &str) -> Value {
    let mut command = cluster.command(&["deploy", build, "--canary", canary, "--watch", "60", "--json", "--data-dir"]);
    let child: Child = command.arg(site.folder()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("pangaea starts");
    let old = scenes(&cluster.status()).into_iter().map(str::to_owned).collect::<Vec<_>>();
    cluster.await_status("the canary has moved", PATIENCE, |status| {
        let shards = status["shards"].as_array().expect("shards");
        let owner = shards.iter().find(|shard| shard["id"] == canary).and_then(|shard| shard["owner"].as_str());
        owner.is_some_and(|owner| !old.iter().any(|scene| scene == owner))
    });
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        cluster.status();
    }
    signal(child.id(), "INT");
    let (code, outcome) = read_json(&child.wait_with_output().expect("it ends"));
    assert_eq!((code, &outcome["result"]), (Some(4), &"aborted".into()), "{outcome:#}");
    outcome
}

/// Every player's agent, with its components as a world of the extended game tells them.
fn agents(cluster: &Cluster) -> Vec<Value> {
    let (code, list) = cluster.ask(&["agent", "list"]);
    assert_eq!(code, Some(0));
    let ids = list.as_array().unwrap_or_else(|| panic!("{list:#}")).iter();
    let show = |agent: &Value| cluster.ask(&["agent", "show", &format!("e{}", agent["id"])]).1;
    ids.map(show).collect()
}

/// How often a component of an agent says something that is so.
fn count(agents: &[Value], is_so: impl Fn(&Value) -> bool) -> usize {
    agents.iter().filter(|agent| is_so(&agent["components"])).count()
}

#[test]
fn builds_with_other_components_take_turns_and_lose_nothing() {
    const PLAYERS: u64 = 12;
    let site = Site::new();
    let cluster = site.up(&["--scenes", "2"]);
    cluster.await_status("the map is up", PATIENCE, all_run);
    let bots = play(&cluster, PLAYERS, 75, &[]);
    await_sessions(&cluster, PLAYERS);

    let (code, deployed) = deploy(&cluster, &site, OTHER, &["--watch", "5"]);
    assert_eq!((code, &deployed["result"]), (Some(0), &"deployed".into()), "{deployed:#}");
    let with_mileage = tick(&cluster);
    let gone = refused(&cluster, &site, program());
    assert!(gone.contains("nothing was moved") && gone.contains("component mileage is gone"), "{gone}");

    let outcome = deploy_and_call_off(&cluster, &site, EXTENDED, &fullest(&cluster));
    let converted = outcome["converted"][0].as_str().unwrap_or_default();
    assert!(converted.starts_with("component mileage becomes component mileage@2"), "{outcome:#}");
    cluster.await_status("the old build has all again", PATIENCE, all_run);
    let called_off = tick(&cluster);

    let (code, deployed) = deploy(&cluster, &site, EXTENDED, &["--watch", "5"]);
    assert_eq!((code, &deployed["result"]), (Some(0), &"deployed".into()), "{deployed:#}");
    assert_eq!(content(bots)["connected"], PLAYERS);
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    assert_eq!(cluster.stop().status.code(), Some(0));

    let cluster = site.up_of(Path::new(EXTENDED), &["--scenes", "2"]);
    cluster.await_status("the map is up", PATIENCE, all_run);
    let agents = agents(&cluster);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    assert_eq!(agents.len() as u64, PLAYERS, "{agents:#?}");
    let walked = |all: &Value| all["mileage"]["metres"].as_f64() > Some(1.0) && number(&all["mileage"]["since"]) <= with_mileage;
    assert_eq!(count(&agents, walked), agents.len(), "nobody's mileage began anew: {agents:#?}");
    assert!(count(&agents, |all| number(&all["mileage"]["steps"]) > 0) > 0, "{agents:#?}");
    let kept = |all: &Value| number(&all["stamina"]["since"]) > 0 && number(&all["stamina"]["since"]) < called_off;
    assert!(count(&agents, kept) > 0, "what the deploy that was called off gave is still there: {agents:#?}");
    assert_eq!(cluster.stop().status.code(), Some(0));
}
