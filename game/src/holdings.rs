//! What a player has: a purse and a bag that show what the ledger says. Nothing here is property; it is a picture of it.

use pangaea_scene::prelude::*;

/// Gold of a new player.
const FIRST_GOLD: u64 = 100;
/// Items a client is told of; the ledger may hold more.
pub const BAG_ITEMS_MAX: usize = 16;

/// The ledger's last word on what an agent has.
#[component]
pub struct Purse {
    /// Version of the account; answers may come out of order.
    pub version: u64,
    /// Gold.
    pub gold: u64,
    /// The first gold's operation, while it is under way.
    pub first: LedgerTicket,
    /// The first items of the bag; the others are none.
    pub items: [EntityId; BAG_ITEMS_MAX],
    /// What sort each is.
    pub kinds: [u16; BAG_ITEMS_MAX],
}

impl Purse {
    /// Nothing known yet.
    fn unknown() -> Self {
        Self { version: 0, gold: 0, first: LedgerTicket::NONE, items: [EntityId::NONE; BAG_ITEMS_MAX], kinds: [0; BAG_ITEMS_MAX] }
    }

    /// The sort of an item in the bag.
    pub fn kind_of(&self, item: EntityId) -> Option<u16> {
        self.items.iter().position(|held| *held == item && item.is_some()).map(|slot| self.kinds[slot])
    }
}

/// Told whenever it changes.
#[event]
pub struct Holdings {
    /// Gold.
    pub gold: u64,
    /// How many items.
    pub count: u64,
    /// The first of them; the others are none.
    pub items: [EntityId; BAG_ITEMS_MAX],
    /// What sort each is.
    pub kinds: [u16; BAG_ITEMS_MAX],
}

/// Give gold to someone near.
#[input]
pub struct Pay {
    /// To whom.
    pub to: EntityId,
    /// How much.
    pub gold: u64,
}

/// Farthest hand-to-hand distance in metres.
pub const ARM_M: f32 = 4.0;

/// Reads answers in Input, so that every later system sees what is true.
pub fn plugin(game: &mut Game) {
    game.component::<Purse>();
    game.event::<Holdings>();
    game.input::<Pay>();
    game.system(Phase::Input, (carry_purse, look_into_purse).chain());
    game.system(Phase::Act, pay);
}

/// Who comes into the world has a purse; the shard's look at the ledger fills it.
fn carry_purse(newcomers: Query<Entity, (With<Player>, Without<Purse>)>, mut commands: Commands) {
    for entity in &newcomers {
        commands.entity(entity).insert(Purse::unknown());
    }
}

fn look_into_purse(settled: Settled, locate: Locate, mut purses: Query<&mut Purse>, mut ledger: Ledger, mut events: Events) {
    for holdings in settled.holdings() {
        let purse = locate.entity(holdings.agent).and_then(|entity| purses.get_mut(entity).ok());
        let Some(mut purse) = purse.filter(|purse| holdings.version >= purse.version) else { continue };
        let mut now = Purse { version: holdings.version, first: purse.first, ..Purse::unknown() };
        now.gold = holdings.balances.iter().find(|b| b.currency == Currency::GOLD).map_or(0, |b| b.amount);
        for (slot, item) in holdings.items.iter().take(BAG_ITEMS_MAX).enumerate() {
            (now.items[slot], now.kinds[slot]) = (item.item, item.kind.0);
        }
        // An account that nothing ever happened to: a new player's.
        if now.version == 0 && !now.first.is_some() {
            let mint = Transaction::Mint { to: holdings.agent, currency: Currency::GOLD, amount: FIRST_GOLD };
            now.first = ledger.ask(&[holdings.agent], mint);
        }
        let count = holdings.items.len() as u64;
        events.tell(holdings.agent, &Holdings { gold: now.gold, count, items: now.items, kinds: now.kinds });
        purse.set_if_neq(now);
    }
}

fn pay(inputs: Inputs<Pay>, nearby: Nearby, people: Sight<Player>, positions: Query<&Position>, mut ledger: Ledger) {
    for wish in inputs.iter() {
        let Ok(position) = positions.get(wish.entity) else { continue };
        let Pay { to, gold } = wish.value;
        let near = to != wish.from && nearby.within(*position, ARM_M).any(|near| near.id == to);
        if near && gold > 0 && people.get(to).is_some() {
            ledger.ask(&[wish.from], Transaction::Pay { from: wish.from, to, currency: Currency::GOLD, amount: gold });
        }
    }
}
