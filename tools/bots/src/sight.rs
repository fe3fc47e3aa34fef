//! What a bot draws, by the rules of the protocol alone, and what is wrong with it.
//!
//! An update says in this order who left, who entered, who goes on otherwise, whose components changed. Whoever is not in it goes
//! on as last told.

use std::time::{Duration, Instant};

use pangaea_schemas::geometry::{Position, Velocity};
use pangaea_schemas::record::ComponentBytes;
use pangaea_schemas::wire::update::{Course, Entered, Slot, Update, UpdateHead};
use pangaea_schemas::{EntityId, Tick, TickRate};
use rustc_hash::FxHashMap;

use crate::anomaly::{Anomalies, AnomalyKind};
use crate::inputs::Abilities;

/// Back within this time: it blinked.
const BLINK: Duration = Duration::from_millis(300);
/// Back elsewhere than this: it is another story.
const BLINK_M: f32 = 5.0;
/// Who is farther away may come and go at the edge of sight.
const NEAR_M: f32 = 40.0;
/// Departures remembered before old ones are forgotten.
const DEPARTURES_MAX: usize = 64;

/// An entity as drawn.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    entity: EntityId,
    position: Position,
    velocity: Velocity,
    /// When it was there.
    tick: Tick,
    is_item: bool,
    is_player: bool,
    has_health: bool,
}

impl Drawn {
    fn new(entity: EntityId, head: &UpdateHead, course: Course) -> Self {
        let (position, velocity) = (course.position(head.position), course.velocity());
        Self { entity, position, velocity, tick: head.tick, is_item: false, is_player: false, has_health: false }
    }

    /// Where it is drawn at `tick`.
    fn position_at(&self, tick: Tick) -> Position {
        let seconds = tick.since(self.tick) as f32 * TickRate::DEFAULT.seconds_per_tick();
        self.position + self.velocity * seconds
    }
}

/// Everything in sight of one bot.
pub(crate) struct Sight {
    pub(crate) own: EntityId,
    /// Full speed in m/s, as the own agent's component says.
    pub(crate) speed: Option<f32>,
    pub(crate) own_seen: Instant,
    /// Of the last update.
    tick: Tick,
    drawn: FxHashMap<Slot, Drawn>,
    names: FxHashMap<EntityId, Slot>,
    departed: FxHashMap<EntityId, (Instant, Drawn)>,
}

impl Sight {
    pub(crate) fn of(own: EntityId, now: Instant) -> Self {
        Self {
            own,
            speed: None,
            own_seen: now,
            tick: Tick(0),
            drawn: FxHashMap::default(),
            names: FxHashMap::default(),
            departed: FxHashMap::default(),
        }
    }

    /// A new connection tells everything anew.
    pub(crate) fn forget(&mut self, now: Instant) {
        *self = Self { speed: self.speed, ..Self::of(self.own, now) };
    }

    pub(crate) fn apply(&mut self, now: Instant, update: &Update, abilities: &Abilities, anomalies: &mut Anomalies) {
        self.tick = update.head.tick;
        for slot in &update.left {
            self.leave(now, *slot, &update.head, anomalies);
        }
        for entered in &update.entered {
            self.enter(now, entered, &update.head, anomalies);
            self.change(entered.slot, &entered.components, abilities, anomalies);
        }
        for (slot, course) in &update.moved {
            match self.drawn.get_mut(slot) {
                Some(drawn) => {
                    (drawn.position, drawn.velocity) = (course.position(update.head.position), course.velocity());
                    drawn.tick = update.head.tick;
                }
                None => anomalies.note(AnomalyKind::Unknown, 1.0, || format!("slot {} moves but never entered", slot.0)),
            }
        }
        for (slot, components) in &update.changed {
            self.change(*slot, components, abilities, anomalies);
        }
        if self.names.contains_key(&self.own) {
            self.own_seen = now;
        }
        if self.departed.len() > DEPARTURES_MAX {
            self.departed.retain(|_, (at, _)| now.duration_since(*at) < BLINK);
        }
    }

    /// The nearest entity that can be hit, within `reach` metres.
    pub(crate) fn nearest_target(&self, from: Position, reach: f32) -> Option<EntityId> {
        self.nearest(from, reach, |drawn| drawn.has_health && drawn.entity != self.own)
    }

    /// The nearest other player, within `reach` metres.
    pub(crate) fn nearest_player(&self, from: Position, reach: f32) -> Option<EntityId> {
        self.nearest(from, reach, |drawn| drawn.is_player && drawn.entity != self.own)
    }

    /// The nearest item on the ground, within `reach` metres.
    pub(crate) fn nearest_item(&self, from: Position, reach: f32) -> Option<EntityId> {
        self.nearest(from, reach, |drawn| drawn.is_item)
    }

    fn nearest(&self, from: Position, reach: f32, wanted: impl Fn(&Drawn) -> bool) -> Option<EntityId> {
        let near = self.drawn.values().filter(|drawn| wanted(drawn));
        let near = near.map(|drawn| (drawn.position_at(self.tick).distance(from), drawn.entity));
        let near = near.filter(|(distance, _)| *distance <= reach);
        near.min_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)).map(|(_, entity)| entity)
    }

    fn enter(&mut self, now: Instant, entered: &Entered, head: &UpdateHead, anomalies: &mut Anomalies) {
        let Entered { slot, entity, course, .. } = entered;
        if let Some(other) = self.names.insert(*entity, *slot).filter(|other| other != slot) {
            anomalies.note(AnomalyKind::Twice, 1.0, || format!("{entity} is drawn as {} and {}", other.0, slot.0));
            self.drawn.remove(&other);
        }
        let drawn = Drawn::new(*entity, head, *course);
        match self.drawn.insert(*slot, drawn) {
            Some(former) if former.entity != *entity => {
                self.names.remove(&former.entity);
                let text = || format!("slot {} is {} and {entity}", slot.0, former.entity);
                anomalies.note(AnomalyKind::Twice, 1.0, text);
            }
            Some(_) => {}
            None => self.notice_blink(now, &drawn, anomalies),
        }
    }

    fn notice_blink(&mut self, now: Instant, drawn: &Drawn, anomalies: &mut Anomalies) {
        let Some((at, before)) = self.departed.remove(&drawn.entity) else { return };
        let away = now.duration_since(at);
        if away < BLINK && before.position.distance(drawn.position) < BLINK_M {
            let (entity, place) = (drawn.entity, drawn.position);
            let text = || format!("{entity} left {:?} and was away for {} ms until {place:?}", before.position, away.as_millis());
            anomalies.note(AnomalyKind::Blinked, away.as_secs_f64() * 1e3, text);
        }
    }

    fn change(&mut self, slot: Slot, components: &[ComponentBytes], abilities: &Abilities, anomalies: &mut Anomalies) {
        let Some(drawn) = self.drawn.get_mut(&slot) else {
            return anomalies.note(AnomalyKind::Unknown, 1.0, || format!("slot {} changes but never entered", slot.0));
        };
        for component in components {
            drawn.is_item |= abilities.item == Some(component.id);
            drawn.is_player |= abilities.player == Some(component.id);
            drawn.has_health |= abilities.health == Some(component.id);
            if drawn.entity == self.own {
                self.speed = abilities.pace(component.id, &component.bytes).or(self.speed);
            }
        }
    }

    fn leave(&mut self, now: Instant, slot: Slot, head: &UpdateHead, anomalies: &mut Anomalies) {
        let Some(mut drawn) = self.drawn.remove(&slot) else {
            return anomalies.note(AnomalyKind::Unknown, 1.0, || format!("slot {} leaves but never entered", slot.0));
        };
        if self.names.get(&drawn.entity) == Some(&slot) {
            self.names.remove(&drawn.entity);
        }
        drawn.position = drawn.position_at(head.tick);
        if !drawn.is_item && drawn.position.distance(head.position) < NEAR_M {
            self.departed.insert(drawn.entity, (now, drawn));
        }
    }
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::registry::Registry;

    use super::*;

    const FOX: EntityId = EntityId(9);

    fn enters(slot: u32) -> Update {
        let entered = Entered { slot: Slot(slot), entity: FOX, course: Course::default(), components: Vec::new() };
        Update { entered: vec![entered], ..Update::default() }
    }

    fn leaves(slot: u32) -> Update {
        Update { left: vec![Slot(slot)], ..Update::default() }
    }

    fn moves(slot: u32) -> Update {
        Update { moved: vec![(Slot(slot), Course::default())], ..Update::default() }
    }

    /// What a bot finds wrong with these updates, 50 ms apart.
    fn faults(updates: &[Update]) -> Vec<&'static str> {
        let (start, abilities) = (Instant::now(), Abilities::of(&Registry::default()));
        let (mut sight, mut anomalies) = (Sight::of(EntityId(1), start), Anomalies::default());
        for (n, update) in (0u64..).zip(updates) {
            sight.apply(start + Duration::from_millis(50 * n), update, &abilities, &mut anomalies);
        }
        anomalies.counts().into_keys().collect()
    }

    #[test]
    fn entering_moving_being_told_anew_and_leaving_is_no_fault() {
        assert_eq!(faults(&[enters(5), moves(5), enters(5), leaves(5)]), [""; 0]);
    }

    #[test]
    fn a_blink_a_double_and_a_stranger_are_seen() {
        assert_eq!(faults(&[enters(5), leaves(5), enters(7)]), ["blinked"]);
        assert_eq!(faults(&[enters(5), enters(6)]), ["twice"]);
        assert_eq!(faults(&[moves(5)]), ["unknown"]);
        assert_eq!(faults(&[leaves(5)]), ["unknown"]);
    }

    #[test]
    fn whoever_is_not_told_of_goes_on() {
        let course = Course { x: 256, z: 0, vx: 512, vz: 0 };
        let drawn = Drawn::new(FOX, &UpdateHead { tick: Tick(100), ..UpdateHead::default() }, course);
        assert_eq!(drawn.position_at(Tick(140)), Position { x: 3.0, z: 0.0 });
    }
}
