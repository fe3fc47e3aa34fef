//! The recipes of `docs/cookbook.md`: each block stands there as it stands here.

use pangaea_game::health::Health;
use pangaea_scene::prelude::*;

/// It burns.
#[component]
pub struct Burning {
    /// When it hurts next.
    pub next: Timer,
    /// When the fire goes out.
    pub until: Timer,
}

pub fn burn(clock: Clock, mut burning: Query<(Entity, &mut Burning, &mut Health)>, mut commands: Commands) {
    for (entity, mut fire, mut health) in &mut burning {
        if clock.is_over(fire.until) {
            commands.entity(entity).remove::<Burning>();
        } else if clock.is_over(fire.next) {
            health.now = health.now.saturating_sub(2);
            fire.next = clock.timer(1.0);
        }
    }
}

/// A client throws a fire bomb.
#[input]
pub struct Throw {
    /// Where it lands, from where the thrower stands.
    pub to: Velocity,
}

/// Somebody is set on fire.
#[effect]
pub struct Ignite {
    /// For how long.
    pub seconds: f32,
}

pub fn throw(throws: Inputs<Throw>, at: Query<&Position>, nearby: Nearby, mut effects: Effects) {
    for throw in throws.iter() {
        let Ok(position) = at.get(throw.entity) else { continue };
        let target = *position + throw.value.to.at_most(20.0);
        for near in nearby.within(target, 3.0) {
            effects.send(throw.to, near.id, &Ignite { seconds: 5.0 });
        }
    }
}

pub fn catch_fire(ignited: Received<Ignite>, clock: Clock, mut commands: Commands) {
    for spark in ignited.iter() {
        let burning = Burning { next: clock.timer(1.0), until: clock.timer(spark.value.seconds) };
        commands.entity(spark.entity).insert(burning);
    }
}

pub fn fire(game: &mut Game) {
    game.component::<Burning>().replicated().persistent();
    game.input::<Throw>().effect::<Ignite>();
    game.system(Phase::Act, throw);
    game.system(Phase::React, (burn, catch_fire).chain().after(pangaea_game::health::heal));
}

/// How lucky somebody is.
#[component]
pub struct Luck {
    /// Wins so far.
    pub wins: u32,
}

/// The player has won something.
#[event]
pub struct Jackpot {
    /// How much.
    pub gold: u32,
}

pub fn gamble(chance: Chance, mut lucky: Query<(&Identity, &mut Luck)>, mut events: Events, mut ledger: Ledger) {
    for (identity, mut luck) in &mut lucky {
        if chance.of(identity.id()).f32() < 0.001 {
            luck.wins += 1;
            events.tell(identity.id(), &Jackpot { gold: 10 });
            ledger.ask(identity.id(), Transaction::Mint { to: identity.id(), currency: Currency::GOLD, amount: 10 });
        }
    }
}

pub fn lottery(game: &mut Game) {
    game.component::<Luck>().persistent();
    game.event::<Jackpot>();
    game.birth(|agent| {
        agent.insert(Luck { wins: 0 });
    });
    game.system(Phase::React, gamble);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(game: &mut Game) {
        game.plugin(pangaea_game::game).plugin(fire).plugin(lottery);
    }

    #[test]
    fn a_bomb_sets_those_near_on_fire_on_both_sides_of_a_border() {
        let mut world = Harness::new(game);
        let anna = world.player("Anna");
        let here = world.get::<Position>(anna).expect("here");
        let wolf = world.spawn(Position::new(here.x + 10.0, here.z), Health::full(60));
        world.input(anna, Throw { to: Velocity::new(10.0, 0.0) });
        world.ticks(2);
        assert!(world.get::<Burning>(wolf).is_some());
        world.ticks(5 * 20 + 2);
        let health = world.get::<Health>(wolf).expect("here").now;
        assert!(world.get::<Burning>(wolf).is_none() && (50..60).contains(&health), "{health}");
    }

    #[test]
    fn somebody_wins_now_and_then() {
        let mut world = Harness::new(game);
        let anna = world.player("Anna");
        let mut asked = 0;
        for _ in 0..5_000 {
            asked +=
                world.tick().ledger.iter().filter(|transfer| matches!(transfer.transaction, Transaction::Mint { .. })).count();
        }
        assert_eq!(world.events::<Jackpot>(anna).len(), asked);
        assert!(asked > 0 && asked < 30, "{asked}");
    }
}
