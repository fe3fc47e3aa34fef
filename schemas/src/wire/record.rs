//! Records and journal entries, and the leaves they share with messages.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::WireError;
use super::codec::{At, Pack, Unpack, wire_code, wire_enum, wire_required, wire_slot, wire_struct, wire_table};
use super::parts::{Parts, Reading};
use super::stored::Stored;
use crate::generated::record;
use crate::geometry::Position;
use crate::journal::{Decision, Departure, ENTRY_OPS_MAX, Entry, Fence, Mark, ShardOp, Xid};
use crate::message::{Effect, OpId, Transaction};
use crate::record::{
    OPEN_OPERATIONS_MAX, OUTBOX_MAX, OpenOperation, Presence, RECORD_COMPONENTS_MAX, Record, ReliableEvent, SessionState,
};
use crate::registry::TYPE_BYTES_MAX;
use crate::{EntityId, Nonce};

macro_rules! wide {
    ($($name:ident),*) => { $(
        impl<'b> Pack<'b> for $name {
            type Wire = record::Wide;
            fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> record::Wide {
                record::Wide::new((self.0 >> 64) as u64, self.0 as u64)
            }
        }
        impl<'a> Unpack<&'a record::Wide> for $name {
            fn unpack(wire: &'a record::Wide, _: At<'_>) -> Result<Self, WireError> {
                Ok(Self(u128::from(wire.high()) << 64 | u128::from(wire.low())))
            }
        }
        wire_required! { $name = &'a record::Wide }
    )* };
}
wide! { Nonce, OpId }
wire_slot! { record::Wide }

wire_struct! { Position = record::Position { x, z } }
wire_struct! { Xid = record::Xid { entity, epoch, source, source_epoch, number } }
wire_struct! { Mark = record::Mark { epoch, number } }

wire_table! { Effect = record::{Effect, EffectArgs} { to, from, id, bytes <= TYPE_BYTES_MAX, hops, within } }

wire_code! { Presence = record::Presence { Awake, Asleep, Parked } }
wire_table! { ReliableEvent = record::{ReliableEvent, ReliableEventArgs} { seq, id, bytes <= TYPE_BYTES_MAX } }

impl<'b> Pack<'b> for OpenOperation {
    type Wire = WIPOffset<record::OpenOperation<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let (op, transaction) = (self.op.pack(b), Some(self.transaction.to_stored().pack(b)));
        record::OpenOperation::create(b, &record::OpenOperationArgs { op: Some(&op), transaction })
    }
}

impl<'a> Unpack<record::OpenOperation<'a>> for OpenOperation {
    fn unpack(wire: record::OpenOperation<'a>, at: At<'_>) -> Result<Self, WireError> {
        let stored = Unpack::unpack(wire.transaction(), at.field("transaction"))?;
        Ok(Self { op: Unpack::unpack(wire.op(), at.field("op"))?, transaction: Transaction::from_stored(&stored)? })
    }
}

wire_table! {
    SessionState = record::{SessionState, SessionStateArgs} {
        epoch, gateway, in_seq, out_seq, outbox <= OUTBOX_MAX, open <= OPEN_OPERATIONS_MAX, crashes, on_trial,
    }
}

impl<'b> Pack<'b> for Record {
    type Wire = WIPOffset<record::Record<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let Self { entity, epoch, presence, cell, position, session, components, fleeting } = self;
        let (epoch, cell) = (epoch.pack(b), cell.pack(b));
        let head = record::RecordHead::new(entity.0, epoch, cell, &position.pack(b), presence.pack(b));
        // Most entities have no player, and most builds know all components.
        let session = (*session != SessionState::default()).then(|| session.pack(b));
        let fleeting = (!fleeting.is_empty()).then(|| fleeting.pack(b));
        let (parts, bytes) = Parts::of(components).pack(b);
        record::Record::create(b, &record::RecordArgs { head: Some(&head), session, parts, bytes, fleeting })
    }
}

impl<'a> Unpack<record::Record<'a>> for Record {
    fn unpack(wire: record::Record<'a>, at: At<'_>) -> Result<Self, WireError> {
        let (head, session) = (wire.head(), Unpack::unpack(wire.session(), at.field("session"))?);
        let mut parts = Reading::new(wire.parts(), wire.bytes(), at);
        let components = parts.take(parts.left())?;
        parts.end()?;
        Ok(Self {
            entity: EntityId(head.entity()),
            epoch: Unpack::unpack(head.epoch(), at)?,
            presence: Unpack::unpack(head.presence(), at.field("presence"))?,
            cell: Unpack::unpack(head.cell(), at.field("cell"))?,
            position: Unpack::unpack(head.position(), at)?,
            session: Option::unwrap_or_default(session),
            components,
            fleeting: Unpack::unpack(wire.fleeting(), at.field("fleeting").at_most(RECORD_COMPONENTS_MAX))?,
        })
    }
}
wire_required! { Record = record::Record<'a> }

wire_enum! {
    ShardOp = record::{ShardOp, ShardOpArgs, ShardOpBody}
    variants {
        Owner(OwnerArgs, body_as_owner) { node, nonce },
        Remove(RemoveArgs, body_as_remove) { entity },
        Born(BornArgs, body_as_born) { entity },
        Out(OutArgs, body_as_out) { xid, target, members },
        In(InArgs, body_as_in) { xid, members },
        Refused(RefusedArgs, body_as_refused) { xid, members },
        Settled(SettledArgs, body_as_settled) { xid },
        Applied(AppliedArgs, body_as_applied) { source, upto },
        Stable(StableArgs, body_as_stable) { source, upto },
        Forgotten(ForgottenArgs, body_as_forgotten) { members },
        Sent(SentArgs, body_as_sent) { to, first, effects },
        Delivered(DeliveredArgs, body_as_delivered) { to, upto },
        Split(SplitArgs, body_as_split) { tails },
        Merge(MergeArgs, body_as_merge) { tails },
        InName(InNameArgs, body_as_in_name) { name, op },
    }
    carriers { Put(body_as_put) }
}
wire_table! { Entry = record::{Entry, EntryArgs} { epoch, tick, ops <= ENTRY_OPS_MAX } }
wire_table! { Departure = record::{Departure, DepartureArgs} { xid, target, members } }
wire_table! { Decision = record::{Decision, DecisionArgs} { xid, refused } }

impl<'b> Pack<'b> for (EntityId, Fence) {
    type Wire = record::FenceOf;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> record::FenceOf {
        let (entity, Fence { seen, accepted, born, forward }) = self;
        record::FenceOf::new(entity.pack(b), seen.pack(b), accepted.pack(b), forward.pack(b), *born)
    }
}

impl<'a> Unpack<&'a record::FenceOf> for (EntityId, Fence) {
    fn unpack(wire: &'a record::FenceOf, at: At<'_>) -> Result<Self, WireError> {
        let fence = Fence {
            seen: Unpack::unpack(wire.seen(), at)?,
            accepted: Unpack::unpack(wire.accepted(), at)?,
            born: wire.born(),
            forward: Unpack::unpack(wire.forward(), at.field("forward"))?,
        };
        Ok((EntityId(wire.entity()), fence))
    }
}
