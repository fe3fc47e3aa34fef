//! The conversations between nodes, in the order of `message/mod.rs`: each type's fields, spelled out once. A shard's migration
//! is next door, and so is what the world orders and hears.

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::WireError;
use super::codec::{
    At, Pack, Slot, Unpack, pack_bytes, wire_code, wire_enum, wire_optional, wire_required, wire_row, wire_slot, wire_struct,
    wire_table,
};
use super::parts::Joined;
use crate::client::{NAME_BYTES_MAX, TOKEN_BYTES_MAX};
use crate::generated::node::{
    attach, auth, beacon, blobs, bus, directory, effects, handover, journal, ledger, session, tables, trade,
};
use crate::generated::{node, record};
use crate::geometry::ShardId;
use crate::journal::Mark;
use crate::message::{
    AppendId, AttachRefusal, AuthReply, AuthRequest, BLOB_BYTES_MAX, BUS_BYTES_MAX, Balance, BeaconEntry, BeaconReply,
    BeaconRequest, Birth, BlobReply, BlobRequest, BusEvent, BusRequest, ClientInput, Credentials, Currency, Directory,
    EFFECT_BATCH_MAX, EffectMessage, Handover, HandoverMessage, Holdings, Item, ItemKind, JournalReply, JournalRequest,
    KEY_BYTES_MAX, Lane, LedgerRefusal, LedgerReply, LedgerRequest, LedgerResult, Location, LoginRefusal, Message, NodeInfo,
    Owed, Owner, Refusal, Session, ShardImage, ShardRoute, TRADE_ITEMS_MAX, Table, TableOp, TableReply, TableRequest, Trade,
    TradeSide, TradeState, TradeStep, Transaction, VALUE_BYTES_MAX,
};
use crate::registry::TYPE_BYTES_MAX;
use crate::{
    AgentEpoch, EffectSeq, EntityId, InSeq, JournalIndex, NodeId, Nonce, OutSeq, Revision, SessionEpoch, ShardEpoch, TypeId,
};

wire_enum! {
    Message = node::{NodeMessage, NodeMessageArgs, NodeBody}
    variants {}
    carriers {
        BeaconRequest(body_as_beacon_request), BeaconReply(body_as_beacon_reply),
        BusRequest(body_as_bus_request), BusEvent(body_as_bus_event),
        JournalRequest(body_as_journal_request), JournalReply(body_as_journal_reply),
        BlobRequest(body_as_blob_request), BlobReply(body_as_blob_reply),
        LedgerRequest(body_as_ledger_request), LedgerReply(body_as_ledger_reply),
        TableRequest(body_as_table_request), TableReply(body_as_table_reply),
        AuthRequest(body_as_auth_request), AuthReply(body_as_auth_reply),
        Control(body_as_control), Directory(body_as_directory), Feed(body_as_feed), Session(body_as_session),
        Handover(body_as_handover), Effect(body_as_effect), Migration(body_as_migration),
        Desk(body_as_desk),
    }
}

// ---- beacon and bus -------------------------------------------------------------------------------------------------------

wire_table! {
    NodeInfo = beacon::{NodeInfo, NodeInfoArgs} { node, nonce, pid, address, client_tcp, client_ws, http, registry, draining }
}
wire_table! { ShardRoute = beacon::{ShardRoute, ShardRouteArgs} { shard, owner, nonce, epoch } }
wire_table! {
    BeaconEntry = beacon::{BeaconEntry, BeaconEntryArgs} { key <= KEY_BYTES_MAX, revision, value <= VALUE_BYTES_MAX }
}
wire_enum! {
    BeaconRequest = beacon::{BeaconRequest, BeaconRequestArgs, BeaconRequestBody}
    variants {
        Register(RegisterArgs, body_as_register) { request, node, ttl_ms },
        Deregister(DeregisterArgs, body_as_deregister) { node, nonce },
        Get(GetArgs, body_as_get) { request, key <= KEY_BYTES_MAX },
        List(ListArgs, body_as_list) { request, prefix <= KEY_BYTES_MAX },
        PutIf(PutIfArgs, body_as_put_if) { request, key <= KEY_BYTES_MAX, expected, value <= VALUE_BYTES_MAX, leased_to },
        DeleteIf(DeleteIfArgs, body_as_delete_if) { request, key <= KEY_BYTES_MAX, expected },
        Watch(WatchArgs, body_as_watch) { prefix <= KEY_BYTES_MAX },
    }
    carriers {}
}
wire_enum! {
    BeaconReply = beacon::{BeaconReply, BeaconReplyArgs, BeaconReplyBody}
    variants {
        Registered(RegisteredArgs, body_as_registered) { request, ttl_ms },
        NameTaken(NameTakenArgs, body_as_name_taken) { request, holder },
        Value(ValueArgs, body_as_value) { request, entry },
        Entries(EntriesArgs, body_as_entries) { request, entries },
        Done(DoneArgs, body_as_done) { request, revision },
        Conflict(ConflictArgs, body_as_conflict) { request, current },
        Refused(RefusedArgs, body_as_refused) { request, reason },
        WatchStart(WatchStartArgs, body_as_watch_start) { prefix <= KEY_BYTES_MAX, entries },
        WatchChange(WatchChangeArgs, body_as_watch_change) { prefix <= KEY_BYTES_MAX, entry },
    }
    carriers {}
}

wire_enum! {
    BusRequest = bus::{BusRequest, BusRequestArgs, BusRequestBody}
    variants {
        Publish(PublishArgs, body_as_publish) { subject <= KEY_BYTES_MAX, bytes <= BUS_BYTES_MAX },
        Subscribe(SubscribeArgs, body_as_subscribe) { prefix <= KEY_BYTES_MAX },
    }
    carriers {}
}
wire_table! { BusEvent = bus::{BusEvent, BusEventArgs} { subject <= KEY_BYTES_MAX, bytes <= BUS_BYTES_MAX } }

// ---- journal --------------------------------------------------------------------------------------------------------------

impl<'b> Pack<'b> for AppendId {
    type Wire = journal::AppendId;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> journal::AppendId {
        journal::AppendId::new(&self.nonce.pack(b), self.seq)
    }
}

impl<'a> Unpack<&'a journal::AppendId> for AppendId {
    fn unpack(wire: &'a journal::AppendId, at: At<'_>) -> Result<Self, WireError> {
        Ok(Self { nonce: Unpack::unpack(wire.nonce(), at)?, seq: wire.seq() })
    }
}
wire_required! { AppendId = &'a journal::AppendId }
wire_slot! { journal::AppendId }

/// An entry of `OwnerList`.
type OwnerInForce = (ShardId, NodeId, Nonce, ShardEpoch, JournalIndex);

impl<'b> Pack<'b> for OwnerInForce {
    type Wire = journal::OwnerInForce;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> journal::OwnerInForce {
        let (shard, node, nonce, epoch, tail) = self;
        journal::OwnerInForce::new(&nonce.pack(b), shard.pack(b), epoch.pack(b), tail.pack(b), node.pack(b))
    }
}

impl<'a> Unpack<&'a journal::OwnerInForce> for OwnerInForce {
    fn unpack(wire: &'a journal::OwnerInForce, at: At<'_>) -> Result<Self, WireError> {
        let shard = Unpack::unpack(wire.shard(), at.field("shard"))?;
        let node = Unpack::unpack(wire.node(), at.field("node"))?;
        Ok((shard, node, Unpack::unpack(wire.nonce(), at)?, ShardEpoch(wire.epoch()), JournalIndex(wire.tail())))
    }
}

wire_row! { journal::EffectsUpto { shard: ShardId, upto: EffectSeq } }

impl<'b> Pack<'b> for (ShardId, Mark) {
    type Wire = journal::StableUpto;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> journal::StableUpto {
        let (source, upto) = self;
        journal::StableUpto::new(source.pack(b), upto.epoch.pack(b), upto.number)
    }
}

impl<'a> Unpack<&'a journal::StableUpto> for (ShardId, Mark) {
    fn unpack(wire: &'a journal::StableUpto, at: At<'_>) -> Result<Self, WireError> {
        let upto = Mark { epoch: ShardEpoch(wire.epoch()), number: wire.number() };
        Ok((Unpack::unpack(wire.source(), at.field("source"))?, upto))
    }
}

wire_table! { Owed = journal::{Owed, OwedArgs} { to, seq, effect } }
wire_table! {
    ShardImage = journal::{ShardImage, ShardImageArgs} {
        index, epoch, tick, records, fences, departures, applied, decided, stable, outbox, delivered,
        name,
    }
}
wire_enum! {
    JournalRequest = journal::{JournalRequest, JournalRequestArgs, JournalRequestBody}
    variants {
        Append(AppendArgs, body_as_append) { shard, id, expected, entry },
        Read(ReadArgs, body_as_read) { request, shard, from, bytes_max },
        Trim(TrimArgs, body_as_trim) { request, shard, below },
        Load(LoadArgs, body_as_load) { request, shard },
        Owners(OwnersArgs, body_as_owners) { request },
        Find(FindArgs, body_as_find) { request, entity },
        Ids(IdsArgs, body_as_ids) { request },
    }
    carriers {}
}
wire_enum! {
    JournalReply = journal::{JournalReply, JournalReplyArgs, JournalReplyBody}
    variants {
        Appended(AppendedArgs, body_as_appended) { shard, id, index },
        Conflict(ConflictArgs, body_as_conflict) { shard, id, tail, epoch },
        Unavailable(UnavailableArgs, body_as_unavailable) { shard, id, reason },
        Entries(EntriesArgs, body_as_entries) { request, from, entries, tail },
        Trimmed(TrimmedArgs, body_as_trimmed) { request, first },
        Image(ImageArgs, body_as_image) { request, shard, part, last },
        OwnerList(OwnerListArgs, body_as_owner_list) { request, owners },
        Found(FoundArgs, body_as_found) { request, entity, shard },
        IdBlock(IdBlockArgs, body_as_id_block) { request, first, count },
        Failed(FailedArgs, body_as_failed) { request, reason },
    }
    carriers {}
}

// ---- blobs and tables -----------------------------------------------------------------------------------------------------

wire_enum! {
    BlobRequest = blobs::{BlobRequest, BlobRequestArgs, BlobRequestBody}
    variants {
        Put(PutArgs, body_as_put) { request, name, bytes <= BLOB_BYTES_MAX },
        Get(GetArgs, body_as_get) { request, name },
        List(ListArgs, body_as_list) { request, prefix },
        Delete(DeleteArgs, body_as_delete) { request, name },
    }
    carriers {}
}
wire_enum! {
    BlobReply = blobs::{BlobReply, BlobReplyArgs, BlobReplyBody}
    variants {
        Done(DoneArgs, body_as_done) { request },
        Value(ValueArgs, body_as_value) { request, bytes <= BLOB_BYTES_MAX },
        Names(NamesArgs, body_as_names) { request, names },
        Failed(FailedArgs, body_as_failed) { request, reason },
    }
    carriers {}
}

wire_code! { Table = tables::Table { Accounts, Audit, Settings } }
wire_enum! {
    TableOp = tables::{TableOp, TableOpArgs, TableOpBody}
    variants {
        Get(GetArgs, body_as_get) {},
        PutIf(PutIfArgs, body_as_put_if) { expected, value },
        DeleteIf(DeleteIfArgs, body_as_delete_if) { expected },
        List(ListArgs, body_as_list) { limit },
    }
    carriers {}
}
wire_table! { TableRequest = tables::{TableRequest, TableRequestArgs} { request, table, key, op } }
wire_enum! {
    TableReply = tables::{TableReply, TableReplyArgs, TableReplyBody}
    variants {
        Row(RowArgs, body_as_row) { request, revision, value },
        Rows(RowsArgs, body_as_rows) { request, rows },
        Done(DoneArgs, body_as_done) { request, revision },
        Conflict(ConflictArgs, body_as_conflict) { request, current },
        Failed(FailedArgs, body_as_failed) { request, reason },
    }
    carriers {}
}

impl<'b> Pack<'b> for (String, Revision, Bytes) {
    type Wire = flatbuffers::WIPOffset<tables::KeyedRow<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let (key, value) = (Some(self.0.pack(b)), Some(self.2.pack(b)));
        tables::KeyedRow::create(b, &tables::KeyedRowArgs { key, revision: self.1.0, value })
    }
}

impl<'a> Unpack<tables::KeyedRow<'a>> for (String, Revision, Bytes) {
    fn unpack(wire: tables::KeyedRow<'a>, at: At<'_>) -> Result<Self, WireError> {
        let key = Unpack::unpack(wire.key(), at.field("key"))?;
        Ok((key, Revision(wire.revision()), Unpack::unpack(wire.value(), at.field("value"))?))
    }
}

// ---- ledger ---------------------------------------------------------------------------------------------------------------

impl<'b> Pack<'b> for Owner {
    type Wire = ledger::Owner;
    fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> ledger::Owner {
        let nowhere = record::Position::new(0.0, 0.0);
        match self {
            Self::Agent(agent) => ledger::Owner::new(agent.0, &nowhere, 0, ledger::OwnerKind::Agent),
            Self::Ground { space, position } => {
                ledger::Owner::new(0, &record::Position::new(position.x, position.z), space.0, ledger::OwnerKind::Ground)
            }
            Self::Sink => ledger::Owner::new(0, &nowhere, 0, ledger::OwnerKind::Sink),
        }
    }
}

impl<'a> Unpack<&'a ledger::Owner> for Owner {
    fn unpack(wire: &'a ledger::Owner, at: At<'_>) -> Result<Self, WireError> {
        match wire.kind() {
            ledger::OwnerKind::Agent => Ok(Self::Agent(EntityId(wire.agent()))),
            ledger::OwnerKind::Ground => {
                Ok(Self::Ground { space: Unpack::unpack(wire.space(), at)?, position: Unpack::unpack(wire.position(), at)? })
            }
            ledger::OwnerKind::Sink => Ok(Self::Sink),
            unknown => Err(at.field("owner").impossible(unknown.0)),
        }
    }
}
wire_required! { Owner = &'a ledger::Owner }
wire_slot! { ledger::Owner }

impl<'b> Pack<'b> for Item {
    type Wire = ledger::Item;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> ledger::Item {
        ledger::Item::new(self.item.0, &self.owner.pack(b), self.kind.0)
    }
}

impl<'a> Unpack<&'a ledger::Item> for Item {
    fn unpack(wire: &'a ledger::Item, at: At<'_>) -> Result<Self, WireError> {
        Ok(Self { item: EntityId(wire.item()), kind: ItemKind(wire.kind()), owner: Unpack::unpack(wire.owner(), at)? })
    }
}

impl<'b> Pack<'b> for Balance {
    type Wire = ledger::Balance;
    fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> ledger::Balance {
        ledger::Balance::new(self.amount, self.currency.0)
    }
}

impl<'a> Unpack<&'a ledger::Balance> for Balance {
    fn unpack(wire: &'a ledger::Balance, _: At<'_>) -> Result<Self, WireError> {
        Ok(Self { currency: Currency(wire.currency()), amount: wire.amount() })
    }
}

wire_row! { ledger::Fenced { entity: EntityId, epoch: AgentEpoch } }
wire_table! { TradeSide = ledger::{TradeSide, TradeSideArgs} { agent, gold, items <= TRADE_ITEMS_MAX } }
wire_enum! {
    TradeStep = trade::{TradeStep, TradeStepArgs, TradeStepBody}
    variants {
        Propose(ProposeArgs, body_as_propose) { a, b, patience_ms },
        Change(ChangeArgs, body_as_change) { version, a, b },
        Confirm(ConfirmArgs, body_as_confirm) { version },
        Cancel(CancelArgs, body_as_cancel) {},
    }
    carriers {}
}
wire_enum! {
    TradeState = trade::{TradeState, TradeStateArgs, TradeStateBody}
    variants {
        Open(OpenArgs, body_as_open) { a, b },
        Done(DoneArgs, body_as_done) {},
        Cancelled(CancelledArgs, body_as_cancelled) { reason },
    }
    carriers {}
}
wire_table! { Trade = trade::{Trade, TradeArgs} { trade, version, a, b, until, state } }
wire_table! { Holdings = ledger::{Holdings, HoldingsArgs} { agent, version, balances, items } }
wire_enum! {
    Transaction = ledger::{Transaction, TransactionArgs, TransactionBody}
    variants {
        Look(LookArgs, body_as_look) { agent },
        LookGround(LookGroundArgs, body_as_look_ground) { shard },
        Mint(MintArgs, body_as_mint) { to, currency, amount },
        Burn(BurnArgs, body_as_burn) { from, currency, amount },
        Pay(PayArgs, body_as_pay) { from, to, currency, amount },
        Create(CreateArgs, body_as_create) { item, kind, owner },
        Move(MoveArgs, body_as_move) { item, from, to },
        Trade(TradeArgs, body_as_trade) { trade, by, step },
        Endow(EndowArgs, body_as_endow) { to, currency, amount },
    }
    carriers {}
}
wire_table! { LedgerRequest = ledger::{LedgerRequest, LedgerRequestArgs} { op, shard, fences, transaction } }
wire_code! {
    LedgerRefusal = ledger::LedgerRefusal { Stale, Funds, NotOwner, Exists, Form, Unknown, CalledOff, TimedOut, Busy }
}
wire_table! { LedgerReply = ledger::{LedgerReply, LedgerReplyArgs} { op, shard, result } }

impl<'b> Pack<'b> for LedgerResult {
    type Wire = flatbuffers::WIPOffset<ledger::LedgerResult<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        use ledger::LedgerResultBody as Body;
        let (body_type, body) = match self {
            Self::Done(holdings) => {
                let holdings = Some(holdings.pack(b));
                (Body::Done, ledger::Done::create(b, &ledger::DoneArgs { holdings }).as_union_value())
            }
            Self::Ground(items) => {
                let items = Some(items.pack(b));
                (Body::Ground, ledger::Ground::create(b, &ledger::GroundArgs { items }).as_union_value())
            }
            Self::Refused(reason) => {
                let reason = reason.pack(b);
                (Body::Refused, ledger::Refused::create(b, &ledger::RefusedArgs { reason }).as_union_value())
            }
            Self::Unavailable(reason) => {
                let reason = Some(reason.pack(b));
                (Body::Unavailable, ledger::Unavailable::create(b, &ledger::UnavailableArgs { reason }).as_union_value())
            }
            Self::Traded { trade, holdings } => {
                let (trade, holdings) = (Some(trade.pack(b)), Some(holdings.pack(b)));
                (Body::Traded, ledger::Traded::create(b, &ledger::TradedArgs { trade, holdings }).as_union_value())
            }
        };
        ledger::LedgerResult::create(b, &ledger::LedgerResultArgs { body_type, body: Some(body) })
    }
}

impl<'a> Unpack<ledger::LedgerResult<'a>> for LedgerResult {
    fn unpack(wire: ledger::LedgerResult<'a>, at: At<'_>) -> Result<Self, WireError> {
        let at = at.field("result");
        if let Some(done) = wire.body_as_done() {
            return Unpack::unpack(done.holdings(), at).map(Self::Done);
        }
        if let Some(ground) = wire.body_as_ground() {
            return Unpack::unpack(ground.items(), at).map(Self::Ground);
        }
        if let Some(refused) = wire.body_as_refused() {
            return Unpack::unpack(refused.reason(), at).map(Self::Refused);
        }
        if let Some(unavailable) = wire.body_as_unavailable() {
            return Unpack::unpack(unavailable.reason(), at).map(Self::Unavailable);
        }
        if let Some(traded) = wire.body_as_traded() {
            let (trade, holdings) = (Unpack::unpack(traded.trade(), at)?, Unpack::unpack(traded.holdings(), at)?);
            return Ok(Self::Traded { trade, holdings });
        }
        Err(at.impossible(wire.body_type().0))
    }
}
wire_required! { LedgerResult = ledger::LedgerResult<'a> }

// ---- auth -----------------------------------------------------------------------------------------------------------------

wire_enum! {
    Credentials = auth::{Credentials, CredentialsArgs, CredentialsBody}
    variants {
        Password(PasswordArgs, body_as_password) { name, password, register },
        Guest(GuestArgs, body_as_guest) { name },
    }
    carriers {}
}
wire_enum! {
    AuthRequest = auth::{AuthRequest, AuthRequestArgs, AuthRequestBody}
    variants { Login(LoginArgs, body_as_login) { request, credentials } }
    carriers {}
}
wire_code! { LoginRefusal = auth::LoginRefusal { Credentials, NameTaken, Form, LockedOut, NoGuests, Unavailable } }
wire_enum! {
    AuthReply = auth::{AuthReply, AuthReplyArgs, AuthReplyBody}
    variants {
        Ticket(TicketArgs, body_as_ticket) { request, ticket <= TOKEN_BYTES_MAX, agent, name },
        Refused(RefusedArgs, body_as_refused) { request, reason, retry_after_ms },
    }
    carriers {}
}

// ---- directory ------------------------------------------------------------------------------------------------------------

wire_struct! { Location = directory::Location { shard, shard_epoch, owner } }
wire_optional! { Location }
impl Slot for Option<directory::Location> {
    type Arg<'a> = Option<&'a directory::Location>;
    fn arg(&self) -> Option<&directory::Location> {
        self.as_ref()
    }
}
wire_enum! {
    Directory = directory::{Directory, DirectoryArgs, DirectoryBody}
    variants {
        Report(ReportArgs, body_as_report) { shard, epoch, full, present, gone },
        Locate(LocateArgs, body_as_locate) { request, agent },
        Located(LocatedArgs, body_as_located) { request, agent, location, unborn },
        Seek(SeekArgs, body_as_seek) { agent },
    }
    carriers {}
}

// ---- session --------------------------------------------------------------------------------------------------------------

wire_row! { session::OutAck { agent: EntityId, session: SessionEpoch, upto: OutSeq } }

impl<'b> Pack<'b> for Vec<ClientInput> {
    type Wire = Option<WIPOffset<session::ClientInputs<'b>>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let head = |input: &ClientInput| {
            let ClientInput { agent, session, seq, id, bytes } = input;
            session::InputHead::new(agent.0, session.to_bits(), seq.0, id.0, bytes.len() as u32)
        };
        let heads: Vec<_> = self.iter().map(head).collect();
        let mut joined = Vec::with_capacity(self.iter().map(|input| input.bytes.len()).sum());
        self.iter().for_each(|input| joined.extend_from_slice(&input.bytes));
        (!self.is_empty()).then(|| {
            let (heads, bytes) = (Some(b.create_vector(&heads)), Some(pack_bytes(&joined, b)));
            session::ClientInputs::create(b, &session::ClientInputsArgs { heads, bytes })
        })
    }
}

impl<'a> Unpack<Option<session::ClientInputs<'a>>> for Vec<ClientInput> {
    fn unpack(wire: Option<session::ClientInputs<'a>>, at: At<'_>) -> Result<Self, WireError> {
        let Some(wire) = wire else { return Ok(Self::new()) };
        let mut bytes = Joined::new(wire.bytes(), at.field("inputs").at_most(TYPE_BYTES_MAX));
        let input = |head: &session::InputHead| {
            Ok(ClientInput {
                agent: EntityId(head.agent()),
                session: SessionEpoch::from_bits(head.session()),
                seq: InSeq(head.seq()),
                id: TypeId(head.id()),
                bytes: bytes.take(head.length())?,
            })
        };
        let inputs = wire.heads().into_iter().flatten().map(input).collect::<Result<_, WireError>>()?;
        bytes.end().map(|()| inputs)
    }
}

wire_table! { Birth = session::{Birth, BirthArgs} { account, name <= NAME_BYTES_MAX } }
wire_optional! { Birth }
wire_enum! {
    AttachRefusal = attach::{AttachRefusal, AttachRefusalArgs, AttachRefusalBody}
    variants {
        NotHere(NotHereArgs, body_as_not_here) { forward },
        Replaced(ReplacedArgs, body_as_replaced) { current },
        NotNow(NotNowArgs, body_as_not_now) {},
        Full(FullArgs, body_as_full) {},
        Parked(ParkedArgs, body_as_parked) {},
    }
    carriers {}
}
wire_enum! {
    Session = session::{Session, SessionArgs, SessionBody}
    variants {
        Attach(AttachArgs, body_as_attach) { shard, agent, session, out_ack, in_ack, birth },
        Attached(AttachedArgs, body_as_attached) { agent, session, shard, shard_epoch, epoch, in_seq, out_seq },
        AttachRefused(AttachRefusedArgs, body_as_attach_refused) { agent, session, reason },
        Detach(DetachArgs, body_as_detach) { shard, agent, session, asleep },
        Inputs(InputsArgs, body_as_inputs) { shard, inputs, out_acks },
        Events(EventsArgs, body_as_events) { agent, session, events, resync },
        Route(RouteArgs, body_as_route) { agent, session, shard, shard_epoch, epoch, in_seq },
        Hint(HintArgs, body_as_hint) { agent, session, target, epoch },
        Misrouted(MisroutedArgs, body_as_misrouted) { agent, session, forward },
        Replaced(ReplacedArgs, body_as_replaced) { agent, session },
        Expected(ExpectedArgs, body_as_expected) { agent, session, next },
    }
    carriers {}
}

// ---- between shards -------------------------------------------------------------------------------------------------------

wire_struct! { Lane = handover::Lane { from, from_epoch, to, to_epoch } }
wire_code! { Refusal = handover::Refusal { Full, Expired, NotRunning } }
wire_enum! {
    Handover = handover::{Handover, HandoverArgs, HandoverBody}
    variants {
        Offer(OfferArgs, body_as_offer) { xid, members, bytes },
        Reserved(ReservedArgs, body_as_reserved) { xid },
        No(NoArgs, body_as_no) { xid, reason, retry_after_ms },
        Commit(CommitArgs, body_as_commit) { xid, members, inputs },
        Ack(AckArgs, body_as_ack) { xid },
        Refuse(RefuseArgs, body_as_refuse) { xid, reason },
        Stale(StaleArgs, body_as_stale) { xid, current },
        Settled(SettledArgs, body_as_settled) { upto },
        Stable(StableArgs, body_as_stable) { upto },
    }
    carriers {}
}
wire_table! { HandoverMessage = handover::{HandoverMessage, HandoverMessageArgs} { lane, step } }

wire_enum! {
    EffectMessage = effects::{EffectMessage, EffectMessageArgs, EffectMessageBody}
    variants {
        Batch(BatchArgs, body_as_batch) { lane, first, effects <= EFFECT_BATCH_MAX },
        Ack(AckArgs, body_as_ack) { lane, upto },
    }
    carriers {}
}
