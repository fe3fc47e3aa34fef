//! Processes that are killed: nobody is kicked out for good, and nothing is left behind. What a crowd sees of that, and what is
//! in the files afterwards, is what `pangaea chaos` looks at.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::player::{Player, guest};
use crate::process::{Site, all_run, free_ports, program, read_json, signal};

/// The world works again within this time, whatever was killed.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(10);
/// A cluster whose supervisor has gone is gone, too, within this time.
const ORPHANS_TIME_MAX: Duration = Duration::from_secs(5);
/// Pause between two tries to come back.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Come back, again and again until it works.
fn resume(player: &Player, gateway: &str) -> Player {
    let began = Instant::now();
    loop {
        match player.resume(gateway) {
            Ok(player) => return player,
            Err(error) => assert!(began.elapsed() < RECOVERY_TIME_MAX, "not back after {RECOVERY_TIME_MAX:?}: {error}"),
        }
        thread::sleep(TRY_AGAIN_AFTER);
    }
}

#[test]
fn no_orphans_when_the_supervisor_is_killed() {
    let site = Site::new();
    let cluster = site.up(&["--bots", "5"]);
    let lived_on = cluster.kill_supervisor(ORPHANS_TIME_MAX);
    println!("the children ended {lived_on:.1?} after their supervisor");
    let again = site.up(&[]);
    assert_eq!(again.stop().status.code(), Some(0), "the folder is free and whole");
}

#[test]
fn sessions_go_on_at_another_gateway_when_theirs_is_killed() {
    let site = Site::new();
    let cluster = site.up(&["--gateways", "2"]);
    let (first, second) = (cluster.gateway(1), cluster.gateway(2));
    let mut player = Player::enter(&first, guest("Wanderer"));
    player.walk(127, 0, 20).expect("walked");
    let applied = player.applied;

    signal(cluster.pid_of("gateway-1"), "KILL");
    let killed = Instant::now();
    let broken = loop {
        if let Err(error) = player.see() {
            break error;
        }
    };
    assert!(matches!(broken.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset), "{broken}");
    let mut back = resume(&player, &second);
    assert!(back.resumed, "the session went on");
    assert_eq!(back.agent, player.agent);
    assert!(back.applied >= applied, "no acknowledged input is taken back");
    assert!(back.position.distance(player.position) < 1.0, "from {:?} to {:?}", player.position, back.position);
    println!("back at the other gateway after {:.1?}", killed.elapsed());
    back.walk(-127, 0, 20).expect("it walks on");
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    assert_eq!(cluster.stop().status.code(), Some(0));
}

#[test]
fn the_world_comes_back_when_a_scene_is_killed() {
    let site = Site::new();
    let cluster = site.up(&["--gateways", "2"]);
    let mut player = Player::enter(&cluster.gateway(1), guest("Witness"));
    player.walk(127, 0, 20).expect("walked");

    let victim = cluster.pid_of("scene-1");
    signal(victim, "KILL");
    let killed = Instant::now();
    let is_back = |status: &Value| all_run(status) && status["nodes"].as_array().is_some_and(|nodes| nodes.len() == 7);
    let reborn = |status: &Value| status["nodes"].as_array().is_some_and(|nodes| nodes.iter().all(|node| node["pid"] != victim));
    cluster.await_status("all shards run", RECOVERY_TIME_MAX, |status| is_back(status) && reborn(status));
    println!("all shards run again {:.1?} after the kill", killed.elapsed());
    player.walk(127, 0, 20).expect("nobody was kicked out");
    assert!(killed.elapsed() < RECOVERY_TIME_MAX, "{:.1?}", killed.elapsed());
    println!("the witness walks again {:.1?} after the kill", killed.elapsed());
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    assert_eq!(cluster.stop().status.code(), Some(0));
}

#[test]
fn value_waits_for_a_dead_data_process_and_people_walk_on_behind_it() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let mut walker = Player::enter(&cluster.gateway(1), guest("Walker"));
    // Whoever waits for value to be written is not told of his steps before.
    assert_eq!(walker.gold(100), 100, "a newcomer's purse");
    walker.walk(127, 0, 5).expect("walked");
    let victim = cluster.pid_of("data-1");
    signal(victim, "KILL");
    let mut newcomer = Player::enter(&cluster.gateway(1), guest("Newcomer"));
    assert_eq!(newcomer.gold(100), 100, "a newcomer's purse is filled when the ledger is back");
    // It is not in the status until it is registered again.
    let is_new = |status: &Value| {
        let mut nodes = status["nodes"].as_array().into_iter().flatten();
        nodes.any(|node| node["id"] == "data-1" && node["pid"].as_u64().is_some_and(|pid| pid != u64::from(victim)))
    };
    cluster.await_status("a new data process", RECOVERY_TIME_MAX, |status| all_run(status) && is_new(status));
    walker.walk(-127, 0, 20).expect("it walks on");
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    let (code, store) = cluster.ask(&["data", "verify"]);
    assert_eq!((code, &store["ok"]), (Some(0), &true.into()), "{store:#}");
    assert_eq!(cluster.stop().status.code(), Some(0));
}

#[test]
fn whoever_is_killed_at_the_commit_point_of_a_migration_nothing_is_lost_or_doubled() {
    let site = Site::new();
    // What bots see and how long it takes depends on the machine; what is written down does not.
    let base = free_ports().to_string();
    let words = ["chaos", "--drill", "--at", "committing said", "--bots", "16", "--gateways", "1", "--patience", "20", "--json"];
    let mut drill = std::process::Command::new(program());
    let output = drill.args(words).args(["--port-base", &base, "--data-dir"]).arg(site.folder()).output().expect("it starts");
    let (_, report) = read_json(&output);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(report["at_steps"].as_object().map(serde_json::Map::len), Some(4), "{text}");
    assert_eq!((&report["connected"], &report["ledger_ok"]), (&16.into(), &true.into()), "{report:#} {text}");
    for kind in ["owners", "not_back", "not_running", "no_move", "died", "bad_end", "twice", "belongings_back"] {
        assert_eq!(report["anomalies"].get(kind), None, "{report:#} {text}");
    }
}
