//! Designers tune a running world: in their file, and by command.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Cluster, Site};

const SPEED: &str = "wandering.speed_m_per_s";

fn tuned(cluster: &Cluster) -> Value {
    let (code, view) = cluster.ask(&["tune", "list"]);
    assert_eq!(code, Some(0), "{view:#}");
    view
}

fn speed(view: &Value) -> &Value {
    let tunables = view["tunables"].as_array().expect("tunables");
    &tunables.iter().find(|tunable| tunable["name"] == SPEED).expect("the wolves' speed")["value"]
}

/// Waits until all scenes know that the wolves' speed is so.
fn await_speed(cluster: &Cluster, wanted: f64) {
    let began = Instant::now();
    loop {
        let view = tuned(cluster);
        let scenes = view["scenes"].as_object().expect("scenes");
        if *speed(&view) == wanted && scenes.len() == 2 && scenes.values().all(|version| *version == view["version"]) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(15), "not {wanted}: {view:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_designer_saves_or_orders_is_so_on_all_scenes() {
    let site = Site::new();
    let design = tempfile::tempdir().expect("a folder");
    let sheet = design.path().join("tunables.toml");
    let read = || fs::read_to_string(&sheet).unwrap_or_default();
    let cluster = site.up(&["--design", design.path().to_str().expect("a path")]);
    let folder = site.folder().to_str().expect("a path").to_owned();
    let order = |words: &[&str]| cluster.command(words).args(["--data-dir", &folder, "--by", "anna"]).output().expect("starts");

    await_speed(&cluster, 2.4);
    assert!(read().contains("speed_m_per_s = 2.4"), "{}", read());
    fs::write(&sheet, read().replace("speed_m_per_s = 2.4", "speed_m_per_s = 9.5  # wild")).expect("saved");
    await_speed(&cluster, 9.5);

    let set = order(&["tune", "set", SPEED, "3"]);
    assert!(set.status.success(), "{set:?}");
    await_speed(&cluster, 3.0);
    assert!(read().contains("speed_m_per_s = 3.0  # wild"), "{}", read());

    for (value, reason) in
        [("300", "is a number from 0 to 20; 300 is not"), ("fast", "is a number from 0 to 20; \"fast\" is not")]
    {
        let refused = order(&["tune", "set", SPEED, value]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(reason), "{said}");
    }
    let refused = order(&["tune", "set", "wandering.sped_m_per_s", "3"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("did you mean `wandering.speed_m_per_s`?"), "{refused:?}");
    fs::write(&sheet, read().replace("3.0  # wild", "300  # wild")).expect("saved");

    let undone = order(&["tune", "undo"]);
    assert!(undone.status.success(), "{undone:?}");
    await_speed(&cluster, 9.5);
    let (code, history) = cluster.ask(&["tune", "history"]);
    let told = |change: &Value| format!("{} {}: {} to {}", change["by"], change["why"], change["before"], change["after"]);
    let told: Vec<String> = history.as_array().expect("changes").iter().map(told).collect();
    assert_eq!(code, Some(0));
    assert_eq!(told, ["\"file\" \"edit\": null to 9.5", "\"anna\" \"set\": 9.5 to 3.0", "\"anna\" \"undo 3\": 3.0 to 9.5"]);
    assert_eq!(cluster.stop().status.code(), Some(0));

    let cluster = site.up(&[]);
    await_speed(&cluster, 9.5);
    assert_eq!(cluster.stop().status.code(), Some(0));
}
