//! A shard that has come to a scene is that scene's, whatever was on its way to the world just then.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Control, Message, MigrationNews, MigrationStep, SceneReport, ShardPhase};
use pangaea_world::status::Happening;

use crate::stage::{Stage, scene};

fn home(stage: &mut Stage) -> ShardId {
    *stage.shards_of(scene(1)).first().expect("it has some")
}

fn hear(stage: &mut Stage, report: SceneReport) {
    stage.send(scene(2), Message::Control(Control::Scene(report)));
    // Shorter than until the next report, longer than a failed claim's pause.
    stage.pass(350);
}

/// It is the second scene's, runs there, and nobody was told to claim anything.
fn is_settled(stage: &mut Stage, shard: ShardId) -> bool {
    let status = stage.status();
    let known = status.shards.iter().find(|known| known.id == shard).expect("on the map");
    (known.owner, known.state) == (Some(scene(2)), "running") && stage.orders.is_empty()
}

#[test]
fn a_report_from_before_a_shard_came_does_not_take_it_away() {
    let mut stage = Stage::running();
    let shard = home(&mut stage);
    let before = stage.report_of(scene(2));
    stage.orders.clear();
    stage.world.move_shard(shard, scene(2), false).expect("possible");
    stage.pass(100);
    hear(&mut stage, before);
    assert!(is_settled(&mut stage, shard), "its new owner did not know of it yet");
    stage.world.move_shard(shard, scene(1), true).expect("it may turn back at once");
}

#[test]
fn a_report_that_comes_together_with_the_news_of_a_move_takes_no_shard_from_anybody() {
    let mut stage = Stage::running();
    let shard = home(&mut stage);
    stage.hold_moves = true;
    let id = stage.world.move_shard(shard, scene(2), false).expect("possible");
    stage.pass(600);
    let news = stage.status().moves.into_iter().find(|shift| shift.news.id == id).expect("it is known").news;
    let epoch = stage.journal[&shard].2.next();
    let given = MigrationNews { step: MigrationStep::Given, to: Some(scene(2)), epoch, ..news };
    let mut report = stage.report_of(scene(1));
    report.shards.retain(|known| known.shard != shard);
    // Two links of one scene, or two messages of one tick.
    stage.send(scene(1), Message::Control(Control::Scene(report)));
    stage.send(scene(1), Message::Control(Control::Migrating(given)));
    stage.pass(50);
    let told: Vec<_> = stage.world.events_after(0).into_iter().map(|event| event.what).collect();
    assert!(!told.iter().any(|what| matches!(what, Happening::ShardVacant { .. })), "{told:?}");
    stage.orders.clear();
    assert!(is_settled(&mut stage, shard));
}

#[test]
fn a_report_from_an_earlier_stay_does_not_take_a_shard_away() {
    let mut stage = Stage::running();
    let shard = home(&mut stage);
    for to in [2, 1] {
        stage.world.move_shard(shard, scene(to), false).expect("possible");
        stage.pass(1_000);
    }
    let mut before = stage.report_of(scene(2));
    let stayed = before.shards.first().expect("it has some").clone();
    let epoch = stage.journal[&shard].2;
    before.shards.push(pangaea_schemas::message::ShardReport { shard, epoch, phase: ShardPhase::Fenced, ..stayed });
    stage.orders.clear();
    stage.world.move_shard(shard, scene(2), false).expect("possible");
    stage.pass(100);
    hear(&mut stage, before);
    assert!(is_settled(&mut stage, shard), "it is back");
}

#[test]
fn a_new_owner_is_silent_until_it_has_heard_of_it_and_loses_a_shard_like_any_other_after_that() {
    let mut stage = Stage::running();
    let shard = home(&mut stage);
    stage.orders.clear();
    stage.hold_moves = true;
    let id = stage.world.move_shard(shard, scene(2), false).expect("possible");
    stage.pass(100);
    let news = stage.status().moves.into_iter().find(|shift| shift.news.id == id).expect("it is known").news;
    let epoch = stage.journal[&shard].2.next();
    let given = MigrationNews { step: MigrationStep::Given, to: Some(scene(2)), epoch, ..news };
    let (done, unaware) = (MigrationNews { step: MigrationStep::Done, ..given.clone() }, stage.report_of(scene(2)));
    stage.send(scene(1), Message::Control(Control::Migrating(given)));
    stage.pass(1_000);
    let now = stage.report_of(scene(2));
    hear(&mut stage, now);
    assert!(is_settled(&mut stage, shard), "the source has not heard from it yet, either");
    stage.send(scene(1), Message::Control(Control::Migrating(done)));
    stage.pass(50);
    hear(&mut stage, unaware);
    assert!(is_settled(&mut stage, shard), "that was before");
    stage.pass(1_000);
    assert!(!is_settled(&mut stage, shard), "it does not run it, and says so");
}

#[test]
fn a_source_that_died_may_have_given_the_shard_away_just_before() {
    let mut stage = Stage::running();
    let shard = home(&mut stage);
    stage.hold_moves = true;
    stage.world.move_shard(shard, scene(2), false).expect("possible");
    stage.pass(100);
    stage.orders.clear();
    // Its last word reached the journal and the target, but not the world.
    let epoch = stage.journal[&shard].2.next();
    let nonce = stage.player(scene(2)).nonce;
    stage.journal.insert(shard, (scene(2), nonce, epoch));
    stage.player(scene(2)).runs.insert(shard, epoch);
    stage.reap(scene(1));
    stage.pass(1_000);
    let claimed = stage.orders.iter().any(|(_, ordered)| *ordered == shard);
    stage.orders.clear();
    assert!(!claimed && is_settled(&mut stage, shard), "the journal was asked first");
}
