//! What is compared: after each tick all that the world said and some of its entities, at the end everything.

use std::fmt;
use std::hash::{Hash, Hasher};

use pangaea_schemas::record::Presence;
use pangaea_schemas::recording::{LookedAt, TickCheck};
use pangaea_schemas::{EntityId, Tick};
use rustc_hash::FxHasher;

use super::LOOKED_PER_TICK;
use crate::ecs::{Extent, Published, ShardWorld, Simulated, fnv, mix};

/// Most entities that a difference names.
const NAMED_MAX: usize = 8;

/// How a tick that was run again differs from the one that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The first tick that differs.
    pub tick: Tick,
    /// It said something else: effects, events, transfers, news, comings and goings, or the change feed.
    pub said: bool,
    /// Entities after it, as recorded and as replayed, if these differ.
    pub entities: Option<(u32, u32)>,
    /// Of those looked at: who differs, or is not there in one of both; at most some.
    pub who: Vec<EntityId>,
    /// How many of those looked at differ.
    pub how_many: usize,
    /// In which columns: `position`, or a component's name.
    pub columns: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick {} differs", self.tick.0)?;
        if let Some((recorded, replayed)) = self.entities {
            write!(f, "; {replayed} entities instead of {recorded}")?;
        }
        if self.how_many > 0 {
            let names: Vec<String> = self.who.iter().map(ToString::to_string).collect();
            let more = if self.how_many > names.len() { " and others" } else { "" };
            write!(f, "; of those looked at {} differ: {}{more}", self.how_many, names.join(", "))?;
        }
        if !self.columns.is_empty() {
            write!(f, "; in {}", self.columns.join(", "))?;
        }
        if self.said {
            f.write_str("; effects, events, transfers, news or the change feed are others")?;
        }
        Ok(())
    }
}

/// Of what came of the systems.
pub(super) fn hash_simulated(said: &Simulated) -> u64 {
    let Simulated { crossings, effects, events, ledger, publish, spawned, despawned } = said;
    let mut hasher = FxHasher::default();
    (crossings, effects, events, ledger, publish, spawned, despawned).hash(&mut hasher);
    hasher.finish()
}

fn hash_published(published: &Published) -> u64 {
    let Published { replicated, ghosted, dirty } = published;
    let mut hasher = FxHasher::default();
    (replicated, ghosted, dirty).hash(&mut hasher);
    hasher.finish()
}

impl ShardWorld {
    /// What came of a tick whose systems' output has the hash `simulated`.
    pub(super) fn check(&self, tick: Tick, simulated: u64, published: &Published) -> TickCheck {
        let ids = self.real_ids();
        let slices = ids.len().div_ceil(LOOKED_PER_TICK).max(1) as u64;
        let slice = ids.chunks(LOOKED_PER_TICK).nth((tick.0 % slices) as usize).unwrap_or_default();
        let mut columns = vec![0_u64; 1 + self.kinds.components.len()];
        let looked = slice.iter().map(|id| LookedAt { entity: *id, hash: self.look(*id, &mut columns) }).collect();
        let said = mix(simulated) ^ hash_published(published);
        TickCheck { entities: ids.len() as u32, said, looked, columns }
    }

    /// An entity's hash, which is added to those of its columns.
    fn look(&self, id: EntityId, columns: &mut [u64]) -> u32 {
        let Some(record) = self.record_of(id, Presence::Awake, Extent::Whole) else { return 0 };
        let place = u64::from(record.position.x.to_bits()) << 32 | u64::from(record.position.z.to_bits());
        let mut add = |column: usize, value: u64| {
            if let Some(sum) = columns.get_mut(column) {
                *sum = sum.wrapping_add(mix(value ^ mix(id.0)));
            }
        };
        add(0, mix(place));
        for part in &record.components {
            let column = self.kinds.components.iter().position(|kind| kind.id == part.id);
            add(column.map_or(usize::MAX, |column| column + 1), fnv(&part.bytes));
        }
        let hash = Self::hash_record(&record);
        (hash ^ hash >> 32) as u32
    }

    /// How this world's tick differs from the recorded one, if it does.
    pub(super) fn difference(&self, tick: Tick, recorded: &TickCheck, replayed: &TickCheck) -> Option<Difference> {
        if recorded == replayed {
            return None;
        }
        let mut who: Vec<EntityId> = differing(&recorded.looked, &replayed.looked).collect();
        who.extend(differing(&replayed.looked, &recorded.looked));
        who.sort_unstable();
        who.dedup();
        let names = std::iter::once("position").chain(self.kinds.components.iter().map(|kind| kind.name));
        let sums = recorded.columns.iter().zip(&replayed.columns);
        let columns = names.zip(sums).filter(|(_, (a, b))| a != b).map(|(name, _)| name.to_owned()).collect();
        let how_many = who.len();
        who.truncate(NAMED_MAX);
        let entities = (recorded.entities != replayed.entities).then_some((recorded.entities, replayed.entities));
        Some(Difference { tick, said: recorded.said != replayed.said, entities, who, how_many, columns })
    }
}

/// Who of `these`, which are in order, is not the same among `those`.
fn differing<'a>(these: &'a [LookedAt], those: &'a [LookedAt]) -> impl Iterator<Item = EntityId> + 'a {
    let known = |look: &LookedAt| those.binary_search_by_key(&look.entity, |other| other.entity).ok().map(|at| those[at]);
    these.iter().filter(move |look| known(look) != Some(**look)).map(|look| look.entity)
}
