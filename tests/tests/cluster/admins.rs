//! What admins' commands print and end with: JSON of a known shape, exit codes that mean something, tokens, the audit log.

use std::process::{Output, Stdio};
use std::time::Duration;

use pangaea_schemas::client::RefusalCode;
use serde_json::Value;

use crate::player::{Player, guest};
use crate::process::{Cluster, Site, all_run, free_ports, read_json, signal};

/// A shard's move takes a second or so.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command as whoever has the data folder.
fn run(cluster: &Cluster, site: &Site, words: &[&str]) -> Output {
    cluster.command(words).arg("--data-dir").arg(site.folder()).output().expect("pangaea starts")
}

/// The same with `--json`: its exit code and answer.
fn order(cluster: &Cluster, site: &Site, words: &[&str]) -> (Option<i32>, Value) {
    read_json(&run(cluster, site, &[words, &["--json"]].concat()))
}

/// Exit code and stderr of a command that fails.
fn fails(output: &Output) -> (i32, String) {
    (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The fields of an object.
fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("an object: {value}")).keys().map(String::as_str).collect()
}

/// A shard, who owns it, and who does not.
fn movable(cluster: &Cluster) -> (String, String, String) {
    let (_, shards) = cluster.ask(&["shard", "list"]);
    let text = |field: &str| shards[0][field].as_str().expect("text").to_owned();
    let owner = text("owner");
    let other = if owner == "scene-1" { "scene-2" } else { "scene-1" };
    (text("id"), owner, other.to_owned())
}

#[test]
fn commands_answer_in_shapes_and_codes_that_scripts_rely_on() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let (shard, owner, other) = movable(&cluster);

    let (code, asked) = order(&cluster, &site, &["shard", "migrate", &shard, "--to", &other, "--dry-run"]);
    assert_eq!((code, &asked["result"]), (Some(0), &"possible".into()), "{asked:#}");
    let (code, moved) = order(&cluster, &site, &["shard", "migrate", &shard, "--to", &other]);
    assert_eq!((code, &moved["result"], &moved["from"]), (Some(0), &"moved".into(), &owner.into()), "{moved:#}");
    let wanted =
        ["blackout_ms", "bytes", "entities", "from", "missed_ticks", "reason", "result", "rounds", "seconds", "shard", "to"];
    assert_eq!(fields(&moved), wanted);
    assert!(moved["bytes"].as_u64() > Some(0) && moved["missed_ticks"].as_u64() <= Some(1), "{moved:#}");

    // A second or so of ticks, of which one in twenty is measured.
    let began = std::time::Instant::now();
    let profile = loop {
        let (_, shown) = cluster.ask(&["shard", "show", &shard]);
        let profile = shown["profile"].clone();
        if profile["ticks"].as_u64() > Some(0) {
            break profile;
        }
        assert!(began.elapsed() < PATIENCE, "no tick is measured: {shown:#}");
    };
    assert_eq!((&profile["scene"], &profile["phases"][1]["name"]), (&other.as_str().into(), &"simulate".into()), "{profile:#}");
    let systems = profile["systems"].as_array().expect("systems");
    assert!(systems.iter().any(|cost| cost["name"] == "movement::walk" && cost["max_us"].as_f64() > Some(0.0)), "{profile:#}");
    assert!(cluster.metrics(&other).contains("pangaea_system_seconds_sum{node=\"scene"), "{}", cluster.metrics(&other));

    let again = fails(&run(&cluster, &site, &["shard", "migrate", &shard, "--to", &other]));
    assert_eq!((again.0, again.1.contains("already")), (1, true), "{}", again.1);
    let unknown = fails(&run(&cluster, &site, &["shard", "migrate", "0/3/0,00", "--to", &other]));
    assert_eq!((unknown.0, unknown.1.contains("there are 0/3/0,0")), (1, true), "{}", unknown.1);
    assert_eq!(fails(&cluster.command(&["shard", "show", "nowhere"]).output().expect("starts")).0, 1);
    assert_eq!(fails(&cluster.command(&["shard", "shove"]).output().expect("starts")).0, 2);
    let nowhere = format!("http://127.0.0.1:{}", free_ports());
    let nobody = fails(&cluster.command(&["status", "--cluster", &nowhere]).output().expect("starts"));
    assert_eq!((nobody.0, nobody.1.contains("--cluster")), (3, true), "{}", nobody.1);

    let heard =
        cluster.command(&["watch", "--since", "1h", "--kind", "move", "--count", "2", "--json"]).output().expect("starts");
    let lines: Vec<Value> = String::from_utf8_lossy(&heard.stdout).lines().map(|line| line.parse().expect("JSON")).collect();
    assert!(lines.len() == 2 && lines[1]["text"].as_str().is_some_and(|text| text.contains("blackout")), "{lines:?}");
    assert_eq!(cluster.stop().status.code(), Some(0));
}

#[test]
fn what_who_did_is_in_the_audit_log_also_after_the_world_died() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let (shard, _, other) = movable(&cluster);
    let token = |name: &str, rank: &str| {
        let (code, made) = order(&cluster, &site, &["token", "new", name, "--rank", rank]);
        assert_eq!((code, fields(&made)), (Some(0), vec!["name", "rank", "token"]), "{made:#}");
        made["token"].as_str().expect("a token").to_owned()
    };
    let (olaf, vera) = (token("olaf", "operator"), token("vera", "viewer"));
    let migrate = ["shard", "migrate", &shard, "--to", &other];
    let as_whom = |token: &str| cluster.command(&migrate).args(["--token", token]).output().expect("starts");
    assert_eq!(fails(&as_whom(&vera)).0, 5);
    assert_eq!(as_whom(&olaf).status.code(), Some(0));
    assert_eq!(order(&cluster, &site, &["token", "revoke", "olaf"]).0, Some(0));
    assert_eq!(fails(&as_whom(&olaf)).0, 5);

    let before = cluster.pid_of("world-1");
    signal(before, "KILL");
    let is_back = || {
        let output = cluster.command(&["status", "--json"]).output().expect("starts");
        output.status.success()
            && read_json(&output).1["nodes"]
                .as_array()
                .is_some_and(|nodes| nodes.iter().any(|node| node["id"] == "world-1" && node["pid"] != before))
    };
    let began = std::time::Instant::now();
    while !is_back() {
        assert!(began.elapsed() < PATIENCE, "the world does not come back");
    }
    let (code, entries) = cluster.ask(&["audit", "--limit", "1000"]);
    assert_eq!(code, Some(0));
    let entries = entries.as_array().expect("entries");
    let told = |who: &str, result: &str| {
        let found = entries.iter().find(|entry| entry["who"] == who && entry["what"] == "migrate" && entry["result"] == result);
        found.unwrap_or_else(|| panic!("{who} {result} in {entries:#?}"))
    };
    assert_eq!(told("olaf", "moved")["args"]["shard"], shard.as_str());
    assert!(told("vera", "refused")["words"].as_str().is_some_and(|words| words.contains("viewer")));
    assert_eq!(told("unknown", "refused")["rank"], Value::Null);
    assert_eq!(fails(&as_whom(&olaf)).0, 5, "what is revoked stays revoked");
    assert_eq!(cluster.stop().status.code(), Some(0));
}

#[test]
fn agents_are_found_put_elsewhere_and_sent_away() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let mut ada = Player::enter(&cluster.gateway(1), guest("Ada"));
    ada.see().expect("an update");
    let name = format!("e{}", ada.agent.0);
    let show = || cluster.ask(&["agent", "show", &name]);

    let (code, seen) = show();
    assert_eq!((code, &seen["id"], &seen["awake"]), (Some(0), &ada.agent.0.into(), &true.into()), "{seen:#}");
    assert!(seen["name"].as_str().is_some_and(|name| name.starts_with("Ada")), "{seen:#}");
    assert!(seen["components"]["health"].is_object(), "{seen:#}");
    let (_, sessions) = cluster.ask(&["session", "list"]);
    assert_eq!((&sessions[0]["agent"], &sessions[0]["state"]), (&ada.agent.0.into(), &"playing".into()), "{sessions:#}");

    // Far away, in the shard of the north-west corner, which another scene may run.
    let (code, asked) = order(&cluster, &site, &["agent", "move", &name, "--to", "40,40", "--dry-run"]);
    assert_eq!((code, &asked["result"], &asked["to_shard"]), (Some(0), &"possible".into(), &"0/3/0,0".into()), "{asked:#}");
    let (code, moved) = order(&cluster, &site, &["agent", "move", &name, "--to", "40,40"]);
    assert_eq!((code, &moved["result"]), (Some(0), &"moved".into()), "{moved:#}");
    assert_eq!(show().1["shard"], "0/3/0,0");
    let began = std::time::Instant::now();
    while ada.position.x > 60.0 {
        ada.see().expect("it plays on");
        assert!(began.elapsed() < PATIENCE, "it is not told where it is: {:?}", ada.position);
    }
    // It plays there before the world has heard that it does.
    let mut lost = fails(&run(&cluster, &site, &["agent", "move", &name, "--to", "-5,40"]));
    while lost.1.contains("nowhere known") && began.elapsed() < PATIENCE {
        lost = fails(&run(&cluster, &site, &["agent", "move", &name, "--to", "-5,40"]));
    }
    assert_eq!((lost.0, lost.1.contains("not on the map")), (1, true), "{}", lost.1);

    let (code, kicked) = order(&cluster, &site, &["agent", "kick", &name, "--words", "read the rules"]);
    assert_eq!((code, &kicked["words"]), (Some(0), &"read the rules".into()), "{kicked:#}");
    assert_eq!(ada.dismissed(), (RefusalCode::NotAllowed, "read the rules".to_owned()));
    let again = fails(&run(&cluster, &site, &["agent", "kick", &name]));
    assert_eq!((again.0, again.1.contains("no session now")), (1, true), "{}", again.1);
    assert_eq!(cluster.stop().status.code(), Some(0));
}

#[test]
fn a_move_is_aborted_by_ctrl_c_and_from_another_terminal() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let (shard, owner, other) = movable(&cluster);
    for how in ["ctrl-c", "elsewhere"] {
        // A target that stands still answers nothing, so the move is under way for as long as it takes to abort it.
        let target = cluster.pid_of(&other);
        signal(target, "STOP");
        let mut migrate = cluster.command(&["shard", "migrate", &shard, "--to", &other, "--json"]);
        let migrate = migrate.arg("--data-dir").arg(site.folder()).stdout(Stdio::piped()).spawn().expect("pangaea starts");
        cluster.await_status("it is under way", PATIENCE, |status| {
            status["moves"].as_array().is_some_and(|moves| moves.iter().any(|shift| shift["over"] == false))
        });
        match how {
            "ctrl-c" => signal(migrate.id(), "INT"),
            _ => {
                let (code, aborted) = order(&cluster, &site, &["abort", &shard]);
                assert_eq!((code, &aborted["kind"]), (Some(0), &"move".into()), "{aborted:#}");
            }
        }
        let (code, ended) = read_json(&migrate.wait_with_output().expect("it ends"));
        signal(target, "CONT");
        assert_eq!((code, &ended["result"]), (Some(4), &"aborted".into()), "{how}: {ended:#}");
        cluster.await_status("all run again", PATIENCE, all_run);
    }
    let (_, kept) = cluster.ask(&["shard", "show", &shard]);
    assert_eq!(kept["owner"], owner.as_str(), "{kept:#}");
    assert_eq!(cluster.stop().status.code(), Some(0));
}
