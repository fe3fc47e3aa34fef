//! The scripts of one shard: those that the rules name, what became of them, and their turn in each phase.

use std::sync::Arc;

use bevy_ecs::entity::Entity;
use bevy_ecs::query::{QueryBuilder, QueryState};
use bevy_ecs::resource::Resource;
use bevy_ecs::schedule::{IntoScheduleConfigs, Schedule};
use bevy_ecs::world::{Mut, World};
use bytes::Bytes;
use pangaea_schemas::message::{Effect, FAULT_TEXT_BYTES_MAX, ScriptFault};
use pangaea_schemas::registry::{Field, FieldType, TypeInfo};
use pangaea_schemas::rules::{Rules, ScriptRule, TuneValue};
use pangaea_schemas::{EntityId, TypeId};

use super::{Batch, Column, Engine, Fault, Heard, MISSED_MAX, Packed, SENT_MAX, STEPS_MAX, Script, Sent, Wants, Words};
use crate::ecs::grid::Grid;
use crate::ecs::kinds::{ComponentKind, Kinds};
use crate::ecs::mail::{Outbox, Told};
use crate::ecs::population::Identity;
use crate::ecs::senses::{Now, mix};
use crate::ecs::{Position, fnv};
use crate::game::Phase;
use crate::profile::{Probe, SCRIPT_PREFIX};

/// Components that scripts see but never change: who speaks for an agent is not theirs to say.
const READ_ONLY: [&str; 1] = ["player"];

/// The scripts of a shard.
#[derive(Resource)]
pub(crate) struct Desk {
    engine: Arc<dyn Engine>,
    words: Words,
    kinds: Arc<Kinds>,
    probe: Probe,
    slots: Vec<Slot>,
    tuned: Vec<(String, TuneValue)>,
    rules: u64,
    /// Rules that hold from the next tick on in which scripts do not rest.
    next: Option<Rules>,
    /// Nobody takes a turn in this tick.
    rest: bool,
    /// Steps of this tick that count against the scripts to come.
    steps: u64,
    /// All steps of this tick: of those that failed and of reading, too.
    spent: u64,
}

struct Slot {
    rule: ScriptRule,
    /// For whoever measures.
    label: Arc<str>,
    state: State,
}

enum State {
    /// It takes its turns.
    Running(Box<Turn>),
    /// It failed, and rests until its rule changes.
    Failed(ScriptFault),
}

/// A script with its place in the world.
struct Turn {
    script: Box<dyn Script>,
    columns: Vec<Box<dyn Column>>,
    infos: Vec<Arc<TypeInfo>>,
    members: QueryState<(Entity, &'static Identity)>,
    hears: Vec<Ear>,
    /// The members as found last, and in order of id: sorting is for ticks in which somebody came or went.
    found: Vec<(EntityId, Entity)>,
    sorted: Vec<(EntityId, Entity)>,
}

type Letters = fn(&World) -> Vec<Heard>;

/// One sort of what a script hears.
struct Ear {
    info: Arc<TypeInfo>,
    letters: Letters,
    /// What came while it rested, for its next turn.
    missed: Vec<Heard>,
}

/// Puts the scripts' turns into the schedule: after the systems of each phase, before the next.
pub(crate) fn install(world: &mut World, schedule: &mut Schedule, engine: Arc<dyn Engine>, kinds: Arc<Kinds>, probe: Probe) {
    let words = kinds.words();
    let tuned = words.tunables.clone();
    let (slots, next) = (Vec::new(), None);
    world.insert_resource(Desk { engine, words, kinds, probe, slots, tuned, rules: 0, next, rest: false, steps: 0, spent: 0 });
    for (at, phase) in Phase::ALL.into_iter().enumerate() {
        let turn = move |world: &mut World| {
            world.resource_scope(|world, mut desk: Mut<Desk>| desk.take_turns(world, phase));
        };
        let turn = turn.after(phase);
        match Phase::ALL.get(at + 1) {
            Some(next) => schedule.add_systems(turn.before(*next)),
            None => schedule.add_systems(turn),
        };
    }
}

impl Desk {
    /// Who fails here, for those who wrote it.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &ScriptFault> {
        self.slots.iter().filter_map(|slot| match &slot.state {
            State::Failed(fault) => Some(fault),
            State::Running(_) => None,
        })
    }

    /// What the turns of the last tick cost together.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// They do so in this tick.
    pub(crate) fn rest(&self) -> bool {
        self.rest
    }

    /// All that was spent in the last tick, whatever came of it.
    pub(crate) fn spent(&self) -> u64 {
        self.spent
    }

    /// These rules hold from the next tick on in which scripts do not rest: reading them costs, too.
    pub(crate) fn rules_are(&mut self, rules: &Rules) {
        self.next = Some(rules.clone());
    }

    /// A tick begins, in which scripts take their turns or rest.
    pub(crate) fn begin_tick(&mut self, world: &mut World, rest: bool) {
        (self.rest, self.steps, self.spent) = (rest, 0, 0);
        if let Some(rules) = self.next.take_if(|_| !rest) {
            self.take_up(world, &rules);
        }
    }

    /// A script whose rule is the same goes on as it is, failed or not.
    fn take_up(&mut self, world: &mut World, rules: &Rules) {
        let now = |(name, initial): &(String, TuneValue)| (name.clone(), rules.tuned(name).unwrap_or(initial).clone());
        self.tuned = self.words.tunables.iter().map(now).collect();
        self.rules = rules.version;
        let mut old = std::mem::take(&mut self.slots);
        for rule in rules.scripts.iter().filter(|rule| rule.is_on) {
            let known = old.iter().position(|slot| slot.rule == *rule).map(|at| old.swap_remove(at));
            let label = || Arc::from(format!("{SCRIPT_PREFIX}{}", rule.name));
            let slot = known.unwrap_or_else(|| Slot { state: self.open(world, rule), label: label(), rule: rule.clone() });
            self.slots.push(slot);
        }
        self.slots.sort_by(|a, b| a.rule.name.cmp(&b.rule.name));
    }

    fn open(&mut self, world: &mut World, rule: &ScriptRule) -> State {
        let loaded = self.engine.load(&rule.name, &rule.source, &self.words);
        // Of one that cannot be read nobody says how far it came.
        self.spent += loaded.as_ref().map_or(STEPS_MAX, |script| script.spent());
        let opened = loaded.and_then(|script| {
            let lost = |text| Fault { script: rule.name.clone(), text, ..Fault::default() };
            Turn::new(world, &self.kinds, &self.words, script).map_err(lost)
        });
        match opened {
            Ok(turn) => State::Running(Box::new(turn)),
            Err(fault) => State::Failed(failed(world, fault)),
        }
    }

    fn take_turns(&mut self, world: &mut World, phase: Phase) {
        for slot in &mut self.slots {
            let State::Running(turn) = &mut slot.state else { continue };
            if turn.script.wants().phase != phase {
                continue;
            }
            if self.rest {
                turn.hears.iter_mut().for_each(|ear| ear.keep(world));
                continue;
            }
            let left = STEPS_MAX.saturating_sub(self.steps);
            let seed = seed(world, &slot.rule.name);
            let taken = self.probe.around(&slot.label, || turn.take(world, seed, &self.tuned, (self.rules, left)));
            self.spent += turn.script.spent();
            match taken {
                Ok(steps) => self.steps += steps,
                // What it took counts against nobody else of its shard: it does so once.
                Err(fault) => slot.state = State::Failed(failed(world, fault)),
            }
        }
    }
}

/// The same for a script in a tick of a shard, whoever runs it.
fn seed(world: &World, name: &str) -> u64 {
    let now = world.resource::<Now>();
    mix(now.seed ^ mix(now.tick.0)) ^ fnv(name.as_bytes())
}

fn failed(world: &World, fault: Fault) -> ScriptFault {
    let (tick, shard) = (world.resource::<Now>().tick, world.resource::<Now>().shard);
    let Fault { script, line, mut text, mut values, .. } = fault;
    text.truncate(text.floor_char_boundary(FAULT_TEXT_BYTES_MAX));
    values.truncate(values.floor_char_boundary(FAULT_TEXT_BYTES_MAX));
    tracing::warn!(script, line, %shard, tick = tick.0, values, "a script is off in this shard: {text}");
    ScriptFault { script, line, text, values, shard, tick }
}

impl Ear {
    /// Whoever rests hears it later.
    fn keep(&mut self, world: &World) {
        self.missed.append(&mut (self.letters)(world));
        self.missed.truncate(MISSED_MAX);
    }

    fn hear(&mut self, world: &World) -> (Arc<TypeInfo>, Vec<Heard>) {
        let mut heard = std::mem::take(&mut self.missed);
        heard.append(&mut (self.letters)(world));
        (Arc::clone(&self.info), heard)
    }
}

impl Turn {
    fn new(world: &mut World, kinds: &Kinds, words: &Words, script: Box<dyn Script>) -> Result<Self, String> {
        let Wants { reads, writes, with, without, hears, .. } = script.wants().clone();
        let find = |name: &String| kinds.scripted(name).ok_or_else(|| unknown(words, name));
        let (mut columns, mut infos) = (Vec::<Box<dyn Column>>::new(), Vec::new());
        for name in reads.iter().chain(&writes) {
            let kind = find(name)?;
            let column = kind.column.zip(kind.info).ok_or_else(|| format!("scripts cannot read the codec component `{name}`"))?;
            columns.push((column.0)(world));
            infos.push(Arc::new(column.1));
        }
        if let Some(name) = writes.iter().find(|name| READ_ONLY.contains(&name.as_str())) {
            return Err(format!("scripts cannot change `{name}`: move it to `reads`"));
        }
        let named = |names: &[String], world: &mut World| names.iter().map(|name| Ok((find(name)?.register)(world))).collect();
        let (with, without): (Result<Vec<_>, String>, Result<Vec<_>, String>) = (named(&with, world), named(&without, world));
        let (with, without) = (with?, without?);
        let mut members = QueryBuilder::<(Entity, &'static Identity)>::new(world);
        for component in columns.iter().map(|column| column.component()).chain(with) {
            members.with_id(component);
        }
        without.into_iter().for_each(|component| {
            members.without_id(component);
        });
        let members = members.build();
        let hears = hears.iter().map(|name| kinds.heard(name).ok_or_else(|| unheard(words, name))).collect::<Result<_, _>>()?;
        Ok(Self { script, columns, infos, members, hears, found: Vec::new(), sorted: Vec::new() })
    }

    /// One tick: all of it and its steps, or nothing and why. Given the rules' version, and the steps that are left.
    fn take(
        &mut self,
        world: &mut World,
        seed: u64,
        tuned: &[(String, TuneValue)],
        (rules, steps): (u64, u64),
    ) -> Result<u64, Fault> {
        self.find(world);
        let entities: Vec<Entity> = self.sorted.iter().map(|(_, entity)| *entity).collect();
        let reads = self.script.wants().reads.len();
        let pack = |(at, (column, info)): (usize, (&mut Box<dyn Column>, &Arc<TypeInfo>))| {
            let mut bytes = Vec::with_capacity(entities.len() * usize::from(info.size));
            column.pack(world, &entities, &mut bytes);
            Packed { info: Arc::clone(info), bytes, writes: at >= reads }
        };
        let before: Vec<Packed> = self.columns.iter_mut().zip(&self.infos).enumerate().map(pack).collect();
        let grid = world.resource::<Grid>();
        let now = world.resource::<Now>();
        let mut batch = Batch {
            tick: now.tick,
            dt: now.rate.seconds_per_tick(),
            seed,
            ids: self.sorted.iter().map(|(id, _)| *id).collect(),
            columns: before.clone(),
            heard: self.hears.iter_mut().map(|ear| ear.hear(world)).collect(),
            tuned,
            rules,
            steps,
            near: &|center: Position, radius| grid.within(center, radius).collect(),
        };
        let sent = self.script.run(&mut batch).map_err(|fault| with_values(fault, &batch.ids, &before))?;
        let taken = sent.steps;
        let Batch { columns: after, .. } = batch;
        for (column, (before, after)) in self.columns.iter_mut().zip(before.iter().zip(&after)).skip(reads) {
            column.unpack(world, &entities, &before.bytes, &after.bytes);
        }
        send(world, sent);
        Ok(taken)
    }

    /// Who is meant, in order of id.
    fn find(&mut self, world: &World) {
        self.members.update_archetypes(world);
        let found: Vec<(EntityId, Entity)> = self.members.iter_manual(world).map(|(entity, name)| (name.id(), entity)).collect();
        if found != self.found {
            self.sorted.clone_from(&found);
            self.sorted.sort_unstable_by_key(|(id, _)| *id);
            self.found = found;
        }
    }
}

fn unknown(words: &Words, name: &str) -> String {
    Words::find("component", &words.components, name).err().unwrap_or_else(|| format!("`{name}` cannot be used by scripts"))
}

fn unheard(words: &Words, name: &str) -> String {
    let both: Vec<TypeInfo> = words.effects.iter().chain(&words.inputs).cloned().collect();
    Words::find("effect or input", &both, name).err().unwrap_or_default()
}

fn send(world: &mut World, sent: Sent) {
    let mut outbox = world.resource_mut::<Outbox>();
    let effects = sent.effects.into_iter().take(SENT_MAX);
    outbox.effects.extend(effects.map(|(from, to, id, bytes)| Effect { to, from, id, bytes, hops: 0, within: None }));
    outbox.events.extend(sent.events.into_iter().take(SENT_MAX).map(|(agent, id, bytes): (EntityId, TypeId, Bytes)| Told {
        agent,
        id,
        bytes,
    }));
}

/// The entity that a script had in hand when it failed, in words.
fn with_values(fault: Fault, ids: &[EntityId], columns: &[Packed]) -> Fault {
    let Some((row, id)) = fault.row.and_then(|row| Some((row, ids.get(row)?))) else { return fault };
    let mut words = format!("entity {id}");
    for Packed { info, bytes, .. } in columns {
        let size = usize::from(info.size);
        let Some(value) = bytes.get(row * size..(row + 1) * size) else { continue };
        for field in &info.fields {
            words.push_str(&format!(", {}.{} = {}", info.name, field.name, shown(field.ty, within(field, value))));
        }
    }
    Fault { values: words, ..fault }
}

/// A field's bytes.
fn within<'v>(field: &Field, value: &'v [u8]) -> &'v [u8] {
    let start = usize::from(field.offset);
    value.get(start..start + field.ty.size() * usize::from(field.length)).unwrap_or_default()
}

/// A field's first element.
fn shown(ty: FieldType, bytes: &[u8]) -> String {
    fn first<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Option<T> {
        bytes.get(..size_of::<T>()).map(bytemuck::pod_read_unaligned)
    }
    let number = match ty {
        FieldType::U8 => first::<u8>(bytes).map(|n| n.to_string()),
        FieldType::U16 => first::<u16>(bytes).map(|n| n.to_string()),
        FieldType::U32 => first::<u32>(bytes).map(|n| n.to_string()),
        FieldType::U64 | FieldType::Entity => first::<u64>(bytes).map(|n| n.to_string()),
        FieldType::I8 => first::<i8>(bytes).map(|n| n.to_string()),
        FieldType::I16 => first::<i16>(bytes).map(|n| n.to_string()),
        FieldType::I32 => first::<i32>(bytes).map(|n| n.to_string()),
        FieldType::I64 => first::<i64>(bytes).map(|n| n.to_string()),
        FieldType::F32 => first::<f32>(bytes).map(|n| n.to_string()),
        FieldType::F64 => first::<f64>(bytes).map(|n| n.to_string()),
        FieldType::Text => {
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            Some(format!("{:?}", String::from_utf8_lossy(text)))
        }
    };
    number.unwrap_or_default()
}

impl Kinds {
    /// A component that scripts may name: any registered one, and where things stand.
    fn scripted(&self, name: &str) -> Option<ComponentKind> {
        let position = ComponentKind::plain::<Position>();
        std::iter::once(&position).chain(&self.components).find(|kind| kind.name == name).cloned()
    }

    fn heard(&self, name: &str) -> Option<Ear> {
        let kind = self.effects.iter().chain(&self.inputs).find(|kind| kind.name == name)?;
        Some(Ear { info: Arc::new(kind.info.clone()), letters: kind.letters, missed: Vec::new() })
    }

    /// All that scripts may name.
    pub(crate) fn words(&self) -> Words {
        let position = ComponentKind::plain::<Position>();
        let components = std::iter::once(&position).chain(&self.components);
        let infos = |kinds: &[crate::ecs::kinds::MessageKind]| kinds.iter().map(|kind| kind.info.clone()).collect();
        let specs = self.tunables.iter().flat_map(|kind| &kind.specs);
        Words {
            components: components.filter_map(|kind| kind.info.clone()).collect(),
            inputs: infos(&self.inputs),
            effects: infos(&self.effects),
            events: infos(&self.events),
            tunables: specs.map(|spec| (spec.name.clone(), spec.initial.clone())).collect(),
        }
    }
}
