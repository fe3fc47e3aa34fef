//! What designers set: kept before anybody hears of it, then the same for all scenes from one tick on.

use pangaea_schemas::rules::{Book, TuneValue};
use pangaea_schemas::wire::stored::Stored;
use pangaea_world::rules::{LEAD_TICKS, UndoRefusal, Wish, undo};
use pangaea_world::status::Happening;

use crate::stage::{Stage, scene};

fn wish(values: &[(&str, Option<f64>)]) -> Wish {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.map(TuneValue::Float)));
    Wish { by: "anna".to_owned(), why: "set".to_owned(), values: values.collect(), scripts: Vec::new() }
}

/// What a scene was told of a tunable, and from which version.
fn told(stage: &mut Stage, ordinal: u16, name: &str) -> (u64, Option<f64>) {
    let rules = stage.player(scene(ordinal)).rules.clone().expect("told");
    let value = rules.tuned(name).map(|value| match value {
        TuneValue::Float(value) => *value,
        other => panic!("{other} is no number"),
    });
    (rules.version, value)
}

/// Why wishes were refused, in order.
fn refusals(stage: &mut Stage) -> Vec<String> {
    let events = stage.world.events_after(0);
    events
        .into_iter()
        .filter_map(|e| if let Happening::RulesRefused { reason, .. } = e.what { Some(reason) } else { None })
        .collect()
}

#[test]
fn a_change_is_kept_and_told_to_all_scenes_for_the_same_tick() {
    let mut stage = Stage::running();
    stage.world.wish(wish(&[("wolves.speed", Some(5.0))]));
    stage.pass(200);
    assert_eq!(told(&mut stage, 1, "wolves.speed"), (2, Some(5.0)));
    let rules = stage.player(scene(1)).rules.clone();
    assert_eq!(rules, stage.player(scene(2)).rules);
    let from = rules.expect("told").from;
    let tick = stage.status().tick;
    assert!(from > tick && from.0 <= tick.0 + LEAD_TICKS, "{from:?} is soon after {tick:?}");
    let (_, row) = stage.row.clone().expect("kept");
    let book = Book::from_stored(&row).expect("a book");
    let change = book.history.last().expect("remembered");
    assert_eq!((change.name.as_str(), change.by.as_str(), change.version, &change.before), ("wolves.speed", "anna", 2, &None));
}

#[test]
fn nobody_hears_of_what_is_not_kept() {
    let mut stage = Stage::running();
    stage.data_away = true;
    stage.world.wish(wish(&[("wolves.speed", Some(5.0))]));
    stage.pass(3_000);
    assert_eq!(told(&mut stage, 1, "wolves.speed"), (1, None));
    stage.data_away = false;
    stage.pass(1_500);
    assert_eq!(told(&mut stage, 1, "wolves.speed"), (2, Some(5.0)));
    assert_eq!(told(&mut stage, 2, "wolves.speed"), (2, Some(5.0)));
}

#[test]
fn a_wish_is_done_whole_or_not_at_all() {
    let mut stage = Stage::running();
    stage.world.wish(wish(&[("wolves.speed", Some(5.0)), ("sheep.fear", Some(51.0))]));
    stage.world.wish(wish(&[("sheep.faer", Some(5.0))]));
    stage.pass(500);
    assert_eq!(told(&mut stage, 1, "wolves.speed"), (1, None));
    assert_eq!(
        refusals(&mut stage),
        ["`sheep.fear` is a number from 0 to 50; 51.0 is not", "there is no tunable `sheep.faer`; did you mean `sheep.fear`?",]
    );
}

#[test]
fn a_scene_that_starts_later_is_told_before_it_is_given_a_shard() {
    let mut stage = Stage::running();
    stage.world.wish(wish(&[("wolves.speed", Some(5.0))]));
    stage.pass(500);
    stage.kill(scene(2));
    stage.pass(100);
    stage.start(scene(2));
    stage.orders.clear();
    for _ in 0..100 {
        stage.pass(50);
        if stage.orders.iter().any(|(to, _)| *to == scene(2)) {
            break;
        }
    }
    assert!(!stage.orders.is_empty(), "it is given shards");
    assert_eq!(told(&mut stage, 2, "wolves.speed"), (2, Some(5.0)));
}

#[test]
fn a_scene_that_did_not_hear_is_told_again() {
    let mut stage = Stage::running();
    stage.player(scene(2)).deaf = true;
    stage.world.wish(wish(&[("wolves.speed", Some(5.0))]));
    stage.pass(700);
    assert_eq!(told(&mut stage, 2, "wolves.speed"), (1, None));
    stage.player(scene(2)).deaf = false;
    stage.pass(1_000);
    assert_eq!(told(&mut stage, 2, "wolves.speed"), (2, Some(5.0)));
}

#[test]
fn a_new_world_goes_on_with_the_book_of_the_old_one() {
    let mut stage = Stage::running();
    stage.world.wish(wish(&[("wolves.speed", Some(5.0))]));
    stage.pass(500);
    stage.restart_world();
    stage.world.wish(wish(&[("sheep.fear", Some(1.0))]));
    stage.pass(2_000);
    assert_eq!(told(&mut stage, 1, "wolves.speed"), (3, Some(5.0)));
    assert_eq!(told(&mut stage, 1, "sheep.fear"), (3, Some(1.0)));
}

#[test]
fn a_change_can_be_taken_back_and_that_too() {
    let mut stage = Stage::running();
    let book = stage.world.book().expect("read");
    assert_eq!(undo(&book, None, "bert".to_owned()), Err(UndoRefusal::Nothing));
    stage.world.wish(wish(&[("wolves.speed", Some(5.0)), ("sheep.fear", Some(9.0))]));
    stage.pass(500);
    stage.world.wish(wish(&[("wolves.speed", Some(6.0))]));
    stage.pass(500);
    for (version, expected) in [(None, Some(5.0)), (None, Some(6.0)), (Some(2), None)] {
        let book = stage.world.book().expect("read");
        let wish = undo(&book, version, "bert".to_owned()).expect("remembered");
        stage.world.wish(wish);
        stage.pass(500);
        assert_eq!(told(&mut stage, 1, "wolves.speed").1, expected);
    }
    assert_eq!(told(&mut stage, 1, "sheep.fear"), (6, None));
    let book = stage.world.book().expect("read");
    assert_eq!(undo(&book, Some(77), "bert".to_owned()), Err(UndoRefusal::Unknown(77)));
}

#[test]
fn what_changes_nothing_is_no_change() {
    let mut stage = Stage::running();
    stage.world.wish(wish(&[("wolves.speed", Some(2.4)), ("sheep.fear", None)]));
    stage.pass(500);
    assert_eq!(told(&mut stage, 1, "wolves.speed"), (1, None));
    assert!(stage.row.is_none());
}

#[test]
fn somebody_elses_change_is_never_overwritten_unread() {
    let mut stage = Stage::running();
    stage.world.wish(wish(&[("wolves.speed", Some(5.0))]));
    stage.pass(500);
    let mut other = stage.world.book().expect("read").as_ref().clone();
    other.rules.version = 9;
    other.rules.tune("sheep.fear", Some(TuneValue::Float(3.0)));
    stage.row = stage.row.map(|(revision, _)| (pangaea_schemas::Revision(revision.0 + 1), other.to_stored()));
    stage.world.wish(wish(&[("wolves.speed", Some(6.0))]));
    stage.pass(500);
    assert_eq!(told(&mut stage, 1, "sheep.fear"), (9, Some(3.0)));
    assert_eq!(told(&mut stage, 1, "wolves.speed"), (9, Some(5.0)), "who wanted it sees that it is not so");
}
