//! scratch
use std::time::Instant;
use pangaea_scene::prelude::*;
use pangaea_scene::game::Game;
use pangaea_scene::scripts::Engine;
/// h
#[component] struct Health { now: u16, max: u16 }
/// h
#[component] struct Home { x: f32, z: f32 }
fn game(game: &mut Game) { game.plugin(pangaea_script::plugin); game.component::<Health>(); game.component::<Home>(); }
fn native(g: &mut Game) { game(g); g.system(Phase::React, heal); g.system(Phase::Move, orbit); }
fn heal(mut all: Query<&mut Health>) { for mut h in &mut all { let n = if h.now >= h.max { 0 } else { h.now + 1 }; h.now = n; } }
fn orbit(mut all: Query<(&Home, &mut Position)>, clock: Clock) { let dt = clock.dt(); for (h, mut p) in &mut all { let (dx, dz) = (p.x - h.x, p.z - h.z); p.x -= dz * dt; p.z += dx * dt; } }
const HEAL: &str = "return system { phase='React', writes={'health'}, run=function(batch) local now,max=batch:read('health.now'),batch:read('health.max') for row=1,batch.count do now[row] = if now[row] >= max[row] then 0 else now[row]+1 end batch:write('health.now',now) end }";
const EACH: &str = "return system { phase='React', writes={'health'}, each=function(e) local h=e.health h.now = if h.now >= h.max then 0 else h.now+1 end }";
const ORBIT: &str = "return system { phase='Move', reads={'home'}, writes={'position'}, run=function(batch,world) local hx,hz,x,z=batch:read('home.x'),batch:read('home.z'),batch:read('position.x'),batch:read('position.z') local dt=world.dt for r=1,batch.count do local dx,dz=x[r]-hx[r],z[r]-hz[r] x[r]-=dz*dt z[r]+=dx*dt end batch:write('position.x',x) batch:write('position.z',z) end }";
fn crowd(game: fn(&mut Game)) -> Harness { let mut w = Harness::new(game); for n in 0..10_000u16 { let p = Position::new(520.0 + f32::from(n % 100) * 2.4, 520.0 + f32::from(n / 100) * 2.4); w.spawn(p, (Health{now:n%100,max:100}, Home{x:p.x+1.0,z:p.z})); } w.ticks(5); w }
fn ms(w: &mut Harness) -> f64 { let mut all: Vec<f64> = (0..60).map(|_| { let t=Instant::now(); w.tick(); t.elapsed().as_secs_f64()*1e3 }).collect(); all.sort_by(f64::total_cmp); all[30] }
fn one(script: &str) { let mut w = crowd(game); let base = ms(&mut w); let t=Instant::now(); w.scripts(&[("s", script)]); let load=t.elapsed().as_secs_f64()*1e3; let t=Instant::now(); w.tick(); let first=t.elapsed().as_secs_f64()*1e3; println!("load {load:.2} first {first:.1} (bare {base:.1}) then {:.2} steps {} {:?}", ms(&mut w), w.world.script_steps(), w.script_faults()); }
fn body(b: &str) -> String { format!("return system {{ phase='Act', writes={{'health'}}, run=function(batch,world)\n{b}\nend }}") }
fn main() {
    println!("native {:.2}", ms(&mut crowd(native)));
    println!("nothing {:.2}", ms(&mut crowd(game)));
    for (n, s) in [("heal", HEAL), ("each", EACH), ("orbit", ORBIT)] { print!("{n}: "); one(s); }
    let words = Game::build(game).unwrap().script_words().clone();
    let t=Instant::now(); for _ in 0..100 { drop(pangaea_script::Luau.load("heal", HEAL, &words)); } println!("load alone {:.3} ms", t.elapsed().as_secs_f64()*10.0);
    for s in ["while true do end", "local function f() return f() end f()", "local x=0 while true do x = math.sqrt(x+1) end",
      "local s=string.rep('a',4000000) while true do string.find(s,'z',1,true) end",
      "local s=string.rep('a',4000000) while true do tonumber(s) end",
      "local s,t=string.rep('a',4000000)..'b',string.rep('a',4000000)..'c' local n=0 while true do if s<t then n+=1 end end",
      "for _=1,1e9 do local s=string.rep('x',60000) end", "local t={} for i=1,2e5 do t[i]=i*7919%100003 end table.sort(t)",
      "local t={} for i=1,1e5 do t[i]=i end while true do table.concat(t) end",
      "local t={} for i=1,1e5 do t[i]=i end while true do table.concat(t, '', 1, 1) end",
      "local t={} for i=1,3e5 do t['k'..i]=i end for k in t do t[k]=nil end while true do next(t) end",
      "string.find(string.rep('a', 60), string.rep('a*', 25) .. 'b')",
      "local s=string.rep('a',4000000) while true do string.match(s,'^a*$') end",
      "local s=string.rep('a',4000000) while true do string.byte(s,1,100) end",
      "local t = table.create(1e8, 1)", "local t = {} for i = 1, 1e7 do t[i] = i end", "local b = buffer.create(1e9)",
      "while true do world:near(600,600,300) end",
      "while true do local b=buffer.create(900000) end",
      "while true do local b=table.create(60000) end",
      "while true do batch:chance() end",
      "while true do batch:read('health.now') end",
      "while true do local s=string.format('%s%s',string.rep('a',1000),1) end",
      "local a=buffer.create(8000000) while true do buffer.len(a) end",
      "while true do local s = string.pack and 1 end",
      "local s=string.rep('a ',400000) while true do string.split(s,' ') end",
      ] { print!("{}: ", &s[..s.len().min(70)]); one(&body(s)); }
}
