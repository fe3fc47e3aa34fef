//! A running world looked at closely: a shard of a development cluster that stands and is stepped.

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
