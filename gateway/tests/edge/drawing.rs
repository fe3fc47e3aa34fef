//! Feeds into cells, cells into updates: what is refused, what hangs over, and who is told.

use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, CellOffset};
use pangaea_schemas::message::{CellFeed, Enter, Feed, Leave, Motion};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::wire::update::{Slot, Update};
use pangaea_schemas::{EntityId, TypeId};

use crate::stage::{ANA, Stage, cell, login, middle_of, scene, shard};

const FOX: EntityId = EntityId(50);
/// Nobody else is drawn.
const FOX_SLOT: Slot = Slot(0);

/// Who stands so many 1/256 m east of the cell's corner.
fn motion(entity: EntityId, x: i16) -> Motion {
    Motion { entity, offset: CellOffset { x, z: 0 }, vx: 0, vz: 0 }
}

/// Who was there at that tick's end and walks east at 5 m/s.
fn walking(entity: EntityId, x: i16) -> Motion {
    Motion { vx: 5 * 512, ..motion(entity, x) }
}

fn moves(motion: Motion) -> CellFeed {
    CellFeed { cell: cell(15, 15), moved: vec![motion], ..CellFeed::default() }
}

fn enter(entity: EntityId) -> Enter {
    let component = ComponentBytes { id: TypeId(1), bytes: Bytes::from_static(b"red") };
    Enter { entity, components: vec![component] }
}

fn full(at: CellId, entities: &[EntityId]) -> CellFeed {
    let entered = entities.iter().map(|entity| enter(*entity)).collect();
    let moved = entities.iter().map(|entity| motion(*entity, 0)).collect();
    CellFeed { cell: at, snapshot: true, entered, moved, ..CellFeed::default() }
}

fn left(at: CellId, to: Option<CellId>) -> CellFeed {
    CellFeed { cell: at, left: vec![Leave { entity: FOX, to }], ..CellFeed::default() }
}

/// What the updates say of the fox, in order; places in 1/256 m east of its first cell's corner.
fn of_fox(updates: &[Update]) -> Vec<String> {
    let mut said = Vec::new();
    for Update { head, left, entered, moved, changed } in updates {
        let place = |x: f32| ((x - cell(15, 15).corner().x) * 256.0).round() as i32;
        let at = |course: pangaea_schemas::wire::update::Course| place(course.position(head.position).x);
        said.extend(left.iter().filter(|slot| **slot == FOX_SLOT).map(|_| "left".to_owned()));
        let entered = entered.iter().filter(|e| e.entity == FOX);
        said.extend(entered.map(|e| format!("entered at {} with {:?}", at(e.course), e.components[0].bytes)));
        said.extend(
            moved.iter().filter(|(slot, _)| *slot == FOX_SLOT).map(|(_, course)| format!("goes on from {}", at(*course))),
        );
        said.extend(changed.iter().filter(|(slot, _)| *slot == FOX_SLOT).map(|(_, news)| format!("{:?}", news[0].bytes)));
    }
    said
}

/// A client with the fox in the cell west of a border between two scenes.
fn with_fox() -> (Stage, pangaea_gateway::ConnId) {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    stage.frame(shard(1, 1), 1, vec![full(cell(15, 15), &[FOX])], Vec::new());
    stage.frame(shard(2, 1), 2, vec![full(cell(16, 15), &[])], Vec::new());
    stage.updates(conn);
    (stage, conn)
}

#[test]
fn an_entity_is_introduced_then_told_of_when_it_moves_and_then_costs_nothing() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    assert_eq!(of_fox(&stage.updates(conn)), ["entered at 0 with b\"red\""]);
    stage.frame(shard(1, 1), 1, vec![moves(motion(FOX, 9))], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), ["goes on from 9"]);
    stage.ticks(8);
    assert_eq!(of_fox(&stage.updates(conn)), [""; 0]);
}

#[test]
fn who_walks_straight_is_told_of_once_and_who_then_is_not_heard_of_stands() {
    let (mut stage, conn) = with_fox();
    stage.ticks(8);
    stage.updates(conn);
    for step in 0..20 {
        stage.frame(shard(1, 1), 1, vec![moves(walking(FOX, step * 64))], Vec::new());
        stage.tick();
    }
    let said = of_fox(&stage.updates(conn));
    assert_eq!(said.len(), 1, "{said:?}");
    // The shard goes on without a word of the fox: it stands where it was last.
    stage.frame(shard(1, 1), 1, Vec::new(), Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), [format!("goes on from {}", 19 * 64)]);
}

#[test]
fn nobody_of_a_silent_shard_walks_on_for_ever() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    stage.frame(shard(1, 1), 1, vec![moves(walking(FOX, 64))], Vec::new());
    stage.ticks(20);
    let said = of_fox(&stage.updates(conn));
    assert_eq!(said.len(), 2, "it walks, and stands still when nothing more is heard: {said:?}");
}

#[test]
fn an_entity_between_two_owners_stays_drawn() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), Some(cell(16, 15)))], Vec::new());
    stage.ticks(10);
    assert_eq!(of_fox(&stage.updates(conn)), [""; 0], "it hangs over its last cell");
    let arrives = CellFeed { snapshot: false, ..full(cell(16, 15), &[FOX]) };
    stage.frame(shard(2, 1), 2, vec![arrives], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), [format!("goes on from {}", 32 * 256)], "cells are no business of the client's");
}

#[test]
fn an_entity_that_never_arrives_is_gone_after_two_seconds() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), Some(cell(16, 15)))], Vec::new());
    stage.ticks(39);
    assert_eq!(of_fox(&stage.updates(conn)), [""; 0]);
    stage.follows();
    stage.ticks(6);
    assert_eq!(of_fox(&stage.updates(conn)), ["left"]);
    let asks = |(node, feed): &(_, Feed)| *node == scene(2) && matches!(feed, Feed::Follow { add, .. } if add == &[cell(16, 15)]);
    assert!(stage.follows().iter().any(asks), "or its new owner's clock is behind, and its news were taken for old ones");
}

#[test]
fn an_entity_that_ceases_is_gone_within_four_rounds() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), None)], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), ["left"]);
}

#[test]
fn an_entity_that_comes_back_at_once_never_left() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    let back = CellFeed { snapshot: false, ..full(cell(15, 15), &[FOX]) };
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), None)], Vec::new());
    stage.frame(shard(1, 1), 1, vec![back], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), ["entered at 0 with b\"red\""], "told anew under the slot that it has");
}

#[test]
fn old_news_of_a_former_owner_do_not_pull_an_entity_back() {
    let (mut stage, conn) = with_fox();
    let late = stage.tick_number();
    stage.ticks(3);
    let arrives = CellFeed { snapshot: false, ..full(cell(16, 15), &[FOX]) };
    stage.frame(shard(2, 1), 2, vec![arrives], Vec::new());
    let old = pangaea_schemas::message::FeedFrame {
        shard: shard(1, 1),
        epoch: pangaea_schemas::ShardEpoch(1),
        tick: late,
        seq: 3,
        follower: None,
        cells: vec![std::sync::Arc::new(CellFeed { snapshot: false, ..full(cell(15, 15), &[FOX]) })],
        agents: Vec::new(),
    };
    stage.updates(conn);
    stage.node_says(scene(1), pangaea_schemas::message::Message::Feed(Feed::Frame(old)));
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), [format!("goes on from {}", 32 * 256)]);
}

/// The neighbour, whose clock is behind, tells that the fox comes there: it looks older than what is known.
fn fox_comes_earlier(stage: &mut Stage, seq: u32, at: CellId) {
    let arrives = std::sync::Arc::new(CellFeed { snapshot: false, ..full(at, &[FOX]) });
    let frame = pangaea_schemas::message::FeedFrame {
        shard: shard(2, 1),
        epoch: pangaea_schemas::ShardEpoch(1),
        tick: pangaea_schemas::Tick(stage.tick_number().0 - 50),
        seq,
        follower: None,
        cells: vec![arrives],
        agents: Vec::new(),
    };
    stage.node_says(scene(2), pangaea_schemas::message::Message::Feed(Feed::Frame(frame)));
}

/// Whether the neighbour was asked for this cell.
fn is_asked_for(follows: &[(pangaea_schemas::NodeId, Feed)], of: CellId) -> bool {
    follows.iter().any(|(to, feed)| *to == scene(2) && matches!(feed, Feed::Follow { add, .. } if add.contains(&of)))
}

#[test]
fn whose_new_owner_is_behind_in_time_is_found_wherever_it_went_on_to() {
    let (mut stage, _) = with_fox();
    stage.tick();
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), Some(cell(16, 15)))], Vec::new());
    for (seq, at) in [(2, cell(16, 15)), (3, cell(16, 16))] {
        fox_comes_earlier(&mut stage, seq, at);
    }
    stage.follows();
    stage.ticks(42);
    let asked = stage.follows();
    assert!(is_asked_for(&asked, cell(16, 15)) && is_asked_for(&asked, cell(16, 16)), "{asked:?}");
}

#[test]
fn who_is_no_more_where_it_was_is_looked_for_where_older_news_told_of_it() {
    let (mut stage, _) = with_fox();
    stage.tick();
    fox_comes_earlier(&mut stage, 2, cell(16, 16));
    stage.follows();
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), None)], Vec::new());
    stage.tick();
    let asked = stage.follows();
    assert!(is_asked_for(&asked, cell(16, 16)), "{asked:?}");
}

#[test]
fn an_owner_that_starts_over_unasked_has_forgotten_what_is_followed() {
    let (mut stage, conn) = with_fox();
    stage.ticks(4);
    stage.updates(conn);
    stage.follows();
    // It thought the gateway gone; a wish to follow one cell less makes it known again, without any.
    stage.start_over(shard(1, 1));
    stage.frame(shard(1, 1), 1, Vec::new(), Vec::new());
    stage.tick();
    let follows = stage.follows();
    let [(node, Feed::Follow { shard: at, reset: true, add, .. })] = &follows[..] else { panic!("{follows:?}") };
    assert_eq!((*node, *at), (scene(1), shard(1, 1)));
    assert!(add.contains(&cell(15, 15)));
    stage.start_over(shard(1, 1));
    stage.frame(shard(1, 1), 1, vec![full(cell(15, 15), &[FOX])], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), [""; 0], "nothing blinked");
    assert!(stage.follows().is_empty());
}

#[test]
fn feeds_of_a_lower_epoch_are_refused_and_a_new_owner_is_followed_from_the_start() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    stage.follows();
    stage.route(shard(1, 1), 2, 2);
    stage.frame_numbered(shard(1, 1), 1, 1, 3, vec![left(cell(15, 15), None)], Vec::new());
    stage.tick();
    assert_eq!(of_fox(&stage.updates(conn)), [""; 0], "the old owner is fenced");
    let follows = stage.follows();
    let [(node, Feed::Follow { shard: at, reset: true, add, .. })] = &follows[..] else { panic!("{follows:?}") };
    assert_eq!((*node, *at), (scene(2), shard(1, 1)));
    assert!(add.contains(&cell(15, 15)));
    stage.frame_numbered(shard(1, 1), 2, 2, 1, vec![full(cell(15, 15), &[FOX])], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), [""; 0], "nothing blinked");
}

#[test]
fn a_gap_means_follow_again_and_frames_from_before_are_ignored() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    stage.follows();
    stage.frame_numbered(shard(1, 1), 1, 1, 9, vec![left(cell(15, 15), None)], Vec::new());
    stage.tick();
    assert!(matches!(&stage.follows()[..], [(_, Feed::Follow { reset: true, .. })]));
    stage.frame_numbered(shard(1, 1), 1, 1, 10, vec![left(cell(15, 15), None)], Vec::new());
    stage.frame_numbered(shard(1, 1), 1, 1, 1, vec![full(cell(15, 15), &[FOX])], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), [""; 0]);
    assert!(stage.follows().is_empty());
}

#[test]
fn a_lost_beacon_stops_nobody() {
    use pangaea_schemas::message::{BeaconReply, Message};
    let (mut stage, conn) = with_fox();
    stage.tick();
    let forgot = BeaconReply::WatchStart { prefix: "shard/".to_owned(), entries: Vec::new() };
    stage.node_says(crate::stage::WORLD, Message::BeaconReply(forgot));
    stage.updates(conn);
    stage.frame(shard(1, 1), 1, vec![moves(motion(FOX, 77))], Vec::new());
    stage.ticks(4);
    assert_eq!(of_fox(&stage.updates(conn)), ["goes on from 77"]);
}

#[test]
fn the_view_follows_the_agent_with_a_hysteresis() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    let there = |x: u16, z: u16| EntityId(u64::from(x) * 100 + u64::from(z));
    for x in 12..=18 {
        let home = shard(x / 8, 1);
        stage.frame(home, 1 + x / 16, (12..=15).map(|z| full(cell(x, z), &[there(x, z)])).collect(), Vec::new());
    }
    stage.ticks(4);
    let entered: Vec<_> = stage.updates(conn).into_iter().flat_map(|update| update.entered).collect();
    assert_eq!(entered.len(), 28);
    stage.follows();
    let edge = cell(16, 15).corner();
    let over = |by: f32| pangaea_schemas::geometry::Position { x: edge.x + by, z: edge.z + 16.0 };
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 0, over(3.9));
    stage.ticks(4);
    assert!(stage.updates(conn).iter().all(|update| update.left.is_empty()), "a step over the line is not a move");
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 0, over(4.1));
    stage.ticks(4);
    let left: Vec<_> = stage.updates(conn).into_iter().flat_map(|update| update.left).collect();
    let named = |slot| entered.iter().find(|entered| entered.slot == slot).map(|entered| entered.entity);
    let mut left: Vec<_> = left.into_iter().filter_map(named).collect();
    left.sort_unstable();
    assert_eq!(left, (12..=15).map(|z| there(12, z)).collect::<Vec<_>>(), "whoever is out of sight is let go");
}

#[test]
fn at_a_corner_of_the_map_the_view_is_cut() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(0, 0), 1);
    let added: usize =
        stage.follows().iter().map(|(_, feed)| if let Feed::Follow { add, .. } = feed { add.len() } else { 0 }).sum();
    assert_eq!(added, 16);
    let outside = pangaea_schemas::geometry::Position { x: -3.0, z: -90.0 };
    stage.agent_news(shard(0, 0), 1, ANA, login(1), 1, 0, outside);
    stage.ticks(2);
    assert_eq!(stage.updates(conn).last().expect("an update").head.position, outside);
    assert!(middle_of(cell(0, 0)).is_finite());
}
