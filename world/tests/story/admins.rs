//! What admins see and order.

use std::time::Duration;

use pangaea_schemas::message::{ClientAddresses, Control, Message};
use pangaea_schemas::{EntityId, NodeId};
use pangaea_world::Order;
use pangaea_world::moves::MoveError;
use pangaea_world::status::{Happening, NodeState};

use crate::stage::{Stage, gateway, scene};

#[test]
fn status_shows_nodes_shards_and_sessions() {
    let mut stage = Stage::running();
    stage.start(gateway(1));
    stage.player(gateway(1)).sessions = 12;
    stage.pass(1_000);
    let status = stage.status();
    let ids: Vec<String> = status.nodes.iter().map(|node| node.id.to_string()).collect();
    assert_eq!(ids, ["scene-1", "scene-2", "gateway-1"]);
    assert_eq!((status.sessions, status.shards.len()), (12, 16));
    let shard = &status.shards[0];
    assert_eq!((shard.state, shard.owner, shard.entities, shard.players), ("running", Some(scene(1)), 10, 3));
    assert_eq!((shard.tick_p50_ms, shard.tick_p99_ms), (0.5, 1.5));
}

#[test]
fn whoever_is_parked_is_shown_and_may_be_released() {
    let mut stage = Stage::running();
    let shard = *stage.shards_of(scene(1)).first().expect("it runs shards");
    let (before, agent) = (stage.status().last_event, EntityId(77));
    stage.parked.insert(shard, vec![agent]);
    stage.pass(1_000);
    assert!(stage.status().shards.iter().any(|known| known.id == shard && known.parked == [agent]));
    assert_eq!(stage.world.release(EntityId(78)), None, "nobody else is parked");
    assert_eq!(stage.world.release(agent), Some(shard));
    stage.pass(100);
    let told = |node, stage: &mut Stage| {
        let release = Message::Control(Control::Release { agent });
        stage.player(node).inbox.iter().filter(|message| **message == release).count()
    };
    assert_eq!((told(scene(1), &mut stage), told(scene(2), &mut stage)), (1, 0));
    stage.pass(1_200);
    assert_eq!(told(scene(1), &mut stage), 2, "it does not seem to have heard");
    stage.parked.clear();
    stage.pass(1_000);
    let events: Vec<_> = stage.world.events_after(before).into_iter().map(|event| event.what).collect();
    assert_eq!(events, [Happening::Parked { agent, shard }, Happening::Released { agent, shard }]);
}

#[test]
fn a_paused_shard_is_shown_and_neither_moved_nor_cut_whoever_wants_it() {
    let mut stage = Stage::running();
    let shard = *stage.shards_of(scene(1)).first().expect("it runs shards");
    let (before, parent) = (stage.status().last_event, shard.parent().expect("it has one"));
    stage.paused.insert(shard);
    stage.pass(1_000);
    let known = stage.status().shards.into_iter().find(|known| known.id == shard).expect("on the map");
    assert_eq!((known.state, known.paused), ("running", Some((Duration::from_secs(60), 0))));
    let refused = Err(MoveError::Paused(shard));
    assert_eq!(stage.world.move_shard(shard, scene(2), false), refused);
    assert_eq!(stage.world.recut(shard, false, false), refused);
    assert_eq!(stage.world.recut(parent, true, false), refused);
    // A drained scene keeps it until it goes on.
    stage.world.order(Order::Drain(scene(1)));
    stage.pass(20_000);
    assert_eq!(stage.shards_of(scene(1)), [shard].into());
    stage.paused.clear();
    stage.pass(5_000);
    assert_eq!(stage.shards_of(scene(1)), [].into());
    let events = stage.world.events_after(before).into_iter().map(|event| event.what);
    let told: Vec<_> = events.filter(|what| matches!(what, Happening::Paused { .. } | Happening::Resumed { .. })).collect();
    assert_eq!(told, [Happening::Paused { shard }, Happening::Resumed { shard }]);
}

#[test]
fn events_have_consecutive_numbers_and_are_read_from_where_one_stopped() {
    let mut stage = Stage::running();
    let before = stage.status().last_event;
    stage.kill(scene(1));
    stage.pass(4_000);
    let events = stage.world.events_after(before);
    assert_eq!(events.first().map(|event| event.seq), Some(before + 1));
    assert!(events.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    assert_eq!(events[0].what, Happening::NodeLeft { node: scene(1) });
    let owned = events.iter().filter(|e| matches!(e.what, Happening::ShardOwned { owner, .. } if owner == scene(2))).count();
    assert_eq!(owned, 8);
    let last = stage.status().last_event;
    assert_eq!(stage.world.events_after(last), []);
}

#[test]
fn clients_are_sent_to_the_gateway_with_the_fewest_sessions() {
    let mut stage = Stage::new();
    assert!(stage.world.gateway_for_client().is_none());
    for (n, sessions) in [(1, 50), (2, 20), (3, 20)] {
        stage.start(gateway(n));
        stage.player(gateway(n)).sessions = sessions;
    }
    stage.pass(1_000);
    assert_eq!(stage.world.gateway_for_client().map(|info| info.node), Some(gateway(2)));
}

#[test]
fn a_drained_gateway_is_told_where_its_clients_go_until_it_reports() {
    let mut stage = Stage::new();
    for (n, sessions) in [(1, 0), (2, 30), (3, 20)] {
        stage.start(gateway(n));
        stage.player(gateway(n)).sessions = sessions;
    }
    stage.pass(1_000);
    stage.world.order(Order::Drain(gateway(1)));
    stage.pass(2_500);
    let told = drains(&mut stage, gateway(1));
    assert_eq!(told.len(), 3, "told at once and repeated each second");
    let ports: Vec<_> = told[0].iter().map(|to| (to.tcp.as_str(), to.ws.as_str())).collect();
    assert_eq!(ports, [("127.0.0.1:8003", "127.0.0.1:9003"), ("127.0.0.1:8002", "127.0.0.1:9002")], "the least used one first");
    assert_eq!(stage.world.gateway_for_client().map(|info| info.node), Some(gateway(3)));
    let states = |stage: &mut Stage| stage.status().nodes.iter().map(|node| node.state).collect::<Vec<_>>();
    assert_eq!(states(&mut stage), [NodeState::Draining, NodeState::Up, NodeState::Up]);
    stage.player(gateway(1)).draining = true;
    stage.player(gateway(1)).connections = 2;
    stage.pass(5_000);
    assert_eq!(drains(&mut stage, gateway(1)).len(), 0, "it has reported");
    assert_eq!(states(&mut stage)[0], NodeState::Draining);
    stage.player(gateway(1)).connections = 0;
    stage.pass(1_000);
    assert_eq!(states(&mut stage)[0], NodeState::Drained, "now it may be stopped");
}

#[test]
fn a_gateway_that_is_undrained_is_told_until_it_reports_and_is_used_again() {
    let mut stage = Stage::new();
    stage.start(gateway(1));
    stage.start(gateway(2));
    stage.player(gateway(2)).sessions = 9;
    stage.player(gateway(1)).draining = true;
    stage.pass(1_000);
    assert_eq!(stage.world.gateway_for_client().map(|info| info.node), Some(gateway(2)), "also after a restart of the world");
    stage.world.order(Order::Undrain(gateway(1)));
    stage.pass(1_500);
    let undrains = |stage: &mut Stage| {
        let told = std::mem::take(&mut stage.player(gateway(1)).inbox);
        told.iter().filter(|m| matches!(m, Message::Control(Control::UndrainGateway))).count()
    };
    assert_eq!(undrains(&mut stage), 2);
    stage.player(gateway(1)).draining = false;
    stage.pass(2_000);
    assert_eq!(undrains(&mut stage), 0);
    assert_eq!(stage.world.gateway_for_client().map(|info| info.node), Some(gateway(1)));
}

/// Where a gateway was told to send its clients, since this was asked last.
fn drains(stage: &mut Stage, gateway: NodeId) -> Vec<Vec<ClientAddresses>> {
    let told = std::mem::take(&mut stage.player(gateway).inbox);
    let orders = told.into_iter().filter_map(|message| match message {
        Message::Control(Control::DrainGateway { to }) => Some(to),
        _ => None,
    });
    orders.collect()
}
