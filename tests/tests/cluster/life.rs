//! A day in the life: a cluster that comes up, is played on, goes down and comes back with everything where it was.

use std::time::Duration;

use crate::player::{Player, account};
use crate::process::{Cluster, Site, all_run, of_shards};

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

    let (code, report) = cluster.ask(&["bots", "--count", "20", "--seconds", "8", "--scenario", "border-storm"]);
    assert_eq!(report["connected"], 20, "{report:#}");
    assert_eq!(report["anomalies_total"], 0, "{report:#}");
    assert_eq!(code, Some(0), "{report:#}");

    let crossed = |field: &str| of_shards(&cluster.status(), field).iter().sum::<u64>();
    assert!(crossed("handovers_in") > 20 && crossed("handovers_out") > 20, "bots crossed borders");
    let counted = cluster.metrics("world-1");
    assert!(counted.lines().any(|line| line.starts_with("pangaea_handovers{")), "{counted}");

    let (code, ledger) = cluster.ask(&["ledger"]);
    assert_eq!((code, &ledger["ok"]), (Some(0), &true.into()), "{ledger:#}");
    assert_eq!(ledger["currencies"]["gold"]["issued"], ledger["currencies"]["gold"]["held"], "nothing was burnt: {ledger:#}");

    let ended = cluster.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("The world is in"), "{}", ended.stdout);
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
