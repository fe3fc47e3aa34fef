//! A trade's rules: both owners in force say yes to the same terms, the goods are there, and it happens whole or not at all.

use pangaea_persistence::ledger::PATIENCE_MAX;
use pangaea_persistence::{Data, MemoryStore};
use pangaea_schemas::message::{
    LedgerRefusal, LedgerResult, Message, Owner, TRADE_ITEMS_MAX, Trade, TradeSide, TradeState, TradeStep, Transaction,
};
use pangaea_schemas::{AgentEpoch, EntityId, Timestamp};

use crate::fixture::*;
use crate::ledger::{ANN, BOB, SWORD, audit, create, gold, items, market, mint, refused};

const TRADE: EntityId = EntityId(900);

fn side(agent: EntityId, gold: u64, items: &[EntityId]) -> TradeSide {
    TradeSide { agent, gold, items: items.to_vec() }
}

/// Ann's sword for 30 gold of Bob's.
fn sword_for_gold() -> (TradeSide, TradeSide) {
    (side(ANN, 0, &[SWORD]), side(BOB, 30, &[]))
}

fn propose(patience_ms: u32) -> TradeStep {
    let (a, b) = sword_for_gold();
    TradeStep::Propose { a, b, patience_ms }
}

/// A market, and two shards that take steps under their agents' epochs, each step a new operation.
struct Market {
    data: Data<MemoryStore>,
    ops: u128,
    now: Timestamp,
}

impl Market {
    fn new() -> Self {
        Self { data: market(), ops: 0, now: NOW }
    }

    fn ask(&mut self, fences: &[(u64, u64)], transaction: Transaction) -> LedgerResult {
        self.ops += 1;
        let request = operation(self.ops, fences, transaction);
        self.data.handle(self.now, SCENE, Message::LedgerRequest(request));
        self.data.commit(self.now);
        match self.data.poll_output() {
            Some((_, Message::LedgerReply(reply))) => reply.result,
            other => panic!("one question, one answer: {other:?}"),
        }
    }

    fn step(&mut self, (by, epoch): (EntityId, u64), step: TradeStep) -> LedgerResult {
        self.ask(&[(by.0, epoch)], Transaction::Trade { trade: TRADE, by, step })
    }

    fn state(&mut self, by: (EntityId, u64), step: TradeStep) -> (u32, TradeState) {
        match self.step(by, step) {
            LedgerResult::Traded { trade: Trade { version, state, .. }, .. } => (version, state),
            other => panic!("a trade: {other:?}"),
        }
    }

    /// Who has the sword, and how much gold Ann and Bob have.
    fn goods(&mut self) -> (EntityId, u64, u64) {
        let owner = if items(&mut self.data, ANN) == [SWORD] { ANN } else { BOB };
        assert_eq!([items(&mut self.data, ANN), items(&mut self.data, BOB)].concat(), [SWORD], "one sword, one owner");
        assert!(audit(&self.data).ok(), "{:?}", audit(&self.data).faults);
        (owner, gold(&mut self.data, ANN), gold(&mut self.data, BOB))
    }
}

const BEFORE: (EntityId, u64, u64) = (ANN, 100, 30);
const AFTER: (EntityId, u64, u64) = (BOB, 130, 0);

fn open(a: u64, b: u64) -> TradeState {
    TradeState::Open { a: AgentEpoch(a), b: AgentEpoch(b) }
}

fn cancelled(reason: LedgerRefusal) -> TradeState {
    TradeState::Cancelled { reason }
}

#[test]
fn it_is_done_when_both_have_said_yes_and_not_before() {
    let mut market = Market::new();
    assert_eq!(market.state((ANN, 3), propose(10_000)), (1, open(3, 0)));
    assert_eq!(market.goods(), BEFORE);
    let done = market.step((BOB, 4), TradeStep::Confirm { version: 1 });
    let LedgerResult::Traded { trade, holdings } = done else { panic!("{done:?}") };
    assert_eq!(trade.state, TradeState::Done);
    let told: Vec<_> = holdings.iter().map(|h| (h.agent, h.version, h.items.len())).collect();
    assert_eq!(told, [(ANN, 3, 0), (BOB, 2, 1)], "both learn what they have now, at a new version");
    assert_eq!(market.goods(), AFTER);
}

#[test]
fn a_step_asked_again_is_answered_again_and_nothing_happens_twice() {
    let mut market = Market::new();
    market.step((ANN, 3), propose(10_000));
    let confirm =
        || operation(77, &[(BOB.0, 4)], Transaction::Trade { trade: TRADE, by: BOB, step: TradeStep::Confirm { version: 1 } });
    let first = ledger(&mut market.data, confirm());
    market.ask(&[], mint(BOB, 50));
    assert_eq!(ledger(&mut market.data, confirm()), first);
    let mut later = Market { data: Data::new(market.data.into_store()), ..Market::new() };
    assert_eq!(ledger(&mut later.data, confirm()), first, "also after a restart");
    assert_eq!(later.goods(), (BOB, 130, 50));
}

#[test]
fn a_confirmation_does_not_survive_a_hand_over() {
    let mut market = Market::new();
    market.step((ANN, 3), propose(10_000));
    market.ask(&[(ANN.0, 4)], Transaction::Look { agent: ANN });
    assert_eq!(market.state((BOB, 4), TradeStep::Confirm { version: 1 }), (1, open(0, 4)), "her new owner has not said yes");
    assert_eq!(market.goods(), BEFORE);
    assert_eq!(market.step((ANN, 3), TradeStep::Confirm { version: 1 }), refused(LedgerRefusal::Stale), "her old one cannot");
    assert_eq!(market.goods(), BEFORE);
    assert_eq!(market.state((ANN, 4), TradeStep::Confirm { version: 1 }), (1, TradeState::Done));
    assert_eq!(market.goods(), AFTER);
}

#[test]
fn other_terms_need_another_yes_of_both() {
    let mut market = Market::new();
    market.step((ANN, 3), propose(10_000));
    let change = |gold| TradeStep::Change { version: 1, a: side(ANN, 0, &[SWORD]), b: side(BOB, gold, &[]) };
    assert_eq!(market.state((BOB, 4), change(20)), (2, open(0, 4)));
    assert_eq!(market.state((ANN, 3), TradeStep::Confirm { version: 1 }), (2, open(0, 4)), "those are not the terms any more");
    assert_eq!(market.state((ANN, 3), change(25)), (2, open(0, 4)), "nor can they be changed");
    assert_eq!(market.state((ANN, 3), TradeStep::Confirm { version: 2 }), (2, TradeState::Done));
    assert_eq!(market.goods(), (BOB, 120, 10));
}

#[test]
fn goods_that_are_gone_end_the_trade_and_nothing_changes_hands() {
    for (transaction, reason) in [
        (Transaction::Move { item: SWORD, from: Owner::Agent(ANN), to: Owner::Sink }, LedgerRefusal::NotOwner),
        (Transaction::Pay { from: BOB, to: ANN, currency: Default::default(), amount: 1 }, LedgerRefusal::Funds),
    ] {
        let mut market = Market::new();
        market.step((ANN, 3), propose(10_000));
        market.ask(&[], transaction);
        let before = (gold(&mut market.data, ANN), gold(&mut market.data, BOB));
        assert_eq!(market.state((BOB, 4), TradeStep::Confirm { version: 1 }), (1, cancelled(reason)));
        assert_eq!((gold(&mut market.data, ANN), gold(&mut market.data, BOB)), before);
        assert_eq!(market.state((BOB, 4), TradeStep::Confirm { version: 1 }), (1, cancelled(reason)), "and so it stays");
    }
}

#[test]
fn nobody_pays_with_what_only_the_trade_brings() {
    let mut market = Market::new();
    let terms = TradeStep::Propose { a: side(ANN, 100, &[]), b: side(BOB, 101, &[]), patience_ms: 1_000 };
    market.step((ANN, 3), terms);
    assert_eq!(market.state((BOB, 4), TradeStep::Confirm { version: 1 }).1, cancelled(LedgerRefusal::Funds));
}

#[test]
fn an_item_cannot_be_given_twice_in_one_trade() {
    let twice = [(vec![SWORD, SWORD], vec![]), (vec![SWORD], vec![EntityId(101)])];
    for (anns, bobs) in twice {
        let mut market = Market::new();
        market.ask(&[], create(EntityId(101), Owner::Sink));
        market.step((ANN, 3), TradeStep::Propose { a: side(ANN, 0, &anns), b: side(BOB, 0, &bobs), patience_ms: 1_000 });
        assert_eq!(market.state((BOB, 4), TradeStep::Confirm { version: 1 }).1, cancelled(LedgerRefusal::NotOwner));
        assert_eq!(market.goods(), BEFORE);
    }
}

#[test]
fn either_side_calls_it_off_and_a_late_yes_learns_of_it() {
    let mut market = Market::new();
    market.step((ANN, 3), propose(10_000));
    assert_eq!(market.state((BOB, 4), TradeStep::Cancel), (1, cancelled(LedgerRefusal::CalledOff)));
    assert_eq!(market.state((ANN, 3), TradeStep::Confirm { version: 1 }), (1, cancelled(LedgerRefusal::CalledOff)));
    assert_eq!(market.goods(), BEFORE);
}

#[test]
fn whoever_calls_off_too_late_learns_that_it_is_done() {
    let mut market = Market::new();
    market.step((ANN, 3), propose(10_000));
    market.step((BOB, 4), TradeStep::Confirm { version: 1 });
    assert_eq!(market.state((ANN, 3), TradeStep::Cancel), (1, TradeState::Done));
    assert_eq!(market.goods(), AFTER);
}

#[test]
fn terms_do_not_stand_for_ever() {
    let mut market = Market::new();
    market.step((ANN, 3), propose(10_000));
    market.now = NOW + std::time::Duration::from_secs(10);
    assert_eq!(market.state((BOB, 4), TradeStep::Confirm { version: 1 }), (1, cancelled(LedgerRefusal::TimedOut)));
    assert_eq!(market.goods(), BEFORE);
    let mut patient = Market::new();
    patient.step((ANN, 3), propose(u32::MAX));
    patient.now = NOW + PATIENCE_MAX;
    assert_eq!(
        patient.state((BOB, 4), TradeStep::Confirm { version: 1 }).1,
        cancelled(LedgerRefusal::TimedOut),
        "there is a limit"
    );
}

#[test]
fn only_the_two_sides_have_a_part_in_it_and_only_for_themselves() {
    let mut market = Market::new();
    let eve = EntityId(3);
    assert_eq!(market.step((BOB, 4), TradeStep::Confirm { version: 1 }), refused(LedgerRefusal::Unknown), "nothing to confirm");
    assert_eq!(market.step((eve, 1), propose(10_000)), refused(LedgerRefusal::Unknown), "who proposes takes part");
    market.step((ANN, 3), propose(10_000));
    assert_eq!(market.step((eve, 1), TradeStep::Confirm { version: 1 }), refused(LedgerRefusal::Unknown));
    let forged = Transaction::Trade { trade: TRADE, by: BOB, step: TradeStep::Confirm { version: 1 } };
    assert_eq!(market.ask(&[(ANN.0, 3)], forged), refused(LedgerRefusal::Form), "her owner cannot speak for him");
    assert_eq!(market.step((BOB, 4), propose(10_000)), refused(LedgerRefusal::Exists), "a name is used once");
    let swapped = TradeStep::Change { version: 1, a: side(eve, 0, &[]), b: side(BOB, 30, &[]) };
    assert_eq!(market.step((BOB, 4), swapped), refused(LedgerRefusal::Form));
    assert_eq!(market.goods(), BEFORE);
}

#[test]
fn impossible_terms_are_no_trade() {
    let many: Vec<EntityId> = (0..=TRADE_ITEMS_MAX as u64).map(EntityId).collect();
    for (a, b) in [
        (side(ANN, 1, &[]), side(ANN, 0, &[])),
        (side(ANN, 1, &[]), side(EntityId::NONE, 0, &[])),
        (side(ANN, 1, &many), side(BOB, 0, &[])),
    ] {
        let mut market = Market::new();
        let step = TradeStep::Propose { a, b, patience_ms: 1_000 };
        assert_eq!(market.step((ANN, 3), step), refused(LedgerRefusal::Form));
    }
}
