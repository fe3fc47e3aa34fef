//! What a player sees, as its updates tell it, and what is wrong with that.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::{CellId, Position, SpaceId};
use pangaea_schemas::wire::update::{Alias, CellUpdate, Update, UpdateHead};
use pangaea_schemas::{EntityId, InSeq, Tick, TickRate, TypeId};

/// No agent is faster, in metres per second, not even on a horse.
const SPEED_MAX: f32 = 12.0;
/// A new owner knows positions of this age, in seconds.
const RECORD_AGE: f32 = 1.2;

/// What players can do with an entity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Somebody, to fight or to trade with.
    #[default]
    Somebody,
    /// It lies there to be picked up.
    Item,
    /// It can be ridden.
    Horse,
}

/// An entity as drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    /// Which.
    pub entity: EntityId,
    cell: (u16, u16),
    /// Where, to the precision of updates.
    pub position: Position,
    /// What it is good for.
    pub kind: Kind,
}

/// Everything that one player sees.
#[derive(Debug, Default)]
pub struct Sight {
    drawn: BTreeMap<Alias, Drawn>,
    last_tick: Tick,
    /// The last news of the own agent: when, the last input in it, and where it was.
    told: Option<(Tick, InSeq, Position)>,
    /// For so long no journal may have heard of anything; a record is older by that.
    pub unwritten: Duration,
}

impl Sight {
    /// A new connection draws everything anew, and its gateway counts ticks by its own clock.
    pub fn start_over(&mut self) {
        self.drawn.clear();
        self.last_tick = Tick(0);
    }

    /// Where the own agent was told to be.
    pub fn position(&self) -> Option<Position> {
        self.told.map(|(.., position)| position)
    }

    /// What is drawn, in order of short names.
    pub fn drawn(&self) -> impl Iterator<Item = &Drawn> {
        self.drawn.values()
    }

    /// What is drawn of a kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Drawn> {
        self.drawn().filter(move |drawn| drawn.kind == kind)
    }

    /// How much is drawn.
    pub fn len(&self) -> usize {
        self.drawn.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.drawn.is_empty()
    }

    /// Takes an update; what is wrong with it goes to `anomalies`, in words.
    pub fn see(&mut self, update: &Update, anomalies: &mut Vec<String>) {
        if update.head.tick < self.last_tick {
            anomalies.push(format!("tick {} after {}", update.head.tick, self.last_tick));
        }
        self.last_tick = update.head.tick;
        self.see_oneself(&update.head, anomalies);
        for &gone in &update.gone {
            self.drawn.retain(|_, drawn| drawn.cell != gone);
        }
        for cell in &update.cells {
            self.see_cell(cell, anomalies);
        }
    }

    /// The own agent never jumps. After the loss of its owner it may stand where it stood a second ago, and while its owner is
    /// not heard it may have walked on: what counts is the time since there were news of it.
    fn see_oneself(&mut self, head: &UpdateHead, anomalies: &mut Vec<String>) {
        let UpdateHead { tick, applied, position, .. } = *head;
        let Some((before, seq, from)) = self.told else {
            self.told = Some((tick, applied, position));
            return;
        };
        if applied == seq && position == from {
            return;
        }
        let way = (position.x - from.x).hypot(position.z - from.z);
        let seconds = tick.since(before) as f32 * TickRate::DEFAULT.seconds_per_tick();
        if way > SPEED_MAX * (seconds + RECORD_AGE + self.unwritten.as_secs_f32()) {
            anomalies.push(format!("jumps {way:.1} m within {seconds:.2} s at {tick}"));
        }
        self.told = Some((tick, applied, position));
    }

    fn see_cell(&mut self, cell: &CellUpdate, anomalies: &mut Vec<String>) {
        let here = (cell.x, cell.z);
        if cell.snapshot {
            self.drawn.retain(|alias, drawn| drawn.cell != here || cell.entered.iter().any(|(_, kept)| kept == alias));
        }
        for alias in &cell.left {
            if self.drawn.get(alias).is_some_and(|drawn| drawn.cell == here) {
                self.drawn.remove(alias);
            }
        }
        for (entity, alias) in &cell.entered {
            let twin = self.drawn.iter().find(|(other, drawn)| *other != alias && drawn.entity == *entity);
            if let Some((other, _)) = twin {
                anomalies.push(format!("{entity} twice: as {} and {}", other.0, alias.0));
            }
            let kind = self.drawn.get(alias).map_or(Kind::Somebody, |drawn| drawn.kind);
            self.drawn.insert(*alias, Drawn { entity: *entity, cell: here, position: Position::default(), kind });
        }
        for moved in &cell.moved {
            match self.drawn.get_mut(&moved.alias) {
                Some(drawn) => {
                    drawn.position = moved.offset.position(CellId { space: SpaceId(0), x: drawn.cell.0, z: drawn.cell.1 });
                }
                None => anomalies.push(format!("alias {} moves but is not here", moved.alias.0)),
            }
        }
        for (alias, component) in &cell.components {
            if let Some(drawn) = self.drawn.get_mut(alias) {
                if component.id == TypeId::of("item") {
                    drawn.kind = Kind::Item;
                } else if component.id == TypeId::of("saddle") {
                    drawn.kind = Kind::Horse;
                }
            }
        }
    }
}
