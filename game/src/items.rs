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

/// Not an item before the ledger has said so.
#[component]
pub struct Sprout {
    /// What the ledger was asked.
    pub ticket: LedgerTicket,
}

/// Waits for the ledger to say whether an item changed hands. One at a time.
#[component]
pub struct Reaching {
    /// What the ledger was asked.
    pub ticket: LedgerTicket,
    /// Which item.
    pub item: EntityId,
    /// Where it will lie.
    pub x: f32,
    /// Where it will lie.
    pub z: f32,
    /// Its sort.
    pub kind: u16,
    /// 1: picked up, 2: laid down.
    pub act: u16,
    /// None.
    pub pad: u32,
}

const PICKED_UP: u16 = 1;
const LAID_DOWN: u16 = 2;

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

/// Answers of the ledger in Input, wishes in Act.
pub fn plugin(game: &mut Game) {
    game.component::<Item>().replicated().ghosted();
    game.component::<Bush>().persistent();
    game.component::<Sprout>();
    game.component::<Reaching>();
    game.input::<PickUp>().input::<Drop>();
    game.effect::<Taken>();
    game.system(Phase::Input, (lay_out, ripen, change_hands).chain());
    game.system(Phase::Act, (grow, pick_up, lay_down).chain().after(crate::combat::strike));
    game.system(Phase::React, vanish);
}

/// A shard that starts asks the ledger what lies on its ground.
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
    mut spawn: Spawn,
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
        let ticket = ledger.ask(&[], Transaction::Create { item, kind: BERRY, owner });
        spawn.with_id(item, place, Sprout { ticket });
    }
}

fn ripen(settled: Settled, sprouts: Query<(Entity, &Identity, &Sprout)>, mut spawn: Spawn, mut commands: Commands) {
    for (entity, identity, sprout) in &sprouts {
        match settled.get(sprout.ticket) {
            Some(LedgerResult::Done(_)) => {
                commands.entity(entity).remove::<Sprout>().insert(Item { kind: BERRY.0 });
            }
            Some(_) => {
                spawn.despawn(identity.id());
            }
            None => {}
        }
    }
}

type Reacher<'w> = (&'w Position, &'w Health, Option<&'w Reaching>);

fn pick_up(
    inputs: Inputs<PickUp>,
    nearby: Nearby,
    items: Sight<Item>,
    agents: Query<Reacher>,
    mut ledger: Ledger,
    mut commands: Commands,
) {
    for wish in inputs.iter() {
        let Ok((position, health, None)) = agents.get(wish.entity) else { continue };
        let item = wish.value.item;
        let near = nearby.within(*position, ARM_M).any(|near| near.id == item);
        let Some(kind) = items.get(item).filter(|_| near && health.is_up()).map(|item| item.kind) else { continue };
        // The ledger knows where it lies; the position in a move from the ground does not matter.
        let from = Owner::Ground { space: SpaceId::default(), position: (*position).into() };
        let ticket = ledger.ask(&[wish.from], Transaction::Move { item, from, to: Owner::Agent(wish.from) });
        let Position { x, z } = *position;
        commands.entity(wish.entity).insert(Reaching { ticket, item, x, z, kind, act: PICKED_UP, pad: 0 });
    }
}

pub(crate) fn lay_down(
    inputs: Inputs<Drop>,
    clock: Clock,
    agents: Query<(&Position, &Purse), Without<Reaching>>,
    mut ledger: Ledger,
    mut commands: Commands,
) {
    for wish in inputs.iter() {
        let Ok((position, purse)) = agents.get(wish.entity) else { continue };
        let item = wish.value.item;
        let Some(kind) = purse.kind_of(item) else { continue };
        let place = clock.inside_shard(*position);
        let to = Owner::Ground { space: clock.space(), position: place.into() };
        let ticket = ledger.ask(&[wish.from], Transaction::Move { item, from: Owner::Agent(wish.from), to });
        let Position { x, z } = place;
        commands.entity(wish.entity).insert(Reaching { ticket, item, x, z, kind, act: LAID_DOWN, pad: 0 });
    }
}

fn change_hands(
    settled: Settled,
    reaching: Query<(Entity, &Identity, &Reaching)>,
    mut spawn: Spawn,
    mut effects: Effects,
    mut commands: Commands,
) {
    for (entity, identity, reach) in &reaching {
        let Some(result) = settled.get(reach.ticket) else { continue };
        commands.entity(entity).remove::<Reaching>();
        match (result, reach.act) {
            // Refused as not lying there: what we saw was an old picture of it.
            (LedgerResult::Done(_) | LedgerResult::Refused(LedgerRefusal::NotOwner), PICKED_UP) => {
                effects.send(identity.id(), reach.item, &Taken {});
            }
            (LedgerResult::Done(_), _) => {
                spawn.with_id(reach.item, Position::new(reach.x, reach.z), Item { kind: reach.kind });
            }
            (_, _) => {}
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
