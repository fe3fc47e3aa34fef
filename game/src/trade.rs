//! Trades: one offers, the other accepts, the ledger does it in one transaction or not at all. The two may stand on two sides of
//! a border: each one's shard asks the ledger in its own agent's name only, and tells the other one by an effect what came of it.
//!
//! An offer is a proposal that its maker has confirmed; accepting confirms it, too. A confirmation does not survive a hand-over:
//! when the ledger says that one is missing, the shard that has its agent now gives it again. Who hears nothing for too long
//! calls it off, and learns from the ledger what became of it.

use pangaea_scene::prelude::*;

use crate::holdings::ARM_M;

/// Seconds an offer stands.
const OFFER_S: f32 = 30.0;
/// Seconds after which whoever has heard nothing calls it off; later than the ledger does.
const PATIENCE_S: f32 = OFFER_S + 2.0;
/// Seconds after which whoever has heard nothing asks again.
const ASK_AGAIN_S: f32 = 5.0;

/// Offer something for something. One trade at a time; another offer to the same one replaces the terms.
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

/// Call it off, whoever offered.
#[input]
pub struct TradeCancel {
    /// The other one.
    pub with: EntityId,
}

/// What the ledger says of a trade, told to the other side.
#[effect]
pub struct TradeNews {
    /// Which trade.
    pub trade: EntityId,
    /// Of the terms.
    pub version: u64,
    /// [`TradeNews::OPEN`], or an outcome of [`TradeEnded`].
    pub state: u64,
    /// 1: the ledger has the hearer's confirmation of these terms.
    pub agreed: u64,
    /// Gold that the hearer gets.
    pub give_gold: u64,
    /// Item that the hearer gets, or none.
    pub give_item: EntityId,
    /// Gold that the hearer gives.
    pub want_gold: u64,
    /// Item that the hearer gives, or none.
    pub want_item: EntityId,
}

impl TradeNews {
    /// Terms are on the table.
    pub const OPEN: u64 = u64::MAX;
}

/// The trade that an agent takes part in. It outlives a crash, so that its player always hears the end.
#[component]
pub struct Bargain {
    /// The other one.
    pub with: EntityId,
    /// Which trade.
    pub trade: EntityId,
    /// The terms last heard of.
    pub version: u64,
    /// 1: its player says yes to them.
    pub agreed: u64,
    /// Then it is called off.
    pub until: u64,
    /// 1: it began with an offer of this side, so the ledger knows this side as the first.
    pub mine_is_a: u64,
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
    /// Too far apart.
    pub const TOO_FAR: u64 = 2;
    /// One of the two called it off, or has another trade.
    pub const CALLED_OFF: u64 = 3;
    /// Nobody said yes in time.
    pub const TIMED_OUT: u64 = 4;

    fn why(reason: LedgerRefusal) -> u64 {
        match reason {
            LedgerRefusal::CalledOff => Self::CALLED_OFF,
            LedgerRefusal::TimedOut => Self::TIMED_OUT,
            LedgerRefusal::Stale
            | LedgerRefusal::Funds
            | LedgerRefusal::NotOwner
            | LedgerRefusal::Exists
            | LedgerRefusal::Form
            | LedgerRefusal::Unknown
            | LedgerRefusal::Busy => Self::REFUSED,
        }
    }
}

/// The ledger's answers in Input, wishes in Act.
pub fn plugin(game: &mut Game) {
    game.input::<TradeOffer>().input::<TradeAccept>().input::<TradeCancel>();
    game.effect::<TradeNews>();
    game.event::<TradeOffered>().event::<TradeEnded>();
    game.component::<Bargain>().persistent();
    game.system(Phase::Input, hear_ledger);
    game.system(Phase::Act, (hear_news, offer, accept, call_off, lose_patience).chain().after(crate::items::lay_down));
}

/// Tells the asker's player how it ended, and the other side what the ledger said.
fn hear_ledger(
    settled: Settled,
    locate: Locate,
    mut bargains: Query<&mut Bargain>,
    mut effects: Effects,
    mut events: Events,
    mut commands: Commands,
) {
    for settlement in settled.iter() {
        let Transaction::Trade { trade, by, .. } = settlement.asked else { continue };
        let Some(entity) = locate.entity(by) else { continue };
        let mut mine = bargains.get_mut(entity).ok().filter(|bargain| bargain.trade == trade);
        let (with, outcome) = match &settlement.result {
            LedgerResult::Traded { trade, .. } => {
                if let Some(mine) = &mut mine {
                    follow(mine, trade, by);
                }
                let (with, news) = news_of(trade, by);
                effects.send(by, with, &news);
                (with, news.state)
            }
            LedgerResult::Refused(reason) => {
                (mine.as_ref().map_or(EntityId::NONE, |bargain| bargain.with), TradeEnded::why(*reason))
            }
            LedgerResult::Done(_) | LedgerResult::Ground(_) | LedgerResult::Unavailable(_) => continue,
        };
        if outcome != TradeNews::OPEN {
            events.tell(by, &TradeEnded { with, outcome });
            if mine.is_some() {
                commands.entity(entity).remove::<Bargain>();
            }
        }
    }
}

/// Who has confirmed the terms in force has agreed to them. Terms that others put in their place are agreed to by nobody here;
/// what they are, the other side tells.
fn follow(mine: &mut Bargain, trade: &Trade, by: EntityId) {
    let TradeState::Open { a, b } = trade.state else { return };
    let version = u64::from(trade.version);
    if (if trade.a.agent == by { a } else { b }).0 != 0 {
        (mine.version, mine.agreed) = (version, 1);
    } else if mine.version != version {
        mine.agreed = 0;
    }
}

/// The other side of a trade, and what it must hear.
fn news_of(trade: &Trade, by: EntityId) -> (EntityId, TradeNews) {
    let (mine, other) = if trade.a.agent == by { (&trade.a, &trade.b) } else { (&trade.b, &trade.a) };
    let (state, agreed) = match trade.state {
        TradeState::Open { a, b } => (TradeNews::OPEN, if trade.a.agent == by { b } else { a }.0 != 0),
        TradeState::Done => (TradeEnded::DONE, false),
        TradeState::Cancelled { reason } => (TradeEnded::why(reason), false),
    };
    let item = |side: &TradeSide| side.items.first().copied().unwrap_or(EntityId::NONE);
    let news = TradeNews {
        trade: trade.trade,
        version: trade.version.into(),
        state,
        agreed: agreed.into(),
        give_gold: mine.gold,
        give_item: item(mine),
        want_gold: other.gold,
        want_item: item(other),
    };
    (other.agent, news)
}

type Trader<'w> = (Entity, Option<&'w Bargain>);

fn hear_news(
    heard: Received<TradeNews>,
    clock: Clock,
    mut players: Query<(Entity, Option<&mut Bargain>), With<Player>>,
    mut ledger: Ledger,
    mut events: Events,
    mut commands: Commands,
) {
    for news in heard.iter() {
        let Ok((entity, bargain)) = players.get_mut(news.entity) else { continue };
        let TradeNews { trade, version, state, agreed, give_gold, give_item, want_gold, want_item } = news.value;
        match bargain {
            Some(mine) if mine.trade == trade && state != TradeNews::OPEN => {
                events.tell(news.to, &TradeEnded { with: mine.with, outcome: state });
                commands.entity(entity).remove::<Bargain>();
            }
            // The yes of an earlier owner counts no more.
            Some(mine) if mine.trade == trade && mine.version == version => {
                if mine.agreed == 1 && agreed == 0 {
                    ledger.ask(news.to, step(trade, news.to, TradeStep::Confirm { version: version as u32 }));
                }
            }
            Some(mut mine) if mine.trade == trade && mine.version < version => {
                (mine.version, mine.agreed) = (version, 0);
                events.tell(news.to, &TradeOffered { from: news.from, give_gold, give_item, want_gold, want_item });
            }
            Some(mine) if mine.trade == trade => {}
            Some(_) if state == TradeNews::OPEN => ledger.ask(news.to, step(trade, news.to, TradeStep::Cancel)),
            // Terms that its player has agreed to and no longer knows of.
            None if state == TradeNews::OPEN && agreed == 1 => ledger.ask(news.to, step(trade, news.to, TradeStep::Cancel)),
            None if state == TradeNews::OPEN => {
                let until = clock.tick().0 + clock.ticks(PATIENCE_S);
                commands.entity(entity).insert(Bargain { with: news.from, trade, version, agreed: 0, until, mine_is_a: 0 });
                events.tell(news.to, &TradeOffered { from: news.from, give_gold, give_item, want_gold, want_item });
            }
            Some(_) | None => {}
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "a system's parameters say what it touches")]
fn offer(
    inputs: Inputs<TradeOffer>,
    clock: Clock,
    nearby: Nearby,
    people: Sight<Player>,
    spawn: Spawn,
    traders: Query<(&Position, Trader)>,
    mut ledger: Ledger,
    mut events: Events,
    mut commands: Commands,
) {
    for wish in inputs.iter() {
        let Ok((position, (entity, bargain))) = traders.get(wish.entity) else { continue };
        let TradeOffer { to, give_gold, give_item, want_gold, want_item } = wish.value;
        let (a, b) = (side(wish.from, give_gold, give_item), side(to, want_gold, want_item));
        let near = to != wish.from && nearby.within(*position, ARM_M).any(|near| near.id == to);
        let mut refuse = |outcome| events.tell(wish.from, &TradeEnded { with: to, outcome });
        match bargain {
            _ if !near || people.get(to).is_none() => refuse(TradeEnded::TOO_FAR),
            Some(mine) if mine.with == to => {
                let (a, b) = if mine.mine_is_a == 1 { (a, b) } else { (b, a) };
                let change = TradeStep::Change { version: mine.version as u32, a, b };
                ledger.ask(wish.from, step(mine.trade, wish.from, change));
            }
            Some(_) => refuse(TradeEnded::REFUSED),
            None => {
                let Some(trade) = spawn.fresh_id() else { return refuse(TradeEnded::REFUSED) };
                let propose = TradeStep::Propose { a, b, patience_ms: (OFFER_S * 1_000.0) as u32 };
                ledger.ask(wish.from, step(trade, wish.from, propose));
                let until = clock.tick().0 + clock.ticks(PATIENCE_S);
                commands.entity(entity).insert(Bargain { with: to, trade, version: 1, agreed: 1, until, mine_is_a: 1 });
            }
        }
    }
}

fn accept(
    inputs: Inputs<TradeAccept>,
    nearby: Nearby,
    mut traders: Query<(&Position, &mut Bargain)>,
    mut ledger: Ledger,
    mut events: Events,
) {
    for wish in inputs.iter() {
        let Ok((position, mut mine)) = traders.get_mut(wish.entity) else { continue };
        if mine.with != wish.value.from || mine.agreed == 1 {
            continue;
        }
        if nearby.within(*position, ARM_M).any(|near| near.id == mine.with) {
            mine.agreed = 1;
            let confirm = TradeStep::Confirm { version: mine.version as u32 };
            ledger.ask(wish.from, step(mine.trade, wish.from, confirm));
        } else {
            events.tell(wish.from, &TradeEnded { with: mine.with, outcome: TradeEnded::TOO_FAR });
        }
    }
}

fn call_off(inputs: Inputs<TradeCancel>, bargains: Query<&Bargain>, mut ledger: Ledger) {
    for wish in inputs.iter() {
        let mine = bargains.get(wish.entity).ok().filter(|bargain| bargain.with == wish.value.with);
        if let Some(mine) = mine {
            ledger.ask(wish.from, step(mine.trade, wish.from, TradeStep::Cancel));
        }
    }
}

pub(crate) fn lose_patience(clock: Clock, mut bargains: Query<(&Identity, &mut Bargain)>, mut ledger: Ledger) {
    for (identity, mut mine) in &mut bargains {
        if clock.tick().0 >= mine.until {
            mine.until = clock.tick().0 + clock.ticks(ASK_AGAIN_S);
            ledger.ask(identity.id(), step(mine.trade, identity.id(), TradeStep::Cancel));
        }
    }
}

fn step(trade: EntityId, by: EntityId, step: TradeStep) -> Transaction {
    Transaction::Trade { trade, by, step }
}

fn side(agent: EntityId, gold: u64, item: EntityId) -> TradeSide {
    let items = if item.is_some() { vec![item] } else { Vec::new() };
    TradeSide { agent, gold, items }
}
