//! The games that rows run: as little as possible, so that the engine's cost shows and not a game's.

use pangaea_scene::prelude::*;
use pangaea_schemas::geometry::CELL_EDGE_M;

/// Walks for ever: which way, in m/s.
#[component]
#[derive(Default)]
pub(crate) struct Walks {
    pub(crate) x: f32,
    pub(crate) z: f32,
}

/// What clients would draw of it.
#[component]
#[derive(Default)]
pub(crate) struct Look {
    pub(crate) kind: u8,
    pub(crate) hue: u8,
}

/// How much it can take.
#[component]
#[derive(Default)]
pub(crate) struct Health {
    pub(crate) now: u16,
    pub(crate) max: u16,
}

/// Everybody walks, and turns at the space's edge.
pub(crate) fn walkers(game: &mut Game) {
    idlers(game);
    game.component::<Walks>().persistent();
    game.system(Phase::Move, walk);
}

/// Nobody does anything.
pub(crate) fn idlers(game: &mut Game) {
    game.component::<Look>().replicated().persistent();
    game.component::<Health>().replicated().persistent();
}

/// Everybody's health grows, and begins anew.
pub(crate) fn regrowers(game: &mut Game) {
    game.component::<Health>();
    game.system(Phase::React, regrow);
}

/// The same is left to a script.
pub(crate) fn scripted(game: &mut Game) {
    game.component::<Health>();
    game.plugin(pangaea_script::plugin);
}

/// A system of a line, for which what is around it counts.
pub(crate) fn regrow(mut all: Query<&mut Health>) {
    for mut health in &mut all {
        health.now = if health.now < health.max { health.now + 1 } else { 0 };
    }
}

/// Walk one step; the direction in 1/127 of full speed.
#[input]
pub(crate) struct Move {
    pub(crate) dx: i8,
    pub(crate) dz: i8,
}

/// What an agent is called: as long as in a game.
#[component]
pub(crate) struct Name {
    text: Text<24>,
}

/// Full speed in m/s.
const PACE_M_PER_S: f32 = 6.0;

/// What a guest is to be called who is to be born there: `b7_512_498`.
pub(crate) fn name_of(number: usize, home: Position) -> String {
    format!("b{number}_{:.0}_{:.0}", home.x, home.z)
}

/// Where somebody of that name is at home; guests have more behind a `~`.
fn home_of(name: &str) -> Option<Position> {
    let mut words = name.split('~').next()?.split('_').skip(1);
    let mut number = || words.next()?.parse().ok();
    Some(Position::new(number()?, number()?))
}

/// The game of the suite's clusters: people walk where they like, and are born where their name says, see [`name_of`].
pub(crate) fn arena(game: &mut Game) {
    idlers(game);
    game.component::<Name>().replicated().persistent().ghosted();
    game.input::<Move>();
    game.birth(|agent| {
        if let Some(home) = home_of(agent.name()) {
            agent.stand_at(home);
        }
        let name = Name { text: Text::new(agent.name()) };
        agent.insert((name, Look { kind: 0, hue: 0 }, Health { now: 100, max: 100 }));
    });
    game.system(Phase::Input, stride);
}

/// Ferries of a shard at the border, for each unit of abundance.
pub(crate) const FERRIES_PER_SHARD: u32 = 25;
/// A ferry changes sides once in so many ticks: a second, twice of what a shard keeps an entity at least.
pub(crate) const FERRY_EVERY: u32 = 20;
/// How far a ferry lands beyond the border, in metres: three times of what makes a hand-over.
const LANDING_M: f32 = 6.0;
/// Longest pause that is told exactly, in ticks.
const PAUSE_TICKS_TOLD: usize = 20;

/// Goes to and fro over a border, and knows when and where it ran last.
#[component]
#[derive(Default)]
pub(crate) struct Ferry {
    ran: u64,
    shard: u64,
    phase: u32,
    line: f32,
}

/// The game of S6: ferries along the line that cuts the space into its western and its eastern half.
pub(crate) fn ferries(game: &mut Game) {
    idlers(game);
    game.component::<Ferry>();
    game.spawner(moor);
    game.system(Phase::Move, cross);
}

/// Ferries on both banks, evenly along the line and over the ticks of a second.
fn moor(bank: &mut Seeding) {
    let (shard, line) = (bank.shard(), bank.space().edge_m() / 2.0);
    let (corner, edge) = (shard.first_cell().corner(), f32::from(shard.edge_cells()) * CELL_EDGE_M);
    let x = match (corner.x == line, corner.x + edge == line) {
        (true, _) => line + LANDING_M,
        (_, true) => line - LANDING_M,
        _ => return,
    };
    for n in 0..FERRIES_PER_SHARD * u32::from(bank.abundance()) {
        let ferry = Ferry { ran: 0, shard: shard.to_bits(), phase: n % FERRY_EVERY, line };
        let place = Position::new(x, corner.z + bank.rng().f32() * edge);
        bank.at(place, (ferry, Look { kind: 0, hue: n as u8 }, Health { now: 100, max: 100 }));
    }
}

/// Whoever ran elsewhere last tells how many ticks ago: 1 is the tick before, so nothing was missed.
fn cross(clock: Clock, mut ferries: Query<(&mut Ferry, &mut Position)>) {
    let (tick, shard) = (clock.tick().0, clock.shard().to_bits());
    let mut pauses = [0; PAUSE_TICKS_TOLD + 1];
    for (mut ferry, mut position) in &mut ferries {
        if ferry.shard != shard {
            pauses[(tick.saturating_sub(ferry.ran) as usize).min(PAUSE_TICKS_TOLD)] += 1;
        }
        (ferry.ran, ferry.shard) = (tick, shard);
        if (tick + u64::from(ferry.phase)).is_multiple_of(FERRY_EVERY.into()) {
            *position = Position::new(2.0 * ferry.line - position.x, position.z);
        }
    }
    for (ticks, count) in pauses.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        metrics::counter!("bench_crossings", "ticks" => ticks.to_string()).increment(count);
    }
}

/// Entities of the shard that S7 moves.
pub(crate) const DROVE: usize = 10_000;
/// That shard.
pub(crate) const DROVE_SHARD: &str = "0/3/1,1";
/// Of them, so many come in one tick: ids are given in blocks.
const DROVE_PER_TICK: usize = 200;

/// The game of S7: the arena's, with a drove that never leaves its shard and never stands.
pub(crate) fn drove(game: &mut Game) {
    arena(game);
    game.component::<Walks>().persistent();
    game.system(Phase::Move, graze);
    game.system(Phase::React, breed);
}

fn breed(clock: Clock, mut chance: Chance, mut spawn: Spawn, drove: Query<(), With<Walks>>) {
    if clock.shard().to_string() != DROVE_SHARD {
        return;
    }
    let (shard, missing) = (clock.shard(), DROVE.saturating_sub(drove.iter().count()));
    let (corner, edge) = (shard.first_cell().corner(), f32::from(shard.edge_cells()) * CELL_EDGE_M);
    for _ in 0..missing.min(DROVE_PER_TICK) {
        let dice = chance.rng();
        let place = Position::new(corner.x + dice.f32() * edge, corner.z + dice.f32() * edge);
        let walks = Walks { x: dice.f32() * 8.0 - 4.0, z: dice.f32() * 8.0 - 4.0 };
        spawn.at(place, (walks, Look { kind: 0, hue: 0 }, Health { now: 100, max: 100 }));
    }
}

fn graze(clock: Clock, mut drove: Query<(&mut Position, &mut Velocity, &mut Walks)>) {
    let dt = clock.dt();
    for (mut position, mut velocity, mut walks) in &mut drove {
        let wish = Position::new(position.x + walks.x * dt, position.z + walks.z * dt);
        let there = clock.inside_shard(wish);
        if there != wish {
            (walks.x, walks.z) = (-walks.x, -walks.z);
        }
        velocity.set_if_neq(Velocity::new(walks.x, walks.z));
        *position = there;
    }
}

fn stride(inputs: Inputs<Move>, clock: Clock, mut agents: Query<(&mut Position, &mut Velocity)>) {
    for step in inputs.iter() {
        let Ok((mut position, mut velocity)) = agents.get_mut(step.entity) else { continue };
        let wish = Velocity::new(f32::from(step.value.dx) / 127.0, f32::from(step.value.dz) / 127.0);
        let way = wish.at_most(1.0) * PACE_M_PER_S;
        if *velocity != way {
            *velocity = way;
        }
        *position = clock.inside(*position + way * clock.dt());
    }
}

fn walk(clock: Clock, mut walkers: Query<(&mut Position, &mut Velocity, &mut Walks)>) {
    let dt = clock.dt();
    for (mut position, mut velocity, mut walks) in &mut walkers {
        let (x, z) = (position.x + walks.x * dt, position.z + walks.z * dt);
        let there = clock.inside(Position::new(x, z));
        if (there.x, there.z) != (x, z) {
            (walks.x, walks.z) = (-walks.x, -walks.z);
        }
        if (velocity.x, velocity.z) != (walks.x, walks.z) {
            *velocity = Velocity::new(walks.x, walks.z);
        }
        *position = there;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_name_tells_where_its_home_is() {
        let name = name_of(1_234, Position::new(512.3, 7.8));
        assert_eq!(home_of(&format!("{name}~65537")), Some(Position::new(512.0, 8.0)));
        assert_eq!(home_of("Guest~65537"), None);
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "accounts refuse {name}");
    }
}
