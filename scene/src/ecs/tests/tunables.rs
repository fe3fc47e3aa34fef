//! Tunables: read by systems, set while the world runs, checked when the game is built.

use crate::game::{Game, GameError};
use crate::prelude::*;

/// How travellers travel.
#[tunable]
struct Travel {
    /// Speed in m/s.
    #[tune(2.4, 0.0..=20.0)]
    speed: f32,
    /// Ticks between two steps.
    #[tune(1, 1..=100)]
    every: u32,
    /// They go back where they came from.
    #[tune(false)]
    back: bool,
    /// What they say.
    #[tune("hello")]
    words: Text<16>,
}

fn travelling(game: &mut Game) {
    game.tunable::<Travel>();
    game.system(Phase::Act, |clock: Clock, travel: Tunable<Travel>, mut all: Query<&mut Velocity>| {
        let way = if travel.back { -1.0 } else { 1.0 };
        for mut velocity in &mut all {
            if clock.tick().0.is_multiple_of(u64::from(travel.every)) {
                *velocity = Velocity::new(travel.speed * way, travel.words.as_str().len() as f32);
            }
        }
    });
}

#[test]
fn a_tunable_is_what_it_was_set_to_from_the_next_tick_on() {
    let mut world = Harness::new(travelling);
    let id = world.spawn(Position::new(600.0, 600.0), ());
    world.tick();
    assert_eq!(world.get::<Velocity>(id), Some(Velocity::new(2.4, 5.0)));
    world.tune("travel.speed", TuneValue::Int(4));
    world.tune("travel.back", TuneValue::Flag(true));
    world.tune("travel.words", TuneValue::Text("go".to_owned()));
    world.tick();
    assert_eq!(world.get::<Velocity>(id), Some(Velocity::new(-4.0, 2.0)));
}

#[test]
#[should_panic(expected = "there is no tunable `travel.sped`; did you mean `travel.speed`?")]
fn a_slip_of_the_hand_is_named() {
    Harness::new(travelling).tune("travel.sped", TuneValue::Int(4));
}

#[test]
fn what_designers_read_is_what_the_source_says() {
    let game = Game::build(travelling).expect("fits together");
    let told: Vec<String> =
        game.tunables().iter().map(|t| format!("{} = {}: {} ({})", t.name, t.initial, t.about, t.kind)).collect();
    assert_eq!(
        told,
        [
            "travel.speed = 2.4: Speed in m/s. (a number from 0 to 20)",
            "travel.every = 1: Ticks between two steps. (a whole number from 1 to 100)",
            "travel.back = false: They go back where they came from. (true or false)",
            "travel.words = \"hello\": What they say. (a text of at most 16 bytes)",
        ]
    );
}

/// Begins where it may not be.
#[tunable(name = "travel")]
struct Wrong {
    /// Speed in m/s.
    #[tune(30.0, 0.0..=20.0)]
    speed: f32,
}

#[test]
fn tunables_that_do_not_fit_are_told_when_the_game_is_built() {
    fn wrong(game: &mut Game) {
        game.tunable::<Travel>().tunable::<Wrong>();
        game.system(Phase::Act, |wrong: Tunable<Wrong>| assert!(wrong.speed > 0.0));
    }
    let Err(GameError(faults)) = Game::build(wrong) else { panic!("it does not fit together") };
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let path = module_path!();
    assert_eq!(
        words,
        [
            format!("`{path}::Travel` and `{path}::Wrong` are both the tunables `travel`: give one another name, as in `#[tunable(name = \"…\")]`"),
            "a tunable begins with what it may not be: `travel.speed` is a number from 0 to 20; 30.0 is not; widen its range or begin with another value".to_owned(),
        ]
    );
}
