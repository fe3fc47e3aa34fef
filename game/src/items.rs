//! Items: grown by bushes, picked up, dropped. They belong to the ledger; what lies on the ground is a view of it that each shard
//! makes when it starts and after each change, and that may be thrown away at any time. A view stays in the shard in which it
//! lies.

use pangaea_scene::prelude::*;

use crate::health::Health;
use crate::holdings::{ARM_M, Purse};

/// Seconds between two fruits of a bush.
const GROW_S: f32 = 45.0;
/// Items near a bush above which it bears no more.
const FRUITS_MAX: usize = 3;
/// How far its fruits fall, in metres.
const FALL_M: f32 = 4.0;

/// A berry.
pub const BERRY: ItemKind = ItemKind(1);

/// An item on the ground.
#[component]
pub struct Item {
    /// What sort.
    pub kind: u16,
}

/// Bears fruit.
#[component]
pub struct Bush {
    /// The next fruit comes at this tick.
    pub next: u64,
}

impl Bush {
    /// The first fruit comes at once.
    pub fn ripe() -> Self {
        Self { next: 0 }
    }
}

/// Take something off the ground.
#[input]
pub struct PickUp {
    /// Which.
    pub item: EntityId,
}

/// Lay something down.
#[input]
pub struct Drop {
    /// Which.
    pub item: EntityId,
}

/// An item was taken, by someone who may stand beyond the border.
#[effect]
pub struct Taken {}

/// Told to who could not pick up or lay down what it wanted.
#[event]
pub struct Missed {
    /// Which item.
    pub item: EntityId,
}

/// Answers of the ledger in Input, wishes in Act.
pub fn plugin(game: &mut Game) {
    game.component::<Item>().replicated().ghosted();
    game.component::<Bush>().persistent();
    game.input::<PickUp>().input::<Drop>();
    game.effect::<Taken>();
    game.event::<Missed>();
    // What someone has laid down is still in its purse then.
    game.system(Phase::Input, (lay_out, ripen, change_hands).chain().before(crate::holdings::look_into_purse));
    game.system(Phase::Act, (grow, pick_up, lay_down).chain().after(crate::combat::strike));
    game.system(Phase::React, vanish);
}

/// What the ledger says lies on the ground: a shard that starts asks.
fn lay_out(settled: Settled, mut spawn: Spawn) {
    for item in settled.ground() {
        if let Owner::Ground { position, .. } = item.owner {
            spawn.with_id(item.item, position.into(), Item { kind: item.kind.0 });
        }
    }
}

fn grow(
    clock: Clock,
    chance: Chance,
    nearby: Nearby,
    items: Sight<Item>,
    mut bushes: Query<(&Identity, &Position, &mut Bush)>,
    spawn: Spawn,
    mut ledger: Ledger,
) {
    for (identity, position, mut bush) in &mut bushes {
        if clock.tick().0 < bush.next {
            continue;
        }
        let mut dice = chance.of(identity.id());
        bush.next = clock.tick().0 + clock.ticks(GROW_S * (0.5 + dice.f32()));
        if nearby.within(*position, FALL_M * 1.5).filter(|near| items.get(near.id).is_some()).count() >= FRUITS_MAX {
            continue;
        }
        let fall = Velocity::new((dice.f32() - 0.5) * 2.0 * FALL_M, (dice.f32() - 0.5) * 2.0 * FALL_M);
        let place = clock.inside_shard(*position + fall);
        let Some(item) = spawn.fresh_id() else { continue };
        let owner = Owner::Ground { space: clock.space(), position: place.into() };
        ledger.ask_for_nobody(Transaction::Create { item, kind: BERRY, owner });
    }
}

/// A fruit is there when the ledger has it.
fn ripen(settled: Settled, mut spawn: Spawn) {
    for settlement in settled.iter() {
        if let (Transaction::Create { item, kind, owner: Owner::Ground { position, .. } }, LedgerResult::Done(_)) =
            (&settlement.asked, &settlement.result)
        {
            spawn.with_id(*item, (*position).into(), Item { kind: kind.0 });
        }
    }
}

fn pick_up(
    inputs: Inputs<PickUp>,
    nearby: Nearby,
    items: Sight<Item>,
    agents: Query<(&Position, &Health)>,
    mut ledger: Ledger,
    mut events: Events,
) {
    for wish in inputs.iter() {
        let Ok((position, health)) = agents.get(wish.entity) else { continue };
        let item = wish.value.item;
        let near = nearby.within(*position, ARM_M).any(|near| near.id == item);
        if near && health.is_up() && items.get(item).is_some() {
            // The ledger knows where it lies; the position in a move from the ground does not matter.
            let from = Owner::Ground { space: SpaceId::default(), position: (*position).into() };
            ledger.ask(wish.from, Transaction::Move { item, from, to: Owner::Agent(wish.from) });
        } else {
            events.tell(wish.from, &Missed { item });
        }
    }
}

pub(crate) fn lay_down(
    inputs: Inputs<Drop>,
    clock: Clock,
    agents: Query<(&Position, &Purse)>,
    mut ledger: Ledger,
    mut events: Events,
) {
    for wish in inputs.iter() {
        let Ok((position, purse)) = agents.get(wish.entity) else { continue };
        let item = wish.value.item;
        if purse.kind_of(item).is_some() {
            // Who hangs over a border lays it down on this side, where its picture can be drawn.
            let to = Owner::Ground { space: clock.space(), position: clock.inside_shard(*position).into() };
            ledger.ask(wish.from, Transaction::Move { item, from: Owner::Agent(wish.from), to });
        } else {
            events.tell(wish.from, &Missed { item });
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "a system's parameters say what it touches")]
fn change_hands(
    settled: Settled,
    clock: Clock,
    locate: Locate,
    purses: Query<&Purse>,
    mut spawn: Spawn,
    mut ledger: Ledger,
    mut effects: Effects,
    mut events: Events,
) {
    for settlement in settled.iter() {
        let Transaction::Move { item, from, to } = settlement.asked else { continue };
        let done = matches!(settlement.result, LedgerResult::Done(_));
        let gone = settlement.result == LedgerResult::Refused(LedgerRefusal::NotOwner);
        match (from, to) {
            // Refused as not lying there: what was seen was an old picture of it.
            (Owner::Ground { .. }, Owner::Agent(agent)) if done || gone => effects.send(agent, item, &Taken {}),
            (Owner::Agent(agent), Owner::Ground { position, .. }) if done => {
                let purse = locate.entity(agent).and_then(|entity| purses.get(entity).ok());
                match purse.and_then(|purse| purse.kind_of(item)) {
                    Some(kind) => drop(spawn.with_id(item, position.into(), Item { kind })),
                    // Asked before a crash, which emptied the purses.
                    None => ledger.ask_for_nobody(Transaction::LookGround { shard: clock.shard() }),
                }
            }
            _ => {}
        }
        if let Some(agent) = settlement.by.filter(|_| !done) {
            events.tell(agent, &Missed { item });
        }
    }
}

fn vanish(taken: Received<Taken>, items: Query<&Item>, mut spawn: Spawn) {
    for news in taken.iter() {
        if items.contains(news.entity) {
            spawn.despawn(news.to);
        }
    }
}
