//! Attacks: the target may stand on the other side of a border, so a hit is an effect, and the reward comes back as one.

use pangaea_scene::prelude::*;

use crate::health::{DOWN_S, Down, Health};

/// Reach in metres.
pub const REACH_M: f32 = 6.0;

/// How hard it is to live.
#[tunable]
pub struct Fighting {
    /// Seconds between two attacks.
    #[tune(0.6, 0.1..=10.0)]
    pub cooldown_s: f32,
    /// Points that a hit costs at least.
    #[tune(8, 0..=1_000)]
    pub damage: u16,
    /// How much more it may cost.
    #[tune(8, 1..=1_000)]
    pub damage_spread: u16,
    /// Gold for a creature laid down.
    #[tune(5, 0..=1_000)]
    pub bounty_gold: u32,
}

/// Hit someone near.
#[input]
pub struct Attack {
    /// Whom.
    pub target: EntityId,
}

/// When it may attack again.
#[component]
pub struct Cooldown {
    /// From this tick.
    pub until: u64,
}

/// A blow that lands.
#[effect]
pub struct Hit {
    /// Points lost.
    pub damage: u16,
}

/// The blow laid the victim down.
#[effect]
pub struct Felled {
    /// Gold for it.
    pub bounty: u64,
}

/// Told to who was hit.
#[event]
pub struct Hurt {
    /// By whom.
    pub from: EntityId,
    /// Points lost.
    pub damage: u16,
    /// Points left.
    pub left: u16,
    /// None.
    pub pad: u32,
}

/// Told to who hit.
#[event]
pub struct Won {
    /// Whom it laid down.
    pub over: EntityId,
    /// Gold for it.
    pub bounty: u64,
}

/// Strike in Act, suffer in React.
pub fn plugin(game: &mut Game) {
    game.input::<Attack>();
    game.effect::<Hit>().effect::<Felled>();
    game.event::<Hurt>().event::<Won>();
    game.component::<Cooldown>();
    game.tunable::<Fighting>();
    game.birth(|agent| {
        agent.insert(Cooldown { until: 0 });
    });
    game.system(Phase::Act, strike);
    game.system(Phase::React, (suffer, reward).chain());
}

#[allow(clippy::too_many_arguments, reason = "a system's parameters say what it touches")]
pub(crate) fn strike(
    inputs: Inputs<Attack>,
    clock: Clock,
    chance: Chance,
    nearby: Nearby,
    health: Sight<Health>,
    tuned: Tunable<Fighting>,
    attackers: Query<(&Position, Option<&Cooldown>)>,
    mut effects: Effects,
    mut commands: Commands,
) {
    for attack in inputs.iter() {
        let Ok((position, cooldown)) = attackers.get(attack.entity) else { continue };
        let able = health.get(attack.from).is_some_and(Health::is_up);
        let ready = cooldown.is_none_or(|cooldown| clock.tick().0 >= cooldown.until);
        let target = attack.value.target;
        let near = target != attack.from && nearby.within(*position, REACH_M).any(|near| near.id == target);
        if able && ready && near && health.get(target).is_some_and(Health::is_up) {
            let damage = tuned.damage + chance.of(attack.from).u16(..tuned.damage_spread);
            effects.send(attack.from, target, &Hit { damage });
            commands.entity(attack.entity).insert(Cooldown { until: clock.tick().0 + clock.ticks(tuned.cooldown_s) });
        }
    }
}

pub(crate) fn suffer(
    hits: Received<Hit>,
    clock: Clock,
    tuned: Tunable<Fighting>,
    mut victims: Query<(&mut Health, Has<Player>)>,
    mut effects: Effects,
    mut events: Events,
    mut commands: Commands,
) {
    for hit in hits.iter() {
        let Ok((mut health, is_player)) = victims.get_mut(hit.entity) else { continue };
        if !health.is_up() {
            continue;
        }
        let damage = hit.value.damage.min(health.now);
        health.now -= damage;
        events.tell(hit.to, &Hurt { from: hit.from, damage, left: health.now, pad: 0 });
        if !health.is_up() {
            commands.entity(hit.entity).insert(Down { until: clock.tick().0 + clock.ticks(DOWN_S) });
            let bounty = if is_player { 0 } else { u64::from(tuned.bounty_gold) };
            effects.send(hit.to, hit.from, &Felled { bounty });
        }
    }
}

fn reward(felled: Received<Felled>, mut ledger: Ledger, mut events: Events) {
    for news in felled.iter() {
        events.tell(news.to, &Won { over: news.from, bounty: news.value.bounty });
        if news.value.bounty > 0 {
            let mint = Transaction::Mint { to: news.to, currency: Currency::GOLD, amount: news.value.bounty };
            ledger.ask(news.to, mint);
        }
    }
}
