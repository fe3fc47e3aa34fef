//! One client's excess is that client's trouble.

use std::time::Duration;

use pangaea_gateway::Input;
use pangaea_gateway::limits::{HOPELESS_QUEUE_BYTES, MESSAGES, SLOW_QUEUE_BYTES};
use pangaea_schemas::client::{ClientMessage, RefusalCode, ServerMessage};

use crate::stage::{ANA, BEN, Stage, cell};

#[test]
fn a_client_that_talks_too_much_is_paused_then_sent_away_and_others_notice_nothing() {
    let mut stage = Stage::new();
    let loud = stage.playing(ANA, cell(15, 15), 1);
    let calm = stage.playing(BEN, cell(14, 15), 1);
    stage.words(calm);
    for _ in 0..MESSAGES.burst + 1 {
        stage.say(loud, ClientMessage::Ping { client_time_us: 0 });
    }
    assert_eq!(stage.paused, [loud]);
    stage.say(calm, ClientMessage::Ping { client_time_us: 7 });
    assert!(matches!(&stage.words(calm)[..], [ServerMessage::Pong { client_time_us: 7, .. }]));
    stage.ticks(20);
    assert!(stage.paused.is_empty(), "a second pays the debt");
    for _ in 0..2_000 {
        stage.say(loud, ClientMessage::Ping { client_time_us: 0 });
    }
    assert_eq!(stage.closed, [loud]);
    assert!(matches!(stage.words(loud).last(), Some(ServerMessage::Goodbye { code: RefusalCode::RateLimit, .. })));
}

#[test]
fn a_slow_client_misses_updates_and_catches_up() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.handle(Input::Queued { conn, bytes: SLOW_QUEUE_BYTES + 1 });
    stage.updates(conn);
    stage.ticks(10);
    assert_eq!(stage.updates(conn).len(), 0);
    stage.handle(Input::Queued { conn, bytes: 0 });
    stage.ticks(2);
    assert_eq!(stage.updates(conn).len(), 2);
    assert!(stage.closed.is_empty());
}

#[test]
fn answers_that_are_not_read_count_before_the_client_is_in_the_world() {
    let mut stage = Stage::new();
    let deaf = stage.open();
    stage.handle(Input::Queued { conn: deaf, bytes: HOPELESS_QUEUE_BYTES + 1 });
    stage.tick();
    assert_eq!(stage.closed, [deaf]);
}

#[test]
fn a_hopeless_client_is_sent_away_and_its_session_waits() {
    let mut stage = Stage::new();
    let (big, long) = (stage.playing(ANA, cell(15, 15), 1), stage.playing(BEN, cell(15, 15), 1));
    stage.handle(Input::Queued { conn: big, bytes: HOPELESS_QUEUE_BYTES + 1 });
    stage.handle(Input::Queued { conn: long, bytes: SLOW_QUEUE_BYTES + 1 });
    stage.tick();
    assert_eq!(stage.closed, [big]);
    stage.now = stage.now + Duration::from_secs(10);
    stage.tick();
    assert_eq!(stage.closed, [big, long]);
    assert!(matches!(stage.words(long).last(), Some(ServerMessage::Goodbye { code: RefusalCode::TooSlow, .. })));
    assert_eq!(stage.gateway.report().sessions, 2, "both may come back");
}

#[test]
fn a_gap_in_the_inputs_is_named() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.words(conn);
    stage.input(conn, 1..=2);
    stage.input(conn, 4..=4);
    let refusal = stage.words(conn).pop();
    assert!(matches!(refusal, Some(ServerMessage::Goodbye { text, .. }) if text == "input 4 came where 3 was expected"));
}

#[test]
fn silent_connections_are_closed() {
    let mut stage = Stage::new();
    let conn = stage.open();
    stage.ticks(99);
    assert!(stage.closed.is_empty());
    stage.ticks(2);
    assert_eq!(stage.closed, [conn]);
}

#[test]
fn spectators_watch_a_rectangle_and_nothing_else() {
    let mut stage = Stage::new();
    let conn = stage.greeted();
    stage.words(conn);
    let watch = |cells| ClientMessage::Spectate { token: String::new(), space: 0, cells };
    stage.say(conn, watch([5, 5, 4, 4]));
    assert!(matches!(stage.refusal(conn), Some((RefusalCode::NotAllowed, _))));
    stage.say(conn, watch([0, 0, 999, 999]));
    assert!(matches!(&stage.words(conn)[..], [ServerMessage::Watching { space: 0, space_edge_cells: 32 }]));
    stage.input(conn, 1..=1);
    assert!(matches!(stage.refusal(conn), Some((RefusalCode::NotAllowed, _))));
    stage.tick();
    let cells: usize = stage.follows().iter().map(|(_, feed)| added(feed)).sum();
    assert_eq!(cells, 32 * 32, "cut at the edge of the space");
}

fn added(feed: &pangaea_schemas::message::Feed) -> usize {
    if let pangaea_schemas::message::Feed::Follow { add, .. } = feed { add.len() } else { 0 }
}
