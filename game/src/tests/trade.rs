//! Trades, each side in its own shard. What the ledger says is written here by hand; its rules have tests of their own.

use pangaea_scene::ecs::{Plain, Transfer};
use pangaea_scene::prelude::*;
use pangaea_schemas::{AgentEpoch, Timestamp, TypeId};

use super::{asked, beside, world_with_player};
use crate::looks::Name;
use crate::trade::{Bargain, TradeAccept, TradeCancel, TradeEnded, TradeNews, TradeOffer, TradeOffered};

const BERRY: EntityId = EntityId(77);
/// Somebody beyond the border.
const STRANGER: EntityId = EntityId(78);
const OPEN_TO_BERT: TradeState = TradeState::Open { a: AgentEpoch(3), b: AgentEpoch(0) };

/// Five gold of Anna's for Bert's berry.
fn offer(to: EntityId) -> TradeOffer {
    TradeOffer { to, give_gold: 5, give_item: EntityId::NONE, want_gold: 0, want_item: BERRY }
}

fn side(agent: EntityId, gold: u64, items: &[EntityId]) -> TradeSide {
    TradeSide { agent, gold, items: items.to_vec() }
}

fn at_ledger(trade: EntityId, version: u32, anna: EntityId, bert: EntityId, state: TradeState) -> LedgerResult {
    let (a, b) = (side(anna, 5, &[]), side(bert, 0, &[BERRY]));
    LedgerResult::Traded { trade: Trade { trade, version, a, b, until: Timestamp(0), state }, holdings: vec![] }
}

fn news(trade: EntityId, version: u64, state: u64, agreed: u64) -> TradeNews {
    let (give_item, want_item) = (EntityId::NONE, BERRY);
    TradeNews { trade, version, state, agreed, give_gold: 5, give_item, want_gold: 0, want_item }
}

/// Anna and Bert side by side in one shard.
fn world_with_two() -> (Harness, EntityId, EntityId) {
    let (mut world, anna) = world_with_player();
    let bert = world.player("Bert");
    world.ticks(2);
    world.set(bert, beside(2.0));
    world.tick();
    (world, anna, bert)
}

fn step_of(asked: &Transfer) -> (EntityId, EntityId, TradeStep) {
    match &asked.transaction {
        Transaction::Trade { trade, by, step } => (*trade, *by, step.clone()),
        other => panic!("a step of a trade: {other:?}"),
    }
}

/// Anna has offered and the ledger has it.
fn offered() -> (Harness, EntityId, EntityId, EntityId) {
    let (mut world, anna, bert) = world_with_two();
    world.input(anna, offer(bert));
    let proposal = asked(&mut world);
    let (trade, by, step) = step_of(&proposal);
    let TradeStep::Propose { a, b, .. } = step else { panic!("{step:?}") };
    assert_eq!((by, a, b), (anna, side(anna, 5, &[]), side(bert, 0, &[BERRY])));
    world.settle(&proposal, at_ledger(trade, 1, anna, bert, OPEN_TO_BERT));
    world.ticks(2);
    (world, anna, bert, trade)
}

#[test]
fn each_side_says_yes_in_its_own_name_and_both_hear_the_end() {
    let (mut world, anna, bert, trade) = offered();
    let told = TradeOffered { from: anna, give_gold: 5, give_item: EntityId::NONE, want_gold: 0, want_item: BERRY };
    assert_eq!(world.events::<TradeOffered>(bert), [told]);
    world.input(bert, TradeAccept { from: anna });
    let yes = asked(&mut world);
    assert_eq!((yes.by, step_of(&yes)), (Some(bert), (trade, bert, TradeStep::Confirm { version: 1 })));
    world.settle(&yes, at_ledger(trade, 1, anna, bert, TradeState::Done));
    world.ticks(2);
    assert_eq!(world.events::<TradeEnded>(bert), [TradeEnded { with: anna, outcome: TradeEnded::DONE }]);
    assert_eq!(world.events::<TradeEnded>(anna), [TradeEnded { with: bert, outcome: TradeEnded::DONE }]);
    assert_eq!((world.get::<Bargain>(anna), world.get::<Bargain>(bert)), (None, None));
}

#[test]
fn a_yes_that_a_hand_over_voided_is_given_again_by_the_new_shard() {
    let (mut world, anna, bert, trade) = offered();
    world.effect(bert, anna, news(trade, 1, TradeNews::OPEN, 0));
    assert_eq!(step_of(&asked(&mut world)), (trade, anna, TradeStep::Confirm { version: 1 }));
}

#[test]
fn nobody_says_yes_to_terms_that_its_player_has_not_seen() {
    let (mut world, anna, bert, trade) = offered();
    // Both change the terms at once; the ledger took Bert's.
    world.input(anna, offer(bert));
    let change = asked(&mut world);
    assert!(matches!(step_of(&change).2, TradeStep::Change { version: 1, .. }));
    world.settle(&change, at_ledger(trade, 2, anna, bert, TradeState::Open { a: AgentEpoch(0), b: AgentEpoch(4) }));
    world.effect(bert, anna, news(trade, 2, TradeNews::OPEN, 0));
    assert_eq!(world.tick().ledger, []);
    assert_eq!(world.events::<TradeOffered>(anna).len(), 1, "she is asked");
    assert_eq!(world.get::<Bargain>(anna).map(|bargain| (bargain.version, bargain.agreed)), Some((2, 0)));
}

#[test]
fn an_offer_over_the_border_goes_to_the_other_shard_and_comes_from_there() {
    let (mut here, anna) = world_with_player();
    here.set(anna, Position::new(767.0, 600.0));
    let bert = here.ghost_player(Position::new(769.0, 600.0));
    here.tick();
    here.input(anna, offer(bert));
    let proposal = asked(&mut here);
    let trade = step_of(&proposal).0;
    here.settle(&proposal, at_ledger(trade, 1, anna, bert, OPEN_TO_BERT));
    let (effect, to) = here.tick().effects[0].clone();
    assert_eq!((effect.to, effect.id, to.map(|shard| shard.x)), (bert, TypeId::of(TradeNews::NAME), Some(here.shard().x + 1)));

    let (mut there, bert) = world_with_player();
    let stranger = there.ghost(beside(2.0), Name { text: Text::new("Anna") });
    there.effect(stranger, bert, news(trade, 1, TradeNews::OPEN, 0));
    there.ticks(2);
    assert_eq!(there.events::<TradeOffered>(bert)[0].from, stranger);
    there.input(bert, TradeAccept { from: stranger });
    assert_eq!(step_of(&asked(&mut there)), (trade, bert, TradeStep::Confirm { version: 1 }));
}

#[test]
fn whoever_hears_nothing_asks_what_became_of_it() {
    let (mut world, anna, bert, trade) = offered();
    let asks = (0..20 * 40).find_map(|_| world.tick().ledger.first().cloned()).expect("patience ends");
    assert_eq!(step_of(&asks), (trade, anna, TradeStep::Cancel));
    world.settle(&asks, at_ledger(trade, 1, anna, bert, TradeState::Done));
    world.tick();
    assert_eq!(world.events::<TradeEnded>(anna), [TradeEnded { with: bert, outcome: TradeEnded::DONE }], "it was done all along");
}

#[test]
fn either_calls_it_off() {
    let (mut world, anna, bert, trade) = offered();
    world.input(bert, TradeCancel { with: anna });
    let off = asked(&mut world);
    assert_eq!(step_of(&off), (trade, bert, TradeStep::Cancel));
    let reason = LedgerRefusal::CalledOff;
    world.settle(&off, at_ledger(trade, 1, anna, bert, TradeState::Cancelled { reason }));
    world.ticks(2);
    for (who, with) in [(anna, bert), (bert, anna)] {
        assert_eq!(world.events::<TradeEnded>(who), [TradeEnded { with, outcome: TradeEnded::CALLED_OFF }]);
    }
}

#[test]
fn an_answer_to_what_was_asked_before_a_crash_is_told_all_the_same() {
    let (mut world, anna) = world_with_player();
    let trade = EntityId(900);
    let asked =
        Transfer { by: Some(anna), transaction: Transaction::Trade { trade, by: anna, step: TradeStep::Confirm { version: 1 } } };
    world.settle(&asked, at_ledger(trade, 1, anna, STRANGER, TradeState::Done));
    world.tick();
    assert_eq!(world.events::<TradeEnded>(anna), [TradeEnded { with: STRANGER, outcome: TradeEnded::DONE }]);
}

#[test]
fn one_trade_at_a_time_and_only_within_reach() {
    let (mut world, anna, bert, _) = offered();
    let carl = world.player("Carl");
    world.ticks(2);
    world.set(carl, beside(-2.0));
    world.tick();
    world.input(anna, offer(carl));
    assert_eq!(world.tick().ledger, []);
    assert_eq!(world.events::<TradeEnded>(anna), [TradeEnded { with: carl, outcome: TradeEnded::REFUSED }]);
    world.set(bert, beside(30.0));
    world.tick();
    world.input(bert, TradeAccept { from: anna });
    assert_eq!(world.tick().ledger, []);
    assert_eq!(world.events::<TradeEnded>(bert), [TradeEnded { with: anna, outcome: TradeEnded::TOO_FAR }]);
    let other = EntityId(901);
    world.effect(STRANGER, bert, news(other, 1, TradeNews::OPEN, 0));
    assert_eq!(step_of(&asked(&mut world)), (other, bert, TradeStep::Cancel), "who trades already says so");
}
