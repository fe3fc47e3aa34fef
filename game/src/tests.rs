//! Each feature in a little world of its own, and the whole game put together.

use pangaea_scene::prelude::*;
use pangaea_schemas::message::{Balance, Holdings as LedgerHoldings, Item as LedgerItem};

use crate::chat::{Chat, Said};
use crate::combat::{Attack, Hurt, Won};
use crate::flock::Flocks;
use crate::health::{Down, Health};
use crate::holdings::{Holdings, Pay, Purse};
use crate::items::{BERRY, Drop, Item, PickUp};
use crate::looks::{Look, Name};
use crate::movement::{Move, WALK_M_PER_S};
use crate::trade::{TradeAccept, TradeEnded, TradeOffer, TradeOffered};

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

/// The ledger says what an agent has.
fn ledger_says(world: &mut Harness, ticket: LedgerTicket, agent: EntityId, version: u64, gold: u64, items: &[EntityId]) {
    let items = items.iter().map(|item| LedgerItem { item: *item, kind: BERRY, owner: Owner::Agent(agent) }).collect();
    let balances = vec![Balance { currency: Currency::GOLD, amount: gold }];
    let holdings = LedgerHoldings { agent, version, balances, items };
    world.next_input().ledger.push((ticket, LedgerResult::Done(vec![holdings])));
}

#[test]
fn the_whole_game_fits_together() {
    let game = Game::build(crate::game).unwrap_or_else(|error| panic!("{error}"));
    let inputs: Vec<_> = game.registry().inputs.iter().map(|ty| ty.name.as_str()).collect();
    assert_eq!(inputs, ["move", "attack", "pay", "pick_up", "drop", "trade_offer", "trade_accept", "chat"]);
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
fn a_new_account_gets_its_first_gold_once() {
    let (mut world, anna) = world_with_player();
    ledger_says(&mut world, LedgerTicket::NONE, anna, 0, 0, &[]);
    let asked = world.tick().ledger.clone();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].transaction, Transaction::Mint { to: anna, currency: Currency::GOLD, amount: 100 });
    ledger_says(&mut world, LedgerTicket::NONE, anna, 0, 0, &[]);
    assert_eq!(world.tick().ledger, []);
    ledger_says(&mut world, asked[0].ticket, anna, 1, 100, &[]);
    assert_eq!(world.tick().ledger, []);
    assert_eq!(world.events::<Holdings>(anna).last().map(|told| told.gold), Some(100));
}

#[test]
fn an_item_is_picked_up_when_the_ledger_says_so() {
    let (mut world, anna) = world_with_player();
    let berry = world.spawn(beside(1.0), Item { kind: BERRY.0 });
    world.tick();
    world.input(anna, PickUp { item: berry });
    let asked = world.tick().ledger.clone();
    assert!(
        matches!(asked[..], [ref one] if matches!(one.transaction, Transaction::Move { item, to: Owner::Agent(to), .. } if item == berry && to == anna))
    );
    world.ticks(3);
    assert!(world.get::<Item>(berry).is_some(), "nothing has happened yet");
    ledger_says(&mut world, asked[0].ticket, anna, 2, 100, &[berry]);
    world.ticks(3);
    assert!(world.get::<Item>(berry).is_none(), "it left the ground");
    assert_eq!(world.get::<Purse>(anna).and_then(|purse| purse.kind_of(berry)), Some(BERRY.0));
}

#[test]
fn an_item_laid_down_keeps_its_name() {
    let (mut world, anna) = world_with_player();
    let berry = EntityId(77);
    ledger_says(&mut world, LedgerTicket::NONE, anna, 2, 100, &[berry]);
    world.tick();
    world.input(anna, Drop { item: berry });
    let asked = world.tick().ledger.clone();
    ledger_says(&mut world, asked[0].ticket, anna, 3, 100, &[]);
    world.ticks(2);
    assert_eq!(world.get::<Item>(berry), Some(Item { kind: BERRY.0 }));
    assert_eq!(world.get::<Position>(berry), Some(HERE));
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
    world.set(bert, beside(2.0));
    world.tick();
    world.input(anna, Pay { to: bert, gold: 7 });
    let asked = world.tick().ledger.clone();
    assert_eq!(asked[0].transaction, Transaction::Pay { from: anna, to: bert, currency: Currency::GOLD, amount: 7 });
    assert_eq!(asked[0].fences, [anna]);
}

#[test]
fn a_trade_is_one_transaction() {
    let (mut world, anna) = world_with_player();
    let bert = world.player("Bert");
    world.ticks(2);
    world.set(bert, beside(2.0));
    world.tick();
    let berry = EntityId(77);
    world.input(anna, TradeOffer { to: bert, give_gold: 5, give_item: EntityId::NONE, want_gold: 0, want_item: berry });
    world.ticks(2);
    assert_eq!(world.events::<TradeOffered>(bert).len(), 1);
    world.input(bert, TradeAccept { from: anna });
    let asked = world.tick().ledger.clone();
    let Transaction::Trade { a, b } = &asked[0].transaction else { panic!("{asked:?}") };
    assert_eq!((a.agent, a.gold, b.agent, b.items.as_slice()), (anna, 5, bert, [berry].as_slice()));
    world.next_input().ledger.push((asked[0].ticket, LedgerResult::Refused(LedgerRefusal::NotOwner)));
    world.tick();
    assert_eq!(world.events::<TradeEnded>(anna), [TradeEnded { with: bert, outcome: TradeEnded::REFUSED }]);
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
