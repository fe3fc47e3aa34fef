//! Updates: what clients draw. A gateway encodes each changed cell once and copies its bytes into the updates of all clients who
//! see it; client programs read them back.

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, VerifierOptions};

use super::codec::{At, pack_bytes};
use super::{WireError, limits};
use crate::generated::client as fb;
use crate::geometry::{CellOffset, Position};
use crate::record::ComponentBytes;
use crate::{AgentEpoch, EntityId, InSeq, Tick, TypeId};

/// One cell's bytes: a single table, as large as a message may be.
const CELL_LIMITS: VerifierOptions = limits(4, 4, 1_024 * 1_024);

/// A short name of an entity, given by one gateway and the same for all its clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alias(pub u32);

/// Where an entity is in its cell and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Who.
    pub alias: Alias,
    /// From the cell's corner.
    pub offset: CellOffset,
    /// Velocity east, 0.25 m/s.
    pub vx: i8,
    /// Velocity south, 0.25 m/s.
    pub vz: i8,
}

/// What changed in one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellUpdate {
    /// Column of the cell.
    pub x: u16,
    /// Row of the cell.
    pub z: u16,
    /// Who is not in `entered` is not here.
    pub snapshot: bool,
    /// New in the cell, and the short names used below.
    pub entered: Vec<(EntityId, Alias)>,
    /// Moved or entered.
    pub moved: Vec<Moved>,
    /// New bytes of components; each at most [`u16::MAX`] long.
    pub components: Vec<(Alias, ComponentBytes)>,
    /// No longer in the cell.
    pub left: Vec<Alias>,
}

/// What an update says beside its cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpdateHead {
    /// After which tick.
    pub tick: Tick,
    /// The own agent's epoch.
    pub agent_epoch: AgentEpoch,
    /// No input up to here is needed again.
    pub in_seq: InSeq,
    /// The last input applied at `tick`; ahead of `in_seq` while something of value is not durable.
    pub applied: InSeq,
    /// The own agent's exact position at `tick`, after that input.
    pub position: Position,
    /// Speed of time in percent; 100 is real time.
    pub dilation_percent: u16,
}

/// What a client program reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// The client's own news.
    pub head: UpdateHead,
    /// Changed cells, nearest first.
    pub cells: Vec<CellUpdate>,
    /// Column and row of cells that are no longer followed.
    pub gone: Vec<(u16, u16)>,
}

/// Writes updates; keeps its buffers between calls.
#[derive(Default)]
pub struct UpdateWriter {
    builder: FlatBufferBuilder<'static>,
    component_bytes: Vec<u8>,
}

impl UpdateWriter {
    /// One cell's bytes, to be put into any number of updates.
    pub fn cell(&mut self, cell: &CellUpdate) -> Bytes {
        self.component_bytes.clear();
        let mut components = Vec::with_capacity(cell.components.len());
        for (alias, component) in &cell.components {
            let (offset, size) = (self.component_bytes.len() as u32, component.bytes.len() as u16);
            self.component_bytes.extend_from_slice(&component.bytes[..usize::from(size)]);
            components.push(fb::Component::new(alias.0, component.id.0, offset, size));
        }
        let b = &mut self.builder;
        b.reset();
        let entered = cell.entered.iter().map(|(entity, alias)| fb::Entered::new(entity.0, alias.0));
        let moved = cell.moved.iter().map(|m| fb::Motion::new(m.alias.0, m.offset.x, m.offset.z, m.vx, m.vz));
        let args = fb::CellUpdateArgs {
            x: cell.x,
            z: cell.z,
            snapshot: cell.snapshot,
            entered: (entered.len() > 0).then(|| b.create_vector_from_iter(entered)),
            moved: (moved.len() > 0).then(|| b.create_vector_from_iter(moved)),
            components: (!components.is_empty()).then(|| b.create_vector(&components)),
            bytes: (!components.is_empty()).then(|| pack_bytes(&self.component_bytes, b)),
            left: (!cell.left.is_empty()).then(|| b.create_vector_from_iter(cell.left.iter().map(|alias| alias.0))),
        };
        let root = fb::CellUpdate::create(b, &args);
        b.finish_minimal(root);
        Bytes::copy_from_slice(b.finished_data())
    }

    /// A whole server message from cells encoded by [`Self::cell`]; `gone` lists columns and rows.
    pub fn update<'c>(&mut self, head: &UpdateHead, cells: impl IntoIterator<Item = &'c Bytes>, gone: &[(u16, u16)]) -> Bytes {
        let b = &mut self.builder;
        b.reset();
        let cells: Vec<_> = cells
            .into_iter()
            .map(|bytes| {
                let cell = Some(pack_bytes(bytes, b));
                fb::CellBytes::create(b, &fb::CellBytesArgs { cell })
            })
            .collect();
        let args = fb::UpdateArgs {
            tick: head.tick.0,
            agent_epoch: head.agent_epoch.0,
            in_seq: head.in_seq.0,
            applied: head.applied.0,
            x: head.position.x,
            z: head.position.z,
            dilation_percent: head.dilation_percent,
            cells: (!cells.is_empty()).then(|| b.create_vector(&cells)),
            gone: (!gone.is_empty()).then(|| b.create_vector_from_iter(gone.iter().map(|(x, z)| fb::Gone::new(*x, *z)))),
        };
        let body = fb::Update::create(b, &args).as_union_value();
        let message = fb::ServerMessageArgs { body_type: fb::ServerBody::Update, body: Some(body) };
        let root = fb::ServerMessage::create(b, &message);
        b.finish_minimal(root);
        Bytes::copy_from_slice(b.finished_data())
    }
}

/// Reads an update and each of its cells.
pub(super) fn read(update: fb::Update<'_>, at: At<'_>) -> Result<Update, WireError> {
    let head = UpdateHead {
        tick: Tick(update.tick()),
        agent_epoch: AgentEpoch(update.agent_epoch()),
        in_seq: InSeq(update.in_seq()),
        applied: InSeq(update.applied()),
        position: Position { x: update.x(), z: update.z() },
        dilation_percent: update.dilation_percent(),
    };
    let cells = update.cells().into_iter().flatten().map(|cell| {
        let bytes = cell.cell().ok_or_else(|| at.field("cell").missing())?;
        read_cell(bytes.bytes(), at)
    });
    let gone = update.gone().into_iter().flatten().map(|gone| (gone.x(), gone.z())).collect();
    Ok(Update { head, cells: cells.collect::<Result<_, _>>()?, gone })
}

fn read_cell(bytes: &[u8], at: At<'_>) -> Result<CellUpdate, WireError> {
    let cell = flatbuffers::root_with_opts::<fb::CellUpdate<'_>>(&CELL_LIMITS, bytes)?;
    let packed = cell.bytes().map(|bytes| bytes.bytes()).unwrap_or_default();
    let components = cell.components().into_iter().flatten().map(|component| {
        let start = component.offset() as usize;
        let bytes = packed.get(start..start + usize::from(component.size()));
        let bytes = bytes.ok_or_else(|| at.field("components").impossible(component.offset()))?;
        Ok((Alias(component.alias()), ComponentBytes { id: TypeId(component.id()), bytes: Bytes::copy_from_slice(bytes) }))
    });
    let moved =
        |m: &fb::Motion| Moved { alias: Alias(m.alias()), offset: CellOffset { x: m.x(), z: m.z() }, vx: m.vx(), vz: m.vz() };
    Ok(CellUpdate {
        x: cell.x(),
        z: cell.z(),
        snapshot: cell.snapshot(),
        entered: cell.entered().into_iter().flatten().map(|e| (EntityId(e.entity()), Alias(e.alias()))).collect(),
        moved: cell.moved().into_iter().flatten().map(moved).collect(),
        components: components.collect::<Result<_, WireError>>()?,
        left: cell.left().into_iter().flatten().map(Alias).collect(),
    })
}
