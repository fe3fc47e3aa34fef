//! The client edge on real sockets: whoever misbehaves costs one client, and a gateway is emptied while people play.

use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use pangaea_schemas::RegistryHash;
use pangaea_schemas::client::{ClientMessage, PROTOCOL_VERSION, RefusalCode};
use pangaea_schemas::wire::client::encode_client;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::player::{Line, Player, guest, hello};
use crate::process::{Cluster, Site, node_of, read_json, signal};

/// More than a gateway lets a client be silent or slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that changes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What a gateway may hold for one client, in bytes.
const UNSENT_BYTES_MAX: u64 = 1_024 * 1_024;

/// Bots that play for so many seconds.
pub(crate) fn play(cluster: &Cluster, count: u64, seconds: u32, options: &[&str]) -> Child {
    let (count, seconds) = (count.to_string(), seconds.to_string());
    let mut bots = cluster.command(&["bots", "--count", &count, "--seconds", &seconds, "--scenario", "border-storm", "--json"]);
    bots.args(options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bots start")
}

pub(crate) fn await_sessions(cluster: &Cluster, count: u64) {
    cluster.await_status("everybody plays", PATIENCE, |status| status["sessions"].as_u64() >= Some(count));
}

/// Bots that saw nothing that should not be.
pub(crate) fn content(bots: Child) -> Value {
    let (code, report) = read_json(&bots.wait_with_output().expect("bots end"));
    assert_eq!((code, &report["anomalies_total"]), (Some(0), &0.into()), "{report:#}");
    report
}

/// A series of gateway-1, summed over the labels that are not named.
fn series(cluster: &Cluster, name: &str, label: &str) -> u64 {
    let metrics = cluster.metrics("gateway-1");
    let lines = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

fn watch_everything() -> ClientMessage {
    ClientMessage::Spectate { token: String::new(), space: 0, cells: [0, 0, 31, 31] }
}

/// A page that asks for everything and reads nothing.
fn deaf_page(runtime: &tokio::runtime::Runtime, address: &str) -> impl Sized {
    runtime.block_on(async {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}")).await.expect("a gateway");
        for message in [hello(PROTOCOL_VERSION, RegistryHash(0)), watch_everything()] {
            socket.send(WsMessage::Binary(encode_client(&message))).await.expect("sent");
        }
        socket
    })
}

#[test]
fn whoever_misbehaves_costs_one_client_and_nobody_else_notices() {
    let site = Site::new();
    // Updates are small: only the sight of a crowd fills what two kernels hold for who does not read.
    let cluster = site.up(&["--abundance", "10"]);
    let bots = play(&cluster, 12, 25, &[]);
    await_sessions(&cluster, 12);
    let status = cluster.status();
    let gateway = node_of(&status, "gateway-1")["client_tcp"].as_str().expect("an address");
    let page = node_of(&status, "gateway-1")["client_ws"].as_str().expect("an address");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let _deaf_page = deaf_page(&runtime, page);
    let mut deaf = Line::greeted(gateway).expect("a gateway");
    deaf.say(&watch_everything()).expect("sent");

    let silent: Vec<_> = (0..1_000).map(|_| Line::open(gateway).expect("a place")).collect();
    let mut half = Line::open(gateway).expect("a place");
    half.send_bytes(&[200, 0, 0, 0, 1, 2, 3]).expect("sent");
    for _ in 0..20 {
        let mut garbled = Line::open(gateway).expect("a place");
        garbled.send_frame(&[0xAB; 300]).expect("sent");
        assert_eq!(garbled.farewell().0, RefusalCode::BadMessage);
        let mut huge = Line::greeted(gateway).expect("a gateway");
        huge.send_bytes(&1_000_000_u32.to_le_bytes()).expect("sent");
        let (code, text) = huge.farewell();
        assert!(code == RefusalCode::BadMessage && text.contains("1000000 bytes"), "{code:?}: {text}");
    }
    let mut player = Player::enter(gateway, guest("Bystander"));
    let before = player.position;
    player.walk(127, 0, 20).expect("the gateway has time for others");
    assert!(player.position.x > before.x + 2.0, "from {before:?} to {:?}", player.position);
    player.leave();

    assert_eq!(half.farewell(), (RefusalCode::NotAllowed, "nobody said Hello".to_owned()));
    for line in silent {
        assert_eq!(line.farewell(), (RefusalCode::NotAllowed, "nobody said Hello".to_owned()));
    }
    let (began, mut most) = (Instant::now(), 0);
    while series(&cluster, "pangaea_clients_sent_away", "too_slow") < 2 {
        most = most.max(series(&cluster, "pangaea_client_unsent_bytes_most", ""));
        assert!(began.elapsed() < PATIENCE, "those who do not read are still there, {most} bytes wait");
        thread::sleep(LOOK_EVERY);
    }
    println!("those who do not read are gone {:.1?} later; at most {most} bytes waited", began.elapsed());
    assert!(most <= UNSENT_BYTES_MAX, "{most}");
    assert!(series(&cluster, "pangaea_clients_sent_away", "bad_message") >= 40, "{}", cluster.metrics("gateway-1"));

    let report = content(bots);
    assert_eq!(report["connected"], 12, "{report:#}");
    cluster.await_status("nobody is left", PATIENCE, |status| status["gateways"][0]["connections"] == 0);
    assert_eq!(cluster.stop().status.code(), Some(0));
}

/// `pangaea gateway …` as the operator.
fn gateway(cluster: &Cluster, site: &Site, words: &[&str]) -> (Option<i32>, Value) {
    let mut command = cluster.command(&["gateway"]);
    command.args(words).args(["--json", "--data-dir"]).arg(site.folder());
    read_json(&command.output().expect("pangaea starts"))
}

/// How the same is refused, in words.
fn refused(cluster: &Cluster, site: &Site, words: &[&str]) -> String {
    let mut command = cluster.command(&["gateway"]);
    let output = command.args(words).arg("--data-dir").arg(site.folder()).output().expect("pangaea starts");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn clients(cluster: &Cluster) -> [(String, u64); 2] {
    let (code, gateways) = cluster.ask(&["gateway", "list"]);
    assert_eq!(code, Some(0));
    [0, 1].map(|n| {
        let gateway = &gateways[n];
        (gateway["state"].as_str().expect("a state").to_owned(), gateway["connections"].as_u64().expect("a number"))
    })
}

#[test]
fn gateways_are_drained_under_load_and_nobody_is_kicked() {
    let site = Site::new();
    let cluster = site.up(&["--gateways", "2"]);
    let fleets = [play(&cluster, 12, 25, &[]), play(&cluster, 8, 25, &["--websocket"])];
    await_sessions(&cluster, 20);
    let [(_, first), (_, second)] = clients(&cluster);
    assert!(first > 0 && second > 0 && first + second == 20, "{first} and {second}");

    let (code, plan) = gateway(&cluster, &site, &["drain", "gateway-1", "--dry-run"]);
    assert_eq!((code, &plan["dry_run"], &plan["connections"]), (Some(0), &true.into(), &first.into()), "{plan:#}");
    assert_eq!(clients(&cluster)[0], ("up".to_owned(), first), "nothing was ordered");
    let unknown = refused(&cluster, &site, &["drain", "gateway-9"]);
    assert!(unknown.contains("there is no gateway `gateway-9`; there are gateway-1, gateway-2"), "{unknown}");
    let stranger = cluster.command(&["gateway", "drain", "gateway-1", "--token", "guessed"]).output().expect("starts");
    assert_eq!(stranger.status.code(), Some(5));

    let (code, drained) = gateway(&cluster, &site, &["drain", "gateway-1"]);
    assert_eq!((code, &drained["result"]), (Some(0), &"drained".into()), "{drained:#}");
    println!("gateway-1 is drained after {} s", drained["seconds"]);
    cluster.await_status("all are at the other", Duration::from_secs(10), |status| {
        let [from, to] = [0, 1].map(|n| &status["gateways"][n]);
        from["sessions"] == 0 && to["connections"] == 20 && to["sessions"] == 20
    });
    let newcomer = Line::open(&cluster.gateway(1)).expect("it still listens");
    assert_eq!(newcomer.redirection().2, cluster.gateway(2), "new logins go elsewhere");
    let last = refused(&cluster, &site, &["drain", "gateway-2"]);
    assert!(last.contains("gateway-2 is the last gateway that takes clients"), "{last}");

    assert_eq!(gateway(&cluster, &site, &["undrain", "gateway-1"]).0, Some(0));
    signal(cluster.pid_of("gateway-2"), "TERM");
    cluster.await_status("all are at the first", Duration::from_secs(10), |status| status["gateways"][0]["connections"] == 20);

    let sent_on: u64 = fleets.map(|bots| content(bots)["sent_on"].as_u64().expect("a number")).iter().sum();
    assert_eq!(sent_on, first + 20, "those of the first moved twice, the others once");
    assert_eq!(cluster.ask(&["ledger"]).0, Some(0));
    assert_eq!(cluster.stop().status.code(), Some(0));
}
