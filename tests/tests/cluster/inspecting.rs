//! A running world looked at closely: any entity with its past, and a shard of a development cluster that stands and is stepped.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::player::{Player, guest};
use crate::process::{Cluster, Site, read_json};

/// What is reported is seen a second later.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command as whoever has the data folder.
fn run(cluster: &Cluster, site: &Site, words: &[&str]) -> Output {
    cluster.command(words).arg("--data-dir").arg(site.folder()).output().expect("pangaea starts")
}

fn order(cluster: &Cluster, site: &Site, words: &[&str]) -> Value {
    let (code, answer) = read_json(&run(cluster, site, &[words, &["--json"]].concat()));
    assert_eq!(code, Some(0), "{answer:#}");
    answer
}

/// Why a command does nothing.
fn refusal(cluster: &Cluster, site: &Site, words: &[&str]) -> String {
    let output = run(cluster, site, words);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The shard that an agent is in, once it stays there: a newborn may go over a border at once.
fn home(cluster: &Cluster, player: &mut Player) -> String {
    let name = format!("e{}", player.agent.0);
    let (mut last, began) = (String::new(), Instant::now());
    loop {
        for _ in 0..20 {
            player.see().expect("updates go on");
        }
        let (_, seen) = cluster.ask(&["agent", "show", &name]);
        let shard = seen["shard"].as_str().unwrap_or_default().to_owned();
        if !shard.is_empty() && shard == last {
            return shard;
        }
        assert!(began.elapsed() < PATIENCE, "{seen:#}");
        last = shard;
    }
}

fn is_paused(status: &Value, shard: &str) -> bool {
    let shards = status["shards"].as_array().expect("shards");
    shards.iter().any(|known| known["id"] == shard && known["paused"]["left_s"].as_f64() > Some(0.0))
}

#[test]
fn a_shard_stands_and_is_stepped_while_its_player_stays_connected() {
    let site = Site::new();
    let design = tempfile::tempdir().expect("a folder");
    let cluster = site.up(&["--design", design.path().to_str().expect("a path")]);
    let mut ada = Player::enter(&cluster.gateway(1), guest("Ada"));
    let shard = home(&cluster, &mut ada);

    let asked = order(&cluster, &site, &["shard", "pause", &shard, "--dry-run"]);
    assert_eq!((&asked["paused"], &asked["players"]), (&false.into(), &1.into()), "{asked:#}");
    let paused = order(&cluster, &site, &["shard", "pause", &shard]);
    assert_eq!((&paused["paused"], &paused["shard"]), (&true.into(), &shard.as_str().into()), "{paused:#}");
    cluster.await_status("it is seen to stand", PATIENCE, |status| is_paused(status, &shard));

    let (stood, applied) = (ada.position, ada.applied);
    for _ in 0..60 {
        ada.step(20, 0).expect("what it wants is taken");
        ada.see().expect("updates go on");
    }
    assert_eq!((ada.position, ada.applied), (stood, applied), "three seconds in which nobody moves");
    let other = if paused["scene"] == "scene-1" { "scene-2" } else { "scene-1" };
    let why = refusal(&cluster, &site, &["shard", "migrate", &shard, "--to", other]);
    assert!(why.contains("is paused") && why.contains("pangaea shard resume"), "{why}");

    let stepped = order(&cluster, &site, &["shard", "step", &shard, "--ticks", "3"]);
    assert_eq!((&stepped["steps"], &stepped["paused"]), (&0.into(), &true.into()), "{stepped:#}");
    for _ in 0..40 {
        ada.see().expect("updates go on");
    }
    let done = ada.applied.0 - applied.0;
    assert!((1..=24).contains(&done), "{done} of 60 inputs in three ticks");
    let again = ada.position;
    ada.see().expect("updates go on");
    assert_eq!(ada.position, again, "it stands again");

    let resumed = order(&cluster, &site, &["shard", "resume", &shard]);
    assert_eq!(resumed["paused"], false, "{resumed:#}");
    ada.walk(20, 0, 10).expect("it plays on, and nothing of what it wanted is lost");
    cluster.await_status("it goes on", PATIENCE, |status| !is_paused(status, &shard));
    let why = refusal(&cluster, &site, &["shard", "resume", &shard]);
    assert!(why.contains("not paused"), "{why}");
    let (_, entries) = cluster.ask(&["audit"]);
    for what in ["shards/pause", "shards/step", "shards/resume"] {
        let noted = |entry: &Value| entry["what"] == what && entry["result"] == "done" && entry["args"]["shard"] == shard;
        assert!(entries.as_array().expect("entries").iter().any(noted), "{what} in {entries:#}");
    }
    assert_eq!(cluster.stop().status.code(), Some(0));

    let cluster = site.up(&[]);
    let why = refusal(&cluster, &site, &["shard", "pause", &shard]);
    assert!(why.contains("development cluster") && why.contains("--design"), "{why}");
    assert_eq!(cluster.stop().status.code(), Some(0));
}

/// What is told of an entity, once it is as wanted.
fn await_entity(cluster: &Cluster, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let output = cluster.command(&["agent", "show", name, "--json"]).output().expect("pangaea starts");
        // Between two shards it may be nowhere for a moment.
        let seen = if output.status.success() { read_json(&output).1 } else { Value::Null };
        if wanted(&seen) {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "{seen:#}");
    }
}

#[test]
fn any_entity_is_looked_at_and_its_past_outlives_its_hand_overs() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let mut ada = Player::enter(&cluster.gateway(1), guest("Ada"));
    let (shard, name) = (home(&cluster, &mut ada), format!("e{}", ada.agent.0));
    let (_, seen) = cluster.ask(&["agent", "show", &name]);
    assert_eq!((&seen["state"], &seen["player"]), (&"awake".into(), &true.into()), "{seen:#}");
    // What clients do not see is there, too.
    assert!(["health", "velocity", "stride"].iter().all(|part| seen["components"][part].is_object()), "{seen:#}");

    let output = run(&cluster, &site, &["agent", "move", &name, "--to", "40,40"]);
    assert!(output.status.success(), "{output:?}");
    let seen = await_entity(&cluster, &name, |seen| seen["history"][0]["to"] == "0/3/0,0");
    let went = &seen["history"][0];
    assert_eq!((&went["from"], &seen["shard"]), (&shard.as_str().into(), &"0/3/0,0".into()), "{seen:#}");
    assert!(went["took_ms"].as_f64().is_some_and(|took| took > 0.0 && took < 30_000.0), "{went:#}");
    assert!(went["from_scene"].is_string() && went["to_scene"].is_string(), "{went:#}");
    ada.leave();
    let asleep = await_entity(&cluster, &name, |seen| seen["state"] == "at rest");
    assert_eq!(asleep["history"][0]["to"], "0/3/0,0", "{asleep:#}");

    // Some creature that wandered over a border.
    let heard = ["watch", "--since", "1h", "--kind", "handover", "--count", "40", "--for", "20s", "--json"];
    let heard = cluster.command(&heard).output().expect("starts");
    let lines = String::from_utf8_lossy(&heard.stdout).into_owned();
    let entity_of = |line: &str| Some(format!("e{}", line.parse::<Value>().ok()?["entity"].as_u64()?));
    let look = |creature: String| (await_entity(&cluster, &creature, |seen| seen["history"][0].is_object()), creature);
    // Horses wander, too, and have no health.
    let can_be_hurt = |(seen, _): &(Value, String)| seen["components"]["health"].is_object();
    let others = lines.lines().filter_map(entity_of).filter(|entity| *entity != name);
    let (seen, creature) = others.map(look).find(can_be_hurt).expect("wolves and sheep wander");
    assert_eq!((&seen["state"], &seen["player"]), (&"awake".into(), &false.into()), "{seen:#}");
    assert!(seen["components"]["health"].is_object(), "{seen:#}");
    let words = ["agent", "show", &creature, "--follow", "--count", "3", "--every-ms", "100", "--json"];
    let followed = cluster.command(&words).output().expect("starts");
    let looks: Vec<Value> = String::from_utf8_lossy(&followed.stdout).lines().map(|line| line.parse().expect("JSON")).collect();
    assert!(looks.len() == 3 && looks.iter().all(|look| look["id"] == seen["id"]), "{looks:#?}");
    let nobody = cluster.command(&["agent", "show", "e999999999"]).output().expect("starts");
    let said = String::from_utf8_lossy(&nobody.stderr);
    assert!(nobody.status.code() == Some(1) && said.contains("e999999999 is nowhere"), "{said}");
    assert_eq!(cluster.stop().status.code(), Some(0));
}
