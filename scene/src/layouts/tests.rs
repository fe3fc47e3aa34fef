//! What is taken, what is refused, and how it is told.

use std::sync::Arc;

use super::*;
use crate::ecs::Plain;
use crate::game::Game;
use crate::prelude::*;

#[component]
struct Fuel {
    litres: f32,
}

#[component]
struct Paint {
    red: u8,
}

#[effect]
struct Refuel {
    litres: f32,
}

/// What later builds have under the same names.
mod later {
    use crate::prelude::*;

    #[component]
    pub(super) struct Fuel {
        pub(super) litres: f64,
    }

    #[effect]
    pub(super) struct Refuel {
        pub(super) litres: f64,
    }
}

mod added {
    use crate::prelude::*;

    #[component(version = 2, added(octane = 95.0))]
    pub(super) struct Fuel {
        pub(super) litres: f32,
        pub(super) octane: f32,
    }
}

mod third {
    use crate::prelude::*;

    #[component(version = 3, added(octane = 95.0), added(grade = 1))]
    pub(super) struct Fuel {
        pub(super) litres: f32,
        pub(super) octane: f32,
        pub(super) grade: u32,
    }
}

/// Of builds that have forgotten what fuel was first.
mod forgetful {
    use crate::prelude::*;

    #[component(version = 3, added(grade = 1))]
    pub(super) struct Fuel {
        pub(super) litres: f32,
        pub(super) octane: f32,
        pub(super) grade: u32,
    }
}

fn layouts(game: fn(&mut Game)) -> Arc<Layouts> {
    Arc::clone(Game::build(game).expect("a game").layouts())
}

fn compared(old: fn(&mut Game), new: fn(&mut Game)) -> Comparison {
    // As a build tells it to another one.
    let told = postcard::to_extend(&*layouts(old), Vec::new()).expect("told");
    let old: Layouts = postcard::from_bytes(&told).expect("understood");
    old.compared_with(&layouts(new))
}

fn fuel(game: &mut Game) {
    game.component::<Fuel>().replicated().persistent();
}

fn fuel_2(game: &mut Game) {
    game.component::<added::Fuel>().replicated().persistent();
}

fn fuel_3(game: &mut Game) {
    game.component::<third::Fuel>().replicated().persistent();
}

fn forgetful_fuel(game: &mut Game) {
    game.component::<forgetful::Fuel>().replicated().persistent();
}

#[test]
fn the_same_is_the_same_in_any_order() {
    assert!(compared(fuel, fuel).is_same());
    let [one, two]: [fn(&mut Game); 2] = [
        |game| {
            game.component::<Fuel>().replicated();
            game.component::<Paint>().replicated();
        },
        |game| {
            game.component::<Paint>().replicated();
            game.component::<Fuel>().replicated();
        },
    ];
    assert!(compared(one, two).is_same());
}

#[test]
fn another_layout_is_refused_line_by_line_with_its_mending() {
    let comparison = compared(fuel, |game| {
        game.component::<later::Fuel>().replicated().persistent();
    });
    assert!(!comparison.is_possible());
    let expected = [
        "component fuel is made of something else",
        "  - 4 bytes",
        "  - litres: F32 at 0",
        "  + 8 bytes",
        "  + litres: F64 at 0",
    ];
    assert_eq!(comparison.refused[..5], expected);
    assert!(comparison.refused[5].contains("#[component(version = 2, added(field = value))]"), "{comparison}");
    let comparison = compared(
        |game| {
            game.effect::<Refuel>();
        },
        |game| {
            game.effect::<later::Refuel>();
        },
    );
    assert_eq!(comparison.refused[0], "effect refuel is made of something else");
    assert!(comparison.refused.last().is_some_and(|line| line.contains("give it another name")), "{comparison}");
}

#[test]
fn what_is_new_is_told_and_taken() {
    let comparison = compared(fuel, |game| {
        game.plugin(fuel).component::<Paint>().replicated();
        game.effect::<Refuel>();
    });
    assert!(comparison.is_possible() && !comparison.is_same());
    assert!(comparison.added.iter().any(|line| line.starts_with("component paint is new: shards of the old build carry it")));
    assert!(comparison.added.iter().any(|line| line.starts_with("effect refuel is new: a shard of the old build")));
}

#[test]
fn what_is_gone_is_refused_unless_it_was_retired() {
    let comparison = compared(fuel, |_| {});
    assert_eq!(comparison.refused[0], "component fuel is gone");
    assert!(comparison.refused[1].contains("game.retired(\"fuel\")"), "{comparison}");
    let retired: fn(&mut Game) = |game| {
        game.retired("fuel");
    };
    for old in [fuel, fuel_2] {
        let comparison = compared(old, retired);
        assert!(comparison.is_possible(), "{comparison}");
        assert!(comparison.retired.iter().any(|line| line.contains("is retired: entities that have it carry it on")));
    }
    let fault = Game::build(|game| {
        game.plugin(fuel).retired("fuel");
    });
    assert!(fault.expect_err("both").to_string().contains("`fuel` is said to be retired, but it is registered"));
}

#[test]
fn a_declared_former_layout_is_a_conversion() {
    let comparison = compared(fuel, fuel_2);
    assert!(comparison.is_possible(), "{comparison}");
    assert_eq!(
        comparison.converted,
        [
            "component fuel becomes component fuel@2; both are written, so either build reads what the other writes",
            "  - 4 bytes",
            "  + 8 bytes",
            "  + octane: F32 at 4",
        ]
    );
    assert_eq!(comparison.added, Vec::<String>::new());
    assert!(compared(fuel, fuel_3).is_possible(), "two versions at once");
    assert!(compared(fuel_2, fuel_3).is_possible());
}

#[test]
fn an_older_build_may_come_back_since_it_carries_what_it_does_not_know() {
    let comparison = compared(fuel_2, fuel);
    assert!(comparison.is_possible(), "{comparison}");
    assert!(comparison.converted[0].starts_with("component fuel@2 becomes component fuel again"), "{comparison}");
}

#[test]
fn a_layout_that_records_may_still_be_in_is_not_forgotten() {
    for old in [fuel, fuel_2] {
        let comparison = compared(old, forgetful_fuel);
        assert_eq!(comparison.refused[0], "component fuel is gone");
        assert!(comparison.refused[1].contains("say that it became component fuel@3"), "{comparison}");
    }
}

#[test]
fn a_flag_may_be_won_but_not_lost() {
    let hidden: fn(&mut Game) = |game| {
        game.component::<Fuel>().persistent();
    };
    let comparison = compared(hidden, fuel);
    assert_eq!(comparison.added, ["component fuel is replicated now: in shards of the new build only"]);
    assert!(comparison.is_possible());
    let comparison = compared(fuel, hidden);
    assert_eq!(
        comparison.refused,
        ["component fuel is not replicated any more", "  keep `.replicated()` where it is registered"]
    );
    let comparison = compared(fuel, |game| {
        game.component::<added::Fuel>().replicated();
    });
    assert_eq!(comparison.refused[0], "component fuel@2 is not persistent any more, as component fuel was");
}

#[test]
fn tunables_are_told_and_never_refused() {
    #[tunable]
    struct Engine {
        /// How much it drinks.
        #[tune(1.0, 0.0..=9.0)]
        thirst: f32,
    }
    mod narrow {
        use crate::prelude::*;

        #[tunable]
        pub(super) struct Engine {
            /// How much it drinks.
            #[tune(1.0, 0.0..=2.0)]
            thirst: f32,
        }
    }
    let with: fn(&mut Game) = |game| {
        game.tunable::<Engine>();
    };
    let narrow: fn(&mut Game) = |game| {
        game.tunable::<narrow::Engine>();
    };
    assert!(compared(|_| {}, with).added[0].starts_with("tunable engine.thirst is new"));
    assert!(compared(with, |_| {}).retired[0].starts_with("tunable engine.thirst is gone"));
    let comparison = compared(with, narrow);
    assert!(comparison.is_possible());
    assert_eq!(comparison.converted.len(), 3, "{comparison}");
}

#[test]
fn it_is_told_in_parts() {
    let text = compared(fuel, |game| {
        game.plugin(fuel_2).component::<Paint>();
    })
    .to_string();
    assert!(text.starts_with("New:\n  component paint is new"), "{text}");
    assert!(text.contains("\nConverted:\n  component fuel becomes"), "{text}");
    assert!(!text.contains("Refused"), "{text}");
    let words = layouts(fuel_2).in_words();
    assert!(words.contains("component fuel@2\n  persistent, replicated\n  8 bytes"), "{words}");
    assert!(words.contains("former component fuel\n  4 bytes"), "{words}");
}

#[test]
fn builds_that_may_be_deployed_may_also_talk() {
    let dialect = |game: fn(&mut Game)| Game::build(game).expect("a game").dialect().clone();
    let games: [fn(&mut Game); 3] = [fuel, fuel_2, fuel_3];
    for one in games {
        for other in games {
            assert_eq!(dialect(one).differences(&dialect(other)), 0);
        }
    }
    let other = dialect(|game| {
        game.component::<later::Fuel>();
    });
    assert_eq!(dialect(fuel).differences(&other), 1);
    assert_eq!((Fuel::NAME, Fuel::VERSION, added::Fuel::VERSION), ("fuel", 1, 2));
}

#[test]
fn a_world_that_is_kept_loses_only_what_lasts() {
    let losses = |old: fn(&mut Game), new: fn(&mut Game)| layouts(old).losses_of(&layouts(new));
    let everything: fn(&mut Game) = |game| {
        game.component::<Fuel>().replicated().persistent();
        game.component::<Paint>().replicated();
        game.effect::<Refuel>();
    };
    let fuel_alone: fn(&mut Game) = |game| {
        game.component::<Fuel>().persistent();
    };
    assert_eq!(
        losses(everything, fuel_alone),
        Vec::<String>::new(),
        "colours and effects do not last, nor does a flag of clients"
    );
    assert_eq!(losses(fuel_alone, |_| {})[0], "component fuel is gone");
    let other: fn(&mut Game) = |game| {
        game.component::<later::Fuel>().persistent();
    };
    assert_eq!(losses(fuel_alone, other)[0], "component fuel is made of something else");
    let fleeting: fn(&mut Game) = |game| {
        game.component::<Fuel>().replicated();
    };
    assert_eq!(losses(fuel_alone, fleeting)[0], "component fuel is not persistent any more");
    for (old, new) in [(fuel as fn(&mut Game), fuel_2 as fn(&mut Game)), (fuel_2, fuel), (fuel_2, fuel_3)] {
        assert_eq!(losses(old, new), Vec::<String>::new(), "declared, or carried");
    }
    assert!(losses(fuel_2, forgetful_fuel).len() > 1, "records may be in the layout that was forgotten");
}
