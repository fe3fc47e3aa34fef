//! An admin looks at agents and puts them elsewhere: that is a step like any other, and a hand-over follows where it must.

use pangaea_schemas::geometry::{Position, ShardId};
use pangaea_schemas::message::{Cost, Desk, Message, Session, Sight, SightState};
use pangaea_schemas::{EntityId, RequestId, SessionEpoch, TypeId};

use super::cluster::{Cluster, GATE, Steps, WORLD, go, scene_id, shard};
use super::{ANNA, BERT, STORM, anna_did, settle, walk, with_anna};
use crate::ecs::{Plain, Velocity};
use crate::shard::TickCosts;

const REQUEST: RequestId = RequestId(77);

fn ask(cluster: &mut Cluster, ordinal: u16, question: Desk) -> Desk {
    cluster.post(WORLD, scene_id(ordinal), Message::Desk(question));
    cluster.steps(50);
    let answers = std::mem::take(&mut cluster.told);
    let [answer] = answers.try_into().unwrap_or_else(|answers| panic!("one answer, not {answers:?}"));
    answer
}

fn look(at: ShardId, after: EntityId, limit: u32, full: bool) -> Desk {
    Desk::Look { request: REQUEST, shard: at, after, limit, full }
}

fn place(agent: EntityId, at: ShardId, to: ShardId) -> Desk {
    let corner = to.first_cell().corner();
    Desk::Place { request: REQUEST, shard: at, agent, position: Position { x: corner.x + 40.0, z: corner.z + 40.0 } }
}

#[test]
fn who_is_put_into_another_shard_is_handed_over_and_plays_on() {
    for seed in 0..6 {
        let mut cluster = with_anna(seed);
        let answer = ask(&mut cluster, 2, place(ANNA, shard(1, 1), shard(0, 0)));
        assert_eq!(answer, Desk::Placed { request: REQUEST, here: true });
        cluster.weather = STORM;
        walk(&mut cluster, 0.0, 30);
        settle(&mut cluster);
        assert_eq!(cluster.homes(ANNA), [(scene_id(1), shard(0, 0))], "seed {seed}");
        assert_eq!(anna_did(&cluster), 30, "no step of hers is lost: seed {seed}");
    }
}

#[test]
fn who_is_not_here_is_not_moved() {
    let mut cluster = with_anna(1);
    let answer = ask(&mut cluster, 2, place(BERT, shard(1, 1), shard(0, 0)));
    assert_eq!(answer, Desk::Placed { request: REQUEST, here: false });
    let answer = ask(&mut cluster, 2, place(ANNA, shard(1, 0), shard(0, 0)));
    assert_eq!(answer, Desk::Placed { request: REQUEST, here: false }, "she is in another shard");
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), shard(1, 1))]);
}

/// What a scene says of an entity.
fn inspect(cluster: &mut Cluster, ordinal: u16, entity: EntityId) -> Option<Sight> {
    match ask(cluster, ordinal, Desk::Inspect { request: REQUEST, entity }) {
        Desk::Inspected { sight, .. } => sight,
        other => panic!("no sight but {other:?}"),
    }
}

#[test]
fn an_entity_is_seen_awake_at_rest_and_on_its_way_and_only_where_it_is() {
    let mut cluster = with_anna(4);
    let awake = inspect(&mut cluster, 2, ANNA).expect("she is here");
    assert_eq!((awake.state, awake.shard, awake.toward), (SightState::Awake, shard(1, 1), None));
    // Steps, and what every player has: also what neither lasts nor is seen by clients.
    let kinds: Vec<_> = awake.record.components.iter().map(|component| component.id).collect();
    assert!([Steps::NAME, Velocity::NAME].iter().all(|name| kinds.contains(&TypeId::of(name))), "{kinds:?}");
    assert_eq!(inspect(&mut cluster, 1, ANNA), None, "that scene has nothing to do with her");
    let mut residents = cluster.scenes[&scene_id(2)].shard(shard(1, 1)).expect("here").residents();
    let creature = residents.find(|(entity, _)| *entity != ANNA).expect("a creature").0;
    drop(residents);
    let seen = inspect(&mut cluster, 2, creature).expect("it is here");
    assert_eq!((seen.state, seen.record.session.epoch), (SightState::Awake, SessionEpoch::default()));

    for _ in 0..20 {
        cluster.gate.input(ANNA, go(-1.0, 0.0));
    }
    while !cluster.homes(ANNA).is_empty() {
        cluster.steps(1);
    }
    let left = cluster.scenes[&scene_id(2)].shard(shard(1, 1)).expect("here").sight(ANNA).expect("it lets her go");
    assert_eq!((left.state, left.toward), (SightState::Leaving, Some(shard(0, 1))));
    while cluster.homes(ANNA).is_empty() {
        cluster.steps(1);
    }
    let comes = cluster.scenes[&scene_id(1)].shard(shard(0, 1)).expect("here").sight(ANNA).expect("it takes her in");
    assert!(comes.state >= SightState::Arriving && comes.record.epoch >= left.record.epoch, "{comes:?}");
    settle(&mut cluster);
    assert_eq!(inspect(&mut cluster, 1, ANNA).map(|sight| sight.state), Some(SightState::Awake));
    assert_eq!(inspect(&mut cluster, 2, ANNA), None, "it is settled");

    let session = cluster.gate.players[&ANNA].session;
    let leave = Session::Detach { shard: shard(0, 1), agent: ANNA, session, asleep: true };
    cluster.post(GATE, scene_id(1), Message::Session(leave));
    cluster.gate.players.remove(&ANNA);
    cluster.steps(200);
    assert_eq!(inspect(&mut cluster, 1, ANNA).map(|sight| sight.state), Some(SightState::AtRest));
}

#[test]
fn what_a_tick_cost_is_told_by_the_shards_owner() {
    let mut cluster = with_anna(3);
    let mut shards = cluster.scenes.get_mut(&scene_id(2)).expect("it runs").lend_shards();
    let costs = TickCosts { phases: [1, 2, 3, 4, 5], systems: vec![("walk".into(), 7)] };
    shards.iter_mut().filter(|lent| lent.id() == shard(1, 1)).for_each(|lent| lent.note_costs(&costs));
    cluster.scenes.get_mut(&scene_id(2)).expect("it runs").return_shards(shards);
    let answer = ask(&mut cluster, 2, Desk::Profile { request: REQUEST, shard: shard(1, 1) });
    let Desk::Profiled { ticks: 1, phases, systems, .. } = answer else { panic!("no profile but {answer:?}") };
    assert_eq!(phases[3], Cost { name: "publish".to_owned(), mean_ns: 4, max_ns: 4 });
    assert_eq!(systems, [Cost { name: "walk".to_owned(), mean_ns: 7, max_ns: 7 }]);
}

#[test]
fn agents_are_listed_in_parts_and_creatures_are_not() {
    let mut cluster = with_anna(2);
    cluster.gate.join(BERT);
    cluster.steps(200);
    let mut seen = |after, limit, full| match ask(&mut cluster, 2, look(shard(1, 1), after, limit, full)) {
        Desk::Seen { agents, more, .. } => (agents, more),
        other => panic!("no list but {other:?}"),
    };
    let (first, more) = seen(EntityId(0), 1, true);
    assert_eq!((first[0].entity, more, first.len()), (ANNA, true, 1));
    assert!(!first[0].components.is_empty(), "with components");
    let (rest, more) = seen(ANNA, 5, false);
    let ids: Vec<_> = rest.iter().map(|record| (record.entity, record.components.len())).collect();
    assert_eq!((ids, more), (vec![(BERT, 0)], false));
}
