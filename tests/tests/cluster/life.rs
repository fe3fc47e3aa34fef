//! A day in the life: a cluster that comes up, is played on, goes down and comes back with everything where it was.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::player::{Player, account};
use crate::process::{Cluster, Site, all_run, of_shards, read_json, signal};

#[test]
fn bots_storm_the_borders_and_nothing_is_wrong() {
    let site = Site::new();
    let cluster = site.up(&[]);

    let status = cluster.status();
    let roles: Vec<_> =
        status["nodes"].as_array().expect("nodes").iter().map(|node| node["id"].as_str().unwrap_or("?")).collect();
    assert_eq!(roles, ["world-1", "data-1", "auth-1", "scene-1", "scene-2", "gateway-1"]);
    assert!(all_run(&status), "{status:#}");
    for shard in status["shards"].as_array().expect("shards") {
        assert!(shard["owner"].as_str().is_some_and(|owner| owner.starts_with("scene-")), "{shard}");
        assert!(shard["epoch"].as_u64().is_some_and(|epoch| epoch > 0), "{shard}");
        assert!(shard["tick_ms"]["p50"].is_f64() && shard["tick_ms"]["p99"].is_f64(), "{shard}");
    }
    assert!(of_shards(&status, "entities").iter().sum::<u64>() > 100, "the world is populated: {status:#}");

    let file = site.folder().join("storm.rec");
    let recording = record(&cluster, &site, &file, "8");
    let (code, report) = cluster.ask(&["bots", "--count", "20", "--seconds", "8", "--scenario", "border-storm"]);
    assert_eq!(report["connected"], 20, "{report:#}");
    assert_eq!(report["anomalies_total"], 0, "{report:#}");
    assert_eq!(code, Some(0), "{report:#}");

    let crossed = |field: &str| of_shards(&cluster.status(), field).iter().sum::<u64>();
    assert!(crossed("handovers_in") > 20 && crossed("handovers_out") > 20, "bots crossed borders");
    let counted = cluster.metrics("world-1");
    assert!(counted.lines().any(|line| line.starts_with("pangaea_handovers{")), "{counted}");

    let (code, recorded) = read_json(&recording.wait_with_output().expect("it ends"));
    assert_eq!((code, &recorded["result"], &recorded["ticks"]), (Some(0), &"recorded".into(), &160.into()), "{recorded:#}");
    runs_again(&cluster, &file);
    ends_by_ctrl_c(&cluster, &site);

    let (code, ledger) = cluster.ask(&["ledger"]);
    assert_eq!((code, &ledger["ok"]), (Some(0), &true.into()), "{ledger:#}");
    assert_eq!(ledger["currencies"]["gold"]["issued"], ledger["currencies"]["gold"]["held"], "nothing was burnt: {ledger:#}");

    let ended = cluster.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("The world is in"), "{}", ended.stdout);
}

/// An admin who records one of the shards that meet where bots storm.
fn record(cluster: &Cluster, site: &Site, file: &Path, seconds: &str) -> Child {
    let mut command = cluster.command(&["record", "0/3/1,1", "--seconds", seconds, "--json", "--out"]);
    command.arg(file).arg("--data-dir").arg(site.folder()).stdout(Stdio::piped()).spawn().expect("pangaea starts")
}

/// The recording comes to the same, and one with a flipped bit is not run.
fn runs_again(cluster: &Cluster, file: &Path) {
    let replay = |file: &Path| cluster.command(&["replay", "--json"]).arg(file).output().expect("pangaea starts");
    let (code, played) = read_json(&replay(file));
    assert_eq!((code, &played["result"]), (Some(0), &"same".into()), "{played:#}");
    assert_eq!(played["hash"]["recorded"], played["hash"]["replayed"], "{played:#}");
    assert!(played["inputs"].as_u64() > Some(20), "bots play there: {played:#}");
    let mut bytes = fs::read(file).expect("a recording");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let bad = file.with_extension("bad");
    fs::write(&bad, bytes).expect("written");
    let refused = replay(&bad);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!((refused.status.code(), words.contains("is damaged in the frame at byte")), (Some(1), true), "{words}");
}

/// Ctrl-C ends a recording well; meanwhile nobody else records the shard.
fn ends_by_ctrl_c(cluster: &Cluster, site: &Site) {
    let file = site.folder().join("short.rec");
    let recording = record(cluster, site, &file, "60");
    let began = Instant::now();
    while fs::metadata(&file).map_or(0, |file| file.len()) == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing is recorded");
        thread::sleep(Duration::from_millis(20));
    }
    let other = record(cluster, site, &site.folder().join("other.rec"), "1").wait_with_output().expect("it ends");
    assert_eq!(other.status.code(), Some(1), "it is being recorded");
    signal(recording.id(), "INT");
    let (code, recorded) = read_json(&recording.wait_with_output().expect("it ends"));
    assert_eq!((code, &recorded["why"]), (Some(0), &"it was told to end".into()), "{recorded:#}");
    let (code, played) = read_json(&cluster.command(&["replay", "--json"]).arg(&file).output().expect("pangaea starts"));
    assert_eq!((code, &played["result"]), (Some(0), &"same".into()), "{played:#}");
}

/// What must be the same after a night's rest.
fn value(cluster: &Cluster) -> (serde_json::Value, u64) {
    let (code, ledger) = cluster.ask(&["ledger"]);
    assert_eq!(code, Some(0), "{ledger:#}");
    (ledger["currencies"].clone(), ledger["items"].as_u64().expect("a number"))
}

#[test]
fn a_world_that_was_stopped_comes_back_with_everybody_where_they_were() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let mut ada = Player::enter(&cluster.gateway(1), account("Ada", true));
    let start = ada.position;
    assert_eq!(ada.gold(100), 100, "a newcomer's purse");
    ada.walk(127, 0, 60).expect("she walks east");
    assert!(ada.position.x - start.x > 10.0, "from {start:?} to {:?}", ada.position);
    let (agent, place) = (ada.agent, ada.position);
    ada.leave();
    cluster.await_status("she is logged out", Duration::from_secs(5), |status| status["sessions"] == 0);

    let evening = cluster.status();
    let (currencies, items) = value(&cluster);
    let ended = cluster.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);

    let cluster = site.up(&[]);
    let morning = cluster.status();
    let (currencies_after, items_after) = value(&cluster);
    assert_eq!(currencies_after, currencies);
    assert!(items_after >= items, "bushes bear fruit, and nothing eats it: {items} became {items_after}");
    for (before, after) in of_shards(&evening, "epoch").into_iter().zip(of_shards(&morning, "epoch")) {
        assert!(after > before, "every shard has a new owner's epoch: {after} after {before}");
    }
    // Fruit grows while we count, and a sprout that the ledger had not confirmed yet is not kept: at most one per bush.
    let count = |status| of_shards(status, "entities").iter().sum::<u64>();
    let grown = items_after - items;
    assert!(count(&morning).abs_diff(count(&evening)) <= grown + 2, "{} entities became {}", count(&evening), count(&morning));

    let mut ada = Player::enter(&cluster.gateway(1), account("Ada", false));
    assert_eq!(ada.agent, agent);
    assert!(ada.position.distance(place) < 0.01, "she left at {place:?} and woke at {:?}", ada.position);
    assert_eq!(ada.gold(0), 100);
    ada.walk(-127, 0, 10).expect("she walks on");
    assert!(ada.position.x < place.x - 1.0);
    assert_eq!(cluster.stop().status.code(), Some(0));
}
