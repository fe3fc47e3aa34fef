//! The cells that clients look at, with everything in them as last told: the gateway's copy of the world.
//!
//! Time in here is counted in *rounds*: a round ends when the updates of a tick are composed. Every change is stamped with the
//! round it came in, so a client that was told of an entity in round r needs exactly what is stamped above r, whatever it
//! missed.
//!
//! Clients know no cells: an entity that goes from one cell they see to another one is no news to them. It never blinks: told
//! `left(to)` by one shard, it stays drawn where it was until `to` tells that it entered, at most [`LIMBO_ROUNDS`].
//!
//! News of an entity that are older than where it is now (from a slow former owner) are dropped by their tick. What clients are
//! told of motion is in [`crate::course`].

use std::collections::BTreeMap;

use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{CellFeed, Changed, Enter, Leave, Motion};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::{EntityId, Tick, TickRate, TypeId};
use rustc_hash::FxHashMap;

use crate::course::{Course, Whereabouts};
use crate::slab::{Key, Slab};

/// Counts composed ticks from 1; 0 is "never".
pub(crate) type Round = u32;
/// A client that has never been told.
pub(crate) const NEVER: Round = 0;
/// How long an entity that left for another cell is drawn where it was: 2 s at 20 Hz.
pub(crate) const LIMBO_ROUNDS: Round = 40;
/// A shard that said nothing for so long is not taken at its word any more: everybody in its cells is shown standing.
const SILENT_ROUNDS: Round = 5;

/// An entity in a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) name: Key,
    pub(crate) entity: EntityId,
    pub(crate) entered: Round,
}

/// One cell.
#[derive(Debug)]
pub(crate) struct Cell {
    id: CellId,
    /// Clients that look at it.
    followers: u32,
    /// Its content is known.
    pub(crate) live: bool,
    /// Last round in which its shard said anything.
    heard: Round,
    /// Everybody in it is shown standing until its shard is heard again.
    still: bool,
    pub(crate) members: Vec<Member>,
}

/// An entity that is drawn in a cell. What every client asks of it in every round lies apart, see [`Shown`].
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) id: EntityId,
    /// The cell it is drawn in and its index there.
    place: Option<(Key, u32)>,
    /// Tick of the news that put it there.
    tick: Tick,
    /// It has left that cell for another one that does not tell of it yet.
    hangs: bool,
    /// The last cell of which it was told to be there, in news that looked older than that.
    doubted: Option<CellId>,
    /// Where it is, by its shard.
    at: Whereabouts,
    /// In order of id, each with the round it changed in.
    pub(crate) components: Vec<(Round, ComponentBytes)>,
}

/// What clients may not know of an entity yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// Whose this is; `None`: of nobody in sight.
    name: Option<Key>,
    /// The cell it is drawn in.
    pub(crate) cell: CellId,
    /// Where clients are told that it goes.
    pub(crate) course: Course,
    /// Round in which that was last changed.
    pub(crate) moved: Round,
    /// Round in which any component was last changed.
    pub(crate) altered: Round,
    /// Round in which it last lost a component, which clients learn only by being told anew.
    pub(crate) shaped: Round,
    /// Round in which any of all this was last changed.
    news: Round,
}

/// Stop drawing the entity if it still hangs in that cell since that tick, and look for it where it went.
#[derive(Clone, Copy, Debug)]
struct EndLimbo {
    cell: CellId,
    entity: EntityId,
    tick: Tick,
    to: Option<CellId>,
}

/// All cells that anybody looks at.
#[derive(Debug)]
pub(crate) struct CellStore {
    round: Round,
    seconds_per_tick: f32,
    /// Components that clients are told of, in order. Scenes of another build show others and other layouts, too.
    described: Vec<TypeId>,
    /// Looked up for each news; never iterated.
    index: FxHashMap<CellId, Key>,
    cells: Slab<Cell>,
    /// Per cell, by index of its key: the last round in which anybody entered it.
    entered: Vec<Round>,
    entities: Slab<Entity>,
    /// Per entity, by index of its key.
    shown: Vec<Shown>,
    /// Looked up for each motion; never iterated.
    names: FxHashMap<EntityId, Key>,
    due: BTreeMap<Round, Vec<EndLimbo>>,
    /// Cells that got their first follower.
    pub(crate) wanted: Vec<CellId>,
    /// Cells that lost their last follower.
    pub(crate) unwanted: Vec<CellId>,
}

impl CellStore {
    pub(crate) fn new(rate: TickRate, described: impl Iterator<Item = TypeId>) -> Self {
        let mut described: Vec<TypeId> = described.collect();
        described.sort_unstable();
        Self {
            round: 1,
            seconds_per_tick: rate.seconds_per_tick(),
            described,
            index: FxHashMap::default(),
            cells: Slab::default(),
            entered: Vec::new(),
            entities: Slab::default(),
            shown: Vec::new(),
            names: FxHashMap::default(),
            due: BTreeMap::new(),
            wanted: Vec::new(),
            unwanted: Vec::new(),
        }
    }

    /// The round that changes are stamped with now.
    pub(crate) fn round(&self) -> Round {
        self.round
    }

    pub(crate) fn seconds_per_tick(&self) -> f32 {
        self.seconds_per_tick
    }

    /// The cell of that key; keys are valid while a follower holds them.
    pub(crate) fn cell(&self, key: Key) -> Option<&Cell> {
        self.cells.get(key)
    }

    /// The last round in which anybody entered the cell of that key.
    pub(crate) fn entered(&self, key: Key) -> Round {
        self.entered.get(key.index()).copied().unwrap_or(NEVER)
    }

    /// Whether an entity is in sight and nothing of it has changed since that round.
    pub(crate) fn is_as_told(&self, name: Key, told: Round) -> bool {
        self.shown.get(name.index()).is_some_and(|shown| shown.news <= told && shown.name == Some(name))
    }

    pub(crate) fn entity(&self, name: Key) -> Option<&Entity> {
        self.entities.get(name)
    }

    /// What there is to know of an entity; `None`: it is out of sight.
    pub(crate) fn shown(&self, name: Key) -> Option<&Shown> {
        self.shown.get(name.index()).filter(|shown| shown.name == Some(name))
    }

    /// An entity by its id, whatever it was called before.
    pub(crate) fn find(&self, id: EntityId) -> Option<Key> {
        self.names.get(&id).copied()
    }

    pub(crate) fn contains(&self, cell: CellId) -> bool {
        self.index.contains_key(&cell)
    }

    /// A client begins to look at the cell.
    pub(crate) fn follow(&mut self, id: CellId) -> Key {
        let key = *self.index.entry(id).or_insert_with(|| {
            self.wanted.push(id);
            let key = self.cells.insert(Cell::unknown(id, self.round));
            put(&mut self.entered, key, NEVER);
            key
        });
        if let Some(cell) = self.cells.get_mut(key) {
            cell.followers += 1;
        }
        key
    }

    /// A client looks away; the last one takes the cell with it.
    pub(crate) fn unfollow(&mut self, key: Key) {
        let Some(cell) = self.cells.get_mut(key) else { return };
        cell.followers -= 1;
        if cell.followers > 0 {
            return;
        }
        let Some(cell) = self.cells.remove(key) else { return };
        self.index.remove(&cell.id);
        self.unwanted.push(cell.id);
        for member in &cell.members {
            self.forget(member.name);
        }
    }

    /// Take one cell's news of `tick`; nothing happens when nobody looks at the cell.
    pub(crate) fn apply(&mut self, feed: &CellFeed, tick: Tick) {
        let Some(&key) = self.index.get(&feed.cell) else { return };
        if feed.snapshot {
            self.begin_snapshot(key, feed, tick);
        }
        for enter in &feed.entered {
            self.enter(key, enter, tick);
        }
        for motion in &feed.moved {
            self.set_motion(key, motion, tick);
        }
        for changed in &feed.changed {
            self.set_component(key, changed);
        }
        for leave in &feed.left {
            self.leave(key, leave);
        }
    }

    /// All that the cell's shard says of `tick` is applied: whoever is not where clients expect it takes another course.
    pub(crate) fn settle(&mut self, cell: CellId, tick: Tick) {
        let (round, seconds_per_tick) = (self.round, self.seconds_per_tick);
        let Some(cell) = self.index.get(&cell).and_then(|key| self.cells.get_mut(*key)).filter(|cell| cell.live) else { return };
        (cell.heard, cell.still) = (round, false);
        for member in &cell.members {
            let (Some(entity), Some(shown)) = (self.entities.get(member.name), self.shown.get_mut(member.name.index())) else {
                continue;
            };
            if let Some(course) = entity.at.correction(shown.course, tick, seconds_per_tick, entity.hangs) {
                shown.set_course(course, round);
            }
        }
    }

    /// Before updates of `tick` are composed: who belongs to a shard that is not heard any more stands.
    pub(crate) fn still_the_silent(&mut self, tick: Tick) {
        let (round, seconds_per_tick) = (self.round, self.seconds_per_tick);
        for cell in self.cells.values_mut().filter(|cell| !cell.still && round - cell.heard > SILENT_ROUNDS) {
            cell.still = true;
            for member in &cell.members {
                let Some(shown) = self.shown.get_mut(member.name.index()).filter(|shown| shown.course.moves()) else { continue };
                shown.set_course(shown.course.ended(tick, seconds_per_tick), round);
            }
        }
    }

    /// The updates of this round are composed: what comes now belongs to the next.
    pub(crate) fn end_round(&mut self) {
        self.round += 1;
        let later = self.due.split_off(&(self.round + 1));
        let now = std::mem::replace(&mut self.due, later);
        now.into_values().flatten().for_each(|due| self.end_limbo(due));
    }

    /// Who is not in the snapshot is on its way to another cell, or gone: drawn for a while, in case its `entered` is coming.
    fn begin_snapshot(&mut self, key: Key, feed: &CellFeed, tick: Tick) {
        let Some(cell) = self.cells.get_mut(key) else { return };
        cell.live = true;
        let mut present: Vec<_> = feed.entered.iter().map(|enter| enter.entity).collect();
        present.sort_unstable();
        let absent = cell.members.iter().map(|member| member.entity).filter(|entity| present.binary_search(entity).is_err());
        let absent: Vec<_> = absent.collect();
        for entity in absent {
            let known_at = self.find(entity).and_then(|name| self.entities.get(name)).map(|known| known.tick);
            if known_at.is_some_and(|known_at| known_at <= tick) {
                self.begin_limbo(feed.cell, entity, None);
            }
        }
    }

    fn enter(&mut self, key: Key, enter: &Enter, tick: Tick) {
        let name = self.name(enter.entity);
        let round = self.round;
        let (Some(entity), Some(shown)) = (self.entities.get_mut(name), self.shown.get_mut(name.index())) else { return };
        if entity.place.is_some() && entity.tick > tick {
            entity.doubted = self.cells.get(key).map(|cell| cell.id);
            return;
        }
        (entity.tick, entity.hangs, entity.doubted) = (tick, false, None);
        entity.replace_components(&enter.components, &self.described, shown, round);
        if entity.place.is_none_or(|(cell, _)| cell != key) {
            self.take_out(name);
            self.put_in(key, name);
        }
    }

    fn set_motion(&mut self, key: Key, motion: &Motion, tick: Tick) {
        let Some((entity, shown)) = self.member_mut(key, motion.entity) else { return };
        let is_new = entity.at.is_unknown();
        entity.at = Whereabouts::told(shown.cell, motion, tick);
        if is_new {
            shown.course = entity.at.course();
        }
    }

    fn set_component(&mut self, key: Key, changed: &Changed) {
        let round = self.round;
        if self.described.binary_search(&changed.component.id).is_err() {
            return;
        }
        let Some((entity, shown)) = self.member_mut(key, changed.entity) else { return };
        entity.set_component(&changed.component, shown, round);
    }

    fn leave(&mut self, key: Key, leave: &Leave) {
        let Some((_, shown)) = self.member_mut(key, leave.entity) else { return };
        let cell = shown.cell;
        if leave.to.is_some_and(|to| to != cell && self.contains(to)) {
            self.begin_limbo(cell, leave.entity, leave.to);
        } else if let Some(&name) = self.names.get(&leave.entity) {
            self.forget(name);
        }
    }

    fn begin_limbo(&mut self, cell: CellId, entity: EntityId, to: Option<CellId>) {
        let Some(known) = self.names.get(&entity).and_then(|name| self.entities.get_mut(*name)) else { return };
        known.hangs = true;
        let tick = known.tick;
        self.due.entry(self.round + LIMBO_ROUNDS).or_default().push(EndLimbo { cell, entity, tick, to });
    }

    /// Nobody told that it entered anywhere, here included: it is gone. Or its new owner's clock is behind the former one's, and
    /// its news looked older than what is known: the cells where it may have gone are asked for once more.
    fn end_limbo(&mut self, due: EndLimbo) {
        let EndLimbo { cell, entity, tick, to } = due;
        let Some(name) = self.find(entity) else { return };
        let Some(known) = self.entities.get(name).filter(|known| known.tick == tick) else { return };
        if self.shown(name).is_none_or(|shown| shown.cell != cell) {
            return;
        }
        let to = to.filter(|to| known.doubted != Some(*to) && self.contains(*to));
        self.wanted.extend(to);
        self.forget(name);
    }

    /// Out of its cell and out of sight. If it was told to be elsewhere, in news that looked older, that cell is asked for again.
    fn forget(&mut self, name: Key) {
        self.take_out(name);
        if let Some(entity) = self.entities.remove(name) {
            self.names.remove(&entity.id);
            self.shown[name.index()].name = None;
            let doubted = entity.doubted.filter(|doubted| self.contains(*doubted));
            self.wanted.extend(doubted);
        }
    }

    fn put_in(&mut self, key: Key, name: Key) {
        let round = self.round;
        let (Some(cell), Some(entity)) = (self.cells.get_mut(key), self.entities.get_mut(name)) else { return };
        entity.place = Some((key, cell.members.len() as u32));
        cell.members.push(Member { name, entity: entity.id, entered: round });
        let shown = &mut self.shown[name.index()];
        (shown.cell, shown.news) = (cell.id, round);
        self.entered[key.index()] = round;
    }

    fn take_out(&mut self, name: Key) {
        let Some((key, index)) = self.entities.get_mut(name).and_then(|entity| entity.place.take()) else { return };
        let Some(cell) = self.cells.get_mut(key) else { return };
        cell.members.swap_remove(index as usize);
        let moved_up = cell.members.get(index as usize).map(|member| member.name);
        if let Some(entity) = moved_up.and_then(|name| self.entities.get_mut(name)) {
            entity.place = Some((key, index));
        }
    }

    /// The entity, if it is drawn in that cell.
    fn member_mut(&mut self, key: Key, entity: EntityId) -> Option<(&mut Entity, &mut Shown)> {
        let name = *self.names.get(&entity)?;
        let entity = self.entities.get_mut(name)?;
        let is_there = entity.place.is_some_and(|(place, _)| place == key);
        is_there.then_some((entity, self.shown.get_mut(name.index())?))
    }

    fn name(&mut self, id: EntityId) -> Key {
        *self.names.entry(id).or_insert_with(|| {
            let name = self.entities.insert(Entity::unknown(id));
            put(&mut self.shown, name, Shown::nothing(name, self.round));
            name
        })
    }
}

/// Into a column beside a slab.
fn put<T: Clone>(column: &mut Vec<T>, key: Key, value: T) {
    if column.len() <= key.index() {
        column.resize(key.index() + 1, value.clone());
    }
    column[key.index()] = value;
}

impl Cell {
    fn unknown(id: CellId, round: Round) -> Self {
        Self { id, followers: 0, live: false, heard: round, still: false, members: Vec::new() }
    }
}

impl Entity {
    fn unknown(id: EntityId) -> Self {
        Self { id, place: None, tick: Tick(0), hangs: false, doubted: None, at: Whereabouts::default(), components: Vec::new() }
    }

    fn replace_components(&mut self, components: &[ComponentBytes], described: &[TypeId], shown: &mut Shown, round: Round) {
        let before = self.components.len();
        self.components.retain(|(_, old)| components.iter().any(|new| new.id == old.id));
        if self.components.len() < before {
            (shown.shaped, shown.news) = (round, round);
        }
        for component in components.iter().filter(|component| described.binary_search(&component.id).is_ok()) {
            self.set_component(component, shown, round);
        }
    }

    fn set_component(&mut self, component: &ComponentBytes, shown: &mut Shown, round: Round) {
        match self.components.binary_search_by_key(&component.id, |(_, known)| known.id) {
            Ok(at) if self.components[at].1 == *component => return,
            Ok(at) => self.components[at] = (round, component.clone()),
            Err(at) => self.components.insert(at, (round, component.clone())),
        }
        (shown.altered, shown.news) = (round, round);
    }
}

impl Shown {
    fn nothing(name: Key, round: Round) -> Self {
        let (cell, course) = (CellId::default(), Course::default());
        Self { name: Some(name), cell, course, moved: round, altered: round, shaped: round, news: round }
    }

    fn set_course(&mut self, course: Course, round: Round) {
        (self.course, self.moved, self.news) = (course, round, round);
    }
}
