//! Whoever applies the published feed has what is in the world: nobody twice, nobody missing, nothing stale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use fastrand::Rng;
use pangaea_schemas::TypeId;
use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{CellFeed, FeedFilter, Motion};
use pangaea_schemas::record::Record;

use super::{Health, Label, Mood, health, village};
use crate::ecs::Plain;
use crate::prelude::*;

/// What a follower of all cells knows.
#[derive(Default)]
struct Follower {
    cells: BTreeMap<CellId, BTreeMap<EntityId, Known>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Known {
    motion: Motion,
    components: BTreeMap<TypeId, Bytes>,
}

impl Follower {
    fn apply(&mut self, feeds: &BTreeMap<CellId, Arc<CellFeed>>) {
        for feed in feeds.values() {
            let cell = self.cells.entry(feed.cell).or_default();
            if feed.snapshot {
                cell.clear();
            }
            for leave in &feed.left {
                cell.remove(&leave.entity);
            }
            for enter in &feed.entered {
                let motions: Vec<_> = feed.moved.iter().filter(|motion| motion.entity == enter.entity).collect();
                assert_eq!(motions.len(), 1, "each who enters has one motion");
                let components = enter.components.iter().map(|part| (part.id, part.bytes.clone())).collect();
                cell.insert(enter.entity, Known { motion: *motions[0], components });
            }
            for motion in &feed.moved {
                cell.get_mut(&motion.entity).expect("only who is here moves").motion = *motion;
            }
            for changed in &feed.changed {
                let known = cell.get_mut(&changed.entity).expect("only who is here changes");
                known.components.insert(changed.component.id, changed.component.bytes.clone());
            }
        }
    }

    /// By entity; fails when one is in two cells.
    fn everybody(&self) -> BTreeMap<EntityId, (CellId, Known)> {
        let mut all = BTreeMap::new();
        for (cell, members) in &self.cells {
            for (id, known) in members {
                let twice = all.insert(*id, (*cell, known.clone()));
                assert!(twice.is_none(), "{id} is in {cell} and in {}", twice.expect("some").0);
            }
        }
        all
    }
}

/// All snapshots together: what a new follower sees.
fn snapshots(world: &Harness, filter: FeedFilter) -> Follower {
    let mut follower = Follower::default();
    let cells = world.shard().cells().map(|cell| (cell, world.world.snapshot(cell, filter))).collect();
    follower.apply(&cells);
    follower
}

fn assert_follows(follower: &Follower, world: &Harness, alive: &BTreeSet<EntityId>) {
    let everybody = follower.everybody();
    assert_eq!(everybody.keys().copied().collect::<BTreeSet<_>>(), *alive);
    assert_eq!(everybody, snapshots(world, FeedFilter::Replicated).everybody());
    for (id, (cell, known)) in &everybody {
        let position = world.get::<Position>(*id).expect("alive");
        assert_eq!(*cell, world.shard().nearest_cell(CellId::at(cell.space, position.into())));
        // Who runs on for more than three cells without a hand-over is drawn where the offset ends.
        let told = Position::from(known.motion.offset.position(*cell));
        assert!(told.distance(position) < 0.003 || world.shard().distance_to(position.into()) > 90.0);
        let bytes = |id: &str| known.components.get(&TypeId::of(id)).cloned();
        let real = world.get::<Health>(*id).map(|h| Bytes::copy_from_slice(bytemuck::bytes_of(&h)));
        assert_eq!(bytes(Health::NAME), real);
        assert_eq!(bytes(Label::NAME).is_some(), world.get::<Label>(*id).is_some());
        assert_eq!(bytes(Mood::NAME), None, "not replicated");
    }
}

/// A harness, its follower and who should be alive.
struct Walkers {
    world: Harness,
    rng: Rng,
    follower: Follower,
    alive: BTreeSet<EntityId>,
    away: Vec<Record>,
}

impl Walkers {
    fn new(seed: u64) -> Self {
        let (rng, follower) = (Rng::with_seed(seed), Follower::default());
        Self { world: Harness::new(village), rng, follower, alive: BTreeSet::new(), away: Vec::new() }
    }

    /// In the shard or up to 30 m outside.
    fn anywhere(&mut self) -> Position {
        Position::new(482.0 + self.rng.f32() * 316.0, 482.0 + self.rng.f32() * 316.0)
    }

    fn one(&mut self) -> Option<EntityId> {
        let at = self.rng.usize(..self.alive.len().max(1));
        self.alive.iter().nth(at).copied()
    }

    /// Something happens before the tick.
    fn disturb(&mut self) {
        let (position, choice) = (self.anywhere(), self.rng.u8(..8));
        let Some(id) = self.one().filter(|_| choice > 1) else {
            self.alive.insert(self.world.spawn(position, (health(self.rng.f32()), Velocity::new(3.0, -2.0))));
            return;
        };
        match choice {
            2 => self.world.set(id, Velocity::new(self.rng.f32() * 60.0 - 30.0, self.rng.f32() * 60.0 - 30.0)),
            3 => self.world.set(id, health(self.rng.f32())),
            4 => self.world.set(id, Label { text: "new".into() }),
            5 => self.world.world.strip::<Health>(id),
            6 => self.world.set(id, position),
            _ => self.world.set(id, Mood { anger: 1 }),
        }
    }

    /// A tick with hand-overs, sleep and arrivals.
    fn tick(&mut self) {
        let arrivals: Vec<Record> = self.away.extract_if(.., |_| self.rng.bool()).collect();
        self.alive.extend(arrivals.iter().map(|record| record.entity));
        self.world.next_input().arrivals = arrivals;
        let (going, sleeping) = (self.one().filter(|_| self.rng.u8(..3) == 0), self.one().filter(|_| self.rng.u8(..5) == 0));
        let (alive, away) = (&mut self.alive, &mut self.away);
        self.world.tick_with(|world| {
            let to = CellId { x: 0, z: 0, ..CellId::default() };
            let gone = [going.and_then(|id| world.take(id, to)), sleeping.and_then(|id| world.put_to_sleep(id))];
            for record in gone.into_iter().flatten() {
                alive.remove(&record.entity);
                away.push(record);
            }
        });
        self.follower.apply(&self.world.feed.replicated);
    }
}

#[test]
fn a_follower_of_the_feed_always_knows_what_is_in_the_world() {
    for seed in 0..8 {
        let mut walkers = Walkers::new(seed);
        for _ in 0..150 {
            for _ in 0..walkers.rng.u8(..6) {
                walkers.disturb();
            }
            walkers.tick();
            assert_follows(&walkers.follower, &walkers.world, &walkers.alive);
        }
        assert!(walkers.alive.len() > 20, "the walk was one");
    }
}

#[test]
fn who_does_not_change_costs_nothing() {
    let mut world = Harness::new(village);
    for n in 0..100 {
        world.spawn(Position::new(520.0 + n as f32, 600.0), health(1.0));
    }
    world.tick();
    assert!(!world.feed.replicated.is_empty());
    // The village's `walk` writes every position in each tick, to the same value.
    world.tick();
    assert!(world.feed.replicated.is_empty() && world.feed.ghosted.is_empty() && world.feed.dirty.is_empty());
}

#[test]
fn only_border_cells_are_told_to_neighbours_and_only_what_is_ghosted() {
    let mut world = Harness::new(village);
    let inner = world.spawn(Position::new(640.0, 640.0), health(1.0));
    let border = world.spawn(Position::new(760.0, 640.0), (health(2.0), Label { text: "b".into() }));
    world.tick();
    let entered: Vec<_> = world.feed.ghosted.values().flat_map(|feed| &feed.entered).collect();
    assert_eq!(entered.len(), 1);
    assert_eq!(entered[0].entity, border);
    assert_eq!(entered[0].components.iter().map(|part| part.id).collect::<Vec<_>>(), [TypeId::of(Health::NAME)]);
    assert_eq!(world.feed.dirty.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from([inner, border]));
}

#[test]
fn leaving_names_the_cell_it_leads_to() {
    let mut world = Harness::new(village);
    let walker = world.spawn(Position::new(543.7, 600.0), Velocity::new(4.0, 0.0));
    world.tick();
    let left: Vec<_> = world.feed.replicated.values().flat_map(|feed| &feed.left).collect();
    assert!(left.is_empty());
    world.tick();
    let (from, to) = (world.shard().first_cell(), CellId::at(world.shard().space, Position::new(544.2, 600.0).into()));
    let old = CellId { z: to.z, ..from };
    assert_eq!(world.feed.replicated[&old].left.iter().map(|l| (l.entity, l.to)).collect::<Vec<_>>(), [(walker, Some(to))]);
    assert_eq!(world.feed.replicated[&to].entered[0].entity, walker);
    world.tick_with(|world| assert!(world.put_to_sleep(walker).is_some()));
    assert_eq!(world.feed.replicated[&to].left[0].to, None);
    assert!(world.feed.replicated[&to].moved.is_empty(), "who left does not move");
}

#[test]
fn who_ends_and_comes_again_in_one_tick_only_enters() {
    let mut world = Harness::new(village);
    let id = world.spawn(Position::new(600.0, 600.0), health(1.0));
    world.tick();
    world.tick_with(|world| {
        assert!(world.put_to_sleep(id).is_some());
        world.spawn(id, Position::new(600.0, 600.0), health(2.0));
    });
    let feeds: Vec<_> = world.feed.replicated.values().collect();
    assert_eq!((feeds.len(), feeds[0].entered.len(), feeds[0].left.len()), (1, 1, 0));
}

#[test]
fn outside_the_shard_an_entity_stays_filed_in_the_nearest_cell_and_crosses_beyond_the_hysteresis() {
    let mut world = Harness::new(village);
    let walker = world.spawn(Position::new(769.0, 600.0), health(1.0));
    let rider = world.spawn(Position::new(760.0, 600.0), Tied { to: walker });
    assert!(world.tick().crossings.is_empty(), "one metre is within the hysteresis");
    world.set(walker, Position::new(770.5, 600.0));
    for _ in 0..2 {
        let crossings = world.tick().crossings.clone();
        assert_eq!(crossings.len(), 1, "reported until it is taken");
        assert_eq!(crossings[0].entity, walker);
        assert_eq!(crossings[0].group, [rider]);
        assert_eq!(crossings[0].target, CellId { space: world.shard().space, x: 24, z: 18 });
    }
    assert_eq!(world.world.record(walker).expect("here").cell.x, 23);
    world.set(walker, Position::new(760.0, 600.0));
    assert!(world.tick().crossings.is_empty());
}

#[test]
fn a_position_that_is_no_number_is_put_back_and_one_outside_the_space_to_its_edge() {
    let mut world = Harness::new(village);
    let id = world.spawn(Position::new(600.0, 600.0), ());
    world.tick();
    world.set(id, Position::new(f32::NAN, 600.0));
    world.tick();
    assert_eq!(world.get::<Position>(id), Some(Position::new(600.0, 600.0)));
    world.set(id, Position::new(-50.0, 9_999.0));
    let crossings = world.tick().crossings.clone();
    let position = world.get::<Position>(id).expect("here");
    assert!(position.x == 0.0 && position.z < 1_024.0);
    assert_eq!(crossings[0].target, CellId { space: world.shard().space, x: 0, z: 31 });
}

#[test]
fn ties_in_a_chain_or_a_circle_make_one_group_until_they_are_removed() {
    let mut world = Harness::new(village);
    let beyond = Position::new(771.0, 600.0);
    let leader = world.spawn(beyond, health(1.0));
    let mount = world.spawn(Position::new(760.0, 600.0), Tied { to: leader });
    let bird_on_mount = world.spawn(beyond, Tied { to: mount });
    let first_partner = world.spawn(beyond, health(1.0));
    let second_partner = world.spawn(beyond, Tied { to: first_partner });
    world.set(first_partner, Tied { to: second_partner });
    let of_nobody_here = world.spawn(beyond, Tied { to: EntityId(7) });
    let groups = |world: &mut Harness| -> Vec<(EntityId, Vec<EntityId>)> {
        world.tick().crossings.iter().map(|crossing| (crossing.entity, crossing.group.clone())).collect()
    };
    let tied = vec![(leader, vec![mount, bird_on_mount]), (first_partner, vec![second_partner]), (of_nobody_here, vec![])];
    assert_eq!(groups(&mut world), tied);
    world.world.strip::<Tied>(second_partner);
    world.world.strip::<Tied>(mount);
    let freed = vec![(leader, vec![]), (second_partner, vec![first_partner]), (of_nobody_here, vec![])];
    assert_eq!(groups(&mut world), freed, "bird and mount now follow the mount, which stands inside");
}
