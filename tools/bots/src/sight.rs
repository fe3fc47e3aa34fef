//! What a bot draws, by the rules of the protocol alone, and what is wrong with it.
//!
//! An update is applied in three passes over its cells: who entered, who moved or changed, who left. `left` and a snapshot's
//! silence count only for entities that are still drawn in that cell.

use std::time::{Duration, Instant};

use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::{CELL_EDGE_M, CellId, CellOffset, Position, SpaceId};
use pangaea_schemas::wire::update::{Alias, CellUpdate, Update};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::anomaly::{Anomalies, AnomalyKind};
use crate::inputs::Abilities;

/// Back within this time: it blinked.
const BLINK: Duration = Duration::from_millis(300);
/// Back elsewhere than this: it is another story.
const BLINK_M: f32 = 5.0;
/// Departures remembered before old ones are forgotten.
const DEPARTURES_MAX: usize = 64;

/// An entity as drawn.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    entity: EntityId,
    cell: (u16, u16),
    offset: CellOffset,
    is_item: bool,
    is_player: bool,
    has_health: bool,
}

impl Drawn {
    fn position(&self) -> Position {
        self.offset.position(CellId { space: SpaceId(0), x: self.cell.0, z: self.cell.1 })
    }
}

/// Everything in sight of one bot.
pub(crate) struct Sight {
    own: EntityId,
    /// Full speed in m/s, as the own agent's component says.
    pub(crate) speed: Option<f32>,
    pub(crate) own_seen: Instant,
    drawn: FxHashMap<Alias, Drawn>,
    names: FxHashMap<EntityId, Alias>,
    departed: FxHashMap<EntityId, (Instant, Drawn)>,
}

impl Sight {
    pub(crate) fn of(own: EntityId, now: Instant) -> Self {
        Self {
            own,
            speed: None,
            own_seen: now,
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
        for cell in &update.cells {
            self.enter(now, cell, anomalies);
        }
        for cell in &update.cells {
            self.change(cell, abilities, anomalies);
        }
        let own = update.head.position;
        for cell in &update.cells {
            self.leave(now, cell, own, anomalies);
        }
        for gone in &update.gone {
            let lost: Vec<_> = self.drawn.iter().filter(|(_, drawn)| drawn.cell == *gone).map(|(alias, _)| *alias).collect();
            lost.into_iter().for_each(|alias| _ = self.remove(alias));
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
        let near = self.drawn.values().filter(|drawn| wanted(drawn)).map(|drawn| (drawn.position().distance(from), drawn.entity));
        let near = near.filter(|(distance, _)| *distance <= reach);
        near.min_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal)).map(|(_, entity)| entity)
    }

    fn enter(&mut self, now: Instant, cell: &CellUpdate, anomalies: &mut Anomalies) {
        for (entity, alias) in &cell.entered {
            if let Some(other) = self.names.insert(*entity, *alias).filter(|other| other != alias) {
                anomalies.note(AnomalyKind::Twice, 1.0, || format!("{entity} is drawn as {} and {}", other.0, alias.0));
                self.drawn.remove(&other);
            }
            let at = cell.moved.iter().find(|moved| moved.alias == *alias).map_or_else(CellOffset::default, |moved| moved.offset);
            let drawn = Drawn {
                entity: *entity,
                cell: (cell.x, cell.z),
                offset: at,
                is_item: false,
                is_player: false,
                has_health: false,
            };
            let before = self.drawn.insert(*alias, drawn);
            if let Some(former) = before.filter(|before| before.entity != *entity) {
                self.names.remove(&former.entity);
            }
            if before.is_none() {
                self.notice_blink(now, *entity, &drawn, anomalies);
            }
        }
    }

    fn notice_blink(&mut self, now: Instant, entity: EntityId, drawn: &Drawn, anomalies: &mut Anomalies) {
        let Some((at, before)) = self.departed.remove(&entity) else { return };
        let away = now.duration_since(at);
        if away < BLINK && before.position().distance(drawn.position()) < BLINK_M {
            let text =
                || format!("{entity} left {:?} and was away for {} ms until {:?}", before.cell, away.as_millis(), drawn.cell);
            anomalies.note(AnomalyKind::Blinked, away.as_secs_f64() * 1e3, text);
        }
    }

    fn change(&mut self, cell: &CellUpdate, abilities: &Abilities, anomalies: &mut Anomalies) {
        for moved in &cell.moved {
            match self.drawn.get_mut(&moved.alias) {
                Some(drawn) if drawn.cell == (cell.x, cell.z) => drawn.offset = moved.offset,
                // It has entered another cell in this very update.
                Some(_) => {}
                None => anomalies.note(AnomalyKind::Unknown, 1.0, || format!("alias {} moves but never entered", moved.alias.0)),
            }
        }
        for (alias, component) in &cell.components {
            let Some(drawn) = self.drawn.get_mut(alias) else {
                anomalies.note(AnomalyKind::Unknown, 1.0, || format!("alias {} changes but never entered", alias.0));
                continue;
            };
            drawn.is_item |= abilities.item == Some(component.id);
            drawn.is_player |= abilities.player == Some(component.id);
            drawn.has_health |= abilities.health == Some(component.id);
            if drawn.entity == self.own {
                self.speed = abilities.pace(component.id, &component.bytes).or(self.speed);
            }
        }
    }

    fn leave(&mut self, now: Instant, cell: &CellUpdate, own: Position, anomalies: &mut Anomalies) {
        let here = (cell.x, cell.z);
        for alias in &cell.left {
            if self.drawn.get(alias).is_some_and(|drawn| drawn.cell == here)
                && let Some(drawn) = self.remove(*alias)
                && !drawn.is_item
                && is_near(here, own)
            {
                self.departed.insert(drawn.entity, (now, drawn));
            }
        }
        if !cell.snapshot {
            return;
        }
        let present: FxHashSet<_> = cell.entered.iter().map(|(_, alias)| *alias).collect();
        let absent = self.drawn.iter().filter(|(alias, drawn)| drawn.cell == here && !present.contains(alias));
        let absent: Vec<_> = absent.map(|(alias, _)| *alias).collect();
        for alias in absent {
            if let Some(drawn) = self.remove(alias).filter(|_| is_near(here, own)) {
                anomalies.note(AnomalyKind::Lost, 1.0, || format!("{} is missing in a snapshot of {here:?}", drawn.entity));
            }
        }
    }

    fn remove(&mut self, alias: Alias) -> Option<Drawn> {
        let drawn = self.drawn.remove(&alias)?;
        if self.names.get(&drawn.entity) == Some(&alias) {
            self.names.remove(&drawn.entity);
        }
        Some(drawn)
    }
}

/// Whether a cell is the own one or touches it.
fn is_near((x, z): (u16, u16), own: Position) -> bool {
    let (own_x, own_z) = ((own.x / CELL_EDGE_M) as u16, (own.z / CELL_EDGE_M) as u16);
    x.abs_diff(own_x) <= 1 && z.abs_diff(own_z) <= 1
}

#[cfg(test)]
mod tests {
    use pangaea_schemas::registry::Registry;
    use pangaea_schemas::wire::update::Moved;

    use super::*;

    const FOX: EntityId = EntityId(9);

    fn cell(x: u16) -> CellUpdate {
        CellUpdate { x, z: 0, ..CellUpdate::default() }
    }

    fn enters(x: u16, alias: u32) -> CellUpdate {
        let moved = Moved { alias: Alias(alias), offset: CellOffset::default(), vx: 0, vz: 0 };
        CellUpdate { entered: vec![(FOX, Alias(alias))], moved: vec![moved], ..cell(x) }
    }

    fn leaves(x: u16, alias: u32) -> CellUpdate {
        CellUpdate { left: vec![Alias(alias)], ..cell(x) }
    }

    /// What a bot in cell 0 finds wrong with these updates, 50 ms apart.
    fn faults(updates: &[&[CellUpdate]]) -> Vec<&'static str> {
        let (start, abilities) = (Instant::now(), Abilities::of(&Registry::default()));
        let (mut sight, mut anomalies) = (Sight::of(EntityId(1), start), Anomalies::default());
        for (n, cells) in (0u64..).zip(updates) {
            let update = Update { cells: cells.to_vec(), ..Update::default() };
            sight.apply(start + Duration::from_millis(50 * n), &update, &abilities, &mut anomalies);
        }
        anomalies.counts().into_keys().collect()
    }

    #[test]
    fn changing_cells_is_no_fault_in_whatever_order_it_is_told() {
        assert_eq!(faults(&[&[enters(0, 5)], &[enters(1, 5)], &[leaves(0, 5)]]), [""; 0]);
        assert_eq!(faults(&[&[enters(0, 5)], &[leaves(0, 5), enters(1, 5)]]), [""; 0]);
        assert_eq!(faults(&[&[enters(0, 5)], &[leaves(0, 5)]]), [""; 0]);
    }

    #[test]
    fn a_blink_a_double_a_stranger_and_a_loss_are_seen() {
        assert_eq!(faults(&[&[enters(0, 5)], &[leaves(0, 5)], &[enters(0, 5)]]), ["blinked"]);
        assert_eq!(faults(&[&[enters(0, 5)], &[enters(1, 6)]]), ["twice"]);
        let stranger = CellUpdate { entered: Vec::new(), ..enters(0, 5) };
        assert_eq!(faults(&[&[stranger]]), ["unknown"]);
        let empty = CellUpdate { snapshot: true, ..cell(0) };
        assert_eq!(faults(&[&[enters(0, 5)], &[empty]]), ["lost"]);
    }
}
