//! Shards against a small journal and a network that misbehaves. Each story runs the real cores; what must never happen is
//! checked at every step of the walk.

mod admin;
mod builds;
mod cluster;
mod doubt;
mod forgetting;
mod gate;
mod groups;
mod journal;
mod migration;
mod pause;
mod probation;
mod recut;
mod scripts;
mod value;

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{ClientInput, Control, Effect, EffectMessage, Lane, Message, Session};
use pangaea_schemas::{AgentEpoch, EffectSeq, EntityId, InSeq, OutSeq, SessionEpoch, ShardEpoch, TypeId};

use crate::ecs::Plain;
use crate::effects::EFFECT_HOPS_MAX;
use cluster::{Cluster, Go, Poke, Weather, go, plain, scene_id, shard};

const ANNA: EntityId = EntityId(11);
const BERT: EntityId = EntityId(12);
const STORM: Weather = Weather { lost: 15, doubled: 15, delayed: 25 };

fn with_anna(seed: u64) -> Cluster {
    let mut cluster = Cluster::running(seed);
    cluster.gate.join(ANNA);
    cluster.steps(100);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))]);
    cluster
}

/// Walks Anna by `x` metres per tick, and checks at every step that nobody runs her twice and nobody loses her.
fn walk(cluster: &mut Cluster, x: f32, ticks: u32) {
    for _ in 0..ticks {
        cluster.gate.input(ANNA, go(x, 0.0));
        for _ in 0..10 {
            cluster.steps(1);
            assert!(cluster.homes(ANNA).len() <= 1, "live twice: {:?}", cluster.homes(ANNA));
            assert!(cluster.journals.live(ANNA) <= 1, "two live records");
            assert!(cluster.journals.recoverable(ANNA) >= 1, "lost");
        }
    }
}

/// Lets everything that is on its way arrive.
fn settle(cluster: &mut Cluster) {
    cluster.weather = Weather::default();
    cluster.steps(1_500);
}

fn anna_did(cluster: &Cluster) -> u32 {
    cluster.steps_of(ANNA).expect("Anna is live").count
}

#[test]
fn four_shards_start_with_one_owner_each() {
    let cluster = Cluster::running(1);
    for (x, z, owner) in [(0, 0, 1), (0, 1, 1), (1, 0, 2), (1, 1, 2)] {
        assert_eq!(cluster.owners(shard(x, z)), [(scene_id(owner), ShardEpoch(1))]);
    }
}

#[test]
fn a_newborn_is_durable_before_its_gateway_hears_of_it() {
    let mut cluster = Cluster::running(1);
    cluster.journals.is_away = true;
    cluster.gate.join(ANNA);
    cluster.steps(100);
    assert!(!cluster.gate.players[&ANNA].attached);
    cluster.journals.is_away = false;
    cluster.steps(200);
    assert!(cluster.gate.players[&ANNA].attached);
    assert_eq!(cluster.journals.live(ANNA), 1);
}

#[test]
fn an_agent_walks_over_the_border_and_back() {
    let mut cluster = with_anna(1);
    walk(&mut cluster, -1.0, 20);
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
    assert_eq!(cluster.journals.live(ANNA), 1, "whoever left is named as changed, and not written down any more");
    walk(&mut cluster, 1.0, 30);
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))]);
    assert_eq!(cluster.journals.live(ANNA), 1);
    assert_eq!(anna_did(&cluster), 50);
}

#[test]
fn inputs_and_events_come_once_and_in_order_through_storms_and_borders() {
    let mut crossings = 0;
    for seed in 0..12 {
        let mut cluster = with_anna(seed);
        cluster.weather = STORM;
        for x in [-1.0, 1.0, -1.0, 1.0] {
            walk(&mut cluster, x, 50);
        }
        settle(&mut cluster);
        assert_eq!(anna_did(&cluster), 200, "seed {seed}");
        let player = &cluster.gate.players[&ANNA];
        assert!(player.unacked.is_empty(), "seed {seed}");
        assert_eq!(player.noted, (1..=200).collect::<Vec<_>>(), "seed {seed}");
        crossings += player.epoch.0 - 1;
    }
    assert!(crossings >= 12, "{crossings} crossings are no test");
}

#[test]
fn events_are_sent_again_after_a_new_attach_and_not_doubled() {
    let mut cluster = with_anna(3);
    walk(&mut cluster, 0.0, 5);
    cluster.steps(50);
    let player = cluster.gate.players.get_mut(&ANNA).expect("joined");
    assert_eq!(player.noted, [1, 2, 3, 4, 5]);
    player.session = SessionEpoch { login: 1, resume: 1 };
    (player.attached, player.out_ack) = (false, OutSeq(5));
    walk(&mut cluster, 0.0, 3);
    settle(&mut cluster);
    let player = &cluster.gate.players[&ANNA];
    assert!(player.attached);
    assert!(player.noted.windows(2).all(|pair| pair[1] == pair[0] + 1), "{:?}", player.noted);
}

#[test]
fn a_refusal_gives_the_agent_back_under_the_next_epoch() {
    let mut cluster = with_anna(4);
    cluster.refuses = true;
    walk(&mut cluster, -1.0, 30);
    cluster.refuses = false;
    let refused = cluster.refused;
    assert!(refused > AgentEpoch(1));
    while cluster.homes(ANNA).is_empty() {
        cluster.steps(1);
    }
    assert!(cluster.epoch_of(ANNA) > Some(refused), "{:?} although {refused} was refused", cluster.epoch_of(ANNA));
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))], "and she may leave later");
    assert_eq!(anna_did(&cluster), 30);
}

#[test]
fn a_claim_race_has_one_winner() {
    for seed in 0..20 {
        let mut cluster = Cluster::new(seed);
        cluster.weather = Weather { lost: 10, doubled: 20, delayed: 40 };
        for _ in 0..3 {
            cluster.assign(1, shard(0, 0));
            cluster.assign(2, shard(0, 0));
        }
        cluster.steps(600);
        let owners = cluster.owners(shard(0, 0));
        assert_eq!(owners.len(), 1, "seed {seed}: {owners:?}");
        assert_eq!(owners[0].1, cluster.journals.epoch(shard(0, 0)), "seed {seed}");
    }
}

#[test]
fn a_zombie_changes_nothing_and_ends_when_it_hears_of_its_successor() {
    let mut cluster = with_anna(5);
    let epoch = cluster.gate.players[&ANNA].epoch;
    cluster.cut_off.push(scene_id(2));
    cluster.steps(500);
    cluster.assign(1, shard(1, 1));
    cluster.steps(300);
    assert_eq!(cluster.owners(shard(1, 1)).len(), 2, "the zombie goes on walking");
    assert!(cluster.fences.fence(ANNA) > Some(epoch), "but its value is fenced");
    cluster.cut_off.clear();
    cluster.steps(400);
    assert_eq!(cluster.owners(shard(1, 1)), [(scene_id(1), ShardEpoch(2))]);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(1, 1))]);
}

/// Kills a scene while Anna crosses, `after` steps into the walk.
fn crash_while_crossing(seed: u64, ordinal: u16, after: u64) -> Cluster {
    let mut cluster = with_anna(seed);
    for _ in 0..10 {
        cluster.gate.input(ANNA, go(-1.0, 0.0));
    }
    cluster.steps(after);
    cluster.start_scene(ordinal);
    for z in [0, 1] {
        cluster.assign(ordinal, shard(if ordinal == 1 { 0 } else { 1 }, z));
    }
    cluster.steps(2_500);
    cluster
}

#[test]
fn whoever_dies_at_whatever_step_of_a_hand_over_the_agent_lives_once() {
    let mut crossed = 0;
    for ordinal in [1, 2] {
        for after in (0..120).step_by(4) {
            let cluster = crash_while_crossing(after, ordinal, after);
            let homes = cluster.homes(ANNA);
            assert_eq!(homes.len(), 1, "scene {ordinal} died after {after} steps: {homes:?}");
            assert_eq!(cluster.journals.live(ANNA), 1, "scene {ordinal} died after {after} steps");
            let player = &cluster.gate.players[&ANNA];
            assert!(player.attached && player.unacked.is_empty(), "scene {ordinal} died after {after} steps");
            crossed += u32::from(homes[0].1 == shard(0, 1));
        }
    }
    assert!(crossed > 20, "she crossed {crossed} times only");
}

#[test]
fn effects_reach_whoever_moved_and_are_applied_once() {
    for seed in 0..8 {
        let mut cluster = with_anna(seed);
        cluster.gate.join(BERT);
        cluster.steps(100);
        walk(&mut cluster, -1.0, 20);
        settle(&mut cluster);
        assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
        cluster.weather = STORM;
        for _ in 0..40 {
            cluster.gate.input(BERT, Go { x: 0.0, z: 0.0, poke: ANNA });
            walk(&mut cluster, 0.7, 1);
        }
        settle(&mut cluster);
        assert_eq!(cluster.steps_of(ANNA).expect("live").pokes, 40, "seed {seed}");
    }
}

#[test]
fn effects_on_somebody_in_transit_survive_the_death_of_both_ends_of_the_hand_over() {
    let mut in_transit = 0;
    for after in (0..150).step_by(5) {
        let mut cluster = with_anna(after);
        cluster.gate.join(BERT);
        cluster.steps(200);
        for _ in 0..20 {
            cluster.gate.input(BERT, go(-1.0, 0.0));
        }
        cluster.steps(400);
        assert_eq!(cluster.homes(BERT), [(scene_id(1), shard(0, 1))]);
        for _ in 0..30 {
            cluster.gate.input(ANNA, go(0.0, -1.0));
            cluster.gate.input(BERT, Go { x: 0.0, z: 0.0, poke: ANNA });
        }
        cluster.steps(after);
        in_transit += u32::from(cluster.homes(ANNA).is_empty());
        cluster.start_scene(2);
        for z in [0, 1] {
            cluster.assign(2, shard(1, z));
        }
        settle(&mut cluster);
        assert_eq!(cluster.steps_of(ANNA).expect("live").pokes, 30, "scene 2 died after {after} steps");
    }
    assert!(in_transit > 0, "nobody died while she was in transit");
}

#[test]
fn an_effect_that_was_sent_on_too_often_is_dropped_and_counted() {
    let mut cluster = with_anna(1);
    walk(&mut cluster, -1.0, 20);
    settle(&mut cluster);
    let (west, east, south) = (shard(0, 1), shard(1, 1), shard(1, 0));
    let poke = |hops| Effect {
        to: ANNA,
        from: BERT,
        id: TypeId::of(Poke::NAME),
        bytes: plain(&Poke { strength: 1 }),
        hops,
        within: None,
    };
    let lane = Lane { from: south, from_epoch: ShardEpoch(1), to: east, to_epoch: ShardEpoch(1) };
    let batch =
        EffectMessage::Batch { lane, first: EffectSeq(1), effects: vec![poke(EFFECT_HOPS_MAX - 1), poke(EFFECT_HOPS_MAX)] };
    cluster.post(scene_id(2), scene_id(2), Message::Effect(batch));
    cluster.steps(100);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), west)]);
    assert_eq!(cluster.steps_of(ANNA).expect("live").pokes, 1, "so many hops are allowed, one more is not");
    assert_eq!(cluster.scenes[&scene_id(2)].shard(east).expect("owned").effects_lost(), 1);
}

#[test]
fn creatures_epochs_rise_with_each_owner_as_players_do() {
    let mut cluster = with_anna(2);
    cluster.steps(300);
    let epochs = |cluster: &Cluster| -> Vec<(EntityId, AgentEpoch)> {
        cluster.scenes[&scene_id(2)].shard(shard(1, 1)).expect("owned").residents().collect()
    };
    let before = epochs(&cluster);
    assert_eq!(before.len(), 2, "Anna and a creature");
    cluster.start_scene(2);
    cluster.assign(2, shard(1, 1));
    cluster.steps(200);
    let risen: Vec<_> = before.iter().map(|(entity, epoch)| (*entity, epoch.next())).collect();
    assert_eq!(epochs(&cluster), risen);
    let durable = cluster.journals.image(shard(1, 1)).records;
    assert_eq!(durable.iter().map(|record| (record.entity, record.epoch)).collect::<Vec<_>>(), risen);
}

#[test]
fn an_input_too_far_ahead_is_answered_with_the_one_that_is_wanted() {
    let mut cluster = with_anna(2);
    walk(&mut cluster, 0.0, 3);
    settle(&mut cluster);
    let (session, id) = (SessionEpoch { login: 1, resume: 0 }, TypeId::of(Go::NAME));
    let input = |seq| ClientInput { agent: ANNA, session, seq: InSeq(seq), id, bytes: plain(&go(0.0, 0.0)) };
    let inputs = vec![input(3 + 64), input(3 + 65), input(3 + 66)];
    let message = Session::Inputs { shard: shard(1, 1), inputs, out_acks: vec![] };
    cluster.post(cluster::GATE, scene_id(2), Message::Session(message));
    cluster.steps(20);
    assert_eq!(cluster.gate.players[&ANNA].expected, Some(InSeq(4)));
    assert_eq!(anna_did(&cluster), 3);
}

#[test]
fn who_stands_on_a_border_does_not_go_to_and_fro_more_often_than_twice_a_second() {
    let mut cluster = with_anna(2);
    walk(&mut cluster, -1.0, 20);
    settle(&mut cluster);
    let before = cluster.gate.players[&ANNA].epoch;
    for turn in 0..25 {
        walk(&mut cluster, if turn % 2 == 0 { 30.0 } else { -30.0 }, 1);
        walk(&mut cluster, 0.0, 3);
    }
    let crossings = cluster.gate.players[&ANNA].epoch.0 - before.0;
    assert!((2..=10).contains(&crossings), "{crossings} crossings in five seconds");
}

#[test]
fn without_a_journal_agents_walk_on_but_do_not_cross() {
    let mut cluster = with_anna(6);
    cluster.steps(400);
    cluster.journals.is_away = true;
    cluster.gate.input(ANNA, go(0.0, 1.0));
    cluster.steps(500);
    let before = anna_did(&cluster);
    for _ in 0..20 {
        cluster.gate.input(ANNA, go(-1.0, 0.0));
        cluster.steps(10);
    }
    cluster.steps(50);
    assert_eq!(anna_did(&cluster), before + 20);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))]);
    cluster.journals.is_away = false;
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 1))]);
}

#[test]
fn an_order_that_is_older_than_the_journal_is_not_obeyed() {
    let mut cluster = Cluster::running(7);
    let target: ShardId = shard(0, 0);
    let old = Message::Control(Control::Assign { shard: target, above: ShardEpoch::ZERO });
    cluster.post(cluster::WORLD, scene_id(2), old);
    cluster.steps(200);
    assert_eq!(cluster.owners(target), [(scene_id(1), ShardEpoch(1))]);
}

#[test]
fn a_scene_that_closes_stands_still_and_its_successor_goes_on_from_there() {
    let mut cluster = with_anna(6);
    walk(&mut cluster, 1.0, 7);
    let (closed_at, stood) = (cluster.now(), anna_did(&cluster));
    assert!(stood > 0);
    cluster.scenes.get_mut(&scene_id(2)).expect("it runs").close(closed_at);
    for _ in 0..5 {
        cluster.gate.input(ANNA, go(1.0, 0.0));
    }
    let mut steps = 0;
    while !cluster.scenes[&scene_id(2)].is_closed() {
        cluster.steps(1);
        steps += 1;
        assert!(steps < 20, "it waits for more than its journals");
    }
    cluster.steps(100);
    assert_eq!(anna_did(&cluster), stood, "she moved in a closed scene");
    cluster.start_scene(2);
    for z in [0, 1] {
        cluster.assign(2, shard(1, z));
    }
    cluster.steps(100);
    while cluster.homes(ANNA).is_empty() {
        cluster.steps(1);
    }
    assert!(anna_did(&cluster) >= stood, "she was put back to {}", anna_did(&cluster));
    settle(&mut cluster);
    assert_eq!(anna_did(&cluster), 12, "what she was told meanwhile she did once");
}
