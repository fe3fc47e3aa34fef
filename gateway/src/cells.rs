//! The cells that clients look at, with everything in them as last told: the gateway's copy of the world.
//!
//! Time in here is counted in *rounds*: a round ends when the updates of a tick are composed. Every change is stamped with the
//! round it came in, so a client that was sent a cell in round r needs exactly what is stamped above r, whatever it missed.
//!
//! An entity never blinks on its way from cell to cell:
//! - told `left(to)` by one shard, it stays drawn where it was until `to` tells that it entered, at most [`LIMBO_ROUNDS`];
//! - when it has moved on, its old cell says `left` only [`LEFT_DELAY_ROUNDS`] later, when the slowest cell has said `entered`.
//!   Clients apply `left` only to entities that they still draw in that cell;
//! - its alias is kept for [`ALIAS_ROUNDS`] after it went out of sight, so that it does not come back as somebody else.
//!
//! News of an entity that are older than where it is now (from a slow former owner) are dropped by their tick.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::CellId;
use pangaea_schemas::message::{CellFeed, Changed, Enter, Leave, Motion};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::wire::update::Alias;
use pangaea_schemas::{EntityId, Tick};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::interest::STARVED_ROUNDS;
use crate::slab::{Key, Slab};

/// Counts composed ticks from 1; 0 is "never".
pub(crate) type Round = u32;
/// A client that has never been sent a cell.
pub(crate) const NEVER: Round = 0;
/// How long a cell that was left for another one keeps quiet about it: until every cell has been sent also to a client whose
/// byte allowance is spent: the snapshot of a crowded cell costs it up to a second, then each cell has its turn. Whoever does
/// not look at the other cell draws the entity at the edge of sight for so long.
pub(crate) const LEFT_DELAY_ROUNDS: Round = 3 * STARVED_ROUNDS;
/// How long an entity that left for another cell is drawn where it was: 2 s at 20 Hz.
pub(crate) const LIMBO_ROUNDS: Round = 40;
/// How long an entity that went out of sight keeps its alias: 30 s at 20 Hz.
pub(crate) const ALIAS_ROUNDS: Round = 600;
/// How long a cell remembers who left it; a client behind that is sent a snapshot.
const LEFT_KEPT_ROUNDS: Round = 100;

/// An entity as drawn in a cell: what is looked at in every round, side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) name: Key,
    pub(crate) alias: Alias,
    pub(crate) motion: Motion,
    pub(crate) entered: Round,
    pub(crate) moved: Round,
    pub(crate) altered: Round,
}

/// One cell.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) id: CellId,
    /// Clients that look at it.
    followers: u32,
    /// Its content is known.
    pub(crate) live: bool,
    /// Last round in which anything changed.
    pub(crate) changed: Round,
    /// Departures above this round are all in `left`.
    pub(crate) left_since: Round,
    pub(crate) left: Vec<(Round, Alias)>,
    pub(crate) members: Vec<Member>,
    /// Encoded changes of the present round, by the round they start after.
    pub(crate) encoded: Vec<(Round, bytes::Bytes)>,
    pub(crate) encoded_in: Round,
}

/// An entity's slow data.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) id: EntityId,
    alias: Alias,
    /// The cell it is drawn in and its index there; `None`: out of sight, its alias is kept for a while.
    place: Option<(Key, u32)>,
    /// Round in which it last went out of sight.
    hidden: Round,
    /// Tick of the news that put it there.
    tick: Tick,
    /// The last cell of which it was told to be there, in news that looked older than that.
    doubted: Option<CellId>,
    /// In order of id, each with the round it changed in.
    pub(crate) components: Vec<(Round, ComponentBytes)>,
}

/// What is to happen in a later round.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// Say that the alias left the cell in that round, unless it came back.
    Depart { cell: CellId, entity: EntityId, alias: Alias, left: Round },
    /// Stop drawing the entity if it still hangs in that cell since that tick, and look for it where it went.
    EndLimbo { cell: CellId, entity: EntityId, tick: Tick, to: Option<CellId> },
    /// Forget the alias of an entity that is out of sight since that round.
    Forget { entity: EntityId, since: Round },
}

/// All cells that anybody looks at.
#[derive(Debug)]
pub(crate) struct CellStore {
    round: Round,
    index: BTreeMap<CellId, Key>,
    cells: Slab<Cell>,
    entities: Slab<Entity>,
    /// Looked up for each motion; never iterated.
    names: FxHashMap<EntityId, Key>,
    /// Aliases in use; never iterated.
    aliases: FxHashSet<u32>,
    last_alias: u32,
    due: BTreeMap<Round, Vec<Due>>,
    /// When an entity last left a cell that has not let go of it yet; never iterated.
    leaving: FxHashMap<(CellId, EntityId), Round>,
    /// Cells that got their first follower.
    pub(crate) wanted: Vec<CellId>,
    /// Cells that lost their last follower.
    pub(crate) unwanted: Vec<CellId>,
}

impl Default for CellStore {
    fn default() -> Self {
        Self {
            round: 1,
            index: BTreeMap::new(),
            cells: Slab::default(),
            entities: Slab::default(),
            names: FxHashMap::default(),
            aliases: FxHashSet::default(),
            last_alias: 0,
            due: BTreeMap::new(),
            leaving: FxHashMap::default(),
            wanted: Vec::new(),
            unwanted: Vec::new(),
        }
    }
}

impl CellStore {
    /// The round that changes are stamped with now.
    pub(crate) fn round(&self) -> Round {
        self.round
    }

    /// The cell of that key; keys are valid while a follower holds them.
    pub(crate) fn cell(&self, key: Key) -> Option<&Cell> {
        self.cells.get(key)
    }

    pub(crate) fn cell_mut(&mut self, key: Key) -> Option<&mut Cell> {
        self.cells.get_mut(key)
    }

    pub(crate) fn entity(&self, key: Key) -> Option<&Entity> {
        self.entities.get(key)
    }

    pub(crate) fn contains(&self, cell: CellId) -> bool {
        self.index.contains_key(&cell)
    }

    /// A client begins to look at the cell.
    pub(crate) fn follow(&mut self, id: CellId) -> Key {
        let key = *self.index.entry(id).or_insert_with(|| {
            self.wanted.push(id);
            self.cells.insert(Cell::unknown(id, self.round))
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
            self.put_out_of_sight(member.name);
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
            self.set_motion(key, motion);
        }
        for changed in &feed.changed {
            self.set_component(key, changed);
        }
        for leave in &feed.left {
            self.leave(key, leave);
        }
    }

    /// The updates of this round are composed: what comes now belongs to the next.
    pub(crate) fn end_round(&mut self) {
        self.round += 1;
        let later = self.due.split_off(&(self.round + 1));
        let now = std::mem::replace(&mut self.due, later);
        for due in now.into_values().flatten() {
            match due {
                Due::Depart { cell, entity, alias, left } => self.depart(cell, entity, alias, left),
                Due::EndLimbo { cell, entity, tick, to } => self.end_limbo(cell, entity, tick, to),
                Due::Forget { entity, since } => self.forget(entity, since),
            }
        }
    }

    /// Who is not in the snapshot is on its way to another cell, or gone: drawn for a while, in case its `entered` is coming.
    fn begin_snapshot(&mut self, key: Key, feed: &CellFeed, tick: Tick) {
        let Some(cell) = self.cells.get_mut(key) else { return };
        cell.live = true;
        cell.changed = self.round;
        let mut present: Vec<_> = feed.entered.iter().map(|enter| enter.entity).collect();
        present.sort_unstable();
        let absent =
            cell.members.iter().map(|member| member.motion.entity).filter(|entity| present.binary_search(entity).is_err());
        let absent: Vec<_> = absent.collect();
        for entity in absent {
            let known_at = self.names.get(&entity).and_then(|name| self.entities.get(*name)).map(|entity| entity.tick);
            if known_at.is_some_and(|known_at| known_at <= tick) {
                self.begin_limbo(feed.cell, entity, None);
            }
        }
    }

    fn enter(&mut self, key: Key, enter: &Enter, tick: Tick) {
        let name = self.name(enter.entity);
        let Some(entity) = self.entities.get_mut(name) else { return };
        if entity.place.is_some() && entity.tick > tick {
            entity.doubted = self.cells.get(key).map(|cell| cell.id);
            return;
        }
        (entity.tick, entity.doubted) = (tick, None);
        let (place, same_shape) = (entity.place, entity.replace_components(&enter.components, self.round));
        match place {
            Some((cell, index)) if cell == key => self.freshen(key, index, same_shape),
            Some((cell, _)) => {
                self.take_out(name);
                self.put_in(key, name);
                if let Some(old) = self.cells.get(cell) {
                    let alias = self.entities.get(name).map_or_else(Alias::default, |entity| entity.alias);
                    let due = Due::Depart { cell: old.id, entity: enter.entity, alias, left: self.round };
                    self.leaving.insert((old.id, enter.entity), self.round);
                    self.later(LEFT_DELAY_ROUNDS, due);
                }
            }
            None => self.put_in(key, name),
        }
    }

    /// The entity entered a cell it is drawn in already: clients need only what differs.
    fn freshen(&mut self, key: Key, index: u32, same_shape: bool) {
        let round = self.round;
        let Some(cell) = self.cells.get_mut(key) else { return };
        let Some(member) = cell.members.get_mut(index as usize) else { return };
        member.altered = round;
        if !same_shape {
            member.entered = round;
        }
        cell.changed = round;
    }

    fn set_motion(&mut self, key: Key, motion: &Motion) {
        let round = self.round;
        let Some(member) = self.member_mut(key, motion.entity) else { return };
        if member.motion != *motion || member.entered == round {
            member.motion = *motion;
            member.moved = round;
            self.touch(key);
        }
    }

    fn set_component(&mut self, key: Key, changed: &Changed) {
        let round = self.round;
        let Some(member) = self.member_mut(key, changed.entity) else { return };
        member.altered = round;
        let name = member.name;
        if let Some(entity) = self.entities.get_mut(name) {
            entity.set_component(&changed.component, round);
        }
        self.touch(key);
    }

    fn leave(&mut self, key: Key, leave: &Leave) {
        let Some(member) = self.member_mut(key, leave.entity) else { return };
        let name = member.name;
        let Some(cell) = self.cells.get(key).map(|cell| cell.id) else { return };
        if leave.to.is_some_and(|to| to != cell && self.contains(to)) {
            self.begin_limbo(cell, leave.entity, leave.to);
        } else {
            self.remove(key, name);
        }
    }

    fn begin_limbo(&mut self, cell: CellId, entity: EntityId, to: Option<CellId>) {
        let Some(tick) = self.names.get(&entity).and_then(|name| self.entities.get(*name)).map(|entity| entity.tick) else {
            return;
        };
        self.later(LIMBO_ROUNDS, Due::EndLimbo { cell, entity, tick, to });
    }

    /// Nobody told that it entered anywhere, here included: it is gone. Or its new owner's clock is behind the former one's, and
    /// its news looked older than what is known: the cells where it may have gone are asked for once more.
    fn end_limbo(&mut self, cell: CellId, entity: EntityId, since: Tick, to: Option<CellId>) {
        let (Some(&key), Some(&name)) = (self.index.get(&cell), self.names.get(&entity)) else { return };
        let hangs = self.entities.get(name).is_some_and(|e| e.tick == since && e.place.is_some_and(|(place, _)| place == key));
        if hangs {
            self.remove(key, name);
            let doubted = self.entities.get_mut(name).and_then(|entity| entity.doubted.take());
            for cell in to.into_iter().chain(doubted.filter(|doubted| Some(*doubted) != to)) {
                if self.contains(cell) {
                    self.wanted.push(cell);
                }
            }
        }
    }

    /// Out of the cell and out of sight; clients are told at once.
    fn remove(&mut self, key: Key, name: Key) {
        let alias = self.entities.get(name).map_or_else(Alias::default, |entity| entity.alias);
        self.put_out_of_sight(name);
        self.note_left(key, alias);
    }

    /// Who came back and left again has a later departure, which counts. Who has moved on meanwhile is waited for once more:
    /// clients may not have heard of its newest cell. But only once, or whoever does not look at those cells would draw a
    /// restless entity for ever.
    fn depart(&mut self, cell: CellId, entity: EntityId, alias: Alias, left: Round) {
        if self.leaving.get(&(cell, entity)) != Some(&left) {
            return;
        }
        let key = self.index.get(&cell).copied().filter(|key| self.member_mut(*key, entity).is_none());
        let heard_at = self.entered_at(entity).map_or(0, |entered| entered + LEFT_DELAY_ROUNDS);
        if key.is_some() && heard_at > self.round && self.round - left < 2 * LEFT_DELAY_ROUNDS {
            self.later(heard_at - self.round, Due::Depart { cell, entity, alias, left });
            return;
        }
        self.leaving.remove(&(cell, entity));
        if let Some(key) = key {
            self.note_left(key, alias);
        }
    }

    /// When the entity came into the cell in which it is drawn.
    fn entered_at(&self, entity: EntityId) -> Option<Round> {
        let (cell, index) = self.entities.get(*self.names.get(&entity)?)?.place?;
        self.cells.get(cell)?.members.get(index as usize).map(|member| member.entered)
    }

    fn note_left(&mut self, key: Key, alias: Alias) {
        let round = self.round;
        let Some(cell) = self.cells.get_mut(key) else { return };
        cell.left.push((round, alias));
        cell.changed = round;
        let floor = round.saturating_sub(LEFT_KEPT_ROUNDS);
        if cell.left.first().is_some_and(|(at, _)| *at <= floor) {
            cell.left.retain(|(at, _)| *at > floor);
            cell.left_since = cell.left_since.max(floor);
        }
    }

    fn put_in(&mut self, key: Key, name: Key) {
        let round = self.round;
        let (Some(cell), Some(entity)) = (self.cells.get_mut(key), self.entities.get_mut(name)) else { return };
        entity.place = Some((key, cell.members.len() as u32));
        let motion = Motion { entity: entity.id, offset: Default::default(), vx: 0, vz: 0 };
        cell.members.push(Member { name, alias: entity.alias, motion, entered: round, moved: round, altered: round });
        cell.changed = round;
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

    fn put_out_of_sight(&mut self, name: Key) {
        self.take_out(name);
        let since = self.round;
        let Some(entity) = self.entities.get_mut(name) else { return };
        entity.hidden = since;
        entity.components = Vec::new();
        let entity = entity.id;
        self.later(ALIAS_ROUNDS, Due::Forget { entity, since });
    }

    fn forget(&mut self, entity: EntityId, since: Round) {
        let Some(&name) = self.names.get(&entity) else { return };
        let out_of_sight = self.entities.get(name).is_some_and(|entity| entity.place.is_none() && entity.hidden == since);
        if let Some(entity) = out_of_sight.then(|| self.entities.remove(name)).flatten() {
            self.names.remove(&entity.id);
            self.aliases.remove(&entity.alias.0);
        }
    }

    fn later(&mut self, rounds: Round, due: Due) {
        self.due.entry(self.round + rounds).or_default().push(due);
    }

    fn touch(&mut self, key: Key) {
        let round = self.round;
        if let Some(cell) = self.cells.get_mut(key) {
            cell.changed = round;
        }
    }

    fn member_mut(&mut self, key: Key, entity: EntityId) -> Option<&mut Member> {
        let (place, index) = self.entities.get(*self.names.get(&entity)?)?.place?;
        (place == key).then(|| self.cells.get_mut(key)?.members.get_mut(index as usize)).flatten()
    }

    fn name(&mut self, id: EntityId) -> Key {
        if let Some(&name) = self.names.get(&id) {
            return name;
        }
        let alias = self.fresh_alias();
        let name = self.entities.insert(Entity {
            id,
            alias,
            place: None,
            hidden: NEVER,
            tick: Tick(0),
            doubted: None,
            components: Vec::new(),
        });
        self.names.insert(id, name);
        name
    }

    /// Aliases count up and come round after four billion, past those still in use.
    fn fresh_alias(&mut self) -> Alias {
        loop {
            self.last_alias = self.last_alias.wrapping_add(1).max(1);
            if self.aliases.insert(self.last_alias) {
                return Alias(self.last_alias);
            }
        }
    }
}

impl Cell {
    fn unknown(id: CellId, round: Round) -> Self {
        Self {
            id,
            followers: 0,
            live: false,
            changed: round,
            left_since: round.saturating_sub(1),
            left: Vec::new(),
            members: Vec::new(),
            encoded: Vec::new(),
            encoded_in: NEVER,
        }
    }
}

impl Entity {
    /// Replace all components; false when some are gone, which clients learn only by a new `entered`.
    fn replace_components(&mut self, components: &[ComponentBytes], round: Round) -> bool {
        let kept = self.components.iter().filter(|(_, old)| components.iter().any(|new| new.id == old.id)).count();
        let complete = kept == self.components.len();
        self.components.retain(|(_, old)| components.iter().any(|new| new.id == old.id));
        for component in components {
            self.set_component(component, round);
        }
        complete
    }

    fn set_component(&mut self, component: &ComponentBytes, round: Round) {
        match self.components.binary_search_by_key(&component.id, |(_, known)| known.id) {
            Ok(at) if self.components[at].1 == *component => {}
            Ok(at) => self.components[at] = (round, component.clone()),
            Err(at) => self.components.insert(at, (round, component.clone())),
        }
    }
}
