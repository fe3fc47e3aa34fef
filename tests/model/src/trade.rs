//! The ledger: a trade and a payment of two agents whose owners change meanwhile.
//!
//! The machine is the ledger of a data node as it is. What stands around it: two agents, each with an owner that asks in its name
//! under an epoch, and a new owner that raises the fence before it asks for anything (`scene::shard::value`).
//!
//! | fault | how |
//! |---|---|
//! | an owner crashes or lets the agent go, at any time | the next one looks under the next epoch, and asks again |
//! | zombie | what a former owner asked for may come at any later time |
//! | a crash between commit and answer | the answer may be lost, and the request come again |
//! | loss, doubling, reordering | the network keeps all that was said |
//!
//! | rule | |
//! |---|---|
//! | T1 | gold is neither made nor lost, and nobody is in debt |
//! | T2 | the item has one owner |
//! | T3 | the payment and the trade happen at most once, whole, and as often as it is answered |
//! | T4 | a trade happens on terms that the owners in force of both sides confirmed; all hear the same end |
//!
//! T5 holds by construction: a data node gives out no answer before the commit. Settled: both know that the trade is over, or
//! have asked for all that they may.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use pangaea_schemas::geometry::{ShardId, SpaceId};
use pangaea_schemas::message::{
    Currency, ItemKind, LedgerRequest, LedgerResult, OpId, Owner, TradeSide, TradeState, TradeStep, Transaction,
};
use pangaea_schemas::{AgentEpoch, EntityId, Timestamp};
use rustc_hash::FxHashMap;

use crate::disk::{Archive, Disk};
use crate::explore::Model;
use crate::net::Net;

const SHARD: ShardId = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
const AGENTS: [EntityId; 2] = [EntityId(1), EntityId(2)];
const ITEM: EntityId = EntityId(9);
const TRADE: EntityId = EntityId(50);
/// What the first agent has at first; it trades gold for the other's item.
const GOLD: u64 = 3;
/// The price that is proposed; a change by the first agent makes it less, by the other more.
const PRICE: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(1);

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Owners of each agent.
    pub owners: [u8; 2],
    /// Versions of the terms.
    pub versions: u8,
    /// What each owner asks for in its agent's name, beside looks and payments.
    pub asks: u8,
    /// Whether the first agent also pays the other.
    pub pays: bool,
    /// Whether the terms' time may run out.
    pub expires: bool,
}

/// See the module.
pub struct Ledger {
    bounds: Bounds,
    archive: Archive,
    holdings: RefCell<FxHashMap<Disk, Rc<[Purse; 2]>>>,
}

/// What an agent has.
#[derive(Clone, Copy, Debug, Default)]
struct Purse {
    gold: u64,
    items: usize,
}

/// Who said yes to what: agent, epoch of its owner, version, price.
type Yes = (u8, u64, u32, u64);

/// Everything there is.
#[derive(Clone, Debug, Hash)]
pub struct State {
    disk: Disk,
    net: Net<Said>,
    sides: [Side; 2],
    is_late: bool,
    said_yes: BTreeSet<Yes>,
    /// Highest epoch that the ledger heard of each agent.
    fences: [u64; 2],
    /// How often the payment was answered as done, and the price of the trade if it was.
    paid: bool,
    traded: Option<u64>,
    /// A rule that a step broke.
    broken: Option<&'static str>,
}

/// One agent at its owner.
#[derive(Clone, Copy, Debug, Hash)]
struct Side {
    epoch: u64,
    /// The fence is raised: value may be touched.
    is_open: bool,
    /// What this owner asked for.
    asks: u8,
    /// The terms that it knows: version, price.
    terms: Option<(u32, u64)>,
    /// What it was told became of the trade.
    end: Option<TradeState>,
}

/// What is said by the owner of an agent.
type Said = (u8, LedgerRequest);

/// What may happen.
#[derive(Clone, Debug)]
pub enum Action {
    /// The ledger hears something, and its answer comes or is lost. One that comes late is the answer to a doubled request.
    Hear(Rc<(u8, LedgerRequest)>, bool),
    /// The first agent proposes.
    Propose,
    /// An agent puts other terms on the table.
    Change(u8),
    /// An agent says yes to the terms that it knows.
    Confirm(u8),
    /// An agent calls it off.
    Cancel(u8),
    /// The first agent pays the other.
    Pay,
    /// An agent gets another owner.
    NewOwner(u8),
    /// Time runs out.
    Expire,
}

impl Ledger {
    /// A model within these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, archive: Archive::default(), holdings: RefCell::default() }
    }

    fn purses(&self, disk: Disk) -> Rc<[Purse; 2]> {
        let known = self.holdings.borrow().get(&disk).cloned();
        known.unwrap_or_else(|| {
            let purses = Rc::new(AGENTS.map(|agent| self.purse(disk, agent)));
            self.holdings.borrow_mut().insert(disk, purses.clone());
            purses
        })
    }

    fn purse(&self, disk: Disk, agent: EntityId) -> Purse {
        let look = LedgerRequest { op: OpId(0), shard: SHARD, fences: Vec::new(), transaction: Transaction::Look { agent } };
        let (_, reply) = self.archive.ledger(disk, Timestamp(0), &look);
        let LedgerResult::Done(holdings) = reply.result else { panic!("a look without a fence is not refused") };
        let gold = holdings.iter().flat_map(|h| &h.balances).map(|balance| balance.amount).sum();
        Purse { gold, items: holdings.iter().map(|h| h.items.len()).sum() }
    }

    fn now(&self, state: &State) -> Timestamp {
        if state.is_late { Timestamp(0) + PATIENCE } else { Timestamp(0) }
    }

    /// An owner asks in the name of its agent.
    fn ask(&self, state: &mut State, at: u8, op: u128, transaction: Transaction) {
        let fences = vec![(AGENTS[usize::from(at)], AgentEpoch(state.sides[usize::from(at)].epoch))];
        state.net.say((at, LedgerRequest { op: OpId(op), shard: SHARD, fences, transaction }));
    }

    fn ask_step(&self, state: &mut State, at: u8, op: u128, step: TradeStep) {
        state.sides[usize::from(at)].asks += 1;
        let transaction = Transaction::Trade { trade: TRADE, by: AGENTS[usize::from(at)], step };
        self.ask(state, at, op, transaction);
    }

    fn say_yes(&self, state: &mut State, at: u8, version: u32, price: u64) {
        let epoch = state.sides[usize::from(at)].epoch;
        state.said_yes.insert((at, epoch, version, price));
    }

    /// The ledger does what it is asked, durably; its answer may be lost.
    fn perform(&self, state: &mut State, at: u8, request: &LedgerRequest, is_answered: bool) {
        let (disk, reply) = self.archive.ledger(state.disk, self.now(state), request);
        state.disk = disk;
        let heard = request.fences.iter().map(|(_, epoch)| epoch.0).max().unwrap_or_default();
        let fence = &mut state.fences[usize::from(at)];
        *fence = heard.max(*fence);
        match (reply.result, &request.transaction) {
            (LedgerResult::Traded { trade, .. }, _) => {
                if trade.state == TradeState::Done && state.traded.is_none() {
                    self.check_yes(state, trade.version, trade.a.gold);
                    state.traded = Some(trade.a.gold);
                }
                if is_answered {
                    Self::hear_of_trade(state, at, (trade.version, trade.a.gold), trade.state);
                }
            }
            (LedgerResult::Done(_), Transaction::Look { .. }) => {
                let side = &mut state.sides[usize::from(at)];
                side.is_open |= side.epoch == heard && is_answered;
            }
            (LedgerResult::Done(_), _) => state.paid = true,
            (LedgerResult::Refused(_) | LedgerResult::Unavailable(_) | LedgerResult::Ground(_), _) => {}
        }
    }

    /// A trade is done in this very step.
    fn check_yes(&self, state: &mut State, version: u32, price: u64) {
        let yes = |at: u8| state.said_yes.contains(&(at, state.fences[usize::from(at)], version, price));
        if !(yes(0) && yes(1)) {
            state.broken = Some("T4 both owners in force confirmed these terms");
        }
    }

    /// An owner is told of the terms in force and of where the trade is.
    fn hear_of_trade(state: &mut State, at: u8, terms: (u32, u64), end: TradeState) {
        let side = &mut state.sides[usize::from(at)];
        if side.terms.is_none_or(|(known, _)| known < terms.0) {
            side.terms = Some(terms);
        }
        if matches!(end, TradeState::Open { .. }) {
            return;
        }
        if side.end.is_some_and(|before| before != end) {
            state.broken = Some("T4 a trade ends once");
        }
        side.end = Some(end);
    }

    fn terms(price: u64) -> (TradeSide, TradeSide) {
        let a = TradeSide { agent: AGENTS[0], gold: price, items: Vec::new() };
        (a, TradeSide { agent: AGENTS[1], gold: 0, items: vec![ITEM] })
    }

    fn side_actions(&self, state: &State, at: u8, actions: &mut Vec<Action>) {
        let side = state.sides[usize::from(at)];
        if side.epoch < u64::from(self.bounds.owners[usize::from(at)]) {
            actions.push(Action::NewOwner(at));
        }
        if !side.is_open || side.end.is_some() {
            return;
        }
        // The other side hears of the terms by an effect.
        let known = side.terms.or(state.sides[usize::from(1 - at)].terms);
        let may_ask = side.asks < self.bounds.asks;
        if let Some((version, _)) = known.filter(|_| may_ask) {
            actions.extend([Action::Confirm(at), Action::Cancel(at)]);
            if version < u32::from(self.bounds.versions) {
                actions.push(Action::Change(at));
            }
        }
        if at == 0 {
            if may_ask {
                actions.push(Action::Propose);
            }
            if self.bounds.pays {
                actions.push(Action::Pay);
            }
        }
    }
}

impl Model for Ledger {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        let side = Side { epoch: 1, is_open: true, asks: 0, terms: None, end: None };
        let mut state = State {
            disk: self.archive.empty(),
            net: Net::default(),
            sides: [side; 2],
            is_late: false,
            said_yes: BTreeSet::new(),
            fences: [1; 2],
            paid: false,
            traded: None,
            broken: None,
        };
        let owner = Owner::Agent(AGENTS[1]);
        let setup = [
            Transaction::Mint { to: AGENTS[0], currency: Currency::GOLD, amount: GOLD },
            Transaction::Create { item: ITEM, kind: ItemKind(1), owner },
            Transaction::Look { agent: AGENTS[0] },
            Transaction::Look { agent: AGENTS[1] },
        ];
        for (op, transaction) in setup.into_iter().enumerate() {
            let fences = AGENTS.map(|agent| (agent, AgentEpoch(1))).to_vec();
            let request = LedgerRequest { op: OpId(1_000 + op as u128), shard: SHARD, fences, transaction };
            state.disk = self.archive.ledger(state.disk, Timestamp(0), &request).0;
        }
        state
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let heard = state.net.heard().flat_map(|said| [true, false].map(|answered| Action::Hear(said.clone(), answered)));
        actions.extend(heard);
        if self.bounds.expires && !state.is_late {
            actions.push(Action::Expire);
        }
        for at in [0, 1] {
            self.side_actions(state, at, actions);
        }
    }

    fn step(&self, state: &State, action: &Action) -> State {
        let mut state = state.clone();
        let known = |state: &State, at: u8| {
            let sides = &state.sides;
            sides[usize::from(at)].terms.or(sides[usize::from(1 - at)].terms).unwrap_or((1, PRICE))
        };
        match *action {
            Action::Hear(ref said, is_answered) => self.perform(&mut state, said.0, &said.1, is_answered),
            Action::Propose => {
                let (a, b) = Self::terms(PRICE);
                self.say_yes(&mut state, 0, 1, PRICE);
                self.ask_step(&mut state, 0, 1, TradeStep::Propose { a, b, patience_ms: PATIENCE.as_millis() as u32 });
            }
            Action::Change(at) => {
                let (version, _) = known(&state, at);
                let price = if at == 0 { PRICE - 1 } else { PRICE + 1 };
                let (a, b) = Self::terms(price);
                self.say_yes(&mut state, at, version + 1, price);
                self.ask_step(&mut state, at, 10 + u128::from(at), TradeStep::Change { version, a, b });
            }
            Action::Confirm(at) => {
                let (version, price) = known(&state, at);
                self.say_yes(&mut state, at, version, price);
                let op = 20 + 10 * u128::from(version) + u128::from(at);
                self.ask_step(&mut state, at, op, TradeStep::Confirm { version });
            }
            Action::Cancel(at) => self.ask_step(&mut state, at, 12 + u128::from(at), TradeStep::Cancel),
            Action::Pay => {
                let [from, to] = AGENTS;
                self.ask(&mut state, 0, 2, Transaction::Pay { from, to, currency: Currency::GOLD, amount: 1 });
            }
            Action::NewOwner(at) => {
                let side = &mut state.sides[usize::from(at)];
                (side.epoch, side.is_open, side.asks) = (side.epoch + 1, false, 0);
                let op = 100 + u128::from(at) + 10 * u128::from(side.epoch);
                self.ask(&mut state, at, op, Transaction::Look { agent: AGENTS[usize::from(at)] });
            }
            Action::Expire => state.is_late = true,
        }
        state
    }

    fn is_fault(&self, _state: &State, action: &Action) -> bool {
        matches!(action, Action::NewOwner(_) | Action::Expire | Action::Hear(_, false))
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let [a, b] = *self.purses(state.disk);
        if state.broken.is_some() {
            return state.broken;
        }
        if a.gold + b.gold != GOLD {
            return Some("T1 gold is conserved");
        }
        if a.items + b.items != 1 || (a.items == 1) != state.traded.is_some() {
            return Some("T2 the item has one owner");
        }
        if a.gold + u64::from(state.paid) + state.traded.unwrap_or_default() != GOLD {
            return Some("T3 everything happens at most once");
        }
        None
    }

    fn is_settled(&self, state: &State) -> bool {
        // Who has asked for all that it may hears of the end no more.
        state.sides.iter().all(|side| side.end.is_some() || side.asks >= self.bounds.asks)
    }

    fn sights(&self, state: &State) -> Vec<(&'static str, bool)> {
        let done_by = |owners: [u8; 2]| state.traded.is_some() && state.sides.map(|side| side.epoch) == owners.map(u64::from);
        let mut sights = vec![
            ("a trade is done by the first owners", done_by([1; 2])),
            ("a trade is called off", state.sides[0].end.is_some() && state.traded.is_none()),
        ];
        if self.bounds.owners != [1; 2] {
            sights.push(("a trade is done by new owners", done_by(self.bounds.owners)));
        }
        if self.bounds.pays {
            sights.push(("gold is paid and traded", state.paid && state.traded.is_some()));
        }
        sights
    }
}
