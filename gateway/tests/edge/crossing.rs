//! Agents change owners under a playing client: nothing it does is lost, doubled or reordered.

use bytes::Bytes;
use pangaea_gateway::limits::{INPUT_OVERHEAD_BYTES, INPUTS_HELD_BYTES_MAX};
use pangaea_schemas::client::{ClientMessage, Input, ServerMessage};
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Directory, Feed, Message, Migration, Session, ShardRoute};
use pangaea_schemas::record::ReliableEvent;
use pangaea_schemas::{AgentEpoch, InSeq, NodeId, Nonce, OutSeq, ShardEpoch, TypeId};

use crate::stage::{ANA, Stage, cell, login, middle_of, scene, shard};

fn hint(epoch: u64) -> Session {
    Session::Hint { agent: ANA, session: login(1), target: shard(2, 1), epoch: AgentEpoch(epoch) }
}

fn route(at: ShardId, epoch: u64, in_seq: u32) -> Session {
    let (agent, session, shard_epoch) = (ANA, login(1), ShardEpoch(1));
    Session::Route { agent, session, shard: at, shard_epoch, epoch: AgentEpoch(epoch), in_seq: InSeq(in_seq) }
}

#[test]
fn inputs_wait_between_owners_and_go_to_the_new_one() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.words(conn);
    stage.input(conn, 1..=3);
    assert_eq!(stage.inputs_told(), [(scene(1), 1), (scene(1), 2), (scene(1), 3)]);
    stage.scene_says(1, hint(2));
    stage.input(conn, 4..=5);
    assert_eq!(stage.inputs_told(), [], "nobody owns the agent");
    stage.scene_says(2, route(shard(2, 1), 2, 2));
    assert_eq!(stage.inputs_told(), [(scene(2), 3), (scene(2), 4), (scene(2), 5)], "3 was on its way when the agent left");
    let words = stage.words(conn);
    assert!(matches!(&words[..], [ServerMessage::Routed { shard, scene, .. }] if shard == "0/3/2,1" && scene == "scene-2"));
}

#[test]
fn late_words_of_a_former_owner_change_nothing() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.scene_says(2, route(shard(2, 1), 4, 0));
    stage.words(conn);
    stage.scene_says(1, hint(4));
    stage.scene_says(1, route(shard(1, 1), 3, 9));
    stage.scene_says(1, Session::Misrouted { agent: ANA, session: login(1), forward: Some(shard(2, 1)) });
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 3, 9, middle_of(cell(1, 1)));
    stage.input(conn, 1..=1);
    assert_eq!(stage.inputs_told(), [(scene(2), 1)]);
    stage.tick();
    let update = stage.updates(conn).pop().expect("an update per tick");
    assert_eq!((update.head.agent_epoch, update.head.in_seq), (AgentEpoch(4), InSeq(0)));
    assert_eq!(update.head.position, middle_of(cell(15, 15)));
}

#[test]
fn a_lost_route_is_made_good_by_the_feed() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.input(conn, 1..=2);
    stage.scene_says(1, hint(2));
    stage.told_scenes();
    stage.agent_news(shard(2, 1), 2, ANA, login(1), 2, 1, middle_of(cell(16, 15)));
    assert_eq!(stage.inputs_told(), [(scene(2), 2)]);
}

#[test]
fn an_agent_that_does_not_arrive_is_looked_for() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.input(conn, 1..=1);
    stage.scene_says(1, hint(2));
    stage.words(conn);
    stage.sent();
    stage.ticks(21);
    stage.located(ANA, shard(2, 1), 2, false);
    assert!(matches!(&stage.told_scenes()[..], [(node, Session::Attach { .. })] if *node == scene(2)));
    stage.attached(ANA, login(1), shard(2, 1), 2, 2, 0);
    assert_eq!(stage.inputs_told(), [(scene(2), 1)]);
    let words = stage.words(conn);
    assert!(matches!(&words[..], [ServerMessage::Routed { .. }]), "the client only sees another owner: {words:?}");
}

#[test]
fn misrouted_inputs_find_the_agent() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.input(conn, 1..=2);
    stage.told_scenes();
    stage.scene_says(1, Session::Misrouted { agent: ANA, session: login(1), forward: Some(shard(2, 1)) });
    assert!(matches!(&stage.told_scenes()[..], [(node, Session::Attach { .. })] if *node == scene(2)));
    stage.attached(ANA, login(1), shard(2, 1), 2, 3, 0);
    assert_eq!(stage.inputs_told(), [(scene(2), 1), (scene(2), 2)]);

    stage.scene_says(2, Session::Misrouted { agent: ANA, session: login(1), forward: None });
    let asked = stage.sent().into_iter().any(|envelope| matches!(envelope.message, Message::Directory(Directory::Locate { .. })));
    assert!(asked, "an owner that knows nothing more leaves it to the directory");
}

#[test]
fn an_owner_that_lost_inputs_on_the_way_hears_them_again() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.input(conn, 1..=2);
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 1, middle_of(cell(15, 15)));
    stage.inputs_told();
    stage.ticks(9);
    assert_eq!(stage.inputs_told(), []);
    stage.ticks(2);
    assert_eq!(stage.inputs_told(), [(scene(1), 2)]);
}

#[test]
fn an_owner_that_forgot_the_session_is_told_again_and_at_last_looked_up() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.told_scenes();
    stage.ticks(18);
    assert!(stage.told_scenes().is_empty());
    stage.ticks(13);
    let told = stage.told_scenes();
    assert!(told.iter().all(|(node, told)| *node == scene(1) && matches!(told, Session::Attach { .. })), "{told:?}");
    assert_eq!(told.len(), 2, "every half second");
    stage.ticks(31);
    let located = stage.sent().iter().filter(|sent| matches!(sent.message, Message::Directory(Directory::Locate { .. }))).count();
    assert_eq!(located, 1);
    stage.input(conn, 1..=1);
    assert_eq!(stage.inputs_told(), []);
    stage.start_over(shard(1, 1));
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 0, middle_of(cell(15, 15)));
    assert_eq!(stage.inputs_told(), [(scene(1), 1)], "an owner that speaks again is the owner");
}

#[test]
fn a_new_owner_of_the_shard_is_told_at_once_whose_its_agents_are() {
    let mut stage = Stage::new();
    stage.playing(ANA, cell(15, 15), 1);
    stage.told_scenes();
    stage.route(shard(1, 1), 2, 2);
    let told = stage.told_scenes();
    let [(node, Session::Attach { agent: ANA, birth: None, .. })] = told.as_slice() else { panic!("no attach but {told:?}") };
    assert_eq!(*node, scene(2));
}

#[test]
fn a_client_whose_agent_has_no_owner_is_read_for_a_second_and_stays_connected() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.scene_says(1, hint(2));
    stage.input(conn, 1..=1);
    stage.ticks(19);
    assert!(stage.paused.is_empty());
    stage.ticks(2);
    assert_eq!(stage.paused, [conn]);
    stage.ticks(600);
    assert!(stage.closed.is_empty(), "a dead scene kicks nobody");
    stage.updates(conn);
    stage.scene_says(2, route(shard(2, 1), 2, 0));
    assert_eq!(stage.inputs_told(), [(scene(2), 1)]);
    stage.agent_news(shard(2, 1), 2, ANA, login(1), 2, 1, middle_of(cell(16, 15)));
    stage.tick();
    assert!(stage.paused.is_empty());
}

#[test]
fn inputs_of_64_kib_are_held_and_no_more_are_read() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.scene_says(1, hint(2));
    let long = Bytes::from(vec![0; 1_000]);
    let mut seq = 0;
    while stage.paused.is_empty() && seq < 100 {
        seq += 1;
        let input = Input { seq: InSeq(seq), id: TypeId::of("letter"), bytes: long.clone() };
        stage.say(conn, ClientMessage::Inputs { inputs: vec![input], out_ack: OutSeq(0) });
    }
    assert_eq!(seq as usize, INPUTS_HELD_BYTES_MAX.div_ceil(1_000 + INPUT_OVERHEAD_BYTES));
}

#[test]
fn missing_events_are_asked_for_and_told_once() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.words(conn);
    stage.told_scenes();
    let events = |seqs: std::ops::RangeInclusive<u32>| {
        let event = |seq| ReliableEvent { seq: OutSeq(seq), id: TypeId(1), bytes: Bytes::new() };
        Session::Events { agent: ANA, session: login(1), events: seqs.map(event).collect(), resync: false }
    };
    stage.tick();
    stage.words(conn);
    stage.told_scenes();
    stage.scene_says(1, events(2..=3));
    assert!(matches!(&stage.told_scenes()[..], [(_, Session::Attach { .. })]), "1 is missing");
    assert!(stage.words(conn).is_empty());
    stage.scene_says(1, events(1..=3));
    stage.scene_says(1, events(2..=3));
    let words = stage.words(conn);
    let [ServerMessage::Events { events, resync: false }] = &words[..] else { panic!("{words:?}") };
    assert_eq!(events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_shard_that_moves_takes_its_sessions_and_cells_along() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.input(conn, 1..=3);
    stage.ticks(2);
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 2, middle_of(cell(15, 15)));
    stage.words(conn);
    stage.inputs_told();
    stage.follows();
    let moved = ShardRoute { shard: shard(1, 1), owner: scene(2), nonce: Nonce(7), epoch: ShardEpoch(2) };
    stage.node_says(scene(1), Message::Migration(Migration::Moved { route: moved }));
    assert_eq!(stage.inputs_told(), [(scene(2), 3)], "what the old owner did not acknowledge");
    let words = stage.words(conn);
    assert!(matches!(&words[..], [ServerMessage::Routed { scene, .. }] if scene == "scene-2"), "{words:?}");
    // Told again by the new owner, and by the beacon: no news.
    stage.node_says(scene(2), Message::Migration(Migration::Moved { route: moved }));
    stage.tick();
    assert_eq!(stage.inputs_told(), []);
    let anew = |(_, follow): &(pangaea_schemas::NodeId, Feed)| matches!(follow, Feed::Follow { shard: s, reset: true, .. } if *s == shard(1, 1));
    assert!(!stage.follows().iter().any(anew), "the new owner goes on with the same frames");
    stage.input(conn, 4..=4);
    assert_eq!(stage.inputs_told(), [(scene(2), 4)]);
    // The former owner is not heard any more.
    let late = ShardRoute { owner: scene(1), epoch: ShardEpoch(1), ..moved };
    stage.node_says(scene(1), Message::Migration(Migration::Moved { route: late }));
    stage.input(conn, 5..=5);
    assert_eq!(stage.inputs_told(), [(scene(2), 5)]);
}

#[test]
fn an_owner_that_speaks_is_followed_before_the_beacon_tells_of_it() {
    let mut stage = Stage::new();
    stage.playing(ANA, cell(15, 15), 1);
    stage.follows();
    // Shard 2,1 was scene 2's, and is scene 3's now, to which the agent went over.
    stage.scene_says(1, hint(2));
    let taken = Session::Route {
        agent: ANA,
        session: login(1),
        shard: shard(2, 1),
        shard_epoch: ShardEpoch(2),
        epoch: AgentEpoch(2),
        in_seq: InSeq(0),
    };
    stage.scene_says(3, taken);
    stage.tick();
    let asked = |follows: &[(NodeId, Feed)], node: NodeId| {
        let here = |(to, feed): &(NodeId, Feed)| {
            *to == node && matches!(feed, Feed::Follow { shard: s, reset: true, .. } if *s == shard(2, 1))
        };
        follows.iter().any(here)
    };
    assert!(asked(&stage.follows(), scene(3)), "its cells are asked for there");
    // The beacon tells the same, late: no news.
    stage.route(shard(2, 1), 3, 2);
    stage.tick();
    assert!(!asked(&stage.follows(), scene(3)));
    // What the former owner says of the agent counts no more.
    stage.scene_says(2, route(shard(2, 1), 9, 0));
    stage.tick();
    assert!(!asked(&stage.follows(), scene(2)));
}
