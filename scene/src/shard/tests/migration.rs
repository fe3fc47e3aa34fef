//! Whole shards move while people walk in them, over a network that misbehaves and processes that end.

use pangaea_schemas::message::{Control, Message, Migration, MigrationNews, MigrationStep};
use pangaea_schemas::{MigrationId, NodeId, Tick, TickRate};

use super::cluster::{Cluster, WORLD, scene_id, shard};
use super::{ANNA, STORM, Weather, anna_did, settle, walk, with_anna};
use crate::migration::source::Giving;

const HOME: pangaea_schemas::geometry::ShardId =
    pangaea_schemas::geometry::ShardId { space: pangaea_schemas::geometry::SpaceId(0), level: 3, x: 1, z: 1 };

impl Cluster {
    /// The world's order to its present owner.
    pub(super) fn migrate(&mut self, id: u64, to: u16) {
        let [(owner, _)] = self.owners(HOME)[..] else { panic!("nobody, or two, own it: {:?}", self.owners(HOME)) };
        self.order(owner, id, to);
    }

    fn order(&mut self, owner: NodeId, id: u64, to: u16) {
        let order = Control::Migrate { id: MigrationId(id), shard: HOME, to: scene_id(to) };
        self.post(WORLD, owner, Message::Control(order));
    }

    fn ended(&self, id: u64) -> Option<&MigrationNews> {
        let over = |news: &&MigrationNews| matches!(news.step, MigrationStep::Done | MigrationStep::Kept);
        self.news.iter().filter(over).find(|news| news.id == MigrationId(id))
    }

    fn giving(&self, node: u16) -> Option<Giving> {
        self.scenes[&scene_id(node)].shard(HOME).and_then(|shard| shard.giving())
    }
}

#[test]
fn a_shard_moves_between_two_ticks_and_nobody_in_it_notices() {
    let mut cluster = with_anna(1);
    walk(&mut cluster, 0.1, 10);
    let epoch = cluster.epoch_of(ANNA);
    cluster.migrate(1, 1);
    walk(&mut cluster, 0.1, 20);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), HOME)]);
    assert_eq!(cluster.epoch_of(ANNA), epoch, "a migration changes no agent's epoch");
    let news = cluster.ended(1).expect("it is over").clone();
    assert_eq!((news.step, news.missed_ticks, news.blackout_us), (MigrationStep::Done, 0, 0), "{news:?}");
    assert!(news.entities == 2 && news.bytes > 0 && news.rounds >= 2, "{news:?}");
    settle(&mut cluster);
    assert_eq!(anna_did(&cluster), 30);
    assert_eq!(cluster.gate.players[&ANNA].noted, (1..=30).collect::<Vec<_>>());
}

#[test]
fn no_tick_is_repeated_or_skipped() {
    let mut cluster = with_anna(2);
    cluster.migrate(1, 1);
    let mut ran: Vec<(Tick, NodeId)> = Vec::new();
    for _ in 0..200 {
        cluster.steps(1);
        for scene in [1, 2].map(scene_id) {
            let tick = cluster.scenes[&scene].shard(HOME).map(|shard| shard.world().tick());
            if let Some(tick) =
                tick.filter(|tick| *tick > Tick(0) && !ran.iter().any(|(known, by)| known == tick && *by == scene))
            {
                ran.push((tick, scene));
            }
        }
    }
    assert!(cluster.ended(1).is_some());
    assert!(ran.windows(2).all(|pair| pair[1].0 == pair[0].0.next()), "{ran:?}");
}

#[test]
fn a_shard_that_comes_after_its_tick_was_due_runs_that_tick_at_once() {
    let mut between = 0;
    for seed in 0..10 {
        let mut cluster = with_anna(seed);
        cluster.weather = Weather { lost: 0, doubled: 0, delayed: 100 };
        cluster.migrate(1, 1);
        walk(&mut cluster, 0.1, 60);
        let Some(news) = cluster.ended(1).filter(|news| news.step == MigrationStep::Done).cloned() else { continue };
        let interval = TickRate::DEFAULT.interval().as_micros() as u64;
        // Ticks that were over before it came are missed; the one that was under way is not.
        // One that would have begun in the very moment in which it came may be either.
        let (at_least, at_most) = (news.blackout_us.saturating_sub(1) / interval, news.blackout_us / interval);
        assert!((at_least..=at_most).contains(&u64::from(news.missed_ticks)), "seed {seed}: {news:?}");
        between += usize::from(news.blackout_us % interval != 0);
        settle(&mut cluster);
        assert_eq!(anna_did(&cluster), 60, "seed {seed}");
    }
    assert!(between >= 3, "only {between} came between two ticks");
}

#[test]
fn it_moves_to_and_fro_through_storms_while_agents_cross_its_border() {
    let mut done = 0;
    for seed in 0..8 {
        let mut cluster = with_anna(seed);
        cluster.weather = STORM;
        for (id, x) in (0..).zip([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]) {
            if let [(owner, _)] = cluster.owners(HOME)[..] {
                cluster.order(owner, id, if owner == scene_id(1) { 2 } else { 1 });
            }
            walk(&mut cluster, x, 40);
        }
        settle(&mut cluster);
        assert_eq!(anna_did(&cluster), 240, "seed {seed}");
        let player = &cluster.gate.players[&ANNA];
        assert_eq!(player.noted, (1..=240).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(cluster.owners(HOME).len(), 1, "seed {seed}");
        done += cluster.news.iter().filter(|news| news.step == MigrationStep::Done).count();
    }
    assert!(done >= 6, "only {done} migrations came to their end");
}

#[test]
fn a_target_that_does_not_answer_costs_nothing() {
    let mut cluster = with_anna(3);
    cluster.cut_off.push(scene_id(1));
    cluster.migrate(1, 1);
    walk(&mut cluster, 0.1, 60);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), HOME)]);
    let news = cluster.ended(1).expect("given up");
    assert_eq!(news.step, MigrationStep::Kept);
    assert!(news.reason.contains("did not answer"), "{}", news.reason);
    settle(&mut cluster);
    assert_eq!(anna_did(&cluster), 60);
}

#[test]
fn whoever_dies_whenever_the_agent_lives_on_once() {
    // At every step of the migration, once for each of the two.
    let states =
        [Giving::Preparing, Giving::Copying { round: 1 }, Giving::Freezing, Giving::Frozen, Giving::Committing, Giving::Given];
    for state in states {
        for victim in [1, 2] {
            let mut cluster = with_anna(4);
            walk(&mut cluster, 0.1, 10);
            // With an entry on its way a frozen shard has something to wait for.
            cluster.journals.is_away = state == Giving::Freezing;
            walk(&mut cluster, 0.1, if state == Giving::Freezing { 25 } else { 0 });
            cluster.migrate(1, 1);
            let reached = (0..400).any(|_| {
                cluster.steps(1);
                cluster.giving(2).is_some_and(|now| std::mem::discriminant(&now) == std::mem::discriminant(&state))
            });
            assert!(reached, "{state:?} is never seen");
            cluster.journals.is_away = false;
            cluster.start_scene(victim);
            for survivor in [1, 2].into_iter().filter(|survivor| *survivor != victim).map(scene_id) {
                let lost = cluster.former[&scene_id(victim)];
                let reaped = Control::Reaped { node: scene_id(victim), nonce: lost };
                cluster.post(WORLD, survivor, Message::Control(reaped));
            }
            cluster.steps(40);
            // The world gives what nobody runs to somebody.
            for turn in 0..20u16 {
                if cluster.owners(HOME).is_empty() && cluster.giving(2).is_none_or(|state| state == Giving::Given) {
                    cluster.assign(1 + turn % 2, HOME);
                }
                cluster.steps(100);
            }
            assert_eq!(cluster.owners(HOME).len(), 1, "{state:?}, scene {victim} died");
            assert_eq!(cluster.homes(ANNA).len(), 1, "{state:?}, scene {victim} died");
            assert_eq!(cluster.journals.live(ANNA), 1, "{state:?}, scene {victim} died");
        }
    }
}

#[test]
fn without_a_journal_nothing_freezes_for_long() {
    let mut cluster = with_anna(5);
    cluster.migrate(1, 1);
    cluster.steps(20);
    cluster.journals.is_away = true;
    cluster.steps(600);
    cluster.journals.is_away = false;
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA).len(), 1);
    assert_eq!(cluster.owners(shard(1, 1)).len(), 1);
}

#[test]
fn what_a_migration_said_wakes_no_copy_after_its_end() {
    let mut cluster = with_anna(6);
    let source = cluster.scenes[&scene_id(2)].shard(HOME).expect("it runs there");
    let epoch = source.epoch();
    cluster.migrate(1, 1);
    walk(&mut cluster, 0.1, 20);
    assert_eq!(cluster.homes(ANNA), [(scene_id(1), HOME)]);
    cluster.assign(2, HOME);
    settle(&mut cluster);
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), HOME)], "it was claimed back");
    let late = Migration::Prepare { id: MigrationId(1), shard: HOME, epoch, entities: 2 };
    cluster.post(scene_id(2), scene_id(1), Message::Migration(late));
    cluster.steps(20);
    let former = cluster.scenes[&scene_id(1)].shard(HOME).expect("it was there");
    assert!(former.draft.is_none(), "it ran the shard under a higher epoch since");
}
