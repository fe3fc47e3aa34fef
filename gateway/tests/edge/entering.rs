//! From Hello into the world, and every way not to get there.

use std::time::Duration;

use pangaea_gateway::Input;
use pangaea_schemas::client::{ClientMessage, PROTOCOL_VERSION, RefusalCode, ServerMessage};
use pangaea_schemas::message::{
    Address, AttachRefusal, AuthReply, AuthRequest, Credentials, Envelope, Feed, LoginRefusal, Message, Session,
};
use pangaea_schemas::{InSeq, NodeId, OutSeq, RegistryHash, RequestId, Role, SessionEpoch};

use crate::stage::{ANA, Stage, cell, login, middle_of, scene, shard};

const AUTH: NodeId = NodeId::new(Role::Auth, 1);

fn login_request(stage: &mut Stage) -> RequestId {
    let asked = stage.sent().into_iter().find_map(|envelope| match envelope {
        Envelope { to: Address::Auth, message: Message::AuthRequest(AuthRequest::Login { request, .. }) } => Some(request),
        _ => None,
    });
    asked.expect("auth was asked")
}

fn guest() -> ClientMessage {
    ClientMessage::Login(Credentials::Guest { name: "Ana".to_owned() })
}

#[test]
fn a_guest_logs_in_is_born_and_plays() {
    let mut stage = Stage::new();
    let conn = stage.greeted();
    let welcome = stage.words(conn);
    assert!(
        matches!(&welcome[..], [ServerMessage::Welcome { cluster, description: Some(_), tick_hz: 20, .. }] if cluster == "demo")
    );

    stage.say(conn, guest());
    let request = login_request(&mut stage);
    let ticket = stage.ticket(ANA, 1);
    let reply = AuthReply::Ticket { request, ticket: ticket.clone(), agent: ANA, name: "Ana".to_owned() };
    stage.node_says(AUTH, Message::AuthReply(reply));
    assert!(matches!(&stage.words(conn)[..], [ServerMessage::Ticket { agent, .. }] if *agent == ANA));

    stage.say(conn, ClientMessage::Join { ticket });
    stage.located(ANA, shard(1, 1), 1, true);
    let told = stage.told_scenes();
    let Some((node, Session::Attach { agent, session, birth: Some(birth), .. })) = told.first() else { panic!("{told:?}") };
    assert_eq!((*node, *agent, *session, birth.name.as_str()), (scene(1), ANA, login(1), "player 1001"));

    stage.attached(ANA, login(1), shard(1, 1), 1, 1, 0);
    let words = stage.words(conn);
    let [joined, routed] = &words[..] else { panic!("{words:?}") };
    assert!(
        matches!(joined, ServerMessage::Joined { agent, resumed: false, space_edge_cells: 32, view_radius_cells: 3, .. } if *agent == ANA)
    );
    assert!(matches!(routed, ServerMessage::Routed { shard, scene, .. } if shard == "0/3/1,1" && scene == "scene-1"));

    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 0, middle_of(cell(15, 15)));
    stage.tick();
    let added: usize =
        stage.follows().iter().map(|(_, feed)| if let Feed::Follow { add, .. } = feed { add.len() } else { 0 }).sum();
    assert_eq!(added, 49, "all rings around the agent are followed, at both owners");
    stage.input(conn, 1..=2);
    assert_eq!(stage.inputs_told(), [(scene(1), 1), (scene(1), 2)]);
    let update = stage.updates(conn).pop().expect("one update per tick");
    assert_eq!(update.head.position, middle_of(cell(15, 15)));
}

#[test]
fn strangers_are_refused_in_words() {
    let mut stage = Stage::new();
    let early = stage.open();
    stage.say(early, ClientMessage::Ping { client_time_us: 1 });
    assert_eq!(stage.refusal(early), Some((RefusalCode::NotAllowed, "say Hello first".to_owned())));

    let old = stage.open();
    stage.say(old, ClientMessage::Hello { protocol: 0, registry: RegistryHash(0), client: "old client".to_owned() });
    let (code, text) = stage.refusal(old).expect("refused");
    assert_eq!((code, text.as_str()), (RefusalCode::Protocol, "this cluster speaks protocol 2, old client speaks 0"));

    let modded = stage.open();
    stage.say(modded, ClientMessage::Hello { protocol: PROTOCOL_VERSION, registry: RegistryHash(5), client: "mod".to_owned() });
    assert!(matches!(stage.refusal(modded), Some((RefusalCode::Registry, text)) if text.contains("mod was built for")));

    let broken = stage.greeted();
    stage.words(broken);
    stage.handle(Input::Malformed { conn: broken, reason: "not a valid FlatBuffer".to_owned() });
    assert_eq!(stage.refusal(broken), Some((RefusalCode::BadMessage, "not a valid FlatBuffer".to_owned())));
    assert_eq!(stage.closed, [early, old, modded, broken]);
}

#[test]
fn a_bad_ticket_is_refused_and_the_connection_stays() {
    let mut stage = Stage::new();
    let conn = stage.greeted();
    stage.words(conn);
    let ticket = stage.ticket(ANA, 1);
    stage.now = stage.now + Duration::from_secs(100);
    stage.say(conn, ClientMessage::Join { ticket });
    let (code, text) = stage.refusal(conn).expect("refused");
    assert_eq!((code, text.as_str()), (RefusalCode::Ticket, "the ticket is not accepted: it has expired; please log in again"));
    stage.say(conn, ClientMessage::Resume { token: "v4.local.nonsense".to_owned(), out_ack: OutSeq(0), shard: None });
    assert!(matches!(stage.refusal(conn), Some((RefusalCode::Token, _))));
    assert!(stage.closed.is_empty());
}

#[test]
fn a_refused_login_says_why_and_may_be_repeated() {
    let mut stage = Stage::new();
    let conn = stage.greeted();
    stage.words(conn);
    stage.say(conn, guest());
    let request = login_request(&mut stage);
    stage.say(conn, guest());
    assert!(matches!(stage.refusal(conn), Some((RefusalCode::NotAllowed, _))), "one login at a time");
    let refused = AuthReply::Refused { request, reason: LoginRefusal::LockedOut, retry_after_ms: 700 };
    stage.node_says(AUTH, Message::AuthReply(refused));
    assert!(matches!(&stage.words(conn)[..], [ServerMessage::Refused { code: RefusalCode::RateLimit, retry_after_ms: 700, .. }]));
    stage.say(conn, guest());
    login_request(&mut stage);
    stage.ticks(220);
    assert!(
        matches!(stage.refusal(conn), Some((RefusalCode::Unavailable, _))),
        "an auth server that is silent is not waited for"
    );
}

#[test]
fn the_agent_is_followed_along_forwarders() {
    let mut stage = Stage::new();
    let conn = stage.greeted();
    let ticket = stage.ticket(ANA, 1);
    stage.say(conn, ClientMessage::Join { ticket });
    stage.located(ANA, shard(1, 1), 1, false);
    let not_here = AttachRefusal::NotHere { forward: Some(shard(2, 1)) };
    stage.scene_says(1, Session::AttachRefused { agent: ANA, session: login(1), reason: not_here });
    let told = stage.told_scenes();
    assert!(matches!(told.last(), Some((node, Session::Attach { shard: at, .. })) if *node == scene(2) && *at == shard(2, 1)));
    stage.attached(ANA, login(1), shard(2, 1), 2, 7, 0);
    assert!(stage.words(conn).iter().any(|word| matches!(word, ServerMessage::Joined { .. })));
}

#[test]
fn the_client_of_a_parked_agent_is_told_so_and_sent_away() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.route(shard(1, 1), 2, 2);
    stage.scene_says(2, Session::AttachRefused { agent: ANA, session: login(1), reason: AttachRefusal::Parked });
    let (code, text) = stage.refusal(conn).expect("a last word");
    assert_eq!(code, RefusalCode::NotAllowed);
    assert!(text.contains("parked") && text.contains("operator"), "{text}");
    assert_eq!(stage.gateway.report().sessions, 0, "nobody resumes it");
}

#[test]
fn a_world_that_does_not_answer_is_asked_again_and_at_last_given_up() {
    let mut stage = Stage::new();
    let conn = stage.greeted();
    stage.words(conn);
    let ticket = stage.ticket(ANA, 1);
    stage.say(conn, ClientMessage::Join { ticket: ticket.clone() });
    stage.ticks(100);
    let asked = stage.sent().iter().filter(|envelope| matches!(envelope.message, Message::Directory(_))).count();
    assert!((8..=11).contains(&asked), "asked {asked} times in five seconds");
    stage.ticks(120);
    assert!(matches!(stage.refusal(conn), Some((RefusalCode::Unavailable, _))));
    stage.now = stage.now + Duration::from_secs(1);
    let ticket = stage.ticket(ANA, 2);
    stage.say(conn, ClientMessage::Join { ticket });
    stage.located(ANA, shard(1, 1), 1, false);
}

#[test]
fn a_newer_login_here_sends_the_older_one_away() {
    let mut stage = Stage::new();
    let old = stage.playing(ANA, cell(15, 15), 1);
    stage.words(old);
    let new = stage.greeted();
    let ticket = stage.ticket(ANA, 2);
    stage.say(new, ClientMessage::Join { ticket });
    assert!(matches!(stage.refusal(old), Some((RefusalCode::Replaced, _))));
    assert_eq!(stage.closed, [old]);
    let told = stage.told_scenes();
    assert!(matches!(told.last(), Some((_, Session::Attach { session, .. })) if *session == login(2)), "{told:?}");
    assert!(!told.iter().any(|(_, message)| matches!(message, Session::Detach { .. })), "the agent stays in the world");
}

#[test]
fn a_newer_login_elsewhere_ends_the_session_without_a_detach() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.told_scenes();
    stage.words(conn);
    stage.scene_says(1, Session::Replaced { agent: ANA, session: login(1) });
    assert!(matches!(stage.refusal(conn), Some((RefusalCode::Replaced, _))));
    assert!(stage.told_scenes().is_empty());
    assert_eq!(stage.gateway.report().sessions, 0);
}

#[test]
fn leaving_puts_the_agent_to_sleep() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.told_scenes();
    stage.say(conn, ClientMessage::Leave);
    assert!(matches!(&stage.told_scenes()[..], [(_, Session::Detach { asleep: true, .. })]));
    assert_eq!((stage.closed.len(), stage.gateway.report().sessions), (1, 0));
}

#[test]
fn a_resumed_session_goes_on_where_the_owner_is() {
    let mut stage = Stage::new();
    let conn = stage.greeted();
    let ticket = stage.ticket(ANA, 1);
    stage.say(conn, ClientMessage::Join { ticket });
    stage.located(ANA, shard(1, 1), 1, false);
    stage.attached(ANA, login(1), shard(1, 1), 1, 1, 0);
    let token = stage.words(conn).into_iter().find_map(|word| match word {
        ServerMessage::Joined { token, .. } => Some(token),
        _ => None,
    });
    let token = token.expect("joined");
    stage.input(conn, 1..=5);
    stage.told_scenes();
    stage.handle(Input::Closed { conn });
    assert!(matches!(&stage.told_scenes()[..], [(_, Session::Detach { asleep: false, .. })]));

    let again = stage.greeted();
    stage.words(again);
    stage.say(again, ClientMessage::Resume { token: token.clone(), out_ack: OutSeq(3), shard: None });
    let resumed = SessionEpoch { login: 1, resume: 1 };
    let told = stage.told_scenes();
    let [(_, Session::Attach { session, out_ack, .. })] = &told[..] else { panic!("straight to the owner: {told:?}") };
    assert_eq!((*session, *out_ack), (resumed, OutSeq(3)));
    stage.attached(ANA, resumed, shard(1, 1), 1, 1, 3);
    assert!(stage.words(again).iter().any(|word| matches!(word, ServerMessage::Joined { resumed: true, in_seq: InSeq(3), .. })));
    assert_eq!(stage.inputs_told(), [(scene(1), 4), (scene(1), 5)], "what the owner has not applied is told again");
    stage.input(again, 4..=6);
    assert_eq!(stage.inputs_told(), [(scene(1), 6)], "the client's repeats are not doubled");

    let mut elsewhere = Stage::new();
    let there = elsewhere.greeted();
    elsewhere.say(there, ClientMessage::Resume { token, out_ack: OutSeq(3), shard: None });
    elsewhere.located(ANA, shard(1, 1), 1, false);
    let newer = AttachRefusal::Replaced { current: resumed };
    elsewhere.scene_says(1, Session::AttachRefused { agent: ANA, session: resumed, reason: newer });
    let told = elsewhere.told_scenes();
    let last = told.iter().rev().find_map(|(_, m)| if let Session::Attach { session, .. } = m { Some(*session) } else { None });
    assert_eq!(last, Some(SessionEpoch { login: 1, resume: 2 }), "whoever comes last goes on, at any gateway");
}

#[test]
fn who_comes_back_and_says_where_it_was_needs_no_directory() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    let token = stage.words(conn).into_iter().find_map(|word| match word {
        ServerMessage::Joined { token, .. } => Some(token),
        _ => None,
    });
    let token = token.expect("joined");
    let mut elsewhere = Stage::new();
    let there = elsewhere.greeted();
    elsewhere.say(there, ClientMessage::Resume { token, out_ack: OutSeq(0), shard: Some(shard(1, 1)) });
    let told = elsewhere.told_scenes();
    let [(node, Session::Attach { shard: asked, .. })] = &told[..] else { panic!("the shard it was in: {told:?}") };
    assert_eq!((*node, *asked), (scene(1), shard(1, 1)));
    let session = SessionEpoch { login: 1, resume: 1 };
    let moved_on = AttachRefusal::NotHere { forward: None };
    elsewhere.scene_says(1, Session::AttachRefused { agent: ANA, session, reason: moved_on });
    elsewhere.ticks(10);
    elsewhere.located(ANA, shard(0, 1), 1, false);
    let told = elsewhere.told_scenes();
    assert!(told.iter().any(|(_, m)| matches!(m, Session::Attach { shard: at, .. } if *at == shard(0, 1))), "{told:?}");
}

#[test]
fn a_lost_session_is_kept_for_half_a_minute() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.handle(Input::Closed { conn });
    stage.ticks(29 * 20);
    assert_eq!(stage.gateway.report().sessions, 1);
    stage.ticks(2 * 20);
    assert_eq!(stage.gateway.report().sessions, 0);
}
