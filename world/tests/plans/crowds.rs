//! A cluster for the planner to work on, without a cluster: plans are carried out at once, loads follow crowds.

use std::collections::BTreeMap;
use std::time::Duration;

use pangaea_schemas::geometry::{ShardId, SpaceId, SpaceSpec};
use pangaea_schemas::message::{ShardPhase, ShardReport};
use pangaea_schemas::{NodeId, Role, ShardEpoch, Timestamp};
use pangaea_world::balance::{self, Inventory, Outlook, Plan, Policy, SceneRow, Seat, ShardRow, Share, Usage};

/// Spaces have 64 × 64 shards of 8 × 8 cells.
const SPACE: SpaceSpec = SpaceSpec { space: SpaceId(0), name: String::new(), level: 9, shard_level: 3 };
/// Crowded places in each space.
const CITIES_PER_SPACE: usize = 4;
/// The agents take this part of all ticks together.
const LEVEL_AT_START: Share = Share::percent(50);

/// How large a [`Town`] is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) scenes: u16,
    pub(crate) shards: usize,
    pub(crate) agents: u32,
}

/// Scenes and shards with crowds in them.
pub(crate) struct Town {
    pub(crate) inventory: Inventory,
    pub(crate) policy: Policy,
    usages: BTreeMap<ShardId, Usage>,
    now: Timestamp,
}

impl Town {
    pub(crate) fn empty() -> Self {
        let now = Timestamp(1_000_000_000);
        Self { inventory: Inventory::default(), policy: Policy::default(), usages: BTreeMap::new(), now }
    }

    /// A world that was placed when nobody was there; then everybody came, most of them to a few cities.
    pub(crate) fn new(size: Size, seed: u64) -> Self {
        let mut town = Self::empty();
        let scene = |ordinal| (NodeId::new(Role::Scene, ordinal), SceneRow { capacity: Share::WHOLE, open: true });
        town.inventory.scenes = (1..=size.scenes).map(scene).collect();
        let spaces = size.shards.div_ceil(SPACE.first_shards().len()) as u16;
        let shards = (0..spaces).flat_map(|space| SpaceSpec { space: SpaceId(space), ..SPACE }.first_shards());
        let row = ShardRow { seat: Seat::Vacant { avoid: None }, load: Share::ZERO, entities: 0, crossings: BTreeMap::new() };
        town.inventory.shards = shards.take(size.shards).map(|shard| (shard, row.clone())).collect();
        let placements = balance::place(&town.policy, &town.inventory, usize::MAX);
        town.carry_out(&Plan { placements, ..Plan::default() });
        town.populate(size, seed);
        town
    }

    /// Spreads agents and the load they bring: evenly, but for cities that grow denser towards their middle.
    fn populate(&mut self, size: Size, seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let spaces = self.inventory.shards.keys().map(|shard| usize::from(shard.space.0) + 1).max().unwrap_or(0);
        let city = |_| (rng.f64() * 64.0, rng.f64() * 64.0, 2.0 + rng.f64() * 38.0);
        let cities: Vec<_> = (0..spaces * CITIES_PER_SPACE).map(city).collect();
        let crowd = |shard: &ShardId| {
            let here = &cities[usize::from(shard.space.0) * CITIES_PER_SPACE..][..CITIES_PER_SPACE];
            let away = |(x, z): (f64, f64)| (x - f64::from(shard.x)).hypot(z - f64::from(shard.z));
            1.0 + here.iter().map(|(x, z, people)| people * (-away((*x, *z)) / 3.0).exp()).sum::<f64>()
        };
        let all: f64 = self.inventory.shards.keys().map(crowd).sum();
        let per_agent = LEVEL_AT_START.0 as f64 * f64::from(size.scenes) / f64::from(size.agents);
        for (shard, row) in &mut self.inventory.shards {
            let agents = f64::from(size.agents) * crowd(shard) / all;
            row.entities = agents as u32;
            row.load = Share((agents * per_agent) as u64);
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        balance::plan(&self.policy, &self.inventory)
    }

    pub(crate) fn outlook(&self) -> Outlook {
        self.plan().before
    }

    /// Rounds of a second until three in a row have nothing to do, at most `most`; how many there were.
    pub(crate) fn settle(&mut self, most: u32) -> u32 {
        let mut idle = 0;
        for round in 0..most {
            let plan = self.plan();
            idle = if plan.is_empty() { idle + 1 } else { 0 };
            if idle == 3 {
                return round;
            }
            self.carry_out(&plan);
            self.pass(Duration::from_secs(1));
        }
        most
    }

    /// All that is planned has happened, and nothing else.
    pub(crate) fn carry_out(&mut self, plan: &Plan) {
        let shards = &mut self.inventory.shards;
        let owned = plan.placements.iter().map(|placement| (placement.shard, placement.scene, None));
        let moved = plan.moves.iter().map(|shift| (shift.shard, shift.to, Some(Duration::ZERO)));
        for (shard, scene, moved) in owned.chain(moved) {
            if let Some(row) = shards.get_mut(&shard) {
                row.seat = Seat::Running { scene, moved };
            }
        }
        for split in &plan.splits {
            let Some((row, children)) = shards.remove(&split.shard).zip(split.shard.children()) else { continue };
            let quarter = ShardRow { load: Share(row.load.0 / 4), entities: row.entities / 4, ..row };
            shards.extend(children.map(|child| (child, quarter.clone())));
        }
        for merge in &plan.merges {
            let rows: Vec<_> = merge.parent.children().into_iter().flatten().filter_map(|child| shards.remove(&child)).collect();
            let seat = Seat::Running { scene: merge.scene, moved: None };
            let (load, entities) = (rows.iter().map(|row| row.load).sum(), rows.iter().map(|row| row.entities).sum());
            shards.insert(merge.parent, ShardRow { seat, load, entities, crossings: BTreeMap::new() });
        }
    }

    /// Time goes by for shards that were moved.
    pub(crate) fn pass(&mut self, passed: Duration) {
        for row in self.inventory.shards.values_mut() {
            if let Seat::Running { moved: Some(ago), .. } = &mut row.seat {
                *ago += passed;
            }
        }
    }

    /// Rounds of a second with two noisy reports each. The planner sees smoothed loads, what it plans is carried out at once. In
    /// words: how many moves, splits and merges there were in the first half of the time and after it, and the true levels at the
    /// end.
    pub(crate) fn run(&mut self, rounds: u32, noise: Share, seed: u64) -> String {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut done = [(0, 0, 0); 2];
        for round in 0..rounds {
            let truth: BTreeMap<_, _> = self.inventory.shards.iter().map(|(shard, row)| (*shard, row.load)).collect();
            for _ in 0..2 {
                self.now = self.now + Duration::from_millis(500);
                for (shard, load) in &truth {
                    let factor = 1.0 + noise.as_f64() * (rng.f64() * 2.0 - 1.0);
                    self.usages.entry(*shard).or_default().observe(self.now, &report(*shard, load.as_f64() * factor));
                }
            }
            for (shard, row) in &mut self.inventory.shards {
                row.load = self.usages[shard].load();
            }
            let plan = self.plan();
            for (shard, row) in &mut self.inventory.shards {
                row.load = truth[shard];
            }
            self.carry_out(&plan);
            self.pass(Duration::from_secs(1));
            let (moves, splits, merges) = &mut done[usize::from(round >= rounds / 2)];
            *moves += plan.moves.len();
            *splits += plan.splits.len();
            *merges += plan.merges.len();
        }
        let told = done.map(|(moves, splits, merges)| format!("{moves} moves, {splits} splits, {merges} merges"));
        format!("first {}: {}\nthen: {}\nlevels {}\n", rounds / 2, told[0], told[1], self.outlook())
    }
}

fn report(shard: ShardId, load: f64) -> ShardReport {
    ShardReport {
        shard,
        epoch: ShardEpoch(1),
        phase: ShardPhase::Running,
        entities: 0,
        players: 0,
        ghosts: 0,
        tick_p50_us: 0,
        tick_p99_us: 0,
        load_permille: (load * 1_000.0).round() as u32,
        handovers_out: 0,
        handovers_in: 0,
        recent: Vec::new(),
        parked: Vec::new(),
        paused_ms: 0,
        paused_steps: 0,
        passages: Vec::new(),
    }
}
