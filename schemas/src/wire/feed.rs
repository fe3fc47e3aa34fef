//! The change feed: what a shard tells those who follow its cells.

use std::sync::Arc;

use flatbuffers::{FlatBufferBuilder, WIPOffset};

use super::WireError;
use super::codec::{At, Pack, Unpack, wire_code, wire_enum, wire_required, wire_struct};
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

impl<'b> Pack<'b> for FeedFrame {
    type Wire = WIPOffset<feed::FeedFrame<'b>>;
    fn pack(&self, b: &mut FlatBufferBuilder<'b>) -> Self::Wire {
        let Self { shard, epoch, tick, seq, follower, cells, agents } = self;
        let mut parts = Parts::default();
        let (mut entered, mut changed, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let mut moved = Vec::with_capacity(cells.iter().map(|cell| cell.moved.len()).sum());
        for cell in cells {
            entered.extend(cell.entered.iter().map(|enter| {
                parts.extend(&enter.components);
                feed::Enter::new(enter.entity.0, enter.components.len() as u32)
            }));
            changed.extend(cell.changed.iter().map(|changed| {
                let part = parts.beside(&changed.component);
                feed::Changed::new(changed.entity.0, &part)
            }));
            moved.extend(cell.moved.iter().map(|motion| motion.pack(b)));
            left.extend(cell.left.iter().map(|leave| leave.pack(b)));
        }
        let heads: Vec<_> = cells.iter().map(|cell| head(cell)).collect();
        let (parts, bytes) = parts.pack(b);
        let args = feed::FeedFrameArgs {
            shard: shard.pack(b),
            epoch: epoch.pack(b),
            tick: tick.pack(b),
            seq: *seq,
            follower: follower.pack(b),
            cells: Some(b.create_vector(&heads)),
            entered: Some(b.create_vector(&entered)),
            moved: Some(b.create_vector(&moved)),
            changed: Some(b.create_vector(&changed)),
            left: Some(b.create_vector(&left)),
            parts,
            bytes,
            agents: Some(agents.pack(b)),
        };
        feed::FeedFrame::create(b, &args)
    }
}

fn head(cell: &CellFeed) -> feed::CellHead {
    let CellFeed { cell, snapshot, entered, moved, changed, left } = cell;
    let [entered, moved, changed, left] = [entered.len(), moved.len(), changed.len(), left.len()].map(|count| count as u32);
    feed::CellHead::new(cell.to_bits(), entered, moved, changed, left, *snapshot)
}

impl<'a> Unpack<feed::FeedFrame<'a>> for FeedFrame {
    fn unpack(wire: feed::FeedFrame<'a>, at: At<'_>) -> Result<Self, WireError> {
        let mut parts = Reading::new(wire.parts(), wire.bytes(), at);
        let mut entered = List { left: wire.entered().unwrap_or_default().iter(), at: at.field("entered") };
        let mut moved = List { left: wire.moved().unwrap_or_default().iter(), at: at.field("moved") };
        let mut changed = List { left: wire.changed().unwrap_or_default().iter(), at: at.field("changed") };
        let mut left = List { left: wire.left().unwrap_or_default().iter(), at: at.field("left") };
        let mut cell = |head: &feed::CellHead| {
            Ok(Arc::new(CellFeed {
                cell: Unpack::unpack(head.cell(), at.field("cell"))?,
                snapshot: head.snapshot(),
                entered: entered.take(head.entered(), |wire| {
                    Ok(Enter { entity: EntityId(wire.entity()), components: parts.take(wire.parts() as usize)? })
                })?,
                moved: moved.take(head.moved(), |wire| Motion::unpack(wire, at))?,
                changed: changed.take(head.changed(), |wire| {
                    Ok(Changed { entity: EntityId(wire.entity()), component: parts.beside(wire.part())? })
                })?,
                left: left.take(head.left(), |wire| Leave::unpack(wire, at))?,
            }))
        };
        let cells = wire.cells().unwrap_or_default().iter().map(&mut cell).collect::<Result<_, WireError>>()?;
        entered.end()?;
        moved.end()?;
        changed.end()?;
        left.end()?;
        parts.end()?;
        Ok(Self {
            shard: Unpack::unpack(wire.shard(), at.field("shard"))?,
            epoch: Unpack::unpack(wire.epoch(), at)?,
            tick: Unpack::unpack(wire.tick(), at)?,
            seq: wire.seq(),
            follower: Unpack::unpack(wire.follower(), at.field("follower"))?,
            cells,
            agents: Unpack::unpack(wire.agents(), at.field("agents"))?,
        })
    }
}
wire_required! { FeedFrame = feed::FeedFrame<'a> }

/// What happened in all cells, from the next one on.
struct List<'f, I> {
    left: I,
    at: At<'f>,
}

impl<I: ExactSizeIterator> List<'_, I> {
    /// What happened in the next cell.
    fn take<T>(&mut self, count: u32, read: impl FnMut(I::Item) -> Result<T, WireError>) -> Result<Vec<T>, WireError> {
        let count = count as usize;
        if count > self.left.len() {
            return Err(self.at.impossible(count as u64));
        }
        let mut taken = Vec::with_capacity(count);
        for item in self.left.by_ref().take(count).map(read) {
            taken.push(item?);
        }
        Ok(taken)
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), WireError> {
        if self.left.len() == 0 { Ok(()) } else { Err(self.at.impossible(self.left.len() as u64)) }
    }
}

wire_enum! {
    Feed = feed::{Feed, FeedArgs, FeedBody}
    variants {
        Follow(FollowArgs, body_as_follow) { shard, follower, filter, reset, add, remove },
        NotHere(NotHereArgs, body_as_not_here) { shard, follower },
    }
    carriers { Frame(body_as_frame) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::geometry::{CellId, SpaceId};

    /// A frame whose one cell says that so many moved, beside a list of so many.
    fn read(said: u32, listed: usize) -> Result<usize, WireError> {
        let cell = CellId { space: SpaceId(0), x: 1, z: 1 }.to_bits();
        let mut b = FlatBufferBuilder::new();
        let cells = Some(b.create_vector(&[feed::CellHead::new(cell, 0, said, 0, 0, false)]));
        let moved = Some(b.create_vector(&vec![feed::Motion::new(1, 0, 0, 0, 0); listed]));
        let shard = crate::geometry::ShardId { space: SpaceId(0), level: 3, x: 0, z: 0 }.to_bits();
        let frame = feed::FeedFrame::create(&mut b, &feed::FeedFrameArgs { shard, cells, moved, ..Default::default() });
        b.finish_minimal(frame);
        let frame = Bytes::copy_from_slice(b.finished_data());
        let root = flatbuffers::root::<feed::FeedFrame<'_>>(&frame)?;
        FeedFrame::unpack(root, At::new(&frame)).map(|frame| frame.cells[0].moved.len())
    }

    #[test]
    fn lists_that_do_not_add_up_are_refused() {
        assert_eq!(read(3, 3), Ok(3));
        let refused = |found| matches!(found, Err(WireError::Impossible { field: "moved", .. }));
        assert!(refused(read(4, 3)), "more than there are");
        assert!(refused(read(2, 3)), "one of no cell");
        assert!(refused(read(u32::MAX, 0)), "and no memory is taken for what is only said");
    }
}
