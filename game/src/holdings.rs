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
    /// The first items of the bag; the others are none.
    pub items: [EntityId; BAG_ITEMS_MAX],
    /// What sort each is.
    pub kinds: [u16; BAG_ITEMS_MAX],
}

impl Purse {
    /// Nothing known yet.
    fn unknown() -> Self {
        Self { version: 0, gold: 0, items: [EntityId::NONE; BAG_ITEMS_MAX], kinds: [0; BAG_ITEMS_MAX] }
    }

    /// The sort of an item in the bag.
    pub fn kind_of(&self, item: EntityId) -> Option<u16> {
        self.items.iter().position(|held| *held == item && item.is_some()).map(|slot| self.kinds[slot])
    }
}

/// Told whenever it changes.
#[event]
pub struct Holdings {
    /// Rises with each change of what it has.
    pub version: u64,
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

/// Told to who wanted to pay.
#[event]
pub struct Paid {
    /// Whom.
    pub to: EntityId,
    /// How much.
    pub gold: u64,
    /// 1: it is done. 0: too far away, or not enough gold.
    pub done: u64,
}

/// Told to who was paid.
#[event]
pub struct WasPaid {
    /// By whom.
    pub from: EntityId,
    /// How much.
    pub gold: u64,
}

/// Gold was given to someone.
#[effect]
pub struct Given {
    /// How much.
    pub gold: u64,
}

/// What someone has was changed at another shard's request.
#[effect]
pub struct PurseChanged {
    /// Of the account, since then.
    pub version: u64,
}

/// Farthest hand-to-hand distance in metres.
pub const ARM_M: f32 = 4.0;

/// Reads answers in Input, so that every later system sees what is true.
pub fn plugin(game: &mut Game) {
    game.component::<Purse>();
    game.event::<Holdings>().event::<Paid>().event::<WasPaid>();
    game.effect::<Given>().effect::<PurseChanged>();
    game.input::<Pay>();
    game.system(Phase::Input, (carry_purse, look_into_purse, look_again, receipt, thank, spread).chain());
    game.system(Phase::Act, pay);
}

/// Who comes into the world has a purse; the shard's look at the ledger fills it.
fn carry_purse(newcomers: Query<Entity, (With<Player>, Without<Purse>)>, mut commands: Commands) {
    for entity in &newcomers {
        commands.entity(entity).insert(Purse::unknown());
    }
}

pub(crate) fn look_into_purse(
    settled: Settled,
    locate: Locate,
    mut purses: Query<&mut Purse>,
    mut ledger: Ledger,
    mut events: Events,
) {
    for holdings in settled.holdings() {
        let purse = locate.entity(holdings.agent).and_then(|entity| purses.get_mut(entity).ok());
        let Some(mut purse) = purse.filter(|purse| holdings.version >= purse.version) else { continue };
        let mut now = Purse { version: holdings.version, ..Purse::unknown() };
        now.gold = holdings.balances.iter().find(|b| b.currency == Currency::GOLD).map_or(0, |b| b.amount);
        for (slot, item) in holdings.items.iter().take(BAG_ITEMS_MAX).enumerate() {
            (now.items[slot], now.kinds[slot]) = (item.item, item.kind.0);
        }
        // An account that nothing ever happened to: a new player's.
        if now.version == 0 {
            ledger.ask(holdings.agent, Transaction::Endow { to: holdings.agent, currency: Currency::GOLD, amount: FIRST_GOLD });
        }
        let count = holdings.items.len() as u64;
        events
            .tell(holdings.agent, &Holdings { version: now.version, gold: now.gold, count, items: now.items, kinds: now.kinds });
        purse.set_if_neq(now);
    }
}

fn pay(
    inputs: Inputs<Pay>,
    nearby: Nearby,
    people: Sight<Player>,
    positions: Query<&Position>,
    mut ledger: Ledger,
    mut events: Events,
) {
    for wish in inputs.iter() {
        let Ok(position) = positions.get(wish.entity) else { continue };
        let Pay { to, gold } = wish.value;
        let near = to != wish.from && nearby.within(*position, ARM_M).any(|near| near.id == to);
        if near && gold > 0 && people.get(to).is_some() {
            ledger.ask(wish.from, Transaction::Pay { from: wish.from, to, currency: Currency::GOLD, amount: gold });
        } else {
            events.tell(wish.from, &Paid { to, gold, done: 0 });
        }
    }
}

/// The payer learns what came of it, the other one that it was paid, wherever it is.
fn receipt(settled: Settled, mut effects: Effects, mut events: Events) {
    for settlement in settled.iter() {
        let Transaction::Pay { from, to, amount, .. } = settlement.asked else { continue };
        let done = matches!(settlement.result, LedgerResult::Done(_));
        events.tell(from, &Paid { to, gold: amount, done: done.into() });
        if done {
            effects.send(from, to, &Given { gold: amount });
        }
    }
}

fn thank(gifts: Received<Given>, mut events: Events) {
    for gift in gifts.iter() {
        events.tell(gift.to, &WasPaid { from: gift.from, gold: gift.value.gold });
    }
}

/// The answer to a change of value tells what everybody concerned has now, but only the shard that asked. Those who are elsewhere
/// hear that their purse is old, and their shard looks for itself.
fn spread(settled: Settled, locate: Locate, mut effects: Effects) {
    for holdings in settled.holdings() {
        if locate.entity(holdings.agent).is_none() {
            effects.send(holdings.agent, holdings.agent, &PurseChanged { version: holdings.version });
        }
    }
}

fn look_again(changes: Received<PurseChanged>, purses: Query<&Purse>, mut ledger: Ledger) {
    for change in changes.iter() {
        if purses.get(change.entity).is_ok_and(|purse| purse.version < change.value.version) {
            ledger.ask(change.to, Transaction::Look { agent: change.to });
        }
    }
}
