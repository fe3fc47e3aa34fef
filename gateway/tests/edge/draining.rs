//! A gateway that is emptied: its clients learn where their sessions go on, in the form their transport connects by.

use pangaea_gateway::limits::{DRAIN_PER_TICK_MIN, DRAIN_TICKS};
use pangaea_gateway::{Input, Transport};
use pangaea_schemas::EntityId;
use pangaea_schemas::client::{RefusalCode, ServerMessage};
use pangaea_schemas::message::{ClientAddresses, Control, Message, Session};

use crate::stage::{ANA, BEN, Stage, WORLD, cell};

fn gateways(ports: &[u16]) -> Vec<ClientAddresses> {
    let addresses = |port: &u16| ClientAddresses { tcp: format!("10.0.0.1:{port}"), ws: format!("10.0.0.1:{}", port + 1) };
    ports.iter().map(addresses).collect()
}

fn drain(stage: &mut Stage, to: Vec<ClientAddresses>) {
    stage.node_says(WORLD, Message::Control(Control::DrainGateway { to }));
}

/// Where the goodbye that a client heard sends it, and when it may come back here.
fn sent_to(words: &[ServerMessage]) -> (String, u32) {
    let [ServerMessage::Goodbye { code: RefusalCode::Draining, reconnect_to, retry_after_ms, .. }] = words else {
        panic!("no goodbye but {words:?}");
    };
    (reconnect_to.clone(), *retry_after_ms)
}

#[test]
fn each_client_is_sent_to_a_place_that_its_transport_can_connect_to() {
    let mut stage = Stage::new();
    let player = stage.playing(ANA, cell(15, 15), 1);
    let page = stage.open_over(Transport::WebSocket);
    stage.words(player);
    stage.told_scenes();
    drain(&mut stage, gateways(&[8_000]));
    stage.tick();
    assert_eq!(sent_to(&stage.words(player)), ("10.0.0.1:8000".to_owned(), 0));
    assert_eq!(sent_to(&stage.words(page)), ("ws://10.0.0.1:8001".to_owned(), 0));
    assert_eq!(stage.closed, [player, page]);
    let told = stage.told_scenes();
    assert!(told.iter().any(|(_, word)| matches!(word, Session::Detach { agent: ANA, asleep: false, .. })), "{told:?}");
    let report = stage.gateway.report();
    assert_eq!((report.connections, report.sessions, report.draining), (0, 0, true), "nothing of them is kept here");

    let late = stage.open();
    assert_eq!(sent_to(&stage.words(late)).0, "10.0.0.1:8000", "who comes later hears the same");
}

#[test]
fn clients_are_spread_over_the_gateways_that_their_transport_reaches() {
    let mut stage = Stage::new();
    let mut to = gateways(&[8_000, 8_010, 8_020]);
    to[1].tcp.clear();
    let clients = [(); 4].map(|()| stage.open());
    drain(&mut stage, to);
    stage.tick();
    let ports = clients.map(|client| sent_to(&stage.words(client)).0);
    assert_eq!(ports, ["10.0.0.1:8000", "10.0.0.1:8020", "10.0.0.1:8000", "10.0.0.1:8020"]);
}

#[test]
fn a_crowd_leaves_over_two_seconds_and_a_handful_at_once() {
    let mut stage = Stage::new();
    let crowd = DRAIN_TICKS * DRAIN_PER_TICK_MIN * 2;
    (0..crowd).for_each(|_| _ = stage.open());
    drain(&mut stage, gateways(&[8_000]));
    assert_eq!(stage.closed.len(), 0);
    stage.tick();
    assert_eq!(stage.closed.len(), crowd / DRAIN_TICKS);
    drain(&mut stage, gateways(&[8_000]));
    stage.ticks(DRAIN_TICKS as u32 - 2);
    assert_eq!(stage.closed.len(), crowd - crowd / DRAIN_TICKS, "told twice, it goes on at its pace");
    stage.tick();
    assert_eq!(stage.closed.len(), crowd);
}

#[test]
fn with_no_other_gateway_all_go_at_once_and_may_try_again_here() {
    let mut stage = Stage::new();
    let clients = [(); DRAIN_PER_TICK_MIN * 3].map(|()| stage.open());
    drain(&mut stage, Vec::new());
    stage.tick();
    assert_eq!(stage.closed, clients);
    assert_eq!(sent_to(&stage.words(clients[0])), (String::new(), 2_000));
}

#[test]
fn a_gateway_that_is_wanted_again_takes_clients_and_keeps_those_it_still_has() {
    let mut stage = Stage::new();
    let crowd: Vec<_> = (0..DRAIN_PER_TICK_MIN + 1).map(|_| stage.open()).collect();
    drain(&mut stage, gateways(&[8_000]));
    stage.tick();
    stage.node_says(WORLD, Message::Control(Control::UndrainGateway));
    stage.ticks(3);
    assert_eq!(stage.closed, crowd[..DRAIN_PER_TICK_MIN]);
    stage.playing(BEN, cell(3, 3), 1);
    assert_eq!(stage.gateway.report().connections, 2);
    assert!(!stage.gateway.report().draining);
}

#[test]
fn a_session_without_its_client_does_not_keep_the_gateway() {
    let mut stage = Stage::new();
    let conn = stage.playing(EntityId(77), cell(15, 15), 1);
    stage.handle(Input::Closed { conn });
    assert_eq!(stage.gateway.report().sessions, 1, "it may come back");
    drain(&mut stage, gateways(&[8_000]));
    assert_eq!(stage.gateway.report().sessions, 0, "it comes back elsewhere");
}
