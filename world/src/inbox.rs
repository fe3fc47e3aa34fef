//! What arrived since the last tick, sorted by the manager it is for.

use bevy_ecs::prelude::Resource;
use pangaea_schemas::message::{
    BeaconReply, BusEvent, Control, Directory, GatewayReport, JournalReply, Message, MigrationNews, SceneReport, TableReply,
};
use pangaea_schemas::{NodeId, Nonce};

use crate::world::Order;

/// Most messages between two ticks; beyond it they are dropped, their senders ask or report again.
pub const INBOX_MAX: usize = 65_536;

/// Messages for the managers. Each takes its own vector and leaves it empty.
#[derive(Resource, Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) beacon: Vec<BeaconReply>,
    pub(crate) reaped: Vec<(NodeId, Nonce)>,
    pub(crate) journal: Vec<JournalReply>,
    pub(crate) scenes: Vec<(NodeId, SceneReport)>,
    pub(crate) gateways: Vec<(NodeId, GatewayReport)>,
    pub(crate) directory: Vec<(NodeId, Directory)>,
    pub(crate) migrations: Vec<(NodeId, MigrationNews)>,
    pub(crate) tables: Vec<TableReply>,
    pub(crate) bus: Vec<BusEvent>,
    pub(crate) orders: Vec<Order>,
    dropped: u64,
}

/// The bus messages of this tick, for any system to read.
#[derive(Resource, Debug, Default)]
pub struct Heard(pub Vec<BusEvent>);

impl Inbox {
    /// Messages dropped at the bound since start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(crate) fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    pub(crate) fn push(&mut self, from: NodeId, message: Message) {
        if self.len() >= INBOX_MAX {
            self.dropped += 1;
            return;
        }
        match message {
            Message::BeaconReply(reply) => self.beacon.push(reply),
            Message::JournalReply(reply) => self.journal.push(reply),
            Message::BusEvent(event) => self.bus.push(event),
            Message::Directory(directory) => self.directory.push((from, directory)),
            Message::TableReply(reply) => self.tables.push(reply),
            Message::Control(Control::Scene(report)) => self.scenes.push((from, report)),
            Message::Control(Control::Gateway(report)) => self.gateways.push((from, report)),
            Message::Control(Control::Reaped { node, nonce }) => self.reaped.push((node, nonce)),
            Message::Control(Control::Migrating(news)) => self.migrations.push((from, news)),
            Message::Control(
                Control::Assign { .. }
                | Control::DrainGateway { .. }
                | Control::UndrainGateway
                | Control::Migrate { .. }
                | Control::CancelMigration { .. }
                | Control::Rules(_)
                | Control::Recut { .. }
                | Control::Release { .. },
            )
            | Message::BeaconRequest(_)
            | Message::BusRequest(_)
            | Message::JournalRequest(_)
            | Message::BlobRequest(_)
            | Message::BlobReply(_)
            | Message::LedgerRequest(_)
            | Message::LedgerReply(_)
            | Message::TableRequest(_)
            | Message::AuthRequest(_)
            | Message::AuthReply(_)
            | Message::Feed(_)
            | Message::Session(_)
            | Message::Handover(_)
            | Message::Effect(_)
            | Message::Migration(_)
            | Message::Desk(_) => tracing::debug!(%from, "a message that is not for the world"),
        }
    }

    fn len(&self) -> usize {
        self.beacon.len()
            + self.reaped.len()
            + self.journal.len()
            + self.scenes.len()
            + self.gateways.len()
            + self.migrations.len()
            + self.tables.len()
            + self.directory.len()
            + self.bus.len()
    }
}
