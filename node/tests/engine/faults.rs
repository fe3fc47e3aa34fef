//! What the contracts cannot do: kill servers under load, and look at what was acknowledged.

use std::collections::BTreeMap;

use pangaea_node::engine::{Connection, EngineError, EngineOptions};
use pangaea_schemas::geometry::{ShardId, SpaceId};
use pangaea_schemas::journal::{Entry, ShardOp};
use pangaea_schemas::message::{Address, AppendId, JournalReply, JournalRequest, Message};
use pangaea_schemas::{EntityId, JournalIndex, NodeId, Nonce, RequestId, Role, ShardEpoch, Tick};

use crate::backends::{Client, Follower};
use crate::{Stage, fresh_name};

const SHARD: ShardId = ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 };
/// Owners that take the shard from each other.
const OWNERS: u16 = 3;

/// One scene that claims the shard, writes while it owns it, and claims it again when it was fenced.
struct Owner {
    client: Client,
    node: NodeId,
    nonce: Nonce,
    seq: u64,
    epoch: ShardEpoch,
    tail: JournalIndex,
    owns: bool,
    /// Acknowledged: index and the entity that was born there.
    acknowledged: BTreeMap<u64, u64>,
}

impl Owner {
    fn connect(stage: &Stage, options: &EngineOptions, cluster: &str, ordinal: u16) -> Self {
        let node = NodeId::new(Role::Scene, ordinal);
        let client = Client::connect(stage.runtime.handle(), options, cluster, node);
        let nonce = Nonce(u128::from(ordinal) << 96);
        let (epoch, tail) = (ShardEpoch(0), JournalIndex(0));
        Self { client, node, nonce, seq: 0, epoch, tail, owns: false, acknowledged: BTreeMap::new() }
    }

    /// One append, asked for until it is decided, as a scene does.
    fn write(&mut self) {
        self.seq += 1;
        let (epoch, op) = if self.owns {
            let entity = EntityId(u64::from(self.node.ordinal) * 1_000_000 + self.seq);
            (self.epoch, ShardOp::Born { entity })
        } else {
            (self.epoch.next(), ShardOp::Owner { node: self.node, nonce: self.nonce })
        };
        let id = AppendId { nonce: self.nonce, seq: self.seq };
        let entry = Entry { epoch, tick: Tick(self.seq), ops: vec![op.clone()] };
        let request = JournalRequest::Append { shard: SHARD, id, expected: self.tail, entry: entry.into() };
        loop {
            self.client.send(Address::Data, Message::JournalRequest(request.clone()));
            match self.client.next() {
                Message::JournalReply(JournalReply::Appended { id: of, index, .. }) if of == id => {
                    assert_eq!(index, self.tail.next());
                    if let ShardOp::Born { entity } = op {
                        self.acknowledged.insert(index.0, entity.0);
                    }
                    (self.epoch, self.tail, self.owns) = (epoch, index, true);
                    return;
                }
                Message::JournalReply(JournalReply::Conflict { id: of, tail, epoch, .. }) if of == id => {
                    assert!(epoch >= self.epoch, "epochs only rise");
                    (self.epoch, self.tail, self.owns) = (epoch, tail, false);
                    return;
                }
                Message::JournalReply(JournalReply::Unavailable { .. }) => {}
                other => panic!("an append is answered, not {other:?}"),
            }
        }
    }
}

/// The journal as a data node that starts now folds it: births by index.
fn read_all(follower: &mut Follower) -> BTreeMap<u64, u64> {
    let mut born = BTreeMap::new();
    let mut from = 1;
    loop {
        let read = JournalRequest::Read { request: RequestId(1), shard: SHARD, from: JournalIndex(from), bytes_max: 1 << 20 };
        let answers = follower.ask(Message::JournalRequest(read));
        let [Message::JournalReply(JournalReply::Entries { entries, tail, .. })] = answers.as_slice() else {
            panic!("entries, not {answers:?}")
        };
        for (n, entry) in entries.iter().enumerate() {
            if let [ShardOp::Born { entity }] = entry.ops.as_slice() {
                born.insert(from + n as u64, entity.0);
            }
        }
        from += entries.len() as u64;
        if from > tail.0 {
            return born;
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_servers_are_killed() {
    let Some(mut stage) = Stage::of(3) else { return };
    let (options, cluster) = (stage.servers.options(), fresh_name());
    let mut owners: Vec<_> = (1..=OWNERS).map(|n| Owner::connect(&stage, &options, &cluster, n)).collect();
    for round in 0..6_usize {
        for turn in 0..40 {
            // Owners take turns, so that each claim meets a zombie that goes on writing.
            let count = owners.len();
            owners[(round + turn / 10) % count].write();
        }
        let server = round % 3;
        stage.servers.kill(server);
        for owner in &mut owners {
            owner.write();
        }
        stage.servers.start_one(server).expect("started again");
        for owner in &mut owners {
            owner.write();
        }
        stage.servers.await_all().expect("healthy again");
    }
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let follower =
        |n: usize| Follower::start(stage.runtime.handle(), &options, &cluster, folders[n].path(), Nonce(n as u128 + 1));
    let (mut first, mut second) = (follower(0), follower(1));
    let found = read_all(&mut first);
    for owner in &owners {
        for (index, entity) in &owner.acknowledged {
            assert_eq!(found.get(index), Some(entity), "{} was told that entry {index} is durable", owner.node);
        }
    }
    let told: usize = owners.iter().map(|owner| owner.acknowledged.len()).sum();
    assert_eq!(found.len(), told, "nothing is there that nobody was told of: all appends were decided");
    assert!(told > 100, "the owners wrote: {told}");

    // Both data nodes have the same rows, whoever asked.
    read_all(&mut second);
    first.ask(Message::JournalRequest(JournalRequest::Owners { request: RequestId(1) }));
    assert_eq!(first.data().owners().expect("read"), second.data().owners().expect("read"));
}

#[test]
fn a_stream_with_other_settings_is_refused_by_name() {
    let Some(stage) = Stage::of(1) else { return };
    let (options, cluster) = (stage.servers.options(), fresh_name());
    stage.runtime.block_on(Connection::open(&options, &cluster, "first")).expect("made");
    let other = EngineOptions { replicas: Some(3), ..options };
    let error = stage.runtime.block_on(Connection::open(&other, &cluster, "second")).err().expect("refused");
    assert!(matches!(error, EngineError::Setting { setting: "replicas", .. }), "{error}");
}
