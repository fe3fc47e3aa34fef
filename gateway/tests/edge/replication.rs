//! The promise of replication: whoever applies every update has the cells as they are. A random world, random losses of
//! frames and updates, a model client that knows only the protocol.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fastrand::Rng;
use pangaea_gateway::limits::SLOW_QUEUE_BYTES;
use pangaea_gateway::{ConnId, Input};
use pangaea_schemas::geometry::{CellId, CellOffset, Position, ShardId};
use pangaea_schemas::message::{CellFeed, Changed, Enter, Feed, Leave, Motion};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::wire::update::{Course, Slot, Update};
use pangaea_schemas::{EntityId, TypeId};

use crate::stage::{ANA, Stage, cell, login, shard};

/// An entity as the world has it.
#[derive(Clone, Debug)]
struct Thing {
    cell: CellId,
    offset: CellOffset,
    colour: u8,
}

fn colour(value: u8) -> ComponentBytes {
    ComponentBytes { id: TypeId(1), bytes: Bytes::copy_from_slice(&[value]) }
}

/// What a client draws, by the rules of the protocol alone.
#[derive(Default)]
struct Model {
    drawn: BTreeMap<Slot, (EntityId, Position, u8)>,
}

impl Model {
    fn apply(&mut self, update: &Update) {
        let place = |course: &Course| course.position(update.head.position);
        for slot in &update.left {
            self.drawn.remove(slot).expect("only who entered leaves");
        }
        for entered in &update.entered {
            let before =
                self.drawn.insert(entered.slot, (entered.entity, place(&entered.course), entered.components[0].bytes[0]));
            assert!(before.is_none_or(|(entity, ..)| entity == entered.entity), "a slot in use is given to somebody else");
        }
        for (slot, course) in &update.moved {
            self.drawn.get_mut(slot).expect("only who entered moves").1 = place(course);
        }
        for (slot, components) in &update.changed {
            self.drawn.get_mut(slot).expect("only who entered changes").2 = components[0].bytes[0];
        }
        let names: BTreeSet<_> = self.drawn.values().map(|(entity, ..)| *entity).collect();
        assert_eq!(names.len(), self.drawn.len(), "nobody is drawn twice");
    }
}

/// A world of two shards beside each other that tells what changed, each to its followers.
struct World {
    rng: Rng,
    things: BTreeMap<EntityId, Thing>,
    followed: BTreeSet<CellId>,
    fresh: BTreeSet<CellId>,
    next: u64,
}

const SHARDS: [(u16, u16); 2] = [(1, 1), (2, 1)];

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: Rng::with_seed(seed),
            things: BTreeMap::new(),
            followed: BTreeSet::new(),
            fresh: BTreeSet::new(),
            next: 1,
        };
        for _ in 0..60 {
            let thing = world.random_thing();
            world.things.insert(EntityId(world.next), thing);
            world.next += 1;
        }
        world
    }

    fn random_thing(&mut self) -> Thing {
        let at = cell(self.rng.u16(8..24), self.rng.u16(8..16));
        Thing { cell: at, offset: CellOffset { x: self.rng.i16(0..8_192), z: 0 }, colour: self.rng.u8(..) }
    }

    fn hear(&mut self, follows: &[Feed]) {
        for follow in follows {
            if let Feed::Follow { reset, add, remove, shard, .. } = follow {
                if *reset {
                    self.followed.retain(|cell| !shard.contains(*cell));
                }
                remove.iter().for_each(|cell| _ = self.followed.remove(cell));
                self.followed.extend(add);
                self.fresh.extend(add);
            }
        }
    }

    /// Everybody may move, change, be born or cease.
    fn live(&mut self) -> BTreeMap<CellId, CellFeed> {
        let mut feeds: BTreeMap<CellId, CellFeed> = BTreeMap::new();
        let ids: Vec<_> = self.things.keys().copied().collect();
        for id in ids {
            match self.rng.u32(0..100) {
                0..30 => self.nudge(id, &mut feeds),
                30..36 => self.walk(id, &mut feeds),
                36..40 => self.paint(id, &mut feeds),
                40 => self.cease(id, &mut feeds),
                _ => {}
            }
        }
        if self.rng.bool() {
            let thing = self.random_thing();
            let id = EntityId(self.next);
            self.next += 1;
            note_enter(&mut feeds, id, &thing);
            self.things.insert(id, thing);
        }
        feeds
    }

    /// Each shard tells what its followed cells saw.
    fn tell(&mut self, mut feeds: BTreeMap<CellId, CellFeed>) -> BTreeMap<ShardId, Vec<CellFeed>> {
        for fresh in std::mem::take(&mut self.fresh) {
            let mut snapshot = CellFeed { cell: fresh, snapshot: true, ..CellFeed::default() };
            for (id, thing) in self.things.iter().filter(|(_, thing)| thing.cell == fresh) {
                snapshot.entered.push(Enter { entity: *id, components: vec![colour(thing.colour)] });
                snapshot.moved.push(motion(*id, thing));
            }
            feeds.insert(fresh, snapshot);
        }
        let mut shards = BTreeMap::new();
        for (x, z) in SHARDS {
            shards.insert(shard(x, z), Vec::new());
        }
        for (at, feed) in feeds.into_iter().filter(|(at, _)| self.followed.contains(at)) {
            shards.entry(ShardId::holding(at, 3)).or_insert_with(Vec::new).push(feed);
        }
        shards
    }

    fn nudge(&mut self, id: EntityId, feeds: &mut BTreeMap<CellId, CellFeed>) {
        let x = self.rng.i16(0..8_192);
        let Some(thing) = self.things.get_mut(&id) else { return };
        thing.offset.x = x;
        feed(feeds, thing.cell).moved.push(motion(id, thing));
    }

    fn walk(&mut self, id: EntityId, feeds: &mut BTreeMap<CellId, CellFeed>) {
        let (east, south) = (self.rng.bool(), self.rng.bool());
        let Some(thing) = self.things.get_mut(&id) else { return };
        let before = thing.cell;
        let step = |v: u16, up: bool, low: u16, high: u16| (if up { v + 1 } else { v - 1 }).clamp(low, high);
        thing.cell = cell(step(before.x, east, 8, 23), step(before.z, south, 8, 15));
        let thing = thing.clone();
        if thing.cell != before {
            feed(feeds, before).left.push(Leave { entity: id, to: Some(thing.cell) });
            note_enter(feeds, id, &thing);
        }
    }

    fn paint(&mut self, id: EntityId, feeds: &mut BTreeMap<CellId, CellFeed>) {
        let value = self.rng.u8(..);
        let Some(thing) = self.things.get_mut(&id) else { return };
        thing.colour = value;
        feed(feeds, thing.cell).changed.push(Changed { entity: id, component: colour(value) });
    }

    fn cease(&mut self, id: EntityId, feeds: &mut BTreeMap<CellId, CellFeed>) {
        if let Some(thing) = self.things.remove(&id) {
            feed(feeds, thing.cell).left.push(Leave { entity: id, to: None });
        }
    }
}

fn motion(entity: EntityId, thing: &Thing) -> Motion {
    Motion { entity, offset: thing.offset, vx: 0, vz: 0 }
}

fn feed(feeds: &mut BTreeMap<CellId, CellFeed>, at: CellId) -> &mut CellFeed {
    feeds.entry(at).or_insert_with(|| CellFeed { cell: at, ..CellFeed::default() })
}

fn note_enter(feeds: &mut BTreeMap<CellId, CellFeed>, id: EntityId, thing: &Thing) {
    let news = feed(feeds, thing.cell);
    news.entered.push(Enter { entity: id, components: vec![colour(thing.colour)] });
    news.moved.push(motion(id, thing));
}

fn exchange(stage: &mut Stage, world: &mut World, quiet: bool) {
    let follows: Vec<_> = stage.follows().into_iter().map(|(_, feed)| feed).collect();
    for feed in &follows {
        if let Feed::Follow { shard, reset: true, .. } = feed {
            stage.start_over(*shard);
        }
    }
    world.hear(&follows);
    let feeds = if quiet { BTreeMap::new() } else { world.live() };
    for (at, cells) in world.tell(feeds) {
        if !quiet && world.rng.u32(0..50) == 0 {
            stage.lose_frame(at);
        } else {
            stage.frame(at, 1 + at.x / 2, cells, Vec::new());
        }
    }
}

fn compare(world: &World, model: &Model, view: &BTreeSet<CellId>) {
    let there = world.things.iter().filter(|(_, thing)| view.contains(&thing.cell));
    let there: BTreeMap<_, _> = there.map(|(id, t)| (*id, (t.offset.position(t.cell), t.colour))).collect();
    let drawn: BTreeMap<_, _> = model.drawn.values().map(|(id, at, colour)| (*id, (*at, *colour))).collect();
    assert_eq!(drawn.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    for (id, (at, colour)) in &drawn {
        let (truth, true_colour) = there[id];
        assert!(at.distance(truth) < 0.01, "{id} is drawn at {at:?} and stands at {truth:?}");
        assert_eq!(*colour, true_colour);
    }
}

fn wander(seed: u64) {
    let mut stage = Stage::new();
    let mut world = World::new(seed);
    let mut model = Model::default();
    let conn: ConnId = stage.playing(ANA, cell(12, 12), 1);
    let mut at = Position { x: 12.5 * 32.0, z: 12.5 * 32.0 };
    for round in 0..400 {
        // Every now and then the client is slow and misses a stretch of updates.
        let slow = round % 50 > 42;
        stage.handle(Input::Queued { conn, bytes: if slow { SLOW_QUEUE_BYTES + 1 } else { 0 } });
        at.x = (at.x + world.rng.f32() * 24.0 - 12.0).clamp(9.0 * 32.0, 22.0 * 32.0);
        at.z = (at.z + world.rng.f32() * 24.0 - 12.0).clamp(9.0 * 32.0, 14.0 * 32.0);
        stage.agent_news(shard(1, 1), 1, ANA, login(1), 1, 0, at);
        exchange(&mut stage, &mut world, false);
        stage.tick();
        stage.updates(conn).iter().for_each(|update| model.apply(update));
    }
    stage.handle(Input::Queued { conn, bytes: 0 });
    // Until nobody hangs between two cells any more, see `cells::LIMBO_ROUNDS`.
    for _ in 0..60 {
        exchange(&mut stage, &mut world, true);
        stage.tick();
        stage.updates(conn).iter().for_each(|update| model.apply(update));
    }
    let view: BTreeSet<_> =
        world.followed.iter().copied().filter(|at| (8..24).contains(&at.x) && (8..16).contains(&at.z)).collect();
    assert!(view.len() >= 21, "the client looks at something");
    compare(&world, &model, &view);
}

#[test]
fn whoever_applies_every_update_has_the_cells_as_they_are() {
    (0..40).for_each(wander);
}
