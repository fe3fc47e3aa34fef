//! The map is cut anew under players that walk, its scene is killed around it, and the whole cluster starts again.

use std::time::Duration;

use serde_json::Value;

use crate::edge::{await_sessions, content, play};
use crate::process::{Cluster, Site, all_run, engine_server, read_json, signal};

/// A scene process is back, or a shard runs, by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where players are born, in the middle of the map.
const HOME: &str = "0/3/2,2";
const QUARTERS: [&str; 4] = ["0/2/4,4", "0/2/5,4", "0/2/4,5", "0/2/5,5"];

fn order(cluster: &Cluster, site: &Site, words: &[&str]) -> (Option<i32>, Value) {
    let mut command = cluster.command(words);
    command.args(["--json", "--data-dir"]).arg(site.folder());
    read_json(&command.output().expect("pangaea starts"))
}

fn shards(status: &Value) -> Vec<&str> {
    status["shards"].as_array().expect("shards").iter().filter_map(|shard| shard["id"].as_str()).collect()
}

fn is_cut(status: &Value) -> bool {
    let shards = shards(status);
    QUARTERS.iter().all(|quarter| shards.contains(quarter)) && !shards.contains(&HOME)
}

fn owner(status: &Value, id: &str) -> String {
    let shards = status["shards"].as_array().expect("shards");
    let shard = shards.iter().find(|shard| shard["id"] == id).expect("on the map");
    shard["owner"].as_str().expect("owned").to_owned()
}

#[test]
fn a_shard_is_cut_under_walking_players_and_stays_cut_whoever_dies() {
    cut_and_stay_cut(&Site::new(), &["--scenes", "2"]);
}

#[test]
fn on_the_engine_a_shard_is_cut_just_so() {
    if engine_server().is_none() {
        eprintln!("SKIPPED: there is no nats-server; `cargo xtask nats` installs it");
        return;
    }
    cut_and_stay_cut(&Site::new(), &["--scenes", "2", "--datas", "2", "--engine", "nats"]);
}

#[expect(clippy::print_stdout, reason = "what it cost is told")]
fn cut_and_stay_cut(site: &Site, options: &[&str]) {
    let cluster = site.up(options);
    cluster.await_status("the map is up", PATIENCE, all_run);
    let before = shards(&cluster.status()).len();
    let bots = play(&cluster, 30, 40, &[]);
    await_sessions(&cluster, 30);
    let (code, asked) = order(&cluster, site, &["shard", "split", HOME, "--dry-run"]);
    assert_eq!((code, &asked["result"]), (Some(0), &"possible".into()), "{asked:#}");
    assert!(!is_cut(&cluster.status()), "nothing was ordered");

    let (code, split) = order(&cluster, site, &["shard", "split", HOME]);
    assert_eq!((code, &split["result"]), (Some(0), &"split".into()), "{split:#}");
    println!("split: {} ms of blackout, {} missed ticks", split["blackout_ms"], split["missed_ticks"]);
    let status = cluster.status();
    assert!(is_cut(&status) && shards(&status).len() == before + 3, "{status:#}");
    let other = if owner(&status, QUARTERS[1]) == "scene-1" { "scene-2" } else { "scene-1" };
    let (code, moved) = order(&cluster, site, &["shard", "migrate", QUARTERS[1], "--to", other]);
    assert_eq!(code, Some(0), "{moved:#}");
    let (_, asked) = order(&cluster, site, &["shard", "merge", HOME, "--dry-run"]);
    assert_ne!(asked["gathers"].as_array().map(Vec::len), Some(0), "one of them lies apart: {asked:#}");
    let (code, merged) = order(&cluster, site, &["shard", "merge", QUARTERS[2]]);
    assert_eq!((code, &merged["result"]), (Some(0), &"merged".into()), "{merged:#}");
    println!("merged: {} ms of blackout, {} missed ticks", merged["blackout_ms"], merged["missed_ticks"]);
    assert_eq!(shards(&cluster.status()).len(), before);
    let (code, split) = order(&cluster, site, &["shard", "split", HOME]);
    assert_eq!(code, Some(0), "{split:#}");
    let report = content(bots);
    assert_eq!((&report["connected"], &report["anomalies_total"]), (&30.into(), &0.into()), "{report:#}");

    let scene = owner(&cluster.status(), QUARTERS[0]);
    let killed = cluster.pid_of(&scene);
    signal(killed, "KILL");
    cluster.await_status("somebody runs the quarters", PATIENCE, |status| {
        let back =
            status["nodes"].as_array().expect("nodes").iter().any(|node| node["id"] == scene.as_str() && node["pid"] != killed);
        back && is_cut(status) && all_run(status)
    });
    assert_eq!(cluster.stop().status.code(), Some(0));

    let cluster = site.up(options);
    cluster.await_status("the map is as it was cut", PATIENCE, |status| is_cut(status) && all_run(status));
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    assert_eq!(cluster.stop().status.code(), Some(0));
}
