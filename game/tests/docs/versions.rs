//! The recipe `Change a component of a running world` of `docs/cookbook.md`: each block stands there as it stands here.

use pangaea_scene::prelude::*;

/// How fresh somebody is.
#[component(version = 2, added(recovery = 0.05))]
pub struct Stamina {
    /// What is left, up to 1.
    pub left: f32,
    /// What comes back in a second.
    pub recovery: f32,
}

/// How far somebody has walked, as it was at first.
#[component(name = "mileage")]
pub struct MileageBefore {
    /// In metres.
    pub metres: f32,
}

/// How far somebody has walked.
#[component(version = 2, was = MileageBefore)]
pub struct Mileage {
    /// In millimetres, so that short steps count.
    pub millimetres: u64,
}

impl From<MileageBefore> for Mileage {
    fn from(before: MileageBefore) -> Self {
        Self { millimetres: (f64::from(before.metres) * 1_000.0) as u64 }
    }
}

impl From<Mileage> for MileageBefore {
    fn from(now: Mileage) -> Self {
        Self { metres: (now.millimetres as f64 / 1_000.0) as f32 }
    }
}

pub fn endow(agents: Query<Entity, (With<Player>, Without<Stamina>)>, mut commands: Commands) {
    for agent in &agents {
        commands.entity(agent).insert(Stamina { left: 1.0, recovery: 0.05 });
    }
}

pub fn stamina(game: &mut Game) {
    game.component::<Stamina>().replicated().persistent();
    game.component::<Mileage>().replicated().persistent();
    game.retired("luck");
    game.system(Phase::React, endow);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The build before.
    mod before {
        use pangaea_scene::prelude::*;

        #[component]
        pub(super) struct Stamina {
            pub(super) left: f32,
        }

        #[component]
        pub(super) struct Luck {
            wins: u32,
        }

        pub(super) fn game(game: &mut Game) {
            game.component::<Stamina>().replicated().persistent();
            game.component::<super::MileageBefore>().replicated().persistent();
            game.component::<Luck>().persistent();
        }
    }

    #[test]
    fn the_build_before_may_be_followed_by_this_one() {
        let layouts = |game: fn(&mut Game)| Game::build(game).expect("a game").layouts().clone();
        let comparison = layouts(before::game).compared_with(&layouts(stamina));
        assert!(comparison.is_possible(), "{comparison}");
        assert!(comparison.to_string().contains("component mileage becomes component mileage@2"), "{comparison}");
    }

    #[test]
    fn whoever_comes_from_before_has_what_the_recipe_says() {
        let mut old = Harness::new(before::game);
        let place = Position::new(600.0, 600.0);
        let anna = old.spawn(place, (before::Stamina { left: 0.5 }, MileageBefore { metres: 12.5 }));
        let record = old.world.record(anna).expect("it lasts");
        let mut new = Harness::new(stamina);
        new.next_input().arrivals.push(record);
        new.ticks(2);
        assert_eq!(new.get::<Stamina>(anna), Some(Stamina { left: 0.5, recovery: 0.05 }));
        assert_eq!(new.get::<Mileage>(anna), Some(Mileage { millimetres: 12_500 }));
    }

    #[test]
    fn whoever_has_none_is_given_some() {
        let mut world = Harness::new(stamina);
        let anna = world.player("Anna");
        world.ticks(2);
        assert_eq!(world.get::<Stamina>(anna).expect("given").left, 1.0);
    }
}
