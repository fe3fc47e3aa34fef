//! Feeds into cells, cells into updates: what is refused, what hangs over, and who is told.

use bytes::Bytes;
use pangaea_schemas::geometry::{CellId, CellOffset};
use pangaea_schemas::message::{CellFeed, Enter, Feed, Leave, Motion};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::wire::update::{CellUpdate, Update};
use pangaea_schemas::{EntityId, TypeId};

use crate::stage::{ANA, Stage, cell, login, middle_of, scene, shard};

const FOX: EntityId = EntityId(50);

fn motion(entity: EntityId, x: i16) -> Motion {
    Motion { entity, offset: CellOffset { x, z: 0 }, vx: 1, vz: 0 }
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

/// What the updates say of one cell, in order.
fn of(updates: &[Update], at: CellId) -> Vec<CellUpdate> {
    updates.iter().flat_map(|update| &update.cells).filter(|c| (c.x, c.z) == (at.x, at.z)).cloned().collect()
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
fn a_cell_comes_as_a_snapshot_then_as_changes_and_then_costs_nothing() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    let seen = of(&stage.updates(conn), cell(15, 15));
    assert!(matches!(&seen[..], [CellUpdate { snapshot: true, entered, moved, components, .. }]
        if entered.len() == 1 && moved.len() == 1 && components[0].1.bytes == b"red"[..]));
    stage.frame(
        shard(1, 1),
        1,
        vec![CellFeed { cell: cell(15, 15), moved: vec![motion(FOX, 9)], ..CellFeed::default() }],
        Vec::new(),
    );
    stage.tick();
    let seen = of(&stage.updates(conn), cell(15, 15));
    assert!(matches!(&seen[..], [CellUpdate { snapshot: false, entered, moved, components, .. }]
        if entered.is_empty() && moved[0].offset.x == 9 && components.is_empty()));
    stage.tick();
    assert!(of(&stage.updates(conn), cell(15, 15)).is_empty());
}

#[test]
fn an_entity_between_two_owners_stays_drawn() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), Some(cell(16, 15)))], Vec::new());
    stage.ticks(10);
    let updates = stage.updates(conn);
    assert!(of(&updates, cell(15, 15)).iter().all(|cell| cell.left.is_empty()), "it hangs over its last cell");
    let arrives = CellFeed { snapshot: false, ..full(cell(16, 15), &[FOX]) };
    stage.frame(shard(2, 1), 2, vec![arrives], Vec::new());
    stage.tick();
    let updates = stage.updates(conn);
    assert_eq!(of(&updates, cell(16, 15))[0].entered.len(), 1);
    assert!(of(&updates, cell(15, 15)).is_empty());
    stage.ticks(59);
    assert!(of(&stage.updates(conn), cell(15, 15)).is_empty(), "a client short of bytes may not have heard of the new cell yet");
    stage.ticks(3);
    assert_eq!(of(&stage.updates(conn), cell(15, 15))[0].left.len(), 1, "its old cell lets go a little later");
}

#[test]
fn an_entity_that_never_arrives_is_gone_after_two_seconds() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), Some(cell(16, 15)))], Vec::new());
    stage.ticks(39);
    assert!(of(&stage.updates(conn), cell(15, 15)).iter().all(|cell| cell.left.is_empty()));
    stage.follows();
    stage.ticks(3);
    assert_eq!(of(&stage.updates(conn), cell(15, 15))[0].left.len(), 1);
    let asks = |(node, feed): &(_, Feed)| *node == scene(2) && matches!(feed, Feed::Follow { add, .. } if add == &[cell(16, 15)]);
    assert!(stage.follows().iter().any(asks), "or its new owner's clock is behind, and its news were taken for old ones");
}

#[test]
fn an_entity_that_ceases_is_gone_at_once() {
    let (mut stage, conn) = with_fox();
    stage.tick();
    stage.updates(conn);
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), None)], Vec::new());
    stage.tick();
    assert_eq!(of(&stage.updates(conn), cell(15, 15))[0].left.len(), 1);
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
    stage.tick();
    let updates = stage.updates(conn);
    assert_eq!(of(&updates, cell(16, 15))[0].entered.len(), 1);
    assert!(of(&updates, cell(15, 15)).is_empty());
}

#[test]
fn whose_new_owner_is_behind_in_time_is_found_wherever_it_went_on_to() {
    let (mut stage, _) = with_fox();
    stage.tick();
    stage.frame(shard(1, 1), 1, vec![left(cell(15, 15), Some(cell(16, 15)))], Vec::new());
    // The neighbour's clock is behind: what it says of the fox looks older than what is known.
    for (seq, at) in [(2, cell(16, 15)), (3, cell(16, 16))] {
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
    stage.follows();
    stage.ticks(42);
    let asked: Vec<_> = stage.follows().into_iter().filter(|(node, _)| *node == scene(2)).collect();
    let asks = |of| asked.iter().any(|(_, feed)| matches!(feed, Feed::Follow { add, .. } if add.contains(&of)));
    assert!(asks(cell(16, 15)) && asks(cell(16, 16)), "{asked:?}");
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
    assert!(of(&stage.updates(conn), cell(15, 15)).is_empty(), "the old owner is fenced");
    let follows = stage.follows();
    let [(node, Feed::Follow { shard: at, reset: true, add, .. })] = &follows[..] else { panic!("{follows:?}") };
    assert_eq!((*node, *at), (scene(2), shard(1, 1)));
    assert!(add.contains(&cell(15, 15)));
    stage.frame_numbered(shard(1, 1), 2, 2, 1, vec![full(cell(15, 15), &[FOX])], Vec::new());
    stage.tick();
    let seen = of(&stage.updates(conn), cell(15, 15));
    assert!(seen.iter().all(|cell| cell.entered.is_empty() && cell.left.is_empty()), "nothing blinked: {seen:?}");
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
    stage.tick();
    assert!(of(&stage.updates(conn), cell(15, 15)).iter().all(|cell| cell.left.is_empty()));
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
    stage.frame(
        shard(1, 1),
        1,
        vec![CellFeed { cell: cell(15, 15), moved: vec![motion(FOX, 77)], ..CellFeed::default() }],
        Vec::new(),
    );
    stage.tick();
    assert_eq!(of(&stage.updates(conn), cell(15, 15))[0].moved[0].offset.x, 77);
}

#[test]
fn the_view_follows_the_agent_with_a_hysteresis() {
    let mut stage = Stage::new();
    let conn = stage.playing(ANA, cell(15, 15), 1);
    for x in 12..=18 {
        let home = shard(x / 8, 1);
        stage.frame(home, 1 + x / 16, (12..=15).map(|z| full(cell(x, z), &[])).collect(), Vec::new());
    }
    stage.tick();
    stage.updates(conn);
    stage.follows();
    let edge = cell(16, 15).corner();
    let over = |by: f32| pangaea_schemas::geometry::Position { x: edge.x + by, z: edge.z + 16.0 };
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 0, over(3.9));
    stage.tick();
    assert!(stage.updates(conn).iter().all(|update| update.gone.is_empty()), "a step over the line is not a move");
    stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 0, over(4.1));
    stage.tick();
    let updates = stage.updates(conn);
    let gone: Vec<_> = updates.iter().flat_map(|update| update.gone.clone()).collect();
    assert!(gone.iter().all(|(x, _)| *x == 12) && gone.len() == 4, "cells that were drawn are let go: {gone:?}");
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
