//! The world's own systems: chat and clock; and systems that designers add.

use bevy_ecs::prelude::{Res, ResMut};
use pangaea_schemas::EntityId;
use pangaea_schemas::cluster::ClusterSpec;
use pangaea_schemas::message::{ChatLine, SUBJECT_CHAT_SAY, SUBJECT_CHAT_WORLD, SUBJECT_WORLD_CLOCK, WorldTime};
use pangaea_schemas::{Tick, Timestamp};
use pangaea_world::inbox::Heard;
use pangaea_world::world::{Outbox, Phase};
use pangaea_world::{World, WorldConfig};

use crate::stage::Stage;

fn say(stage: &mut Stage, speaker: u64, text: &str) {
    let line = ChatLine { entity: EntityId(speaker), text: text.to_owned() };
    stage.publish(SUBJECT_CHAT_SAY, line.to_bytes());
}

/// What was said to the whole world so far.
fn said(stage: &Stage) -> Vec<(u64, String)> {
    let lines = stage.heard.iter().filter(|event| event.subject == SUBJECT_CHAT_WORLD);
    lines.filter_map(|event| ChatLine::from_bytes(&event.bytes)).map(|line| (line.entity.0, line.text)).collect()
}

#[test]
fn what_is_said_is_cleaned_and_repeated_to_the_world() {
    let mut stage = Stage::new();
    stage.pass(100);
    say(&mut stage, 1, "  hello\u{0} world\n");
    say(&mut stage, 2, "\u{1b}\r\n");
    stage.publish(SUBJECT_CHAT_SAY, bytes::Bytes::from_static(b"junk"));
    say(&mut stage, 3, "still here");
    stage.pass(150);
    assert_eq!(said(&stage), [(1, "hello world".to_owned()), (3, "still here".to_owned())]);
}

#[test]
fn who_says_too_much_is_not_repeated() {
    let mut stage = Stage::new();
    stage.pass(100);
    for n in 0..10 {
        say(&mut stage, 1, &format!("spam {n}"));
    }
    say(&mut stage, 2, "excuse me");
    stage.pass(150);
    let heard = said(&stage);
    assert_eq!(heard.iter().filter(|(speaker, _)| *speaker == 1).count(), 3);
    assert!(heard.contains(&(2, "excuse me".to_owned())));
    stage.pass(7_000);
    say(&mut stage, 1, "sorry");
    stage.pass(150);
    assert_eq!(said(&stage).last(), Some(&(1, "sorry".to_owned())));
}

#[test]
fn the_clock_is_told_every_ten_seconds_and_goes_on_over_a_restart() {
    let mut stage = Stage::new();
    stage.pass(20_000);
    stage.restart_world();
    stage.pass(40_000);
    let times: Vec<WorldTime> = stage
        .heard
        .iter()
        .filter(|event| event.subject == SUBJECT_WORLD_CLOCK)
        .filter_map(|event| WorldTime::from_bytes(&event.bytes))
        .collect();
    assert!((7..=9).contains(&times.len()), "{} times in a minute with a restart", times.len());
    assert!(times.windows(2).all(|pair| pair[0].tick < pair[1].tick), "time only goes forward");
    let day = |time: &WorldTime| u64::from(time.day) * u64::from(time.day_seconds) + u64::from(time.second);
    assert!(times.iter().all(|time| day(time) == time.tick.0 / 20));
}

fn greet(heard: Res<Heard>, mut outbox: ResMut<Outbox>) {
    for event in &heard.0 {
        outbox.publish("quest.heard", event.bytes.clone());
    }
}

fn shout(mut outbox: ResMut<Outbox>) {
    outbox.publish("quest.shout", bytes::Bytes::new());
}

fn world() -> World {
    World::new(Timestamp(1), WorldConfig { spec: ClusterSpec::demo(), seed: 1, scenes_expected: 1, tunables: Vec::new() })
}

#[test]
fn designers_add_world_systems_and_say_their_order() {
    use bevy_ecs::prelude::IntoScheduleConfigs;
    let mut ordered = world();
    let after_chat = pangaea_world::chat::repeat;
    ordered.add_systems(Phase::Simulate, (greet, shout).chain().after(after_chat));
    ordered.check().expect("a stated order");
    ordered.tick(Timestamp(50_000), Tick(1));
    let sent = std::iter::from_fn(|| ordered.poll_output()).filter(|e| format!("{e:?}").contains("quest.shout")).count();
    assert_eq!(sent, 1);
}

#[test]
fn an_order_that_is_not_stated_is_an_error_that_names_both() {
    let mut ambiguous = world();
    ambiguous.add_systems(Phase::Simulate, shout);
    let error = ambiguous.check().expect_err("two systems write the outbox").to_string();
    assert!(error.contains("shout") && error.contains("Outbox"), "{error}");
}
