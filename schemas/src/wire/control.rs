//! What the world orders and what it hears: the fields of [`crate::message::Control`] and of its reports, spelled out once.

use super::codec::{wire_code, wire_enum, wire_row, wire_table};
use crate::generated::node::control;
use crate::geometry::ShardId;
use crate::message::{
    ClientAddresses, Control, DRAIN_TARGETS_MAX, FAULTS_MAX, GatewayReport, MigrationNews, MigrationStep, PARKED_TOLD_MAX,
    PASSAGES_TOLD_MAX, SceneReport, ShardPhase, ShardReport,
};
use crate::{EntityId, Timestamp};

wire_code! { ShardPhase = control::ShardPhase { Claiming, Recovering, Fencing, Running, Unconfirmed, Fenced } }
wire_row! { control::Crossing { entity: EntityId, target: ShardId } }
wire_row! { control::Passage { entity: EntityId, target: ShardId, left: Timestamp, took_us: u32 } }
wire_table! {
    ShardReport = control::{ShardReport, ShardReportArgs} {
        shard, epoch, phase, entities, players, ghosts, tick_p50_us, tick_p99_us, load_permille, handovers_out, handovers_in, recent,
        parked <= PARKED_TOLD_MAX, paused_ms, paused_steps, passages <= PASSAGES_TOLD_MAX,
    }
}
wire_table! { SceneReport = control::{SceneReport, SceneReportArgs} { tick, late_ticks, shards, rules, faults <= FAULTS_MAX } }
wire_table! {
    GatewayReport = control::{GatewayReport, GatewayReportArgs} { connections, sessions, bytes_out, inputs, draining }
}
wire_table! { ClientAddresses = control::{ClientAddresses, ClientAddressesArgs} { tcp, ws } }
wire_code! {
    MigrationStep = control::MigrationStep { Preparing, Copying, Freezing, Frozen, Committing, Returning, Given, Done, Kept }
}
wire_table! {
    MigrationNews = control::{MigrationNews, MigrationNewsArgs} {
        id, shard, epoch, to, step, rounds, entities, bytes, blackout_us, missed_ticks, reason,
    }
}
wire_enum! {
    Control = control::{Control, ControlArgs, ControlBody}
    variants {
        Assign(AssignArgs, body_as_assign) { shard, above },
        DrainGateway(DrainGatewayArgs, body_as_drain_gateway) { to <= DRAIN_TARGETS_MAX },
        UndrainGateway(UndrainGatewayArgs, body_as_undrain_gateway) {},
        Reaped(ReapedArgs, body_as_reaped) { node, nonce },
        Migrate(MigrateArgs, body_as_migrate) { id, shard, to },
        CancelMigration(CancelMigrationArgs, body_as_cancel_migration) { id, shard },
        Recut(RecutArgs, body_as_recut) { id, shard, merge },
        Release(ReleaseArgs, body_as_release) { agent },
    }
    carriers { Scene(body_as_scene), Gateway(body_as_gateway), Migrating(body_as_migrating), Rules(body_as_rules) }
}
