//! What does not start, and who is not let in: each told in words, and nothing left behind.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};

use pangaea_schemas::RegistryHash;
use pangaea_schemas::client::{PROTOCOL_VERSION, RefusalCode};

use crate::player::{Line, Player, guest, hello};
use crate::process::{Site, free_ports};

#[test]
fn a_port_in_use_is_named_with_what_it_is_for() {
    let (site, base) = (Site::new(), free_ports());
    let _squatter = TcpListener::bind((Ipv4Addr::LOCALHOST, base + 10)).expect("it was free");
    let ended = site.up_fails(base);
    let words = format!("port {} (scene-1, for other nodes) is in use", base + 10);
    assert!(ended.stderr.contains(&words) && ended.stderr.contains("--port-base"), "{}", ended.stderr);
    assert!(fs::read_dir(site.folder()).expect("a folder").next().is_none(), "the folder was not touched");
}

#[test]
fn a_folder_of_another_version_is_refused() {
    let site = Site::new();
    fs::write(site.folder().join("FORMAT"), "pangaea data folder, format 99\n").expect("written");
    let ended = site.up_fails(free_ports());
    assert!(ended.stderr.contains("is of another version") && ended.stderr.contains("format 99"), "{}", ended.stderr);
}

#[test]
fn a_folder_has_one_cluster_at_a_time() {
    let site = Site::new();
    let first = site.up(&[]);
    let ended = site.up_fails(free_ports());
    assert!(ended.stderr.contains("is in use by process"), "{}", ended.stderr);
    assert_eq!(first.status()["nodes"].as_array().map(Vec::len), Some(6), "the first goes on");
    assert_eq!(first.stop().status.code(), Some(0));
}

#[test]
fn a_role_that_dies_at_the_start_ends_the_cluster_with_its_last_words() {
    let site = Site::new();
    assert_eq!(site.up(&[]).stop().status.code(), Some(0));
    fs::write(site.folder().join("keys/ticket.secret"), b"scratched").expect("written");
    let ended = site.up_fails(free_ports());
    assert!(ended.stderr.contains("auth-1 died"), "{}", ended.stderr);
    assert!(ended.stderr.contains("ticket.secret holds 9 bytes instead of 64"), "{}", ended.stderr);
}

#[test]
fn strangers_are_turned_away_and_the_others_play_on() {
    let site = Site::new();
    let cluster = site.up(&[]);
    let gateway = cluster.gateway(1);
    let mut player = Player::enter(&gateway, guest("Bystander"));
    let stranger = || Line::open(&gateway).expect("a gateway");

    let mut old = stranger();
    old.say(&hello(PROTOCOL_VERSION + 1, RegistryHash(0))).expect("sent");
    let (code, text) = old.farewell();
    assert_eq!(code, RefusalCode::Protocol);
    assert!(text.contains(&format!("speaks protocol {PROTOCOL_VERSION}, the tests speaks {}", PROTOCOL_VERSION + 1)), "{text}");

    let mut foreign = stranger();
    foreign.say(&hello(PROTOCOL_VERSION, RegistryHash(7))).expect("sent");
    let (code, text) = foreign.farewell();
    assert_eq!(code, RefusalCode::Registry);
    assert!(text.contains("was built for 0000000000000007"), "{text}");

    let mut garbled = stranger();
    garbled.send_frame(&[0xAB; 300]).expect("sent");
    let (code, text) = garbled.farewell();
    assert_eq!(code, RefusalCode::BadMessage);
    assert!(text.contains("not a valid FlatBuffer"), "{text}");

    let mut huge = stranger();
    huge.send_bytes(&u32::MAX.to_le_bytes()).expect("sent");
    let (code, text) = huge.farewell();
    assert_eq!(code, RefusalCode::BadMessage);
    assert!(text.contains("4294967295 bytes, but at most 1024 bytes are allowed before Hello"), "{text}");

    let before = player.position;
    player.walk(127, 0, 20).expect("nobody else is concerned");
    assert!(player.position.x > before.x + 2.0, "from {before:?} to {:?}", player.position);
    assert_eq!(cluster.stop().status.code(), Some(0));
}
