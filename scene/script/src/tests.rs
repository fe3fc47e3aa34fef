//! What scripts can do, what they cannot, and that neither harms anybody else.

use std::sync::Arc;

use pangaea_scene::game::Game;
use pangaea_scene::prelude::*;
use pangaea_scene::profile::Moment;
use pangaea_scene::scripts::{Batch, Engine, Packed, STEPS_MAX, Words};

use crate::Luau;

/// How much it can take.
#[component]
struct Health {
    now: u16,
    max: u16,
}

/// How it looks.
#[component]
struct Look {
    hue: f32,
    name: Text<8>,
}

/// What it has been through.
#[component]
struct Past {
    wide: u64,
    marks: [u16; 2],
    hits: i32,
}

/// Someone is hit.
#[effect]
struct Hit {
    damage: u16,
}

/// Someone was hurt.
#[event]
struct Hurt {
    damage: u16,
}

/// How it heals.
#[tunable]
struct Healing {
    /// Points per tick.
    #[tune(1, 0..=100)]
    points: u16,
}

fn game(game: &mut Game) {
    game.plugin(crate::plugin);
    game.component::<Health>().replicated().persistent().ghosted();
    game.component::<Look>().persistent();
    game.component::<Past>();
    game.effect::<Hit>().event::<Hurt>();
    game.tunable::<Healing>();
    game.birth(|agent| {
        agent.insert((Health { now: 50, max: 100 }, Look { hue: 0.0, name: Text::new("") }));
    });
    game.system(Phase::React, |mut all: Query<&mut Velocity>| all.iter_mut().for_each(|mut v| v.x += 1.0));
}

fn world() -> Harness {
    Harness::new(game)
}

const HERE: Position = Position::new(600.0, 600.0);

fn health(world: &Harness, id: EntityId) -> u16 {
    world.get::<Health>(id).expect("here").now
}

#[test]
fn whoever_listens_hears_a_script_by_its_name() {
    use std::sync::{Arc, Mutex};

    let mut world = world();
    world.scripts(&[("heal", HEAL)]);
    let names = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&names);
    world.world.listen_to_systems(Some(Box::new(move |moment| {
        if let Moment::Ended(name) = moment {
            heard.lock().expect("whole").push(name.to_string());
        }
    })));
    world.tick();
    let names = names.lock().expect("whole").clone();
    assert!(names.len() == 2 && names.contains(&"script heal".to_owned()), "{names:?}");
}

const HEAL: &str = r#"
return system {
    phase = "React",
    writes = { "health" },
    run = function(batch, world)
        local now, max = batch:read("health.now"), batch:read("health.max")
        for row = 1, batch.count do
            now[row] = math.min(now[row] + world.tune.healing.points, max[row])
        end
        batch:write("health.now", now)
    end,
}
"#;

#[test]
fn a_script_is_a_system_over_columns() {
    let mut world = world();
    let hurt: Vec<EntityId> = (0..20).map(|n| world.spawn(HERE, Health { now: n, max: 10 })).collect();
    world.scripts(&[("heal", HEAL)]);
    world.tick();
    assert_eq!(hurt.iter().map(|id| health(&world, *id)).collect::<Vec<_>>()[..12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]);
    world.tune("healing.points", TuneValue::Int(5));
    world.tick();
    assert_eq!(health(&world, hurt[0]), 6, "tunables are heard of");
    assert_eq!(world.script_faults(), [""; 0]);
}

#[test]
fn entities_may_be_taken_one_by_one() {
    let mut world = world();
    let id = world.spawn(HERE, (Health { now: 1, max: 10 }, Look { hue: 2.5, name: Text::new("Wolf") }));
    world.scripts(&[(
        "each",
        r#"return system { phase = "Act", reads = { "health" }, writes = { "look", "position" }, each = function(entity, world)
            entity.look.hue += entity.health.max
            entity.look.name = entity.look.name .. "s"
            entity.position.x += 1
        end }"#,
    )]);
    world.ticks(2);
    assert_eq!(world.script_faults(), [""; 0]);
    assert_eq!(world.get::<Look>(id), Some(Look { hue: 22.5, name: Text::new("Wolfss") }));
    assert_eq!(world.get::<Position>(id), Some(Position::new(602.0, 600.0)));
}

#[test]
fn every_kind_of_field_comes_back_as_it_went() {
    let mut world = world();
    let past = Past { wide: u64::MAX - 5, marks: [7, 8], hits: -3 };
    let id = world.spawn(HERE, past);
    world.scripts(&[(
        "fields",
        r#"return system { phase = "Act", writes = { "past" }, run = function(batch)
            for _, path in { "past.wide", "past.marks[2]", "past.hits" } do batch:write(path, batch:read(path)) end
            local marks = batch:read("past.marks[1]")
            marks[1] += 1
            batch:write("past.marks[1]", marks)
        end }"#,
    )]);
    world.tick();
    assert_eq!(world.script_faults(), [""; 0]);
    assert_eq!(world.get::<Past>(id), Some(Past { marks: [8, 8], ..past }), "even a number that a script cannot say");
}

#[test]
fn who_is_meant_follows_from_components() {
    let mut world = world();
    let plain = world.spawn(HERE, Health { now: 1, max: 10 });
    let looked = world.spawn(HERE, (Health { now: 1, max: 10 }, Look { hue: 0.0, name: Text::new("") }));
    let add = |rule: &str| {
        format!(r#"return system {{ phase = "Act", writes = {{ "health" }}, {rule}, each = function(e) e.health.now += 1 end }}"#)
    };
    world.scripts(&[
        ("a", &add(r#"with = { "look" }"#)),
        ("b", &add(r#"without = { "look" }"#)),
        ("c", &add(r#"with = { "look" }"#)),
    ]);
    world.tick();
    assert_eq!((health(&world, plain), health(&world, looked)), (2, 3));
}

#[test]
fn effects_and_events_go_out_and_effects_are_heard() {
    let mut world = world();
    let (anna, wolf) = (world.player("Anna"), world.spawn(HERE, Health { now: 9, max: 9 }));
    world.scripts(&[
        (
            "bite",
            r#"return system { phase = "Act", reads = { "position" }, without = { "player" }, run = function(batch, world)
                for row, id in batch:ids() do
                    for _, near in world:near(batch:read("position.x")[row], batch:read("position.z")[row], 500) do
                        if near.id ~= id then world:effect(id, near.id, "hit", { damage = 3 }) end
                    end
                end
            end }"#,
        ),
        (
            "suffer",
            r#"return system { phase = "React", writes = { "health" }, hears = { "hit" }, run = function(batch, world)
                local now, rows = batch:read("health.now"), {}
                for row, id in batch:ids() do rows[id] = row end
                for _, hit in batch.heard.hit do
                    now[rows[hit.to]] -= hit.damage
                    world:tell(hit.to, "hurt", { damage = hit.damage })
                end
                batch:write("health.now", now)
            end }"#,
        ),
    ]);
    world.ticks(3);
    assert_eq!(world.script_faults(), [""; 0]);
    assert_eq!((health(&world, anna), health(&world, wolf)), (44, 9));
    assert_eq!(world.events::<Hurt>(anna), [Hurt { damage: 3 }, Hurt { damage: 3 }]);
}

#[test]
fn ghosts_are_seen_near_and_cannot_be_written() {
    let mut world = world();
    let wolf = world.spawn(HERE, Health { now: 1, max: 9 });
    world.ghost(Position::new(769.0, 600.0), Health { now: 5, max: 9 });
    world.scripts(&[(
        "count",
        r#"return system { phase = "Act", writes = { "health" }, run = function(batch, world)
            local ghosts = 0
            for _, near in world:near(768, 600, 10) do if near.ghost then ghosts += 1 end end
            batch:write("health.now", { ghosts * 100 + batch.count })
        end }"#,
    )]);
    world.tick();
    assert_eq!(world.script_faults(), [""; 0]);
    assert_eq!(health(&world, wolf), 101);
}

#[test]
fn what_a_script_may_not_do_is_not_there() {
    let absent = [
        "pcall",
        "xpcall",
        "getfenv",
        "setfenv",
        "setmetatable",
        "getmetatable",
        "rawset",
        "rawget",
        "collectgarbage",
        "coroutine",
        "require",
        "loadstring",
        "newproxy",
        "gcinfo",
        "os",
        "io",
        "debug",
        "_G",
        "math.random",
        "math.randomseed",
        "string.dump",
        "table.foreach",
        "table.move",
        "buffer.copy",
        "buffer.fill",
    ];
    for name in absent {
        let mut world = world();
        let wolf = world.spawn(HERE, Health { now: 1, max: 9 });
        world.scripts(&[("look", &body(&format!("batch:write('health.now', {{ if {name} == nil then 7 else 8 }})")))]);
        world.tick();
        assert_eq!((health(&world, wolf), world.script_faults()), (7, Vec::new()), "{name} is there");
    }
}

/// Others run, and the world turns, whatever a script does.
fn disarmed(script: &str) -> String {
    let mut world = world();
    let wolf = world.spawn(HERE, Health { now: 1, max: 100 });
    world.scripts(&[("bad", script), ("heal", HEAL)]);
    world.ticks(3);
    assert_eq!(health(&world, wolf), 4, "the other script runs");
    assert_eq!(world.get::<Velocity>(wolf).expect("here").x, 3.0, "the game's own systems run");
    let [fault] = &world.script_faults()[..] else { panic!("one fault: {:?} of {script:?}", world.script_faults()) };
    fault.clone()
}

fn body(body: &str) -> String {
    format!("return system {{ phase = \"Act\", writes = {{ \"health\" }}, run = function(batch, world)\n{body}\nend }}")
}

#[test]
fn an_endless_loop_is_ended_by_its_steps() {
    let endless = [
        "while true do end",
        "local function f() return f() end f()",
        "for _ = 1, 1e9 do string.rep('x', 60000) end",
        "local s = 'x' while true do s = string.sub(s .. s, 1, 200000) end",
        "local t = {} for i = 1, 2e5 do t[i] = i * 7919 % 100003 end table.sort(t)",
        // What does much in one call pays for it.
        "local s = string.rep('a', 1e6) while true do string.find(s, 'z', 1, true) end",
        "local s = string.rep('a', 1e6) while true do s:upper() end",
        "local t = {} for i = 1, 1e4 do t[i] = i end while true do table.concat(t) end",
        "while true do world:near(600, 600, 1e9) end",
        "while true do batch:chance() end",
        "local s = string.rep('a', 1e300)",
        // A pattern that tries for ever is one call, but each of its tries is a step.
        "string.find(string.rep('a', 60), string.rep('a*', 25) .. 'b')",
    ];
    for script in endless {
        let fault = disarmed(&body(script));
        let ends = ["it takes too many steps", "it asks for too much memory", "stack overflow"];
        assert!(ends.iter().any(|end| fault.contains(end)), "{script}: {fault}");
        assert!(fault.starts_with("bad:2: "), "{fault}");
    }
}

#[test]
fn patterns_are_for_short_texts() {
    for call in ["string.find(s, 'a*b')", "s:match('^a*$')", "s:gmatch('a')", "string.gsub(s, 'a', 'b')"] {
        let fault = disarmed(&body(&format!("local s = string.rep('a', 257) {call}")));
        assert!(fault.starts_with("bad:2: a text of 257 bytes: patterns are for texts of at most 256"), "{call}: {fault}");
    }
}

#[test]
fn scripts_share_a_shards_steps() {
    let mut world = world();
    let wolf = world.spawn(HERE, Health { now: 1, max: 100 });
    let busy = body("for _ = 1, 100000 do end");
    world.scripts(&[("a", &busy), ("b", &busy), ("heal", HEAL)]);
    world.ticks(2);
    assert_eq!(health(&world, wolf), 3, "the third runs");
    let [fault] = &world.script_faults()[..] else { panic!("one fault: {:?}", world.script_faults()) };
    assert!(fault.starts_with("b:2: the scripts of this shard together take too many steps: 49"), "{fault}");
    assert!(world.world.script_steps() < STEPS_MAX);
}

/// What a script took by the end of a tick without entities.
fn spent(script: &str) -> u64 {
    let words = Game::build(game).expect("a game").script_words().clone();
    let mut script = Luau.load("some", script, &words).expect("it can be read");
    assert!((1_000..10_000).contains(&script.spent()), "its machine counts: {}", script.spent());
    let infos =
        script.wants().writes.iter().map(|name| Words::find("component", &words.components, name).expect("known").clone());
    let pack = |info| Packed { info: Arc::new(info), bytes: Vec::new(), writes: true };
    let mut batch = Batch {
        tick: Tick(1),
        dt: 0.05,
        seed: 1,
        ids: Vec::new(),
        columns: infos.map(pack).collect(),
        heard: Vec::new(),
        tuned: &words.tunables,
        rules: 1,
        steps: STEPS_MAX,
        near: &|_, _| Vec::new(),
    };
    let _ = script.run(&mut batch);
    script.spent()
}

#[test]
fn what_a_script_took_is_known_whatever_came_of_it() {
    let little = spent(HEAL);
    assert!(little < 1_000, "{little}");
    let busy = spent(&body("for _ = 1, 1000 do end"));
    assert!((1_000..2_000).contains(&busy), "{busy}");
    let failed = spent(&body("for _ = 1, 1000 do end error('no')"));
    assert!((1_000..2_000).contains(&failed), "{failed}");
    for dear in ["while true do end", "local t = table.create(1e8, 1)", "local t = {} for i = 1, 1e7 do t[i] = i end"] {
        assert!(spent(&body(dear)) >= STEPS_MAX, "{dear}");
    }
}

#[test]
fn scripts_that_rest_hear_later_what_came() {
    let mut world = world();
    let wolf = world.spawn(HERE, Health { now: 50, max: 100 });
    let hurt = "return system { phase = 'Act', hears = { 'hit' }, writes = { 'health' }, run = function(batch, world)
        local now = batch:read('health.now')
        for _, hit in batch.heard.hit do now[1] = now[1] - hit.damage end
        batch:write('health.now', now)
    end }";
    world.scripts(&[("hurt", hurt)]);
    world.record();
    world.tick();
    for (rests, damage, left) in [(true, 1, 50), (true, 2, 50), (false, 4, 43), (false, 0, 43), (true, 8, 43), (false, 0, 35)] {
        world.effect(wolf, wolf, Hit { damage });
        world.next_input().scripts_rest = rests;
        world.tick();
        assert_eq!((health(&world, wolf), world.world.scripts_rest()), (left, rests), "{damage}");
    }
    world.next_input().scripts_rest = true;
    world.scripts(&[("heal", HEAL)]);
    world.tick();
    assert_eq!(health(&world, wolf), 35, "it is not read yet");
    world.tick();
    assert_eq!(health(&world, wolf), 36);
    assert_eq!(world.replay(), Ok(10), "a recording knows who rested");
}

#[test]
fn what_is_told_of_a_fault_has_bounds() {
    let long = "x".repeat(5_000);
    let fault = disarmed(&format!("return system {{ phase = 'Act', reads = {{ '{long}' }}, run = function() end }}"));
    assert!(fault.len() < 1_200, "{} bytes", fault.len());
}

#[test]
fn a_huge_allocation_is_refused() {
    for script in
        ["local t = table.create(1e8, 1)", "local t = {} for i = 1, 1e7 do t[i] = i end", "local b = buffer.create(1e9)"]
    {
        let fault = disarmed(&body(script));
        assert!(fault.starts_with("bad:2: "), "{script}: {fault}");
    }
}

#[test]
fn an_error_on_one_entity_names_it_and_undoes_the_tick() {
    let mut world = world();
    let ids: Vec<EntityId> = (1..=5).map(|n| world.spawn(HERE, Health { now: n, max: 100 })).collect();
    let script = "return system { phase = \"Act\", writes = { \"health\" }, each = function(e)\n\
                  if e.health.now == 3 then error('three is too many') end\ne.health.now = 99\nend }";
    world.scripts(&[("bad", script)]);
    world.tick();
    assert_eq!(ids.iter().map(|id| health(&world, *id)).collect::<Vec<_>>(), [1, 2, 3, 4, 5], "nothing was half done");
    let values = format!("entity {}, health.now = 3, health.max = 100", ids[2]);
    assert_eq!(world.script_faults(), [format!("bad:2: three is too many ({values})")]);
}

#[test]
fn mistakes_are_told_with_the_line_and_what_to_do() {
    let told = |script: &str| {
        let words = Game::build(game).expect("a game").script_words().clone();
        Luau.load("bad", script, &words).err().map(|fault| fault.to_string()).unwrap_or_default()
    };
    let table = [
        (told("return 5"), "a script returns what it is"),
        (told("retrun 5"), "bad:1: "),
        (told("return system { phase = 'Later', run = function() end }"), "`phase` is one of [Input, Decide, Act, Move, React]"),
        (
            told("return system { phase = 'Act', raeds = {}, run = function() end }"),
            "a system has no `raeds`; did you mean `reads`?",
        ),
        (told("return system { phase = 'Act' }"), "a system has either `run"),
        (
            told("return system { phase = 'Act', reads = { 'helth' }, run = function() end }"),
            "there is no component `helth`; did you mean `health`?",
        ),
        (disarmed(&body("batch:read('health.hp')")), "bad:2: \"health\" has no field \"hp\"; it has now, max"),
        (disarmed(&body("batch:read('look.hue')")), "bad:2: \"look.hue\" is not a field of a component that the script names"),
        (
            disarmed(&body("local now = batch:read('health.now') now[1] = 'x' batch:write('health.now', now)")),
            "bad:2: \"health.now\" wants a number for each entity; for number 1 there is x (entity ",
        ),
        (disarmed(&body("batch:write('health.now', {})")), "bad:2: \"health.now\" wants 1 values"),
        (disarmed(&body("world:effect(1, 2, 'hti', {})")), "bad:2: there is no effect `hti`; did you mean `hit`?"),
        (disarmed(&body("world:effect(1, 2, 'hit', { damge = 1 })")), "`hit` has no field `damge`; did you mean `damage`?"),
        (disarmed(&body("counter = 1")), "bad:2: attempt to modify a readonly table"),
        (disarmed(&body("os.exit()")), "bad:2: attempt to index nil with 'exit'"),
        (
            disarmed("return system { phase = 'Act', writes = { 'player' }, run = function() end }"),
            "scripts cannot change `player`",
        ),
    ];
    for (said, expected) in table {
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
}

#[test]
fn nothing_stays_in_a_script_between_two_ticks() {
    let mut world = world();
    let wolf = world.spawn(HERE, Health { now: 0, max: 100 });
    let script = "local ticks = 0\n".to_owned() + &body("ticks += 1 batch:write('health.now', { ticks })");
    world.scripts(&[("memory", &script)]);
    world.ticks(5);
    assert_eq!(health(&world, wolf), 1);
}

#[test]
fn a_script_that_failed_runs_again_when_it_is_mended() {
    let mut world = world();
    let wolf = world.spawn(HERE, Health { now: 1, max: 100 });
    world.scripts(&[("heal", "return system { phase = 'Act', run = function() error('x') end }")]);
    world.ticks(2);
    assert_eq!(world.script_faults().len(), 1);
    world.scripts(&[("heal", HEAL)]);
    world.ticks(2);
    assert_eq!((health(&world, wolf), world.script_faults().len()), (3, 0));
}

/// A shard in which scripts draw lots, and its state after each tick.
fn lots(spawn: impl Fn(&mut Harness)) -> Vec<u64> {
    let mut world = world();
    spawn(&mut world);
    let script = body(
        "local now, luck, more = batch:read('health.now'), batch:chance(), batch:chance()
         for row = 1, batch.count do now[row] = (now[row] + luck[row] * 100 + more[row] * 7) // 1 end
         batch:write('health.now', now)",
    );
    world.scripts(&[("lots", &script)]);
    (0..10)
        .map(|_| {
            world.tick();
            world.world.state_hash()
        })
        .collect()
}

#[test]
fn the_same_inputs_have_the_same_result() {
    let spawn = |world: &mut Harness| {
        for n in 0..50 {
            world.spawn(HERE, Health { now: n, max: 100 });
        }
    };
    let first = lots(spawn);
    assert_eq!(first, lots(spawn));
    assert_eq!(first.iter().collect::<std::collections::BTreeSet<_>>().len(), 10, "and it is no standstill");
}

#[test]
fn a_shard_that_moved_goes_on_as_if_it_had_not() {
    let spawn = |world: &mut Harness| {
        for n in 0..50_u16 {
            // Archetypes differ, and with them the order in which the world holds its entities.
            if n % 3 == 0 {
                world.spawn(HERE, (Health { now: n, max: 100 }, Look { hue: 0.0, name: Text::new("") }));
            } else {
                world.spawn(HERE, Health { now: n, max: 100 });
            }
        }
    };
    let script = body(
        "local now, luck = batch:read('health.now'), batch:chance()
         for row = 1, batch.count do now[row] = (now[row] + luck[row] * 100 + row) // 1 end
         batch:write('health.now', now)",
    );
    let mut stayed = world();
    spawn(&mut stayed);
    stayed.scripts(&[("lots", &script)]);
    stayed.ticks(3);
    let mut moved = stayed.moved();
    moved.scripts(&[("lots", &script)]);
    for _ in 0..5 {
        stayed.tick();
        moved.tick();
        assert_eq!(stayed.world.state_hash(), moved.world.state_hash());
    }
}

#[test]
fn ten_thousand_entities_are_far_from_the_budget() {
    let mut world = world();
    for n in 0..10_000_u16 {
        world.spawn(HERE, Health { now: n % 100, max: 100 });
    }
    world.scripts(&[("heal", HEAL)]);
    world.ticks(2);
    assert_eq!(world.script_faults(), [""; 0]);
    let steps = world.world.script_steps();
    assert!(steps > 10_000 && steps < STEPS_MAX / 5, "{steps} steps");
}

#[test]
fn editors_are_told_what_there_is() {
    let text = crate::types::definitions(Game::build(game).expect("a game").script_words());
    for line in [
        "export type Component_health = { now: number, max: number }",
        "export type Component_look = { hue: number, name: string }",
        "export type EffectName = \"hit\"",
        "\thealing: { points: number },",
        "declare function system(spec: System): System",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
}
