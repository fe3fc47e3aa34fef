//! A world copied while it ticks becomes the same world.

use bytes::Bytes;
use pangaea_schemas::TypeId;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::Effect;

use super::{Hit, Mood, Walk, health, village};
use crate::ecs::grid::Grid;
use crate::ecs::{Copied, Plain, ShardWorld};
use crate::prelude::*;

/// A village in which everybody is busy, and an empty one to become its copy.
fn pair() -> (Harness, Vec<EntityId>, Harness) {
    let mut source = Harness::new(village);
    let walker = source.spawn(Position::new(600.0, 600.0), (health(50.0), Velocity::new(1.0, 0.5)));
    let stone = source.spawn(Position::new(700.0, 520.0), (health(9.0), Mood { anger: 2 }));
    let anna = source.player("Anna");
    source.tick();
    let mut target = Harness::new(village);
    target.ticks(2);
    (source, vec![walker, stone, anna], target)
}

fn hit(from: EntityId, to: EntityId) -> Effect {
    let bytes = Bytes::copy_from_slice(bytemuck::bytes_of(&Hit { damage: 3.0 }));
    Effect { to, from, id: TypeId::of(Hit::NAME), bytes, hops: 0, within: None }
}

fn copy(source: &ShardWorld, copied: &mut Copied, target: &mut ShardWorld) -> usize {
    let delta = source.delta(copied);
    target.overwrite(&delta);
    delta.records.len()
}

#[test]
fn rounds_carry_what_changed_and_end_in_the_same_world() {
    let (mut source, ids, mut target) = pair();
    let mut copied = Copied::default();
    assert_eq!(copy(&source.world, &mut copied, &mut target.world), 3, "all of it at first");
    source.tick();
    assert_eq!(copy(&source.world, &mut copied, &mut target.world), 1, "only the walker walks");
    source.world.take(ids[1], CellId::default());
    source.tick();
    source.world.pending.push(hit(ids[2], ids[0]));
    copy(&source.world, &mut copied, &mut target.world);
    assert!(target.world.complete(source.world.rest(&copied)));
    assert_eq!(target.world.state_hash(), source.world.state_hash());
    assert_eq!(target.world.counts(), source.world.counts());
}

#[test]
fn who_was_copied_before_is_rewritten_where_it_stands_or_comes_anew() {
    let (mut source, ids, mut target) = pair();
    let mut copied = Copied::default();
    copy(&source.world, &mut copied, &mut target.world);
    let entity_of = |world: &ShardWorld, id| world.real(id).expect("it was copied");
    let before = ids.iter().map(|id| entity_of(&target.world, *id)).collect::<Vec<_>>();
    // The walker leaves its cell, the stone loses its mood and moves, Anna becomes angry.
    source.world.write(ids[0], Position::new(900.0, 130.0));
    source.world.strip::<Mood>(ids[1]);
    source.world.write(ids[1], Position::new(701.0, 520.0));
    source.world.write(ids[2], Mood { anger: 7 });
    source.tick();
    copy(&source.world, &mut copied, &mut target.world);
    let after = ids.iter().map(|id| entity_of(&target.world, *id)).collect::<Vec<_>>();
    assert_eq!([0, 1, 2].map(|n| before[n] == after[n]), [true, false, false], "who has the same components stays");
    assert!(target.world.complete(source.world.rest(&copied)));
    assert_eq!(target.world.read::<Mood>(ids[1]).map(|mood| mood.anger), None);
    for id in ids {
        let at = source.world.position(id).expect("it lives");
        let near = |world: &mut ShardWorld| {
            world.bevy().resource::<Grid>().within(at.into(), 0.5).map(|near| (near.id, near.position)).collect::<Vec<_>>()
        };
        assert_eq!(near(&mut target.world), near(&mut source.world), "the grid has it where it stands");
    }
    let published = target.world.publish();
    assert!(published.replicated.is_empty() && published.dirty.is_empty(), "{published:?}");
    source.tick();
    target.tick();
    assert_eq!(source.world.state_hash(), target.world.state_hash());
}

#[test]
fn who_came_in_other_layouts_comes_anew_in_each_round() {
    let (mut source, ids, mut target) = pair();
    let mut copied = Copied::default();
    copy(&source.world, &mut copied, &mut target.world);
    target.world.translated.insert(ids[0], 7);
    source.tick();
    copy(&source.world, &mut copied, &mut target.world);
    assert!(target.world.complete(source.world.rest(&copied)), "what was true of it a round ago counts no more");
}

#[test]
fn both_go_on_alike() {
    let (mut source, ids, mut target) = pair();
    let mut copied = Copied::default();
    copy(&source.world, &mut copied, &mut target.world);
    assert!(target.world.complete(source.world.rest(&copied)));
    for _ in 0..20 {
        for world in [&mut source, &mut target] {
            world.input(ids[2], Walk { to: Velocity::new(-2.0, 1.0) });
            world.tick();
        }
        assert_eq!(source.world.state_hash(), target.world.state_hash());
    }
}

#[test]
fn a_copy_that_differs_is_told() {
    let (source, _, mut target) = pair();
    let mut copied = Copied::default();
    let mut delta = source.world.delta(&mut copied);
    delta.records.pop();
    target.world.overwrite(&delta);
    assert!(!target.world.complete(source.world.rest(&copied)));
}

#[test]
fn followers_of_the_copy_hear_only_what_happens_after_it() {
    let (source, _, mut target) = pair();
    copy(&source.world, &mut Copied::default(), &mut target.world);
    let published = target.world.publish();
    assert!(published.replicated.is_empty() && published.ghosted.is_empty(), "{published:?}");
}
