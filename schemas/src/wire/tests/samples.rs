//! Random samples of every message, from a seed.

mod desk;
mod migration;
mod recording;
mod rules;

use std::sync::Arc;

use bytes::Bytes;

use crate::client::{ClientMessage, Input, RefusalCode, ServerMessage};
use crate::geometry::{CellId, CellOffset, Position, SHARD_LEVEL_MAX, ShardId, SpaceId};
use crate::journal::{Decision, Departure, Entry, Fence, Mark, ShardOp, Xid};
use crate::message::*;
use crate::record::{ComponentBytes, OpenOperation, Presence, Record, ReliableEvent, SessionState};
use crate::registry::{Field, FieldType, Registry, TypeInfo};
use crate::wire::update::{Course, Entered, SLOTS_MAX, Slot, Update, UpdateHead};
use crate::{
    AccountId, AgentEpoch, EffectSeq, EntityId, InSeq, JournalIndex, NodeId, Nonce, OutSeq, RegistryHash, RequestId, Revision,
    Role, SessionEpoch, ShardEpoch, Tick, Timestamp, TypeId,
};

/// A small generator (splitmix64, Steele, Lea and Flood 2014).
pub(in crate::wire) struct Dice(u64);

impl Dice {
    pub(in crate::wire) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn n(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.n() % end
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    fn small(&mut self) -> u32 {
        self.n() as u32
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(one(self)) } else { None }
    }

    fn some<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(4)).map(|_| one(self)).collect()
    }

    fn text(&mut self) -> String {
        self.pick(&["", "a", "Grüße", "node/scene-1", "with a \"quote\" and \0 byte", "世界"]).to_owned()
    }

    fn bytes(&mut self) -> Bytes {
        (0..self.pick(&[0, 1, 7, 64])).map(|_| self.n() as u8).collect::<Vec<_>>().into()
    }

    fn metres(&mut self) -> f32 {
        self.below(1_000_000) as f32 / 31.0
    }

    fn entity(&mut self) -> EntityId {
        EntityId(self.n())
    }

    fn node(&mut self) -> NodeId {
        NodeId::new(self.pick(&Role::ALL), self.below(65_535) as u16 + 1)
    }

    fn nonce(&mut self) -> Nonce {
        Nonce(u128::from(self.n()) << 64 | u128::from(self.n()))
    }

    fn request(&mut self) -> RequestId {
        RequestId(self.n())
    }

    pub(in crate::wire) fn shard(&mut self) -> ShardId {
        let level = self.below(u64::from(SHARD_LEVEL_MAX) + 1) as u8;
        let blocks = 1u64 << (SHARD_LEVEL_MAX - level);
        ShardId { space: SpaceId(self.n() as u16), level, x: self.below(blocks) as u16, z: self.below(blocks) as u16 }
    }

    fn cell(&mut self) -> CellId {
        CellId { space: SpaceId(self.n() as u16), x: self.n() as u16, z: self.n() as u16 }
    }

    fn position(&mut self) -> Position {
        Position { x: self.metres(), z: self.metres() }
    }

    fn epoch(&mut self) -> ShardEpoch {
        ShardEpoch(self.n())
    }

    fn ae(&mut self) -> AgentEpoch {
        AgentEpoch(self.n())
    }

    fn se(&mut self) -> SessionEpoch {
        SessionEpoch::from_bits(self.n())
    }

    fn index(&mut self) -> JournalIndex {
        JournalIndex(self.n())
    }

    fn component(&mut self) -> ComponentBytes {
        ComponentBytes { id: TypeId(self.small()), bytes: self.bytes() }
    }

    pub(in crate::wire) fn event(&mut self) -> ReliableEvent {
        ReliableEvent { seq: OutSeq(self.small()), id: TypeId(self.small()), bytes: self.bytes() }
    }

    fn open_operation(&mut self) -> OpenOperation {
        let asked = self.transactions();
        let at = self.n() as usize % asked.len();
        OpenOperation { op: OpId(self.nonce().0), transaction: asked[at].clone() }
    }

    pub(in crate::wire) fn record(&mut self) -> Record {
        Record {
            entity: self.entity(),
            epoch: self.ae(),
            presence: self.pick(&[Presence::Awake, Presence::Asleep, Presence::Parked]),
            cell: self.cell(),
            position: self.position(),
            session: SessionState {
                epoch: self.se(),
                gateway: self.maybe(Self::node),
                in_seq: InSeq(self.small()),
                out_seq: OutSeq(self.small()),
                outbox: self.some(Self::event),
                open: self.some(Self::open_operation),
                crashes: self.small() as u8,
                on_trial: self.pick(&[false, true]),
            },
            components: self.some(Self::component),
            fleeting: self.some(|dice| TypeId(dice.small())),
        }
    }

    fn xid(&mut self) -> Xid {
        Xid { entity: self.entity(), epoch: self.ae(), source: self.shard(), source_epoch: self.epoch(), number: self.n() }
    }

    fn mark(&mut self) -> Mark {
        Mark { epoch: self.epoch(), number: self.n() }
    }

    pub(in crate::wire) fn shard_ops(&mut self) -> Vec<ShardOp> {
        vec![
            ShardOp::Owner { node: self.node(), nonce: self.nonce() },
            ShardOp::put(&self.record()),
            ShardOp::Remove { entity: self.entity() },
            ShardOp::Born { entity: self.entity() },
            ShardOp::Out { xid: self.xid(), target: self.shard(), members: self.some(Self::record) },
            ShardOp::In { xid: self.xid(), members: self.some(Self::record) },
            ShardOp::Refused { xid: self.xid(), members: self.some(Self::entity) },
            ShardOp::Settled { xid: self.xid() },
            ShardOp::Applied { source: self.shard(), upto: EffectSeq(self.n()) },
            ShardOp::Stable { source: self.shard(), upto: self.mark() },
            ShardOp::Forgotten { members: self.some(Self::entity) },
            ShardOp::Sent { to: self.shard(), first: EffectSeq(self.n()), effects: self.some(Self::effect) },
            ShardOp::Delivered { to: self.shard(), upto: EffectSeq(self.n()) },
            ShardOp::Split { tails: self.some(Self::index) },
            ShardOp::Merge { tails: self.some(Self::index) },
            ShardOp::InName { name: self.shard(), op: Box::new(ShardOp::Settled { xid: self.xid() }) },
        ]
    }

    pub(in crate::wire) fn entry(&mut self) -> Entry {
        Entry { epoch: self.epoch(), tick: Tick(self.n()), ops: self.shard_ops() }
    }

    fn info(&mut self) -> NodeInfo {
        NodeInfo {
            node: self.node(),
            nonce: self.nonce(),
            pid: self.small(),
            address: self.text(),
            client_tcp: self.text(),
            client_ws: self.text(),
            http: self.text(),
            registry: RegistryHash(self.n()),
            draining: self.flag(),
        }
    }

    pub(in crate::wire) fn route(&mut self) -> ShardRoute {
        ShardRoute { shard: self.shard(), owner: self.node(), nonce: self.nonce(), epoch: self.epoch() }
    }

    fn beacon_entry(&mut self) -> BeaconEntry {
        BeaconEntry { key: self.text(), revision: Revision(self.n()), value: self.maybe(Self::bytes) }
    }

    pub(in crate::wire) fn beacon_requests(&mut self) -> Vec<BeaconRequest> {
        let request = self.request();
        let (key, expected) = (self.text(), Revision(self.n()));
        vec![
            BeaconRequest::Register { request, node: self.info(), ttl_ms: self.small() },
            BeaconRequest::Deregister { node: self.node(), nonce: self.nonce() },
            BeaconRequest::Get { request, key: key.clone() },
            BeaconRequest::List { request, prefix: self.text() },
            BeaconRequest::PutIf { request, key: key.clone(), expected, value: self.bytes(), leased_to: self.maybe(Self::node) },
            BeaconRequest::DeleteIf { request, key, expected },
            BeaconRequest::Watch { prefix: self.text() },
        ]
    }

    pub(in crate::wire) fn beacon_replies(&mut self) -> Vec<BeaconReply> {
        let request = self.request();
        vec![
            BeaconReply::Registered { request, ttl_ms: self.small() },
            BeaconReply::NameTaken { request, holder: self.nonce() },
            BeaconReply::Value { request, entry: self.beacon_entry() },
            BeaconReply::Entries { request, entries: self.some(Self::beacon_entry) },
            BeaconReply::Done { request, revision: Revision(self.n()) },
            BeaconReply::Conflict { request, current: Revision(self.n()) },
            BeaconReply::Refused { request, reason: self.text() },
            BeaconReply::WatchStart { prefix: self.text(), entries: self.some(Self::beacon_entry) },
            BeaconReply::WatchChange { prefix: self.text(), entry: self.beacon_entry() },
        ]
    }

    pub(in crate::wire) fn bus_requests(&mut self) -> Vec<BusRequest> {
        vec![BusRequest::Publish { subject: self.text(), bytes: self.bytes() }, BusRequest::Subscribe { prefix: self.text() }]
    }

    fn append_id(&mut self) -> AppendId {
        AppendId { nonce: self.nonce(), seq: self.n() }
    }

    pub(in crate::wire) fn journal_requests(&mut self) -> Vec<JournalRequest> {
        let (request, shard) = (self.request(), self.shard());
        vec![
            JournalRequest::Append { shard, id: self.append_id(), expected: self.index(), entry: self.entry().into() },
            JournalRequest::Read { request, shard, from: self.index(), bytes_max: self.small() },
            JournalRequest::Trim { request, shard, below: self.index() },
            JournalRequest::Load { request, shard },
            JournalRequest::Owners { request },
            JournalRequest::Find { request, entity: self.entity() },
            JournalRequest::Ids { request },
        ]
    }

    fn fence(&mut self) -> (EntityId, Fence) {
        let fence = Fence { seen: self.ae(), accepted: self.ae(), born: self.flag(), forward: self.maybe(Self::shard) };
        (self.entity(), fence)
    }

    pub(in crate::wire) fn image(&mut self) -> ShardImage {
        ShardImage {
            index: self.index(),
            epoch: self.epoch(),
            tick: Tick(self.n()),
            records: self.some(Self::record),
            fences: self.some(Self::fence),
            departures: self.some(|d| Departure { xid: d.xid(), target: d.shard(), members: d.some(Self::record) }),
            applied: self.some(|d| (d.shard(), EffectSeq(d.n()))),
            decided: self.some(|d| Decision { xid: d.xid(), refused: d.some(Self::entity) }),
            stable: self.some(|d| (d.shard(), d.mark())),
            outbox: self.some(|d| Owed { to: d.shard(), seq: EffectSeq(d.n()), effect: d.effect() }),
            delivered: self.some(|d| (d.shard(), EffectSeq(d.n()))),
            name: self.maybe(Self::shard),
        }
    }

    pub(in crate::wire) fn journal_replies(&mut self) -> Vec<JournalReply> {
        let (request, shard, id) = (self.request(), self.shard(), self.append_id());
        vec![
            JournalReply::Appended { shard, id, index: self.index() },
            JournalReply::Conflict { shard, id, tail: self.index(), epoch: self.epoch() },
            JournalReply::Unavailable { shard, id, reason: self.text() },
            JournalReply::Entries { request, from: self.index(), entries: self.some(Self::entry), tail: self.index() },
            JournalReply::Trimmed { request, first: self.index() },
            JournalReply::Image { request, shard, part: Box::new(self.image()), last: self.flag() },
            JournalReply::OwnerList { request, owners: self.some(|d| (d.shard(), d.node(), d.nonce(), d.epoch(), d.index())) },
            JournalReply::Found { request, entity: self.entity(), shard: self.maybe(Self::shard) },
            JournalReply::IdBlock { request, first: self.entity(), count: self.n() },
            JournalReply::Failed { request, reason: self.text() },
        ]
    }

    pub(in crate::wire) fn blob_requests(&mut self) -> Vec<BlobRequest> {
        let (request, name) = (self.request(), self.text());
        vec![
            BlobRequest::Put { request, name: name.clone(), bytes: self.bytes() },
            BlobRequest::Get { request, name: name.clone() },
            BlobRequest::List { request, prefix: self.text() },
            BlobRequest::Delete { request, name },
        ]
    }

    pub(in crate::wire) fn blob_replies(&mut self) -> Vec<BlobReply> {
        let request = self.request();
        vec![
            BlobReply::Done { request },
            BlobReply::Value { request, bytes: self.maybe(Self::bytes) },
            BlobReply::Names { request, names: self.some(Self::text) },
            BlobReply::Failed { request, reason: self.text() },
        ]
    }

    fn owner(&mut self) -> Owner {
        let ground = Owner::Ground { space: SpaceId(self.n() as u16), position: self.position() };
        let agent = Owner::Agent(self.entity());
        self.pick(&[ground, agent, Owner::Sink])
    }

    fn item(&mut self) -> Item {
        Item { item: self.entity(), kind: ItemKind(self.n() as u16), owner: self.owner() }
    }

    fn trade_side(&mut self) -> TradeSide {
        TradeSide { agent: self.entity(), gold: self.n(), items: self.some(Self::entity) }
    }

    pub(in crate::wire) fn trade_steps(&mut self) -> Vec<TradeStep> {
        let version = self.small();
        vec![
            TradeStep::Propose { a: self.trade_side(), b: self.trade_side(), patience_ms: version },
            TradeStep::Change { version, a: self.trade_side(), b: self.trade_side() },
            TradeStep::Confirm { version },
            TradeStep::Cancel,
        ]
    }

    pub(in crate::wire) fn trade_states(&mut self) -> Vec<TradeState> {
        let reason = self.pick(&[LedgerRefusal::CalledOff, LedgerRefusal::TimedOut]);
        vec![TradeState::Open { a: self.ae(), b: self.ae() }, TradeState::Done, TradeState::Cancelled { reason }]
    }

    fn trade(&mut self) -> Trade {
        let state = self.trade_states();
        Trade {
            trade: self.entity(),
            version: self.small(),
            a: self.trade_side(),
            b: self.trade_side(),
            until: Timestamp(self.n()),
            state: self.pick(&state),
        }
    }

    fn holdings(&mut self) -> Holdings {
        let balance = |d: &mut Self| Balance { currency: Currency(d.n() as u16), amount: d.n() };
        Holdings { agent: self.entity(), version: self.n(), balances: self.some(balance), items: self.some(Self::item) }
    }

    pub(in crate::wire) fn transactions(&mut self) -> Vec<Transaction> {
        let (currency, amount) = (Currency(self.n() as u16), self.n());
        vec![
            Transaction::Look { agent: self.entity() },
            Transaction::LookGround { shard: self.shard() },
            Transaction::Mint { to: self.entity(), currency, amount },
            Transaction::Burn { from: self.entity(), currency, amount },
            Transaction::Pay { from: self.entity(), to: self.entity(), currency, amount },
            Transaction::Create { item: self.entity(), kind: ItemKind(self.n() as u16), owner: self.owner() },
            Transaction::Move { item: self.entity(), from: self.owner(), to: self.owner() },
            Transaction::Trade { trade: self.entity(), by: self.entity(), step: self.trade_step() },
            Transaction::Endow { to: self.entity(), currency, amount },
        ]
    }

    fn trade_step(&mut self) -> TradeStep {
        let steps = self.trade_steps();
        let at = self.n() as usize % steps.len();
        steps[at].clone()
    }

    pub(in crate::wire) fn ledger_results(&mut self) -> Vec<LedgerResult> {
        vec![
            LedgerResult::Done(self.some(Self::holdings)),
            LedgerResult::Ground(self.some(Self::item)),
            LedgerResult::Refused(self.pick(&[LedgerRefusal::Stale, LedgerRefusal::Form])),
            LedgerResult::Unavailable(self.text()),
            LedgerResult::Traded { trade: self.trade(), holdings: self.some(Self::holdings) },
        ]
    }

    pub(in crate::wire) fn table_ops(&mut self) -> Vec<TableOp> {
        let expected = Revision(self.n());
        vec![
            TableOp::Get,
            TableOp::PutIf { expected, value: self.bytes() },
            TableOp::DeleteIf { expected },
            TableOp::List { limit: self.small() },
        ]
    }

    pub(in crate::wire) fn table_replies(&mut self) -> Vec<TableReply> {
        let (request, revision) = (self.request(), Revision(self.n()));
        vec![
            TableReply::Row { request, revision, value: self.maybe(Self::bytes) },
            TableReply::Rows { request, rows: self.some(|d| (d.text(), Revision(d.n()), d.bytes())) },
            TableReply::Done { request, revision },
            TableReply::Conflict { request, current: revision },
            TableReply::Failed { request, reason: self.text() },
        ]
    }

    pub(in crate::wire) fn credentials(&mut self) -> Vec<Credentials> {
        let (name, password) = (self.text(), self.text());
        vec![Credentials::Password { name: name.clone(), password, register: self.flag() }, Credentials::Guest { name }]
    }

    pub(in crate::wire) fn auth_replies(&mut self) -> Vec<AuthReply> {
        let (request, reason) = (self.request(), self.pick(&[LoginRefusal::Form, LoginRefusal::Unavailable]));
        vec![
            AuthReply::Ticket { request, ticket: self.text(), agent: self.entity(), name: self.text() },
            AuthReply::Refused { request, reason, retry_after_ms: self.small() },
        ]
    }

    fn shard_report(&mut self) -> ShardReport {
        ShardReport {
            shard: self.shard(),
            epoch: self.epoch(),
            phase: self.pick(&[ShardPhase::Claiming, ShardPhase::Running, ShardPhase::Fenced]),
            entities: self.small(),
            players: self.small(),
            ghosts: self.small(),
            tick_p50_us: self.small(),
            tick_p99_us: self.small(),
            load_permille: self.small(),
            handovers_out: self.n(),
            handovers_in: self.n(),
            recent: self.some(|d| (d.entity(), d.shard())),
            parked: self.some(Self::entity),
            paused_ms: self.small(),
            paused_steps: self.small(),
            passages: self.some(|d| (d.entity(), d.shard(), Timestamp(d.n()), d.small())),
        }
    }

    pub(in crate::wire) fn controls(&mut self) -> Vec<Control> {
        let mut controls = self.migration_controls();
        controls.extend([
            Control::Assign { shard: self.shard(), above: self.epoch() },
            Control::Release { agent: self.entity() },
            Control::Scene(SceneReport {
                tick: Tick(self.n()),
                late_ticks: self.n(),
                shards: self.some(Self::shard_report),
                faults: self.some(Self::script_fault),
                rules: self.n(),
            }),
            Control::Gateway(GatewayReport {
                connections: self.small(),
                sessions: self.small(),
                bytes_out: self.n(),
                inputs: self.n(),
                draining: self.flag(),
            }),
            Control::DrainGateway { to: self.some(|d| ClientAddresses { tcp: d.text(), ws: d.text() }) },
            Control::UndrainGateway,
            Control::Reaped { node: self.node(), nonce: self.nonce() },
            Control::Rules(Arc::new(self.rules())),
        ]);
        controls
    }

    pub(in crate::wire) fn directories(&mut self) -> Vec<Directory> {
        let (request, agent) = (self.request(), self.entity());
        let location = |d: &mut Self| Location { shard: d.shard(), owner: d.node(), shard_epoch: d.epoch() };
        vec![
            Directory::Report {
                shard: self.shard(),
                epoch: self.epoch(),
                full: self.flag(),
                present: self.some(|d| (d.entity(), d.ae())),
                gone: self.some(|d| (d.entity(), d.ae())),
            },
            Directory::Locate { request, agent },
            Directory::Seek { agent },
            Directory::Located { request, agent, location: self.maybe(location), unborn: self.flag() },
        ]
    }

    fn offset(&mut self) -> CellOffset {
        CellOffset { x: self.n() as i16, z: self.n() as i16 }
    }

    fn cell_feed(&mut self) -> Arc<CellFeed> {
        Arc::new(CellFeed {
            cell: self.cell(),
            snapshot: self.flag(),
            entered: self.some(|d| Enter { entity: d.entity(), components: d.some(Self::component) }),
            moved: self.some(|d| Motion { entity: d.entity(), offset: d.offset(), vx: d.n() as i16, vz: d.n() as i16 }),
            changed: self.some(|d| Changed { entity: d.entity(), component: d.component() }),
            left: self.some(|d| Leave { entity: d.entity(), to: d.maybe(Self::cell) }),
        })
    }

    fn agent_feed(&mut self) -> AgentFeed {
        AgentFeed {
            agent: self.entity(),
            session: self.se(),
            epoch: self.ae(),
            in_seq: InSeq(self.small()),
            applied: InSeq(self.small()),
            position: self.position(),
        }
    }

    pub(in crate::wire) fn feeds(&mut self) -> Vec<Feed> {
        let (shard, follower) = (self.shard(), self.maybe(Self::shard));
        vec![
            Feed::Follow {
                shard,
                follower,
                filter: self.pick(&[FeedFilter::Replicated, FeedFilter::Ghosted]),
                reset: self.flag(),
                add: self.some(Self::cell),
                remove: self.some(Self::cell),
            },
            Feed::Frame(FeedFrame {
                shard,
                epoch: self.epoch(),
                tick: Tick(self.n()),
                seq: self.small(),
                follower,
                cells: self.some(Self::cell_feed),
                agents: self.some(Self::agent_feed),
            }),
            Feed::NotHere { shard, follower },
        ]
    }

    fn client_input(&mut self) -> ClientInput {
        ClientInput {
            agent: self.entity(),
            session: self.se(),
            seq: InSeq(self.small()),
            id: TypeId(self.small()),
            bytes: self.bytes(),
        }
    }

    pub(in crate::wire) fn attach_refusals(&mut self) -> Vec<AttachRefusal> {
        vec![
            AttachRefusal::NotHere { forward: self.maybe(Self::shard) },
            AttachRefusal::Replaced { current: self.se() },
            AttachRefusal::NotNow,
            AttachRefusal::Full,
            AttachRefusal::Parked,
        ]
    }

    pub(in crate::wire) fn sessions(&mut self) -> Vec<Session> {
        let (shard, agent, session, shard_epoch, epoch) = (self.shard(), self.entity(), self.se(), self.epoch(), self.ae());
        let (in_seq, out_seq) = (InSeq(self.small()), OutSeq(self.small()));
        let birth = |d: &mut Self| Birth { account: AccountId(d.n()), name: d.text() };
        let mut sessions: Vec<_> = self.attach_refusals().into_iter().map(|reason| refused(agent, session, reason)).collect();
        sessions.extend([
            Session::Attach { shard, agent, session, out_ack: out_seq, in_ack: in_seq, birth: self.maybe(birth) },
            Session::Attached { agent, session, shard, shard_epoch, epoch, in_seq, out_seq },
            Session::Detach { shard, agent, session, asleep: self.flag() },
            Session::Inputs {
                shard,
                inputs: self.some(Self::client_input),
                out_acks: self.some(|d| (d.entity(), d.se(), OutSeq(d.small()))),
            },
            Session::Events { agent, session, events: self.some(Self::event), resync: self.flag() },
            Session::Route { agent, session, shard, shard_epoch, epoch, in_seq },
            Session::Hint { agent, session, target: shard, epoch },
            Session::Expected { agent, session, next: InSeq(self.small()) },
            Session::Misrouted { agent, session, forward: self.maybe(Self::shard) },
            Session::Replaced { agent, session },
        ]);
        sessions
    }

    fn lane(&mut self) -> Lane {
        Lane { from: self.shard(), from_epoch: self.epoch(), to: self.shard(), to_epoch: self.epoch() }
    }

    pub(in crate::wire) fn handovers(&mut self) -> Vec<Handover> {
        let (xid, reason) = (self.xid(), self.pick(&[Refusal::Full, Refusal::Expired, Refusal::NotRunning]));
        vec![
            Handover::Offer { xid, members: self.small(), bytes: self.small() },
            Handover::Reserved { xid },
            Handover::No { xid, reason, retry_after_ms: self.small() },
            Handover::Commit { xid, members: self.some(Self::record), inputs: self.some(Self::client_input) },
            Handover::Ack { xid },
            Handover::Refuse { xid, reason },
            Handover::Stale { xid, current: self.epoch() },
            Handover::Settled { upto: self.mark() },
            Handover::Stable { upto: self.mark() },
        ]
    }

    fn effect(&mut self) -> Effect {
        Effect {
            to: self.entity(),
            from: self.entity(),
            id: TypeId(self.small()),
            bytes: self.bytes(),
            hops: self.small() as u8,
            within: self.maybe(Self::shard),
        }
    }

    pub(in crate::wire) fn effects(&mut self) -> Vec<EffectMessage> {
        vec![
            EffectMessage::Batch { lane: self.lane(), first: EffectSeq(self.n()), effects: self.some(Self::effect) },
            EffectMessage::Ack { lane: self.lane(), upto: EffectSeq(self.n()) },
        ]
    }

    /// At least one message of every variant of every conversation.
    pub(in crate::wire) fn every_message(&mut self) -> Vec<Message> {
        let mut all = Vec::new();
        all.extend(self.beacon_requests().into_iter().map(Message::BeaconRequest));
        all.extend(self.beacon_replies().into_iter().map(Message::BeaconReply));
        all.extend(self.bus_requests().into_iter().map(Message::BusRequest));
        all.push(Message::BusEvent(BusEvent { subject: self.text(), bytes: self.bytes() }));
        all.extend(self.journal_requests().into_iter().map(Message::JournalRequest));
        all.extend(self.journal_replies().into_iter().map(Message::JournalReply));
        all.extend(self.blob_requests().into_iter().map(Message::BlobRequest));
        all.extend(self.blob_replies().into_iter().map(Message::BlobReply));
        for transaction in self.transactions() {
            let (op, fences) = (OpId(self.nonce().0), self.some(|d| (d.entity(), d.ae())));
            all.push(Message::LedgerRequest(LedgerRequest { op, shard: self.shard(), fences, transaction }));
        }
        for result in self.ledger_results() {
            all.push(Message::LedgerReply(LedgerReply { op: OpId(self.nonce().0), shard: self.shard(), result }));
        }
        for op in self.table_ops() {
            let table = self.pick(&[Table::Accounts, Table::Audit, Table::Settings]);
            all.push(Message::TableRequest(TableRequest { request: self.request(), table, key: self.text(), op }));
        }
        all.extend(self.table_replies().into_iter().map(Message::TableReply));
        for credentials in self.credentials() {
            all.push(Message::AuthRequest(AuthRequest::Login { request: self.request(), credentials }));
        }
        all.extend(self.auth_replies().into_iter().map(Message::AuthReply));
        all.extend(self.controls().into_iter().map(Message::Control));
        all.extend(self.directories().into_iter().map(Message::Directory));
        all.extend(self.feeds().into_iter().map(Message::Feed));
        all.extend(self.sessions().into_iter().map(Message::Session));
        for step in self.handovers() {
            all.push(Message::Handover(HandoverMessage { lane: self.lane(), step }));
        }
        all.extend(self.effects().into_iter().map(Message::Effect));
        all.extend(self.migrations().into_iter().map(Message::Migration));
        all.extend(self.desks().into_iter().map(Message::Desk));
        all
    }

    fn input(&mut self) -> Input {
        Input { seq: InSeq(self.small()), id: TypeId(self.small()), bytes: self.bytes() }
    }

    /// One of each.
    pub(in crate::wire) fn every_client_message(&mut self) -> Vec<ClientMessage> {
        let mut all: Vec<_> = self.credentials().into_iter().map(ClientMessage::Login).collect();
        all.extend([
            ClientMessage::Hello { protocol: self.small(), registry: RegistryHash(self.n()), client: self.text() },
            ClientMessage::Join { ticket: self.text() },
            ClientMessage::Resume { token: self.text(), out_ack: OutSeq(self.small()), shard: self.maybe(Self::shard) },
            ClientMessage::Spectate { token: self.text(), space: self.n() as u16, cells: [1, 2, 3, self.n() as u16] },
            ClientMessage::Inputs { inputs: self.some(Self::input), out_ack: OutSeq(self.small()) },
            ClientMessage::Ping { client_time_us: self.n() },
            ClientMessage::Leave,
        ]);
        all
    }

    fn type_info(&mut self) -> TypeInfo {
        let field =
            |d: &mut Self| Field { name: d.text(), ty: d.pick(&FieldType::ALL), offset: d.n() as u16, length: d.n() as u16 };
        TypeInfo { id: TypeId(self.small()), name: self.text(), size: self.n() as u16, fields: self.some(field) }
    }

    fn registry(&mut self) -> Registry {
        Registry {
            components: self.some(Self::type_info),
            inputs: self.some(Self::type_info),
            events: self.some(Self::type_info),
        }
    }

    /// One of each but for updates.
    pub(in crate::wire) fn every_server_message(&mut self) -> Vec<ServerMessage> {
        let code = self.pick(&[RefusalCode::Protocol, RefusalCode::Draining, RefusalCode::NotAllowed]);
        vec![
            ServerMessage::Welcome {
                registry: RegistryHash(self.n()),
                cluster: self.text(),
                gateway: self.text(),
                tick_hz: 20,
                cell_edge_m: 32,
                description: self.maybe(Self::registry),
            },
            ServerMessage::Ticket { ticket: self.text(), agent: self.entity(), name: self.text() },
            ServerMessage::Joined {
                agent: self.entity(),
                token: self.text(),
                resumed: self.flag(),
                space: self.n() as u16,
                space_edge_cells: self.n() as u16,
                view_radius_cells: self.n() as u8,
                tick: Tick(self.n()),
                in_seq: InSeq(self.small()),
                out_seq: OutSeq(self.small()),
            },
            ServerMessage::Watching { space: self.n() as u16, space_edge_cells: self.n() as u16 },
            ServerMessage::Refused { code, text: self.text(), retry_after_ms: self.small() },
            ServerMessage::Goodbye { code, text: self.text(), reconnect_to: self.text(), retry_after_ms: self.small() },
            ServerMessage::Events { events: self.some(Self::event), resync: self.flag() },
            ServerMessage::Routed { shard: self.text(), scene: self.text(), epoch: self.ae() },
            ServerMessage::Pong { client_time_us: self.n(), server_time_us: self.n() },
        ]
    }

    fn slot(&mut self) -> Slot {
        Slot(self.small() % SLOTS_MAX)
    }

    fn course(&mut self) -> Course {
        Course { x: self.n() as i32, z: self.n() as i16 as i32, vx: self.n() as i8 as i32, vz: self.n() as i32 }
    }

    fn entered(&mut self) -> Entered {
        Entered { slot: self.slot(), entity: self.entity(), course: self.course(), components: self.some(Self::component) }
    }

    pub(in crate::wire) fn update(&mut self) -> Update {
        let head = UpdateHead {
            tick: Tick(self.n() & 0xff_ffff_ffff),
            agent_epoch: self.ae(),
            in_seq: InSeq(self.small()),
            applied: InSeq(self.small()),
            position: self.position(),
            dilation_percent: self.n() as u8,
        };
        Update {
            head,
            left: self.some(Self::slot),
            entered: self.some(Self::entered),
            moved: self.some(|d| (d.slot(), d.course())),
            changed: self.some(|d| (d.slot(), d.some(Self::component))),
        }
    }
}

fn refused(agent: EntityId, session: SessionEpoch, reason: AttachRefusal) -> Session {
    Session::AttachRefused { agent, session, reason }
}
