//! What a player sees, as its updates tell it, and what is wrong with that.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::{Position, Velocity};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::wire::update::{Course, Slot, Update, UpdateHead};
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
    /// Where it was told to be.
    pub position: Position,
    velocity: Velocity,
    /// What it is good for.
    pub kind: Kind,
}

/// Everything that one player sees.
#[derive(Debug, Default)]
pub struct Sight {
    drawn: BTreeMap<Slot, Drawn>,
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
        let seconds = update.head.tick.since(self.last_tick) as f32 * TickRate::DEFAULT.seconds_per_tick();
        if self.last_tick != Tick(0) {
            self.drawn.values_mut().for_each(|drawn| drawn.position = drawn.position + drawn.velocity * seconds);
        }
        self.last_tick = update.head.tick;
        self.see_oneself(&update.head, anomalies);
        for slot in &update.left {
            if self.drawn.remove(slot).is_none() {
                anomalies.push(format!("slot {} leaves but is not here", slot.0));
            }
        }
        for entered in &update.entered {
            self.see_enter(entered.slot, entered.entity, anomalies);
            self.see_course(entered.slot, entered.course, &update.head, anomalies);
            self.see_components(entered.slot, &entered.components, anomalies);
        }
        for (slot, course) in &update.moved {
            self.see_course(*slot, *course, &update.head, anomalies);
        }
        for (slot, components) in &update.changed {
            self.see_components(*slot, components, anomalies);
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

    fn see_enter(&mut self, slot: Slot, entity: EntityId, anomalies: &mut Vec<String>) {
        if let Some((other, _)) = self.drawn.iter().find(|(other, drawn)| **other != slot && drawn.entity == entity) {
            anomalies.push(format!("{entity} twice: as {} and {}", other.0, slot.0));
        }
        let new = Drawn { entity, position: Position::default(), velocity: Velocity::default(), kind: Kind::Somebody };
        let former = self.drawn.insert(slot, new).filter(|former| former.entity != entity);
        if let Some(former) = former {
            anomalies.push(format!("slot {} is {} and {entity}", slot.0, former.entity));
        }
    }

    fn see_course(&mut self, slot: Slot, course: Course, head: &UpdateHead, anomalies: &mut Vec<String>) {
        match self.drawn.get_mut(&slot) {
            Some(drawn) => (drawn.position, drawn.velocity) = (course.position(head.position), course.velocity()),
            None => anomalies.push(format!("slot {} moves but is not here", slot.0)),
        }
    }

    fn see_components(&mut self, slot: Slot, components: &[ComponentBytes], anomalies: &mut Vec<String>) {
        match self.drawn.get_mut(&slot) {
            Some(drawn) => {
                for component in components {
                    if component.id == TypeId::of("item") {
                        drawn.kind = Kind::Item;
                    } else if component.id == TypeId::of("saddle") {
                        drawn.kind = Kind::Horse;
                    }
                }
            }
            None => anomalies.push(format!("slot {} changes but is not here", slot.0)),
        }
    }
}
