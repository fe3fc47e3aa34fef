//! Two neighbours show each other their borders, late and in bursts: nobody is real and ghost at once, and in the end each
//! shows what the other has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fastrand::Rng;
use pangaea_schemas::geometry::{CellId, ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::message::{CellFeed, FeedFilter, FeedFrame};
use pangaea_schemas::record::Record;
use pangaea_schemas::{ShardEpoch, Tick, TickRate};
use std::sync::Arc;

use super::{Health, health, village};
use crate::ecs::population::{Ghost, Ghosted, Identity};
use crate::ecs::{Published, ShardWorld, TickInput};
use crate::prelude::{EntityId, Game, Position, Velocity};

struct Side {
    world: ShardWorld,
    shard: ShardId,
    other: ShardId,
    arrivals: Vec<Record>,
    news: VecDeque<FeedFrame>,
}

impl Side {
    fn pair() -> [Self; 2] {
        let game = Game::build(village).expect("fits");
        let space = SpaceSpec { space: SpaceId(0), name: "x".to_owned(), level: 3, shard_level: 2 };
        let shard = |x| ShardId { space: space.space, level: 2, x, z: 0 };
        let world = |x| ShardWorld::new(&game, shard(x), &space, TickRate::DEFAULT, 1);
        let side = |x, y| Self { world: world(x), shard: shard(x), other: shard(y), arrivals: Vec::new(), news: VecDeque::new() };
        [side(0, 1), side(1, 0)]
    }

    fn frame(&self, cells: Vec<Arc<CellFeed>>) -> FeedFrame {
        let (epoch, tick, follower) = (ShardEpoch(1), Tick(0), Some(self.other));
        FeedFrame { shard: self.shard, epoch, tick, seq: 1, follower, cells, agents: Vec::new() }
    }

    /// What the other side follows of this one.
    fn border(&self) -> Vec<CellId> {
        self.shard.border_cells(self.other, 1)
    }

    fn snapshot(&self) -> FeedFrame {
        self.frame(self.border().iter().map(|cell| self.world.snapshot(*cell, FeedFilter::Ghosted)).collect())
    }

    fn news(&self, published: &Published) -> FeedFrame {
        self.frame(self.border().iter().filter_map(|cell| published.ghosted.get(cell).cloned()).collect())
    }

    fn tick(&mut self, tick: u64, arrived: usize) -> (Vec<Record>, FeedFrame) {
        let ghosts = self.news.drain(..arrived.min(self.news.len())).collect();
        let arrivals = std::mem::take(&mut self.arrivals);
        let simulated = self.world.simulate(TickInput { tick: Tick(tick), arrivals, ghosts, ..TickInput::default() });
        let crossing = |crossing: &crate::ecs::Crossing| self.world.take(crossing.entity, crossing.target);
        let gone = simulated.crossings.iter().filter_map(crossing).collect();
        let published = self.world.publish();
        (gone, self.news(&published))
    }

    fn real(&mut self) -> BTreeSet<EntityId> {
        let world = self.world.bevy();
        world.query::<&Identity>().iter(world).map(Identity::id).collect()
    }

    fn ghosts(&mut self) -> BTreeMap<EntityId, (Position, Option<Health>)> {
        let world = self.world.bevy();
        let mut query = world.query::<(&Ghost, &Ghosted<Position>, Option<&Ghosted<Health>>)>();
        query.iter(world).map(|(ghost, position, health)| (ghost.id, (**position, health.map(|health| **health)))).collect()
    }
}

#[test]
fn each_side_shows_what_the_other_has() {
    for seed in 0..6 {
        let mut rng = Rng::with_seed(seed);
        let mut sides = Side::pair();
        for id in 1..=60 {
            let position = Position::new(60.0 + rng.f32() * 136.0, rng.f32() * 127.0);
            let side = usize::from(position.x >= 128.0);
            let velocity = Velocity::new(rng.f32() * 40.0 - 20.0, rng.f32() * 8.0 - 4.0);
            sides[side].world.spawn(EntityId(id), position, (health(id as f32), velocity));
        }
        for tick in 1..=120 {
            // Then everybody stops, and in the last ticks all news arrive.
            let ending = tick > 60;
            for here in 0..2 {
                let everybody = sides[here].real();
                for id in everybody {
                    let speed = if ending { 0.0 } else { rng.f32() * 80.0 - 40.0 };
                    if tick == 61 || !ending && rng.u8(..20) == 0 {
                        sides[here].world.write(id, Velocity::new(speed, 0.0));
                        sides[here].world.write(id, health(rng.f32()));
                    }
                }
                let arrived = if ending { usize::MAX } else { rng.usize(..3) };
                let (gone, news) = sides[here].tick(tick, arrived);
                sides[1 - here].arrivals.extend(gone);
                sides[1 - here].news.push_back(news);
                let (real, ghosts) = (sides[here].real(), sides[here].ghosts());
                assert!(ghosts.keys().all(|id| !real.contains(id)), "nobody is both");
                assert_eq!(sides[here].world.counts().ghosts as usize, ghosts.len());
            }
        }
        let [a, b] = &mut sides;
        assert_eq!(a.real().len() + b.real().len(), 60);
        for (shows, has) in [(&mut *a, &mut *b)] {
            let border: BTreeSet<CellId> = has.border().into_iter().collect();
            let all = has.real();
            let near: BTreeSet<_> =
                all.into_iter().filter(|id| has.world.record(*id).is_some_and(|r| border.contains(&r.cell))).collect();
            let ghosts = shows.ghosts();
            assert_eq!(ghosts.keys().copied().collect::<BTreeSet<_>>(), near);
            for (id, (position, health)) in ghosts {
                assert!(position.distance(has.world.position(id).expect("real").into()) < 0.003);
                assert_eq!(health, has.world.read::<Health>(id));
            }
        }
    }
}

#[test]
fn who_goes_to_a_neighbour_is_seen_as_its_ghost_at_once() {
    let [mut west, mut east] = Side::pair();
    west.news.push_back(east.snapshot());
    west.world.spawn(EntityId(1), Position::new(131.0, 5.0), health(9.0));
    let (gone, _) = west.tick(1, 1);
    assert_eq!(west.ghosts(), BTreeMap::from([(EntityId(1), (Position::new(131.0, 5.0), Some(health(9.0))))]));
    assert_eq!(west.world.shown_by(EntityId(1)), Some(east.shard));
    east.arrivals = gone;
    let (_, news) = east.tick(2, 0);
    west.news.push_back(news);
    west.tick(2, 1);
    west.tick(50, 0);
    assert_eq!(west.ghosts().len(), 1, "the east shows it now");
    assert_eq!(west.world.shown_by(EntityId(9)), None);
}

#[test]
fn whom_a_snapshot_does_not_show_is_forgotten_after_a_while() {
    let [mut west, mut east] = Side::pair();
    for id in 1..=3 {
        east.world.spawn(EntityId(id), Position::new(130.0, 5.0 + id as f32), health(1.0));
    }
    east.tick(1, 0);
    west.news.push_back(east.snapshot());
    west.tick(1, 1);
    assert_eq!(west.ghosts().len(), 3);
    // The east restarts with one of them; the others were lost on the way.
    east.world.put_to_sleep(EntityId(1));
    east.world.put_to_sleep(EntityId(2));
    east.world.publish();
    west.world.simulate(TickInput { tick: Tick(2), ghost_sources_lost: vec![east.shard], ..TickInput::default() });
    assert_eq!(west.ghosts().len(), 3, "a lost source's ghosts stay");
    west.news.push_back(east.snapshot());
    west.tick(3, 1);
    assert_eq!(west.world.shown_by(EntityId(1)), Some(east.shard), "it may be on its way: effects on it ask there");
    west.tick(43, 0);
    assert_eq!(west.ghosts().into_keys().collect::<Vec<_>>(), [EntityId(3)]);
}

#[test]
fn who_left_for_here_is_waited_for_as_long_as_a_hand_over_may_take() {
    let [mut west, mut east] = Side::pair();
    east.world.spawn(EntityId(1), Position::new(130.0, 5.0), health(1.0));
    east.tick(1, 0);
    west.news.push_back(east.snapshot());
    west.tick(1, 1);
    let into_the_west = CellId { space: SpaceId(0), x: 3, z: 0 };
    assert!(east.world.take(EntityId(1), into_the_west).is_some());
    let (_, news) = east.tick(2, 0);
    west.news.push_back(news);
    west.tick(2, 1);
    assert_eq!(west.ghosts().len(), 1, "it is on its way");
    west.tick(1_201, 0);
    assert_eq!(west.world.shown_by(EntityId(1)), Some(east.shard), "effects on it ask there");
    west.tick(1_202, 0);
    assert_eq!(west.ghosts().len(), 0);
}
