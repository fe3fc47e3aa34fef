//! Trades: one offers, the other accepts, the ledger does it in one transaction or not at all.
//!
//! Both must stand in one shard when the offer is accepted, because each side's shard vouches for its own agent.

use pangaea_scene::prelude::*;

use crate::holdings::ARM_M;

/// Seconds an offer stands.
const OFFER_S: f32 = 30.0;

/// Offer something for something.
#[input]
pub struct TradeOffer {
    /// To whom.
    pub to: EntityId,
    /// Gold given.
    pub give_gold: u64,
    /// Item given, or none.
    pub give_item: EntityId,
    /// Gold wanted.
    pub want_gold: u64,
    /// Item wanted, or none.
    pub want_item: EntityId,
}

/// Accept the offer on the table.
#[input]
pub struct TradeAccept {
    /// Whose offer.
    pub from: EntityId,
}

/// An offer arrives.
#[effect]
pub struct Offered {
    /// Gold given.
    pub give_gold: u64,
    /// Item given, or none.
    pub give_item: EntityId,
    /// Gold wanted.
    pub want_gold: u64,
    /// Item wanted, or none.
    pub want_item: EntityId,
}

/// The offer on the table of who may accept it.
#[component]
pub struct Bargain {
    /// Who offers.
    pub from: EntityId,
    /// Gold given.
    pub give_gold: u64,
    /// Item given, or none.
    pub give_item: EntityId,
    /// Gold wanted.
    pub want_gold: u64,
    /// Item wanted, or none.
    pub want_item: EntityId,
    /// It stands until this tick.
    pub until: u64,
    /// What the ledger was asked, once accepted.
    pub ticket: LedgerTicket,
}

/// Told to who may accept.
#[event]
pub struct TradeOffered {
    /// Who offers.
    pub from: EntityId,
    /// Gold given.
    pub give_gold: u64,
    /// Item given, or none.
    pub give_item: EntityId,
    /// Gold wanted.
    pub want_gold: u64,
    /// Item wanted, or none.
    pub want_item: EntityId,
}

/// Told to both when it is decided.
#[event]
pub struct TradeEnded {
    /// The other one.
    pub with: EntityId,
    /// One of the constants below.
    pub outcome: u64,
}

impl TradeEnded {
    /// It is done.
    pub const DONE: u64 = 0;
    /// Somebody does not have what was promised.
    pub const REFUSED: u64 = 1;
    /// Too far apart, or on two sides of a border.
    pub const TOO_FAR: u64 = 2;
}

/// Offers in Act, the ledger's answers in Input.
pub fn plugin(game: &mut Game) {
    game.input::<TradeOffer>().input::<TradeAccept>();
    game.effect::<Offered>();
    game.event::<TradeOffered>().event::<TradeEnded>();
    game.component::<Bargain>();
    game.system(Phase::Input, shake_hands);
    game.system(Phase::Act, (offer, hear_offer, accept).chain().after(crate::items::lay_down));
}

fn offer(inputs: Inputs<TradeOffer>, nearby: Nearby, positions: Query<&Position>, mut effects: Effects) {
    for wish in inputs.iter() {
        let Ok(position) = positions.get(wish.entity) else { continue };
        let TradeOffer { to, give_gold, give_item, want_gold, want_item } = wish.value;
        if to != wish.from && nearby.within(*position, ARM_M).any(|near| near.id == to) {
            effects.send(wish.from, to, &Offered { give_gold, give_item, want_gold, want_item });
        }
    }
}

fn hear_offer(
    offers: Received<Offered>,
    clock: Clock,
    players: Query<Option<&Bargain>, With<Player>>,
    mut events: Events,
    mut commands: Commands,
) {
    for heard in offers.iter() {
        let Ok(table) = players.get(heard.entity) else { continue };
        if table.is_some_and(|bargain| bargain.ticket.is_some()) {
            continue;
        }
        let Offered { give_gold, give_item, want_gold, want_item } = heard.value;
        let until = clock.tick().0 + clock.ticks(OFFER_S);
        let (from, ticket) = (heard.from, LedgerTicket::NONE);
        commands.entity(heard.entity).insert(Bargain { from, give_gold, give_item, want_gold, want_item, until, ticket });
        events.tell(heard.to, &TradeOffered { from, give_gold, give_item, want_gold, want_item });
    }
}

pub(crate) fn accept(
    inputs: Inputs<TradeAccept>,
    clock: Clock,
    locate: Locate,
    positions: Query<&Position>,
    mut bargains: Query<&mut Bargain>,
    mut ledger: Ledger,
    mut events: Events,
) {
    for wish in inputs.iter() {
        let Ok(mut bargain) = bargains.get_mut(wish.entity) else { continue };
        let stands = bargain.from == wish.value.from && clock.tick().0 < bargain.until && !bargain.ticket.is_some();
        if !stands {
            continue;
        }
        let here = positions.get(wish.entity).ok();
        let there = locate.entity(bargain.from).and_then(|entity| positions.get(entity).ok());
        let near = here.zip(there).is_some_and(|(here, there)| here.distance(*there) <= ARM_M);
        if !near {
            events.tell(wish.from, &TradeEnded { with: bargain.from, outcome: TradeEnded::TOO_FAR });
            continue;
        }
        let a = side(bargain.from, bargain.give_gold, bargain.give_item);
        let b = side(wish.from, bargain.want_gold, bargain.want_item);
        bargain.ticket = ledger.ask(&[bargain.from, wish.from], Transaction::Trade { a, b });
    }
}

fn side(agent: EntityId, gold: u64, item: EntityId) -> TradeSide {
    let items = if item.is_some() { vec![item] } else { Vec::new() };
    TradeSide { agent, gold, items, ..TradeSide::default() }
}

fn shake_hands(settled: Settled, bargains: Query<(Entity, &Identity, &Bargain)>, mut events: Events, mut commands: Commands) {
    for (entity, identity, bargain) in &bargains {
        let Some(result) = settled.get(bargain.ticket) else { continue };
        let done = matches!(result, LedgerResult::Done(_));
        let outcome = if done { TradeEnded::DONE } else { TradeEnded::REFUSED };
        events.tell(identity.id(), &TradeEnded { with: bargain.from, outcome });
        events.tell(bargain.from, &TradeEnded { with: identity.id(), outcome });
        commands.entity(entity).remove::<Bargain>();
    }
}
