//! Plain types describe themselves, and a game that does not fit together says so.

use pangaea_schemas::registry::FieldType;

use super::{Health, Walk, village};
use crate::ecs::plain::describe;
use crate::game::GameFault;
use crate::prelude::*;

#[component(name = "Everything")]
struct Mixed {
    id: EntityId,
    home: Position,
    name: Text<6>,
    path: [i16; 3],
    pad: [u8; 4],
}

#[test]
fn a_plain_type_tells_its_layout() {
    let info = describe::<Mixed>();
    assert_eq!((info.name.as_str(), info.size), ("Everything", 32));
    let fields: Vec<_> = info.fields.iter().map(|f| (f.name.as_str(), f.ty, f.offset, f.length)).collect();
    assert_eq!(
        fields,
        [
            ("id", FieldType::Entity, 0, 1),
            ("home.x", FieldType::F32, 8, 1),
            ("home.z", FieldType::F32, 12, 1),
            ("name", FieldType::Text, 16, 6),
            ("path", FieldType::I16, 22, 3),
            ("pad", FieldType::U8, 28, 4),
        ]
    );
}

#[test]
fn text_is_cut_between_characters() {
    assert_eq!(Text::<4>::new("abc").as_str(), "abc");
    assert_eq!(Text::<4>::new("abcé").as_str(), "abc");
    assert_eq!(Text::<4>::new("abcdef").as_str(), "abcd");
    let broken: Text<4> = bytemuck::cast([b'a', 0xff, b'b', 0]);
    assert_eq!(broken.as_str(), "a");
}

#[test]
fn the_registry_holds_what_clients_see() {
    let game = Game::build(village).expect("fits");
    let names = |types: &[pangaea_schemas::registry::TypeInfo]| types.iter().map(|ty| ty.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&game.registry().components), ["player", "health", "label"]);
    assert_eq!(names(&game.registry().inputs), ["walk"]);
    assert_eq!(names(&game.registry().events), ["ouch"]);
    assert_eq!(game.registry_hash(), game.clone().registry_hash());
}

fn faults(root: fn(&mut Game)) -> Vec<GameFault> {
    Game::build(root).err().map(|error| error.0).unwrap_or_default()
}

mod other {
    use crate::prelude::*;

    #[component]
    pub(super) struct Health {
        pub(super) points: u8,
    }
}

#[test]
fn two_components_of_one_name_are_both_named() {
    let faults = faults(|game| {
        game.component::<Health>();
        game.component::<other::Health>();
    });
    let text = faults[0].to_string();
    assert!(text.contains("tests::Health") && text.contains("other::Health") && text.contains("name = "), "{text}");
}

#[test]
fn the_built_in_components_are_not_registered_again() {
    let faults = faults(|game| {
        game.component::<Position>().persistent();
        game.component::<Velocity>();
    });
    assert!(matches!(&faults[..], [GameFault::Name { .. }, GameFault::Name { .. }]), "{faults:?}");
}

#[test]
fn an_effect_cannot_be_forged_as_an_input() {
    let faults = faults(|game| {
        game.input::<Walk>().effect::<Walk>();
    });
    assert_eq!(faults, [GameFault::Both { name: "walk" }]);
}

#[test]
fn clients_cannot_be_sent_what_they_cannot_read() {
    let faults = faults(|game| {
        game.codec_component::<super::Notes>("Notes").replicated();
    });
    assert_eq!(faults, [GameFault::CodecReplicated { name: "Notes" }]);
}

fn push(mut all: Query<&mut Velocity>) {
    all.iter_mut().for_each(|mut v| v.x += 1.0);
}

fn pull(mut all: Query<&mut Velocity>) {
    all.iter_mut().for_each(|mut v| v.x *= 2.0);
}

#[test]
fn systems_without_order_are_both_named_with_the_fix() {
    let faults = faults(|game| {
        game.system(Phase::Act, push).system(Phase::Act, pull);
    });
    let text = faults[0].to_string();
    assert!(text.contains("push") && text.contains("pull") && text.contains(".before("), "{text}");
}

#[test]
fn systems_with_an_order_are_fine() {
    fn ordered(game: &mut Game) {
        game.system(Phase::Act, push).system(Phase::Act, pull.after(push)).system(
            Phase::Move,
            |mut all: Query<&mut Velocity>| {
                all.iter_mut().for_each(|mut velocity| velocity.z = 0.0);
            },
        );
    }
    assert_eq!(faults(ordered), []);
}

/// All that send or make something.
fn senders(game: &mut Game) {
    fn one(_: Effects, _: Events, _: Bus, _: Ledger, _: Spawn, _: Chance) {}
    fn two(_: Effects, _: Events, _: Bus, _: Ledger, _: Spawn, _: Chance) {}
    game.system(Phase::Act, one).system(Phase::Act, two);
}

#[test]
fn sending_makes_no_two_systems_ambiguous() {
    assert_eq!(faults(senders), []);
}

#[test]
fn a_system_that_fails_does_not_stop_the_tick() {
    fn failing(game: &mut Game) {
        game.plugin(village);
        game.system(Phase::Act, || -> bevy_ecs::error::Result { Err("no".into()) });
    }
    let mut world = Harness::new(failing);
    let id = world.spawn(Position::new(600.0, 600.0), Velocity::new(1.0, 0.0));
    world.tick();
    assert_eq!(world.get::<Position>(id), Some(Position::new(600.05, 600.0)));
}
