//! One update per client and tick, out of cells that are encoded once.
//!
//! A cell's bytes depend on the cell and on the round the client saw it last, on nothing else of the client; clients in step
//! share them. Nearest cells go first until the client's byte allowance is spent; what is left out stays due, and after a
//! second goes first, so nobody starves. A cell that did not change costs a comparison.

use bytes::Bytes;
use pangaea_schemas::message::Motion;
use pangaea_schemas::wire::update::{CellUpdate, Moved, UpdateHead, UpdateWriter};
use pangaea_schemas::{AgentEpoch, Tick, Timestamp};

use crate::cells::{Cell, CellStore, NEVER, Round};
use crate::interest::Seen;
use crate::limits::Rate;
use crate::session::Session;
use crate::slab::Key;

/// The update of this round for one client.
pub(crate) fn compose(
    store: &mut CellStore,
    writer: &mut UpdateWriter,
    session: &mut Session,
    rate: Rate,
    now: Timestamp,
    tick: Tick,
) -> Bytes {
    let round = store.round();
    let mut cells = Vec::new();
    session.byte_allowance.refill(rate, now);
    for starved_only in [true, false] {
        for seen in &mut session.view.seen {
            let turn = if starved_only { seen.is_starved(round) } else { seen.is_due(round) };
            if !turn || session.byte_allowance.is_spent() {
                continue;
            }
            if let Some(bytes) = changes(store, writer, seen, round) {
                session.byte_allowance.take(bytes.len());
                cells.push(bytes);
            }
        }
    }
    let gone: Vec<_> = session.view.gone.drain(..).map(|cell| (cell.x, cell.z)).collect();
    writer.update(&head(session, tick), &cells, &gone)
}

/// The cell's bytes since the client saw it last; `None` when there is nothing to say. Either way the client is up to date.
fn changes(store: &mut CellStore, writer: &mut UpdateWriter, seen: &mut Seen, round: Round) -> Option<Bytes> {
    let cell = store.cell(seen.key).filter(|cell| cell.live)?;
    let since = if seen.sent < cell.left_since { NEVER } else { seen.sent };
    (seen.sent, seen.drawn) = (round, true);
    if since != NEVER && cell.changed <= since {
        return None;
    }
    Some(encoded(store, writer, seen.key, since))
}

fn encoded(store: &mut CellStore, writer: &mut UpdateWriter, key: Key, since: Round) -> Bytes {
    let round = store.round();
    let Some(cell) = store.cell_mut(key) else { return Bytes::new() };
    if cell.encoded_in != round {
        cell.encoded.clear();
        cell.encoded_in = round;
    }
    if let Some((_, bytes)) = cell.encoded.iter().find(|(known, _)| *known == since) {
        return bytes.clone();
    }
    let bytes = store.cell(key).map_or_else(Bytes::new, |cell| writer.cell(&changes_since(store, cell, since)));
    if let Some(cell) = store.cell_mut(key) {
        cell.encoded.push((since, bytes.clone()));
    }
    bytes
}

/// What changed in a cell above round `since`; everything when that is [`NEVER`].
fn changes_since(store: &CellStore, cell: &Cell, since: Round) -> CellUpdate {
    let mut update = CellUpdate { x: cell.id.x, z: cell.id.z, snapshot: since == NEVER, ..CellUpdate::default() };
    for member in &cell.members {
        let alias = member.alias;
        let entered = member.entered > since;
        if entered {
            update.entered.push((member.motion.entity, alias));
        }
        if entered || member.moved > since {
            let Motion { offset, vx, vz, .. } = member.motion;
            update.moved.push(Moved { alias, offset, vx, vz });
        }
        if entered || member.altered > since {
            let components = store.entity(member.name).map_or(&[][..], |entity| &entity.components);
            let news = components.iter().filter(|(round, _)| entered || *round > since);
            update.components.extend(news.map(|(_, component)| (alias, component.clone())));
        }
    }
    if since != NEVER {
        let left = cell.left.iter().filter(|(round, _)| *round > since).map(|(_, alias)| *alias);
        // Who left and came back is here.
        update.left.extend(left.filter(|alias| cell.members.iter().all(|member| member.alias != *alias)));
    }
    update
}

fn head(session: &Session, tick: Tick) -> UpdateHead {
    UpdateHead {
        tick,
        agent_epoch: session.owner.map_or_else(AgentEpoch::default, |owner| owner.epoch),
        in_seq: session.inputs.acknowledged(),
        applied: session.agent.applied,
        position: session.agent.position,
        dilation_percent: 100,
    }
}
