//! Scenes are emptied and used again while people play, and the balancer is switched.

use std::time::Duration;

use serde_json::Value;

use crate::edge::{await_sessions, content, play};
use crate::process::{Cluster, Site, all_run, node_of, read_json, signal};

/// A scene process is back, or a map is spread, by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// `pangaea …` as the operator: the exit code, and what it printed.
fn order(cluster: &Cluster, site: &Site, words: &[&str]) -> (Option<i32>, Value) {
    let mut command = cluster.command(words);
    command.args(["--json", "--data-dir"]).arg(site.folder());
    read_json(&command.output().expect("pangaea starts"))
}

/// How the same is refused, in words.
fn refused(cluster: &Cluster, site: &Site, words: &[&str]) -> String {
    let output = cluster.command(words).arg("--data-dir").arg(site.folder()).output().expect("pangaea starts");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Shards of each of two scenes.
fn shards(status: &Value) -> [u64; 2] {
    [0, 1].map(|n| status["scenes"][n]["shards"].as_u64().expect("a number"))
}

#[test]
fn a_scene_is_drained_under_load_stopped_started_and_used_again() {
    let site = Site::new();
    let cluster = site.up(&["--scenes", "2"]);
    cluster.await_status("the map is up", PATIENCE, |status| all_run(status) && shards(status) == [8, 8]);
    let bots = play(&cluster, 20, 45, &[]);
    await_sessions(&cluster, 20);

    let (code, asked) = order(&cluster, &site, &["scene", "drain", "scene-1", "--dry-run"]);
    assert_eq!((code, &asked["shards"], &asked["to"][0]), (Some(0), &8.into(), &"scene-2".into()), "{asked:#}");
    assert_eq!(shards(&cluster.status()), [8, 8], "nothing was ordered");
    let unknown = refused(&cluster, &site, &["scene", "drain", "scene-9"]);
    assert!(unknown.contains("there is no scene `scene-9`; there are scene-1, scene-2"), "{unknown}");

    let (code, drained) = order(&cluster, &site, &["scene", "drain", "scene-1"]);
    assert_eq!((code, &drained["result"]), (Some(0), &"drained".into()), "{drained:#}");
    println!("scene-1 is drained after {} s", drained["seconds"]);
    let status = cluster.status();
    assert!(all_run(&status) && shards(&status) == [0, 16], "{status:#}");
    let last = refused(&cluster, &site, &["scene", "drain", "scene-2"]);
    assert!(last.contains("scene-2 is the last scene that takes shards"), "{last}");

    let before = cluster.pid_of("scene-1");
    signal(before, "TERM");
    cluster.await_status("it is back, and still drained", PATIENCE, |status| {
        let nodes = status["nodes"].as_array().expect("nodes");
        nodes.iter().any(|node| node["id"] == "scene-1" && node["pid"] != before && node["state"] == "drained")
    });
    assert_eq!(order(&cluster, &site, &["scene", "undrain", "scene-1"]).0, Some(0));
    assert_eq!(node_of(&cluster.status(), "scene-1")["state"], "up");

    let report = content(bots);
    assert_eq!(report["connected"], 20, "{report:#}");
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    assert_eq!(cluster.stop().status.code(), Some(0));
}

#[test]
fn balancing_is_off_until_an_operator_switches_it_on() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let (code, plan) = cluster.ask(&["balance", "plan"]);
    assert_eq!((code, &plan["on"]), (Some(0), &false.into()), "{plan:#}");
    let stranger = cluster.command(&["balance", "on", "--token", "guessed"]).output().expect("starts");
    assert_eq!(stranger.status.code(), Some(5));
    for (word, on) in [("on", true), ("off", false)] {
        let (code, answer) = order(&cluster, &site, &["balance", word]);
        assert_eq!((code, &answer["on"]), (Some(0), &on.into()), "{answer:#}");
        let is_told = || cluster.ask(&["balance", "plan"]).1["on"] == on;
        cluster.await_status("it is switched", PATIENCE, |_| is_told());
    }
    assert_eq!(cluster.stop().status.code(), Some(0));
}
