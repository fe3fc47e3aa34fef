//! The ledger: every change of value, in double entry, by one writer.

use crate::geometry::{Position, ShardId, SpaceId};
use crate::{AgentEpoch, EntityId};

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
#[derive(Clone, Copy, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item {
    /// Never used again.
    pub item: EntityId,
    /// What sort.
    pub kind: ItemKind,
    /// Who has it.
    pub owner: Owner,
}

/// What one side puts into a trade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TradeSide {
    /// Who.
    pub agent: EntityId,
    /// The epoch under which it confirmed.
    pub epoch: AgentEpoch,
    /// Currency given.
    pub gold: u64,
    /// Items given, in order of id.
    pub items: Vec<EntityId>,
}

/// A change of value, or a look that raises the fence.
#[derive(Clone, Debug, PartialEq)]
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
    /// Both sides give what they put in, or nothing happens.
    Trade {
        /// One.
        a: TradeSide,
        /// The other.
        b: TradeSide,
    },
}

/// To the ledger.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Which.
    pub currency: Currency,
    /// How much.
    pub amount: u64,
}

/// What an agent has, at a version of its account.
#[derive(Clone, Debug, Default, PartialEq)]
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
}

/// What became of an operation; the same however often it is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum LedgerResult {
    /// Done and durable: the new holdings of every agent concerned.
    Done(Vec<Holdings>),
    /// Answer to `LookGround`: items there, in order of id.
    Ground(Vec<Item>),
    /// Nothing happened.
    Refused(LedgerRefusal),
    /// Not done now; ask again with the same id.
    Unavailable(String),
}

/// From the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerReply {
    /// Which operation.
    pub op: OpId,
    /// The shard that asked.
    pub shard: ShardId,
    /// What became of it.
    pub result: LedgerResult,
}
