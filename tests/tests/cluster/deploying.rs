//! A new build takes over while people play, and is taken back when it is worse.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::edge::{await_sessions, content, play};
use crate::process::{Cluster, Site, all_run, program, read_json};

const PATIENCE: Duration = Duration::from_secs(60);
/// The demo with a slow system.
const SLOW: &str = env!("CARGO_BIN_EXE_slow-game");
/// The demo with one component more.
const OTHER: &str = env!("CARGO_BIN_EXE_other-game");

fn deploy(cluster: &Cluster, site: &Site, build: impl AsRef<Path>, words: &[&str]) -> (Option<i32>, Value) {
    let mut command = cluster.command(&["deploy"]);
    command.arg(build.as_ref()).args(words).args(["--json", "--data-dir"]).arg(site.folder());
    read_json(&command.output().expect("pangaea starts"))
}

fn refused(cluster: &Cluster, site: &Site, build: &str) -> String {
    let output = cluster.command(&["deploy", build, "--data-dir"]).arg(site.folder()).output().expect("pangaea starts");
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
    let other = refused(&cluster, &site, OTHER);
    assert!(other.contains("nothing was moved") && other.contains("component mileage is new"), "{other}");
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
