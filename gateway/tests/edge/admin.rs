//! An admin asks whose sessions a gateway has, and ends one.

use pangaea_schemas::client::{RefusalCode, ServerMessage};
use pangaea_schemas::message::{Address, Desk, Message, Session, SessionRow};
use pangaea_schemas::{EntityId, RequestId};

use crate::stage::{ANA, BEN, Stage, WORLD, cell};

const REQUEST: RequestId = RequestId(5);

/// What the gateway answers, and what else it says.
fn ask(stage: &mut Stage, question: Desk) -> (Desk, Vec<Session>) {
    stage.sent();
    stage.node_says(WORLD, Message::Desk(question));
    let (mut answer, mut others) = (None, Vec::new());
    for envelope in stage.sent() {
        match envelope.message {
            Message::Desk(desk) => {
                assert_eq!(envelope.to, Address::Node(WORLD));
                answer = Some(desk);
            }
            Message::Session(session) => others.push(session),
            _ => {}
        }
    }
    (answer.expect("an answer"), others)
}

fn list(stage: &mut Stage, after: EntityId, limit: u32) -> (Vec<SessionRow>, bool) {
    match ask(stage, Desk::ListSessions { request: REQUEST, after, limit }).0 {
        Desk::Sessions { request: REQUEST, sessions, more } => (sessions, more),
        other => panic!("no list but {other:?}"),
    }
}

#[test]
fn sessions_are_listed_in_parts_with_and_without_clients() {
    let mut stage = Stage::new();
    let ana = stage.playing(ANA, cell(15, 15), 1);
    stage.playing(BEN, cell(17, 15), 2);
    stage.handle(pangaea_gateway::Input::Closed { conn: ana });
    let (first, more) = list(&mut stage, EntityId(0), 1);
    assert_eq!((first[0].agent, first[0].connected, first[0].state.as_str(), more), (ANA, false, "lost", true));
    let (rest, more) = list(&mut stage, ANA, 9);
    assert_eq!((rest.len(), rest[0].agent, rest[0].connected, rest[0].state.as_str(), more), (1, BEN, true, "playing", false));
    assert_eq!(rest[0].name, format!("player {}", BEN.0));
}

#[test]
fn who_is_kicked_hears_why_and_nothing_of_the_session_stays() {
    let mut stage = Stage::new();
    let ana = stage.playing(ANA, cell(15, 15), 1);
    stage.words(ana);
    let kick = |agent| Desk::Kick { request: REQUEST, agent, words: "read the rules".to_owned() };
    let (answer, told) = ask(&mut stage, kick(ANA));
    assert_eq!(answer, Desk::Kicked { request: REQUEST, here: true });
    let words = stage.words(ana);
    let [ServerMessage::Goodbye { code: RefusalCode::NotAllowed, text, .. }] = words.as_slice() else {
        panic!("no goodbye but {words:?}");
    };
    assert_eq!(text, "read the rules");
    assert_eq!(stage.closed, [ana]);
    assert!(told.iter().any(|word| matches!(word, Session::Detach { agent: ANA, asleep: true, .. })), "{told:?}");
    assert_eq!(list(&mut stage, EntityId(0), 9), (vec![], false));
    assert_eq!(ask(&mut stage, kick(ANA)).0, Desk::Kicked { request: REQUEST, here: false });
}
