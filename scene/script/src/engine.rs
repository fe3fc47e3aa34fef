//! Luau as an [`Engine`]: one machine per script and shard, so that none can starve or spoil another.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use mlua::chunk::{ChunkMode, Compiler};
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};
// Only linked.
use pangaea_luau as _;
use pangaea_scene::game::Phase;
use pangaea_scene::prelude::{Near, Position};
use pangaea_scene::scripts::{Batch, Engine, Fault, Heard, SENT_MAX, STEPS_MAX, Script, Sent, Wants, Words, chance};
use pangaea_schemas::EntityId;
use pangaea_schemas::geometry::CELL_EDGE_M;
use pangaea_schemas::registry::{Field, FieldType, TypeInfo};
use pangaea_schemas::rules::{TuneValue, nearest};

use crate::fault::{chunk_name, fault};
use crate::layout::{kind, prelude};
use crate::meter::{GREEDY, Meter};
use crate::types::definitions;
use crate::{MEMORY_BYTES_MAX, PRINTS_MAX};

/// What a script may say of itself.
const KEYS: [&str; 8] = ["phase", "reads", "writes", "with", "without", "hears", "run", "each"];

/// The prelude's name where errors tell it.
const PRELUDE: &str = "=[prelude]";
/// What one call is charged at most: far above any budget, far below where counters end.
const CHARGE_MAX: f64 = 1e12;
/// Steps of a message, which is looked up and packed.
const MESSAGE_STEPS: u64 = 8;
/// Draws of chance, and cells that are looked into, in one step.
const DRAWS_PER_STEP: u64 = 4;

/// Scripts in Luau.
pub struct Luau;

impl Engine for Luau {
    fn load(&self, name: &str, source: &str, words: &Words) -> Result<Box<dyn Script>, Fault> {
        let loaded = LuauScript::load(name, source, words);
        loaded.map(|script| Box::new(script) as Box<dyn Script>).map_err(|error| fault(name, &error))
    }

    fn definitions(&self, words: &Words) -> String {
        definitions(words)
    }
}

/// What the functions that a script calls share with the tick.
#[derive(Default)]
struct Tick {
    seed: u64,
    draws: u64,
    prints: u64,
    ids: Vec<EntityId>,
    sent: Sent,
}

struct LuauScript {
    name: String,
    wants: Wants,
    lua: Lua,
    meter: Meter,
    tick: Arc<Mutex<Tick>>,
    /// The script as a function that begins anew.
    main: Function,
    /// The prelude's part of a tick.
    run: Function,
    host: Table,
    world: Table,
    /// Of the tunables in `world`.
    rules: Option<u64>,
    /// Steps that it took last.
    spent: u64,
}

impl LuauScript {
    fn load(name: &str, source: &str, words: &Words) -> mlua::Result<Self> {
        let libraries = StdLib::MATH | StdLib::TABLE | StdLib::STRING | StdLib::BIT | StdLib::BUFFER;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        lua.set_compiler(compiler());
        // What the prelude calls is the language's own, and is known when it is loaded.
        lua.globals().set_safeenv(true);
        let (meter, tick) = (Meter::default(), Arc::<Mutex<Tick>>::default());
        meter.begin(&lua, STEPS_MAX);
        let (host, world) = (lua.create_table()?, lua.create_table()?);
        let words = Arc::new(words.clone());
        host.set("world", &world)?;
        host.set("progress", lua.create_table()?)?;
        offer(&lua, name, &meter, &tick, &words, (&host, &world))?;
        let layout = lua.create_table()?;
        host.set("layout", &layout)?;
        let made: Table = lua.load(prelude_code()?).set_name(PRELUDE).set_mode(ChunkMode::Binary).call(&host)?;
        let globals: Table = made.get("globals")?;
        // Names are looked up when a chunk is loaded, among the machine's globals and not in the chunk's environment: so these
        // are the only ones that there are from now on.
        lua.set_globals(globals.clone())?;
        lua.sandbox(true)?;
        let chunk = lua.load(source).set_name(format!("={}", chunk_name(name))).set_mode(ChunkMode::Text);
        let main = chunk.set_environment(globals).into_function()?;
        lua.set_memory_limit(MEMORY_BYTES_MAX)?;
        meter.install(&lua);
        let wants = wants(&main.call(())?)?;
        describe(&lua, &layout, &wants, &words)?;
        let run = made.get("run")?;
        let spent = meter.spent();
        Ok(Self { name: name.to_owned(), wants, lua, meter, tick, main, run, host, world, rules: None, spent })
    }

    /// What changed since the last tick.
    fn tell(&mut self, batch: &mut Batch<'_>) -> mlua::Result<()> {
        let world = &self.world;
        world.set_readonly(false);
        world.set("tick", batch.tick.0 as f64)?;
        world.set("dt", batch.dt)?;
        if self.rules != Some(batch.rules) {
            world.set("tune", tuned(&self.lua, batch.tuned)?)?;
            self.rules = Some(batch.rules);
        }
        let heard = self.lua.create_table()?;
        for (info, letters) in &batch.heard {
            heard.set(info.name.as_str(), letters_of(&self.lua, info, letters)?)?;
        }
        self.host.set("heard", heard)?;
        *lock(&self.tick) = Tick { seed: batch.seed, ids: std::mem::take(&mut batch.ids), ..Tick::default() };
        Ok(())
    }

    fn call(&self, batch: &mut Batch<'_>) -> mlua::Result<()> {
        let (lua, world) = (&self.lua, &self.world);
        self.meter.begin(lua, batch.steps);
        let names: Vec<u8> = lock(&self.tick).ids.iter().flat_map(|id| (id.0 as f64).to_le_bytes()).collect();
        let (count, names) = (names.len() / 8, lua.create_buffer(names)?);
        let buffers = batch.columns.iter().map(|column| lua.create_buffer(&column.bytes)).collect::<mlua::Result<Vec<_>>>()?;
        let near = batch.near;
        lua.scope(|scope| {
            let near = scope.create_function(|lua, (x, z, radius): (f32, f32, f32)| {
                self.meter.charge(cells_within(radius) / DRAWS_PER_STEP)?;
                let all = near(Position::new(x, z), radius);
                // As the prelude unpacks it.
                let row = |near: &Near| {
                    let [x, z] = [near.position.x, near.position.z].map(f64::from);
                    [near.id.0 as f64, x, z, f64::from(u8::from(near.ghost))]
                };
                lua.create_buffer(all.iter().flat_map(row).flat_map(f64::to_le_bytes).collect::<Vec<u8>>())
            })?;
            self.host.set("near", near)?;
            world.set_readonly(true);
            self.run.call::<()>((&self.main, world, count, names, buffers.clone()))
        })?;
        for (column, buffer) in batch.columns.iter_mut().zip(buffers).filter(|(column, _)| column.writes) {
            column.bytes = buffer.to_vec();
        }
        Ok(())
    }

    fn failed(&self, error: &mlua::Error) -> Fault {
        let progress = self.host.get::<Table>("progress").and_then(|progress| progress.get::<Option<usize>>("row"));
        let row = progress.ok().flatten().map(|row| row.saturating_sub(1));
        let fault = fault(&self.name, error);
        let line = if fault.line == 0 { self.meter.line() } else { fault.line };
        Fault { row, line, ..fault }
    }
}

impl Script for LuauScript {
    fn wants(&self) -> &Wants {
        &self.wants
    }

    fn spent(&self) -> u64 {
        self.spent
    }

    fn run(&mut self, batch: &mut Batch<'_>) -> Result<Sent, Fault> {
        let mut called = self.tell(batch).and_then(|()| self.call(batch));
        self.spent = self.meter.spent();
        if called.as_ref().is_err_and(is_about_memory) {
            // What earlier ticks left behind must not decide: a machine without it would have run.
            batch.ids = std::mem::take(&mut lock(&self.tick).ids);
            self.meter.follow(true);
            called = self.lua.gc_collect().and_then(|()| self.tell(batch)).and_then(|()| self.call(batch));
            self.meter.follow(false);
            // To ask for all memory in one step is not one step's work, and it was done twice.
            self.spent = (self.spent + self.meter.spent()).max(STEPS_MAX);
        }
        let steps = self.meter.spent();
        let mut tick = lock(&self.tick);
        batch.ids = std::mem::take(&mut tick.ids);
        let sent = Sent { steps, ..std::mem::take(&mut tick.sent) };
        drop(tick);
        called.map(|()| sent).map_err(|error| self.failed(&error))
    }
}

fn compiler() -> Compiler {
    Compiler::new().set_optimization_level(2).set_debug_level(1)
}

/// The prelude as the machine wants it: read once per process, not once per script and shard.
fn prelude_code() -> mlua::Result<&'static [u8]> {
    static CODE: OnceLock<mlua::Result<Vec<u8>>> = OnceLock::new();
    CODE.get_or_init(|| compiler().compile(prelude())).as_deref().map_err(Clone::clone)
}

fn lock(tick: &Mutex<Tick>) -> MutexGuard<'_, Tick> {
    tick.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_about_memory(error: &mlua::Error) -> bool {
    let said = error.to_string();
    said.contains("not enough memory") || said.contains(GREEDY)
}

fn wants(spec: &Value) -> mlua::Result<Wants> {
    let Value::Table(spec) = spec else {
        return Err(mlua::Error::runtime("a script returns what it is: `return system { phase = …, run = function … end }`"));
    };
    for pair in spec.pairs::<String, Value>() {
        let (key, _) = pair?;
        if !KEYS.contains(&key.as_str()) {
            let hint = nearest(&key, KEYS.into_iter()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(mlua::Error::runtime(format!("a system has no `{key}`{hint}")));
        }
    }
    let word: String = spec.get::<Option<String>>("phase")?.unwrap_or_default();
    let phase = Phase::ALL.into_iter().find(|phase| format!("{phase:?}") == word);
    let phase = phase.ok_or_else(|| mlua::Error::runtime(format!("`phase` is one of {:?}, not `{word}`", Phase::ALL)))?;
    let ways = ["run", "each"].into_iter().filter(|key| spec.get::<Function>(*key).is_ok()).count();
    if ways != 1 {
        return Err(mlua::Error::runtime(
            "a system has either `run = function(batch, world)` or `each = function(entity, world)`",
        ));
    }
    let names = |key| Ok::<_, mlua::Error>(spec.get::<Option<Vec<String>>>(key)?.unwrap_or_default());
    let (reads, writes): (Vec<String>, Vec<String>) = (names("reads")?, names("writes")?);
    // What is written is read as well, so it is not named twice.
    let reads = reads.into_iter().filter(|name| !writes.contains(name)).collect();
    Ok(Wants { phase, reads, writes, with: names("with")?, without: names("without")?, hears: names("hears")? })
}

/// Where the prelude finds each field.
fn describe(lua: &Lua, layout: &Table, wants: &Wants, words: &Words) -> mlua::Result<()> {
    for (at, name) in wants.reads.iter().chain(&wants.writes).enumerate() {
        let info = Words::find("component", &words.components, name).map_err(mlua::Error::runtime)?;
        let (fields, order) = (lua.create_table()?, lua.create_table()?);
        for Field { name, ty, offset, length } in &info.fields {
            let field = lua.create_table()?;
            field.set("kind", kind(*ty))?;
            field.set("offset", *offset)?;
            field.set("length", *length)?;
            field.set("size", ty.size())?;
            fields.set(name.as_str(), field)?;
            order.push(name.as_str())?;
        }
        let part = lua.create_table()?;
        part.set("at", at + 1)?;
        part.set("size", info.size)?;
        part.set("writes", at >= wants.reads.len())?;
        part.set("fields", fields)?;
        part.set("order", order)?;
        layout.set(name.as_str(), part)?;
    }
    Ok(())
}

/// The functions that are not written in the language.
fn offer(
    lua: &Lua,
    name: &str,
    meter: &Meter,
    tick: &Arc<Mutex<Tick>>,
    words: &Arc<Words>,
    (host, world): (&Table, &Table),
) -> mlua::Result<()> {
    let spent = meter.clone();
    host.set("charge", lua.create_function(move |_: &Lua, steps: f64| spent.charge(steps.clamp(0.0, CHARGE_MAX) as u64))?)?;
    let (shared, spent) = (Arc::clone(tick), meter.clone());
    let chances = move |lua: &Lua, (): ()| {
        let mut tick = lock(&shared);
        spent.charge(tick.ids.len() as u64 / DRAWS_PER_STEP)?;
        tick.draws += 1;
        let drawn: Vec<u8> = tick.ids.iter().flat_map(|id| chance(tick.seed, *id, tick.draws).to_le_bytes()).collect();
        lua.create_buffer(drawn)
    };
    host.set("chance", lua.create_function(chances)?)?;
    let (shared, script) = (Arc::clone(tick), name.to_owned());
    let print = move |_: &Lua, words: String| {
        let mut tick = lock(&shared);
        tick.prints += 1;
        if tick.prints <= PRINTS_MAX {
            tracing::info!(script, "{words}");
        }
        Ok(())
    };
    host.set("print", lua.create_function(print)?)?;
    let (shared, known, spent) = (Arc::clone(tick), Arc::clone(words), meter.clone());
    let effect = move |_: &Lua, (_, from, to, name, fields): (Value, f64, f64, String, Table)| {
        spent.charge(MESSAGE_STEPS)?;
        let info = Words::find("effect", &known.effects, &name).map_err(mlua::Error::runtime)?;
        let bytes = packed(info, &fields)?;
        let mut tick = lock(&shared);
        full(tick.sent.effects.len(), "effects")?;
        tick.sent.effects.push((EntityId(from as u64), EntityId(to as u64), info.id, bytes));
        Ok(())
    };
    world.set("effect", lua.create_function(effect)?)?;
    let (shared, known, spent) = (Arc::clone(tick), Arc::clone(words), meter.clone());
    let tell = move |_: &Lua, (_, agent, name, fields): (Value, f64, String, Table)| {
        spent.charge(MESSAGE_STEPS)?;
        let info = Words::find("event", &known.events, &name).map_err(mlua::Error::runtime)?;
        let bytes = packed(info, &fields)?;
        let mut tick = lock(&shared);
        full(tick.sent.events.len(), "events")?;
        tick.sent.events.push((EntityId(agent as u64), info.id, bytes));
        Ok(())
    };
    world.set("tell", lua.create_function(tell)?)
}

/// About as many cells as are looked into; no more than there are in a large shard.
fn cells_within(radius: f32) -> u64 {
    let edge = (2.0 * radius / CELL_EDGE_M).clamp(0.0, 30.0) as u64 + 2;
    edge * edge
}

fn full(count: usize, what: &str) -> mlua::Result<()> {
    if count < SENT_MAX { Ok(()) } else { Err(mlua::Error::runtime(format!("it sends more than {SENT_MAX} {what} in one tick"))) }
}

/// A message's fields as its memory; fields that are not named are zero.
fn packed(info: &TypeInfo, fields: &Table) -> mlua::Result<Bytes> {
    let mut bytes = vec![0; usize::from(info.size)];
    for pair in fields.pairs::<String, Value>() {
        let (name, value) = pair?;
        let Some(field) = info.fields.iter().find(|field| field.name == name) else {
            let hint = nearest(&name, info.fields.iter().map(|f| f.name.as_str()));
            let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(mlua::Error::runtime(format!("`{}` has no field `{name}`{hint}", info.name)));
        };
        let start = usize::from(field.offset);
        let place = &mut bytes[start..start + field.ty.size() * usize::from(field.length)];
        put(field, &value, place).ok_or_else(|| mlua::Error::runtime(format!("`{}.{name}` cannot be {value:?}", info.name)))?;
    }
    Ok(bytes.into())
}

/// Writes a field's first element; `None`: it is no such value.
fn put(field: &Field, value: &Value, place: &mut [u8]) -> Option<()> {
    if let (FieldType::Text, Value::String(text)) = (field.ty, value) {
        let text = text.as_bytes();
        let length = text.len().min(place.len());
        place[..length].copy_from_slice(&text[..length]);
        return Some(());
    }
    let number = value.as_f64().or_else(|| value.as_i64().map(|n| n as f64))?;
    match field.ty {
        FieldType::U8 => place[..1].copy_from_slice(&(number as u8).to_le_bytes()),
        FieldType::U16 => place[..2].copy_from_slice(&(number as u16).to_le_bytes()),
        FieldType::U32 => place[..4].copy_from_slice(&(number as u32).to_le_bytes()),
        FieldType::U64 | FieldType::Entity => place[..8].copy_from_slice(&(number as u64).to_le_bytes()),
        FieldType::I8 => place[..1].copy_from_slice(&(number as i8).to_le_bytes()),
        FieldType::I16 => place[..2].copy_from_slice(&(number as i16).to_le_bytes()),
        FieldType::I32 => place[..4].copy_from_slice(&(number as i32).to_le_bytes()),
        FieldType::I64 => place[..8].copy_from_slice(&(number as i64).to_le_bytes()),
        FieldType::F32 => place[..4].copy_from_slice(&(number as f32).to_le_bytes()),
        FieldType::F64 => place[..8].copy_from_slice(&number.to_le_bytes()),
        FieldType::Text => return None,
    }
    Some(())
}

/// What was heard, as one table for each.
fn letters_of(lua: &Lua, info: &TypeInfo, letters: &[Heard]) -> mlua::Result<Table> {
    let all = lua.create_table_with_capacity(letters.len(), 0)?;
    for Heard { to, from, bytes } in letters {
        let letter = lua.create_table()?;
        letter.set("to", to.0 as f64)?;
        letter.set("from", from.0 as f64)?;
        for field in &info.fields {
            let start = usize::from(field.offset);
            let bytes = bytes.get(start..start + field.ty.size() * usize::from(field.length)).unwrap_or_default();
            letter.set(field.name.as_str(), value_of(lua, field.ty, bytes)?)?;
        }
        all.push(letter)?;
    }
    Ok(all)
}

fn value_of(lua: &Lua, ty: FieldType, bytes: &[u8]) -> mlua::Result<Value> {
    fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.first_chunk().copied().unwrap_or([0; N])
    }
    let number = match ty {
        FieldType::U8 => f64::from(u8::from_le_bytes(first(bytes))),
        FieldType::U16 => f64::from(u16::from_le_bytes(first(bytes))),
        FieldType::U32 => f64::from(u32::from_le_bytes(first(bytes))),
        FieldType::U64 | FieldType::Entity => u64::from_le_bytes(first(bytes)) as f64,
        FieldType::I8 => f64::from(i8::from_le_bytes(first(bytes))),
        FieldType::I16 => f64::from(i16::from_le_bytes(first(bytes))),
        FieldType::I32 => f64::from(i32::from_le_bytes(first(bytes))),
        FieldType::I64 => i64::from_le_bytes(first(bytes)) as f64,
        FieldType::F32 => f64::from(f32::from_le_bytes(first(bytes))),
        FieldType::F64 => f64::from_le_bytes(first(bytes)),
        FieldType::Text => {
            return lua.create_string(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).map(Value::String);
        }
    };
    Ok(Value::Number(number))
}

/// All tunables, by group and name.
fn tuned(lua: &Lua, values: &[(String, TuneValue)]) -> mlua::Result<Table> {
    let all = lua.create_table()?;
    for (name, value) in values {
        let Some((group, field)) = name.split_once('.') else { continue };
        let group = match all.get::<Option<Table>>(group)? {
            Some(known) => known,
            None => {
                let fresh = lua.create_table()?;
                all.set(group, &fresh)?;
                fresh
            }
        };
        match value {
            TuneValue::Int(value) => group.set(field, *value as f64)?,
            TuneValue::Float(value) => group.set(field, *value)?,
            TuneValue::Flag(value) => group.set(field, *value)?,
            TuneValue::Text(value) => group.set(field, value.as_str())?,
        }
    }
    for pair in all.pairs::<Value, Table>() {
        pair?.1.set_readonly(true);
    }
    all.set_readonly(true);
    Ok(all)
}
