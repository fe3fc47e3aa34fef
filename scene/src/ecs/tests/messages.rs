//! Inputs, effects, events, ledger, bus, ids, chance: what comes in and goes out of a tick.

use bytes::Bytes;
use pangaea_schemas::TypeId;
use pangaea_schemas::message::{BusEvent, ClientInput, Effect};
use pangaea_schemas::{InSeq, SessionEpoch};

use super::{Health, Hit, Ouch, Walk, health, village};
use crate::ecs::{Plain, Transfer};
use crate::prelude::*;

fn hit(from: u64, to: EntityId, damage: f32) -> Effect {
    let bytes = Bytes::copy_from_slice(bytemuck::bytes_of(&Hit { damage }));
    Effect { to, from: EntityId(from), id: TypeId::of(Hit::NAME), bytes, hops: 0, within: None }
}

/// Everybody with anger hits entity 5 000, who may be anywhere.
fn brawl(game: &mut Game) {
    game.plugin(village).system(Phase::Act, |angry: Query<(&Identity, &super::Mood)>, mut effects: Effects| {
        for (me, mood) in &angry {
            effects.send(me.id(), EntityId(mood.anger.into()), &Hit { damage: 10.0 });
        }
    });
}

#[test]
fn an_input_reaches_its_system_and_a_bad_one_disturbs_nobody() {
    let mut world = Harness::new(village);
    let anna = world.player("Anna");
    let start = world.get::<Position>(anna).expect("born");
    let bad = |id, bytes| ClientInput { agent: anna, session: SessionEpoch::default(), seq: InSeq(1), id, bytes };
    world.next_input().inputs.push(bad(TypeId::of(Walk::NAME), Bytes::from_static(b"short")));
    world.next_input().inputs.push(bad(TypeId(77), Bytes::new()));
    world.input(EntityId(99), Walk { to: Velocity::new(1.0, 0.0) });
    world.input(anna, Walk { to: Velocity::new(4.0, 0.0) });
    world.tick();
    assert_eq!(world.get::<Position>(anna), Some(start + Velocity::new(0.2, 0.0)));
    world.input(anna, Walk { to: Velocity::new(0.0, 0.0) });
    world.ticks(2);
    assert_eq!(world.get::<Position>(anna), Some(start + Velocity::new(0.2, 0.0)), "an input is applied once");
}

#[test]
fn an_effect_between_neighbours_of_one_shard_arrives_at_the_next_tick_once() {
    let mut world = Harness::new(brawl);
    let victim = world.player("Anna");
    let angry = world.spawn(Position::new(600.0, 600.0), super::Mood { anger: victim.0 as u32 });
    world.tick();
    assert_eq!(world.get::<Health>(victim), Some(health(100.0)));
    world.set(angry, super::Mood { anger: 0 });
    world.ticks(3);
    assert_eq!(world.get::<Health>(victim), Some(health(90.0)));
    assert_eq!(world.events::<Ouch>(victim), [Ouch { by: angry }]);
}

#[test]
fn an_effect_to_a_ghost_goes_out_with_the_shard_that_shows_it_and_to_a_stranger_without() {
    let mut world = Harness::new(brawl);
    let ghost = world.ghost(Position::new(780.0, 600.0), health(1.0));
    world.tick();
    let angry = world.spawn(Position::new(600.0, 600.0), super::Mood { anger: ghost.0 as u32 });
    let (effect, hint) = world.tick().effects[0].clone();
    assert_eq!(
        (effect.to, effect.from, hint),
        (ghost, angry, Some(pangaea_schemas::geometry::ShardId { x: 3, ..world.shard() }))
    );
    world.set(angry, super::Mood { anger: 5 });
    assert_eq!(world.tick().effects.iter().map(|(e, hint)| (e.to, *hint)).collect::<Vec<_>>(), [(EntityId(5), None)]);
}

#[test]
fn an_effect_for_someone_who_has_left_comes_out_again() {
    let mut world = Harness::new(village);
    let victim = world.spawn(Position::new(600.0, 600.0), health(100.0));
    world.tick_with(|world| assert!(world.take(victim, Default::default()).is_some()));
    world.next_input().effects.push(hit(1, victim, 5.0));
    assert_eq!(world.tick().effects, [(hit(1, victim, 5.0), None)]);
}

#[test]
fn an_effect_from_afar_is_applied_in_its_tick() {
    let mut world = Harness::new(village);
    let victim = world.player("Anna");
    world.next_input().effects = vec![hit(1, victim, 5.0), Effect { id: TypeId(3), ..hit(1, victim, 50.0) }, hit(2, victim, 6.0)];
    world.ticks(2);
    assert_eq!(world.get::<Health>(victim), Some(health(89.0)));
    assert_eq!(world.events::<Ouch>(victim), [Ouch { by: EntityId(1) }, Ouch { by: EntityId(2) }]);
}

#[component]
struct Purse {
    version: u64,
}

/// Whoever has an empty purse asks for gold.
fn trade(game: &mut Game) {
    game.component::<Purse>().persistent();
    game.system(Phase::Act, |mut purses: Query<(&Identity, &mut Purse)>, mut ledger: Ledger, settled: Settled| {
        for (me, mut purse) in &mut purses {
            if let Some(holdings) = settled.holdings().find(|holdings| holdings.agent == me.id()) {
                purse.version = holdings.version;
            } else if purse.version == 0 {
                ledger.ask(me.id(), Transaction::Mint { to: me.id(), currency: Currency::GOLD, amount: 5 });
            }
        }
    });
}

#[test]
fn an_answer_of_the_ledger_brings_its_question_along() {
    let mut world = Harness::new(trade);
    let a = world.spawn(Position::new(600.0, 600.0), Purse { version: 0 });
    let b = world.spawn(Position::new(600.0, 600.0), Purse { version: 0 });
    let asked: Vec<Transfer> = world.tick().ledger.clone();
    assert_eq!(asked.iter().map(|transfer| transfer.by).collect::<Vec<_>>(), [Some(a), Some(b)]);
    let holdings = pangaea_schemas::message::Holdings { agent: b, version: 7, ..Default::default() };
    world.settle(&asked[1], LedgerResult::Done(vec![holdings]));
    assert_eq!(world.tick().ledger.iter().map(|transfer| transfer.by).collect::<Vec<_>>(), [Some(a)]);
    assert_eq!((world.get::<Purse>(a), world.get::<Purse>(b)), (Some(Purse { version: 0 }), Some(Purse { version: 7 })));
}

/// Whoever hears a call answers with a new entity.
fn echo(game: &mut Game) {
    game.component::<super::Mood>();
    game.system(Phase::React, |news: News, mut bus: Bus, mut spawn: Spawn| {
        for call in news.about("chat.") {
            bus.publish("world.heard", &call.bytes);
            spawn.at(Position::new(600.0, 600.0), super::Mood { anger: 1 });
        }
    });
    game.system(Phase::Act, |moods: Query<&Identity, With<super::Mood>>, mut spawn: Spawn| {
        if moods.iter().count() > 2 {
            moods.iter().for_each(|me| assert!(spawn.despawn(me.id())));
        }
    });
}

#[test]
fn news_is_heard_and_systems_make_and_end_entities() {
    let mut world = Harness::new(echo);
    let call = |subject: &str| BusEvent { subject: subject.to_owned(), bytes: Bytes::from_static(b"hi") };
    world.next_input().news = vec![call("chat.near"), call("weather"), call("chat.far"), call("chat.world")];
    let heard = world.tick();
    assert_eq!(heard.publish, vec![("world.heard".to_owned(), Bytes::from_static(b"hi")); 3]);
    let made = heard.spawned.clone();
    assert_eq!((made.len(), world.world.counts().entities), (3, 3));
    assert_eq!(world.tick().despawned, made);
    assert_eq!(world.world.counts().entities, 0);
    let left = world.feed.replicated.values().flat_map(|feed| &feed.left).map(|leave| (leave.entity, leave.to));
    assert_eq!(left.collect::<Vec<_>>(), made.into_iter().map(|id| (id, None)).collect::<Vec<_>>());
}

#[test]
fn without_ids_nothing_is_made() {
    let mut world = Harness::new(echo);
    world.world.drain_ids();
    world.next_input().news = vec![BusEvent { subject: "chat.".to_owned(), bytes: Bytes::new() }];
    assert!(world.tick().spawned.is_empty());
    world.world.refill_ids(EntityId(50), 2);
    assert_eq!(world.world.ids_left(), 2);
    world.next_input().news = vec![BusEvent { subject: "chat.".to_owned(), bytes: Bytes::new() }];
    assert_eq!(world.tick().spawned, [EntityId(50)]);
}

#[test]
fn players_know_whether_a_client_is_there() {
    let mut world = Harness::new(village);
    let anna = world.player("Anna");
    assert!(world.get::<Player>(anna).expect("a player").is_connected());
    world.next_input().connected.push((anna, false));
    world.tick();
    assert!(!world.get::<Player>(anna).expect("a player").is_connected());
    assert_eq!((world.world.counts().players, world.world.counts().entities), (1, 1));
}
