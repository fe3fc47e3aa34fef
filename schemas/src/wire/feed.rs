//! The change feed: what a shard tells those who follow its cells.

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::WireError;
use super::codec::{At, Pack, Unpack, wire_code, wire_enum, wire_required, wire_struct, wire_table};
use super::parts::{Parts, Reading};
use crate::EntityId;
use crate::generated::node::feed;
use crate::geometry::CellOffset;
use crate::message::{AgentFeed, CellFeed, Changed, Enter, Feed, FeedFilter, FeedFrame, Leave, Motion};

impl<'b> Pack<'b> for Motion {
    type Wire = feed::Motion;
    fn pack(&self, _: &mut FlatBufferBuilder<'b>) -> feed::Motion {
        feed::Motion::new(self.entity.0, self.offset.x, self.offset.z, self.vx, self.vz)
    }
}

impl<'a> Unpack<&'a feed::Motion> for Motion {
    fn unpack(wire: &'a feed::Motion, _: At<'_>) -> Result<Self, WireError> {
        let offset = CellOffset { x: wire.x(), z: wire.z() };
        Ok(Self { entity: EntityId(wire.entity()), offset, vx: wire.vx(), vz: wire.vz() })
    }
}

impl<'b> Pack<'b> for AgentFeed {
    type Wire = feed::AgentFeed;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> feed::AgentFeed {
        let Self { agent, session, epoch, in_seq, applied, position } = self;
        let (agent, session, epoch) = (agent.pack(b), session.pack(b), epoch.pack(b));
        feed::AgentFeed::new(agent, session, epoch, in_seq.pack(b), applied.pack(b), &position.pack(b))
    }
}

impl<'a> Unpack<&'a feed::AgentFeed> for AgentFeed {
    fn unpack(wire: &'a feed::AgentFeed, at: At<'_>) -> Result<Self, WireError> {
        Ok(Self {
            agent: Unpack::unpack(wire.agent(), at)?,
            session: Unpack::unpack(wire.session(), at)?,
            epoch: Unpack::unpack(wire.epoch(), at)?,
            in_seq: Unpack::unpack(wire.in_seq(), at)?,
            applied: Unpack::unpack(wire.applied(), at)?,
            position: Unpack::unpack(wire.position(), at)?,
        })
    }
}

wire_struct! { Leave = feed::Leave { entity, to } }
wire_code! { FeedFilter = feed::FeedFilter { Replicated, Ghosted } }

impl<'b> Pack<'b> for CellFeed {
    type Wire = WIPOffset<feed::CellFeed<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let Self { cell, snapshot, entered, moved, changed, left } = self;
        let mut parts = Parts::default();
        let enter = |enter: &Enter| {
            parts.extend(&enter.components);
            feed::Enter::new(enter.entity.0, enter.components.len() as u32)
        };
        let entered: Vec<_> = entered.iter().map(enter).collect();
        let change = |changed: &Changed| feed::Changed::new(changed.entity.0, &parts.beside(&changed.component));
        let changed: Vec<_> = changed.iter().map(change).collect();
        let (parts, bytes) = parts.pack(b);
        let args = feed::CellFeedArgs {
            cell: cell.pack(b),
            snapshot: *snapshot,
            entered: (!entered.is_empty()).then(|| b.create_vector(&entered)),
            moved: (!moved.is_empty()).then(|| moved.pack(b)),
            changed: (!changed.is_empty()).then(|| b.create_vector(&changed)),
            left: (!left.is_empty()).then(|| left.pack(b)),
            parts,
            bytes,
        };
        feed::CellFeed::create(b, &args)
    }
}

impl<'a> Unpack<feed::CellFeed<'a>> for CellFeed {
    fn unpack(wire: feed::CellFeed<'a>, at: At<'_>) -> Result<Self, WireError> {
        let mut parts = Reading::new(wire.parts(), wire.bytes(), at);
        let enter =
            |enter: &feed::Enter| Ok(Enter { entity: EntityId(enter.entity()), components: parts.take(enter.parts() as usize)? });
        let entered = wire.entered().into_iter().flatten().map(enter).collect::<Result<_, WireError>>()?;
        let change = |changed: &feed::Changed| {
            Ok(Changed { entity: EntityId(changed.entity()), component: parts.beside(changed.part())? })
        };
        let changed = wire.changed().into_iter().flatten().map(change).collect::<Result<_, WireError>>()?;
        parts.end()?;
        let (cell, snapshot) = (Unpack::unpack(wire.cell(), at.field("cell"))?, wire.snapshot());
        let (moved, left) = (Unpack::unpack(wire.moved(), at.field("moved"))?, Unpack::unpack(wire.left(), at.field("left"))?);
        Ok(Self { cell, snapshot, entered, moved, changed, left })
    }
}
wire_required! { CellFeed = feed::CellFeed<'a> }
wire_table! { FeedFrame = feed::{FeedFrame, FeedFrameArgs} { shard, epoch, tick, seq, follower, cells, agents } }
wire_enum! {
    Feed = feed::{Feed, FeedArgs, FeedBody}
    variants {
        Follow(FollowArgs, body_as_follow) { shard, follower, filter, reset, add, remove },
        NotHere(NotHereArgs, body_as_not_here) { shard, follower },
    }
    carriers { Frame(body_as_frame) }
}
