//! Where agents are: what shards tell, what records know, and who was never born.

use pangaea_schemas::geometry::ShardId;
use pangaea_schemas::message::{Directory, Location, Message};
use pangaea_schemas::{AgentEpoch, EntityId, ShardEpoch};

use crate::stage::{Stage, gateway, scene};

const ANA: EntityId = EntityId(77);

fn running() -> (Stage, ShardId, ShardId) {
    let mut stage = Stage::running();
    stage.start(gateway(1));
    let shards = stage.shards_of(scene(1));
    let mut shards = shards.iter();
    let (a, b) = (*shards.next().expect("a shard"), *shards.next().expect("another"));
    (stage, a, b)
}

fn report(stage: &mut Stage, shard: ShardId, epoch: u64, full: bool, present: &[(EntityId, u64)], gone: &[(EntityId, u64)]) {
    let agents = |list: &[(EntityId, u64)]| list.iter().map(|(agent, epoch)| (*agent, AgentEpoch(*epoch))).collect();
    let epoch = ShardEpoch(epoch);
    let report = Directory::Report { shard, epoch, full, present: agents(present), gone: agents(gone) };
    stage.send(scene(1), Message::Directory(report));
}

/// The shard in which the directory says Ana is, and whether she is unborn.
fn where_is_ana(stage: &mut Stage) -> (Option<ShardId>, bool) {
    match stage.locate(ANA) {
        Some(Message::Directory(Directory::Located { agent: ANA, location, unborn, .. })) => {
            (location.map(|location| location.shard), unborn)
        }
        other => panic!("no answer but {other:?}"),
    }
}

#[test]
fn shards_tell_where_their_agents_are() {
    let (mut stage, a, b) = running();
    report(&mut stage, a, 1, true, &[(ANA, 1)], &[]);
    assert_eq!(where_is_ana(&mut stage), (Some(a), false));
    report(&mut stage, b, 1, false, &[(ANA, 2)], &[]);
    report(&mut stage, a, 1, false, &[], &[(ANA, 1)]);
    assert_eq!(where_is_ana(&mut stage), (Some(b), false), "the source's farewell does not undo the target's welcome");
    report(&mut stage, a, 1, false, &[(ANA, 1)], &[]);
    assert_eq!(where_is_ana(&mut stage), (Some(b), false), "a lower epoch is from the past");
}

#[test]
fn a_located_agent_comes_with_owner_and_epoch() {
    let (mut stage, a, _) = running();
    report(&mut stage, a, 1, true, &[(ANA, 1)], &[]);
    let Some(Message::Directory(Directory::Located { location, .. })) = stage.locate(ANA) else { panic!("no answer") };
    assert_eq!(location, Some(Location { shard: a, owner: scene(1), shard_epoch: ShardEpoch(1) }));
}

#[test]
fn a_full_report_forgets_who_is_not_in_it() {
    let (mut stage, a, b) = running();
    report(&mut stage, a, 1, true, &[(ANA, 1)], &[]);
    report(&mut stage, a, 2, true, &[], &[]);
    stage.filed.insert(ANA, b);
    assert_eq!(where_is_ana(&mut stage), (Some(b), false), "the records are asked");
}

#[test]
fn an_older_epoch_s_report_is_refused() {
    let (mut stage, a, b) = running();
    report(&mut stage, b, 1, true, &[(ANA, 1)], &[]);
    report(&mut stage, a, 2, true, &[], &[]);
    report(&mut stage, a, 1, false, &[(ANA, 9)], &[]);
    assert_eq!(where_is_ana(&mut stage), (Some(b), false));
}

#[test]
fn who_is_in_no_record_is_to_be_born_in_the_middle_of_the_first_space() {
    let (mut stage, _, _) = running();
    let middle: ShardId = "0/3/2,2".parse().expect("a shard");
    assert_eq!(where_is_ana(&mut stage), (Some(middle), true));
}

#[test]
fn an_agent_whose_shard_has_no_owner_is_asked_for_again() {
    let (mut stage, a, _) = running();
    report(&mut stage, a, 1, true, &[(ANA, 1)], &[]);
    stage.kill(scene(1));
    stage.kill(scene(2));
    stage.pass(3_000);
    assert_eq!(where_is_ana(&mut stage), (None, false));
}

#[test]
fn a_lookup_that_is_not_answered_is_forgotten() {
    let (mut stage, a, _) = running();
    stage.data_away = true;
    assert_eq!(stage.locate(ANA), None);
    stage.pass(3_000);
    stage.data_away = false;
    stage.filed.insert(ANA, a);
    assert_eq!(where_is_ana(&mut stage), (Some(a), false));
}

#[test]
fn while_the_records_are_away_everybody_is_asked_and_whoever_has_her_says_so() {
    let (mut stage, a, _) = running();
    stage.data_away = true;
    assert_eq!(stage.locate(ANA), None);
    assert!(stage.player(scene(1)).inbox.contains(&Message::Directory(Directory::Seek { agent: ANA })));
    report(&mut stage, a, 1, false, &[(ANA, 3)], &[]);
    stage.pass(50);
    let Some(Message::Directory(Directory::Located { location, unborn, .. })) = stage.player(gateway(1)).inbox.pop() else {
        panic!("whoever waits is told")
    };
    assert_eq!((location.map(|location| location.shard), unborn), (Some(a), false));
}
