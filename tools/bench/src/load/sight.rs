//! What a witness draws, against where everybody says that it is: the error of what clients are told.

use std::collections::BTreeMap;

use pangaea_schemas::geometry::{Position, Velocity};
use pangaea_schemas::wire::update::{Slot, Update};
use pangaea_schemas::{EntityId, Tick, TickRate};

use super::client::Client;

/// Those who are told of in every tick.
const NEAREST: usize = 10;
/// Sights that are judged; older ones would have no truth beside them.
const SIGHTS_MAX: usize = 8;

/// An entity as drawn.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    entity: EntityId,
    position: Position,
    velocity: Velocity,
    tick: Tick,
}

/// Who drew whom where at a tick.
#[derive(Debug)]
struct Sight {
    tick: Tick,
    own: Position,
    drawn: Vec<(EntityId, Position)>,
}

/// Everything that the witnesses draw.
#[derive(Debug, Default)]
pub(super) struct Witness {
    drawn: BTreeMap<usize, BTreeMap<Slot, Drawn>>,
    /// The newest of each witness, the newest last.
    sights: BTreeMap<usize, Vec<Sight>>,
    visible: u64,
    looks: u64,
}

impl Witness {
    /// What was seen so far does not count.
    pub(super) fn forget(&mut self) {
        self.sights.clear();
        (self.visible, self.looks) = (0, 0);
    }

    pub(super) fn see(&mut self, witness: usize, own: EntityId, update: &Update) {
        let (head, drawn) = (&update.head, self.drawn.entry(witness).or_default());
        for slot in &update.left {
            drawn.remove(slot);
        }
        let entered = update.entered.iter().map(|entered| (entered.slot, entered.entity, entered.course));
        for (slot, entity, course) in entered {
            let (position, velocity) = (course.position(head.position), course.velocity());
            drawn.insert(slot, Drawn { entity, position, velocity, tick: head.tick });
        }
        for (slot, course) in &update.moved {
            if let Some(drawn) = drawn.get_mut(slot) {
                (drawn.position, drawn.velocity, drawn.tick) = (course.position(head.position), course.velocity(), head.tick);
            }
        }
        let others = drawn.values().filter(|drawn| drawn.entity != own);
        let now = others.map(|drawn| (drawn.entity, drawn.at(head.tick)));
        let sight = Sight { tick: head.tick, own: head.position, drawn: now.collect() };
        self.visible += sight.drawn.len() as u64;
        self.looks += 1;
        let sights = self.sights.entry(witness).or_default();
        if sights.len() >= SIGHTS_MAX {
            sights.remove(0);
        }
        sights.push(sight);
    }

    /// Errors in metres of the nearest and of the others, and how many are in sight on average.
    pub(super) fn judge(&self, clients: &[Client]) -> (Vec<f64>, Vec<f64>, f64) {
        let truth: BTreeMap<(EntityId, Tick), Position> =
            clients.iter().flat_map(|c| c.places.iter().map(|(tick, place)| ((c.agent, *tick), *place))).collect();
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for Sight { tick, own, drawn } in self.sights.values().flatten() {
            let known = drawn.iter().filter_map(|(entity, drawn)| Some((truth.get(&(*entity, *tick))?, drawn)));
            let mut known: Vec<_> =
                known.map(|(truth, drawn)| (truth.distance(*own), f64::from(truth.distance(*drawn)))).collect();
            known.sort_by(|a, b| a.0.total_cmp(&b.0));
            let errors: Vec<f64> = known.into_iter().map(|(_, error)| error).collect();
            let (first, rest) = errors.split_at(NEAREST.min(errors.len()));
            near.extend_from_slice(first);
            far.extend_from_slice(rest);
        }
        (near, far, self.visible as f64 / self.looks.max(1) as f64)
    }
}

impl Drawn {
    fn at(&self, tick: Tick) -> Position {
        self.position + self.velocity * (tick.since(self.tick) as f32 * TickRate::DEFAULT.seconds_per_tick())
    }
}
