//! The simulated cluster: the same seed is the same story, and in a few stories everything happens that should.

use std::time::Duration;

use pangaea_scene::trials::CRASHES_MAX;
use pangaea_tests::sim::campaign;
use pangaea_tests::sim::faults::Fault;
use pangaea_tests::sim::orders::Order;
use pangaea_tests::sim::outcome::Replayed;
use pangaea_tests::sim::{Cluster, Options, Outcome, Trouble, pinned};

fn run(options: Options) -> Outcome {
    let seed = options.seed;
    let outcome = Cluster::new(options).run();
    assert_eq!(outcome.faults, Vec::<String>::new(), "again: cargo sim -- {seed}");
    outcome
}

#[test]
fn the_same_seed_tells_the_same_story_line_by_line() {
    let story = || run(Options { span: Duration::from_secs(25), ..Options::faulty(7) });
    assert_eq!(story(), story());
    let other = run(Options { span: Duration::from_secs(25), ..Options::faulty(8) });
    assert_ne!(story().hash, other.hash);
}

#[test]
fn while_nothing_goes_wrong_everybody_plays_without_a_pause() {
    let mut trades = 0;
    let mut recorded = Vec::new();
    for seed in 1..=3 {
        let outcome = run(Options { span: Duration::from_secs(20), record: true, ..Options::seed(seed) });
        recorded.push(outcome.replayed);
        assert_eq!(outcome.playing, 6);
        assert!(outcome.handovers > 0, "players cross borders between two scenes");
        assert!(outcome.inputs > 6 * 15 * 10, "most inputs are applied: {}", outcome.inputs);
        assert!(outcome.entities > 96, "the creatures of 4 shards and the players: {}", outcome.entities);
        assert!(outcome.longest_pause < Duration::from_millis(400), "{:?}", outcome.longest_pause);
        trades += outcome.trades;
    }
    assert!(trades > 0, "players trade");
    // Had a recorded shard not come to the same when it ran again, that would be a fault.
    assert!(recorded.iter().all(|recorded| recorded.is_whole && recorded.ticks > 100), "{recorded:?}");
    let sum = |count: fn(&Replayed) -> usize| recorded.iter().map(count).sum::<usize>();
    let counts = [sum(|r| r.inputs), sum(|r| r.arrivals), sum(|r| r.exits), sum(|r| r.effects), sum(|r| r.answers)];
    assert!(counts.iter().all(|count| *count > 0), "too little happened in what was recorded: {recorded:?}");
}

#[test]
fn players_trade_over_the_border_of_two_scenes() {
    let outcomes = (1..=3).map(|seed| run(Options { span: Duration::from_secs(40), ..Options::seed(seed) }));
    assert!(outcomes.map(|outcome| outcome.border_trades).sum::<u64>() > 0, "no trade of three runs was over a border");
}

#[test]
fn whatever_goes_wrong_everybody_plays_on() {
    for seed in 1..=6 {
        let outcome = run(Options { record: true, ..Options::faulty(seed) });
        assert_eq!(outcome.playing, 6);
        assert!(outcome.replayed.ticks > 0, "nothing was recorded");
        assert!(!outcome.planned.is_empty());
        assert!(outcome.inputs > 6 * 35 * 8, "the world stood still for too long: {}", outcome.inputs);
    }
}

#[test]
fn whose_input_ends_a_shard_three_times_is_parked_and_the_others_play_on() {
    let cursed = |trouble| run(Options { span: Duration::from_secs(40), players: 4, cursed: true, trouble, ..Options::seed(6) });
    let outcome = cursed(Trouble::None);
    assert_eq!(outcome.parked, [0]);
    // The first one is nobody's fault yet: only then are inputs tried.
    assert_eq!(outcome.crashes, 1 + u64::from(CRASHES_MAX));
    assert_eq!(outcome.playing, 3);
    let released = cursed(Trouble::These(vec![(Duration::from_secs(25), Fault::Order(Order::Release))]));
    assert_eq!((released.parked, released.playing), (vec![], 4));
    assert_eq!(released.crashes, outcome.crashes);
}

#[test]
fn what_once_went_wrong_goes_well() {
    for story in pinned::ALL {
        let outcome = campaign::run(story.options());
        assert_eq!(outcome.faults, Vec::<String>::new(), "seed {} again: {}", story.seed, story.found);
    }
}
