//! Somebody's inputs end one owner after the other: parked at last, wherever the shard goes and however it is cut.

use pangaea_schemas::MigrationId;
use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Control, Message};
use pangaea_schemas::record::{Presence, Record};

use super::cluster::{Cluster, WORLD, go, scene_id, shard};
use super::{ANNA, settle, walk, with_anna};
use crate::trials::CRASHES_MAX;

impl Cluster {
    fn anna_at_rest(&self) -> Record {
        let [(home, None)] = self.journals.places(ANNA)[..] else { panic!("she is nowhere, or on her way") };
        let records = self.journals.image(home).records;
        records.into_iter().find(|record| record.entity == ANNA).expect("she is here")
    }

    /// Scene 2 ends, a new one takes its place and the shards that it had.
    fn lose_scene(&mut self) {
        let had = self.journals.owners().into_iter().filter(|(_, node, ..)| *node == scene_id(2)).map(|(shard, ..)| shard);
        let had: Vec<ShardId> = had.collect();
        self.start_scene(2);
        had.into_iter().for_each(|shard| self.assign(2, shard));
    }

    /// Until Anna's record says so.
    fn await_trial(&mut self, crashes: u8, on_trial: bool) {
        let is_so = |record: Record| (record.session.crashes, record.session.on_trial) == (crashes, on_trial);
        let so = (0..1_000).any(|_| {
            self.steps(1);
            is_so(self.anna_at_rest())
        });
        assert!(so, "{:?}", self.anna_at_rest());
    }

    fn parked(&self) -> Vec<(ShardId, usize)> {
        let shards = self.scenes.values().flat_map(|scene| scene.shards());
        let parked = shards.filter(|shard| shard.incarnation().ticks()).map(|shard| (shard.id(), shard.parked().len()));
        parked.filter(|(_, count)| *count > 0).collect()
    }
}

/// Anna's inputs have ended so many owners in a row.
fn with_crashes(count: u8) -> Cluster {
    let mut cluster = with_anna(1);
    walk(&mut cluster, 0.1, 5);
    // Nobody is on trial before the first loss.
    cluster.lose_scene();
    for crashes in 0..count {
        cluster.gate.input(ANNA, go(0.1, 0.0));
        cluster.await_trial(crashes, true);
        cluster.lose_scene();
    }
    cluster.await_trial(count, false);
    cluster.steps(20);
    cluster
}

#[test]
fn an_owner_that_lives_through_the_trial_clears_her() {
    let mut cluster = with_crashes(CRASHES_MAX - 1);
    walk(&mut cluster, 0.1, 20);
    settle(&mut cluster);
    let record = cluster.anna_at_rest();
    assert_eq!((record.session.crashes, record.session.on_trial), (0, false));
    assert_eq!((record.presence, cluster.homes(ANNA)), (Presence::Awake, vec![(scene_id(2), shard(1, 1))]));
}

#[test]
fn the_third_owner_in_a_row_that_ends_parks_her_wherever_the_shard_goes_until_she_is_released() {
    let mut cluster = with_crashes(CRASHES_MAX);
    let home = shard(1, 1);
    assert_eq!((cluster.parked(), cluster.homes(ANNA)), (vec![(home, 1)], vec![]));
    let child = home.children().expect("it has some").into_iter().find(|child| child.contains(cluster.anna_at_rest().cell));
    let mut orders = (1..).map(MigrationId);
    let mut order = |cluster: &mut Cluster, order: fn(MigrationId) -> Control, parked_in: ShardId| {
        let order = order(orders.next().expect("endless"));
        cluster.post(WORLD, scene_id(2), Message::Control(order));
        cluster.steps(200);
        assert_eq!((cluster.parked(), cluster.homes(ANNA)), (vec![(parked_in, 1)], vec![]), "{:?}", cluster.news.last());
        assert_eq!(cluster.anna_at_rest().presence, Presence::Parked);
    };
    order(&mut cluster, |id| Control::Recut { id, shard: shard(1, 1), merge: false }, child.expect("one of them"));
    order(&mut cluster, |id| Control::Recut { id, shard: shard(1, 1), merge: true }, home);
    order(&mut cluster, |id| Control::Migrate { id, shard: shard(1, 1), to: scene_id(1) }, home);
    cluster.start_scene(1);
    cluster.assign(1, home);
    cluster.steps(200);
    assert_eq!(cluster.parked(), [(home, 1)], "a new owner parks her still");
    assert!(cluster.gate.players[&ANNA].parked, "her gateway is told");
    cluster.post(WORLD, scene_id(1), Message::Control(Control::Release { agent: ANNA }));
    settle(&mut cluster);
    assert_eq!((cluster.parked(), cluster.homes(ANNA)), (vec![], vec![(scene_id(1), home)]));
    walk(&mut cluster, 0.1, 10);
    settle(&mut cluster);
    let player = &cluster.gate.players[&ANNA];
    assert!(player.unacked.is_empty() && player.attached, "she plays on");
    assert_eq!(cluster.anna_at_rest().session.crashes, 0);
}
