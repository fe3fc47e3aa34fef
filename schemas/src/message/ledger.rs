//! The ledger: every change of value, in double entry, by one writer.

use crate::geometry::{Position, ShardId, SpaceId};
use crate::{AgentEpoch, EntityId, Timestamp};

/// Most items that one side gives in a trade.
pub const TRADE_ITEMS_MAX: usize = 16;

/// Names an operation so that asking twice does it once. Drawn by the asking shard: its epoch's bits and a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u128);

/// A currency by number; 0 is gold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(pub u16);

impl Currency {
    /// The demo game's.
    pub const GOLD: Self = Self(0);
}

/// What sort of item, as the game numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKind(pub u16);

/// Who has something.
#[derive(Clone, Copy, Debug, PartialEq, Hash)]
pub enum Owner {
    /// An agent.
    Agent(EntityId),
    /// It lies on the ground.
    Ground {
        /// In which space.
        space: SpaceId,
        /// Where.
        position: Position,
    },
    /// It is out of the world, for ever.
    Sink,
}

/// One item: exactly one owner; its id is also its entity's when it lies on the ground.
#[derive(Clone, Copy, Debug, PartialEq, Hash)]
pub struct Item {
    /// Never used again.
    pub item: EntityId,
    /// What sort.
    pub kind: ItemKind,
    /// Who has it.
    pub owner: Owner,
}

/// What one side gives in a trade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TradeSide {
    /// Who.
    pub agent: EntityId,
    /// Gold given.
    pub gold: u64,
    /// Items given; at most [`TRADE_ITEMS_MAX`].
    pub items: Vec<EntityId>,
}

/// What one side of a trade does. The shard that owns its agent asks for it and vouches for the agent with its epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TradeStep {
    /// Puts terms on the table, and confirms them.
    Propose {
        /// One side, or the other, is who proposes.
        a: TradeSide,
        /// The other.
        b: TradeSide,
        /// How long any terms stand, in milliseconds from now.
        patience_ms: u32,
    },
    /// Puts other terms in their place, and confirms them; no earlier confirmation counts.
    Change {
        /// The terms that it replaces; if others are in force, nothing changes.
        version: u32,
        /// The same agent as before.
        a: TradeSide,
        /// The same agent as before.
        b: TradeSide,
    },
    /// Says yes to the terms. When both sides have, everything changes hands.
    Confirm {
        /// The terms; if others are in force, nothing changes.
        version: u32,
    },
    /// Calls it off.
    Cancel,
}

/// Where a trade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TradeState {
    /// Terms are on the table.
    Open {
        /// The epoch under which the one side confirmed them; zero: it did not.
        a: AgentEpoch,
        /// The same of the other.
        b: AgentEpoch,
    },
    /// Everything changed hands.
    Done,
    /// It is off; nothing changed hands.
    Cancelled {
        /// Called off, out of time, or why it could not be done.
        reason: LedgerRefusal,
    },
}

/// A trade as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trade {
    /// Its name, fresh like an entity's.
    pub trade: EntityId,
    /// Rises with each change of the terms, from 1.
    pub version: u32,
    /// One side of the terms in force.
    pub a: TradeSide,
    /// The other.
    pub b: TradeSide,
    /// Until then it stays open, by the ledger's clock.
    pub until: Timestamp,
    /// Where it is.
    pub state: TradeState,
}

/// A change of value, or a look that raises the fence.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Transaction {
    /// What an agent has. Raises its fence: an older owner can change nothing afterwards.
    Look {
        /// Whose.
        agent: EntityId,
    },
    /// What lies on the ground of a shard.
    LookGround {
        /// Where.
        shard: ShardId,
    },
    /// New money from the mint.
    Mint {
        /// To whom.
        to: EntityId,
        /// Which.
        currency: Currency,
        /// How much, above 0.
        amount: u64,
    },
    /// Money out of the world.
    Burn {
        /// From whom.
        from: EntityId,
        /// Which.
        currency: Currency,
        /// How much, above 0.
        amount: u64,
    },
    /// Money from one to another.
    Pay {
        /// From whom.
        from: EntityId,
        /// To whom.
        to: EntityId,
        /// Which.
        currency: Currency,
        /// How much, above 0.
        amount: u64,
    },
    /// A new item.
    Create {
        /// Its id, fresh.
        item: EntityId,
        /// What sort.
        kind: ItemKind,
        /// Who has it first.
        owner: Owner,
    },
    /// An item changes hands; refused unless `from` has it.
    Move {
        /// Which.
        item: EntityId,
        /// Who has it now; for the ground the position does not matter.
        from: Owner,
        /// Who has it then.
        to: Owner,
    },
    /// A step of a trade.
    Trade {
        /// Which.
        trade: EntityId,
        /// Whose step; its epoch must be among the fences.
        by: EntityId,
        /// What.
        step: TradeStep,
    },
    /// New money from the mint for an account to which nothing has happened yet; refused as `Exists` if something has.
    Endow {
        /// To whom.
        to: EntityId,
        /// Which.
        currency: Currency,
        /// How much, above 0.
        amount: u64,
    },
}

/// To the ledger.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct LedgerRequest {
    /// Which operation.
    pub op: OpId,
    /// The shard that asks, so that the answer finds it.
    pub shard: ShardId,
    /// Who must still be owned under which epoch; a higher one raises the fence, a lower one is refused.
    pub fences: Vec<(EntityId, AgentEpoch)>,
    /// What.
    pub transaction: Transaction,
}

/// Money in one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Balance {
    /// Which.
    pub currency: Currency,
    /// How much.
    pub amount: u64,
}

/// What an agent has, at a version of its account.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
pub struct Holdings {
    /// Whose.
    pub agent: EntityId,
    /// Rises with each change.
    pub version: u64,
    /// Not zero, in order of currency.
    pub balances: Vec<Balance>,
    /// In order of id.
    pub items: Vec<Item>,
}

/// Why the ledger did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LedgerRefusal {
    /// A newer owner speaks for an agent of this operation.
    Stale = 0,
    /// Not enough money.
    Funds = 1,
    /// The item is not where it was said to be.
    NotOwner = 2,
    /// The id is taken.
    Exists = 3,
    /// An amount of 0, an overflow, or an agent trading with itself.
    Form = 4,
    /// There is no such trade, or the agent has no part in it.
    Unknown = 5,
    /// One side called the trade off.
    CalledOff = 6,
    /// The terms stood long enough.
    TimedOut = 7,
    /// Too many operations of this agent or shard wait already; the ledger was not asked.
    Busy = 8,
}

/// What became of an operation; the same however often it is asked.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum LedgerResult {
    /// Done and durable: the new holdings of every agent concerned.
    Done(Vec<Holdings>),
    /// Answer to `LookGround`: items there, in order of id.
    Ground(Vec<Item>),
    /// Nothing happened.
    Refused(LedgerRefusal),
    /// Not done now; ask again with the same id.
    Unavailable(String),
    /// Answer to a step of a trade: what has become of it.
    Traded {
        /// After the step.
        trade: Trade,
        /// Of both sides, when it is done; else empty.
        holdings: Vec<Holdings>,
    },
}

/// From the ledger.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct LedgerReply {
    /// Which operation.
    pub op: OpId,
    /// The shard that asked.
    pub shard: ShardId,
    /// What became of it.
    pub result: LedgerResult,
}
