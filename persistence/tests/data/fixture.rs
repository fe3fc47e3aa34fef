//! A data node on a store in memory, spoken to like a neighbour.

use bytes::Bytes;
use pangaea_persistence::{Data, MemoryStore, Store};
use pangaea_schemas::geometry::{CellId, ShardId, SpaceId};
use pangaea_schemas::journal::{Entry, ShardOp, Xid};
use pangaea_schemas::message::{
    AppendId, JournalReply, JournalRequest, LedgerRequest, LedgerResult, Message, OpId, ShardImage, Transaction,
};
use pangaea_schemas::record::{ComponentBytes, Presence, Record, SessionState};
use pangaea_schemas::{AgentEpoch, EntityId, JournalIndex, NodeId, Nonce, RequestId, Role, ShardEpoch, Tick, Timestamp, TypeId};

pub(crate) const NOW: Timestamp = Timestamp(1_000_000);
pub(crate) const SCENE: NodeId = NodeId::new(Role::Scene, 1);
pub(crate) const WEST: ShardId = shard(0);
pub(crate) const EAST: ShardId = shard(1);

/// The `x`-th shard of 8 × 8 cells in the first row.
pub(crate) const fn shard(x: u16) -> ShardId {
    ShardId { space: SpaceId(0), level: 3, x, z: 0 }
}

pub(crate) fn node() -> Data<MemoryStore> {
    Data::new(MemoryStore::default())
}

/// Sends messages, commits once, and returns all replies.
pub(crate) fn ask_all<S: Store>(data: &mut Data<S>, messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
    for message in messages {
        data.handle(NOW, SCENE, message);
    }
    data.commit(NOW);
    std::iter::from_fn(|| data.poll_output()).map(|(_, reply)| reply).collect()
}

pub(crate) fn ask<S: Store>(data: &mut Data<S>, message: Message) -> Message {
    let mut replies = ask_all(data, [message]);
    assert_eq!(replies.len(), 1, "one question, one answer: {replies:?}");
    replies.remove(0)
}

pub(crate) fn journal<S: Store>(data: &mut Data<S>, request: JournalRequest) -> JournalReply {
    match ask(data, Message::JournalRequest(request)) {
        Message::JournalReply(reply) => reply,
        other => panic!("not from a journal: {other:?}"),
    }
}

/// One incarnation of an owner that writes to one shard.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) shard: ShardId,
    pub(crate) nonce: Nonce,
    pub(crate) seq: u64,
    pub(crate) epoch: ShardEpoch,
    pub(crate) tail: JournalIndex,
}

impl Writer {
    pub(crate) fn new(shard: ShardId, nonce: u128) -> Self {
        Self { shard, nonce: Nonce(nonce), seq: 0, epoch: ShardEpoch(0), tail: JournalIndex(0) }
    }

    /// A writer that has claimed its shard.
    pub(crate) fn owning<S: Store>(data: &mut Data<S>, shard: ShardId, nonce: u128) -> Self {
        let mut writer = Self::new(shard, nonce);
        let image = load(data, shard);
        (writer.epoch, writer.tail) = (image.epoch.next(), image.index);
        let reply = writer.append(data, vec![ShardOp::Owner { node: SCENE, nonce: Nonce(nonce) }]);
        assert!(matches!(reply, JournalReply::Appended { .. }), "{reply:?}");
        writer
    }

    /// The next append's request, not yet sent.
    pub(crate) fn request(&mut self, ops: Vec<ShardOp>) -> JournalRequest {
        self.seq += 1;
        let id = AppendId { nonce: self.nonce, seq: self.seq };
        let entry = Entry { epoch: self.epoch, tick: Tick(self.seq), ops };
        JournalRequest::Append { shard: self.shard, id, expected: self.tail, entry: entry.into() }
    }

    pub(crate) fn append<S: Store>(&mut self, data: &mut Data<S>, ops: Vec<ShardOp>) -> JournalReply {
        let request = self.request(ops);
        self.send(data, request)
    }

    pub(crate) fn send<S: Store>(&mut self, data: &mut Data<S>, request: JournalRequest) -> JournalReply {
        let reply = journal(data, request);
        if let JournalReply::Appended { index, .. } = reply {
            self.tail = index;
        }
        reply
    }
}

/// All parts of a shard's image in one.
pub(crate) fn load<S: Store>(data: &mut Data<S>, shard: ShardId) -> ShardImage {
    let request = JournalRequest::Load { request: RequestId(1), shard };
    let replies = ask_all(data, [Message::JournalRequest(request)]);
    let count = replies.len();
    let mut whole: Option<ShardImage> = None;
    for (n, reply) in replies.into_iter().enumerate() {
        let Message::JournalReply(JournalReply::Image { part, last, .. }) = reply else { panic!("no image: {reply:?}") };
        assert_eq!(last, n + 1 == count, "only the last part ends the image");
        match &mut whole {
            None => whole = Some(*part),
            Some(whole) => {
                assert_eq!((whole.index, whole.epoch, whole.tick), (part.index, part.epoch, part.tick));
                whole.records.extend(part.records);
                whole.fences.extend(part.fences);
                whole.departures.extend(part.departures);
                whole.applied.extend(part.applied);
            }
        }
    }
    whole.expect("at least one part")
}

/// An entity in the `n`-th cell of a shard.
pub(crate) fn record(shard: ShardId, entity: u64, epoch: u64, n: usize) -> Record {
    let cell: CellId = shard.cells().nth(n % 64).expect("a shard has 64 cells");
    Record {
        entity: EntityId(entity),
        epoch: AgentEpoch(epoch),
        presence: Presence::Awake,
        cell,
        position: cell.corner(),
        session: SessionState::default(),
        components: vec![ComponentBytes { id: TypeId(7), bytes: Bytes::from(vec![n as u8; 16]) }],
        fleeting: Vec::new(),
    }
}

pub(crate) fn xid(entity: u64, epoch: u64, source: ShardId) -> Xid {
    Xid { entity: EntityId(entity), epoch: AgentEpoch(epoch), source, source_epoch: ShardEpoch(1), number: epoch }
}

pub(crate) fn operation(op: u128, fences: &[(u64, u64)], transaction: Transaction) -> LedgerRequest {
    let fences = fences.iter().map(|&(agent, epoch)| (EntityId(agent), AgentEpoch(epoch))).collect();
    LedgerRequest { op: OpId(op), shard: WEST, fences, transaction }
}

pub(crate) fn ledger<S: Store>(data: &mut Data<S>, request: LedgerRequest) -> LedgerResult {
    let op = request.op;
    match ask(data, Message::LedgerRequest(request)) {
        Message::LedgerReply(reply) => {
            assert_eq!((reply.op, reply.shard), (op, WEST));
            reply.result
        }
        other => panic!("not from the ledger: {other:?}"),
    }
}
