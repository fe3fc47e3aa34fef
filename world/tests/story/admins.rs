//! What admins see and order.

use pangaea_schemas::message::{Control, Message};
use pangaea_world::Order;
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
    stage.start(gateway(1));
    stage.start(gateway(2));
    stage.pass(1_000);
    stage.world.order(Order::DrainGateway(gateway(1)));
    stage.pass(2_500);
    let drains = |stage: &mut Stage| {
        let told = stage.player(gateway(1)).inbox.clone();
        told.iter().filter(|m| matches!(m, Message::Control(Control::DrainGateway { to }) if to == "127.0.0.1:8002")).count()
    };
    assert_eq!(drains(&mut stage), 3, "told at once and repeated each second");
    assert_eq!(stage.world.gateway_for_client().map(|info| info.node), Some(gateway(2)));
    stage.player(gateway(1)).draining = true;
    stage.pass(5_000);
    assert_eq!(drains(&mut stage), 3, "it has reported");
    let states: Vec<NodeState> = stage.status().nodes.iter().map(|node| node.state).collect();
    assert_eq!(states, [NodeState::Draining, NodeState::Up]);
}
