//! Each feature in a little world of its own, and the whole game put together.

mod trade;

use pangaea_scene::ecs::{Plain, Transfer};
use pangaea_scene::prelude::*;
use pangaea_schemas::TypeId;
use pangaea_schemas::message::{Balance, Holdings as LedgerHoldings, Item as LedgerItem};

use crate::chat::{Chat, Said};
use crate::combat::{Attack, Hurt, Won};
use crate::flock::Flocks;
use crate::health::{Down, Health};
use crate::holdings::{Given, Holdings, Paid, Pay, Purse, PurseChanged, WasPaid};
use crate::items::{BERRY, Drop, Item, Missed, PickUp};
use crate::looks::{Look, Name};
use crate::mount::{RIDE_M_PER_S, Ride, Rides, Saddle};
use crate::movement::{Move, Pace, WALK_M_PER_S};

/// Well inside the harness's shard.
const HERE: Position = Position::new(600.0, 600.0);

fn beside(metres: f32) -> Position {
    Position::new(HERE.x + metres, HERE.z)
}

/// A world with one player at `HERE`, its birth over.
fn world_with_player() -> (Harness, EntityId) {
    let mut world = Harness::new(crate::game);
    let anna = world.player("Anna");
    world.ticks(2);
    world.set(anna, HERE);
    world.tick();
    (world, anna)
}

fn has(agent: EntityId, version: u64, gold: u64, items: &[EntityId]) -> LedgerHoldings {
    let items = items.iter().map(|item| LedgerItem { item: *item, kind: BERRY, owner: Owner::Agent(agent) }).collect();
    let balances = vec![Balance { currency: Currency::GOLD, amount: gold }];
    LedgerHoldings { agent, version, balances, items }
}

/// The shard has looked at what an agent has.
fn looked(world: &mut Harness, holdings: LedgerHoldings) {
    let look = Transfer { by: Some(holdings.agent), transaction: Transaction::Look { agent: holdings.agent } };
    world.settle(&look, LedgerResult::Done(vec![holdings]));
}

/// What the next tick asks of the ledger; the only thing that it asks.
fn asked(world: &mut Harness) -> Transfer {
    match world.tick().ledger.as_slice() {
        [one] => one.clone(),
        other => panic!("one question: {other:?}"),
    }
}

#[test]
fn the_whole_game_fits_together() {
    let game = Game::build(crate::game).unwrap_or_else(|error| panic!("{error}"));
    let inputs: Vec<_> = game.registry().inputs.iter().map(|ty| ty.name.as_str()).collect();
    assert_eq!(
        inputs,
        ["move", "ride", "attack", "pay", "pick_up", "drop", "trade_offer", "trade_accept", "trade_cancel", "chat"]
    );
}

#[test]
fn a_step_is_one_tick_of_walking() {
    let (mut world, anna) = world_with_player();
    world.input(anna, Move { dx: 127, dz: 0 });
    world.tick();
    let now: Position = world.get(anna).expect("here");
    assert!((now.x - HERE.x - WALK_M_PER_S / 20.0).abs() < 0.001, "{now:?}");
    assert_eq!(now.z, HERE.z);
}

#[test]
fn sending_faster_is_not_walking_faster() {
    let (mut world, anna) = world_with_player();
    for _ in 0..20 {
        for _ in 0..5 {
            world.input(anna, Move { dx: 0, dz: 127 });
        }
        world.tick();
    }
    let now: Position = world.get(anna).expect("here");
    let fair = WALK_M_PER_S * (20.0 + 12.0) / 20.0;
    assert!(now.distance(HERE) <= fair + 0.001, "walked {} m", now.distance(HERE));
}

#[test]
fn nobody_leaves_the_map_or_runs_by_diagonals() {
    let (mut world, anna) = world_with_player();
    world.input(anna, Move { dx: 127, dz: 127 });
    world.tick();
    let now: Position = world.get(anna).expect("here");
    assert!((now.distance(HERE) - WALK_M_PER_S / 20.0).abs() < 0.001);
}

#[test]
fn a_hit_hurts_and_the_last_one_pays() {
    let (mut world, anna) = world_with_player();
    let wolf = world.spawn(beside(2.0), (Health::full(10), Look { kind: Look::WOLF, hue: 0 }));
    world.tick();
    let mut asked = Vec::new();
    for _ in 0..60 {
        world.input(anna, Attack { target: wolf });
        asked.extend(world.tick().ledger.iter().map(|transfer| transfer.transaction.clone()));
    }
    assert!(world.get::<Down>(wolf).is_some(), "the wolf lies down");
    assert_eq!(world.events::<Won>(anna), [Won { over: wolf, bounty: 5 }]);
    assert_eq!(asked, [Transaction::Mint { to: anna, currency: Currency::GOLD, amount: 5 }]);
    world.ticks(100);
    assert_eq!(world.get::<Health>(wolf), Some(Health::full(10)), "and rises again");
}

#[test]
fn who_is_hit_is_told() {
    let (mut world, anna) = world_with_player();
    let bert = world.player("Bert");
    world.ticks(2);
    world.set(bert, beside(3.0));
    world.tick();
    world.input(anna, Attack { target: bert });
    world.ticks(2);
    let told = world.events::<Hurt>(bert);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].left + told[0].damage, 100);
}

#[test]
fn out_of_reach_is_out_of_reach() {
    let (mut world, anna) = world_with_player();
    let wolf = world.spawn(beside(9.0), Health::full(10));
    world.tick();
    world.input(anna, Attack { target: wolf });
    world.ticks(3);
    assert_eq!(world.get::<Health>(wolf), Some(Health::full(10)));
}

#[test]
fn a_new_account_is_endowed() {
    let (mut world, anna) = world_with_player();
    looked(&mut world, has(anna, 0, 0, &[]));
    let endow = asked(&mut world);
    assert_eq!(endow.transaction, Transaction::Endow { to: anna, currency: Currency::GOLD, amount: 100 });
    world.settle(&endow, LedgerResult::Done(vec![has(anna, 1, 100, &[])]));
    assert_eq!(world.tick().ledger, []);
    assert_eq!(world.events::<Holdings>(anna).last().map(|told| told.gold), Some(100));
}

#[test]
fn an_item_is_picked_up_when_the_ledger_says_so() {
    let (mut world, anna) = world_with_player();
    let berry = world.spawn(beside(1.0), Item { kind: BERRY.0 });
    world.tick();
    world.input(anna, PickUp { item: berry });
    let reach = asked(&mut world);
    assert!(
        matches!(reach.transaction, Transaction::Move { item, to: Owner::Agent(to), .. } if item == berry && to == anna),
        "{reach:?}"
    );
    world.ticks(3);
    assert!(world.get::<Item>(berry).is_some(), "nothing has happened yet");
    world.settle(&reach, LedgerResult::Done(vec![has(anna, 2, 100, &[berry])]));
    world.ticks(3);
    assert!(world.get::<Item>(berry).is_none(), "it left the ground");
    assert_eq!(world.get::<Purse>(anna).and_then(|purse| purse.kind_of(berry)), Some(BERRY.0));
    assert_eq!(world.events::<Missed>(anna), []);
}

#[test]
fn who_comes_too_late_for_an_item_is_told_and_sees_it_go() {
    let (mut world, anna) = world_with_player();
    let berry = world.spawn(beside(1.0), Item { kind: BERRY.0 });
    world.tick();
    world.input(anna, PickUp { item: berry });
    let reach = asked(&mut world);
    world.settle(&reach, LedgerResult::Refused(LedgerRefusal::NotOwner));
    world.ticks(3);
    assert_eq!(world.events::<Missed>(anna), [Missed { item: berry }]);
    assert!(world.get::<Item>(berry).is_none());
}

#[test]
fn an_item_laid_down_keeps_its_name() {
    let (mut world, anna) = world_with_player();
    let berry = EntityId(77);
    looked(&mut world, has(anna, 2, 100, &[berry]));
    world.tick();
    world.input(anna, Drop { item: berry });
    let drop = asked(&mut world);
    world.settle(&drop, LedgerResult::Done(vec![has(anna, 3, 100, &[])]));
    world.ticks(2);
    assert_eq!(world.get::<Item>(berry), Some(Item { kind: BERRY.0 }));
    assert_eq!(world.get::<Position>(berry), Some(HERE));
}

#[test]
fn who_hangs_over_a_border_lays_down_on_its_own_side() {
    let (mut world, anna) = world_with_player();
    looked(&mut world, has(anna, 2, 100, &[EntityId(77)]));
    world.set(anna, Position::new(769.0, 600.0));
    world.tick();
    world.input(anna, Drop { item: EntityId(77) });
    let drop = asked(&mut world);
    let Transaction::Move { to: Owner::Ground { position, .. }, .. } = drop.transaction else { panic!("{drop:?}") };
    assert!(position.x < 768.0, "{position:?}");
}

#[test]
fn what_was_laid_down_before_a_crash_is_looked_for_on_the_ground() {
    let (mut world, anna) = world_with_player();
    let to = Owner::Ground { space: SpaceId(0), position: HERE.into() };
    let drop = Transfer { by: Some(anna), transaction: Transaction::Move { item: EntityId(77), from: Owner::Agent(anna), to } };
    world.settle(&drop, LedgerResult::Done(vec![has(anna, 3, 100, &[])]));
    let look = asked(&mut world);
    assert_eq!(look.transaction, Transaction::LookGround { shard: world.shard() });
    world.settle(&look, LedgerResult::Ground(vec![LedgerItem { item: EntityId(77), kind: BERRY, owner: to }]));
    world.ticks(2);
    assert_eq!(world.get::<Item>(EntityId(77)), Some(Item { kind: BERRY.0 }));
}

#[test]
fn gold_goes_from_hand_to_hand_only_near() {
    let (mut world, anna) = world_with_player();
    let bert = world.player("Bert");
    world.ticks(2);
    world.set(bert, beside(30.0));
    world.tick();
    world.input(anna, Pay { to: bert, gold: 7 });
    assert_eq!(world.tick().ledger, []);
    assert_eq!(world.events::<Paid>(anna), [Paid { to: bert, gold: 7, done: 0 }]);
    world.set(bert, beside(2.0));
    world.tick();
    world.input(anna, Pay { to: bert, gold: 7 });
    let pay = asked(&mut world);
    assert_eq!(pay.transaction, Transaction::Pay { from: anna, to: bert, currency: Currency::GOLD, amount: 7 });
    assert_eq!(pay.by, Some(anna));
    world.settle(&pay, LedgerResult::Done(vec![has(anna, 2, 93, &[]), has(bert, 2, 107, &[])]));
    world.ticks(2);
    assert_eq!(world.events::<Paid>(anna).last(), Some(&Paid { to: bert, gold: 7, done: 1 }));
    assert_eq!(world.events::<WasPaid>(bert), [WasPaid { from: anna, gold: 7 }]);
    assert_eq!(world.get::<Purse>(bert).map(|purse| purse.gold), Some(107));
}

#[test]
fn who_is_paid_beyond_the_border_hears_of_it_and_its_shard_looks() {
    let (mut world, anna) = world_with_player();
    world.set(anna, Position::new(767.0, 600.0));
    let bert = world.ghost(Position::new(769.0, 600.0), Item { kind: 0 });
    world.tick();
    let pay = Transaction::Pay { from: anna, to: bert, currency: Currency::GOLD, amount: 7 };
    world.settle(
        &Transfer { by: Some(anna), transaction: pay },
        LedgerResult::Done(vec![has(anna, 2, 93, &[]), has(bert, 5, 107, &[])]),
    );
    let told = world.tick().effects.iter().map(|(effect, _)| (effect.to, effect.id)).collect::<Vec<_>>();
    assert_eq!(told, [(bert, TypeId::of(Given::NAME)), (bert, TypeId::of(PurseChanged::NAME))]);

    // At Bert's shard.
    let (mut there, bert) = world_with_player();
    looked(&mut there, has(bert, 4, 100, &[]));
    there.tick();
    there.effect(bert, bert, PurseChanged { version: 4 });
    assert_eq!(there.tick().ledger, [], "it knows that already");
    there.effect(bert, bert, PurseChanged { version: 5 });
    assert_eq!(asked(&mut there).transaction, Transaction::Look { agent: bert });
}

#[test]
fn words_reach_who_is_near() {
    let (mut world, anna) = world_with_player();
    let (bert, carl) = (world.player("Bert"), world.player("Carl"));
    world.ticks(2);
    world.set(bert, beside(10.0));
    world.set(carl, beside(60.0));
    world.tick();
    world.input(anna, Chat { channel: 0, text: Text::new("Grüße") });
    world.ticks(2);
    let heard = world.events::<Said>(bert);
    assert_eq!((heard[0].from, heard[0].text.as_str(), heard[0].name.as_str()), (anna, "Grüße", "Anna"));
    assert_eq!(world.events::<Said>(carl), []);
}

#[test]
fn sheep_flee_from_a_wolf_behind_the_border() {
    let mut world = Harness::new(crate::game);
    let edge = Position::new(766.0, 600.0);
    let sheep = world.spawn(edge, (Health::full(30), Flocks { flock: 1, pad: 0 }, Name { text: Text::new("Sheep") }));
    world.ghost(Position::new(770.0, 600.0), Look { kind: Look::WOLF, hue: 0 });
    world.ticks(20);
    let now: Position = world.get(sheep).expect("here");
    assert!(now.x < edge.x - 1.0, "it ran from {edge:?} to {now:?}");
}

fn world_with_rider() -> (Harness, EntityId, EntityId) {
    let (mut world, anna) = world_with_player();
    let horse = world.spawn(beside(2.0), Saddle { hue: 0 });
    world.tick();
    world.input(anna, Ride { horse });
    world.ticks(2);
    (world, anna, horse)
}

#[test]
fn a_rider_is_fast_and_the_horse_is_under_it() {
    let (mut world, anna, horse) = world_with_rider();
    world.input(anna, Move { dx: 127, dz: 0 });
    world.tick();
    let now: Position = world.get(anna).expect("here");
    assert!((now.distance(HERE) - RIDE_M_PER_S / 20.0).abs() < 0.001, "{now:?}");
    assert_eq!(world.get::<Position>(horse), Some(now));
    world.input(anna, Ride { horse: EntityId::NONE });
    world.ticks(2);
    assert_eq!(world.get::<Rides>(anna), None);
    assert_eq!(world.get::<Tied>(horse), None);
    assert_eq!(world.get::<Pace>(anna).map(|pace| pace.metres_per_s), Some(WALK_M_PER_S));
}

#[test]
fn horse_and_rider_leave_the_shard_as_one_group() {
    let (mut world, anna, horse) = world_with_rider();
    world.set(anna, Position::new(771.0, 600.0));
    let crossings = world.tick().crossings.clone();
    assert_eq!((crossings.len(), crossings[0].entity, crossings[0].group.as_slice()), (1, anna, [horse].as_slice()));
}

#[test]
fn a_horse_whose_rider_falls_asleep_is_free_and_the_rider_wakes_on_foot() {
    let (mut world, anna, horse) = world_with_rider();
    let mut asleep = None;
    world.tick_with(|world| asleep = world.put_to_sleep(anna));
    world.ticks(2);
    assert_eq!(world.get::<Tied>(horse), None);
    world.next_input().arrivals.extend(asleep);
    world.ticks(2);
    assert_eq!(world.get::<Rides>(anna), None);
    assert_eq!(world.get::<Pace>(anna).map(|pace| pace.metres_per_s), Some(WALK_M_PER_S));
}

#[test]
fn a_ridden_horse_carries_nobody_else_and_a_far_one_nobody_at_all() {
    let (mut world, _, horse) = world_with_rider();
    let bert = world.player("Bert");
    world.ticks(2);
    for (place, ridden) in [(beside(1.0), horse), (beside(30.0), horse)] {
        world.set(bert, place);
        world.input(bert, Ride { horse: ridden });
        world.ticks(2);
        assert_eq!(world.get::<Rides>(bert), None);
    }
}

#[test]
fn what_is_not_registered_is_told_when_the_game_is_built() {
    #[component]
    struct Mood {
        value: u32,
    }
    fn moody(game: &mut Game) {
        game.system(Phase::Act, |mut moods: Query<&mut Mood>| moods.iter_mut().for_each(|mut mood| mood.value += 1));
    }
    let said = Game::build(moody).expect_err("Mood is not registered").to_string();
    assert!(said.contains("Mood`, which is not registered: add `game.component::<Mood>()`"), "{said}");
}
