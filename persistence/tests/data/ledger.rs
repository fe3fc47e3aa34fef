//! The ledger's rules: conservation, one owner per item, fences, once only.

use std::collections::{BTreeMap, BTreeSet};

use pangaea_persistence::ledger::Audit;
use pangaea_persistence::store::{Changes, RowTable};
use pangaea_persistence::{Data, MemoryStore, Store};
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::{Position, SpaceId};
use pangaea_schemas::message::{
    Balance, Currency, Holdings, Item, ItemKind, LedgerRefusal, LedgerResult, Owner, TradeSide, TradeStep, Transaction,
};
use proptest::prelude::*;

use crate::fixture::*;

pub(crate) const ANN: EntityId = EntityId(1);
pub(crate) const BOB: EntityId = EntityId(2);
pub(crate) const SWORD: EntityId = EntityId(100);
pub(crate) const GOLD: Currency = Currency::GOLD;

pub(crate) fn mint(to: EntityId, amount: u64) -> Transaction {
    Transaction::Mint { to, currency: GOLD, amount }
}

pub(crate) fn pay(from: EntityId, to: EntityId, amount: u64) -> Transaction {
    Transaction::Pay { from, to, currency: GOLD, amount }
}

pub(crate) fn create(item: EntityId, owner: Owner) -> Transaction {
    Transaction::Create { item, kind: ItemKind(3), owner }
}

pub(crate) fn ground(x: f32) -> Owner {
    Owner::Ground { space: SpaceId(0), position: Position { x, z: 5.0 } }
}

pub(crate) fn refused(refusal: LedgerRefusal) -> LedgerResult {
    LedgerResult::Refused(refusal)
}

pub(crate) fn holdings(data: &mut Data<MemoryStore>, agent: EntityId) -> Holdings {
    match ledger(data, operation(u128::MAX, &[], Transaction::Look { agent })) {
        LedgerResult::Done(mut holdings) => holdings.remove(0),
        other => panic!("a look shows holdings: {other:?}"),
    }
}

pub(crate) fn gold(data: &mut Data<MemoryStore>, agent: EntityId) -> u64 {
    holdings(data, agent).balances.first().map_or(0, |balance| balance.amount)
}

pub(crate) fn items(data: &mut Data<MemoryStore>, agent: EntityId) -> Vec<EntityId> {
    holdings(data, agent).items.iter().map(|item| item.item).collect()
}

/// Ann has 100 gold and a sword, Bob 30 gold.
pub(crate) fn market() -> Data<MemoryStore> {
    let mut data = node();
    for (op, transaction) in [mint(ANN, 100), mint(BOB, 30), create(SWORD, Owner::Agent(ANN))].into_iter().enumerate() {
        let done = ledger(&mut data, operation(1_000 + op as u128, &[], transaction));
        assert!(matches!(done, LedgerResult::Done(_)), "{done:?}");
    }
    data
}

pub(crate) fn audit(data: &Data<MemoryStore>) -> Audit {
    data.audit().expect("reads")
}

#[test]
fn money_moves_and_none_appears() {
    let mut data = market();
    ledger(&mut data, operation(1, &[], pay(ANN, BOB, 60)));
    ledger(&mut data, operation(2, &[], Transaction::Burn { from: BOB, currency: GOLD, amount: 5 }));
    assert_eq!((gold(&mut data, ANN), gold(&mut data, BOB)), (40, 85));
    let audit = audit(&data);
    assert!(audit.ok(), "{audit:?}");
    let total = audit.currencies[0];
    assert_eq!((total.issued, total.sunk, total.held, audit.items), (130, 5, 125, 1));
}

#[test]
fn the_result_tells_everyones_new_holdings() {
    let mut data = market();
    let LedgerResult::Done(done) = ledger(&mut data, operation(1, &[], pay(ANN, BOB, 60))) else { panic!("refused") };
    let sword = Item { item: SWORD, kind: ItemKind(3), owner: Owner::Agent(ANN) };
    let balance = |amount| vec![Balance { currency: GOLD, amount }];
    let expected = [
        Holdings { agent: ANN, version: 3, balances: balance(40), items: vec![sword] },
        Holdings { agent: BOB, version: 2, balances: balance(90), items: vec![] },
    ];
    assert_eq!(done, expected);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut data = market();
    let before = (holdings(&mut data, ANN), holdings(&mut data, BOB));
    let wrong = [
        (pay(ANN, BOB, 101), LedgerRefusal::Funds),
        (pay(ANN, BOB, 0), LedgerRefusal::Form),
        (pay(ANN, ANN, 1), LedgerRefusal::Form),
        (mint(ANN, u64::MAX), LedgerRefusal::Form),
        (create(SWORD, Owner::Agent(BOB)), LedgerRefusal::Exists),
        (create(EntityId::NONE, Owner::Agent(BOB)), LedgerRefusal::Form),
        (create(EntityId(7), ground(f32::NAN)), LedgerRefusal::Form),
        (Transaction::Move { item: SWORD, from: Owner::Agent(BOB), to: ground(1.0) }, LedgerRefusal::NotOwner),
        (Transaction::Move { item: SWORD, from: ground(1.0), to: Owner::Agent(BOB) }, LedgerRefusal::NotOwner),
        (Transaction::Move { item: EntityId(7), from: Owner::Agent(ANN), to: ground(1.0) }, LedgerRefusal::NotOwner),
        (Transaction::Endow { to: ANN, currency: GOLD, amount: 5 }, LedgerRefusal::Exists),
        (Transaction::Trade { trade: EntityId(9), by: ANN, step: TradeStep::Cancel }, LedgerRefusal::Form),
    ];
    for (op, (transaction, refusal)) in wrong.into_iter().enumerate() {
        let result = ledger(&mut data, operation(op as u128, &[], transaction.clone()));
        assert_eq!(result, refused(refusal), "{transaction:?}");
    }
    assert_eq!((holdings(&mut data, ANN), holdings(&mut data, BOB)), before);
}

#[test]
fn asking_twice_does_it_once_and_answers_the_same() {
    let mut data = market();
    let payment = operation(1, &[], pay(ANN, BOB, 60));
    let first = ledger(&mut data, payment.clone());
    ledger(&mut data, operation(2, &[], pay(BOB, ANN, 20)));
    assert_eq!(ledger(&mut data, payment.clone()), first);
    let mut data = Data::new(data.into_store());
    assert_eq!(ledger(&mut data, payment), first, "also after a restart");
    assert_eq!(gold(&mut data, ANN), 60);
}

#[test]
fn a_refusal_stays_a_refusal() {
    let mut data = market();
    let payment = operation(1, &[], pay(ANN, BOB, 101));
    assert_eq!(ledger(&mut data, payment.clone()), refused(LedgerRefusal::Funds));
    ledger(&mut data, operation(2, &[], mint(ANN, 50)));
    assert_eq!(ledger(&mut data, payment), refused(LedgerRefusal::Funds), "the player was told no");
}

#[test]
fn an_older_owner_can_change_nothing() {
    let mut data = market();
    ledger(&mut data, operation(1, &[(1, 5)], Transaction::Look { agent: ANN }));
    assert_eq!(ledger(&mut data, operation(2, &[(1, 4)], pay(ANN, BOB, 1))), refused(LedgerRefusal::Stale));
    assert_eq!(ledger(&mut data, operation(3, &[(1, 4)], Transaction::Look { agent: ANN })), refused(LedgerRefusal::Stale));
    assert!(matches!(ledger(&mut data, operation(4, &[(1, 5)], pay(ANN, BOB, 1))), LedgerResult::Done(_)));
    assert_eq!(ledger(&mut data, operation(5, &[(1, 6)], pay(ANN, BOB, 1_000))), refused(LedgerRefusal::Funds));
    assert_eq!(
        ledger(&mut data, operation(6, &[(1, 5)], pay(ANN, BOB, 1))),
        refused(LedgerRefusal::Stale),
        "a refused operation raises the fence too"
    );
}

#[test]
fn only_an_account_to_which_nothing_happened_is_endowed() {
    let mut data = node();
    let endow = || Transaction::Endow { to: ANN, currency: GOLD, amount: 100 };
    assert!(matches!(ledger(&mut data, operation(1, &[], endow())), LedgerResult::Done(_)));
    assert_eq!(ledger(&mut data, operation(2, &[], endow())), refused(LedgerRefusal::Exists));
    ledger(&mut data, operation(3, &[], pay(ANN, BOB, 100)));
    assert_eq!(ledger(&mut data, operation(4, &[], endow())), refused(LedgerRefusal::Exists), "also when it is empty again");
    assert_eq!((gold(&mut data, ANN), gold(&mut data, BOB)), (0, 100));
}

/// Money that appears behind the ledger's back: a row of the right form, with a right checksum.
#[test]
fn the_audit_names_the_operation_after_which_money_came_from_nowhere() {
    let mut data = market();
    ledger(&mut data, operation(0xabc, &[], pay(ANN, BOB, 60)));
    let mut later = Data::new(data.into_store());
    ledger(&mut later, operation(0xdef, &[], pay(BOB, ANN, 5)));
    assert!(audit(&later).ok());
    let mut store = later.into_store();
    let mut forged = Changes::default();
    let bob: [u8; 11] = [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0];
    forged.set(RowTable::Balances, &bob, Some(1_000i128.to_le_bytes().to_vec().into()));
    store.commit(&forged).expect("writes");
    let faults = audit(&Data::new(store)).faults;
    assert!(faults.iter().any(|fault| fault.contains(&format!("{:032x}, left 85", 0xdef))), "{faults:?}");
}

#[test]
fn the_ground_of_a_shard_is_what_lies_in_its_cells() {
    let mut data = market();
    let drop_it = Transaction::Move { item: SWORD, from: Owner::Agent(ANN), to: ground(100.0) };
    ledger(&mut data, operation(1, &[], drop_it));
    ledger(&mut data, operation(2, &[], create(EntityId(101), ground(300.0))));
    let look = |data: &mut _, shard| ledger(data, operation(9, &[], Transaction::LookGround { shard }));
    let lying = |item, x| Item { item, kind: ItemKind(3), owner: ground(x) };
    assert_eq!(look(&mut data, WEST), LedgerResult::Ground(vec![lying(SWORD, 100.0)]));
    assert_eq!(look(&mut data, EAST), LedgerResult::Ground(vec![lying(EntityId(101), 300.0)]));
    let take = Transaction::Move { item: SWORD, from: ground(0.0), to: Owner::Agent(BOB) };
    ledger(&mut data, operation(3, &[], take.clone()));
    assert_eq!(ledger(&mut data, operation(4, &[], take)), refused(LedgerRefusal::NotOwner), "one of two who reach for it");
    assert_eq!(look(&mut data, WEST), LedgerResult::Ground(vec![]));
    assert!(audit(&data).ok());
}

#[test]
fn the_sink_gives_nothing_back() {
    let mut data = market();
    ledger(&mut data, operation(1, &[], Transaction::Move { item: SWORD, from: Owner::Agent(ANN), to: Owner::Sink }));
    let back = Transaction::Move { item: SWORD, from: Owner::Sink, to: Owner::Agent(ANN) };
    assert_eq!(ledger(&mut data, operation(2, &[], back)), refused(LedgerRefusal::NotOwner));
    assert_eq!(ledger(&mut data, operation(3, &[], create(SWORD, Owner::Agent(ANN)))), refused(LedgerRefusal::Exists));
    assert_eq!(audit(&data).items, 1);
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        6 => (1..5u64).prop_map(|agent| Owner::Agent(EntityId(agent))),
        2 => (0..40u8).prop_map(|x| ground(f32::from(x) * 20.0)),
        1 => Just(Owner::Sink),
    ]
}

fn trade_step() -> impl Strategy<Value = TradeStep> {
    let gives = || (1..5u64, 0..50u64, prop::collection::vec((100..108u64).prop_map(EntityId), 0..3));
    let side = |(agent, gold, items): (u64, u64, Vec<EntityId>)| TradeSide { agent: EntityId(agent), gold, items };
    prop_oneof![
        2 => (gives(), gives())
            .prop_map(move |(a, b)| TradeStep::Propose { a: side(a), b: side(b), patience_ms: 60_000 }),
        1 => (1..3u32, gives(), gives()).prop_map(move |(version, a, b)| TradeStep::Change { version, a: side(a), b: side(b) }),
        3 => (1..3u32).prop_map(|version| TradeStep::Confirm { version }),
        1 => Just(TradeStep::Cancel),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let agent = || (1..5u64).prop_map(EntityId);
    let item = || (100..108u64).prop_map(EntityId);
    let currency = || (0..2u16).prop_map(Currency);
    let amount = || prop_oneof![8 => 0..200u64, 1 => Just(u64::MAX)];
    prop_oneof![
        (agent(), currency(), amount()).prop_map(|(to, currency, amount)| Transaction::Mint { to, currency, amount }),
        (agent(), currency(), amount()).prop_map(|(to, currency, amount)| Transaction::Endow { to, currency, amount }),
        (agent(), currency(), amount()).prop_map(|(from, currency, amount)| Transaction::Burn { from, currency, amount }),
        (agent(), agent(), currency(), amount()).prop_map(|(from, to, currency, amount)| Transaction::Pay {
            from,
            to,
            currency,
            amount
        }),
        (item(), owner()).prop_map(|(item, owner)| create(item, owner)),
        (item(), owner(), owner()).prop_map(|(item, from, to)| Transaction::Move { item, from, to }),
        ((200..204u64).prop_map(EntityId), agent(), trade_step()).prop_map(|(trade, by, step)| Transaction::Trade {
            trade,
            by,
            step
        }),
    ]
}

proptest! {
    #[test]
    fn value_is_conserved_whatever_is_asked(
        asked in prop::collection::vec((0..60u128, 0..4u64, transaction()), 0..150),
        restart in 0..150usize,
    ) {
        let mut data = node();
        let (mut issued, mut sunk) = (BTreeMap::<Currency, u128>::new(), BTreeMap::<Currency, u128>::new());
        let (mut created, mut done) = (BTreeSet::new(), BTreeSet::new());
        for (n, (op, epoch, transaction)) in asked.into_iter().enumerate() {
            let result = ledger(&mut data, operation(op, &[(1, epoch), (2, 0), (3, 0), (4, 0)], transaction.clone()));
            // Operations are asked for again and again, with other contents too: only the first one counts.
            let first = result != refused(LedgerRefusal::Stale) && done.insert(op);
            if first && let LedgerResult::Done(_) = result {
                match transaction {
                    Transaction::Mint { currency, amount, .. } | Transaction::Endow { currency, amount, .. } => *issued.entry(currency).or_default() += u128::from(amount),
                    Transaction::Burn { currency, amount, .. } => *sunk.entry(currency).or_default() += u128::from(amount),
                    Transaction::Create { item, .. } => prop_assert!(created.insert(item)),
                    _ => {}
                }
            }
            if n == restart {
                data = Data::new(data.into_store());
            }
        }
        let audit = audit(&data);
        prop_assert_eq!(&audit.faults, &Vec::<String>::new());
        prop_assert_eq!(audit.items, created.len() as u64);
        for total in audit.currencies {
            prop_assert_eq!(total.issued, issued.get(&total.currency).copied().unwrap_or_default());
            prop_assert_eq!(total.sunk, sunk.get(&total.currency).copied().unwrap_or_default());
        }
        prop_assert!(data.verify().expect("reads").ok());
    }
}
