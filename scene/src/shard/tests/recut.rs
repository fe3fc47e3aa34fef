//! The map is cut anew while people walk in it, over a network that misbehaves and processes that end.

use pangaea_schemas::geometry::{ShardId, SpaceId};
use pangaea_schemas::message::{Control, Message, MigrationNews, MigrationStep};
use pangaea_schemas::{MigrationId, NodeId, Tick};

use super::cluster::{Cluster, Go, WORLD, Weather, go, scene_id, shard};
use super::{ANNA, BERT, STORM, anna_did, settle, walk, with_anna};
use crate::recut::state::Cutting;

const HOME: ShardId = ShardId { space: SpaceId(0), level: 3, x: 1, z: 1 };

fn children() -> [ShardId; 4] {
    HOME.children().expect("it has some")
}

impl Cluster {
    /// The world's order to whoever has the shards of home.
    fn recut(&mut self, id: u64, merge: bool) {
        let first = if merge { children()[0] } else { HOME };
        let [(owner, _)] = self.owners(first)[..] else { panic!("nobody, or two, own it: {:?}", self.owners(first)) };
        self.post(WORLD, owner, Message::Control(Control::Recut { id: MigrationId(id), shard: HOME, merge }));
    }

    fn over(&self, id: u64) -> Option<&MigrationNews> {
        let over = |news: &&MigrationNews| matches!(news.step, MigrationStep::Done | MigrationStep::Kept);
        self.news.iter().filter(over).find(|news| news.id == MigrationId(id))
    }

    /// The shards of home that run: their levels, in order, with whoever runs them.
    fn cut(&self) -> Vec<(u8, NodeId)> {
        let shards = std::iter::once(HOME).chain(children());
        shards.flat_map(|shard| self.owners(shard).into_iter().map(move |(node, _)| (shard.level, node))).collect()
    }

    fn cutting(&self, node: u16) -> Option<Cutting> {
        self.scenes[&scene_id(node)].recutting(HOME)
    }
}

fn four(node: u16) -> Vec<(u8, NodeId)> {
    vec![(2, scene_id(node)); 4]
}

#[test]
fn a_shard_becomes_four_and_one_again_between_two_ticks_and_nobody_in_it_notices() {
    let mut cluster = with_anna(1);
    walk(&mut cluster, 0.1, 10);
    let epoch = cluster.epoch_of(ANNA);
    cluster.recut(1, false);
    walk(&mut cluster, 0.1, 20);
    assert_eq!(cluster.cut(), four(2));
    assert_eq!(cluster.epoch_of(ANNA), epoch, "a new cut changes no agent's epoch");
    let news = cluster.over(1).expect("it is over").clone();
    assert_eq!((news.step, news.missed_ticks, news.blackout_us), (MigrationStep::Done, 0, 0), "{news:?}");
    assert!(news.entities == 2 && news.bytes > 0, "{news:?}");
    cluster.recut(2, true);
    walk(&mut cluster, 0.1, 20);
    assert_eq!(cluster.cut(), [(3, scene_id(2))], "{:?}", (&cluster.news, cluster.cutting(2)));
    let news = cluster.over(2).expect("it is over").clone();
    assert_eq!((news.step, news.missed_ticks, news.blackout_us), (MigrationStep::Done, 0, 0), "{news:?}");
    settle(&mut cluster);
    assert_eq!(anna_did(&cluster), 50);
    assert_eq!(cluster.gate.players[&ANNA].noted, (1..=50).collect::<Vec<_>>());
}

#[test]
fn no_tick_is_repeated_or_skipped() {
    let mut cluster = with_anna(2);
    let mut ran: Vec<(Tick, usize)> = Vec::new();
    for step in 0..400 {
        match step {
            20 => cluster.recut(1, false),
            200 => cluster.recut(2, true),
            _ => {}
        }
        cluster.steps(1);
        let scene = &cluster.scenes[&scene_id(2)];
        let shards = std::iter::once(HOME).chain(children());
        let ticks: Vec<Tick> = shards.filter_map(|shard| scene.shard(shard)).map(|shard| shard.world().tick()).collect();
        assert!(ticks.len() == 1 || ticks.len() == 4, "{ticks:?}");
        let now = ticks.iter().copied().max().unwrap_or_default();
        if ticks.iter().all(|tick| *tick == now) && ran.last().is_none_or(|(last, _)| *last < now) {
            ran.push((now, ticks.len()));
        }
    }
    let mut cuts: Vec<usize> = ran.iter().map(|(_, shards)| *shards).collect();
    cuts.dedup();
    assert_eq!(cuts, [1, 4, 1]);
    assert!(ran.windows(2).all(|pair| pair[1].0 == pair[0].0.next()), "{ran:?}");
}

#[test]
fn it_is_cut_again_and_again_through_storms_while_agents_cross_its_border() {
    let mut done = 0;
    for seed in 0..5 {
        let mut cluster = with_anna(seed);
        cluster.weather = STORM;
        for (id, x) in (1..).zip([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0]) {
            let is_cut = cluster.cut().first().is_some_and(|(level, _)| *level == 2);
            if !cluster.cut().is_empty() {
                cluster.recut(id, is_cut);
            }
            walk(&mut cluster, x, 40);
        }
        settle(&mut cluster);
        assert_eq!(anna_did(&cluster), 240, "seed {seed}");
        assert_eq!(cluster.gate.players[&ANNA].noted, (1..=240).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(cluster.homes(ANNA).len(), 1, "seed {seed}");
        done += cluster.news.iter().filter(|news| news.step == MigrationStep::Done).count();
    }
    assert!(done >= 6, "only {done} came to their end");
}

#[test]
fn whoever_dies_whenever_the_agent_lives_on_once_and_the_map_is_what_the_journals_say() {
    for merge in [false, true] {
        for state in [Cutting::Asking, Cutting::Freezing, Cutting::Committing] {
            for late in [false, true] {
                let mut cluster = with_anna(4);
                if merge {
                    cluster.recut(1, false);
                    cluster.steps(200);
                    assert_eq!(cluster.cut(), four(2));
                }
                walk(&mut cluster, 0.1, 10);
                cluster.recut(2, merge);
                let reached = (0..400).any(|_| {
                    cluster.steps(1);
                    cluster.cutting(2) == Some(state)
                });
                assert!(reached, "{state:?} is never seen");
                // What is on its way to the journals arrives, or the process dies before it was sent at all.
                cluster.steps(if late { 2 } else { 0 });
                cluster.start_scene(2);
                let lost = cluster.former[&scene_id(2)];
                cluster.post(WORLD, scene_id(1), Message::Control(Control::Reaped { node: scene_id(2), nonce: lost }));
                cluster.steps(40);
                // The world gives what nobody runs to somebody: what the journals say there is.
                for turn in 0..20u16 {
                    for (shard, ..) in cluster.journals.owners() {
                        if cluster.owners(shard).is_empty() {
                            cluster.assign(1 + turn % 2, shard);
                        }
                    }
                    cluster.steps(100);
                }
                let cut = cluster.cut();
                assert!(cut.len() == 1 || cut.len() == 4, "{state:?}, {late}: {cut:?}");
                assert!(cut.iter().all(|(level, _)| (*level == 3) == (cut.len() == 1)), "{state:?}, {late}: {cut:?}");
                assert_eq!(cluster.homes(ANNA).len(), 1, "{state:?}, {late}");
                assert_eq!(cluster.journals.live(ANNA), 1, "{state:?}, {late}");
                walk(&mut cluster, 0.1, 10);
            }
        }
    }
}

#[test]
fn without_a_journal_nothing_is_cut_and_nobody_stands_still_for_long() {
    let mut cluster = with_anna(5);
    cluster.journals.is_away = true;
    cluster.recut(1, false);
    walk(&mut cluster, 0.1, 60);
    let news = cluster.over(1).expect("given up");
    assert_eq!(news.step, MigrationStep::Kept);
    assert!(news.reason.contains("did not answer") || news.reason.contains("journal"), "{}", news.reason);
    assert_eq!(cluster.cut(), [(3, scene_id(2))]);
    cluster.journals.is_away = false;
    settle(&mut cluster);
    assert_eq!(anna_did(&cluster), 60);
}

#[test]
fn an_entry_on_its_way_is_waited_for_however_long_it_takes() {
    let mut cluster = with_anna(6);
    walk(&mut cluster, 0.1, 10);
    cluster.recut(1, false);
    while cluster.cutting(2) != Some(Cutting::Committing) {
        cluster.steps(1);
    }
    cluster.journals.is_away = true;
    cluster.steps(500);
    let cancel = Control::CancelMigration { id: MigrationId(1), shard: HOME };
    cluster.post(WORLD, scene_id(2), Message::Control(cancel));
    cluster.steps(100);
    assert_eq!(cluster.cutting(2), Some(Cutting::Committing), "it may be in force");
    cluster.journals.is_away = false;
    settle(&mut cluster);
    assert_eq!(cluster.cut(), four(2));
    assert_eq!(cluster.homes(ANNA).len(), 1);
}

#[test]
fn what_cannot_be_cut_is_refused_in_words() {
    let mut cluster = with_anna(7);
    let order = Control::Recut { id: MigrationId(1), shard: HOME, merge: true };
    cluster.post(WORLD, scene_id(2), Message::Control(order));
    cluster.steps(20);
    let news = cluster.over(1).expect("refused");
    assert_eq!(news.step, MigrationStep::Kept);
    assert!(news.reason.contains("is not at this scene"), "{}", news.reason);
}

#[test]
fn an_effect_that_was_meant_for_the_one_finds_its_way_through_the_four() {
    let mut cluster = with_anna(8);
    cluster.gate.join(BERT);
    cluster.steps(100);
    assert_eq!(cluster.homes(BERT), [(scene_id(2), HOME)]);
    // Bert goes over to the west and hits Anna from there, again and again, while the shard that he knew her in is cut.
    let mut hits = 0;
    for tick in 0..120 {
        let poke = if tick >= 40 && tick % 5 == 0 { ANNA } else { pangaea_schemas::EntityId::NONE };
        hits += u32::from(poke == ANNA);
        cluster.gate.input(BERT, Go { x: if tick < 40 { -1.0 } else { 0.0 }, z: 0.0, poke });
        // Anna stands at the border of the third child, whose sibling has the estate.
        cluster.gate.input(ANNA, go(0.0, if tick < 40 { 4.0 } else { 0.0 }));
        if tick == 60 {
            cluster.recut(1, false);
        }
        cluster.steps(10);
    }
    cluster.weather = Weather::default();
    settle(&mut cluster);
    assert_eq!(cluster.cut(), four(2));
    assert_eq!(cluster.homes(ANNA), [(scene_id(2), children()[2])]);
    assert_eq!(cluster.steps_of(ANNA).map(|steps| steps.pokes), Some(hits));
}

#[test]
fn who_comes_from_a_shard_of_the_same_scene_as_the_last_tick_ends_is_in_the_new_cut_too() {
    let west = shard(0, 1);
    for wait in 0..40 {
        let mut cluster = with_anna(9);
        cluster.loses_commits = true;
        walk(&mut cluster, -1.0, 8);
        assert_eq!(cluster.homes(ANNA), [], "she is on her way");
        // The shard that let her go follows her to the other scene. It commits again by itself, in some tick.
        let order = Control::Migrate { id: MigrationId(1), shard: HOME, to: scene_id(1) };
        cluster.post(WORLD, scene_id(2), Message::Control(order));
        while cluster.owners(HOME).iter().all(|(node, _)| *node != scene_id(1)) {
            cluster.steps(1);
        }
        cluster.steps(wait);
        cluster.post(WORLD, scene_id(1), Message::Control(Control::Recut { id: MigrationId(2), shard: west, merge: false }));
        settle(&mut cluster);
        assert_eq!(cluster.over(2).map(|news| news.step), Some(MigrationStep::Done), "after {wait} steps");
        assert_eq!(cluster.homes(ANNA).len(), 1, "after {wait} steps");
        assert_eq!(anna_did(&cluster), 8, "after {wait} steps");
    }
}

#[test]
fn effects_on_neighbours_are_not_lost_while_a_shard_that_began_has_not_seen_them_yet() {
    let mut cluster = with_anna(10);
    walk(&mut cluster, -1.0, 12);
    cluster.gate.join(BERT);
    // Until nothing is left of her way but her ghost.
    cluster.steps(5_000);
    assert_eq!((cluster.homes(ANNA), cluster.homes(BERT)), (vec![(scene_id(1), shard(0, 1))], vec![(scene_id(2), HOME)]));
    for tick in 0..160 {
        cluster.gate.input(BERT, Go { x: 0.0, z: 0.0, poke: ANNA });
        match tick {
            20 => cluster.recut(1, false),
            60 => cluster.recut(2, true),
            100 => {
                let order = Control::Migrate { id: MigrationId(3), shard: HOME, to: scene_id(1) };
                cluster.post(WORLD, scene_id(2), Message::Control(order));
            }
            _ => {}
        }
        cluster.steps(10);
    }
    settle(&mut cluster);
    assert_eq!([1, 2, 3].map(|id| cluster.over(id).map(|news| news.step)), [Some(MigrationStep::Done); 3]);
    assert_eq!(cluster.steps_of(ANNA).map(|steps| steps.pokes), Some(160));
}
